//! The last answer of a connection arrives, also at a client that goes on sending.

use crate::{
    app::TestApp,
    raw::{Raw, RawAnswer},
};

/// More than the system takes in on behalf of a server that does not read.
const UPLOAD_BYTES: usize = 24 << 20;
static PIECE: [u8; 64 * 1024] = [b'a'; 64 * 1024];

/// A client that sends all it has, and reads only then.
#[track_caller]
fn answer_behind_upload(raw: &mut Raw, begins: &str) -> RawAnswer {
    assert!(raw.send(begins), "{begins}");
    for _ in 0..UPLOAD_BYTES / PIECE.len() {
        assert!(raw.send(PIECE), "the connection ended while the client was sending: {begins}");
    }
    let answer = raw.answer().unwrap_or_else(|| panic!("no answer to {begins}"));
    assert!(answer.closes(), "{answer:?}");
    raw.ends_in_order();
    answer
}

/// A client that goes on sending when it has the answer.
#[track_caller]
fn answer_before_more(raw: &mut Raw, begins: &str) -> RawAnswer {
    assert!(raw.send(begins), "{begins}");
    let answer = raw.answer().unwrap_or_else(|| panic!("no answer to {begins}"));
    assert!(answer.closes(), "{answer:?}");
    for _ in 0..64 {
        assert!(raw.send(PIECE), "the connection ended while the client was sending: {begins}");
    }
    raw.ends_in_order();
    answer
}

#[tokio::test]
async fn a_refusal_arrives_at_a_client_that_goes_on_sending() {
    let app = TestApp::set(&[("http.body_bytes_max", "2048"), ("http.url_bytes_max", "1000")], 0).await;
    let upload = |fields: &str| {
        format!(
            "POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n{fields}\r\n"
        )
    };
    let known = format!("authorization: Bearer {}\r\n", app.admin_token);
    for (begins, status, slug) in [
        ("G@T / HTTP/1.1\r\n\r\n".to_owned(), 400, "invalid-request"),
        ("GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n".to_owned(), 400, "invalid-request"),
        (
            format!("GET /?{} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", "a".repeat(1200)),
            414,
            "url-too-long",
        ),
        (format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(60_000)), 431, "head-too-large"),
        (upload(""), 401, "invalid-token"),
        (upload(&known), 413, "body-too-large"),
        (upload("transfer-encoding: chunked\r\n"), 400, "invalid-request"),
        (upload("").replace("/users", "/nowhere"), 404, "unknown-path"),
        (upload("").replace("POST", "PATCH").replace("/users", "/plans"), 405, "method-not-allowed"),
    ] {
        answer_behind_upload(&mut Raw::to_api(&app), &begins).problem(status, slug);
        answer_before_more(&mut Raw::to_api(&app), &begins).problem(status, slug);
    }
    // A body goes wrong on its way.
    let chunked = upload(&known).replace("content-length: 99999999", "transfer-encoding: chunked");
    answer_before_more(&mut Raw::to_api(&app), &(chunked + "3\r\n{  \r\nzz\r\n")).problem(400, "invalid-request");
    app.service().readiness.close("a file is gone".to_owned());
    answer_behind_upload(&mut Raw::to_api(&app), &upload(&known)).problem(503, "unavailable");
    answer_before_more(&mut Raw::to_api(&app), &upload(&known)).problem(503, "unavailable");
}

#[tokio::test]
async fn who_has_too_many_connections_is_told_while_it_sends() {
    let app = TestApp::set(&[("http.connections_per_address_max", "1")], 0).await;
    let mut held = Raw::to_api(&app);
    held.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(held.answer().unwrap().status, 200);
    for ask in [answer_behind_upload, answer_before_more] {
        ask(&mut Raw::to_api(&app), "POST /users HTTP/1.1\r\n").problem(429, "too-many-from-address");
    }
}

#[tokio::test]
async fn who_is_given_up_for_being_slow_is_told_while_it_sends() {
    let app = TestApp::set(&[("http.head_timeout_ms", "500"), ("http.body_idle_timeout_ms", "300")], 0).await;
    let body = format!(
        "POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n\
         content-length: 1000000\r\n\r\n{{",
        app.admin_token
    );
    let head = "GET / HT";
    for (to, begins) in [(Raw::to_api as fn(&TestApp) -> Raw, head), (Raw::to_ops, head), (Raw::to_api, &body)] {
        answer_before_more(&mut to(&app), begins).problem(408, "request-timeout");
    }
}

#[tokio::test]
async fn the_last_answer_that_a_client_asked_for_arrives_while_it_sends() {
    let app = TestApp::start().await;
    let last = "GET /problems HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(answer_before_more(&mut Raw::to_api(&app), last).status, 200);
    assert_eq!(answer_behind_upload(&mut Raw::to_api(&app), last).status, 200);
}
