//! The figures of a data set's columns: the import that makes a version counts them in its transaction, and keeps them in the file
//! beside the state. Every version is published with its figures, and only existing versions have some.

use rusqlite::{Connection, OptionalExtension, types::ValueRef};

use super::{rowset::RowSet, schema};
use crate::dataset::{
    Definition,
    figures::{TableFigures, TableTally},
};

/// Counts the records in the table that were not counted as they came.
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

/// Writes the figures in place of earlier ones. Creates their table at the first time.
pub(super) fn write(connection: &Connection, figures: &TableFigures) -> rusqlite::Result<()> {
    let document =
        serde_json::to_string(figures).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS figures (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL) STRICT",
    )?;
    connection.execute("INSERT OR REPLACE INTO figures VALUES (1, ?1)", [document]).map(drop)
}

/// The stored document, if any: an import of an older permitd made none.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let made = connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'figures'", [], |row| row.get(0));
    if made == Ok(0_i64) {
        return Ok(None);
    }
    connection.query_row("SELECT document FROM figures", [], |row| row.get(0)).optional()
}
