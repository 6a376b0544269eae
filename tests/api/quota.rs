//! The quota under attack: a client that has some hundred requests a day and wants all of the records.

use std::collections::{BTreeSet, HashMap};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    admission::daily_left,
    app::{Answer, Options, TestApp},
    data::identity,
};

const RECORDS: u64 = 1_200;
const QUOTA: u64 = 300;

/// A client, and what it has got so far.
struct Client {
    app: TestApp,
    key: String,
    /// Requests of the quota that are left.
    left: u64,
    charged: u64,
    /// The records that it has read.
    records: BTreeSet<(String, i64)>,
    /// The tags that it was told, by path, in answers that were charged.
    tags: HashMap<String, BTreeSet<String>>,
    /// The cursors that it was told.
    cursors: BTreeSet<String>,
    /// Answers for which nothing was left.
    refused: u64,
}

/// The records in an answer, in whatever form it has.
fn records_in(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let whole = lines.flat_map(|value| match value.get("data") {
        Some(Value::Array(list)) => list.clone(),
        _ => vec![value],
    });
    whole.filter(|value| value.get("application_number").is_some()).collect()
}

impl Client {
    async fn begin() -> Self {
        // Its time stands still, so that no grant ends while an answer is under way.
        let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let app = TestApp::with(Options { clock, sample_rows: RECORDS, ..Options::default() }).await;
        let plan = json!({ "rate_per_s": 100_000, "burst": 100_000, "quota_per_day": QUOTA });
        app.admin_send(Method::PUT, "/plans/small", &plan).await;
        let key = app.invite_as(&json!({ "email": "eve@example.org", "plan": "small" })).await.1;
        Self {
            app,
            key,
            left: QUOTA,
            charged: 0,
            records: BTreeSet::new(),
            tags: HashMap::new(),
            cursors: BTreeSet::new(),
            refused: 0,
        }
    }

    /// One request, and the proof that what it cost is no less than what it gave.
    async fn ask(&mut self, method: Method, path: &str, known: &[&str]) -> Answer {
        let request = self.app.request(method.clone(), path).header("x-api-key", &self.key);
        let request = known.iter().fold(request, |request, tag| request.header("if-none-match", *tag));
        let answer = self.app.send(request).await;
        let left = daily_left(&answer);
        assert!(left <= self.left, "{path}: nothing is given back that was not taken by this very request");
        let (cost, found) = (self.left - left, records_in(&answer));
        (self.left, self.charged) = (left, self.charged + cost);
        let what = format!("{method} {path} {known:?} gave {} for {cost}: {}", answer.status, answer.body);
        assert!(found.len() as u64 <= cost, "{what}");
        if cost == 0 {
            match answer.status {
                // It has that answer already, and hears nothing but that.
                304 => {
                    let told = self.tags.get(path).cloned().unwrap_or_default();
                    assert!(known.iter().any(|tag| told.contains(*tag)), "{what}");
                    assert_eq!((answer.body.as_str(), answer.header("link")), ("", None), "{what}");
                    assert!(answer.header("etag").is_some_and(|tag| told.contains(tag)), "{what}");
                }
                429 => self.refused += 1,
                _ => panic!("{what}"),
            }
        }
        if answer.status == 304 {
            assert!(answer.body.is_empty() && answer.header("link").is_none(), "{what}");
        }
        if let Some(tag) = answer.header("etag").filter(|_| cost > 0) {
            self.tags.entry(path.to_owned()).or_default().insert(tag.to_owned());
        }
        self.records.extend(found.iter().map(identity));
        self.cursors.extend(cursor_in(&answer));
        answer
    }

    /// Every way to ask for a page of one record without, perhaps, paying for it.
    async fn try_everything(&mut self, path: &str) -> Option<String> {
        let first = self.ask(Method::GET, path, &["*"]).await;
        assert!([304, 429].contains(&first.status), "{path}: {}", first.status);
        // Tags of other paths say nothing of this one.
        let foreign = self.tags.iter().filter(|(other, _)| *other != path);
        let foreign: Vec<String> = foreign.flat_map(|(_, tags)| tags).take(20).cloned().collect();
        let others: Vec<&str> = foreign.iter().map(String::as_str).collect();
        let mut next = None;
        for (method, known) in [(Method::HEAD, vec!["*"]), (Method::HEAD, others.clone()), (Method::GET, others)] {
            let answer = self.ask(method, path, &known).await;
            next = next.or(cursor_in(&answer));
        }
        let own: Vec<String> = self.tags.get(path).into_iter().flatten().cloned().collect();
        for tag in &own {
            for (method, known) in
                [(Method::GET, vec![tag.as_str()]), (Method::HEAD, vec![tag]), (Method::GET, vec!["\"x\"", tag])]
            {
                self.ask(method, path, &known).await;
            }
        }
        next
    }
}

/// Where the next page begins, as a link or a document says.
fn cursor_in(answer: &Answer) -> Option<String> {
    let of_link = answer.link("next").and_then(|link| link.split("cursor=").nth(1));
    let of_link = of_link.and_then(|rest| rest.split(['>', '&']).next()).map(ToOwned::to_owned);
    let document: Option<Value> = serde_json::from_str(&answer.body).ok();
    of_link.or_else(|| document?["page"]["next"].as_str().map(ToOwned::to_owned))
}

#[tokio::test]
async fn no_way_of_asking_reads_more_than_the_quota() {
    let mut client = Client::begin().await;
    // Exports: what is known already of one costs what it costs, and says nothing.
    let exports = ["/permits?format=ndjson&select=description", "/permits?format=csv&select=description"];
    for path in exports {
        for method in [Method::GET, Method::HEAD] {
            let answer = client.ask(method, path, &["*"]).await.expect(304);
            let tag = answer.header("etag").expect("a tag").to_owned();
            let left = client.left;
            client.ask(Method::GET, path, &[&tag]).await.expect(304);
            assert_eq!(client.left, left, "that it has it is known by now");
        }
    }
    // A walk by one record a page, in orders of short and of long values, and what is beside it.
    let questions = ["/permits?limit=1&sort=description", "/permits?limit=1&sort=-address", "/permits?limit=1"];
    let mut cursors: Vec<Option<String>> = vec![None; questions.len()];
    let mut rounds = 0;
    while client.left > 0 {
        for (question, cursor) in questions.iter().zip(&mut cursors) {
            let path = match &*cursor {
                Some(cursor) => format!("{question}&cursor={cursor}"),
                None => (*question).to_owned(),
            };
            if let Some(next) = client.try_everything(&path).await {
                *cursor = Some(next);
            }
        }
        let seen = client.records.iter().next_back().cloned();
        let number = seen.map_or("201612013997".to_owned(), |(number, _)| number.trim_start_matches('#').to_owned());
        for path in [
            format!("/permits/{number}"),
            format!("/permits/{number}/1"),
            format!("/permits/{number}/history?limit=1"),
            "/permits/changes?since=1&limit=1".to_owned(),
        ] {
            client.ask(Method::HEAD, &path, &["*"]).await;
            client.ask(Method::GET, &path, &["*", "\"x\""]).await;
        }
        rounds += 1;
        assert!(rounds < 1_000, "it comes to no end");
    }
    assert_eq!(client.charged, QUOTA);
    let (got, asked) = (client.records.len() as u64, client.refused);
    // With nothing left nothing more is had, whatever is asked again.
    let paths: Vec<String> = client.tags.keys().cloned().chain(exports.map(ToOwned::to_owned)).collect();
    for path in paths {
        client.try_everything(&path).await;
        for cursor in client.cursors.clone().into_iter().take(2) {
            client.ask(Method::GET, &format!("/permits?limit=1&cursor={cursor}"), &["*"]).await.expect(429);
        }
    }
    assert!(client.refused > asked);
    assert_eq!((client.charged, client.records.len() as u64), (QUOTA, got));
    assert!(0 < got && got <= QUOTA, "{got} of {RECORDS} records");
}

/// A cursor tells nothing of the record that it stands behind, also where that was not sent.
#[tokio::test]
async fn what_is_told_of_where_to_go_on_holds_no_value() {
    let mut client = Client::begin().await;
    let head = client.ask(Method::HEAD, "/permits?limit=1&sort=description", &[]).await.expect(200);
    let cursor = cursor_in(&head).expect("where it goes on");
    assert!(cursor.len() <= 512);
    let page = client.ask(Method::GET, "/permits?limit=1&sort=description", &[]).await.expect(200);
    let record = &page.json()["data"][0];
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    for value in [&record["description"], &record["application_number"]] {
        let value = value.as_str().unwrap_or("no value").as_bytes();
        assert!(!bytes.windows(value.len()).any(|window| window == value));
    }
}
