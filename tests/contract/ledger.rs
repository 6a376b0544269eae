//! The ledger.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use permitd::{
    clock::{Clock, ManualClock},
    domain::{
        admission::{DAY_NS, GrantHolder, KeyUse, Return, SECOND_NS, Tally, Verdict, day_of},
        bounds::{DataAction, KeyBounds, KeyScopes},
        event::{Event, RevocationReason, Role},
        id::UserId,
        key::KeyId,
        personal::Personal,
        plan::{KeyRules, Limits},
        reach::{KeyPurpose, KeyReach, OutOfReach},
        sign_in::{SessionEnd, SignInEvent, SignInMethod},
    },
    store::{GivenBack, GrantRequest, KeyRefusal, LastUse, SERIALS_PER_REQUEST, Stores, sqlite::Database},
};

use crate::{
    backend::{Backend, Stream, beginning, clock, invited, issued, key, member, now_ns, seconds},
    replay::{differences, rebuild},
};

/// A request of a node of its own.
fn request(user: UserId, clock: &ManualClock, want: u64) -> GrantRequest {
    static NODES: AtomicU64 = AtomicU64::new(1);
    let holder = GrantHolder { node: NODES.fetch_add(1, Ordering::Relaxed), serial: SERIALS_PER_REQUEST };
    let now_ns = now_ns(clock);
    let plan = "default".into();
    GrantRequest {
        user,
        plan,
        now_ns,
        life_ns: SECOND_NS,
        want,
        need: 1,
        holder,
        unanswered_from: None,
        returned: None,
        tally: None,
        used: None,
    }
}

/// A person on a plan of these limits.
async fn person(stores: &Stores, number: u8, limits: Limits) -> UserId {
    member(stores, number, limits).await.0.user_id()
}

fn back(user: UserId, returned: Return) -> GivenBack {
    GivenBack { user, returned: Some(returned), tally: None }
}

/// The next request of the same node, which returns what it has.
fn next(before: &GrantRequest, returned: Option<Return>) -> GrantRequest {
    let serial = before.holder.serial + SERIALS_PER_REQUEST;
    GrantRequest { holder: GrantHolder { serial, ..before.holder }, returned, ..before.clone() }
}

/// Takes grants of `want` and spends them until nothing more comes; how many requests passed.
async fn spend(stores: &Stores, user: UserId, clock: &Arc<ManualClock>, want: u64, requests: u64) -> u64 {
    let (mut admitted, mut returned) = (0, None);
    let mut taken = request(user, clock, want);
    for _ in 0..requests {
        taken = next(&taken, returned.take());
        let mut grant = stores.ledger.grant(taken.clone()).await.unwrap().grant;
        while grant.admit(now_ns(clock)) == Verdict::Admit {
            admitted += 1;
        }
        returned = Some(grant.into_return());
    }
    if let Some(returned) = returned {
        stores.ledger.give_back(vec![back(user, returned)]).await.unwrap();
    }
    admitted
}

pub(crate) async fn grants_together_never_exceed_the_quota<B: Backend>() {
    let backend = B::new();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 500 };
    let user = person(&backend.stores(), 1, limits).await;
    let clock = clock();
    let nodes = (0..10u64).map(|node| {
        let stores = if node % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        let clock = Arc::clone(&clock);
        async move { spend(&stores, user, &clock, 7 + node, 30).await }
    });
    let admitted: u64 = join_all(nodes).await.iter().sum();
    assert_eq!(admitted, 500);
    // What a node lost with its life is gone for the day, never the other way round.
    clock.advance_us(DAY_NS / 1000);
    let stores = backend.stores();
    let lost = stores.ledger.grant(request(user, &clock, 64)).await.unwrap().grant;
    assert_eq!(spend(&stores, user, &clock, 64, 100).await, 500 - lost.into_return().unspent);
    // A clock that is set back brings nothing back.
    clock.advance_us(-DAY_NS / 1000);
    assert_eq!(spend(&stores, user, &clock, 64, 10).await, 0);
}

pub(crate) async fn grants_together_never_exceed_the_rate<B: Backend>() {
    let backend = B::new();
    let user = person(&backend.stores(), 1, Limits { rate_per_s: 5.0, burst: 10, quota_per_day: 100_000 }).await;
    let clock = clock();
    let nodes = [backend.stores(), backend.stores_of_another_process()];
    let mut admitted = 0;
    for second in 0..20 {
        for stores in &nodes {
            admitted += spend(stores, user, &clock, 64, 2).await;
        }
        assert_eq!(admitted, 10 + 5 * second, "after {second} s");
        seconds(&clock, 1);
    }
}

pub(crate) async fn what_is_returned_can_be_taken_again_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let user = person(&stores, 1, Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 }).await;
    let clock = clock();
    let grant = stores.ledger.grant(request(user, &clock, 80)).await.unwrap().grant;
    let returned = grant.into_return();
    assert_eq!(returned.unspent, 80);
    let second = stores.ledger.grant(request(user, &clock, 80)).await.unwrap().grant.into_return();
    assert_eq!(second.unspent, 20, "the first grant is out");
    let mut third = GrantRequest { returned: Some(returned), ..request(user, &clock, 500) };
    // The same node.
    third.holder = GrantHolder { serial: returned.holder.serial + SERIALS_PER_REQUEST, ..returned.holder };
    let third = stores.ledger.grant(third).await.unwrap().grant.into_return();
    assert_eq!(third.unspent, 80);
    stores.ledger.give_back(vec![back(user, second), back(user, third)]).await.unwrap();
    assert_eq!(spend(&stores, user, &clock, 64, 20).await, 100);
}

/// A session has terms as a key does: while it is used, until it ends, and as its person's plan has it.
pub(crate) async fn a_session_has_terms_until_it_ends<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (mut ana, first) = member(&stores, 1, limits).await;
    let clock = clock();
    let after = |seconds: i64| beginning().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let started = |number: u8, method| {
        Event::SignIn(SignInEvent::SessionStarted {
            session: key(number).id(),
            hash: key(number).hash(),
            expires_at: after(10_000),
            idle_s: 4000,
            method,
            network: Personal::Known("192.0.2.77".to_owned()),
        })
    };
    let sessions = [2, 3, 4].map(|number| started(number, SignInMethod::Password));
    ana.write(&stores, sessions.into(), beginning()).await;
    let [one, two, three] = [2, 3, 4].map(|number| key(number).id());
    let terms = async |id| stores.ledger.terms(id, now_ns(&clock)).await.unwrap();
    let known = terms(one).await.unwrap();
    assert_eq!((known.user, known.hash, &*known.plan), (ana.user_id(), key(2).hash(), "default"));
    assert_eq!((known.valid_until, known.see_at), (Some(after(4000)), Some(after(1000))));
    assert!(*known.reach == KeyReach::default() && !known.lacks_factor);
    let of_key = terms(first).await.unwrap();
    assert_eq!((of_key.valid_until, of_key.see_at, of_key.lacks_factor), (None, None, false));
    // Each use makes it last longer, up to its end.
    let seen = |session| Event::SignIn(SignInEvent::SessionSeen { session });
    ana.write(&stores, vec![seen(one)], after(3000)).await;
    assert_eq!(terms(one).await.unwrap().valid_until, Some(after(7000)));
    seconds(&clock, 3999);
    assert!(terms(two).await.is_ok());
    seconds(&clock, 1);
    assert_eq!(terms(two).await.err(), Some(KeyRefusal::Ended), "idle");
    ana.write(&stores, vec![seen(one)], after(6500)).await;
    let known = terms(one).await.unwrap();
    assert_eq!((known.valid_until, known.see_at), (Some(after(10_000)), None), "it cannot last longer");
    seconds(&clock, 6000);
    assert_eq!(terms(one).await.err(), Some(KeyRefusal::Ended), "its time is over");
    assert_eq!(terms(three).await.err(), Some(KeyRefusal::Ended));

    // What becomes of the person becomes of their sessions.
    clock.advance_us(-9_000 * SECOND_NS / 1000);
    let mut ben = Stream::user(2);
    ben.write(&stores, vec![invited("ben@example.org"), started(5, SignInMethod::Password)], beginning()).await;
    let sessions = [6, 7].map(|number| started(number, SignInMethod::PasswordAndCode));
    ben.write(&stores, sessions.into(), beginning()).await;
    let [plain, coded, other] = [5, 6, 7].map(|number| key(number).id());
    ben.write(&stores, vec![Event::PlanAssigned { plan: "large".to_owned() }], after(1)).await;
    assert_eq!(&*terms(plain).await.unwrap().plan, "large");
    let ended = SignInEvent::SessionEnded { session: other, reason: SessionEnd::SignedOut };
    ben.write(&stores, vec![Event::SignIn(ended)], after(2)).await;
    assert_eq!(terms(other).await.err(), Some(KeyRefusal::Ended));
    assert!(terms(plain).await.is_ok() && terms(coded).await.is_ok(), "that was another");
    ben.write(&stores, vec![Event::UserDisabled], after(3)).await;
    ben.write(&stores, vec![Event::UserEnabled], after(4)).await;
    for session in [plain, coded, other] {
        assert_eq!(terms(session).await.err(), Some(KeyRefusal::Ended), "what has ended does not come back");
    }
    let mut eve = Stream::user(3);
    let admin = Event::RoleChanged { role: Role::Admin };
    eve.write(&stores, vec![invited("eve@example.org"), admin], after(5)).await;
    let sessions = vec![started(8, SignInMethod::Password), started(9, SignInMethod::ProviderAndItsFactor)];
    eve.write(&stores, sessions, after(6)).await;
    assert!(terms(key(8).id()).await.unwrap().lacks_factor);
    assert!(!terms(key(9).id()).await.unwrap().lacks_factor);
    assert_eq!(differences(&stores), Vec::<String>::new());
    eve.write(&stores, vec![Event::UserDeleted], after(7)).await;
    assert_eq!(terms(key(9).id()).await.err(), Some(KeyRefusal::Ended));
    rebuild(&*stores.replay);
    assert_eq!(differences(&stores), Vec::<String>::new(), "a rebuild comes to the same");
    assert_eq!(terms(key(9).id()).await.err(), Some(KeyRefusal::Ended));
}

pub(crate) async fn keys_that_do_not_work_get_nothing<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (mut ana, first) = member(&stores, 1, limits).await;
    let clock = clock();
    let refusal = async |key| stores.ledger.terms(key, now_ns(&clock)).await.unwrap().err();
    assert_eq!(refusal(key(99).id()).await, Some(KeyRefusal::Unknown));
    assert_eq!(refusal(first).await, None);
    ana.write(&stores, vec![Event::UserDisabled], beginning()).await;
    assert_eq!(refusal(first).await, Some(KeyRefusal::Ended));
    ana.write(&stores, vec![Event::UserEnabled], beginning()).await;
    assert_eq!(refusal(first).await, None);
    let second = key(2);
    let valid_until = beginning().checked_add(SignedDuration::from_secs(10)).unwrap();
    let rotated = Event::ApiKeyRotated { key_id: first, replaced_by: second.id(), valid_until };
    ana.write(&stores, vec![issued(&second), rotated], beginning()).await;
    let terms = stores.ledger.terms(first, now_ns(&clock)).await.unwrap().expect("it works for a while");
    assert_eq!((terms.valid_until, terms.user), (Some(valid_until), ana.user_id()));
    assert_eq!((terms.hash, &*terms.plan), (key(1).hash(), "default"));
    seconds(&clock, 10);
    assert_eq!((refusal(first).await, refusal(second.id()).await), (Some(KeyRefusal::Ended), None));
    let revoked = Event::ApiKeyRevoked { key_id: second.id(), reason: RevocationReason::Requested };
    ana.write(&stores, vec![revoked], beginning()).await;
    assert_eq!(refusal(second.id()).await, Some(KeyRefusal::Ended));
    let third = key(3);
    ana.write(&stores, vec![issued(&third)], beginning()).await;
    assert_eq!(refusal(third.id()).await, None);
    ana.write(&stores, vec![Event::UserDeleted], beginning()).await;
    assert_eq!(refusal(third.id()).await, Some(KeyRefusal::Ended), "the deletion itself marks it");
}

pub(crate) async fn a_key_ends_at_its_date_and_carries_what_it_may<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (mut ana, first) = member(&stores, 1, limits).await;
    let clock = clock();
    let terms = async |key| stores.ledger.terms(key, now_ns(&clock)).await.unwrap();
    let at = |second: i64| beginning().checked_add(SignedDuration::from_secs(second)).unwrap();
    let change = |key_id, end: Option<i64>| {
        let allowed_ips = Some(Personal::Known("192.0.2.0/24 2001:db8::1".to_owned()));
        let scopes = KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Read] };
        Event::ApiKeyChanged { key_id, label: None, bounds: KeyBounds { expires_at: end.map(at), allowed_ips, scopes } }
    };
    let read = |from: &str, dataset: &'static str| KeyPurpose {
        from: Some(from.parse().unwrap()),
        dataset: Some(dataset),
        action: DataAction::Read,
    };
    assert_eq!(*terms(first).await.unwrap().reach, KeyReach::default());
    ana.write(&stores, vec![change(first, Some(20))], beginning()).await;
    let bounded = terms(first).await.expect("it works");
    assert_eq!(bounded.valid_until, Some(at(20)));
    let refusal = |asked: KeyPurpose<'_>| bounded.reach.refusal(&asked);
    assert_eq!(refusal(read("192.0.2.9", "permits")), None);
    assert_eq!(refusal(read("192.0.3.9", "permits")), Some(OutOfReach::Address));
    assert_eq!(refusal(read("2001:db8::1", "trees")), Some(OutOfReach::Dataset));
    let export = KeyPurpose { action: DataAction::Export, ..read("192.0.2.9", "permits") };
    assert_eq!(refusal(export), Some(OutOfReach::Action(DataAction::Export)));
    // The earlier of two ends, whichever it is.
    let second = key(2);
    let rotated = |until| Event::ApiKeyRotated { key_id: first, replaced_by: second.id(), valid_until: at(until) };
    ana.write(&stores, vec![issued(&second), rotated(10)], beginning()).await;
    assert_eq!(terms(first).await.unwrap().valid_until, Some(at(10)));
    ana.write(&stores, vec![change(first, Some(5)), change(second.id(), Some(15))], beginning()).await;
    assert_eq!(terms(first).await.unwrap().valid_until, Some(at(5)));
    seconds(&clock, 5);
    assert_eq!(terms(first).await.err(), Some(KeyRefusal::Ended));
    assert_eq!(terms(second.id()).await.unwrap().valid_until, Some(at(15)));
    seconds(&clock, 10);
    assert_eq!(terms(second.id()).await.err(), Some(KeyRefusal::Ended));
    ana.write(&stores, vec![change(second.id(), None)], beginning()).await;
    assert_eq!(terms(second.id()).await.unwrap().valid_until, None, "an end that is taken away");

    let grant = async |user| stores.ledger.grant(request(user, &clock, 1)).await.unwrap();
    assert_eq!(grant(ana.user_id()).await.datasets, None);
    let mut plan = Stream::plan("narrow");
    let rules = KeyRules { datasets: Some(vec!["permits".to_owned(), "trees".to_owned()]), ..KeyRules::default() };
    plan.write(&stores, vec![Event::PlanDefined { limits, rules }], beginning()).await;
    let narrow = GrantRequest { plan: "narrow".into(), ..request(person(&stores, 7, limits).await, &clock, 1) };
    let datasets = stores.ledger.grant(narrow).await.unwrap().datasets.expect("some");
    assert_eq!(*datasets, ["permits".to_owned(), "trees".to_owned()]);
}

pub(crate) async fn usage_is_counted_by_person_and_day<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let [ana, other] = [person(&stores, 1, limits).await, person(&stores, 2, limits).await];
    let clock = clock();
    let today = day_of(now_ns(&clock));
    let spent = async |user, count: u64| {
        let mut grant = stores.ledger.grant(request(user, &clock, 50)).await.unwrap().grant;
        (0..count).for_each(|_| assert_eq!(grant.admit(now_ns(&clock)), Verdict::Admit));
        stores.ledger.give_back(vec![back(user, grant.into_return())]).await.unwrap();
    };
    spent(ana, 7).await;
    spent(other, 3).await;
    seconds(&clock, 86_400);
    spent(ana, 11).await;
    let usage = stores.ledger.usage(ana, today).await.unwrap();
    let days: Vec<_> = usage.iter().map(|usage| (usage.day, usage.used)).collect();
    assert_eq!(days, [(today, 7), (today + 1, 11)]);
    assert_eq!(stores.ledger.usage(ana, today + 1).await.unwrap().len(), 1);
}

/// A node that did not hear of its grants gets back what it did not hear of, and nothing twice.
pub(crate) async fn what_was_not_answered_comes_back_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let user = person(&stores, 1, Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 }).await;
    let clock = clock();
    let grant = async |request| stores.ledger.grant(request).await.unwrap().grant;
    let used = async || stores.ledger.usage(user, 0).await.unwrap().iter().map(|day| day.used).sum::<u64>();
    let first = request(user, &clock, 30);
    let mut heard = grant(first.clone()).await;
    (0..10).for_each(|_| assert_eq!(heard.admit(now_ns(&clock)), Verdict::Admit));
    let returned = heard.into_return();
    // The answers of two requests are lost, a third was never carried out.
    let second = next(&first, Some(returned));
    grant(second.clone()).await;
    let unanswered_from = Some(second.holder.serial);
    let third = GrantRequest { unanswered_from, ..next(&second, Some(returned)) };
    grant(third.clone()).await;
    let fourth = GrantRequest { unanswered_from, ..next(&third, Some(returned)) };
    let fifth = GrantRequest { unanswered_from, want: 7, ..next(&fourth, Some(returned)) };
    let last = grant(fifth.clone()).await;
    assert_eq!(last.left(), 7);
    assert_eq!(used().await, 17, "ten were spent, seven are out");
    // What came back before does not again, in whichever way it is given.
    stores.ledger.give_back(vec![back(user, returned)]).await.unwrap();
    assert_eq!(used().await, 17);
    let last = last.into_return();
    for _ in 0..3 {
        stores.ledger.give_back(vec![back(user, last)]).await.unwrap();
        assert_eq!(used().await, 10);
    }
    let again = next(&fifth, Some(last));
    let again = grant(again).await.into_return();
    assert_eq!(used().await, 10 + again.unspent);
}

/// What is kept of a last use is as old as the grant that admits it, though the node that has it dies; who is refused uses nothing.
pub(crate) async fn a_grant_notes_the_use_that_asks_for_it<B: Backend>() {
    let backend = B::new();
    let (stores, clock) = (backend.stores(), clock());
    let limits = Limits { rate_per_s: 1.0, burst: 10, quota_per_day: 10 };
    let user = person(&stores, 7, limits).await;
    let [one, other] = [[1; 12], [2; 12]].map(KeyId::from_random);
    let from = |text: &str| Some(text.parse().unwrap());
    let with = |before: GrantRequest, key: KeyId, from| {
        let at_us = clock.now().as_microsecond();
        GrantRequest { now_ns: now_ns(&clock), used: Some(KeyUse { key, at_us, from }), ..before }
    };
    let told = async || stores.ledger.last_uses(user).await.unwrap();
    let known = |key: KeyId, at: Timestamp, network: &str| LastUse { key, at, network: Some(network.to_owned()) };
    let first = with(request(user, &clock, 4), one, from("203.0.113.9"));
    let granted = stores.ledger.grant(first.clone()).await.unwrap();
    assert!(granted.grant.left() > 0);
    let began = clock.now();
    assert_eq!(told().await, [known(one, began, "203.0.113.0/24")]);
    // From the same network, and from another one.
    seconds(&clock, 1);
    let second = with(next(&first, None), one, from("203.0.113.77"));
    assert!(stores.ledger.grant(second.clone()).await.unwrap().grant.left() > 0);
    assert_eq!(told().await, [known(one, clock.now(), "203.0.113.0/24")]);
    seconds(&clock, 1);
    let third = GrantRequest { want: 10, ..with(next(&second, None), one, from("2001:db8::1")) };
    assert!(stores.ledger.grant(third.clone()).await.unwrap().grant.left() > 0);
    assert_eq!(told().await, [known(one, clock.now(), "2001:db8::/48")]);
    // The day's quota is out: nobody is let pass with the other key.
    seconds(&clock, 1);
    let mut fourth = with(next(&third, None), other, from("198.51.100.1"));
    for _ in 0..20 {
        if stores.ledger.grant(fourth.clone()).await.unwrap().grant.left() == 0 {
            break;
        }
        seconds(&clock, 1);
        fourth = with(next(&fourth, None), one, from("2001:db8::1"));
    }
    let fifth = with(next(&fourth, None), other, from("198.51.100.1"));
    let before = told().await;
    assert_eq!(stores.ledger.grant(fifth).await.unwrap().grant.left(), 0);
    assert_eq!(told().await, before);
}

/// What a node counts comes with a grant, or with what is given back, and is counted once although it does not hear of it; each
/// day has its own.
pub(crate) async fn what_requests_were_is_counted_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
    let (ana, key) = member(&stores, 1, limits).await;
    let (user, clock) = (ana.user_id(), clock());
    let today = day_of(now_ns(&clock));
    let tally = |day, dataset: &str, status, requests, counted| {
        let mut tally = Tally::default();
        tally.count(day, key, dataset, status, (requests, counted));
        let from = Some("203.0.113.9".parse().unwrap());
        tally.note_use(KeyUse { key, at_us: clock.now().as_microsecond(), from });
        Some(Arc::new(tally))
    };
    let counts = async || {
        let counts = stores.ledger.counts(user, 0).await.unwrap();
        let shown = counts.iter().map(|line| {
            assert_eq!(line.key, Some(key));
            (line.day - today, line.dataset.to_string(), line.status, line.requests, line.counted)
        });
        shown.collect::<Vec<_>>()
    };
    let grant = async |request| stores.ledger.grant(request).await.unwrap();
    let first = request(user, &clock, 10);
    let taken = grant(first.clone()).await;
    // The answer to the second is lost; the third brings the same.
    let second =
        GrantRequest { tally: tally(today, "permits", 200, 7, 7), ..next(&first, Some(taken.grant.into_return())) };
    assert!(grant(second.clone()).await.tallied);
    let unanswered_from = Some(second.holder.serial);
    let third = next(&second, second.returned);
    let third = grant(GrantRequest { unanswered_from, tally: second.tally.clone(), ..third }).await;
    assert!(third.tallied);
    assert_eq!(counts().await, [(0, "permits".to_owned(), 200, 7, 7)]);
    // With what is given back, and alone.
    let given = |returned, tally| vec![GivenBack { user, returned, tally }];
    let exports = tally(today, "permits", 200, 1, 10);
    stores.ledger.give_back(given(Some(third.grant.into_return()), exports)).await.unwrap();
    stores.ledger.give_back(given(None, tally(today, "", 429, 3, 0))).await.unwrap();
    assert_eq!(counts().await, [(0, String::new(), 429, 3, 0), (0, "permits".to_owned(), 200, 8, 17)]);
    let uses = stores.ledger.last_uses(user).await.unwrap();
    assert_eq!(uses, [LastUse { key, at: clock.now(), network: Some("203.0.113.0/24".to_owned()) }]);
    // What is told of a day with the first grant of the next one belongs to the day.
    seconds(&clock, 86_400);
    let morning = GrantRequest { tally: tally(today, "permits", 404, 2, 2), ..request(user, &clock, 10) };
    let fifth = grant(morning.clone()).await;
    let sixth = GrantRequest {
        tally: tally(today + 1, "permits", 200, 1, 1),
        ..next(&morning, Some(fifth.grant.into_return()))
    };
    grant(sixth).await;
    let expected =
        [(0, "", 429, 3, 0), (0, "permits", 200, 8, 17), (0, "permits", 404, 2, 2), (1, "permits", 200, 1, 1)];
    assert_eq!(
        counts().await,
        expected.map(|(day, set, status, all, counted)| (day, set.to_owned(), status, all, counted))
    );
    assert_eq!(stores.ledger.last_uses(user).await.unwrap()[0].at, clock.now());
}

/// A day that is further ahead of the clock than clocks may be apart has a count of its own, and so has the one that is come back
/// to.
pub(crate) async fn each_day_keeps_its_count_when_clocks_are_wrong<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let user = person(&stores, 1, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 100 }).await;
    let (clock, years_us) = (clock(), 1500 * DAY_NS / 1000);
    let today = day_of(now_ns(&clock));
    let pass = async |requests: usize| {
        let mut passed = 0;
        let mut grant = stores.ledger.grant(request(user, &clock, 1000)).await.unwrap().grant;
        for _ in 0..requests {
            passed += u64::from(grant.admit(now_ns(&clock)) == Verdict::Admit);
        }
        stores.ledger.give_back(vec![back(user, grant.into_return())]).await.unwrap();
        passed
    };
    assert_eq!(pass(30).await, 30);
    clock.advance_us(years_us);
    assert_eq!(pass(200).await, 100);
    clock.advance_us(-years_us);
    assert_eq!(pass(1).await, 1, "at once");
    let usage = stores.ledger.usage(user, today).await.unwrap();
    let days: Vec<_> = usage.iter().map(|usage| (usage.day - today, usage.used)).collect();
    assert_eq!(days, [(0, 31), (1500, 100)], "each day is told once");
    seconds(&clock, 2);
    assert_eq!(pass(200).await, 69);
    clock.advance_us(years_us);
    assert_eq!(pass(200).await, 0, "the far day was used up");
    clock.advance_us(-years_us);
    assert_eq!(pass(200).await, 0, "and so was this one");
    seconds(&clock, 86_400);
    assert_eq!(pass(200).await, 100);
    let usage = stores.ledger.usage(user, today).await.unwrap();
    let days: Vec<_> = usage.iter().map(|usage| (usage.day - today, usage.used)).collect();
    assert_eq!(days, [(0, 100), (1, 100), (1500, 100)]);
}

/// What a request needs is granted whole, also where less would be usual.
pub(crate) async fn a_grant_holds_what_a_request_needs<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let user = person(&stores, 1, Limits { rate_per_s: 1.0, burst: 10, quota_per_day: 1000 }).await;
    let clock = clock();
    let needed = GrantRequest { need: 10, ..request(user, &clock, 1) };
    let mut grant = stores.ledger.grant(needed).await.unwrap().grant;
    assert_eq!(grant.admit_as(now_ns(&clock), 10), Verdict::Admit);
    let again = stores.ledger.grant(GrantRequest { need: 10, ..request(user, &clock, 1) }).await.unwrap();
    let mut again = again.grant;
    let refused = again.admit_as(now_ns(&clock), 10);
    let Verdict::Refuse { rate: true, quota: false, retry_after_ns } = refused else { panic!("{refused:?}") };
    assert!((9 * SECOND_NS..=12 * SECOND_NS).contains(&retry_after_ns), "{retry_after_ns}");
}

/// A command beside a server knows its own time only: what it rotates ends by the server's.
#[tokio::test]
async fn what_is_rotated_beside_a_server_ends_after_its_grace_by_the_servers_time() {
    let grace = SignedDuration::from_hours(1);
    for shift_days in [-1, 400] {
        let folder = tempfile::tempdir().unwrap();
        let [server, command] = [(); 2].map(|()| Database::open(folder.path()).unwrap());
        let (server_clock, command_clock) = (clock(), clock());
        server.keep_time_by(server_clock.clone());
        command.keep_time_by(command_clock.clone());
        command.is_beside_server();
        let limits = Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: 100 };
        let (mut ana, first) = member(&server.stores(), 1, limits).await;
        // The server is at work for a while, and does not write down for how long; then the machine's clock is set.
        server_clock.advance_us(9 * 60 * 1_000_000);
        for clock in [&server_clock, &command_clock] {
            clock.shift_wall_us(shift_days * 86_400_000_000);
        }
        let now = server_clock.now();
        let (second, valid_until) = (key(2), now.checked_add(grace).unwrap());
        let rotated = Event::ApiKeyRotated { key_id: first, replaced_by: second.id(), valid_until };
        ana.write(&command.stores(), vec![issued(&second), rotated], now).await;
        let ledger = server.stores().ledger;
        let refusal = async || ledger.terms(first, now_ns(&server_clock)).await.unwrap().err();
        assert_eq!(refusal().await, None, "{shift_days}");
        server_clock.advance_us(3600 * 1_000_000 - 1);
        assert_eq!(refusal().await, None, "{shift_days}");
        server_clock.advance_us(1);
        assert_eq!(refusal().await, Some(KeyRefusal::Ended), "{shift_days}");
    }
}

/// Moves everybody's account out of a store into a file's and back.
pub(crate) async fn accounts_are_the_same_in_either_store<B: Backend>() {
    let (from, back, clock) = (B::new(), B::new(), clock());
    let folder = tempfile::tempdir().unwrap();
    let here = Database::open(folder.path()).unwrap().stores();
    let stores = from.stores();
    let (stream, key) = member(&stores, 1, Limits::default()).await;
    let user = stream.user_id();
    let tally = |day: i64| {
        let mut tally = Tally::default();
        tally.count(day, key, "permits", 200, (4, 4));
        tally.count(day, key, "permits", 304, (2, 0));
        tally.note_use(KeyUse { key, at_us: clock.now().as_microsecond(), from: Some([192, 0, 2, 1].into()) });
        Some(Arc::new(tally))
    };
    for _ in 0..3 {
        let day = day_of(now_ns(&clock));
        let granted =
            stores.ledger.grant(GrantRequest { tally: tally(day), ..request(user, &clock, 5) }).await.unwrap();
        assert!(granted.grant.left() > 0);
        clock.advance_us(DAY_NS / 1000);
    }
    let account = stores.accounts.account(user).await.unwrap();
    assert_eq!((account.days.len(), account.counts.len(), account.uses.len()), (3, 6, 1), "{account:?}");
    here.accounts.put_accounts(vec![account.clone()]).await.unwrap();
    assert_eq!(here.accounts.account(user).await.unwrap(), account);
    let there = back.stores();
    for _ in 0..2 {
        // Written again, it is there once.
        there.accounts.put_accounts(vec![account.clone()]).await.unwrap();
        assert_eq!(there.accounts.account(user).await.unwrap(), account);
    }
    assert_eq!(there.ledger.usage(user, 0).await.unwrap(), stores.ledger.usage(user, 0).await.unwrap());
    assert_eq!(there.ledger.counts(user, 0).await.unwrap(), stores.ledger.counts(user, 0).await.unwrap());
    let nobody = Stream::user(77).user_id();
    assert!(there.accounts.account(nobody).await.unwrap().is_empty());
}
