//! The layout by which a text file is split into records.

use csv_core::{Reader, ReaderBuilder, Terminator};
use memchr::memchr;

pub(super) const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// The layout by which a text file is split into records.
#[derive(Debug, Clone)]
pub(super) struct TextLayout {
    pub(super) delimiter: u8,
    /// The quote character, if cells are quoted.
    pub(super) quote: Option<u8>,
    /// Whether the quote character was set instead of detected.
    pub(super) quote_is_said: bool,
    pub(super) ending: LineEnding,
    /// Whether the first line only names the delimiter.
    pub(super) names_delimiter: bool,
    /// The first line with a mark that encloses nothing, if such marks are read as ordinary characters.
    pub(super) literal_quotes_from: Option<u64>,
}

impl TextLayout {
    /// A reader for this layout.
    pub(super) fn reader(&self) -> Reader {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quoting(self.quote.is_some())
            .quote(self.quote.unwrap_or(b'"'))
            // The reader's default mode takes a carriage return within a line for its end.
            .terminator(Terminator::Any(self.ending.byte()))
            .build()
    }
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnding {
    /// `\n`, perhaps after `\r`.
    LineFeed,
    /// `\r` alone, as on Macs before 2001.
    CarriageReturn,
}

impl LineEnding {
    pub(super) fn of(sample: &[u8], is_cut: bool) -> Self {
        // After a carriage return at the cut, the next byte is unknown.
        let known = if is_cut { sample.strip_suffix(b"\r").unwrap_or(sample) } else { sample };
        let is_old = memchr(b'\n', sample).is_none() && memchr(b'\r', known).is_some();
        if is_old { Self::CarriageReturn } else { Self::LineFeed }
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::LineFeed => b'\n',
            Self::CarriageReturn => b'\r',
        }
    }
}
