//! The effects of an import, done or planned: on its rows, on the data set as a whole, and on the values of records.

use crate::dataset::Value;

/// The outcome of an imported row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome {
    /// No record with this key and id was stored.
    Inserted,
    /// A value other than the load date differs.
    Updated,
    /// The stored record is the same. Nothing is written.
    Unchanged,
    /// The import already had a row with this key and record id. Nothing is written: the row is to be rejected.
    Duplicate {
        /// The line of the earlier row.
        first_line: u64,
    },
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportResult {
    /// The data set's version afterwards.
    pub version: u64,
    /// Whether the version rose.
    pub changed: bool,
    /// New records.
    pub inserted: u64,
    /// Records with a changed value.
    pub updated: u64,
    /// Records that were stored in the same state before.
    pub unchanged: u64,
    /// Records that the file lacks; only where records are replaced.
    pub removed: u64,
    /// Rows that could not become records.
    pub rejected: u64,
}

/// The expected outcome of committing an import.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The version before; 0 where there was none.
    pub version_before: u64,
    /// The number of records before.
    pub records_before: u64,
    /// The changes.
    pub result: ImportResult,
    /// The columns of stored records that the file lacks.
    pub absent: Vec<AbsentColumn>,
    /// The columns in which updated records lose values.
    pub nulled: Vec<NulledColumn>,
    /// The first values that updates change, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<ChangedValue>,
}

/// The most differences that an import reports.
pub const DIFFERENCES_MAX: usize = 20;

/// A column in which stored records lose values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NulledColumn {
    /// Its place in the definition.
    pub column: usize,
    /// Stored records with a value there.
    pub before: u64,
    /// Those of them that have no value afterwards, and are not removed.
    pub lost: u64,
}

/// A value that an import changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedValue {
    /// The record's key.
    pub key: String,
    /// Its id.
    pub record_id: Value,
    /// The column's place in the definition.
    pub column: usize,
    /// The stored value.
    pub old: Value,
    /// The file's value.
    pub new: Value,
}

/// A column of stored records that a file lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentColumn {
    /// Its place in the definition.
    pub column: usize,
    /// The number of records in the file's rows whose stored value there is missing in the rows.
    pub values: u64,
}
