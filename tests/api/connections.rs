//! Clients that are slow at one thing or another, or take more than their share.

use std::time::{Duration, Instant};

use crate::{
    app::{PATIENCE, TestApp},
    raw::Raw,
};

const GET: &str = "GET /problems HTTP/1.1\r\nhost: x\r\n\r\n";
const GET_MUCH: &str = "GET /docs/0/docs.js HTTP/1.1\r\nhost: x\r\n\r\n";
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(40);

/// Sends byte by byte until there is what it looks for. Who would be given a new time for each byte would never be given up.
async fn drip(raw: &mut Raw, bytes: &[u8], is_there: impl Fn(&mut Raw) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    for byte in bytes.iter().cycle() {
        if is_there(raw) || !raw.send([*byte]) {
            return;
        }
        assert!(Instant::now() < deadline, "a client that drips is never given up");
        tokio::time::sleep(DRIP).await;
    }
}

#[tokio::test]
async fn a_head_that_drips_is_given_up_be_it_the_first_or_a_later_one() {
    let app = TestApp::set(&[("http.head_timeout_ms", "1000")], 0).await;
    for (to, path) in [(Raw::to_api as fn(&TestApp) -> Raw, "/problems"), (Raw::to_ops, "/health/live")] {
        let mut raw = to(&app);
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        for _ in 0..2 {
            raw.send(&request);
            assert_eq!(raw.answer().unwrap().status, 200);
        }
        drip(&mut raw, b"GET", Raw::hears).await;
        let answer = raw.answer().unwrap();
        assert!(answer.problem(408, "request-timeout").contains("1000 ms") && answer.closes());
        raw.ends_in_order();
        let mut first = to(&app);
        drip(&mut first, b"GET", Raw::hears).await;
        first.answer().unwrap().problem(408, "request-timeout");
        first.ends_in_order();
    }
    // Who says nothing is told nothing.
    Raw::to_api(&app).ends_in_order();
    Raw::to_ops(&app).ends_in_order();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_not_while_it_waits_for_an_answer() {
    let app = TestApp::set(&[("http.keep_alive_s", "1"), ("http.head_timeout_ms", "60000")], 0).await;
    let mut raw = Raw::to_api(&app);
    let began = Instant::now();
    raw.send(GET);
    assert_eq!(raw.answer().unwrap().status, 200);
    raw.ends_in_order();
    assert!(began.elapsed() >= Duration::from_secs(1), "its time begins with the answer");
    // A head that has begun has its own time: here it has when the answer is written.
    let mut slow = Raw::to_api(&app);
    slow.send(format!("{GET}GET /problems HT"));
    assert_eq!(slow.answer().unwrap().status, 200);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    slow.send("TP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(slow.answer().unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_pauses_or_drips_is_given_up() {
    let post = |app: &TestApp, body: &str| {
        let token = &app.admin_token;
        format!(
            "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: 100000\r\n\r\n{body}"
        )
    };
    let pausing = TestApp::set(&[("http.body_idle_timeout_ms", "300"), ("http.body_timeout_ms", "600000")], 0).await;
    let mut raw = Raw::to_api(&pausing);
    raw.send(post(&pausing, "{"));
    let answer = raw.answer().unwrap();
    assert!(answer.problem(408, "request-timeout").contains("300 ms") && answer.closes());
    raw.ends_in_order();
    let dripping = TestApp::set(&[("http.body_timeout_ms", "600"), ("http.body_idle_timeout_ms", "600000")], 0).await;
    let mut raw = Raw::to_api(&dripping);
    raw.send(post(&dripping, ""));
    drip(&mut raw, b" ", Raw::hears).await;
    assert!(raw.answer().unwrap().problem(408, "request-timeout").contains("600 ms"));
    raw.ends_in_order();
}

#[tokio::test]
async fn the_rest_of_a_body_that_nobody_wants_does_not_hold_a_connection() {
    let app = TestApp::set(&[("http.body_idle_timeout_ms", "300")], 0).await;
    let mut raw = Raw::to_api(&app);
    raw.send("POST /users HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.answer().unwrap().problem(401, "invalid-token");
    drip(&mut raw, b"1\r\na\r\n", Raw::has_ended).await;
    raw.ends_in_order();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let app = TestApp::set(&[("http.write_timeout_ms", "400"), ("http.connections_per_address_max", "1")], 0).await;
    let size = {
        let mut reader = Raw::to_api(&app);
        reader.send(GET_MUCH);
        reader.answer().unwrap().body.len()
    };
    // More than the system takes on behalf of a client.
    let asked = 64;
    let one = async || {
        let mut raw = Raw::to_api(&app);
        raw.send(GET);
        raw.answer().filter(|answer| answer.status == 200).map(|_| ())
    };
    app.eventually("the place of the reader", one).await;
    let begun = async || {
        let mut raw = Raw::to_api(&app);
        raw.send(GET_MUCH.repeat(asked));
        raw.head().filter(|head| head.starts_with("HTTP/1.1 200 ")).map(|_| raw)
    };
    let mut deaf = app.eventually("an answer that is not read", begun).await;
    // It has the only place until it is given up.
    app.eventually("the place of the one who does not read", one).await;
    let got = deaf.drain();
    assert!(got < size * asked / 2, "{got} of {} bytes came", size * asked);
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_given_up() {
    let (patience, pause, asked) = (Duration::from_secs(2), Duration::from_millis(150), 16);
    assert!(pause * asked > patience, "a time for each step, not for the whole");
    let app = TestApp::set(&[("http.write_timeout_ms", "2000")], 0).await;
    let mut slow = Raw::to_api(&app);
    slow.send(GET_MUCH.repeat(usize::try_from(asked).unwrap()));
    let sizes: Vec<usize> = {
        let mut sizes = Vec::new();
        for _ in 0..asked {
            tokio::time::sleep(pause).await;
            sizes.push(slow.answer().unwrap().body.len());
        }
        sizes
    };
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    slow.send(GET);
    assert_eq!(slow.answer().unwrap().status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_the_operation_port_is_another_matter() {
    let app = TestApp::set(&[("http.connections_per_address_max", "3")], 0).await;
    let open = || {
        let mut raw = Raw::to_api(&app);
        raw.send(GET);
        (raw.answer(), raw)
    };
    let mut held: Vec<Raw> = (0..3).map(|_| open()).map(|(answer, raw)| (answer.unwrap(), raw).1).collect();
    for _ in 0..3 {
        let (answer, mut raw) = open();
        let answer = answer.unwrap();
        answer.problem(429, "too-many-from-address");
        assert!(answer.closes());
        raw.ends();
    }
    let mut operators: Vec<Raw> = (0..20).map(|_| Raw::to_ops(&app)).collect();
    for raw in &mut operators {
        raw.send("GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(raw.answer().unwrap().status, 200);
    }
    held.pop();
    let found = app.eventually("a free place", async || open().0.filter(|answer| answer.status == 200)).await;
    assert_eq!(found.status, 200);
}

#[tokio::test]
async fn a_port_that_is_full_keeps_no_operator_out_and_goes_on_when_there_is_room() {
    let app = TestApp::set(&[("http.connections_max", "1"), ("http.workers", "2")], 0).await;
    let full: Vec<Raw> = (0..2)
        .map(|_| {
            let mut raw = Raw::to_api(&app);
            raw.send(GET);
            assert_eq!(raw.answer().unwrap().status, 200);
            raw
        })
        .collect();
    // More than there is room for wait, and say nothing.
    let mut waiting: Vec<Raw> = (0..50).map(|_| Raw::to_api(&app)).collect();
    for raw in &mut waiting {
        raw.send(GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
    }
    app.ops_get("/health/ready").await.expect(200);
    app.ops_get("/metrics").await.expect(200);
    assert!(!waiting.iter_mut().any(Raw::hears), "there is no room");
    drop(full);
    for mut raw in waiting {
        assert_eq!(raw.answer().unwrap().status, 200);
        raw.ends_in_order();
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_share() {
    let app = TestApp::set(
        &[
            ("http.connections_per_address_max", "1"),
            ("http.trusted_proxies", "127.0.0.0/8"),
            ("http.body_idle_timeout_ms", "600000"),
            ("http.body_timeout_ms", "600000"),
        ],
        0,
    )
    .await;
    // The proxy itself has as many connections as it likes.
    let mut proxy: Vec<Raw> = (0..5).map(|_| Raw::to_api(&app)).collect();
    for raw in &mut proxy {
        raw.send(GET);
        assert_eq!(raw.answer().unwrap().status, 200);
    }
    let of = |client: &str, length: usize| {
        format!(
            "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             x-forwarded-for: 6.6.6.6, {client}\r\nx-forwarded-for: 127.0.0.9\r\ncontent-length: {length}\r\n\r\n",
            app.admin_token
        )
    };
    // One whose body has not come is at work. Which of two comes first, nobody knows.
    let pair = async || {
        let (mut first, mut second) = (Raw::to_api(&app), Raw::to_api(&app));
        first.send(of("192.0.2.1", 10));
        second.send(of("192.0.2.1", 2) + "{}");
        let answer = second.answer().filter(|answer| answer.status == 429)?;
        Some((first, answer))
    };
    let (first, refused) = app.eventually("a request at work", pair).await;
    refused.problem(429, "too-many-from-address");
    proxy[2].send(of("192.0.2.2", 2) + "{}");
    proxy[2].answer().unwrap().problem(400, "invalid-body");
    drop(first);
}

#[tokio::test]
async fn hundreds_of_slow_clients_keep_nobody_out_and_each_is_told() {
    let app = TestApp::set(&[("http.head_timeout_ms", "1500"), ("http.connections_per_address_max", "400")], 0).await;
    // All at once: the system has room for them before the first is accepted. Every other one is slow with its second head.
    let mut slow: Vec<Raw> = (0..300)
        .map(|nth| {
            let mut raw = Raw::to_api(&app);
            raw.send(if nth % 2 == 0 { "GET / HT".to_owned() } else { format!("{GET}GET / HT") });
            raw
        })
        .collect();
    app.ops_get("/health/ready").await.expect(200);
    app.ops_get("/metrics").await.expect(200);
    app.admin_get("/users").await.expect(200);
    for (nth, raw) in slow.iter_mut().enumerate() {
        if nth % 2 == 1 {
            assert_eq!(raw.answer().expect("an answer to the first").status, 200);
        }
        assert!(raw.answer().expect("an answer").problem(408, "request-timeout").contains("1500 ms"));
        raw.ends_in_order();
    }
    drop(slow);
    app.admin_get("/users").await.expect(200);
}
