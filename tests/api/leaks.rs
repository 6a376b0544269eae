//! Reports of leaked keys: what is ours is revoked, and whoever reports learns nothing.

use permitd::{
    actors::{account::AccountCommand, commit::Envelope},
    domain::{
        event::{Origin, Role},
        id::{CommandId, UserId, Who},
        key::{AdminToken, ApiKey, KeyId, SECRET_BYTES},
        session_token::SessionToken,
    },
};
use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::{member, sign_in},
    app::{Answer, TestApp},
};

const PATH: &str = "/permits/201612013997";

async fn report(app: &TestApp, text: &str) -> Answer {
    app.send(app.request(Method::POST, "/leaks").header("content-type", "text/plain").body(text.to_owned())).await
}

async fn ends(app: &TestApp, key: &str) {
    app.eventually("the end of the key", async || (app.get(PATH, key).await.status == 401).then_some(())).await;
}

/// Makes somebody an administrator.
async fn raise(app: &TestApp, user: &str) {
    let service = app.service();
    let origin = Origin { who: Who::system("test"), correlation_id: "test".to_owned(), causation_id: None };
    let command = CommandId::unique(service.committer.new_id().unwrap());
    let envelope = Envelope::new(command, origin);
    let user = UserId::parse(user).unwrap();
    service.accounts.perform(user, AccountCommand::ChangeRole(Role::Admin), envelope).await.unwrap();
}

#[tokio::test]
async fn a_key_in_a_report_is_revoked_and_its_owner_and_the_administrators_are_told() {
    let app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    let (boss, _) = app.invite_as(&json!({ "email": "boss@example.org" })).await;
    app.invite("ben@example.org").await;
    raise(&app, &boss).await;
    let text = format!("commit 0123\n+export KEY=\"{key}\" # {key}\n");
    report(&app, &text).await.expect(202);
    ends(&app, &key).await;
    let told = app.notice_to("ana@example.org", "leaked").await;
    assert!(
        told.text.contains("Ana") && told.text.contains("was revoked") && told.text.contains(&key[4..20]),
        "{}",
        told.text
    );
    assert!(!told.text.contains(&key), "the key itself is not repeated");
    let told = app.notice_to("boss@example.org", "leaked").await;
    assert!(told.text.contains(&user) && told.text.contains(&key[4..20]), "{}", told.text);
    assert!(!told.text.contains("Ana") && !told.text.contains("ana@"), "{}", told.text);
    // Once, however often it is reported.
    for _ in 0..3 {
        report(&app, &text).await.expect(202);
    }
    let other = app.invite("eve@example.org").await;
    report(&app, &other).await.expect(202);
    app.notice_to("eve@example.org", "leaked").await;
    let mails = |address: &str| app.mails().into_iter().filter(|mail| mail.to == address).count();
    app.eventually("the mail about the other key", async || (mails("boss@example.org") == 3).then_some(())).await;
    assert_eq!((mails("ana@example.org"), mails("ben@example.org")), (2, 1));
    let keys = app.admin_get(&format!("/users/{user}/keys")).await.expect(200).json();
    assert_eq!(keys["data"][0]["revocation_reason"], "leaked");
    let events = app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
    let of_type = |name: &str| events["data"].as_array().unwrap().iter().filter(|event| event["type"] == name).count();
    assert_eq!((of_type("ApiKeyRevoked"), of_type("LeakNoticeMailed")), (1, 2));
    assert_eq!(app.service().leaks.counts().revoked, 2);
}

/// A session ends, a link is voided, an administrator's token is revoked, be it the last one; those who should know are told.
#[tokio::test]
async fn sessions_links_and_administrators_tokens_in_a_report_end() {
    let app = TestApp::with_sample(5).await;
    let user = member(&app, "ana@example.org").await;
    let (boss, _) = app.invite_as(&json!({ "email": "boss@example.org" })).await;
    raise(&app, &boss).await;
    let (token, other) = (sign_in(&app, "ana@example.org").await, sign_in(&app, "ana@example.org").await);
    let me = async |token: &str| app.send(app.request(Method::GET, "/me").bearer_auth(token)).await.status;
    // What only looks like the session ends nothing.
    let forged = SessionToken::new(KeyId::parse(&token[4..20]).unwrap(), &[7; SECRET_BYTES]);
    report(&app, forged.reveal()).await.expect(202);
    report(&app, &format!("GET /me\nauthorization: Bearer {token}\n")).await.expect(202);
    app.eventually("the end of the session", async || (me(&token).await == 401).then_some(())).await;
    app.send(app.request(Method::GET, PATH).bearer_auth(&token)).await.expect(401);
    assert_eq!(me(&other).await, 200);
    let told = app.notice_to("ana@example.org", "leaked").await;
    assert!(told.text.contains("your session") && told.text.contains(&token[4..20]), "{}", told.text);
    assert!(!told.text.contains(&token) && !told.text.contains("API key"), "{}", told.text);
    let told = app.notice_to("boss@example.org", "leaked").await;
    assert!(told.text.contains(&user) && told.text.contains("the session"), "{}", told.text);

    let (eve, _) = app.invite_as(&json!({ "email": "eve@example.org" })).await;
    let link = app.mail_to("eve@example.org", 1).await.links[0].clone();
    report(&app, &format!("https://data.example.org{link}")).await.expect(202);
    let told = app.notice_to("eve@example.org", "leaked").await;
    assert!(told.text.contains("a link that") && !told.text.contains("pml_"), "{}", told.text);
    let used = app.request(Method::POST, &link).json(&json!({ "password": "correct horse battery" }));
    assert_eq!(app.send(used).await.expect(410).json()["type"], "/problems/link-over");
    let events = app.admin_get(&format!("/users/{eve}/events")).await.expect(200).json();
    let voided = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "LinkVoided").count();
    assert_eq!(voided, 1);

    report(&app, &app.admin_token).await.expect(202);
    app.eventually("the end of the token", async || (app.admin_get("/users").await.status == 401).then_some(())).await;
    // It is counted after it has come to be.
    app.eventually("the third count", async || (app.service().leaks.counts().revoked == 3).then_some(())).await;
}

/// The answer is the same whatever the text holds, and what is not the whole of a key ends none.
#[tokio::test]
async fn a_report_tells_nothing_and_a_guess_ends_nothing() {
    let app = TestApp::with_sample(5).await;
    let (key, other) = (app.invite("ana@example.org").await, app.invite("ben@example.org").await);
    let forged = ApiKey::new(KeyId::parse(&key[4..20]).unwrap(), &[7; SECRET_BYTES]).reveal().to_owned();
    let token = AdminToken::new(KeyId::from_random([1; 12]), &[7; SECRET_BYTES]).reveal().to_owned();
    let cut = key[..key.len() - 1].to_owned();
    let texts = ["nothing", "", &forged, &token, &cut, &key[4..20], &other];
    let mut answers = Vec::new();
    for text in texts {
        let answer = report(&app, text).await.expect(202);
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        answers.push((names, answer.body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Reports are worked on in their order.
    ends(&app, &other).await;
    app.get(PATH, &key).await.expect(200);
    assert!(app.mails().iter().all(|mail| mail.to != "ana@example.org" || mail.key.is_some()));
}

#[tokio::test]
async fn reports_are_bounded_and_read_as_text_and_json() {
    let app = TestApp::set(&[("http.leak_reports_max", "7")], 5).await;
    let key = app.invite("ana@example.org").await;
    let post = || app.request(Method::POST, "/leaks");
    app.send(app.request(Method::GET, "/leaks")).await.expect(405);
    app.send(post().body(key.clone())).await.expect(415);
    app.send(post().header("content-type", "application/xml").body(key.clone())).await.expect(415);
    app.send(post().json(&json!({ "txt": key }))).await.expect(400);
    app.send(post().header("content-type", "text/plain").body("x".repeat(64 * 1024 + 1))).await.expect(413);
    app.send(app.request(Method::POST, "/leaks?key=1").header("content-type", "text/plain").body("")).await.expect(400);
    app.get(PATH, &key).await.expect(200);
    app.send(post().json(&json!({ "text": format!("{}{key}", "x".repeat(60_000)) }))).await.expect(202);
    ends(&app, &key).await;
    let last = report(&app, "").await;
    let limited = [report(&app, "").await, report(&app, "").await];
    assert_eq!(last.status, 202, "{}", last.body);
    for (answer, wait) in limited.iter().zip(["1", "2"]) {
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some(wait)), "{}", answer.body);
        assert_eq!(answer.json()["type"], "/problems/too-many-from-address");
    }
}

#[tokio::test]
async fn mails_about_a_leak_leave_the_outbox_with_their_reader() {
    let app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    report(&app, &key).await.expect(202);
    app.notice_to("ana@example.org", "leaked").await;
    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    app.eventually("an outbox without their mails", async || app.mails().is_empty().then_some(())).await;
}
