//! Copies a data set as of one of its held versions into a new file: the records as they were, and the part of the past that was known then.
//!
//! The states of that version are the rows of `records` that were written by then, and the rows of `old` that were written by then and
//! replaced later. Versions with other columns are not held, so that all of them have the columns of today.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::{
    figures,
    file::{is_busy, not_private, open, unavailable, write_state},
    import_lock::begin_empty,
    rowset::RowSet,
    schema::{self, column_name},
    table,
};
use crate::{
    dataset::figures::TableTally,
    domain::guard::ImportCounts,
    private,
    store::records::{DataSet, ImportResult, LastImport, RecordStoreError, read_figures, state},
};

/// The version of a data set that is wanted, as the log knows it.
#[derive(Debug, Clone)]
pub struct WantedVersion {
    /// The version.
    pub version: u64,
    /// The last import that had completed by then.
    pub import: LastImport,
    /// Whether the data set was withdrawn then.
    pub withdrawn: bool,
    /// The imports that the log knew then: the data set must have begun with one of them.
    pub known: Vec<Uuid>,
}

/// Why a version cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum WindBackError {
    /// Its records are not there any more.
    #[error("{0}")]
    Gone(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
}

/// Copies a version of the data set in the file `from` into the new file `to`. Others may import meanwhile.
///
/// # Errors
/// [`WindBackError::Gone`] where the version is no longer held.
pub fn wind_back(from: &Path, to: &Path, wanted: &WantedVersion) -> Result<DataSet, WindBackError> {
    if !from.exists() {
        return Err(WindBackError::Gone("it has no records under this name any more".to_owned()));
    }
    private::new_file(to).map_err(|error| {
        let doing = format!("make {}", to.display());
        RecordStoreError::Unavailable { doing, reason: error.to_string() }
    })?;
    private::file(to).map_err(|error| not_private(to, &error))?;
    let failed = |error: rusqlite::Error| match is_busy(&error) {
        true => RecordStoreError::ImportRunning { name: super::file::name_of(from) },
        false => unavailable("copy", from, &error),
    };
    let connection = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    begin(&connection, from).map_err(failed)?;
    let data_set = match present(&connection).map_err(failed)? {
        Some((document, figures)) => {
            let name = super::file::name_of(from);
            let figures = figures.and_then(|figures| read_figures(&name, figures.as_bytes()));
            state::read_document(&document, figures)
                .map_err(|error| RecordStoreError::Corrupt { name, reason: format!("its state: {error}") })?
        }
        None => return Err(WindBackError::Gone("it has no records under this name any more".to_owned())),
    };
    let version = wanted.version;
    if !wanted.known.contains(&data_set.instance) {
        return Err(WindBackError::Gone("its records were removed or begun anew since".to_owned()));
    }
    if version < data_set.held_from || version > data_set.version {
        let (from, to) = (data_set.held_from, data_set.version);
        return Err(WindBackError::Gone(format!(
            "its version {version} is no longer held: the held ones are {from} to {to}"
        )));
    }
    let data_set = copy(&connection, data_set, wanted).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    Ok(data_set)
}

/// Attaches the source, and begins the one transaction in which everything is read and written.
fn begin(connection: &Connection, from: &Path) -> rusqlite::Result<()> {
    begin_empty(connection)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    let from = private::by_real_directory(from);
    connection.execute("ATTACH DATABASE ?1 AS source", [from.to_string_lossy()])?;
    connection.execute_batch("BEGIN")
}

/// The source's state and figures; none where no import into it was ever committed.
fn present(connection: &Connection) -> rusqlite::Result<Option<(String, Option<String>)>> {
    use rusqlite::OptionalExtension;
    let has = |name: &str| {
        let sql = "SELECT count(*) > 0 FROM source.sqlite_schema WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get::<_, bool>(0))
    };
    if !has("state")? {
        return Ok(None);
    }
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).optional();
    let figures = if has("figures")? { read("SELECT document FROM source.figures")? } else { None };
    Ok(read("SELECT document FROM source.state")?.map(|document| (document, figures)))
}

fn copy(connection: &Connection, mut data_set: DataSet, wanted: &WantedVersion) -> rusqlite::Result<DataSet> {
    let (version, definition) = (wanted.version.cast_signed(), std::sync::Arc::clone(&data_set.definition));
    connection.execute_batch(schema::CREATE)?;
    table::create(connection, &definition)?;
    let columns: Vec<String> = (0..definition.columns.len()).map(|place| column_name(&definition, place)).collect();
    let (columns, of_old) = (columns.join(", "), columns.iter().map(|name| format!("o.{name}")).collect::<Vec<_>>());
    let statements = [
        format!(
            "INSERT INTO main.records (\"$row\", \"$from\", {columns}, \"$values\")
             SELECT \"$row\", \"$from\", {columns}, \"$values\" FROM source.records WHERE \"$from\" <= ?1"
        ),
        format!(
            "INSERT INTO main.records (\"$from\", {columns}, \"$values\")
             SELECT o.\"$from\", {}, c.before FROM source.old AS o JOIN source.changes AS c ON c.n = o.\"$row\"
             WHERE o.\"$from\" <= ?1 AND o.\"$to\" > ?1",
            of_old.join(", ")
        ),
        format!(
            "INSERT INTO main.old (\"$row\", \"$from\", \"$to\", {columns})
             SELECT \"$row\", \"$from\", \"$to\", {columns} FROM source.old WHERE \"$to\" <= ?1"
        ),
        "INSERT INTO main.changes (n, version, \"$key\", \"$id\", was, generation, before, remains)
         SELECT n, version, \"$key\", \"$id\", was, generation, before, remains FROM source.changes WHERE version <= ?1"
            .to_owned(),
        "INSERT INTO main.versions (version, at, changes) SELECT version, at, changes FROM source.versions WHERE version <= ?1"
            .to_owned(),
    ];
    for sql in &statements {
        connection.execute(sql, [version])?;
    }
    connection.execute_batch(
        "INSERT INTO main.generations (generation, definition) SELECT generation, definition FROM source.generations",
    )?;
    let is_present = data_set.version == wanted.version;
    data_set.records = connection.query_row("SELECT count(*) FROM main.records", [], |row| schema::count(row, 0))?;
    data_set.version = wanted.version;
    if data_set.last_import.id != wanted.import.id {
        data_set.last_import = wanted.import.clone();
    }
    data_set.standing.withdrawn = wanted.withdrawn;
    table::fit_indexes(connection, &definition)?;
    match data_set.figures.as_ref().filter(|_| is_present) {
        Some(figures) => figures::write(connection, figures)?,
        None => {
            let mut tally = TableTally::new(&definition);
            figures::count_others(connection, &definition, &RowSet::default(), &mut tally)?;
            let at: String =
                connection.query_row("SELECT at FROM main.versions WHERE version = ?1", [version], |row| row.get(0))?;
            let at = at.parse().map_err(|error: jiff::Error| rusqlite::types::FromSqlError::other(error))?;
            let figures = tally.finish(wanted.version, at);
            figures::write(connection, &figures)?;
            data_set.figures = Some(std::sync::Arc::new(figures));
        }
    }
    write_state(connection, &data_set)?;
    connection.execute_batch("COMMIT; DETACH DATABASE source")?;
    table::analyze(connection)?;
    Ok(data_set)
}

/// What the log says of an import, as the records keep it.
pub fn result_of(version: u64, counts: &ImportCounts) -> ImportResult {
    let ImportCounts { inserted, updated, unchanged, removed, rejected, .. } = *counts;
    ImportResult { version, changed: inserted + updated + removed > 0, inserted, updated, unchanged, removed, rejected }
}
