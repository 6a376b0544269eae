//! How many requests an actor works on at the same time. A store that does not answer is one whose database somebody else writes to.

use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp};

const ROOM: usize = 3;

/// A server whose actors have little room, and whose requests wait for as long as it takes.
async fn app() -> TestApp {
    let room = ROOM.to_string();
    let app = TestApp::set(&[("actors.mailbox_capacity", &room), ("actors.send_timeout_ms", "600000")], 0).await;
    // The use of the token is noted now, and not while the store does not answer.
    app.admin_get("/users").await.expect(200);
    app
}

/// Has nothing more written until what it returns is gone.
fn hold_up(app: &TestApp) -> Connection {
    let store = Connection::open(app.data().join("permitd.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    store
}

/// Sends these at the same time while nothing is written, until one of them is answered; that answer, with its place among them, and
/// those of the others, which come when the store answers again.
async fn crowd(app: &TestApp, method: &Method, sent: &[(String, Value)]) -> ((usize, Answer), Vec<Answer>) {
    let store = hold_up(app);
    let send =
        async |place: usize, (path, body): &(String, Value)| (place, app.admin_send(method.clone(), path, body).await);
    let mut answers: FuturesUnordered<_> = sent.iter().enumerate().map(|(place, one)| send(place, one)).collect();
    let first = answers.next().await.unwrap();
    drop(store);
    (first, answers.map(|(_, answer)| answer).collect().await)
}

fn check(refused: &Answer, others: &[Answer], status: u16) {
    assert_eq!(
        (refused.status, refused.json()["type"].as_str()),
        (503, Some("/problems/overloaded")),
        "{}",
        refused.body
    );
    assert!(refused.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()), "{:?}", refused.headers);
    assert_eq!(others.len(), ROOM);
    assert!(others.iter().all(|answer| answer.status == status), "{others:?}");
}

#[actix_web::test]
async fn who_comes_while_an_actor_works_on_as_much_as_it_may_is_refused_at_once() {
    let app = app().await;
    let email = |n: usize| json!({ "email": format!("user{n}@example.org") });
    let all: Vec<_> = (0..=ROOM).map(|n| ("/users".to_owned(), email(n))).collect();
    let ((place, refused), others) = crowd(&app, &Method::POST, &all).await;
    check(&refused, &others, 201);
    // Nothing of it was done, and there is room again.
    app.admin_send(Method::POST, "/users", &email(place)).await.expect(201);
    assert_eq!(app.admin_get("/users").await.expect(200).json()["data"].as_array().unwrap().len(), ROOM + 1);
}

#[actix_web::test]
async fn each_actor_has_room_of_its_own() {
    let app = app().await;
    let plan = json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 10 });
    let all: Vec<_> = (0..=ROOM).map(|n| (format!("/plans/p{n}"), plan.clone())).collect();
    let ((place, refused), others) = crowd(&app, &Method::PUT, &all).await;
    check(&refused, &others, 201);
    app.admin_send(Method::PUT, &format!("/plans/p{place}"), &plan).await.expect(201);
}
