//! What an import knows of the stored records: a temporary file, so that its memory does not grow with them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, types::Type};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::store::records::{RecordStoreError, seen::Seen};

/// The page cache.
const CACHE_KIB: i64 = 32 * 1024;
/// Statements kept prepared.
const STATEMENTS_KEPT: usize = 32;

const CREATE: &str = "
    CREATE TABLE stored (
        key TEXT NOT NULL,
        id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        filled BLOB NOT NULL,
        rewrite INTEGER NOT NULL,
        fate INTEGER NOT NULL,
        PRIMARY KEY (key, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE absent (key TEXT NOT NULL, id TEXT NOT NULL, vals TEXT NOT NULL, PRIMARY KEY (key, id))
        STRICT, WITHOUT ROWID;
    CREATE TABLE keys_kept (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE owed (n INTEGER PRIMARY KEY, key TEXT NOT NULL, sort_key TEXT NOT NULL, due INTEGER NOT NULL,
        owed TEXT NOT NULL) STRICT;";
const ADD: &str =
    "INSERT INTO stored (key, id, epoch, fingerprint, filled, rewrite, fate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const FILLED: &str = "SELECT filled FROM stored WHERE key = ?1 AND id = ?2";
const FIND: &str = "SELECT epoch, fingerprint FROM stored WHERE key = ?1 AND id = ?2 AND fate <> 4";
const MARK: &str = "UPDATE stored SET fate = ?3 WHERE key = ?1 AND id = ?2 AND fate <> 4";
const KEEP_KEY: &str = "INSERT INTO keys_kept (key) VALUES (?1) ON CONFLICT DO NOTHING";
const REMOVE_UNSEEN: &str = "UPDATE stored SET fate = 3 WHERE fate = 0 AND key NOT IN (SELECT key FROM keys_kept)";
const NEXT: &str = "SELECT key, id, epoch, rewrite, fate FROM stored WHERE (key, id) > (?1, ?2)
    ORDER BY key, id LIMIT ?3";

const NOTE_VALUES: &str = "INSERT INTO absent (key, id, vals) VALUES (?1, ?2, ?3)";
const VALUES: &str = "SELECT vals FROM absent WHERE key = ?1 AND id = ?2";

const OWE: &str = "INSERT INTO owed (key, sort_key, due, owed) VALUES (?1, ?2, ?3, ?4)";
const OWED: &str = "SELECT n, key, sort_key, owed FROM owed WHERE n > ?1 AND due = ?2 ORDER BY n LIMIT ?3";

/// When it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwedUntil {
    /// Once all of the table has been read: not before, so that reading never meets what it made itself.
    Read = 0,
    /// Once the import has become visible: until then readers need what goes.
    Committed = 1,
}

/// What is to be done with a row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Owed {
    /// It is to be deleted.
    Delete,
    /// What an import that died said of it, in that epoch, is to be taken back.
    Revive(u64),
    /// It is to be found by indexes that it is not in.
    Index,
    /// These of its attributes are to be taken away: they hold what is not published any more.
    Erase(Vec<String>),
}

/// A row that something is owed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwedRow {
    /// Its place among others.
    pub(super) number: i64,
    pub(super) key: String,
    pub(super) sort_key: String,
    pub(super) owed: Owed,
}

/// What becomes of a stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The file has not held it so far.
    Unseen = 0,
    /// The file holds the same.
    Same = 1,
    /// The file holds another, which has been written.
    Replaced = 2,
    /// The file does not hold it, and it is to go.
    Removed = 3,
    /// It cannot be compared with the file's, and is to go.
    Foreign = 4,
}

impl Fate {
    fn of(number: i64) -> Self {
        match number {
            1 => Self::Same,
            2 => Self::Replaced,
            3 => Self::Removed,
            4 => Self::Foreign,
            _ => Self::Unseen,
        }
    }
}

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) id: String,
    /// The epoch of the version that is seen.
    pub(super) epoch: u64,
    /// Whether it has to be written anew for other columns.
    pub(super) rewrite: bool,
    pub(super) fate: Fate,
}

/// The file, which goes with the value.
pub(super) struct Scratch {
    connection: Connection,
    seen: Seen,
    file: NamedTempFile,
}

impl Scratch {
    /// Makes one in a folder, which is made when it is absent.
    pub(super) fn new(folder: &Path) -> Result<Self, RecordStoreError> {
        let failed = |error: &dyn std::fmt::Display| RecordStoreError::Unavailable {
            doing: format!("make a temporary file in {}", folder.display()),
            reason: error.to_string(),
        };
        crate::private::directory(folder).map_err(|error| failed(&error))?;
        let file = tempfile::Builder::new()
            .prefix("import-")
            .suffix(".db")
            .tempfile_in(folder)
            .map_err(|error| failed(&error))?;
        let access = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let path = crate::private::by_real_directory(file.path());
        let made = Connection::open_with_flags(path, access).and_then(|connection| {
            // Nobody needs it after a crash.
            connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
            connection.execute_batch(CREATE)?;
            let seen = Seen::new(&connection, "main")?;
            // One transaction for all of it.
            connection.execute_batch("BEGIN")?;
            Ok((connection, seen))
        });
        let (connection, seen) = made.map_err(|error| failed(&error))?;
        Ok(Self { connection, seen, file })
    }

    /// An error of the file, said of an import.
    fn failed(&self, error: &rusqlite::Error) -> RecordStoreError {
        RecordStoreError::Unavailable {
            doing: format!("use its temporary file {}", self.file.path().display()),
            reason: error.to_string(),
        }
    }

    /// Adds a stored record. `filled` has a bit for each column that it has a value of.
    pub(super) fn add(&self, stored: &Stored, fingerprint: &[u8; 16], filled: &[u8]) -> Result<(), RecordStoreError> {
        let Stored { key, id, epoch, rewrite, fate } = stored;
        let run = || {
            let row = (key, id, epoch.cast_signed(), fingerprint, filled, rewrite, *fate as i64);
            self.connection.prepare_cached(ADD)?.execute(row).map(drop)
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Notes what is to be done with a row, and when.
    pub(super) fn owe(&self, key: &str, sort_key: &str, due: OwedUntil, owed: &Owed) -> Result<(), RecordStoreError> {
        let run = || {
            let owed =
                serde_json::to_string(owed).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            self.connection.prepare_cached(OWE)?.execute((key, sort_key, due as i64, owed)).map(drop)
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Rows with which something is to be done then, after one of them, at most `max`.
    pub(super) fn owed_after(&self, number: i64, due: OwedUntil, max: usize) -> Result<Vec<OwedRow>, RecordStoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(OWED)?;
            let read = |row: &rusqlite::Row<'_>| {
                let owed = serde_json::from_str(&row.get::<_, String>(3)?)
                    .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, error.into()))?;
                Ok(OwedRow { number: row.get(0)?, key: row.get(1)?, sort_key: row.get(2)?, owed })
            };
            let rows = statement.query_map((number, due as i64, i64::try_from(max).unwrap_or(i64::MAX)), read)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        run().map_err(|error| self.failed(&error))
    }

    /// The stored version of a record: its epoch, and what tells it from others.
    pub(super) fn find(&self, key: &str, id: &str) -> Result<Option<(u64, Vec<u8>)>, RecordStoreError> {
        let run = || {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?));
            self.connection.prepare_cached(FIND)?.query_row((key, id), read).optional()
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Of which columns a stored record has values.
    pub(super) fn filled(&self, key: &str, id: &str) -> Result<Vec<u8>, RecordStoreError> {
        let run = || self.connection.prepare_cached(FILLED)?.query_row((key, id), |row| row.get(0));
        run().map_err(|error| self.failed(&error))
    }

    /// Notes what is stored of the columns that the file does not have.
    pub(super) fn note_values(&self, key: &str, id: &str, values: &[Option<String>]) -> Result<(), RecordStoreError> {
        let run = || {
            let values =
                serde_json::to_string(values).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            self.connection.prepare_cached(NOTE_VALUES)?.execute((key, id, values)).map(drop)
        };
        run().map_err(|error| self.failed(&error))
    }

    /// What was noted of a record.
    pub(super) fn values(&self, key: &str, id: &str) -> Result<Vec<Option<String>>, RecordStoreError> {
        let run = || {
            let text: String = self.connection.prepare_cached(VALUES)?.query_row((key, id), |row| row.get(0))?;
            serde_json::from_str(&text)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Notes what becomes of a stored record, if there is one.
    pub(super) fn mark(&self, key: &str, id: &str, fate: Fate) -> Result<(), RecordStoreError> {
        let run = || self.connection.prepare_cached(MARK)?.execute((key, id, fate as i64)).map(drop);
        run().map_err(|error| self.failed(&error))
    }

    /// Keeps all stored records of a key.
    pub(super) fn keep_key(&self, key: &str) -> Result<(), RecordStoreError> {
        let run = || self.connection.prepare_cached(KEEP_KEY)?.execute((key,)).map(drop);
        run().map_err(|error| self.failed(&error))
    }

    /// Marks for removal what the file does not hold and nobody keeps. How many these are.
    pub(super) fn remove_unseen(&self) -> Result<u64, RecordStoreError> {
        let removed = self.connection.execute(REMOVE_UNSEEN, []).map_err(|error| self.failed(&error))?;
        Ok(removed as u64)
    }

    /// Stored records after one of them, in the order of keys and ids, at most `max`.
    pub(super) fn after(&self, key: &str, id: &str, max: usize) -> Result<Vec<Stored>, RecordStoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(NEXT)?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Stored {
                    key: row.get(0)?,
                    id: row.get(1)?,
                    epoch: row.get::<_, i64>(2)?.cast_unsigned(),
                    rewrite: row.get(3)?,
                    fate: Fate::of(row.get(4)?),
                })
            };
            let rows = statement.query_map((key, id, i64::try_from(max).unwrap_or(i64::MAX)), read)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        run().map_err(|error| self.failed(&error))
    }

    /// How many rows of the file have borne the key, this one included.
    pub(super) fn count(&mut self, key: &str) -> Result<i64, RecordStoreError> {
        self.seen.count(&self.connection, key).map_err(|error| self.failed(&error))
    }

    /// Notes the line of a record id; the line of the first row that had it, if there was one.
    pub(super) fn note(
        &mut self,
        key: &str,
        id: &crate::dataset::Value,
        line: u64,
    ) -> Result<Option<u64>, RecordStoreError> {
        self.seen.note(&self.connection, key, id, line).map_err(|error| self.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(key: &str, id: &str, fate: Fate) -> Stored {
        Stored { key: key.to_owned(), id: id.to_owned(), epoch: 3, rewrite: false, fate }
    }

    #[test]
    fn what_is_unseen_goes_unless_its_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        for (key, id) in [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")] {
            scratch.add(&stored(key, id, Fate::Unseen), &[7; 16], &[]).unwrap();
        }
        scratch.mark("a", "1", Fate::Same).unwrap();
        scratch.mark("z", "1", Fate::Same).unwrap();
        scratch.keep_key("c").unwrap();
        assert_eq!(scratch.find("a", "1").unwrap(), Some((3, vec![7; 16])));
        assert_eq!(scratch.find("a", "9").unwrap(), None);
        assert_eq!(scratch.remove_unseen().unwrap(), 2);
        let (first, rest) = (scratch.after("", "", 3).unwrap(), scratch.after("b", "1", 3).unwrap());
        let fates: Vec<Fate> = first.iter().chain(&rest).map(|stored| stored.fate).collect();
        assert_eq!(fates, [Fate::Same, Fate::Removed, Fate::Removed, Fate::Unseen]);
    }

    #[test]
    fn what_is_foreign_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        scratch.add(&stored("a", "1", Fate::Foreign), &[0; 16], &[]).unwrap();
        assert_eq!(scratch.find("a", "1").unwrap(), None);
        scratch.mark("a", "1", Fate::Same).unwrap();
        assert_eq!(scratch.after("", "", 9).unwrap()[0].fate, Fate::Foreign);
    }

    #[test]
    fn what_is_owed_is_remembered_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let erased = Owed::Erase(vec!["status".to_owned(), "$by-status".to_owned()]);
        let all = [Owed::Delete, Owed::Revive(0), Owed::Index, Owed::Revive(u64::MAX), erased.clone()];
        for (nth, owed) in all.iter().enumerate() {
            scratch.owe("k", &format!("{nth}#1"), OwedUntil::Read, owed).unwrap();
        }
        scratch.owe("k", "9#1", OwedUntil::Committed, &erased).unwrap();
        let first = scratch.owed_after(0, OwedUntil::Read, 3).unwrap();
        let rest = scratch.owed_after(first[2].number, OwedUntil::Read, 3).unwrap();
        assert_eq!(first.iter().chain(&rest).map(|row| row.owed.clone()).collect::<Vec<_>>(), all);
        assert_eq!((rest[0].key.as_str(), rest[0].sort_key.as_str()), ("k", "3#1"));
        let later = scratch.owed_after(0, OwedUntil::Committed, 3).unwrap();
        assert_eq!(later.iter().map(|row| (row.sort_key.as_str(), &row.owed)).collect::<Vec<_>>(), [("9#1", &erased)]);
    }

    #[test]
    fn the_file_goes_with_the_import() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(&folder.path().join("made")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 1);
        drop(scratch);
        assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 0);
    }
}
