//! Checks whether a record's quotation marks enclose what they should, by the record's raw bytes (RFC 4180).

use memchr::memchr;

/// The quote, delimiter and line end of a text file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quotes {
    pub(super) quote: u8,
    pub(super) delimiter: u8,
    /// The byte that ends a line.
    pub(super) ending: u8,
}

/// The verdict on a record's quotation marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteVerdict {
    /// Each mark encloses a cell, or stands within a text.
    Sound,
    /// A mark is never closed; it is `opens` lines below the record's first.
    Open { opens: u64 },
    /// Text stands between a closing mark and the next delimiter.
    BehindClosing { cell: usize, opens: u64, is_over_lines: bool },
    /// Without the marks, each line of the record would be a row.
    LooksLikeRows { lines: u64 },
}

impl Quotes {
    /// Judges a record with such marks. `width` is the number of cells of a row, if a record that looks like several rows must not be
    /// trusted.
    pub(super) fn judge(self, raw: &[u8], width: Option<usize>) -> QuoteVerdict {
        let (mut at, mut cell, mut line) = (0, 0_usize, 0_u64);
        let mut is_over_lines = false;
        loop {
            let rest = raw.get(at..).unwrap_or_default();
            if rest.first() != Some(&self.quote) {
                // Marks within such a cell are ordinary characters; it ends at the next delimiter.
                let Some(length) = memchr(self.delimiter, rest) else { break };
                (at, cell) = (at + length + 1, cell + 1);
                continue;
            }
            let opens = line;
            let Some(length) = self.closing(rest) else { return QuoteVerdict::Open { opens } };
            let inside = rest.get(..length).unwrap_or_default();
            line += memchr::memchr_iter(self.ending, inside).count() as u64;
            is_over_lines = is_over_lines || line > opens;
            at += length + 1;
            let behind = raw.get(at..).unwrap_or_default();
            let behind = behind.strip_prefix(b"\r").filter(|rest| matches!(rest, [] | [b'\n', ..])).unwrap_or(behind);
            match behind.first() {
                None => break,
                Some(byte) if *byte == self.ending => break,
                Some(byte) if *byte == self.delimiter => (at, cell) = (at + 1, cell + 1),
                Some(_) => return QuoteVerdict::BehindClosing { cell, opens, is_over_lines: line > opens },
            }
        }
        match width {
            Some(width) if is_over_lines => {
                self.rows_without(raw, width).map_or(QuoteVerdict::Sound, |lines| QuoteVerdict::LooksLikeRows { lines })
            }
            _ => QuoteVerdict::Sound,
        }
    }

    /// The place of the mark that closes the one in the first byte.
    fn closing(self, text: &[u8]) -> Option<usize> {
        let mut at = 1;
        loop {
            let mark = at + memchr(self.quote, text.get(at..)?)?;
            if text.get(mark + 1) != Some(&self.quote) {
                return Some(mark);
            }
            at = mark + 2;
        }
    }

    /// The number of rows that the record would be without quoting, if each were as wide as a row. Lines of prose with a comma or two reach
    /// a small width by chance, so narrow rows have to be more.
    fn rows_without(self, raw: &[u8], width: usize) -> Option<u64> {
        let lines: Vec<&[u8]> =
            raw.split(|byte| *byte == self.ending).filter(|line| !line.trim_ascii().is_empty()).collect();
        let cells = |line: &&[u8]| memchr::memchr_iter(self.delimiter, line).count() + 1;
        let enough = match (self.delimiter, width) {
            (b',' | b';', 0..=2) => 5,
            (b',' | b';', 3) => 3,
            _ => 2,
        };
        // A row has a value in its first cell.
        let begins = |line: &&[u8]| {
            !line.split(|byte| *byte == self.delimiter).next().unwrap_or_default().trim_ascii().is_empty()
        };
        let are_rows = lines.len() >= enough && lines.iter().all(|line| cells(line) == width && begins(line));
        are_rows.then_some(lines.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(raw: &str, width: usize) -> QuoteVerdict {
        Quotes { quote: b'"', delimiter: b',', ending: b'\n' }.judge(raw.as_bytes(), Some(width))
    }

    #[test]
    fn records() {
        for (raw, verdict) in [
            ("a,\"b\",c\r\n", QuoteVerdict::Sound),
            ("a,b\"c,d\n", QuoteVerdict::Sound),
            ("\"a \"\"b\"\"\",\"\"\n", QuoteVerdict::Sound),
            ("a,\"b\nc\",d\n", QuoteVerdict::Sound),
            ("a,\"b\nc\n", QuoteVerdict::Open { opens: 0 }),
            ("\"a\nb\",\"c\n", QuoteVerdict::Open { opens: 1 }),
            ("a,\"b\"c,d\n", QuoteVerdict::BehindClosing { cell: 1, opens: 0, is_over_lines: false }),
            ("a,\"b\n1,2\"x,d\n", QuoteVerdict::BehindClosing { cell: 1, opens: 0, is_over_lines: true }),
            ("a,b,\"c\n1,2,3\n4,5,6\"\n", QuoteVerdict::LooksLikeRows { lines: 3 }),
            ("a,b,\"Dear Sir\nplease\"\n", QuoteVerdict::Sound),
        ] {
            assert_eq!(judged(raw, 3), verdict, "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_writer_writes_is_sound(cells in proptest::collection::vec("[a-z\",\n ]{0,8}", 2..5)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(&cells).unwrap();
            let raw = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let verdict = Quotes { quote: b'"', delimiter: b',', ending: b'\n' }.judge(raw.as_bytes(), None);
            prop_assert_eq!(verdict, QuoteVerdict::Sound);
        }
    }
}
