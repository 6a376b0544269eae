//! The table of records in the shape of a definition, and the statements that write its rows.

use rusqlite::Connection;

use super::{
    render,
    schema::{self, Stored, column_name},
};
use crate::{
    dataset::{Definition, Record, Value},
    store::records::rules,
};

/// The texts of the statements that are run for each row.
pub(super) struct Statements {
    pub(super) look_up: String,
    pub(super) insert: String,
    /// As `insert`, with the row's number.
    copy: String,
    pub(super) update: String,
}

impl Statements {
    pub(super) fn new(definition: &Definition) -> Self {
        let names: Vec<String> = (0..definition.columns.len()).map(|place| column_name(definition, place)).collect();
        let assignments: Vec<String> = names.iter().map(|name| format!("{name} = ?")).collect();
        let loaded = definition.load_date.map_or("NULL".to_owned(), |place| column_name(definition, place));
        // Without the columns' names: the text is looked up for every row among the prepared statements.
        let insert = |row: &str| {
            let marks = (1..=names.len() + 1).map(|place| format!(",?{place}"));
            format!("INSERT INTO records VALUES ({row}{})", String::from_iter(marks))
        };
        Self {
            look_up: format!(
                "SELECT \"$row\", \"$values\", {loaded} FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2"
            ),
            insert: insert("NULL"),
            copy: insert(&format!("?{}", names.len() + 2)),
            update: format!("UPDATE records SET {}, \"$values\" = ? WHERE \"$row\" = ?", assignments.join(", ")),
        }
    }
}

/// Runs a statement whose parameters are a record's columns, its values as they are published and, where given, its row.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    record: &Record,
    values: &[u8],
    row: Option<i64>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = record.values.len();
    for (place, value) in record.values.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, Stored(value))?;
    }
    statement.raw_bind_parameter(columns + 1, values)?;
    if let Some(row) = row {
        statement.raw_bind_parameter(columns + 2, row)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Makes the table, without indexes.
pub(super) fn create(connection: &Connection, definition: &Definition) -> rusqlite::Result<()> {
    connection.execute_batch(&schema::create_records(definition))
}

/// Copies every record into a table of the new columns. A column of the same name and type keeps its values, any
/// other begins as null and is filled by the file's rows; records that the file does not hold keep those nulls.
pub(super) fn rewrite(connection: &Connection, old: &Definition, new: &Definition) -> rusqlite::Result<()> {
    let statements = Statements::new(new);
    drop_indexes(connection, &[])?;
    connection.execute_batch("ALTER TABLE records RENAME TO records_before")?;
    connection.execute_batch(&schema::create_records(new))?;
    let sources = rules::kept_columns(old, new);
    let names: Vec<String> = (0..old.columns.len()).map(|place| column_name(old, place)).collect();
    let mut read =
        connection.prepare(&format!("SELECT {}, \"$row\" FROM records_before ORDER BY \"$row\"", names.join(", ")))?;
    let mut rows = read.query([])?;
    let mut text = Vec::new();
    while let Some(row) = rows.next()? {
        let values: rusqlite::Result<Vec<Value>> = sources
            .iter()
            .zip(&new.columns)
            .map(|(source, column)| match source {
                Some(place) => Ok(schema::value(column.kind, row.get_ref(*place)?)?),
                None => Ok(Value::Null),
            })
            .collect();
        let record = Record { values: values? };
        text.clear();
        render::write_values(&record, &mut text);
        run(connection, &statements.copy, &record, &text, Some(row.get(old.columns.len())?))?;
    }
    drop(rows);
    drop(read);
    connection.execute_batch("DROP TABLE records_before")
}

/// Drops the indexes that the definition does not declare and makes those that are missing.
pub(super) fn fit_indexes(connection: &Connection, definition: &Definition) -> rusqlite::Result<()> {
    let wanted = schema::indexes(definition);
    let names: Vec<&str> = wanted.iter().map(|index| index.name.as_str()).collect();
    let present = drop_indexes(connection, &names)?;
    for index in wanted.iter().filter(|index| !present.contains(&index.name)) {
        connection.execute_batch(&schema::create_index(definition, index))?;
    }
    Ok(())
}

/// Drops the indexes of records but those named; the names of the ones that remain.
fn drop_indexes(connection: &Connection, keep: &[&str]) -> rusqlite::Result<Vec<String>> {
    let present: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'records'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let (kept, dropped): (Vec<String>, Vec<String>) =
        present.into_iter().partition(|name| keep.contains(&name.as_str()));
    for name in dropped {
        connection.execute_batch(&format!("DROP INDEX {}", schema::quoted(&name)))?;
    }
    Ok(kept)
}
