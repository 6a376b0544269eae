//! A stop under load: what has been sent is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    app::{Options, TestApp},
    raw::Raw,
};

/// Connections that ask all the time.
const CLIENTS: usize = 40;
/// Requests that are answered before the stop begins.
const WARM: u64 = 2_000;
/// As long as a stop may take.
const SHUTDOWN_TIMEOUT_S: u64 = 240;

#[tokio::test]
async fn every_request_that_was_sent_before_a_stop_is_answered() {
    // A client that waits for its turn on a busy machine still has the time for its next request.
    let settings = vec![("http.shutdown_timeout_s", SHUTDOWN_TIMEOUT_S.to_string())];
    let mut app = TestApp::with(Options { settings, sample_rows: 20, ..Options::default() }).await;
    let key = app.invite("ana@example.org").await;
    let request = format!("GET /permits/201612013997 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n");
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mut raw, request, answered) = (Raw::to_api(&app), request.clone(), Arc::clone(&answered));
            thread::spawn(move || {
                loop {
                    if !raw.send(&request) {
                        return false;
                    }
                    let Some(answer) = raw.answer() else { return false };
                    assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.closes() {
                        raw.ends_in_order();
                        return true;
                    }
                }
            })
        })
        .collect();
    let mut idle = Raw::to_api(&app);
    app.eventually("some answers", async || (answered.load(Ordering::Relaxed) >= WARM).then_some(())).await;
    let began = Instant::now();
    app.stop().await;
    let told = clients.into_iter().filter_map(|client| client.join().unwrap().then_some(())).count();
    assert_eq!(told, CLIENTS, "each client's last request was answered, and the answer said that it was the last");
    idle.ends_in_order();
    let whole = Duration::from_secs(SHUTDOWN_TIMEOUT_S);
    assert!(began.elapsed() < whole / 4, "it ends when all are answered: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_waits_for_answers_at_work_and_for_what_was_sent_behind_them() {
    let settings = vec![("http.shutdown_timeout_s", SHUTDOWN_TIMEOUT_S.to_string())];
    let mut app = TestApp::with(Options { settings, ..Options::default() }).await;
    let mut raw = Raw::to_api(&app);
    let body = "{\"email\": \"ana@example.org\"}";
    raw.send(format!(
        "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{{",
        app.admin_token,
        body.len()
    ));
    let mut other = Raw::to_api(&app);
    other.send("GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3));
    assert_eq!(other.answer().unwrap().status, 200);
    let mut operator = Raw::to_ops(&app);
    let stopping = async {
        app.stop().await;
    };
    let (rest, ()) = tokio::join!(
        tokio::task::spawn_blocking(move || {
            // The stop has begun when the server wants no requests any more, and waits.
            loop {
                operator.send("GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n");
                if operator.answer().unwrap().status == 503 {
                    break;
                }
                thread::park_timeout(Duration::from_millis(5));
            }
            thread::park_timeout(Duration::from_millis(100));
            raw.send(&body[1..]);
            raw.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\n");
            let created = raw.answer().unwrap();
            assert_eq!(created.status, 201, "{created:?}");
            (raw, created)
        }),
        stopping
    );
    drop(rest.unwrap());
    assert_eq!((0..2).map(|_| other.answer().unwrap().status).collect::<Vec<_>>(), [200, 200]);
    other.ends_in_order();
}
