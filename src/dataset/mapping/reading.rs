//! What the conversion needs to know about a file, and why a cell is no value.

use jiff::tz::TimeZone;

use super::numbers::Marks;
use crate::dataset::{ValueError, definition::DateOrder};

/// What the conversion needs to know about the file and the definition.
#[derive(Debug, Clone)]
pub(in crate::dataset) struct Reading {
    pub(in crate::dataset) date_order: DateOrder,
    /// Whether bare numbers count days from 1904.
    pub(in crate::dataset) epoch_1904: bool,
    /// The marks of numbers in texts.
    pub(in crate::dataset) marks: Marks,
    /// The zone of times written without one.
    pub(in crate::dataset) zone: TimeZone,
}

impl Reading {
    /// The reading of most files.
    #[cfg(test)]
    pub(in crate::dataset) const PLAIN: Self =
        Self { date_order: DateOrder::MonthFirst, epoch_1904: false, marks: Marks::PLAIN, zone: TimeZone::UTC };
}

/// Why a cell is no value of its column. Completes "the cell …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::dataset) enum CellError {
    #[error("{0}")]
    Value(#[from] ValueError),
    #[error("the cell holds {0}")]
    Unusable(String),
    #[error("has a {0} and no {1}")]
    OneCoordinate(&'static str, &'static str),
    #[error("expected a date such as 2016-12-01 or {0}")]
    Date(&'static str),
    #[error("there is no such day{0}")]
    NoSuchDay(&'static str),
    #[error("expected a number such as 37,78: decimals are written with a comma here")]
    NumberWithComma,
    #[error("expected an amount such as 4000 or 4000,50: decimals are written with a comma here")]
    MoneyWithComma,
    #[error("expected a number, and the cell holds a time of day or a duration")]
    Clock,
    #[error("begins with zeros, which a number would lose: make the column a text")]
    Zeros,
    #[error("can be read in two ways, with a thousands separator or with a decimal mark: say `decimal`")]
    TwoWays,
    #[error("numbers in scientific notation have lost digits: format the column as text or number and save it again")]
    Scientific,
    #[error("is a local time that was passed twice or never, when the clocks were changed: write it with its zone")]
    ClockChange,
    #[error("{0}")]
    Moment(&'static str),
}

pub(super) fn trim(text: &str) -> &str {
    let edges = (text.as_bytes().first(), text.as_bytes().last());
    match edges {
        // Nearly no cell of a real file needs trimming.
        (Some(b'!'..=b'~'), Some(b'!'..=b'~')) => text,
        _ => text.trim(),
    }
}
