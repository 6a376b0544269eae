//! Removes and renames a data set's file.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    columns,
    file::{at, beside, is_busy, load, open, remove, unavailable, write_state},
    shared::SharedRecords,
};
use crate::{
    failpoint::crash_point,
    store::{
        records::{Held, RecordStoreError, Renaming},
        sqlite::copy::CopiedDatabase,
    },
};

/// A data set's file whose write lock is held, as by an import.
pub(super) struct HeldFile {
    shared: Arc<SharedRecords>,
    name: String,
    path: PathBuf,
    /// None if the file is gone already.
    lock: Option<Connection>,
}

impl HeldFile {
    pub(super) fn take(shared: Arc<SharedRecords>, name: &str) -> Result<Self, RecordStoreError> {
        let (path, name) = (shared.path(name)?, name.to_owned());
        let lock = match path.exists() {
            false => None,
            true => {
                let failed = |error: rusqlite::Error| match is_busy(&error) {
                    true => RecordStoreError::ImportRunning { name: name.clone() },
                    false => unavailable("lock", &path, &error),
                };
                let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
                connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
                Some(connection)
            }
        };
        Ok(Self { shared, name, path, lock })
    }
}

/// Removes a data set's file. Open connections read on until the next refresh; after it nobody can reach its content.
pub(super) fn remove_file(shared: &SharedRecords, name: &str, path: &Path) -> Result<(), RecordStoreError> {
    let failed = |error: io::Error| at(path, "remove", &error);
    remove(path, &["", "-wal", "-shm"])?;
    columns::remove_file(path).map_err(failed)?;
    File::open(&shared.settings.directory).and_then(|folder| folder.sync_all()).map_err(failed)?;
    shared.served.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    Ok(())
}

impl Held for HeldFile {
    fn remove(self: Box<Self>) -> Result<(), RecordStoreError> {
        remove_file(&self.shared, &self.name, &self.path)?;
        // Only from here on can an import begin, which finds no file.
        drop(self.lock);
        Ok(())
    }

    fn withdraw(self: Box<Self>, withdrawn: bool) -> Result<(), RecordStoreError> {
        let Some(lock) = &self.lock else {
            return Err(RecordStoreError::UnknownDataSet { name: self.name.clone() });
        };
        let failed = |error: rusqlite::Error| unavailable("write", &self.path, &error);
        let unknown = || RecordStoreError::UnknownDataSet { name: self.name.clone() };
        let mut stored = load(lock, &self.name)?.ok_or_else(unknown)?;
        stored.standing.withdrawn = withdrawn;
        write_state(lock, &stored).and_then(|()| lock.execute_batch("COMMIT")).map_err(failed)?;
        self.shared.imported(&self.name, &self.path)
    }

    /// Copies the file under the new name and removes the original: a process that has the original open would otherwise see later
    /// writes under the new name as its own.
    fn rename(self: Box<Self>, Renaming { definition, import }: Renaming) -> Result<(), RecordStoreError> {
        let to = self.shared.path(&definition.name)?;
        if to.exists() {
            // What lies there may be another data set's. An import that never came to its end leaves a file without records.
            let there =
                open(&to, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| unavailable("read", &to, &error))?;
            if load(&there, &definition.name)?.is_some() {
                return Err(RecordStoreError::NameTaken { name: definition.name });
            }
        }
        let unfinished = beside(&to, "-unfinished");
        remove(&unfinished, &[""])?;
        let store_failed = |error: crate::store::StoreError| RecordStoreError::Unavailable {
            doing: format!("copy {}", self.path.display()),
            reason: error.to_string(),
        };
        let folder = self.shared.settings.directory.as_path();
        let source =
            CopiedDatabase::begin(folder, self.path.file_name().unwrap_or_default().into()).map_err(store_failed)?;
        source.copy_to(&unfinished, &mut |_| {}).map_err(store_failed)?;
        let failed = |error: rusqlite::Error| unavailable("write", &unfinished, &error);
        let copy = open(&unfinished, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        let unknown = || RecordStoreError::UnknownDataSet { name: self.name.clone() };
        let mut copied = load(&copy, &self.name)?.ok_or_else(unknown)?;
        copied.standing.former_names.retain(|name| *name != definition.name);
        copied.standing.former_names.push(self.name.clone());
        copied.definition = Arc::new(definition);
        copied.last_import.id = import;
        write_state(&copy, &copied).map_err(failed)?;
        // Moves all writes into the file, which gets another name than its log.
        copy.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))?;
        for suffix in ["-wal", "-shm"] {
            // SQLite removes them with the last connection; any remains are empty.
            fs::remove_file(beside(&unfinished, suffix)).ok();
        }
        let named =
            File::open(&unfinished).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&unfinished, &to));
        named.map_err(|error| at(&to, "name", &error))?;
        crash_point("dataset-copied");
        remove_file(&self.shared, &self.name, &self.path)?;
        drop(self.lock);
        Ok(())
    }
}
