//! What a file may at most be, so that none of them can exhaust the machine.

use super::ReadError;

/// Limits on what is read. Every one of them ends the import with an error that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    /// The longest record of a text file, and the longest row of a spreadsheet by its texts, in bytes.
    pub record_bytes_max: u64,
    /// The most rows of a file.
    pub rows_max: u64,
    /// The most columns of a file.
    pub columns_max: usize,
    /// The rows at the top of a sheet among which the header is looked for.
    pub header_rows_max: usize,
    /// The most sheets of a workbook that are looked at.
    pub sheets_max: usize,
    /// The most files in an .xlsx archive.
    pub parts_max: usize,
    /// The largest worksheet of an .xlsx, inflated, in bytes.
    pub sheet_bytes_max: u64,
    /// The largest table of shared strings of an .xlsx, inflated, in bytes. It is kept in memory while the file is read.
    pub shared_strings_bytes_max: u64,
    /// The largest other part of an .xlsx, inflated, in bytes.
    pub part_bytes_max: u64,
    /// How many times larger than its compressed form a part of an .xlsx may be, once it is over 1 MiB.
    pub inflation_max: u64,
    /// The largest .xls file, in bytes. That format is read into memory as a whole.
    pub xls_bytes_max: u64,
    /// The most cells of the rectangles around the cells of the sheets of an .xls, which are kept in memory.
    pub xls_cells_max: u64,
}

impl ReadLimits {
    pub(super) fn check_rows(&self, rows: u64) -> Result<(), ReadError> {
        at_most(rows, self.rows_max, "rows")
    }

    pub(super) fn check_columns(&self, columns: usize) -> Result<(), ReadError> {
        at_most(to_u64(columns), to_u64(self.columns_max), "columns")
    }

    /// Of the texts of a workbook's row.
    pub(super) fn check_texts(&self, bytes: usize) -> Result<(), ReadError> {
        at_most(to_u64(bytes), self.record_bytes_max, "bytes in a row")
    }
}

fn at_most(count: u64, max: u64, what: &'static str) -> Result<(), ReadError> {
    if count > max { Err(ReadError::TooMany { what, max }) } else { Ok(()) }
}

pub(super) fn to_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            record_bytes_max: 1 << 20,
            rows_max: 50_000_000,
            // What Excel allows.
            columns_max: 16_384,
            header_rows_max: 50,
            sheets_max: 64,
            parts_max: 10_000,
            sheet_bytes_max: 16 << 30,
            shared_strings_bytes_max: 256 << 20,
            part_bytes_max: 32 << 20,
            // Deflate reaches 1,032 on constant input; worksheets of real reports reach about 20.
            inflation_max: 200,
            xls_bytes_max: 64 << 20,
            // 128 columns as long as the format allows.
            xls_cells_max: 8 << 20,
        }
    }
}
