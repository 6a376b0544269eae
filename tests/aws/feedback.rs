//! Bounces and complaints: what they come through is made and compared, and what SES tells arrives.

use permitd::{
    aws::{Access, ResourceState, SetupAction},
    mail::{Sender, ses},
    queue::{Policy, sqs},
};
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    support::emulator::{self, Kind},
};

fn bounce(user: &str) -> Value {
    json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{
                "emailAddress": "ana@example.org",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown"
            }],
            "timestamp": "2017-08-05T00:41:02.669Z",
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "reportingMTA": "dsn; mta.example.com"
        },
        "mail": {
            "timestamp": "2017-08-05T00:40:02.012Z",
            "source": "Sender Name <sender@example.com>",
            "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
            "destination": ["ana@example.org"],
            "tags": { "ses:configuration-set": ["ConfigSet"], "permitd-user": [user] }
        }
    })
}

#[tokio::test]
async fn what_ses_publishes_to_its_topic_reaches_the_person() {
    let access = Access::to_endpoints(emulator::shared_endpoints(Kind::Ministack)).await;
    let (prefix, policy) = (emulator::prefix(), Policy::default());
    let (queue, set) = (format!("{prefix}-told"), format!("{prefix}-set"));
    let sender = Sender::parse(&format!("permits@{prefix}.example"), "").unwrap();
    sqs::setup(&access, &prefix, policy, SetupAction::Make).await.unwrap();
    let (found, place) = sqs::setup_feedback(&access, &prefix, &queue, policy, SetupAction::Check).await.unwrap();
    assert_eq!((found.found, place), (ResourceState::Missing, None));
    ses::setup(&access, &sender, &set, SetupAction::Make).await.unwrap();
    let found =
        |checked: Vec<permitd::aws::CheckedResource>| checked.into_iter().map(|row| row.found).collect::<Vec<_>>();
    for expected in [ResourceState::Made, ResourceState::Right] {
        let (made, place) = sqs::setup_feedback(&access, &prefix, &queue, policy, SetupAction::Make).await.unwrap();
        assert_eq!(made.found, expected);
        let place = place.unwrap();
        let made = found(ses::setup_feedback(&access, &place, &set, SetupAction::Make).await.unwrap());
        assert_eq!(made, [expected.clone(), expected.clone(), expected]);
    }
    let (right, place) = sqs::setup_feedback(&access, &prefix, &queue, policy, SetupAction::Check).await.unwrap();
    let place = place.unwrap();
    assert_eq!(right.found, ResourceState::Right);
    assert_eq!(
        found(ses::setup_feedback(&access, &place, &set, SetupAction::Check).await.unwrap()),
        vec![ResourceState::Right; 3]
    );

    let settings =
        vec![("backend", "aws".to_owned()), ("mail.ses.feedback_queue", queue), ("mail.ses.configuration_set", set)];
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let endpoint = access.endpoints().sns.clone().unwrap();
    let config = aws_sdk_sns::config::Builder::from(access.config()).endpoint_url(endpoint).build();
    let sns = aws_sdk_sns::Client::from_conf(config);
    let publish = async |text: String| sns.publish().topic_arn(&place.topic).message(text).send().await.unwrap();
    publish(bounce(&user).to_string()).await;
    publish(bounce(&user).to_string()).await;
    let shown = app
        .eventually("the bounce", async || {
            let shown = app.admin_get(&format!("/users/{user}")).await.expect(200).json();
            (shown["mail_stop"] == "bounced").then_some(shown)
        })
        .await;
    assert_eq!(shown["mail_failure"], "smtp; 550 5.1.1 user unknown");
    publish(json!({ "eventType": "News from ana@example.org" }).to_string()).await;
    let letter = app
        .eventually("the dead letter", async || {
            app.admin_get("/dead-letters").await.expect(200).json()["data"].get(0).cloned()
        })
        .await;
    assert!(letter["reason"].as_str().unwrap().contains("eventType is not known"), "{letter}");
    let events = app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
    let bounces = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "MailBounced");
    assert_eq!(bounces.count(), 1, "{events}");
}
