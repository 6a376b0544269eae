//! Why a file cannot be imported.

/// An error that ends an import: nothing of the file is used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is of another kind.
    #[error("the file is not a spreadsheet: it {found}. Use .xlsx, .xls, .csv or .tsv")]
    NotASpreadsheet {
        /// What it is, completing "it …".
        found: String,
    },
    /// A password is needed.
    #[error("the workbook is encrypted with a password: save it without one and import that file")]
    Encrypted,
    /// An archive whose end or contents are missing.
    #[error("the .xlsx file is truncated or damaged ({detail}): fetch or save it again")]
    Truncated {
        /// Where it broke.
        detail: String,
    },
    /// An archive that would fill the machine.
    #[error("the .xlsx file looks like a zip bomb: {part:?} {detail}")]
    Bomb {
        /// The part of the archive.
        part: String,
        /// What is out of proportion, completing the part's name.
        detail: String,
    },
    /// A limit was passed.
    #[error("the file has more than {max} {what}: split it{}", if *what == "rows" { ", or raise import.rows_max" } else { "" })]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// One record or cell without an end.
    #[error(
        "the record that begins on line {line} is longer than {max} bytes: is a quotation mark left open there, or is this not a table?"
    )]
    RecordTooLong {
        /// The line it begins on.
        line: u64,
        /// The limit.
        max: u64,
    },
    /// A quotation mark that encloses more than its cell.
    #[error(
        "the quotation mark that opens a cell on line {line} is not closed there, so the rows below would be lost in it: close it, or read the file without such marks: quote = \"none\""
    )]
    OpenQuote {
        /// The line it stands on.
        line: u64,
    },
    /// No row is a header of this data set.
    #[error("no header of the data set {dataset:?} was found among the first {rows} rows: {detail}")]
    NoHeader {
        /// The data set's name.
        dataset: String,
        /// How many rows were looked at.
        rows: usize,
        /// The required columns that are missing, and the nearest headers that were seen.
        detail: String,
    },
    /// The sheet that was asked for is not there.
    #[error("the workbook has no sheet {wanted:?}; it has {names}")]
    NoSheet {
        /// What was asked for.
        wanted: String,
        /// Those that there are.
        names: String,
    },
    /// The content contradicts its format.
    #[error("the file is damaged: {detail}")]
    Malformed {
        /// What is wrong, and where.
        detail: String,
    },
}
