//! Any history: what the views say live is what a rebuild makes of the log.

use std::time::Duration;

use permitd::{
    actors::account::AccountCommand,
    domain::{bounds::KeyChange, event::Role, id::UserId, plan::Limits, view::Rows},
    replay,
};
use proptest::{prelude::*, test_runner::Config};

use crate::{faults::Fault, world::World};

/// What may happen; the numbers choose whom and which.
#[derive(Debug, Clone)]
enum Deed {
    Invite,
    Resend(usize),
    Drain,
    Delete(usize),
    Disable(usize),
    Enable(usize),
    Promote(usize),
    Issue(usize),
    Rotate(usize, usize),
    Revoke(usize, usize),
    Plan(u32),
    Assign(usize),
    LoseTheMessage,
    LoseTheAnswer,
    Rebuild,
    Pass(u32),
}

fn deed() -> impl Strategy<Value = Deed> {
    let person = 0..6usize;
    prop_oneof![
        3 => Just(Deed::Invite),
        1 => person.clone().prop_map(Deed::Resend),
        4 => Just(Deed::Drain),
        1 => person.clone().prop_map(Deed::Delete),
        1 => person.clone().prop_map(Deed::Disable),
        1 => person.clone().prop_map(Deed::Enable),
        1 => person.clone().prop_map(Deed::Promote),
        2 => person.clone().prop_map(Deed::Issue),
        2 => (person.clone(), 0..4usize).prop_map(|(person, key)| Deed::Rotate(person, key)),
        2 => (person.clone(), 0..4usize).prop_map(|(person, key)| Deed::Revoke(person, key)),
        1 => (1..50u32).prop_map(Deed::Plan),
        1 => person.prop_map(Deed::Assign),
        1 => Just(Deed::LoseTheMessage),
        1 => Just(Deed::LoseTheAnswer),
        1 => Just(Deed::Rebuild),
        2 => (1..5000u32).prop_map(Deed::Pass),
    ]
}

async fn carry_out(world: &World, people: &mut Vec<UserId>, deed: &Deed) {
    let whom = |number: usize| people.get(number % people.len().max(1)).copied();
    let command = match deed {
        Deed::Invite => {
            let address = format!("user{}@example.org", people.len());
            people.push(world.invite(&address).await);
            return;
        }
        Deed::Drain => return drop(world.mailers.drain().await),
        Deed::LoseTheMessage => return world.faults.add("send", Fault::Before),
        Deed::LoseTheAnswer => return world.faults.add("append", Fault::After),
        Deed::Pass(ms) => return world.advance(Duration::from_millis((*ms).into())),
        Deed::Plan(burst) => {
            world.plan("large", Limits { burst: *burst, ..Limits::default() }).await;
            return;
        }
        Deed::Rebuild => {
            let mut space = world.stores.replay.replay_space().unwrap();
            replay::rebuild(&mut *space, &mut |_| {}).unwrap();
            return;
        }
        Deed::Resend(person) => {
            let Some(user) = whom(*person) else { return };
            // A refusal is an answer as well: the deleted are not invited again.
            return drop(world.inviting.resend(user, world.once()).await);
        }
        Deed::Delete(person) => (*person, AccountCommand::DeleteUser),
        Deed::Disable(person) => (*person, AccountCommand::DisableUser),
        Deed::Enable(person) => (*person, AccountCommand::EnableUser),
        Deed::Promote(person) => (*person, AccountCommand::ChangeRole(Role::Manager)),
        Deed::Issue(person) => (*person, AccountCommand::IssueApiKey(KeyChange::labelled("k"))),
        Deed::Assign(person) => (*person, AccountCommand::AssignPlan("large".to_owned())),
        Deed::Rotate(person, key) | Deed::Revoke(person, key) => {
            let Some(user) = whom(*person) else { return };
            let keys: Vec<_> = world.load(user).await.keys.keys().copied().collect();
            let Some(id) = keys.get(key % keys.len().max(1)).copied() else { return };
            let rotate = matches!(deed, Deed::Rotate(..));
            let command = if rotate {
                AccountCommand::RotateApiKey { key: id, grace_s: 60 }
            } else {
                AccountCommand::RevokeApiKey { key: id }
            };
            (*person, command)
        }
    };
    let (person, command) = command;
    if let Some(user) = whom(person) {
        drop(world.perform(user, command).await);
    }
}

async fn views(world: &World, people: &[UserId]) -> Rows {
    let mut rows = Rows { plans: world.stores.views.plans().await.unwrap(), ..Rows::default() };
    for user in people {
        rows.users.extend(world.stores.views.user(*user).await.unwrap());
        rows.keys.extend(world.stores.views.keys(*user).await.unwrap());
    }
    rows
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_rebuild_of_any_history_gives_the_live_rows(deeds in proptest::collection::vec(deed(), 1..40)) {
        actix_web::rt::System::new().block_on(async {
            let world = World::new().await;
            world.plan("large", Limits::default()).await;
            let mut people = Vec::new();
            for deed in &deeds {
                carry_out(&world, &mut people, deed).await;
            }
            world.verify().await;
            let live = views(&world, &people).await;
            let mut space = world.stores.replay.replay_space().unwrap();
            replay::rebuild(&mut *space, &mut |_| {}).unwrap();
            drop(space);
            assert_eq!(views(&world, &people).await, live);
            world.faults.clear();
            world.settle().await;
            world.verify().await;
            for mail in world.mailbox.mails.lock().unwrap().iter().filter(|mail| mail.message_id.starts_with("invitation-")) {
                assert_eq!(crate::faults::key_in(&mail.text).len(), permitd::domain::key::KEY_CHARS);
            }
        });
    }
}
