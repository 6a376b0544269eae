//! Mail that comes back, and whether mail arrives, over HTTP.

use reqwest::Method;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn mail_that_came_back_is_shown_and_allowed_again() {
    let app = TestApp::with_sample(5).await;
    let (user, _) = app.invite_as(&json!({ "email": "ana@example.org" })).await;
    let recipient = json!({ "emailAddress": "ana@example.org", "status": "5.1.1" });
    let bounce = json!({ "bounceType": "Permanent", "bouncedRecipients": [recipient], "feedbackId": "b1" });
    let told = json!({ "eventType": "Bounce", "bounce": bounce, "mail": { "messageId": "m" } }).to_string();
    app.service().mailers.take_feedback(&told).await.unwrap();
    let shown = app.admin_get(&format!("/users/{user}")).await.expect(200).json();
    assert_eq!((&shown["mail_stop"], &shown["mail_failure"]), (&"bounced".into(), &"Permanent/other 5.1.1".into()));
    let resent = app.admin_send(Method::POST, &format!("/users/{user}/invitations"), &json!({})).await.expect(409);
    assert!(resent.json()["detail"].as_str().unwrap().contains("/mail/allow"), "{}", resent.body);
    let test = app.admin_send(Method::POST, "/mail/test", &json!({ "to": "ana@example.org" })).await.expect(200).json();
    assert_eq!(test["outcome"], "withheld");
    let allowed = app.admin_send(Method::POST, &format!("/users/{user}/mail/allow"), &json!({})).await.expect(200);
    assert!(allowed.json()["mail_stop"].is_null());
    app.admin_send(Method::POST, &format!("/users/{user}/invitations"), &json!({})).await.expect(202);
    app.mail_to("ana@example.org", 2).await;
}

#[tokio::test]
async fn an_example_is_sent_and_what_was_said_is_answered() {
    let app = TestApp::with_sample(5).await;
    let test = app.admin_send(Method::POST, "/mail/test", &json!({ "to": "you@example.org" })).await.expect(200).json();
    assert_eq!(
        (&test["outcome"], &test["mail"], &test["transport"]),
        (&"taken".into(), &"invitation".into(), &"file".into())
    );
    assert!(app.mail_to("you@example.org", 1).await.text.contains("pmt_EXAMPLE"));
    for wrong in [json!({ "to": "no address" }), json!({ "to": "you@example.org", "mail": "none" }), json!({})] {
        app.admin_send(Method::POST, "/mail/test", &wrong).await.expect(400);
    }
}
