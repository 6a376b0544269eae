//! What an import did.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{event::ImportCounts, guard::Excess},
    store::records::ImportResult,
};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The import.
    pub import: Uuid,
    /// The data set.
    pub dataset: String,
    /// Whether nothing was changed, and the rest says what would have been.
    pub dry_run: bool,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// Its version before; 0 where there was none.
    pub version_before: u64,
    /// Its version afterwards; of a dry run, its version, or 0 where there is none yet.
    pub dataset_version: u64,
    /// Whether the version rose; of a dry run, whether it would rise.
    pub changed: bool,
    /// Rows by what became of them.
    #[serde(flatten)]
    pub counts: ImportCounts,
    /// Where the rejected rows are, if there are any.
    pub rejects_file: Option<PathBuf>,
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The line of the header.
    pub header_line: u64,
    /// Headers that no column of the definition reads.
    pub unmatched_headers: Vec<String>,
    /// Columns that the file does not have, or not all of what they are made of.
    pub absent_columns: Vec<String>,
    /// What a person should know of the file.
    pub notes: Vec<String>,
    /// Of these, the ones of which stored records kept their values: how many values differ from what the file's rows say.
    pub kept_columns: BTreeMap<String, u64>,
    /// Of these, the ones of which stored records took the blanks or defaults: how many values that changed.
    pub emptied_columns: BTreeMap<String, u64>,
    /// Headers that no column reads, and the absent columns that they may mean.
    pub similar_headers: BTreeMap<String, String>,
    /// Why this is refused unless it is confirmed; of a dry run only, others end with it.
    pub refused_unless_confirmed: Option<String>,
    /// The limits that it exceeds.
    pub exceeds: Vec<Excess>,
    /// The first values of stored records that it changes.
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
