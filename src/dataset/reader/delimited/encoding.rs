//! The encoding of a text file: declared, or guessed if it is not.

use std::io::Read;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

use super::layout::LineEnding;
use crate::dataset::{
    definition::Dialect,
    reader::{Note, ReadError, RowSink},
};

/// The most bytes outside UTF-8 that the encoding detector gets.
const GUESSED_BYTES_MAX: usize = 64 * 1024;
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A source whose beginning was read already.
pub(super) type BegunSource<R> = std::io::Chain<std::io::Cursor<Vec<u8>>, R>;

/// A file as UTF-8, or as raw bytes if nothing declares another encoding.
pub(super) enum DecodedText<R: Read> {
    Plain(R),
    Decoded(Box<DecodeReaderBytes<R, Vec<u8>>>),
}

impl<R: Read> DecodedText<R> {
    pub(super) fn new(mut source: R, dialect: &Dialect) -> Result<DecodedText<BegunSource<R>>, ReadError> {
        let mut start = Vec::new();
        source.by_ref().take(4).read_to_end(&mut start)?;
        let marked = Encoding::for_bom(&start).map(|(encoding, _)| encoding);
        let encoding = marked.or_else(|| dialect.charset());
        if marked == Some(UTF_8) {
            start.drain(..UTF_8_MARK.len().min(start.len()));
        }
        let source = std::io::Cursor::new(start).chain(source);
        Ok(match encoding.filter(|encoding| *encoding != UTF_8) {
            None => DecodedText::Plain(source),
            Some(encoding) => {
                let decoder = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).bom_override(true).build(source);
                DecodedText::Decoded(Box::new(decoder))
            }
        })
    }

    pub(super) fn is_decoded(&self) -> bool {
        matches!(self, Self::Decoded(_))
    }
}

impl<R: Read> Read for DecodedText<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Decoded(source) => source.read(buffer),
        }
    }
}

/// The most bytes examined for an encoding.
const SAMPLE_BYTES: u64 = 64 * 1024;

/// The encoding in which a file's beginning is read.
pub(in crate::dataset::reader) fn encoding_of(
    source: &mut (impl Read + std::io::Seek),
    dialect: &Dialect,
) -> std::io::Result<Option<String>> {
    let mut sample = Vec::new();
    source.rewind()?;
    source.by_ref().take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    source.rewind()?;
    let marked = Encoding::for_bom(&sample).map(|(encoding, _)| encoding);
    let is_utf_8 = match std::str::from_utf8(&sample) {
        Ok(_) => true,
        // The sample may end within a letter.
        Err(error) => error.error_len().is_none(),
    };
    let told = if is_utf_8 { UTF_8 } else { WINDOWS_1252 };
    let encoding = marked.or_else(|| dialect.charset()).unwrap_or(told);
    Ok(Some(encoding.name().to_ascii_lowercase()))
}

/// The records that are not UTF-8.
#[derive(Default)]
pub(super) struct NotUtf8 {
    first_line: u64,
    records: u64,
    /// UTF-8 records with letters beyond ASCII.
    pub(super) utf_8: u64,
    /// Bytes of some of the records.
    bytes: Vec<u8>,
}

impl NotUtf8 {
    pub(super) fn meet(&mut self, line: u64, cells: &[u8]) {
        if self.records == 0 {
            self.first_line = line;
        }
        self.records += 1;
        let room = GUESSED_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(cells.get(..cells.len().min(room)).unwrap_or_default());
        if room > 0 {
            self.bytes.push(b'\n');
        }
    }

    pub(super) fn tell(&self, ending: LineEnding, sink: &mut impl RowSink) {
        if self.records == 0 {
            return;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&self.bytes, true);
        // A file with such old line ends was written on such a machine.
        let looks_like = match ending {
            LineEnding::CarriageReturn => encoding_rs::MACINTOSH,
            LineEnding::LineFeed => detector.guess(None, Utf8Detection::Deny),
        };
        let looks_like = looks_like.name();
        let (line, records) = (self.first_line, self.records);
        let is_few = self.utf_8 >= records;
        sink.note(Note::NotUtf8 { line, records, is_few, taken: WINDOWS_1252.name(), looks_like });
    }
}
