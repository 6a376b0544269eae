//! The common parts of the store, its readers and its imports: the settings, the served files, and the cache.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rusqlite::OpenFlags;

use super::{
    columns::{ColumnCache, ColumnSettings, ColumnSlot, KeeperCalls},
    erasure,
    file::{LOCK_WAIT, beside, data_version, is_busy, load, not_private, open, unavailable},
    role::{FileRole, check_role, open_to_read},
    served::{Control, Served},
};
use crate::{
    clock::SharedClock,
    private::{self, FilePlace},
    store::{
        records::{DataSet, RecordStoreError, Retention, cache, rules},
        sqlite::refuse_log,
    },
};

/// Sizes and limits of the store.
#[derive(Debug, Clone)]
pub struct SqliteRecordSettings {
    /// The role of the files.
    pub role: FileRole,
    /// The directory of the files. Created if absent.
    pub directory: PathBuf,
    /// Memory for ready answers of point reads, in bytes, over all readers.
    pub cache_bytes: u64,
    /// Threads that run queries.
    pub find_threads: usize,
    /// Queries that may wait for a thread; one more is answered with [`RecordStoreError::Busy`].
    pub find_waiting_max: usize,
    /// How long a query may take, waiting included.
    pub find_timeout_ms: u64,
    /// The column projections.
    pub columns: ColumnSettings,
    /// How long the past is kept.
    pub retention: Retention,
    /// Exports that may run at the same time; one more is answered with [`RecordStoreError::Busy`].
    pub exports_max: usize,
    /// How long an export may take.
    pub export_timeout_ms: u64,
    /// How long an export waits for the receiver to take the next part.
    pub export_stall_ms: u64,
    /// The most bytes of a workbook's sheet, which is kept on the disk while it is made.
    pub workbook_bytes_max: u64,
}

/// The common parts of the store, its readers and its imports.
pub(super) struct SharedRecords {
    pub(super) settings: SqliteRecordSettings,
    pub(super) clock: SharedClock,
    pub(super) served: RwLock<BTreeMap<String, Arc<Served>>>,
    next_id: AtomicU64,
    pub(super) cache: cache::Answers,
    /// Exports under way.
    pub(super) exporting: AtomicUsize,
    /// Data sets whose files turned out to be damaged during an export.
    pub(super) damaged: Mutex<BTreeSet<String>>,
    column_cache: Arc<ColumnCache>,
    pub(super) column_calls: Arc<KeeperCalls>,
}

impl SharedRecords {
    pub(super) fn open(settings: SqliteRecordSettings, clock: SharedClock) -> Result<Self, RecordStoreError> {
        if settings.role != FileRole::ReadOnly {
            private::directory(&settings.directory)
                .and_then(|()| private::files_in(&settings.directory))
                .map_err(|error| not_private(&settings.directory, &error))?;
        }
        let shared = Self {
            cache: cache::Answers::new(settings.cache_bytes),
            column_cache: Arc::new(ColumnCache::new(settings.columns.bytes_max)),
            column_calls: Arc::default(),
            settings,
            clock,
            served: RwLock::new(BTreeMap::new()),
            next_id: AtomicU64::new(1),
            exporting: AtomicUsize::new(0),
            damaged: Mutex::default(),
        };
        match shared.settings.role {
            FileRole::Truth => shared.refresh()?,
            FileRole::ReadOnly if shared.settings.directory.is_dir() => {
                shared.files()?.into_iter().try_for_each(|(name, path)| shared.serve(&name, path))?;
            }
            FileRole::Replica | FileRole::ReadOnly => {}
        }
        Ok(shared)
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Served>, RecordStoreError> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(name).cloned().ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    /// The data set of a question, unless it was begun anew since.
    pub(super) fn same(&self, data_set: &DataSet) -> Result<Arc<Served>, RecordStoreError> {
        let name = &data_set.definition.name;
        let served = self.find(name)?;
        if served.current().instance != data_set.instance {
            return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
        }
        Ok(served)
    }

    pub(super) fn all_served(&self) -> Vec<Arc<Served>> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().cloned().collect()
    }

    pub(super) fn path(&self, name: &str) -> Result<PathBuf, RecordStoreError> {
        rules::check_name(name)?;
        Ok(self.settings.directory.join(format!("{name}.db")))
    }

    pub(super) fn refresh(&self) -> Result<(), RecordStoreError> {
        if self.settings.role == FileRole::ReadOnly {
            // Nobody changes these files.
            return Ok(());
        }
        let present = self.files()?;
        let mut troubles = Vec::new();
        let known = self.served.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Reports the trouble of one data set after all others were refreshed.
        for (name, served) in &known {
            let is_gone = match present.contains_key(name) {
                true => served.look(name),
                false => Ok(true),
            };
            match is_gone {
                Ok(false) => {}
                // The open file was replaced: the present file is opened below, which reports its trouble.
                Ok(true) => troubles.extend(self.forget(name, served).err()),
                Err(error) => troubles.push(error),
            }
        }
        for (name, path) in present {
            if self.find(&name).is_err() {
                troubles.extend(self.serve(&name, path).err());
            }
        }
        troubles.into_iter().next().map_or(Ok(()), Err)
    }

    /// Stops serving a file that differs from the opened one.
    fn forget(&self, name: &str, gone: &Arc<Served>) -> Result<(), RecordStoreError> {
        if self.settings.role == FileRole::Replica {
            gone.drop_left_log()?;
        }
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if served.get(name).is_some_and(|present| Arc::ptr_eq(present, gone)) {
            served.remove(name);
        }
        Ok(())
    }

    /// Stops serving a file that was replaced on disk.
    pub(super) fn forget_replaced(&self, name: &str) -> Result<(), RecordStoreError> {
        match self.find(name) {
            Ok(served) if served.place.trouble().is_some() => self.forget(name, &served),
            _ => Ok(()),
        }
    }

    fn files(&self) -> Result<BTreeMap<String, PathBuf>, RecordStoreError> {
        let failed = |error: std::io::Error| RecordStoreError::Unavailable {
            doing: format!("list {}", self.settings.directory.display()),
            reason: error.to_string(),
        };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.settings.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A link, a pipe or a folder holds no records.
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
        let role = self.settings.role;
        let connection = match role {
            FileRole::Truth | FileRole::Replica => open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE),
            FileRole::ReadOnly => {
                refuse_log(&path).map_err(|error| RecordStoreError::Unavailable {
                    doing: format!("read {}", path.display()),
                    reason: error.to_string(),
                })?;
                open_to_read(&path, role)
            }
        };
        let connection = connection.map_err(|error| unavailable("open", &path, &error))?;
        // A first import holds its file's lock: there is nothing to serve until it is done.
        connection.busy_timeout(Duration::ZERO).map_err(|error| unavailable("open", &path, &error))?;
        let data_version = match data_version(&connection) {
            Err(error) if is_busy(&error) => return Ok(()),
            outcome => outcome.map_err(|error| unavailable("read", &path, &error))?,
        };
        let data_set = match load(&connection, name) {
            Ok(Some(data_set)) => data_set,
            Ok(None) | Err(RecordStoreError::ImportRunning { .. }) => return Ok(()),
            // The data set is missing, which the log tells; other data sets are served.
            Err(RecordStoreError::OtherDataSet { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        check_role(&connection, &path, self.settings.role)?;
        // Does not wait to clean up after an import that died: another command may be doing it.
        let finished = if role == FileRole::ReadOnly { Ok(()) } else { erasure::finish(&connection).map(drop) };
        match finished {
            Err(error) if !is_busy(&error) => return Err(unavailable("write anew", &path, &error)),
            _ => {}
        }
        connection.busy_timeout(LOCK_WAIT).map_err(|error| unavailable("open", &path, &error))?;
        let served = Served {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            log: FilePlace::of(&beside(&path, "-wal")).ok(),
            columns: ColumnSlot::new(self.settings.columns, &self.column_cache, &self.column_calls, name, &path),
            path,
            role,
            place,
            version: AtomicU64::new(data_set.version),
            current: RwLock::new(Arc::new(data_set)),
            control: Mutex::new(Control { connection, data_version, file: None, log_to_empty: false }),
        };
        let mut all = self.served.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_insert(Arc::new(served)).columns.call();
        Ok(())
    }

    /// Notices the end of an import in this process.
    pub(super) fn imported(&self, name: &str, path: &Path) -> Result<(), RecordStoreError> {
        if let Ok(served) = self.find(name) {
            if !served.look(name)? {
                return Ok(());
            }
            self.forget(name, &served)?;
        }
        self.serve(name, path.to_owned())
    }
}
