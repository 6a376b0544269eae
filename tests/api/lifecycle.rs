//! What becomes of people and their keys, from the invitation to the deletion.

use jiff::Timestamp;
use permitd::{
    clock::ManualClock,
    domain::{
        id::{CommandId, StreamId},
        persisted,
        view::Rows,
    },
    queue::{EventMessage, Message},
    store::{Append, PersonalChange, Progress, ReplayBatch, ReplayedTo},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Options, TestApp};

const REFERENCE: &str = "/permits/201612013997";

/// The keys of a user, once the mail is written down.
async fn keys(app: &TestApp, user: &str) -> Vec<Value> {
    let path = format!("/users/{user}/keys");
    app.eventually("a mailed key", async || {
        let keys = app.admin_get(&path).await.expect(200).json()["data"].as_array().unwrap().clone();
        keys.iter().any(|key| key["mailed_at"].is_string()).then_some(keys)
    })
    .await
}

fn moment(answer: &Value, name: &str) -> Timestamp {
    answer[name].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_invited_person_reads_with_the_key_from_the_mail() {
    let app = TestApp::with_sample(50).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let answer = app.get(REFERENCE, &key).await.expect(200);
    assert_eq!(answer.json()["data"][0]["address"], "235 Bella Vista Wy");

    let keys = keys(&app, &user).await;
    assert_eq!(keys.len(), 1);
    assert!(key.contains(keys[0]["id"].as_str().unwrap()));
    let listed = serde_json::to_string(&keys).unwrap();
    assert!(!listed.contains(&key) && !listed.contains("sha256") && !listed.contains("hash"));
    let one = format!("/users/{user}/keys/{}", keys[0]["id"].as_str().unwrap());
    assert_eq!(app.admin_get(&one).await.expect(200).json(), keys[0]);
}

#[tokio::test]
async fn an_invitation_is_sent_again_with_the_same_key() {
    let app = TestApp::start().await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    keys(&app, &user).await;
    app.send(app.admin(Method::POST, &format!("/users/{user}/invitations"))).await.expect(202);
    assert_eq!(app.mail_to("ana@example.org", 2).await.key, Some(key));
    app.send(app.admin(Method::POST, &format!("/users/{user}/invitations")).json(&json!({ "to": 1 })))
        .await
        .expect(400);
}

#[tokio::test]
async fn an_issued_key_works_is_shown_once_and_a_retry_shows_the_same() {
    let app = TestApp::with_sample(5).await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let path = format!("/users/{user}/keys");
    let issue = || app.admin(Method::POST, &path).header("idempotency-key", "one").json(&json!({ "label": "laptop" }));
    let issued = app.send(issue()).await.expect(201);
    let key = issued.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(issued.json()["label"], "laptop");
    assert_eq!(
        issued.header("location").unwrap(),
        app.url(&format!("{path}/{}", issued.json()["id"].as_str().unwrap()))
    );
    assert_eq!(app.send(issue()).await.expect(201).json()["key"], json!(key));
    app.get(REFERENCE, &key).await.expect(200);
    assert!(!app.admin_get(&path).await.body.contains(&key));
    app.send(app.admin(Method::POST, &path)).await.expect(201);
    app.admin_send(Method::POST, &path, &json!({ "label": "x".repeat(81) })).await.expect(400);
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_the_next_request() {
    let app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    app.get(REFERENCE, &key).await.expect(200);
    let id = keys(&app, &user).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/users/{user}/keys/{id}");
    let revoked = app.send(app.admin(Method::DELETE, &path)).await.expect(200).json();
    app.get(REFERENCE, &key).await.expect(401);
    assert_eq!(moment(&revoked, "effective_at"), moment(&revoked, "revoked_at") + app.place().revocation_delay());
    let again = app.send(app.admin(Method::DELETE, &path)).await.expect(200).json();
    assert_eq!(again, revoked);
    assert_eq!(app.admin_get(&path).await.json()["revocation_reason"], "requested");
    app.send(app.admin(Method::POST, &format!("{path}/rotate"))).await.expect(409);
    app.send(app.admin(Method::DELETE, &format!("/users/{user}/keys/0000000000000000"))).await.expect(404);
    app.send(app.admin(Method::DELETE, &format!("/users/{user}/keys/short"))).await.expect(404);
}

#[tokio::test]
async fn a_rotated_key_works_until_its_grace_is_over() {
    let clock = ManualClock::at("2026-03-01T10:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 5, ..Options::default() }).await;
    let (user, old) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let id = keys(&app, &user).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/users/{user}/keys/{id}/rotate");
    app.admin_send(Method::POST, &path, &json!({ "grace_s": 30 * 86_400 + 1 })).await.expect(400);
    let rotated = app.admin_send(Method::POST, &path, &json!({ "grace_s": 60 })).await.expect(201).json();
    let new = rotated["key"].as_str().unwrap();
    assert_eq!(rotated["replaces"], json!({ "id": id, "valid_until": "2026-03-01T10:01:00Z" }));
    app.get(REFERENCE, &old).await.expect(200);
    app.get(REFERENCE, new).await.expect(200);
    clock.advance_us(59_000_000);
    app.get(REFERENCE, &old).await.expect(200);
    clock.advance_us(1_000_000);
    app.get(REFERENCE, &old).await.expect(401);
    app.get(REFERENCE, new).await.expect(200);
    app.admin_send(Method::POST, &path, &json!({})).await.expect(409);
}

#[tokio::test]
async fn a_rotation_without_grace_ends_the_old_key_at_once() {
    let app = TestApp::with_sample(5).await;
    let (user, old) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    app.get(REFERENCE, &old).await.expect(200);
    let id = keys(&app, &user).await[0]["id"].as_str().unwrap().to_owned();
    let rotated =
        app.send(app.admin(Method::POST, &format!("/users/{user}/keys/{id}/rotate"))).await.expect(201).json();
    app.get(REFERENCE, &old).await.expect(401);
    app.get(REFERENCE, rotated["key"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn the_keys_of_the_disabled_are_refused_until_they_are_enabled() {
    let app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    app.get(REFERENCE, &key).await.expect(200);
    let path = format!("/users/{user}");
    app.admin_send(Method::PATCH, &path, &json!({ "status": "disabled" })).await.expect(200);
    app.get(REFERENCE, &key).await.expect(401);
    app.send(app.admin(Method::POST, &format!("{path}/keys"))).await.expect(409);
    app.send(app.admin(Method::POST, &format!("{path}/invitations"))).await.expect(409);
    app.admin_send(Method::PATCH, &path, &json!({ "status": "active" })).await.expect(200);
    app.get(REFERENCE, &key).await.expect(200);
}

#[tokio::test]
async fn the_deleted_are_refused_at_once_erased_and_their_address_is_free_again() {
    let app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    app.get(REFERENCE, &key).await.expect(200);
    keys(&app, &user).await;
    let path = format!("/users/{user}");
    let deleted = app.send(app.admin(Method::DELETE, &path)).await.expect(200).json();
    app.get(REFERENCE, &key).await.expect(401);
    assert!(deleted["deleted_at"].is_string());
    assert_eq!(moment(&deleted, "effective_at"), moment(&deleted, "deleted_at") + app.place().revocation_delay());
    let shown = app.admin_get(&path).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["email"], &shown["name"]), (&json!("deleted"), &json!(null), &json!(null)));
    app.eventually("the key to be revoked", async || {
        let keys = app.admin_get(&format!("{path}/keys")).await.json();
        (keys["data"][0]["revocation_reason"] == "user_deleted").then_some(())
    })
    .await;
    app.send(app.admin(Method::DELETE, &path)).await.expect(409);
    app.admin_send(Method::PATCH, &path, &json!({ "status": "active" })).await.expect(409);
    app.send(app.admin(Method::POST, &format!("{path}/keys"))).await.expect(409);

    let again = app.admin_send(Method::POST, "/users", &json!({ "email": "ana@example.org" })).await.expect(201).json();
    assert_ne!(again["id"], json!(user));
    // The first mail went with the person.
    let second = app.mail_to("ana@example.org", 1).await.key.unwrap();
    assert_ne!(second, key);
    app.get(REFERENCE, &second).await.expect(200);
    app.get(REFERENCE, &key).await.expect(401);
}

#[tokio::test]
async fn usage_is_shown_by_key_and_day() {
    let clock = ManualClock::at("2026-03-01T23:59:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 5, ..Options::default() }).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let read = async |requests: u32| {
        for _ in 0..requests {
            app.get(REFERENCE, &key).await.expect(200);
        }
    };
    // What is out in a grant counts as used until it is given back.
    let give_back = async || app.service().book.withdraw_all().await.unwrap();
    read(3).await;
    give_back().await;
    clock.advance_us(120_000_000);
    read(2).await;
    give_back().await;
    let usage = app.admin_get(&format!("/users/{user}/usage?days=2")).await.expect(200).json();
    assert_eq!((&usage["from"], &usage["to"]), (&json!("2026-03-01"), &json!("2026-03-02")));
    let days: Vec<_> =
        usage["data"].as_array().unwrap().iter().map(|used| (used["day"].clone(), used["used"].clone())).collect();
    assert_eq!(days, [(json!("2026-03-01"), json!(3)), (json!("2026-03-02"), json!(2))]);
    let today = app.admin_get(&format!("/users/{user}/usage?days=1")).await.expect(200).json();
    assert_eq!(today["data"].as_array().unwrap().len(), 1);
    app.admin_get(&format!("/users/{user}/usage?days=0")).await.expect(400);
    app.admin_get(&format!("/users/{user}/usage?days=367")).await.expect(400);
}

#[tokio::test]
async fn a_dead_letter_is_shown_with_its_reason_and_sent_again() {
    let settings = vec![("queue.receives_max", "1".to_owned())];
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let poison = Message::V1(EventMessage {
        event: "01940000-0000-7000-8000-000000000000".parse().unwrap(),
        type_name: "UserInvited".to_owned(),
        stream: format!("user#{user}"),
        version: 1,
        correlation_id: "poison".to_owned(),
    });
    app.service().committer.queue.send(&[poison]).await.unwrap();
    let dead = async || app.admin_get("/dead-letters").await.expect(200).json()["data"].as_array().unwrap().clone();
    let letter = app.eventually("a dead letter", async || dead().await.pop()).await;
    assert_eq!(letter["message"]["correlation_id"], "poison");
    assert_eq!(letter["receives"], 1);
    assert!(letter["reason"].as_str().unwrap().contains("not in its stream"), "{letter}");

    let id = letter["id"].as_str().unwrap();
    let redriven = app.send(app.admin(Method::POST, &format!("/dead-letters/{id}/redrive"))).await.expect(202);
    assert_eq!(redriven.json()["id"], json!(id));
    let again = app
        .eventually("it to fail again", async || {
            dead().await.pop().filter(|again| again["died_at"] != letter["died_at"])
        })
        .await;
    assert_eq!(again["message"], letter["message"]);
    app.send(app.admin(Method::POST, "/dead-letters/unknown/redrive")).await.expect(404);

    // In bulk, by reason and type, dry first.
    let bulk =
        async |act: &str, body: Value| app.admin_send(Method::POST, &format!("/dead-letters/{act}"), &body).await;
    let listed =
        app.admin_get("/dead-letters?type=UserInvited&reason=not%20in%20its%20stream").await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let none = app.admin_get("/dead-letters?type=UserDeleted").await.expect(200).json();
    assert_eq!(none["data"], json!([]));
    let would = bulk("discard", json!({ "type": "UserInvited", "dry_run": true })).await.expect(200).json();
    assert_eq!((&would["matching"], &would["groups"][0]["type"]), (&json!(1), &json!("UserInvited")), "{would}");
    let would = bulk("redrive", json!({ "reason": "not in its stream", "dry_run": true })).await.expect(200).json();
    assert_eq!(would["matching"], json!(1));
    bulk("discard", json!({})).await.expect(400);
    assert_eq!(
        bulk("redrive", json!({ "type": "UserDeleted" })).await.expect(202).json(),
        json!({ "redriven": 0, "left": 0 })
    );
    assert_eq!(
        bulk("discard", json!({ "type": "UserInvited" })).await.expect(200).json(),
        json!({ "discarded": 1, "left": 0 })
    );
    assert!(dead().await.is_empty());
}

#[tokio::test]
async fn a_stream_in_quarantine_is_shown_and_its_person_refused() {
    let app = TestApp::with_sample(5).await;
    let (ana, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let (_, other) = app.invite_as(&json!({ "email": "ben@example.org" })).await;
    let stores = app.service().committer.stores.clone();
    let stream = StreamId::parse(&format!("user#{ana}")).unwrap();
    let events = "[{\"id\":\"01900000-0000-7000-8000-000000000001\",\"type\":\"UserPromoted\",\"schema_version\":1,\
                  \"actor\":\"system:test\",\"correlation_id\":\"test\",\"causation_id\":null,\"data\":{}}]";
    let write = async || {
        let loaded = stores.log.load(&stream, 0, 1000).await.unwrap();
        let append = Append {
            stream: stream.clone(),
            expected_version: loaded.last().unwrap().version,
            previous: persisted::head(&loaded),
            command: CommandId::unique(uuid::Uuid::now_v7()),
            request_hash: None,
            recorded_at: jiff::Timestamp::now(),
            events: events.to_owned(),
            secret: None,
            administrators: None,
            claims: Vec::new(),
            personal: PersonalChange::Keep,
            rows: Rows::default(),
            publishes: false,
        };
        // The mailer writes to the stream as well.
        stores.log.append(append).await.ok()
    };
    app.eventually("a commit that cannot be read", write).await;
    permitd::replay::quarantine(&stores, &stream, ("cli:test", jiff::Timestamp::now()), "after the rollback")
        .await
        .unwrap();

    // A grant that is held may live a second longer.
    let refused = app.eventually("the key to be refused", async || {
        Some(app.get("/permits?limit=1", &key).await).filter(|answer| answer.status == 401)
    });
    refused.await;
    app.get("/permits?limit=1", &other).await.expect(200);
    let path = format!("/users/{ana}");
    app.admin_get(&path).await.expect(200);
    let refused = app.admin_send(Method::PATCH, &path, &json!({ "status": "disabled" })).await.expect(409).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("quarantine") && detail.contains("after the rollback"), "{detail}");
    app.admin_get("/events").await.expect(200);
    let ready = app.ops_get("/health/ready").await.expect(200).json();
    assert_eq!(ready["quarantined"], json!([stream.to_string()]), "{ready}");
    let metrics = app.ops_get("/metrics").await.expect(200);
    assert!(metrics.body.contains("permitd_quarantined_streams 1"), "{}", metrics.body);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut app = TestApp::with_sample(5).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    keys(&app, &user).await;
    app.restart().await;
    assert_eq!(app.admin_get(&format!("/users/{user}")).await.expect(200).json()["email"], "ana@example.org");
    app.get(REFERENCE, &key).await.expect(200);
    assert_eq!(app.mails().len(), 1);
}

/// What a name or a label must not hold, and what the answer says of it.
const HIDDEN: [(&str, &str); 5] = [
    ("Line1\nBcc: evil@example.org", "line break"),
    ("Ana\u{1b}[2J", "control character"),
    ("Ana\u{202e}gro.elpmaxe", "direction"),
    ("Ana\u{2028}x", "line break"),
    ("A\u{200b}na", "invisible"),
];

#[tokio::test]
async fn names_and_labels_are_one_line_that_shows_what_it_is() {
    let app = TestApp::start().await;
    for (name, what) in HIDDEN {
        let body = json!({ "email": "eve@example.org", "name": name });
        let refused = app.admin_send(Method::POST, "/users", &body).await.expect(400).json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("name") && detail.contains(what), "{detail}");
    }
    for (n, blank) in ["", "   ", "\u{a0}\u{3000}", "\u{3164}"].into_iter().enumerate() {
        let email = format!("n{n}@example.org");
        let user = app.admin_send(Method::POST, "/users", &json!({ "email": email, "name": blank })).await.expect(201);
        assert_eq!(user.json()["name"], Value::Null, "{blank:?}");
    }
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": " Ana Núñez " })).await;
    assert_eq!(app.admin_get(&format!("/users/{user}")).await.json()["name"], "Ana Núñez");
    let path = format!("/users/{user}/keys");
    for (label, what) in HIDDEN {
        let refused = app.admin_send(Method::POST, &path, &json!({ "label": label })).await.expect(400).json();
        assert!(refused["detail"].as_str().unwrap().contains(what), "{refused}");
    }
    assert_eq!(
        app.admin_send(Method::POST, &path, &json!({ "label": " " })).await.expect(201).json()["label"],
        Value::Null
    );
}

#[tokio::test]
async fn one_mailbox_is_invited_once_in_whatever_form() {
    let app = TestApp::start().await;
    let invite = async |email: &str| app.admin_send(Method::POST, "/users", &json!({ "email": email })).await;
    invite("ana@exämple.org").await.expect(201);
    for other in ["ana@xn--exmple-cua.org", "ANA@EXÄMPLE.org", "ana@exa\u{308}mple.org"] {
        invite(other).await.expect(409);
    }
    for wrong in
        ["ana@-.org", "ana@xn--zzzzzz9999.org", "a\u{202e}na@example.org", "a na@example.org", "ana@[127.0.0.1]"]
    {
        invite(wrong).await.expect(400);
    }
}

#[tokio::test]
async fn one_person_is_mailed_so_many_invitations_an_hour() {
    let clock = ManualClock::at("2026-03-01T10:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let path = format!("/users/{user}/invitations");
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(app.send(app.admin(Method::POST, &path)).await);
    }
    let sent = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(sent, 4, "five with the first");
    let refused = answers.pop().unwrap().expect(429);
    assert_eq!(refused.json()["type"], "/problems/invitation-limit");
    assert_eq!(refused.header("retry-after"), Some("3600"));
    app.mail_to("ana@example.org", 5).await;
    app.invite("ben@example.org").await;
    assert_eq!(app.mails().iter().filter(|mail| mail.to == "ana@example.org").count(), 5);
    clock.advance_us(3_600_000_000);
    app.send(app.admin(Method::POST, &path)).await.expect(202);
}

#[tokio::test]
async fn how_many_invitations_are_mailed_is_set() {
    let bounds = [("mail.invitations_per_person_per_hour", "2"), ("mail.invitations_per_hour_max", "3")];
    let settings = bounds.map(|(name, bound)| (name, bound.to_owned())).to_vec();
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let (ana, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let again = async || app.send(app.admin(Method::POST, &format!("/users/{ana}/invitations"))).await;
    again().await.expect(202);
    again().await.expect(429);
    app.invite("ben@example.org").await;
    app.admin_send(Method::POST, "/users", &json!({ "email": "cem@example.org" })).await.expect(429);
}

#[tokio::test]
async fn events_bear_no_request_id_that_could_say_anything() {
    let app = TestApp::start().await;
    let invite = |email: &str, id: &str| {
        app.admin(Method::POST, "/users").header("x-request-id", id).json(&json!({ "email": email }))
    };
    let answer = app.send(invite("ana@example.org", "for-ana-1")).await.expect(201);
    assert_eq!(answer.header("x-request-id"), Some("for-ana-1"), "the client finds its answer by it");
    let answer = app.send(invite("cem@example.org", "for-ana@example.org")).await.expect(201);
    let given = answer.header("x-request-id").unwrap();
    assert!(given.parse::<uuid::Uuid>().is_ok(), "an address is no request's id: {given}");
    let id = "01980000-0000-7000-8000-0000000000aa";
    app.send(invite("ben@example.org", id)).await.expect(201);
    let events = app.admin_get("/events").await.expect(200).body;
    assert!(!events.contains("for-ana"), "{events}");
    assert!(events.contains(id), "a UUID says nothing, and finds its events");
}

#[tokio::test]
async fn mails_of_an_erased_person_leave_the_outbox() {
    let app = TestApp::start().await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    app.invite("ben@example.org").await;
    keys(&app, &user).await;
    app.send(app.admin(Method::POST, &format!("/users/{user}/invitations"))).await.expect(202);
    app.mail_to("ana@example.org", 2).await;
    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    app.eventually("an outbox without their mails", async || {
        app.mails().iter().all(|mail| mail.to != "ana@example.org").then_some(())
    })
    .await;
    assert_eq!(app.mails().len(), 1, "others' mails stay");
}

#[tokio::test]
async fn mails_that_a_crash_left_half_written_are_removed_by_the_next_start() {
    let mut app = TestApp::with_sample(5).await;
    app.invite("ana@example.org").await;
    app.stop().await;
    let outbox = app.data().join("outbox");
    for name in [".mail-AbC", ".mail-beside"] {
        std::fs::write(outbox.join(name), "half").unwrap();
    }
    // Another node of the deployment is at this one.
    let beside = std::fs::File::open(outbox.join(".mail-beside")).unwrap();
    beside.try_lock().unwrap();
    app.restart().await;
    assert!(!outbox.join(".mail-AbC").exists() && outbox.join(".mail-beside").exists());
    assert_eq!(app.mails().len(), 1, "whole mails stay");
    drop(beside);
    app.stop().await;
    app.restart().await;
    assert!(!outbox.join(".mail-beside").exists());
}

#[tokio::test]
async fn a_command_takes_an_object_and_no_parameters() {
    let app = TestApp::start().await;
    let lists = [
        (Method::POST, "/users", json!(["ana@example.org", "Ana", "admin", "default"])),
        (Method::PUT, "/plans/gold", json!([5, 6, 7])),
    ];
    for (method, path, body) in lists {
        let refused = app.admin_send(method, path, &body).await.expect(400).json();
        assert_eq!(refused["type"], "/problems/invalid-body", "{path}");
    }
    let refused = app.admin_send(Method::POST, "/users?nonsense=1", &json!({ "email": "ana@example.org" })).await;
    assert_eq!(refused.expect(400).json()["invalid_params"][0]["name"], "nonsense");
    assert_eq!(app.admin_get("/users").await.expect(200).json()["data"], json!([]));
}

#[tokio::test]
async fn a_rebuild_beside_a_server_is_in_its_metrics() {
    let app = TestApp::start().await;
    let (ana, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let metrics = async || app.ops_get("/metrics").await.expect(200).body;
    assert!(!metrics().await.contains("permitd_replay_"));
    let stores = app.service().committer.stores.clone();
    let mut space = stores.replay.replay_space().unwrap();
    space.begin().unwrap();
    let progress = Progress { commits: 2, events: 3, streams: 1 };
    let reached = ReplayedTo { stream: StreamId::parse(&format!("user#{ana}")).unwrap(), progress };
    space.sides().1.put(&ReplayBatch { rows: Vec::new(), reached: Some(reached) }).unwrap();
    let told = metrics().await;
    for line in [
        "permitd_replay_running{view=\"all\"} 1",
        "permitd_replay_commits{view=\"all\"} 2",
        "permitd_replay_commits_total{",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    drop(space);
    let mut space = stores.replay.replay_space().unwrap();
    permitd::replay::rebuild(&mut *space, &mut |_| {}).unwrap();
    assert!(!metrics().await.contains("permitd_replay_"), "it is done");
}
