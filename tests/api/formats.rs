//! Exports with types: Parquet, streams of Arrow, workbooks.

use std::{fmt::Write as _, io::Cursor, ops::Range, process::Command};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use arrow_ipc::reader::StreamReader;
use calamine::{Data, Reader, Xlsx};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use permitd::dataset::Definition;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{columns_of, import, serving, things_with, unlimited},
    support::{repository, tools},
};

const PARQUET: &str = "application/vnd.apache.parquet";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Things with a column of every type.
fn typed() -> Definition {
    let columns = r#"
        [[column]]
        name = "count_of_all"
        type = "integer"
        headers = ["Count"]
        [[column]]
        name = "cost"
        type = "money"
        headers = ["Cost"]
        [[column]]
        name = "size"
        type = "number"
        headers = ["Size"]
        [[column]]
        name = "day"
        type = "date"
        headers = ["Day"]
        [[column]]
        name = "seen"
        type = "timestamp"
        headers = ["Seen"]
        [[column]]
        name = "note"
        type = "text"
        headers = ["Note"]
    "#;
    things_with("", columns)
}

/// What is easily lost on the way.
const EDGES: &str = "\
Name,Count,Cost,Size,Day,Seen,Note
a plain,1,4000.00,37.78,2016-12-01,2016-12-01T09:30:00Z,said
b greatest,9223372036854775807,92233720368547758.07,1.7976931348623157e308,9999-12-31,9999-12-30T21:59:59.999999Z,\u{10ffff} ½ 漢字 ü
c least,-9223372036854775808,-92233720368547758.07,-1.7976931348623157e308,0001-01-01,0001-01-01T00:00:00Z,\"say \"\"so\"\", twice\"
d zero,0,-0.05,0,1970-01-01,1969-12-31T23:59:59.999999Z,=1+1
e nothing,,,,,,
f digits,999999999999999,9999999999999.99,0.1,1900-03-01,1900-03-01T06:00:00.5Z,00123
g beyond,1000000000000000,10000000000000.00,5e-324,1899-12-31,2016-12-01T09:30:00.0001Z,_x0041_
h formula,2,0.10,1e-7,2016-02-29,2262-04-12T00:00:00Z,@sum
";

/// An export as bytes.
async fn export(app: &TestApp, key: &str, query: &str) -> (HeaderMap, Vec<u8>) {
    let response = app.request(Method::GET, &format!("/{query}")).header("x-api-key", key).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    assert_eq!(status, 200, "{query}: {}", String::from_utf8_lossy(&body));
    (headers, body.to_vec())
}

fn parquet_read(file: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

fn arrow_read(file: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(Cursor::new(file), None).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The rows of batches as the JSON of `numbers=text` has them.
fn as_json(batches: &[RecordBatch]) -> Vec<Value> {
    let value = |array: &dyn Array, row: usize| {
        if array.is_null(row) {
            return Value::Null;
        }
        match array.data_type().to_string().as_str() {
            "Utf8" => array.as_string::<i32>().value(row).into(),
            "Int64" => array.as_primitive::<Int64Type>().value(row).to_string().into(),
            "Decimal128(19, 2)" => array.as_primitive::<Decimal128Type>().value_as_string(row).into(),
            "Float64" => json!(array.as_primitive::<Float64Type>().value(row)),
            "Date32" => {
                let days = array.as_primitive::<Date32Type>().value(row);
                let epoch = jiff::civil::date(1970, 1, 1);
                epoch.checked_add(jiff::Span::new().days(days)).unwrap().to_string().into()
            }
            "Timestamp(µs, \"UTC\")" => {
                let moment = array.as_primitive::<TimestampMicrosecondType>().value(row);
                jiff::Timestamp::from_microsecond(moment).unwrap().to_string().into()
            }
            other => panic!("{other}"),
        }
    };
    let of_row = |batch: &RecordBatch, row: usize| {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        Value::Object(columns.map(|(field, array)| (field.name().clone(), value(array.as_ref(), row))).collect())
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| of_row(batch, row)).collect::<Vec<_>>()).collect()
}

fn sheet(file: Vec<u8>) -> Vec<Vec<Data>> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
    let range = workbook.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(<[Data]>::to_vec).collect()
}

/// The records of NDJSON. Numbers are doubles, as they are published.
fn lines(body: &[u8]) -> Vec<Value> {
    let mut records: Vec<Value> =
        std::str::from_utf8(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for value in records.iter_mut().flat_map(|record| record.as_object_mut().unwrap().values_mut()) {
        if let Value::Number(number) = value {
            *value = json!(number.as_f64());
        }
    }
    records
}

#[tokio::test]
async fn every_format_holds_what_matches() {
    let (app, key) = serving(1500).await;
    for query in [
        "",
        "status=issued",
        "existing_use__in=office,apartments&sort=-file_date",
        "estimated_cost__gt=1000&select=address,estimated_cost",
        "limit=7&sort=-estimated_cost",
        "status=nothing",
    ] {
        let expected = lines(&export(&app, &key, &format!("permits?format=ndjson&numbers=text&{query}")).await.1);
        let (headers, parquet) = export(&app, &key, &format!("permits?format=parquet&{query}")).await;
        assert_eq!(headers["content-type"], PARQUET);
        assert_eq!(headers["content-disposition"], "attachment; filename=\"permits-v1.parquet\"");
        assert_eq!(headers["x-dataset-version"], "1");
        assert_eq!(as_json(&parquet_read(parquet)), expected, "{query}");
        let (headers, arrow) = export(&app, &key, &format!("permits?format=arrow&{query}")).await;
        assert_eq!(headers["content-type"], ARROW);
        assert_eq!(headers["content-disposition"], "attachment; filename=\"permits-v1.arrows\"");
        assert_eq!(as_json(&arrow_read(&arrow)), expected, "{query}");
        let (headers, xlsx) = export(&app, &key, &format!("permits?format=xlsx&{query}")).await;
        assert_eq!(headers["content-type"], XLSX);
        assert_eq!(headers["content-disposition"], "attachment; filename=\"permits-v1.xlsx\"");
        let rows = sheet(xlsx);
        assert_eq!(rows.len(), expected.len() + 1, "{query}");
        for (cells, record) in rows[1..].iter().zip(&expected) {
            for (cell, (name, value)) in cells.iter().zip(record.as_object().unwrap()) {
                let is_same = match (cell, value) {
                    (Data::Empty, Value::Null) => true,
                    (Data::String(text), Value::String(value)) => text == value,
                    (Data::Float(number), Value::String(value)) => value.parse() == Ok(*number),
                    (Data::DateTime(day), Value::String(value)) => {
                        let epoch = jiff::civil::date(1899, 12, 30);
                        let days = value.parse::<jiff::civil::Date>().unwrap().since(epoch).unwrap().get_days();
                        day.as_f64() == f64::from(days)
                    }
                    _ => false,
                };
                assert!(is_same, "{name}: {cell:?} is not {value}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_easily_lost_is_kept() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    assert_eq!(import(&app, typed(), EDGES.as_bytes().to_vec(), "things.csv").await, 8);
    let expected = lines(&export(&app, &key, "things?format=ndjson&numbers=text").await.1);
    assert_eq!(expected.len(), 8);
    for (read, texts) in [
        (
            parquet_read(export(&app, &key, "things?format=parquet").await.1),
            parquet_read(export(&app, &key, "things?format=parquet&numbers=text").await.1),
        ),
        (
            arrow_read(&export(&app, &key, "things?format=arrow").await.1),
            arrow_read(&export(&app, &key, "things?format=arrow&numbers=text").await.1),
        ),
    ] {
        assert_eq!(as_json(&read), expected);
        assert_eq!(as_json(&texts), expected);
        let type_of = |batches: &[RecordBatch], name: &str| {
            batches[0].schema().field_with_name(name).unwrap().data_type().to_string()
        };
        assert_eq!([type_of(&read, "count_of_all"), type_of(&read, "cost")], ["Int64", "Decimal128(19, 2)"]);
        assert_eq!(
            [type_of(&texts, "count_of_all"), type_of(&texts, "cost"), type_of(&texts, "size")],
            ["Utf8", "Utf8", "Float64"]
        );
    }
    let rows = sheet(export(&app, &key, "things?format=xlsx").await.1);
    let column = |name: &str| rows[0].iter().position(|cell| *cell == Data::String(name.to_owned())).unwrap();
    let text = |text: &str| Data::String(text.to_owned());
    assert_eq!(rows[2][column("count_of_all")], text("9223372036854775807"));
    assert_eq!(rows[3][column("cost")], text("-92233720368547758.07"));
    assert_eq!(rows[3][column("day")], text("0001-01-01"));
    assert_eq!(rows[4][column("cost")], Data::Float(-0.05));
    assert_eq!(rows[4][column("note")], text("=1+1"));
    assert!(rows[5][column("count_of_all")..].iter().all(|cell| *cell == Data::Empty), "{:?}", rows[5]);
    assert_eq!(rows[6][column("cost")], Data::Float(9_999_999_999_999.99));
    assert_eq!(rows[6][column("note")], text("00123"));
    assert_eq!(rows[7][column("seen")], text("2016-12-01T09:30:00.0001Z"));
    let texts = sheet(export(&app, &key, "things?format=xlsx&numbers=text").await.1);
    assert_eq!((&texts[1][column("count_of_all")], &texts[1][column("cost")]), (&text("1"), &text("4000.00")));
    assert_eq!(texts[1][column("size")], Data::Float(37.78));
}

#[tokio::test]
async fn a_workbook_is_imported_again_with_nothing_changed() {
    let app = TestApp::start().await;
    import(&app, typed(), EDGES.as_bytes().to_vec(), "things.csv").await;
    let key = unlimited(&app).await;
    for query in ["", "&numbers=text", "&sort=-cost&limit=5"] {
        let file = export(&app, &key, &format!("things?format=xlsx{query}")).await.1;
        let summary = crate::data::imported(&app, typed(), file, "things.xlsx").await;
        let counts = (summary.counts.inserted, summary.counts.updated, summary.counts.removed, summary.counts.rejected);
        assert_eq!((counts, summary.changed), ((0, 0, 0, 0), false), "{query}: {summary:?}");
    }
}

#[tokio::test]
async fn what_is_compressed_by_itself_is_sent_as_it_is() {
    let (app, key) = serving(300).await;
    for (format, coding) in [("parquet", None), ("xlsx", None), ("arrow", Some("gzip")), ("csv", Some("gzip"))] {
        let path = format!("/permits?format={format}");
        let asked =
            |method: Method| app.request(method, &path).header("x-api-key", &key).header("accept-encoding", "gzip");
        let whole = asked(Method::GET).send().await.unwrap();
        let coded = whole.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(coded.as_deref(), coding, "{format}");
        let tag = whole.headers()["etag"].clone();
        let head = asked(Method::HEAD).send().await.unwrap();
        for name in ["content-type", "content-disposition", "content-encoding", "etag", "x-dataset-version", "vary"] {
            assert_eq!(head.headers().get(name), whole.headers().get(name), "{format}: {name}");
        }
        let known = asked(Method::GET).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((known.status().as_u16(), known.headers().get("etag")), (304, Some(&tag)), "{format}");
        // The same bytes each time: the tag is a strong one.
        let (first, again) =
            (whole.bytes().await.unwrap(), asked(Method::GET).send().await.unwrap().bytes().await.unwrap());
        assert!(first == again && !first.is_empty(), "{format}");
    }
}

#[tokio::test]
async fn what_a_format_does_not_hold_is_refused_with_the_way_out() {
    let app = TestApp::set(&[("records.workbook_bytes_max", "65536")], 0).await;
    let key = unlimited(&app).await;
    let file = format!("Name,Seen,Note\na,2016-12-01T09:30:00.000000001Z,\nb,,{}\n", "x".repeat(32_768));
    import(&app, typed(), file.into_bytes(), "things.csv").await;
    for (query, words) in [
        ("format=parquet", ["\"seen\" is finer than a microsecond", "select"]),
        ("format=arrow", ["\"seen\" is finer than a microsecond", "format=ndjson"]),
        ("format=xlsx", ["\"note\" is longer than a cell holds, 32767", "format=csv"]),
    ] {
        let refused = app.get(&format!("/things?{query}"), &key).await.expect(400);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        let problem = refused.json();
        assert!(problem["type"].as_str().unwrap().ends_with("/invalid-parameters"), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{query}: {detail}");
        assert!(!detail.contains("xxx") && !detail.contains("2016"), "no value is told: {detail}");
    }
    // Without what is in the way, it is there.
    for query in ["format=parquet&select=name,note", "format=xlsx&select=name,seen", "format=xlsx&name=a"] {
        export(&app, &key, &format!("things?{query}")).await;
    }
    let mut many = "Name,Note\n".to_owned();
    for row in 0..400 {
        writeln!(many, "n{row},{}", "x".repeat(200)).unwrap();
    }
    import(&app, typed(), many.into_bytes(), "things.csv").await;
    let refused = app.get("/things?format=xlsx&name__startswith=n", &key).await.expect(400).json();
    assert!(refused["detail"].as_str().unwrap().contains("larger than 65536 bytes"), "{refused}");
    assert_eq!(sheet(export(&app, &key, "things?format=xlsx&name__startswith=n&limit=100").await.1).len(), 101);
    let left: Vec<_> =
        std::fs::read_dir(app.data().join("records")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // A projection is written when the server comes to it.
    let own = ["things.columns", "things.columns-unfinished"];
    let is_of_records = |name: &str| name.starts_with("things.db") || own.contains(&name);
    assert!(left.iter().all(|name| is_of_records(&name.to_string_lossy())), "{left:?}");
}

/// The last of many rows holds what the format does not: its export has begun by then.
#[tokio::test]
async fn what_breaks_off_is_not_taken_for_whole() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let mut file = "Name,Seen,Note\n".to_owned();
    let mut state = 1_u64;
    for row in 0..60_000 {
        write!(file, "n{row:05},,").unwrap();
        // Nothing that compresses well: a group of rows is sent when it is large.
        for _ in 0..40 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            write!(file, "{state:016x}").unwrap();
        }
        file.push('\n');
    }
    file.push_str("z,2016-12-01T09:30:00.000000001Z,\n");
    import(&app, typed(), file.into_bytes(), "things.csv").await;
    for format in ["arrow", "parquet"] {
        let request = app.request(Method::GET, &format!("/things?format={format}")).header("x-api-key", &key);
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{format}");
        let mut got = Vec::new();
        let ended = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => got.extend(chunk),
                ended => break ended,
            }
        };
        assert!(ended.is_err(), "{format}: the client is told");
        assert!(got.len() > 1024 * 1024, "{format}: {}", got.len());
        let is_refused = match format {
            "arrow" => StreamReader::try_new(Cursor::new(&got), None).unwrap().collect::<Result<Vec<_>, _>>().is_err(),
            _ => ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(got)).is_err(),
        };
        assert!(is_refused, "{format}");
    }
}

/// Runs a script of this folder with the libraries that people read exports with; it says "done" at its end.
fn read_by(script: &str, arguments: &[&str]) {
    let python = tools::folder().join("venv/bin/python");
    let script = repository().join("tests/formats").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success() && said.ends_with("done\n"), "{said}");
}

#[tokio::test]
async fn real_readers_read_the_same_values() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    import(&app, typed(), EDGES.as_bytes().to_vec(), "things.csv").await;
    let url = app.url("").trim_end_matches('/').to_owned();
    read_by("readers.py", &[&url, &key, "things"]);
}

/// Rows of every type, some without values; `salt` makes others of the same keys.
fn some_of_everything(rows: Range<u64>, salt: u64) -> String {
    const NOTES: [&str; 6] =
        ["An old oak tree", "OAK; older than the Café", "café olé", "a soak in the bay", "Oakland, old oaks", ""];
    let mut file = "Name,kind,note,count_of_all,cost,size,day,seen,location\n".to_owned();
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ salt;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below
    };
    for row in rows {
        let kind = ["tree", "Bush", "bush", "hedge", ""][next(5) as usize];
        let note = NOTES[next(6) as usize];
        let mut or_nothing = |value: String| if next(9) == 0 { String::new() } else { value };
        let cells = [
            or_nothing(format!("{}", row % 1500).replace("13", "-13")),
            or_nothing(format!("{}.{:02}", row * 7 % 900, row % 100)),
            or_nothing(format!("{:.4}", (row as f64 * 0.37).sin() * 3.0)),
            or_nothing(format!("20{}-{:02}-{:02}", 18 + row % 5, 1 + row % 12, 1 + row * 5 % 28)),
            or_nothing(format!("2019-{:02}-{:02}T{:02}:30:00Z", 1 + row * 7 % 12, 1 + row % 28, row % 24)),
            or_nothing(format!(
                "POINT (-122.{} 37.{})",
                390_001 + row * 7919 % 59_990,
                750_003 + row * 104_729 % 59_990
            )),
        ];
        writeln!(file, "n{row:05},{kind},\"{note}\",{}", cells.join(",")).unwrap();
    }
    file
}

/// Filters, orders, groups, words and places, now and as of an earlier version.
#[tokio::test]
async fn duckdb_finds_the_same_in_the_same_rows_and_readers_the_same_places() {
    let columns = columns_of(&[
        ("kind", "text"),
        ("note", "text"),
        ("count_of_all", "integer"),
        ("cost", "money"),
        ("size", "number"),
        ("day", "date"),
        ("seen", "timestamp"),
        ("location", "point"),
    ]);
    let definition = things_with("", &columns.replace("name = \"note\"", "name = \"note\"\nsearchable = true"));
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    import(&app, definition.clone(), some_of_everything(0..2_000, 1).into_bytes(), "things.csv").await;
    // These rows are changed, and some are new.
    import(&app, definition, some_of_everything(1_500..2_300, 2).into_bytes(), "more.csv").await;
    let url = app.url("").trim_end_matches('/').to_owned();
    read_by("questions.py", &[&url, &key, "things", "1", "2"]);
    read_by("places.py", &[&url, &key, "things"]);
}
