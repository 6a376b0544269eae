//! Records are the same wherever they are kept: SQLite, DynamoDB and a plain list in memory are given the same imports and
//! asked the same questions.

mod dynamodb;
mod imports;
mod pages;
#[path = "../../../src/store/records/samples.rs"]
mod samples;

use std::sync::{Arc, LazyLock};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use permitd::{
    aws::{Access, Bridge},
    clock::{ManualClock, SharedClock},
    dataset::{Definition, Record, RecordIdRule, Value, query::Query},
    store::{
        dynamodb::{
            Dynamo,
            records::{DynamoRecordStore, RecordSettings},
        },
        records::{Found, ImportSession, Page, RecordStore, RecordStoreError, Retention},
        sqlite::records::{Settings, SqliteRecordStore},
    },
};

use crate::support::{
    self,
    emulator::{self, Kind},
};

const TODAY: Date = date(2026, 3, 1);

fn beginning() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Runs what waits, on a runtime that all tests share.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    static BRIDGE: LazyLock<Bridge> = LazyLock::new(|| Bridge::start("test").unwrap());
    BRIDGE.run(work).unwrap()
}

/// A table of records in an emulator, and what its stores share.
struct Tables {
    access: Access,
    dynamo: Dynamo,
    scratch: tempfile::TempDir,
}

impl Tables {
    fn new(definition: &Definition) -> Self {
        let definition = definition.clone();
        let (access, dynamo) = wait(async move {
            let access = emulator::access(emulator::shared_endpoints(Kind::Dynoxide)).await;
            let dynamo = Dynamo::new(&access, &emulator::prefix());
            emulator::make_tables(&dynamo, &[definition]).await;
            (access, dynamo)
        });
        Self { access, dynamo, scratch: support::data_dir() }
    }

    fn store(&self, clock: SharedClock, find_records_max: u64) -> Arc<DynamoRecordStore> {
        let settings = RecordSettings {
            cache_bytes: 1 << 20,
            shards: 3,
            find_records_max,
            parallel_requests: 4,
            index_settle_ms: 0,
            find_waiting_max: 16,
            find_timeout_ms: 60_000,
            scratch: self.scratch.path().to_owned(),
        };
        let dynamo = self.dynamo.clone();
        Arc::new(wait(async move { DynamoRecordStore::open(dynamo, settings, clock).await.unwrap() }))
    }

    /// How often each operation of DynamoDB was sent so far.
    fn calls(&self) -> std::collections::BTreeMap<String, u64> {
        let of_dynamo = |((service, operation), count): ((String, String), u64)| {
            assert_eq!(service, "DynamoDB");
            (operation, count)
        };
        self.access.calls().into_iter().map(of_dynamo).collect()
    }

    /// What is sent while this is done.
    fn sent<T>(&self, work: impl FnOnce() -> T) -> (Vec<(String, u64)>, T) {
        let before = self.calls();
        let done = work();
        let since = |(operation, count): (String, u64)| {
            let more = count - before.get(&operation).copied().unwrap_or(0);
            (more > 0).then_some((operation, more))
        };
        (self.calls().into_iter().filter_map(since).collect(), done)
    }

    /// Every item of the table of records.
    fn items(&self) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
        let (client, table) = (self.dynamo.client().clone(), self.dynamo.table("records-things"));
        wait(async move {
            let pages = client.scan().table_name(table).into_paginator().items().send();
            pages.collect::<Result<Vec<_>, _>>().await.unwrap()
        })
    }
}

fn sqlite(folder: &tempfile::TempDir) -> SqliteRecordStore {
    let settings = Settings {
        directory: folder.path().join("records"),
        cache_bytes: 1 << 20,
        find_threads: 1,
        find_waiting_max: 16,
        find_timeout_ms: 60_000,
        retention: Retention::default(),
        exports_max: 2,
        export_timeout_ms: 60_000,
        export_stall_ms: 10_000,
    };
    SqliteRecordStore::open(settings, ManualClock::at(beginning())).unwrap()
}

fn key(record: &Record) -> &str {
    let Some(Value::Text(key)) = record.values.first() else { panic!("a record without a key") };
    key
}

fn put_all(session: &mut dyn ImportSession, records: &[Record]) {
    for (line, record) in (1_u64..).zip(records) {
        session.put(line, key(record), record.clone()).unwrap();
    }
}

/// The records as a store keeps them: with ordinals and the load date.
fn stored(definition: &Definition, records: &[Record]) -> Vec<Record> {
    assert_eq!(definition.record_id_rule, RecordIdRule::Ordinal);
    let mut counts = std::collections::BTreeMap::new();
    let mut stored = records.to_vec();
    for record in &mut stored {
        let ordinal = counts.entry(key(record).to_owned()).or_insert(0);
        *ordinal += 1;
        record.values[definition.record_id] = Value::Integer(*ordinal);
        record.values[definition.load_date.unwrap()] = Value::Date(TODAY);
    }
    stored
}

fn find(store: &Arc<dyn RecordStore>, query: &Query) -> Result<Page, RecordStoreError> {
    let (store, query) = (Arc::clone(store), query.clone());
    wait(async move {
        let data_set = store.data_set("things").expect("the data set");
        store.find(&data_set, &query).await
    })
}

/// The records of a key, by a reader of this thread.
fn get(store: &Arc<dyn RecordStore>, key: &str, record_id: Option<&str>) -> Option<Found> {
    let reader = store.reader();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(reader.get("things", key, record_id)).unwrap()
}

/// The records of an answer, as text: the same bytes are wanted of all.
fn data(page: Page) -> Vec<serde_json::Value> {
    let version = page.version;
    let document: serde_json::Value = serde_json::from_slice(&page.document.finish(&[], "things", version)).unwrap();
    document["data"].as_array().unwrap().clone()
}
