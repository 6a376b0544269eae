//! The position of a copy of a data set whose truth is elsewhere, in two tables:
//!
//! - `replica`: the epoch of the truth that it is at, and the import that made its version;
//! - `epochs`: the epoch of each version that wrote anything still kept.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::schema;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS replica (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch INTEGER NOT NULL,
        made_by TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS epochs (version INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT";

/// Makes the two tables, unless they exist.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE)
}

/// Notes that a replica is at an epoch without a new version. Call it in the transaction that brings it there.
pub(super) fn mark(connection: &Connection, epoch: u64) -> rusqlite::Result<()> {
    match connection.execute("UPDATE replica SET epoch = ?1", [epoch.cast_signed()])? {
        1 => Ok(()),
        rows => Err(rusqlite::Error::StatementChangedRows(rows)),
    }
}

/// Notes that a replica is at a version, with the epoch and the import of that version. Call it in the transaction that brings it
/// there.
pub(super) fn mark_version(connection: &Connection, version: u64, epoch: u64, made_by: Uuid) -> rusqlite::Result<()> {
    create(connection)?;
    let place = (epoch.cast_signed(), made_by.to_string());
    connection.execute("INSERT OR REPLACE INTO replica VALUES (1, ?1, ?2)", place)?;
    note(connection, version, epoch)
}

/// Notes the epoch of a version.
pub(super) fn note(connection: &Connection, version: u64, epoch: u64) -> rusqlite::Result<()> {
    let pair = (version.cast_signed(), epoch.cast_signed());
    connection.prepare_cached("INSERT OR REPLACE INTO epochs VALUES (?1, ?2)")?.execute(pair).map(drop)
}

/// The epoch of a version.
pub(super) fn of_version(connection: &Connection, version: u64) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT epoch FROM epochs WHERE version = ?1")?;
    statement.query_row([version.cast_signed()], |row| schema::count(row, 0))
}

/// The epoch of a replica, and the import that made its version; none where the file is no replica.
pub(super) fn present(connection: &Connection) -> rusqlite::Result<Option<(u64, Uuid)>> {
    let made = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'replica'", [], |row| row.get(0));
    if made == Ok(0_i64) {
        return Ok(None);
    }
    let read = |row: &rusqlite::Row<'_>| Ok((schema::count(row, 0)?, schema::uuid(row, 1)?));
    connection.query_row("SELECT epoch, made_by FROM replica", [], read).optional()
}
