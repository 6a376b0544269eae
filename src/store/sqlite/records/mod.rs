//! Records in SQLite: one database file per data set, so that a long import blocks neither the event log nor another
//! data set. Files are in WAL mode: readers see the last commit while an import writes.

mod branch;
mod condition;
mod erasure;
mod export;
mod figures;
pub(super) mod file;
mod find;
mod import;
mod lane;
mod naming;
mod past;
mod plan;
mod pool;
mod read;
mod render;
pub(in crate::store) mod replica;
mod rowset;
mod schema;
mod served;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod walk;
pub(in crate::store) mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::OpenFlags;
use uuid::Uuid;

use self::{
    file::{data_version, is_busy, load, not_private, open, unavailable},
    lane::{Lane, Shape, lane},
    served::{Control, Served},
};
use crate::{
    clock::SharedClock,
    dataset::{
        query::{Facets, PageStart, Query, Stats},
        summary::{Facet, Figures},
    },
    private::{self, FilePlace},
    store::records::{
        DataSet, Export, Held, ImportOrder, ImportSession, Page, Past, RecordCatalog, RecordImports, RecordQuestions,
        RecordReader, RecordStoreError, Retention, Since, Summary, cache, rules,
    },
};

/// How long a reader waits for a lock, which is held for moments only.
const LOCK_WAIT: Duration = Duration::from_secs(2);

pub use self::replica::FileRole;

/// Sizes and limits of the store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the files are.
    pub role: FileRole,
    /// Where the files are. Made when absent.
    pub directory: PathBuf,
    /// Memory for ready answers of point reads, in bytes, over all readers.
    pub cache_bytes: u64,
    /// Threads that run queries.
    pub find_threads: usize,
    /// Queries that may wait for a thread; one more is answered with [`RecordStoreError::Busy`].
    pub find_waiting_max: usize,
    /// How long a query may take, waiting included.
    pub find_timeout_ms: u64,
    /// How long the past is kept.
    pub retention: Retention,
    /// Exports at the same time; one more is answered with [`RecordStoreError::Busy`].
    pub exports_max: usize,
    /// How long an export may take.
    pub export_timeout_ms: u64,
    /// How long an export waits for the next part to be taken.
    pub export_stall_ms: u64,
}

/// The record store of a single machine.
pub struct SqliteRecordStore {
    shared: Arc<Shared>,
    pool: pool::Pool,
}

/// What the store, its readers and its imports have in common.
struct Shared {
    settings: Settings,
    clock: SharedClock,
    served: RwLock<BTreeMap<String, Arc<Served>>>,
    next_id: AtomicU64,
    cache: cache::Answers,
    /// Exports under way.
    exporting: AtomicUsize,
    /// Data sets whose files turned out to be damaged while they were exported.
    damaged: Mutex<BTreeSet<String>>,
}

impl SqliteRecordStore {
    /// Opens the data sets in the directory. Replicas are served as soon as whoever keeps the truth has looked at them.
    ///
    /// # Errors
    /// Where the directory cannot be made, or a file in it cannot be read or is not one of ours.
    pub fn open(settings: Settings, clock: SharedClock) -> Result<Self, RecordStoreError> {
        private::directory(&settings.directory)
            .and_then(|()| private::files_in(&settings.directory))
            .map_err(|error| not_private(&settings.directory, &error))?;
        let shared = Arc::new(Shared {
            cache: cache::Answers::new(settings.cache_bytes),
            settings,
            clock,
            served: RwLock::new(BTreeMap::new()),
            next_id: AtomicU64::new(1),
            exporting: AtomicUsize::new(0),
            damaged: Mutex::default(),
        });
        if shared.settings.role == FileRole::Truth {
            shared.refresh()?;
        }
        let pool = pool::Pool::start(&shared)?;
        Ok(Self { shared, pool })
    }
}

#[async_trait]
impl RecordCatalog for SqliteRecordStore {
    fn data_sets(&self) -> Vec<Arc<DataSet>> {
        let served = self.shared.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().map(|served| served.current()).collect()
    }

    fn data_set(&self, name: &str) -> Option<Arc<DataSet>> {
        self.shared.find(name).ok().map(|served| served.current())
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        self.shared.refresh()
    }

    async fn probe(&self) -> Result<(), RecordStoreError> {
        let all = self.shared.all_served();
        let probed = tokio::task::spawn_blocking(move || all.iter().try_for_each(|served| served.probe()));
        probed.await.unwrap_or_else(|error| {
            Err(RecordStoreError::Unavailable { doing: "read the records".to_owned(), reason: error.to_string() })
        })
    }

    async fn close(&self) -> Result<(), RecordStoreError> {
        let all = self.shared.all_served();
        let closed = tokio::task::spawn_blocking(move || all.iter().try_for_each(|served| served.close()));
        closed.await.unwrap_or_else(|error| {
            Err(RecordStoreError::Unavailable { doing: "close the records".to_owned(), reason: error.to_string() })
        })
    }

    fn reader(&self) -> Box<dyn RecordReader> {
        Box::new(read::Reader::new(Arc::clone(&self.shared)))
    }
}

#[async_trait]
impl RecordQuestions for SqliteRecordStore {
    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        let (query, narrow) = (query.clone(), rules::narrowing(&data_set.definition, query.count));
        self.pool.answer(served, Arc::clone(data_set), narrow, move |reading| find::page(reading, &query)).await
    }

    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        export::begin(&self.shared, served, Arc::clone(data_set), query.clone()).await
    }

    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets) -> Result<Summary<Facet>, RecordStoreError> {
        let facets = facets.clone();
        self.ask(data_set, move |reading| summary::facets(reading, &facets)).await
    }

    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<Summary<Figures>, RecordStoreError> {
        let stats = stats.clone();
        self.ask(data_set, move |reading| summary::stats(reading, &stats)).await
    }

    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError> {
        let since = since.clone();
        self.ask(data_set, move |reading| past::changes(reading, &since, limit)).await
    }

    async fn history(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        after: Option<&PageStart>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError> {
        let (key, record_id, after) = (key.to_owned(), record_id.map(str::to_owned), after.cloned());
        self.ask(data_set, move |reading| past::history(reading, &key, record_id.as_deref(), after.as_ref(), limit))
            .await
    }
}

impl RecordImports for SqliteRecordStore {
    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        Ok(Box::new(import::OpenImport::begin(Arc::clone(&self.shared), order, None)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        import::is_running(&self.shared, name)
    }

    fn can_rename(&self) -> bool {
        true
    }

    fn hold(&self, name: &str, _who: Uuid) -> Result<Box<dyn Held>, RecordStoreError> {
        Ok(Box::new(naming::HeldFile::take(Arc::clone(&self.shared), name)?))
    }
}

impl SqliteRecordStore {
    /// Answers a question in the pool.
    async fn ask<T: Send + 'static>(
        &self,
        data_set: &Arc<DataSet>,
        question: impl FnOnce(&pool::Reading<'_>) -> Result<T, pool::Failure> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        let narrow = rules::narrowing(&data_set.definition, false);
        self.pool.answer(served, Arc::clone(data_set), narrow, question).await
    }
}

impl Shared {
    fn find(&self, name: &str) -> Result<Arc<Served>, RecordStoreError> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(name).cloned().ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    /// The data set that a question was made for, if it was not begun anew since.
    fn same(&self, data_set: &DataSet) -> Result<Arc<Served>, RecordStoreError> {
        let name = &data_set.definition.name;
        let served = self.find(name)?;
        if served.current().instance != data_set.instance {
            return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
        }
        Ok(served)
    }

    fn all_served(&self) -> Vec<Arc<Served>> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().cloned().collect()
    }

    fn path(&self, name: &str) -> Result<PathBuf, RecordStoreError> {
        rules::check_name(name)?;
        Ok(self.settings.directory.join(format!("{name}.db")))
    }

    fn refresh(&self) -> Result<(), RecordStoreError> {
        let present = self.files()?;
        let known: Vec<(String, Arc<Served>)> = {
            let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
            // A file that was taken away, or replaced by another one: what was open is not what is there.
            served.retain(|name, served| present.contains_key(name) && served.place.trouble().is_none());
            served.iter().map(|(name, served)| (name.clone(), Arc::clone(served))).collect()
        };
        // What is wrong with one data set is said when the others were looked at.
        let refreshed = known.iter().map(|(name, served)| served.refresh(name));
        let is_new = |name: &String| known.iter().all(|(known, _)| known != name);
        let begun = present.into_iter().filter(|(name, _)| is_new(name)).map(|(name, path)| self.serve(&name, path));
        refreshed.chain(begun).filter_map(Result::err).collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
    }

    fn files(&self) -> Result<BTreeMap<String, PathBuf>, RecordStoreError> {
        let failed = |error: std::io::Error| RecordStoreError::Unavailable {
            doing: format!("list {}", self.settings.directory.display()),
            reason: error.to_string(),
        };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.settings.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A link, a pipe or a folder is nobody's records.
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            if self.path(&stem).is_ok_and(|expected| expected == path) {
                files.insert(stem, path);
            }
        }
        Ok(files)
    }

    /// Begins to serve a file, if an import into it was ever committed.
    fn serve(&self, name: &str, path: PathBuf) -> Result<(), RecordStoreError> {
        let Ok(place) = FilePlace::of(&path).map(FilePlace::never_empty) else { return Ok(()) };
        let connection =
            open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unavailable("open", &path, &error))?;
        // A first import holds its file's lock: until it is done there is nothing to serve.
        connection.busy_timeout(Duration::ZERO).map_err(|error| unavailable("open", &path, &error))?;
        let data_version = match data_version(&connection) {
            Err(error) if is_busy(&error) => return Ok(()),
            outcome => outcome.map_err(|error| unavailable("read", &path, &error))?,
        };
        let data_set = match load(&connection, name) {
            Ok(Some(data_set)) => data_set,
            Ok(None) | Err(RecordStoreError::ImportRunning { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        replica::check_role(&connection, &path, self.settings.role)?;
        // What an import that died has left is not waited for: a command beside it may be at it.
        match erasure::finish(&connection) {
            Err(error) if !is_busy(&error) => return Err(unavailable("write anew", &path, &error)),
            _ => {}
        }
        connection.busy_timeout(LOCK_WAIT).map_err(|error| unavailable("open", &path, &error))?;
        let served = Served {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            path,
            place,
            version: AtomicU64::new(data_set.version),
            current: RwLock::new(Arc::new(data_set)),
            control: Mutex::new(Control { connection, data_version, log_to_empty: false }),
        };
        self.served.write().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert(Arc::new(served));
        Ok(())
    }

    /// Notices the end of an import in this process.
    fn imported(&self, name: &str, path: &Path) -> Result<(), RecordStoreError> {
        match self.find(name) {
            Ok(served) if served.place.trouble().is_none() => served.refresh(name),
            _ => {
                self.served.write().unwrap_or_else(PoisonError::into_inner).remove(name);
                self.serve(name, path.to_owned())
            }
        }
    }
}
