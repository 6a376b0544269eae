//! A small data set of every type, stores in temporary folders, and the tests of each part.

mod crash;
mod find;
mod import;
mod plans;
mod read;

use std::sync::Arc;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Settings, SqliteRecordStore};
use crate::{
    clock::{SharedClock, SystemClock},
    dataset::{
        Column, ColumnType, Definition, Record, Value,
        cursor::CursorKey,
        query::{self, Limits, Query},
    },
    store::records::{DataSet, ImportResult, ImportSession, RecordReader, RecordStore, RecordStoreError, RowOutcome},
};

const TODAY: Date = date(2026, 11, 22);

/// The definition that the tests use: the key, the ordinal, one nullable column of each type, and the load date.
pub(super) fn definition() -> Definition {
    let columns = [
        ("number", "text"),
        ("record_id", "integer"),
        ("status", "text"),
        ("units", "integer"),
        ("cost", "money"),
        ("latitude", "number"),
        ("filed", "date"),
        ("changed", "timestamp"),
        ("load_date", "date"),
    ];
    let columns: Vec<serde_json::Value> =
        columns.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
    // Read from JSON, so that what the definition gains later takes its default here.
    serde_json::from_value(serde_json::json!({
        "name": "things",
        "title": "Things",
        "columns": columns,
        "key": 0,
        "record_id": 1,
        "record_id_rule": "ordinal",
        "load_date": 8,
        "indexes": [
            { "partition": "status", "sort": "filed" },
            { "partition": "cost" },
            { "partition": "units", "sort": "changed" },
        ],
    }))
    .unwrap()
}

/// The same with ids from the file.
fn definition_with_ids() -> Definition {
    let mut definition = definition();
    definition.record_id_rule = serde_json::from_value("source".into()).unwrap();
    definition.columns[1].kind = ColumnType::Text;
    definition
}

fn settings(folder: &TempDir) -> Settings {
    Settings {
        directory: folder.path().join("records"),
        cache_bytes: 1 << 20,
        find_threads: 1,
        find_waiting_max: 4,
        find_timeout_ms: 60_000,
    }
}

struct Store {
    store: SqliteRecordStore,
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteRecordStore::open(settings(&folder), SystemClock::shared()).unwrap();
        Self { store, folder }
    }

    /// A store as another process has it: the same files, nothing else in common.
    fn another(&self) -> SqliteRecordStore {
        SqliteRecordStore::open(settings(&self.folder), SystemClock::shared()).unwrap()
    }

    fn begin(&self, definition: &Definition, replace: bool) -> Box<dyn ImportSession> {
        self.store.begin_import(definition, Uuid::from_u128(7), TODAY, replace).unwrap()
    }

    fn import(&self, definition: &Definition, records: &[Record]) -> ImportResult {
        let mut session = self.begin(definition, false);
        put_all(&mut *session, records);
        session.commit().unwrap()
    }

    fn data_set(&self) -> Arc<DataSet> {
        self.store.data_set("things").unwrap()
    }

    fn all(&self) -> Vec<serde_json::Value> {
        let (records, next) = self.find("limit=1000").unwrap();
        assert!(next.is_none());
        records
    }

    fn find(&self, raw_query: &str) -> Result<(Vec<serde_json::Value>, Option<query::Position>), RecordStoreError> {
        let data_set = self.data_set();
        let query = parsed(&data_set.definition, raw_query);
        self.find_query(&query)
    }

    fn find_query(&self, query: &Query) -> Result<(Vec<serde_json::Value>, Option<query::Position>), RecordStoreError> {
        let data_set = self.data_set();
        let soon = self.store.reader().find_now(&data_set, query);
        let page = wait(self.store.find(&data_set, query))?;
        if let Some(soon) = soon {
            // Whichever thread answers, the answer is the same.
            let soon = soon?;
            assert_eq!((soon.version, &soon.next), (page.version, &page.next));
            let [soon, page] = [&soon, &page].map(|page| page.document.clone().finish(&[], "things", 1));
            assert_eq!(soon, page);
        }
        Ok((data(&page.document.finish(&[], "things", page.version)), page.next))
    }
}

fn put_all(session: &mut dyn ImportSession, records: &[Record]) -> Vec<RowOutcome> {
    let put = |(line, record): (usize, &Record)| session.put(line as u64 + 1, key(record), record.clone()).unwrap();
    records.iter().enumerate().map(put).collect()
}

fn key(record: &Record) -> &str {
    let Some(Value::Text(key)) = record.values.first() else { panic!("a record without a key") };
    key
}

fn parsed(definition: &Definition, raw_query: &str) -> Query {
    query::parse(definition, raw_query, &Limits::default(), &CursorKey::new([7; 32])).unwrap()
}

/// The records of an answer: a list, or one by itself.
fn data(document: &[u8]) -> Vec<serde_json::Value> {
    let document: serde_json::Value = serde_json::from_slice(document).unwrap();
    document["data"].as_array().cloned().unwrap_or_else(|| vec![document["data"].clone()])
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A record of which only the key, the status and the cost matter.
fn record(key: &str, status: &str, cents: i64) -> Record {
    let mut values = vec![Value::Null; definition().columns.len()];
    values[0] = Value::Text(key.into());
    values[2] = Value::Text(status.into());
    values[4] = Value::Money(cents);
    Record { values }
}

/// Values of few kinds, so that many are equal.
fn any_value(kind: ColumnType) -> BoxedStrategy<Value> {
    let value = match kind {
        ColumnType::Text => prop_oneof!["[aAbß%_ ]{0,3}", "(issued|complete)"].prop_map(Value::Text).boxed(),
        ColumnType::Integer => prop_oneof![-2_i64..3, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer).boxed(),
        ColumnType::Money => (-300_i64..300).prop_map(Value::Money).boxed(),
        ColumnType::Number => {
            prop_oneof![(-3_i32..3).prop_map(|n| f64::from(n) / 2.0), Just(1e300)].prop_map(Value::Number).boxed()
        }
        ColumnType::Date => (1_i8..=5).prop_map(|day| Value::Date(date(2016, 12, day))).boxed(),
        ColumnType::Timestamp => (0_i128..4)
            .prop_map(|step| {
                Value::Timestamp(
                    jiff::Timestamp::from_nanosecond(1_480_550_400_000_000_000 + step * 250_000_000).unwrap(),
                )
            })
            .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
}

pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let values: Vec<BoxedStrategy<Value>> = definition()
        .columns
        .iter()
        .enumerate()
        .map(|(place, column): (usize, &Column)| match place {
            0 => "[a-e]{1,2}".prop_map(Value::Text).boxed(),
            1 | 8 => Just(Value::Null).boxed(),
            _ => any_value(column.kind),
        })
        .collect();
    values.prop_map(|values| Record { values })
}

/// The records as a store keeps them: with ordinals and the load date.
fn stored(records: &[Record]) -> Vec<Record> {
    let mut counts = std::collections::BTreeMap::new();
    let mut stored = records.to_vec();
    for record in &mut stored {
        let ordinal = counts.entry(key(record).to_owned()).or_insert(0);
        *ordinal += 1;
        record.values[1] = Value::Integer(*ordinal);
        record.values[8] = Value::Date(TODAY);
    }
    stored
}

fn fake_clock() -> SharedClock {
    crate::clock::ManualClock::at(jiff::Timestamp::UNIX_EPOCH)
}
