//! Records in DynamoDB: one table per data set, an item for each version of a record, and one item in the table `state` that
//! says which versions are seen.
//!
//! Guarantees: an import is seen as a whole from the moment of one write on, or not at all; a read by key is one request; a
//! query reads no more than its budget, and says so; what is served was visible at some moment since the last refresh.

mod epochs;
mod fetch;
mod find;
mod gather;
mod import;
mod lock;
mod manifest;
mod order;
mod plan;
mod read;
mod row;
mod scratch;
mod write;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::manifest::Manifest;
use super::{Dynamo, item::get_text, schema, unavailable};
use crate::{
    clock::SharedClock,
    dataset::{Definition, query::Query},
    store::{
        StoreError,
        dynamodb::item::text,
        records::{DataSet, ImportSession, Page, RecordReader, RecordStore, RecordStoreError, cache, outcome::Order},
    },
};

/// Sizes and limits of the store.
#[derive(Debug, Clone)]
pub struct RecordSettings {
    /// Memory for ready answers of point reads, in bytes, over all readers.
    pub cache_bytes: u64,
    /// Parts that each partition of an index is spread over. A data set keeps the number that it began with.
    pub shards: u32,
    /// Records that one page may look at.
    pub find_records_max: u64,
    /// Requests that one query or import has under way at the same time.
    pub parallel_requests: usize,
    /// How long an import waits after its last write for the indexes to follow, before it becomes visible.
    pub index_settle_ms: u64,
    /// Queries at the same time; one more is answered with [`RecordStoreError::Busy`].
    pub find_waiting_max: usize,
    /// How long a query may take.
    pub find_timeout_ms: u64,
    /// Where an import keeps its temporary file. Made when absent.
    pub scratch: PathBuf,
}

/// The record store that any number of servers share.
pub struct DynamoRecordStore {
    shared: Arc<Shared>,
}

/// What the store, its readers and its imports have in common.
struct Shared {
    dynamo: Dynamo,
    settings: RecordSettings,
    clock: SharedClock,
    served: RwLock<BTreeMap<String, Arc<Served>>>,
    next_id: AtomicU64,
    /// Imports that became visible here.
    imports: AtomicU64,
    cache: cache::Answers,
    finding: Semaphore,
}

/// A data set that is being served, at one version.
struct Served {
    /// Unlike the name, never used again for another data set.
    id: u64,
    manifest: Manifest,
    /// The table's whole name.
    table: String,
}

impl DynamoRecordStore {
    /// Reads which data sets there are.
    ///
    /// # Errors
    /// When the table `state` cannot be read, or holds what this permitd does not understand.
    pub async fn open(dynamo: Dynamo, settings: RecordSettings, clock: SharedClock) -> Result<Self, RecordStoreError> {
        let shared = Arc::new(Shared {
            cache: cache::Answers::new(settings.cache_bytes),
            finding: Semaphore::new(settings.find_waiting_max.clamp(1, Semaphore::MAX_PERMITS)),
            dynamo,
            settings,
            clock,
            served: RwLock::new(BTreeMap::new()),
            next_id: AtomicU64::new(1),
            imports: AtomicU64::new(0),
        });
        shared.refresh().await?;
        Ok(Self { shared })
    }
}

#[async_trait]
impl RecordStore for DynamoRecordStore {
    fn data_sets(&self) -> Vec<Arc<DataSet>> {
        let served = self.shared.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().map(|served| Arc::clone(&served.manifest.data_set)).collect()
    }

    fn data_set(&self, name: &str) -> Option<Arc<DataSet>> {
        self.shared.find(name).ok().map(|served| Arc::clone(&served.manifest.data_set))
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        self.shared.refresh().await
    }

    fn reader(&self) -> Box<dyn RecordReader> {
        Box::new(read::Reader::new(Arc::clone(&self.shared)))
    }

    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError> {
        find::find(&self.shared, data_set, query).await
    }

    fn begin_import(
        &self,
        definition: &Definition,
        import_id: Uuid,
        today: Date,
        replace: bool,
    ) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        let order = Order { definition: Arc::new(definition.clone()), import_id, today, replace };
        Ok(Box::new(import::Session::begin(Arc::clone(&self.shared), order)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        import::is_running(&self.shared, name)
    }
}

impl Shared {
    fn find(&self, name: &str) -> Result<Arc<Served>, RecordStoreError> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(name).cloned().ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        let imports = self.imports.load(Ordering::Acquire);
        let table = self.dynamo.table(schema::STATE);
        let request = self
            .dynamo
            .client()
            .query()
            .table_name(&table)
            .consistent_read(true)
            .key_condition_expression("#k = :k")
            .expression_attribute_names("#k", "k")
            .expression_attribute_values(":k", text(manifest::KIND));
        let mut pages = request.into_paginator().send();
        let mut present: BTreeMap<String, Manifest> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("read", "the list of data sets", unavailable(&table, &error)))?;
            for item in page.items() {
                let name = get_text(item, "r").map_err(|error| failed("read", "the list of data sets", error))?;
                let before = self.find(name).ok();
                let manifest = Manifest::read(item, before.as_ref().map(|before| &before.manifest))
                    .map_err(|error| failed("read", name, error))?;
                present.insert(name.to_owned(), manifest);
            }
        }
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if self.imports.load(Ordering::Acquire) != imports {
            // What was read may be older than an import that ended here meanwhile: it takes nothing back.
            present.retain(|name, manifest| {
                served.get(name).is_none_or(|known| known.manifest.epochs.visible() < manifest.epochs.visible())
            });
        } else {
            served.retain(|name, _| present.contains_key(name));
        }
        for (name, manifest) in present {
            self.put(&mut served, &name, manifest);
        }
        Ok(())
    }

    /// Begins to serve what an import of this process has made visible.
    fn imported(&self, manifest: Manifest) {
        let name = manifest.data_set.definition.name.clone();
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        self.imports.fetch_add(1, Ordering::Release);
        self.put(&mut served, &name, manifest);
    }

    fn put(&self, served: &mut BTreeMap<String, Arc<Served>>, name: &str, manifest: Manifest) {
        let next = manifest.epochs.visible();
        let known = served.get(name).map(|before| (before.id, before.manifest.epochs.visible()));
        let id = match known {
            Some((_, known)) if known == next => return,
            Some((id, known)) if known < next => id,
            // Also a data set that was taken away and made anew: its answers are not to be mixed with those before.
            _ => self.next_id.fetch_add(1, Ordering::Relaxed),
        };
        let table = self.dynamo.table(&schema::records_table(name));
        served.insert(name.to_owned(), Arc::new(Served { id, manifest, table }));
    }
}

/// An error of the store, said of records. `of` is what could not be read or written.
fn failed(doing: &str, of: &str, error: StoreError) -> RecordStoreError {
    match error {
        StoreError::Unavailable(reason) | StoreError::Limit(reason) => {
            RecordStoreError::Unavailable { doing: format!("{doing} {of}"), reason }
        }
        StoreError::Corrupt(reason) | StoreError::Incompatible(reason) => {
            RecordStoreError::Corrupt { name: of.to_owned(), reason }
        }
    }
}
