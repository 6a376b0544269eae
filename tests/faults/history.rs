//! The log and its views: rows 18, 24 to 27.

use std::time::Duration;

use jiff::Timestamp;
use permitd::{
    actors::{account::AccountCommand, commit::CommandError},
    domain::{
        bounds::KeyChange,
        chain::ChainHash,
        event::{Event, Role},
        id::{CommandId, StreamId},
        persisted::{self, CodecError},
        personal::Personal,
        user::Standing,
        view::Rows,
    },
    queue::{EventMessage, Message},
    replay::{self, ReplayError},
    store::{Append, ClaimChange, PersonalChange},
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
    world.verify().await;
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
            1 => world.perform(user, AccountCommand::ChangeRole(Role::Manager)).await.unwrap(),
            _ => world.perform(user, AccountCommand::IssueApiKey(KeyChange::default())).await.unwrap(),
        };
        assert_eq!(world.request(&key).await, 200, "keys work during a rebuild");
        world.advance(Duration::from_secs(1));
    }
    done.send(()).unwrap();
    assert!(rebuilding.join().unwrap() >= 5);
    world.settle().await;
    world.verify().await;
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
        previous: persisted::head(&loaded),
        stream,
        command: CommandId::unique(id),
        request_hash: None,
        recorded_at,
        events,
        secret: None,
        administrators: None,
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
async fn a_stream_in_quarantine_is_refused_and_left_alone() {
    let world = World::new().await;
    let (ana, key) = world.member(ANA).await;
    let (_, other) = world.member("ben@example.org").await;
    assert_eq!(world.request(&other).await, 200);
    let stream = StreamId::User(ana);
    from_the_future(&world, stream.clone(), world.now()).await;
    let by = ("cli:test", world.now());
    replay::quarantine(&world.stores, &stream, by, "after the rollback").await.unwrap();
    world.advance(Duration::from_secs(2));
    assert_eq!(world.request(&key).await, 401, "nobody knows whether the key still works");
    assert_eq!(world.request(&other).await, 200, "all else goes on");
    let refused = world.perform(ana, AccountCommand::DisableUser).await;
    assert!(matches!(&refused, Err(CommandError::Quarantined(_))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("after the rollback"));
    // The relay leaves its commit alone, and is no failure for it.
    world.relay.sweep().await.expect("nothing is wrong with the others");
    assert_eq!(world.stores.log.unpublished(None, 10).await.unwrap().len(), 1, "it keeps its mark");
    // The mailers leave its messages alone, however often they see them.
    let message = Message::V1(EventMessage {
        event: Uuid::nil(),
        type_name: "UserPromoted".to_owned(),
        stream: stream.to_string(),
        version: 1,
        correlation_id: String::new(),
    });
    assert!(world.committer.queue.send(&[message]).await.unwrap().iter().all(Result::is_ok));
    for _ in 0..8 {
        world.mailers.drain().await.unwrap();
        world.advance(Duration::from_secs(301));
    }
    let depth = world.committer.queue.depth().await.unwrap();
    assert_eq!((depth.dead, depth.visible + depth.in_flight), (0, 1));
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
    assert!(!world.documents().await.iter().any(|document| document.to_string().contains(ANA)), "in no document");
    world.verify().await;
    let mut space = world.stores.replay.replay_space().unwrap();
    replay::rebuild(&mut *space, &mut |_| {}).unwrap();
    drop(space);
    world.verify().await;
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
async fn row_26_what_strangers_said_of_an_erased_person_is_gone_as_well() {
    const LABEL: &str = "laptop of Ana Nowhere";
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let issued = world.perform(user, AccountCommand::IssueApiKey(KeyChange::labelled(LABEL))).await.unwrap();
    let key = issued.key.expect("a key").id();
    *world.mailbox.refuse.lock().unwrap() = Some(format!("550 5.1.1 <{ANA}>: no such mailbox"));
    world.inviting.resend(user, world.once()).await.unwrap();
    world.mailers.drain().await.unwrap();
    let shown = world.stores.views.user(user).await.unwrap().expect("the row");
    assert!(shown.mail_failure.is_some_and(|reason| reason.contains(ANA)), "it is shown while the person is there");
    assert_eq!(world.stores.views.key(key).await.unwrap().expect("the key").label.as_deref(), Some(LABEL));
    let told = |documents: &[serde_json::Value]| {
        let text = serde_json::to_string(documents).unwrap();
        ["ana@", LABEL, "no such mailbox"].iter().any(|words| text.contains(words))
    };
    assert!(!told(&world.documents().await), "sealed in the log");
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    let shown = world.stores.views.user(user).await.unwrap().expect("the row");
    assert_eq!((shown.mail_failure, shown.email, shown.name), (None, None, None));
    assert!(world.stores.views.keys(user).await.unwrap().iter().all(|key| key.label.is_none()));
    world.verify().await;
    let mut space = world.stores.replay.replay_space().unwrap();
    replay::rebuild(&mut *space, &mut |_| {}).unwrap();
    drop(space);
    world.verify().await;
    for words in [ANA.as_bytes(), LABEL.as_bytes(), b"no such mailbox"] {
        // Over AWS there are no files.
        if !world.place.data().exists() {
            break;
        }
        assert_eq!(found_in_files(&world.place.data(), words), 0, "{}", String::from_utf8_lossy(words));
    }
}

/// How often something is in the files below a folder.
fn found_in_files(folder: &std::path::Path, words: &[u8]) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = |path: std::path::PathBuf| match path.is_dir() {
        true => found_in_files(&path, words),
        false => std::fs::read(path).unwrap().windows(words.len()).filter(|window| *window == words).count(),
    };
    entries.map(found).sum()
}

#[actix_web::test]
async fn what_an_earlier_version_wrote_in_plain_is_shown_to_nobody_after_the_erasure() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let stream = StreamId::User(user);
    let golden = |name: &str| std::fs::read_to_string(format!("schemas/events/golden/{name}.v1.json")).unwrap();
    let loaded = world.stores.log.load(&stream, 0, 1000).await.unwrap();
    let append = Append {
        expected_version: world.load(user).await.version,
        previous: persisted::head(&loaded),
        stream,
        command: CommandId::unique(Uuid::from_u128(99)),
        request_hash: None,
        recorded_at: world.now(),
        events: format!("[{},{}]", golden("MailFailed"), golden("ApiKeyIssued")),
        secret: None,
        administrators: None,
        claims: Vec::new(),
        personal: PersonalChange::Keep,
        rows: Rows::default(),
        publishes: false,
    };
    world.stores.log.append(append).await.unwrap();
    let person = world.load(user).await;
    assert_eq!(person.mail_failure.as_deref(), Some("550 no such mailbox"));
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    world.verify().await;
    let shown = world.stores.views.user(user).await.unwrap().expect("the row");
    assert_eq!(shown.mail_failure, None);
    let keys = world.stores.views.keys(user).await.unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.label.is_none()), "{keys:?}");
}

#[actix_web::test]
async fn one_mailbox_is_one_person_however_it_is_written() {
    let world = World::new().await;
    let taken = async |address: &str| {
        let refused = world.try_invite(address, world.once()).await;
        assert!(matches!(refused, Err(CommandError::EmailTaken { .. })), "{address}: {refused:?}");
    };
    for (one, others) in [
        ("ana@exämple.org", ["ana@xn--exmple-cua.org", "ANA@EXÄMPLE.ORG"]),
        ("ben@xn--exmple-cua.org", ["ben@exämple.org", "ben@exa\u{308}mple.org"]),
        ("straße@example.org", ["STRASSE@example.org", "strasse@example.org"]),
    ] {
        let user = world.invite(one).await;
        for other in others {
            taken(other).await;
        }
        world.perform(user, AccountCommand::DeleteUser).await.unwrap();
        let again = world.invite(others[0]).await;
        taken(one).await;
        world.perform(again, AccountCommand::DeleteUser).await.unwrap();
    }
}

#[actix_web::test]
async fn a_mailbox_that_an_earlier_version_claimed_in_one_form_is_taken_in_all() {
    for old in ["ana@exämple.org", "ana@xn--exmple-cua.org"] {
        let world = World::new().await;
        // As it was claimed then: by the address as it came, in lower case.
        let name = format!("email#{}", world.committer.secrets.email_claims(old).remove(0));
        let append = Append {
            expected_version: 0,
            previous: ChainHash::START,
            stream: StreamId::Plan("of-old".to_owned()),
            command: CommandId::unique(Uuid::from_u128(1)),
            request_hash: None,
            recorded_at: world.now(),
            events: "[]".to_owned(),
            secret: None,
            administrators: None,
            claims: vec![ClaimChange::Take { name, owner: "somebody".to_owned() }],
            personal: PersonalChange::Keep,
            rows: Rows::default(),
            publishes: false,
        };
        world.stores.log.append(append).await.unwrap();
        for form in ["ana@exämple.org", "ana@xn--exmple-cua.org", "Ana@EXÄMPLE.org"] {
            let refused = world.try_invite(form, world.once()).await;
            assert!(matches!(refused, Err(CommandError::EmailTaken { .. })), "{old}, {form}: {refused:?}");
        }
    }
}

#[actix_web::test]
async fn row_27_a_stream_over_1_mb() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let stream = StreamId::User(user);
    let change_role = async |n: u32| {
        let role = if n.is_multiple_of(2) { Role::Manager } else { Role::Reader };
        world.perform(user, AccountCommand::ChangeRole(role)).await.unwrap();
    };
    // Each command reads what is there by then: most of the many come before the large ones, or the test reads 400 MB.
    for n in 0..290 {
        change_role(n).await;
    }
    let reason = "x".repeat(100_000);
    for n in 0..12 {
        let command = envelope(CommandId::unique(Uuid::from_u128(n)));
        let failed = mail_failed(&reason);
        world.committer.run(&stream, &command, |_| Ok(vec![failed.clone()])).await.unwrap();
    }
    for n in 290..300 {
        change_role(n).await;
    }
    let commits = world.stores.log.load(&stream, 0, 1000).await.unwrap();
    assert!(commits.iter().map(|commit| commit.events.len()).sum::<usize>() > 1 << 20);
    let person = world.load(user).await;
    assert_eq!(person.version, 3 + 12 + 300);
    world.inviting.resend(user, world.once()).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 2);
    world.verify().await;

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
