//! What the data was: walks that stay on their version, changes, histories.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{identity, import, permits, serving, things, unlimited, walk},
};

/// A file of one permit.
pub(crate) fn one_permit(number: &str, status: &str) -> Vec<u8> {
    format!("APPLICATION #,STATUS,DESCRIPTION\n{number},{status},more\n").into_bytes()
}

async fn serving_things(rows: impl IntoIterator<Item = (&'static str, i64)>) -> (TestApp, String) {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    load(&app, rows).await;
    (app, key)
}

async fn load(app: &TestApp, rows: impl IntoIterator<Item = (&'static str, i64)>) {
    let rows: String = rows.into_iter().map(|(name, height)| format!("{name},{height}\n")).collect();
    import(app, things(), format!("Name,Height\n{rows}").into_bytes(), "things.csv").await;
}

#[tokio::test]
async fn a_walk_sees_each_record_once_while_imports_commit() {
    let (app, key) = serving(400).await;
    let (expected, _) = walk(&app, &key, "/permits?limit=1000&sort=-estimated_cost").await;
    let mut seen = Vec::new();
    let mut next = "/permits?limit=37&sort=-estimated_cost".to_owned();
    let mut nth = 0;
    loop {
        let answer = app.get(&next, &key).await.expect(200);
        let document = answer.json();
        assert_eq!(document["dataset"]["version"], 1, "it stays on its version");
        seen.extend(document["data"].as_array().unwrap().clone());
        // In between, records that were on a page, or were to come, change; and there are new ones.
        let old = &expected[(nth * 53) % 400]["application_number"].as_str().unwrap()[1..].to_owned();
        import(&app, permits(), one_permit(old, "revoked"), "change.csv").await;
        import(&app, permits(), one_permit(&format!("9000000{nth:05}"), "filed"), "new.csv").await;
        nth += 1;
        let Some(link) = answer.link("next") else { break };
        next = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    }
    assert_eq!(seen, expected);
    assert_eq!(seen.iter().map(identity).collect::<BTreeSet<_>>().len(), 400);
    let now = app.get("/permits?limit=1&count=exact", &key).await.json();
    assert_eq!(now["page"]["count"], 400 + nth);
}

#[tokio::test]
async fn a_nightly_consumer_fetches_what_has_changed() {
    let (app, key) = serving_things([("a", 1), ("b", 2), ("c", 3)]).await;
    let whole = app.get("/things?format=ndjson", &key).await.expect(200);
    assert_eq!((whole.body.lines().count(), whole.header("x-dataset-version")), (3, Some("1")));
    load(&app, [("b", 20), ("d", 4)]).await;
    load(&app, [("b", 20)]).await;
    load(&app, [("b", 200)]).await;
    let answer = app.get("/things/changes?since=1", &key).await.expect(200).json();
    assert_eq!(answer["dataset"], json!({ "name": "things", "version": 3 }));
    assert_eq!(answer["page"], json!({ "limit": 100, "next": null }));
    let told: Vec<Value> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            assert!(change["at"].as_str().unwrap().ends_with('Z'));
            json!([
                change["version"],
                change["change"],
                change["key"],
                change["record_id"],
                change["before"]["height"],
                change["after"]["height"]
            ])
        })
        .collect();
    let expected = [
        json!([2, "updated", "b", 1, 2, 20]),
        json!([2, "inserted", "d", 1, null, 4]),
        json!([3, "updated", "b", 1, 20, 200]),
    ];
    assert_eq!(told, expected);
    assert_eq!(app.get("/things/changes?since=3", &key).await.expect(200).json()["data"], json!([]));
    // Page by page it is the same.
    let (mut paged, mut next) = (Vec::new(), "/things/changes?since=1&limit=1".to_owned());
    loop {
        let answer = app.get(&next, &key).await.expect(200);
        paged.extend(answer.json()["data"].as_array().unwrap().clone());
        let Some(link) = answer.link("next") else { break };
        next = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    }
    assert_eq!(Value::from(paged), answer["data"]);

    let gone = app.get("/things/changes?since=0", &key).await.expect(410).json();
    assert!(gone["type"].as_str().unwrap().ends_with("/problems/version-gone"), "{gone}");
    for (query, name) in
        [("", "since"), ("since=x", "since"), ("since=1&status=x", "status"), ("since=1&sicne=1", "sicne")]
    {
        let refused = app.get(&format!("/things/changes?{query}"), &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], name, "{query}: {refused}");
    }
    let early = app.get("/things/changes?since=99", &key).await.expect(400).json();
    assert!(early["detail"].as_str().unwrap().contains("at version 3"), "{early}");
}

#[tokio::test]
async fn a_record_has_a_history() {
    let (app, key) = serving_things([("a", 1), ("a", 2), ("b", 3)]).await;
    load(&app, [("a", 10), ("a", 2)]).await;
    load(&app, [("a", 100), ("a", 20)]).await;
    let answer = app.get("/things/a/history", &key).await.expect(200).json();
    let told: Vec<Value> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|state| {
            json!([
                state["record_id"],
                state["valid_from"]["version"],
                state["valid_until"]["version"],
                state["record"]["height"]
            ])
        })
        .collect();
    let expected = [
        json!([1, 1, 2, 1]),
        json!([1, 2, 3, 10]),
        json!([1, 3, null, 100]),
        json!([2, 1, 3, 2]),
        json!([2, 3, null, 20]),
    ];
    assert_eq!(told, expected);
    let one = app.get("/things/a/2/history", &key).await.expect(200).json();
    assert_eq!(one["data"].as_array().unwrap()[..], answer["data"].as_array().unwrap()[3..]);
    let first = app.get("/things/a/history?limit=2", &key).await.expect(200);
    let link = first.link("next").unwrap().strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    let second = app.get(&link, &key).await.expect(200).json();
    assert_eq!(second["data"].as_array().unwrap()[..], answer["data"].as_array().unwrap()[2..4]);
    let cursor = link.split("cursor=").nth(1).unwrap();
    let foreign = app.get(&format!("/things/b/history?cursor={cursor}"), &key).await.expect(400).json();
    assert_eq!(foreign["invalid_params"][0]["name"], "cursor");
    app.get("/things/nobody/history", &key).await.expect(404);
    app.get("/things/a/9/history", &key).await.expect(404);
    app.get("/things/a/history?status=x", &key).await.expect(400);
}
