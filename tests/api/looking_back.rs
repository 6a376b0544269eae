//! What is shown as it was: people, their keys, plans, data sets.

use std::sync::Arc;

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, Options, TestApp},
    data::{import, things},
};

async fn at_noon() -> (TestApp, Arc<ManualClock>) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    (TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await, clock)
}

/// Position of the newest commit.
async fn newest(app: &TestApp) -> String {
    let page = app.admin_get("/events?order=newest&limit=1").await.expect(200).json();
    let position = &page["data"][0]["position"];
    position.as_str().map_or_else(|| position.to_string(), ToOwned::to_owned)
}

async fn then(app: &TestApp, path: &str, as_of: &str) -> Answer {
    app.admin_get(&format!("{path}?as_of={as_of}")).await
}

async fn refused(app: &TestApp, path: &str, as_of: &str) {
    let refused = then(app, path, as_of).await.expect(400).json();
    assert_eq!(refused["invalid_params"][0]["name"], "as_of", "{path} {as_of}: {refused}");
}

#[tokio::test]
async fn keys_are_shown_as_they_were() {
    let (app, clock) = at_noon().await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    let path = format!("/users/{user}/keys");
    let issued = app.admin_send(Method::POST, &path, &json!({ "label": "laptop" })).await.expect(201).json();
    let key = format!("{path}/{}", issued["id"].as_str().unwrap());
    let count = async |as_of: &str| then(&app, &path, as_of).await.expect(200).json()["data"].as_array().unwrap().len();
    let before = newest(&app).await;
    clock.advance_us(3_600_000_000);
    app.admin_send(Method::PATCH, &key, &json!({ "label": "server" })).await.expect(200);
    let changed = newest(&app).await;
    clock.advance_us(3_600_000_000);
    app.send(app.admin(Method::DELETE, &key)).await.expect(200);

    for (as_of, label) in [
        ("2026-03-01T12:30:00Z", "laptop"),
        (&format!("position:{before}"), "laptop"),
        ("2026-03-01T13:30:00Z", "server"),
        (&format!("position:{changed}"), "server"),
    ] {
        let shown = then(&app, &key, as_of).await.expect(200);
        let shown = shown.json();
        assert_eq!((&shown["label"], &shown["revoked_at"]), (&json!(label), &Value::Null), "{as_of}: {shown}");
        assert_eq!((&shown["last_used_at"], count(as_of).await), (&Value::Null, 2), "{as_of}");
    }
    assert!(then(&app, &key, "2026-03-01T14:00:00Z").await.expect(200).json()["revoked_at"].is_string());
    assert_eq!(count("1").await, 0, "invited, and no key issued yet");
    let none = then(&app, &key, "1").await.expect(404).json();
    assert!(none["detail"].as_str().unwrap().contains("had no key"), "{none}");
    for path in [&path, &key] {
        then(&app, path, "2026-03-01T11:00:00Z").await.expect(404);
        then(&app, path, "position:0").await.expect(404);
        refused(&app, path, "position:x").await;
    }
    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    let erased = then(&app, &key, "2026-03-01T12:30:00Z").await.expect(200);
    assert_eq!((&erased.json()["label"], erased.body.contains("laptop")), (&Value::Null, false), "{}", erased.body);
    let person = then(&app, &format!("/users/{user}"), &format!("position:{before}")).await.expect(200);
    assert_eq!((&person.json()["status"], &person.json()["email"]), (&json!("active"), &Value::Null));
    assert!(!person.body.contains("Ana"), "{}", person.body);
}

#[tokio::test]
async fn plans_are_shown_as_they_were() {
    let (app, clock) = at_noon().await;
    let limits = |rate: u32| json!({ "rate_per_s": rate, "burst": 9, "quota_per_day": 100 });
    app.admin_send(Method::PUT, "/plans/gold", &limits(3)).await.expect(201);
    let first = newest(&app).await;
    clock.advance_us(3_600_000_000);
    app.admin_send(Method::PUT, "/plans/gold", &limits(7)).await.expect(200);
    clock.advance_us(3_600_000_000);
    app.send(app.admin(Method::DELETE, "/plans/gold")).await.expect(200);
    for (as_of, rate, retired) in [
        ("1", 3.0, false),
        (&format!("position:{first}"), 3.0, false),
        ("2026-03-01T12:59:59Z", 3.0, false),
        ("2026-03-01T13:00:00Z", 7.0, false),
        ("2026-03-01T14:00:00Z", 7.0, true),
        ("99", 7.0, true),
    ] {
        let plan = then(&app, "/plans/gold", as_of).await.expect(200).json();
        assert_eq!((plan["rate_per_s"].as_f64(), &plan["retired"]), (Some(rate), &json!(retired)), "{as_of}: {plan}");
    }
    let none = then(&app, "/plans/gold", "2026-03-01T11:59:59Z").await.expect(404).json();
    assert!(none["detail"].as_str().unwrap().contains("there was no plan"), "{none}");
    then(&app, "/plans/gold", "0").await.expect(404);
    then(&app, "/plans/tin", "1").await.expect(404);
    refused(&app, "/plans/gold", "yesterday").await;
}

#[tokio::test]
async fn data_sets_are_told_as_they_were() {
    let (app, clock) = at_noon().await;
    import(&app, things(), b"Name,Height\na,1\n".to_vec(), "first.csv").await;
    let first = newest(&app).await;
    clock.advance_us(3_600_000_000);
    import(&app, things(), b"Name,Height\na,2\n".to_vec(), "second.csv").await;
    clock.advance_us(3_600_000_000);
    app.send(app.admin(Method::POST, "/datasets/things/withdraw")).await.expect(200);
    clock.advance_us(3_600_000_000);
    app.send(app.admin(Method::DELETE, "/datasets/things")).await.expect(200);
    for (as_of, version, withdrawn, imports) in [
        ("2026-03-01T12:00:00Z", json!(1), false, 1),
        (&*format!("position:{first}"), json!(1), false, 1),
        ("2026-03-01T13:30:00Z", json!(2), false, 2),
        ("2026-03-01T14:30:00Z", json!(2), true, 2),
        ("2026-03-01T15:30:00Z", Value::Null, false, 2),
    ] {
        let told = then(&app, "/datasets/things", as_of).await.expect(200).json();
        assert_eq!((&told["dataset_version"], &told["withdrawn"]), (&version, &json!(withdrawn)), "{as_of}: {told}");
        assert_eq!(told["imports"].as_array().unwrap().len(), imports, "{as_of}: {told}");
    }
    let told = then(&app, "/datasets/things", "2026-03-01T13:30:00Z").await.expect(200).json();
    assert_eq!(
        (&told["imports"][0]["file_name"], &told["imports"][0]["status"]),
        (&json!("second.csv"), &json!("completed"))
    );
    then(&app, "/datasets/things", "2026-03-01T11:00:00Z").await.expect(404);
    then(&app, "/datasets/trees", "2026-03-01T13:00:00Z").await.expect(404);
    // A number would be taken for a version of the records.
    refused(&app, "/datasets/things", "1").await;
}

#[tokio::test]
async fn the_log_tells_what_belongs_to_a_request() {
    let app = TestApp::start().await;
    app.invite("ana@example.org").await;
    app.invite("bob@example.org").await;
    let invited = app.admin_get("/events?type=UserInvited&limit=1").await.expect(200).json()["data"][0].clone();
    let request = invited["correlation_id"].as_str().unwrap();
    let mailed = async || {
        let told = app.admin_get(&format!("/events?correlation={request}")).await.expect(200).json();
        let told = told["data"].as_array().unwrap().clone();
        told.iter().any(|event| event["type"] == "ApiKeyMailed").then_some(told)
    };
    let told = app.eventually("the mail to be written down", mailed).await;
    assert!(told.iter().all(|event| event["correlation_id"] == request && event["stream"] == invited["stream"]));
    assert_eq!(told[0], invited);
    let only = app.admin_get(&format!("/events?correlation={request}&type=ApiKeyMailed")).await.expect(200).json();
    assert_eq!(only["data"].as_array().unwrap().len(), 1);
    let lines = app.admin_get(&format!("/events?correlation={request}&format=ndjson")).await.expect(200);
    assert_eq!(lines.body.lines().count(), told.len());
    assert_eq!(app.admin_get("/events?correlation=nothing").await.expect(200).json()["data"], json!([]));
}
