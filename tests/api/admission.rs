//! How many requests pass: the rate, the quota, and what is said about both.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::Timestamp;
use permitd::{clock::ManualClock, domain::id::UserId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Options, TestApp};

const CONNECTIONS: usize = 8;
const POLICY: &str = "\"burst\";q=10;w=2, \"daily\";q=1000;w=86400";

/// A server with a sample under a clock that stands, and somebody's key on the default plan: 5/s, burst 10, 1000/day.
async fn standing_at(moment: &str) -> (TestApp, Arc<ManualClock>, String) {
    let clock = ManualClock::at(moment.parse().unwrap());
    let options = Options { clock: clock.clone(), sample_rows: 50, ..Options::default() };
    let app = TestApp::with(options).await;
    let key = app.invite("ana@example.org").await;
    (app, clock, key)
}

fn seconds(clock: &ManualClock, seconds: u64) {
    clock.advance_us(i64::try_from(Duration::from_secs(seconds).as_micros()).unwrap());
}

/// As many connections as fast as they can, `each` requests on each: how many were answered by 200 and by 429.
async fn storm(clients: &[reqwest::Client], url: &str, key: &str, each: usize) -> (usize, usize) {
    let connections = clients.iter().map(|client| async move {
        let (mut passed, mut limited) = (0, 0);
        for _ in 0..each {
            let response = client.get(url).header("x-api-key", key).send().await.unwrap();
            match response.status().as_u16() {
                200 => passed += 1,
                429 => limited += 1,
                other => panic!("{other}"),
            }
            response.bytes().await.unwrap();
        }
        (passed, limited)
    });
    let counts = join_all(connections).await;
    (counts.iter().map(|count| count.0).sum(), counts.iter().map(|count| count.1).sum())
}

fn limits(answer: &Answer) -> (&str, &str) {
    (answer.header("ratelimit-policy").unwrap_or_default(), answer.header("ratelimit").unwrap_or_default())
}

#[tokio::test]
async fn five_thousand_requests_are_admitted_to_the_letter_of_the_plan() {
    let (app, clock, key) = standing_at("2026-03-01T00:00:00Z").await;
    let url = app.url("/permits/201612013997");
    let client = || reqwest::Client::builder().no_proxy().build().unwrap();
    let clients: Vec<reqwest::Client> = (0..CONNECTIONS).map(|_| client()).collect();
    let requests = std::cell::Cell::new(0);
    let storm = async |each: usize| {
        requests.set(requests.get() + each * CONNECTIONS);
        storm(&clients, &url, &key, each).await
    };
    assert_eq!(storm(125).await, (10, 990), "the burst, and nothing more while the clock stands");
    let mut total = 10;
    for second in 1..=198 {
        seconds(&clock, 1);
        assert_eq!(storm(2).await.0, 5, "after {second} s");
        total += 5;
    }
    assert_eq!(total, 1000);
    for _ in 0..13 {
        seconds(&clock, 60);
        assert_eq!(storm(8).await.0, 0, "the day's quota is used up");
    }
    assert_eq!(requests.get(), 5000);
    seconds(&clock, 86_400 - 198 - 13 * 60 - 1);
    assert_eq!(storm(1).await.0, 0, "until the last second of the day");
    seconds(&clock, 1);
    assert_eq!(storm(4).await.0, 10, "the next UTC day begins anew");
    // A fifth of a second is worth one request, however often one asks within it.
    for _ in 0..20 {
        clock.advance_us(199_999);
        assert_eq!(storm(1).await.0, 0);
        clock.advance_us(1);
        assert_eq!(storm(1).await.0, 1);
    }
    drop(clients);
}

#[tokio::test]
async fn every_answer_says_where_the_key_stands() {
    let (app, clock, key) = standing_at("2026-03-01T12:00:00Z").await;
    for number in 1..=10u64 {
        let answer = app.get("/permits/201612013997", &key).await.expect(200);
        let full_in_s = (number * 200).div_ceil(1000);
        let expected = format!("\"burst\";r={};t={full_in_s}, \"daily\";r={};t=43200", 10 - number, 1000 - number);
        assert_eq!(limits(&answer), (POLICY, expected.as_str()));
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = app.get("/permits/201612013997", &key).await.expect(429);
    assert_eq!(limits(&refused), (POLICY, "\"burst\";r=0;t=2, \"daily\";r=990;t=43200"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["violated-policies"], json!(["burst"]));
    seconds(&clock, 2);
    let full = app.get("/permits/201612013997", &key).await.expect(200);
    assert_eq!(limits(&full), (POLICY, "\"burst\";r=9;t=1, \"daily\";r=989;t=43198"));
}

#[tokio::test]
async fn a_used_up_quota_says_when_it_begins_anew() {
    let clock = ManualClock::at("2026-03-01T23:59:30Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 20, ..Options::default() }).await;
    let plan = json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 3 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await;
    let (_, key) = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await;
    for left in [2, 1, 0] {
        let answer = app.get("/permits/201612013997", &key).await.expect(200);
        let expected = format!("\"burst\";r={};t=1, \"daily\";r={left};t=30", 97 + left);
        assert_eq!(limits(&answer), ("\"burst\";q=100;w=1, \"daily\";q=3;w=86400", expected.as_str()));
    }
    let refused = app.get("/permits/201612013997", &key).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.json()["violated-policies"], json!(["daily"]));
    let says = |refused: &Answer, moment: &str| {
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("begins anew at {moment}")), "{detail}");
    };
    says(&refused, "2026-03-02T00:00:00Z");
    seconds(&clock, 30);
    for _ in 0..3 {
        app.get("/permits/201612013997", &key).await.expect(200);
    }
    says(&app.get("/permits/201612013997", &key).await.expect(429), "2026-03-03T00:00:00Z");
    // Under a clock that was set back, the day that requests are counted to is tomorrow.
    clock.advance_us(-3_600_000_000);
    let refused = app.get("/permits/201612013997", &key).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("90000"), "the rest of both days");
    says(&refused, "2026-03-03T00:00:00Z");
}

/// What was consumed stays consumed while a plan's bucket is made shallow and deep again.
#[tokio::test]
async fn a_plan_that_comes_and_goes_gives_no_second_burst() {
    let (app, clock, key) = standing_at("2026-03-01T12:00:00Z").await;
    let (ana, mut passed) = (id_of(&app, "ana@example.org").await, Vec::new());
    for (name, burst) in [("deep", 10), ("shallow", 1)] {
        let plan = json!({ "rate_per_s": 0.001, "burst": burst, "quota_per_day": 1000 });
        app.admin_send(Method::PUT, &format!("/plans/{name}"), &plan).await;
    }
    for plan in ["deep", "shallow", "deep", "shallow", "deep"] {
        app.admin_send(Method::PATCH, &format!("/users/{ana}"), &json!({ "plan": plan })).await.expect(200);
        // A grant's life, after which every node knows the plan.
        seconds(&clock, 1);
        let mut count = 0;
        for _ in 0..12 {
            count += u32::from(app.get("/permits/201612013997", &key).await.status == 200);
        }
        passed.push(count);
    }
    assert_eq!(passed, [10, 0, 0, 0, 0]);
}

/// What is left of the day, as the last answer said.
pub(crate) fn daily_left(answer: &Answer) -> u64 {
    let (_, standing) = limits(answer);
    let left = standing.split("\"daily\";r=").nth(1).and_then(|rest| rest.split(';').next());
    left.and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("no daily limit: {standing}"))
}

#[tokio::test]
async fn refusals_and_failures_do_not_count_and_mistakes_do() {
    let (app, clock, key) = standing_at("2026-03-01T12:00:00Z").await;
    assert_eq!(daily_left(&app.get("/permits/201612013997", &key).await.expect(200)), 999);
    // 401: no key, junk, a key that was never issued, another's letters.
    app.send(app.request(Method::GET, "/permits/201612013997")).await.expect(401);
    let mut other = key.clone().into_bytes();
    let last = other.len() - 10;
    other[last] = if other[last] == b'a' { b'b' } else { b'a' };
    for wrong in ["x", "pmt_", "", &"x".repeat(1000), &String::from_utf8(other).unwrap()] {
        let answer = app.get("/permits/201612013997", wrong).await.expect(401);
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(limits(&answer), ("", ""), "who is nobody learns nothing");
    }
    // 404 and 400 are answers.
    assert_eq!(daily_left(&app.get("/permits/1", &key).await.expect(404)), 998);
    assert_eq!(daily_left(&app.get("/permits?statsu=issued", &key).await.expect(400)), 997);
    // A path that nobody serves, and a method that nothing has, are refused at the door.
    app.get("/nothing/1", &key).await.expect(404);
    app.send(app.request(Method::DELETE, "/permits").header("x-api-key", &key)).await.expect(405);
    for left in (990..=996).rev() {
        assert_eq!(daily_left(&app.get("/permits?limit=1", &key).await.expect(200)), left);
    }
    // 429.
    assert_eq!(daily_left(&app.get("/permits?limit=1", &key).await.expect(429)), 990);
    seconds(&clock, 5);
    assert_eq!(daily_left(&app.get("/permits?limit=1", &key).await.expect(200)), 989);
    // 5xx: the records are gone.
    app.place().lose_the_records("permits").await;
    // In AWS a node answers questions from its own copy: what it needs the table for are reads by key.
    for unread in 0..3 {
        let answer = app.get(&format!("/permits/19991231000{unread}"), &key).await;
        assert!(answer.status >= 500, "{} {}", answer.status, answer.body);
        assert_eq!(daily_left(&answer), 989, "the server's own failure does not count");
    }
    let usage = app.service().committer.stores.clone();
    app.service().book.withdraw_all().await.unwrap();
    let user = usage.views.user_by_email("ana@example.org").await.unwrap().expect("ana").id;
    let days = usage.ledger.usage(user, 0).await.unwrap();
    assert_eq!(days.iter().map(|day| day.used).collect::<Vec<_>>(), [11]);
}

/// Whatever keys somebody has, it is their quota: to rotate a key, or to have another one, gives nothing.
#[tokio::test]
async fn all_keys_of_a_person_have_one_quota() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 50, ..Options::default() }).await;
    let limits = json!({ "rate_per_s": 10, "burst": 100, "quota_per_day": 5 });
    app.admin_send(Method::PUT, "/plans/small", &limits).await;
    let (user, first) = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await;
    let keys = format!("/users/{user}/keys");
    let new = async |path: &str, body: Value| {
        let answer = app.admin_send(Method::POST, path, &body).await;
        answer.json()["key"].as_str().unwrap().to_owned()
    };
    assert_eq!(daily_left(&app.get("/permits/201612013997", &first).await.expect(200)), 4);
    let usage = app.admin_get(&format!("/users/{user}/usage")).await.expect(200).json();
    assert_eq!(usage["data"][0]["used"], 1, "what the server holds of its grant is not used: {usage}");
    let id = first.split('_').nth(1).unwrap();
    let second = new(&format!("{keys}/{id}/rotate"), json!({ "grace_s": 3600 })).await;
    let third = new(&keys, json!({ "label": "another" })).await;
    for (key, left) in [(&second, 3), (&third, 2), (&first, 1), (&second, 0)] {
        assert_eq!(daily_left(&app.get("/permits/201612013997", key).await.expect(200)), left);
    }
    for key in [&first, &second, &third] {
        app.get("/permits/201612013997", key).await.expect(429);
    }
    // Another person's is another one.
    let (_, other) = app.invite_as(&json!({ "email": "ben@example.org", "plan": "small" })).await;
    assert_eq!(daily_left(&app.get("/permits/201612013997", &other).await.expect(200)), 4);
    clock.advance_us(2_000_000);
    let usage = app.admin_get(&format!("/users/{user}/usage")).await.expect(200).json();
    assert_eq!(usage["data"], json!([{ "day": "2026-03-01", "used": 5, "requests": 5, "refused": 3 }]));
    let by_key = app.admin_get(&format!("/users/{user}/usage?by=key")).await.expect(200).json();
    let sums = by_key["data"].as_array().unwrap();
    assert_eq!(sums.len(), 3, "{by_key}");
    let of = |key: &str| {
        let id = key.split('_').nth(1).unwrap();
        sums.iter().find(|sum| sum["key"] == id).map(|sum| (sum["requests"].clone(), sum["refused"].clone())).unwrap()
    };
    assert_eq!(of(&first), (json!(2), json!(1)));
    assert_eq!(of(&second), (json!(2), json!(1)));
    assert_eq!(of(&third), (json!(1), json!(1)));
    let csv = app.admin_get(&format!("/users/{user}/usage?by=dataset&format=csv")).await.expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines = "day,dataset,used,requests,refused\r\n2026-03-01,,0,0,3\r\n2026-03-01,permits,5,5,0\r\n";
    assert_eq!(csv.body, lines);
    let by_status = app.admin_get(&format!("/users/{user}/usage?by=status")).await.expect(200).json();
    let statuses: Vec<_> = by_status["data"].as_array().unwrap().iter().map(|sum| sum["status"].clone()).collect();
    assert_eq!(statuses, [json!(200), json!(429)]);
    app.admin_get(&format!("/users/{user}/usage?by=colour")).await.expect(400);
}

#[tokio::test]
async fn a_revocation_is_in_force_when_it_is_answered() {
    let (app, _, key) = standing_at("2026-03-01T12:00:00Z").await;
    app.get("/permits/201612013997", &key).await.expect(200);
    let user = app.service().committer.stores.views.user_by_email("ana@example.org").await.unwrap().expect("ana");
    let id = key.split('_').nth(1).unwrap();
    let revoked =
        app.send(app.admin(Method::DELETE, &format!("/users/{}/keys/{id}", user.id))).await.expect(200).json();
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    assert_eq!(revoked["revoked_at"], now.to_string());
    assert_eq!(revoked["effective_at"], (now + app.place().revocation_delay()).to_string());
    app.get("/permits/201612013997", &key).await.expect(401);
}

#[tokio::test]
async fn a_deleted_person_is_refused_when_the_deletion_is_answered() {
    let (app, _, key) = standing_at("2026-03-01T12:00:00Z").await;
    app.get("/permits/201612013997", &key).await.expect(200);
    let user = app.service().committer.stores.views.user_by_email("ana@example.org").await.unwrap().expect("ana");
    let answer = app.send(app.admin(Method::DELETE, &format!("/users/{}", user.id))).await;
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.body);
    app.get("/permits/201612013997", &key).await.expect(401);
}

/// What is left of the burst, as the last answer said.
fn burst_left(answer: &Answer) -> u64 {
    let (_, standing) = limits(answer);
    let left = standing.strip_prefix("\"burst\";r=").and_then(|rest| rest.split(';').next());
    left.and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("no burst: {standing}"))
}

/// A server under a clock that stands, with somebody on 1/s, a burst of ten and 1000 a day.
async fn slow_plan(settings: Vec<(&'static str, String)>) -> (TestApp, Arc<ManualClock>, String) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let options = Options { clock: clock.clone(), settings, sample_rows: 50, ..Options::default() };
    let app = TestApp::with(options).await;
    let plan = json!({ "rate_per_s": 1, "burst": 10, "quota_per_day": 1000 });
    app.admin_send(Method::PUT, "/plans/slow", &plan).await;
    let (_, key) = app.invite_as(&json!({ "email": "ana@example.org", "plan": "slow" })).await;
    (app, clock, key)
}

/// Rate, burst and quota of a changed plan, and of another plan, are in force within a grant's life.
#[tokio::test]
async fn changed_limits_are_in_force_within_a_grants_life() {
    let (app, clock, key) = standing_at("2026-03-01T12:00:00Z").await;
    let ana = id_of(&app, "ana@example.org").await;
    let define = async |name: &str, rate: f64, burst: u32, quota: u64| {
        let plan = json!({ "rate_per_s": rate, "burst": burst, "quota_per_day": quota });
        let answer = app.admin_send(Method::PUT, &format!("/plans/{name}"), &plan).await;
        assert!((200..300).contains(&answer.status), "{}", answer.body);
    };
    let passes = async || {
        seconds(&clock, 1);
        let mut count = 0;
        while app.get("/permits/201612013997", &key).await.status == 200 {
            count += 1;
        }
        count
    };
    define("slow", 0.001, 10, 1000).await;
    define("fast", 50.0, 10, 1000).await;
    app.admin_send(Method::PATCH, &format!("/users/{ana}"), &json!({ "plan": "slow" })).await.expect(200);
    assert_eq!(passes().await, 10);
    assert_eq!(passes().await, 0, "used up");
    app.admin_send(Method::PATCH, &format!("/users/{ana}"), &json!({ "plan": "fast" })).await.expect(200);
    // The first request under it hears of it: at its rate, all that one second brings follows in another.
    passes().await;
    assert_eq!(passes().await, 10, "full again after a second");
    define("fast", 50.0, 30, 1000).await;
    passes().await;
    assert_eq!(passes().await, 30, "the burst");
    define("fast", 50.0, 30, 75).await;
    passes().await;
    assert_eq!(passes().await, 0, "the quota");
    define("fast", 0.001, 30, 1000).await;
    passes().await;
    assert_eq!(passes().await, 0, "the rate");
}

#[tokio::test]
async fn a_refused_export_takes_nothing_and_says_when_it_will_pass() {
    let (app, clock, key) = slow_plan(Vec::new()).await;
    let export = async || app.get("/permits?format=ndjson", &key).await;
    assert_eq!(burst_left(&app.get("/permits?limit=1", &key).await.expect(200)), 9);
    for _ in 0..3 {
        let refused = export().await.expect(429);
        assert_eq!((burst_left(&refused), daily_left(&refused)), (9, 999), "nothing was done");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    seconds(&clock, 1);
    assert_eq!(burst_left(&export().await.expect(200)), 0);
    assert_eq!(export().await.expect(429).header("retry-after"), Some("10"));
    seconds(&clock, 9);
    assert_eq!(export().await.expect(429).header("retry-after"), Some("1"));
    seconds(&clock, 1);
    assert_eq!(daily_left(&export().await.expect(200)), 979, "who obeys passes");
}

/// The id of somebody.
async fn id_of(app: &TestApp, address: &str) -> UserId {
    app.service().committer.stores.views.user_by_email(address).await.unwrap().expect("somebody").id
}

#[tokio::test]
async fn one_persons_exports_leave_places_to_others() {
    let (app, _clock, key) = slow_plan(Vec::new()).await;
    let other = app.invite("bob@example.org").await;
    let ana = id_of(&app, "ana@example.org").await;
    let places = app.service().shares.exports();
    let mut held: Vec<_> = std::iter::from_fn(|| places.turn_now(ana).ok()).collect();
    assert_eq!(held.len(), 2, "half of the four");
    for _ in 0..3 {
        let refused = app.get("/permits?format=csv", &key).await.expect(429);
        let problem = refused.json();
        assert_eq!(problem["type"], "/problems/own-share", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("your own share"), "{problem}");
        assert!(refused.header("retry-after").is_some());
        assert_eq!((burst_left(&refused), daily_left(&refused)), (10, 1000), "nothing was done");
    }
    app.get("/permits?format=csv", &other).await.expect(200);
    // All places are taken: others are told so, and lose nothing either.
    let bob = id_of(&app, "bob@example.org").await;
    held.extend(std::iter::from_fn(|| places.turn_now(bob).ok()));
    let carol = app.invite("carol@example.org").await;
    let full = app.get("/permits?format=csv", &carol).await.expect(503);
    assert_eq!((burst_left(&full), daily_left(&full)), (10, 1000));
    assert!(full.header("retry-after").is_some());
    drop(held);
    app.get("/permits?format=csv", &carol).await.expect(200);
    app.get("/permits?format=csv", &key).await.expect(200);
}

#[tokio::test]
async fn one_persons_questions_leave_others_their_turn() {
    let (app, _clock, key) = slow_plan(vec![("records.find_timeout_ms", "600000".to_owned())]).await;
    let other = app.invite("bob@example.org").await;
    let ana = id_of(&app, "ana@example.org").await;
    let line = app.service().shares.scans();
    // Questions that do not end.
    let held: Vec<_> = std::iter::from_fn(|| line.turn_now(ana).ok()).collect();
    let question = "/permits/facets?columns=existing_use&description__contains=a";
    let mut waiting = Box::pin(app.get(question, &key));
    let waits = tokio::time::timeout(Duration::from_millis(300), waiting.as_mut()).await;
    assert!(waits.is_err(), "a share is in use: the next one waits");
    // Of others they are answered meanwhile.
    app.get(question, &other).await.expect(200);
    app.get("/permits?sort=-estimated_cost&limit=7", &other).await.expect(200);
    // Nor does a share in use hold up what takes no turn.
    app.get("/permits/201612013997", &key).await.expect(200);
    drop(held);
    assert_eq!(burst_left(&waiting.await.expect(200)), 9);
}

/// However slow a plan is: who waits passes, with the dearest request, too. The clock goes on while a request is decided.
#[tokio::test]
async fn a_plan_of_less_than_a_request_per_grant_admits_what_it_says() {
    let app = TestApp::with_sample(5).await;
    for (name, rate, burst, quota, price) in [
        ("reads", 0.001, 1, 100, 1),
        ("exports", 0.5, 10, 100, 10),
        ("few", 0.01, 3, 100, 3),
        ("a-day", 1000.0, 1000, 4, 4),
    ] {
        let plan = json!({ "rate_per_s": rate, "burst": burst, "quota_per_day": quota });
        app.admin_send(Method::PUT, &format!("/plans/{name}"), &plan).await;
        let email = format!("{name}@example.org");
        let (_, key) = app.invite_as(&json!({ "email": email, "plan": name })).await;
        let path = if price == 1 { "/permits?limit=1" } else { "/permits?format=ndjson" };
        app.get(path, &key).await.expect(200);
        let refused = app.get(path, &key).await.expect(429);
        let (_, standing) = limits(&refused);
        assert!(standing.contains(&format!("\"daily\";r={};", quota - price)), "{name}: {standing}");
    }
}
