//! Asking: expressions, counts, summaries, and the same questions put to the `sqlite3` command.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use permitd::clock::ManualClock;
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    data::{identity, import, serving, things, unlimited, walk},
};

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Everything that a query string finds, as its identities.
async fn found(app: &TestApp, key: &str, query: &str) -> Vec<(String, i64)> {
    let (records, _) = walk(app, key, &format!("/permits?limit=1000&{query}")).await;
    records.iter().map(identity).collect()
}

#[tokio::test]
async fn an_expression_finds_what_its_parts_find() {
    let (app, key) = serving(400).await;
    let expression = async |text: &str| found(&app, &key, &format!("filter={}", encoded(text))).await;
    let offices = found(&app, &key, "existing_use=office").await;
    let flats = found(&app, &key, "existing_use=apartments").await;
    assert!(!offices.is_empty() && !flats.is_empty());
    let either = expression("(existing_use = \"office\" OR existing_use = \"apartments\")").await;
    assert_eq!(either.len(), offices.len() + flats.len());
    assert_eq!(either, found(&app, &key, "existing_use__in=office,apartments").await);
    let neither = expression("NOT (existing_use = office OR existing_use = apartments)").await;
    assert_eq!(neither.len() + either.len(), 400);
    let costly =
        expression("(existing_use = office OR existing_use = apartments) AND NOT estimated_cost < 10000").await;
    let cheap = expression("(existing_use = office OR existing_use = apartments) AND estimated_cost < 10000").await;
    assert_eq!(costly.len() + cheap.len(), either.len());
    assert!(!costly.is_empty() && !cheap.is_empty());
    // What is joined by AND may as well stand in parameters of its own.
    let mixed =
        found(&app, &key, &format!("existing_use=office&filter={}", encoded("NOT estimated_cost < 10000"))).await;
    assert_eq!(mixed, expression("existing_use = office AND NOT estimated_cost < 10000").await);
    // Alternatives of which each has an index, and one of which none has.
    let by_number = expression("application_number = 201612013997 OR status = nothing").await;
    assert_eq!(by_number.len(), 1);
    let wide = expression("application_number = 201612013997 OR description : \"a\"").await;
    assert_eq!(wide.len(), found(&app, &key, "description__contains=a").await.len().max(1));
}

#[tokio::test]
async fn a_mistake_in_an_expression_is_shown_with_its_place() {
    let (app, key) = serving(20).await;
    let refused = async |text: &str| {
        let answer = app.get(&format!("/permits?filter={}", encoded(text)), &key).await.expect(400).json();
        answer["invalid_params"][0].clone()
    };
    let mixed = refused("status = a AND status = b OR status = c").await;
    assert_eq!((mixed["name"].as_str(), mixed["position"].as_u64()), (Some("filter"), Some(27)), "{mixed}");
    let unknown = refused("stauts = a").await;
    assert_eq!((unknown["did_you_mean"].as_str(), unknown["position"].as_u64()), (Some("status"), Some(1)));
    let sql = refused("status IN ('a')").await;
    assert_eq!(sql["did_you_mean"], "in");
    let deep = refused(&format!("{}status = a{}", "(".repeat(9), ")".repeat(9))).await;
    assert!(deep["reason"].as_str().unwrap().contains("at most 8"), "{deep}");
    let long = app.get(&format!("/permits?status={}", "x".repeat(9000)), &key).await.expect(400).json();
    assert!(long["invalid_params"][0]["reason"].as_str().unwrap().contains("at most 8192"), "{long}");
}

#[tokio::test]
async fn records_are_counted_for_who_asks() {
    let (app, key) = serving(300).await;
    let count = async |query: &str| {
        let page = app.get(&format!("/permits?limit=1&count=exact&{query}"), &key).await.expect(200).json();
        (page["page"]["count"].as_u64().unwrap(), page["page"]["next"].as_str().map(str::to_owned))
    };
    let (all, next) = count("").await;
    assert_eq!(all, 300);
    let (offices, _) = count("existing_use=office").await;
    assert!(offices > 0 && offices < 300);
    assert_eq!(offices, found(&app, &key, "existing_use=office").await.len() as u64);
    // On every page of a walk it is the whole.
    assert_eq!(count(&format!("cursor={}", next.unwrap())).await.0, 300);
    assert!(app.get("/permits?limit=1", &key).await.json()["page"].get("count").is_none());
    let refused = app.get("/permits?count=about", &key).await.expect(400).json();
    assert_eq!(refused["invalid_params"][0]["did_you_mean"], "exact");
}

#[tokio::test]
async fn facets_and_figures_sum_up() {
    let (app, key) = serving(300).await;
    let (all, _) = walk(&app, &key, "/permits?limit=1000").await;
    let answer = app.get("/permits/facets?columns=proposed_use,existing_use&limit=3", &key).await.expect(200).json();
    assert_eq!((&answer["records"], &answer["dataset"]), (&json!(300), &json!({ "name": "permits", "version": 1 })));
    let uses = &answer["facets"][0];
    assert_eq!((&uses["column"], &uses["complete"]), (&json!("proposed_use"), &json!(false)));
    let values = uses["values"].as_array().unwrap();
    assert_eq!(values.len(), 3);
    for value in values {
        let expected = all.iter().filter(|record| record["proposed_use"] == value["value"]).count();
        assert_eq!(value["count"], expected, "{value}");
    }
    assert!(values.windows(2).all(|two| two[0]["count"].as_u64() >= two[1]["count"].as_u64()));
    let uses: std::collections::BTreeSet<String> = all.iter().map(|r| r["existing_use"].to_string()).collect();
    assert_eq!(answer["facets"][1]["complete"], uses.len() <= 3);
    let some = app.get("/permits/facets?columns=existing_use&existing_use__ne=office", &key).await.expect(200).json();
    let others = some["facets"][0]["values"].as_array().unwrap();
    assert!(!others.is_empty() && others.iter().all(|value| value["value"] != "office"));

    let answer =
        app.get("/permits/stats?columns=estimated_cost,file_date&existing_use=office", &key).await.expect(200).json();
    let offices: Vec<&Value> = all.iter().filter(|record| record["existing_use"] == "office").collect();
    let cents = |record: &&&Value| record["estimated_cost"].as_f64().map(|cost| (cost * 100.0).round() as i64);
    let costs: Vec<i64> = offices.iter().filter_map(|record| cents(&record)).collect();
    let figures = &answer["stats"][0];
    assert_eq!(answer["records"], offices.len());
    assert_eq!(figures["count"], costs.len());
    let of = |name: &str| (figures[name].as_f64().unwrap() * 100.0).round() as i64;
    assert_eq!(of("min"), *costs.iter().min().unwrap());
    assert_eq!(of("max"), *costs.iter().max().unwrap());
    assert_eq!(of("sum"), costs.iter().sum::<i64>());
    let mean = costs.iter().sum::<i64>() as f64 / 100.0 / costs.len() as f64;
    assert!((figures["mean"].as_f64().unwrap() - mean).abs() < 1e-6);
    let dates = &answer["stats"][1];
    assert!(dates["min"].as_str().unwrap() <= dates["max"].as_str().unwrap() && dates.get("sum").is_none());

    for (path, name) in [
        ("/permits/facets", "columns"),
        ("/permits/facets?columns=nothing", "columns"),
        ("/permits/facets?columns=status&sort=status", "sort"),
        ("/permits/stats?columns=status", "columns"),
        ("/permits/stats?columns=estimated_cost&limit=3", "limit"),
        ("/permits/stats?columns=estimated_cost&statsu=x", "statsu"),
    ] {
        let refused = app.get(path, &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], name, "{path}: {refused}");
    }
}

/// What the `sqlite3` command makes of a statement over the records: lines, with a bar between two columns.
pub(crate) fn sqlite3(csv: &str, sql: &str) -> String {
    let folder = crate::support::data_dir();
    let file = folder.path().join("permits.csv");
    std::fs::write(&file, csv).unwrap();
    let mut shell = Command::new("sqlite3")
        .args(["-batch", "-bail", ":memory:"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sqlite3 command");
    let script = format!(
        ".import --csv {file} raw\n\
         CREATE TABLE permits AS SELECT application_number, CAST(record_id AS INTEGER) AS record_id,\n\
         NULLIF(status, '') AS status, NULLIF(existing_use, '') AS existing_use, NULLIF(file_date, '') AS file_date, NULLIF(description, '') AS description,\n\
         CAST(NULLIF(estimated_cost, '') AS REAL) AS estimated_cost FROM raw;\n\
         .mode list\n.separator |\n{sql};\n",
        file = file.display()
    );
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success(), "{sql}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_sqlite3_command_finds_the_same() {
    let (app, key) = serving(600).await;
    let csv = app.get("/permits?format=csv", &key).await.expect(200).body;
    let cases = [
        ("existing_use=office", "existing_use = 'office'"),
        ("existing_use__ne=office", "existing_use IS NOT 'office'"),
        ("estimated_cost__lt=5000", "estimated_cost < 5000"),
        ("estimated_cost__lte=5000", "estimated_cost <= 5000"),
        ("estimated_cost__gt=5000", "estimated_cost > 5000"),
        ("file_date__gte=2016-11-15", "file_date >= '2016-11-15'"),
        ("estimated_cost__between=1000,20000", "estimated_cost BETWEEN 1000 AND 20000"),
        ("existing_use__in=office,apartments,none", "existing_use IN ('office','apartments','none')"),
        (
            "existing_use__notin=office,apartments",
            "existing_use IS NULL OR existing_use NOT IN ('office','apartments')",
        ),
        ("description__contains=KITCHEN", "instr(lower(description), 'kitchen') > 0"),
        ("description__startswith=RE", "substr(description, 1, 2) = 'RE'"),
        ("existing_use__isnull=true", "existing_use IS NULL"),
        ("existing_use__isnull=false&status=issued", "existing_use IS NOT NULL AND status = 'issued'"),
        ("filter=NOT+estimated_cost+%3C+5000", "NOT ifnull(estimated_cost < 5000, 0)"),
        (
            "filter=(existing_use+%3D+office+OR+estimated_cost+%3E+100000)+AND+NOT+description+%3A+roof",
            "(existing_use = 'office' OR estimated_cost > 100000) AND NOT ifnull(instr(lower(description), 'roof') > 0, 0)",
        ),
        (
            "filter=NOT+(status+%3D+issued+AND+(file_date+%3E+2016-11-01+OR+isnull(existing_use)))",
            "NOT (ifnull(status = 'issued', 0) AND (ifnull(file_date > '2016-11-01', 0) OR existing_use IS NULL))",
        ),
        (
            "filter=between(estimated_cost,+1,+3000)+OR+startswith(description,+%22TO%22)&existing_use__ne=office",
            "(estimated_cost BETWEEN 1 AND 3000 OR substr(description, 1, 2) = 'TO') AND existing_use IS NOT 'office'",
        ),
    ];
    let orders = [
        ("", "application_number, record_id"),
        ("&sort=-estimated_cost", "estimated_cost DESC NULLS LAST, application_number DESC, record_id DESC"),
        (
            "&sort=existing_use,-file_date",
            "existing_use NULLS LAST, file_date DESC NULLS LAST, application_number DESC, record_id DESC",
        ),
    ];
    let mut matched = 0;
    for (query, condition) in cases {
        for (sort, order) in orders {
            let sql = format!("SELECT application_number, record_id FROM permits WHERE {condition} ORDER BY {order}");
            let text = sqlite3(&csv, &sql);
            let identity = |line: &str| {
                let (number, id) = line.split_once('|').unwrap();
                (number.to_owned(), id.parse().unwrap())
            };
            let expected: Vec<(String, i64)> = text.lines().map(identity).collect();
            assert_eq!(found(&app, &key, &format!("{query}{sort}")).await, expected, "{query}{sort}");
            matched += expected.len();
        }
    }
    assert!(matched > 1000, "the questions are about something: {matched}");
}

#[tokio::test]
async fn a_question_that_takes_too_long_ends_with_what_would_narrow_it() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    // By the clock of the test.
    let settings = vec![("records.find_timeout_ms", "60".to_owned()), ("records.columns_bytes_max", "0".to_owned())];
    let app = TestApp::with(Options { clock: clock.clone(), settings, sample_rows: 2000, ..Options::default() }).await;
    let key = unlimited(&app).await;
    let slow = "/permits?description__contains=nothing-of-the-kind&sort=estimated_cost";
    let left = crate::admission::daily_left(&app.get("/permits?limit=1", &key).await);
    clock.hurry_us(10_000);
    let answer = app.get(slow, &key).await;
    clock.hurry_us(0);
    assert_eq!(crate::admission::daily_left(&answer), left - 1, "what the server did is charged");
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((answer.status, problem["type"].as_str().unwrap()), (503, "/problems/overloaded"));
    assert!(answer.header("retry-after").is_some());
    assert!(detail.contains("given up after 60 ms"), "{detail}");
    assert_eq!(app.get(slow, &key).await.expect(200).json()["data"], json!([]));
    assert!(detail.contains("index"), "{detail}");
    // Others are served.
    app.get("/permits/201612013997", &key).await.expect(200);
}

/// The place where a page ends lies in one alternative; the others begin where they begin.
#[tokio::test]
async fn alternatives_that_are_ranges_of_the_order_give_each_record_once() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let rows: String = ["a", "a", "d", "a", "k", "x"].map(|name| format!("{name},1\n")).concat();
    import(&app, things(), format!("Name,Height\n{rows}").into_bytes(), "things.csv").await;
    let filter = "filter=name%20%3E%20%22issued%22%20OR%20name%20%3C%20%22complete%22&limit=1";
    for (sort, expected) in [("name", ["a", "a", "a", "k", "x"]), ("-name", ["x", "k", "a", "a", "a"])] {
        let (walked, _) = walk(&app, &key, &format!("/things?{filter}&sort={sort}")).await;
        let names: Vec<&str> = walked.iter().map(|record| record["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{sort}");
    }
}
