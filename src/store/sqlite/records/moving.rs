//! A data set's file as what is moved to another backend, and as what is made of a replica.
//!
//! Guarantees: all that is read of a file is of one state, whatever is imported meanwhile. A file that is made of a replica gets its
//! name when it is whole, by one rename: it holds what the replica holds, the past included, and nothing that says that it is a copy.

use std::{collections::BTreeMap, fs::File, io, path::Path, sync::Arc};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, types::FromSqlError};

use super::{
    columns,
    file::{at, beside, is_busy, load, name_of, not_private, open, remove, unavailable},
    render,
    role::{FileRole, check_role},
    schema::{self, column_name, count},
    table,
};
use crate::{
    dataset::{ColumnType, Definition, Record, Value},
    failpoint::crash_point,
    private,
    store::records::{DataSet, RecordStoreError},
};

/// What follows the name of a file that is not whole yet.
const UNFINISHED: &str = "-unfinished";

/// How much a data set's file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct FileSize {
    /// Changes that are kept.
    pub(in crate::store) changes: u64,
    /// Versions whose moments are kept.
    pub(in crate::store) versions: u64,
    /// Its pages, bytes.
    pub(in crate::store) bytes: u64,
}

/// A version whose moment is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct KeptVersion {
    pub(in crate::store) version: u64,
    pub(in crate::store) at: Timestamp,
    /// How many changes it had that were kept.
    pub(in crate::store) changes: u64,
}

/// A kept state of a record that was replaced or removed.
#[derive(Debug)]
pub(in crate::store) struct KeptState {
    /// The version since which the record was in this state.
    pub(in crate::store) was: u64,
    /// The generation of columns that its values are written for.
    pub(in crate::store) generation: u64,
    pub(in crate::store) record: Record,
}

/// A kept change.
#[derive(Debug)]
pub(in crate::store) struct KeptChange {
    pub(in crate::store) version: u64,
    pub(in crate::store) key: String,
    pub(in crate::store) id: Value,
    /// The state before; none where the record was inserted.
    pub(in crate::store) before: Option<KeptState>,
    /// Whether the record is there after it.
    pub(in crate::store) remains: bool,
}

/// One state of a data set's file, for reading all of it.
pub(in crate::store) struct RecordsFile {
    connection: Connection,
    name: String,
    data_set: DataSet,
}

impl RecordsFile {
    /// Opens a file; none where no import into it was ever committed.
    ///
    /// # Errors
    /// Where it cannot be read, or is a replica.
    pub(in crate::store) fn open(path: &Path) -> Result<Option<Self>, RecordStoreError> {
        let name = name_of(path);
        let failed = |error: rusqlite::Error| match is_busy(&error) {
            true => RecordStoreError::ImportRunning { name: name.clone() },
            false => unavailable("read", path, &error),
        };
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        connection.execute_batch("BEGIN").map_err(failed)?;
        let Some(data_set) = load(&connection, &name)? else { return Ok(None) };
        check_role(&connection, path, FileRole::Truth)?;
        Ok(Some(Self { connection, name, data_set }))
    }

    pub(in crate::store) fn data_set(&self) -> &DataSet {
        &self.data_set
    }

    pub(in crate::store) fn size(&self) -> Result<FileSize, RecordStoreError> {
        let sql = "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM versions),
            (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
        let size = self.connection.query_row(sql, [], |row| {
            Ok(FileSize { changes: count(row, 0)?, versions: count(row, 1)?, bytes: count(row, 2)? })
        });
        size.map_err(|error| self.failed(&error))
    }

    /// The kept versions, in order.
    pub(in crate::store) fn versions(&self) -> Result<Vec<KeptVersion>, RecordStoreError> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT version, at, changes FROM versions ORDER BY version")?;
            let versions = statement.query_map([], |row| {
                let at: String = row.get(1)?;
                let at = at.parse().map_err(|error: jiff::Error| FromSqlError::other(error))?;
                Ok(KeptVersion { version: count(row, 0)?, at, changes: count(row, 2)? })
            })?;
            versions.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(&error))
    }

    /// The definitions of stored values, by generation; the present one is among them.
    pub(in crate::store) fn generations(&self) -> Result<BTreeMap<u64, Arc<Definition>>, RecordStoreError> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT generation, definition FROM generations")?;
            let pairs = statement.query_map([], |row| Ok((count(row, 0)?, row.get(1)?)))?;
            pairs.collect::<rusqlite::Result<Vec<(u64, String)>>>()
        };
        let mut generations = BTreeMap::new();
        for (generation, text) in read().map_err(|error| self.failed(&error))? {
            let definition: Definition = serde_json::from_str(&text)
                .map_err(|error| self.damaged(&format!("the definition of its generation {generation}: {error}")))?;
            generations.insert(generation, Arc::new(definition));
        }
        generations.insert(self.data_set.generation, Arc::clone(&self.data_set.definition));
        Ok(generations)
    }

    /// For each generation of replaced and removed states, the first and the last version that replaced or removed one.
    pub(in crate::store) fn versions_of_generations(&self) -> Result<BTreeMap<u64, (u64, u64)>, RecordStoreError> {
        let read = || {
            let sql = "SELECT generation, min(version), max(version) FROM changes WHERE before IS NOT NULL GROUP BY generation";
            let mut statement = self.connection.prepare(sql)?;
            let ranges = statement.query_map([], |row| Ok((count(row, 0)?, (count(row, 1)?, count(row, 2)?))))?;
            ranges.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(&error))
    }

    /// How many records each version inserted, updated and removed, as far as its changes are kept.
    pub(in crate::store) fn kinds_of_changes(&self) -> Result<BTreeMap<u64, [u64; 3]>, RecordStoreError> {
        let read = || {
            let sql = "SELECT version, count(*) FILTER (WHERE before IS NULL),
                    count(*) FILTER (WHERE before IS NOT NULL AND remains), count(*) FILTER (WHERE NOT remains)
                FROM changes GROUP BY version";
            let mut statement = self.connection.prepare(sql)?;
            let kinds = statement
                .query_map([], |row| Ok((count(row, 0)?, [count(row, 1)?, count(row, 2)?, count(row, 3)?])))?;
            kinds.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Calls `take` with each present record, and the version since which it is in its state.
    pub(in crate::store) fn each_record<E: From<RecordStoreError>>(
        &self,
        take: &mut dyn FnMut(u64, Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let definition = &self.data_set.definition;
        let names: Vec<String> = (0..definition.columns.len()).map(|place| column_name(definition, place)).collect();
        let columns = names.len();
        let sql = format!("SELECT {}, \"$from\", \"$values\" FROM records", names.join(", "));
        let failed = |error: rusqlite::Error| E::from(self.failed(&error));
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let read = || {
                let published = row.get_ref(columns + 1)?.as_bytes()?;
                let values = definition.columns.iter().enumerate().map(|(place, column)| {
                    let value = schema::value(column.kind, row.get_ref(place)?)?;
                    Ok(render::as_published(value, published, place))
                });
                Ok((count(row, columns)?, Record { values: values.collect::<rusqlite::Result<_>>()? }))
            };
            let (since, record) = read().map_err(failed)?;
            take(since, record)?;
        }
        Ok(())
    }

    /// Calls `take` with each kept change, in the order of versions, keys and record ids.
    pub(in crate::store) fn each_change<E: From<RecordStoreError>>(
        &self,
        take: &mut dyn FnMut(KeptChange) -> Result<(), E>,
    ) -> Result<(), E> {
        let generations = self.generations()?;
        let definition = &self.data_set.definition;
        let kind_of_id = definition.columns.get(definition.record_id).map_or(ColumnType::Text, |column| column.kind);
        let failed = |error: rusqlite::Error| E::from(self.failed(&error));
        let sql = "SELECT version, \"$key\", \"$id\", was, generation, before, remains
            FROM changes INDEXED BY changes_feed ORDER BY version, \"$key\", \"$id\"";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let read = || {
                let id = schema::value(kind_of_id, row.get_ref(2)?)?;
                let stored = row.get_ref(5)?.as_blob_or_null()?;
                let before = match stored {
                    Some(stored) => Some((count(row, 3)?, count(row, 4)?, stored)),
                    None => None,
                };
                Ok((count(row, 0)?, row.get::<_, String>(1)?, id, before, row.get::<_, bool>(6)?))
            };
            let (version, key, id, stored, remains) = read().map_err(failed)?;
            let before = match stored {
                None => None,
                Some((was, generation, stored)) => {
                    let then = generations.get(&generation).ok_or_else(|| {
                        self.damaged(&format!("the definition of its generation {generation} is missing"))
                    })?;
                    let record = render::read_values(then, stored).ok_or_else(|| {
                        self.damaged(&format!(
                            "what version {version} replaced of the record {key:?} {id} cannot be read"
                        ))
                    })?;
                    Some(KeptState { was, generation, record })
                }
            };
            take(KeptChange { version, key, id, before, remains })?;
        }
        Ok(())
    }

    fn failed(&self, error: &rusqlite::Error) -> RecordStoreError {
        match self.connection.path() {
            Some(path) => unavailable("read", Path::new(path), error),
            None => RecordStoreError::Unavailable { doing: format!("read {}", self.name), reason: error.to_string() },
        }
    }

    /// The error for a file that does not hold what it should.
    pub(in crate::store) fn damaged(&self, reason: &str) -> RecordStoreError {
        RecordStoreError::Corrupt { name: self.name.clone(), reason: reason.to_owned() }
    }
}

/// Makes a data set's own file of a replica, which must be at `wanted`. Returns false where the file is there already, at that state.
///
/// # Errors
/// [`RecordStoreError::NameTaken`] where another state, or another data set, has the name; where the files cannot be read or written.
pub fn make_own(replica: &Path, to: &Path, wanted: &DataSet) -> Result<bool, RecordStoreError> {
    let name = name_of(to);
    if to.exists() {
        let there = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unavailable("read", to, &error))?;
        match load(&there, &name)? {
            Some(found) => {
                check_role(&there, to, FileRole::Truth)?;
                return if is_same(&found, wanted) { Ok(false) } else { Err(RecordStoreError::NameTaken { name }) };
            }
            // An import that never came to its end leaves a file without records.
            None => drop(there),
        }
        remove(to, &["", "-wal", "-shm"])?;
    }
    let unfinished = beside(to, UNFINISHED);
    remove(&unfinished, &["", "-wal", "-shm", "-journal"])?;
    private::new_file(&unfinished).map_err(|error| at(&unfinished, "make", &error))?;
    private::file(&unfinished).map_err(|error| not_private(&unfinished, &error))?;
    copy_whole(replica, &unfinished, wanted)?;
    crash_point("move-records-copied");
    let failed = |error: io::Error| at(to, "put records in the place of", &error);
    columns::remove_file(to).map_err(failed)?;
    File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&unfinished, to).map_err(failed)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    crash_point("move-records-named");
    Ok(true)
}

fn copy_whole(replica: &Path, unfinished: &Path, wanted: &DataSet) -> Result<(), RecordStoreError> {
    let source =
        open(replica, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unavailable("read", replica, &error))?;
    let name = name_of(replica);
    let held = load(&source, &name)?.ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.clone() })?;
    check_role(&source, replica, FileRole::Replica)?;
    if !is_same(&held, wanted) {
        let (found, wanted) = (held.version, wanted.version);
        let reason =
            format!("its copy is at version {found}, or another import's, and the table at {wanted}: repeat the move");
        return Err(RecordStoreError::Unavailable { doing: format!("move {name}"), reason });
    }
    // Writes no page that holds nothing any more.
    let into = private::by_real_directory(unfinished);
    let copied = source.execute("VACUUM INTO ?1", [into.to_string_lossy()]);
    copied.map_err(|error| unavailable("copy", replica, &error))?;
    let failed = |error: rusqlite::Error| unavailable("write", unfinished, &error);
    let made = open(unfinished, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    made.execute_batch("BEGIN EXCLUSIVE; DROP TABLE replica; DROP TABLE epochs; PRAGMA user_version = 0; COMMIT")
        .and_then(|()| table::use_log(&made))
        .and_then(|()| made.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
        .map_err(failed)?;
    made.close().map_err(|(_, error)| failed(error))
}

/// Tells whether two states are of one version, made by the same imports.
fn is_same(left: &DataSet, right: &DataSet) -> bool {
    left.identity() == right.identity() && left.standing == right.standing
}
