//! `permitd health`, as a health check runs it, and `permitd man`.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::json;

use super::{
    Home,
    support::{self, Process},
};

/// A server that answers each of so many requests with the same bytes, and with nothing more.
fn answering(requests: usize, answer: &'static str) -> (String, thread::JoinHandle<Vec<String>>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let asked = move || {
        let (mut connection, _) = server.accept().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(180))).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() > 0 {
            head.push(byte[0]);
        }
        connection.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    };
    (address, thread::spawn(move || (0..requests).map(|_| asked()).collect()))
}

#[test]
fn a_server_that_is_ready_is_found_where_the_settings_say() {
    let home = Home::new();
    let mut program = home.command(&["serve", "--json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    program.env("PERMITD_LOG_FILTER", "error");
    let (_process, ready) = Process::start(&mut program, |line| serde_json::from_str::<serde_json::Value>(line).ok());
    let address = ready["ops_url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();

    let told = home.json(&["health", "--ops-listen", &address]);
    assert_eq!((&told["status"], &told["answer"]), (&json!(200), &json!({ "status": "ready" })));
    assert_eq!(home.json(&["health", "--live", "--ops-listen", &address])["answer"]["status"], "live");
    let by_variable = home.command(&["health"]).env("PERMITD_OPS_LISTEN", &address).output().unwrap();
    assert!(by_variable.status.success(), "{by_variable:?}");
    std::fs::write(home.path("own.toml"), format!("[ops]\nlisten = \"{address}\"\n")).unwrap();
    assert_eq!(home.run(&["health", "--config", "own.toml"]).out, "ready\n");
    let port = address.rsplit_once(':').unwrap().1;
    assert_eq!(
        home.run(&["health", "--ops-listen", &format!("0.0.0.0:{port}")]).exit,
        0,
        "all addresses: this one too"
    );
}

#[test]
fn a_server_that_is_not_ready_or_not_there_is_unavailable() {
    let home = Home::new();
    let body = r#"{"detail":"the server is starting or stopping","status":503}"#;
    let answer: &'static str =
        Box::leak(format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into());
    let (address, asked) = answering(2, answer);
    let err = home.refused(5, &["health", "--ops-listen", &address]);
    assert!(err.contains("is not ready, 503: the server is starting or stopping"), "{err}");
    let asked = asked.join().unwrap();
    assert!(
        asked[0].starts_with("GET /health/ready HTTP/1.1\r\n") && asked[0].contains("connection: close"),
        "{asked:?}"
    );

    let nobody = support::Nobody::new();
    let address = nobody.address().to_string();
    let err = home.refused(5, &["health", "--ops-listen", &address]);
    assert!(err.contains(&address) && err.contains("ops.listen"), "{err}");
    let (other, asked) = answering(2, "220 mail.example.org ESMTP\r\n\r\n");
    assert!(home.refused(5, &["health", "--ops-listen", &other]).contains("is no permitd"));
    asked.join().unwrap();
    assert!(home.refused(2, &["health", "--ops-listen", "127.0.0.1:0"]).contains("PERMITD_OPS_LISTEN"));
    assert!(!home.data().exists(), "asking makes nothing");
}

/// One that takes the connection and says nothing, or never ends, does not hold up whoever asks.
#[test]
fn a_server_that_is_stuck_is_given_up() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let err = home.refused(5, &["health", "--ops-listen", &address, "--timeout-ms", "200"]);
    assert!(err.contains("no answer within 200 ms"), "{err}");
}

#[test]
fn every_command_has_a_manual_page() {
    let home = Home::new();
    let written = home.json(&["man", "pages/man1"]);
    let pages: Vec<&str> = written["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    for page in ["permitd.1", "permitd-serve.1", "permitd-users-list.1", "permitd-health.1"] {
        assert!(pages.contains(&page), "{page}: {pages:?}");
    }
    let serve = std::fs::read_to_string(home.path("pages/man1/permitd-serve.1")).unwrap();
    for part in [".TH permitd-serve 1", ".SH NAME", "PERMITD_LISTEN", "\\-\\-ops\\-listen", ".SH EXAMPLES"] {
        assert!(serve.contains(part), "{part} is missing in\n{serve}");
    }
    let whole = std::fs::read_to_string(home.path("pages/man1/permitd.1")).unwrap();
    assert!(whole.contains(".SH EXIT CODES"), "{whole}");
    assert_eq!(home.json(&["man", "pages/man1"]), written, "again, into the same folder");
    assert!(home.refused(5, &["man", "/proc/no-such-folder"]).contains("/proc/no-such-folder"));
    assert!(!home.data().exists());
}
