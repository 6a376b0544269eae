//! Groups: keys, measures, conditions and orders of groups, as JSON and CSV, and the same asked of the `sqlite3` command.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    ask::sqlite3,
    data::{columns_of, serving, things_of},
};

/// Things with a column of every type.
async fn measured() -> (TestApp, String) {
    let columns = columns_of(&[
        ("kind", "text"),
        ("count_of_all", "integer"),
        ("cost", "money"),
        ("size", "number"),
        ("day", "date"),
        ("seen", "timestamp"),
    ]);
    let rows = "\
Name,kind,count_of_all,cost,size,day,seen
a,red,9007199254740993,90071992547409.93,0.1,2016-12-31,2016-12-31T23:59:59Z
b,red,2,0.05,0.2,2016-12-31,2017-01-01T00:30:00Z
c,blue,3,7,0.7,2017-01-01,2017-01-01T00:59:59.5Z
d,blue,-4,-2.50,,2017-01-02,
e,,,,0.1,,2017-01-02T12:00:00Z
";
    things_of(&columns, rows).await
}

#[tokio::test]
async fn records_are_grouped_by_columns_parts_of_dates_and_bins() {
    let (app, key) = measured().await;
    let groups = async |query: &str| {
        let answer = app.get(&format!("/things/groups?{query}"), &key).await.expect(200).json();
        assert_eq!(answer["dataset"]["name"], "things");
        answer["groups"].clone()
    };
    let whole = app.get("/things/groups?by=kind&measure=count,sum(cost)", &key).await.expect(200).json();
    assert_eq!(
        whole,
        json!({
            "records": 5, "count": 3, "limit": 100,
            "groups": [
                { "kind": "blue", "count": 2, "sum_cost": 4.50 },
                { "kind": "red", "count": 2, "sum_cost": 90071992547409.98 },
                { "kind": null, "count": 1, "sum_cost": null },
            ],
            "complete": true, "dataset": { "name": "things", "version": 1 },
        })
    );
    // Sums have every digit, whatever a reader makes of it.
    let text =
        app.get("/things/groups?by=kind&measure=sum(count_of_all),sum(cost)&kind=red", &key).await.expect(200).body;
    assert!(text.contains("\"sum_count_of_all\":9007199254740995,\"sum_cost\":90071992547409.98"), "{text}");
    let texts = groups("by=kind&measure=sum(count_of_all),sum(cost),mean(size)&kind=red&numbers=text").await;
    assert_eq!(texts[0]["sum_count_of_all"], "9007199254740995");
    assert_eq!(
        (&texts[0]["sum_cost"], &texts[0]["mean_size"]),
        (&json!("90071992547409.98"), &json!(0.15000000000000002))
    );

    let days = groups("by=month(day),weekday(day)").await;
    assert_eq!(
        days,
        json!([
            { "month_day": "2016-12", "weekday_day": 6, "count": 2 },
            { "month_day": "2017-01", "weekday_day": 1, "count": 1 },
            { "month_day": "2017-01", "weekday_day": 7, "count": 1 },
            { "month_day": null, "weekday_day": null, "count": 1 },
        ])
    );
    assert_eq!(groups("by=week(day)&day__isnull=false").await[0], json!({ "week_day": "2016-W52", "count": 3 }));
    assert_eq!(groups("by=quarter(day)").await[1], json!({ "quarter_day": "2017-Q1", "count": 2 }));
    assert_eq!(groups("by=year(seen)&sort=-year_seen").await[0], json!({ "year_seen": 2017, "count": 3 }));
    assert_eq!(groups("by=hour(seen)").await[1], json!({ "hour_seen": "2017-01-01T00:00:00Z", "count": 2 }));
    assert_eq!(groups("by=day(seen)").await[1], json!({ "day_seen": "2017-01-01", "count": 2 }));
    let bins = groups("by=bin(cost,5)&cost__lt=100").await;
    assert_eq!(
        bins,
        json!([{ "bin_cost": -5.0, "count": 1 }, { "bin_cost": 0.0, "count": 1 }, { "bin_cost": 5.0, "count": 1 }])
    );
    assert_eq!(groups("by=bin(size,0.5)&size__isnull=false").await[1], json!({ "bin_size": 0.5, "count": 1 }));

    let measures = "count(size),min(day),max(kind),median(cost),distinct(kind)";
    let all = groups(&format!("by=bin(count_of_all,100)&measure={measures}&count_of_all__lt=100")).await;
    assert_eq!(
        all[1],
        json!({ "bin_count_of_all": 0, "count_size": 2, "min_day": "2016-12-31", "max_kind": "red", "median_cost": 3.525, "distinct_kind": 2 })
    );
    // Names of one's own, conditions on groups, and their order.
    let named =
        groups("by=which:kind&measure=n:count,total:sum(cost)&having=n+%3E+1+AND+total+%3C+100&sort=-total").await;
    assert_eq!(named, json!([{ "which": "blue", "n": 2, "total": 4.50 }]));
    let fewest = app.get("/things/groups?by=kind&sort=-count,kind&limit=1", &key).await.expect(200).json();
    assert_eq!(
        (&fewest["groups"], &fewest["complete"], &fewest["count"]),
        (&json!([{ "kind": "blue", "count": 2 }]), &json!(false), &json!(3))
    );
}

#[tokio::test]
async fn groups_are_a_table_for_who_asks() {
    let (app, key) = measured().await;
    let csv = app.get("/things/groups?by=kind&measure=count,sum(cost)&format=csv", &key).await.expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"things-groups.csv\""));
    assert_eq!(csv.body, "kind,count,sum_cost\r\nblue,2,4.50\r\nred,2,90071992547409.98\r\n,1,\r\n");
    let other = app.get("/things/groups?by=kind&format=csv&delimiter=semicolon&bom=true", &key).await.expect(200);
    assert_eq!(other.body, "\u{feff}kind;count\r\nblue;2\r\nred;2\r\n;1\r\n");
    // One that is still good is not sent again.
    let tag = csv.header("etag").unwrap().to_owned();
    let again = app
        .request(reqwest::Method::GET, "/things/groups?measure=count,sum(cost)&format=csv&by=kind")
        .header("x-api-key", &key)
        .header("if-none-match", &tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn a_mistake_in_a_question_for_groups_says_what_is_meant() {
    let (app, key) = measured().await;
    let refused = async |query: &str| {
        let answer = app.get(&format!("/things/groups?{query}"), &key).await.expect(400).json();
        let wrong = answer["invalid_params"][0].clone();
        (
            wrong["name"].as_str().unwrap().to_owned(),
            wrong["reason"].as_str().unwrap().to_owned(),
            wrong["did_you_mean"].clone(),
        )
    };
    let cases: [(&str, &str, &str, Value); 16] = [
        ("measure=count", "by", "is missing", Value::Null),
        ("by=kidn", "by", "there is no column", json!("kind")),
        ("by=mont(day)", "by", "nothing like \"mont\"", json!("month")),
        ("by=month(kind)", "by", "part of dates and timestamps", Value::Null),
        ("by=hour(day)", "by", "part of timestamps", Value::Null),
        ("by=bin(kind,5)", "by", "bins of numbers and amounts", Value::Null),
        ("by=bin(cost,0)", "by", "is no width", Value::Null),
        ("by=bin(cost)", "by", "is no width", Value::Null),
        ("by=kind,kind", "by", "two of the answer's columns", Value::Null),
        ("by=K:kind", "by", "is no name", Value::Null),
        ("by=kind,day,size,cost,seen", "by", "at most 4", Value::Null),
        ("by=kind&measure=avg(cost)", "measure", "there is no measure", json!("mean")),
        ("by=kind&measure=sum(kind)", "measure", "numbers and amounts", Value::Null),
        ("by=kind&having=cuont+%3E+1", "having", "there is no column", json!("count")),
        ("by=kind&sort=-cost", "sort", "they have kind, count", Value::Null),
        ("by=kind&format=parquet", "format", "json or csv", json!("csv")),
    ];
    for (query, name, reason, meant) in cases {
        let wrong = refused(query).await;
        assert!(
            wrong.0 == name && wrong.1.contains(reason) && (meant.is_null() || wrong.2 == meant),
            "{query}: {wrong:?}"
        );
    }
    let elsewhere = app.get("/things?$group=kind", &key).await.expect(400).json();
    assert!(elsewhere["invalid_params"][0]["reason"].as_str().unwrap().contains("/groups?by="), "{elsewhere}");
}

/// A list of values is bounded as a page is.
#[tokio::test]
async fn an_answer_of_long_texts_is_refused_before_it_is_made() {
    let long = "x".repeat(200_000);
    let rows: String = (0..100).map(|row| format!("n{row},{row}{long}\n")).collect();
    let columns = "[[column]]\nname = \"note\"\ntype = \"text\"\nheaders = [\"Note\"]\n";
    let (app, key) = things_of(columns, &format!("Name,Note\n{rows}")).await;
    for question in ["facets?columns=note", "groups?by=note", "groups?by=name&measure=max(note)"] {
        let refused = app.get(&format!("/things/{question}"), &key).await.expect(400).json();
        assert!(refused["detail"].as_str().unwrap().contains("with limit"), "{question}: {refused}");
        app.get(&format!("/things/{question}&limit=5"), &key).await.expect(200);
    }
}

/// Whatever holds the records, the groups are those that another database makes of them.
#[tokio::test]
async fn the_sqlite3_command_makes_the_same_groups() {
    let (app, key) = serving(700).await;
    let csv = app.get("/permits?format=csv", &key).await.expect(200).body;
    let cases = [
        ("by=status", "status, count(*) AS n", "status", ""),
        (
            "by=status&measure=count,sum(estimated_cost)",
            "status, count(*), printf('%.2f', sum(estimated_cost))",
            "status",
            "",
        ),
        (
            "by=existing_use,month(file_date)&measure=count,max(estimated_cost)&status=issued",
            "existing_use, substr(file_date, 1, 7) AS month, count(*), printf('%.2f', max(estimated_cost))",
            "existing_use, month",
            "WHERE status = 'issued'",
        ),
        (
            "by=bin(estimated_cost,10000)&measure=count,distinct(existing_use)&estimated_cost__lt=100000",
            "printf('%.2f', CAST(estimated_cost / 10000 AS INTEGER) * 10000.0) AS bin, count(*), count(DISTINCT existing_use)",
            "CAST(estimated_cost / 10000 AS INTEGER)",
            "WHERE estimated_cost < 100000",
        ),
    ];
    for (query, columns, by, condition) in cases {
        let order = by.split(", ").map(|key| format!("{key} NULLS LAST")).collect::<Vec<_>>().join(", ");
        let expected =
            sqlite3(&csv, &format!("SELECT {columns} FROM permits {condition} GROUP BY {by} ORDER BY {order}"));
        let answer = app.get(&format!("/permits/groups?{query}&format=csv&limit=1000"), &key).await.expect(200).body;
        let mut reader = csv::Reader::from_reader(answer.as_bytes());
        let found: Vec<String> =
            reader.records().map(|row| row.unwrap().iter().collect::<Vec<_>>().join("|")).collect();
        assert_eq!(found, expected.lines().collect::<Vec<_>>(), "{query}");
        assert!(!found.is_empty(), "{query}");
    }
}
