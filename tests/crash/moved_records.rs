//! Records that are moved out of AWS into files and back into other tables, by processes that die at each step: a client that
//! follows cursors and asks by its ETags notices nothing.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

use aws_sdk_dynamodb::types::AttributeValue;
use permitd::{
    app,
    clock::SystemClock,
    config::{LoadFrom, Settings},
    store::dynamodb::Dynamo,
};
use reqwest::Method;
use serde_json::Value;

use crate::{deployment::Deployment, support::Process};

const ANA: &str = "ana@example.org";
/// Where a process may die that makes files of tables, in the order of its steps.
const INTO_FILES: [&str; 4] =
    ["replica-copying=return", "replica-copied=return", "move-records-copied=return", "move-records-named=return"];
/// Where a process may die that fills tables.
const INTO_TABLES: [&str; 7] = [
    "move-records-begun=return",
    "move-records-writing-past=30*off->return",
    "move-records-past=return",
    "move-records-writing-present=30*off->return",
    "move-records-present=return",
    "move-records-before-visible=return",
    "move-records-visible=return",
];
const SOURCE: &str = "TEST_MOVE_SOURCE";
const TARGET: &str = "TEST_MOVE_TARGET";
const WORKSPACE: &str = "TEST_MOVE_WORKSPACE";

/// A deployment: settings that differ from those of the first.
type Elsewhere = BTreeMap<&'static str, String>;

fn variables(of: &Elsewhere) -> BTreeMap<String, String> {
    let variable = |path: &str| format!("PERMITD_{}", path.to_uppercase().replace('.', "_"));
    of.iter().map(|(path, value)| (variable(path), value.clone())).collect()
}

fn command(from: &Deployment, to: &Elsewhere, failpoints: &str) -> Command {
    let mut command = from.command(failpoints);
    command.envs(variables(to)).current_dir(from.place().folder());
    command
}

fn run(from: &Deployment, to: &Elsewhere, arguments: &[&str]) -> (bool, String) {
    let output = command(from, to, "").args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn well(from: &Deployment, to: &Elsewhere, arguments: &[&str]) -> String {
    let (well, text) = run(from, to, arguments);
    assert!(well, "{arguments:?}: {text}");
    text
}

/// Not a test: what a process does that is started by one, and may be killed.
#[test]
fn a_process_that_moves_records() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(source), Some(target), Some(workspace)) = (variable(SOURCE), variable(TARGET), variable(WORKSPACE))
    else {
        return;
    };
    let _failpoints = permitd::failpoint::from_environment();
    let settings = |text: &str| {
        let told: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
        let overrides: Vec<(&str, String)> = told.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
        Settings::load(LoadFrom { config_file: None, env: std::env::vars(), overrides: &overrides }).unwrap()
    };
    let (source, target) = (settings(&source), settings(&target));
    let moving = async {
        app::move_records(&source, &target, &SystemClock::shared(), Path::new(&workspace), &mut |step| {
            println!("{step:?}")
        })
        .await
    };
    let moved = app::block_on(moving).unwrap_or_else(|error| panic!("{error}"));
    println!("moved: {moved:?}");
}

/// Moves records in a process of its own. Returns whether it came to its end, and what it said.
fn moves(deployment: &Deployment, from: &Elsewhere, to: &Elsewhere, failpoints: &str) -> (bool, String) {
    let told = deployment.command(failpoints);
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, value) in told.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let json = |of: &Elsewhere| serde_json::to_string(of).unwrap();
    command.env(SOURCE, json(from)).env(TARGET, json(to));
    command.env(WORKSPACE, deployment.place().folder().join("workspace"));
    command.args(["--exact", "moved_records::a_process_that_moves_records", "--nocapture"]);
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Moves records, dying at each step and beginning again.
fn die_and_move(deployment: &Deployment, from: &Elsewhere, to: &Elsewhere, steps: &[&str]) {
    for step in steps {
        let (well, text) = moves(deployment, from, to, step);
        assert!(!well && text.contains("killed"), "{step}: it was killed: {text}");
        let is_there = ["move-records-named=return", "move-records-visible=return"].contains(step);
        let (_, text) = run(deployment, to, &["events", "verify"]);
        assert_eq!(text.contains("no differences"), is_there, "{step}: {text}");
    }
    let (well, text) = moves(deployment, from, to, "");
    assert!(
        well && text.contains("Left(MovedDataSet { name: \"permits\"") && text.contains("moved: [MovedDataSet"),
        "{text}"
    );
}

/// A question, and its answer: the status, the ETag and the body.
type Answer = (String, u16, String, String);

struct Client {
    url: String,
    key: String,
    http: reqwest::Client,
    _process: Process,
}

impl Client {
    /// Of a deployment that is served now.
    fn serve(deployment: &Deployment, of: &Elsewhere, key: &str) -> Self {
        let mut program = command(deployment, of, "");
        program.args(["serve", "--json"]);
        let (process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url: ready["url"].as_str().unwrap().to_owned(), key: key.to_owned(), http, _process: process }
    }

    async fn ask(&self, path: &str, etag: &str) -> (u16, String, String) {
        let mut request = self.http.get(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        if !etag.is_empty() {
            request = request.header("if-none-match", etag);
        }
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, etag) = (answer.status().as_u16(), header("etag").unwrap_or_default());
        let body = answer.text().await.unwrap();
        // A problem is one of its request.
        let body = match serde_json::from_str::<Value>(&body) {
            Ok(Value::Object(mut problem)) if status >= 400 => {
                problem.remove("instance");
                Value::Object(problem).to_string()
            }
            _ => body,
        };
        (status, etag, body)
    }

    /// As soon as a node has a copy of the records.
    async fn ready(&self, deployment: &Deployment) {
        let is_ready = async || self.ask("/permits?limit=1&sort=-estimated_cost", "").await.0 == 200;
        deployment.until("the records", is_ready).await;
    }

    /// Answers to questions, and to those that their cursors lead to.
    async fn answers(&self) -> Vec<Answer> {
        let (_, _, first) = self.ask("/permits?limit=3", "").await;
        let first: Value = serde_json::from_str(&first).unwrap();
        let mut paths: Vec<String> = [
            "/permits?limit=30&sort=-estimated_cost&count=exact",
            "/permits?limit=30&as_of=2",
            "/permits?limit=30&as_of=1&sort=status",
            "/permits/facets?columns=status",
            "/permits/stats?columns=estimated_cost&as_of=1",
            "/permits/changes?since=1&limit=20",
            "/permits/changes?since=2&limit=20",
            "/permits/changes?since=9",
            "/permits?as_of=9",
        ]
        .map(ToOwned::to_owned)
        .into();
        for record in first["data"].as_array().unwrap() {
            let number = record["application_number"].as_str().unwrap().trim_start_matches('#');
            paths.extend(["", "?as_of=1", "/history"].map(|end| format!("/permits/{number}{end}")));
        }
        let mut answers = Vec::new();
        for path in paths {
            let mut next = Some(path);
            while let Some(path) = next.take() {
                let (status, etag, body) = self.ask(&path, "").await;
                let document: Value = serde_json::from_str(&body).unwrap();
                if let Some(cursor) = document["page"]["next"].as_str() {
                    let bare = path.split("&cursor=").next().unwrap();
                    next = Some(match path.contains("/changes") {
                        true => format!("/permits/changes?limit=20&since={cursor}"),
                        false => format!("{bare}&cursor={cursor}"),
                    });
                }
                answers.push((path, status, etag, body));
            }
        }
        answers
    }

    /// Checks that the same is answered here, and that nothing is sent again to who has it.
    async fn same(&self, expected: &[Answer]) {
        let (mut cursors, mut unchanged) = (0, 0);
        for (path, status, etag, body) in expected {
            let (now, tag, given) = self.ask(path, "").await;
            assert_eq!((now, &tag, &given), (*status, etag, body), "{path}");
            cursors += usize::from(path.contains("cursor=") || path.contains("limit=20&since="));
            if !etag.is_empty() {
                assert_eq!(self.ask(path, etag).await.0, 304, "{path}");
                unchanged += 1;
            }
        }
        assert!(cursors > 5 && unchanged > 10, "{cursors} {unchanged}");
    }
}

/// The keys of the rows of a deployment's records.
async fn rows(deployment: &Deployment, prefix: &str) -> Vec<String> {
    let dynamo = Dynamo::new(&deployment.place().access().await.unwrap(), prefix);
    let pages = dynamo.client().scan().table_name(dynamo.table("records-permits")).consistent_read(true);
    let items = pages.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    let text = |item: &HashMap<String, AttributeValue>, name: &str| item[name].as_s().unwrap().clone();
    items.iter().map(|item| format!("{} {}", text(item, "application_number"), text(item, "record_id"))).collect()
}

/// What a data set's file holds, whatever the order that it was written in.
fn contents(data: &Path) -> Vec<String> {
    let file = rusqlite::Connection::open(data.join("records/permits.db")).unwrap();
    let mut contents = Vec::new();
    for sql in [
        "SELECT \"$key\" || ' ' || \"$id\" || ' ' || \"$from\" || hex(\"$values\") FROM records",
        "SELECT version || \"$key\" || ' ' || \"$id\" || ' ' || coalesce(was || ' ' || generation || hex(before), '') || remains FROM changes",
        "SELECT version || ' ' || at || ' ' || changes FROM versions",
        "SELECT generation || definition FROM generations",
        "SELECT version || document FROM state",
        "SELECT \"$from\" || ' ' || \"$to\" || \"$key\" || ' ' || \"$id\" FROM old",
    ] {
        let mut statement = file.prepare(sql).unwrap();
        let mut rows: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        rows.sort();
        contents.extend(rows);
    }
    assert!(contents.len() > 100);
    contents
}

fn import(deployment: &Deployment, of: &Elsewhere, rows: u64) {
    let file = deployment.sample(rows);
    let file = file.to_str().unwrap();
    let text = well(deployment, of, &["import", file, "--dataset", "permits", "--replace", "--yes"]);
    assert!(text.contains("permits"), "{text}");
}

#[tokio::test]
async fn records_are_moved_and_moved_back_by_processes_that_die_and_clients_notice_nothing() {
    let deployment = Deployment::new().await;
    let folder = deployment.place().folder().to_owned();
    fs::write(folder.join("phrase"), "correct horse battery\n").unwrap();
    let named = |settings: &[(&'static str, String)]| -> Elsewhere { settings.iter().cloned().collect() };
    let data = |name: &str| folder.join(name).display().to_string();
    let here = named(&deployment.place().settings());
    let there = named(&[("backend", "sqlite".to_owned()), ("data", data("there"))]);
    let prefix = format!("{}-back", deployment.place().table("").trim_end_matches('-'));
    let back = named(&[("backend", "aws".to_owned()), ("aws.prefix", prefix.clone()), ("data", data("back"))]);
    well(&deployment, &back, &["aws", "setup"]);
    for rows in [60, 90, 45] {
        import(&deployment, &Elsewhere::new(), rows);
    }
    let serving = deployment.serve("");
    let limits = serde_json::json!({ "rate_per_s": 10_000, "burst": 10_000, "quota_per_day": 1_000_000 });
    let (status, plan) = deployment.admin(&serving, Method::PUT, "/plans/default", "", Some(limits)).await.unwrap();
    assert!((200..300).contains(&status), "{status} {plan}");
    let ana = deployment.invite(&serving, ANA).await.unwrap();
    let key = deployment.check_invited(&serving, &ana, ANA).await;
    drop(serving);
    let client = Client::serve(&deployment, &Elsewhere::new(), &key);
    client.ready(&deployment).await;
    let expected = client.answers().await;
    drop(client);

    let moved_log = |from: &Elsewhere, to: &Elsewhere, name: &str| {
        let with = ["--with-personal-keys", "--with-secret", "--passphrase-file", "phrase"];
        well(&deployment, from, &[&["events", "export", name][..], &with].concat());
        well(&deployment, to, &["events", "import", name, "--passphrase-file", "phrase"]);
    };
    moved_log(&Elsewhere::new(), &there, "first.age");
    die_and_move(&deployment, &here, &there, &INTO_FILES);
    let client = Client::serve(&deployment, &there, &key);
    client.ready(&deployment).await;
    client.same(&expected).await;
    drop(client);
    // The next import makes the next version, with the right differences.
    import(&deployment, &there, 70);
    let client = Client::serve(&deployment, &there, &key);
    client.ready(&deployment).await;
    let (_, _, changes) = client.ask("/permits/changes?since=3&limit=1000", "").await;
    let changes: Value = serde_json::from_str(&changes).unwrap();
    assert_eq!((changes["dataset"]["version"].as_u64(), changes["data"].as_array().unwrap().len()), (Some(4), 25));
    drop(client);

    // One that dies, before the file changes: the next one begins anew, and what it has left is in nobody's way.
    let third = format!("{prefix}-third");
    let tables = named(&[("backend", "aws".to_owned()), ("aws.prefix", third.clone()), ("data", data("third"))]);
    let files = named(&[("backend", "sqlite".to_owned()), ("data", data("fourth"))]);
    well(&deployment, &tables, &["aws", "setup"]);
    let (ended_well, text) = moves(&deployment, &there, &tables, "move-records-writing-present=60*off->return");
    assert!(!ended_well && text.contains("killed"), "{text}");
    let left = rows(&deployment, &third).await;
    assert!(left.len() > 25, "{left:?}");
    import(&deployment, &there, 62);
    let client = Client::serve(&deployment, &there, &key);
    client.ready(&deployment).await;
    let expected = client.answers().await;
    drop(client);
    for (from, to) in [(&there, &tables), (&tables, &files)] {
        let (ended_well, text) = moves(&deployment, from, to, "");
        assert!(ended_well && text.contains("version: 5"), "{text}");
    }
    let all = rows(&deployment, &third).await;
    assert!(left.iter().all(|row| all.contains(row)), "they are under other epochs");
    assert_eq!(contents(&folder.join("fourth")), contents(&folder.join("there")));

    moved_log(&there, &back, "second.age");
    die_and_move(&deployment, &there, &back, &INTO_TABLES);
    let client = Client::serve(&deployment, &back, &key);
    client.ready(&deployment).await;
    client.same(&expected).await;
    drop(client);
    import(&deployment, &back, 45);
    assert!(well(&deployment, &back, &["events", "verify"]).contains("no differences"));
    let client = Client::serve(&deployment, &back, &key);
    client.ready(&deployment).await;
    let (_, _, changes) = client.ask("/permits/changes?since=5&limit=1000", "").await;
    let changes: Value = serde_json::from_str(&changes).unwrap();
    assert_eq!((changes["dataset"]["version"].as_u64(), changes["data"].as_array().unwrap().len()), (Some(6), 17));
}
