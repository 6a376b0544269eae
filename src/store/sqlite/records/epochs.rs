//! What a copy of a data set whose truth is elsewhere says of itself, in two tables:
//!
//! - `replica`: the epoch of the truth that it has arrived at;
//! - `epochs`: the epoch that each version was written under, of those that anything kept was written by.

use rusqlite::{Connection, OptionalExtension};

use super::schema;

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS replica (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS epochs (version INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT";

/// Makes the two tables, where they are not there yet.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE)
}

/// Writes down the epoch that a replica is at, and the version that it made, if it made one. Within the transaction that
/// brings it there.
pub(super) fn mark(connection: &Connection, epoch: u64, version: Option<u64>) -> rusqlite::Result<()> {
    create(connection)?;
    connection.execute("INSERT OR REPLACE INTO replica VALUES (1, ?1)", [epoch.cast_signed()])?;
    match version {
        Some(version) => note(connection, version, epoch),
        None => Ok(()),
    }
}

/// Writes down the epoch that a version was written under.
pub(super) fn note(connection: &Connection, version: u64, epoch: u64) -> rusqlite::Result<()> {
    let pair = (version.cast_signed(), epoch.cast_signed());
    connection.prepare_cached("INSERT OR REPLACE INTO epochs VALUES (?1, ?2)")?.execute(pair).map(drop)
}

/// The epoch that a version was written under.
pub(super) fn of_version(connection: &Connection, version: u64) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT epoch FROM epochs WHERE version = ?1")?;
    statement.query_row([version.cast_signed()], |row| schema::count(row, 0))
}

/// The epoch that a replica is at; none where the file is no replica.
pub(super) fn present(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let made = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'replica'", [], |row| row.get(0));
    if made == Ok(0_i64) {
        return Ok(None);
    }
    connection.query_row("SELECT epoch FROM replica", [], |row| schema::count(row, 0)).optional()
}
