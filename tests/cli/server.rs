//! Commands beside a running server, the demo, and stopping.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    Home, key_in, number,
    support::{Process, repository},
};

/// How long something that happens within a second may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server, and what it said when it was ready.
pub(super) struct Server {
    process: Process,
    ready: Value,
    client: reqwest::Client,
}

impl Server {
    pub(super) fn start(home: &Home, command: &str) -> Self {
        Self::logging(home, command, Stdio::inherit())
    }

    pub(super) fn logging(home: &Home, command: &str, log: Stdio) -> Self {
        Self::with(home, command, log, &[])
    }

    /// As a member of another group, where that may be chosen.
    pub(super) fn in_another_group(home: &Home, command: &str, group: u32) -> Self {
        let mut program = Self::program(home, command, Stdio::inherit(), &[]);
        if rustix::process::geteuid().is_root() {
            program.gid(group);
        }
        Self::of(program)
    }

    pub(super) fn with(home: &Home, command: &str, log: Stdio, variables: &[(&str, &str)]) -> Self {
        Self::of(Self::program(home, command, log, variables))
    }

    fn program(home: &Home, command: &str, log: Stdio, variables: &[(&str, &str)]) -> Command {
        let mut program = home.command(&[command, "--json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        // What commands put into the queue is taken at once, so that they need not wait for it.
        program.env("PERMITD_LOG_FILTER", "error").env("PERMITD_QUEUE_POLL_INTERVAL_MS", "20");
        program.envs(variables.iter().copied()).stderr(log);
        program
    }

    fn of(mut program: Command) -> Self {
        let (process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, ready, client }
    }

    pub(super) async fn status(&self, path: &str, key: &str) -> StatusCode {
        let url = format!("{}{path}", self.ready["url"].as_str().unwrap());
        self.client.get(url).header("x-api-key", key).send().await.unwrap().status()
    }

    /// Asks until the answer has this status.
    pub(super) async fn becomes(&self, status: StatusCode, path: &str, key: &str) {
        let asking = async {
            while self.status(path, key).await != status {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{path} never became {status}"));
    }

    /// What it said when it was ready.
    pub(super) fn ready(&self) -> &Value {
        &self.ready
    }

    /// A client.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks until the port for operators says that it is ready, or that it is not; what it says.
    pub(super) async fn is_ready(&self, status: u16) -> String {
        let url = format!("{}/health/ready", self.ready["ops_url"].as_str().unwrap());
        let asking = async {
            loop {
                let answer = self.client.get(&url).send().await.unwrap();
                let (found, body) = (answer.status().as_u16(), answer.text().await.unwrap());
                if found == status {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        asked.unwrap_or_else(|_| panic!("/health/ready never became {status}"))
    }

    /// Has it stop in order.
    pub(super) fn stop(&mut self) {
        self.signal("-TERM");
        assert!(self.process.ended().success());
    }

    /// Sends a signal.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

/// Where it listens is its own; the address for clients may be of what stands before it, and of other servers.
#[test]
fn it_says_where_it_listens_and_where_clients_find_it() {
    let home = Home::new();
    let mut program = home.command(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    program.env("PERMITD_PUBLIC_URL", "https://permits.example.org").stderr(Stdio::null());
    let mut said = Vec::new();
    let (_process, said) = Process::start(&mut program, move |line| {
        said.push(line.trim().to_owned());
        (said.len() == 2).then(|| said.clone())
    });
    let port = said[0].strip_prefix("permitd listens on http://127.0.0.1:").unwrap_or_else(|| panic!("{said:?}"));
    assert!(port.parse::<u16>().is_ok_and(|port| port != 0), "{said:?}");
    assert_eq!(said[1].split_whitespace().collect::<Vec<_>>(), ["API", "https://permits.example.org"]);
}

/// What goes wrong with a read is in the log, once, under the id that its answer bears.
#[tokio::test]
async fn a_failure_of_the_server_is_in_its_log() {
    let home = Home::new();
    home.sample(20, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["invite", "ana@example.org"]);
    let key = home.json(&["keys", "issue", "--user", "ana@example.org"])["key"].as_str().unwrap().to_owned();
    let log = home.path("log");
    let server = Server::logging(&home, "serve", std::fs::File::create(&log).unwrap().into());
    let records = rusqlite::Connection::open(home.data().join("records/permits.db")).unwrap();
    records.execute_batch("DROP TABLE records").unwrap();
    for path in ["/permits/201612013997", "/permits?limit=1"] {
        let url = format!("{}{path}", server.ready["url"].as_str().unwrap());
        let request = server.client.get(url).header("x-api-key", &key).header("x-request-id", "abc-123");
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_server_error(), "{path}: {}", answer.status());
        let lines = std::fs::read_to_string(&log).unwrap();
        let told: Vec<&str> = lines.lines().filter(|line| line.contains("abc-123")).collect();
        assert_eq!(told.len(), 1, "{path}: {lines}");
        assert!(told[0].contains("records"), "{}", told[0]);
        std::fs::write(&log, "").unwrap();
    }
}

/// The number of KiB on the line of a file of `/proc` that begins so.
pub(super) fn number_after(name: &str, text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What many times as many rows of an export may take more: a part of what they weigh.
const EXPORT_GROWTH_KIB_MAX: u64 = 4 * 1024;

#[tokio::test]
async fn an_export_takes_no_more_memory_for_more_rows() {
    let home = Home::new();
    home.sample(60_000, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["plans", "set", "default", "--rate", "1000", "--burst", "1000", "--quota", "100000"]);
    home.json(&["invite", "ana@example.org"]);
    let key = home.json(&["keys", "issue", "--user", "ana@example.org"])["key"].as_str().unwrap().to_owned();
    let server = Server::start(&home, "serve");
    // What makes the columns takes memory of its own.
    for _ in 0..3_000 {
        if home.data().join("records/permits.columns").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let export = async |query: &str| {
        let url = format!("{}/permits?{query}", server.ready["url"].as_str().unwrap());
        let mut answer = server.client.get(url).header("x-api-key", &key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await.unwrap() {
            bytes += piece.len() as u64;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
        (bytes / 1024, number_after("VmHWM:", &status))
    };
    for (kind, growth_kib_max) in [
        ("format=csv", EXPORT_GROWTH_KIB_MAX),
        ("format=ndjson&sort=-estimated_cost", EXPORT_GROWTH_KIB_MAX),
        ("format=ndjson&description__contains=a", EXPORT_GROWTH_KIB_MAX),
        ("format=xlsx", EXPORT_GROWTH_KIB_MAX),
        // Whole batches of records are under way.
        ("format=arrow", 3 * EXPORT_GROWTH_KIB_MAX),
    ] {
        let (few_kib, few_peak_kib) = export(&format!("{kind}&limit=15000")).await;
        let (many_kib, many_peak_kib) = export(kind).await;
        // A workbook is compressed: its rows are as many, and on the disk until it is whole.
        let is_more = many_kib > few_kib + growth_kib_max || kind == "format=xlsx" && many_kib > 3 * few_kib;
        assert!(is_more, "{kind}: {few_kib} and {many_kib} KiB");
        // What Linux counts may be a little behind.
        let growth_kib = many_peak_kib.saturating_sub(few_peak_kib);
        assert!(growth_kib < growth_kib_max, "{kind}: {growth_kib} KiB more for {many_kib} KiB");
    }
}

#[tokio::test]
async fn commands_beside_a_server() {
    let home = Home::new();
    home.json(&["plans", "set", "default", "--rate", "1000", "--burst", "1000", "--quota", "100000"]);
    let server = Server::start(&home, "serve");
    assert!(server.ready["admin_token"].as_str().unwrap().starts_with("pmt_admin_"));

    // The server sends the mail, and the invitation waits for it.
    assert_eq!(home.json(&["invite", "ana@example.org"])["invited"][0]["mail"], "sent");
    let mails = home.mails();
    let key = key_in(&mails[0]);
    assert!(mails[0].contains(server.ready["url"].as_str().unwrap()), "the mail names the server's own address");
    assert_eq!(server.status("/permits/201612013997", &key).await, StatusCode::NOT_FOUND);

    home.sample(50, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    server.becomes(StatusCode::OK, "/permits/201612013997", &key).await;

    let issued = home.json(&["keys", "issue", "--user", "ana@example.org"]);
    let second = issued["key"].as_str().unwrap();
    server.becomes(StatusCode::OK, "/permits/201612013997", second).await;
    home.json(&["keys", "revoke", issued["id"].as_str().unwrap()]);
    server.becomes(StatusCode::UNAUTHORIZED, "/permits/201612013997", second).await;
    assert_eq!(server.status("/permits/201612013997", &key).await, StatusCode::OK, "the other key works on");

    assert_eq!(home.json(&["events", "replay"])["streams"], 4);
    assert_eq!(home.json(&["events", "verify"])["differences"], 0);
    assert_eq!(server.status("/permits/201612013997", &key).await, StatusCode::OK);

    home.json(&["users", "disable", "ana@example.org"]);
    server.becomes(StatusCode::UNAUTHORIZED, "/permits/201612013997", &key).await;
    home.json(&["users", "enable", "ana@example.org"]);
    server.becomes(StatusCode::OK, "/permits/201612013997", &key).await;
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    server.becomes(StatusCode::UNAUTHORIZED, "/permits/201612013997", &key).await;
}

#[tokio::test]
async fn a_revocation_holds_from_effective_at() {
    let home = Home::new();
    home.sample(20, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["plans", "set", "default", "--rate", "1000", "--burst", "1000", "--quota", "100000"]);
    home.json(&["invite", "ana@example.org"]);
    let server = Server::start(&home, "serve");
    let issued = home.json(&["keys", "issue", "--user", "ana@example.org"]);
    let key = issued["key"].as_str().unwrap();
    assert_eq!(server.status("/permits/201612013997", key).await, StatusCode::OK);
    let revoked = home.json(&["keys", "revoke", issued["id"].as_str().unwrap()]);
    let effective_at: jiff::Timestamp = revoked["effective_at"].as_str().unwrap().parse().unwrap();
    loop {
        let asked_at = jiff::Timestamp::now();
        let status = server.status("/permits/201612013997", key).await;
        if asked_at >= effective_at {
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            break;
        }
    }
}

#[test]
fn one_server_for_a_data_directory() {
    let home = Home::new();
    let server = Server::start(&home, "serve");
    let err = home.refused(4, &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    assert!(err.contains("another permitd serves"), "{err}");
    drop(server);
    let again = Server::start(&home, "serve");
    assert!(again.ready.get("admin_token").is_none(), "the token is shown once");
}

#[test]
fn a_server_stops_when_asked() {
    for signal in ["-TERM", "-INT"] {
        let home = Home::new();
        let mut server = Server::start(&home, "serve");
        let asked = Instant::now();
        server.signal(signal);
        assert_eq!(server.process.ended().code(), Some(0), "{signal}");
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
}

/// The threads of workers are held up at their very end, each for another time, so that the last of them ends while the main
/// thread leaves. Such a stop aborted the process nearly every time before the main thread left its runtime in order.
#[test]
#[cfg(feature = "failpoints")]
fn a_stop_that_workers_outlive_ends_well() {
    for round in 0..12 {
        let home = Home::new();
        let workers = format!("worker-thread-ends=1*sleep({})->sleep({})", 2 + round * 7, 9 + round * 11);
        // The process is still there when they end.
        let delays = format!("{workers};main-thread-ends=sleep(300)");
        let mut server = Server::with(&home, "serve", Stdio::inherit(), &[("FAILPOINTS", &delays)]);
        server.signal(if round % 2 == 0 { "-TERM" } else { "-INT" });
        assert_eq!(server.process.ended().code(), Some(0), "{delays}");
    }
}

/// One line says how many files may be open and what that is enough for; a warning only where the settings promise more.
#[test]
fn the_limit_of_open_files_is_said_once() {
    for (limit, wanted, level) in [(4096, "64", "INFO"), (700, "100000", "WARN")] {
        let home = Home::new();
        let serve = ["serve", "--json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let mut shell = home.command_under(&format!("ulimit -n {limit}"), &serve);
        let log = home.path("log");
        shell.env("PERMITD_LOG_FILTER", "info").env("PERMITD_HTTP_CONNECTIONS_MAX", wanted).env("NO_COLOR", "1");
        shell.stderr(std::fs::File::create(&log).unwrap());
        let (process, _) = Process::start(&mut shell, |line| serde_json::from_str::<Value>(line).ok());
        let said = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("open files")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].contains(level) && lines[0].contains(&limit.to_string()), "{}", lines[0]);
        drop(process);
    }
}

/// Lines about requests are written together; none of them is lost, and what is said later stands behind them.
#[tokio::test]
async fn each_request_has_its_line_before_what_is_said_later() {
    const REQUESTS: usize = 300;
    let home = Home::new();
    let log = home.path("log");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut server = Server::with(&home, "serve", stderr, &[("PERMITD_LOG_FILTER", "info")]);
    for _ in 0..REQUESTS {
        server.status("/problems", "none").await;
    }
    let written = std::time::Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&log).unwrap().contains("answered") {
        assert!(std::time::Instant::now() < written, "lines wait for ever");
        tokio::task::yield_now().await;
    }
    server.status("/problems", "none").await;
    server.stop();
    let said = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_answer = |line: &Value| line["message"] == "answered";
    assert_eq!(lines.iter().filter(|line| is_answer(line)).count(), REQUESTS + 1);
    let last = lines.iter().rposition(is_answer).unwrap();
    let stopping = lines.iter().position(|line| line["message"] == "stopping").unwrap();
    assert!(last < stopping, "{said}");
}

/// Whoever meets a fault on a page is told the id of the request, and under it the log tells the cause.
#[tokio::test]
async fn a_fault_behind_a_page_is_in_the_log_under_the_id_that_the_page_tells() {
    const ID: &str = "a-request-that-meets-a-fault";
    let home = Home::new();
    let log = home.path("log");
    let server = Server::logging(&home, "serve", Stdio::from(std::fs::File::create(&log).unwrap()));
    let (url, token) = (server.ready["url"].as_str().unwrap(), server.ready["admin_token"].as_str().unwrap());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let cookie = |response: &reqwest::Response| {
        let set = response.headers()["set-cookie"].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    };
    let page = client.get(format!("{url}/sign-in")).header("accept", "text/html").send().await.unwrap();
    let (form, html) = (cookie(&page), page.text().await.unwrap());
    let csrf = html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = format!("csrf={csrf}&token={token}");
    let signing = client.post(format!("{url}/sign-in/token")).header("cookie", form).body(body);
    let signed_in = signing.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let store = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    assert!(store.execute("UPDATE tokens SET document = json_set(document, '$.scopes', 'nonsense')", []).unwrap() > 0);
    let asking = client.get(format!("{url}/admin/plans")).header("accept", "text/html");
    let failed = asking.header("cookie", cookie(&signed_in)).header("x-request-id", ID).send().await.unwrap();
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let html = failed.text().await.unwrap();
    assert!(html.contains(&format!("<code>{ID}</code>")), "{html}");
    let told = Instant::now() + PATIENCE;
    loop {
        let said = std::fs::read_to_string(&log).unwrap();
        if said.lines().any(|line| line.contains(ID) && line.contains("\"cause\"")) {
            return;
        }
        assert!(Instant::now() < told, "{said}");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    use std::io::{Read, Write};
    let home = Home::new();
    let mut server = Server::start(&home, "serve");
    // A request whose body never ends keeps the first signal waiting.
    let address = server.ready["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let token = server.ready["admin_token"].as_str().unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let head = format!("POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n");
    connection
        .write_all(format!("{head}content-type: application/json\r\ncontent-length: 10\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the request is in flight");
    // Two different ones, since two pending ones of a kind are one.
    server.signal("-TERM");
    server.signal("-INT");
    assert_eq!(server.process.ended().code(), Some(130));
}

#[tokio::test]
async fn the_demo_again_goes_on_with_what_is_there() {
    let home = Home::new();
    let mut demo = Server::start(&home, "demo");
    let first = demo.ready.clone();
    assert_eq!((number(&first, "records"), first["is_new"].as_bool()), (2_000, Some(true)));
    let key = first["key"].as_str().unwrap();
    assert_eq!(key_in(&home.mails()[0]), key);
    // The link of the mail, which works once.
    let link = first["user_sign_in_url"].as_str().unwrap();
    assert!(home.mails()[0].contains(link), "{link}");
    let set = reqwest::Client::new().post(link).json(&json!({ "password": "a sentence that nobody guesses" }));
    assert!(set.send().await.unwrap().status().is_success());
    assert_eq!(demo.status("/permits/201612013997", key).await, StatusCode::OK);
    demo.signal("-INT");
    assert_eq!(demo.process.ended().code(), Some(0));

    let demo = Server::start(&home, "demo");
    assert_eq!((number(&demo.ready, "records"), demo.ready["is_new"].as_bool()), (2_000, Some(false)));
    assert_eq!((&demo.ready["key"], home.mails().len()), (&first["key"], 1));
    assert_ne!(demo.ready["admin_token"], first["admin_token"]);
    assert!(demo.ready["user_sign_in_url"].as_str().unwrap().ends_with("/sign-in"));
    assert_eq!(demo.status("/permits/201612013997", key).await, StatusCode::OK);
    drop(demo);

    // Without the mail, another is sent.
    std::fs::remove_dir_all(home.data().join("outbox")).unwrap();
    let demo = Server::start(&home, "demo");
    assert_eq!((&demo.ready["key"], home.mails().len()), (&first["key"], 1));
}

#[test]
fn the_printed_curl_line_works_when_pasted() {
    let smoke =
        Command::new(repository().join("scripts/smoke-demo")).arg(env!("CARGO_BIN_EXE_permitd")).output().unwrap();
    assert!(smoke.status.success(), "{}", String::from_utf8_lossy(&smoke.stderr));
}
