//! Imports: one transaction per file. Rows are compared with stored records and written only where they differ.
//!
//! An import's memory of the file is bounded, see [`Seen`], except for one bit per stored row.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter, types::Value as Sql};
use uuid::Uuid;

use super::{
    epochs, erasure, figures,
    file::{is_busy, load, not_private, open, unavailable, write_state},
    import_lock::open_for_import,
    past::{self, Retiring},
    render,
    rowset::RowSet,
    schema::{self, Stored},
    seen::Seen,
    shared::SharedRecords,
    table::{self, ROW_OF_ID, RowStatements},
    work::Work,
};
use crate::{
    dataset::{
        ColumnType, RECORD_BYTES_MAX, Record, RecordIdRule, Value,
        figures::{TableFigures, TableTally},
    },
    private::{self, FilePlace},
    store::records::{
        DataSet, ImportOrder, ImportResult, ImportSession, Outlook, RecordStoreError, RowOutcome,
        outcome::{Absent, Columns, Counts, Effects},
        rules::{self, set},
    },
};

/// The page cache while indexes are made, smaller than before: a sorter takes as much for each of its runs, and up to three runs
/// are in memory. Longer runs are no faster.
const SORT_CACHE_KIB: i64 = 4 * 1024;
/// Rows that one statement removes.
const REMOVED_PER_STEP: usize = 500;

/// An import into a data set's file, under way.
pub(super) struct FileImport {
    shared: Arc<SharedRecords>,
    path: PathBuf,
    connection: Connection,
    order: ImportOrder,
    stored: Option<DataSet>,
    columns: Columns,
    /// Whether the table was empty when the import began: then nothing is compared.
    empty: bool,
    /// The version that this import makes if it changes anything.
    version: i64,
    rows_seen: RowSet,
    /// Rows whose records are in the tally.
    rows_counted: RowSet,
    tally: TableTally,
    seen: Seen,
    counts: Counts,
    absent: Absent,
    effects: Effects,
    /// Whether rows bring record ids that would otherwise be counted.
    brings_ids: bool,
    /// Whether records that the file lacks were removed already.
    is_settled: bool,
    statements: RowStatements,
    /// A buffer for one record after the other.
    values: Vec<u8>,
    /// The epoch to note with the version, if the file is a replica.
    epoch: Option<u64>,
    /// The moment of the prepared version.
    at: Option<Timestamp>,
}

const KEEP_KEY: &str = "INSERT INTO temp.keys_kept (key) VALUES (?1) ON CONFLICT DO NOTHING";

impl FileImport {
    /// Begins an import. `epoch` is given if the file is a replica: the epoch under which the truth is written.
    pub(super) fn begin(
        shared: Arc<SharedRecords>,
        order: ImportOrder,
        epoch: Option<u64>,
    ) -> Result<Self, RecordStoreError> {
        let name = order.definition.name.clone();
        let path = shared.path(&name)?;
        let failed = |error: rusqlite::Error| {
            if is_busy(&error) {
                return RecordStoreError::ImportRunning { name: name.clone() };
            }
            unavailable("import into", &path, &error)
        };
        private::file_or_new(&path).map_err(|error| not_private(&path, &error))?;
        let place = FilePlace::of(&path).map_err(|error| RecordStoreError::Unavailable {
            doing: format!("import into {}", path.display()),
            reason: error.to_string(),
        })?;
        let connection = open_for_import(&path).map_err(failed)?;
        if place.trouble().is_some() {
            // The data set was removed or renamed while this import waited for it.
            return Err(RecordStoreError::ImportRunning { name });
        }
        let seen = Seen::new(&connection).map_err(failed)?;
        let stored = load(&connection, &name)?;
        order.check_stored(stored.as_ref())?;
        let statements = RowStatements::new(&order.definition);
        let tally = TableTally::new(&order.definition);
        let mut session = Self {
            shared,
            path: path.clone(),
            connection,
            order,
            stored,
            columns: Columns::Same,
            empty: false,
            version: 0,
            rows_seen: RowSet::default(),
            rows_counted: RowSet::default(),
            tally,
            seen,
            counts: Counts::default(),
            absent: Absent::default(),
            effects: Effects::default(),
            brings_ids: false,
            is_settled: false,
            statements,
            values: Vec::new(),
            epoch,
            at: None,
        };
        session.prepare_table()?;
        Ok(session)
    }

    fn failed(&self, error: &rusqlite::Error) -> RecordStoreError {
        unavailable("import into", &self.path, error)
    }

    /// Brings the table into the definition's shape.
    fn prepare_table(&mut self) -> Result<(), RecordStoreError> {
        let definition = &self.order.definition;
        self.version = self.order.next_version(self.stored.as_ref()).cast_signed();
        let made = match &self.stored {
            None => self
                .connection
                .execute_batch(schema::CREATE)
                .and_then(|()| table::create(&self.connection, definition))
                .map(|()| Columns::New),
            // Nothing stored is kept.
            Some(_) if self.order.anew.is_some() => table::forget(&self.connection)
                .and_then(|()| self.connection.execute_batch("DELETE FROM generations"))
                .and_then(|()| table::create(&self.connection, definition))
                .map(|()| Columns::New),
            Some(stored) if rules::same_columns(&stored.definition, definition) => Ok(Columns::Same),
            Some(stored) if rules::same_identity(&stored.definition, definition) => {
                table::rewrite(&self.connection, &stored.definition, definition)
                    .and_then(|()| erasure::withdraw(&self.connection, definition))
                    .map(|()| Columns::Other)
            }
            Some(stored) if self.order.replace => {
                // Stored records cannot be matched with the file's: all of them go.
                self.counts.removed = stored.records;
                table::forget(&self.connection)
                    .and_then(|()| erasure::mark(&self.connection))
                    .and_then(|()| table::create(&self.connection, definition))
                    .map(|()| Columns::New)
            }
            Some(_) => return Err(RecordStoreError::IdentityChanged { name: definition.name.clone() }),
        };
        self.columns = made.map_err(|error| self.failed(&error))?;
        let empty = self
            .connection
            .query_row("SELECT NOT EXISTS (SELECT 1 FROM records)", [], |row| row.get(0))
            .map_err(|error| self.failed(&error))?;
        self.empty = empty;
        if !empty {
            table::fit_indexes(&self.connection, definition).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// Tells whether record ids are the places of rows among those of their key.
    fn counts_rows(&self) -> bool {
        self.order.definition.record_id_rule == RecordIdRule::Ordinal && !self.brings_ids
    }

    fn take_in(&mut self, line: u64, key: &str, mut record: Record) -> rusqlite::Result<RowOutcome> {
        let place = self.order.definition.record_id;
        if self.counts_rows() {
            let ordinal = self.seen.count(&self.connection, key)?;
            let id = rules::ordinal_value(&self.order.definition, ordinal);
            set(&mut record, Some(place), id);
        } else if let Some(first_line) =
            self.seen.note(&self.connection, key, record.values.get(place).unwrap_or(&Value::Null), line)?
        {
            return Ok(RowOutcome::Duplicate { first_line });
        }
        let before = if self.empty { None } else { self.stored_like(key, &mut record)? };
        let (row, outcome) = match before {
            Some((row, true)) => (row, RowOutcome::Unchanged),
            Some((row, false)) => {
                self.note_effects(row, &record)?;
                self.retire(row, true)?;
                self.write(&mut record, Some(row))?;
                (row, RowOutcome::Updated)
            }
            None => (self.write(&mut record, None)?, RowOutcome::Inserted),
        };
        self.rows_seen.insert(row);
        // The record is now in its stored form: with the load date, and with values that the file lacks.
        self.rows_counted.insert(row);
        self.tally.add_all(&record);
        match outcome {
            RowOutcome::Inserted => self.counts.inserted += 1,
            RowOutcome::Updated => self.counts.updated += 1,
            RowOutcome::Unchanged | RowOutcome::Duplicate { .. } => self.counts.unchanged += 1,
        }
        Ok(outcome)
    }

    /// The stored row of this key and id, and whether it is the same except for the load date.
    fn stored_like(&mut self, key: &str, record: &mut Record) -> rusqlite::Result<Option<(i64, bool)>> {
        let definition = &self.order.definition;
        let id = record.values.get(definition.record_id).unwrap_or(&Value::Null);
        let mut statement = self.connection.prepare_cached(&self.statements.look_up)?;
        let mut rows = statement.query((key, Stored(id)))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        // With the stored load date in the new record, equal records have equal texts.
        let loaded = schema::value(ColumnType::Date, row.get_ref(2)?)?;
        set(record, definition.load_date, loaded);
        let published = row.get_ref(1)?.as_bytes()?;
        let stored = (3_usize..).zip(self.absent.places()).map(|(nth, place)| {
            let value = schema::value(definition.column_kind(place), row.get_ref(nth)?)?;
            Ok(render::as_published(value, published, place))
        });
        let stored: rusqlite::Result<Vec<Value>> = stored.collect();
        self.absent.compare(record, stored?);
        self.values.clear();
        render::write_values(record, &mut self.values);
        Ok(Some((row.get(0)?, published == self.values.as_slice())))
    }

    /// Notes the effects of an update on a stored record's values.
    fn note_effects(&mut self, row: i64, record: &Record) -> rusqlite::Result<()> {
        let is_blank = |(place, value): (usize, &Value)| value.is_null().then_some(place);
        let blank: Vec<usize> = record.values.iter().enumerate().filter_map(is_blank).collect();
        if blank.is_empty() && !self.effects.wants_differences() {
            return Ok(());
        }
        let definition = Arc::clone(&self.order.definition);
        let old = table::read_record(&self.connection, &self.statements.read, &definition, row)?;
        let is_lost = |place: &usize| old.values.get(*place).is_some_and(|value| !value.is_null());
        let own = [Some(definition.record_id), definition.load_date];
        self.effects.lose(blank.into_iter().filter(is_lost).filter(|place| !own.contains(&Some(*place))));
        self.effects.compare(&definition, &old, record);
        Ok(())
    }

    /// The number of stored values in each column that loses some, before the import.
    fn values_before(&self) -> rusqlite::Result<Vec<u64>> {
        let losing = self.effects.losing();
        let Some(stored) = self.stored.as_ref().filter(|_| !losing.is_empty()) else { return Ok(Vec::new()) };
        let place = |column: &usize| stored.definition.column_index(self.order.definition.column_name(*column));
        let counted = |column| match place(column) {
            Some(place) => format!("COUNT({})", schema::column_name(&stored.definition, place)),
            None => "0".to_owned(),
        };
        let counted: Vec<String> = losing.iter().map(counted).collect();
        let others = open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        others.query_row(&format!("SELECT {} FROM records", counted.join(", ")), [], |row| {
            (0..losing.len()).map(|place| schema::count(row, place)).collect()
        })
    }

    fn write(&mut self, record: &mut Record, row: Option<i64>) -> rusqlite::Result<i64> {
        set(record, self.order.definition.load_date, Value::Date(self.order.today));
        self.values.clear();
        render::write_values(record, &mut self.values);
        let sql = if row.is_some() { &self.statements.update } else { &self.statements.insert };
        table::run(&self.connection, sql, self.version, record, &self.values, row)?;
        if let Some(row) = row {
            return Ok(row);
        }
        let row = self.connection.last_insert_rowid();
        // The records that a new data set begins with are no changes.
        if self.columns != Columns::New {
            past::note_insertion(&self.connection, self.version, row)?;
        }
        Ok(row)
    }

    /// Keeps a stored record's state before it is replaced or removed.
    fn retire(&self, row: i64, remains: bool) -> rusqlite::Result<()> {
        let (version, generation) = (self.version, self.generation().cast_signed());
        // A version with other columns is not served: only its changes are.
        let is_held = self.columns == Columns::Same;
        past::retire(&self.connection, &self.statements, Retiring { version, generation, is_held, remains }, row)
    }

    /// The generation of the columns that records are written with.
    fn generation(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.generation) + u64::from(self.columns != Columns::Same)
    }

    fn keep(&mut self, key: &str) -> rusqlite::Result<()> {
        if !self.counts_rows() {
            if self.order.replace {
                self.connection.prepare_cached(KEEP_KEY)?.execute((key,))?;
            }
            return Ok(());
        }
        let ordinal = self.seen.count(&self.connection, key)?;
        let id = rules::ordinal_value(&self.order.definition, ordinal);
        if self.order.replace && !self.empty {
            let row: Option<i64> = self
                .connection
                .prepare_cached(ROW_OF_ID)?
                .query_row((key, Stored(&id)), |row| row.get(0))
                .optional()?;
            if let Some(row) = row {
                self.rows_seen.insert(row);
            }
        }
        Ok(())
    }

    /// Removes the stored rows that the file lacks.
    fn remove_unseen(&mut self) -> rusqlite::Result<()> {
        let mut next = i64::MIN;
        loop {
            let mut unseen: Vec<Sql> = Vec::new();
            {
                let sql = "SELECT \"$row\" FROM records WHERE \"$row\" >= ?1 \
                           AND \"$key\" NOT IN (SELECT key FROM temp.keys_kept) ORDER BY \"$row\"";
                let mut statement = self.connection.prepare_cached(sql)?;
                let mut rows = statement.query((next,))?;
                while unseen.len() < REMOVED_PER_STEP
                    && let Some(row) = rows.next()?
                {
                    let row: i64 = row.get(0)?;
                    next = row.saturating_add(1);
                    if !self.rows_seen.contains(row) {
                        unseen.push(Sql::Integer(row));
                    }
                }
            }
            if unseen.is_empty() {
                return Ok(());
            }
            for row in &unseen {
                if let Sql::Integer(row) = row {
                    self.retire(*row, false)?;
                }
            }
            let marks = vec!["?"; unseen.len()].join(",");
            let mut delete =
                self.connection.prepare_cached(&format!("DELETE FROM records WHERE \"$row\" IN ({marks})"))?;
            let removed = delete.execute(params_from_iter(&unseen))?;
            self.counts.removed += removed as u64;
        }
    }

    fn remove_once(&mut self) -> rusqlite::Result<()> {
        if self.order.replace && !self.empty && !self.is_settled {
            self.remove_unseen()?;
        }
        self.is_settled = true;
        Ok(())
    }

    /// Does everything but the commit. Returns the data set as it will be.
    pub(super) fn prepare(&mut self) -> Result<DataSet, RecordStoreError> {
        self.order.check_real()?;
        self.prepared().map_err(|error| self.failed(&error))
    }

    fn prepared(&mut self) -> rusqlite::Result<DataSet> {
        self.remove_once()?;
        if self.empty {
            // Sorting takes the memory that is no longer needed for remembering.
            self.seen.forget();
            self.connection.pragma_update(None, "cache_size", -SORT_CACHE_KIB)?;
            self.connection.pragma_update(Some("temp"), "cache_size", -SORT_CACHE_KIB)?;
            table::fit_indexes(&self.connection, &self.order.definition)?;
        }
        let mut data_set = self.order.outcome(self.counts, self.stored.as_ref(), self.columns);
        let changed = data_set.last_import.result.changed;
        if changed {
            let at = past::next_moment(&self.connection, self.shared.clock.now())?;
            past::add_version(&self.connection, &data_set, at)?;
            self.at = Some(at);
            past::give_up(&self.connection, &mut data_set, self.shared.settings.retention, self.shared.clock.now())?;
        }
        write_state(&self.connection, &data_set)?;
        if self.order.needs_figures(self.stored.as_ref(), &data_set) {
            data_set.figures = Some(Arc::new(self.write_figures(&data_set)?));
        }
        if let Some(epoch) = self.epoch {
            match changed {
                true => epochs::mark_version(&self.connection, data_set.version, epoch, self.order.import_id)?,
                false => epochs::mark(&self.connection, epoch)?,
            }
        }
        if changed {
            table::analyze(&self.connection)?;
        }
        Ok(data_set)
    }

    /// Makes the figures of the columns: new rows were counted as they came, and remaining records are counted now.
    fn write_figures(&mut self, data_set: &DataSet) -> rusqlite::Result<TableFigures> {
        let definition = &self.order.definition;
        let mut tally = std::mem::replace(&mut self.tally, TableTally::new(definition));
        if tally.records() != data_set.records {
            figures::count_others(&self.connection, definition, &self.rows_counted, &mut tally)?;
        }
        let figures = tally.finish(data_set.version, self.shared.clock.now());
        figures::write(&self.connection, &figures)?;
        Ok(figures)
    }

    /// Commits what was prepared.
    pub(super) fn commit_prepared(self) -> Result<(), RecordStoreError> {
        self.connection.execute_batch("COMMIT").map_err(|error| self.failed(&error))?;
        // The import is committed. If something blocks the cleanup now, the next import or refresh does it.
        let tidied = table::use_log(&self.connection)
            .and_then(|()| erasure::finish(&self.connection))
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = tidied {
            tracing::debug!(%error, path = %self.path.display(), "the log of an import was not shortened yet");
        }
        self.shared.imported(&self.order.definition.name, &self.path)
    }

    /// The uncommitted work.
    pub(super) fn work(&self) -> Work<'_> {
        let is_new = self.columns == Columns::New;
        let (connection, definition) = (&self.connection, self.order.definition.as_ref());
        Work { connection, definition, version: self.version, is_new, read: &self.statements.read }
    }

    /// The change of the data set's columns.
    pub(super) fn columns(&self) -> Columns {
        self.columns
    }

    /// The last committed import into the compared records, if there was one.
    pub(super) fn begun_after(&self) -> Option<Uuid> {
        self.stored.as_ref().map(|stored| stored.last_import.id)
    }

    /// The moment of the prepared version, if it is a new one.
    pub(super) fn moment(&self) -> Option<Timestamp> {
        self.at
    }
}

impl ImportSession for FileImport {
    fn absent(&mut self, columns: &[usize], kept: bool) -> Result<(), RecordStoreError> {
        let definition = &self.order.definition;
        let stored = self.stored.as_ref().filter(|_| !self.empty);
        self.absent = Absent::new(columns, kept, definition, stored.map(|stored| &*stored.definition));
        self.statements.look_up = table::look_up(definition, self.absent.places());
        Ok(())
    }

    fn take_ids(&mut self) {
        self.brings_ids = true;
    }

    fn put(&mut self, line: u64, key: &str, record: Record) -> Result<RowOutcome, RecordStoreError> {
        rules::check_row(&self.order.definition, line, key, &record)?;
        let outcome = self.take_in(line, key, record).map_err(|error| self.failed(&error))?;
        let bytes = self.values.len();
        if outcome == RowOutcome::Updated && self.absent.keeps() && bytes > RECORD_BYTES_MAX {
            let what = "the record, with the values it keeps in columns that the file lacks,".to_owned();
            return Err(RecordStoreError::TooLong { line, what, bytes, bytes_max: RECORD_BYTES_MAX });
        }
        Ok(outcome)
    }

    fn reject(&mut self, key: Option<&str>) -> Result<(), RecordStoreError> {
        self.counts.rejected += 1;
        match key {
            Some(key) => self.keep(key).map_err(|error| self.failed(&error)),
            None => Ok(()),
        }
    }

    fn settle(&mut self) -> Result<Outlook, RecordStoreError> {
        self.remove_once().map_err(|error| self.failed(&error))?;
        let before = self.values_before().map_err(|error| self.failed(&error))?;
        let effects = self.effects.told(&before);
        Ok(self.order.outlook(self.counts, self.stored.as_ref(), self.columns, &self.absent, effects))
    }

    fn commit(mut self: Box<Self>) -> Result<ImportResult, RecordStoreError> {
        let result = self.prepare()?.last_import.result;
        self.commit_prepared()?;
        Ok(result)
    }
}
