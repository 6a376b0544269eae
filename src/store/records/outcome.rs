//! The orders for imports, and their outcome: the same for all record stores.

use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::{
    AbsentColumn, Anew, ChangedValue, DIFFERENCES_MAX, DataSet, ImportResult, LastImport, NulledColumn, Outlook,
    RecordStoreError, rules,
};
use crate::dataset::{Definition, Record, Value};

/// The order for an import.
#[derive(Debug, Clone)]
pub struct ImportOrder {
    /// The data set's definition. The data set need not exist yet.
    pub definition: Arc<Definition>,
    /// An id that nobody else uses.
    pub import_id: Uuid,
    /// The load date of every record that is inserted or changed.
    pub today: Date,
    /// Whether records that the file lacks are removed.
    pub replace: bool,
    /// Given if the data set is to hold only what this import brings, as if it were new: another instance, with a version above all
    /// earlier ones.
    pub anew: Option<Anew>,
    /// Whether this is a dry run: it can be settled, but not committed.
    pub is_dry: bool,
}

/// The columns that a file lacks.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Absent {
    columns: Vec<AbsentColumn>,
    kept: bool,
}

impl Absent {
    /// Takes those of the columns that `stored` records also have, except the identifying ones and the load date.
    pub(in crate::store) fn new(columns: &[usize], kept: bool, now: &Definition, stored: Option<&Definition>) -> Self {
        let Some(stored) = stored else { return Self::default() };
        let carried = rules::kept_columns(stored, now);
        let is_kept = |column: &&usize| {
            let is_own = [Some(now.key), Some(now.record_id), now.load_date].contains(&Some(**column));
            !is_own && matches!(carried.get(**column), Some(Some(_)))
        };
        let columns = columns.iter().filter(is_kept).map(|column| AbsentColumn { column: *column, values: 0 });
        Self { columns: columns.collect(), kept }
    }

    /// Whether records keep their values of any of the columns.
    pub(in crate::store) fn keeps(&self) -> bool {
        self.kept && !self.columns.is_empty()
    }

    /// The columns' places.
    pub(in crate::store) fn places(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|absent| absent.column)
    }

    /// Compares a record with the stored values of these columns, in their order; the record takes over the stored values if they
    /// are kept.
    pub(in crate::store) fn compare(&mut self, record: &mut Record, stored: Vec<Value>) {
        for (absent, stored) in self.columns.iter_mut().zip(stored) {
            let Some(value) = record.values.get_mut(absent.column) else { continue };
            absent.values += u64::from(!stored.is_null() && *value != stored);
            if self.kept {
                *value = stored;
            }
        }
    }
}

/// The effects of updates on the values of records.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Effects {
    /// For each column, the number of lost values.
    lost: Vec<u64>,
    differences: Vec<ChangedValue>,
}

impl Effects {
    /// Counts that a record loses its values of these columns.
    pub(in crate::store) fn lose(&mut self, columns: impl IntoIterator<Item = usize>) {
        for column in columns {
            if self.lost.len() <= column {
                self.lost.resize(column + 1, 0);
            }
            if let Some(lost) = self.lost.get_mut(column) {
                *lost += 1;
            }
        }
    }

    /// Tells whether there is room for more differences.
    pub(in crate::store) fn wants_differences(&self) -> bool {
        self.differences.len() < DIFFERENCES_MAX
    }

    /// Counts the differences between a stored record and the file's.
    pub(in crate::store) fn compare(&mut self, definition: &Definition, old: &Record, new: &Record) {
        let text = |place: usize| new.values.get(place).map(ToString::to_string).unwrap_or_default();
        let record_id = new.values.get(definition.record_id).cloned().unwrap_or(Value::Null);
        for (column, (old, new)) in old.values.iter().zip(&new.values).enumerate() {
            if old != new && Some(column) != definition.load_date && self.wants_differences() {
                let (key, record_id) = (text(definition.key), record_id.clone());
                self.differences.push(ChangedValue { key, record_id, column, old: old.clone(), new: new.clone() });
            }
        }
    }

    /// The columns that lose values.
    pub(in crate::store) fn losing(&self) -> Vec<usize> {
        self.lost.iter().enumerate().filter(|(_, lost)| **lost > 0).map(|(column, _)| column).collect()
    }

    /// The report. `before` holds the number of values in each column that loses some, in order.
    pub(in crate::store) fn told(&self, before: &[u64]) -> (Vec<NulledColumn>, Vec<ChangedValue>) {
        let losing = self.losing().into_iter().zip(before);
        let nulled = losing.map(|(column, before)| {
            let lost = self.lost.get(column).copied().unwrap_or_default();
            NulledColumn { column, before: *before, lost }
        });
        (nulled.collect(), self.differences.clone())
    }
}

/// The number of rows and records so far.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::store) struct Counts {
    pub(in crate::store) inserted: u64,
    pub(in crate::store) updated: u64,
    pub(in crate::store) unchanged: u64,
    pub(in crate::store) removed: u64,
    pub(in crate::store) rejected: u64,
}

/// The changes of columns by a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Columns {
    /// There were no records, or none that can be compared with the file's.
    New,
    /// Other columns are published.
    Other,
    /// The same columns; other indexes may be declared.
    Same,
}

impl Counts {
    /// The number of changed records.
    pub(in crate::store) fn changes(&self) -> u64 {
        self.inserted + self.updated + self.removed
    }
}

impl ImportOrder {
    /// An order to import a file into the stored data set.
    pub fn new(definition: &Definition, import_id: Uuid, today: Date, replace: bool) -> Self {
        Self { definition: Arc::new(definition.clone()), import_id, today, replace, anew: None, is_dry: false }
    }

    /// The same, as if there had been no data set.
    #[must_use]
    pub fn beginning_anew(self, anew: Anew) -> Self {
        Self { replace: true, anew: Some(anew), ..self }
    }

    /// The same as a dry run.
    #[must_use]
    pub fn dry(self) -> Self {
        Self { is_dry: true, ..self }
    }

    /// Checks that it is no dry run.
    pub(in crate::store) fn check_real(&self) -> Result<(), RecordStoreError> {
        if self.is_dry { Err(RecordStoreError::DryRun { name: self.definition.name.clone() }) } else { Ok(()) }
    }

    /// The outcome of committing.
    pub(in crate::store) fn outlook(
        &self,
        counts: Counts,
        before: Option<&DataSet>,
        columns: Columns,
        absent: &Absent,
        (nulled, differences): (Vec<NulledColumn>, Vec<ChangedValue>),
    ) -> Outlook {
        Outlook {
            version_before: before.map_or(0, |before| before.version),
            records_before: before.filter(|_| self.anew.is_none()).map_or(0, |before| before.records),
            result: self.outcome(counts, before, columns).last_import.result,
            absent: absent.columns.clone(),
            nulled,
            differences,
        }
    }

    /// Checks that the stored data set is the one to be replaced.
    pub(in crate::store) fn check_stored(&self, stored: Option<&DataSet>) -> Result<(), RecordStoreError> {
        let found = stored.map(|stored| stored.last_import.id);
        match self.anew {
            Some(anew) if anew.instead_of != found => {
                Err(RecordStoreError::ImportRunning { name: self.definition.name.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The version that the import makes if it changes anything.
    pub(in crate::store) fn next_version(&self, stored: Option<&DataSet>) -> u64 {
        let (stored, above) = (stored.map_or(0, |stored| stored.version), self.anew.map_or(0, |anew| anew.above));
        stored.max(above) + 1
    }

    /// The data set's state after the import. `before` is the state before, if there was one. A changed record or changed columns
    /// raise the version; changed columns also raise the generation.
    pub(in crate::store) fn outcome(&self, counts: Counts, before: Option<&DataSet>, columns: Columns) -> DataSet {
        let (version, generation, records) =
            before.map_or((0, 0, 0), |before| (before.version, before.generation, before.records));
        let next = self.next_version(before);
        let records = if self.anew.is_some() { 0 } else { records };
        let columns_changed = columns != Columns::Same;
        let changed = columns_changed || counts.changes() > 0;
        let result = ImportResult {
            version: if changed { next } else { version },
            changed,
            inserted: counts.inserted,
            updated: counts.updated,
            unchanged: counts.unchanged,
            removed: counts.removed,
            rejected: counts.rejected,
        };
        DataSet {
            definition: Arc::clone(&self.definition),
            instance: before.filter(|_| self.anew.is_none()).map_or(self.import_id, |before| before.instance),
            version: result.version,
            generation: generation + u64::from(columns_changed),
            held_from: before.filter(|_| !columns_changed).map_or(result.version, |before| before.held_from),
            changes_from: before
                .filter(|_| columns != Columns::New)
                .map_or(result.version, |before| before.changes_from),
            records: (records + counts.inserted).saturating_sub(counts.removed),
            last_import: LastImport { id: self.import_id, day: self.today, result },
            standing: before.map(|before| before.standing.clone()).unwrap_or_default(),
            figures: before.and_then(|before| before.figures.clone()),
        }
    }

    /// Tells whether the figures of the columns have to be made anew: they are of another version, or the definition changes what
    /// they show.
    pub(in crate::store) fn needs_figures(&self, before: Option<&DataSet>, now: &DataSet) -> bool {
        let are_of = |before: &&DataSet| before.definition.columns == now.definition.columns;
        let kept = before.filter(are_of).and_then(|before| before.figures.as_ref());
        kept.is_none_or(|figures| figures.version != now.version)
    }
}
