//! Detects the delimiter of a text file.

use csv_core::ReadRecordResult;

use super::layout::{BUFFER_BYTES, DELIMITERS, TextLayout};
use crate::dataset::reader::{Cell, ReadLimits, RowCells, RowSink};

/// The most records examined.
const RECORDS_MAX: usize = 200;
/// A character that texts do not contain: the unit separator of ASCII.
const NO_DELIMITER: u8 = 0x1f;
/// The fewest records, in a thousand, that must have equally many cells.
const SHARE_MIN: usize = 500;
/// The most cells of a record that are examined.
const CELLS_MAX: usize = 2_000;

/// The delimiter named by a first line such as `sep=;`, and the text after that line.
pub(super) fn named(sample: &[u8]) -> (Option<u8>, &[u8]) {
    let line_end = sample.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(sample.len());
    let line = sample.get(..line_end).unwrap_or_default();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] if !delimiter.is_ascii_alphanumeric() => {
            (Some(*delimiter), sample.get(line_end..).unwrap_or_default())
        }
        _ => (None, sample),
    }
}

/// The delimiter under which a row names the most wanted columns; otherwise the one that gives the most records equally many cells, then
/// the most cells. The second part says whether a row named any column.
pub(super) fn delimiter(sample: &[u8], layout: &TextLayout, limits: &ReadLimits, sink: &impl RowSink) -> (u8, bool) {
    let candidates =
        DELIMITERS.map(|delimiter| (delimiter, records(sample, &TextLayout { delimiter, ..layout.clone() })));
    let recognised = |records: &Vec<SampleRow>| {
        records.iter().take(limits.header_rows_max).map(|row| sink.recognised(row)).max().unwrap_or(0)
    };
    // The first of equal candidates wins.
    let scored = candidates
        .iter()
        .rev()
        .map(|(delimiter, records)| ((recognised(records), (shape(records), *delimiter == b';')), delimiter));
    match scored.max_by_key(|(score, _)| *score) {
        Some(((recognised, ((share, ..), _)), delimiter)) if recognised > 1 || share > 0 => {
            (*delimiter, recognised > 0)
        }
        // A file of one column gets a delimiter that it does not contain, so that its texts are not cut.
        best => (
            DELIMITERS.into_iter().find(|delimiter| !sample.contains(delimiter)).unwrap_or(NO_DELIMITER),
            best.is_some_and(|((recognised, _), _)| recognised > 0),
        ),
    }
}

/// How well a delimiter cuts the records, higher is better: the share of records with the most common number of cells, whether no space
/// follows the delimiter, and that number. All zero if it cuts few records, or only their texts.
fn shape(records: &[SampleRow]) -> (usize, bool, usize) {
    // A cell with another delimiter before an unpaired mark was cut within quotes of that delimiter.
    let is_cut_cell = |cell: &String| {
        let begins = DELIMITERS.iter().any(|delimiter| cell.contains(&format!("{}\"", char::from(*delimiter))));
        begins && cell.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
    };
    let is_cut = |row: &SampleRow| row.0.iter().any(is_cut_cell);
    let widths: Vec<usize> = records.iter().map(|row| if is_cut(row) { 0 } else { row.width() }).collect();
    let common = widths.iter().filter(|width| **width > 1).map(|width| {
        let alike = widths.iter().filter(|other| *other == width).count();
        (alike * 1000 / widths.len().max(1), *width)
    });
    let Some((share, width)) = common.max().filter(|(share, _)| *share >= SHARE_MIN) else { return (0, false, 0) };
    let behind: Vec<&String> =
        records.iter().flat_map(|row| row.0.iter().skip(1)).filter(|cell| !cell.is_empty()).collect();
    let spaced = behind.iter().filter(|cell| cell.starts_with(' ')).count();
    let is_spaced = spaced * 2 > behind.len();
    // Below a header of one cell, commas followed by spaces belong to texts.
    if is_spaced && records.first().is_some_and(|first| first.width() == 1) {
        return (0, false, 0);
    }
    (share, !is_spaced, width)
}

struct SampleRow(Vec<String>);

impl RowCells for SampleRow {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        self.0.get(place).map_or(Cell::Blank, |text| Cell::Text(text))
    }

    fn is_delimited(&self) -> bool {
        true
    }
}

/// The first complete records of a sample that are not blank.
fn records(sample: &[u8], layout: &TextLayout) -> Vec<SampleRow> {
    let mut reader = layout.reader();
    let mut records = Vec::new();
    let (mut cells, mut ends) = (vec![0; sample.len() + 1], vec![0; CELLS_MAX]);
    let mut rest = sample;
    while records.len() < RECORDS_MAX {
        let (result, read, written, ended) = reader.read_record(rest, &mut cells, &mut ends);
        rest = rest.get(read..).unwrap_or_default();
        let is_whole = result == ReadRecordResult::Record;
        // The last record of a short file may lack a line end.
        if !is_whole && (written == 0 && ended == 0) {
            break;
        }
        let mut begin = 0;
        let mut row = Vec::with_capacity(ended);
        for end in ends.get(..ended).unwrap_or_default() {
            row.push(String::from_utf8_lossy(cells.get(begin..*end).unwrap_or_default()).trim_end().to_owned());
            begin = *end;
        }
        if !is_whole {
            row.push(String::from_utf8_lossy(cells.get(begin..written).unwrap_or_default()).trim_end().to_owned());
        }
        let is_first = records.is_empty();
        if !row.iter().all(|cell| cell.trim().is_empty())
            && (is_whole || is_first || rest.is_empty() && sample.len() < BUFFER_BYTES)
        {
            records.push(SampleRow(row));
        }
        if !is_whole {
            break;
        }
    }
    records
}
