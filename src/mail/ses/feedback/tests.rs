use serde_json::json;

use super::*;

const USER: &str = "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11";
const MESSAGE: &str = "invitation-0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a12-3fE9kQ0aZb7LmN2p";

/// The bounce of an event destination, as SES's developer guide shows it ("Bounce record"), with tags of ours.
fn event() -> Value {
    json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{
                "emailAddress": "recipient@example.com",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown <recipient@example.com>"
            }],
            "timestamp": "2017-08-05T00:41:02.669Z",
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "reportingMTA": "dsn; mta.example.com"
        },
        "mail": {
            "timestamp": "2017-08-05T00:40:02.012Z",
            "source": "Sender Name <sender@example.com>",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/sender@example.com",
            "sendingAccountId": "123456789012",
            "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
            "destination": ["recipient@example.com"],
            "headersTruncated": false,
            "headers": [
                { "name": "From", "value": "Sender Name <sender@example.com>" },
                { "name": "Message-ID", "value": format!("<{MESSAGE}@example.com>") }
            ],
            "commonHeaders": { "from": ["Sender Name <sender@example.com>"], "subject": "Message sent from Amazon SES" },
            "tags": {
                "ses:configuration-set": ["ConfigSet"],
                "ses:caller-identity": ["ses_user"],
                "permitd-message": [MESSAGE],
                "permitd-user": [USER]
            }
        }
    })
}

/// The notification of an identity ("Amazon SNS notification examples for Amazon SES").
fn notification() -> Value {
    json!({
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "reportingMTA": "dns; email.example.com",
            "bouncedRecipients": [{
                "emailAddress": "jane@example.com",
                "status": "5.1.1",
                "action": "failed",
                "diagnosticCode": "smtp; 550 5.1.1 <jane@example.com>... User"
            }],
            "bounceSubType": "General",
            "timestamp": "2016-01-27T14:59:38.237Z",
            "feedbackId": "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa068a-000000",
            "remoteMtaIp": "127.0.2.0"
        },
        "mail": {
            "timestamp": "2016-01-27T14:59:38.237Z",
            "source": "john@example.com",
            "sourceArn": "arn:aws:ses:us-east-1:888888888888:identity/example.com",
            "sourceIp": "127.0.3.0",
            "sendingAccountId": "123456789012",
            "callerIdentity": "IAM_user_or_role_name",
            "messageId": "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa0680-000000",
            "destination": ["jane@example.com", "mary@example.com", "richard@example.com"]
        }
    })
}

fn complaint() -> Value {
    json!({
        "eventType": "Complaint",
        "complaint": {
            "complainedRecipients": [{ "emailAddress": "recipient@example.com" }],
            "timestamp": "2017-08-05T00:41:02.669Z",
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
            "complaintFeedbackType": "abuse",
            "arrivalDate": "2017-08-05T00:41:02.669Z"
        },
        "mail": event()["mail"]
    })
}

fn in_sns(inner: &Value) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
        "Subject": "Amazon SES Email Event Notification",
        "Message": inner.to_string(),
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEw6JRN",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe"
    })
}

fn in_event_bridge(inner: &Value) -> Value {
    json!({ "version": "0", "id": "12345678-1234-1234-1234-123456789012", "detail-type": "Email Bounced", "source": "aws.ses", "detail": inner })
}

fn told(value: &Value) -> Told {
    match read(&value.to_string()).unwrap() {
        Feedback::Comeback(told) => *told,
        Feedback::Nothing => panic!("{value}"),
    }
}

#[test]
fn a_bounce_is_read_in_every_shape_and_envelope() {
    let bare = told(&event());
    assert_eq!(bare.user, Some(UserId(Uuid::try_parse(USER).unwrap())));
    assert_eq!(bare.address.as_deref(), Some("recipient@example.com"));
    let Comeback { kind, class, reason, message_id } = &bare.comeback;
    assert_eq!(*kind, ComebackKind::Bounce(BounceKind::Permanent));
    assert_eq!((class.as_str(), message_id.as_deref()), ("Permanent/General 5.1.1", Some(MESSAGE)));
    assert_eq!(reason, "smtp; 550 5.1.1 user unknown <recipient@example.com>");
    for value in [in_sns(&event()), in_event_bridge(&event()), in_sns(&in_event_bridge(&event()))] {
        assert_eq!(told(&value), bare);
        assert!(looks_like_it(&value.to_string()));
    }
    let older = told(&in_sns(&notification()));
    assert_eq!(
        (older.user, older.address.as_deref(), older.comeback.message_id),
        (None, Some("jane@example.com"), None)
    );
    assert_eq!(older.id, "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa068a-000000");
    assert!(!format!("{bare:?}").contains('@'));
}

#[test]
fn without_tags_the_mail_is_known_by_its_headers() {
    let mut value = event();
    value["mail"].as_object_mut().unwrap().remove("tags");
    assert_eq!(told(&value).comeback.message_id.as_deref(), Some(MESSAGE));
    value["mail"]["headers"][1]["value"] = json!("<someone's own id, with jane@example.com>");
    assert_eq!(told(&value).comeback.message_id, None, "only such as are ours");
}

#[test]
fn what_is_for_now_is_told_apart_and_strangers_words_reach_no_class() {
    for (kind, expected) in [
        ("Transient", BounceKind::Transient),
        ("Undetermined", BounceKind::Transient),
        ("Permanent", BounceKind::Permanent),
    ] {
        let mut value = event();
        value["bounce"]["bounceType"] = json!(kind);
        value["bounce"]["bounceSubType"] = json!("jane@example.com");
        value["bounce"]["bouncedRecipients"][0]["status"] = json!("5.1.1 jane@example.com");
        value["bounce"]["bouncedRecipients"][0].as_object_mut().unwrap().remove("diagnosticCode");
        let Comeback { kind: found, class, reason, .. } = told(&value).comeback;
        assert_eq!(
            (found, class, reason),
            (ComebackKind::Bounce(expected), format!("{kind}/other"), format!("{kind}/other"))
        );
    }
    let mut value = complaint();
    assert_eq!(
        (told(&value).comeback.kind, told(&value).comeback.class.as_str()),
        (ComebackKind::Complaint, "complaint: abuse")
    );
    value["complaint"]["complaintFeedbackType"] = json!("<jane@example.com>");
    assert_eq!(told(&value).comeback.class, "complaint: other");
    value["complaint"]["complaintFeedbackType"] = json!("not-spam");
    assert_eq!(read(&value.to_string()), Ok(Feedback::Nothing), "they want it");
}

#[test]
fn what_asks_for_nothing_and_what_is_no_feedback_are_told_apart() {
    for kind in ["Send", "Delivery", "DeliveryDelay", "Open", "Click", "Reject", "Rendering Failure", "Subscription"] {
        assert_eq!(read(&json!({ "eventType": kind, "mail": event()["mail"] }).to_string()), Ok(Feedback::Nothing));
    }
    let succeeded = json!({ "notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed" });
    assert_eq!(read(&succeeded.to_string()), Ok(Feedback::Nothing));
    let mut confirm = in_sns(&event());
    confirm["Type"] = json!("SubscriptionConfirmation");
    let mut lacking = event();
    lacking.as_object_mut().unwrap().remove("bounce");
    let mut nobody = event();
    nobody["bounce"]["bouncedRecipients"] = json!([]);
    let mut broken = in_sns(&event());
    broken["Message"] = json!("jane@example.com");
    for value in
        [confirm, lacking, nobody, broken, json!({ "eventType": "jane@example.com" }), json!({ "v": "1" }), json!([1])]
    {
        let refused = read(&value.to_string()).unwrap_err().to_string();
        assert!(!refused.contains('@'), "{refused}");
    }
    assert!(read("jane@example.com").is_err());
    assert!(!looks_like_it(r#"{"v":"1","event":"x"}"#) && !looks_like_it("text"));
}
