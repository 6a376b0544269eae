//! Conditional requests and content codings.

use std::io::Read;

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::json;

use crate::{
    app::{Answer, Options, TestApp},
    data::serving,
};

async fn with(app: &TestApp, key: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = app.request(Method::GET, path).header("x-api-key", key);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.send(request).await
}

const PATHS: [&str; 11] = [
    "/permits/201612013997",
    "/permits/201612013997/1",
    "/permits",
    "/permits?status=issued&sort=-file_date&limit=5",
    "/permits?format=ndjson",
    "/permits?format=csv",
    "/permits/facets?columns=status",
    "/permits/stats?columns=estimated_cost",
    "/permits/changes?since=1",
    "/permits/201612013997/history",
    "/permits/201612013997/1/history",
];

#[tokio::test]
async fn who_has_the_answer_is_not_sent_it_again() {
    let (app, key) = serving(60).await;
    for path in PATHS {
        let first = app.get(path, &key).await.expect(200);
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
        assert_eq!(first.header("cache-control"), Some("private, no-cache"), "{path}");
        let vary = first.header("vary").unwrap().to_lowercase();
        assert!(vary.contains("accept-encoding") && vary.contains("x-api-key, authorization"), "{vary}");
        let again = with(&app, &key, path, &[("if-none-match", &tag)]).await.expect(304);
        assert_eq!((again.body.as_str(), again.header("etag")), ("", Some(tag.as_str())), "{path}");
        assert!(again.header("ratelimit").is_some() && again.header("vary").is_some());
        with(&app, &key, path, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await.expect(304);
        with(&app, &key, path, &[("if-none-match", "*")]).await.expect(304);
        with(&app, &key, path, &[("if-none-match", "\"other\"")]).await.expect(200);
        assert_eq!(app.get(path, &key).await.header("etag"), Some(tag.as_str()), "the same each time");
    }
    // Whatever there is: but there is nothing.
    for path in ["/permits/0", "/permits/201612013997/9", "/permits/0/history"] {
        with(&app, &key, path, &[("if-none-match", "*")]).await.expect(404);
    }
}

#[tokio::test]
async fn a_tag_is_of_a_version_a_question_a_format_and_a_coding() {
    let (app, key) = serving(60).await;
    let tag = async |path: &str, headers: &[(&str, &str)]| {
        with(&app, &key, path, headers).await.expect(200).header("etag").unwrap().to_owned()
    };
    let plain = tag("/permits?limit=50", &[]).await;
    // What is the same question has the same tag, however it is spelt.
    assert_eq!(
        tag("/permits?status=issued&limit=50&sort=file_date", &[]).await,
        tag("/permits?sort=file_date&status__in=issued&limit=50", &[]).await
    );
    assert_eq!(
        tag("/permits?filter=status+%3D+issued+AND+record_id+%3D+1", &[]).await,
        tag("/permits?record_id=1&status=issued", &[]).await
    );
    let mut others = vec![
        plain.clone(),
        tag("/permits?limit=49", &[]).await,
        tag("/permits?limit=50&status=issued", &[]).await,
        tag("/permits?limit=50", &[("accept", "text/csv")]).await,
        tag("/permits?limit=50", &[("accept", "application/x-ndjson")]).await,
        tag("/permits?limit=50", &[("accept-encoding", "gzip")]).await,
        tag("/permits?limit=50", &[("accept-encoding", "br")]).await,
        tag("/permits?limit=50", &[("accept-encoding", "zstd")]).await,
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 8, "{others:?}");
    // A later page of the same walk is another answer.
    let next = app.get("/permits?limit=20", &key).await.json()["page"]["next"].as_str().unwrap().to_owned();
    assert_ne!(tag("/permits?limit=20", &[]).await, tag(&format!("/permits?limit=20&cursor={next}"), &[]).await);
    // With an import that changes something, all of them are over.
    let definition = crate::data::permits();
    crate::data::import(&app, definition, crate::past::one_permit("900000000001", "issued"), "more.csv").await;
    let answer = with(&app, &key, "/permits?limit=50", &[("if-none-match", &plain)]).await.expect(200);
    assert_eq!(answer.json()["dataset"]["version"], 2);
    assert_ne!(answer.header("etag"), Some(plain.as_str()));
}

#[tokio::test]
async fn what_is_known_counts_against_the_rate_only() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock, sample_rows: 20, ..Options::default() }).await;
    let key = app.invite_as(&json!({ "email": "ana@example.org" })).await.1;
    let limits = |answer: &Answer| {
        let number = |name: &str| {
            let field = answer.header("ratelimit").unwrap().to_owned();
            field.split(&format!("\"{name}\";r=")).nth(1).unwrap().split(';').next().unwrap().parse::<u64>().unwrap()
        };
        (number("burst"), number("daily"))
    };
    let first = app.get("/permits/201612013997", &key).await.expect(200);
    assert_eq!(limits(&first), (9, 999));
    let tag = first.header("etag").unwrap().to_owned();
    let known = with(&app, &key, "/permits/201612013997", &[("if-none-match", &tag)]).await.expect(304);
    assert_eq!(limits(&known), (8, 999));
    let page = app.get("/permits", &key).await.expect(200);
    assert_eq!(limits(&page), (7, 998));
    let tag = page.header("etag").unwrap().to_owned();
    assert_eq!(limits(&with(&app, &key, "/permits", &[("if-none-match", &tag)]).await.expect(304)), (6, 998));
    // That there is something is found out first, and charged like the answer.
    assert_eq!(limits(&with(&app, &key, "/permits", &[("if-none-match", "*")]).await.expect(304)), (5, 997));
    // Without a key that works nothing is said of what is known.
    with(&app, "junk", "/permits", &[("if-none-match", &tag)]).await.expect(401);
}

/// The last request of the day's quota is not used up by what counts against the rate only, however often that is asked.
#[tokio::test]
async fn what_is_known_leaves_the_last_request_of_the_quota() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    for (quota, rate, burst) in [(2, 5, 10), (3, 1000, 1000), (2, 1000, 10), (30, 5, 40), (70, 100, 200)] {
        let options = Options { clock: clock.clone(), sample_rows: 20, ..Options::default() };
        let app = TestApp::with(options).await;
        let plan = json!({ "rate_per_s": rate, "burst": burst, "quota_per_day": quota });
        app.admin_send(Method::PUT, "/plans/small", &plan).await;
        let key = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await.1;
        let path = "/permits/201612013997";
        let mut tag = String::new();
        for _ in 1..quota {
            tag = app.get(path, &key).await.expect(200).header("etag").unwrap().to_owned();
        }
        for nth in 0..6 {
            let known = with(&app, &key, path, &[("if-none-match", &tag)]).await;
            assert_eq!(known.status, 304, "quota {quota}, {rate}/s, request {nth}: {}", known.body);
            assert_eq!(crate::admission::daily_left(&known), 1, "quota {quota}, {rate}/s, request {nth}");
        }
        app.get(path, &key).await.expect(200);
        app.get(path, &key).await.expect(429);
        let known = with(&app, &key, path, &[("if-none-match", &tag)]).await.expect(429);
        assert_eq!(known.json()["violated-policies"], json!(["daily"]));
    }
}

/// The same after other questions than reads by key, whose answers a client has or has not.
#[tokio::test]
async fn one_request_is_enough_for_many_that_are_known() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock, sample_rows: 60, ..Options::default() }).await;
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 13 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await;
    let key = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await.1;
    for page in 0..9 {
        let path = if page % 2 == 0 { "/permits?limit=1&sort=description" } else { "/permits/changes?since=1&limit=1" };
        with(&app, &key, path, &[("if-none-match", "*")]).await.expect(304);
    }
    let first = app.get("/permits/201612013997", &key).await.expect(200);
    assert_eq!(crate::admission::daily_left(&first), 3);
    let tag = first.header("etag").unwrap().to_owned();
    for (other, left) in [("/permits/201612013997/1", 2), ("/permits/0", 1)] {
        let answer = with(&app, &key, other, &[("if-none-match", &tag)]).await;
        assert_eq!(crate::admission::daily_left(&answer), left, "{other}: {}", answer.status);
    }
    for path in ["/permits/201612013997", "/permits/%23201612013997", "/permits/201612013997"] {
        let known = with(&app, &key, path, &[("if-none-match", &tag)]).await;
        assert_eq!(known.status, 304, "{path}: {}", known.body);
        assert_eq!(crate::admission::daily_left(&known), 1, "{path}");
    }
    app.get("/permits/201612013997", &key).await.expect(200);
    app.get("/permits/201612013997", &key).await.expect(429);
}

#[tokio::test]
async fn nothing_that_a_client_does_not_have_is_had_for_nothing() {
    // Its time stands still: a grant that ends while an answer is under way would take what is given back with it.
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock, sample_rows: 60, ..Options::default() }).await;
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 30 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await;
    let key = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await.1;
    // A walk that has everything already: each page is charged, and says not where it goes on.
    for page in 0..9 {
        let path = if page % 2 == 0 { "/permits?limit=1&sort=description" } else { "/permits/changes?since=1&limit=1" };
        let answer = with(&app, &key, path, &[("if-none-match", "*")]).await.expect(304);
        assert_eq!((answer.header("link"), answer.body.as_str()), (None, ""));
        assert!(answer.header("ratelimit").unwrap().contains(&format!("\"daily\";r={}", 29 - page)), "{page}");
    }
    // A tag is of one path: it says nothing of another one.
    let first = app.get("/permits/201612013997", &key).await.expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    for other in ["/permits/201612013997/1", "/permits/0"] {
        let answer = with(&app, &key, other, &[("if-none-match", &tag)]).await;
        assert_ne!(answer.status, 304, "{other}");
    }
    // What it has it is told for nothing, still.
    for path in ["/permits/201612013997", "/permits/%23201612013997"] {
        with(&app, &key, path, &[("if-none-match", &tag)]).await.expect(304);
    }
    let mut asked = 0;
    while app.get("/permits?limit=1", &key).await.status == 200 {
        asked += 1;
    }
    assert!(asked <= 18, "{asked} beyond the quota");
    for path in PATHS {
        let refused = with(&app, &key, path, &[("if-none-match", "*")]).await.expect(429);
        assert!(refused.header("link").is_none() && refused.header("etag").is_none());
    }
}

#[tokio::test]
async fn a_tag_of_one_record_is_not_that_of_another() {
    let (app, key) = serving(60).await;
    let page = app.get("/permits?limit=30", &key).await.expect(200).json();
    let paths = page["data"].as_array().unwrap().iter().flat_map(|record| {
        let number = record["application_number"].as_str().unwrap().trim_start_matches('#');
        [
            format!("/permits/{number}"),
            format!("/permits/{number}/{}", record["record_id"]),
            format!("/permits/{number}/history"),
        ]
    });
    let mut tags = std::collections::BTreeSet::new();
    let paths: std::collections::BTreeSet<String> = paths.collect();
    for path in &paths {
        tags.insert(app.get(path, &key).await.expect(200).header("etag").unwrap().to_owned());
    }
    assert_eq!(tags.len(), paths.len());
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_likes() {
    let (app, key) = serving(2000).await;
    for path in ["/permits?limit=300", "/permits?limit=3", "/permits?format=ndjson", "/permits?format=csv"] {
        let plain = app.get(path, &key).await.expect(200);
        assert_eq!(plain.header("content-encoding"), None);
        for coding in ["gzip", "br", "zstd"] {
            let request = app.request(Method::GET, path).header("x-api-key", &key).header("accept-encoding", coding);
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-encoding"], coding, "{path}");
            let body = response.bytes().await.unwrap();
            assert!(body.len() < plain.body.len() / 2, "{path} {coding}: {} of {}", body.len(), plain.body.len());
            let mut text = String::new();
            let read = match coding {
                "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text),
                "br" => brotli::Decompressor::new(&body[..], 4096).read_to_string(&mut text),
                _ => zstd::stream::read::Decoder::new(&body[..]).unwrap().read_to_string(&mut text),
            };
            read.unwrap();
            assert!(text == plain.body, "{path} {coding}");
        }
    }
    // What is short is sent as it is.
    let short = with(&app, &key, "/permits/facets?columns=record_id", &[("accept-encoding", "gzip")]).await.expect(200);
    assert_eq!(short.header("content-encoding"), None);
}
