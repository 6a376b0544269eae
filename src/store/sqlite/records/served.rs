//! A data set that is being served: its file, its known state, and the upkeep of its write-ahead log.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, config::DbConfig};

use super::{
    columns::ColumnSlot,
    erasure,
    file::{LOCK_WAIT, beside, data_version, is_busy, load, remove, unavailable},
    role::{FileRole, open_to_read},
    schema,
};
use crate::{
    private::{FilePlace, FileState},
    store::records::{DataSet, RecordStoreError},
};

/// A data set that is being served.
pub(super) struct Served {
    /// Unlike the name, never used again for another file.
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) role: FileRole,
    /// The file's place when it was opened.
    pub(super) place: FilePlace,
    /// The place of its write-ahead log at that time.
    pub(super) log: Option<FilePlace>,
    pub(super) current: RwLock<Arc<DataSet>>,
    /// The newest version seen, which a reader may notice before `current` is loaded again.
    pub(super) version: AtomicU64,
    pub(super) control: Mutex<Control>,
    pub(super) columns: ColumnSlot,
}

pub(super) struct Control {
    pub(super) connection: Connection,
    /// SQLite's own counter of commits by others.
    pub(super) data_version: i64,
    /// The state of the file when it was last seen to hold the served data set.
    pub(super) file: Option<FileState>,
    /// Whether the log still holds erased data, because somebody was reading.
    pub(super) log_to_empty: bool,
}

impl Served {
    pub(super) fn current(&self) -> Arc<DataSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn refresh(&self, name: &str) -> Result<(), RecordStoreError> {
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
            self.columns.call();
            control.data_version = data_version;
            control.log_to_empty = erasure::is_log_to_empty(&control.connection).map_err(failed)?;
        }
        if control.log_to_empty {
            self.empty_log(&mut control)?;
        }
        self.move_log(&control.connection)
    }

    /// Notices other processes' writes. Tells whether the served file was replaced: by another file, or in place by another data
    /// set or an older version. Compares contents only after the file was written to.
    pub(super) fn look(&self, name: &str) -> Result<bool, RecordStoreError> {
        if self.place.trouble().is_some() {
            return Ok(true);
        }
        // The file is gone since: the next look reports it.
        let Ok(file) = FileState::of(&self.path) else { return Ok(true) };
        let refreshed = self.refresh(name);
        let control = || self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if refreshed.is_ok() && control().file.as_ref() == Some(&file) {
            return Ok(false);
        }
        let current = self.current();
        // A new connection is used: the open ones may have the earlier contents in their caches.
        let found = open_to_read(&self.path, self.role).and_then(|connection| {
            connection.query_row("SELECT instance, version FROM state", [], |row| {
                Ok((schema::uuid(row, 0)?, schema::count(row, 1)?))
            })
        });
        let (instance, version) = found.map_err(|error| unavailable("read", &self.path, &error))?;
        match refreshed {
            Ok(()) => control().file = Some(file),
            // The new connection can read what the open one cannot: the contents were replaced.
            Err(RecordStoreError::Corrupt { .. } | RecordStoreError::OtherDataSet { .. }) => return Ok(true),
            Err(error) => return Err(error),
        }
        Ok(instance != current.instance || version < current.version)
    }

    /// Removes the log that a replaced file left beside the new one, which must not be read with it. Only for files that hold no
    /// truth.
    pub(super) fn drop_left_log(&self) -> Result<(), RecordStoreError> {
        let is_left = |log: &FilePlace| self.place.trouble().is_some() && log.trouble().is_none();
        if !self.log.as_ref().is_some_and(is_left) {
            return Ok(());
        }
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        // The last connection to a file would otherwise remove the log of that name, which may be another file's by then.
        let kept = control.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        kept.map_err(|error| unavailable("close", &self.path, &error))?;
        remove(&self.path, &["-wal", "-shm"])
    }

    /// Reads from the file, past all caches.
    pub(super) fn probe(&self) -> Result<(), RecordStoreError> {
        let failed = |error: rusqlite::Error| unavailable("read", &self.path, &error);
        let connection = open_to_read(&self.path, self.role).map_err(failed)?;
        for sql in ["SELECT version FROM state", "SELECT * FROM records LIMIT 1"] {
            connection.query_row(sql, [], |_| Ok(())).optional().map_err(failed)?;
        }
        Ok(())
    }

    /// Moves the write-ahead log into the file, unless the file was removed.
    pub(super) fn close(&self) -> Result<(), RecordStoreError> {
        if self.place.trouble().is_some() || self.role == FileRole::ReadOnly {
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

    /// Empties the log of a file whose data was erased while somebody was reading. Does not wait for anybody.
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

    /// Moves the write-ahead log into the file. A log that is left beside another file would be read as a part of that file.
    fn move_log(&self, connection: &Connection) -> Result<(), RecordStoreError> {
        if fs::metadata(beside(&self.path, "-wal")).is_ok_and(|log| log.len() > 0) {
            // Does not wait: if a reader or an import is in the way, the next refresh tries again.
            let checkpoint = |connection: &Connection| {
                connection.busy_timeout(Duration::ZERO)?;
                let outcome = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                connection.busy_timeout(LOCK_WAIT)?;
                outcome
            };
            match checkpoint(connection) {
                Err(error) if !is_busy(&error) => return Err(unavailable("move the log of", &self.path, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}
