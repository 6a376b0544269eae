//! The log and its views: rows 18, 24 to 27.

use std::time::Duration;

use jiff::Timestamp;
use permitd::{
    actors::{account::AccountCommand, commit::CommandError},
    domain::{
        event::{Event, Role},
        id::{CommandId, StreamId},
        persisted::CodecError,
        personal::Personal,
        user::Standing,
        view::Rows,
    },
    replay::{self, ReplayError},
    store::{Append, PersonalChange},
};
use uuid::Uuid;

use crate::{
    faults::Fault,
    world::{World, envelope},
};

const ANA: &str = "ana@example.org";

#[actix_web::test]
async fn row_18_view_row_older_than_the_stored_one_arrives_late() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let old = world.stores.views.user(user).await.unwrap().expect("the row");
    let old_keys = world.stores.views.keys(user).await.unwrap();
    world.perform(user, AccountCommand::RevokeApiKey { key: old_keys[0].id }).await.unwrap();
    world.perform(user, AccountCommand::DisableUser).await.unwrap();
    let (new, new_keys) = (world.stores.views.user(user).await.unwrap(), world.stores.views.keys(user).await.unwrap());
    world.stores.log.project(Rows { users: vec![old], keys: old_keys, ..Rows::default() }).await.unwrap();
    assert_eq!(world.stores.views.user(user).await.unwrap(), new);
    assert_eq!(world.stores.views.keys(user).await.unwrap(), new_keys);
    world.verify();
}

#[actix_web::test]
async fn row_24_rebuild_while_serving() {
    let world = World::new().await;
    let (ana, key) = world.member(ANA).await;
    let replayable = std::sync::Arc::clone(&world.stores.replay);
    let (done, is_done) = std::sync::mpsc::channel();
    let rebuilding = std::thread::spawn(move || {
        let mut rebuilds = 0;
        while rebuilds < 5 || is_done.try_recv().is_err() {
            let mut space = replayable.replay_space().unwrap();
            replay::rebuild(&mut *space, &mut |_| {}).unwrap();
            rebuilds += 1;
        }
        rebuilds
    });
    for n in 0..60 {
        let address = format!("user{n}@example.org");
        let (user, _) = world.member(&address).await;
        match n % 3 {
            0 => world.perform(user, AccountCommand::DeleteUser).await.unwrap(),
            1 => world.perform(user, AccountCommand::ChangeRole(Role::Admin)).await.unwrap(),
            _ => world.perform(user, AccountCommand::IssueApiKey { label: None }).await.unwrap(),
        };
        assert_eq!(world.request(&key).await, 200, "keys work during a rebuild");
        world.advance(Duration::from_secs(1));
    }
    done.send(()).unwrap();
    assert!(rebuilding.join().unwrap() >= 5);
    world.settle().await;
    world.verify();
    assert_eq!(world.load(ana).await.standing, Standing::Enabled);
}

/// Writes a commit that a newer permitd could have written.
async fn from_the_future(world: &World, stream: StreamId, recorded_at: Timestamp) {
    let id = Uuid::from_u128(77);
    let events = format!(
        r#"[{{"id":"{id}","type":"UserPromoted","schema_version":1,"actor":"admin:1","correlation_id":"c","data":{{}}}}]"#
    );
    let loaded = world.stores.log.load(&stream, 0, 1000).await.unwrap();
    let append = Append {
        expected_version: loaded.last().map_or(0, |commit| commit.version),
        stream,
        command: CommandId::unique(id),
        request_hash: None,
        recorded_at,
        events,
        claims: Vec::new(),
        personal: PersonalChange::Keep,
        rows: Rows::default(),
        publishes: true,
    };
    world.stores.log.append(append).await.unwrap();
}

#[actix_web::test]
async fn row_25_unknown_event_type() {
    let world = World::new().await;
    let (ana, key) = world.member(ANA).await;
    from_the_future(&world, StreamId::User(ana), world.now()).await;
    let stopped = world.perform(ana, AccountCommand::DisableUser).await;
    assert!(
        matches!(&stopped, Err(CommandError::Codec(CodecError::Unknown { type_name, .. })) if type_name == "UserPromoted"),
        "{stopped:?}"
    );
    let mut space = world.stores.replay.replay_space().unwrap();
    let rebuilt = replay::rebuild(&mut *space, &mut |_| {});
    assert!(matches!(rebuilt, Err(ReplayError::Codec(CodecError::Unknown { .. }))), "{rebuilt:?}");
    drop(space);
    assert_eq!(world.request(&key).await, 200, "the live views are as they were");

    // It stops its own stream and no other: those behind it are published.
    world.faults.add("send", Fault::Before);
    let ben = world.invite("ben@example.org").await;
    world.advance(Duration::from_secs(1));
    let swept = world.relay.sweep().await;
    assert!(swept.is_err(), "the sweep says that it could not do all");
    world.mailers.drain().await.unwrap();
    assert_eq!(world.mailbox.keys_to("ben@example.org").len(), 1, "but it did the rest");
    assert!(world.load(ben).await.is_mailed(world.load(ben).await.invitations[0].0));
}

#[actix_web::test]
async fn row_26_erased_person() {
    let world = World::new().await;
    let (user, key) = world.member(ANA).await;
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    assert_eq!(world.request(&key).await, 401, "refused at once, before the revocation follows");
    world.settle().await;
    assert_eq!(world.stores.log.personal_key(user).await.unwrap(), None);
    let row = world.stores.views.user(user).await.unwrap().expect("the row stays");
    assert_eq!((row.email, row.name), (None, None));
    let person = world.load(user).await;
    assert_eq!(person.email.or_erased(), "erased");
    assert!(!world.documents().await.iter().any(|document| document.to_string().contains("ana")), "in no document");
    world.verify();
    let mut space = world.stores.replay.replay_space().unwrap();
    replay::rebuild(&mut *space, &mut |_| {}).unwrap();
    drop(space);
    world.verify();
    // The address is free again, for somebody else.
    let (again, new_key) = world.member(ANA).await;
    assert_ne!(again, user);
    assert_eq!((world.request(&new_key).await, world.request(&key).await), (200, 401));
}

fn mail_failed(reason: &str) -> Event {
    let reason = Personal::Known(reason.to_owned());
    Event::MailFailed { invitation: Uuid::from_u128(1), class: "550, refused the mail".to_owned(), reason }
}

#[actix_web::test]
async fn row_27_a_stream_over_1_mb() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let stream = StreamId::User(user);
    let reason = "x".repeat(100_000);
    for n in 0..12 {
        let command = envelope(CommandId::unique(Uuid::from_u128(n)));
        let failed = mail_failed(&reason);
        world.committer.run(&stream, &command, |_| Ok(vec![failed.clone()])).await.unwrap();
    }
    for n in 0..300 {
        let role = if n % 2 == 0 { Role::Admin } else { Role::Reader };
        world.perform(user, AccountCommand::ChangeRole(role)).await.unwrap();
    }
    let commits = world.stores.log.load(&stream, 0, 1000).await.unwrap();
    assert!(commits.iter().map(|commit| commit.events.len()).sum::<usize>() > 1 << 20);
    let person = world.load(user).await;
    assert_eq!(person.version, 3 + 12 + 300);
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 2);
    world.verify();

    let too_large = mail_failed(&"x".repeat(256 * 1024));
    let command = world.once();
    let refused = world.committer.run(&stream, &command, |_| Ok(vec![too_large.clone()])).await;
    assert!(matches!(refused, Err(CommandError::Codec(CodecError::TooLarge { .. }))), "{refused:?}");
}

#[actix_web::test]
async fn a_person_whose_key_was_not_there_yet_when_it_was_looked_for_is_not_taken_for_erased() {
    let world = World::new().await;
    let command = world.once();
    let other = world.again().await;
    let (inviting, same) = (other.inviting.clone(), command.clone());
    // Two tries of one command at once: the other one creates the person after this one has looked for the key.
    world.faults.add(
        "personal_key",
        Fault::then(async move {
            inviting.invite(crate::world::invitee(ANA), same).await.unwrap();
        }),
    );
    let committed = world.try_invite(ANA, command).await.unwrap();
    let Event::UserInvited { email, .. } = &committed.events[0].event else { panic!("{:?}", committed.events) };
    assert_eq!(email.known(), Some(ANA));
}
