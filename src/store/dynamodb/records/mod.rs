//! Records in DynamoDB: one table per data set, an item for each version of a record, and one item in the table `state` that
//! says which versions are seen.
//!
//! Guarantees: an import is seen as a whole from the moment of one write on, or not at all; a read by key is one request; a
//! query reads no more than its budget, and says so; what is served was visible at some moment since the last refresh; what
//! goes on from one page to the next stays on its version.

mod changes;
mod epochs;
mod export;
mod fetch;
mod find;
mod gather;
mod held;
mod history;
mod import;
mod lock;
mod manifest;
mod merge;
mod naming;
mod order;
mod past;
mod plan;
mod read;
mod reading;
mod row;
mod scratch;
mod states;
mod summary;
mod withdrawn;
mod write;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::{lock::SilentLocks, manifest::Manifest};
use super::{
    Dynamo,
    item::{get_text, item},
    schema, unavailable,
};
use crate::{
    clock::SharedClock,
    dataset::{
        query::{Facets, PageStart, Query, Stats},
        summary::{Facet, Figures},
    },
    store::{
        StoreError,
        dynamodb::item::text,
        records::{
            DataSet, Export, Held, ImportOrder, ImportSession, Page, Past, RecordReader, RecordStore, RecordStoreError,
            Retention, Since, Summary, cache, rules,
        },
    },
};

/// How long may be read without a look whether the version is still held: what is given up stays for a minute.
const LOOK_INTERVAL_US: i64 = 20_000_000;

/// The key of a record that is looked for to see whether records can be read; whether there is one says nothing.
const PROBE: &str = "probe";

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
    /// How long an import waits after its last write for the indexes to follow, before it becomes visible; and after that for
    /// other servers to hear of it, where it erases what is not published any more.
    pub index_settle_ms: u64,
    /// Queries at the same time; one more is answered with [`RecordStoreError::Busy`].
    pub find_waiting_max: usize,
    /// How long a query may take.
    pub find_timeout_ms: u64,
    /// Exports at the same time; one more is answered with [`RecordStoreError::Busy`].
    pub exports_max: usize,
    /// How long an export may take.
    pub export_timeout_ms: u64,
    /// How long an export waits for the next part to be taken.
    pub export_stall_ms: u64,
    /// How long the past is kept.
    pub retention: Retention,
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
    /// What is known of the locks of imports that may have died.
    watch: Arc<SilentLocks>,
    served: RwLock<BTreeMap<String, Arc<Served>>>,
    next_id: AtomicU64,
    /// Imports that became visible here.
    imports: AtomicU64,
    /// When all data sets were last asked for that were read since, microseconds of the clock that is never set.
    heard_us: AtomicI64,
    cache: cache::Answers,
    finding: Semaphore,
    exporting: Arc<Semaphore>,
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
        let watch = SilentLocks::new(Arc::clone(&clock));
        Self::open_with(dynamo, settings, clock, watch).await
    }

    /// The same with another time for which the lock of an import has to be silent before it is taken for one that died, where
    /// clocks do not agree on that: 30 s as a rule.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_patient_for(
        patience: Duration,
        dynamo: Dynamo,
        settings: RecordSettings,
        clock: SharedClock,
    ) -> Result<Self, RecordStoreError> {
        let watch = SilentLocks::new(Arc::clone(&clock)).patient_for(patience);
        Self::open_with(dynamo, settings, clock, watch).await
    }

    async fn open_with(
        dynamo: Dynamo,
        settings: RecordSettings,
        clock: SharedClock,
        watch: SilentLocks,
    ) -> Result<Self, RecordStoreError> {
        let shared = Arc::new(Shared {
            watch: Arc::new(watch),
            cache: cache::Answers::new(settings.cache_bytes),
            finding: Semaphore::new(settings.find_waiting_max.clamp(1, Semaphore::MAX_PERMITS)),
            exporting: export::places(settings.exports_max),
            dynamo,
            settings,
            clock,
            served: RwLock::new(BTreeMap::new()),
            next_id: AtomicU64::new(1),
            imports: AtomicU64::new(0),
            heard_us: AtomicI64::new(i64::MIN),
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

    async fn probe(&self) -> Result<(), RecordStoreError> {
        self.refresh().await?;
        let probed = |served: Arc<Served>| {
            let definition = served.manifest.layout.definition();
            let columns = [definition.key, definition.record_id].map(|place| definition.column_name(place));
            (served.table.clone(), item(columns.map(|column| (column, text(PROBE)))))
        };
        let served: Vec<Arc<Served>> = {
            let served = self.shared.served.read().unwrap_or_else(PoisonError::into_inner);
            served.values().cloned().collect()
        };
        super::fetch::probe(&self.shared.dynamo, served.into_iter().map(probed).collect())
            .await
            .map_err(|error| failed("read", "the records", error))
    }

    fn reader(&self) -> Box<dyn RecordReader> {
        Box::new(read::Reader::new(Arc::clone(&self.shared)))
    }

    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError> {
        find::find(&self.shared, data_set, query).await
    }

    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError> {
        export::begin(&self.shared, data_set, query).await
    }

    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets) -> Result<Summary<Facet>, RecordStoreError> {
        summary::facets(&self.shared, data_set, facets).await
    }

    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<Summary<Figures>, RecordStoreError> {
        summary::stats(&self.shared, data_set, stats).await
    }

    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError> {
        changes::changes(&self.shared, data_set, since, limit).await
    }

    async fn history(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        after: Option<&PageStart>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError> {
        history::history(&self.shared, data_set, (key, record_id), after, limit).await
    }

    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        Ok(Box::new(import::OpenImport::begin(Arc::clone(&self.shared), order)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        import::is_running(&self.shared, name)
    }

    fn hold(&self, name: &str, who: Uuid) -> Result<Box<dyn Held>, RecordStoreError> {
        Ok(Box::new(naming::HeldDataSet::take(Arc::clone(&self.shared), name, who)?))
    }

    fn can_rename(&self) -> bool {
        false
    }
}

impl Shared {
    fn find(&self, name: &str) -> Result<Arc<Served>, RecordStoreError> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(name).cloned().ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    /// Answers a question if there is room for one more, within the time that it has. `narrow` says what would make it faster.
    async fn bounded<T>(
        &self,
        narrow: impl FnOnce() -> String,
        answer: impl Future<Output = Result<T, RecordStoreError>>,
    ) -> Result<T, RecordStoreError> {
        let _permit = self.finding.try_acquire().map_err(|_| RecordStoreError::Busy)?;
        let limit_ms = self.settings.find_timeout_ms;
        let answered = tokio::time::timeout(Duration::from_millis(limit_ms), answer).await;
        let answered = answered.unwrap_or_else(|_| Err(RecordStoreError::TimedOut { limit_ms, narrow: narrow() }));
        match answered {
            Err(RecordStoreError::DefinitionChanged { name }) => Err(self.outdated(&name).await),
            answered => answered,
        }
    }

    /// The data set as it is served, if its columns are still those of a question. A version that is asked for and has not been
    /// heard of is looked for.
    async fn served_for(&self, data_set: &DataSet, version: Option<u64>) -> Result<Arc<Served>, RecordStoreError> {
        let name = &data_set.definition.name;
        let mut served = self.find(name)?;
        if version.is_some_and(|version| version > served.manifest.data_set.version) {
            self.refresh().await?;
            served = self.find(name)?;
        }
        let present = &served.manifest.data_set;
        if (present.instance, present.generation) != (data_set.instance, data_set.generation) {
            return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
        }
        Ok(served)
    }

    /// How long what was heard of the data sets is good for: what a version of other columns gives up stays for a minute, and
    /// what an import withdraws as long as it waits before it erases.
    fn good_for_us(&self) -> i64 {
        match i64::try_from(self.settings.index_settle_ms.saturating_mul(1000)) {
            Ok(erased_after) if erased_after > 0 => erased_after.min(LOOK_INTERVAL_US),
            _ => LOOK_INTERVAL_US,
        }
    }

    /// Since when it is known what is being read, when that begins. Who gives others no time is not waited for.
    fn known_since_us(&self) -> i64 {
        match self.settings.index_settle_ms {
            0 => self.clock.monotonic_us(),
            _ => self.heard_us.load(Ordering::Acquire),
        }
    }

    /// Makes sure that nobody can have cleared away, or erased, anything of a version that is being read. Until when that was
    /// so for certain.
    async fn still_held(&self, reading: &Served, version: u64) -> Result<i64, RecordStoreError> {
        let asked_us = self.clock.monotonic_us();
        if asked_us.saturating_sub(self.heard_us.load(Ordering::Acquire)) >= self.good_for_us() {
            self.refresh().await?;
        }
        let heard_us = self.heard_us.load(Ordering::Acquire);
        let data_set = &reading.manifest.data_set;
        let name = &data_set.definition.name;
        let served = self.find(name)?;
        let present = &served.manifest.data_set;
        if present.instance == data_set.instance && present.held_from <= version {
            return Ok(heard_us);
        }
        if present.generation != data_set.generation && version == data_set.version {
            return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
        }
        Err(rules::gone(&data_set.definition, version, present.held_from))
    }

    /// Hears of what has become of a data set, of which something was met that is not known yet. What to answer.
    async fn outdated(&self, name: &str) -> RecordStoreError {
        match self.refresh().await {
            Ok(()) => RecordStoreError::DefinitionChanged { name: name.to_owned() },
            Err(error) => error,
        }
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        let (imports, asked_us) = (self.imports.load(Ordering::Acquire), self.clock.monotonic_us());
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
        self.heard_us.fetch_max(asked_us, Ordering::Release);
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
        let standing = |manifest: &Manifest| manifest.data_set.standing.clone();
        let is_as_known = served.get(name).is_some_and(|known| standing(&known.manifest) == standing(&manifest));
        let known = served.get(name).map(|before| (before.id, before.manifest.epochs.visible()));
        let id = match known {
            Some((_, known)) if known == next && is_as_known => return,
            Some((id, known)) if known == next => id,
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
        StoreError::Unavailable(reason) | StoreError::Full(reason) | StoreError::Limit(reason) => {
            RecordStoreError::Unavailable { doing: format!("{doing} {of}"), reason }
        }
        StoreError::Corrupt(reason) | StoreError::Incompatible(reason) => {
            RecordStoreError::Corrupt { name: of.to_owned(), reason }
        }
    }
}
