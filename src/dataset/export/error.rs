//! Why records were not written.

use std::fmt::Display;

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There are more records than a sheet has rows.
    #[error(
        "a sheet holds {records_max} records, and more match: ask for format=csv or format=parquet, or for fewer by filters or limit"
    )]
    TooManyRecords {
        /// The most records.
        records_max: u64,
    },
    /// The workbook would take too much room while it is made.
    #[error(
        "the workbook is larger than {bytes_max} bytes before compression: ask for format=csv or format=parquet, or for less by \
         filters, limit or select"
    )]
    TooLargeWorkbook {
        /// The most bytes.
        bytes_max: u64,
    },
    /// A text is longer than a cell of a workbook may be.
    #[error(
        "a text of the column {column:?} is longer than a cell holds, {units_max} characters: ask for format=csv or format=ndjson, or leave the column out by select"
    )]
    TooLongForCell {
        /// The column's name.
        column: String,
        /// The most UTF-16 code units.
        units_max: usize,
    },
    /// A moment is finer than the form holds.
    #[error(
        "a timestamp of the column {column:?} is finer than a microsecond, which this format does not hold: ask for format=csv or format=ndjson, or leave the column out by select"
    )]
    TooPrecise {
        /// The column's name.
        column: String,
    },
    /// No column of points is there, or it is not clear which is meant.
    #[error("the parameter format {0}")]
    NoGeometry(String),
    /// A stored value is not of its column's type.
    #[error("a value of the column {column:?} is not of the column's type")]
    OfAnotherType {
        /// The column's name.
        column: String,
    },
    /// The form could not be written.
    #[error("cannot {doing}: {reason}")]
    Failed {
        /// What was attempted.
        doing: &'static str,
        /// What a library, or the disk, said.
        reason: String,
    },
}

impl ExportError {
    pub(super) fn failed(doing: &'static str, error: &impl Display) -> Self {
        Self::Failed { doing, reason: error.to_string() }
    }
}
