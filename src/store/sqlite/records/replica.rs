//! A copy of a data set whose truth is elsewhere. The file is like that of an embedded server, with two more tables that name the
//! state it is a copy of (`epochs.rs`).
//!
//! Guarantees: a replica goes from one version to the next in one transaction; an unfinished copy has a file of another name, which
//! replaces this one as a whole; a file with a truth of its own is never taken for a copy, nor a copy for the truth.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use uuid::Uuid;

use super::{
    SqliteRecordStore, epochs, erasure, figures,
    file::{at, beside, is_busy, load, not_private, open, remove, unavailable, write_state},
    import::FileImport,
    import_lock::begin_empty,
    naming,
    past::{self, Retiring},
    render,
    role::{FileRole, check_role, refuse_truth},
    schema::{self, Stored},
    shared::SharedRecords,
    table::{self, ROW_OF_ID, RowStatements},
    work::Work,
};
use crate::{
    dataset::{Definition, Record, Value},
    private,
    store::records::{
        DataSet, ImportOrder, ImportSession, RecordStoreError,
        outcome::{Columns, Counts},
        past::{ChangeKind, moment},
        rules,
    },
};

/// The page cache while a copy is made, KiB.
const COPYING_CACHE_KIB: i64 = 16 * 1024;
/// The part of a file's name that marks an unfinished copy.
const COPYING: &str = ".db-copying-";

/// The next state of a data set, by the truth.
#[derive(Debug, Clone)]
pub(in crate::store) struct NextState {
    /// The data set in that state.
    pub(in crate::store) data_set: DataSet,
    /// The epoch of the state; for a new version, that of its rows.
    pub(in crate::store) epoch: u64,
    /// The moment of its version; none if the replica has that version already.
    pub(in crate::store) at: Option<Timestamp>,
}

/// The position of a replica.
#[derive(Debug, Clone)]
pub(in crate::store) struct ReplicaPosition {
    pub(in crate::store) data_set: Arc<DataSet>,
    pub(in crate::store) epoch: u64,
    /// The import that made the version: after a backup was restored, another import may have made another version of that number.
    pub(in crate::store) made_by: Uuid,
}

impl SqliteRecordStore {
    /// Reads a replica's position again, as another process may have brought it further. None if there is no replica.
    pub(in crate::store) fn position(&self, name: &str) -> Result<Option<ReplicaPosition>, RecordStoreError> {
        let path = self.shared.path(name)?;
        if !path.exists() {
            self.shared.served.write().unwrap_or_else(PoisonError::into_inner).remove(name);
            return Ok(None);
        }
        self.shared.imported(name, &path)?;
        let Ok(served) = self.shared.find(name) else { return Ok(None) };
        let control = served.control.lock().unwrap_or_else(PoisonError::into_inner);
        let present = epochs::present(&control.connection).map_err(|error| unavailable("read", &path, &error))?;
        let data_set = served.current();
        Ok(present.map(|(epoch, made_by)| ReplicaPosition { data_set, epoch, made_by }))
    }

    /// Tells whether a replica turned out to be damaged since the last call.
    pub(in crate::store) fn was_damaged(&self, name: &str) -> bool {
        self.shared.damaged.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// The size of a replica on the disk, bytes.
    pub(in crate::store) fn file_bytes(&self, name: &str) -> u64 {
        let Ok(path) = self.shared.path(name) else { return 0 };
        let bytes = |suffix| fs::metadata(beside(&path, suffix)).map_or(0, |file| file.len());
        bytes("") + bytes("-wal")
    }

    /// Removes a replica. Nothing is lost with it.
    pub(in crate::store) fn drop_replica(&self, name: &str) -> Result<(), RecordStoreError> {
        let path = self.shared.path(name)?;
        self.shared.forget_replaced(name)?;
        refuse_truth(&path)?;
        naming::remove_file(&self.shared, name, &path)
    }

    /// Removes unfinished copies.
    pub(in crate::store) fn remove_unfinished_copies(&self) -> Result<(), RecordStoreError> {
        let directory = &self.shared.settings.directory;
        let failed = |error: io::Error| at(directory, "tidy", &error);
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().contains(COPYING) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Begins to bring a replica from its position to its next state. None if another process has brought it further.
    pub(in crate::store) fn follow(
        &self,
        from: &ReplicaPosition,
        next: NextState,
    ) -> Result<Option<Follow>, RecordStoreError> {
        Follow::begin(Arc::clone(&self.shared), from, next)
    }

    /// Begins to make a replica.
    pub(in crate::store) fn copy(&self, definition: &Arc<Definition>) -> Result<Copying, RecordStoreError> {
        Copying::begin(Arc::clone(&self.shared), definition)
    }

    /// Begins an import that compares with a replica, and becomes visible there once it is in the truth.
    pub(in crate::store) fn import_into_replica(
        &self,
        order: ImportOrder,
        epoch: u64,
    ) -> Result<ReplicaImport, RecordStoreError> {
        Ok(ReplicaImport(FileImport::begin(Arc::clone(&self.shared), order, Some(epoch))?))
    }
}

/// An import into a replica.
pub(in crate::store) struct ReplicaImport(FileImport);

impl ReplicaImport {
    pub(in crate::store) fn columns(&self) -> Columns {
        self.0.columns()
    }

    /// The last committed import into the compared records, if there was one.
    pub(in crate::store) fn begun_after(&self) -> Option<Uuid> {
        self.0.begun_after()
    }

    /// The moment of the prepared version, if it is a new one.
    pub(in crate::store) fn moment(&self) -> Option<Timestamp> {
        self.0.moment()
    }

    /// Does everything but the commit. Returns the data set as it will be.
    pub(in crate::store) fn prepare(&mut self) -> Result<DataSet, RecordStoreError> {
        self.0.prepare()
    }

    /// The uncommitted work.
    pub(in crate::store) fn work(&self) -> Work<'_> {
        self.0.work()
    }

    /// Commits what was prepared.
    pub(in crate::store) fn commit(self) -> Result<(), RecordStoreError> {
        self.0.commit_prepared()
    }

    /// The session that takes rows.
    pub(in crate::store) fn session(&mut self) -> &mut dyn ImportSession {
        &mut self.0
    }
}

/// A replica on its way to its next state: one transaction.
pub(in crate::store) struct Follow {
    shared: Arc<SharedRecords>,
    path: PathBuf,
    connection: Connection,
    next: NextState,
    is_version: bool,
    columns: Columns,
    statements: RowStatements,
    counts: Counts,
    values: Vec<u8>,
}

impl Follow {
    fn begin(
        shared: Arc<SharedRecords>,
        from: &ReplicaPosition,
        next: NextState,
    ) -> Result<Option<Self>, RecordStoreError> {
        let name = &next.data_set.definition.name;
        let path = shared.path(name)?;
        let failed = |error: rusqlite::Error| match is_busy(&error) {
            true => RecordStoreError::ImportRunning { name: name.clone() },
            false => unavailable("follow", &path, &error),
        };
        let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        let begun = table::use_log(&connection)
            // Writes that a machine's crash undoes are made again.
            .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
            .and_then(|()| connection.execute_batch("BEGIN IMMEDIATE"));
        begun.map_err(failed)?;
        let torn = |reason: &str| torn(name, reason);
        let before = load(&connection, name)?.ok_or_else(|| torn("it has no state"))?;
        check_role(&connection, &path, FileRole::Replica)?;
        let place = epochs::present(&connection).map_err(failed)?;
        if before.instance != from.data_set.instance || place != Some((from.epoch, from.made_by)) {
            return Ok(None);
        }
        let (was, now) = (&before.definition, &next.data_set.definition);
        let is_version = before.version != next.data_set.version;
        if before.instance != next.data_set.instance || is_version && before.version + 1 != next.data_set.version {
            return Err(torn("it is not of the version before"));
        }
        let columns = match rules::same_columns(was, now) {
            true => Columns::Same,
            false if rules::same_identity(was, now) && is_version => Columns::Other,
            false => return Err(torn("its columns are not those of the version before")),
        };
        let shaped = match columns {
            Columns::Other => table::rewrite(&connection, was, now).and_then(|()| erasure::withdraw(&connection, now)),
            _ => Ok(()),
        };
        shaped.and_then(|()| table::fit_indexes(&connection, now)).map_err(failed)?;
        let statements = RowStatements::new(now);
        let counts = Counts::default();
        Ok(Some(Self {
            path: path.clone(),
            shared,
            connection,
            is_version,
            columns,
            statements,
            counts,
            next,
            values: Vec::new(),
        }))
    }

    fn failed(&self, error: &rusqlite::Error) -> RecordStoreError {
        unavailable("follow", &self.path, error)
    }

    fn torn(&self, reason: &str) -> RecordStoreError {
        torn(&self.next.data_set.definition.name, reason)
    }

    /// Takes in a change of a record: its new values, unless it is removed.
    pub(in crate::store) fn change(
        &mut self,
        kind: ChangeKind,
        key: &str,
        id: &Value,
        record: Option<&Record>,
    ) -> Result<(), RecordStoreError> {
        match self.changed(kind, key, id, record) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.torn(&format!("it does not have what the next version changes ({})", kind.name()))),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn changed(&mut self, kind: ChangeKind, key: &str, id: &Value, record: Option<&Record>) -> rusqlite::Result<bool> {
        let row: Option<i64> =
            self.connection.prepare_cached(ROW_OF_ID)?.query_row((key, Stored(id)), |row| row.get(0)).optional()?;
        let version = self.next.data_set.version.cast_signed();
        let retiring = Retiring {
            version,
            generation: self.next.data_set.generation.cast_signed(),
            is_held: self.columns == Columns::Same,
            remains: kind == ChangeKind::Updated,
        };
        if let Some(record) = record {
            self.values.clear();
            render::write_values(record, &mut self.values);
        }
        match (kind, row, record) {
            (ChangeKind::Inserted, None, Some(record)) => {
                table::run(&self.connection, &self.statements.insert, version, record, &self.values, None)?;
                past::note_insertion(&self.connection, version, self.connection.last_insert_rowid())?;
                self.counts.inserted += 1;
            }
            (ChangeKind::Updated, Some(row), Some(record)) => {
                past::retire(&self.connection, &self.statements, retiring, row)?;
                table::run(&self.connection, &self.statements.update, version, record, &self.values, Some(row))?;
                self.counts.updated += 1;
            }
            (ChangeKind::Removed, Some(row), None) => {
                past::retire(&self.connection, &self.statements, retiring, row)?;
                self.connection.prepare_cached("DELETE FROM records WHERE \"$row\" = ?1")?.execute([row])?;
                self.counts.removed += 1;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Makes the state visible.
    pub(in crate::store) fn commit(self) -> Result<(), RecordStoreError> {
        let result = &self.next.data_set.last_import.result;
        let (changes, of_version) = (self.counts, (result.inserted, result.updated, result.removed));
        if self.is_version && (changes.inserted, changes.updated, changes.removed) != of_version {
            return Err(self.torn("the changes of the next version are not all there"));
        }
        self.write().map_err(|error| self.failed(&error))?;
        if let Err(error) = erasure::finish(&self.connection) {
            tracing::debug!(%error, path = %self.path.display(), "a replica was not written anew yet");
        }
        let name = self.next.data_set.definition.name.clone();
        let Self { connection, shared, path, .. } = self;
        drop(connection);
        shared.imported(&name, &path)
    }

    fn write(&self) -> rusqlite::Result<()> {
        let Self { connection, next: NextState { data_set, epoch, at }, .. } = self;
        if let Some(at) = at.filter(|_| self.is_version) {
            past::add_version(connection, data_set, at)?;
            past::drop_before(connection, data_set.changes_from.cast_signed())?;
        }
        write_state(connection, data_set)?;
        if let Some(figures) = &data_set.figures {
            figures::write(connection, figures)?;
        }
        if self.is_version {
            epochs::mark_version(connection, data_set.version, *epoch, data_set.last_import.id)?;
            table::analyze(connection)?;
        } else {
            epochs::mark(connection, *epoch)?;
        }
        connection.execute_batch("COMMIT")
    }
}

/// The error for an inconsistent replica, which has to be made anew.
fn torn(name: &str, reason: &str) -> RecordStoreError {
    RecordStoreError::Corrupt { name: name.to_owned(), reason: format!("this node's copy cannot go on: {reason}") }
}

/// An earlier state of a record.
#[derive(Debug)]
pub(in crate::store) struct Retired<'r> {
    /// The version at which the record is no longer in this state.
    pub(in crate::store) version: u64,
    /// The version since which the record was in this state.
    pub(in crate::store) was: u64,
    /// The generation of columns of its values.
    pub(in crate::store) generation: u64,
    pub(in crate::store) record: &'r Record,
    /// Whether the record continues with other values.
    pub(in crate::store) remains: bool,
    /// Whether versions with this state are held: those have the present columns.
    pub(in crate::store) is_held: bool,
}

/// The origin of a version.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct CopiedVersion {
    pub(in crate::store) version: u64,
    pub(in crate::store) at: Timestamp,
    /// The number of its kept changes.
    pub(in crate::store) changes: u64,
    /// The epoch of the version.
    pub(in crate::store) epoch: u64,
    /// The import.
    pub(in crate::store) made_by: Uuid,
}

/// An unfinished replica.
pub(in crate::store) struct Copying {
    shared: Arc<SharedRecords>,
    name: String,
    path: PathBuf,
    connection: Connection,
    definition: Arc<Definition>,
    statements: RowStatements,
    retire: String,
    values: Vec<u8>,
    records: u64,
}

impl Copying {
    fn begin(shared: Arc<SharedRecords>, definition: &Arc<Definition>) -> Result<Self, RecordStoreError> {
        let name = definition.name.clone();
        let path = shared.path(&name)?.with_file_name(format!("{name}{COPYING}{}", Uuid::now_v7().simple()));
        private::file_or_new(&path).map_err(|error| not_private(&path, &error))?;
        let failed = |error: rusqlite::Error| unavailable("copy records into", &path, &error);
        let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        // Nobody reads the copy before it is whole; one that a crash left is not continued.
        let begun = begin_empty(&connection)
            .and_then(|()| connection.pragma_update(None, "cache_size", -COPYING_CACHE_KIB))
            .and_then(|()| connection.pragma_update(None, "synchronous", "OFF"))
            .and_then(|()| connection.pragma_update(None, "journal_mode", "OFF"))
            .and_then(|()| connection.execute_batch("BEGIN EXCLUSIVE"))
            .and_then(|()| connection.execute_batch(schema::CREATE))
            .and_then(|()| epochs::create(&connection))
            .and_then(|()| table::create(&connection, definition));
        let copying = Self {
            shared,
            name,
            path: path.clone(),
            connection,
            definition: Arc::clone(definition),
            statements: RowStatements::new(definition),
            retire: table::insert_old(definition),
            values: Vec::new(),
            records: 0,
        };
        begun.map_err(failed)?;
        Ok(copying)
    }

    fn failed(&self, error: &rusqlite::Error) -> RecordStoreError {
        unavailable("copy records into", &self.path, error)
    }

    /// Takes in a record, which has been in this state since a version.
    pub(in crate::store) fn record(&mut self, since: u64, record: &Record) -> Result<(), RecordStoreError> {
        self.values.clear();
        render::write_values(record, &mut self.values);
        self.records += 1;
        table::run(&self.connection, &self.statements.insert, since.cast_signed(), record, &self.values, None)
            .map_err(|error| self.failed(&error))
    }

    /// Takes in that a record was inserted at a version.
    pub(in crate::store) fn inserted(&mut self, version: u64, key: &str, id: &Value) -> Result<(), RecordStoreError> {
        let insert = "INSERT INTO changes (version, \"$key\", \"$id\", remains) VALUES (?1, ?2, ?3, 1)";
        let inserted = self
            .connection
            .prepare_cached(insert)
            .and_then(|mut statement| statement.execute((version.cast_signed(), key, Stored(id))));
        inserted.map(drop).map_err(|error| self.failed(&error))
    }

    /// Takes in an earlier state of a record.
    pub(in crate::store) fn retired(
        &mut self,
        key: &str,
        id: &Value,
        retired: &Retired<'_>,
    ) -> Result<(), RecordStoreError> {
        self.write_retired(key, id, retired).map_err(|error| self.failed(&error))
    }

    fn write_retired(&mut self, key: &str, id: &Value, retired: &Retired<'_>) -> rusqlite::Result<()> {
        let Retired { version, was, generation, record, remains, is_held } = *retired;
        self.values.clear();
        render::write_values(record, &mut self.values);
        let insert = "INSERT INTO changes (version, \"$key\", \"$id\", was, generation, before, remains)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let [version, was, generation] = [version, was, generation].map(u64::cast_signed);
        self.connection.prepare_cached(insert)?.execute((
            version,
            key,
            Stored(id),
            was,
            generation,
            &self.values,
            remains,
        ))?;
        if is_held {
            let change = self.connection.last_insert_rowid();
            table::run_old(&self.connection, &self.retire, (change, was, version), record)?;
        }
        Ok(())
    }

    /// Takes in the origin of a version; the last one comes last. Only its kept changes are counted.
    pub(in crate::store) fn version(&mut self, made: &CopiedVersion) -> Result<(), RecordStoreError> {
        let CopiedVersion { version, at, changes, epoch, made_by } = *made;
        let row = (version.cast_signed(), moment(at), changes.cast_signed());
        let insert = "INSERT INTO versions (version, at, changes) VALUES (?1, ?2, ?3)";
        let noted = self.connection.execute(insert, row);
        let noted = noted.and_then(|_| epochs::mark_version(&self.connection, version, epoch, made_by));
        noted.map_err(|error| self.failed(&error))
    }

    /// Takes in the columns of a generation.
    pub(in crate::store) fn generation(
        &mut self,
        generation: u64,
        definition: &Definition,
    ) -> Result<(), RecordStoreError> {
        past::add_generation(&self.connection, generation, definition).map_err(|error| self.failed(&error))
    }

    /// Takes in the epoch of a version.
    pub(in crate::store) fn epoch(&mut self, version: u64, epoch: u64) -> Result<(), RecordStoreError> {
        epochs::note(&self.connection, version, epoch).map_err(|error| self.failed(&error))
    }

    /// Puts the copy in its place. Refuses a copy whose number of records differs from the data set's.
    pub(in crate::store) fn finish(mut self, next: &NextState) -> Result<(), RecordStoreError> {
        let data_set = &next.data_set;
        if self.records != data_set.records {
            let (found, wanted) = (self.records, data_set.records);
            return Err(torn(&self.name, &format!("{found} records were copied, and the data set has {wanted}")));
        }
        self.write(next).map_err(|error| self.failed(&error))?;
        let path = self.shared.path(&self.name)?;
        let failed = |error: io::Error| at(&path, "put a copy in the place of", &error);
        fs::File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        self.shared.forget_replaced(&self.name)?;
        refuse_truth(&path)?;
        if fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0) {
            // The file before may not be whole without its log, which must not be read with the copy: both go first.
            naming::remove_file(&self.shared, &self.name, &path)?;
        } else {
            // There is a file at any time: other processes may open it now.
            remove(&path, &["-wal", "-shm"])?;
        }
        fs::rename(&self.path, &path).map_err(failed)?;
        self.shared.imported(&self.name, &path)
    }

    /// Writes the rest, and closes the file: its log goes with the last connection.
    fn write(&mut self, next: &NextState) -> rusqlite::Result<()> {
        let connection = std::mem::replace(&mut self.connection, Connection::open_in_memory()?);
        table::fit_indexes(&connection, &self.definition)?;
        write_state(&connection, &next.data_set)?;
        if let Some(found) = &next.data_set.figures {
            figures::write(&connection, found)?;
        }
        epochs::mark(&connection, next.epoch)?;
        table::analyze(&connection)?;
        connection.execute_batch("COMMIT")?;
        table::use_log(&connection)?;
        connection.close().map_err(|(_, error)| error)
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // A finished copy has another name.
            fs::remove_file(beside(&self.path, suffix)).ok();
        }
    }
}
