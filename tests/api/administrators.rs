//! The last administrator who can sign in is not removed, disabled or lowered.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    MODE, accounts,
    app::{Answer, TestApp},
    support::backend::Mode,
};

async fn invite(app: &TestApp, name: &str, role: &str) -> String {
    let (user, _) = app.invite_as(&json!({ "email": format!("{name}@example.org"), "role": role })).await;
    format!("/users/{user}")
}

/// Invites somebody, who sets a password.
async fn member(app: &TestApp, name: &str, role: &str) -> String {
    let user = accounts::member_as(app, &format!("{name}@example.org"), role).await;
    format!("/users/{user}")
}

async fn patch(app: &TestApp, path: &str, body: Value) -> Answer {
    app.admin_send(Method::PATCH, path, &body).await
}

/// What takes an administrator away.
async fn each_removal(app: &TestApp, path: &str) -> Vec<Answer> {
    vec![
        patch(app, path, json!({ "role": "manager" })).await,
        patch(app, path, json!({ "status": "disabled" })).await,
        app.send(app.admin(Method::DELETE, path)).await,
    ]
}

#[tokio::test]
async fn the_last_administrator_stays_until_there_is_another() {
    let app = TestApp::start().await;
    let (ana, ben) = (member(&app, "ana", "admin").await, member(&app, "ben", "reader").await);
    for refused in each_removal(&app, &ana).await {
        let refused = refused.expect(409).json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("last administrator") && detail.contains("--role admin"), "{detail}");
    }
    let shown = app.admin_get(&ana).await.expect(200).json();
    assert_eq!((&shown["role"], shown["version"].as_u64()), (&json!("admin"), shown["version"].as_u64()));
    patch(&app, &ana, json!({ "plan": "default", "role": "admin" })).await.expect(200);

    patch(&app, &ben, json!({ "role": "admin" })).await.expect(200);
    patch(&app, &ana, json!({ "status": "disabled" })).await.expect(200);
    // Whoever is disabled cannot sign in, and is none of those who are left.
    patch(&app, &ben, json!({ "role": "reader" })).await.expect(409);
    patch(&app, &ana, json!({ "status": "active" })).await.expect(200);
    app.send(app.admin(Method::DELETE, &ben)).await.expect(200);
    patch(&app, &ana, json!({ "role": "reader" })).await.expect(409);

    let key = async |path: &str, body: Value| {
        let request = app.admin(Method::PATCH, path).header("idempotency-key", "lower").json(&body);
        app.send(request).await
    };
    let first = key(&ana, json!({ "role": "reader" })).await.expect(409);
    let eve = member(&app, "eve", "admin").await;
    let again = key(&ana, json!({ "role": "reader" })).await.expect(409);
    assert_eq!(first.json()["detail"], again.json()["detail"], "a repeated command gets its first answer");
    patch(&app, &ana, json!({ "role": "reader" })).await.expect(200);
    patch(&app, &eve, json!({ "role": "reader" })).await.expect(409);
}

/// Whoever has set no password cannot sign in: they may come and go, and leave nobody without an administrator.
#[tokio::test]
async fn somebody_without_a_password_is_no_administrator_yet() {
    let app = TestApp::start().await;
    let ana = invite(&app, "ana", "admin").await;
    patch(&app, &ana, json!({ "role": "reader" })).await.expect(200);
    patch(&app, &ana, json!({ "role": "admin" })).await.expect(200);
    let ben = member(&app, "ben", "admin").await;
    for refused in each_removal(&app, &ben).await {
        refused.expect(409);
    }
    accounts::set_password(&app, "ana@example.org").await;
    patch(&app, &ben, json!({ "role": "reader" })).await.expect(200);
    patch(&app, &ana, json!({ "role": "reader" })).await.expect(409);
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_at_once_one_is_left() {
    let app = TestApp::start().await;
    // Where a deployment has several servers, by two of them.
    let beside = if matches!(MODE, Mode::Aws) { Some(app.beside().await) } else { None };
    let second = beside.as_ref().unwrap_or(&app);
    let (ana, ben) = (member(&app, "ana", "admin").await, member(&app, "ben", "admin").await);
    for round in 0..12 {
        let remove = async |app: &TestApp, path: &str| match round % 2 {
            0 => patch(app, path, json!({ "role": "reader" })).await.status,
            _ => patch(app, path, json!({ "status": "disabled" })).await.status,
        };
        let (one, other) = tokio::join!(remove(&app, &ana), remove(second, &ben));
        let mut statuses = [one, other];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "round {round}");
        for path in [&ana, &ben] {
            patch(&app, path, json!({ "role": "admin", "status": "active" })).await.expect(200);
        }
    }
}

/// A store that was written before there was a set knows its administrators from the log.
#[tokio::test]
async fn without_a_set_the_administrators_are_those_of_the_log() {
    if !matches!(MODE, Mode::Sqlite) {
        return;
    }
    let app = TestApp::start().await;
    let (ana, ben) = (member(&app, "ana", "admin").await, member(&app, "ben", "admin").await);
    let forget = |sql: &str| {
        let store = rusqlite::Connection::open(app.data().join("permitd.db")).unwrap();
        store.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        assert_eq!(store.execute(sql, []).unwrap(), 1);
    };
    forget("DELETE FROM administrators");
    patch(&app, &ana, json!({ "role": "reader" })).await.expect(200);
    forget("DELETE FROM administrators");
    patch(&app, &ben, json!({ "role": "reader" })).await.expect(409);
    // Nor does a set help that names somebody who is none: it may be of another moment.
    let ana_id = ana.rsplit('/').next().unwrap();
    patch(&app, &ben, json!({ "status": "active", "role": "admin" })).await.expect(200);
    let ben_id = ben.rsplit('/').next().unwrap();
    forget(&format!("INSERT INTO administrators (one, users) VALUES (1, '{ana_id},{ben_id}')"));
    patch(&app, &ben, json!({ "status": "disabled" })).await.expect(409);
}
