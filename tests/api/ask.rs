//! Asking: expressions, counts, summaries, and the same questions put to the `sqlite3` command.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{identity, serving, walk},
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
    let issued = found(&app, &key, "status=issued").await;
    let complete = found(&app, &key, "status=complete").await;
    let either = expression("(status = \"issued\" OR status = \"complete\")").await;
    assert_eq!(either.len(), issued.len() + complete.len());
    assert_eq!(either, found(&app, &key, "status__in=issued,complete").await);
    let neither = expression("NOT (status = issued OR status = complete)").await;
    assert_eq!(neither.len() + either.len(), 400);
    let costly = expression("(status = issued OR status = complete) AND NOT estimated_cost < 10000").await;
    let cheap = expression("(status = issued OR status = complete) AND estimated_cost < 10000").await;
    assert_eq!(costly.len() + cheap.len(), either.len());
    assert!(!costly.is_empty() && !cheap.is_empty());
    // What is joined by AND may as well stand in parameters of its own.
    let mixed = found(&app, &key, &format!("status=issued&filter={}", encoded("NOT estimated_cost < 10000"))).await;
    assert_eq!(mixed, expression("status = issued AND NOT estimated_cost < 10000").await);
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
    let (issued, _) = count("status=issued").await;
    assert_eq!(issued, found(&app, &key, "status=issued").await.len() as u64);
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
    let answer = app.get("/permits/facets?columns=status,existing_use&limit=3", &key).await.expect(200).json();
    assert_eq!((&answer["records"], &answer["dataset"]), (&json!(300), &json!({ "name": "permits", "version": 1 })));
    let status = &answer["facets"][0];
    assert_eq!(status["column"], "status");
    let values = status["values"].as_array().unwrap();
    for value in values {
        let expected = all.iter().filter(|record| record["status"] == value["value"]).count();
        assert_eq!(value["count"], expected, "{value}");
    }
    assert!(values.windows(2).all(|two| two[0]["count"].as_u64() >= two[1]["count"].as_u64()));
    let uses: std::collections::BTreeSet<String> = all.iter().map(|r| r["existing_use"].to_string()).collect();
    assert_eq!(answer["facets"][1]["complete"], uses.len() <= 3);
    let some = app.get("/permits/facets?columns=status&status__ne=issued", &key).await.expect(200).json();
    assert!(some["facets"][0]["values"].as_array().unwrap().iter().all(|value| value["value"] != "issued"));

    let answer =
        app.get("/permits/stats?columns=estimated_cost,file_date&status=issued", &key).await.expect(200).json();
    let issued: Vec<&Value> = all.iter().filter(|record| record["status"] == "issued").collect();
    let cents = |record: &&&Value| record["estimated_cost"].as_f64().map(|cost| (cost * 100.0).round() as i64);
    let costs: Vec<i64> = issued.iter().filter_map(|record| cents(&record)).collect();
    let figures = &answer["stats"][0];
    assert_eq!(answer["records"], issued.len());
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

/// What the `sqlite3` command makes of a statement over the records, each a row of two columns.
fn sqlite3(csv: &str, sql: &str) -> Vec<(String, i64)> {
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
         NULLIF(status, '') AS status, NULLIF(file_date, '') AS file_date, NULLIF(description, '') AS description,\n\
         CAST(NULLIF(estimated_cost, '') AS REAL) AS estimated_cost FROM raw;\n\
         .mode list\n.separator |\n{sql};\n",
        file = file.display()
    );
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success(), "{sql}");
    let line = |line: &str| {
        let (number, id) = line.split_once('|').unwrap();
        (number.to_owned(), id.parse().unwrap())
    };
    String::from_utf8(output.stdout).unwrap().lines().map(line).collect()
}

#[tokio::test]
async fn the_sqlite3_command_finds_the_same() {
    let (app, key) = serving(600).await;
    let csv = app.get("/permits?format=csv", &key).await.expect(200).body;
    let cases = [
        ("status=issued", "status = 'issued'"),
        ("status__ne=issued", "status IS NOT 'issued'"),
        ("estimated_cost__lt=5000", "estimated_cost < 5000"),
        ("estimated_cost__lte=5000", "estimated_cost <= 5000"),
        ("estimated_cost__gt=5000", "estimated_cost > 5000"),
        ("file_date__gte=2016-11-15", "file_date >= '2016-11-15'"),
        ("estimated_cost__between=1000,20000", "estimated_cost BETWEEN 1000 AND 20000"),
        ("status__in=issued,filed,expired", "status IN ('issued','filed','expired')"),
        ("status__notin=issued,filed", "status IS NULL OR status NOT IN ('issued','filed')"),
        ("description__contains=KITCHEN", "instr(lower(description), 'kitchen') > 0"),
        ("description__startswith=RE", "substr(description, 1, 2) = 'RE'"),
        ("estimated_cost__isnull=true", "estimated_cost IS NULL"),
        ("estimated_cost__isnull=false&status=issued", "estimated_cost IS NOT NULL AND status = 'issued'"),
        ("filter=NOT+estimated_cost+%3C+5000", "NOT ifnull(estimated_cost < 5000, 0)"),
        (
            "filter=(status+%3D+issued+OR+estimated_cost+%3E+100000)+AND+NOT+description+%3A+roof",
            "(status = 'issued' OR estimated_cost > 100000) AND NOT ifnull(instr(lower(description), 'roof') > 0, 0)",
        ),
        (
            "filter=NOT+(status+%3D+issued+AND+(file_date+%3E+2016-11-01+OR+isnull(estimated_cost)))",
            "NOT (ifnull(status = 'issued', 0) AND (ifnull(file_date > '2016-11-01', 0) OR estimated_cost IS NULL))",
        ),
        (
            "filter=between(estimated_cost,+1,+3000)+OR+startswith(description,+%22TO%22)&status__ne=complete",
            "(estimated_cost BETWEEN 1 AND 3000 OR substr(description, 1, 2) = 'TO') AND status IS NOT 'complete'",
        ),
    ];
    let orders = [
        ("", "application_number, record_id"),
        ("&sort=-estimated_cost", "estimated_cost DESC NULLS LAST, application_number DESC, record_id DESC"),
        (
            "&sort=status,-file_date",
            "status NULLS LAST, file_date DESC NULLS LAST, application_number DESC, record_id DESC",
        ),
    ];
    let mut matched = 0;
    for (query, condition) in cases {
        for (sort, order) in orders {
            let sql = format!("SELECT application_number, record_id FROM permits WHERE {condition} ORDER BY {order}");
            let expected = sqlite3(&csv, &sql);
            assert_eq!(found(&app, &key, &format!("{query}{sort}")).await, expected, "{query}{sort}");
            matched += expected.len();
        }
    }
    assert!(matched > 1000, "the questions are about something: {matched}");
}
