//! Erases data that a data set no longer publishes. A withdrawn column leaves its values in the kept past, in free pages, in free
//! space within pages, and in the write-ahead log.
//!
//! Guarantees: the import that withdraws a column removes its values from the past in its own transaction, and marks the file. A
//! process that finds the mark writes the file anew without free space, and empties its log: the import itself, or, if it died
//! before or somebody was reading, the next import or the next start of a server. No file of ours keeps the values then.

use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, functions::FunctionFlags};

use super::{columns, render};
use crate::dataset::Definition;

/// The file's `user_version`: nothing is left to do.
const CLEAN: i64 = 0;
/// The file has to be written anew.
const TO_REWRITE: i64 = 1;
/// The file's log has to be emptied.
const TO_EMPTY_LOG: i64 = 2;

/// Removes the values of columns that `now` lacks from the past, and marks the file if there are such columns. Call it in the
/// transaction that withdraws them.
pub(super) fn withdraw(connection: &Connection, now: &Definition) -> rusqlite::Result<()> {
    let mut withdrawn: HashMap<i64, Vec<usize>> = HashMap::new();
    let mut statement = connection.prepare("SELECT generation, definition FROM generations")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(1)?;
        let then: Definition = serde_json::from_str(&text)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))?;
        let is_gone = |name: &str| now.columns.iter().all(|column| column.name != name);
        let places = then.columns.iter().enumerate().filter(|(_, column)| is_gone(&column.name));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        if !places.is_empty() {
            withdrawn.insert(row.get(0)?, places);
        }
    }
    if withdrawn.is_empty() {
        return Ok(());
    }
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("withdrawn", 2, flags, move |call| {
        let values: Vec<u8> = call.get(0)?;
        let places = withdrawn.get(&call.get::<i64>(1)?).map_or(&[][..], Vec::as_slice);
        Ok(render::without(&values, places))
    })?;
    connection.execute("UPDATE changes SET before = withdrawn(before, generation) WHERE before IS NOT NULL", [])?;
    mark(connection)
}

/// Marks a file to be written anew. Call it in the transaction that makes this necessary.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", TO_REWRITE)
}

/// Does the remaining work, outside any transaction. If another connection is in the way, the mark stays.
pub(super) fn finish(connection: &Connection) -> rusqlite::Result<()> {
    if found(connection)? == TO_REWRITE {
        // The projection is made of the states of before.
        if let Some(path) = connection.path() {
            columns::remove_file(Path::new(path))
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        }
        connection.execute_batch("VACUUM")?;
        connection.pragma_update(None, "user_version", TO_EMPTY_LOG)?;
    }
    empty_log(connection)
}

/// Empties the log of a file that was written anew, unless somebody is reading from it.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let truncate = || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if found(connection)? == TO_EMPTY_LOG && truncate()? == 0 {
        connection.pragma_update(None, "user_version", CLEAN)?;
        truncate()?;
    }
    Ok(())
}

/// Tells whether a file's log still has to be emptied.
pub(super) fn is_log_to_empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(found(connection)? == TO_EMPTY_LOG)
}

fn found(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
