//! The grant when the ledger fails: under-admitted at the most, never over-admitted.

use std::time::Duration;

use permitd::{
    actors::{account::AccountCommand, grants::Admission},
    domain::{
        key::PresentedKey,
        plan::{DEFAULT_PLAN, Limits},
    },
};

use crate::{faults::Fault, world::World};

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
    // The lost grant held 64 requests: 36 are left.
    assert_eq!(admitted(&world, &key, 200).await, 36);
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
    let Ok(Admission::Admitted(pass)) = world.book.admit(presented.id(), &presented.hash()).await else {
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
