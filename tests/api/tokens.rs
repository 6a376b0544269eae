//! Administrators' tokens: named, scoped, expiring, last used, listed and revoked.

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    MODE,
    app::{Answer, Options, TestApp},
    support::backend::Mode,
};

async fn create(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.send(app.request(Method::POST, "/admin-tokens").bearer_auth(token).json(body)).await
}

async fn with_token(app: &TestApp, token: &str, path: &str) -> Answer {
    app.send(app.request(Method::GET, path).bearer_auth(token)).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn shown(app: &TestApp, id: &str) -> Value {
    app.admin_get(&format!("/admin-tokens/{id}")).await.expect(200).json()
}

#[tokio::test]
async fn a_token_lives_from_its_making_to_its_end_on_every_node() {
    let app = TestApp::start().await;
    let body = json!({ "name": " nightly import ", "scopes": ["data", "plans"] });
    let made = create(&app, &app.admin_token, &body).await.expect(201);
    let (id, token) = (text(&made.json()["id"]), text(&made.json()["token"]));
    assert_eq!(made.header("location"), Some(app.url(&format!("/admin-tokens/{id}")).as_str()));
    assert_eq!((&made.json()["name"], &made.json()["status"]), (&json!("nightly import"), &json!("active")));
    // Where a deployment has several servers, on another one too.
    let beside = if matches!(MODE, Mode::Aws) { Some(app.beside().await) } else { None };
    let nodes = || [&app].into_iter().chain(&beside);
    for node in nodes() {
        with_token(node, &token, "/plans").await.expect(200);
        with_token(node, &token, "/users").await.expect(403);
    }

    let listed = app.admin_get("/admin-tokens").await.expect(200);
    assert!(!listed.body.contains(&token) && !listed.body.contains("sha256"), "{}", listed.body);
    let listed = listed.json();
    let names: Vec<&str> = listed["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["nightly import", "first"]);
    assert!(listed["data"].as_array().unwrap().iter().all(|row| row["last_used_at"].is_string()), "{listed}");
    assert_eq!(listed["data"][1]["scopes"], json!(["people", "data", "plans", "events", "server"]));
    let page = app.admin_get("/admin-tokens?limit=1").await.expect(200).json();
    let next = app.admin_get(page["page"]["next"].as_str().unwrap()).await.expect(200).json();
    assert_eq!((&page["data"][0]["name"], &next["data"][0]["name"]), (&json!("nightly import"), &json!("first")));
    assert!(next["page"]["next"].is_null());

    let path = format!("/admin-tokens/{id}");
    let ended = app.send(app.admin(Method::DELETE, &path)).await.expect(200).json();
    for node in nodes() {
        with_token(node, &token, "/plans").await.expect(401);
    }
    let again = app.send(app.admin(Method::DELETE, &path)).await.expect(200).json();
    assert_eq!((&ended, &ended["id"]), (&again, &json!(id)), "it was revoked once");
    assert_eq!(shown(&app, &id).await["status"], "revoked");
    let active = app.admin_get("/admin-tokens?status=active").await.expect(200).json();
    assert_eq!(active["data"].as_array().unwrap().len(), 1);

    // An auditor sees who made and who revoked it.
    let events = app.admin_get("/events?order=newest").await.expect(200).json();
    let of_it = |kind: &str| {
        let found = events["data"].as_array().unwrap().iter().find(|event| event["type"] == kind).unwrap().clone();
        assert_eq!(found["data"]["token_id"], json!(id));
        text(&found["actor"])
    };
    let first = text(&listed["data"][1]["id"]);
    assert_eq!(
        [of_it("AdminTokenIssued"), of_it("AdminTokenRevoked")],
        [format!("admin:{first}"), format!("admin:{first}")]
    );
}

#[tokio::test]
async fn what_cannot_be_a_token_is_refused_with_why() {
    let app = TestApp::start().await;
    let refused = async |status: u16, body: Value| {
        let refused = create(&app, &app.admin_token, &body).await.expect(status).json();
        text(&refused["detail"])
    };
    create(&app, &app.admin_token, &json!({ "name": "ci", "scopes": ["data"] })).await.expect(201);
    let taken = refused(409, json!({ "name": "ci", "scopes": ["plans"] })).await;
    assert!(taken.contains("\"ci\"") && taken.contains("revoke"), "{taken}");
    assert!(refused(400, json!({ "name": "a", "scopes": [] })).await.contains("at least one scope"));
    assert!(refused(400, json!({ "name": "a", "scopes": ["money"] })).await.contains("scopes"));
    assert!(refused(400, json!({ "name": "a" })).await.contains("scopes"));
    assert!(refused(400, json!({ "scopes": ["data"] })).await.contains("name"));
    let past = json!({ "name": "a", "scopes": ["data"], "expires_at": "2020-01-01T00:00:00Z" });
    assert!(refused(400, past).await.contains("expires_at"));
    assert!(refused(400, json!({ "name": "x".repeat(81), "scopes": ["data"] })).await.contains("80 characters"));
    assert!(refused(400, json!({ "name": "a\u{202e}b", "scopes": ["data"] })).await.contains("direction"));
    for (path, method) in [("/admin-tokens/0000000000000000", Method::DELETE), ("/admin-tokens/x", Method::GET)] {
        app.send(app.admin(method, path)).await.expect(404);
    }
    assert_eq!(app.admin_get("/admin-tokens").await.json()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeated_command_gets_the_same_token_for_an_hour() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let make = async |key: &str| {
        let request = app.admin(Method::POST, "/admin-tokens").header("idempotency-key", key);
        app.send(request.json(&json!({ "name": format!("made by {key}"), "scopes": ["data"] })))
            .await
            .expect(201)
            .json()
    };
    let first = make("a").await;
    assert_eq!(make("a").await, first);
    clock.advance_us(3_601_000_000);
    let late = make("a").await;
    assert!(late["token"].is_null() && text(&late["token_withheld"]).contains("too long ago"), "{late}");
    let other = make("b").await;
    app.send(app.admin(Method::DELETE, &format!("/admin-tokens/{}", text(&other["id"])))).await.expect(200);
    let ended = make("b").await;
    assert!(ended["token"].is_null() && text(&ended["token_withheld"]).contains("does not work"), "{ended}");
}

#[tokio::test]
async fn a_token_makes_none_that_outlives_it_and_ends_at_its_moment() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let all = ["people", "data", "plans", "events", "server"];
    let until = "2026-03-01T13:00:00Z";
    let body = json!({ "name": "one hour", "scopes": all, "expires_at": until });
    let hour = text(&create(&app, &app.admin_token, &body).await.expect(201).json()["token"]);
    let child = create(&app, &hour, &json!({ "name": "child", "scopes": ["data"] })).await.expect(201).json();
    assert_eq!(child["expires_at"], until);
    let longer = json!({ "name": "longer", "scopes": ["data"], "expires_at": "2026-03-01T13:00:01Z" });
    let refused = create(&app, &hour, &longer).await.expect(403);
    assert!(refused.header("www-authenticate").unwrap().contains("insufficient_scope"));
    assert!(text(&refused.json()["detail"]).contains("as long as yours does"), "{}", refused.body);
    clock.advance_us(3_599_000_000);
    with_token(&app, &hour, "/users").await.expect(200);
    clock.advance_us(1_000_000);
    with_token(&app, &hour, "/users").await.expect(401);
    let child = shown(&app, &text(&child["id"])).await;
    assert_eq!(child["status"], "expired");
}

/// To make an administrator of somebody is to make one who may everything: a token that may less cannot.
#[tokio::test]
async fn nobody_gives_a_role_that_may_more_than_they() {
    let app = TestApp::start().await;
    let token = async |name: &str, scopes: &[&str]| {
        let made = create(&app, &app.admin_token, &json!({ "name": name, "scopes": scopes })).await;
        text(&made.expect(201).json()["token"])
    };
    let (people, both) = (token("people", &["people"]).await, token("both", &["people", "data"]).await);
    let mut number = 0;
    let mut invite = async |token: &str, role: &str| {
        number += 1;
        let body = json!({ "email": format!("user{number}@example.org"), "role": role });
        app.send(app.request(Method::POST, "/users").bearer_auth(token).json(&body)).await
    };
    let reader = text(&invite(&people, "reader").await.expect(201).json()["id"]);
    let refused = invite(&people, "admin").await.expect(403);
    assert!(text(&refused.json()["detail"]).contains("to give the role admin"), "{}", refused.body);
    invite(&people, "manager").await.expect(403);
    invite(&both, "manager").await.expect(201);
    invite(&both, "admin").await.expect(403);
    let list = async |token: &str, role: &str| {
        let list = format!("email,role\nlisted@example.org,reader\n{role}@example.org,{role}\n");
        let request = app.request(Method::POST, "/invitations?dry_run=true").bearer_auth(token);
        app.send(request.header("content-type", "text/csv").body(list)).await
    };
    list(&people, "reader").await.expect(200);
    let refused = list(&people, "admin").await.expect(403);
    assert!(text(&refused.json()["detail"]).contains("to give the role admin"), "{}", refused.body);
    list(&both, "admin").await.expect(403);
    list(&app.admin_token, "admin").await.expect(200);
    let change = async |token: &str, role: &str| {
        let request = app.request(Method::PATCH, &format!("/users/{reader}")).bearer_auth(token);
        app.send(request.json(&json!({ "role": role }))).await
    };
    change(&people, "admin").await.expect(403);
    change(&people, "manager").await.expect(403);
    change(&both, "manager").await.expect(200);
    change(&people, "reader").await.expect(403);
    change(&both, "reader").await.expect(200);
    change(&app.admin_token, "admin").await.expect(200);
    // Nor do they change somebody who may more, or get a key of theirs.
    for (method, path) in [
        (Method::DELETE, ""),
        (Method::DELETE, "/sessions"),
        (Method::DELETE, "/second-factor"),
        (Method::POST, "/keys"),
        (Method::POST, "/invitations"),
        (Method::POST, "/password-resets"),
        (Method::POST, "/mail/allow"),
    ] {
        let path = format!("/users/{reader}{path}");
        for token in [&people, &both] {
            let refused = app.send(app.request(method.clone(), &path).bearer_auth(token)).await.expect(403);
            assert!(text(&refused.json()["detail"]).contains("of the role admin"), "{}", refused.body);
        }
    }
    let disable = app.request(Method::PATCH, &format!("/users/{reader}")).bearer_auth(&both);
    app.send(disable.json(&json!({ "status": "disabled" }))).await.expect(403);
    change(&both, "reader").await.expect(403);
}

/// Who they are is looked at with the version that is changed, not before it.
#[tokio::test]
async fn whoever_is_promoted_meanwhile_is_changed_by_nobody_who_may_less() {
    let app = TestApp::start().await;
    let made = create(&app, &app.admin_token, &json!({ "name": "people", "scopes": ["people"] })).await;
    let people = text(&made.expect(201).json()["token"]);
    for number in 0..30 {
        let body = json!({ "email": format!("user{number}@example.org") });
        let invited = app.send(app.request(Method::POST, "/users").bearer_auth(&people).json(&body)).await;
        let path = format!("/users/{}", text(&invited.expect(201).json()["id"]));
        let promote = app.request(Method::PATCH, &path).bearer_auth(&app.admin_token).json(&json!({ "role": "admin" }));
        let weaken = match number % 3 {
            0 => app.request(Method::DELETE, &path),
            1 => app.request(Method::PATCH, &path).json(&json!({ "status": "disabled" })),
            _ => app.request(Method::POST, &format!("{path}/keys")).json(&json!({})),
        };
        let weaken = app.send(weaken.bearer_auth(&people));
        let (promoted, weakened) = tokio::join!(app.send(promote), weaken);
        assert!(weakened.status == 403 || weakened.status < 300, "{}", weakened.body);
        let events = app.admin_get(&format!("{path}/events")).await.expect(200).json();
        let types: Vec<String> = events["data"].as_array().unwrap().iter().map(|event| text(&event["type"])).collect();
        let of = |name: &str| types.iter().position(|found| found == name);
        let name = ["UserDeleted", "UserDisabled", "ApiKeyIssued"][number % 3];
        // The invitation has a key of its own.
        let last = types.iter().rposition(|found| found == name);
        if promoted.status == 200 && weakened.status < 300 && number % 3 < 2 {
            assert!(of("RoleChanged") > last, "{types:?}");
        }
    }
}

#[tokio::test]
async fn the_last_use_is_exact_to_a_minute() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let made = create(&app, &app.admin_token, &json!({ "name": "a", "scopes": ["plans"] })).await.expect(201).json();
    let (id, token) = (text(&made["id"]), text(&made["token"]));
    assert!(shown(&app, &id).await["last_used_at"].is_null());
    for (seconds, last) in [(0, "12:00:00"), (59, "12:00:00"), (1, "12:01:00"), (30, "12:01:00"), (3_600, "13:01:30")] {
        clock.advance_us(seconds * 1_000_000);
        with_token(&app, &token, "/plans").await.expect(200);
        assert_eq!(shown(&app, &id).await["last_used_at"], format!("2026-03-01T{last}Z"));
    }
    // A request that is refused for what it asks is a use as well.
    clock.advance_us(60_000_000);
    with_token(&app, &token, "/users").await.expect(403);
    assert_eq!(shown(&app, &id).await["last_used_at"], "2026-03-01T13:02:30Z");
}
