//! Records in SQLite: one database file per data set, so that a long import blocks neither the event log nor another
//! data set. Files are in WAL mode: readers see the last commit while an import writes.

mod branch;
mod condition;
mod erasure;
mod export;
mod find;
mod import;
mod past;
mod plan;
mod pool;
mod read;
mod render;
mod rowset;
mod schema;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::civil::Date;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};
use uuid::Uuid;

use self::{render::Rendering, schema::IndexShape};
use super::Trouble;
use crate::{
    clock::SharedClock,
    dataset::{
        Definition,
        query::{Facets, Position, Query, Stats},
        summary::{Facet, Figures},
    },
    private::{self, FilePlace, PrivacyError},
    store::records::{
        Anew, DataSet, Export, ImportResult, ImportSession, LastImport, Page, Past, RecordReader, RecordStore,
        RecordStoreError, Retention, Since, Summary, cache, outcome::Order, rules,
    },
};

/// A write-ahead log beyond this is moved into its database and cut at the next refresh.
const WAL_BYTES_KEPT: u64 = 16 * 1024 * 1024;
/// How long a reader waits for a lock, which is held for moments only.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Statements kept prepared by each connection.
const STATEMENTS_KEPT: usize = 64;
/// The page cache of one reading connection; the operating system's cache stands behind it.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Sizes and limits of the store.
#[derive(Debug, Clone)]
pub struct Settings {
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
}

/// A data set that is being served.
struct Served {
    /// Unlike the name, never used again for another file.
    id: u64,
    path: PathBuf,
    /// Which file that was when it was opened.
    place: FilePlace,
    current: RwLock<Arc<DataSet>>,
    /// The newest version seen, which a reader may notice before `current` is loaded again.
    version: AtomicU64,
    control: Mutex<Control>,
}

struct Control {
    connection: Connection,
    /// SQLite's own counter of commits by others.
    data_version: i64,
    /// Whether the log holds what was erased: somebody was reading then.
    log_to_empty: bool,
}

impl SqliteRecordStore {
    /// Opens the data sets in the directory.
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
        });
        shared.refresh()?;
        let pool = pool::Pool::start(&shared)?;
        Ok(Self { shared, pool })
    }
}

#[async_trait]
impl RecordStore for SqliteRecordStore {
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
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError> {
        let (key, record_id, after) = (key.to_owned(), record_id.map(str::to_owned), after.cloned());
        self.ask(data_set, move |reading| past::history(reading, &key, record_id.as_deref(), after.as_ref(), limit))
            .await
    }

    fn begin_import(
        &self,
        definition: &Definition,
        import_id: Uuid,
        today: Date,
        replace: bool,
    ) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        let order = Order { definition: Arc::new(definition.clone()), import_id, today, replace, anew: None };
        Ok(Box::new(import::Session::begin(Arc::clone(&self.shared), order)?))
    }

    fn begin_import_anew(
        &self,
        definition: &Definition,
        import_id: Uuid,
        today: Date,
        anew: Anew,
    ) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        let definition = Arc::new(definition.clone());
        let order = Order { definition, import_id, today, replace: true, anew: Some(anew) };
        Ok(Box::new(import::Session::begin(Arc::clone(&self.shared), order)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        import::is_running(&self.shared, name)
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
        for (name, served) in &known {
            served.refresh(name)?;
        }
        for (name, path) in present {
            if known.iter().all(|(known, _)| *known != name) {
                self.serve(&name, path)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<BTreeMap<String, PathBuf>, RecordStoreError> {
        let failed = |error: std::io::Error| RecordStoreError::Unavailable {
            doing: format!("list {}", self.settings.directory.display()),
            reason: error.to_string(),
        };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.settings.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            if self.path(&stem).is_ok_and(|expected| expected == path) {
                files.insert(stem, path);
            }
        }
        Ok(files)
    }

    /// Begins to serve a file, if an import into it was ever committed.
    fn serve(&self, name: &str, path: PathBuf) -> Result<(), RecordStoreError> {
        let Ok(place) = FilePlace::of(&path) else { return Ok(()) };
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

impl Served {
    fn current(&self) -> Arc<DataSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn refresh(&self, name: &str) -> Result<(), RecordStoreError> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: rusqlite::Error| unavailable("read", &self.path, &error);
        let data_version = data_version(&control.connection).map_err(failed)?;
        if data_version != control.data_version {
            let data_set = load(&control.connection, name)?.ok_or_else(|| RecordStoreError::Corrupt {
                name: name.to_owned(),
                reason: "the table of its state is gone".to_owned(),
            })?;
            self.version.fetch_max(data_set.version, Ordering::Release);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(data_set);
            control.data_version = data_version;
            control.log_to_empty = erasure::is_log_to_empty(&control.connection).map_err(failed)?;
        }
        if control.log_to_empty {
            self.empty_log(&mut control)?;
        }
        self.shorten_log(&control.connection)
    }

    /// Reads from the file, past all caches.
    fn probe(&self) -> Result<(), RecordStoreError> {
        let failed = |error: rusqlite::Error| unavailable("read", &self.path, &error);
        let connection = open(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        for sql in ["SELECT version FROM state", "SELECT * FROM records LIMIT 1"] {
            connection.query_row(sql, [], |_| Ok(())).optional().map_err(failed)?;
        }
        Ok(())
    }

    /// Moves the write-ahead log into the file, unless the file was taken away.
    fn close(&self) -> Result<(), RecordStoreError> {
        if self.place.trouble().is_some() {
            return Ok(());
        }
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = control.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        match busy.map_err(|error| unavailable("close", &self.path, &error))? {
            0 => Ok(()),
            _ => Err(RecordStoreError::Unavailable {
                doing: format!("close {}", self.path.display()),
                reason: "somebody else is reading; a copy is whole only together with its -wal file".to_owned(),
            }),
        }
    }

    /// Empties the log of a file from which something was erased while somebody was reading; not waiting for anybody.
    fn empty_log(&self, control: &mut Control) -> Result<(), RecordStoreError> {
        let failed = |error: rusqlite::Error| unavailable("empty the log of", &self.path, &error);
        control.connection.busy_timeout(Duration::ZERO).map_err(failed)?;
        let emptied = erasure::empty_log(&control.connection);
        control.connection.busy_timeout(LOCK_WAIT).map_err(failed)?;
        match emptied {
            Err(error) if !is_busy(&error) => return Err(failed(error)),
            _ => {}
        }
        control.log_to_empty = erasure::is_log_to_empty(&control.connection).map_err(failed)?;
        Ok(())
    }

    fn shorten_log(&self, connection: &Connection) -> Result<(), RecordStoreError> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if std::fs::metadata(log).is_ok_and(|log| log.len() > WAL_BYTES_KEPT) {
            // Not waiting for anybody: where a reader or an import is in the way, the next refresh tries again.
            let checkpoint = |connection: &Connection| {
                connection.busy_timeout(Duration::ZERO)?;
                let outcome = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                connection.busy_timeout(LOCK_WAIT)?;
                outcome
            };
            match checkpoint(connection) {
                Err(error) if !is_busy(&error) => return Err(unavailable("shorten the log of", &self.path, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(private::by_real_directory(path), access)?;
    // SQLite would otherwise plan a statement anew whenever other values are bound to it, which costs more than to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    schema::add_functions(&connection)?;
    Ok(connection)
}

/// A thread's own way to a data set.
struct Lane {
    connection: Connection,
    shape: Shape,
}

/// What follows from the columns and indexes of a data set, made once for each definition of them.
struct Shape {
    /// What it follows from. Other indexes may be declared without other columns.
    definition: Arc<Definition>,
    generation: u64,
    rendering: Rendering,
    indexes: Vec<IndexShape>,
    /// The columns' names as SQL has them.
    names: Vec<String>,
}

impl Shape {
    fn of(definition: &Arc<Definition>, generation: u64) -> Self {
        Self {
            definition: Arc::clone(definition),
            generation,
            rendering: Rendering::new(definition, None),
            indexes: schema::indexes(definition),
            names: (0..definition.columns.len()).map(|place| schema::column_name(definition, place)).collect(),
        }
    }

    fn name(&self, column: usize) -> &str {
        // Queries are checked against the definition that the names are from.
        self.names.get(column).map_or("NULL", String::as_str)
    }
}

/// A thread's lane to a data set with those columns. Its connection is opened at its first use.
fn lane<'l>(lanes: &'l mut HashMap<u64, Lane>, served: &Served, data_set: &DataSet) -> rusqlite::Result<&'l mut Lane> {
    let lane = match lanes.entry(served.id) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let connection = open(&served.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            entry.insert(Lane { connection, shape: Shape::of(&data_set.definition, data_set.generation) })
        }
    };
    let same = Arc::ptr_eq(&lane.shape.definition, &data_set.definition);
    if !same || lane.shape.generation != data_set.generation {
        lane.shape = Shape::of(&data_set.definition, data_set.generation);
    }
    Ok(lane)
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// What a file says it holds; nothing if no import into it was ever committed.
fn load(connection: &Connection, name: &str) -> Result<Option<DataSet>, RecordStoreError> {
    let corrupt = |reason: String| RecordStoreError::Corrupt { name: name.to_owned(), reason };
    let read = |connection: &Connection| {
        let made =
            connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'state'", [], |row| row.get(0));
        if made == Ok(0_i64) {
            return Ok(None);
        }
        let format = connection.query_row("SELECT format FROM state", [], |row| row.get(0)).optional()?;
        if let Some(format) = format.filter(|format| *format != schema::FORMAT) {
            return Ok(Some(Err(format)));
        }
        let state = connection
            .query_row(
                "SELECT version, generation, records, import_id, import_day, changed, inserted, updated, unchanged,
                 removed, rejected, definition, instance, held_from, changes_from FROM state",
                [],
                |row| {
                    let result = ImportResult {
                        version: schema::count(row, 0)?,
                        changed: row.get(5)?,
                        inserted: schema::count(row, 6)?,
                        updated: schema::count(row, 7)?,
                        unchanged: schema::count(row, 8)?,
                        removed: schema::count(row, 9)?,
                        rejected: schema::count(row, 10)?,
                    };
                    let texts: [String; 4] = [row.get(3)?, row.get(4)?, row.get(11)?, row.get(12)?];
                    let [generation, records, held_from, changes_from] =
                        [1, 2, 13, 14].map(|place| schema::count(row, place));
                    Ok(([generation?, records?, held_from?, changes_from?], result, texts))
                },
            )
            .optional()?;
        Ok(state.map(Ok))
    };
    let Some(state) = read(connection).map_err(|error| match is_busy(&error) {
        true => RecordStoreError::ImportRunning { name: name.to_owned() },
        false => corrupt(error.to_string()),
    })?
    else {
        return Ok(None);
    };
    let ([generation, records, held_from, changes_from], result, [id, day, definition, instance]) =
        state.map_err(|format: i64| {
            let known = schema::FORMAT;
            corrupt(format!(
                "its file is of the format {format}, and this permitd reads {known}: move {name}.db away and import again"
            ))
        })?;
    let definition: Definition =
        serde_json::from_str(&definition).map_err(|error| corrupt(format!("its definition: {error}")))?;
    let id = id.parse().map_err(|error| corrupt(format!("the id of its last import: {error}")))?;
    let day = day.parse().map_err(|error| corrupt(format!("the day of its last import: {error}")))?;
    let instance = instance.parse().map_err(|error| corrupt(format!("the id of its first import: {error}")))?;
    let version = result.version;
    let last_import = LastImport { id, day, result };
    let definition = Arc::new(definition);
    Ok(Some(DataSet { definition, instance, version, generation, held_from, changes_from, records, last_import }))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error of SQLite, said of a file: damage is damage, a full disk is one, and anything else may pass.
fn unavailable(doing: &str, path: &Path, error: &rusqlite::Error) -> RecordStoreError {
    let doing = format!("{doing} {}", path.display());
    match Trouble::of(error) {
        Trouble::Damage => {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let reason = format!("cannot {doing}: {error}; restore the file from a backup, or import again");
            RecordStoreError::Corrupt { name, reason }
        }
        Trouble::NoRoom => {
            let reason = format!("the disk is full ({error}): make room and repeat it; the data set is as it was");
            RecordStoreError::Unavailable { doing, reason }
        }
        Trouble::Other => RecordStoreError::Unavailable { doing, reason: error.to_string() },
    }
}

/// A file or directory that is not its owner's alone.
fn not_private(path: &Path, error: &PrivacyError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: format!("use {}", path.display()), reason: error.to_string() }
}
