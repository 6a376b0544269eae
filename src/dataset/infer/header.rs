//! Which of a sheet's first rows is its header.

use std::collections::HashSet;

use crate::dataset::{
    definition::DateOrder,
    mapping::{convert::text_of, dates},
    reader::{Cell, RowCells},
};

/// The longest text of a cell that is kept. Longer headers are cut in nobody's favour: they would not be found again.
const CELL_BYTES_MAX: usize = 16 * 1024;
/// A header names at least this share, in tenths, of the columns of the widest row.
const TENTHS_MIN: usize = 6;

/// A cell as far as a header is told by it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptCell {
    pub(super) text: String,
    nature: Nature,
}

/// What a cell is.
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
    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }

    /// The cells of a row.
    pub(super) fn of(row: &impl RowCells) -> Vec<Self> {
        let keep = |place: usize| {
            let cell = row.cell(place);
            // A cell with an error says nothing of its column.
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
    /// The place of the first row that names most columns.
    pub(super) fn header(&self) -> Option<usize> {
        let rows: Vec<&Vec<KeptCell>> = self.rows.iter().map(|(_, row)| row).collect();
        let place = |(place, row): (usize, &&Vec<KeptCell>)| {
            is_header(row, rows.get(place + 1..).unwrap_or_default()).then_some(place)
        };
        rows.iter().enumerate().find_map(place)
    }

    /// The rows above a header that hold something: the line of the first, of the last, and how many there are.
    pub(super) fn above(&self, header: usize) -> Option<(u64, u64, u64)> {
        let mut lines = self.rows.iter().take(header).filter(|(_, row)| filled(row) > 0).map(|(line, _)| *line);
        let first = lines.next()?;
        Some(lines.fold((first, first, 1), |(first, _, rows), line| (first, line, rows + 1)))
    }

    /// How many cells the table below a header has, as far as it is seen.
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
    // What most rows below have, and not what the widest of them has: that may be one with a mistake.
    let mut widths: Vec<usize> = below.iter().map(|row| filled(row)).filter(|filled| *filled > 0).collect();
    widths.sort_unstable();
    let Some(typical) = widths.get(widths.len().saturating_sub(1) / 2).copied() else { return false };
    // Some columns may have no name where the row has a cell for each of them.
    let has_all_cells = filled_here > 1 && row.len() >= typical && filled_here * 2 >= typical;
    let names_most = filled_here * 10 >= typical * TENTHS_MIN && (filled_here > 1 || typical == 1);
    let is_label = row.first().is_some_and(|first| first.text.ends_with(':'));
    if filled_here == 0 || !(names_most || has_all_cells) || is_label {
        return false;
    }
    // A name is a text, a year or a date; at least one of them is a text. Numbers are names where they count the columns.
    if count(Nature::Text) == 0 || (count(Nature::Number) > 0 && !counts_up(row)) {
        return false;
    }
    // Below it there are rows. A row with dates among texts that looks like those below it is one of them.
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

/// Whether the numbers of a row are whole and each greater than those before it.
fn counts_up(row: &[KeptCell]) -> bool {
    let numbers: Option<Vec<u64>> =
        row.iter().filter(|cell| cell.nature == Nature::Number).map(|cell| cell.text.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() > 1 && numbers.is_sorted_by(|left, right| left < right))
}
