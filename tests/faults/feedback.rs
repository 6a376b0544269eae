//! What comes of mails after they were handed over: written down once, and what follows from it.

use permitd::{
    actors::{account::AccountCommand, commit::CommandError},
    domain::{
        id::{StreamId, UserId},
        user::{CommandRefusal, MailStop},
    },
};
use serde_json::{Value, json};

use crate::{faults::Fault, world::World};

const ANA: &str = "ana@example.org";

fn bounce(id: &str, kind: &str, user: Option<UserId>) -> String {
    let tags = user.map_or(json!({}), |user| json!({ "permitd-user": [user.to_string()] }));
    let recipient = json!({ "emailAddress": ANA, "status": "5.1.1", "diagnosticCode": format!("550 no {ANA}") });
    let bounce =
        json!({ "bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [recipient], "feedbackId": id });
    json!({ "eventType": "Bounce", "bounce": bounce, "mail": { "messageId": "m", "tags": tags } }).to_string()
}

fn complaint(id: &str) -> String {
    let complaint = json!({ "complainedRecipients": [{ "emailAddress": ANA }], "feedbackId": id });
    json!({ "notificationType": "Complaint", "complaint": complaint, "mail": { "messageId": "m" } }).to_string()
}

/// The person as the view has them.
async fn shown(world: &World, user: UserId) -> (Option<MailStop>, Option<String>) {
    let row = world.stores.views.user(user).await.unwrap().unwrap();
    (row.mail_stop, row.mail_failure)
}

#[actix_web::test]
async fn a_bounce_stops_mail_until_an_administrator_allows_it() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    for _ in 0..3 {
        world.mailers.take_feedback(&bounce("b1", "Permanent", Some(user))).await.unwrap();
    }
    assert_eq!(world.count(user, "MailBounced").await, 1, "told often, written down once");
    assert_eq!(shown(&world, user).await, (Some(MailStop::Bounced), Some(format!("550 no {ANA}"))));
    let again = world.inviting.resend(user, world.once()).await;
    assert!(matches!(again, Err(CommandError::Refused(CommandRefusal::MailStopped(MailStop::Bounced)))), "{again:?}");
    world.perform(user, AccountCommand::AllowMail).await.unwrap();
    assert!(world.perform(user, AccountCommand::AllowMail).await.unwrap().committed.events.is_empty(), "once");
    assert_eq!(shown(&world, user).await, (None, None));
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 2);
    world.mailers.take_feedback(&complaint("c1")).await.unwrap();
    assert_eq!(shown(&world, user).await.0, Some(MailStop::Complained), "found by the address");
    assert!(world.documents().await.iter().all(|document| !document.to_string().contains("ana@")), "sealed");
    world.verify().await;
}

#[actix_web::test]
async fn a_mail_that_was_asked_for_before_the_bounce_is_not_sent_after_it() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    world.inviting.resend(user, world.once()).await.unwrap();
    world.mailers.take_feedback(&bounce("b1", "Permanent", None)).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    assert_eq!(world.count(user, "MailFailed").await, 1, "an administrator sees it");
    assert_eq!(shown(&world, user).await.1, Some(format!("550 no {ANA}")), "and why");
    world.verify().await;
}

#[actix_web::test]
async fn a_transient_bounce_is_shown_and_stops_nothing() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    world.mailers.take_feedback(&bounce("b1", "Transient", Some(user))).await.unwrap();
    assert_eq!(shown(&world, user).await, (None, Some(format!("550 no {ANA}"))));
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!((world.mailbox.keys_to(ANA).len(), shown(&world, user).await), (2, (None, None)));
}

#[actix_web::test]
async fn of_a_deleted_or_unknown_person_nothing_is_written_down() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    let before = world.documents().await.len();
    let nobody = UserId::parse("00000000-0000-0000-0000-000000000007").unwrap();
    for user in [Some(user), Some(nobody), None] {
        world.mailers.take_feedback(&bounce("b1", "Permanent", user)).await.unwrap();
    }
    assert_eq!(world.documents().await.len(), before);
    assert_eq!(world.stores.log.load(&StreamId::User(nobody), 0, 1).await.unwrap(), []);
}

#[actix_web::test]
async fn what_is_not_written_down_is_told_again_and_what_is_written_down_is_not_repeated() {
    for fault in [|| Fault::Before, || Fault::After] {
        let world = World::new().await;
        let (user, _) = world.member(ANA).await;
        world.faults.add_many("append", 3, fault);
        let told = bounce("b1", "Permanent", Some(user));
        world.mailers.take_feedback(&told).await.ok();
        world.mailers.take_feedback(&told).await.unwrap();
        assert_eq!(world.count(user, "MailBounced").await, 1);
        world.verify().await;
    }
}

#[actix_web::test]
async fn what_is_no_feedback_is_refused_without_its_words() {
    let world = World::new().await;
    for text in
        ["", "text", r#"{"eventType":"ana@example.org"}"#, r#"{"TopicArn":"t","Type":"SubscriptionConfirmation"}"#]
    {
        let refused = world.mailers.take_feedback(text).await.unwrap_err().to_string();
        assert!(!refused.contains('@'), "{refused}");
    }
}

#[actix_web::test]
async fn administrators_whose_mail_is_stopped_are_told_of_no_leak() {
    let world = World::new().await;
    let (user, key) = world.member(ANA).await;
    world.mailers.take_feedback(&bounce("b1", "Permanent", Some(user))).await.unwrap();
    let presented = permitd::domain::key::PresentedKey::parse(key.as_bytes()).unwrap();
    let leak = AccountCommand::RevokeLeakedApiKey { key: presented.id(), hash: presented.hash() };
    world.perform(user, leak).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.mails.lock().unwrap().len(), 1, "the invitation alone");
    let notice = world.documents().await.into_iter().find(|document| document["type"] == "LeakNoticeMailed").unwrap();
    let refused: &Value = &notice["data"]["refused"];
    assert!(refused.as_str().unwrap().contains("came back for good"), "{notice}");
}
