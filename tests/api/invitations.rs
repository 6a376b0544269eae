//! Invitations of many, how far each has come, and people as they were.

use permitd::{
    actors::commit::Envelope,
    clock::ManualClock,
    domain::{
        event::{Event, Origin, Role},
        id::{CommandId, StreamId, UserId, Who},
        personal::Personal,
        view::State,
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, Options, TestApp};

async fn send(app: &TestApp, query: &str, key: Option<&str>, list: &str) -> Answer {
    let request =
        app.admin(Method::POST, &format!("/invitations{query}")).header("content-type", "text/csv; charset=utf-8");
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    app.send(request.body(list.to_owned())).await
}

fn actions(answer: &Answer) -> Vec<(u64, String)> {
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| (row["line"].as_u64().unwrap(), row["action"].as_str().unwrap().to_owned())).collect()
}

async fn emails(app: &TestApp, query: &str) -> Vec<String> {
    let users = app.admin_get(&format!("/users{query}")).await.expect(200).json();
    let mut emails: Vec<String> =
        users["data"].as_array().unwrap().iter().filter_map(|user| Some(user["email"].as_str()?.to_owned())).collect();
    emails.sort();
    emails
}

const LIST: &str =
    "email,name,role,plan\nana@example.org,Ana,,\nbob,Bob,,\neve@example.org,Eve,manager,\ndan@example.org,,,gold\n";

#[tokio::test]
async fn a_list_is_looked_at_then_all_of_it_or_what_is_good_is_invited() {
    let app = TestApp::start().await;
    app.invite("eve@example.org").await;
    let named =
        |rows: &[(u64, &str)]| rows.iter().map(|(line, action)| (*line, (*action).to_owned())).collect::<Vec<_>>();
    let preview = send(&app, "?dry_run=true", None, LIST).await.expect(200);
    assert_eq!(actions(&preview), named(&[(2, "invite"), (3, "wrong"), (4, "exists"), (5, "wrong")]));
    let shown = preview.json();
    assert_eq!((&shown["counts"]["wrong"], &shown["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(shown["data"][1]["reason"], "not an e-mail address: it has no @");
    assert!(shown["data"][3]["reason"].as_str().unwrap().contains("gold"), "{shown}");

    let refused = send(&app, "", None, LIST).await.expect(400).json();
    assert_eq!(refused["rows"].as_array().unwrap().len(), 2);
    assert_eq!(emails(&app, "").await, ["eve@example.org"], "all or nobody");

    let invited = send(&app, "?mode=good", None, LIST).await.expect(200);
    assert_eq!(actions(&invited), named(&[(2, "invited"), (3, "wrong"), (4, "exists"), (5, "wrong")]));
    app.mail_to("ana@example.org", 1).await;
    assert_eq!(emails(&app, "").await, ["ana@example.org", "eve@example.org"]);
    assert_eq!(emails(&app, "?invitation=failed").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_list_that_is_sent_again_invites_nobody_twice() {
    let app = TestApp::start().await;
    let list = "email\nana@example.org\nbob@example.org\n";
    let first = send(&app, "", Some("k"), list).await.expect(200);
    assert_eq!(first.json()["counts"]["invited"], 2);
    let again = send(&app, "", Some("k"), list).await.expect(200);
    assert_eq!(again.json()["data"], first.json()["data"], "the first answer");
    let other = send(&app, "", Some("k"), "email\neve@example.org\n").await.expect(422);
    assert_eq!(other.json()["type"], "/problems/idempotency-key-reused");
    send(&app, "?mode=good", Some("k"), list).await.expect(422);
    let anew = send(&app, "", None, list).await.expect(200);
    assert_eq!(anew.json()["counts"]["exists"], 2);
    app.mail_to("ana@example.org", 1).await;
    app.mail_to("bob@example.org", 1).await;
    assert_eq!(app.mails().len(), 2);
    assert_eq!(emails(&app, "").await.len(), 2);
}

#[tokio::test]
async fn the_bound_of_an_hour_holds_for_lists() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = vec![("mail.invitations_per_hour_max", "3".to_owned())];
    let app = TestApp::with(Options { clock: clock.clone(), settings, ..Options::default() }).await;
    let list = "email\na@b.org\nb@b.org\nc@b.org\nd@b.org\ne@b.org\n";
    let preview = send(&app, "?dry_run=true", None, list).await.expect(200).json();
    assert_eq!((&preview["counts"]["invite"], &preview["counts"]["deferred"]), (&json!(3), &json!(2)));
    let refused = send(&app, "", None, list).await.expect(429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(emails(&app, "").await.len(), 0, "all or nobody");
    let some = send(&app, "?mode=good", Some("good"), list).await.expect(200).json();
    assert_eq!((&some["counts"]["invited"], &some["counts"]["deferred"]), (&json!(3), &json!(2)));
    assert!((3595..=3600).contains(&some["retry_after_s"].as_u64().unwrap()), "{some}");
    clock.advance_us(3_600_000_000);
    let rest = send(&app, "?mode=good", Some("good"), list).await.expect(200).json();
    assert_eq!((&rest["counts"]["invited"], &rest["counts"]["deferred"]), (&json!(5), &json!(0)));
}

#[tokio::test]
async fn what_is_no_list_is_refused_with_what_to_do() {
    let app = TestApp::start().await;
    let words =
        async |list: &str| send(&app, "", None, list).await.expect(400).json()["detail"].as_str().unwrap().to_owned();
    assert!(words("").await.contains("first line"));
    assert!(words("email,phone\na@b.org,1\n").await.contains("\"phone\""));
    send(&app, "?mode=some", None, "email\na@b.org\n").await.expect(400);
    let json = app.admin(Method::POST, "/invitations").json(&json!({ "email": "a@b.org" }));
    app.send(json).await.expect(415);
    let large = "x".repeat(9 * 1024 * 1024);
    send(&app, "", None, &large).await.expect(413);
}

/// Somebody whose invitation was not mailed: no mailer comes to it, since they are disabled in the same commit, and enabled later.
async fn not_mailed(app: &TestApp, email: &str, has_failed: bool) -> String {
    let committer = &app.service().committer;
    let (id, invitation) = (committer.new_id().unwrap(), Uuid::from_u128(7));
    let origin = Origin { who: Who::system("test"), correlation_id: String::new(), causation_id: None };
    let command = CommandId::unique(id);
    let envelope = Envelope::new(command, origin);
    let decide = |_: &State| {
        let (email, plan) = (Personal::Known(email.to_owned()), "default".to_owned());
        let invited = Event::UserInvited { email, name: None, role: Role::Reader, plan, invitation };
        let reason = Personal::Known("no such mailbox".to_owned());
        let failed = Event::MailFailed { invitation, class: "550".to_owned(), reason };
        let failed = has_failed.then_some(failed);
        Ok([invited].into_iter().chain(failed).chain([Event::UserDisabled]).collect())
    };
    committer.run(&StreamId::User(UserId(id)), &envelope, decide).await.unwrap();
    // The message of the invitation is looked at while they are disabled.
    let is_done = async || {
        let queue = app.admin_get("/admin/counters").await.json()["queue"].clone();
        (queue["visible"] == 0 && queue["in_flight"] == 0).then_some(())
    };
    app.eventually("the message to be looked at", is_done).await;
    app.admin_send(Method::PATCH, &format!("/users/{id}"), &json!({ "status": "active" })).await.expect(200);
    id.to_string()
}

#[tokio::test]
async fn how_far_an_invitation_has_come_is_told_and_what_was_not_delivered_is_mailed_again() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    app.invite("dan@example.org").await;
    let ana = not_mailed(&app, "ana@example.org", true).await;
    let bob = not_mailed(&app, "bob@example.org", false).await;
    let state = async |id: &str| app.admin_get(&format!("/users/{id}")).await.expect(200).json()["invitation"].clone();
    let at = "2026-03-01T12:00:00Z";
    assert_eq!(state(&ana).await, json!({ "state": "failed", "since": at, "expires_at": null }));
    assert_eq!(state(&bob).await, json!({ "state": "invited", "since": at, "expires_at": null }));
    assert_eq!(emails(&app, "?invitation=failed").await, ["ana@example.org"]);
    assert_eq!(emails(&app, "?invitation=invited&search=bob").await, ["bob@example.org"]);

    let resend = async |key: &str| {
        let request = app.admin(Method::POST, "/invitations/resend").header("idempotency-key", key);
        app.send(request.json(&json!({}))).await.expect(202).json()
    };
    let one = json!({ "resent": 1, "deferred": 0, "left": 0 });
    assert_eq!(resend("first").await, one, "what has only just been asked for is on its way");
    app.mail_to("ana@example.org", 1).await;
    assert_eq!(resend("first").await, one, "the first answer");
    let mailed = async || (state(&ana).await["state"] == "mailed").then_some(());
    app.eventually("her mail to be written down", mailed).await;
    clock.advance_us(3_600_000_000);
    assert_eq!(resend("second").await, one);
    app.mail_to("bob@example.org", 1).await;
    let mailed = async || (emails(&app, "?invitation=mailed").await.len() == 3).then_some(());
    app.eventually("all mails to be written down", mailed).await;
    assert_eq!(resend("third").await["resent"], 0);
    assert_eq!(app.mails().len(), 3);
}

/// What SES says of a mail that could not be delivered.
fn bounce(user: &str) -> String {
    let recipient = json!({ "emailAddress": "x@example.org", "status": "5.1.1", "diagnosticCode": "550 nobody" });
    let bounce = json!({
        "bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [recipient], "feedbackId": "b1",
    });
    let mail = json!({ "messageId": "m", "tags": { "permitd-user": [user] } });
    json!({ "eventType": "Bounce", "bounce": bounce, "mail": mail }).to_string()
}

#[tokio::test]
async fn an_invitation_is_followed_from_its_mail_to_the_first_request() {
    const WEEK_US: i64 = 7 * 86_400_000_000;
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 5, ..Options::default() }).await;
    let mut people = Vec::new();
    for email in ["ana@example.org", "bob@example.org", "dan@example.org", "eve@example.org"] {
        people.push(app.invite_as(&json!({ "email": email })).await);
    }
    let [(ana, _), (bob, bobs_key), (dan, _), _] = &people[..] else { panic!("four people") };
    let in_state = async |state: &str| emails(&app, &format!("?invitation={state}")).await;
    let shown = async |id: &str| app.admin_get(&format!("/users/{id}")).await.expect(200).json();
    app.eventually("the mails", async || (in_state("mailed").await.len() == 4).then_some(())).await;
    let before = shown(ana).await;
    assert_eq!(before["invitation"]["expires_at"], "2026-03-08T12:00:00Z", "{before}");
    assert_eq!(before["first_request_at"], Value::Null);

    // A scanner that follows links comes to nothing; whoever uses one has opened it.
    let link = app.mail_to("ana@example.org", 1).await.links[0].clone();
    for _ in 0..2 {
        app.send(app.request(Method::GET, &link)).await.expect(200);
    }
    assert_eq!(in_state("opened").await, Vec::<String>::new());
    let password = json!({ "password": "correct horse battery" });
    app.send(app.request(Method::POST, &link).json(&password)).await.expect(200);
    assert_eq!(in_state("opened").await, ["ana@example.org"]);

    // The first request is written down once.
    for _ in 0..3 {
        app.get("/permits/201612013997", bobs_key).await.expect(200);
    }
    app.eventually("the first request", async || (in_state("used").await == ["bob@example.org"]).then_some(())).await;
    clock.advance_us(2_000_000);
    app.get("/permits/201612013997", bobs_key).await.expect(200);
    assert_eq!(app.service().notices.counts().first_requests, 1);
    let events = app.admin_get(&format!("/users/{bob}/events")).await.expect(200).json();
    let accepted = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "InvitationAccepted");
    assert_eq!(accepted.count(), 1, "{events}");
    assert_eq!(shown(bob).await["first_request_at"], "2026-03-01T12:00:00Z");

    clock.advance_us(WEEK_US);
    assert_eq!(in_state("expired").await, ["dan@example.org", "eve@example.org"]);
    assert_eq!(in_state("mailed").await, Vec::<String>::new());
    let expired = json!({ "state": "expired", "since": "2026-03-08T12:00:00Z", "expires_at": "2026-03-08T12:00:00Z" });
    assert_eq!(shown(dan).await["invitation"], expired);
    let then = app.admin_get(&format!("/users/{dan}?as_of=2026-03-02T00:00:00Z")).await.expect(200).json();
    assert_eq!(then["invitation"]["state"], "mailed", "as it was then");
    assert_eq!((in_state("opened").await.len(), in_state("used").await.len()), (1, 1));

    app.service().mailers.take_feedback(&bounce(dan)).await.unwrap();
    assert_eq!(in_state("bounced").await, ["dan@example.org"]);
    let resend = async || {
        let request = app.admin(Method::POST, "/invitations/resend").json(&json!({}));
        app.send(request).await.expect(202).json()["resent"].clone()
    };
    assert_eq!(resend().await, 1, "to whom mail is stopped none is sent");
    app.mail_to("eve@example.org", 2).await;
    app.send(app.admin(Method::POST, &format!("/users/{dan}/mail/allow"))).await.expect(200);
    assert_eq!(in_state("bounced").await, ["dan@example.org"], "it did not arrive all the same");
    assert_eq!(resend().await, 1);
    app.mail_to("dan@example.org", 2).await;
    app.eventually("both to be mailed", async || (in_state("mailed").await.len() == 2).then_some(())).await;
}

/// The views of a data directory of an earlier permitd have other columns: the log makes them anew.
#[tokio::test]
async fn views_of_an_earlier_data_directory_are_made_anew() {
    let mut app = TestApp::start().await;
    app.invite("bob@example.org").await;
    crate::accounts::member(&app, "ana@example.org").await;
    app.eventually("the mails", async || {
        (emails(&app, "?invitation=mailed").await == ["bob@example.org"]
            && emails(&app, "?invitation=opened").await == ["ana@example.org"])
        .then_some(())
    })
    .await;
    let people = app.admin_get("/users").await.expect(200).json()["data"].clone();
    let plans = app.admin_get("/plans").await.expect(200).json();
    app.stop().await;
    let store = rusqlite::Connection::open(app.data().join("permitd.db")).unwrap();
    store
        .execute_batch(
            "DROP TABLE users; DROP TABLE keys; DROP TABLE sessions; DROP TABLE tokens;
             CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT); CREATE INDEX users_email_1 ON users (email);
             INSERT INTO users VALUES ('nobody', 'eve@example.org');
             CREATE TABLE keys (id TEXT PRIMARY KEY, user TEXT); PRAGMA user_version = 4;",
        )
        .unwrap();
    drop(store);
    app.restart().await;
    assert_eq!(app.admin_get("/users").await.expect(200).json()["data"], people);
    assert_eq!(app.admin_get("/plans").await.expect(200).json(), plans);
}

#[tokio::test]
async fn a_person_is_shown_as_they_were_and_what_is_erased_stays_erased() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    let path = format!("/users/{id}");
    let active = async || (app.admin_get(&path).await.json()["status"] == "active").then_some(());
    app.eventually("the mail to be written down", active).await;
    clock.advance_us(3_600_000_000);
    app.admin_send(Method::PATCH, &path, &json!({ "role": "manager" })).await.expect(200);
    let then = async |as_of: &str| app.admin_get(&format!("{path}?as_of={as_of}")).await;
    let first = then("1").await.expect(200);
    assert_eq!((&first.json()["version"], &first.json()["status"]), (&json!(1), &json!("invited")));
    assert_eq!(first.header("etag"), Some("\"1\""));
    let before = then("2026-03-01T12:30:00Z").await.expect(200).json();
    assert_eq!((&before["role"], &before["name"]), (&json!("reader"), &json!("Ana")));
    assert_eq!(then("2026-03-01T13:00:00Z").await.expect(200).json()["role"], "manager");
    then("2026-03-01T11:00:00Z").await.expect(404);
    then("0").await.expect(404);
    let wrong = then("yesterday").await.expect(400).json();
    assert_eq!(wrong["invalid_params"][0]["name"], "as_of");
    app.send(app.admin(Method::DELETE, &path)).await.expect(200);
    let erased = then("1").await.expect(200);
    assert_eq!(erased.json()["email"], Value::Null);
    assert!(!erased.body.contains("Ana") && !erased.body.contains("ana@"), "{}", erased.body);
}

#[tokio::test]
async fn plans_have_their_people() {
    let app = TestApp::start().await;
    let limits = json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 1 });
    app.admin_send(Method::PUT, "/plans/gold", &limits).await.expect(201);
    for (email, plan) in [("a@b.org", "gold"), ("b@b.org", "default"), ("c@b.org", "gold"), ("d@b.org", "gold")] {
        app.admin_send(Method::POST, "/users", &json!({ "email": email, "plan": plan })).await.expect(201);
    }
    let gone = app.admin_get("/users?search=d%40b").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    app.send(app.admin(Method::DELETE, &format!("/users/{gone}"))).await.expect(200);
    let first = app.admin_get("/plans/gold/users?limit=1").await.expect(200).json();
    assert_eq!(first["data"][0]["email"], "c@b.org");
    let second = app.admin_get(first["page"]["next"].as_str().unwrap()).await.expect(200).json();
    assert_eq!((&second["data"][0]["email"], &second["page"]["next"]), (&json!("a@b.org"), &Value::Null));
    app.admin_get("/plans/tin/users").await.expect(404);
    assert_eq!(emails(&app, "?plan=gold").await, ["a@b.org", "c@b.org"]);
    let counted = app.admin_get("/plans?count=people").await.expect(200).json();
    let counts: Vec<&Value> = counted["data"].as_array().unwrap().iter().map(|plan| &plan["people"]).collect();
    assert_eq!(counts, [&json!(1), &json!(2)]);
    assert_eq!(app.admin_get("/plans").await.json()["data"][0]["people"], Value::Null);
}
