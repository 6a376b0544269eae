use proptest::prelude::*;

use super::*;
use crate::domain::{
    email::Email,
    event::Origin,
    fulfilment::{Duty, FulfilmentStep, MailContents, next_step},
    id::{StreamId, Who},
    key::ApiKey,
    sign_in::NewLink,
};

const PLAIN: MailContents = MailContents { key: true, sign_in: false };

fn new_key(seed: u8) -> NewKey {
    let key = ApiKey::new(KeyId::from_random([seed; 12]), &[seed; 24]);
    NewKey { id: key.id(), hash: key.hash(), last_four: key.last_four(), secret_version: 1 }
}

fn command(choice: u8, seed: u8, user: Option<&User>) -> Command {
    let some_key = user.and_then(|user| user.keys.keys().nth(usize::from(seed) % user.keys.len().max(1)).copied());
    let key_id = some_key.unwrap_or(new_key(seed).id);
    let invitation =
        user.map_or(Uuid::from_u128(1), |user| user.invitations[usize::from(seed) % user.invitations.len()].0);
    match choice % 14 {
        0 => Command::Invite {
            email: Email::parse("ana@example.org").unwrap(),
            name: None,
            role: Role::Reader,
            plan: "default".to_owned(),
            invitation: Uuid::from_u128(1),
        },
        1 => Command::ResendInvitation { invitation: Uuid::from_u128(u128::from(seed) + 2) },
        2 => Command::Change(Changes { enabled: Some(false), ..Changes::default() }),
        3 => Command::Change(Changes { enabled: Some(true), ..Changes::default() }),
        4 if seed < 60 => Command::Delete,
        4 => Command::Change(Changes { plan: Some(format!("plan{seed}")), ..Changes::default() }),
        5 => Command::Change(Changes {
            plan: Some(format!("plan{seed}")),
            role: Some(if seed.is_multiple_of(2) { Role::Admin } else { Role::Reader }),
            enabled: seed.is_multiple_of(3).then_some(seed.is_multiple_of(2)),
        }),
        6 => Command::IssueKey { key: new_key(seed), invitation: None, label: None },
        7 => Command::RotateKey { key_id, new: new_key(seed), valid_until: Timestamp::UNIX_EPOCH },
        8 => Command::RevokeKey { key_id },
        9 => Command::RevokeAll,
        12 => {
            let hash = user.and_then(|user| user.keys.get(&key_id)).map(|key| key.hash);
            Command::RevokeLeakedKey { key_id, hash: hash.filter(|_| seed < 128).unwrap_or(new_key(seed).hash) }
        }
        13 => Command::RecordLeakNotice { key_id, to: UserId(Uuid::from_u128(u128::from(seed % 4))), refused: None },
        10 => Command::RecordMailed { key_id, invitation, message_id: "m".to_owned() },
        _ => Command::RecordMailFailed { invitation, class: "550".to_owned(), reason: "no".to_owned() },
    }
}

fn run(state: &mut Option<User>, events: Vec<Event>, at: i64) {
    let version = state.as_ref().map_or(1, |user| user.version + 1);
    for (index, event) in events.into_iter().enumerate() {
        let recorded = Recorded {
            id: Uuid::from_u128(7),
            stream: StreamId::User(UserId(Uuid::from_u128(9))),
            version,
            index: index as u32,
            recorded_at: Timestamp::from_second(at).unwrap(),
            origin: Origin { who: Who::system("test"), correlation_id: String::new(), causation_id: None },
            event,
        };
        evolve(state, recorded.fact());
    }
}

proptest! {
    #[test]
    fn no_history_breaks_the_rules(steps in prop::collection::vec((any::<u8>(), any::<u8>()), 1..120)) {
        let mut state: Option<User> = None;
        for (at, (choice, seed)) in steps.into_iter().enumerate() {
            let before = state.clone();
            let command = command(choice, seed, state.as_ref());
            let Ok(events) = decide(state.as_ref(), command) else { continue };
            let deleted = before.as_ref().is_some_and(|user| user.standing == Standing::Deleted);
            if deleted {
                prop_assert!(events.iter().all(|event| matches!(event, Event::ApiKeyRevoked { .. })), "a deleted person only loses keys");
            }
            run(&mut state, events, at as i64);
            let Some(user) = &state else { continue };
            prop_assert!(user.current_keys().count() <= ACTIVE_KEYS_MAX);
            if let Some(before) = before {
                for (id, key) in &before.keys {
                    prop_assert!(user.keys.contains_key(id), "a key is never forgotten");
                    prop_assert!(key.revoked.is_none() || user.keys[id].revoked == key.revoked, "a revocation is for ever");
                    prop_assert!(key.replaced_by.is_none() || user.keys[id].replaced_by.is_some());
                }
                prop_assert!(before.standing != Standing::Deleted || user.standing == Standing::Deleted);
            }
            if user.standing == Standing::Deleted {
                prop_assert_eq!(&user.email, &Personal::Erased);
            }
        }
    }

    /// Somebody who knows a key's id, and not the key, revokes nothing.
    #[test]
    fn a_leaked_key_is_revoked_by_its_hash_alone(seeds in prop::collection::btree_set(0_u8..200, 2..6)) {
        let mut state = None;
        run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
        for seed in &seeds {
            let issue = Command::IssueKey { key: new_key(*seed), invitation: None, label: None };
            let issued = decide(state.as_ref(), issue).unwrap();
            run(&mut state, issued, 1);
        }
        let keys: Vec<NewKey> = seeds.iter().map(|seed| new_key(*seed)).collect();
        let revoke = |key_id, hash| Command::RevokeLeakedKey { key_id, hash };
        let none = decide(state.as_ref(), revoke(keys[0].id, keys[1].hash)).unwrap();
        prop_assert!(none.is_empty());
        let revoked = decide(state.as_ref(), revoke(keys[0].id, keys[0].hash)).unwrap();
        prop_assert_eq!(&revoked, &[Event::ApiKeyRevoked { key_id: keys[0].id, reason: RevocationReason::Leaked }]);
        run(&mut state, revoked, 2);
        prop_assert!(decide(state.as_ref(), revoke(keys[0].id, keys[0].hash)).unwrap().is_empty(), "once");
        prop_assert_eq!(state.unwrap().current_keys().count(), keys.len() - 1);
    }

    /// However often the mailer is interrupted and begins again, an invited person ends with one key and a mail for it, and
    /// a deleted one with none that works.
    #[test]
    fn the_mailer_comes_to_an_end(key: bool, sign_in: bool, delete_at in prop::option::of(0usize..6), crashes in prop::collection::vec(any::<bool>(), 12)) {
        let mut state = None;
        run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
        let (duty, delivery) = (Duty::Fulfil { invitation: Uuid::from_u128(1) }, MailContents { key, sign_in });
        let mut mails: Vec<KeyId> = Vec::new();
        let mut steps = 0;
        loop {
            if delete_at == Some(steps) {
                let events = decide(state.as_ref(), Command::Delete).unwrap();
                run(&mut state, events, 1);
            }
            let crash = crashes.get(steps).copied().unwrap_or(false);
            steps += 1;
            prop_assert!(steps < 30);
            match next_step(state.as_ref(), duty, delivery) {
                FulfilmentStep::Acknowledge => break,
                FulfilmentStep::IssueKey => {
                    let issue = Command::IssueKey { key: new_key(steps as u8), invitation: Some(Uuid::from_u128(1)), label: None };
                    if let Ok(events) = decide(state.as_ref(), issue) { run(&mut state, events, 2) }
                }
                FulfilmentStep::IssueLinks => {
                    let user = state.as_ref().unwrap();
                    let links = delivery.links(user).into_iter().zip(user.sign_in.next_link()..).map(|(purpose, number)| NewLink {
                        purpose, number, mail: Uuid::from_u128(1), hash: KeyHash::of(b"link"), secret_version: 1, expires_at: Timestamp::MAX,
                    });
                    let issue = Command::SignIn(SignInCommand::IssueLinks(links.collect()));
                    let events = decide(state.as_ref(), issue).unwrap();
                    run(&mut state, events, 2);
                }
                FulfilmentStep::SendMail { key_id } => {
                    let user = state.as_ref().unwrap();
                    prop_assert!(delivery.links(user).iter().all(|link| user.sign_in.link_in(Uuid::from_u128(1), *link).is_some()));
                    mails.push(key_id);
                    if crash { continue; }
                    let mailed = Command::RecordMailed { key_id, invitation: Uuid::from_u128(1), message_id: "m".to_owned() };
                    if let Ok(events) = decide(state.as_ref(), mailed) { run(&mut state, events, 3) }
                }
                FulfilmentStep::SendLink { .. } | FulfilmentStep::RevokeKeys | FulfilmentStep::TellOfLeak { .. } => {
                    prop_assert!(false, "not for this duty");
                }
            }
        }
        if next_step(state.as_ref(), Duty::RevokeKeys, delivery) == FulfilmentStep::RevokeKeys {
            let events = decide(state.as_ref(), Command::RevokeAll).unwrap();
            run(&mut state, events, 4);
        }
        let user = state.unwrap();
        prop_assert!(mails.windows(2).all(|pair| pair[0] == pair[1]), "a repeated mail carries the same key");
        if user.standing == Standing::Deleted {
            prop_assert_eq!(user.unrevoked_keys().count(), 0);
        } else {
            prop_assert_eq!(user.current_keys().count(), 1);
            prop_assert!(!mails.is_empty());
        }
    }
}

#[test]
fn a_rotated_key_keeps_its_invitation_so_that_a_resent_mail_carries_the_new_one() {
    let mut state = None;
    run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
    let invitation = Some(Uuid::from_u128(1));
    let issue = Command::IssueKey { key: new_key(1), invitation, label: None };
    let events = decide(state.as_ref(), issue).unwrap();
    run(&mut state, events, 1);
    let rotate = Command::RotateKey { key_id: new_key(1).id, new: new_key(2), valid_until: Timestamp::UNIX_EPOCH };
    let events = decide(state.as_ref(), rotate.clone()).unwrap();
    run(&mut state, events, 2);
    assert_eq!(state.as_ref().unwrap().invitation_key().unwrap().id, new_key(2).id);
    assert_eq!(decide(state.as_ref(), rotate), Err(CommandRefusal::KeyEnded(new_key(1).id)));
}

#[test]
fn a_key_that_was_revoked_before_its_mail_is_not_replaced_by_the_mailer() {
    let mut state = None;
    run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
    let invitation = Uuid::from_u128(1);
    let issue = Command::IssueKey { key: new_key(1), invitation: Some(invitation), label: None };
    let events = decide(state.as_ref(), issue.clone()).unwrap();
    run(&mut state, events, 1);
    let events = decide(state.as_ref(), Command::RevokeKey { key_id: new_key(1).id }).unwrap();
    run(&mut state, events, 2);
    assert_eq!(next_step(state.as_ref(), Duty::Fulfil { invitation }, PLAIN), FulfilmentStep::Acknowledge);
    assert_eq!(decide(state.as_ref(), issue), Err(CommandRefusal::KeyExists(new_key(1).id)));
    let again = Uuid::from_u128(2);
    let events = decide(state.as_ref(), Command::ResendInvitation { invitation: again }).unwrap();
    run(&mut state, events, 3);
    assert_eq!(next_step(state.as_ref(), Duty::Fulfil { invitation: again }, PLAIN), FulfilmentStep::IssueKey);
}
