//! The table of records in a definition's shape, and the statements that write its rows.

use rusqlite::Connection;

use super::{
    render,
    schema::{self, RecordTable, Stored, column_name},
};
use crate::{
    dataset::{Definition, Record, Value},
    store::records::rules,
};

/// Rows that `ANALYZE` reads in each index.
const ANALYSIS_ROWS: i64 = 1_000;
/// Finds a record's row.
pub(super) const ROW_OF_ID: &str =
    "SELECT \"$row\" FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2";

/// The texts of the statements for each row.
pub(super) struct RowStatements {
    pub(super) look_up: String,
    pub(super) insert: String,
    /// Reads a whole record by its row.
    pub(super) read: String,
    /// As `insert`, with the row's number.
    copy: String,
    pub(super) update: String,
    /// Copies a record that is about to be replaced or removed.
    pub(super) retire: String,
}

impl RowStatements {
    pub(super) fn new(definition: &Definition) -> Self {
        let names: Vec<String> = (0..definition.columns.len()).map(|place| column_name(definition, place)).collect();
        let assignments: Vec<String> = names.iter().map(|name| format!("{name} = ?")).collect();
        // Columns are not named: the text is the key under which every row finds its prepared statement.
        let insert = |row: &str| {
            let marks = (1..=names.len() + 2).map(|place| format!(",?{place}"));
            format!("INSERT INTO records VALUES ({row}{})", String::from_iter(marks))
        };
        Self {
            look_up: look_up(definition, []),
            insert: insert("NULL"),
            read: format!("SELECT {}, \"$values\" FROM records WHERE \"$row\" = ?1", names.join(", ")),
            copy: insert(&format!("?{}", names.len() + 3)),
            update: format!(
                "UPDATE records SET \"$from\" = ?, {}, \"$values\" = ? WHERE \"$row\" = ?",
                assignments.join(", ")
            ),
            retire: format!(
                "INSERT INTO old SELECT ?1, \"$from\", ?2, {} FROM records WHERE \"$row\" = ?3",
                names.join(", ")
            ),
        }
    }
}

/// The statement that finds a record: its row, its published values, the load date, and these columns.
pub(super) fn look_up(definition: &Definition, columns: impl IntoIterator<Item = usize>) -> String {
    let name = |place| column_name(definition, place);
    let read: Vec<String> = [definition.load_date.map_or("NULL".to_owned(), name)]
        .into_iter()
        .chain(columns.into_iter().map(name))
        .collect();
    format!(
        "SELECT \"$row\", \"$values\", {} FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2",
        read.join(", ")
    )
}

/// Reads a whole record by its row.
pub(super) fn read_record(
    connection: &Connection,
    sql: &str,
    definition: &Definition,
    row: i64,
) -> rusqlite::Result<Record> {
    connection.prepare_cached(sql)?.query_row([row], |row| {
        let published = row.get_ref(definition.columns.len())?.as_bytes()?;
        let values = definition.columns.iter().enumerate().map(|(place, column)| {
            let value = schema::value(column.kind, row.get_ref(place)?)?;
            Ok(render::as_published(value, published, place))
        });
        Ok(Record { values: values.collect::<rusqlite::Result<_>>()? })
    })
}

/// Runs a statement with these parameters: the version that writes a record, the record's columns, its published values and, if
/// given, its row.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    version: i64,
    record: &Record,
    values: &[u8],
    row: Option<i64>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = record.values.len();
    for (place, value) in record.values.iter().enumerate() {
        statement.raw_bind_parameter(place + 2, Stored(value))?;
    }
    statement.raw_bind_parameter(1, version)?;
    statement.raw_bind_parameter(columns + 2, values)?;
    if let Some(row) = row {
        statement.raw_bind_parameter(columns + 3, row)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// The statement that keeps the typed values of a record's earlier state: the number of its change, and the range of its versions.
pub(super) fn insert_old(definition: &Definition) -> String {
    let marks = (1..=definition.columns.len() + 3).map(|place| format!("?{place}"));
    format!("INSERT INTO old VALUES ({})", marks.collect::<Vec<_>>().join(","))
}

/// Runs it.
pub(super) fn run_old(
    connection: &Connection,
    sql: &str,
    (change, from, to): (i64, i64, i64),
    record: &Record,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    for (place, number) in (1..).zip([change, from, to]) {
        statement.raw_bind_parameter(place, number)?;
    }
    for (place, value) in (4..).zip(&record.values) {
        statement.raw_bind_parameter(place, Stored(value))?;
    }
    statement.raw_execute().map(drop)
}

/// Makes the tables of records, without indexes.
pub(super) fn create(connection: &Connection, definition: &Definition) -> rusqlite::Result<()> {
    connection.execute_batch(&schema::create_table(definition, RecordTable::Records))?;
    connection.execute_batch(&schema::create_table(definition, RecordTable::Old))
}

/// Drops the tables of records and their past.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DROP TABLE records; DROP TABLE old; DELETE FROM changes; DELETE FROM versions")
}

/// Copies every record into a table of the new columns. A column of the same name and type keeps its values, any other begins as
/// null and is filled by the file's rows; records that the file lacks keep those nulls. Earlier states are not carried over:
/// versions with other columns are not served.
pub(super) fn rewrite(connection: &Connection, old: &Definition, new: &Definition) -> rusqlite::Result<()> {
    let statements = RowStatements::new(new);
    drop_indexes(connection, RecordTable::Records, &[])?;
    connection.execute_batch("ALTER TABLE records RENAME TO records_before; DROP TABLE old")?;
    create(connection, new)?;
    let sources = rules::kept_columns(old, new);
    let names: Vec<String> = (0..old.columns.len()).map(|place| column_name(old, place)).collect();
    let mut read = connection.prepare(&format!(
        "SELECT {}, \"$row\", \"$from\", \"$values\" FROM records_before ORDER BY \"$row\"",
        names.join(", ")
    ))?;
    let mut rows = read.query([])?;
    let mut text = Vec::new();
    while let Some(row) = rows.next()? {
        let values: rusqlite::Result<Vec<Value>> = sources
            .iter()
            .zip(&new.columns)
            .map(|(source, column)| match source {
                Some(place) => {
                    let value = schema::value(column.kind, row.get_ref(*place)?)?;
                    Ok(render::as_published(value, row.get_ref(old.columns.len() + 2)?.as_bytes()?, *place))
                }
                None => Ok(Value::Null),
            })
            .collect();
        let record = Record { values: values? };
        text.clear();
        render::write_values(&record, &mut text);
        let (number, from) = (row.get(old.columns.len())?, row.get(old.columns.len() + 1)?);
        run(connection, &statements.copy, from, &record, &text, Some(number))?;
    }
    drop(rows);
    drop(read);
    connection.execute_batch("DROP TABLE records_before")
}

/// Drops the indexes that the definition does not declare and makes those that are missing.
pub(super) fn fit_indexes(connection: &Connection, definition: &Definition) -> rusqlite::Result<()> {
    let wanted = schema::indexes(definition);
    let names: Vec<String> = wanted.iter().map(|index| index.name.clone()).collect();
    let present = drop_indexes(connection, RecordTable::Records, &names)?;
    // Files of earlier programs have some: earlier states are found by the column projection now.
    drop_indexes(connection, RecordTable::Old, &[])?;
    for index in wanted.iter().filter(|index| !present.contains(&index.name)) {
        connection.execute_batch(&schema::create_index(definition, index))?;
    }
    Ok(())
}

/// Drops all indexes of a table except the named ones. Returns the names of the remaining ones.
fn drop_indexes(connection: &Connection, table: RecordTable, keep: &[String]) -> rusqlite::Result<Vec<String>> {
    let present: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1")?
        .query_map([table.name()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let (kept, dropped): (Vec<String>, Vec<String>) = present.into_iter().partition(|name| keep.contains(name));
    for name in dropped {
        connection.execute_batch(&format!("DROP INDEX {}", schema::quoted(&name)))?;
    }
    Ok(kept)
}

/// Makes SQLite analyze the indexes, so that it knows which one leads to fewer rows.
pub(super) fn analyze(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "analysis_limit", ANALYSIS_ROWS)?;
    connection.execute_batch("ANALYZE")
}

/// Turns the write-ahead log on, permanently: it is a property of the file.
pub(super) fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
}
