//! Finds the header among a sheet's first rows.

use std::collections::HashSet;

use crate::dataset::{
    definition::DateOrder,
    mapping::{convert::text_of, dates},
    reader::{Cell, RowCells},
};

/// The longest text kept of a cell. A longer header would be cut, and the definition would not find it again.
const CELL_BYTES_MAX: usize = 16 * 1024;
/// A header names at least this share, in tenths, of the columns of the widest row.
const TENTHS_MIN: usize = 6;

/// A cell, reduced to what the search for a header needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptCell {
    pub(super) text: String,
    nature: Nature,
}

/// The nature of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Blank,
    /// A text that could be a name.
    Text,
    /// A number that counts or measures.
    Number,
    /// A year or a date, which may well be a column's name.
    Time,
}

impl KeptCell {
    /// The cell's memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }

    /// The cells of a row.
    pub(super) fn of(row: &impl RowCells) -> Vec<Self> {
        let keep = |place: usize| {
            let cell = row.cell(place);
            // A cell with an error tells nothing about its column.
            let text = text_of(cell).unwrap_or_default();
            let end = text.floor_char_boundary(CELL_BYTES_MAX);
            let text = text.get(..end).unwrap_or_default().to_owned();
            let nature = match cell {
                _ if text.is_empty() => Nature::Blank,
                Cell::Moment(_) => Nature::Time,
                _ => nature_of(&text),
            };
            Self { text, nature }
        };
        (0..row.width()).map(keep).collect()
    }
}

fn nature_of(text: &str) -> Nature {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return Nature::Text;
    }
    let is_year = |text: &str| text.len() == 4 && matches!(text.parse::<u32>(), Ok(1800..=2199));
    if is_year(text)
        || dates::of_text(text, DateOrder::MonthFirst).or_else(|| dates::of_text(text, DateOrder::DayFirst)).is_some()
    {
        return Nature::Time;
    }
    let is_number =
        text.chars().all(|letter| letter.is_ascii_digit() || letter.is_whitespace() || ".,-+%$€£¥()'".contains(letter));
    if is_number { Nature::Number } else { Nature::Text }
}

/// The first rows of a sheet.
#[derive(Debug, Default)]
pub(super) struct Top {
    pub(super) rows: Vec<(u64, Vec<KeptCell>)>,
}

impl Top {
    /// The place of the first row that looks like a header.
    pub(super) fn header(&self) -> Option<usize> {
        let rows: Vec<&Vec<KeptCell>> = self.rows.iter().map(|(_, row)| row).collect();
        let place = |(place, row): (usize, &&Vec<KeptCell>)| {
            is_header(row, rows.get(place + 1..).unwrap_or_default()).then_some(place)
        };
        rows.iter().enumerate().find_map(place)
    }

    /// The rows above a header that hold something: the first line, the last line and their number.
    pub(super) fn above(&self, header: usize) -> Option<(u64, u64, u64)> {
        let mut lines = self.rows.iter().take(header).filter(|(_, row)| filled(row) > 0).map(|(line, _)| *line);
        let first = lines.next()?;
        Some(lines.fold((first, first, 1), |(first, _, rows), line| (first, line, rows + 1)))
    }

    /// The number of filled cells seen in the table below a header.
    pub(super) fn size(&self, header: usize) -> usize {
        self.rows.iter().skip(header).map(|(_, row)| filled(row)).filter(|filled| *filled > 0).sum()
    }
}

fn filled(row: &[KeptCell]) -> usize {
    row.iter().filter(|cell| cell.nature != Nature::Blank).count()
}

fn is_header(row: &[KeptCell], below: &[&Vec<KeptCell>]) -> bool {
    let count = |nature: Nature| row.iter().filter(|cell| cell.nature == nature).count();
    let filled_here = filled(row);
    // The typical width of the rows below, not the widest: that may be a row with a mistake.
    let mut widths: Vec<usize> = below.iter().map(|row| filled(row)).filter(|filled| *filled > 0).collect();
    widths.sort_unstable();
    let Some(typical) = widths.get(widths.len().saturating_sub(1) / 2).copied() else { return false };
    // Some names may be missing if the row has a cell for each column.
    let has_all_cells = filled_here > 1 && row.len() >= typical && filled_here * 2 >= typical;
    let names_most = filled_here * 10 >= typical * TENTHS_MIN && (filled_here > 1 || typical == 1);
    let is_label = row.first().is_some_and(|first| first.text.ends_with(':'));
    if filled_here == 0 || !(names_most || has_all_cells) || is_label {
        return false;
    }
    // Names are texts, years or dates, at least one of them a text. Numbers are names only if they number the columns.
    if count(Nature::Text) == 0 || (count(Nature::Number) > 0 && !counts_up(row)) {
        return false;
    }
    // A header has rows below it. A row with dates among texts that looks like the rows below is data.
    let Some(next) = below.iter().find(|row| row.iter().any(|cell| cell.nature != Nature::Blank)) else { return false };
    let times: Vec<usize> =
        (0..row.len()).filter(|place| row.get(*place).is_some_and(|cell| cell.nature == Nature::Time)).collect();
    if !times.is_empty() {
        let distinct: HashSet<&str> =
            times.iter().filter_map(|place| row.get(*place)).map(|cell| cell.text.as_str()).collect();
        let also_below = times.iter().all(|place| next.get(*place).is_some_and(|cell| cell.nature == Nature::Time));
        return distinct.len() == times.len() && !also_below;
    }
    true
}

/// Tells whether the numbers of a row are whole and ascending.
fn counts_up(row: &[KeptCell]) -> bool {
    let numbers: Option<Vec<u64>> =
        row.iter().filter(|cell| cell.nature == Nature::Number).map(|cell| cell.text.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() > 1 && numbers.is_sorted_by(|left, right| left < right))
}
