//! `Idempotency-Key`: one request each, and its first answer.

use permitd::{clock::ManualClock, domain::id::Who};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Options, TestApp};

const HOUR_US: i64 = 3_600_000_000;

async fn send(app: &TestApp, method: Method, path: &str, key: &str, body: Option<&Value>) -> Answer {
    let request = app.admin(method, path).header("idempotency-key", key);
    app.send(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn invited(app: &TestApp, address: &str) -> String {
    let answer = app.admin_send(Method::POST, "/users", &json!({ "email": address })).await.expect(201);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn is_same(one: &Answer, other: &Answer) {
    // A problem names the request that it answers, which is another.
    let without_instance = |answer: &Answer| {
        let mut body = answer.json();
        body.as_object_mut().expect("an object").remove("instance");
        body
    };
    assert_eq!((one.status, without_instance(one)), (other.status, without_instance(other)));
    for header in ["etag", "location"] {
        assert_eq!(one.header(header), other.header(header));
    }
}

fn is_reused(answer: &Answer) {
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(answer.json()["type"], "/problems/idempotency-key-reused");
}

#[tokio::test]
async fn a_key_is_of_one_method_path_and_body() {
    let app = TestApp::start().await;
    let (ana, ben) = (invited(&app, "ana@example.org").await, invited(&app, "ben@example.org").await);
    let keys = |user: &str| format!("/users/{user}/keys");
    let first = send(&app, Method::POST, &keys(&ana), "k", Some(&json!({}))).await.expect(201);
    is_reused(&send(&app, Method::POST, &keys(&ben), "k", Some(&json!({}))).await);
    is_reused(&send(&app, Method::POST, &keys(&ana), "k", Some(&json!({ "label": "laptop" }))).await);
    is_reused(&send(&app, Method::DELETE, &format!("/users/{ana}"), "k", None).await);
    is_reused(&send(&app, Method::POST, "/users", "k", Some(&json!({ "email": "eve@example.org" }))).await);
    let limits = json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 1 });
    is_reused(&send(&app, Method::PUT, "/plans/p", "k", Some(&limits)).await);
    is_reused(&send(&app, Method::POST, "/dead-letters/1/redrive", "k", None).await);
    let conditional = app.admin(Method::POST, &keys(&ana)).header("idempotency-key", "k").header("if-match", "\"1\"");
    is_reused(&app.send(conditional.json(&json!({}))).await);
    is_same(&send(&app, Method::POST, &keys(&ana), "k", Some(&json!({}))).await, &first);

    let other = send(&app, Method::POST, &keys(&ben), "l", Some(&json!({}))).await.expect(201);
    assert_ne!(first.json()["key"], other.json()["key"]);
    for (answer, user) in [(&first, &ana), (&other, &ben)] {
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(app.admin_get(&format!("/users/{user}/keys/{id}")).await.expect(200).json()["user"], user.as_str());
    }
    assert_eq!(app.admin_get(&format!("/users/{ana}")).await.json()["status"], "active", "nobody was deleted");
    app.admin_get("/plans/p").await.expect(404);
}

#[tokio::test]
async fn what_changed_nothing_and_what_was_refused_is_answered_again() {
    let app = TestApp::start().await;
    let ana = invited(&app, "ana@example.org").await;
    let path = format!("/users/{ana}");
    app.mail_to("ana@example.org", 1).await;
    app.eventually("the mail to be written down", async || {
        (app.admin_get(&path).await.json()["status"] == "active").then_some(())
    })
    .await;
    let (active, disabled) = (json!({ "status": "active" }), json!({ "status": "disabled" }));
    let first = send(&app, Method::PATCH, &path, "s1", Some(&active)).await.expect(200);
    send(&app, Method::PATCH, &path, "s2", Some(&disabled)).await.expect(200);
    is_same(&send(&app, Method::PATCH, &path, "s1", Some(&active)).await, &first);
    assert_eq!(app.admin_get(&path).await.json()["status"], "disabled");

    // 409: the person is disabled, then is not.
    let refused = send(&app, Method::POST, &format!("{path}/keys"), "c", Some(&json!({}))).await.expect(409);
    let resent = send(&app, Method::POST, &format!("{path}/invitations"), "r", None).await.expect(409);
    // 404, and 400 for a plan that is not there.
    let nobody = "/users/00000000-0000-0000-0000-000000000007";
    let missing = send(&app, Method::PATCH, nobody, "n", Some(&active)).await.expect(404);
    let no_plan = send(&app, Method::PATCH, &path, "p", Some(&json!({ "plan": "gold" }))).await.expect(400);
    let retired = send(&app, Method::DELETE, "/plans/gold", "d", None).await.expect(404);
    let stale = || async {
        let request = app.admin(Method::PATCH, &path).header("idempotency-key", "m").header("if-match", "\"999\"");
        app.send(request.json(&active)).await
    };
    let stale_first = stale().await.expect(412);

    app.admin_send(Method::PATCH, &path, &active).await.expect(200);
    let limits = json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 1 });
    app.admin_send(Method::PUT, "/plans/gold", &limits).await.expect(201);
    let version = app.admin_get(&path).await.json()["version"].clone();
    is_same(&send(&app, Method::POST, &format!("{path}/keys"), "c", Some(&json!({}))).await, &refused);
    is_same(&send(&app, Method::POST, &format!("{path}/invitations"), "r", None).await, &resent);
    is_same(&send(&app, Method::PATCH, nobody, "n", Some(&active)).await, &missing);
    is_same(&send(&app, Method::PATCH, &path, "p", Some(&json!({ "plan": "gold" }))).await, &no_plan);
    is_same(&send(&app, Method::DELETE, "/plans/gold", "d", None).await, &retired);
    is_same(&stale().await, &stale_first);
    assert_eq!(app.admin_get(&path).await.json()["version"], version, "nothing happened");
    assert_eq!(app.admin_get("/plans/gold").await.json()["retired"], false);

    // A body that is wrong never reached the command: put right, it is the key's first request.
    send(&app, Method::PATCH, &path, "w", Some(&json!({ "status": "gone" }))).await.expect(400);
    send(&app, Method::PATCH, &path, "w", Some(&json!({ "role": "reader" }))).await.expect(200);

    // Keys that are revoked twice, under the same key and another.
    let issued = send(&app, Method::POST, &format!("{path}/keys"), "i", Some(&json!({}))).await.expect(201).json();
    let key = format!("{path}/keys/{}", issued["id"].as_str().unwrap());
    let revoked = send(&app, Method::DELETE, &key, "v1", None).await.expect(200);
    is_same(&send(&app, Method::DELETE, &key, "v1", None).await, &revoked);
    let again = send(&app, Method::DELETE, &key, "v2", None).await.expect(200);
    is_same(&send(&app, Method::DELETE, &key, "v2", None).await, &again);
}

#[tokio::test]
async fn a_plan_does_not_come_back_over_a_newer_one() {
    let app = TestApp::start().await;
    let limits = |burst: u32| json!({ "rate_per_s": 1, "burst": burst, "quota_per_day": 10 });
    let made = send(&app, Method::PUT, "/plans/p", "a", Some(&limits(1))).await.expect(201);
    let same = send(&app, Method::PUT, "/plans/p", "b", Some(&limits(1))).await.expect(200);
    send(&app, Method::PUT, "/plans/p", "c", Some(&limits(2))).await.expect(200);
    is_same(&send(&app, Method::PUT, "/plans/p", "a", Some(&limits(1))).await, &made);
    is_same(&send(&app, Method::PUT, "/plans/p", "b", Some(&limits(1))).await, &same);
    assert_eq!(app.admin_get("/plans/p").await.json()["burst"], 2);
}

#[tokio::test]
async fn a_key_is_shown_again_for_an_hour_and_not_once_it_was_revoked() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let ana = invited(&app, "ana@example.org").await;
    let keys = format!("/users/{ana}/keys");
    let issue = async |key: &str| send(&app, Method::POST, &keys, key, Some(&json!({}))).await.expect(201);
    let first = issue("a").await;
    clock.advance_us(HOUR_US);
    is_same(&issue("a").await, &first);
    clock.advance_us(1_000_000);
    let late = issue("a").await;
    let text = first.json()["key"].as_str().unwrap().to_owned();
    assert!(!late.body.contains(&text) && late.json().get("key").is_none(), "{}", late.body);
    assert_eq!((&late.json()["id"], late.header("location")), (&first.json()["id"], first.header("location")));
    assert!(late.json()["key_withheld"].as_str().unwrap().contains("/rotate"), "{}", late.body);

    let second = issue("b").await.json();
    let path = format!("{keys}/{}", second["id"].as_str().unwrap());
    app.send(app.admin(Method::DELETE, &path)).await.expect(200);
    let revoked = issue("b").await;
    assert!(!revoked.body.contains(second["key"].as_str().unwrap()), "{}", revoked.body);
    assert!(revoked.json()["key_withheld"].as_str().unwrap().contains("does not work any more"), "{}", revoked.body);
}

#[tokio::test]
async fn a_key_is_of_one_caller() {
    let app = TestApp::start().await;
    let other = permitd::app::new_admin_token(app.service(), Who::system("test"), false).await.unwrap();
    let invite = async |token: &str, name: &str| {
        let request = app.request(Method::POST, "/users").bearer_auth(token).header("idempotency-key", "k");
        app.send(request.json(&json!({ "email": format!("{name}@example.org") }))).await.expect(201).json()["id"]
            .clone()
    };
    let (ana, ben) = (invite(&app.admin_token, "ana").await, invite(&other, "ben").await);
    assert_ne!(ana, ben, "one caller's key is not the other's");
    assert_eq!((invite(&app.admin_token, "ana").await, invite(&other, "ben").await), (ana, ben));
}

#[tokio::test]
async fn an_answer_is_kept_for_as_many_days_as_the_settings_say() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = vec![("commands.idempotency_days", "2".to_owned())];
    let options = Options { clock: clock.clone(), settings, ..Options::default() };
    let app = TestApp::with(options).await;
    let ana = invited(&app, "ana@example.org").await;
    let path = format!("/users/{ana}");
    let (enable, disable) = (json!({ "status": "active" }), json!({ "status": "disabled" }));
    let enabled = send(&app, Method::PATCH, &path, "k", Some(&enable)).await.expect(200);
    send(&app, Method::PATCH, &path, "l", Some(&disable)).await.expect(200);
    clock.advance_us(2 * 86_400 * 1_000_000 - 1_000_000);
    is_same(&send(&app, Method::PATCH, &path, "k", Some(&enable)).await, &enabled);
    assert_eq!(app.admin_get(&path).await.json()["status"], "disabled", "it does not happen later");
    clock.advance_us(2_000_000);
    send(&app, Method::PATCH, &path, "k", Some(&enable)).await.expect(200);
    assert_ne!(app.admin_get(&path).await.json()["status"], "disabled", "by then it is a new command");
}
