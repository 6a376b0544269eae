//! The result of an import.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{event::ImportCounts, guard::Excess},
    store::records::ImportResult,
};

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The import.
    pub import: Uuid,
    /// The data set.
    pub dataset: String,
    /// Whether it was a dry run: nothing was changed, and the rest says what would have been.
    pub dry_run: bool,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// The data set's version before; 0 where there was none.
    pub version_before: u64,
    /// The data set's version afterwards; for a dry run its present version, or 0 where there is none yet.
    pub dataset_version: u64,
    /// Whether the version rose; for a dry run, whether it would.
    pub changed: bool,
    /// Rows by what became of them.
    #[serde(flatten)]
    pub counts: ImportCounts,
    /// The file of rejected rows, if there are any.
    pub rejects_file: Option<PathBuf>,
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The line of the header.
    pub header_line: u64,
    /// Headers that no column of the definition reads.
    pub unmatched_headers: Vec<String>,
    /// Columns that the file does not have, or not all of what they are made of.
    pub absent_columns: Vec<String>,
    /// Notes on the file for a person.
    pub notes: Vec<String>,
    /// The absent columns whose stored values were kept, with the number of values that differ from what the file's rows say.
    pub kept_columns: BTreeMap<String, u64>,
    /// The absent columns whose stored values became blanks or defaults, with the number of changed values.
    pub emptied_columns: BTreeMap<String, u64>,
    /// Headers that no column reads, with the absent columns that they may mean.
    pub similar_headers: BTreeMap<String, String>,
    /// Why the import is refused unless confirmed; only of a dry run, since others end with this error.
    pub refused_unless_confirmed: Option<String>,
    /// The exceeded limits.
    pub exceeds: Vec<Excess>,
    /// The first changes to values of stored records.
    pub differences: Vec<ImportDifference>,
}

/// A value that an import changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportDifference {
    /// The record's key.
    pub key: String,
    /// Its record id.
    pub record_id: String,
    /// The column.
    pub column: String,
    /// What is stored; nothing where no value is.
    pub old: Option<String>,
    /// What the file says.
    pub new: Option<String>,
}

pub(super) fn counts(result: &ImportResult) -> ImportCounts {
    ImportCounts {
        inserted: result.inserted,
        updated: result.updated,
        unchanged: result.unchanged,
        removed: result.removed,
        rejected: result.rejected,
    }
}
