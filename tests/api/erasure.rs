//! Somebody of whom there is everything: what an export shows of them is what their erasure removes, from every file and every item.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use permitd::{
    clock::SystemClock,
    dataset::sample::{self, SampleFormat},
    domain::totp,
    queue::{EventMessage, Message},
    store::dynamodb::schema,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Options, TestApp};

const EMAIL: &str = "ana.unusual@example.org";
const NAME: &str = "Ana Unusual";
const PASSWORD: &str = "correct horse battery";
const LABEL: &str = "laptop under the stairs";
const SIGNED_IN_FROM: &str = "203.0.113.77";
const USED_FROM: &str = "198.51.100.23";
/// What is kept of these.
const SIGNED_IN_IN: &str = "203.0.113.0/24";
const USED_IN: &str = "198.51.100.0/24";
const ALLOWED: &str = "198.51.100.16/28";
const BOUNCED: &str = "550 5.1.1 no mailbox of <ana.unusual@example.org> here";

/// The texts in a document.
fn texts(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn all_texts(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    texts(document, &mut found);
    found
}

/// Everything in the files below a folder, by their paths.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let read = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => std::fs::read(&path).map(|bytes| vec![(path, bytes)]).unwrap_or_default(),
    };
    entries.map(|entry| entry.unwrap().path()).flat_map(read).collect()
}

/// Where a text is: in which files, and in which tables.
async fn places(app: &TestApp, text: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let found = files(&app.data()).into_iter().filter(|(_, bytes)| holds(bytes));
    let mut places: Vec<String> = found.map(|(path, _)| path.display().to_string()).collect();
    for table in [schema::EVENTS, schema::VIEWS, schema::LEDGER, schema::STATE, schema::PERSONAL, schema::SECRETS] {
        let items = app.place().items_of(table).await;
        if items.iter().any(|item| holds(format!("{item:?}").as_bytes())) {
            places.push(table.to_owned());
        }
    }
    places
}

/// What a bounce says of a mail to somebody.
fn bounce(user: &str) -> String {
    let recipient = json!({ "emailAddress": EMAIL, "status": "5.1.1", "diagnosticCode": BOUNCED });
    let bounce = json!({
        "bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [recipient], "feedbackId": "b1",
    });
    let mail = json!({ "messageId": "m", "tags": { "permitd-user": [user] } });
    json!({ "eventType": "Bounce", "bounce": bounce, "mail": mail }).to_string()
}

/// Somebody who was invited by a list, signs in with a second factor, has keys with all that these can have, used them, imported
/// a file, lost a password and a key, and whose mail came back.
struct Somebody {
    user: String,
    session: String,
    /// What nobody but them may ever see.
    secrets: Vec<String>,
}

impl Somebody {
    async fn live(app: &TestApp) -> Self {
        let from = |request: RequestBuilder, address: &str| request.header("x-forwarded-for", address.to_owned());
        let list = format!("email,name,role\n{EMAIL},{NAME},manager\n");
        let invite = app.admin(Method::POST, "/invitations").header("content-type", "text/csv").body(list);
        app.send(invite).await.expect(200);
        let mail = app.mail_to(EMAIL, 1).await;
        let (key, link) = (mail.key.clone().unwrap(), mail.links[0].clone());
        let found = app.admin_get(&format!("/users?search={EMAIL}")).await.expect(200).json();
        let user = found["data"][0]["id"].as_str().unwrap().to_owned();

        let password = app.request(Method::POST, &link).json(&json!({ "password": PASSWORD }));
        app.send(from(password, SIGNED_IN_FROM)).await.expect(200);
        let given = json!({ "email": EMAIL, "password": PASSWORD });
        let sign_in = from(app.request(Method::POST, "/sessions").json(&given), SIGNED_IN_FROM);
        let session = app.send(sign_in).await.expect(201).json()["token"].as_str().unwrap().to_owned();
        let own = |method, path: &str| from(app.request(method, path).bearer_auth(&session), SIGNED_IN_FROM);

        let begun = own(Method::POST, "/me/second-factor").json(&json!({}));
        let secret = app.send(begun).await.expect(201).json()["secret"].as_str().unwrap().to_owned();
        let step = totp::step_at(SystemClock::shared().now());
        let code = totp::code(&totp::unbase32(&secret).unwrap(), step).unwrap();
        let confirmed =
            app.send(own(Method::PUT, "/me/second-factor").json(&json!({ "code": code }))).await.expect(200);
        let recovery = confirmed.json()["recovery_codes"][0].as_str().unwrap().to_owned();

        let wanted = json!({ "label": LABEL, "allowed_ips": [ALLOWED] });
        let issued = app.send(own(Method::POST, "/me/keys").json(&wanted)).await.expect(201).json();
        let second = issued["key"].as_str().unwrap().to_owned();
        for (key, address) in [(&key, SIGNED_IN_FROM), (&second, USED_FROM)] {
            let request = app.request(Method::GET, "/permits/201612013997").header("x-api-key", key);
            app.send(from(request, address)).await.expect(200);
        }
        let of_admin =
            app.admin_send(Method::POST, &format!("/users/{user}/keys"), &json!({})).await.expect(201).json();
        let third = of_admin["key"].as_str().unwrap().to_owned();
        let leak = app.request(Method::POST, "/leaks").header("content-type", "text/plain").body(third.clone());
        app.send(leak).await.expect(202);
        app.notice_to(EMAIL, "leaked").await;

        let mut file = std::io::Cursor::new(Vec::new());
        sample::generate(6, 1, SampleFormat::Csv, &mut file).unwrap();
        let send = own(Method::POST, "/imports?dataset=permits&mode=merge").header("content-type", "text/csv");
        let import = app.send(send.body(file.into_inner())).await.expect(202).json()["id"].as_str().unwrap().to_owned();
        app.eventually("the import", async || {
            let shown = app.admin_get(&format!("/imports/{import}")).await.expect(200).json();
            (shown["status"] == "completed").then_some(())
        })
        .await;

        app.send(app.request(Method::POST, "/password-resets").json(&json!({ "email": EMAIL }))).await.expect(202);
        let reset = app
            .eventually("the mail with a link", async || {
                let mails = app.mails().into_iter().filter(|mail| mail.to == EMAIL && mail.key.is_none());
                mails.flat_map(|mail| mail.links).find(|other| *other != link)
            })
            .await;
        app.eventually("the first request to be noticed", async || {
            let shown = app.admin_get(&format!("/users/{user}")).await.expect(200).json();
            shown["first_request_at"].is_string().then_some(())
        })
        .await;
        app.service().book.settle_idle().await.unwrap();
        app.admin_get(&format!("/users/{user}/usage")).await.expect(200);
        let poison = Message::V1(EventMessage {
            event: "01940000-0000-7000-8000-000000000000".parse().unwrap(),
            type_name: "UserInvited".to_owned(),
            stream: format!("user#{user}"),
            version: 1,
            correlation_id: "poison".to_owned(),
        });
        app.service().committer.queue.send(&[poison]).await.unwrap();
        app.eventually("a dead letter", async || {
            let letters = app.admin_get("/dead-letters").await.expect(200).json();
            (!letters["data"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
        app.service().mailers.take_feedback(&bounce(&user)).await.unwrap();
        let tokens = [&link, &reset].map(|link| link.rsplit('/').next().unwrap().to_owned());
        let secrets = [key, second, third, secret, recovery, session.clone()].into_iter().chain(tokens).collect();
        Self { user, session, secrets }
    }
}

/// The message ids of the files in the outbox that are mails to this address.
fn message_ids_to(app: &TestApp, address: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(app.data().join("outbox")).unwrap().map(|file| file.unwrap().path());
    let theirs = files.filter(|file| std::fs::read_to_string(file).unwrap().contains(&format!("\nTo: {address}\r\n")));
    let names = theirs.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    names.map(|name| name.split_once("Z-").unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn what_an_export_shows_of_somebody_is_what_their_erasure_removes() {
    let settings = vec![("http.trusted_proxies", "127.0.0.1".to_owned()), ("queue.receives_max", "1".to_owned())];
    let mut app = TestApp::with(Options { settings, sample_rows: 5, ..Options::default() }).await;
    let Somebody { user, session, secrets } = Somebody::live(&app).await;
    let own = app.send(app.request(Method::GET, "/me/export").bearer_auth(&session)).await.expect(200).json();
    let by_administrator = app.admin_get(&format!("/users/{user}/export")).await.expect(200).json();
    for part in ["user", "keys", "sessions", "usage", "requests", "dead_letters", "mails", "events", "done"] {
        assert_eq!(own[part], by_administrator[part], "{part}");
        let is_there = own[part].as_array().is_none_or(|items| !items.is_empty());
        assert!(is_there, "{part}: {own}");
    }
    // Each mail of the outbox that is theirs is shown: those that go with them.
    let mails: BTreeSet<String> =
        own["mails"].as_array().unwrap().iter().map(|mail| mail["message_id"].as_str().unwrap().to_owned()).collect();
    assert!(mails.len() >= 3, "{mails:?}");
    assert_eq!(mails, message_ids_to(&app, EMAIL));
    let shown = all_texts(&own);
    for personal in [EMAIL, NAME, LABEL, ALLOWED, SIGNED_IN_IN, USED_IN, BOUNCED] {
        assert!(shown.contains(personal), "{personal} is not shown: {own}");
    }
    for secret in &secrets {
        assert!(!own.to_string().contains(secret.as_str()), "{secret}");
    }
    let types: BTreeSet<&str> =
        own["events"].as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    for type_name in
        ["InvitationAccepted", "LinkUsed", "PasswordSet", "SecondFactorConfirmed", "ApiKeyRevoked", "MailBounced"]
    {
        assert!(types.contains(type_name), "{type_name}: {types:?}");
    }
    // What is personal in events is sealed where they are kept, and opened in the export alone.
    let kept = app.admin_get(&format!("/users/{user}/events?limit=1000")).await.expect(200).json();
    let kept = all_texts(&kept["data"]);
    let mut personal: BTreeSet<String> = all_texts(&own["events"]).difference(&kept).cloned().collect();
    personal.retain(|text| text != "(kept, and not shown)");
    assert!(personal.len() >= 6, "{personal:?}");
    personal.extend([SIGNED_IN_FROM, USED_FROM, USED_IN, "ana.unusual", "Unusual", PASSWORD].map(ToOwned::to_owned));
    personal.extend(secrets);
    assert!(!places(&app, EMAIL).await.is_empty(), "it is somewhere now, so it would be found");

    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    app.eventually("an outbox without their mails", async || {
        app.mails().iter().all(|mail| mail.to != EMAIL).then_some(())
    })
    .await;
    let erased = app.admin_get(&format!("/users/{user}/export")).await.expect(200).json();
    let is_longer = |part: &str| erased[part].as_array().unwrap().len() >= own[part].as_array().unwrap().len();
    assert_eq!(erased["mails"], json!([]));
    assert!(is_longer("events") && is_longer("keys") && is_longer("sessions"), "the log stays whole");
    let left = erased.to_string();
    app.stop().await;
    for text in &personal {
        assert!(!left.contains(text.as_str()), "{text} is in the export");
        assert_eq!(places(&app, text).await, Vec::<String>::new(), "{text}");
    }
}
