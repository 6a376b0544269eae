//! Everything that matches, at once: NDJSON and CSV. The other formats are in `formats.rs`.

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    data::{serving, walk},
};

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_is_the_whole_of_what_matches() {
    let (app, key) = serving(1500).await;
    for query in [
        "",
        "status=issued",
        "existing_use__in=office,apartments&sort=-file_date",
        "estimated_cost__gt=1000&select=address",
    ] {
        let (expected, _) = walk(&app, &key, &format!("/permits?limit=1000&{query}")).await;
        let ndjson = app.get(&format!("/permits?format=ndjson&{query}"), &key).await.expect(200);
        assert_eq!(ndjson.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(lines(&ndjson.body), expected, "{query}");
        let csv = app.get(&format!("/permits?format=csv&{query}"), &key).await.expect(200);
        assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"permits-v1.csv\""));
        let mut reader = csv::Reader::from_reader(csv.body.as_bytes());
        let names: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
        assert_eq!(names, expected[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), expected.len());
        for (row, record) in rows.iter().zip(&expected) {
            for (cell, value) in row.iter().zip(record.as_object().unwrap().values()) {
                let same = match value {
                    Value::Null => cell.is_empty(),
                    Value::String(text) => cell == text,
                    Value::Number(number) => cell.parse::<f64>().ok() == number.as_f64(),
                    other => panic!("{other}"),
                };
                assert!(same, "{cell:?} is not {value}");
            }
        }
    }
    let few = app.get("/permits?format=ndjson&limit=7&sort=-estimated_cost", &key).await.expect(200);
    assert_eq!(lines(&few.body), walk(&app, &key, "/permits?limit=1000&sort=-estimated_cost").await.0[..7]);
    let none = app.get("/permits?format=csv&status=nothing", &key).await.expect(200);
    assert!(none.body.starts_with("application_number,record_id,status,") && none.body.ends_with("\r\n"));
    assert_eq!(none.body.lines().count(), 1);
    assert_eq!(app.get("/permits?format=ndjson&status=nothing", &key).await.expect(200).body, "");
}

#[tokio::test]
async fn the_format_is_asked_for_by_either_name() {
    let (app, key) = serving(20).await;
    let by_header = async |accept: &str| {
        let request = app.request(Method::GET, "/permits").header("x-api-key", &key).header("accept", accept);
        app.send(request).await.expect(200).header("content-type").unwrap().to_owned()
    };
    assert_eq!(by_header("text/csv").await, "text/csv; charset=utf-8");
    assert_eq!(by_header("application/x-ndjson").await, "application/x-ndjson");
    assert_eq!(by_header("text/html, */*;q=0.1").await, "application/json");
    for binary in [
        "application/vnd.apache.parquet",
        "application/vnd.apache.arrow.stream",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ] {
        assert_eq!(by_header(&format!("{binary}, application/json;q=0.5")).await, binary);
    }
    // The parameter says it last.
    let request =
        app.request(Method::GET, "/permits?format=json").header("x-api-key", &key).header("accept", "text/csv");
    assert_eq!(app.send(request).await.header("content-type"), Some("application/json"));
    for (query, name) in [
        ("format=xml", "format"),
        ("format=csv&count=exact", "count"),
        ("format=ndjson&explain=true", "explain"),
        ("format=ndjson&csv_safe=true", "csv_safe"),
        ("csv_safe=true", "csv_safe"),
        ("format=csv&csv_safe=1", "csv_safe"),
        ("format=ndjson&bom=true", "bom"),
        ("bom=true", "bom"),
        ("format=csv&bom=yes", "bom"),
        ("delimiter=tab", "delimiter"),
        ("format=ndjson&delimiter=comma", "delimiter"),
        ("format=xlsx&delimiter=semicolon", "delimiter"),
        ("format=csv&delimiter=colon", "delimiter"),
        ("format=csv&delimiter=", "delimiter"),
        ("format=parquet&csv_safe=true", "csv_safe"),
        ("format=arrow&bom=true", "bom"),
        ("format=xlsx&count=exact", "count"),
        ("format=parquet&explain=true", "explain"),
        ("numbers=string", "numbers"),
        ("numbers=", "numbers"),
    ] {
        let refused = app.get(&format!("/permits?{query}"), &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], name, "{query}: {refused}");
    }
    let cursor = app.get("/permits?limit=1", &key).await.json()["page"]["next"].as_str().unwrap().to_owned();
    let refused = app.get(&format!("/permits?format=csv&cursor={cursor}"), &key).await.expect(400).json();
    assert_eq!(refused["invalid_params"][0]["name"], "cursor");
}

#[tokio::test]
async fn formulas_are_guarded_for_who_asks() {
    let app = TestApp::start().await;
    let key = crate::data::unlimited(&app).await;
    let definition = crate::data::things();
    let file = b"Name,Height\n=HYPERLINK(1),-5\n@a,2\nplain,3\n".to_vec();
    crate::data::import(&app, definition, file, "things.csv").await;
    let plain = app.get("/things?format=csv&select=name,height", &key).await.expect(200).body;
    assert!(plain.contains("\r\n=HYPERLINK(1),-5\r\n"), "{plain}");
    let safe = app.get("/things?format=csv&select=name,height&csv_safe=true", &key).await.expect(200).body;
    assert!(safe.contains("\r\n'=HYPERLINK(1),-5\r\n") && safe.contains("\r\n'@a,2\r\n"), "{safe}");
    assert!(safe.contains("\r\nplain,3\r\n"));
}

#[tokio::test]
async fn a_table_begins_with_a_byte_order_mark_for_who_asks() {
    let app = TestApp::start().await;
    let key = crate::data::unlimited(&app).await;
    let file = "Name,Height\nCafé,5\n".as_bytes().to_vec();
    crate::data::import(&app, crate::data::things(), file, "things.csv").await;
    let plain = app.get("/things?format=csv", &key).await.expect(200);
    let marked = app.get("/things?format=csv&bom=true", &key).await.expect(200);
    assert_eq!(marked.body, format!("\u{feff}{}", plain.body));
    assert_ne!(marked.header("etag"), plain.header("etag"));
    for same in ["/things?format=csv&bom=false", "/things?bom=false&format=csv&csv_safe=false"] {
        let same = app.get(same, &key).await.expect(200);
        assert_eq!((&same.body, same.header("etag")), (&plain.body, plain.header("etag")));
    }
    let none = app.get("/things?format=csv&bom=true&name=nobody", &key).await.expect(200);
    assert!(none.body.starts_with("\u{feff}name,"), "also where nothing matches: {}", none.body);
    // What was exported so is read as what it was.
    crate::data::import(&app, crate::data::things(), marked.body.into_bytes(), "again.csv").await;
    assert_eq!(app.get("/things?format=csv", &key).await.expect(200).body, plain.body);
}

#[tokio::test]
async fn the_values_of_a_table_are_parted_by_the_character_that_is_asked_for() {
    let app = TestApp::start().await;
    let key = crate::data::unlimited(&app).await;
    let file = "Name,Height\n\"a,b\",5\na;b,6\na|b,7\n".as_bytes().to_vec();
    crate::data::import(&app, crate::data::things(), file, "things.csv").await;
    let table =
        async |query: &str| app.get(&format!("/things?select=name,height&format=csv&{query}"), &key).await.expect(200);
    let plain = table("").await;
    assert_eq!(plain.body, "name,height\r\n\"a,b\",5\r\na;b,6\r\na|b,7\r\n");
    for (spellings, expected) in [
        (["comma", ",", "%2C"], plain.body.as_str()),
        (["semicolon", ";", "%3B"], "name;height\r\na,b;5\r\n\"a;b\";6\r\na|b;7\r\n"),
        (["tab", "%09", "%09"], "name\theight\r\na,b\t5\r\na;b\t6\r\na|b\t7\r\n"),
        (["pipe", "|", "%7C"], "name|height\r\na,b|5\r\na;b|6\r\n\"a|b\"|7\r\n"),
    ] {
        let mut tags = Vec::new();
        for spelling in spellings {
            let answer = table(&format!("delimiter={spelling}")).await;
            assert_eq!(answer.body, expected, "{spelling}");
            tags.push(answer.header("etag").unwrap().to_owned());
        }
        assert!(tags.iter().all(|tag| *tag == tags[0]), "one answer, however it was asked for");
        assert_eq!(plain.header("etag") == Some(&tags[0]), expected == plain.body);
    }
    // A cell has no type: whole numbers are texts in any case.
    let texts = table("numbers=text").await;
    assert_eq!((&texts.body, texts.header("etag")), (&plain.body, plain.header("etag")));
}

#[tokio::test]
async fn what_is_exported_is_imported_again_with_nothing_changed() {
    let (app, key) = serving(300).await;
    // All of it in each form, and a part of it in another order: the ids of records are taken from the file.
    for query in [
        "format=csv",
        "format=csv&bom=true",
        "format=csv&delimiter=semicolon",
        "format=csv&delimiter=tab&bom=true",
        "format=csv&delimiter=pipe",
        "format=csv&numbers=text",
        "format=ndjson",
        "format=ndjson&numbers=text",
        "format=csv&sort=-file_date&estimated_cost__gt=1000",
        "format=ndjson&sort=-record_id&limit=40",
    ] {
        let export = app.get(&format!("/permits?{query}"), &key).await.expect(200).body;
        let summary = crate::data::imported(&app, crate::data::permits(), export.into_bytes(), "export").await;
        let counts = (summary.counts.inserted, summary.counts.updated, summary.counts.removed, summary.counts.rejected);
        assert_eq!((counts, summary.changed), ((0, 0, 0, 0), false), "{query}: {summary:?}");
        assert!(summary.counts.unchanged >= 40 && summary.unmatched_headers.is_empty(), "{query}: {summary:?}");
    }
}

#[tokio::test]
async fn an_export_has_a_price_of_its_own() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), sample_rows: 50, ..Options::default() }).await;
    let plan = json!({ "rate_per_s": 5, "burst": 30, "quota_per_day": 25 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await;
    let key = app.invite_as(&json!({ "email": "ana@example.org", "plan": "small" })).await.1;
    let left = |answer: &crate::app::Answer| {
        let field = answer.header("ratelimit").unwrap().to_owned();
        let daily = field.split("\"daily\";r=").nth(1).unwrap().split(';').next().unwrap().parse::<u64>().unwrap();
        let burst = field.split("\"burst\";r=").nth(1).unwrap().split(';').next().unwrap().parse::<u64>().unwrap();
        (burst, daily)
    };
    let first = app.get("/permits?format=ndjson", &key).await.expect(200);
    assert_eq!(left(&first), (20, 15), "ten of each");
    assert_eq!(left(&app.get("/permits?limit=1", &key).await.expect(200)), (19, 14));
    app.get("/permits?format=csv", &key).await.expect(200);
    // Four are left: enough for a page, not for an export, which then costs nothing.
    clock.advance_us(60_000_000);
    let refused = app.get("/permits?format=csv", &key).await.expect(429);
    let problem = refused.json();
    assert_eq!(problem["violated-policies"], json!(["daily"]));
    assert!(problem["detail"].as_str().unwrap().contains("counts as 10 requests"), "{problem}");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 40_000);
    assert_eq!(left(&app.get("/permits?limit=1", &key).await.expect(200)).1, 3);
    // A head costs one: there is nothing to stream, and nothing is said of how long that would be.
    let head = app.send(app.request(Method::HEAD, "/permits?format=csv").header("x-api-key", &key)).await.expect(200);
    assert_eq!(left(&head).1, 2);
    assert_eq!((head.header("content-length"), head.header("x-dataset-version")), (None, Some("1")));
}

#[tokio::test]
async fn an_export_that_is_interrupted_harms_nobody() {
    let (app, key) = serving(3000).await;
    let begin = async || {
        let request = app.request(Method::GET, "/permits?format=ndjson").header("x-api-key", &key);
        let response = request.send().await.unwrap();
        match response.status().as_u16() {
            200 => Some(response),
            // The server has not noticed yet that others were left.
            429 | 503 => None,
            status => panic!("{status}"),
        }
    };
    // More than may run at the same time: the places of those that were left are free again.
    for _ in 0..8 {
        let mut response = app.eventually("a place for an export", begin).await;
        assert!(response.chunk().await.unwrap().is_some());
    }
    let whole = app.eventually("a place for an export", begin).await.text().await.unwrap();
    assert_eq!(whole.lines().count(), 3000);
}
