//! Reads rows of .csv and .tsv: records over several lines, in any encoding, with the delimiter under which header and rows have equally
//! many cells.
//!
//! An unclosed quotation mark must never swallow rows. So every record with such a mark is checked again, by its raw bytes.

use std::{
    borrow::Cow,
    io::{ErrorKind, Read, Seek},
};

use csv_core::{ReadRecordResult, Reader};
use encoding_rs::WINDOWS_1252;
use memchr::{memchr, memchr_iter};

use super::{Cell, Flow, Note, ReadError, ReadLimits, RowCells, RowSink, limits::to_u64};
use crate::dataset::definition::{Dialect, Quote};
pub(super) use encoding::encoding_of;
use encoding::{DecodedText, NotUtf8};
use layout::{BUFFER_BYTES, LineEnding, TextLayout};
use quotes::{QuoteVerdict, Quotes};

mod encoding;
mod layout;
mod quotes;
mod sniff;
#[cfg(test)]
mod tests;

/// The end mark of text files under CP/M, still found in some files.
const DOS_END: u8 = 0x1a;

/// Reads the records of a text file; `source` is at its start.
pub(super) fn read<R: Read + Seek>(
    mut source: R,
    file_name: &str,
    dialect: &Dialect,
    limits: &ReadLimits,
    sink: &mut impl RowSink,
) -> Result<(), ReadError> {
    let layout = TextLayout::of(&mut source, file_name, dialect, limits, sink)?;
    source.rewind()?;
    if let Some(line) = layout.literal_quotes_from {
        sink.note(Note::LiteralQuotes { line });
    }
    sink.delimiter(layout.delimiter);
    let mut records = Records::new(DecodedText::new(source, dialect)?, &layout, limits)?;
    let mut others = NotUtf8::default();
    let mut rows: u64 = 0;
    sink.sheet(None, false);
    while records.next()? {
        rows += 1;
        limits.check_rows(rows)?;
        limits.check_columns(records.ends.len())?;
        let row = records.row(&mut others)?;
        if sink.row(records.line, &row)? != Flow::Continue {
            others.tell(layout.ending, sink);
            return Ok(());
        }
    }
    others.tell(layout.ending, sink);
    sink.sheet_end();
    Ok(())
}

impl TextLayout {
    fn of<R: Read + Seek>(
        source: &mut R,
        file_name: &str,
        dialect: &Dialect,
        limits: &ReadLimits,
        sink: &impl RowSink,
    ) -> Result<Self, ReadError> {
        let mut sample = Vec::new();
        DecodedText::new(&mut *source, dialect)?.take(to_u64(BUFFER_BYTES)).read_to_end(&mut sample)?;
        let (named, rest) = sniff::named(&sample);
        let quote = match dialect.quote {
            None => Some(b'"'),
            Some(Quote::None) => None,
            Some(Quote::Byte(byte)) => Some(byte),
        };
        let mut layout = Self {
            delimiter: b',',
            quote,
            quote_is_said: dialect.quote.is_some(),
            ending: LineEnding::of(rest, sample.len() == BUFFER_BYTES),
            names_delimiter: named.is_some() && dialect.delimiter.is_none_or(|said| Some(said) == named),
            literal_quotes_from: None,
        };
        let file_name = file_name.to_ascii_lowercase();
        let claims_tabs = [".tsv", ".tab"].iter().any(|ending| file_name.ends_with(ending));
        layout.delimiter = match (dialect.delimiter, named) {
            (Some(said), _) => said,
            (None, Some(named)) => named,
            (None, None) if claims_tabs && rest.contains(&b'\t') => b'\t',
            (None, None) => match sniff::delimiter(rest, &layout, limits, sink) {
                (delimiter, true) => delimiter,
                (_, false) if claims_tabs => b'\t',
                (delimiter, false) => delimiter,
            },
        };
        // Only with commas or semicolons as delimiters is it certain that marks enclose cells.
        if !layout.quote_is_said && matches!(layout.delimiter, b'\t' | b'|') {
            source.rewind()?;
            layout.literal_quotes_from = unenclosing(&mut *source, dialect, &layout, limits)?;
            layout.quote = layout.quote.filter(|_| layout.literal_quotes_from.is_none());
        }
        Ok(layout)
    }
}

/// The first line with a mark that begins a cell but does not enclose it.
fn unenclosing(
    source: impl Read,
    dialect: &Dialect,
    layout: &TextLayout,
    limits: &ReadLimits,
) -> Result<Option<u64>, ReadError> {
    let mut records = Records::new(DecodedText::new(source, dialect)?, layout, limits)?;
    loop {
        match records.next() {
            Ok(true) if records.flaw.is_some() => return Ok(Some(records.line)),
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(ReadError::OpenQuote { line, .. } | ReadError::RecordTooLong { line, .. }) => return Ok(Some(line)),
            Err(error) => return Err(error),
        }
    }
}

/// The records of a text, one after another.
struct Records<R> {
    source: R,
    is_decoded: bool,
    reader: Reader,
    layout: TextLayout,
    quotes: Option<Quotes>,
    bytes_max: usize,
    buffer: Vec<u8>,
    /// Places in the buffer: where the current record begins, how far it was read, and where the data ends.
    begin: usize,
    at: usize,
    end: usize,
    at_end: bool,
    /// The line on which the record begins, and the next line.
    line: u64,
    next_line: u64,
    /// The record's cells in one buffer, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// Cells of the first record with more than one.
    width: Option<usize>,
    flaw: Option<String>,
}

impl<R: Read> Records<R> {
    fn new(
        source: DecodedText<R>,
        layout: &TextLayout,
        limits: &ReadLimits,
    ) -> Result<Records<DecodedText<R>>, ReadError> {
        let mut records = Records {
            is_decoded: source.is_decoded(),
            source,
            reader: layout.reader(),
            quotes: layout.quote.map(|quote| Quotes {
                quote,
                delimiter: layout.delimiter,
                ending: layout.ending.byte(),
            }),
            layout: layout.clone(),
            bytes_max: usize::try_from(limits.record_bytes_max).unwrap_or(usize::MAX),
            buffer: vec![0; BUFFER_BYTES],
            begin: 0,
            at: 0,
            end: 0,
            at_end: false,
            line: 1,
            next_line: 1,
            cells: vec![0; BUFFER_BYTES],
            ends: vec![0; 64],
            width: None,
            flaw: None,
        };
        if layout.names_delimiter {
            records.pass_line()?;
        }
        Ok(records)
    }
}

impl<R: Read> Records<R> {
    /// Skips a line, whatever it holds.
    fn pass_line(&mut self) -> Result<(), ReadError> {
        loop {
            let unread = self.buffer.get(self.at..self.end).unwrap_or_default();
            if let Some(length) = memchr(self.layout.ending.byte(), unread) {
                self.at += length + 1;
                self.next_line += 1;
                return Ok(());
            }
            if self.at_end {
                self.at = self.end;
                return Ok(());
            }
            self.begin = self.at;
            self.fill()?;
        }
    }

    /// Reads the next record that is not a blank line; false at the end.
    fn next(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some((bytes, cells)) = self.read_record()? else { return Ok(false) };
            let raw = self.buffer.get(self.begin..self.at).unwrap_or_default();
            let is_blank = cells <= 1
                && self.cells.get(..bytes).unwrap_or_default().iter().all(|byte| matches!(*byte, b'\r' | DOS_END));
            if is_blank && !raw.contains(&self.layout.quote.unwrap_or(b'"')) {
                continue;
            }
            self.check(bytes)?;
            self.ends.truncate(cells);
            if self.width.is_none() && cells > 1 {
                self.width = Some(cells);
            }
            return Ok(true);
        }
    }

    /// The bytes and the number of cells of the next record.
    fn read_record(&mut self) -> Result<Option<(usize, usize)>, ReadError> {
        self.begin = self.at;
        self.line = self.next_line;
        let (mut bytes, mut cells) = (0, 0);
        self.ends.resize(self.ends.capacity().max(64), 0);
        loop {
            // The reader takes empty input for the end.
            if self.at == self.end && !self.at_end {
                if self.at - self.begin > self.bytes_max {
                    return Err(self.too_long());
                }
                self.fill()?;
                continue;
            }
            let input = self.buffer.get(self.at..self.end).unwrap_or_default();
            let (Some(output), Some(ends)) = (self.cells.get_mut(bytes..), self.ends.get_mut(cells..)) else {
                return Err(ReadError::Malformed { detail: format!("line {}: its cells are lost", self.line) });
            };
            let (result, read, written, ended) = self.reader.read_record(input, output, ends);
            self.at += read;
            bytes += written;
            cells += ended;
            match result {
                ReadRecordResult::InputEmpty => self.pass_blank_lines(bytes, cells),
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.pass_blank_lines(0, 0);
                    let raw = self.buffer.get(self.begin..self.at).unwrap_or_default();
                    self.next_line = self.line + to_u64(memchr_iter(self.layout.ending.byte(), raw).count());
                    return Ok(Some((bytes, cells)));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Skips empty lines before a record.
    fn pass_blank_lines(&mut self, bytes: usize, cells: usize) {
        if bytes > 0 || cells > 0 {
            return;
        }
        let ending = self.layout.ending.byte();
        while self.begin < self.at && self.buffer.get(self.begin) == Some(&ending) {
            self.begin += 1;
            self.line += 1;
        }
        self.next_line = self.next_line.max(self.line);
    }

    fn too_long(&self) -> ReadError {
        ReadError::RecordTooLong { line: self.line, max: to_u64(self.bytes_max) }
    }

    /// Reads more data behind the current record.
    fn fill(&mut self) -> Result<(), ReadError> {
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.at -= self.begin;
            self.end -= self.begin;
            self.begin = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let Some(free) = self.buffer.get_mut(self.end..) else { return Ok(()) };
        let read = loop {
            match self.source.read(free) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        };
        self.at_end = read == 0;
        self.end += read;
        Ok(())
    }

    /// Checks the quotation marks of the record.
    fn check(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.flaw = None;
        if bytes > self.bytes_max {
            return Err(self.too_long());
        }
        let raw = self.buffer.get(self.begin..self.at).unwrap_or_default();
        let Some(quotes) = self.quotes.filter(|quotes| memchr(quotes.quote, raw).is_some()) else { return Ok(()) };
        let open = |line: u64, opens: u64| Err(ReadError::OpenQuote { line: line + opens });
        match quotes.judge(raw, self.width.filter(|_| !self.layout.quote_is_said)) {
            QuoteVerdict::Sound => Ok(()),
            QuoteVerdict::Open { opens } => open(self.line, opens),
            // A mark over several lines was most likely left open, and closed by the next mark of another cell.
            QuoteVerdict::BehindClosing { opens, is_over_lines: true, .. } => open(self.line, opens),
            QuoteVerdict::BehindClosing { cell, .. } => {
                self.flaw = Some(format!(
                    "text follows the closing quotation mark of cell {}: double the marks within a text, or say quote = \"none\"",
                    cell + 1
                ));
                Ok(())
            }
            QuoteVerdict::LooksLikeRows { lines } => {
                self.flaw = Some(format!(
                    "lines {} to {} look like {lines} rows, but a quotation mark makes them one: close it, or say quote = \"none\"; if they are one row, say quote = '\"'",
                    self.line,
                    self.line + lines - 1
                ));
                Ok(())
            }
        }
    }

    /// The record as text.
    fn row<'a>(&'a self, others: &mut NotUtf8) -> Result<TextRow<'a>, ReadError> {
        let length = self.ends.last().copied().unwrap_or(0);
        let cells = self.cells.get(..length).unwrap_or_default();
        let flaw = self.flaw.as_deref();
        if let Ok(text) = std::str::from_utf8(cells) {
            others.utf_8 += u64::from(!text.is_ascii());
            return Ok(TextRow {
                text: text.into(),
                ends: self.ends.as_slice().into(),
                flaw,
                is_decoded: self.is_decoded,
            });
        }
        if self.is_decoded {
            return Err(ReadError::Malformed { detail: format!("line {}: bytes that are no text", self.line) });
        }
        others.meet(self.line, cells);
        let (mut text, mut ends, mut begin) = (String::with_capacity(length), Vec::with_capacity(self.ends.len()), 0);
        for end in &self.ends {
            let cell = cells.get(begin..*end).unwrap_or_default();
            match std::str::from_utf8(cell) {
                Ok(utf_8) => text.push_str(utf_8),
                Err(_) => text.push_str(&WINDOWS_1252.decode_without_bom_handling(cell).0),
            }
            begin = *end;
            ends.push(text.len());
        }
        Ok(TextRow { text: text.into(), ends: ends.into(), flaw, is_decoded: true })
    }
}

/// A record as text.
struct TextRow<'a> {
    text: Cow<'a, str>,
    ends: Cow<'a, [usize]>,
    flaw: Option<&'a str>,
    /// Whether the bytes were decoded from another encoding than UTF-8, in which some bytes may be no letters.
    is_decoded: bool,
}

impl TextRow<'_> {
    fn is_unreadable(&self, text: &str) -> bool {
        // Decoders replace such bytes by a mark, or by control characters of their value.
        self.is_decoded && text.chars().any(|letter| matches!(letter, '\u{80}'..='\u{9f}' | '\u{fffd}'))
    }
}

impl RowCells for TextRow<'_> {
    fn width(&self) -> usize {
        self.ends.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        let Some(end) = self.ends.get(place) else { return Cell::Blank };
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        match self.text.get(start..*end) {
            Some("") => Cell::Blank,
            Some(text) if self.is_unreadable(text) => Cell::Error("bytes that its encoding has no letter for"),
            Some(text) => Cell::Text(without_formula(text)),
            None => Cell::Error("bytes that are no text"),
        }
    }

    fn is_delimited(&self) -> bool {
        true
    }

    fn flaw(&self) -> Option<&str> {
        self.flaw
    }
}

/// Unwraps `="00123"`, which keeps a spreadsheet program from reading a text as a number.
fn without_formula(text: &str) -> &str {
    let inside = text.trim_end().strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inside.filter(|inside| !inside.contains('"')).unwrap_or(text)
}
