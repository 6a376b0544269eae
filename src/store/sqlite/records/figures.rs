//! The figures of a data set's columns: counted by the import that makes a version, within its transaction, and kept in the file
//! beside the state. No version is ever published without them, and none of a version that is not there are kept.

use rusqlite::{Connection, OptionalExtension, types::ValueRef};

use super::{rowset::RowSet, schema};
use crate::dataset::{
    Definition,
    figures::{TableFigures, TableTally},
};

/// Counts the records that the table holds, but for those that were counted as they came.
pub(super) fn count_others(
    connection: &Connection,
    definition: &Definition,
    counted: &RowSet,
    tally: &mut TableTally,
) -> rusqlite::Result<()> {
    let names: Vec<String> =
        (0..definition.columns.len()).map(|place| schema::column_name(definition, place)).collect();
    let mut statement = connection.prepare(&format!("SELECT \"$row\", {} FROM records", names.join(", ")))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if counted.contains(row.get(0)?) {
            continue;
        }
        tally.add_record();
        for (place, column) in definition.columns.iter().enumerate() {
            let stored = row.get_ref(place + 1)?;
            if tally.wants(place) {
                tally.add(place, &schema::value(column.kind, stored)?);
            } else {
                tally.add_any(place, matches!(stored, ValueRef::Null));
            }
        }
    }
    Ok(())
}

/// Writes them down in place of those that were there. The table is there once there were any.
pub(super) fn write(connection: &Connection, figures: &TableFigures) -> rusqlite::Result<()> {
    let document =
        serde_json::to_string(figures).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS figures (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL) STRICT",
    )?;
    connection.execute("INSERT OR REPLACE INTO figures VALUES (1, ?1)", [document]).map(drop)
}

/// The document that a file holds, if there is any: an import of an older permitd made none.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let made = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'figures'", [], |row| row.get(0));
    if made == Ok(0_i64) {
        return Ok(None);
    }
    connection.query_row("SELECT document FROM figures", [], |row| row.get(0)).optional()
}
