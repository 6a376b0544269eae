//! From the commit to the mail: rows 5 to 10, 13, 15, 17, 19, 20, 22, 23.

use std::time::Duration;

use futures_util::future::join;
use permitd::{
    actors::{account::AccountCommand, commit::CommandError, invite::Inviting},
    domain::{id::StreamId, pace::InvitationBounds, user::Standing},
    queue::{EventMessage, Message},
    secrets::Secrets,
};
use uuid::Uuid;

use crate::{
    faults::Fault,
    world::{World, user_of},
};

const ANA: &str = "ana@example.org";

#[actix_web::test]
async fn row_05_the_queue_is_away_when_a_commit_is_to_be_published() {
    let world = World::new().await;
    world.faults.add("send", Fault::Before);
    let user = world.invite(ANA).await;
    assert_eq!(world.mailers.drain().await.unwrap(), 0);
    world.advance(Duration::from_millis(501));
    assert_eq!(world.relay.sweep().await.unwrap(), 1);
    assert_eq!(world.relay.sweep().await.unwrap(), 0, "the mark is cleared");
    world.mailers.drain().await.unwrap();
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_06_published_but_the_mark_is_not_cleared() {
    let world = World::new().await;
    world.faults.add("mark_published", Fault::Before);
    let user = world.invite(ANA).await;
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1, "a message that comes twice sends one mail");
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_06_the_queue_has_it_but_says_that_it_has_not() {
    let world = World::new().await;
    world.faults.add("send", Fault::After);
    let user = world.invite(ANA).await;
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_07_batch_send_partly_fails() {
    let world = World::new().await;
    *world.faults.batch_sent_max.lock().unwrap() = Some(0);
    let user = world.invite(ANA).await;
    assert_eq!(world.committer.queue.depth().await.unwrap().visible, 0);
    let marked = world.stores.log.unpublished(None, 10).await.unwrap();
    assert_eq!(marked.len(), 1, "a batch of which one message failed keeps its mark");
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_08_two_sweepers_at_once() {
    let world = World::new().await;
    let other = world.again().await;
    world.faults.add_many("send", 20, || Fault::Before);
    let mut users = Vec::new();
    for n in 0..20 {
        users.push((world.invite(&format!("user{n}@example.org")).await, format!("user{n}@example.org")));
    }
    world.advance(Duration::from_secs(1));
    let (one, two) = join(world.relay.sweep(), other.relay.sweep()).await;
    assert!(one.unwrap() + two.unwrap() >= 20);
    world.settle().await;
    for (user, address) in users {
        world.check_invited(user, &address).await;
        assert_eq!(world.mailbox.keys_to(&address).len(), 1);
    }
}

#[actix_web::test]
async fn row_09_the_index_of_unpublished_commits_lags() {
    let world = World::new().await;
    world.faults.add("send", Fault::Before);
    let user = world.invite(ANA).await;
    world.advance(Duration::from_secs(1));
    let marked = world.stores.log.unpublished(None, 10).await.unwrap();
    // It does not show the commit yet; later it still shows it although its mark is gone.
    world.faults.stale_unpublished.lock().unwrap().push_back(Vec::new());
    assert_eq!(world.relay.sweep().await.unwrap(), 0);
    assert_eq!(world.relay.sweep().await.unwrap(), 1);
    world.faults.stale_unpublished.lock().unwrap().push_back(marked);
    assert_eq!(world.relay.sweep().await.unwrap(), 1, "published twice");
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1, "and mailed once");
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_10_clearing_throttled() {
    let world = World::new().await;
    world.faults.add_many("mark_published", 4, || Fault::Before);
    let user = world.invite(ANA).await;
    for _ in 0..3 {
        world.advance(Duration::from_secs(1));
        assert!(world.relay.sweep().await.is_err());
    }
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_13_the_mail_is_taken_but_the_answer_is_lost() {
    let world = World::new().await;
    world.faults.add("mail", Fault::After);
    let user = world.invite(ANA).await;
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 2, "the one unavoidable duplicate");
    world.check_invited(user, ANA).await;
    let mails = world.mailbox.mails.lock().unwrap();
    assert_eq!(mails[0].message_id, mails[1].message_id, "a mailbox can recognise it");
}

#[actix_web::test]
async fn row_14_mailed_but_the_acknowledgement_fails() {
    for fault in [|| Fault::Before, || Fault::After] {
        let world = World::new().await;
        world.faults.add("acknowledge", fault());
        let user = world.invite(ANA).await;
        world.mailers.drain().await.expect_err("the queue is away");
        world.settle().await;
        assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
        world.check_invited(user, ANA).await;
    }
}

/// A node whose heartbeats come every 5 ms of real time, and which waits in the mail system while `minutes` pass, one
/// heartbeat a minute at the least.
async fn slow_mail(world: &World, minutes: u32, meanwhile: impl Future<Output = ()> + Send + 'static) {
    let (clock, mailers) = (world.clock.clone(), world.mailers.clone());
    let slow = async move {
        for _ in 0..minutes * 3 {
            clock.advance(Duration::from_secs(20));
            let beats = mailers.counts().heartbeats;
            while mailers.counts().heartbeats < beats + 2 {
                tokio::task::yield_now().await;
            }
        }
        meanwhile.await;
    };
    world.faults.add("mail", Fault::first(slow));
}

#[actix_web::test]
async fn row_15_handler_slower_than_its_visibility() {
    let first = World::new().await;
    let world = first.beside(first.clock.clone(), Duration::from_millis(15)).await;
    let other = world.again().await;
    let other_mailers = other.mailers.clone();
    let user = world.invite(ANA).await;
    slow_mail(&world, 3, async move {
        assert_eq!(other_mailers.drain().await.unwrap(), 0, "the heartbeat keeps the message from others");
    })
    .await;
    assert_eq!(world.mailers.drain().await.unwrap(), 1);
    assert!(world.mailers.counts().heartbeats >= 9);
    assert_eq!(world.committer.queue.depth().await.unwrap(), Default::default());
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_15_a_heartbeat_that_fails_does_not_end_the_work() {
    let first = World::new().await;
    let world = first.beside(first.clock.clone(), Duration::from_millis(15)).await;
    let user = world.invite(ANA).await;
    world.faults.add_many("extend", 2, || Fault::Before);
    slow_mail(&world, 1, async {}).await;
    assert_eq!(world.mailers.drain().await.unwrap(), 1, "the mail was on its way; it is not begun anew");
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_15_without_a_heartbeat_two_mailers_send_the_same_key() {
    let world = World::new().await;
    let other = world.again().await;
    let user = world.invite(ANA).await;
    let (clock, mailers) = (world.clock.clone(), other.mailers.clone());
    // The heartbeat is due only after 10 s of real time: the message becomes visible while the mail is on its way.
    world.faults.add(
        "mail",
        Fault::first(async move {
            clock.advance(Duration::from_secs(31));
            assert_eq!(mailers.drain().await.unwrap(), 1);
        }),
    );
    assert_eq!(world.mailers.drain().await.unwrap(), 1);
    let (here, there) = (world.mailbox.keys_to(ANA), other.mailbox.keys_to(ANA));
    assert_eq!((here.len(), &here), (1, &there), "both mails carry the same key");
    assert_eq!(world.count(user, "ApiKeyIssued").await, 1);
    assert_eq!(world.count(user, "ApiKeyMailed").await, 1);
    assert_eq!(world.committer.queue.depth().await.unwrap(), Default::default(), "one acknowledgement is enough");
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_17_user_deleted_between_key_and_mail() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let other = world.again().await;
    let (accounts, once) = (other.accounts.clone(), other.once());
    world.faults.add(
        "mail",
        Fault::first(async move {
            accounts.perform(user, AccountCommand::DeleteUser, once).await.unwrap();
        }),
    );
    world.mailers.drain().await.unwrap();
    let keys = world.mailbox.keys_to(ANA);
    assert_eq!(keys.len(), 1, "the mail was on its way");
    assert_eq!(world.request(&keys[0]).await, 401, "its key is refused at once");
    world.settle().await;
    assert_eq!(world.request(&keys[0]).await, 401);
    let person = world.load(user).await;
    assert_eq!((person.standing, person.unrevoked_keys().count()), (Standing::Deleted, 0));
    assert_eq!(world.count(user, "ApiKeyRevoked").await, 1);
    world.verify().await;
}

#[actix_web::test]
async fn row_17_key_revoked_between_key_and_mail() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    world.faults.add("mail", Fault::Before);
    world.mailers.drain().await.unwrap();
    let key = world.load(user).await.current_keys().next().expect("the key").id;
    world.perform(user, AccountCommand::RevokeApiKey { key }).await.unwrap();
    world.settle().await;
    assert!(world.mailbox.mails.lock().unwrap().is_empty(), "the administrator took the key back before it was mailed");
    assert_eq!(world.committer.queue.depth().await.unwrap().dead, 0, "which is no failure");
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1, "inviting again issues another key");
    assert_eq!(world.request(&world.mailbox.keys_to(ANA)[0]).await, 200);
    world.verify().await;
}

#[actix_web::test]
async fn row_19_poison_message() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let poison = Message::V1(EventMessage {
        event: Uuid::from_u128(7),
        type_name: "UserInvited".to_owned(),
        stream: StreamId::User(user).to_string(),
        version: 99,
        correlation_id: "test".to_owned(),
    });
    world.committer.queue.send(&[poison]).await.unwrap();
    world.settle().await;
    world.check_invited(user, ANA).await;
    let letters = world.committer.queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].receives, 5);
    assert!(letters[0].reason.contains("is not in its stream"), "{}", letters[0].reason);
    assert_eq!(world.mailers.counts().failed, 5);
    world.committer.queue.redrive(&letters[0].id).await.unwrap();
    world.settle().await;
    assert_eq!(world.committer.queue.dead_letters(10).await.unwrap().len(), 1, "it is as poisonous as before");
}

#[actix_web::test]
async fn row_19_mail_that_cannot_be_sent_is_redriven_when_it_can() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    world.faults.add_many("mail", 5, || Fault::Before);
    world.settle().await;
    let letters = world.committer.queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0].reason,
        "given up after 5 tries in 18 minutes: the mail could not be handed over, try again later: an injected fault"
    );
    assert_eq!(world.mailers.counts().put_off, 4);
    world.committer.queue.redrive(&letters[0].id).await.unwrap();
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn a_mail_that_is_not_taken_now_is_tried_again_with_growing_pauses() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    world.faults.add_many("mail", 4, || Fault::Before);
    assert_eq!(world.mailers.drain().await.unwrap(), 1);
    for minutes in [1, 2, 5, 10] {
        assert!(world.mailbox.keys_to(ANA).is_empty());
        world.advance(Duration::from_secs(minutes * 60 - 10));
        assert_eq!(world.mailers.drain().await.unwrap(), 0, "not before {minutes} minutes have passed");
        world.advance(Duration::from_secs(11));
        assert_eq!(world.mailers.drain().await.unwrap(), 1, "after {minutes} minutes");
    }
    // It was received more often than a message is before it is dead.
    assert_eq!((world.mailers.counts().put_off, world.mailers.counts().failed), (4, 0));
    world.check_invited(user, ANA).await;
    assert_eq!(world.committer.queue.depth().await.unwrap(), Default::default());
    assert_eq!(world.count(user, "ApiKeyIssued").await, 1);
}

#[actix_web::test]
async fn a_mail_that_waits_longer_than_a_service_delays_is_not_received_before() {
    let world = World::new().await;
    let other = world.again().await;
    let committer = std::sync::Arc::clone(&world.committer);
    let queue = &committer.queue;
    world.invite(ANA).await;
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    assert!(queue.postpone(&delivery, 1800).await.unwrap());
    for _ in 0..8 {
        assert_eq!(other.mailers.drain().await.unwrap(), 0);
        world.advance(Duration::from_secs(200));
    }
    assert_eq!(other.mailers.drain().await.unwrap(), 0, "1600 seconds are not 1800");
    world.advance(Duration::from_secs(900));
    assert_eq!(other.mailers.drain().await.unwrap(), 1);
    assert_eq!(other.mailbox.keys_to(ANA).len(), 1);
}

#[actix_web::test]
async fn row_06_a_message_is_put_off_and_the_answer_is_lost() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    world.faults.add("mail", Fault::Before);
    world.faults.add("postpone", Fault::After);
    world.mailers.drain().await.expect_err("the queue is away");
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn one_person_is_mailed_so_many_invitations_an_hour() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let bound = crate::world::BOUNDS.per_person;
    let last = world.once();
    for _ in 2..bound {
        world.inviting.resend(user, world.once()).await.unwrap();
    }
    let first_answer = world.inviting.resend(user, last.clone()).await.unwrap();
    // Whoever restarts, or asks another node, gets no more.
    let other = world.again().await;
    for node in [&world, &other] {
        let refused = node.inviting.resend(user, node.once()).await.unwrap_err();
        let CommandError::TooManyInvitations { wait_s, .. } = refused else { panic!("{refused}") };
        assert!((3590..=3600).contains(&wait_s), "{wait_s}");
        let repeated = node.inviting.resend(user, last.clone()).await.unwrap();
        assert_eq!((repeated.version, repeated.repeated), (first_answer.version, true), "what was done was done");
    }
    world.invite("ben@example.org").await;
    world.advance(Duration::from_secs(3599));
    assert!(world.inviting.resend(user, world.once()).await.is_err());
    world.advance(Duration::from_secs(2));
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), usize::try_from(bound).unwrap() + 1);
}

#[actix_web::test]
async fn all_people_together_are_mailed_so_many_invitations_an_hour() {
    let world = World::new().await;
    let bounds = InvitationBounds { per_person: 2, over_all: 4 };
    let start = || Inviting::start(std::sync::Arc::clone(&world.committer), bounds, 16, Duration::from_secs(30));
    let inviting = start();
    let invite = async |inviting: &Inviting, n: u32| {
        inviting.invite(crate::world::invitee(&format!("user{n}@example.org")), world.once()).await
    };
    let user = user_of(&invite(&inviting, 0).await.unwrap());
    inviting.resend(user, world.once()).await.unwrap();
    // What is refused takes no place.
    inviting.resend(user, world.once()).await.unwrap_err();
    invite(&inviting, 0).await.unwrap_err();
    // At once, too, no more than are left pass.
    let crowd = futures_util::future::join_all((1..9).map(|n| invite(&inviting, n))).await;
    assert_eq!(crowd.iter().filter(|answer| answer.is_ok()).count(), 2, "{crowd:?}");
    let restarted = start();
    for inviting in [&inviting, &restarted] {
        let refused = invite(inviting, 20).await.unwrap_err();
        assert!(matches!(refused, CommandError::TooManyInvitations { .. }), "{refused}");
    }
    world.advance(Duration::from_secs(3601));
    invite(&restarted, 20).await.unwrap();
    invite(&inviting, 21).await.unwrap();
}

#[actix_web::test]
async fn a_refused_mail_is_written_down_and_an_invitation_again_can_succeed() {
    let world = World::new().await;
    *world.mailbox.refuse.lock().unwrap() = Some("no such mailbox".to_owned());
    let user = world.invite(ANA).await;
    // The message comes twice: the refusal before the acknowledgement was lost, and by then the mailbox exists.
    world.faults.add("acknowledge", Fault::Before);
    world.mailers.drain().await.expect_err("the queue is away");
    assert_eq!(world.load(user).await.mail_failure.as_deref(), Some("no such mailbox"));
    *world.mailbox.refuse.lock().unwrap() = None;
    world.settle().await;
    assert_eq!(world.load(user).await.mail_failure, None);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_20_dead_letters_expire() {
    let world = World::new().await;
    world.faults.add_many("mail", 5, || Fault::Before);
    world.invite(ANA).await;
    world.settle().await;
    let queue = &world.committer.queue;
    assert_eq!(queue.depth().await.unwrap().dead, 1);
    world.advance(Duration::from_secs(14 * 86_400 - 10));
    assert_eq!(queue.expire().await.unwrap(), 0);
    assert_eq!(queue.dead_letters(10).await.unwrap().len(), 1);
    world.advance(Duration::from_secs(20));
    // One that a service takes away by itself is not counted.
    let expired = queue.expire().await.unwrap();
    assert!(expired <= 1, "{expired}");
    assert!(queue.dead_letters(10).await.unwrap().is_empty());
    assert_eq!(queue.depth().await.unwrap().dead, 0);
    assert_eq!(world.documents().await.iter().filter(|document| document["type"] == "UserInvited").count(), 1);
}

#[actix_web::test]
async fn row_22_crash_between_view_and_mark() {
    let world = World::new().await;
    world.faults.add("send", Fault::Before);
    let user = world.invite(ANA).await;
    world.advance(Duration::from_secs(1));
    world.faults.add("mark_published", Fault::Before);
    assert!(world.relay.sweep().await.is_err());
    // Another change follows before the relay comes back to the marked commit: its rows are of an older version.
    world.mailers.drain().await.unwrap();
    world.settle().await;
    world.check_invited(user, ANA).await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
}

#[actix_web::test]
async fn row_23_two_projectors() {
    let world = World::new().await;
    let other = world.again().await;
    world.faults.add("send", Fault::Before);
    let committed = world.try_invite(ANA, world.once()).await.unwrap();
    let user = user_of(&committed);
    world.advance(Duration::from_secs(1));
    // One projector has computed its rows; before it writes them the other projects, publishes, and the person is deleted.
    let (relay, accounts, once) = (other.relay.clone(), other.accounts.clone(), other.once());
    world.faults.add(
        "project",
        Fault::first(async move {
            assert_eq!(relay.sweep().await.unwrap(), 1);
            accounts.perform(user, AccountCommand::DeleteUser, once).await.unwrap();
        }),
    );
    world.relay.sweep().await.unwrap();
    let row = world.stores.views.user(user).await.unwrap().expect("the row");
    assert_eq!((row.version, row.email), (2, None), "the late projector's older row changes nothing");
    world.settle().await;
    world.verify().await;
}

/// A secret with these versions, the last of which is the current one.
fn secret(versions: &[&str]) -> Secrets {
    let bytes = |name: &&str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, name.repeat(32));
    let versions: Vec<String> =
        (1..).zip(versions).map(|(version, name)| format!("\"{version}\": \"{}\"", bytes(name))).collect();
    let json = format!("{{ \"current\": {}, \"versions\": {{ {} }} }}", versions.len(), versions.join(", "));
    Secrets::from_json(json.as_bytes(), "a test").unwrap()
}

#[actix_web::test]
async fn who_has_an_older_secret_leaves_messages_to_others() {
    let world = World::new().await;
    let new = world.with_secret(secret(&["a", "b"])).await;
    new.stores.upkeep.replace_secret_marks(new.committer.secrets.marks()).await.unwrap();
    new.faults.add("mail", Fault::Before);
    let user = new.invite(ANA).await;
    // The key is issued; its mail is not sent.
    new.mailers.drain().await.unwrap();
    assert!(new.mailbox.keys_to(ANA).is_empty());
    for _ in 0..10 {
        new.advance(Duration::from_secs(301));
        let old = new.with_secret(secret(&["a"])).await;
        assert_eq!(old.mailers.drain().await.unwrap(), 1, "it cannot know before it tries");
        assert!(old.committer.secrets.doubted().unwrap().contains("version 2 is missing"));
        new.advance(Duration::from_secs(301));
        assert_eq!(old.mailers.drain().await.unwrap(), 0, "and takes no other");
        assert!(old.mailbox.keys_to(ANA).is_empty());
    }
    assert_eq!(new.committer.queue.depth().await.unwrap().dead, 0);
    new.settle().await;
    new.check_invited(user, ANA).await;
}
