//! Health, metrics, and what happens at a stop.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::json;

use crate::app::{Options, TestApp};

#[tokio::test]
async fn health_says_whether_requests_are_wanted() {
    let app = TestApp::start().await;
    assert_eq!(app.ops_get("/health/live").await.expect(200).json(), json!({ "status": "live" }));
    assert_eq!(app.ops_get("/health/ready").await.expect(200).json(), json!({ "status": "ready" }));
    app.service().readiness.set(false);
    let stopping = app.ops_get("/health/ready").await.expect(503);
    assert_eq!(stopping.json()["type"], "/problems/unavailable");
    assert!(stopping.header("retry-after").is_some());
    app.ops_get("/health/live").await.expect(200);
    app.ops_get("/permits").await.expect(404);
    // Neither port answers for the other.
    for path in ["/health/live", "/health/ready", "/metrics"] {
        app.admin_get(path).await.expect(404);
    }
}

#[tokio::test]
async fn readiness_says_what_is_in_the_way_and_when_it_is_gone() {
    let app = TestApp::with_sample(5).await;
    app.ops_get("/health/ready").await.expect(200);
    let becomes = async |status: u16| {
        let asked = async || Some(app.ops_get("/health/ready").await).filter(|answer| answer.status == status);
        app.eventually("another readiness", asked).await
    };
    let database = app.data().join("permitd.db");
    if database.exists() {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute_batch("ALTER TABLE ledger RENAME TO away").unwrap();
        let why = becomes(503).await;
        assert!(why.body.contains("the store of keys and limits") && why.body.contains("ledger"), "{}", why.body);
        assert!(why.header("retry-after").is_some());
        connection.execute_batch("ALTER TABLE away RENAME TO ledger").unwrap();
        becomes(200).await;
    }
    let upkeep = &app.service().committer.stores.upkeep;
    let foreign = permitd::secrets::SecretMark { version: 99, fingerprint: "of another".to_owned() };
    upkeep.add_secret_marks(vec![foreign]).await.unwrap();
    let why = becomes(503).await;
    assert!(why.body.contains("version 99 is missing"), "{}", why.body);
    app.ops_get("/health/live").await.expect(200);
}

#[tokio::test]
async fn readiness_tells_of_records_that_cannot_be_read() {
    let app = TestApp::with_sample(5).await;
    app.ops_get("/health/ready").await.expect(200);
    app.place().lose_the_records("permits").await;
    let asked = async || Some(app.ops_get("/health/ready").await).filter(|answer| answer.status == 503);
    let why = app.eventually("another readiness", asked).await;
    assert!(why.body.contains("the records"), "{}", why.body);
}

#[tokio::test]
async fn readiness_tells_of_tables_that_cannot_be_used() {
    join_all(["events", "ledger", "state", "views"].map(|table| async move {
        let app = TestApp::with_sample(5).await;
        app.ops_get("/health/ready").await.expect(200);
        if !app.place().lose_a_table(table).await {
            // One machine has one file: see above.
            return;
        }
        let asked = async || Some(app.ops_get("/health/ready").await).filter(|answer| answer.status == 503);
        let why = app.eventually("another readiness", asked).await;
        assert!(why.body.contains(&app.place().table(table)), "{table}: {}", why.body);
    }))
    .await;
}

#[tokio::test]
async fn a_closed_server_answers_nothing_and_says_so() {
    let app = TestApp::with_sample(5).await;
    let key = app.invite("ana@example.org").await;
    app.service().readiness.close("somebody took a file away".to_owned());
    for path in ["/permits?limit=1", "/permits", "/openapi.json", "/nowhere"] {
        let closed = app.get(path, &key).await.expect(503);
        assert_eq!(closed.json()["type"], "/problems/unavailable", "{path}");
    }
    app.admin_get("/users").await.expect(503);
    assert!(app.ops_get("/health/ready").await.expect(503).body.contains("somebody took a file away"));
    app.ops_get("/health/live").await.expect(200);
}

/// The samples of a text in the OpenMetrics format: name with labels, and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
        } else if line.starts_with("# HELP ") || line == "# EOF" {
            continue;
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let base = name.split('{').next().unwrap();
            assert!(base.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
            let family = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| base.strip_suffix(end));
            let kind =
                families.get(base).or_else(|| families.get(family?)).unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(kind == "counter", base.ends_with("_total"), "{line}");
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    samples
}

#[tokio::test]
async fn metrics_are_well_formed_and_count_what_happens() {
    let app = TestApp::with_sample(25).await;
    let key = app.invite("ana@example.org").await;
    for _ in 0..3 {
        app.get("/permits/201612013997", &key).await.expect(200);
    }
    app.get("/permits", "pmt_junk").await.expect(401);
    app.admin_get("/nowhere").await.expect(404);
    // Whoever finds a mail in the outbox may be faster than the mailer that counts it.
    app.eventually("the mail to be counted", async || {
        let counters = app.admin_get("/admin/counters").await.expect(200).json();
        (counters["mailers"]["mails_sent"] == 1).then_some(())
    })
    .await;
    let answer = app.ops_get("/metrics").await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(answer.body.ends_with("# EOF\n"));
    let samples = samples(&answer.body);
    let sample = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is missing in\n{}", answer.body));
    assert_eq!(sample("permitd_http_requests_total{route=\"/{dataset}/{key}\",status=\"2xx\"}"), 3.0);
    assert_eq!(sample("permitd_http_requests_total{route=\"/{dataset}\",status=\"4xx\"}"), 1.0);
    assert_eq!(sample("permitd_http_requests_total{route=\"/users\",status=\"2xx\"}"), 1.0);
    assert_eq!(sample("permitd_http_requests_total{route=\"(none)\",status=\"4xx\"}"), 1.0);
    let labels = "route=\"/{dataset}/{key}\",status=\"2xx\"";
    let duration = "permitd_http_request_duration_seconds";
    assert_eq!(sample(&format!("{duration}_count{{{labels}}}")), 3.0);
    assert_eq!(sample(&format!("{duration}_bucket{{le=\"+Inf\",{labels}}}")), 3.0);
    assert!(sample(&format!("{duration}_sum{{{labels}}}")) > 0.0);
    assert_eq!(sample("permitd_admission_admitted_total"), 3.0);
    assert_eq!(sample("permitd_mailer_mails_sent_total"), 1.0);
    assert_eq!(sample("permitd_imports_rows_total"), 25.0);
    assert_eq!(sample("permitd_records{dataset=\"permits\"}"), 25.0);
    assert_eq!(sample("permitd_dataset_version{dataset=\"permits\"}"), 1.0);
    assert_eq!(sample("permitd_dead_letters"), 0.0);
    assert_eq!(sample("permitd_ready"), 1.0);
    assert!(sample("process_resident_memory_bytes") > 1_000_000.0);
    assert!(answer.body.contains("permitd_build_info{version=\""));
    assert!(!answer.body.contains("ana@example.org") && !answer.body.contains(&key));
}

#[tokio::test]
async fn the_counters_are_those_of_the_actors() {
    let app = TestApp::start().await;
    app.invite("ana@example.org").await;
    let counters = app.admin_get("/admin/counters").await.expect(200).json();
    assert_eq!(counters["mailers"]["keys_issued"], 1);
    assert_eq!(counters["queue"]["dead"], 0);
    for actor in ["gate", "committer", "relay", "importer"] {
        assert!(counters[actor].is_object(), "{actor}");
    }
}

#[tokio::test]
async fn a_stop_gives_back_what_was_not_spent() {
    // Not over midnight: what is used on one day is given back on that.
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let mut app = TestApp::with(Options { clock, sample_rows: 5, ..Options::default() }).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    app.get("/permits/201612013997", &key).await.expect(200);
    app.restart().await;
    let usage = app.send(app.admin(Method::GET, &format!("/users/{user}/usage"))).await.expect(200).json();
    assert_eq!(usage["data"][0]["used"], 1);
}
