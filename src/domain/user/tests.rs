use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    bounds::{KeyChange, KeyScopes},
    email::Email,
    event::{BounceKind, Origin, RevocationReason, Role},
    fulfilment::{Duty, FulfilmentStep, MailContents, next_step},
    id::{StreamId, UserId, Who},
    key::{ApiKey, KeyHash, KeyId},
    notice::{self, ChosenNotices, Notice},
    plan::KeyRules,
    sign_in::{NewLink, SignInCommand},
};

const PLAIN: MailContents = MailContents { key: true, sign_in: false };

fn new_key(seed: u8) -> NewKey {
    let key = ApiKey::new(KeyId::from_random([seed; 12]), &[seed; 24]);
    NewKey { id: key.id(), hash: key.hash(), last_four: key.last_four(), secret_version: 1 }
}

const DAY_S: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A change that sets an end within half a year, or another label.
fn change(seed: u8) -> KeyChange {
    KeyChange {
        label: seed.is_multiple_of(3).then(|| Some(format!("k{seed}"))),
        expires_at: (!seed.is_multiple_of(5)).then(|| Some(at((i64::from(seed % 180) + 1) * DAY_S))),
        allowed_ips: seed.is_multiple_of(4).then(|| Some(vec![format!("192.0.2.{seed}")])),
        scopes: None,
    }
}

fn notice(seed: u8, key_id: KeyId) -> Notice {
    match seed % 5 {
        0 => Notice::KeyMade { key_id },
        1 => Notice::KeyRevoked { key_id },
        2 | 3 => Notice::KeyExpiring { key_id, days: notice::EXPIRY_DAYS[usize::from(seed % 3)] },
        _ => Notice::QuotaReached { day: i64::from(seed % 4), percent: if seed < 128 { 80 } else { 100 } },
    }
}

fn issue(key: NewKey, invitation: Option<Uuid>, wanted: KeyChange) -> Command {
    Command::IssueKey { key, invitation, wanted, rules: KeyRules::default(), now: at(0) }
}

fn comeback(kind: ComebackKind) -> Comeback {
    Comeback { kind, class: "class".to_owned(), reason: "reason".to_owned(), message_id: None }
}

fn command(choice: u8, seed: u8, user: Option<&User>) -> Command {
    let some_key = user.and_then(|user| user.keys.keys().nth(usize::from(seed) % user.keys.len().max(1)).copied());
    let key_id = some_key.unwrap_or(new_key(seed).id);
    let invitation =
        user.map_or(Uuid::from_u128(1), |user| user.invitations[usize::from(seed) % user.invitations.len()].0);
    let (rules, now) = (KeyRules::default(), at(0));
    match choice % 23 {
        0 => Command::Invite {
            email: Email::parse("ana@example.org").unwrap(),
            name: None,
            role: Role::Reader,
            plan: "default".to_owned(),
            invitation: Uuid::from_u128(1),
        },
        1 => Command::ResendInvitation { invitation: Uuid::from_u128(u128::from(seed) + 2) },
        2 => Command::Change(UserChanges { enabled: Some(false), ..UserChanges::default() }),
        3 => Command::Change(UserChanges { enabled: Some(true), ..UserChanges::default() }),
        4 if seed < 60 => Command::Delete,
        4 => Command::Change(UserChanges { plan: Some(format!("plan{seed}")), ..UserChanges::default() }),
        5 => Command::Change(UserChanges {
            plan: Some(format!("plan{seed}")),
            role: Some(if seed.is_multiple_of(2) { Role::Admin } else { Role::Reader }),
            enabled: seed.is_multiple_of(3).then_some(seed.is_multiple_of(2)),
            notices: None,
        }),
        6 => Command::IssueKey { key: new_key(seed), invitation: None, wanted: change(seed), rules, now },
        7 => Command::RotateKey { key_id, new: new_key(seed), valid_until: at(0), rules, now },
        8 => Command::RevokeKey { key_id },
        9 => Command::RevokeAll,
        12 => Command::ChangeKey { key_id, change: change(seed), rules, now },
        13 => Command::NoteExpiring { key_id, now: at(i64::from(seed) * DAY_S) },
        14 => Command::NoteQuota { day: i64::from(seed % 4), percent: if seed < 128 { 80 } else { 100 } },
        15 => Command::RecordNotice { notice: notice(seed, key_id), message_id: "m".to_owned() },
        16 => Command::RecordNoticeFailed {
            notice: notice(seed, key_id),
            class: "550".to_owned(),
            reason: "no".to_owned(),
        },
        17 => Command::Change(UserChanges {
            notices: Some(ChosenNotices { expiry: Some(seed.is_multiple_of(2)), ..ChosenNotices::default() }),
            ..UserChanges::default()
        }),
        18 => {
            let hash = user.and_then(|user| user.keys.get(&key_id)).map(|key| key.hash);
            Command::RevokeLeakedKey { key_id, hash: hash.filter(|_| seed < 128).unwrap_or(new_key(seed).hash) }
        }
        19 => Command::RecordLeakNotice { key_id, to: UserId(Uuid::from_u128(u128::from(seed % 4))), refused: None },
        20 => Command::RecordComeback(comeback(ComebackKind::Bounce(BounceKind::Permanent))),
        21 => Command::RecordComeback(comeback(match seed % 2 {
            0 => ComebackKind::Complaint,
            _ => ComebackKind::Bounce(BounceKind::Transient),
        })),
        22 => Command::AllowMail,
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
            prop_assert!(user.current_keys().count() <= KeyRules::default().keys_max() as usize);
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
                let says = |key: &Key| key.label.is_some() || key.bounds.allowed_ips.is_some();
                prop_assert!(!user.keys.values().any(says), "nothing that was said of a key stays");
            }
        }
    }

    /// Knowing a key's id without the key revokes nothing.
    #[test]
    fn a_leaked_key_is_revoked_by_its_hash_alone(seeds in prop::collection::btree_set(0_u8..200, 2..6)) {
        let mut state = None;
        run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
        for seed in &seeds {
            let issue = issue(new_key(*seed), None, KeyChange::default());
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

    /// However often the mailer is interrupted and begins again, an invited person ends with one key and a mail for it, and a deleted
    /// person with no working key.
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
                    let issue = issue(new_key(steps as u8), Some(Uuid::from_u128(1)), KeyChange::default());
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
                FulfilmentStep::SendLink { .. }
                | FulfilmentStep::RevokeKeys
                | FulfilmentStep::Notify(_)
                | FulfilmentStep::TellOfLeak(_) => {
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

fn rotate(old: u8, new: u8, rules: KeyRules, now: i64) -> Command {
    Command::RotateKey { key_id: new_key(old).id, new: new_key(new), valid_until: at(now), rules, now: at(now) }
}

/// A person with one key, issued at the beginning.
fn with_key(wanted: KeyChange, rules: &KeyRules) -> Option<User> {
    let mut state = None;
    run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
    let issue = Command::IssueKey { key: new_key(1), invitation: None, wanted, rules: rules.clone(), now: at(0) };
    let events = decide(state.as_ref(), issue).unwrap();
    run(&mut state, events, 0);
    state
}

fn end_of(state: &Option<User>, key: u8) -> Option<Timestamp> {
    state.as_ref().unwrap().keys[&new_key(key).id].bounds.expires_at
}

#[test]
fn a_rotation_carries_over_what_was_set_and_renews_the_life_that_the_plan_gives() {
    let aged = |days| KeyRules { key_max_age_days: Some(days), ..KeyRules::default() };
    let set = KeyChange {
        label: Some(Some("laptop".to_owned())),
        expires_at: Some(Some(at(40 * DAY_S))),
        allowed_ips: Some(Some(vec!["192.0.2.0/24".to_owned()])),
        scopes: Some(Some(KeyScopes { datasets: Some(vec!["permits".to_owned()]), ..KeyScopes::default() })),
    };
    let mut state = with_key(set, &aged(90));
    let events = decide(state.as_ref(), rotate(1, 2, aged(90), 30 * DAY_S)).unwrap();
    run(&mut state, events, 30 * DAY_S);
    let keys = &state.as_ref().unwrap().keys;
    let (old, new) = (&keys[&new_key(1).id], &keys[&new_key(2).id]);
    assert_eq!((&new.label, &new.bounds), (&old.label, &old.bounds), "an end that was set stays");
    let late = decide(state.as_ref(), rotate(2, 3, aged(90), 50 * DAY_S));
    assert_eq!(late, Err(CommandRefusal::KeyExpired(new_key(2).id)));

    let mut state = with_key(KeyChange::default(), &aged(90));
    assert_eq!(end_of(&state, 1), Some(at(90 * DAY_S)));
    let events = decide(state.as_ref(), rotate(1, 2, aged(90), 100 * DAY_S)).unwrap();
    run(&mut state, events, 100 * DAY_S);
    assert_eq!(end_of(&state, 2), Some(at(190 * DAY_S)), "the plan's longest life begins anew");
    let events = decide(state.as_ref(), rotate(2, 3, aged(10), 110 * DAY_S)).unwrap();
    run(&mut state, events, 110 * DAY_S);
    assert_eq!(end_of(&state, 3), Some(at(120 * DAY_S)), "a stricter plan holds for the new key");
}

#[test]
fn a_plan_says_how_many_keys_work_and_expired_ones_do_not_count() {
    let rules = KeyRules { keys_max: Some(1), ..KeyRules::default() };
    let set = KeyChange { expires_at: Some(Some(at(10))), ..KeyChange::default() };
    let state = with_key(set, &rules);
    let another = |now| Command::IssueKey {
        key: new_key(2),
        invitation: None,
        wanted: KeyChange::default(),
        rules: rules.clone(),
        now: at(now),
    };
    assert_eq!(decide(state.as_ref(), another(9)), Err(CommandRefusal::TooManyKeys { max: 1 }));
    assert!(decide(state.as_ref(), another(10)).is_ok());
    let mut state = state;
    let events = decide(state.as_ref(), another(10)).unwrap();
    run(&mut state, events, 10);
    let revive = |now| {
        let change = KeyChange { expires_at: Some(Some(at(100))), ..KeyChange::default() };
        Command::ChangeKey { key_id: new_key(1).id, change, rules: rules.clone(), now: at(now) }
    };
    assert_eq!(decide(state.as_ref(), revive(11)), Err(CommandRefusal::TooManyKeys { max: 1 }), "it would be a second");
}

#[test]
fn keys_that_were_replaced_and_still_work_are_as_many_as_keys_at_most() {
    let rules = KeyRules { keys_max: Some(2), ..KeyRules::default() };
    let mut state = with_key(KeyChange::default(), &rules);
    let rotate = |old, new, until| Command::RotateKey {
        key_id: new_key(old).id,
        new: new_key(new),
        valid_until: at(until),
        rules: rules.clone(),
        now: at(10),
    };
    for old in 1..=2 {
        let events = decide(state.as_ref(), rotate(old, old + 1, 1000)).unwrap();
        run(&mut state, events, 10);
    }
    assert_eq!(decide(state.as_ref(), rotate(3, 4, 1000)), Err(CommandRefusal::TooManyKeys { max: 2 }));
    assert!(decide(state.as_ref(), rotate(3, 4, 10)).is_ok(), "without grace there is no more of them");
    let working = state.unwrap().keys.values().filter(|key| key.is_in_grace(at(10))).count();
    assert_eq!(working, 2);
}

#[test]
fn a_replaced_key_that_expired_comes_back_only_where_there_is_room() {
    let rules = KeyRules { keys_max: Some(1), ..KeyRules::default() };
    let mut state = None;
    let done = |state: &mut Option<User>, command, second| {
        let events = decide(state.as_ref(), command)?;
        run(state, events, second);
        Ok::<_, CommandRefusal>(())
    };
    done(&mut state, command(0, 0, None), 0).unwrap();
    // Each key lives for three seconds and is replaced with a day of grace.
    for (round, key) in [(0, 1), (10, 3), (20, 5)] {
        let wanted = KeyChange { expires_at: Some(Some(at(round + 3))), ..KeyChange::default() };
        let (now, rules, key_id) = (at(round), rules.clone(), new_key(key).id);
        let issue = Command::IssueKey { key: new_key(key), invitation: None, wanted, rules: rules.clone(), now };
        done(&mut state, issue, round).unwrap();
        let rotate = Command::RotateKey { key_id, new: new_key(key + 1), valid_until: at(round + DAY_S), rules, now };
        done(&mut state, rotate, round).unwrap();
    }
    let revive = |key| Command::ChangeKey {
        key_id: new_key(key).id,
        change: KeyChange { expires_at: Some(None), ..KeyChange::default() },
        rules: rules.clone(),
        now: at(30),
    };
    // The replaced keys and their successors are counted separately.
    for (first, others) in [(1, [3, 5]), (2, [4, 6])] {
        done(&mut state, revive(first), 30).unwrap();
        for other in others {
            assert_eq!(done(&mut state, revive(other), 30), Err(CommandRefusal::TooManyKeys { max: 1 }));
        }
    }
    assert_eq!(state.unwrap().keys.values().filter(|key| key.works(at(30))).count(), 2);
}

#[test]
fn a_revoked_key_does_not_change() {
    let mut state = with_key(KeyChange::default(), &KeyRules::default());
    let key_id = new_key(1).id;
    let change = |label: &str| Command::ChangeKey {
        key_id,
        change: KeyChange::labelled(label),
        rules: KeyRules::default(),
        now: at(1),
    };
    let events = decide(state.as_ref(), change("laptop")).unwrap();
    run(&mut state, events, 1);
    assert_eq!(decide(state.as_ref(), change(" laptop ")), Ok(Vec::new()), "it is so already");
    let events = decide(state.as_ref(), Command::RevokeKey { key_id }).unwrap();
    run(&mut state, events, 2);
    assert_eq!(decide(state.as_ref(), change("desktop")), Err(CommandRefusal::KeyEnded(key_id)));
}

proptest! {
    /// For any number of checks, changes in between and repeated messages: each notice of a key's end is mailed once, in time, and never
    /// after the end.
    #[test]
    fn a_key_that_expires_is_told_of_once_for_each_notice(
        life in 1..60i64,
        looks in prop::collection::vec((0..5_000_000i64, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let set = KeyChange { expires_at: Some(Some(at(life * DAY_S))), ..KeyChange::default() };
        let mut state = with_key(set, &KeyRules::default());
        let key_id = new_key(1).id;
        let mut looks = looks;
        looks.sort_unstable();
        let mut mailed: Vec<u8> = Vec::new();
        let mut asked: Vec<Notice> = Vec::new();
        for (second, crash, again) in looks {
            let events = decide(state.as_ref(), Command::NoteExpiring { key_id, now: at(second) }).unwrap();
            for event in &events {
                let Event::ApiKeyExpiring { days, .. } = event else { panic!("{event:?}") };
                prop_assert!(second < life * DAY_S, "none after the end");
                prop_assert!(second >= (life - i64::from(*days)) * DAY_S, "none too early");
                prop_assert!(i64::from(*days) < life, "none whose moment had passed when the end was set");
                asked.push(Notice::KeyExpiring { key_id, days: *days });
            }
            run(&mut state, events, second);
            let next = state.as_ref().unwrap().keys[&key_id].notice_at();
            prop_assert!(next.is_none_or(|next| next > at(second)) || second >= life * DAY_S, "nothing stays due that was noticed");
            for notice in asked.iter().copied().filter(|_| !crash) {
                for _ in 0..=usize::from(again) {
                    if next_step(state.as_ref(), Duty::Notify(notice), PLAIN) == FulfilmentStep::Notify(notice) {
                        let Notice::KeyExpiring { days, .. } = notice else { panic!("{notice:?}") };
                        mailed.push(days);
                        let record = Command::RecordNotice { notice, message_id: "m".to_owned() };
                        let events = decide(state.as_ref(), record).unwrap();
                        run(&mut state, events, second);
                    }
                }
            }
        }
        prop_assert!(mailed.windows(2).all(|pair| pair[0] > pair[1]), "{:?}", mailed);
    }

    #[test]
    fn a_share_of_the_quota_is_told_once_a_day(seen in prop::collection::vec((0..3i64, prop::sample::select(notice::QUOTA_PERCENTS.to_vec())), 1..30)) {
        let mut state = with_key(KeyChange::default(), &KeyRules::default());
        let mut seen = seen;
        seen.sort_by_key(|(day, _)| *day);
        let mut mailed = Vec::new();
        for (day, percent) in seen {
            let day = day + 20_000;
            let events = decide(state.as_ref(), Command::NoteQuota { day, percent }).unwrap();
            run(&mut state, events, day * DAY_S);
            let notice = Notice::QuotaReached { day, percent };
            if next_step(state.as_ref(), Duty::Notify(notice), PLAIN) == FulfilmentStep::Notify(notice) {
                mailed.push((day, percent));
                let events = decide(state.as_ref(), Command::RecordNotice { notice, message_id: "m".to_owned() }).unwrap();
                run(&mut state, events, day * DAY_S);
            }
        }
        prop_assert!(mailed.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", mailed);
        prop_assert!(!mailed.is_empty());
    }
}

#[test]
fn who_does_it_alone_is_not_told() {
    use crate::domain::{fulfilment::duty, id::Who};
    let user = UserId(Uuid::from_u128(9));
    let key_id = new_key(1).id;
    let by = |who: Who, event: Event| {
        duty(&Recorded {
            id: Uuid::from_u128(7),
            stream: StreamId::User(user),
            version: 2,
            index: 0,
            recorded_at: at(0),
            origin: Origin { who, correlation_id: String::new(), causation_id: None },
            event,
        })
    };
    let revoked = |reason| Event::ApiKeyRevoked { key_id, reason };
    let told = Some(Duty::Notify(Notice::KeyRevoked { key_id }));
    assert_eq!(by(Who("admin:1".to_owned()), revoked(RevocationReason::Requested)), told);
    assert_eq!(by(Who::user(UserId(Uuid::from_u128(8))), revoked(RevocationReason::Requested)), told);
    assert_eq!(by(Who::user(user), revoked(RevocationReason::Requested)), None);
    assert_eq!(by(Who("admin:1".to_owned()), revoked(RevocationReason::UserDeleted)), None, "a deletion mails nothing");
    let state = with_key(KeyChange::default(), &KeyRules::default());
    let issued = decide(state.as_ref(), issue(new_key(2), None, KeyChange::default())).unwrap().remove(0);
    assert_eq!(by(Who::system("mailer"), issued.clone()), None, "an invitation's own key");
    let made = Some(Duty::Notify(Notice::KeyMade { key_id: new_key(2).id }));
    assert_eq!(by(Who("cli:root".to_owned()), issued), made);
    let unwanted = UserChanges {
        notices: Some(ChosenNotices { keys: Some(false), ..ChosenNotices::default() }),
        ..UserChanges::default()
    };
    let mut state = state;
    let notice = Notice::KeyMade { key_id };
    assert_eq!(next_step(state.as_ref(), Duty::Notify(notice), PLAIN), FulfilmentStep::Notify(notice));
    let events = decide(state.as_ref(), Command::Change(unwanted)).unwrap();
    run(&mut state, events, 1);
    assert_eq!(next_step(state.as_ref(), Duty::Notify(notice), PLAIN), FulfilmentStep::Acknowledge);
}

#[test]
fn an_address_whose_mail_came_back_for_good_gets_none_until_it_is_allowed() {
    for (kind, stop) in [
        (ComebackKind::Bounce(BounceKind::Permanent), Some(MailStop::Bounced)),
        (ComebackKind::Complaint, Some(MailStop::Complained)),
        (ComebackKind::Bounce(BounceKind::Transient), None),
    ] {
        let mut state = None;
        run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
        let came_back = decide(state.as_ref(), Command::RecordComeback(comeback(kind))).unwrap();
        run(&mut state, came_back, 1);
        let user = state.clone().unwrap();
        assert_eq!((user.mail_stop, user.mail_failure.as_deref()), (stop, Some("reason")));
        let resend = Command::ResendInvitation { invitation: Uuid::from_u128(2) };
        let failed = Command::RecordMailFailed {
            invitation: Uuid::from_u128(1),
            class: "not sent".to_owned(),
            reason: "not sent".to_owned(),
        };
        let Some(stop) = stop else {
            assert!(decide(state.as_ref(), resend).is_ok());
            assert!(decide(state.as_ref(), Command::AllowMail).unwrap().is_empty());
            continue;
        };
        assert_eq!(decide(state.as_ref(), resend.clone()), Err(CommandRefusal::MailStopped(stop)));
        let failed = decide(state.as_ref(), failed).unwrap();
        run(&mut state, failed, 2);
        assert_eq!(state.as_ref().unwrap().mail_failure.as_deref(), Some("reason"), "the cause is shown on");
        let allowed = decide(state.as_ref(), Command::AllowMail).unwrap();
        run(&mut state, allowed, 3);
        let user = state.clone().unwrap();
        assert_eq!((user.mail_stop, user.mail_failure), (None, None));
        assert!(decide(state.as_ref(), resend).is_ok());
    }
}

#[test]
fn a_rotated_key_keeps_its_invitation_so_that_a_resent_mail_carries_the_new_one() {
    let mut state = None;
    run(&mut state, decide(None, command(0, 0, None)).unwrap(), 0);
    let invitation = Some(Uuid::from_u128(1));
    let issue = issue(new_key(1), invitation, KeyChange::default());
    let events = decide(state.as_ref(), issue).unwrap();
    run(&mut state, events, 1);
    let rotate = rotate(1, 2, KeyRules::default(), 2);
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
    let issue = issue(new_key(1), Some(invitation), KeyChange::default());
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
