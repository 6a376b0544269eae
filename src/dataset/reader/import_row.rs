//! What a row of a file becomes, and the header that it stands below.

use crate::dataset::Record;

/// A row of a file as the import takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum FileRow {
    /// A record. An ordinal record id and the load date are null: the import fills them.
    Record {
        /// The line the row begins on, from 1.
        line: u64,
        /// Its key, in canonical form.
        key: String,
        /// Its values.
        record: Record,
    },
    /// A row that cannot be a record.
    Rejected {
        /// The line the row begins on, from 1.
        line: u64,
        /// Its key in canonical form, where it could be read: such a row still takes its place among those of its key.
        key: Option<String>,
        /// Everything that is wrong with it.
        problems: Vec<CellProblem>,
    },
}

/// What is wrong with one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellProblem {
    /// The column's name; empty when it is the row as a whole.
    pub column: String,
    /// The cell's text, cut to a sensible length; never that of a column that is not published.
    pub value: String,
    /// What was expected.
    pub reason: String,
}

/// The header of a file, as it was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The line it stands on, from 1.
    pub line: u64,
    /// Whether it brings record ids where the import would count rows, as an export does.
    pub brings_ids: bool,
    /// Headers that no column of the definition reads: their columns are ignored, which an administrator should know.
    pub unmatched: Vec<String>,
    /// Columns of the definition that this file does not have, or not all of what they are made of, by name: they are blank, or
    /// have their default.
    pub absent: Vec<String>,
    /// What separates the cells of a text file.
    pub delimiter: Option<u8>,
    /// The headers in their order, each with the fields of the definition that read its column.
    pub columns: Vec<HeaderColumn>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Its header.
    pub header: String,
    /// The places of the fields that read it, among those of the definition.
    pub fields: Vec<usize>,
}
