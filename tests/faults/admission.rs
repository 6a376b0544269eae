//! The grant when the ledger fails: under-admitted at the most, never over-admitted.

use std::{sync::Arc, time::Duration};

use permitd::{
    actors::{
        account::AccountCommand,
        grants::{Admission, GrantBook},
    },
    domain::{
        bounds::KeyChange,
        credential::Credential,
        key::PresentedKey,
        plan::{DEFAULT_PLAN, Limits},
    },
};

use crate::{
    faults::Fault,
    support::backend::Mode,
    world::{ANYTHING, World},
};

const ANA: &str = "ana@example.org";

async fn admitted(world: &World, key: &str, requests: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += u32::from(world.request(key).await == 200);
    }
    admitted
}

#[actix_web::test]
async fn row_02_a_grant_whose_answer_is_lost_is_never_spent_twice() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1.0, burst: 1000, quota_per_day: 100 }).await;
    let (_, key) = world.member(ANA).await;
    world.faults.add("grant", Fault::After);
    assert_eq!(world.request(&key).await, 503, "fail closed");
    // The lost grant held 64 requests, of which nobody could spend one: the next grant finds them.
    assert_eq!(admitted(&world, &key, 200).await, 100);
    world.advance(Duration::from_secs(86_400));
    assert_eq!(admitted(&world, &key, 200).await, 100, "the next day is whole");
}

#[actix_web::test]
async fn a_ledger_that_is_away_lets_nobody_pass() {
    let world = World::new().await;
    let (_, key) = world.member(ANA).await;
    assert_eq!(world.request(&key).await, 200);
    world.advance(Duration::from_secs(2));
    world.faults.add_many("grant", 3, || Fault::Before);
    for _ in 0..3 {
        assert_eq!(world.request(&key).await, 503);
    }
    assert_eq!(world.request(&key).await, 200);
}

#[actix_web::test]
async fn a_revocation_ends_a_grant_even_when_what_is_left_cannot_be_given_back() {
    let world = World::new().await;
    let (user, key) = world.member(ANA).await;
    assert_eq!(world.request(&key).await, 200);
    world.faults.add("give_back", Fault::Before);
    let id = world.load(user).await.current_keys().next().unwrap().id;
    world.perform(user, AccountCommand::RevokeApiKey { key: id }).await.unwrap();
    assert_eq!(world.request(&key).await, 401);
}

#[actix_web::test]
async fn another_process_refuses_within_the_life_of_a_grant() {
    let world = World::new().await;
    let (user, key) = world.member(ANA).await;
    let other = world.again().await;
    assert_eq!(other.request(&key).await, 200);
    world.perform(user, AccountCommand::DisableUser).await.unwrap();
    assert_eq!(world.request(&key).await, 401);
    other.advance(Duration::from_millis(999));
    assert_eq!(other.request(&key).await, 200, "its grant is still alive");
    other.advance(Duration::from_millis(1));
    assert_eq!(other.request(&key).await, 401);
    world.perform(user, AccountCommand::EnableUser).await.unwrap();
    assert_eq!(world.request(&key).await, 200);
}

#[actix_web::test]
async fn several_nodes_together_stay_within_the_quota_and_the_rate() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 10.0, burst: 20, quota_per_day: 150 }).await;
    let (_, key) = world.member(ANA).await;
    let mut nodes = vec![world.again().await, world.again().await, world.again().await];
    let mut total = 0;
    for round in 0..60u32 {
        for node in &nodes {
            total += admitted(node, &key, 7).await;
        }
        assert!(total <= 20 + 10 * round.div_ceil(4), "round {round}: {total}");
        // One of them dies now and then, with whatever it holds.
        if round % 10 == 9 {
            nodes.remove(0);
            nodes.push(world.again().await);
        }
        world.advance(Duration::from_millis(250));
    }
    assert!(total <= 150 && total > 75, "{total} of 150");
}

#[actix_web::test]
async fn a_failure_after_midnight_gives_nothing_to_the_new_day() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 10 }).await;
    let (_, key) = world.member(ANA).await;
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    let Ok(Admission::Admitted(mut pass)) = world.book.admit(&presented.into(), 1, &ANYTHING).await else {
        panic!("the first request passes")
    };
    // The request that began yesterday fails today.
    world.advance(Duration::from_secs(12 * 3600));
    let mut today = admitted(&world, &key, 5).await;
    pass.refund();
    world.advance(Duration::from_secs(2));
    today += admitted(&world, &key, 50).await;
    assert_eq!(today, 10);
}

/// All keys of a person spend from one bucket and one quota, on however many nodes, whatever is issued, rotated and revoked meanwhile.
#[actix_web::test]
async fn a_person_has_one_quota_whatever_their_keys() {
    const QUOTA: u32 = 300;
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 20.0, burst: 30, quota_per_day: QUOTA.into() }).await;
    let (user, first) = world.member(ANA).await;
    let mut nodes = vec![world.again().await, world.again().await, world.again().await];
    let id = |key: &str| PresentedKey::parse(key.as_bytes()).unwrap().id();
    let issue = async |command| world.perform(user, command).await.unwrap().key.unwrap().reveal().to_owned();
    let mut keys = vec![first];
    let mut total = 0;
    for round in 0..48u32 {
        for (nth, node) in nodes.iter().enumerate() {
            // Each node has another key first.
            let (last, first) = keys.split_at(nth % keys.len());
            for key in first.iter().chain(last) {
                total += admitted(node, key, 3).await;
            }
        }
        assert!(total <= (30 + 10 * round).min(QUOTA), "round {round}: {total}");
        match round % 8 {
            1 => keys.push(issue(AccountCommand::IssueApiKey(KeyChange::default())).await),
            3 => keys.push(issue(AccountCommand::RotateApiKey { key: id(keys.last().unwrap()), grace_s: 3600 }).await),
            5 => {
                let gone = keys.remove(0);
                world.perform(user, AccountCommand::RevokeApiKey { key: id(&gone) }).await.unwrap();
            }
            7 if round > 30 => {
                nodes.remove(0);
                nodes.push(world.again().await);
            }
            _ => {}
        }
        world.advance(Duration::from_millis(500));
    }
    assert!(total <= QUOTA && total > QUOTA / 2, "{total} of {QUOTA}");
    // None of them has more on the day, on a node that sees them for the first time.
    let fresh = world.again().await;
    world.advance(Duration::from_secs(60));
    for node in &nodes {
        node.book.withdraw_all().await.unwrap();
    }
    for key in &keys {
        total += admitted(&fresh, key, 400).await;
        world.advance(Duration::from_secs(30));
    }
    assert!(total <= QUOTA, "{total} of {QUOTA}");
}

/// What nodes count of requests is what the quota was charged with, although answers of the ledger are lost.
#[actix_web::test]
async fn what_was_counted_is_what_was_admitted_though_answers_are_lost() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 100_000 }).await;
    let (user, key) = world.member(ANA).await;
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    let mut total = 0;
    for round in 0..40u32 {
        match round % 5 {
            1 => world.faults.add("grant", Fault::After),
            2 => world.faults.add("grant", Fault::Before),
            3 => world.faults.add_many("grant", 2, || Fault::After),
            _ => {}
        }
        for _ in 0..4 {
            if let Ok(Admission::Admitted(pass)) = world.book.admit(&presented.into(), 1, &ANYTHING).await {
                pass.tell("permits", 200, None);
                total += 1;
            }
        }
        world.faults.clear();
        world.advance(Duration::from_millis(1100));
    }
    world.advance(Duration::from_secs(60));
    world.book.settle_idle().await.unwrap();
    let ledger = &world.stores.ledger;
    let counts = ledger.counts(user, 0).await.unwrap();
    let shown: Vec<_> = counts.iter().map(|line| (&*line.dataset, line.status, line.requests, line.counted)).collect();
    assert_eq!(shown, [("permits", 200, total, total)]);
    let used: u64 = ledger.usage(user, 0).await.unwrap().iter().map(|day| day.used).sum();
    assert_eq!(i64::try_from(used).unwrap(), total, "nothing is out any more");
}

/// What was counted is told once, also where a grant is asked for while somebody settles, and the other way round.
#[actix_web::test]
async fn what_was_counted_is_told_once_when_a_settlement_and_a_grant_cross() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 100_000 }).await;
    let (user, key) = world.member(ANA).await;
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    let shown = Credential::from(presented);
    let ask = async |book: &GrantBook| match book.admit(&shown, 1, &ANYTHING).await {
        Ok(Admission::Admitted(pass)) => pass.tell("permits", 200, None),
        other => panic!("{other:?}"),
    };
    ask(&world.book).await;
    let mut total = 1;
    for crossing in ["give_back", "grant"] {
        for is_over in [false, true] {
            ask(&world.book).await;
            if is_over {
                world.advance(Duration::from_millis(1100));
            }
            let book = Arc::clone(&world.book);
            if crossing == "give_back" {
                world.faults.add(
                    "give_back",
                    Fault::first(async move {
                        let Ok(Admission::Admitted(pass)) = book.admit(&shown, 1, &ANYTHING).await else {
                            panic!("it passes")
                        };
                        pass.tell("permits", 200, None);
                    }),
                );
                world.book.settle(user).await.unwrap();
            } else {
                world.advance(Duration::from_millis(1100));
                world.faults.add("grant", Fault::first(async move { book.settle(user).await.unwrap() }));
                ask(&world.book).await;
            }
            total += 2;
        }
    }
    assert_eq!(world.faults.left(), 0, "all of them were met");
    world.advance(Duration::from_secs(61));
    world.book.settle_idle().await.unwrap();
    let counts = world.stores.ledger.counts(user, 0).await.unwrap();
    assert_eq!(counts.iter().map(|line| line.requests).sum::<i64>(), total);
}

/// Grants that were carried out and not answered, or answered and not carried out, in whatever order, with what came back in
/// them; and what could not be given back. Nothing is withheld, nothing is given twice.
#[actix_web::test]
async fn errors_of_the_ledger_withhold_nothing_of_the_quota() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 400 }).await;
    let (_, key) = world.member(ANA).await;
    let (mut total, mut failed) = (0, 0);
    for round in 0..30u32 {
        for _ in 0..5 {
            match world.request(&key).await {
                200 => total += 1,
                503 => failed += 1,
                other => panic!("{other} in round {round}"),
            }
        }
        world.faults.clear();
        match round % 4 {
            0 => world.faults.add("grant", Fault::After),
            1 => world.faults.add("grant", Fault::Before),
            2 => world.faults.add_many("grant", 2, || Fault::After),
            _ => {}
        }
        if round % 7 == 6 {
            // The ended grant cannot be given back now: it is with the next request.
            world.faults.add("give_back", if round % 2 == 0 { Fault::Before } else { Fault::After });
            assert!(world.book.withdraw_all().await.is_err());
        }
        world.advance(Duration::from_millis(1100));
    }
    world.faults.clear();
    total += admitted(&world, &key, 500).await;
    assert!(failed >= 20, "{failed} failures: they were to be met");
    assert_eq!(total, 400);
}

/// A request that stops waiting for the ledger leaves a grant behind that nobody spends.
#[actix_web::test]
async fn a_request_that_does_not_wait_for_its_grant_withholds_nothing() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 100 }).await;
    let (_, key) = world.member(ANA).await;
    world.faults.add("grant", Fault::then(std::future::pending()));
    let gone = tokio::time::timeout(Duration::from_millis(500), world.request(&key)).await;
    assert!(gone.is_err(), "the answer never comes");
    assert_eq!(admitted(&world, &key, 200).await, 100);
}

/// What a request gives back while the node asks for its next grant is in that grant.
#[actix_web::test]
async fn what_comes_back_while_a_grant_is_renewed_is_found_again() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 1 }).await;
    let (_, key) = world.member(ANA).await;
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    for by_rate in [true, false] {
        let Ok(Admission::Admitted(mut pass)) = world.book.admit(&presented.into(), 1, &ANYTHING).await else {
            panic!("the last request of the quota is there")
        };
        world.advance(Duration::from_secs(2));
        let clock = world.clock.shared();
        world.faults.add(
            "grant",
            Fault::then(async move { if by_rate { pass.refund() } else { pass.keep(0, clock.as_ref()) } }),
        );
        let Ok(Admission::Admitted(mut next)) = world.book.admit(&presented.into(), 1, &ANYTHING).await else {
            panic!("what came back was lost")
        };
        next.refund();
    }
    assert_eq!(admitted(&world, &key, 5).await, 1);
    world.advance(Duration::from_secs(2));
    assert_eq!(admitted(&world, &key, 5).await, 0, "and no more than the quota");
}

/// A key's plan changes under it, the limits of the plan and the plan of the person: in force within a grant's life.
#[actix_web::test]
async fn a_change_of_plan_is_in_force_within_the_life_of_a_grant() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 0.01, burst: 10, quota_per_day: 1000 }).await;
    world.plan("fast", Limits { rate_per_s: 1000.0, burst: 10, quota_per_day: 1000 }).await;
    let (user, key) = world.member(ANA).await;
    let other = world.again().await;
    assert_eq!(admitted(&world, &key, 20).await + admitted(&other, &key, 20).await, 10);
    world.perform(user, AccountCommand::AssignPlan("fast".to_owned())).await.unwrap();
    world.advance(Duration::from_secs(1));
    for node in [&world, &other] {
        // As many as were consumed are still consumed: at this rate they flow in within milliseconds.
        let first = node.request(&key).await;
        world.advance(Duration::from_millis(20));
        assert!(first == 200 || node.request(&key).await == 200, "the other plan is in force");
    }
    // The limits of the plan itself.
    world.advance(Duration::from_secs(2));
    assert!(admitted(&world, &key, 5).await > 0);
    world.plan("fast", Limits { rate_per_s: 1000.0, burst: 10, quota_per_day: 1 }).await;
    world.advance(Duration::from_secs(1));
    assert_eq!(admitted(&world, &key, 20).await + admitted(&other, &key, 20).await, 0, "the quota is used up");
    world.plan("fast", Limits { rate_per_s: 1000.0, burst: 10, quota_per_day: 1000 }).await;
    world.advance(Duration::from_secs(1));
    assert!(admitted(&world, &key, 5).await > 0 && admitted(&other, &key, 5).await > 0);
}

/// 5/s and a burst of ten, used up; then 1/s and twenty: ten more are left, and one for each of three seconds. That is 23,
/// although the nodes hear of the change up to a second late, in which five flow in under the old plan.
#[actix_web::test]
async fn a_change_of_plan_gives_no_second_burst() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 5.0, burst: 10, quota_per_day: 1000 }).await;
    let (_, key) = world.member(ANA).await;
    let mut total = admitted(&world, &key, 30).await;
    assert_eq!(total, 10);
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1.0, burst: 20, quota_per_day: 1000 }).await;
    world.advance(Duration::from_secs(1));
    total += admitted(&world, &key, 60).await;
    world.advance(Duration::from_secs(2));
    total += admitted(&world, &key, 60).await;
    assert_eq!(total, 23, "with what flowed in under the old plan there were 27, and without what was consumed more");
}

/// Whether the key works. A clock that was set back leaves the rate's bucket empty, which is no end of the key.
async fn works(world: &World, key: &str) -> bool {
    match world.request(key).await {
        200 | 429 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// A member's key that was rotated with a grace of an hour, used before or not, and the new one.
async fn rotated(is_used: bool) -> (World, String, String) {
    let world = World::new().await;
    let (user, old) = world.member(ANA).await;
    if is_used {
        assert!(works(&world, &old).await);
    }
    let key = PresentedKey::parse(old.as_bytes()).unwrap().id();
    let rotation = world.perform(user, AccountCommand::RotateApiKey { key, grace_s: 3600 }).await.unwrap();
    let new = rotation.key.expect("a new key").reveal().to_owned();
    (world, old, new)
}

const DAY_S: i64 = 86_400;

/// A rotated key works for as long as was said, whatever the clock is set to meanwhile: of a node that runs, and of one that
/// looks at the key for the first time only after its grace.
#[actix_web::test]
async fn grace_is_as_long_as_was_said_whatever_the_clock_is_set_to() {
    for (shift_s, is_used) in [(-DAY_S, true), (-DAY_S, false), (DAY_S, true), (DAY_S, false), (1000 * DAY_S, false)] {
        let case = format!("{shift_s} s, used before: {is_used}");
        let (world, old, new) = rotated(is_used).await;
        world.clock.shift_wall(shift_s);
        world.advance(Duration::from_secs(3599));
        if is_used {
            assert!(works(&world, &old).await, "{case}");
        }
        world.advance(Duration::from_secs(1));
        assert!(!works(&world, &old).await, "{case}");
        world.clock.shift_wall(-shift_s);
        world.advance(Duration::from_secs(2));
        assert!(!works(&world, &old).await, "{case}: what has ended stays so");
        assert!(works(&world, &new).await, "{case}");
    }
}

/// A process that begins after the clock was set: SQLite's file knows how long the key had to go. In AWS, where such a process
/// has nothing but its clock, a key lives for its grace once more at the most.
#[actix_web::test]
async fn grace_ends_for_a_process_that_begins_under_a_wrong_clock() {
    let (world, old, new) = rotated(true).await;
    world.advance(Duration::from_secs(1800));
    assert!(works(&world, &old).await);
    world.clock.shift_wall(-DAY_S);
    let next = world.again().await;
    assert!(works(&next, &old).await);
    next.advance(Duration::from_secs(1799));
    assert!(works(&next, &old).await);
    next.advance(Duration::from_secs(if crate::MODE == Mode::Sqlite { 1 } else { 1801 }));
    assert!(!works(&next, &old).await && works(&next, &new).await);
    assert!(!works(&world, &old).await);
}

/// A quota that was used up under a clock that was years ahead is there again under one that is right, each day its own.
#[actix_web::test]
async fn a_year_that_was_wrong_locks_nobody_out() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 50 }).await;
    let (_, key) = world.member(ANA).await;
    assert_eq!(admitted(&world, &key, 20).await, 20);
    world.book.withdraw_all().await.unwrap();
    let far = world.beside(world.clock.skewed(4 * 365 * 86_400), Duration::from_secs(30)).await;
    assert_eq!(admitted(&far, &key, 100).await, 50, "another day");
    far.book.withdraw_all().await.unwrap();
    let right = world.again().await;
    assert_eq!(right.request(&key).await, 200, "at once");
    world.advance(Duration::from_secs(2));
    assert_eq!(admitted(&right, &key, 100).await, 29, "what was counted of this day stays counted");
    world.advance(Duration::from_secs(86_400));
    assert_eq!(admitted(&right, &key, 100).await, 50, "and the next day is whole");
}
