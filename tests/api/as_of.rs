//! Questions about earlier versions, and the addresses by which answers are cited.

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, Options, TestApp},
    data::{import, things_with, unlimited, walk},
};

const BEGINS: &str = "2026-03-01T12:00:00Z";
const DAY_US: i64 = 86_400_000_000;

fn definition() -> permitd::dataset::Definition {
    let columns = "[[column]]\nname = \"kind\"\ntype = \"text\"\nheaders = [\"Kind\"]\n\
                   [[column]]\nname = \"height\"\ntype = \"integer\"\nheaders = [\"Height\"]\n";
    things_with("", columns)
}

async fn load(app: &TestApp, rows: &str) {
    import(app, definition(), format!("Name,Kind,Height\n{rows}").into_bytes(), "things.csv").await;
}

/// Things of three versions, a day each: the clock stands half a day after the third.
async fn of_three_versions(settings: Vec<(&'static str, String)>) -> (TestApp, String, std::sync::Arc<ManualClock>) {
    let clock = ManualClock::at(BEGINS.parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), settings, ..Options::default() }).await;
    let key = unlimited(&app).await;
    load(&app, "a,oak,1\nb,elm,2\nc,oak,3\n").await;
    for rows in ["b,elm,20\nd,ash,4\n", "a,oak,100\ne,oak,5\n"] {
        clock.advance_us(DAY_US);
        load(&app, rows).await;
    }
    clock.advance_us(DAY_US / 2);
    (app, key, clock)
}

/// The names and heights of each version.
const HEIGHTS: [&[(&str, i64)]; 3] = [
    &[("a", 1), ("b", 2), ("c", 3)],
    &[("a", 1), ("b", 20), ("c", 3), ("d", 4)],
    &[("a", 100), ("b", 20), ("c", 3), ("d", 4), ("e", 5)],
];

fn heights(records: &[Value]) -> Vec<(&str, i64)> {
    records.iter().map(|record| (record["name"].as_str().unwrap(), record["height"].as_i64().unwrap())).collect()
}

/// The address by which an answer is cited.
fn cited(answer: &Answer) -> String {
    let link = answer.link("cite-as").unwrap_or_else(|| panic!("cannot be cited: {:?}", answer.headers));
    link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_question_is_answered_as_of_a_version_or_a_time() {
    let (app, key, _) = of_three_versions(Vec::new()).await;
    for (version, time) in [(1, "2026-03-02"), (2, "2026-03-02T12:00:00Z"), (3, "2026-03-03T13:00:00%2B01:00")] {
        let expected = HEIGHTS[version - 1];
        for as_of in [version.to_string(), time.to_owned()] {
            let get = async |path: &str| {
                let between = if path.contains('?') { '&' } else { '?' };
                app.get(&format!("{path}{between}as_of={as_of}"), &key).await.expect(200)
            };
            let page = get("/things?count=exact&explain=true").await.json();
            assert_eq!(heights(page["data"].as_array().unwrap()), expected, "as of {as_of}");
            assert_eq!(page["dataset"], json!({ "name": "things", "version": version }));
            assert_eq!(page["page"]["count"], expected.len());
            let plan = page["page"]["explain"]["plan"].to_string();
            assert_eq!(plan.contains(&format!("as of version {version}")), version != 3, "{plan}");
            let (walked, pages) = walk(&app, &key, &format!("/things?limit=2&as_of={as_of}")).await;
            assert_eq!((heights(&walked), pages), (expected.to_vec(), expected.len().div_ceil(2)));

            let csv = get("/things?format=csv&select=name,height").await;
            let rows: String = expected.iter().map(|(name, height)| format!("{name},{height}\r\n")).collect();
            assert_eq!(csv.body, format!("name,height\r\n{rows}"));
            assert_eq!(csv.header("x-dataset-version"), Some(version.to_string().as_str()));
            let name = format!("attachment; filename=\"things-v{version}.csv\"");
            assert_eq!(csv.header("content-disposition"), Some(name.as_str()));
            let parquet = get("/things?format=parquet").await;
            assert_eq!(parquet.header("x-dataset-version"), Some(version.to_string().as_str()));
            let head =
                app.request(Method::HEAD, &format!("/things?format=csv&as_of={as_of}")).header("x-api-key", &key);
            let head = app.send(head).await.expect(200);
            assert_eq!(head.header("x-dataset-version"), Some(version.to_string().as_str()));

            let oaks = expected.iter().filter(|(name, _)| ["a", "c", "e"].contains(name)).count();
            let facets = get("/things/facets?columns=kind").await.json();
            assert_eq!(facets["facets"][0]["values"][0], json!({ "value": "oak", "count": oaks }));
            let groups = get("/things/groups?by=kind&measure=count,sum(height)&kind=elm").await.json();
            let elm = json!({ "kind": "elm", "count": 1, "sum_height": if version == 1 { 2 } else { 20 } });
            assert_eq!((&groups["groups"][0], &groups["dataset"]["version"]), (&elm, &json!(version)));
            let sum: i64 = expected.iter().map(|(_, height)| height).sum();
            let stats = get("/things/stats?columns=height").await.json();
            assert_eq!((&stats["stats"][0]["sum"], &stats["dataset"]["version"]), (&json!(sum), &json!(version)));

            let read = get("/things/b").await.json();
            assert_eq!(
                (read["data"][0]["height"].as_i64(), &read["dataset"]["version"]),
                (Some(expected[1].1), &json!(version))
            );
            let one = get("/things/b/1?select=height").await.json();
            assert_eq!(one["data"], json!({ "height": expected[1].1 }));
            let late = app.get(&format!("/things/e?as_of={as_of}"), &key).await;
            assert_eq!(late.status, if version == 3 { 200 } else { 404 });
            assert!(version == 3 || late.body.contains(&format!("as of version {version}")), "{}", late.body);
        }
    }
    // The clock stands between the third version and now.
    let now = app.get("/things?as_of=2026-03-03T23:59:59Z", &key).await.expect(200).json();
    assert_eq!(now["dataset"]["version"], 3);
}

#[tokio::test]
async fn what_is_to_come_or_no_version_is_refused_and_what_is_gone_says_from_where_on_it_is_held() {
    let (app, key, clock) = of_three_versions(vec![("records.history_days", "10".to_owned())]).await;
    let paths = [
        "/things?",
        "/things?format=csv&",
        "/things/facets?columns=kind&",
        "/things/groups?by=kind&",
        "/things/stats?columns=height&",
        "/things/a?",
        "/things/a/1?",
    ];
    let absurd = ["", "-1", "1.5", "now", "2026-02-30", "10000-01-01", "2026-03-01T12:00:00", "1&as_of=2"];
    for path in paths {
        for (as_of, reason) in absurd.map(|as_of| (as_of, "")).into_iter().chain([
            ("4", "the newest version is 3"),
            ("99999999999999999999999", "the newest version is 3"),
            ("2026-03-05", "lies in the future"),
            ("9999-12-30", "lies in the future"),
        ]) {
            let refused = app.get(&format!("{path}as_of={as_of}"), &key).await.expect(400).json();
            let wrong = &refused["invalid_params"][0];
            assert_eq!(wrong["name"], "as_of", "{path} as of {as_of}: {refused}");
            assert!(wrong["reason"].as_str().unwrap().contains(reason), "{path} as of {as_of}: {refused}");
        }
        for as_of in ["0", "2026-03-01", "1970-01-01", "0001-01-01"] {
            let gone = app.get(&format!("{path}as_of={as_of}"), &key).await.expect(410).json();
            assert!(gone["type"].as_str().unwrap().ends_with("/problems/version-gone"), "{gone}");
            let detail = gone["detail"].as_str().unwrap();
            assert!(detail.contains("from 1 (2026-03-01T12:00:00.000000Z) on"), "{path} as of {as_of}: {detail}");
        }
    }
    for path in ["/things/changes?since=1&", "/things/a/history?"] {
        let refused = app.get(&format!("{path}as_of=1"), &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], "as_of", "{refused}");
    }
    let head = app.request(Method::HEAD, "/things?format=csv&as_of=0").header("x-api-key", &key);
    app.send(head).await.expect(410);

    // An answer that is at hand goes with its version.
    let old = "/things?as_of=1&sort=-height";
    let tag = app.get(old, &key).await.expect(200).header("etag").unwrap().to_owned();
    clock.advance_us(12 * DAY_US);
    load(&app, "a,oak,1000\n").await;
    let gone = app.get(old, &key).await.expect(410).json();
    assert!(gone["detail"].as_str().unwrap().contains("from 3 (2026-03-03T12:00:00.000000Z) on"), "{gone}");
    let known = app.request(Method::GET, old).header("x-api-key", &key).header("if-none-match", tag);
    app.send(known).await.expect(410);
    app.get("/things?as_of=3", &key).await.expect(200);
}

#[tokio::test]
async fn an_answer_is_cited_by_an_address_that_stays() {
    let (app, key, clock) = of_three_versions(Vec::new()).await;
    let paths = [
        "/things?limit=2&sort=-height",
        "/things?format=csv",
        "/things/facets?columns=kind",
        "/things/groups?by=kind",
        "/things/groups?by=kind&format=csv",
        "/things/stats?columns=height",
        "/things/b?as_of=2026-03-03",
        "/things/b/1?as_of=2026-03-03",
    ];
    let mut before = Vec::new();
    for path in paths {
        let answer = app.get(path, &key).await.expect(200);
        let address = cited(&answer);
        assert!(address.contains("as_of=") && !address.contains("as_of=2026"), "{address}");
        // Of the same version it is the same answer, under the same tag.
        let same = app.get(&address, &key).await.expect(200);
        assert_eq!((&same.body, same.header("etag")), (&answer.body, answer.header("etag")), "{path}");
        before.push((address, answer));
    }
    let second = app.get("/things?limit=2&sort=-height", &key).await.expect(200);
    let next = second.link("next").unwrap().strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    let second = app.get(&next, &key).await.expect(200);
    assert!(cited(&second).contains("cursor="), "it is of this page");
    before.push((cited(&second), second));
    let by_header = app.request(Method::GET, "/things").header("x-api-key", &key).header("accept", "text/csv");
    let by_header = app.send(by_header).await.expect(200);
    assert!(cited(&by_header).contains("format=csv"), "the address alone says the form");
    before.push((cited(&by_header), by_header));
    clock.advance_us(DAY_US);
    load(&app, "a,oak,7\nb,fir,8\nc,fir,9\n").await;
    for (address, answer) in before {
        let later = app.get(&address, &key).await.expect(200);
        assert_eq!((&later.body, later.header("etag")), (&answer.body, answer.header("etag")), "{address}");
        let known = app.request(Method::GET, &address).header("x-api-key", &key);
        let known = app.send(known.header("if-none-match", answer.header("etag").unwrap())).await.expect(304);
        assert_eq!((known.body.as_str(), known.header("link")), ("", None));
    }
    // What a plain read was is found by the version that it told.
    let plain = app.get("/things/b", &key).await.expect(200);
    assert_eq!((plain.json()["data"][0]["height"].clone(), plain.link("cite-as")), (json!(8), None));
    let told = plain.json()["dataset"]["version"].clone();
    let same = app.get(&format!("/things/b?as_of={told}"), &key).await.expect(200);
    assert_eq!((&same.body, same.header("etag")), (&plain.body, plain.header("etag")));
    let changes = app.get("/things/changes?since=1", &key).await.expect(200);
    assert_eq!(changes.link("cite-as"), None);
}

#[tokio::test]
async fn a_walk_stays_on_the_version_of_a_time_and_a_cursor_on_its_own() {
    let (app, key, clock) = of_three_versions(Vec::new()).await;
    let first = app.get("/things?limit=2&as_of=2026-03-02T13:00:00Z", &key).await.expect(200);
    let next = first.link("next").unwrap().strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    assert!(next.contains("as_of=2&cursor="), "{next}");
    let cursor = first.json()["page"]["next"].as_str().unwrap().to_owned();
    clock.advance_us(DAY_US);
    load(&app, "c,oak,7\n").await;
    for path in [
        next.as_str(),
        &format!("/things?limit=2&cursor={cursor}"),
        &format!("/things?limit=2&as_of=2&cursor={cursor}"),
        &format!("/things?limit=2&as_of=2026-03-02T13:00:00Z&cursor={cursor}"),
    ] {
        let second = app.get(path, &key).await.expect(200).json();
        assert_eq!(heights(second["data"].as_array().unwrap()), HEIGHTS[1][2..], "{path}");
        assert_eq!(second["dataset"]["version"], 2);
    }
    for other in ["1", "3", "2026-03-02", "2026-03-03T13:00:00Z"] {
        let refused = app.get(&format!("/things?limit=2&as_of={other}&cursor={cursor}"), &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], "cursor", "{other}: {refused}");
        assert!(refused["invalid_params"][0]["reason"].as_str().unwrap().contains("is of version 2"), "{refused}");
    }
}

#[tokio::test]
async fn a_column_that_is_not_published_any_more_is_in_no_answer() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let column = |publish: bool| {
        let column =
            format!("[[column]]\nname = \"kind\"\ntype = \"text\"\nheaders = [\"Kind\"]\npublish = {publish}\n");
        things_with("", &column)
    };
    let file = || b"Name,Kind\na,secret\n".to_vec();
    import(&app, column(true), file(), "things.csv").await;
    let paths = [
        "/things?as_of=1",
        "/things?format=csv&as_of=1",
        "/things/facets?columns=name&as_of=1",
        "/things/groups?by=name&as_of=1",
        "/things/stats?columns=record_id&as_of=1",
        "/things/a?as_of=1",
        "/things/a/1?as_of=1",
    ];
    for path in paths {
        app.get(path, &key).await.expect(200);
    }
    import(&app, column(false), file(), "things.csv").await;
    for path in paths {
        let gone = app.get(path, &key).await.expect(410);
        assert!(!gone.body.contains("secret"), "{path}: {}", gone.body);
    }
    assert!(!app.get("/things?as_of=2", &key).await.expect(200).body.contains("secret"));
}

#[tokio::test]
async fn the_whole_price_of_an_export_or_that_of_one_question() {
    let (app, _, _) = of_three_versions(vec![("records.export_cost", "10".to_owned())]).await;
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 100 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await.expect(201);
    let key = app.invite_as(&json!({ "email": "bob@example.org", "plan": "small" })).await.1;
    let left = |answer: &Answer| -> u64 {
        let limit = answer.header("ratelimit").unwrap();
        limit.split("\"daily\";r=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
    };
    let mut before = 100;
    for (path, status, cost) in [
        ("/things?format=csv&as_of=2", 200, 10),
        ("/things?format=csv&as_of=2026-03-02T13:00:00Z", 200, 10),
        ("/things?format=csv&as_of=2026-03-01", 410, 1),
        ("/things?format=csv&as_of=9", 400, 1),
        ("/things?as_of=2026-03-02T13:00:00Z", 200, 1),
        ("/things/b?as_of=2026-03-02T13:00:00Z", 200, 1),
        ("/things/b?as_of=2026-03-01", 410, 1),
    ] {
        let answer = app.get(path, &key).await.expect(status);
        assert_eq!(before - left(&answer), cost, "{path}");
        before = left(&answer);
    }
    let known = app.get("/things?format=csv&as_of=2", &key).await;
    for as_of in ["2", "2026-03-02T13:00:00Z"] {
        let path = format!("/things?format=csv&as_of={as_of}");
        let asked = app.request(Method::GET, &path).header("x-api-key", &key);
        let again = app.send(asked.header("if-none-match", known.header("etag").unwrap())).await.expect(304);
        assert_eq!(left(&again), left(&known), "{path}");
    }
}

#[tokio::test]
async fn data_that_was_begun_anew_has_no_past_of_before() {
    let (app, key, clock) = of_three_versions(Vec::new()).await;
    app.send(app.admin(Method::DELETE, "/datasets/things")).await.expect(200);
    app.get("/things?as_of=1", &key).await.expect(404);
    clock.advance_us(DAY_US);
    load(&app, "z,yew,9\n").await;
    let now = app.get("/things", &key).await.expect(200).json();
    let version = now["dataset"]["version"].as_u64().unwrap();
    for as_of in ["1", "2", "3", "2026-03-02T13:00:00Z"] {
        let answer = app.get(&format!("/things?as_of={as_of}"), &key).await;
        assert!(!answer.body.contains("\"oak\""), "{as_of}: {}", answer.body);
        assert!([400, 410].contains(&answer.status) || as_of == version.to_string(), "{as_of}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_column_of_that_name_is_reached_by_its_operators() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let column = "[[column]]\nname = \"as_of\"\ntype = \"date\"\nheaders = [\"As of\"]\n";
    import(&app, things_with("", column), b"Name,As of\na,2026-01-01\nb,2026-01-02\n".to_vec(), "things.csv").await;
    let found = app.get("/things?as_of__eq=2026-01-02&as_of=1&sort=as_of", &key).await.expect(200).json();
    assert_eq!((found["data"].as_array().unwrap().len(), &found["data"][0]["name"]), (1, &json!("b")));
}
