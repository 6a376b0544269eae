//! The outcome of a row, and the header above it.

use crate::dataset::Record;

/// A row of a file as the import receives it.
#[derive(Debug, Clone, PartialEq)]
pub enum FileRow {
    /// A record. An ordinal record id and the load date are null: the import fills them.
    Record {
        /// The line the row begins on, from 1.
        line: u64,
        /// The record's key, in canonical form.
        key: String,
        /// The record's values.
        record: Record,
    },
    /// A row that cannot be a record.
    Rejected {
        /// The line the row begins on, from 1.
        line: u64,
        /// The row's key in canonical form, if it could be read: the row still takes its place among those with its key.
        key: Option<String>,
        /// All problems of the row.
        problems: Vec<CellProblem>,
    },
}

/// A problem of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellProblem {
    /// The column's name; empty for the row as a whole.
    pub column: String,
    /// The cell's text, cut to a sensible length; never from an unpublished column.
    pub value: String,
    /// What was expected.
    pub reason: String,
}

/// The recognised header of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The header's line, from 1.
    pub line: u64,
    /// Whether the file provides record ids that the import would otherwise count, as an export does.
    pub brings_ids: bool,
    /// Headers that no column of the definition reads: their columns are ignored, which an administrator should know.
    pub unmatched: Vec<String>,
    /// Names of published columns that this file lacks, or lacks a part of: they are blank, or have their default.
    pub absent: Vec<String>,
    /// The delimiter of a text file.
    pub delimiter: Option<u8>,
    /// The headers in their order, each with the fields of the definition that read its column.
    pub columns: Vec<HeaderColumn>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// The column's header.
    pub header: String,
    /// The places of the fields that read the column, among those of the definition.
    pub fields: Vec<usize>,
}
