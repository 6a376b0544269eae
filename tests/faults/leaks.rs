//! Mails about a leaked key: each of them once, whatever becomes of the others.

use permitd::{
    actors::account::AccountCommand,
    domain::{
        event::Role,
        id::UserId,
        key::{KeyId, PresentedKey},
    },
    mail::OutgoingMail,
};

use crate::{faults::Fault, world::World};

const ANA: &str = "ana@example.org";
const BOSS: &str = "boss@example.org";

/// Somebody with a key, and an administrator.
async fn people(world: &World) -> (UserId, String) {
    let (boss, _) = world.member(BOSS).await;
    world.perform(boss, AccountCommand::ChangeRole(Role::Admin)).await.unwrap();
    world.member(ANA).await
}

async fn leaks(world: &World, user: UserId, key: &str) -> KeyId {
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    let leak = AccountCommand::RevokeLeakedApiKey { key: presented.id(), hash: presented.hash() };
    world.perform(user, leak).await.unwrap();
    presented.id()
}

/// The mails that tell of the key's leak.
fn told(world: &World, key: KeyId, address: &str) -> usize {
    let mails = world.mailbox.mails.lock().unwrap();
    let is_it = |mail: &&OutgoingMail| mail.subject.contains("has leaked") && mail.text.contains(key.as_str());
    mails.iter().filter(is_it).filter(|mail| mail.to == address).count()
}

#[actix_web::test]
async fn a_mail_that_is_not_taken_for_now_repeats_none_of_the_others() {
    let world = World::new().await;
    let (user, key) = people(&world).await;
    for fault in [Fault::None, Fault::Before, Fault::Before] {
        world.faults.add("mail", fault);
    }
    let id = leaks(&world, user, &key).await;
    assert_eq!(world.request(&key).await, 401, "at once");
    world.mailers.drain().await.unwrap();
    assert_eq!((told(&world, id, ANA), told(&world, id, BOSS)), (1, 0));
    world.settle().await;
    assert_eq!((told(&world, id, ANA), told(&world, id, BOSS)), (1, 1));
    assert_eq!(world.count(user, "LeakNoticeMailed").await, 2);
    world.verify().await;
}

#[actix_web::test]
async fn a_mail_that_is_refused_for_good_is_written_down_and_not_tried_again() {
    let world = World::new().await;
    let (user, key) = people(&world).await;
    *world.mailbox.refuse.lock().unwrap() = Some("550 no such mailbox".to_owned());
    let id = leaks(&world, user, &key).await;
    world.mailers.drain().await.unwrap();
    *world.mailbox.refuse.lock().unwrap() = None;
    world.settle().await;
    assert_eq!((told(&world, id, ANA), told(&world, id, BOSS)), (0, 0));
    assert_eq!(world.count(user, "LeakNoticeMailed").await, 2);
    assert!(world.documents().await.iter().all(|document| !document.to_string().contains("no such mailbox")));
}

#[actix_web::test]
async fn an_owner_who_was_deleted_meanwhile_is_told_nothing() {
    let world = World::new().await;
    let (user, key) = people(&world).await;
    let id = leaks(&world, user, &key).await;
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    assert_eq!((told(&world, id, ANA), world.count(user, "LeakNoticeMailed").await), (0, 0));
    assert_eq!(world.count(user, "ApiKeyRevoked").await, 1);
    world.verify().await;
}
