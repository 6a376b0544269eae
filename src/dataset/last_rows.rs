//! Looks at the last rows of a file for totals and footnotes, which are no records.

use std::collections::VecDeque;

use super::{
    mapping::convert::text_of,
    reader::{
        note::NoRecord,
        rows::{Cell, RowCells},
    },
};

/// The number of last rows that are checked.
const ROWS: usize = 10;
/// The most bytes kept of a text.
const TEXT_BYTES_MAX: usize = 80;

const TOTAL_WORDS: [&str; 13] = [
    "total",
    "totals",
    "grand total",
    "subtotal",
    "sum",
    "summe",
    "gesamt",
    "insgesamt",
    "totale",
    "total general",
    "total général",
    "total geral",
    "overall",
];
const NOTE_WORDS: [&str; 12] =
    ["source", "note", "notes", "quelle", "hinweis", "anmerkung", "fuente", "nota", "fonte", "remarque", "*", "©"];

/// The last rows read so far.
#[derive(Debug, Default)]
pub(super) struct LastRows {
    rows: VecDeque<LastRow>,
    met: u64,
    widest: usize,
}

#[derive(Debug)]
struct LastRow {
    line: u64,
    text: String,
    filled: usize,
}

impl LastRows {
    /// Takes in a row that is not blank.
    pub(super) fn meet(&mut self, line: u64, row: &impl RowCells) {
        // This runs for every row, so only the first cell is converted.
        let mut filled = (0..row.width()).map(|place| row.cell(place)).filter(|cell| !matches!(cell, Cell::Blank));
        let Some(first) = filled.next() else { return };
        // It only matters whether there are several cells.
        let count = 1 + filled.take(1).count();
        self.met += 1;
        self.widest = self.widest.max(count);
        let mut last = if self.rows.len() == ROWS { self.rows.pop_front() } else { None }.unwrap_or(LastRow {
            line,
            text: String::new(),
            filled: 0,
        });
        let text = text_of(first).unwrap_or_default();
        last.text.clear();
        last.text.push_str(text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default());
        (last.line, last.filled) = (line, count);
        self.rows.push_back(last);
    }

    /// The rows that look like no record.
    pub(super) fn no_records(&self) -> Vec<NoRecord> {
        // Of only two rows, either may be a record.
        if self.met <= 2 {
            return Vec::new();
        }
        self.rows.iter().filter_map(|row| row.no_record(self.widest)).collect()
    }
}

impl LastRow {
    fn no_record(&self, widest: usize) -> Option<NoRecord> {
        let text = self.text.to_lowercase();
        let bare = text.trim_end_matches([':', '.', ' ']);
        let found = |looks_like, stop_at| Some(NoRecord { line: self.line, looks_like, stop_at });
        if TOTAL_WORDS.contains(&bare) {
            return found("a total", self.text.clone());
        }
        let begins = |word: &&str| {
            text.strip_prefix(*word).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        };
        // A database's summary of its output.
        let said = text.trim_matches(|letter: char| matches!(letter, '(' | ')' | '.' | ' '));
        let mut words = said.split_whitespace();
        let counts = words.next().is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(words.next(), Some("row" | "rows" | "record" | "records"))
            && matches!(words.next(), None | Some("selected" | "affected" | "returned" | "fetched"));
        if counts && self.filled == 1 {
            return found("a footnote", self.text.clone());
        }
        if self.filled > 1 || widest < 2 || !NOTE_WORDS.iter().any(begins) {
            return None;
        }
        let word = self.text.split([':', ' ']).next().unwrap_or_default();
        found("a footnote", if word.is_empty() { self.text.clone() } else { format!("{word}*") })
    }
}
