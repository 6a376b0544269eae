//! A life by mail through SES.

use permitd::{
    aws::SetupAction,
    mail::{Sender, ses},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    support::emulator,
};

/// A server with a few records that sends through SES, from an address that SES knows as ours if `is_verified`.
async fn serving(is_verified: bool) -> TestApp {
    serving_rows(is_verified, 5).await
}

async fn serving_rows(is_verified: bool, sample_rows: u64) -> TestApp {
    let from = format!("Permit Office <permits@{}.example>", emulator::prefix());
    let settings = vec![("mail.transport", "ses".to_owned()), ("mail.from", from.clone())];
    let app = TestApp::with(Options { settings, sample_rows, ..Options::default() }).await;
    if is_verified {
        let access = app.place().access().await.expect("access to AWS");
        ses::setup(&access, &Sender::parse(&from, "").unwrap(), "", SetupAction::Make).await.unwrap();
    }
    app
}

/// The texts of the mails to an address, as the emulator has them.
async fn received(app: &TestApp, address: &str) -> Vec<String> {
    let access = app.place().access().await.expect("access to AWS");
    let url = format!("{}/_ministack/ses/messages", access.endpoints().ses.as_ref().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let mails = answer["messages"].as_object().unwrap().values().flat_map(|mails| mails.as_array().unwrap());
    let mails = mails.filter(|mail| mail["To"] == json!([address]));
    mails.map(|mail| mail["BodyText"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_invited_person_reads_with_the_key_that_ses_sent() {
    let app = serving(true).await;
    let address = format!("ana@{}.example", emulator::prefix());
    let user = app.admin_send(Method::POST, "/users", &json!({ "email": address })).await.expect(201).json();
    let text = app.eventually("the mail", async || received(&app, &address).await.pop()).await;
    let key = text.split_whitespace().find(|word| word.starts_with("pmt_")).expect("a key in the mail");
    app.get("/permits/201612013997", key).await.expect(200);
    let path = format!("/users/{}/keys", user["id"].as_str().unwrap());
    let mailed = app.eventually("the mail to be written down", async || {
        let keys = app.admin_get(&path).await.expect(200).json();
        keys["data"][0]["mailed_at"].is_string().then_some(keys)
    });
    assert_eq!(mailed.await["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(received(&app, &address).await.len(), 1);
    assert!(!app.place().data().join("outbox").exists(), "no mail went into a file");
}

#[tokio::test]
async fn a_mail_before_the_first_import_promises_no_request() {
    let app = serving_rows(true, 0).await;
    let address = format!("eve@{}.example", emulator::prefix());
    app.admin_send(Method::POST, "/users", &json!({ "email": address })).await.expect(201);
    let text = app.eventually("the mail", async || received(&app, &address).await.pop()).await;
    assert!(text.contains("No data has been published yet") && !text.contains("curl"), "{text}");
    assert!(text.contains("pmt_"), "{text}");
}

#[tokio::test]
async fn a_sender_that_is_not_verified_loses_no_message_and_says_what_to_do() {
    let app = serving(false).await;
    let address = format!("ben@{}.example", emulator::prefix());
    app.admin_send(Method::POST, "/users", &json!({ "email": address })).await.expect(201);
    let failed = app.eventually("a try that failed", async || {
        let counters = app.admin_get("/admin/counters").await.expect(200).json();
        (counters["mailers"]["put_off"].as_u64() > Some(0)).then_some(counters)
    });
    assert_eq!(failed.await["mailers"]["mails_rejected"], 0, "it is not the person's fault");
    let depth = app.service().committer.queue.depth().await.unwrap();
    assert_eq!((depth.visible + depth.in_flight, depth.dead), (1, 0), "the message waits for its next try");
    assert!(received(&app, &address).await.is_empty());
}
