//! Checks the records of an .xls workbook before anything trusts them.
//!
//! The library that reads them keeps the rectangle around each sheet's cells, reserves as much memory as a record declares, and copies a
//! shared string for every cell that refers to it. A few kilobytes are enough to make it ask for terabytes.

use std::collections::HashMap;

use super::{
    NumberFormat, ReadError, ReadLimits,
    compound::{damaged, u16_at, u32_at},
};

const HEAD_BYTES: usize = 4;
/// The assumed length of a shared string whose length was not found: the maximum.
const UNKNOWN_STRING_BYTES: u64 = 3 * 0xffff;

/// Kinds of records.
mod kind {
    pub(super) const FORMULA: u16 = 0x0006;
    pub(super) const ENCRYPTED: u16 = 0x002f;
    pub(super) const END: u16 = 0x000a;
    pub(super) const CONTINUE: u16 = 0x003c;
    pub(super) const SHEET: u16 = 0x0085;
    pub(super) const NUMBERS: u16 = 0x00bd;
    pub(super) const RICH_LABEL: u16 = 0x00d6;
    pub(super) const SHARED_STRINGS: u16 = 0x00fc;
    pub(super) const SHARED_LABEL: u16 = 0x00fd;
    pub(super) const DIMENSIONS: u16 = 0x0200;
    pub(super) const NUMBER: u16 = 0x0203;
    pub(super) const LABEL: u16 = 0x0204;
    pub(super) const BOOL: u16 = 0x0205;
    pub(super) const STRING: u16 = 0x0207;
    pub(super) const SMALL_NUMBER: u16 = 0x027e;
    pub(super) const BEGIN: u16 = 0x0809;
    pub(super) const STYLE: u16 = 0x00e0;
    pub(super) const FORMAT: u16 = 0x041e;
}

/// The format version in the first record of a stream.
const BIFF_8: u16 = 0x0600;

/// The number formats of the sheets' cells.
#[derive(Debug, Default)]
pub(super) struct Formats {
    formats: Vec<NumberFormat>,
    /// For each sheet, in the workbook's order, the cells with a special number format: row, column, place of the format. Sorted.
    cells: Vec<Vec<(u16, u16, u16)>>,
}

impl Formats {
    /// The number format of a cell, unless it is the general one.
    pub(super) fn of_cell(&self, sheet: usize, row: u32, column: u32) -> Option<&NumberFormat> {
        let (row, column) = (u16::try_from(row).ok()?, u16::try_from(column).ok()?);
        let cells = self.cells.get(sheet)?;
        let place = cells.binary_search_by_key(&(row, column), |(row, column, _)| (*row, *column)).ok()?;
        self.formats.get(usize::from(cells.get(place)?.2))
    }
}

/// The formats in the head of a workbook.
#[derive(Default)]
struct WorkbookHead {
    is_biff_8: bool,
    codes: HashMap<u16, NumberFormat>,
    /// For each style, the number of its format.
    styles: Vec<u16>,
}

impl WorkbookHead {
    fn read(&mut self, kind: u16, data: &[u8]) {
        match kind {
            kind::BEGIN => self.is_biff_8 = u16_at(data, 0) == Some(BIFF_8),
            kind::STYLE if self.styles.len() < usize::from(u16::MAX) => self.styles.push(u16_at(data, 2).unwrap_or(0)),
            kind::FORMAT => {
                if let (Some(id), Some(code)) = (u16_at(data, 0), self.code(data.get(2..).unwrap_or_default())) {
                    self.codes.insert(id, NumberFormat::of_code(&code));
                }
            }
            _ => {}
        }
    }

    /// The code of a format: letters of one byte or two, depending on the version.
    fn code(&self, data: &[u8]) -> Option<String> {
        if !self.is_biff_8 {
            let letters = data.get(1..)?.iter().take(usize::from(*data.first()?));
            return Some(letters.map(|letter| char::from(*letter)).collect());
        }
        let (length, letters) = (usize::from(u16_at(data, 0)?), data.get(3..)?);
        Some(if data.get(2)? & 1 == 0 {
            letters.iter().take(length).map(|letter| char::from(*letter)).collect()
        } else {
            let units = letters.as_chunks().0.iter().take(length).map(|unit| u16::from_le_bytes(*unit));
            char::decode_utf16(units).map(|letter| letter.unwrap_or('?')).collect()
        })
    }

    /// The formats by style number.
    fn formats(&self) -> Vec<NumberFormat> {
        let format = |id: &u16| {
            let own = self.codes.get(id).cloned();
            own.unwrap_or_else(|| NumberFormat::built_in(u32::from(*id)))
        };
        self.styles.iter().map(format).collect()
    }
}

/// Lowers a workbook's declared sizes to the actual ones, and refuses a workbook whose cells would take too much memory.
///
/// Returns how the cells show numbers.
pub(super) fn check(stream: &mut [u8], limits: &ReadLimits) -> Result<Formats, ReadError> {
    let mut sheets = Vec::new();
    let mut strings = Vec::new();
    let mut head = WorkbookHead::default();
    let mut at = 0;
    while let Some(record) = BiffRecord::at(stream, at) {
        head.read(record.kind, record.data(stream));
        match record.kind {
            kind::END => break,
            kind::ENCRYPTED => return Err(ReadError::Encrypted),
            kind::SHEET => sheets.extend(u32_at(record.data(stream), 0).and_then(|place| usize::try_from(place).ok())),
            kind::SHARED_STRINGS => strings = string_lengths(stream, &record),
            _ => {}
        }
        at = record.end;
    }
    let mut checked = SheetTotals { cells: 0, text_bytes: 0, end: at };
    let mut formats = Formats { formats: head.formats(), cells: vec![Vec::new(); sheets.len()] };
    // Checked in stream order: a change within one sheet must not alter another that was checked before.
    let mut sheets: Vec<(usize, usize)> = sheets.into_iter().enumerate().map(|(place, begin)| (begin, place)).collect();
    sheets.sort_unstable();
    for (begin, place) in sheets {
        let mut cells = Vec::new();
        checked.sheet(stream, begin, &strings, limits, |row, column, style| {
            let is_plain =
                formats.formats.get(usize::from(style)).is_none_or(|format| *format == NumberFormat::General);
            if !is_plain {
                cells.push((row, column, style));
            }
        })?;
        cells.sort_unstable();
        if let Some(slot) = formats.cells.get_mut(place) {
            *slot = cells;
        }
    }
    Ok(formats)
}

/// One record, by its place.
#[derive(Debug, Clone, Copy)]
struct BiffRecord {
    kind: u16,
    start: usize,
    end: usize,
}

impl BiffRecord {
    /// The record that begins there, if it lies in the stream completely.
    fn at(stream: &[u8], at: usize) -> Option<Self> {
        let (kind, length) = (u16_at(stream, at)?, u16_at(stream, at + 2)?);
        let start = at + HEAD_BYTES;
        let end = start + usize::from(length);
        (end <= stream.len()).then_some(Self { kind, start, end })
    }

    fn data<'s>(&self, stream: &'s [u8]) -> &'s [u8] {
        stream.get(self.start..self.end).unwrap_or_default()
    }

    /// Writes a number into the record.
    fn set(&self, stream: &mut [u8], at: usize, number: u16) {
        let place = stream.get_mut(self.start..self.end).and_then(|data| data.get_mut(at..)?.first_chunk_mut());
        if let Some(place) = place {
            *place = number.to_le_bytes();
        }
    }

    /// Limits a text's declared number of characters to the number of bytes behind it: each character takes at least one byte.
    fn limit_text(&self, stream: &mut [u8], at: usize) {
        let room = u16::try_from(self.end.saturating_sub(self.start + at + 2)).unwrap_or(u16::MAX);
        if u16_at(self.data(stream), at).is_some_and(|chars| chars > room) {
            self.set(stream, at, room);
        }
    }
}

/// The totals of all sheets so far.
struct SheetTotals {
    cells: u64,
    text_bytes: u64,
    /// Where the last sheet ended; at first, where the head of the workbook did.
    end: usize,
}

impl SheetTotals {
    /// Checks a sheet, and reports row, column and style of each of its numbers.
    fn sheet(
        &mut self,
        stream: &mut [u8],
        begin: usize,
        strings: &[u64],
        limits: &ReadLimits,
        mut number: impl FnMut(u16, u16, u16),
    ) -> Result<(), ReadError> {
        if begin >= stream.len() {
            return Err(damaged("a sheet lies behind its end"));
        }
        if begin < self.end {
            return Err(damaged("its sheets lie over one another"));
        }
        let (mut cells, mut formulas) = (Rectangle::default(), Rectangle::default());
        let mut last_formula = (0, 0);
        let mut began = false;
        let mut depth: usize = 0;
        let mut at = begin;
        while let Some(record) = BiffRecord::at(stream, at) {
            at = record.end;
            match record.kind {
                // A chart within the sheet has records of its own.
                kind::BEGIN if began => depth += 1,
                kind::BEGIN => began = true,
                kind::END if depth > 0 => depth -= 1,
                kind::END => break,
                _ if depth > 0 => {}
                kind::DIMENSIONS => {
                    (0..record.end - record.start).step_by(2).for_each(|at| record.set(stream, at, 0));
                }
                kind::STRING => {
                    record.limit_text(stream, 0);
                    cells.include(last_formula);
                }
                _ => {
                    let data = record.data(stream);
                    let (Some(row), Some(column)) = (u16_at(data, 0), u16_at(data, 2)) else { continue };
                    match record.kind {
                        kind::FORMULA => {
                            last_formula = (row, column);
                            cells.include(last_formula);
                            formulas.include(last_formula);
                            number(row, column, u16_at(data, 4).unwrap_or(0));
                            // Formulas themselves are not read.
                            record.set(stream, 20, 0);
                        }
                        kind::NUMBERS => {
                            cells.include((row, column));
                            cells.include((row, u16_at(data, data.len() - 2).unwrap_or(column)));
                            // Style and number of each cell, then the last column.
                            let several = data.get(4..data.len() - 2).unwrap_or_default().as_chunks::<6>().0;
                            for (column, one) in (column..=u16::MAX).zip(several) {
                                number(row, column, u16_at(one, 0).unwrap_or(0));
                            }
                        }
                        kind::LABEL | kind::RICH_LABEL => {
                            record.limit_text(stream, 6);
                            cells.include((row, column));
                        }
                        kind::SHARED_LABEL => {
                            let string = u32_at(data, 6).and_then(|place| strings.get(usize::try_from(place).ok()?));
                            self.text_bytes += string.copied().unwrap_or(UNKNOWN_STRING_BYTES);
                            cells.include((row, column));
                        }
                        kind::NUMBER | kind::BOOL | kind::SMALL_NUMBER => {
                            cells.include((row, column));
                            number(row, column, u16_at(data, 4).unwrap_or(0));
                        }
                        _ => {}
                    }
                }
            }
        }
        self.cells += cells.area() + formulas.area();
        self.end = at;
        self.within(limits)
    }

    fn within(&self, limits: &ReadLimits) -> Result<(), ReadError> {
        if self.cells > limits.xls_cells_max {
            return Err(ReadError::TooMany { what: "cells in the sheets of an .xls file", max: limits.xls_cells_max });
        }
        if self.text_bytes > limits.shared_strings_bytes_max {
            let max = limits.shared_strings_bytes_max;
            return Err(ReadError::TooMany { what: "bytes of text in an .xls file", max });
        }
        Ok(())
    }
}

/// The rectangle around cells: first and last row, first and last column.
#[derive(Debug, Default)]
struct Rectangle(Option<[u16; 4]>);

impl Rectangle {
    fn include(&mut self, (row, column): (u16, u16)) {
        let [top, bottom, left, right] = self.0.unwrap_or([row, row, column, column]);
        self.0 = Some([top.min(row), bottom.max(row), left.min(column), right.max(column)]);
    }

    fn area(&self) -> u64 {
        self.0.map_or(0, |[top, bottom, left, right]| (u64::from(bottom - top) + 1) * (u64::from(right - left) + 1))
    }
}

/// The most bytes of each shared string in UTF-8.
fn string_lengths(stream: &[u8], first: &BiffRecord) -> Vec<u64> {
    let mut lengths = Vec::new();
    let mut pieces = Pieces { stream, record: *first, at: 8 };
    while let Some(length) = pieces.string() {
        lengths.push(length);
    }
    lengths
}

/// A record and its continuations.
struct Pieces<'a> {
    stream: &'a [u8],
    record: BiffRecord,
    at: usize,
}

impl Pieces<'_> {
    fn rest(&self) -> &[u8] {
        self.record.data(self.stream).get(self.at..).unwrap_or_default()
    }

    fn next_record(&mut self) -> Option<()> {
        let next = BiffRecord::at(self.stream, self.record.end).filter(|next| next.kind == kind::CONTINUE)?;
        (self.record, self.at) = (next, 0);
        Some(())
    }

    /// Skips a string: its head, its characters, and its formatting.
    fn string(&mut self) -> Option<u64> {
        if self.rest().is_empty() {
            self.next_record()?;
        }
        let chars = u16_at(self.rest(), 0)?;
        let flags = *self.rest().get(2)?;
        self.at += 3;
        let mut looks = 0;
        if flags & 8 != 0 {
            looks += 4 * usize::from(u16_at(self.rest(), 0)?);
            self.at += 2;
        }
        if flags & 4 != 0 {
            looks += usize::try_from(u32_at(self.rest(), 0)?).ok()?;
            self.at += 4;
        }
        let mut left = usize::from(chars);
        let mut char_bytes = 1 + usize::from(flags & 1);
        loop {
            let here = left.min(self.rest().len() / char_bytes);
            self.at += here * char_bytes;
            left -= here;
            if left == 0 {
                break;
            }
            // Each continuation restates the width of its characters.
            self.next_record()?;
            char_bytes = 1 + usize::from(self.rest().first()? & 1);
            self.at = 1;
        }
        while looks > self.rest().len() {
            looks -= self.rest().len();
            self.next_record()?;
        }
        self.at += looks;
        Some(3 * u64::from(chars))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &u16::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A workbook of one sheet.
    fn workbook(globals: &[u8], sheet: &[u8]) -> Vec<u8> {
        let begin = u32::try_from(globals.len() + 16).unwrap();
        let entry = record(kind::SHEET, &[begin.to_le_bytes(), [0; 4]].concat());
        [globals, &entry, &record(kind::END, &[]), sheet, &record(kind::END, &[])].concat()
    }

    fn refusal(globals: &[u8], sheet: &[u8]) -> String {
        check(&mut workbook(globals, sheet), &ReadLimits::default()).unwrap_err().to_string()
    }

    #[test]
    fn two_cells_far_apart() {
        let cell = |row, column| record(kind::NUMBER, &words(&[row, column, 0, 0, 0, 0, 0]));
        assert!(refusal(&[], &[cell(0, 0), cell(65_535, 255)].concat()).contains("cells"));
        let numbers = record(kind::NUMBERS, &words(&[65_535, 0, 0, 0, 0, 65_535]));
        assert!(refusal(&[], &[cell(0, 0), numbers].concat()).contains("cells"));
        let near = [cell(65_530, 0), cell(65_535, 255)].concat();
        assert!(check(&mut workbook(&[], &near), &ReadLimits::default()).is_ok());
    }

    #[test]
    fn what_is_declared_is_brought_down_to_what_is_there() {
        let sheet = [
            record(kind::DIMENSIONS, &words(&[0, 0, 0xffff, 0xffff, 0, 0xffff, 0])),
            record(kind::LABEL, &[words(&[1, 1, 0, 9_000]), b"\0abc".to_vec()].concat()),
            record(kind::FORMULA, &words(&[2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7])),
            record(kind::STRING, &[words(&[3]), b"\0abc".to_vec()].concat()),
        ];
        let harmless = [
            record(kind::DIMENSIONS, &words(&[0; 7])),
            record(kind::LABEL, &[words(&[1, 1, 0, 4]), b"\0abc".to_vec()].concat()),
            record(kind::FORMULA, &words(&[2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7])),
            record(kind::STRING, &[words(&[3]), b"\0abc".to_vec()].concat()),
        ];
        let mut stream = workbook(&[], &sheet.concat());
        check(&mut stream, &ReadLimits::default()).unwrap();
        assert_eq!(stream, workbook(&[], &harmless.concat()));
    }

    #[test]
    fn a_long_string_that_many_cells_share() {
        let head = [words(&[0, 0, 0, 0]), words(&[60_000]), vec![8], words(&[1])].concat();
        let strings = [
            record(kind::SHARED_STRINGS, &[head, vec![b'a'; 8_000]].concat()),
            [8_000, 8_000].map(|bytes| record(kind::CONTINUE, &[vec![1], vec![b'a'; bytes]].concat())).concat(),
            record(kind::CONTINUE, &[vec![0], vec![b'a'; 44_000], vec![0; 4], words(&[1]), b"\0b".to_vec()].concat()),
        ]
        .concat();
        assert_eq!(string_lengths(&strings, &BiffRecord::at(&strings, 0).unwrap()), [180_000, 3]);
        let cell = |string| record(kind::SHARED_LABEL, &words(&[0, 0, 0, string, 0]));
        assert!(refusal(&strings, &cell(0).repeat(1_500)).contains("bytes of text"));
        assert!(check(&mut workbook(&strings, &cell(1).repeat(1_500)), &ReadLimits::default()).is_ok());
    }

    #[test]
    fn a_string_whose_length_is_not_found_may_be_long() {
        let head = [words(&[0, 0, 0, 0]), words(&[1]), b"\0a".to_vec()].concat();
        // The continuation is empty; the library goes on behind it.
        let strings = [
            record(kind::SHARED_STRINGS, &head),
            record(kind::CONTINUE, &[]),
            record(kind::CONTINUE, &[words(&[4_000]), vec![0], vec![b'a'; 4_000]].concat()),
        ];
        let cell = record(kind::SHARED_LABEL, &words(&[0, 0, 0, 2, 0]));
        assert!(refusal(&strings.concat(), &cell.repeat(1_500)).contains("bytes of text"));
    }

    #[test]
    fn a_sheet_that_begins_in_another() {
        // Its dimensions, which get zeroed, are the head of a harmless record of the other sheet.
        let inner = [record(kind::DIMENSIONS, &[0; 12]), record(kind::END, &[])].concat();
        let outer = [record(kind::BEGIN, &[0; 16]), record(0x1234, &inner)].concat();
        let entry = |begin: usize| record(kind::SHEET, &[u32::try_from(begin).unwrap().to_le_bytes(), [0; 4]].concat());
        let begin = 2 * entry(0).len() + 4;
        let globals = [entry(begin + 24), entry(begin)].concat();
        let mut stream = [globals, record(kind::END, &[]), outer, record(kind::END, &[]), vec![0; 10_000]].concat();
        assert!(check(&mut stream, &ReadLimits::default()).unwrap_err().to_string().contains("over one another"));
    }

    #[test]
    fn sheets_that_are_nowhere_or_everywhere() {
        let entry = |begin: u32| record(kind::SHEET, &[begin.to_le_bytes(), [0; 4]].concat());
        let twice = [entry(0), entry(0)].concat();
        for (globals, word) in [(entry(0xffff_ff00), "behind its end"), (twice, "over one another")] {
            assert!(refusal(&globals, &[]).contains(word), "{word}");
        }
    }
}
