//! The moments of versions.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::schema::count;
use crate::store::records::past::moment;

/// The moment of a version in its published form, if it is kept.
pub(super) fn of_version(connection: &Connection, version: u64) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT at FROM versions WHERE version = ?1")?;
    statement.query_row([version.cast_signed()], |row| row.get(0)).optional()
}

/// The last known version whose moment is not after this one. It need not be held.
pub(super) fn version_at(connection: &Connection, at: Timestamp) -> rusqlite::Result<Option<u64>> {
    // The texts sort as the moments do, and moments rise with versions: the walk from the end stops at the first.
    let sql = "SELECT version FROM versions WHERE at <= ?1 ORDER BY version DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([moment(floor_to_microsecond(at))], |row| count(row, 0)).optional()
}

/// The last microsecond that is not after a moment: moments of versions have no finer ones.
fn floor_to_microsecond(at: Timestamp) -> Timestamp {
    let floored = at.as_nanosecond().div_euclid(1_000).checked_mul(1_000);
    floored.and_then(|floored| Timestamp::from_nanosecond(floored).ok()).unwrap_or(at)
}
