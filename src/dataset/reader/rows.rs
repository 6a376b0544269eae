//! The common form of all formats: rows of cells.

use jiff::civil;

use super::{Note, NumberFormat, ReadError, sheet_name::SheetName};

/// A cell of a file, as the file types it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value, or a place beyond the row's end.
    Blank,
    /// A text, including surrounding space.
    Text(&'a str),
    /// A number of a spreadsheet.
    Number(Numeral<'a>),
    /// True or false.
    Bool(bool),
    /// A date of a spreadsheet, with its time of day.
    Moment(civil::DateTime),
    /// A cell without a usable value, and the text shown for it: a spreadsheet error such as `#REF!`, or words of ours.
    Error(&'a str),
}

/// A number as its file writes it: a plain or scientific decimal with a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numeral<'a> {
    /// All digits of the number.
    pub digits: &'a str,
    /// How the sheet shows the number.
    pub format: &'a NumberFormat,
}

/// One row of a file.
pub trait RowCells {
    /// One more than the place of the last cell.
    fn width(&self) -> usize;
    /// The cell at a place, from 0.
    fn cell(&self, place: usize) -> Cell<'_>;
    /// Whether the format writes every cell of a row, so that a wider row is broken.
    fn is_delimited(&self) -> bool;
    /// The reason why the whole row cannot be trusted, if any.
    fn flaw(&self) -> Option<&str> {
        None
    }
}

/// The receiver's wish after a row or sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Read the next row.
    Continue,
    /// Go to the next sheet, if there is one.
    NextSheet,
    /// Stop reading.
    Stop,
}

/// A receiver of rows. Rows are borrowed, so nothing is copied that is not wanted.
pub trait RowSink {
    /// Called with the sheets of a workbook in reading order: the hidden ones last.
    fn sheets(&mut self, _sheets: &[SheetName]) {}
    /// Called with the delimiter of a text file.
    fn delimiter(&mut self, _delimiter: u8) {}
    /// Called when a sheet begins. The name is `None` in formats without sheets.
    fn sheet(&mut self, name: Option<&str>, epoch_1904: bool);
    /// Called with each row, and the line in the file on which it begins, from 1.
    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError>;
    /// Called when the sheet has ended; the answer says whether to go on with another.
    fn sheet_end(&mut self) -> Flow;
    /// The number of wanted columns that a row names, if they are known: it decides between delimiters.
    fn recognised<R: RowCells>(&self, _row: &R) -> usize {
        0
    }
    /// Called with a note on the file for a person.
    fn note(&mut self, _note: Note) {}
}
