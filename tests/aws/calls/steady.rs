//! A key or a session in use: what its requests cost beside the records. The clock is moved by the test, the requests come one after the
//! other, and so the counts are the same every time.

use permitd::{aws::Calls, clock::ManualClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    calls::{
        counting::{between, calls},
        quiet,
        table::Counts,
    },
};

const SECONDS: u64 = 30;
const REQUESTS_PER_S: u64 = 50;
const RECORD: &str = "/permits/201612013997";
/// Writes of a node beside one for each second: the first grant, and a few while it learns how much the key spends and that it
/// is not alone. Its guesses may then be wrong (a write that is refused and repeated) or small (a grant that is soon spent).
const WRITES_TO_BEGIN: u64 = 3;
/// Reads of a node beside two for each second, of the key and of the plan's limits: the person's row, when the node sees the person
/// for the first time, and those two once more for a small guess: a grant ends a life after they were read, so that a change is in
/// force by then; with the first grant, the key that the network is sealed with; and once the row that says
/// whether the first request was written down.
const READS_TO_BEGIN: u64 = 9;

/// Signs in whoever was invited with this address; the session's token.
async fn sign_in(app: &TestApp, email: &str) -> String {
    let password = "correct horse battery";
    let link = app.mail_to(email, 1).await.links[0].clone();
    let post = |path: &str, body: Value| app.send(app.request(Method::POST, path).json(&body));
    post(&link, json!({ "password": password })).await.expect(200);
    let started = post("/sessions", json!({ "email": email, "password": password })).await.expect(201).json();
    started["token"].as_str().unwrap().to_owned()
}

/// What each of two nodes called while somebody on this plan made requests through both in turn, with a key or with a session, and how
/// many were admitted.
async fn half_a_minute(limits: Value, with_session: bool) -> ([Counts; 2], u64) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let one = TestApp::with(quiet(&clock, 5, Vec::new())).await;
    let other = one.beside().await;
    one.admin_send(Method::PUT, "/plans/default", &limits).await;
    let key = one.invite("ana@example.org").await;
    let settled = async || (one.service().mailers.counts().done == 1).then_some(());
    one.eventually("the end of the invitation", settled).await;
    // That somebody makes requests at all is written down once, and is not what is counted here.
    one.get("/permits?limit=1", &key).await.expect(200);
    let written = async || (one.service().notices.counts().first_requests == 1).then_some(());
    one.eventually("the first request to be written down", written).await;
    let shown = if with_session { sign_in(&one, "ana@example.org").await } else { key };
    let nodes = [&one, &other];
    let before: [Calls; 2] = nodes.map(calls);
    let mut admitted = 0;
    for (_, node) in (0..SECONDS * REQUESTS_PER_S).zip(nodes.iter().cycle()) {
        let answer = node.send(node.request(Method::GET, RECORD).bearer_auth(&shown)).await;
        assert!(matches!(answer.status, 200 | 429), "{} {}", answer.status, answer.body);
        admitted += u64::from(answer.status == 200);
        clock.advance_us(i64::try_from(1_000_000 / REQUESTS_PER_S).unwrap());
    }
    ([0, 1].map(|node: usize| between(&before[node], &calls(nodes[node]))), admitted)
}

/// Of the ledger at most a write a second, and a read of the key and of the plan's limits; of the records the one that is asked for,
/// once.
fn check(counts: &Counts) {
    let mut left = counts.clone();
    let mut take = |call: &str| left.remove(&("DynamoDB".to_owned(), call.to_owned())).unwrap_or(0);
    let (writes, reads, records) = (take("UpdateItem"), take("GetItem"), take("Query"));
    assert!((SECONDS / 2..=SECONDS + WRITES_TO_BEGIN).contains(&writes), "{writes} writes of the ledger: {counts:?}");
    assert!(reads <= 2 * SECONDS + READS_TO_BEGIN, "{reads} reads of the key and of limits: {counts:?}");
    // The record, and the names of the keys of a person who never asked for anything.
    assert!((1..=2).contains(&records) && take("BatchGetItem") < 2, "{counts:?}");
    left.retain(|(service, _), _| service == "DynamoDB");
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_key_within_its_limits_costs_a_write_a_second_and_node() {
    within_limits(false).await;
}

/// The same bounds: whose session it is, and whether it works, is one read in a grant's life.
#[tokio::test]
async fn a_session_costs_what_a_key_costs() {
    within_limits(true).await;
}

async fn within_limits(with_session: bool) {
    let limits = json!({ "rate_per_s": 100, "burst": 200, "quota_per_day": 100_000 });
    let (counts, admitted) = half_a_minute(limits, with_session).await;
    assert_eq!(admitted, SECONDS * REQUESTS_PER_S, "half the rate is never refused");
    counts.iter().for_each(check);
}

#[tokio::test]
async fn a_key_at_its_limit_costs_a_write_a_second_and_node() {
    let (counts, admitted) = half_a_minute(json!({ "rate_per_s": 5, "burst": 10, "quota_per_day": 1000 }), false).await;
    let most = 10 + 5 * SECONDS;
    assert!((most - 5..=most).contains(&admitted), "{admitted} of {most}");
    counts.iter().for_each(check);
}
