//! What every format comes down to: rows of cells.

use jiff::civil;

use super::ReadError;

/// A cell of a file, as the file types it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, or a place beyond the row's end.
    Blank,
    /// Text, with whatever space surrounds it.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A spreadsheet's date, with its time of day.
    Moment(civil::DateTime),
    /// A cell that holds no usable value, and how it shows: a spreadsheet error such as `#REF!`.
    Error(&'static str),
}

/// One row of a file.
pub trait RowCells {
    /// One more than the place of the last cell.
    fn width(&self) -> usize;
    /// The cell at a place, from 0.
    fn cell(&self, place: usize) -> Cell<'_>;
    /// Whether the format writes every cell of a row, so that a row of another width is a broken one.
    fn is_delimited(&self) -> bool;
}

/// What the receiver of rows wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next row.
    Continue,
    /// The next sheet, if the file has one.
    NextSheet,
    /// Nothing more.
    Stop,
}

/// A receiver of rows. Rows are lent, not given: nothing is copied that is not wanted.
pub trait RowSink {
    /// A sheet begins. Its name is none in formats without sheets.
    fn sheet(&mut self, name: Option<&str>, epoch_1904: bool);
    /// A row, with its line in the file from 1 (the line it begins on).
    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError>;
    /// The sheet has ended: continue with another?
    fn sheet_end(&mut self) -> Flow;
}
