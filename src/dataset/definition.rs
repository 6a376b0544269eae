//! A data set's definition, as written in `schemas/datasets/<name>.toml`.

use serde::{Deserialize, Serialize};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Unicode text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// An amount of money with two decimals.
    Money,
    /// A 64-bit floating point number.
    Number,
    /// A calendar date.
    Date,
    /// A moment in UTC.
    Timestamp,
}

/// A published column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The published name, `snake_case`, unique in the definition.
    pub name: String,
    /// The type of every value that is not null.
    pub kind: ColumnType,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
}

/// Where a record's id, the second part of its key, comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordIdRule {
    /// The row's place among the rows of the file that bear the same key, from 1.
    Ordinal,
    /// The value of a source column; a second row with the same id is rejected.
    Source,
}

/// A declared index: rows are found by `partition`, and within it in the order of `sort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The column that is compared for equality.
    pub partition: String,
    /// The column that orders the rows of a partition.
    #[serde(default)]
    pub sort: Option<String>,
}

/// A data set's definition: what the server publishes, and how a file's rows become records.
///
/// `columns` always holds the key column, the record id column (type integer or text) and, when declared, the load date
/// column; [`Definition::key`], [`Definition::record_id`] and [`Definition::load_date`] are their places in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The data set's name: the first segment of its paths.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// The published columns in their published order.
    pub columns: Vec<Column>,
    /// The place of the key column (text), whose value is the second segment of a record's path.
    pub key: usize,
    /// The place of the record id column, whose value is the third segment.
    pub record_id: usize,
    /// Where record ids come from.
    pub record_id_rule: RecordIdRule,
    /// The place of the column that holds the day a record was last inserted or changed by an import, if there is one.
    /// It is set by the import and takes no part in comparing rows.
    pub load_date: Option<usize>,
    /// Declared indexes.
    pub indexes: Vec<Index>,
}
