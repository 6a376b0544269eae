//! One part of the archive as XML, read within its budget.

use std::{
    cell::Cell,
    io::{self, BufRead, ErrorKind, Read},
    rc::Rc,
};

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use crate::dataset::reader::{ReadError, limits::to_u64};

const CHUNK_BYTES: usize = 64 * 1024;
/// Below this size any ratio is allowed.
pub(super) const RATIO_FREE_BYTES: u64 = 8 << 20;
/// How much longer than the longest text a tag may be.
const MARKUP_BYTES: u64 = 4_096;

/// The limits on reading a part.
pub(super) struct Allowance {
    pub(super) name: String,
    pub(super) bytes_max: u64,
    /// The setting that determines `bytes_max`, if any.
    pub(super) setting: &'static str,
    pub(super) compressed: u64,
    pub(super) inflation_max: u64,
    /// The longest tag, text or comment.
    pub(super) event_bytes_max: u64,
    /// Inflated bytes that all parts together may still produce.
    pub(super) all: Rc<Cell<u64>>,
}

impl Allowance {
    pub(super) fn check(&self, bytes: u64) -> Result<(), ReadError> {
        if bytes > self.bytes_max {
            return Err(self.bomb(format!("inflates to more than {} bytes{}", self.bytes_max, self.setting)));
        }
        if bytes > RATIO_FREE_BYTES && bytes > self.compressed.saturating_mul(self.inflation_max) {
            let detail = format!("inflates to more than {} times its {} bytes", self.inflation_max, self.compressed);
            return Err(self.bomb(detail));
        }
        Ok(())
    }

    fn bomb(&self, detail: String) -> ReadError {
        ReadError::Bomb { part: self.name.clone(), detail }
    }
}

/// A source that counts inflated bytes.
struct Metered<R> {
    source: R,
    allowance: Allowance,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    total: u64,
    /// Bytes since the current event began.
    event: u64,
    /// Why reading ended, which an `io::Error` cannot hold.
    failure: Option<ReadError>,
}

impl<R: Read> Metered<R> {
    fn fail(&mut self, failure: ReadError) -> io::Error {
        self.failure = Some(failure);
        io::Error::other("over budget")
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        if let (Some(from), Some(to)) = (available.get(..length), buffer.get_mut(..length)) {
            to.copy_from_slice(from);
        }
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.event > self.allowance.event_bytes_max + MARKUP_BYTES {
            let max = self.allowance.event_bytes_max;
            let failure = self.allowance.bomb(format!("holds a cell of more than {max} bytes"));
            return Err(self.fail(failure));
        }
        if self.at == self.end {
            let read = match self.source.read(&mut self.buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    let detail = format!("{} ends early or fails its checksum: {error}", self.allowance.name);
                    return Err(self.fail(ReadError::Truncated { detail }));
                }
            };
            (self.at, self.end) = (0, read);
            self.total += to_u64(read);
            if let Err(failure) = self.allowance.check(self.total) {
                return Err(self.fail(failure));
            }
            match self.allowance.all.get().checked_sub(to_u64(read)) {
                Some(left) => self.allowance.all.set(left),
                None => {
                    let failure =
                        self.allowance.bomb("inflates, with the other parts, out of all proportion".to_owned());
                    return Err(self.fail(failure));
                }
            }
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
        self.event += to_u64(amount);
    }
}

/// A part that is read event by event.
pub(super) struct XmlPart<R> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
}

impl<R: Read> XmlPart<R> {
    pub(super) fn new(source: R, allowance: Allowance) -> Self {
        let buffer = vec![0; CHUNK_BYTES];
        let metered = Metered { source, allowance, buffer, at: 0, end: 0, total: 0, event: 0, failure: None };
        let mut reader = Reader::from_reader(metered);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        Self { reader, buffer: Vec::new() }
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Result<Event<'_>, ReadError> {
        self.buffer.clear();
        self.reader.get_mut().event = 0;
        let Self { reader, buffer } = self;
        // In this order, because an event borrows the buffer.
        match reader.read_event_into(buffer) {
            Ok(event) => Ok(event),
            Err(error) => {
                let metered = reader.get_mut();
                let name = metered.allowance.name.clone();
                Err(metered.failure.take().unwrap_or_else(|| not_xml(&name, &error)))
            }
        }
    }

    /// Appends the texts up to the end of the current element.
    pub(super) fn text_into(&mut self, out: &mut String, bytes_max: usize) -> Result<(), ReadError> {
        let mut depth = 0_usize;
        loop {
            let failure = match self.next()? {
                Event::Text(text) => push(out, &text.into_inner(), bytes_max),
                Event::CData(text) => push(out, &text.into_inner(), bytes_max),
                Event::GeneralRef(reference) => push_reference(out, &reference, bytes_max),
                Event::Start(_) => {
                    depth += 1;
                    true
                }
                Event::End(_) if depth == 0 => return Ok(()),
                Event::End(_) => {
                    depth -= 1;
                    true
                }
                Event::Eof => return Err(self.ended()),
                _ => true,
            };
            if !failure {
                let max = to_u64(bytes_max);
                return Err(self.reader.get_mut().allowance.bomb(format!("holds a cell of more than {max} bytes")));
            }
        }
    }

    /// Inflated bytes so far.
    pub(super) fn total(&mut self) -> u64 {
        self.reader.get_mut().total
    }

    /// The error of a part that ends within an element.
    pub(super) fn ended(&mut self) -> ReadError {
        ReadError::Malformed { detail: format!("its part {:?} ends early", self.reader.get_mut().allowance.name) }
    }
}

/// Appends a text; false if it would be too long. All forms of line ends become one (XML 1.0, 2.11).
fn push(out: &mut String, text: &str, bytes_max: usize) -> bool {
    if memchr::memchr(b'\r', text.as_bytes()).is_some() {
        out.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
    } else {
        out.push_str(text);
    }
    out.len() <= bytes_max
}

fn push_reference(out: &mut String, reference: &BytesRef<'_>, bytes_max: usize) -> bool {
    if let Ok(Some(letter)) = reference.resolve_char_ref() {
        out.push(letter);
    } else {
        match reference.xml10_content().as_ref() {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            // A workbook declares no other entities.
            other => {
                out.push('&');
                out.push_str(other);
                out.push(';');
            }
        }
    }
    out.len() <= bytes_max
}

fn not_xml(part: &str, error: &quick_xml::Error) -> ReadError {
    // The parser's message may quote data that nobody has published.
    let what = match error {
        quick_xml::Error::Encoding(_) => "text that is not UTF-8: save the file again from a spreadsheet program",
        _ => "no well-formed XML",
    };
    ReadError::Malformed { detail: format!("its part {part:?} holds {what}") }
}

/// The attributes of a tag as written, by their names without prefix. Attributes behind a malformed one are ignored.
pub(super) fn attributes<'a>(tag: &'a BytesStart<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut rest = tag.attributes_raw();
    std::iter::from_fn(move || {
        // Byte by byte, because names and values are short.
        let equals = rest.bytes().position(|byte| byte == b'=')?;
        let name = rest.get(..equals)?.trim_ascii();
        let behind = rest.get(equals + 1..)?.trim_ascii_start();
        let quote = behind.bytes().next().filter(|mark| matches!(mark, b'"' | b'\''))?;
        let end = 1 + behind.bytes().skip(1).position(|byte| byte == quote)?;
        let value = behind.get(1..end)?;
        rest = behind.get(end + 1..)?;
        let local = name.bytes().rposition(|byte| byte == b':').map_or(0, |colon| colon + 1);
        Some((name.get(local..)?, value))
    })
}

/// An attribute without its XML escapes.
pub(super) fn unescaped(value: &str) -> String {
    quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}

/// Tells whether an attribute's value is true.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true" | "on")
}

pub(super) fn missing(part: &str) -> ReadError {
    ReadError::Malformed { detail: format!("its part {part:?} is missing") }
}
