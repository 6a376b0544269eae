//! The ledger.

use std::sync::Arc;

use futures_util::future::join_all;
use permitd::{
    clock::ManualClock,
    domain::{
        admission::{DAY_NS, SECOND_NS, Verdict, day_of},
        event::{Event, RevocationReason},
        key::KeyId,
        plan::Limits,
    },
    store::{GrantRequest, KeyRefusal, Stores},
};

use crate::backend::{Backend, beginning, clock, issued, key, member, now_ns, seconds};

fn request(key: KeyId, clock: &ManualClock, want: u64) -> GrantRequest {
    GrantRequest { key, now_ns: now_ns(clock), life_ns: SECOND_NS, want, returned: None }
}

/// Takes grants of `want` and spends them until nothing more comes; how many requests passed.
async fn spend(stores: &Stores, key: KeyId, clock: &Arc<ManualClock>, want: u64, requests: u64) -> u64 {
    let (mut admitted, mut returned) = (0, None);
    for _ in 0..requests {
        let taken = GrantRequest { returned: returned.take(), ..request(key, clock, want) };
        let mut grant = stores.ledger.grant(taken).await.unwrap().expect("a key that works").grant;
        while grant.admit(now_ns(clock)) == Verdict::Admit {
            admitted += 1;
        }
        returned = Some(grant.into_return());
    }
    if let Some(returned) = returned {
        stores.ledger.give_back(vec![(key, returned)]).await.unwrap();
    }
    admitted
}

pub(crate) async fn grants_together_never_exceed_the_quota<B: Backend>() {
    let backend = B::new();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 500 };
    let (_, key) = member(&backend.stores(), 1, limits).await;
    let clock = clock();
    let nodes = (0..10u64).map(|node| {
        let stores = if node % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        let clock = Arc::clone(&clock);
        async move { spend(&stores, key, &clock, 7 + node, 30).await }
    });
    let admitted: u64 = join_all(nodes).await.iter().sum();
    assert_eq!(admitted, 500);
    // What a node lost with its life is gone for the day, never the other way round.
    clock.advance_us(DAY_NS / 1000);
    let stores = backend.stores();
    let lost = stores.ledger.grant(request(key, &clock, 64)).await.unwrap().unwrap().grant;
    assert_eq!(spend(&stores, key, &clock, 64, 100).await, 500 - lost.into_return().unspent);
    // A clock that is set back brings nothing back.
    clock.advance_us(-DAY_NS / 1000);
    assert_eq!(spend(&stores, key, &clock, 64, 10).await, 0);
}

pub(crate) async fn grants_together_never_exceed_the_rate<B: Backend>() {
    let backend = B::new();
    let (_, key) = member(&backend.stores(), 1, Limits { rate_per_s: 5.0, burst: 10, quota_per_day: 100_000 }).await;
    let clock = clock();
    let nodes = [backend.stores(), backend.stores_of_another_process()];
    let mut admitted = 0;
    for second in 0..20 {
        for stores in &nodes {
            admitted += spend(stores, key, &clock, 64, 2).await;
        }
        assert_eq!(admitted, 10 + 5 * second, "after {second} s");
        seconds(&clock, 1);
    }
}

pub(crate) async fn what_is_returned_can_be_taken_again_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let (_, key) = member(&stores, 1, Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 }).await;
    let clock = clock();
    let grant = stores.ledger.grant(request(key, &clock, 80)).await.unwrap().unwrap().grant;
    let returned = grant.into_return();
    assert_eq!(returned.unspent, 80);
    let second = stores.ledger.grant(request(key, &clock, 80)).await.unwrap().unwrap().grant.into_return();
    assert_eq!(second.unspent, 20, "the first grant is out");
    let third = GrantRequest { returned: Some(returned), ..request(key, &clock, 500) };
    let third = stores.ledger.grant(third).await.unwrap().unwrap().grant.into_return();
    assert_eq!(third.unspent, 80);
    stores.ledger.give_back(vec![(key, second), (key, third)]).await.unwrap();
    assert_eq!(spend(&stores, key, &clock, 64, 20).await, 100);
}

pub(crate) async fn keys_that_do_not_work_get_nothing<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (mut ana, first) = member(&stores, 1, limits).await;
    let clock = clock();
    let refusal = async |key| stores.ledger.grant(request(key, &clock, 1)).await.unwrap().err();
    assert_eq!(refusal(key(99).id()).await, Some(KeyRefusal::Unknown));
    assert_eq!(refusal(first).await, None);
    ana.write(&stores, vec![Event::UserDisabled], beginning()).await;
    assert_eq!(refusal(first).await, Some(KeyRefusal::Ended));
    ana.write(&stores, vec![Event::UserEnabled], beginning()).await;
    assert_eq!(refusal(first).await, None);
    let second = key(2);
    let valid_until = beginning().checked_add(jiff::SignedDuration::from_secs(10)).unwrap();
    let rotated = Event::ApiKeyRotated { key_id: first, replaced_by: second.id(), valid_until };
    ana.write(&stores, vec![issued(&second), rotated], beginning()).await;
    let granted = stores.ledger.grant(request(first, &clock, 1)).await.unwrap().expect("it works for a while");
    assert_eq!((granted.valid_until, granted.user), (Some(valid_until), ana.user_id()));
    assert_eq!(granted.hash, key(1).hash());
    seconds(&clock, 10);
    assert_eq!((refusal(first).await, refusal(second.id()).await), (Some(KeyRefusal::Ended), None));
    // What a node gives back is taken even when the key has ended.
    let out = stores.ledger.grant(request(second.id(), &clock, 40)).await.unwrap().unwrap().grant.into_return();
    let revoked = Event::ApiKeyRevoked { key_id: second.id(), reason: RevocationReason::Requested };
    ana.write(&stores, vec![revoked], beginning()).await;
    let last = GrantRequest { returned: Some(out), ..request(second.id(), &clock, 1) };
    assert_eq!(stores.ledger.grant(last).await.unwrap().err(), Some(KeyRefusal::Ended));
    let used = stores.ledger.usage(ana.user_id(), 0).await.unwrap();
    assert_eq!(used.iter().find(|usage| usage.key == second.id()).map(|usage| usage.used), Some(1));
    let third = key(3);
    ana.write(&stores, vec![issued(&third)], beginning()).await;
    assert_eq!(refusal(third.id()).await, None);
    ana.write(&stores, vec![Event::UserDeleted], beginning()).await;
    assert_eq!(refusal(third.id()).await, Some(KeyRefusal::Ended), "the deletion itself marks it");
}

pub(crate) async fn usage_is_counted_by_key_and_day<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (ana, key) = member(&stores, 1, limits).await;
    let (_, other) = member(&stores, 2, limits).await;
    let clock = clock();
    let today = day_of(now_ns(&clock));
    let spent = async |key, count: u64| {
        let mut grant = stores.ledger.grant(request(key, &clock, 50)).await.unwrap().unwrap().grant;
        (0..count).for_each(|_| assert_eq!(grant.admit(now_ns(&clock)), Verdict::Admit));
        stores.ledger.give_back(vec![(key, grant.into_return())]).await.unwrap();
    };
    spent(key, 7).await;
    spent(other, 3).await;
    seconds(&clock, 86_400);
    spent(key, 11).await;
    let usage = stores.ledger.usage(ana.user_id(), today).await.unwrap();
    let days: Vec<_> = usage.iter().map(|usage| (usage.key, usage.day, usage.used)).collect();
    assert_eq!(days, [(key, today, 7), (key, today + 1, 11)]);
    assert_eq!(stores.ledger.usage(ana.user_id(), today + 1).await.unwrap().len(), 1);
}
