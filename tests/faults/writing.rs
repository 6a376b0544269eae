//! Appending: rows 2, 3, 4, 16, 21, 28, 29.

use std::time::Duration;

use futures_util::future::{join, join_all};
use permitd::{
    actors::{Busy, account::AccountCommand, commit::CommandError},
    domain::{
        bounds::KeyChange,
        event::Role,
        id::{CommandId, StreamId},
        plan::Limits,
        user::{CommandRefusal, Standing},
    },
};
use tokio::sync::oneshot;

use crate::{
    faults::Fault,
    support::backend::{Place, PlaceClock},
    world::{World, envelope, user_of},
};

const ANA: &str = "ana@example.org";

#[actix_web::test]
async fn row_02_append_times_out_but_succeeded() {
    let world = World::new().await;
    world.faults.add("append", Fault::After);
    let committed = world.try_invite(ANA, world.once()).await.unwrap();
    assert!(committed.repeated, "the second try finds what the first wrote");
    let user = user_of(&committed);
    assert_eq!(world.count(user, "UserInvited").await, 1);
    // Nobody published it, since nobody knew: the relay does.
    world.settle().await;
    world.check_invited(user, ANA).await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
}

#[actix_web::test]
async fn row_02_the_store_stays_away_and_the_client_comes_back() {
    let world = World::new().await;
    let command = world.once();
    world.faults.add("append", Fault::After);
    world.faults.add_many("load", 3, || Fault::Before);
    let gone = world.try_invite(ANA, command.clone()).await;
    assert!(matches!(gone, Err(CommandError::Store(_))), "{gone:?}");
    let user = user_of(&world.try_invite(ANA, command).await.unwrap());
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_03_append_lost_the_race() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let other = world.again().await;
    let (accounts, once) = (other.accounts.clone(), other.once());
    world.faults.add(
        "append",
        Fault::first(async move {
            accounts.perform(user, AccountCommand::DisableUser, once).await.unwrap();
        }),
    );
    let refused = world.perform(user, AccountCommand::IssueApiKey(KeyChange::default())).await;
    assert!(
        matches!(refused, Err(CommandError::Refused(CommandRefusal::Disabled))),
        "decided anew on what the other wrote: {refused:?}"
    );
    assert_eq!(world.count(user, "ApiKeyIssued").await, 1);
    world.verify().await;
}

#[actix_web::test]
async fn row_03_many_change_the_same_person_at_once() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let other = world.again().await;
    let commands = (0..10).flat_map(|_| [&world, &other]).map(|node| {
        let command = AccountCommand::IssueApiKey(KeyChange::default());
        node.accounts.perform(user, command, node.once())
    });
    let done = join_all(commands).await;
    let issued = done.iter().filter(|done| done.is_ok()).count();
    for refused in done.iter().filter_map(|done| done.as_ref().err()) {
        assert!(
            matches!(refused, CommandError::Contended | CommandError::Refused(CommandRefusal::TooManyKeys { .. })),
            "{refused}"
        );
    }
    assert_eq!(world.count(user, "ApiKeyIssued").await, issued + 1, "one event for each that was acknowledged");
    world.verify().await;
}

#[actix_web::test]
async fn row_03_a_command_that_loses_each_race_is_decided_sixteen_times() {
    for (races, wins) in [(15, true), (16, false)] {
        let world = World::new().await;
        let (user, _) = world.member(ANA).await;
        let other = world.again().await;
        for race in 0..races {
            let (accounts, once) = (other.accounts.clone(), other.once());
            let faster = AccountCommand::ChangeRole(if race % 2 == 0 { Role::Manager } else { Role::Reader });
            world.faults.add(
                "append",
                Fault::first(async move {
                    accounts.perform(user, faster, once).await.unwrap();
                }),
            );
        }
        let done = world.perform(user, AccountCommand::IssueApiKey(KeyChange::default())).await;
        assert_eq!(world.faults.left(), 0, "each race was run");
        assert_eq!(world.count(user, "ApiKeyIssued").await, 1 + usize::from(wins), "{done:?}");
        assert!(if wins { done.is_ok() } else { matches!(done, Err(CommandError::Contended)) }, "{done:?}");
        world.verify().await;
    }
}

#[actix_web::test]
async fn row_04_reply_lost_client_retries() {
    let world = World::new().await;
    let mut command = envelope(CommandId::from_idempotency_key(&permitd::domain::id::Who("admin:1".into()), "k"));
    command.request_hash = Some("one".to_owned());
    let first = world.try_invite(ANA, command.clone()).await.unwrap();
    let again = world.try_invite(ANA, command.clone()).await.unwrap();
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!((&first.state, first.version, &first.events), (&again.state, again.version, &again.events));
    command.request_hash = Some("two".to_owned());
    let reused = world.try_invite(ANA, command).await;
    assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");
    let user = user_of(&first);
    let once = world.once();
    let command = AccountCommand::IssueApiKey(KeyChange::labelled("laptop"));
    let first = world.accounts.perform(user, command.clone(), once.clone()).await.unwrap();
    let again = world.accounts.perform(user, command, once).await.unwrap();
    assert_eq!(first.key.unwrap().reveal(), again.key.unwrap().reveal(), "a retry hands out the same key");
    assert_eq!(world.count(user, "ApiKeyIssued").await, 1);
}

#[actix_web::test]
async fn row_16_user_deleted_between_load_and_append() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let other = world.again().await;
    let (accounts, once) = (other.accounts.clone(), other.once());
    // The mailer has decided to issue the key when the deletion comes.
    world.faults.add(
        "append",
        Fault::first(async move {
            accounts.perform(user, AccountCommand::DeleteUser, once).await.unwrap();
        }),
    );
    world.mailers.drain().await.unwrap();
    world.settle().await;
    assert_eq!(world.faults.left(), 0);
    assert_eq!(world.load(user).await.standing, Standing::Deleted);
    assert_eq!(world.count(user, "ApiKeyIssued").await, 0, "no key can be created for a deleted user");
    assert!(world.mailbox.mails.lock().unwrap().is_empty());
    world.verify().await;
}

#[actix_web::test]
async fn row_21_clocks_of_two_writers_disagree() {
    for skew_s in [-7200i64, 7200] {
        let world = World::new().await;
        let skewed = world.beside(world.clock.skewed(skew_s), Duration::from_secs(30)).await;
        // The skewed writer dies between its commit and the publication.
        skewed.faults.add("send", Fault::Before);
        let user = skewed.invite(ANA).await;
        world.perform(user, AccountCommand::ChangeRole(Role::Manager)).await.unwrap();
        let person = world.load(user).await;
        assert_eq!((person.version, person.role), (2, Role::Manager), "versions order a stream, not clocks");
        world.advance(Duration::from_secs(1));
        assert_eq!(
            world.relay.sweep().await.unwrap(),
            1,
            "a clock that is {skew_s} s off hides nothing from the relay"
        );
        world.mailers.drain().await.unwrap();
        world.check_invited(user, ANA).await;
    }
}

#[actix_web::test]
async fn row_28_mailbox_full_or_actor_restarted() {
    let place = Place::new(crate::MODE).await;
    let clock = PlaceClock::of(&place);
    let world = World::on(place, clock, 1, Duration::from_secs(30)).await;
    world.plan("default", Limits::default()).await;
    let commands: Vec<_> = (0..200).map(|n| (format!("user{n}@example.org"), world.once())).collect();
    let tries = commands.iter().map(|(address, once)| world.try_invite(address, once.clone()));
    let answers = join_all(tries).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(CommandError::Busy(Busy::Full)))).count();
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(refused + done, 200, "{:?}", answers.iter().find(|answer| answer.is_err()));
    assert!(refused > 0 && done > 0, "{refused} refused, {done} done");
    // The process goes, another comes: what was acknowledged is there, what was refused can be asked again.
    let restarted = world.again().await;
    for (answer, (address, once)) in answers.iter().zip(&commands) {
        let again = restarted.try_invite(address, once.clone()).await.unwrap();
        assert_eq!(again.repeated, answer.is_ok(), "{address}");
    }
    let invited = restarted.documents().await.iter().filter(|document| document["type"] == "UserInvited").count();
    assert_eq!(invited, 200);
    restarted.verify().await;
}

#[actix_web::test]
async fn row_28_what_is_worked_on_takes_room_until_it_is_answered() {
    let place = Place::new(crate::MODE).await;
    let clock = PlaceClock::of(&place);
    let world = World::on(place, clock, 1, Duration::from_secs(30)).await;
    world.plan("default", Limits::default()).await;
    let (begun, has_begun) = oneshot::channel();
    let (go, goes) = oneshot::channel();
    world.faults.add(
        "append",
        Fault::first(async move {
            begun.send(()).unwrap();
            goes.await.unwrap();
        }),
    );
    let slow = world.try_invite(ANA, world.once());
    let beside = async {
        has_begun.await.unwrap();
        let refused = world.try_invite("ben@example.org", world.once()).await;
        assert!(matches!(refused, Err(CommandError::Busy(Busy::Full))), "{refused:?}");
        go.send(()).unwrap();
    };
    let (slow, ()) = join(slow, beside).await;
    slow.unwrap();
    world.try_invite("ben@example.org", world.once()).await.unwrap();
}

#[actix_web::test]
async fn row_29_the_same_command_again_much_later() {
    let world = World::new().await;
    let command = world.once();
    let first = world.try_invite(ANA, command.clone()).await.unwrap();
    let user = user_of(&first);
    for n in 0..300 {
        let role = if n % 2 == 0 { Role::Manager } else { Role::Reader };
        world.perform(user, AccountCommand::ChangeRole(role)).await.unwrap();
    }
    world.advance(Duration::from_secs(366 * 86_400));
    let again = world.again().await.try_invite(ANA, command.clone()).await.unwrap();
    assert_eq!((again.version, &again.state, &again.events), (first.version, &first.state, &first.events));
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    let after_deletion = world.try_invite(ANA, command).await.unwrap();
    assert_eq!(user_of(&after_deletion), user, "even then it invites nobody anew");
    let stream = StreamId::User(user);
    assert_eq!(world.stores.log.load(&stream, 0, 1000).await.unwrap().len(), 302);
}
