//! The administrator's resources.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp};

async fn post_with_key(app: &TestApp, path: &str, key: &str, body: &Value) -> Answer {
    app.send(app.admin(Method::POST, path).header("idempotency-key", key).json(body)).await
}

fn emails(answer: &Answer) -> Vec<String> {
    let list = answer.json()["data"].as_array().unwrap().clone();
    list.iter().map(|user| user["email"].as_str().unwrap_or("erased").to_owned()).collect()
}

#[tokio::test]
async fn an_invitation_is_answered_with_the_user_where_they_are_and_their_version() {
    let app = TestApp::start().await;
    let body = json!({ "email": " Ana@Example.org ", "name": "Ana", "role": "reader", "plan": "default" });
    let answer = app.admin_send(Method::POST, "/users", &body).await.expect(201);
    let user = answer.json();
    assert_eq!(user["email"], "ana@example.org");
    assert_eq!((&user["name"], &user["role"], &user["plan"]), (&json!("Ana"), &json!("reader"), &json!("default")));
    assert_eq!(user["status"], "invited");
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(app.url(&path).as_str()));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    app.mail_to("ana@example.org", 1).await;
    let shown = app
        .eventually("the user to be active", async || {
            let shown = app.admin_get(&path).await.expect(200);
            (shown.json()["status"] == "active").then_some(shown)
        })
        .await;
    assert_eq!(shown.header("etag"), Some(format!("\"{}\"", shown.json()["version"]).as_str()));
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_another_body_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    let body = json!({ "email": "ana@example.org" });
    let first = post_with_key(&app, "/users", "k-1", &body).await.expect(201);
    app.mail_to("ana@example.org", 1).await;
    let again = post_with_key(&app, "/users", "k-1", &body).await.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!((again.header("etag"), again.header("location")), (first.header("etag"), first.header("location")));

    let other = post_with_key(&app, "/users", "k-1", &json!({ "email": "bob@example.org" })).await.expect(422);
    assert_eq!(other.json()["type"], "/problems/idempotency-key-reused");
    assert_eq!(emails(&app.admin_get("/users").await), ["ana@example.org"]);
    assert_eq!(app.mails().len(), 1);
}

#[tokio::test]
async fn an_address_is_invited_once() {
    let app = TestApp::start().await;
    let body = json!({ "email": "ana@example.org" });
    let user = app.admin_send(Method::POST, "/users", &body).await.expect(201).json();
    let taken = app.admin_send(Method::POST, "/users", &json!({ "email": "ANA@example.org" })).await.expect(409);
    assert_eq!(taken.json()["existing"], format!("/users/{}", user["id"].as_str().unwrap()));
}

#[tokio::test]
async fn wrong_bodies_are_refused_with_what_is_wrong() {
    let app = TestApp::start().await;
    let invite = async |body: Value| app.admin_send(Method::POST, "/users", &body).await.expect(400).json();
    let unknown = invite(json!({ "email": "ana@example.org", "plam": "default" })).await;
    assert_eq!(unknown["invalid_params"][0]["name"], "plam");
    assert_eq!(unknown["invalid_params"][0]["did_you_mean"], "plan");
    let no_plan = invite(json!({ "email": "ana@example.org", "plan": "gold" })).await;
    assert_eq!(no_plan["known_plans"], json!(["default"]));
    assert!(invite(json!({ "email": "ana" })).await["detail"].as_str().unwrap().contains("`email`"));
    assert!(invite(json!({})).await["detail"].as_str().unwrap().contains("email"));
    assert!(
        invite(json!({ "email": "a@b.example", "role": "king" })).await["detail"].as_str().unwrap().contains("role")
    );
    invite(json!({ "email": "a@b.example", "name": "x".repeat(201) })).await;
    invite(json!([])).await;

    let twice = app.admin(Method::POST, "/users").header("content-type", "application/json");
    app.send(twice.body(r#"{"email":"a@b.example","email":"c@d.example"}"#)).await.expect(400);
    let text = app.admin(Method::POST, "/users").header("content-type", "text/plain").body("{}");
    app.send(text).await.expect(415);
    let condition =
        app.admin(Method::POST, "/users").header("if-match", "soon").json(&json!({ "email": "a@b.example" }));
    app.send(condition).await.expect(400);
    assert_eq!(emails(&app.admin_get("/users").await), Vec::<String>::new());
}

#[tokio::test]
async fn people_are_searched_and_paged_newest_first() {
    let app = TestApp::start().await;
    for name in ["ana", "bob", "cem", "dan", "eve"] {
        let body = json!({ "email": format!("{name}@example.org"), "name": format!("{name} of the house") });
        app.admin_send(Method::POST, "/users", &body).await.expect(201);
    }
    let mut path = "/users?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = app.admin_get(&path).await.expect(200);
        seen.push(emails(&page));
        let Some(next) = page.json()["page"]["next"].as_str().map(ToOwned::to_owned) else { break };
        assert_eq!(page.header("link"), Some(format!("<{}>; rel=\"next\"", app.url(&next)).as_str()));
        path = next;
    }
    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let mut all = seen.concat();
    assert_eq!(all.first().map(String::as_str), Some("eve@example.org"));
    all.sort();
    assert_eq!(all.len(), 5);
    assert_eq!(emails(&app.admin_get("/users?search=BOB%40").await), ["bob@example.org"]);
    assert_eq!(emails(&app.admin_get("/users?search=house&status=disabled").await), Vec::<String>::new());

    let wrong = app.admin_get("/users?serach=bob").await.expect(400);
    assert_eq!(wrong.json()["invalid_params"][0]["did_you_mean"], "search");
    app.admin_get("/users?status=gone").await.expect(400);
    app.admin_get("/users?limit=few").await.expect(400);
    app.admin_get("/users?limit=1&limit=2").await.expect(400);
    app.admin_get("/users?after=nobody").await.expect(400);
    assert_eq!(app.admin_get("/users?limit=5000").await.json()["page"]["limit"], 1000);
}

#[tokio::test]
async fn a_change_is_made_only_of_the_version_that_was_seen() {
    let app = TestApp::start().await;
    app.admin_send(Method::PUT, "/plans/gold", &json!({ "rate_per_s": 50, "burst": 100, "quota_per_day": 100_000 }))
        .await
        .expect(201);
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let path = format!("/users/{id}");
    app.eventually("the mail to be written down", async || {
        (app.admin_get(&path).await.json()["status"] == "active").then_some(())
    })
    .await;
    let version = app.admin_get(&path).await.json()["version"].as_u64().unwrap();
    let patch = async |version: u64, key: &str, body: &Value| {
        let request = app.admin(Method::PATCH, &path).header("if-match", format!("\"{version}\""));
        app.send(request.header("idempotency-key", key).json(body)).await
    };
    let body = json!({ "plan": "default", "role": "reader", "status": "disabled" });
    let changed = patch(version, "change", &body).await.expect(200);
    assert_eq!((&changed.json()["role"], &changed.json()["status"]), (&json!("reader"), &json!("disabled")));
    assert_eq!(changed.header("etag"), Some(format!("\"{}\"", version + 1).as_str()));
    assert_eq!(patch(version, "change", &body).await.expect(200).json(), changed.json());

    let stale = patch(version, "later", &json!({ "status": "active" })).await.expect(412);
    assert_eq!(stale.json()["current_version"], version + 1);
    assert_eq!(app.admin_get(&path).await.json()["status"], "disabled");

    let both = app.admin_send(Method::PATCH, &path, &json!({ "status": "active", "plan": "gold" })).await.expect(200);
    assert_eq!((&both.json()["plan"], &both.json()["status"]), (&json!("gold"), &json!("active")));
    app.admin_send(Method::PATCH, &path, &json!({ "status": "disabled", "plan": "tin" })).await.expect(400);
    assert_eq!(app.admin_get(&path).await.json()["status"], "active", "all of a change takes place, or none");
    app.admin_send(Method::PATCH, &path, &json!({ "status": "deleted" })).await.expect(400);
    app.admin_send(Method::PATCH, &path, &json!({})).await.expect(400);
}

#[tokio::test]
async fn roles_are_given_and_what_is_none_is_told() {
    let app = TestApp::start().await;
    let invite = json!({ "email": "ana@example.org", "role": "manager" });
    let user = app.admin_send(Method::POST, "/users", &invite).await.expect(201).json();
    assert_eq!(user["role"], "manager");
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    for role in ["reader", "manager"] {
        let changed = app.admin_send(Method::PATCH, &path, &json!({ "role": role })).await.expect(200).json();
        assert_eq!(changed["role"], role);
    }
    // What else is wrong with a body is told without the words of a programming language.
    for (body, words) in [
        (json!({ "email": 5 }), "at `email`: a text is expected, not 5"),
        (json!({ "email": "a@b.org", "role": "king" }), "at `role`: a role is `reader`, `manager` or `admin`"),
        (json!({}), "`email` is missing"),
    ] {
        let refused = app.admin_send(Method::POST, "/users", &body).await.expect(400).json();
        assert_eq!(refused["detail"], words);
    }
    let limits = json!({ "rate_per_s": 1, "burst": 1.5, "quota_per_day": 1 });
    let refused = app.admin_send(Method::PUT, "/plans/p", &limits).await.expect(400).json();
    assert_eq!(refused["detail"], "at `burst`: a whole number from 0 to 4294967295 is expected, not 1.5");
}

#[tokio::test]
async fn the_default_plan_is_marked_and_not_retired() {
    let app = TestApp::start().await;
    app.admin_send(Method::PUT, "/plans/p", &json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 1 }))
        .await
        .expect(201);
    let plans = app.admin_get("/plans").await.expect(200).json();
    let marks: Vec<(&str, bool)> = plans["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (plan["name"].as_str().unwrap(), plan["is_default"].as_bool().unwrap()))
        .collect();
    assert_eq!(marks, [("default", true), ("p", false)]);
    let refused = app.send(app.admin(Method::DELETE, "/plans/default")).await.expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("users.default_plan"), "{refused}");
    assert_eq!(app.admin_get("/plans/default").await.json()["retired"], false);
}

#[tokio::test]
async fn plans_are_defined_changed_and_retired() {
    let app = TestApp::start().await;
    let limits = json!({ "rate_per_s": 2.5, "burst": 7, "quota_per_day": 70 });
    let created = app.admin_send(Method::PUT, "/plans/small", &limits).await.expect(201);
    assert_eq!(created.header("location"), Some(app.url("/plans/small").as_str()));
    let more = json!({ "rate_per_s": 3, "burst": 7, "quota_per_day": 70 });
    let changed = app.admin_send(Method::PUT, "/plans/small", &more).await.expect(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    let stale = app.admin(Method::PUT, "/plans/small").header("if-match", "\"1\"").json(&limits);
    app.send(stale).await.expect(412);

    let shown = app.admin_get("/plans/small").await.expect(200);
    assert_eq!((&shown.json()["rate_per_s"], &shown.json()["retired"]), (&json!(3.0), &json!(false)));
    assert_eq!(shown.header("etag"), Some("\"2\""));
    app.send(app.admin(Method::DELETE, "/plans/small")).await.expect(200);
    let names = app.admin_get("/plans").await.expect(200).json();
    assert_eq!((&names["data"][1]["name"], &names["data"][1]["retired"]), (&json!("small"), &json!(true)));
    app.admin_send(Method::POST, "/users", &json!({ "email": "ana@example.org", "plan": "small" })).await.expect(400);

    app.admin_get("/plans/gold").await.expect(404);
    app.send(app.admin(Method::DELETE, "/plans/gold")).await.expect(404);
    app.admin_send(Method::PUT, "/plans/Gold", &limits).await.expect(400);
    app.admin_send(Method::PUT, "/plans/gold", &json!({ "rate_per_s": 0, "burst": 1, "quota_per_day": 1 }))
        .await
        .expect(400);
    app.admin_send(Method::PUT, "/plans/gold", &json!({ "rate_per_s": 1, "burst": 1 })).await.expect(400);
}

#[tokio::test]
async fn the_log_is_read_from_both_ends_and_keeps_personal_data_sealed() {
    let app = TestApp::start().await;
    let (id, key) = app.invite_as(&json!({ "email": "ana.unusual@example.org", "name": "Ana Unusual" })).await;
    let of_user = app
        .eventually("the mail to be written down", async || {
            let events = app.admin_get(&format!("/users/{id}/events")).await.expect(200);
            (events.json()["data"].as_array().unwrap().len() == 4).then_some(events)
        })
        .await;
    let types = |answer: &Answer| -> Vec<String> {
        let list = answer.json()["data"].as_array().unwrap().clone();
        list.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&of_user), ["UserInvited", "ApiKeyIssued", "LinkIssued", "ApiKeyMailed"]);
    for text in ["unusual", "Unusual", &key] {
        assert!(!of_user.body.contains(text), "{text} is in the log");
    }
    let oldest = app.admin_get("/events?limit=1").await.expect(200);
    assert_eq!(types(&oldest), ["AdminTokenIssued"]);
    let next = oldest.json()["page"]["next"].as_str().unwrap().to_owned();
    assert_eq!(types(&app.admin_get(&next).await.expect(200)), ["PlanDefined"]);
    let newest = app.admin_get("/events?order=newest&limit=2").await.expect(200);
    assert_eq!(types(&newest), ["ApiKeyMailed", "ApiKeyIssued", "LinkIssued"]);
    let next = newest.json()["page"]["next"].as_str().unwrap().to_owned();
    let last = app.admin_get(&next).await.expect(200);
    assert_eq!(types(&last), ["UserInvited", "PlanDefined"]);
    let next = last.json()["page"]["next"].as_str().unwrap().to_owned();
    let last = app.admin_get(&next).await.expect(200);
    assert_eq!(types(&last), ["AdminTokenIssued"]);
    assert_eq!(last.json()["page"]["next"], Value::Null);
    app.admin_get("/events?order=sideways").await.expect(400);
    for beyond in ["/events".to_owned(), format!("/users/{id}/events")] {
        let page = app.admin_get(&format!("{beyond}?after={}", u64::MAX)).await.expect(200).json();
        assert_eq!((&page["data"], &page["page"]["next"]), (&json!([]), &Value::Null), "nothing lies beyond the end");
    }
    app.admin_get("/users/00000000-0000-0000-0000-000000000000/events").await.expect(404);
}

#[tokio::test]
async fn imports_and_data_sets_are_shown() {
    let app = TestApp::with_sample(40).await;
    let imports = app.admin_get("/imports").await.expect(200).json();
    let import = &imports["data"][0];
    assert_eq!((&import["status"], &import["counts"]["inserted"]), (&json!("completed"), &json!(40)));
    let path = format!("/imports/{}", import["id"].as_str().unwrap());
    let shown = app.admin_get(&path).await.expect(200).json();
    assert_eq!(
        ["id", "status", "counts"].map(|name| &shown[name]),
        ["id", "status", "counts"].map(|name| &import[name])
    );
    assert_eq!(app.admin_get("/imports?dataset=other").await.json()["data"], json!([]));
    app.admin_get("/imports/1").await.expect(404);
    app.admin_get("/imports/00000000-0000-0000-0000-000000000000").await.expect(404);

    let set = app.admin_get("/datasets").await.expect(200).json()["data"][0].clone();
    assert_eq!((&set["name"], &set["path"]), (&json!("permits"), &json!("/permits")));
    assert_eq!((&set["records"], &set["version"]), (&json!(40), &json!(1)));
    let columns = set["columns"].as_array().unwrap();
    assert!(columns.iter().any(|column| column["name"] == "estimated_cost" && column["type"] == "money"));
}

#[tokio::test]
async fn who_has_no_token_learns_only_that() {
    let app = TestApp::start().await;
    let (id, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let nobody = format!("/users/{id}");
    for (method, path) in [
        (Method::GET, "/users"),
        (Method::POST, "/users"),
        (Method::GET, nobody.as_str()),
        (Method::PATCH, nobody.as_str()),
        (Method::DELETE, nobody.as_str()),
        (Method::GET, "/plans"),
        (Method::PUT, "/plans/gold"),
        (Method::GET, "/events"),
        (Method::GET, "/imports"),
        (Method::GET, "/dead-letters"),
        (Method::POST, "/dead-letters/1/redrive"),
        (Method::GET, "/admin/counters"),
    ] {
        for token in [None, Some("pmt_admin_0000"), Some(key.as_str())] {
            // The body is not even JSON.
            let request = app.request(method.clone(), path).body("?");
            let request = token.map_or_else(|| app.request(method.clone(), path), |token| request.bearer_auth(token));
            let refused = app.send(request).await.expect(401);
            assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"permitd\""), "{method} {path}");
            assert_eq!(refused.json()["type"], "/problems/invalid-token");
        }
    }
    // Data sets are listed for keys, too, wherever a key is shown.
    for token in [None, Some("pmt_admin_0000")] {
        let request = app.request(Method::GET, "/datasets");
        let request = token.map_or_else(|| app.request(Method::GET, "/datasets"), |token| request.bearer_auth(token));
        app.send(request).await.expect(401);
    }
}

#[tokio::test]
async fn every_resource_names_the_methods_that_it_has() {
    let app = TestApp::start().await;
    for (path, allow) in [
        ("/users", "GET, HEAD, POST"),
        ("/users/1", "GET, HEAD, PATCH, DELETE"),
        ("/users/1/invitations", "POST"),
        ("/users/1/usage", "GET, HEAD"),
        ("/users/1/events", "GET, HEAD"),
        ("/users/1/keys", "GET, HEAD, POST"),
        ("/users/1/keys/2", "GET, HEAD, PATCH, DELETE"),
        ("/users/1/keys/2/rotate", "POST"),
        ("/plans", "GET, HEAD"),
        ("/plans/gold", "GET, HEAD, PUT, DELETE"),
        ("/events", "GET, HEAD"),
        ("/imports", "GET, HEAD, POST"),
        ("/imports/1", "GET, HEAD"),
        ("/datasets", "GET, HEAD"),
        ("/dead-letters", "GET, HEAD"),
        ("/dead-letters/1/redrive", "POST"),
        ("/", "GET, HEAD"),
        ("/admin", "GET, HEAD"),
    ] {
        let refused = app.send(app.admin(Method::TRACE, path)).await.expect(405);
        assert_eq!(refused.header("allow"), Some(allow), "{path}");
    }
    app.admin_get("/users/1").await.expect(404);
    app.admin_get("/users/00000000-0000-0000-0000-000000000000").await.expect(404);
    app.admin_send(Method::POST, "/users/00000000-0000-0000-0000-000000000000/keys", &json!({})).await.expect(404);
}
