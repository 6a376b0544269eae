//! A published column and its type.

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
    /// A point on the earth.
    Point,
}

/// A published column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The published name, `snake_case`, unique in the definition.
    pub name: String,
    /// The type of every value that is not null.
    pub kind: ColumnType,
    /// A one-sentence description for people.
    #[serde(default)]
    pub description: String,
    /// Whether the values are personal: about people or firms. Figures of the column show no value then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// Whether a search for words (`q`) looks into the texts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searchable: bool,
}

impl ColumnType {
    /// All types by the names that definitions use.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("money", Self::Money),
        ("number", Self::Number),
        ("date", Self::Date),
        ("timestamp", Self::Timestamp),
        ("point", Self::Point),
    ];

    /// The name that definitions use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Money => "money",
            Self::Number => "number",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Point => "point",
        }
    }
}
