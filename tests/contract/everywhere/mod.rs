//! Records are the same wherever they are kept: SQLite, DynamoDB and a plain list in memory are given the same imports and
//! asked the same questions.

mod anew;
mod as_of;
mod dynamodb;
mod held;
mod imports;
mod locks;
mod long;
mod pages;
mod past;
mod replicas;
#[path = "../../../src/store/records/samples.rs"]
mod samples;
mod withdrawn;

use std::sync::{Arc, LazyLock};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use permitd::{
    aws::{Access, Bridge},
    clock::SharedClock,
    dataset::{
        Definition, Document, Record, RecordIdRule, Value,
        query::{Facets, Groups, PageStart, Query, Stats},
        summary::{Facet, Figures},
    },
    store::{
        dynamodb::{
            Dynamo,
            records::{DynamoRecordStore, RecordSettings},
        },
        records::{
            FoundRecords as Found, ImportSession, Page, Past, RecordCatalog, RecordStore, RecordStoreError,
            RecordsGroups, RecordsSummary as Summary, Retention, Since,
        },
        sqlite::records::{ColumnSettings, FileRole, SqliteRecordSettings as Settings, SqliteRecordStore},
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

    /// A node, whose replicas are its own.
    fn store(&self, clock: SharedClock) -> Arc<DynamoRecordStore> {
        self.store_with(clock, Retention::default())
    }

    fn store_with(&self, clock: SharedClock, retention: Retention) -> Arc<DynamoRecordStore> {
        self.open(clock, self.settings(retention))
    }

    /// A node with these settings that has copied what there is.
    fn open(&self, clock: SharedClock, settings: RecordSettings) -> Arc<DynamoRecordStore> {
        let dynamo = self.dynamo.clone();
        let store = wait(async move { DynamoRecordStore::open(dynamo, settings, clock).await.unwrap() });
        until_copied(&store);
        Arc::new(store)
    }

    fn settings(&self, retention: Retention) -> RecordSettings {
        RecordSettings {
            parallel_requests: 4,
            hearing_ms: 0,
            is_server: true,
            replica: settings_of(
                &self.scratch.path().join(uuid::Uuid::now_v7().to_string()),
                FileRole::Replica,
                retention,
            ),
        }
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
        self.items_of("records-things")
    }

    fn items_of(&self, table: &str) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
        let (client, table) = (self.dynamo.client().clone(), self.dynamo.table(table));
        wait(async move {
            let pages = client.scan().table_name(table).into_paginator().items().send();
            pages.collect::<Result<Vec<_>, _>>().await.unwrap()
        })
    }
}

/// Waits until a node answers questions about all data sets: a copy goes on by itself.
fn until_copied(store: &dyn RecordCatalog) {
    while store.copies().iter().any(|copy| !copy.is_ready) {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

/// Lets a node hear of what others have imported, and copy what it has to.
fn heard(store: &Arc<dyn RecordStore>) {
    let hearing = Arc::clone(store);
    wait(async move { hearing.refresh().await.unwrap() });
    until_copied(&**store);
}

fn settings_of(directory: &std::path::Path, role: FileRole, retention: Retention) -> Settings {
    Settings {
        role,
        directory: directory.to_owned(),
        cache_bytes: 1 << 20,
        find_threads: 1,
        find_waiting_max: 16,
        find_timeout_ms: 60_000,
        retention,
        exports_max: 2,
        // No test is about it: with a clock that is put forward, an export would end by it and not by what is asked for.
        export_timeout_ms: 1_000_000_000,
        columns: ColumnSettings { bytes_max: 1 << 20, states_min: 0, block_rows: 32, changes_max: 1_000, kept: true },
        export_stall_ms: 300_000,
        workbook_bytes_max: 1 << 30,
    }
}

fn sqlite(folder: &tempfile::TempDir, clock: SharedClock, retention: Retention) -> SqliteRecordStore {
    SqliteRecordStore::open(settings_of(&folder.path().join("records"), FileRole::Truth, retention), clock).unwrap()
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

fn facets(store: &Arc<dyn RecordStore>, asked: &Facets) -> Result<Summary<Facet>, RecordStoreError> {
    let (store, asked) = (Arc::clone(store), asked.clone());
    wait(async move { store.facets(&store.data_set("things").unwrap(), &asked).await })
}

fn groups(store: &Arc<dyn RecordStore>, asked: &Groups) -> Result<RecordsGroups, RecordStoreError> {
    let (store, asked) = (Arc::clone(store), asked.clone());
    wait(async move { store.groups(&store.data_set("things").unwrap(), &asked).await })
}

fn stats(store: &Arc<dyn RecordStore>, asked: &Stats) -> Result<Summary<Figures>, RecordStoreError> {
    let (store, asked) = (Arc::clone(store), asked.clone());
    wait(async move { store.stats(&store.data_set("things").unwrap(), &asked).await })
}

/// All that an export writes.
fn export(store: &Arc<dyn RecordStore>, query: &Query) -> Result<Vec<u8>, RecordStoreError> {
    let (store, query) = (Arc::clone(store), query.clone());
    wait(async move {
        let mut export = store.export(&store.data_set("things").unwrap(), &query).await?;
        let mut whole = Vec::new();
        while let Some(part) = export.parts.recv().await {
            whole.extend_from_slice(&part?);
        }
        Ok(whole)
    })
}

fn changes(store: &Arc<dyn RecordStore>, since: &Since, limit: u32) -> Result<Past, RecordStoreError> {
    let (store, since) = (Arc::clone(store), since.clone());
    wait(async move { store.changes(&store.data_set("things").unwrap(), &since, limit).await })
}

fn history(
    store: &Arc<dyn RecordStore>,
    key: &str,
    record_id: Option<&str>,
    after: Option<&PageStart>,
    limit: u32,
) -> Result<Option<Past>, RecordStoreError> {
    let (store, key, record_id) = (Arc::clone(store), key.to_owned(), record_id.map(str::to_owned));
    let after = after.cloned();
    wait(async move {
        store.history(&store.data_set("things").unwrap(), &key, record_id.as_deref(), after.as_ref(), limit).await
    })
}

/// The whole answer.
fn finished(document: Document, version: u64) -> String {
    String::from_utf8(document.finish(&[], "things", version)).unwrap()
}

/// Every page of changes, as answers; or why there is none.
fn all_changes(store: &Arc<dyn RecordStore>, version: u64, limit: u32) -> Result<Vec<String>, String> {
    let (mut since, mut pages) = (Since::Version(version), Vec::new());
    loop {
        let past = changes(store, &since, limit).map_err(|error| error.to_string())?;
        assert!(past.document.count() <= limit);
        pages.push(finished(past.document, past.version));
        let Some(next) = past.next else { return Ok(pages) };
        since = Since::Change(next);
    }
}

/// Every page of the states of a key, as answers.
fn all_states(
    store: &Arc<dyn RecordStore>,
    key: &str,
    record_id: Option<&str>,
    limit: u32,
) -> Result<Option<Vec<String>>, String> {
    let (mut after, mut pages): (Option<PageStart>, _) = (None, Vec::new());
    loop {
        let past = history(store, key, record_id, after.as_ref(), limit).map_err(|error| error.to_string())?;
        let Some(past) = past else { return Ok(None) };
        pages.push(finished(past.document, past.version));
        let Some(next) = past.next else { return Ok(Some(pages)) };
        after = Some(PageStart::At(next));
    }
}

/// What a list in answers holds.
fn listed(pages: &[String]) -> Vec<serde_json::Value> {
    let list =
        |page: &String| serde_json::from_str::<serde_json::Value>(page).unwrap()["data"].as_array().unwrap().clone();
    pages.iter().flat_map(list).collect()
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
