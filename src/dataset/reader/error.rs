//! Why a file cannot be imported.

/// An error that ends an import: nothing of the file is used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is not a spreadsheet.
    #[error("the file is not a spreadsheet: it {found}. Use .xlsx, .xls, .csv or .tsv")]
    NotASpreadsheet {
        /// What the content is, completing "it …".
        found: String,
    },
    /// The workbook needs a password.
    #[error("the workbook is encrypted with a password: save it without one and import that file")]
    Encrypted,
    /// The archive lacks its end or some contents.
    #[error("the .xlsx file is truncated or damaged ({detail}): fetch or save it again")]
    Truncated {
        /// Where the archive is broken.
        detail: String,
    },
    /// The archive would fill the machine's memory.
    #[error("the .xlsx file looks like a zip bomb: {part:?} {detail}")]
    Bomb {
        /// The part of the archive.
        part: String,
        /// The disproportion, completing the part's name.
        detail: String,
    },
    /// A limit is exceeded.
    #[error("the file has more than {max} {what}: split it{}", if *what == "rows" { ", or raise import.rows_max" } else { "" })]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A record or cell does not end.
    #[error(
        "the record that begins on line {line} is longer than {max} bytes: is a quotation mark left open there, or is this not a table?"
    )]
    RecordTooLong {
        /// The line on which it begins.
        line: u64,
        /// The limit.
        max: u64,
    },
    /// A quotation mark encloses more than its cell.
    #[error(
        "the quotation mark that opens a cell on line {line} is not closed there, so the rows below would be lost in it: close it, or read the file without such marks: quote = \"none\""
    )]
    OpenQuote {
        /// The line of the mark.
        line: u64,
    },
    /// No row is a header of the data set.
    #[error("no header of the data set {dataset:?} was found among the first {rows} rows: {detail}")]
    NoHeader {
        /// The data set's name.
        dataset: String,
        /// The number of rows checked.
        rows: usize,
        /// The missing required columns, and the nearest headers found.
        detail: String,
    },
    /// The requested sheet does not exist.
    #[error("the workbook has no sheet {wanted:?}; it has {names}")]
    NoSheet {
        /// The requested sheet.
        wanted: String,
        /// The existing sheets.
        names: String,
    },
    /// The content contradicts its format.
    #[error("the file is damaged: {detail}")]
    Malformed {
        /// What is wrong, and where.
        detail: String,
    },
}
