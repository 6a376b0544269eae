//! Rows of .csv and .tsv: any of four delimiters, UTF-8 or else Windows-1252, records over several lines.

use std::{
    borrow::Cow,
    cell::Cell as SharedCell,
    io::{self, Read},
    rc::Rc,
};

use csv::{ByteRecord, ErrorKind, ReaderBuilder, Terminator};
use encoding_rs::WINDOWS_1252;
use memchr::{memchr, memchr_iter};

use super::{Cell, Flow, Limits, ReadError, RowCells, RowSink, limits::to_u64};

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const BUFFER_BYTES: usize = 64 * 1024;
const SNIFFED_RECORDS: usize = 50;

/// Reads the records of a text file whose beginning is `sample`; `source` stands at its start.
pub(super) fn read<R: Read>(
    source: R,
    sample: &[u8],
    limits: &Limits,
    sink: &mut impl RowSink,
) -> Result<(), ReadError> {
    let spent = Rc::new(Spent::default());
    let budget = Budget { source, spent: Rc::clone(&spent), record_bytes_max: limits.record_bytes_max };
    // The reader's own mode for CRLF loses count of the lines. A carriage return that is left at a row's end is trimmed
    // like any other space.
    let ending = LineEnding::of(sample);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(sniff(sample))
        .terminator(Terminator::Any(ending.byte()))
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(budget);
    let mut record = ByteRecord::new();
    let mut decoded = Decoded::default();
    let mut rows: u64 = 0;
    sink.sheet(None, false);
    loop {
        // What the reader holds in its buffer was read for this record or those after it.
        spent.record_bytes.set(0);
        let begins = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                let line = ending.first_line(rows + 1, begins);
                return Err(csv_error(error, line, limits));
            }
        }
        rows += 1;
        limits.check_rows(rows)?;
        limits.check_columns(record.len())?;
        let is_last = reader.position().byte() == spent.bytes.get();
        let ends_a_line = !is_last || spent.ends_a_line(ending, &record);
        let lines = memchr_iter(b'\n', record.as_slice()).count() + usize::from(ends_a_line);
        let line = reader.position().line().saturating_sub(u64::try_from(lines).unwrap_or(0));
        let line = ending.first_line(rows, line);
        // The budget tells only what was read for it, by the piece.
        if to_u64(record.as_slice().len()) > limits.record_bytes_max {
            return Err(ReadError::RecordTooLong { line, max: limits.record_bytes_max });
        }
        decoded.fill(&record);
        if sink.row(line, &decoded)? != Flow::Continue {
            return Ok(());
        }
    }
    sink.sheet_end();
    Ok(())
}

fn csv_error(error: csv::Error, line: u64, limits: &Limits) -> ReadError {
    match error.into_kind() {
        ErrorKind::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<OverBudget>()) => {
            ReadError::RecordTooLong { line, max: limits.record_bytes_max }
        }
        ErrorKind::Io(error) => ReadError::Io(error),
        other => ReadError::Malformed { detail: format!("line {line}: {other:?}") },
    }
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnding {
    /// `\n`, perhaps after `\r`.
    LineFeed,
    /// `\r` alone, as on a Mac before 2001.
    CarriageReturn,
}

impl LineEnding {
    fn of(sample: &[u8]) -> Self {
        let is_old = memchr(b'\n', sample).is_none() && memchr(b'\r', sample).is_some();
        if is_old { Self::CarriageReturn } else { Self::LineFeed }
    }

    fn byte(self) -> u8 {
        match self {
            Self::LineFeed => b'\n',
            Self::CarriageReturn => b'\r',
        }
    }

    /// The line a record begins on: counted by the reader, which only knows line feeds.
    fn first_line(self, row: u64, counted: u64) -> u64 {
        match self {
            Self::LineFeed => counted,
            Self::CarriageReturn => row,
        }
    }
}

/// Fails when one record takes more bytes than are allowed, so that an endless one ends early and in bounded memory.
struct Budget<R> {
    source: R,
    spent: Rc<Spent>,
    record_bytes_max: u64,
}

/// What was read: for the record at hand, in all, and last.
#[derive(Debug, Default)]
struct Spent {
    record_bytes: SharedCell<u64>,
    bytes: SharedCell<u64>,
    last_bytes: SharedCell<[u8; 3]>,
}

impl Spent {
    /// Whether the last byte of the file ends the line of its last record, and is not part of a text in quotes. Where such
    /// a text holds the last line feed of its record, the quotes are closed, or else they were left open.
    fn ends_a_line(&self, ending: LineEnding, record: &ByteRecord) -> bool {
        let last = self.last_bytes.get();
        let in_quotes = record.iter().next_back().is_some_and(|field| field.ends_with(b"\n"));
        last.last() == Some(&ending.byte()) && (!in_quotes || last == *b"\n\"\n")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
struct OverBudget;

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.spent.record_bytes.get() > self.record_bytes_max {
            return Err(io::Error::other(OverBudget));
        }
        let read = self.source.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.spent.record_bytes.set(self.spent.record_bytes.get() + bytes);
        self.spent.bytes.set(self.spent.bytes.get() + bytes);
        for byte in buffer.get(read.saturating_sub(3)..read).into_iter().flatten() {
            let [_, second, third] = self.spent.last_bytes.get();
            self.spent.last_bytes.set([second, third, *byte]);
        }
        Ok(read)
    }
}

/// A record as text: where its bytes are not UTF-8, all of it is read as Windows-1252.
#[derive(Debug, Default)]
struct Decoded {
    text: String,
    ends: Vec<usize>,
}

impl Decoded {
    fn fill(&mut self, record: &ByteRecord) {
        self.text.clear();
        self.ends.clear();
        if let Ok(text) = std::str::from_utf8(record.as_slice()) {
            self.text.push_str(text);
            self.ends.extend((0..record.len()).filter_map(|place| record.range(place)).map(|range| range.end));
            return;
        }
        for field in record {
            let text: Cow<'_, str> = WINDOWS_1252.decode_without_bom_handling(field).0;
            self.text.push_str(&text);
            self.ends.push(self.text.len());
        }
    }
}

impl RowCells for Decoded {
    fn width(&self) -> usize {
        self.ends.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        let Some(end) = self.ends.get(place) else { return Cell::Blank };
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        match self.text.get(start..*end) {
            Some("") => Cell::Blank,
            Some(text) => Cell::Text(text),
            None => Cell::Error("bytes that are no text"),
        }
    }

    fn is_delimited(&self) -> bool {
        true
    }
}

/// The delimiter under which the most records have the same, largest number of fields.
pub(super) fn sniff(sample: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(sample);
        let widths: Vec<usize> = reader
            .byte_records()
            .take(SNIFFED_RECORDS)
            .map_while(Result::ok)
            .map(|record| record.len())
            .filter(|width| *width > 1)
            .collect();
        widths
            .iter()
            .map(|width| (width - 1) * widths.iter().filter(|other| *other == width).count())
            .max()
            .unwrap_or(0)
    };
    // The first of equals wins, so a file of one column is read with commas.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that rows begin on.
    struct Lines(Vec<u64>);

    impl RowSink for Lines {
        fn sheet(&mut self, _name: Option<&str>, _epoch_1904: bool) {}

        fn row<R: RowCells>(&mut self, line: u64, _row: &R) -> Result<Flow, ReadError> {
            self.0.push(line);
            Ok(Flow::Continue)
        }

        fn sheet_end(&mut self) -> Flow {
            Flow::Stop
        }
    }

    #[test]
    fn a_row_begins_on_its_line_however_the_file_ends() {
        for (text, lines) in [
            ("a,b\n1,2", &[1, 2][..]),
            ("a,b\n\n1,2\n", &[1, 3]),
            ("a\n\"b\nc\"", &[1, 2]),
            ("a\n\"b\nc\"\n", &[1, 2]),
            ("a\n\"b\n\"\nc\n", &[1, 2, 4]),
            ("a\n\"b\n\"\n", &[1, 2]),
            ("a\n\n\"b\n", &[1, 3]),
            ("a\n\"b\"\"\n", &[1, 2]),
            ("a\n\"b\"\"\n\"\n", &[1, 2]),
            ("a\n\"b\n\",\n", &[1, 2]),
            ("a\n\"b\n\",\"\n\n", &[1, 2]),
        ] {
            let mut sink = Lines(Vec::new());
            read(text.as_bytes(), text.as_bytes(), &Limits::default(), &mut sink).unwrap();
            assert_eq!(sink.0, lines, "{text:?}");
        }
    }
}
