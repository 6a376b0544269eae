//! Typed values and records.

use jiff::{Timestamp, civil::Date};

/// One typed value of a record. The variant is that of its column's [`super::ColumnType`], or `Null`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: a blank cell.
    Null,
    /// Unicode text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// An amount of money in hundredths (cents), so that no cent is ever lost to binary fractions.
    Money(i64),
    /// A number with a fraction, such as a latitude.
    Number(f64),
    /// A calendar date without a time zone.
    Date(Date),
    /// A moment, kept and shown in UTC.
    Timestamp(Timestamp),
}

/// One row of a data set as it is stored and published: a value for each of [`super::Definition::columns`], in their order.
/// Columns that are not published are not part of a record: they are dropped when a row is read and never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The values, as many as the definition has columns.
    pub values: Vec<Value>,
}
