//! Notes for a person on a file that was read nevertheless.

use std::fmt;

use super::sheet_name::SheetName;

/// A count with its verb: `1 row has`, `2 rows have`.
fn are(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// The most names that a note lists.
const NAMES_MAX: usize = 8;

/// A reason why a file's values may not be what they seem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Records of a text file were not UTF-8 and were read in another encoding.
    NotUtf8 {
        /// The line of the first such record.
        line: u64,
        /// The number of such records.
        records: u64,
        /// Whether they are outnumbered by UTF-8 records with letters beyond ASCII.
        is_few: bool,
        /// The encoding that was used.
        taken: &'static str,
        /// The encoding that they seem to have.
        looks_like: &'static str,
    },
    /// Rows above the header that hold something.
    AboveHeader {
        /// The first and the last line.
        lines: (u64, u64),
        /// The number of rows.
        rows: u64,
    },
    /// Rows with fewer cells than the header.
    ShortRows {
        /// The line of the first such row.
        line: u64,
        /// The number of rows.
        rows: u64,
    },
    /// Columns with values but without a header, which nothing reads.
    Unnamed {
        /// The letters of the columns.
        columns: Vec<String>,
    },
    /// Amounts with more than two decimals were rounded.
    Rounded {
        /// The line of the first such amount.
        line: u64,
        /// The number of amounts.
        values: u64,
    },
    /// Cells of a workbook are merged: only the first cell holds the value.
    Merged {
        /// Some of the ranges.
        ranges: Vec<String>,
        /// The number of ranges.
        count: u64,
    },
    /// Rows of the sheet are hidden; they were read.
    HiddenRows {
        /// The number of rows.
        count: u64,
    },
    /// Columns of the sheet are hidden; they were read.
    HiddenColumns {
        /// The letters of some of the columns.
        letters: Vec<String>,
    },
    /// The workbook has sheets that were not read.
    OtherSheets {
        /// The sheet that was read.
        read: String,
        /// The other visible sheets.
        others: Vec<String>,
        /// The other hidden sheets.
        hidden: Vec<String>,
    },
    /// The sheet that was read is hidden.
    HiddenSheet {
        /// The sheet's name.
        name: String,
    },
    /// Rows at the file's end are most likely no records.
    NoRecords {
        /// The rows.
        rows: Vec<NoRecord>,
    },
    /// `stop_at` ended the table.
    Stopped {
        /// The line of the row that ended it.
        line: u64,
    },
    /// Quotation marks in a text file were read as ordinary characters.
    LiteralQuotes {
        /// The line of the first mark that encloses nothing.
        line: u64,
    },
    /// Formulas of the sheet have no stored value; rows that need one are rejected.
    NoValues {
        /// The number of formulas.
        count: u64,
    },
}

impl Note {
    /// Notes on a workbook's sheets, of which one was read.
    pub(in crate::dataset) fn of_sheets(sheets: &[SheetName], read: &str) -> Vec<Self> {
        let others = |hidden: bool| -> Vec<String> {
            let others = sheets.iter().filter(move |sheet| sheet.hidden == hidden && sheet.name != read);
            others.map(|sheet| sheet.name.clone()).collect()
        };
        let (visible, hidden) = (others(false), others(true));
        let mut notes = Vec::new();
        if sheets.iter().any(|sheet| sheet.name == read && sheet.hidden) {
            notes.push(Self::HiddenSheet { name: read.to_owned() });
        }
        if !visible.is_empty() || !hidden.is_empty() {
            notes.push(Self::OtherSheets { read: read.to_owned(), others: visible, hidden });
        }
        notes
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { line, records, is_few, taken, looks_like } => {
                let rows = are(*records, "row is", "rows are");
                write!(f, "{rows} not UTF-8, the first on line {line}: read as {taken}")?;
                if looks_like != taken && !is_few {
                    write!(f, ", which looks like {looks_like}")?;
                }
                if *is_few { Ok(()) } else { write!(f, "; if letters are wrong, say `encoding`") }
            }
            Self::AboveHeader { lines: (first, last), rows } => write!(
                f,
                "{} above the header (lines {first} to {last}) and not read",
                are(*rows, "row stands", "rows stand")
            ),
            Self::ShortRows { line, rows } => write!(
                f,
                "{} fewer cells than the header, the first on line {line}: what is left out was taken as blank",
                are(*rows, "row has", "rows have")
            ),
            Self::Unnamed { columns } => write!(
                f,
                "columns without a header hold values and were not read ({}): give them one",
                listed(columns, count(columns))
            ),
            Self::Rounded { line, values } => write!(
                f,
                "{} more than two decimals, the first on line {line}: rounded half away from zero; a column of type `number` keeps them",
                are(*values, "amount of money has", "amounts of money have")
            ),
            Self::Merged { ranges, count } => write!(
                f,
                "the sheet has {} ({}): only the first cell of each holds the value; `fill_down` gives it to the rows below",
                are(*count, "merged range", "merged ranges"),
                listed(ranges, *count)
            ),
            Self::HiddenRows { count } => {
                write!(f, "{count} rows of the sheet are hidden; they were read like the others")
            }
            Self::HiddenColumns { letters } => {
                write!(
                    f,
                    "columns of the sheet are hidden ({}); they were read like the others",
                    listed(letters, count(letters))
                )
            }
            Self::OtherSheets { read, others, hidden } => {
                write!(f, "only the sheet {read:?} was read; `sheet` names another")?;
                if !others.is_empty() {
                    write!(f, "; there are also {}", listed(&quoted(others), count(others)))?;
                }
                if !hidden.is_empty() {
                    write!(f, "; hidden are {}", listed(&quoted(hidden), count(hidden)))?;
                }
                Ok(())
            }
            Self::HiddenSheet { name } => write!(f, "the sheet {name:?} is hidden; no visible one has this table"),
            Self::NoRecords { rows } => {
                let rows: Vec<String> =
                    rows.iter().map(|row| format!("line {} looks like {}", row.line, row.looks_like)).collect();
                write!(f, "{} and no record; `stop_at` ends the table before it", listed(&rows, count(&rows)))
            }
            Self::Stopped { line } => write!(f, "the table ended before line {line}, as `stop_at` says"),
            Self::LiteralQuotes { line } => write!(
                f,
                "quotation marks were taken as parts of texts: on line {line} one opens a cell and does not close it; `quote` says otherwise"
            ),
            Self::NoValues { count } => write!(
                f,
                "{} no value: open the file in a spreadsheet program and save it, so that it computes them",
                are(*count, "formula has", "formulas have")
            ),
        }
    }
}

fn count(names: &[String]) -> u64 {
    u64::try_from(names.len()).unwrap_or(u64::MAX)
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("{name:?}")).collect()
}

/// The first names, and whether there are more.
fn listed(names: &[String], count: u64) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = if count > u64::try_from(shown.len()).unwrap_or(0) { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// A row that is most likely no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRecord {
    /// The row's line.
    pub line: u64,
    /// What the row looks like.
    pub looks_like: &'static str,
    /// The text for `stop_at` that would end the table before the row.
    pub stop_at: String,
}
