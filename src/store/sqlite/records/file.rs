//! A data set's file: how it is opened, what it says that it holds, and what its errors mean.

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};

use super::{LOCK_WAIT, figures, schema};
use crate::{
    dataset::Definition,
    private::{self, PrivacyError},
    store::{
        records::{self, DataSet, DataSetStanding, ImportResult, LastImport, RecordStoreError},
        sqlite::Trouble,
    },
};

/// Statements kept prepared by each connection.
const STATEMENTS_KEPT: usize = 64;
/// The page cache of one reading connection; the operating system's cache stands behind it.
const READER_CACHE_KIB: i64 = 2 * 1024;

pub(super) fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
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

pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// What a file says it holds; nothing if no import into it was ever committed.
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
        let Some(state) = state else { return Ok(None) };
        Ok(Some(Ok((state, read_standing(connection)?, figures::read(connection)?))))
    };
    let Some(state) = read(connection).map_err(|error| match is_busy(&error) {
        true => RecordStoreError::ImportRunning { name: name.to_owned() },
        false => corrupt(error.to_string()),
    })?
    else {
        return Ok(None);
    };
    let (([generation, records, held_from, changes_from], result, [id, day, definition, instance]), standing, figures) =
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
    let figures = figures.and_then(|document| records::read_figures(name, document.as_bytes()));
    let version = result.version;
    let last_import = LastImport { id, day, result };
    let definition = Arc::new(definition);
    Ok(Some(DataSet {
        definition,
        instance,
        version,
        generation,
        held_from,
        changes_from,
        records,
        last_import,
        standing,
        figures,
    }))
}

/// How the data set stands; the table is there once it stood otherwise than as it began.
fn read_standing(connection: &Connection) -> rusqlite::Result<DataSetStanding> {
    let made = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'standing'", [], |row| row.get(0));
    if made == Ok(0_i64) {
        return Ok(DataSetStanding::default());
    }
    let (withdrawn, names): (bool, String) =
        connection
            .query_row("SELECT withdrawn, former_names FROM standing", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let former_names = names.split_whitespace().map(ToOwned::to_owned).collect();
    Ok(DataSetStanding { withdrawn, former_names })
}

/// Writes down how the data set stands.
pub(super) fn write_standing(connection: &Connection, standing: &DataSetStanding) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS standing
             (one INTEGER PRIMARY KEY CHECK (one = 1), withdrawn INTEGER NOT NULL, former_names TEXT NOT NULL) STRICT",
    )?;
    let row = (standing.withdrawn, standing.former_names.join(" "));
    connection.execute("INSERT OR REPLACE INTO standing VALUES (1, ?1, ?2)", row).map(drop)
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error of SQLite, said of a file: damage is damage, a full disk is one, and anything else may pass.
pub(super) fn unavailable(doing: &str, path: &Path, error: &rusqlite::Error) -> RecordStoreError {
    let doing = format!("{doing} {}", path.display());
    match Trouble::of(error) {
        Trouble::Damage => {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
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

/// A file or directory that is not its owner's alone.
pub(super) fn not_private(path: &Path, error: &PrivacyError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: format!("use {}", path.display()), reason: error.to_string() }
}
