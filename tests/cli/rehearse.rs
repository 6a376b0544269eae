//! Copies of a deployment that are only shown: `serve --read-only`, `events replay --into`, and comparisons with `events verify --with`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{Client, Method, Response, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::{Home, key_in, number, server::Server, support::Process};

/// The names and contents of all files below a folder.
pub(super) fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A server that shows a data directory.
struct Shown {
    process: Process,
    ready: Value,
    client: Client,
}

impl Shown {
    fn start(home: &Home, data: &str, more: &[&str]) -> Self {
        let mut program = home.command(&[&["serve", "--read-only", "--json", "--data", data], more].concat());
        program.env("PERMITD_LOG_FILTER", "error").stderr(Stdio::inherit());
        let (process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { process, ready, client }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.ready["url"].as_str().unwrap()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> (StatusCode, HeaderMap, String) {
        let answer = self.send(Method::GET, path, headers).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.text().await.unwrap())
    }

    /// The document at a path, asked for with the token of this run.
    async fn document(&self, path: &str) -> Value {
        let token = format!("Bearer {}", self.ready["admin_token"].as_str().unwrap());
        let (status, headers, body) = self.get(path, &[("authorization", &token)]).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert!(headers.contains_key("permitd-copy-as-of"), "{path}");
        serde_json::from_str(&body).unwrap()
    }

    fn stop(mut self) {
        let sent = std::process::Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success() && self.process.ended().success());
    }
}

/// A home with a person, their key, 20 records, and one request counted.
async fn used_home() -> (Home, String) {
    let home = Home::new();
    // Two exports fit into the bucket.
    home.json(&["plans", "set", "default", "--rate", "5", "--burst", "40", "--quota", "1000"]);
    home.json(&["invite", "ana@example.org"]);
    let key = key_in(&home.mails()[0]);
    home.sample(20, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let mut server = Server::start(&home, "serve");
    assert_eq!(server.status("/permits?limit=1", &key).await, StatusCode::OK);
    server.stop();
    (home, key)
}

#[tokio::test]
async fn a_directory_is_shown_as_it_stood_and_not_a_byte_of_it_changes() {
    let (home, key) = used_home().await;
    let before = files_in(&home.data());
    let shown = Shown::start(&home, "data", &[]);
    assert_eq!(shown.ready["copy"]["read_only"], true, "{}", shown.ready);
    let as_of = shown.ready["copy"]["as_of"].as_str().unwrap().to_owned();

    // Keys answer, and limits begin where they stood.
    let (status, headers, body) = shown.get("/permits?limit=3", &[("x-api-key", &key)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(headers["permitd-copy-as-of"], as_of.as_str());
    let limits = headers["ratelimit"].to_str().unwrap();
    assert!(limits.contains("\"daily\";r=998"), "one before and this one: {limits}");
    for format in ["csv", "xlsx"] {
        let (status, ..) = shown.get(&format!("/permits?format={format}"), &[("x-api-key", &key)]).await;
        assert_eq!(status, StatusCode::OK, "{format}");
    }
    let (mut last, mut sent) = (StatusCode::OK, 0);
    while last != StatusCode::TOO_MANY_REQUESTS {
        assert!(last == StatusCode::OK && sent < 1000, "the plan's rate counts in memory: {last}");
        (last, ..) = shown.get("/permits?limit=1", &[("x-api-key", &key)]).await;
        sent += 1;
    }
    let (status, ..) = shown.get("/permits", &[("x-api-key", "pmt_no")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    // Whatever could change something is refused at once, whoever asks.
    let token = format!("Bearer {}", shown.ready["admin_token"].as_str().unwrap());
    for (method, path) in [
        (Method::POST, "/users"),
        (Method::PUT, "/plans/gold"),
        (Method::PATCH, "/users/1"),
        (Method::DELETE, "/users/1"),
        (Method::POST, "/sessions"),
        (Method::POST, "/leaks"),
    ] {
        let answer = shown.send(method.clone(), path, &[("authorization", &token)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {path}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["type"].as_str().unwrap().ends_with("/problems/read-only-copy"), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&as_of), "{problem}");
    }

    // The administrator sees it all, by the token of this run.
    let users = shown.document("/users").await;
    assert_eq!(users["data"][0]["email"], "ana@example.org", "{users}");
    let id = users["data"][0]["id"].as_str().unwrap();
    let usage = shown.document(&format!("/users/{id}/usage")).await;
    let used: u64 = usage["data"].as_array().unwrap().iter().map(|day| number(day, "used")).sum();
    assert_eq!(used, 1, "the figures of then: {usage}");
    shown.document("/events").await;
    shown.document("/datasets").await;

    // Every page says what it is, in both languages.
    let html = "text/html";
    for (language, said) in [("en", "read-only: nothing can be changed here"), ("de", "nur zum Lesen")] {
        for path in ["/", "/docs", "/sign-in", "/problems", "/nowhere"] {
            let (.., page) = shown.get(path, &[("accept", html), ("accept-language", language)]).await;
            assert!(page.contains(said), "{path}: {page}");
        }
    }
    let page = enter(&shown).await;
    assert!(page.contains("ana@example.org") && page.contains("Copy of"), "{page}");

    // The port for operators says it, too.
    let ops = shown.ready["ops_url"].as_str().unwrap();
    let ready = shown.client.get(format!("{ops}/health/ready")).send().await.unwrap();
    assert!(ready.headers().contains_key("permitd-copy-as-of"));
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["status"], &ready["copy"]["read_only"]), (&json!("ready"), &json!(true)), "{ready}");
    let metrics = shown.client.get(format!("{ops}/metrics")).send().await.unwrap();
    assert!(metrics.headers().contains_key("permitd-copy-as-of"));
    assert!(metrics.text().await.unwrap().contains("permitd_shown_as_of_seconds"), "it is measured as a copy");

    // Nobody serves it meanwhile.
    let err = home.refused(4, &["serve"]);
    assert!(err.contains("serves"), "{err}");
    shown.stop();
    assert_eq!(files_in(&home.data()), before);
}

/// Enters the administrator's pages as a browser does that was led there by the link; gives the list of people.
async fn enter(shown: &Shown) -> String {
    let (_, headers, page) = shown.get("/sign-in", &[("accept", "text/html")]).await;
    let form = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let at = page.find("id=\"token-form\"").unwrap_or_else(|| panic!("{page}"));
    let field = |name: &str| {
        let from = page[at..].find(&format!("name=\"{name}\" value=\"")).unwrap() + at;
        page[from..].split('"').nth(3).unwrap().to_owned()
    };
    let fields = [
        ("csrf", field("csrf")),
        ("once", field("once")),
        ("token", shown.ready["admin_token"].as_str().unwrap().to_owned()),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let url = format!("{}/sign-in/token", shown.ready["url"].as_str().unwrap());
    let origin = shown.ready["url"].as_str().unwrap();
    let request = shown.client.post(url).header("cookie", form).header("origin", origin).header("accept", "text/html");
    let entered = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
    assert_eq!(entered.status(), StatusCode::SEE_OTHER, "{}", entered.text().await.unwrap());
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (status, _, page) = shown.get("/admin/people", &[("accept", "text/html"), ("cookie", &cookie)]).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page
}

#[tokio::test]
async fn what_cannot_be_shown_read_only_says_what_to_do() {
    let home = Home::new();
    let err = home.refused(3, &["serve", "--read-only"]);
    assert!(err.contains("no data directory"), "{err}");
    let ran = home.command(&["serve", "--read-only"]).env("PERMITD_BACKEND", "aws").output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.code() == Some(2) && err.contains("--into"), "{err}");

    home.json(&["plans", "set", "gold"]);
    let database = home.data().join("permitd.db");
    let sql = |text: &str| rusqlite::Connection::open(&database).unwrap().execute_batch(text).unwrap();
    sql("PRAGMA user_version = 4");
    let before = files_in(&home.data());
    let err = home.refused(7, &["serve", "--read-only"]);
    assert!(err.contains("tables of version 4") && err.contains("events verify"), "{err}");
    assert_eq!(files_in(&home.data()), before, "nothing was migrated");
    sql("PRAGMA user_version = 5");
    // Left by a server that was killed.
    std::fs::write(home.data().join("permitd.db-wal"), "something").unwrap();
    let err = home.refused(5, &["serve", "--read-only"]);
    assert!(err.contains("write-ahead log"), "{err}");
    std::fs::remove_file(home.data().join("permitd.db-wal")).unwrap();

    // Beside a server it is not shown: it changes.
    let mut server = Server::start(&home, "serve");
    let err = home.refused(4, &["serve", "--read-only"]);
    assert!(err.contains("serves"), "{err}");
    server.stop();
}

#[tokio::test]
async fn a_directory_that_changes_while_it_is_shown_is_shown_no_longer() {
    let home = Home::new();
    home.json(&["plans", "set", "gold"]);
    let shown = Shown::start(&home, "data", &["--listen", "127.0.0.1:0"]);
    let (status, ..) = shown.get("/", &[]).await;
    assert!(status.is_success());
    let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    connection.execute_batch("UPDATE heartbeat SET beats = beats + 1; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let ops = shown.ready["ops_url"].as_str().unwrap().to_owned();
    let becomes = async {
        loop {
            let answer = shown.client.get(format!("{ops}/health/ready")).send().await.unwrap();
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(180), becomes).await.unwrap();
    assert!(said.contains("was changed while it was read"), "{said}");
    let (status, ..) = shown.get("/", &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

/// Somebody else's machine must not find the administrator's link in a log unasked.
#[test]
fn the_link_is_printed_on_this_machine_alone_unless_asked_for() {
    let home = Home::new();
    home.json(&["plans", "set", "gold"]);
    let ready = |more: &[&str]| Shown::start(&home, "data", more).ready;
    assert!(ready(&[])["admin_token"].is_string());
    assert!(ready(&["--listen", "0.0.0.0:0"])["admin_token"].is_null());
    let asked = ready(&["--listen", "0.0.0.0:0", "--admin-link"]);
    assert!(asked["sign_in_url"].as_str().unwrap().contains("#token="), "{asked}");
    assert_ne!(ready(&[])["admin_token"], ready(&[])["admin_token"], "each run has its own");
}

/// An executable script in the folder.
fn script(home: &Home, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = home.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_upgrade_that_changes_views_is_told_row_by_row_and_field_by_field() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "bob@example.org"]);
    home.sample(10, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let program = env!("CARGO_BIN_EXE_permitd");
    let same = home.json(&["events", "verify", "--with", program]);
    assert_eq!((number(&same, "differences"), number(&same, "streams")), (0, 4), "{same}");

    // A program that makes another plan of it, of everybody; and one that lacks a view.
    let filter = "s/\"plan\":\"default\"/\"plan\":\"gold\"/; s/\"imports [^{]*{[^}]*}[^}]*}//";
    let other = script(&home, "other", &format!("{program} \"$@\" | sed -u '{filter}'"));
    let told = home.run(&["events", "verify", "--with", &other]);
    assert_eq!(told.exit, 1, "{}{}", told.out, told.err);
    for said in ["users ", ", plan", "here", "\"default\"", "there", "\"gold\"", "imports ", "no row"] {
        assert!(told.out.contains(said), "{said}: {}", told.out);
    }
    assert!(!told.out.contains("example.org"), "no addresses in a report: {}", told.out);
    let told = home.run(&["events", "verify", "--with", &other, "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(number(&told, "differences"), 3, "two people and an import: {told}");

    // One that is too old, one that is none, and one that dies.
    let old = script(&home, "old", "echo \"error: unrecognized subcommand 'views'\" >&2; exit 2");
    let err = home.refused(2, &["events", "verify", "--with", &old]);
    assert!(err.contains("too old") && err.contains("unrecognized subcommand"), "{err}");
    let dies = script(&home, "dies", "echo '{\"format\":1,\"permitd\":\"9\"}'; exit 3");
    let err = home.refused(2, &["events", "verify", "--with", &dies]);
    assert!(err.contains("ended before") && err.contains("exit code 3"), "{err}");
    let newer = script(&home, "newer", "echo '{\"format\":7,\"permitd\":\"9\"}'; cat > /dev/null");
    let err = home.refused(2, &["events", "verify", "--with", &newer]);
    assert!(err.contains("permitd 9"), "{err}");
    home.refused(3, &["events", "verify", "--with", "nowhere"]);
}

#[test]
fn the_views_of_two_directories_are_compared() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let position = home.json(&["events", "list", "--limit", "1000"])["events"].as_array().unwrap().len();
    let events = home.json(&["events", "list"]);
    let last = events["events"].as_array().unwrap().last().unwrap()["position"].to_string();
    let last = format!("position:{last}");
    let copied = home.json(&["events", "replay", "--as-of", &last, "--into", "copy"]);
    assert_eq!(copied["is_whole"], true, "{copied}");
    assert!(position > 0);
    let same = home.json(&["events", "verify", "--with", "copy"]);
    assert_eq!(number(&same, "differences"), 0, "{same}");
    home.json(&["plans", "set", "gold"]);
    home.json(&["users", "set", "ana@example.org", "--plan", "gold"]);
    let told = home.run(&["events", "verify", "--with", "copy", "--json"]);
    assert_eq!(told.exit, 1, "{}", told.err);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let found = told["found"].as_array().unwrap();
    let plan = found.iter().find(|one| one["field"] == "plan").unwrap();
    assert_eq!((&plan["here"], &plan["there"]), (&json!("gold"), &json!("default")), "{told}");
    assert!(found.iter().any(|one| one["row"] == "plans gold" && one["there"].is_null()), "{told}");
    // The other way round, the copy lacks what came later.
    let back = home.run(&["events", "verify", "--data", "copy", "--with", "data", "--json"]);
    let back: Value = serde_json::from_str(&back.out).unwrap();
    assert!(back["found"].as_array().unwrap().iter().any(|one| one["row"] == "plans gold" && one["here"].is_null()));
    home.refused(3, &["events", "verify", "--with", "."]);
}

#[test]
fn the_rows_of_the_views_are_printed_as_the_log_has_them() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let ran = home.run(&["events", "views"]);
    let mut lines = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["format"], 1);
    let lines: Vec<Value> = lines.collect();
    let user = lines.iter().find(|line| line["stream"].as_str().unwrap().starts_with("user#")).unwrap();
    let rows = user["rows"].as_object().unwrap();
    assert!(rows.keys().any(|name| name.starts_with("users ")) && rows.keys().any(|name| name.starts_with("keys ")));
    assert!(!ran.out.contains("example.org"), "{}", ran.out);
    // What another permitd writes is taken, touching no data.
    let empty = home.command(&["events", "views", "--stdin"]).stdin(Stdio::null()).output().unwrap();
    assert!(empty.status.success() && empty.stdout.starts_with(b"{\"format\":1"), "{empty:?}");
}
