//! A small data set of every type, stores in temporary folders, and the tests of each part.

mod as_of;
mod columns;
mod crash;
mod erasure;
mod figures;
mod find;
mod import;
mod past;
mod plans;
mod read;

use std::sync::Arc;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::{ColumnSettings, FileRole, SqliteRecordSettings, SqliteRecordStore};
use crate::{
    clock::{ManualClock, SharedClock, SystemClock},
    dataset::{
        Column, ColumnType, Definition, Record, Value,
        cursor::CursorKey,
        query::{self, Query, QueryLimits},
    },
    store::records::{
        DataSet, ImportOrder, ImportResult, ImportSession, RecordCatalog, RecordImports, RecordQuestions, RecordReader,
        RecordStoreError, Retention, RowOutcome,
        samples::{any_record, definition},
    },
};

const TODAY: Date = date(2026, 11, 22);

/// The same with ids from the file.
fn definition_with_ids() -> Definition {
    let mut definition = definition();
    definition.record_id_rule = serde_json::from_value("source".into()).unwrap();
    definition.columns[1].kind = ColumnType::Text;
    definition
}

fn settings(folder: &TempDir) -> SqliteRecordSettings {
    SqliteRecordSettings {
        role: FileRole::Truth,
        directory: folder.path().join("records"),
        cache_bytes: 1 << 20,
        columns: ColumnSettings { bytes_max: 0, states_min: 0, block_rows: 16, changes_max: 1000, kept: false },
        find_threads: 1,
        find_waiting_max: 4,
        find_timeout_ms: 60_000,
        retention: Retention::default(),
        exports_max: 2,
        export_timeout_ms: 60_000,
        export_stall_ms: 10_000,
        workbook_bytes_max: 1 << 30,
    }
}

fn projecting(folder: &TempDir) -> SqliteRecordStore {
    let columns = ColumnSettings { bytes_max: 20_000, ..settings(folder).columns };
    SqliteRecordStore::open(SqliteRecordSettings { columns, ..settings(folder) }, SystemClock::shared()).unwrap()
}

struct Store {
    /// Without column projections.
    store: SqliteRecordStore,
    /// The same files, with one: its answers have to be the same.
    projecting: SqliteRecordStore,
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteRecordStore::open(settings(&folder), SystemClock::shared()).unwrap();
        Self { store, projecting: projecting(&folder), folder }
    }

    fn with(clock: SharedClock, retention: Retention) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteRecordSettings { retention, ..settings(&folder) };
        Self { store: SqliteRecordStore::open(settings, clock).unwrap(), projecting: projecting(&folder), folder }
    }

    /// A store with so many records, `k000000` and on.
    fn of(records: i64) -> Self {
        let store = Self::new();
        let records: Vec<Record> = (0..records).map(|n| record(&format!("k{n:06}"), "filed", n)).collect();
        store.import(&definition(), &records);
        store
    }

    /// The store of another process: the same files, nothing else in common.
    fn another(&self) -> SqliteRecordStore {
        self.another_with(SystemClock::shared(), |_| {})
    }

    /// The same with other settings.
    fn another_with(&self, clock: SharedClock, change: impl FnOnce(&mut SqliteRecordSettings)) -> SqliteRecordStore {
        let mut settings = settings(&self.folder);
        change(&mut settings);
        SqliteRecordStore::open(settings, clock).unwrap()
    }

    /// The same with a clock that advances by 10 ms at every look, and with 60 ms for a question.
    fn hurried(&self) -> SqliteRecordStore {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        clock.hurry_us(10_000);
        self.another_with(clock, |settings| settings.find_timeout_ms = 60)
    }

    fn begin(&self, definition: &Definition, replace: bool) -> Box<dyn ImportSession> {
        self.store.begin_import(ImportOrder::new(definition, Uuid::from_u128(7), TODAY, replace)).unwrap()
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

    /// The store that has a projection. Imports after the first call are caught up with.
    fn projecting(&self) -> &SqliteRecordStore {
        wait(self.projecting.refresh()).unwrap();
        if !self.projecting.has_columns("things") {
            self.projecting.tend_columns("things").unwrap();
        }
        &self.projecting
    }

    fn count(&self, query: &Query) -> u64 {
        wait(self.store.find(&self.data_set(), query)).unwrap().count.unwrap()
    }

    fn find_query(&self, query: &Query) -> Result<(Vec<serde_json::Value>, Option<query::Position>), RecordStoreError> {
        let data_set = self.data_set();
        let soon = self.store.reader().find_now(&data_set, query);
        let page = wait(self.store.find(&data_set, query))?;
        if let Some(soon) = soon {
            // The answer does not depend on the thread.
            let soon = soon?;
            assert_eq!((soon.version, &soon.next), (page.version, &page.next));
            let [soon, page] = [&soon, &page].map(|page| page.document.clone().finish(&[], "things", 1));
            assert_eq!(soon, page);
        }
        let other = wait(self.projecting().find(&self.data_set(), query))?;
        assert!(self.projecting.has_columns("things") || self.data_set().records == 0, "the projection was given up");
        assert_eq!((other.version, &other.next, other.count), (page.version, &page.next, page.count));
        let [other, page_text] = [&other, &page].map(|page| page.document.clone().finish(&[], "things", 1));
        assert_eq!(String::from_utf8(other).unwrap(), String::from_utf8(page_text).unwrap(), "{query:?}");
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
    query::parse(definition, raw_query, &QueryLimits::default(), &CursorKey::new([7; 32])).unwrap()
}

/// The records of an answer: a list, or a single one.
fn data(document: &[u8]) -> Vec<serde_json::Value> {
    let document: serde_json::Value = serde_json::from_slice(document).unwrap();
    document["data"].as_array().cloned().unwrap_or_else(|| vec![document["data"].clone()])
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A record in which only the key, the status and the cost matter.
fn record(key: &str, status: &str, cents: i64) -> Record {
    let mut values = vec![Value::Null; definition().columns.len()];
    values[0] = Value::Text(key.into());
    values[2] = Value::Text(status.into());
    values[4] = Value::Money(cents);
    Record { values }
}

/// The records in their stored form: with ordinals and the load date.
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
