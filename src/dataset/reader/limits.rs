//! Limits on files, so that none can exhaust the machine.

use super::ReadError;

/// Limits on reading. Exceeding any of them ends the import with an error that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    /// The longest record of a text file, and the most text in a spreadsheet's row, in bytes.
    pub record_bytes_max: u64,
    /// The most rows of a file.
    pub rows_max: u64,
    /// The most columns of a file.
    pub columns_max: usize,
    /// The number of rows at the top of a sheet in which the header is searched.
    pub header_rows_max: usize,
    /// The most sheets of a workbook that are read.
    pub sheets_max: usize,
    /// The most files in an .xlsx archive.
    pub parts_max: usize,
    /// The largest worksheet of an .xlsx, inflated, in bytes.
    pub sheet_bytes_max: u64,
    /// The largest table of shared strings of an .xlsx, inflated, in bytes. It stays in memory while the file is read.
    pub shared_strings_bytes_max: u64,
    /// The largest other part of an .xlsx, inflated, in bytes.
    pub part_bytes_max: u64,
    /// The highest ratio of inflated to compressed size of an .xlsx part that is over 1 MiB.
    pub inflation_max: u64,
    /// The largest .xls file, in bytes. The whole file is read into memory.
    pub xls_bytes_max: u64,
    /// The most cells in the rectangles around the cells of an .xls's sheets, which are kept in memory.
    pub xls_cells_max: u64,
}

impl ReadLimits {
    pub(super) fn check_rows(&self, rows: u64) -> Result<(), ReadError> {
        at_most(rows, self.rows_max, "rows")
    }

    pub(super) fn check_columns(&self, columns: usize) -> Result<(), ReadError> {
        at_most(to_u64(columns), to_u64(self.columns_max), "columns")
    }

    /// Checks the size of the texts in a workbook's row.
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
            // Excel's limit.
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
            // 128 columns of the format's maximal length.
            xls_cells_max: 8 << 20,
        }
    }
}
