//! The ways in which a key is sent, and what becomes of many requests without a right one.

use std::time::{Duration, Instant};

use permitd::domain::key::{ApiKey, KeyId, SECRET_BYTES};
use reqwest::{Method, RequestBuilder};

use crate::{
    app::{Answer, TestApp},
    raw::Raw,
};

const PATHS: [&str; 9] = [
    "/permits/201612013997",
    "/permits/201612013997/1",
    "/permits/201612013997/history",
    "/permits?limit=1",
    "/permits?format=csv",
    "/permits/facets?columns=status",
    "/permits/groups?by=status",
    "/permits/stats?columns=estimated_cost",
    "/permits/changes?since=1",
];

async fn serving(settings: &[(&'static str, &str)]) -> (TestApp, String) {
    let app = TestApp::set(settings, 10).await;
    let limits = serde_json::json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 10_000 });
    app.admin_send(Method::PUT, "/plans/default", &limits).await.expect(200);
    let key = app.invite("ana@example.org").await;
    (app, key)
}

/// A key of the right form that nobody has.
fn forged() -> String {
    ApiKey::new(KeyId::from_random([1; 12]), &[7; SECRET_BYTES]).reveal().to_owned()
}

#[tokio::test]
async fn a_key_passes_as_header_bearer_user_name_and_password() {
    let (app, key) = serving(&[]).await;
    let ways: [fn(RequestBuilder, &str) -> RequestBuilder; 6] = [
        |request, key| request.header("x-api-key", key),
        |request, key| request.bearer_auth(key),
        |request, key| request.basic_auth(key, Some("")),
        |request, key| request.basic_auth("", Some(key)),
        |request, key| request.basic_auth("key", Some(key)),
        |request, key| request.basic_auth(key, Some("x")).header("x-api-key", key),
    ];
    for path in PATHS {
        let mut bodies = Vec::new();
        for way in ways {
            bodies.push(app.send(way(app.request(Method::GET, path), &key)).await.expect(200).body);
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{path}");
        for way in ways {
            let refused = app.send(way(app.request(Method::GET, path), &forged())).await.expect(401);
            assert_eq!(refused.json()["type"], "/problems/invalid-key", "{path}");
        }
    }
    // A tag is not an answer: whoever shows no key is not told that it is still good.
    let first = app.send(app.request(Method::GET, PATHS[0]).bearer_auth(&key)).await.expect(200);
    let vary = first.header("vary").unwrap().to_lowercase();
    assert!(vary.contains("authorization") && vary.contains("x-api-key"), "{vary}");
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    let tag = first.header("etag").unwrap();
    app.send(app.request(Method::GET, PATHS[0]).header("if-none-match", tag)).await.expect(401);
    app.send(app.request(Method::GET, PATHS[0]).header("if-none-match", tag).bearer_auth(&key)).await.expect(304);
}

#[tokio::test]
async fn two_different_keys_in_one_request_are_refused_and_neither_is_counted() {
    let (app, key) = serving(&[]).await;
    let other = app.invite("bob@example.org").await;
    let get = || app.request(Method::GET, "/permits/201612013997");
    let left = async |key: &str| -> String {
        let answer = app.get("/permits/201612013997", key).await.expect(200);
        let daily = answer.header("ratelimit").unwrap().split("daily").nth(1).unwrap().to_owned();
        daily.split(';').nth(1).unwrap().to_owned()
    };
    assert_eq!((left(&key).await.as_str(), left(&other).await.as_str()), ("r=9999", "r=9999"));
    for request in [
        get().header("x-api-key", &key).bearer_auth(&other),
        get().header("x-api-key", &key).basic_auth(&other, Some("")),
        get().basic_auth(&key, Some(&other)),
        get().header("x-api-key", &key).bearer_auth(&app.admin_token),
    ] {
        let refused = app.send(request).await.expect(400);
        assert_eq!(refused.json()["type"], "/problems/invalid-request");
        assert!(refused.json()["detail"].as_str().unwrap().contains("two different keys"), "{}", refused.body);
        assert!(!refused.body.contains(&key) && !refused.body.contains(&other));
    }
    assert_eq!((left(&key).await.as_str(), left(&other).await.as_str()), ("r=9998", "r=9998"));
}

#[tokio::test]
async fn a_refusal_asks_programs_for_a_password_and_browsers_not() {
    let (app, _) = serving(&[]).await;
    let schemes = async |request: RequestBuilder| -> Vec<String> {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let values = answer.headers().get_all("www-authenticate").iter();
        values.map(|value| value.to_str().unwrap().split(' ').next().unwrap().to_owned()).collect()
    };
    let get = || app.request(Method::GET, "/permits");
    assert_eq!(schemes(get()).await, ["ApiKey", "Bearer", "Basic"]);
    assert_eq!(schemes(get().header("x-api-key", "junk")).await, ["ApiKey", "Bearer", "Basic"]);
    assert_eq!(schemes(get().header("sec-fetch-mode", "cors")).await, ["ApiKey", "Bearer"]);
    assert_eq!(schemes(get().header("accept", "text/html")).await, ["ApiKey", "Bearer"]);
}

#[tokio::test]
async fn guesses_in_each_way_count_and_nothing_shown_is_no_guess() {
    let (app, key) = serving(&[("http.wrong_keys_max", "3")]).await;
    let get = || app.request(Method::GET, "/permits");
    for _ in 0..5 {
        app.send(get()).await.expect(401);
        app.send(get().header("authorization", "Negotiate YII")).await.expect(401);
        app.send(get().header("x-api-key", "")).await.expect(401);
    }
    for (guess, status) in [
        (get().bearer_auth("pmt_x"), 401),
        (get().basic_auth("ana", Some("secret")), 401),
        (get().bearer_auth(forged()), 401),
        (get().bearer_auth(forged()), 429),
        (get().basic_auth("pmt_x", Some("")), 429),
    ] {
        app.send(guess).await.expect(status);
    }
    app.send(get().bearer_auth(&key)).await.expect(200);
}

/// What proxies say in the standard field counts as what they say in the other one.
#[tokio::test]
async fn the_client_is_who_a_trusted_proxy_says_in_either_field() {
    let guess = async |app: &TestApp, fields: &[(&'static str, &str)]| {
        let request = app.request(Method::GET, "/permits").header("x-api-key", "junk");
        app.send(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await.status
    };
    let trusting = [("http.wrong_keys_max", "1"), ("http.trusted_proxies", "127.0.0.1")];
    let app = TestApp::set(&trusting, 5).await;
    for (fields, status) in [
        (vec![("forwarded", "for=192.0.2.1")], 401),
        (vec![("x-forwarded-for", "192.0.2.1")], 429),
        (vec![("forwarded", "for=198.51.100.1, for=\"192.0.2.1:4711\";proto=https")], 429),
        (vec![("forwarded", "for=\"[2001:db8::1]\"")], 401),
        (vec![("forwarded", "for=\"[2001:db8::ffff]\"")], 429),
        (vec![("forwarded", "for=192.0.2.5"), ("x-forwarded-for", "192.0.2.5")], 401),
        // They contradict each other: one of them is the client's own invention.
        (vec![("forwarded", "for=192.0.2.6"), ("x-forwarded-for", "192.0.2.7")], 401),
        (vec![("forwarded", "for=192.0.2.8"), ("x-forwarded-for", "192.0.2.9")], 429),
        (vec![("forwarded", "for=192.0.2.6")], 401),
    ] {
        assert_eq!(guess(&app, &fields).await, status, "{fields:?}");
    }
    let app = TestApp::set(&[trusting.as_slice(), &[("http.proxy_header", "x-forwarded-for")]].concat(), 5).await;
    let statuses = [
        guess(&app, &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.7")]).await,
        guess(&app, &[("forwarded", "for=192.0.2.2"), ("x-forwarded-for", "192.0.2.7")]).await,
    ];
    assert_eq!(statuses, [401, 429], "the field that the proxies do not write is not read");
}

fn question(key: &str) -> String {
    format!("GET /permits/201612013997 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n")
}

/// Many connections of one address with wrong keys: their answers are put off, and a right key of the same address is answered.
#[tokio::test]
async fn answers_to_wrong_keys_are_put_off_and_those_to_right_ones_are_not() {
    let settings =
        [("http.wrong_keys_max", "1"), ("http.refusal_delay_max_ms", "60000"), ("http.refusals_delayed_max", "20")];
    let (mut app, key) = serving(&settings).await;
    let mut flood: Vec<Raw> = (0..24).map(|_| Raw::to_api(&app)).collect();
    for raw in &mut flood {
        raw.send(question("junk"));
        app.get("/permits/201612013997", &key).await.expect(200);
    }
    let waiting = |flood: &mut Vec<Raw>| flood.iter_mut().filter_map(|raw| (!raw.hears()).then_some(())).count();
    // The waits double from 10 ms on: all but the first dozen are longer than this test.
    let left = waiting(&mut flood);
    assert!((8..=20).contains(&left), "{left}");
    for raw in &mut flood {
        if raw.hears() {
            let answer = raw.answer().unwrap();
            assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        }
    }
    // A stop does not wait for what is put off.
    let began = Instant::now();
    app.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_cannot_be_put_off_gets_the_last_answer_of_the_connection() {
    let (app, key) = serving(&[("http.wrong_keys_max", "1"), ("http.refusals_delayed_max", "0")]).await;
    let mut raw = Raw::to_api(&app);
    raw.send(question("junk"));
    assert!(!raw.answer().unwrap().closes(), "the first is not put off");
    // What is sent along is not answered any more.
    raw.send([question("junk"), question(&key)].concat());
    let answer = raw.answer().unwrap();
    assert!(answer.closes(), "{answer:?}");
    answer.problem(429, "too-many-from-address");
    assert!(raw.answer().is_none());
}

/// Each wrong key from an address of its own, as in a flood from many: together they keep a pace.
#[tokio::test]
async fn a_flood_from_many_addresses_is_answered_at_a_pace() {
    let settings =
        [("http.trusted_proxies", "127.0.0.1"), ("http.refusals_per_s", "20"), ("http.refusal_delay_max_ms", "2000")];
    let (app, key) = serving(&settings).await;
    let began = Instant::now();
    let guesses = (0..30_u32).map(|client| {
        let request = app.request(Method::GET, "/permits").header("x-api-key", "junk");
        app.send(request.header("x-forwarded-for", format!("192.0.2.{client}")))
    });
    let good = async {
        for _ in 0..30 {
            app.get("/permits/201612013997", &key).await.expect(200);
        }
        began.elapsed()
    };
    let (answers, good): (Vec<Answer>, Duration) = tokio::join!(futures_util::future::join_all(guesses), good);
    assert!(answers.iter().all(|answer| answer.status == 401), "none has earned more than a later answer");
    // A quarter of a second's worth at once, then 20 a second.
    assert!(began.elapsed() >= Duration::from_millis(1_100), "{:?}", began.elapsed());
    assert!(good < began.elapsed(), "{good:?}");
}
