//! What a data set was: its versions, and what each changed.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::store::records::{DataSet, Retention};

/// Hours of a day.
const DAY_HOURS: i64 = 24;

/// Writes down that a version has come to be, and the definition that its values are of.
pub(super) fn add_version(connection: &Connection, data_set: &DataSet, at: Timestamp) -> rusqlite::Result<()> {
    let result = &data_set.last_import.result;
    let version = data_set.version.cast_signed();
    let changes = (result.inserted + result.updated + result.removed).cast_signed();
    // What a data set begins with is not kept as changes.
    let kept = if data_set.changes_from == data_set.version { 0 } else { changes };
    connection.execute(
        "INSERT INTO versions (version, at, changes) VALUES (?1, ?2, ?3)",
        (version, format!("{at:.6}"), kept),
    )?;
    let definition = serde_json::to_string(data_set.definition.as_ref())
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute(
        "INSERT OR REPLACE INTO generations (generation, definition) VALUES (?1, ?2)",
        (data_set.generation.cast_signed(), definition),
    )?;
    Ok(())
}

/// Gives up what is kept for longer than it is to be, or is more.
pub(super) fn give_up(
    connection: &Connection,
    data_set: &mut DataSet,
    retention: Retention,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let age = SignedDuration::from_hours(i64::from(retention.days) * DAY_HOURS);
    let horizon = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    // The version that was the present one then is still held; from the next one on, changes are.
    let by_age: Option<i64> =
        connection.query_row("SELECT max(version) FROM versions WHERE at <= ?1", [format!("{horizon:.6}")], |row| {
            row.get(0)
        })?;
    let by_count: Option<i64> = connection
        .query_row(
            "SELECT version FROM (SELECT version, sum(changes) OVER (ORDER BY version DESC) AS kept FROM versions)
             WHERE kept > ?1 AND version < ?2 ORDER BY version DESC LIMIT 1",
            (i64::try_from(retention.changes_max).unwrap_or(i64::MAX), data_set.version.cast_signed()),
            |row| row.get(0),
        )
        .optional()?;
    let Some(floor) = by_age.max(by_count).filter(|floor| *floor > 0) else { return Ok(()) };
    connection.execute("DELETE FROM old WHERE \"$to\" <= ?1", [floor])?;
    connection.execute("DELETE FROM changes WHERE version <= ?1", [floor])?;
    connection.execute("DELETE FROM versions WHERE version < ?1", [floor])?;
    let floor = floor.unsigned_abs();
    data_set.held_from = data_set.held_from.max(floor);
    data_set.changes_from = data_set.changes_from.max(floor);
    Ok(())
}
