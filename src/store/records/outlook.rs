//! What an import does, and what it would do: to its rows, to the data set as a whole, and to the values of records.

use crate::dataset::Value;

/// What became of an imported row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome {
    /// There was no record of this key and id.
    Inserted,
    /// A value other than the load date differs.
    Updated,
    /// The record is already stored like this. Nothing is written.
    Unchanged,
    /// The same import already held a row of this key and record id. Nothing is written: the row is to be rejected.
    Duplicate {
        /// The line of that row.
        first_line: u64,
    },
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportResult {
    /// The data set's version afterwards.
    pub version: u64,
    /// Whether the version rose.
    pub changed: bool,
    /// New records.
    pub inserted: u64,
    /// Records of which a value changed.
    pub updated: u64,
    /// Records that were stored like this before.
    pub unchanged: u64,
    /// Records that the file no longer holds; only where records are replaced.
    pub removed: u64,
    /// Rows that could not become records.
    pub rejected: u64,
}

/// What an import comes to when it is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The version before; 0 where there was none.
    pub version_before: u64,
    /// How many records there were before.
    pub records_before: u64,
    /// What is changed.
    pub result: ImportResult,
    /// The columns of stored records that the file does not have.
    pub absent: Vec<AbsentColumn>,
    /// The columns of which updated records lose values.
    pub nulled: Vec<NulledColumn>,
    /// The first values that updates change, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<ChangedValue>,
}

/// Differences that an import tells at most.
pub const DIFFERENCES_MAX: usize = 20;

/// A column of which stored records lose values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NulledColumn {
    /// Its place in the definition.
    pub column: usize,
    /// Stored records that have a value there.
    pub before: u64,
    /// Of these, the ones that have none afterwards, and are not removed.
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
    /// What is stored.
    pub old: Value,
    /// What the file says.
    pub new: Value,
}

/// A column of stored records that a file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentColumn {
    /// Its place in the definition.
    pub column: usize,
    /// In how many records of the file's rows a value stands there that the rows do not have.
    pub values: u64,
}
