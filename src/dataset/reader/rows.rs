//! What every format comes down to: rows of cells.

use jiff::civil;

use super::{Note, NumberFormat, ReadError, sheet_name::SheetName};

/// A cell of a file, as the file types it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, or a place beyond the row's end.
    Blank,
    /// Text, with whatever space surrounds it.
    Text(&'a str),
    /// A number of a spreadsheet.
    Number(Numeral<'a>),
    /// True or false.
    Bool(bool),
    /// A spreadsheet's date, with its time of day.
    Moment(civil::DateTime),
    /// A cell that holds no usable value, and how it shows: a spreadsheet error such as `#REF!`, or words of ours.
    Error(&'a str),
}

/// A number as its file writes it: a plain or scientific decimal with a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numeral<'a> {
    /// Its digits, all of them.
    pub digits: &'a str,
    /// How the sheet shows it.
    pub format: &'a NumberFormat,
}

/// One row of a file.
pub trait RowCells {
    /// One more than the place of the last cell.
    fn width(&self) -> usize;
    /// The cell at a place, from 0.
    fn cell(&self, place: usize) -> Cell<'_>;
    /// Whether the format writes every cell of a row, so that a wider one is broken.
    fn is_delimited(&self) -> bool;
    /// Why the row cannot be trusted, whatever its cells are.
    fn flaw(&self) -> Option<&str> {
        None
    }
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
    /// The sheets of a workbook, in the order in which they come: the hidden ones last.
    fn sheets(&mut self, _sheets: &[SheetName]) {}
    /// What separates the cells of a text file.
    fn delimiter(&mut self, _delimiter: u8) {}
    /// A sheet begins. Its name is none in formats without sheets.
    fn sheet(&mut self, name: Option<&str>, epoch_1904: bool);
    /// A row, with its line in the file from 1 (the line it begins on).
    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError>;
    /// The sheet has ended: continue with another?
    fn sheet_end(&mut self) -> Flow;
    /// How many columns of what is sought a row names, where it is known what is sought: by it the delimiter is told.
    fn recognised<R: RowCells>(&self, _row: &R) -> usize {
        0
    }
    /// Something that a person should know of the file.
    fn note(&mut self, _note: Note) {}
}
