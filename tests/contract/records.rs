//! The record store.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
    sync::Arc,
};

use jiff::civil::{Date, date};
use permitd::{
    dataset::{
        Column, ColumnType, Definition,
        cursor::{self, CursorKey},
        figures::TableFigures,
        query,
        reader::{self, FileRow},
        sample::{self, SampleFormat},
    },
    store::records::{AbsentColumn, ImportOrder, ImportResult, ImportSession, RecordStore, RecordStoreError},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::backend::{Backend, clock};

const TODAY: Date = date(2026, 3, 1);

fn definition() -> Definition {
    Definition::builtin().unwrap().into_iter().find(|definition| definition.name == "permits").expect("permits")
}

fn report(rows: u64, seed: u64) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    sample::generate(rows, seed, SampleFormat::Csv, &mut file).unwrap();
    file.into_inner()
}

fn put_all(session: &mut dyn ImportSession, file: &[u8]) {
    let limits = reader::ReadLimits::default();
    for row in reader::open(Cursor::new(file.to_vec()), "report.csv", &definition(), &limits).unwrap() {
        match row.unwrap() {
            FileRow::Record { line, key, record } => drop(session.put(line, &key, record).unwrap()),
            FileRow::Rejected { key, .. } => session.reject(key.as_deref()).unwrap(),
        }
    }
}

fn import(records: &Arc<dyn RecordStore>, file: &[u8], replace: bool) -> ImportResult {
    let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, replace)).unwrap();
    put_all(&mut *session, file);
    session.commit().unwrap()
}

/// Every page of a query, and how many pages there were.
/// The records of a list.
fn data(document: &[u8]) -> Vec<Value> {
    let mut document: Value = serde_json::from_slice(document).unwrap();
    serde_json::from_value(document["data"].take()).unwrap()
}

async fn find(records: &Arc<dyn RecordStore>, raw_query: &str) -> (Vec<Value>, usize) {
    let data_set = records.data_set("permits").expect("the data set");
    let key = CursorKey::new([1; 32]);
    let (mut found, mut pages, mut page_query) = (Vec::<Value>::new(), 0, raw_query.to_owned());
    loop {
        let limits = query::QueryLimits::default();
        let query = query::parse(&data_set.definition, &page_query, &limits, &key).unwrap();
        let page = records.find(&data_set, &query).await.unwrap();
        let count = page.document.count();
        let rows = data(&page.document.finish(&[], "permits", page.version));
        assert_eq!(rows.len(), usize::try_from(count).unwrap());
        found.extend(rows);
        pages += 1;
        let Some(next) = page.next else { return (found, pages) };
        let cursor = cursor::seal(&key, &data_set.definition, &query, &next).unwrap();
        page_query = format!("{raw_query}&cursor={cursor}");
    }
}

pub(crate) async fn an_import_is_seen_as_a_whole_or_not_at_all<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    assert!(records.data_sets().is_empty() && records.data_set("permits").is_none());
    let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *session, &report(50, 1));
    drop(session);
    records.refresh().await.unwrap();
    assert!(records.data_set("permits").is_none(), "nothing is left of an import that was given up");
    let result = import(&records, &report(50, 1), false);
    assert_eq!((result.version, result.inserted, result.changed), (1, 50, true));
    let data_set = records.data_set("permits").expect("the data set");
    assert_eq!((data_set.version, data_set.records), (1, 50));
    let reader = records.reader();
    let found = reader.get("permits", "#201612013997", None).await.unwrap().expect("the reference permit");
    let all = data(&found.document);
    assert_eq!(all[0]["address"], "235 Bella Vista Wy");
    let one = reader.get("permits", "#201612013997", Some("1")).await.unwrap().expect("its only record");
    let document: Value = serde_json::from_slice(&one.document).unwrap();
    assert_eq!(document, serde_json::json!({ "data": all[0], "dataset": { "name": "permits", "version": 1 } }));
    assert_eq!((one.version, one.count, found.count), (1, 1, 1));
    assert_eq!(reader.get("permits", "#201612013997", Some("01")).await.unwrap(), None);
    assert_eq!(reader.get("permits", "#1", None).await.unwrap(), None);
    if let Some(at_once) = reader.get_now("permits", "#201612013997", None) {
        assert_eq!(at_once.unwrap(), Some(found), "an answer without waiting is the same");
    }

    let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *session, &report(10, 2));
    assert_eq!(find(&records, "limit=100").await.0.len(), 50, "readers see nothing of an import under way");
    session.commit().unwrap();
    assert_eq!(find(&records, "limit=100").await.0.len(), 10);
}

pub(crate) async fn the_same_file_again_changes_nothing<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    import(&records, &report(200, 1), false);
    let before = find(&records, "limit=1000").await.0;
    for replace in [false, true] {
        let again = import(&records, &report(200, 1), replace);
        assert_eq!((again.version, again.changed, again.unchanged), (1, false, 200));
    }
    assert_eq!(find(&records, "limit=1000").await.0, before);
}

pub(crate) async fn an_updated_file_updates_and_removes<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    import(&records, &report(60, 1), false);
    let more = import(&records, &report(100, 1), false);
    assert_eq!((more.version, more.unchanged + more.updated + more.inserted), (2, 100));
    assert!(more.inserted >= 40 && more.removed == 0);
    let fewer = import(&records, &report(60, 1), true);
    assert_eq!((fewer.version, fewer.removed), (3, more.inserted));
    assert_eq!(find(&records, "limit=1000").await.0.len(), 60);
}

/// The figures of the columns, as they are shown.
fn figures(records: &Arc<dyn RecordStore>) -> TableFigures {
    records.data_set("permits").unwrap().present_figures().expect("figures of the version")
}

/// The same, counted from the records as they are published.
async fn counted(records: &Arc<dyn RecordStore>) -> Value {
    let (all, definition) = (find(records, "limit=1000").await.0, definition());
    let column = |(place, column): (usize, &Column)| {
        let values = || all.iter().map(|record| &record[&column.name]).filter(|value| !value.is_null());
        let (mut least, mut greatest, mut frequent) = (Value::Null, Value::Null, Vec::new());
        let is_identity = place == definition.key || place == definition.record_id;
        match column.kind {
            _ if is_identity => {}
            ColumnType::Text => {
                let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
                values().for_each(|value| *counts.entry(value.as_str().unwrap()).or_default() += 1);
                let mut shown: Vec<_> = counts.into_iter().filter(|(_, count)| *count >= 10).collect();
                shown.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                frequent.extend(shown.iter().take(10).map(|(value, count)| json!({ "value": value, "count": count })));
            }
            ColumnType::Date => {
                let days = || values().map(|value| value.as_str().unwrap());
                (least, greatest) = (json!(days().min()), json!(days().max()));
            }
            _ => {
                let order = |left: &&Value, right: &&Value| left.as_f64().unwrap().total_cmp(&right.as_f64().unwrap());
                (least, greatest) = (json!(values().min_by(order)), json!(values().max_by(order)));
            }
        }
        let empty = all.len() - values().count();
        json!({ "name": column.name, "empty": empty, "least": least, "greatest": greatest, "values": frequent })
    };
    json!(definition.columns.iter().enumerate().map(column).collect::<Vec<_>>())
}

pub(crate) async fn figures_of_columns_follow_from_the_records<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    for (rows, seed, replace, version) in [(150, 1, false, 1), (200, 2, false, 2), (90, 2, true, 3)] {
        import(&records, &report(rows, seed), replace);
        let made = figures(&records);
        let expected = counted(&records).await;
        assert_eq!(serde_json::to_value(&made.columns).unwrap(), expected);
        assert_eq!((made.version, made.records), (version, records.data_set("permits").unwrap().records));
        let shown = |name: &str| made.columns.iter().find(|column| column.name == name).unwrap().values.len();
        assert!(shown("status") > 0 && shown("application_number") == 0);
    }
    let before = figures(&records);
    // What becomes of nothing makes no figures.
    let mut given_up = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *given_up, &report(20, 3));
    given_up.settle().unwrap();
    drop(given_up);
    let mut dry = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true).dry()).unwrap();
    put_all(&mut *dry, &report(20, 3));
    dry.settle().unwrap();
    drop(dry);
    assert!(!import(&records, &report(90, 2), true).changed);
    assert_eq!(figures(&records), before);
    // Another process finds them as they were made.
    let other = backend.records(clock());
    other.refresh().await.unwrap();
    assert_eq!(figures(&other), before);
}

pub(crate) async fn figures_show_nothing_that_a_definition_calls_personal<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    import(&records, &report(200, 1), false);
    let of = |name: &str| figures(&records).columns.into_iter().find(|column| column.name == name).unwrap();
    assert!(!of("status").values.is_empty() && of("estimated_cost").least.is_some());
    let mut now = definition();
    for column in &mut now.columns {
        column.personal = ["status", "estimated_cost"].contains(&column.name.as_str());
    }
    now.about.publisher = Some("Somebody else".to_owned());
    let mut session = records.begin_import(ImportOrder::new(&now, Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *session, &report(200, 1));
    let result = session.commit().unwrap();
    assert_eq!((result.version, result.changed), (1, false), "what it says about itself makes no version");
    let data_set = records.data_set("permits").unwrap();
    assert_eq!(data_set.definition.about.publisher.as_deref(), Some("Somebody else"));
    // Not only is it not shown: it is not kept.
    let kept = serde_json::to_value(&**data_set.figures.as_ref().unwrap()).unwrap();
    let kept = |name: &str| kept["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).cloned();
    for name in ["status", "estimated_cost"] {
        let kept = kept(name).unwrap();
        assert_eq!((&kept["least"], &kept["greatest"], &kept["values"]), (&json!(null), &json!(null), &json!([])));
    }
    assert!(kept("revised_cost").unwrap()["least"].is_number());
}

pub(crate) async fn what_a_file_lacks_is_kept_or_emptied<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    import(&records, &report(40, 1), false);
    let before = find(&records, "limit=1000").await.0;
    let text = String::from_utf8(report(40, 1)).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let place = rows.headers().unwrap().iter().position(|header| header == "DESCRIPTION").unwrap();
    let mut without = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(rows.headers().unwrap().clone()).chain(rows.records().map(Result::unwrap)) {
        without.write_record(row.iter().enumerate().filter(|(nth, _)| *nth != place).map(|(_, cell)| cell)).unwrap();
    }
    let without = without.into_inner().unwrap();
    let column = definition().column_index("description").unwrap();
    let described = before.iter().filter(|record| !record["description"].is_null()).count() as u64;
    assert!(described > 0);
    let run = |kept: bool| {
        let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
        session.absent(&[column], kept).unwrap();
        put_all(&mut *session, &without);
        let outlook = session.settle().unwrap();
        assert_eq!((outlook.version_before, outlook.records_before), (1, 40));
        assert_eq!(outlook.absent, [AbsentColumn { column, values: described }]);
        let result = session.commit().unwrap();
        assert_eq!(outlook.result, result);
        result
    };
    let kept = run(true);
    assert_eq!((kept.version, kept.unchanged, kept.changed), (1, 40, false));
    assert_eq!(find(&records, "limit=1000").await.0, before);
    let emptied = run(false);
    assert_eq!((emptied.version, emptied.updated), (2, described));
    assert!(find(&records, "limit=1000").await.0.iter().all(|record| record["description"].is_null()));
}

pub(crate) async fn what_a_file_lacks_counts_for_the_size_of_a_record<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    let file = |column: &str, bytes: usize| {
        format!("APPLICATION #,STATUS,{column}\n1,filed,{}\n", "x".repeat(bytes)).into_bytes()
    };
    import(&records, &file("DESCRIPTION", 200_000), false);
    let before = find(&records, "limit=1000").await.0;
    let column = definition().column_index("description").unwrap();
    for (bytes, fits) in [(160_000, false), (100_000, true)] {
        let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
        session.absent(&[column], true).unwrap();
        let file = Cursor::new(file("EXISTING USE", bytes));
        let mut rows = reader::open(file, "report.csv", &definition(), &reader::ReadLimits::default()).unwrap();
        let FileRow::Record { line, key, record } = rows.next().unwrap().unwrap() else {
            panic!("the row is rejected")
        };
        let put = session.put(line, &key, record);
        if fits {
            put.unwrap();
            assert_eq!(session.commit().unwrap().updated, 1);
            continue;
        }
        let refused = put.unwrap_err();
        assert!(matches!(refused, RecordStoreError::TooLong { line: 2, .. }), "{refused}");
        drop(session);
        assert_eq!(find(&records, "limit=1000").await.0, before);
    }
    let after = find(&records, "limit=1000").await.0;
    let length = |name: &str| after[0][name].as_str().unwrap().len();
    assert_eq!((length("description"), length("existing_use")), (200_000, 100_000));
}

pub(crate) async fn a_dry_run_leaves_nothing_behind<B: Backend>() {
    let backend = B::new();
    let (records, other) = (backend.records(clock()), backend.records(clock()));
    let rehearse = |file: &[u8], replace: bool| {
        let mut session =
            records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, replace).dry()).unwrap();
        session.absent(&[], true).unwrap();
        put_all(&mut *session, file);
        assert!(other.is_importing("permits").unwrap(), "it keeps others away");
        let outlook = session.settle().unwrap();
        assert_eq!(session.settle().unwrap(), outlook);
        outlook
    };
    let new = rehearse(&report(30, 1), false);
    assert_eq!((new.version_before, new.records_before, new.result.inserted), (0, 0, 30));
    records.refresh().await.unwrap();
    assert!(records.data_set("permits").is_none() && !other.is_importing("permits").unwrap());
    import(&records, &report(60, 1), false);
    let before = find(&records, "limit=1000").await.0;
    let more = import_counts(&rehearse(&report(80, 1), false).result);
    let fewer = import_counts(&rehearse(&report(20, 1), true).result);
    assert_eq!((fewer[3], fewer[1] + fewer[2]), (40, 20));
    records.refresh().await.unwrap();
    assert_eq!(records.data_set("permits").map(|data_set| (data_set.version, data_set.records)), Some((1, 60)));
    assert_eq!(find(&records, "limit=1000").await.0, before);
    let mut session =
        records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false).dry()).unwrap();
    put_all(&mut *session, &report(80, 1));
    assert!(matches!(session.commit(), Err(RecordStoreError::DryRun { .. })));
    assert_eq!(import_counts(&import(&records, &report(80, 1), false)), more, "it comes to what was said");
}

fn import_counts(result: &ImportResult) -> [u64; 5] {
    [result.inserted, result.updated, result.unchanged, result.removed, result.rejected]
}

pub(crate) async fn one_import_at_a_time<B: Backend>() {
    let backend = B::new();
    let (records, other) = (backend.records(clock()), backend.records(clock()));
    let mut session = records.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *session, &report(10, 1));
    assert!(other.is_importing("permits").unwrap());
    let second = other.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).err();
    assert!(matches!(second, Some(RecordStoreError::ImportRunning { .. })), "{second:?}");
    session.commit().unwrap();
    assert!(!records.is_importing("permits").unwrap());
    other.refresh().await.unwrap();
    assert_eq!(other.data_set("permits").map(|data_set| data_set.records), Some(10), "another process notices");
    import(&other, &report(20, 1), false);
}

pub(crate) async fn pages_follow_one_another_without_gaps<B: Backend>() {
    let backend = B::new();
    let records = backend.records(clock());
    import(&records, &report(500, 3), false);
    let identity = |record: &Value| format!("{} {}", record["application_number"], record["record_id"]);
    for sort in ["", "&sort=-estimated_cost", "&sort=status,-file_date", "&sort=zipcode"] {
        let Ok(_) = query::parse(
            &definition(),
            sort.trim_start_matches('&'),
            &query::QueryLimits::default(),
            &CursorKey::new([1; 32]),
        ) else {
            continue;
        };
        let (whole, _) = find(&records, &format!("limit=1000{sort}")).await;
        let (pieces, pages) = find(&records, &format!("limit=30{sort}")).await;
        assert_eq!((whole.len(), pages), (500, 17), "{sort}");
        assert_eq!(whole, pieces, "{sort}");
        assert_eq!(whole.iter().map(identity).collect::<BTreeSet<_>>().len(), 500, "{sort}");
    }
    let (some, _) = find(&records, "limit=9&status=issued").await;
    assert!(!some.is_empty() && some.iter().all(|record| record["status"] == "issued"));
}
