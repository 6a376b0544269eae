//! Clients that are slow at one thing or another, or take more than their share.

use std::time::{Duration, Instant};

use crate::{
    app::{Options, TestApp},
    raw::Raw,
};

const GET: &str = "GET /problems HTTP/1.1\r\nhost: x\r\n\r\n";
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(40);

async fn app(settings: &[(&'static str, &str)]) -> TestApp {
    let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
    TestApp::with(Options { settings, ..Options::default() }).await
}

/// Sends byte by byte until the server has had enough, or nothing is left.
async fn drip(raw: &mut Raw, bytes: &[u8]) {
    for byte in bytes {
        if !raw.send([*byte]) {
            return;
        }
        tokio::time::sleep(DRIP).await;
    }
}

#[tokio::test]
async fn a_head_that_drips_is_given_up_be_it_the_first_or_a_later_one() {
    let app = app(&[("http.head_timeout_ms", "300")]).await;
    for (to, path) in [(Raw::to_api as fn(&TestApp) -> Raw, "/problems"), (Raw::to_ops, "/health/live")] {
        let mut raw = to(&app);
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        for _ in 0..2 {
            raw.send(&request);
            assert_eq!(raw.answer().unwrap().status, 200);
        }
        let began = Instant::now();
        drip(&mut raw, b"GET / HTTP/1.1\r\n").await;
        let answer = raw.answer().unwrap();
        assert!(answer.problem(408, "request-timeout").contains("300 ms") && answer.closes());
        raw.ends();
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let mut first = Raw::to_api(&app);
    drip(&mut first, b"GET / HTTP/1.1\r\n").await;
    first.answer().unwrap().problem(408, "request-timeout");
    first.ends();
    // Who says nothing is told nothing.
    Raw::to_api(&app).ends();
    Raw::to_ops(&app).ends();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_not_while_it_waits_for_an_answer() {
    let app = app(&[("http.keep_alive_s", "1"), ("http.head_timeout_ms", "60000")]).await;
    let mut raw = Raw::to_api(&app);
    raw.send(GET);
    assert_eq!(raw.answer().unwrap().status, 200);
    let began = Instant::now();
    raw.ends();
    assert!(began.elapsed() >= Duration::from_millis(900));
    // A head that has begun has its own time.
    let mut slow = Raw::to_api(&app);
    slow.send(GET);
    assert_eq!(slow.answer().unwrap().status, 200);
    slow.send("GET /problems HT");
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
             content-length: 1000\r\n\r\n{body}"
        )
    };
    let pausing = app(&[("http.body_idle_timeout_ms", "300")]).await;
    let mut raw = Raw::to_api(&pausing);
    raw.send(post(&pausing, "{"));
    let answer = raw.answer().unwrap();
    assert!(answer.problem(408, "request-timeout").contains("300 ms") && answer.closes());
    raw.ends();
    let dripping = app(&[("http.body_timeout_ms", "600"), ("http.body_idle_timeout_ms", "500")]).await;
    let mut raw = Raw::to_api(&dripping);
    raw.send(post(&dripping, ""));
    drip(&mut raw, &[b' '; 25]).await;
    assert!(raw.answer().unwrap().problem(408, "request-timeout").contains("600 ms"));
    raw.ends();
}

#[tokio::test]
async fn the_rest_of_a_body_that_nobody_wants_does_not_hold_a_connection() {
    let app = app(&[("http.body_idle_timeout_ms", "300")]).await;
    let mut raw = Raw::to_api(&app);
    raw.send("POST /users HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.answer().unwrap().problem(401, "invalid-token");
    let began = Instant::now();
    drip(&mut raw, &b"1\r\na\r\n".repeat(20)).await;
    raw.ends();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_one_that_reads_slowly_is_not() {
    let app = app(&[("http.write_timeout_ms", "400")]).await;
    let get = "GET /docs/0/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n";
    let size = {
        let mut reader = Raw::to_api(&app);
        reader.send(get);
        reader.answer().unwrap().body.len()
    };
    // More than the system takes on behalf of a client.
    let asked = 64;
    let mut deaf = Raw::to_api(&app);
    deaf.send(get.repeat(asked));
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    let got = deaf.drain();
    assert!(got < size * asked / 2, "{got} of {} bytes came", size * asked);
    // Answers that are taken are given, however many: a time for each step, not for the whole.
    let mut slow = Raw::to_api(&app);
    slow.send(get.repeat(8));
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(slow.answer().unwrap().body.len(), size);
    }
    slow.send(GET);
    assert_eq!(slow.answer().unwrap().status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_the_operation_port_is_another_matter() {
    let app = app(&[("http.connections_per_address_max", "3")]).await;
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
async fn behind_a_trusted_proxy_each_client_has_its_share() {
    let app = app(&[("http.connections_per_address_max", "1"), ("http.trusted_proxies", "127.0.0.0/8")]).await;
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
    // One whose body has not come is at work.
    proxy[0].send(of("192.0.2.1", 10));
    app.eventually("a request at work", async || {
        let mut second = Raw::to_api(&app);
        second.send(of("192.0.2.1", 2) + "{}");
        second.answer().filter(|answer| answer.status == 429)
    })
    .await
    .problem(429, "too-many-from-address");
    proxy[2].send(of("192.0.2.2", 2) + "{}");
    proxy[2].answer().unwrap().problem(400, "invalid-body");
}

#[tokio::test]
async fn hundreds_of_slow_clients_keep_nobody_out() {
    let app = app(&[("http.head_timeout_ms", "1500"), ("http.connections_per_address_max", "400")]).await;
    let mut slow: Vec<Raw> = (0..300).map(|_| Raw::to_api(&app)).collect();
    for raw in &mut slow {
        raw.send("GET / HT");
    }
    app.ops_get("/health/ready").await.expect(200);
    app.ops_get("/metrics").await.expect(200);
    // Each is told, or closed: all are gone.
    for raw in &mut slow {
        if let Some(answer) = raw.answer() {
            answer.problem(408, "request-timeout");
        }
        raw.ends();
    }
    drop(slow);
    app.admin_get("/users").await.expect(200);
}
