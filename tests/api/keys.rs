//! What keys may, and what plans say of them.

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Options, TestApp};

/// Invites Ana; the path of her keys.
async fn keys_of_ana(app: &TestApp) -> String {
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    format!("/users/{user}/keys")
}

async fn issue(app: &TestApp, keys: &str, body: Value) -> Answer {
    app.admin_send(Method::POST, keys, &body).await
}

fn days_from_now(days: i64) -> String {
    jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * days)).unwrap().to_string()
}

#[tokio::test]
async fn a_key_has_what_it_was_issued_with_and_what_it_was_changed_to() {
    let app = TestApp::start().await;
    let keys = keys_of_ana(&app).await;
    let plain = issue(&app, &keys, json!({})).await.expect(201).json();
    assert_eq!((&plain["expires_at"], &plain["allowed_ips"]), (&Value::Null, &Value::Null));
    assert_eq!(plain["scopes"], json!({ "datasets": null, "actions": ["read", "export"] }));

    let wanted = json!({
        "label": "nightly",
        "expires_at": "2031-05-06T07:08:09.123Z",
        "allowed_ips": ["192.0.2.77/24", "2001:db8::1"],
        "scopes": { "datasets": ["trees", "permits"], "actions": ["read"] },
    });
    let issued = issue(&app, &keys, wanted).await.expect(201).json();
    assert_eq!(issued["expires_at"], "2031-05-06T07:08:09Z", "to the second");
    assert_eq!(issued["allowed_ips"], json!(["192.0.2.0/24", "2001:db8::1"]));
    assert_eq!(issued["scopes"], json!({ "datasets": ["permits", "trees"], "actions": ["read"] }));
    let path = format!("{keys}/{}", issued["id"].as_str().unwrap());

    let change = async |body: Value| app.admin_send(Method::PATCH, &path, &body).await;
    let changed = change(json!({ "allowed_ips": null, "label": "weekly" })).await.expect(200);
    let version = changed.json()["version"].clone();
    assert_eq!(changed.header("etag"), Some(format!("\"{version}\"").as_str()));
    let changed = changed.json();
    assert_eq!((&changed["label"], &changed["allowed_ips"]), (&json!("weekly"), &Value::Null));
    assert_eq!(
        (&changed["expires_at"], &changed["scopes"]),
        (&issued["expires_at"], &issued["scopes"]),
        "what is not sent stays"
    );
    assert_eq!(change(json!({ "label": "weekly" })).await.expect(200).json(), changed, "it is so already");
    let cleared = change(json!({ "label": null, "expires_at": null, "scopes": null })).await.expect(200).json();
    assert_eq!((&cleared["label"], &cleared["expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!(cleared["scopes"], plain["scopes"]);
    let mut shown = app.admin_get(&path).await.expect(200).json();
    let uses = ["last_used_at", "last_used_from"].map(|name| shown.as_object_mut().unwrap().remove(name));
    assert_eq!((shown, uses), (cleared.clone(), [Some(Value::Null), Some(Value::Null)]));
    assert!(cleared.get("key").is_none());
    let stale = app.admin(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({ "label": "x" }));
    app.send(stale).await.expect(412);
    let events = app.admin_get(&keys.replace("/keys", "/events")).await.expect(200).body;
    assert!(!events.contains("192.0.2") && !events.contains("weekly"), "sealed: {events}");
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused_with_where_and_without_the_address() {
    let app = TestApp::start().await;
    let keys = keys_of_ana(&app).await;
    let path = format!("{keys}/{}", app.admin_get(&keys).await.json()["data"][0]["id"].as_str().unwrap());
    for (body, told) in [
        (json!({ "expires_at": "2001-01-01T00:00:00Z" }), "future"),
        (json!({ "expires_at": days_from_now(3700) }), "10 years"),
        (json!({ "expires_at": "tomorrow" }), "a moment such as"),
        (json!({ "expires_at": 7 }), "expires_at"),
        (json!({ "allowed_ips": [] }), "1 to 64"),
        (json!({ "allowed_ips": vec!["192.0.2.1"; 65] }), "1 to 64"),
        (json!({ "allowed_ips": ["192.0.2.1", "198.51.100.256"] }), "entry 2"),
        (json!({ "allowed_ips": "192.0.2.1" }), "allowed_ips"),
        (json!({ "scopes": { "actions": [] } }), "revoke"),
        (json!({ "scopes": { "actions": ["write"] } }), "scopes.actions"),
        (json!({ "scopes": { "datasets": [] } }), "1 to 64"),
        (json!({ "scopes": { "datasets": ["No!"] } }), "entry 1"),
        (json!({ "scopes": { "rows": ["x"] } }), "rows"),
        (json!({ "lable": "x" }), "lable"),
    ] {
        for (method, path) in [(Method::POST, &keys), (Method::PATCH, &path)] {
            let problem = app.admin_send(method.clone(), path, &body).await.expect(400);
            assert!(problem.body.contains(told), "{method} {body}: {}", problem.body);
            assert!(!problem.body.contains("198.51"), "{}", problem.body);
        }
    }
    assert!(app.admin_send(Method::PATCH, &path, &json!({})).await.expect(400).body.contains("nothing to change"));
    app.admin_send(Method::PATCH, &format!("{keys}/0000000000000000"), &json!({ "label": "x" })).await.expect(404);
    app.send(app.admin(Method::DELETE, &path)).await.expect(200);
    app.admin_send(Method::PATCH, &path, &json!({ "label": "x" })).await.expect(409);
}

#[tokio::test]
async fn a_plan_gives_keys_an_end_and_says_how_many_there_are() {
    let app = TestApp::start().await;
    let limits = |more: Value| {
        let mut body = json!({ "rate_per_s": 5.0, "burst": 10, "quota_per_day": 1000 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let define = async |more: Value| app.admin_send(Method::PUT, "/plans/partners", &limits(more)).await;
    let rules = json!({ "key_max_age_days": 90, "datasets": ["permits"], "keys_max": 2 });
    let plan = define(rules).await.expect(201).json();
    assert_eq!(
        (&plan["key_max_age_days"], &plan["datasets"], &plan["keys_max"]),
        (&json!(90), &json!(["permits"]), &json!(2))
    );
    assert_eq!(app.admin_get("/plans/partners").await.expect(200).json(), plan);
    for (wrong, told) in [
        (json!({ "key_max_age_days": 0 }), "key_max_age_days"),
        (json!({ "key_max_age_days": 4000 }), "3653"),
        (json!({ "keys_max": 101 }), "100"),
        (json!({ "datasets": [] }), "1 to 64"),
        (json!({ "datasets": ["a", "B"] }), "entry 2"),
    ] {
        let problem = define(wrong).await.expect(400);
        assert!(problem.body.contains(told), "{}", problem.body);
    }
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org", "plan": "partners" })).await;
    let keys = format!("/users/{user}/keys");
    let invited = app.admin_get(&keys).await.expect(200).json()["data"][0].clone();
    let moment = |key: &Value, name: &str| key[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let age = moment(&invited, "expires_at").duration_since(moment(&invited, "issued_at"));
    assert!((90 * 86_400 - age.as_secs()).abs() <= 1, "{invited}");
    let late = json!({ "expires_at": days_from_now(91) });
    assert!(issue(&app, &keys, late).await.expect(400).body.contains("90 days"));
    let early = days_from_now(10);
    let set = issue(&app, &keys, json!({ "expires_at": early })).await.expect(201).json();
    let full = issue(&app, &keys, json!({})).await.expect(409);
    assert!(full.body.contains("2 active keys"), "{}", full.body);
    let rotate = format!("{keys}/{}/rotate", set["id"].as_str().unwrap());
    let rotated = app.admin_send(Method::POST, &rotate, &json!({})).await.expect(201).json();
    assert_eq!(rotated["expires_at"], set["expires_at"], "an end that was set stays");
    let path = format!("{keys}/{}", rotated["id"].as_str().unwrap());
    let longest = app.admin_send(Method::PATCH, &path, &json!({ "expires_at": null })).await.expect(200).json();
    assert!(moment(&longest, "expires_at") > moment(&rotated, "expires_at"), "as long as the plan allows");
    assert_eq!(define(json!({})).await.expect(200).json()["keys_max"], Value::Null, "what is not sent is not said");
}

#[tokio::test]
async fn whoever_gets_or_loses_a_key_by_somebody_else_is_told_unless_they_do_not_want_it() {
    let app = TestApp::start().await;
    let keys = keys_of_ana(&app).await;
    let user = keys.trim_end_matches("/keys");
    let made = issue(&app, &keys, json!({ "label": "laptop" })).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let mail = app.notice_to("ana@example.org", "was made for you").await;
    assert!(mail.text.contains(id) && mail.text.contains("laptop") && mail.key.is_none(), "{}", mail.text);
    app.send(app.admin(Method::DELETE, &format!("{keys}/{id}"))).await.expect(200);
    assert!(app.notice_to("ana@example.org", "was revoked").await.text.contains(id));
    let changed =
        app.admin_send(Method::PATCH, user, &json!({ "notices": { "keys": false } })).await.expect(200).json();
    assert_eq!(changed["notices"], json!({ "expiry": true, "keys": false, "quota": true }));
    assert_eq!(app.admin_get(user).await.expect(200).json()["notices"], changed["notices"]);
    app.admin_send(Method::PATCH, user, &json!({ "notices": { "mail": false } })).await.expect(400);
    issue(&app, &keys, json!({})).await.expect(201);
    app.eventually("the queue to be worked off", async || {
        let counters = app.admin_get("/admin/counters").await.expect(200).json();
        (counters["queue"]["visible"] == 0 && counters["queue"]["in_flight"] == 0).then_some(())
    })
    .await;
    assert_eq!(app.mails().len(), 3, "an invitation and two notices");
}

/// A request of data with a key, as a trusted proxy hands it on.
async fn asked_from(app: &TestApp, address: &str, path: &str, key: &str) -> Answer {
    app.send(app.request(Method::GET, path).header("x-api-key", key).header("x-forwarded-for", address)).await
}

#[tokio::test]
async fn a_key_is_refused_from_other_networks_and_nobody_is_told_which_would_do() {
    let app = TestApp::set(&[("http.trusted_proxies", "127.0.0.1")], 20).await;
    let keys = keys_of_ana(&app).await;
    let issued =
        issue(&app, &keys, json!({ "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"] })).await.expect(201).json();
    let key = issued["key"].as_str().unwrap();
    let read = async |from: &str| asked_from(&app, from, "/permits?limit=1", key).await;
    let before = read("192.0.2.7").await.expect(200);
    for from in ["198.51.100.7", "::ffff:198.51.100.7", "2001:db9::1"] {
        for path in [
            "/permits?limit=1",
            "/permits/201612013997",
            "/permits?format=csv",
            "/permits/stats?by=status",
            "/permits?no=1",
            "/me",
            "/me/usage",
        ] {
            let problem = asked_from(&app, from, path, key).await.expect(403);
            assert_eq!(problem.json()["type"], "/problems/key-not-allowed-here", "{path}");
            assert!(!problem.body.contains("192.0.2") && !problem.body.contains("198.51"), "{}", problem.body);
        }
    }
    let left = |answer: &Answer| {
        let limits = answer.header("ratelimit").unwrap().to_owned();
        limits.split("\"daily\";r=").nth(1).unwrap().split(';').next().unwrap().parse::<u64>().unwrap()
    };
    let after = read("2001:db8::9").await.expect(200);
    assert_eq!(left(&before) - left(&after), 1, "what was refused counts against nothing");
    let metrics = app.ops_get("/metrics").await.expect(200).body;
    assert!(metrics.contains("permitd_admission_out_of_reach_total 15"), "{metrics}");
    let usage = app.admin_get(&keys.replace("/keys", "/usage?by=status")).await.expect(200).json();
    let refused =
        usage["data"].as_array().unwrap().iter().find(|sum| sum["status"] == 403).expect("those refused").clone();
    assert_eq!((&refused["refused"], &refused["used"]), (&json!(15), &json!(0)), "{usage}");
    let path = format!("{keys}/{}", issued["id"].as_str().unwrap());
    app.admin_send(Method::PATCH, &path, &json!({ "allowed_ips": ["198.51.100.7"] })).await.expect(200);
    app.eventually("the change to hold", async || (read("192.0.2.7").await.status == 403).then_some(())).await;
    read("198.51.100.7").await.expect(200);
    app.admin_send(Method::PATCH, &path, &json!({ "allowed_ips": null })).await.expect(200);
    app.eventually("the change to hold", async || (read("192.0.2.7").await.status == 200).then_some(())).await;
    // Behind no trusted proxy the address is the connection's, whatever is said.
    let direct = TestApp::with_sample(20).await;
    let keys = keys_of_ana(&direct).await;
    let issued = issue(&direct, &keys, json!({ "allowed_ips": ["192.0.2.7"] })).await.expect(201).json();
    asked_from(&direct, "192.0.2.7", "/permits?limit=1", issued["key"].as_str().unwrap()).await.expect(403);
    let issued = issue(&direct, &keys, json!({ "allowed_ips": ["127.0.0.0/8"] })).await.expect(201).json();
    direct.get("/permits?limit=1", issued["key"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_a_plan_has_the_data_sets_that_it_names() {
    let app = TestApp::set(&[("records.export_cost", "2")], 20).await;
    let keys = keys_of_ana(&app).await;
    let key = async |scopes: Value| {
        let issued = issue(&app, &keys, json!({ "scopes": scopes })).await.expect(201).json();
        issued["key"].as_str().unwrap().to_owned()
    };
    let scope = async |key: &str, path: &str| {
        let problem = app.get(path, key).await.expect(403).json();
        assert_eq!(problem["type"], "/problems/scope", "{path}");
        problem["needed"].clone()
    };
    let reader = key(json!({ "actions": ["read"] })).await;
    app.get("/permits?limit=1", &reader).await.expect(200);
    assert_eq!(scope(&reader, "/permits?format=csv").await, "export");
    assert_eq!(scope(&reader, "/permits?format=ndjson").await, "export");
    let exporter = key(json!({ "datasets": ["permits"], "actions": ["export"] })).await;
    app.get("/permits?format=csv", &exporter).await.expect(200);
    for path in ["/permits?limit=1", "/permits/201612013997", "/permits/stats?by=status", "/permits/changes"] {
        assert_eq!(scope(&exporter, path).await, "read", "{path}");
    }
    let elsewhere = key(json!({ "datasets": ["trees"] })).await;
    assert_eq!(scope(&elsewhere, "/permits?limit=1").await, "dataset");
    assert_eq!(scope(&elsewhere, "/permits/201612013997").await, "dataset");
    let listed = async |key: &str| app.get("/datasets", key).await.expect(200).json()["data"].as_array().unwrap().len();
    assert_eq!((listed(&reader).await, listed(&elsewhere).await), (1, 0), "those that a key is for");

    let limits =
        |datasets: Value| json!({ "rate_per_s": 100.0, "burst": 100, "quota_per_day": 1000, "datasets": datasets });
    app.admin_send(Method::PUT, "/plans/default", &limits(json!(["trees"]))).await.expect(200);
    app.eventually("the plan to hold", async || {
        (app.get("/permits?limit=1", &reader).await.status == 403).then_some(())
    })
    .await;
    assert_eq!(scope(&reader, "/permits?limit=1").await, "plan");
    assert_eq!(scope(&exporter, "/permits?format=csv").await, "plan");
    app.admin_send(Method::PUT, "/plans/default", &limits(json!(["permits", "trees"]))).await.expect(200);
    app.eventually("the plan to hold", async || {
        (app.get("/permits?limit=1", &reader).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_is_refused_from_its_end_on() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 20, ..Options::default() }).await;
    let keys = keys_of_ana(&app).await;
    let issued = issue(&app, &keys, json!({ "expires_at": "2026-03-01T12:00:10Z" })).await.expect(201).json();
    let key = issued["key"].as_str().unwrap();
    clock.advance_us(9_500_000);
    app.get("/permits?limit=1", key).await.expect(200);
    // Within the life of the grant that it was taken with.
    clock.advance_us(500_000);
    app.get("/permits?limit=1", key).await.expect(401);
    app.get("/me", key).await.expect(401);
    app.get("/me/usage", key).await.expect(401);
    let path = format!("{keys}/{}", issued["id"].as_str().unwrap());
    app.admin_send(Method::PATCH, &path, &json!({ "expires_at": "2026-03-01T13:00:00Z" })).await.expect(200);
    clock.advance_us(1_100_000);
    app.get("/me", key).await.expect(200);
    app.get("/permits?limit=1", key).await.expect(200);
}
