//! A data set's file: how it is opened, what it holds, and what its errors mean.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};

use super::{figures, schema};
use crate::{
    private::{self, PrivacyError},
    store::{
        records::{self, DataSet, RecordStoreError, state},
        sqlite::{IMMUTABLE, Trouble, immutable},
    },
};

/// How long a reader waits for a lock, which is held only for moments.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Statements kept prepared by each connection.
const STATEMENTS_KEPT: usize = 64;
/// The page cache of one reading connection, beside that of the operating system.
const READER_CACHE_KIB: i64 = 2 * 1024;

pub(super) fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    prepared(Connection::open_with_flags(private::by_real_directory(path), access)?)
}

/// Opens a file that nobody changes: no lock is taken, and no file made beside it.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let access = IMMUTABLE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    prepared(Connection::open_with_flags(immutable(path), access)?)
}

fn prepared(connection: Connection) -> rusqlite::Result<Connection> {
    // Otherwise SQLite would plan a statement anew for other bound values, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    schema::add_functions(&connection)?;
    Ok(connection)
}

pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// The data set in a file; none if no import into it was ever committed.
pub(in crate::store::sqlite) fn load(connection: &Connection, name: &str) -> Result<Option<DataSet>, RecordStoreError> {
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
        let document: Option<String> =
            connection.query_row("SELECT document FROM state", [], |row| row.get(0)).optional()?;
        let Some(document) = document else { return Ok(None) };
        Ok(Some(Ok((document, figures::read(connection)?))))
    };
    let Some(found) = read(connection).map_err(|error| match is_busy(&error) {
        true => RecordStoreError::ImportRunning { name: name.to_owned() },
        false => corrupt(error.to_string()),
    })?
    else {
        return Ok(None);
    };
    let (document, figures) = found.map_err(|format: i64| {
        let known = schema::FORMAT;
        corrupt(format!(
            "its file is of the format {format}, and this permitd reads {known}: move {name}.db away and import again"
        ))
    })?;
    let figures = figures.and_then(|figures| records::read_figures(name, figures.as_bytes()));
    let data_set = state::read_document(&document, figures).map_err(|error| corrupt(format!("its state: {error}")))?;
    match &data_set.definition.name {
        of if of == name => Ok(Some(data_set)),
        // A file does not get another name by itself, and the log knows a data set by its name.
        of => Err(RecordStoreError::OtherDataSet { name: name.to_owned(), of: of.clone() }),
    }
}

/// Writes the data set's state, without the figures of its columns.
pub(super) fn write_state(connection: &Connection, data_set: &DataSet) -> rusqlite::Result<()> {
    let document = state::write_document(data_set).map_err(unwritable)?;
    let number = u64::cast_signed;
    connection.execute(
        "INSERT OR REPLACE INTO state (one, format, version, generation, held_from, changes_from, records, instance, document)
         VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            schema::FORMAT,
            number(data_set.version),
            number(data_set.generation),
            number(data_set.held_from),
            number(data_set.changes_from),
            number(data_set.records),
            data_set.instance.to_string(),
            document,
        ),
    )?;
    Ok(())
}

/// The error for a value that cannot be written as JSON.
pub(super) fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error of SQLite about a file: damage, a full disk, or anything else that may pass.
pub(super) fn unavailable(doing: &str, path: &Path, error: &rusqlite::Error) -> RecordStoreError {
    let doing = format!("{doing} {}", path.display());
    let name = name_of(path);
    // An import has just changed the file's indexes.
    if error.to_string().contains("no such index") {
        return RecordStoreError::DefinitionChanged { name };
    }
    match Trouble::of(error) {
        Trouble::Damage => {
            let reason = format!(
                "cannot {doing}: {error}; restore the file from a backup, or move it away and import the whole file again"
            );
            RecordStoreError::Corrupt { name, reason }
        }
        Trouble::NoRoom => {
            let reason = format!("the disk is full ({error}): make room and repeat it; the data set is as it was");
            RecordStoreError::Unavailable { doing, reason }
        }
        Trouble::Other => RecordStoreError::Unavailable { doing, reason: error.to_string() },
    }
}

/// The data set of a file.
pub(super) fn name_of(path: &Path) -> String {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned()
}

/// The error for a file or directory that others can access.
pub(super) fn not_private(path: &Path, error: &PrivacyError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: format!("use {}", path.display()), reason: error.to_string() }
}

/// The path of SQLite's files beside a file: the write-ahead log is `-wal`, that log's index `-shm`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file, or the files beside it, if they exist.
pub(super) fn remove(path: &Path, suffixes: &[&str]) -> Result<(), RecordStoreError> {
    for path in suffixes.iter().map(|suffix| beside(path, suffix)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path, "remove", &error)),
            _ => {}
        }
    }
    Ok(())
}

/// An error of the operating system about a file.
pub(super) fn at(path: &Path, doing: &str, error: &io::Error) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: format!("{doing} {}", path.display()), reason: error.to_string() }
}
