//! Copies of databases as of one moment, while others write to them.
//!
//! Guarantee: the log and the records of all data sets are of one moment: the log knows each data set's version and its import.
//! Each copy is a complete file by itself.
//!
//! SQLite's backup interface copies page by page from an open read transaction. `VACUUM INTO`, which writes a file anew, cannot use
//! an open transaction, so that several files could not be of one moment.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{FILE_NAME, StoreError, connect, corrupt, records, views};
use crate::{domain::lineage::Lineage, private, store::records::RecordStoreError};

/// Pages copied between two reports.
const PAGES_PER_STEP: i32 = 1024;
/// All databases of a data directory, at one moment.
pub struct Moment {
    files: Vec<CopiedDatabase>,
    /// The data sets, by name: version and number of records.
    pub data_sets: Vec<(String, u64, u64)>,
}

/// A database in an open read transaction.
pub(super) struct CopiedDatabase {
    /// The path below the data directory.
    name: PathBuf,
    connection: Connection,
    bytes: u64,
}

impl Moment {
    /// Fixes the present moment. Others may go on writing; the copy does not see it. `None` where an import became visible between
    /// the reads of the log and of its records.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn take(data: &Path, records: &Path) -> Result<Option<Self>, StoreError> {
        let log = CopiedDatabase::begin(data, PathBuf::from(FILE_NAME))?;
        let imports = views::all_imports(&log.connection)?;
        let mut lineages = Lineage::all(&imports);
        let (mut files, mut data_sets) = (vec![log], Vec::new());
        let folder = PathBuf::from(records.file_name().unwrap_or_default());
        for path in databases(records)? {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let relative = folder.join(path.file_name().unwrap_or_default());
            let source = match CopiedDatabase::begin(data, relative) {
                Ok(source) => source,
                // A first import holds the file: there is nothing to copy yet.
                Err(StoreError::Unavailable(_)) if !lineages.contains_key(&name) => continue,
                Err(error) => return Err(error),
            };
            let data_set = match records::file::load(&source.connection, &name) {
                Ok(Some(data_set)) => data_set,
                Ok(None) | Err(RecordStoreError::ImportRunning { .. }) => continue,
                Err(error) => return Err(StoreError::Corrupt(error.to_string())),
            };
            let lineage = lineages.remove(&name).unwrap_or_else(|| Lineage::of(&name, []));
            let known = imports.iter().find(|import| import.id == data_set.last_import.id);
            // If the log has an import as running, the records are from before it or after it.
            let is_known =
                known.is_some_and(|import| import.dataset_version.is_none_or(|version| version == data_set.version));
            if !is_known || lineage.judge(Some(&data_set.identity())).is_err() {
                return Ok(None);
            }
            data_sets.push((name, data_set.version, data_set.records));
            files.push(source);
        }
        // A data set without records, by the log, was created or removed in between; or its records are lost, which a copy must not hide.
        if lineages.values().any(|lineage| lineage.judge(None).is_err()) {
            return Ok(None);
        }
        Ok(Some(Self { files, data_sets }))
    }

    /// The size of the copy in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Copies all databases into a folder, under the same names. `report` gets the number of bytes written since its last call.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn copy_to(&self, folder: &Path, report: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        self.files.iter().try_for_each(|source| source.copy_to(&folder.join(&source.name), report))
    }
}

impl CopiedDatabase {
    pub(super) fn begin(data: &Path, name: PathBuf) -> Result<Self, StoreError> {
        let connection = connect(&data.join(&name), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.execute_batch("BEGIN")?;
        // The first read fixes the moment.
        let pages: u64 = connection.query_row("SELECT page_count FROM pragma_page_count", [], |row| row.get(0))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let page_bytes: u64 = connection.query_row("SELECT page_size FROM pragma_page_size", [], |row| row.get(0))?;
        Ok(Self { name, connection, bytes: pages * page_bytes })
    }

    pub(super) fn copy_to(&self, to: &Path, report: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let failed = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("{}: {error}", to.display()));
        private::new_file(to).map_err(|error| failed(&error))?;
        let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        copy.execute_batch("PRAGMA synchronous = FULL")?;
        {
            let backup = Backup::new(&self.connection, &mut copy)?;
            let mut reported = 0;
            loop {
                let step = backup.step(PAGES_PER_STEP)?;
                let progress = backup.progress();
                let (left, total) = (u64::try_from(progress.remaining), u64::try_from(progress.pagecount));
                let (Ok(left), Ok(total)) = (left, total) else { return Err(corrupt("page count", "it is negative")) };
                let done = self.bytes.checked_div(total).unwrap_or(0) * (total - left.min(total));
                report(done.saturating_sub(reported));
                reported = done;
                match step {
                    StepResult::Done => break,
                    StepResult::More => {}
                    _ => return Err(failed(&"somebody else uses the copy while it is made")),
                }
            }
        }
        // The file is marked as having a write-ahead log; the next connection makes a new log.
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

/// The databases of records, in order.
fn databases(records: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", records.display()));
    if !records.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(records).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "db") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes people's keys from a copy: the data sealed with them in its log can never be read again. Afterwards the views have to be
/// rebuilt, and the file [made smaller](compact), so that nothing of it is left.
///
/// # Errors
/// When the file cannot be written.
pub fn forget_people(log: &Path) -> Result<(), StoreError> {
    let connection = connect(log, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    Ok(connection.execute_batch("DELETE FROM personal_keys")?)
}

/// Writes a copy anew, without free pages and without a write-ahead log.
///
/// # Errors
/// When the file cannot be written.
pub fn compact(log: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", log.display()));
    let beside = |suffix: &str| {
        let mut path = log.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let anew = beside("-anew");
    private::new_file(&anew).map_err(failed)?;
    // Writes another file: a closing connection of this process could keep this one from being changed.
    let connection = connect(log, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute("VACUUM INTO ?1", [anew.to_string_lossy()])?;
    connection.close().map_err(|(_, error)| error)?;
    for left in [beside("-wal"), beside("-shm")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(&anew, log).map_err(failed)
}
