//! Reads the rows of a worksheet as a stream.

use std::{io::Read, ops::Range};

use jiff::civil;
use quick_xml::events::{BytesStart, Event};

use super::{
    SheetLooks,
    part::{XmlPart, attributes, is_true},
    strings::{Strings, rich_text},
    styles::Styles,
};
use crate::dataset::reader::{
    Cell, Note, NumberFormat, Numeral, ReadError, ReadLimits, RowCells, RowSink, limits::to_u64, rows::Flow,
    serial::moment_of_days,
};

/// The most rows of a sheet.
const ROWS_MAX: u64 = 1_048_576;
/// The most columns of a sheet.
const COLUMNS_MAX: usize = 16_384;
/// The most merged ranges named in a note.
const RANGES_NAMED: usize = 8;
/// Bytes of shared texts that a sheet may always hand on; more are allowed only as the sheet grows.
const SHARED_FREE_BYTES: u64 = 64 << 20;
const NO_VALUE: &str = "a formula without a value: open the file in a spreadsheet program and save it";

pub(super) struct Sheet<'a, R> {
    part: XmlPart<R>,
    strings: &'a Strings,
    styles: &'a Styles,
    epoch_1904: bool,
    limits: &'a ReadLimits,
    looks: SheetLooks,
}

/// A cell of the current row.
#[derive(Debug, Clone)]
enum CellSlot {
    Blank,
    Shared(usize),
    Text(Range<usize>),
    Number(Range<usize>, usize),
    Moment(civil::DateTime),
    Bool(bool),
    Error(Range<usize>),
    Unusable(&'static str),
}

struct SheetRow<'a> {
    slots: Vec<CellSlot>,
    text: String,
    strings: &'a Strings,
    styles: &'a Styles,
    /// Bytes of the row's texts, shared ones included.
    text_bytes: usize,
    shared_bytes: u64,
}

impl<R: Read> Sheet<'_, R> {
    pub(super) fn new<'a>(
        part: XmlPart<R>,
        strings: &'a Strings,
        styles: &'a Styles,
        epoch_1904: bool,
        limits: &'a ReadLimits,
    ) -> Sheet<'a, R> {
        Sheet { part, strings, styles, epoch_1904, limits, looks: SheetLooks::default() }
    }

    /// Hands the rows to the sink.
    pub(super) fn rows(&mut self, sink: &mut impl RowSink) -> Result<Flow, ReadError> {
        let mut row = SheetRow {
            slots: Vec::new(),
            text: String::new(),
            strings: self.strings,
            styles: self.styles,
            text_bytes: 0,
            shared_bytes: 0,
        };
        let (mut line, mut rows, mut in_data) = (0_u64, 0_u64, false);
        loop {
            match self.part.next()? {
                Event::Start(tag) => match tag.local_name().as_ref() {
                    "sheetData" => in_data = true,
                    "row" if in_data => {
                        let (number, hidden) = row_of(&tag, line)?;
                        line = number;
                        self.looks.hidden_rows += u64::from(hidden);
                        row.clear();
                        self.cells(&mut row, line)?;
                        if row.is_blank() {
                            continue;
                        }
                        rows += 1;
                        self.limits.check_rows(rows)?;
                        let flow = sink.row(line, &row)?;
                        if flow != Flow::Continue {
                            return Ok(flow);
                        }
                    }
                    "col" => self.looks.column(&tag),
                    _ => {}
                },
                Event::Empty(tag) => match tag.local_name().as_ref() {
                    "row" if in_data => line = row_of(&tag, line)?.0,
                    "sheetData" => return Ok(Flow::Continue),
                    "col" => self.looks.column(&tag),
                    _ => {}
                },
                Event::End(tag) if tag.local_name().as_ref() == "sheetData" => return Ok(Flow::Continue),
                Event::Eof if in_data => return Err(self.part.ended()),
                // A sheet of charts has no rows.
                Event::Eof => return Ok(Flow::Continue),
                _ => {}
            }
        }
    }

    /// Reads the data behind the rows, up to the part's end, where its checksum is compared.
    pub(super) fn notes(&mut self) -> Result<Vec<Note>, ReadError> {
        loop {
            match self.part.next()? {
                Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "mergeCell" => {
                    let range = attributes(&tag).find(|(key, _)| *key == "ref").map_or("", |(_, range)| range);
                    // Merged titles stand above a table; below its header, merged cells leave rows without a value.
                    if spans_rows(range) {
                        self.looks.merged_count += 1;
                        if self.looks.merged.len() < RANGES_NAMED {
                            self.looks.merged.push(range.to_owned());
                        }
                    }
                }
                Event::Eof => return Ok(self.looks.notes()),
                _ => {}
            }
        }
    }

    /// Reads the cells of a row.
    fn cells(&mut self, row: &mut SheetRow<'_>, line: u64) -> Result<(), ReadError> {
        let mut next_column = 0;
        loop {
            let (empty, head) = match self.part.next()? {
                Event::Start(tag) if tag.local_name().as_ref() == "c" => {
                    (false, CellHead::of(&tag, line, next_column)?)
                }
                Event::Empty(tag) if tag.local_name().as_ref() == "c" => (true, CellHead::of(&tag, line, next_column)?),
                Event::End(tag) if tag.local_name().as_ref() == "row" => return Ok(()),
                Event::Eof => return Err(self.part.ended()),
                _ => continue,
            };
            next_column = head.column + 1;
            if empty {
                continue;
            }
            self.limits.check_columns(head.column + 1)?;
            let slot = self.value(&head, row)?;
            if matches!(slot, CellSlot::Blank) {
                continue;
            }
            self.limits.check_texts(row.text_bytes)?;
            if row.slots.len() <= head.column {
                row.slots.resize(head.column + 1, CellSlot::Blank);
            }
            match row.slots.get_mut(head.column) {
                Some(free @ CellSlot::Blank) => *free = slot,
                _ => return Err(twice(line, head.column)),
            }
        }
    }

    /// Reads a cell up to its end.
    fn value(&mut self, head: &CellHead, row: &mut SheetRow<'_>) -> Result<CellSlot, ReadError> {
        let bytes_max = usize::try_from(self.limits.record_bytes_max).unwrap_or(usize::MAX);
        let begin = row.text.len();
        let (mut is_formula, mut has_value) = (false, false);
        let mut depth = 0_usize;
        loop {
            enum What {
                Value,
                Inline,
                Formula,
                Other,
            }
            let what = match self.part.next()? {
                // Extensions are no part of the value.
                Event::Start(_) if depth > 0 => What::Other,
                Event::Start(tag) => match tag.local_name().as_ref() {
                    "v" => What::Value,
                    "is" => What::Inline,
                    "f" => What::Formula,
                    _ => What::Other,
                },
                Event::Empty(tag) => {
                    is_formula = is_formula || (depth == 0 && tag.local_name().as_ref() == "f");
                    continue;
                }
                Event::End(_) if depth == 0 => break,
                Event::End(_) => {
                    depth -= 1;
                    continue;
                }
                Event::Eof => return Err(self.part.ended()),
                _ => continue,
            };
            match what {
                What::Value => {
                    self.part.text_into(&mut row.text, begin + bytes_max)?;
                    has_value = true;
                }
                What::Inline => {
                    rich_text(&mut self.part, &mut row.text, begin + bytes_max)?;
                    has_value = true;
                }
                What::Formula => {
                    is_formula = true;
                    self.part.text_into(&mut String::new(), bytes_max)?;
                }
                What::Other => depth += 1,
            }
        }
        let range = begin..row.text.len();
        let text = row.text.get(range.clone()).unwrap_or_default();
        let is_text = matches!(head.kind, CellType::Text | CellType::Inline);
        if text.is_empty() {
            // A formula whose value is an empty text does have a value.
            if is_formula && !(is_text && has_value) {
                self.looks.no_values += 1;
                return Ok(CellSlot::Unusable(NO_VALUE));
            }
            return Ok(CellSlot::Blank);
        }
        let slot = match head.kind {
            CellType::Text | CellType::Inline | CellType::Iso => {
                row.text_bytes += text.len();
                CellSlot::Text(range)
            }
            CellType::Shared => {
                let place = text.trim().parse().ok();
                let shared = place.and_then(|place| Some((place, self.strings.get(place)?)));
                let Some((place, shared)) = shared else {
                    return Ok(CellSlot::Unusable("a text that is not in the file"));
                };
                row.text_bytes += shared.len();
                row.shared_bytes += to_u64(shared.len());
                let max = SHARED_FREE_BYTES + self.part.total().saturating_mul(self.limits.inflation_max);
                if row.shared_bytes > max {
                    return Err(ReadError::TooMany { what: "bytes of texts that its cells share", max });
                }
                if shared.is_empty() { CellSlot::Blank } else { CellSlot::Shared(place) }
            }
            CellType::Bool => match text.trim() {
                "1" | "true" => CellSlot::Bool(true),
                "0" | "false" => CellSlot::Bool(false),
                _ => CellSlot::Unusable("neither true nor false"),
            },
            CellType::Error => CellSlot::Error(range),
            CellType::Number => self.number(text, range, head.style),
            CellType::Unknown => CellSlot::Unusable("a value of a type that workbooks do not have"),
        };
        Ok(slot)
    }

    fn number(&self, text: &str, range: Range<usize>, style: usize) -> CellSlot {
        let is_number =
            text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
        let Some(number) = text.parse::<f64>().ok().filter(|number| is_number && number.is_finite()) else {
            return CellSlot::Unusable("a number that is not written as one");
        };
        if *self.styles.format(style) != NumberFormat::Date {
            return CellSlot::Number(range, style);
        }
        match moment_of_days(number, self.epoch_1904) {
            Ok(moment) => CellSlot::Moment(moment),
            Err(reason) => CellSlot::Unusable(reason),
        }
    }
}

/// The type of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellType {
    Number,
    Shared,
    Text,
    Inline,
    Bool,
    Error,
    Iso,
    Unknown,
}

/// The contents of a cell's tag.
struct CellHead {
    column: usize,
    style: usize,
    kind: CellType,
}

impl CellHead {
    fn of(tag: &BytesStart<'_>, line: u64, next_column: usize) -> Result<Self, ReadError> {
        let mut head = Self { column: next_column, style: 0, kind: CellType::Number };
        for (key, value) in attributes(tag) {
            match key {
                "r" => head.column = column_of(value, line)?,
                "s" => head.style = value.parse().unwrap_or(0),
                "t" => {
                    head.kind = match value {
                        "n" => CellType::Number,
                        "s" => CellType::Shared,
                        "str" => CellType::Text,
                        "inlineStr" => CellType::Inline,
                        "b" => CellType::Bool,
                        "e" => CellType::Error,
                        "d" => CellType::Iso,
                        _ => CellType::Unknown,
                    };
                }
                _ => {}
            }
        }
        if head.column >= COLUMNS_MAX {
            return Err(ReadError::TooMany { what: "columns", max: to_u64(COLUMNS_MAX) });
        }
        Ok(head)
    }
}

/// The place of a column, from a cell's reference such as `AB12`; its row has to be the row that contains it.
fn column_of(reference: &str, line: u64) -> Result<usize, ReadError> {
    let letters = reference.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, digits) = reference.split_at(letters);
    let column = letters
        .bytes()
        .take(4)
        .fold(0, |column, letter| column * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1);
    if letters.is_empty() || digits.parse() != Ok(line) {
        let detail = format!("a cell of row {line} says that it stands elsewhere");
        return Err(ReadError::Malformed { detail });
    }
    Ok(column - 1)
}

/// The number of a row and whether it is hidden. A row without a number follows the last one.
fn row_of(tag: &BytesStart<'_>, last: u64) -> Result<(u64, bool), ReadError> {
    let (mut line, mut hidden) = (last + 1, false);
    for (key, value) in attributes(tag) {
        match key {
            "r" => {
                line = value
                    .parse()
                    .map_err(|_| ReadError::Malformed { detail: format!("the row after row {last} has no number") })?
            }
            "hidden" => hidden = is_true(value),
            _ => {}
        }
    }
    if line <= last {
        return Err(ReadError::Malformed { detail: format!("row {line} stands after row {last}") });
    }
    if line > ROWS_MAX {
        return Err(ReadError::TooMany { what: "rows in a sheet", max: ROWS_MAX });
    }
    Ok((line, hidden))
}

/// Tells whether a range such as `B5:B6` covers several rows.
fn spans_rows(range: &str) -> bool {
    let row = |reference: &str| reference.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).to_owned();
    range.split_once(':').is_some_and(|(first, last)| row(first) != row(last))
}

fn twice(line: u64, column: usize) -> ReadError {
    ReadError::Malformed { detail: format!("row {line} has two cells in column {}", column + 1) }
}

/// The letters of a column.
pub(in crate::dataset) fn letters_of(mut place: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'A' + u8::try_from(place % 26).unwrap_or(0));
        place /= 26;
        if place == 0 {
            break;
        }
        place -= 1;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

impl SheetLooks {
    fn column(&mut self, tag: &BytesStart<'_>) {
        let (mut first, mut last, mut hidden) = (0_usize, 0_usize, false);
        for (key, value) in attributes(tag) {
            match key {
                "min" => first = value.parse().unwrap_or(0),
                "max" => last = value.parse().unwrap_or(0),
                "hidden" => hidden = is_true(value),
                _ => {}
            }
        }
        // A range up to the last column hides what is beyond a table's end.
        if hidden && first > 0 && last < COLUMNS_MAX && self.hidden_columns.len() < COLUMNS_MAX {
            let begin = letters_of(first - 1);
            self.hidden_columns.push(if last > first { format!("{begin}:{}", letters_of(last - 1)) } else { begin });
        }
    }
}

impl SheetRow<'_> {
    fn clear(&mut self) {
        self.slots.clear();
        self.text.clear();
        self.text_bytes = 0;
    }

    fn is_blank(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, CellSlot::Blank))
    }
}

impl RowCells for SheetRow<'_> {
    fn width(&self) -> usize {
        self.slots.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        match self.slots.get(place) {
            None | Some(CellSlot::Blank) => Cell::Blank,
            Some(CellSlot::Shared(place)) => self.strings.get(*place).map_or(Cell::Blank, Cell::Text),
            Some(CellSlot::Text(range)) => Cell::Text(text(range)),
            Some(CellSlot::Number(range, style)) => {
                Cell::Number(Numeral { digits: text(range), format: self.styles.format(*style) })
            }
            Some(CellSlot::Moment(moment)) => Cell::Moment(*moment),
            Some(CellSlot::Bool(flag)) => Cell::Bool(*flag),
            Some(CellSlot::Error(range)) => Cell::Error(error_of(text(range))),
            Some(CellSlot::Unusable(reason)) => Cell::Error(reason),
        }
    }

    fn is_delimited(&self) -> bool {
        false
    }
}

/// An error as the sheet shows it; any other text may be unpublished data.
fn error_of(text: &str) -> &str {
    let is_error = text.starts_with('#')
        && text.len() <= 24
        && text.bytes().all(|byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'#' | b'/' | b'!' | b'?' | b'_')
        });
    if is_error { text } else { "an error of a kind that is not known" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_their_letters() {
        for (reference, column) in [("A1", 0), ("Z1", 25), ("AA1", 26), ("AB1", 27), ("XFD1", 16_383)] {
            assert_eq!(column_of(reference, 1).unwrap(), column);
            assert_eq!(letters_of(column), reference.trim_end_matches('1'));
        }
        for wrong in ["1", "A", "A2", "", "1A"] {
            assert!(column_of(wrong, 1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_and_what_pretends_to_be_one() {
        assert_eq!(error_of("#SPILL!"), "#SPILL!");
        assert_eq!(error_of("#N/A"), "#N/A");
        assert!(!error_of("#Jane Secret").contains("Jane"));
    }
}
