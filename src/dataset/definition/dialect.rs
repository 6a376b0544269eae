//! How a file lays out its rows and writes its values, if not like most files.

use encoding_rs::{Encoding, ISO_2022_JP};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::date_order::{DATE_ORDERS, DateOrder};

/// The most rows that can be skipped at a file's top.
const SKIP_ROWS_MAX: u32 = 10_000;

/// The layout of a file and its way of writing values. An absent item is detected from the file, or has the default that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// The delimiter of a text file; detected by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<u8>,
    /// The quote character of a text file; by default `"`, or none if tabs or bars separate cells and such marks do not enclose them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// The encoding of a text file, by its WHATWG name; by default UTF-8, or what a byte order mark says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The sheet of a workbook; by default the first visible one with the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The decimal mark of numbers in texts; by default a point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Mark>,
    /// The grouping mark of numbers in texts; by default a comma, or a point if the decimal mark is a comma.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thousands: Option<Mark>,
    /// The zone of times written without one, by its IANA name; by default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The number of rows to skip at the top, by their lines.
    #[serde(skip_serializing_if = "is_zero")]
    pub skip_rows: u32,
    /// Texts that end the table: it ends before a row whose first filled cell is one of them, or begins with one that ends in `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_at: Vec<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The quote character of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quote {
    /// None: quotation marks are ordinary characters.
    None,
    /// This character.
    Byte(u8),
}

/// A mark within numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// No mark at all.
    None,
    /// `.`
    Point,
    /// `,`
    Comma,
    /// A space, also a no-break space.
    Space,
    /// `'`, also the typographic one.
    Apostrophe,
}

impl Mark {
    /// Tells whether a letter is this mark.
    pub(in crate::dataset) fn is(self, letter: char) -> bool {
        match self {
            Self::None => false,
            Self::Point => letter == '.',
            Self::Comma => letter == ',',
            Self::Space => matches!(letter, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'),
            Self::Apostrophe => matches!(letter, '\'' | '\u{2019}'),
        }
    }

    /// The name or mark that definitions use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Point => ".",
            Self::Comma => ",",
            Self::Space => " ",
            Self::Apostrophe => "'",
        }
    }
}

impl Dialect {
    /// The keys with one text as their value, in a definition as on the command line.
    pub const KEYS: [&str; 7] = ["delimiter", "quote", "encoding", "sheet", "decimal", "thousands", "time_zone"];

    /// Tells whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Sets one of [`Dialect::KEYS`].
    ///
    /// # Errors
    /// When the text is not a valid value; the message names the valid ones.
    pub fn say(&mut self, key: &str, text: &str) -> Result<(), String> {
        match key {
            "delimiter" => self.delimiter = Some(delimiter(text)?),
            "quote" => self.quote = Some(quote(text)?),
            "encoding" => self.encoding = Some(encoding(text)?),
            "sheet" if text.trim().is_empty() => return Err("expected the name of a sheet".to_owned()),
            "sheet" => self.sheet = Some(text.to_owned()),
            "decimal" => self.decimal = Some(decimal(text)?),
            "thousands" => self.thousands = Some(thousands(text)?),
            "time_zone" => self.time_zone = Some(time_zone(text)?),
            _ => return Err(format!("there is no such key; there are: {}", Self::KEYS.join(", "))),
        }
        Ok(())
    }

    /// Sets how many rows are skipped at the top.
    ///
    /// # Errors
    /// When they are too many.
    pub fn say_skip_rows(&mut self, rows: i64) -> Result<(), String> {
        let wrong = || format!("expected a number of rows from 0 to {SKIP_ROWS_MAX}");
        self.skip_rows = u32::try_from(rows).ok().filter(|rows| *rows <= SKIP_ROWS_MAX).ok_or_else(wrong)?;
        Ok(())
    }

    /// Sets the rows before which the table ends.
    ///
    /// # Errors
    /// When one of the texts is empty.
    pub fn say_stop_at(&mut self, texts: Vec<String>) -> Result<(), String> {
        if texts.iter().any(|text| text.trim_end_matches('*').trim().is_empty()) {
            return Err("expected texts such as \"Total\" or \"Source:*\"".to_owned());
        }
        self.stop_at = texts;
        Ok(())
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// When one mark has two meanings.
    pub fn check(&self) -> Result<(), String> {
        let (decimal, thousands) = self.marks();
        if decimal == thousands {
            return Err(format!(
                "decimal and thousands are both {:?}: say another `thousands`, or \"none\"",
                decimal.as_str()
            ));
        }
        match (self.delimiter, self.quote) {
            (Some(delimiter), Some(Quote::Byte(quote))) if delimiter == quote => {
                Err("delimiter and quote are the same character".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The decimal mark and the grouping mark.
    pub(in crate::dataset) fn marks(&self) -> (Mark, Mark) {
        let decimal = self.decimal.unwrap_or(Mark::Point);
        let thousands = self.thousands.unwrap_or(if decimal == Mark::Comma { Mark::Point } else { Mark::Comma });
        (decimal, thousands)
    }

    /// The mark before decimals.
    pub fn decimal_mark(&self) -> &'static str {
        self.marks().0.as_str()
    }

    /// The zone of times written without one; it was checked when it was set.
    pub(in crate::dataset) fn zone(&self) -> TimeZone {
        self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
    }

    /// The encoding that was set.
    pub(in crate::dataset) fn charset(&self) -> Option<&'static Encoding> {
        self.encoding.as_deref().and_then(|name| Encoding::for_label(name.as_bytes()))
    }

    /// This dialect, overridden by everything that the other sets.
    #[must_use]
    pub fn overridden(&self, other: &Self) -> Self {
        let text = |mine: &Option<String>, other: &Option<String>| other.clone().or_else(|| mine.clone());
        Self {
            delimiter: other.delimiter.or(self.delimiter),
            quote: other.quote.or(self.quote),
            encoding: text(&self.encoding, &other.encoding),
            sheet: text(&self.sheet, &other.sheet),
            decimal: other.decimal.or(self.decimal),
            // A grouping mark belongs to the decimal mark that it was set with.
            thousands: if other.decimal.is_some() { other.thousands } else { other.thousands.or(self.thousands) },
            time_zone: text(&self.time_zone, &other.time_zone),
            skip_rows: if other.skip_rows > 0 { other.skip_rows } else { self.skip_rows },
            stop_at: if other.stop_at.is_empty() { self.stop_at.clone() } else { other.stop_at.clone() },
        }
    }
}

/// What is said of one file in addition to its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The file's layout and way of writing values.
    pub dialect: Dialect,
    /// The order of day and month, for every column.
    pub date_order: Option<DateOrder>,
    /// Texts that mean "no value" in every column, besides the definition's.
    pub blanks: Vec<String>,
    /// Columns to be filled down, besides the definition's: a blank cell takes the value above it.
    pub fill_down: Vec<String>,
}

impl Said {
    /// The names of the parameters that describe one file. The last three may be repeated.
    pub const NAMES: [&str; 12] = [
        "delimiter",
        "quote",
        "encoding",
        "sheet",
        "decimal",
        "thousands",
        "time_zone",
        "date_order",
        "skip_rows",
        "blanks",
        "stop_at",
        "fill_down",
    ];
    /// Those of the names that may be repeated.
    pub const REPEATED: [&str; 3] = ["blanks", "stop_at", "fill_down"];

    /// Reads names and texts.
    ///
    /// # Errors
    /// The name with a wrong text, and what would be right.
    pub fn of<'t>(options: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, (String, String)> {
        let (mut said, mut stop_at) = (Self::default(), Vec::new());
        for (name, text) in options {
            let wrong = |reason: String| (name.to_owned(), reason);
            match name {
                "date_order" => {
                    let known = DATE_ORDERS.iter().find(|(known, _)| *known == text).map(|(_, order)| *order);
                    let expected = || wrong(format!("{text:?} is neither month_first nor day_first"));
                    said.date_order = Some(known.ok_or_else(expected)?);
                }
                "skip_rows" => {
                    let rows = text.parse().map_err(|_| wrong("expected a whole number".to_owned()))?;
                    said.dialect.say_skip_rows(rows).map_err(wrong)?;
                }
                "blanks" => said.blanks.push(text.to_owned()),
                "stop_at" => stop_at.push(text.to_owned()),
                "fill_down" => said.fill_down.push(text.to_owned()),
                name => said.dialect.say(name, text).map_err(wrong)?,
            }
        }
        said.dialect.say_stop_at(stop_at).map_err(|reason| ("stop_at".to_owned(), reason))?;
        Ok(said)
    }
}

/// The delimiter: one ASCII character that is neither a letter nor a digit, or a name.
fn delimiter(text: &str) -> Result<u8, String> {
    let named = match text.to_ascii_lowercase().as_str() {
        "tab" | "\\t" => Some(b'\t'),
        "comma" => Some(b','),
        "semicolon" => Some(b';'),
        "pipe" | "bar" => Some(b'|'),
        "space" => Some(b' '),
        _ => None,
    };
    let single = || match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => {
            Some(*byte)
        }
        _ => None,
    };
    named.or_else(single).ok_or_else(|| {
        format!("{text:?} cannot separate cells: expected \",\", \";\", \"|\", \"tab\", or another single mark")
    })
}

fn quote(text: &str) -> Result<Quote, String> {
    match text.as_bytes() {
        [byte @ (b'"' | b'\'' | b'`' | b'~' | b'^' | b'$')] => Ok(Quote::Byte(*byte)),
        _ if text.eq_ignore_ascii_case("none") => Ok(Quote::None),
        _ => Err(format!("{text:?} cannot enclose cells: expected \"\\\"\", \"'\", or \"none\"")),
    }
}

fn encoding(text: &str) -> Result<String, String> {
    // Names that programs use for encodings that the standard names otherwise.
    let label = match text.trim().to_ascii_lowercase().as_str() {
        "cp932" | "ms932" => "shift_jis".to_owned(),
        "cp949" | "uhc" => "euc-kr".to_owned(),
        "cp936" => "gbk".to_owned(),
        "cp950" => "big5".to_owned(),
        "mac-roman" | "macroman" | "mac_roman" => "macintosh".to_owned(),
        "latin-1" | "latin_1" | "iso-latin-1" => "windows-1252".to_owned(),
        "utf16" | "utf-16-le" | "utf16le" | "utf_16_le" => "utf-16le".to_owned(),
        "utf-16-be" | "utf16be" | "utf_16_be" => "utf-16be".to_owned(),
        other => other.to_owned(),
    };
    let found = Encoding::for_label_no_replacement(label.as_bytes()).filter(|encoding| *encoding != ISO_2022_JP);
    found.map(|encoding| encoding.name().to_ascii_lowercase()).ok_or_else(|| {
        format!(
            "{text:?} is no encoding that is known: expected one such as \"utf-8\", \"utf-16le\", \"windows-1252\", \
             \"windows-1251\", \"iso-8859-2\", \"macintosh\", \"shift_jis\", \"gb18030\" or \"big5\". Convert a file in any other \
             one, with `iconv -f CP850 -t UTF-8 FILE > NEW`"
        )
    })
}

fn decimal(text: &str) -> Result<Mark, String> {
    match text {
        "." => Ok(Mark::Point),
        "," => Ok(Mark::Comma),
        _ => Err(format!("{text:?} is no decimal mark: expected \".\" or \",\"")),
    }
}

fn thousands(text: &str) -> Result<Mark, String> {
    match text {
        "." => Ok(Mark::Point),
        "," => Ok(Mark::Comma),
        " " | "space" => Ok(Mark::Space),
        "'" => Ok(Mark::Apostrophe),
        "" | "none" => Ok(Mark::None),
        _ => Err(format!("{text:?} does not group digits: expected \",\", \".\", \" \", \"'\" or \"none\"")),
    }
}

fn time_zone(text: &str) -> Result<String, String> {
    let zone = TimeZone::get(text).map_err(|_| {
        format!("{text:?} is no time zone that is known: expected a name such as \"America/Los_Angeles\" or \"UTC\"")
    })?;
    Ok(zone.iana_name().unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(key: &str, text: &str) -> Result<Dialect, String> {
        let mut dialect = Dialect::default();
        dialect.say(key, text)?;
        dialect.check().map(|()| dialect)
    }

    #[test]
    fn what_can_be_said() {
        assert_eq!(said("delimiter", "tab").unwrap().delimiter, Some(b'\t'));
        assert_eq!(said("delimiter", "~").unwrap().delimiter, Some(b'~'));
        assert_eq!(said("quote", "none").unwrap().quote, Some(Quote::None));
        assert_eq!(said("encoding", "Latin1").unwrap().encoding.as_deref(), Some("windows-1252"));
        assert_eq!(said("encoding", "MacRoman").unwrap().encoding.as_deref(), Some("macintosh"));
        assert!(said("encoding", "cp850").unwrap_err().contains("iconv"));
        assert_eq!(said("encoding", "cp1251").unwrap().encoding.as_deref(), Some("windows-1251"));
        assert_eq!(said("time_zone", "America/Los_Angeles").unwrap().time_zone.as_deref(), Some("America/Los_Angeles"));
        assert_eq!(said("decimal", ",").unwrap().marks(), (Mark::Comma, Mark::Point));
        for (key, text) in [
            ("delimiter", "a"),
            ("delimiter", "\""),
            ("delimiter", ",,"),
            ("quote", "x"),
            ("encoding", "klingon"),
            ("encoding", "replacement"),
            ("sheet", " "),
            ("decimal", ";"),
            ("thousands", "x"),
            ("thousands", "."),
            ("time_zone", "Mars/Olympus"),
            ("colour", "red"),
        ] {
            let wrong = said(key, text);
            // A point as both marks is one mistake in two places.
            if (key, text) == ("thousands", ".") {
                assert!(wrong.unwrap_err().contains("both"), "{key}");
            } else {
                assert!(wrong.is_err(), "{key} = {text:?}");
            }
        }
    }

    #[test]
    fn what_is_said_last_counts() {
        let german = said("decimal", ",").unwrap();
        let mut swiss = said("thousands", "'").unwrap();
        swiss.say("sheet", "A").unwrap();
        assert_eq!(german.overridden(&swiss).marks(), (Mark::Comma, Mark::Apostrophe));
        assert_eq!(swiss.overridden(&german).marks(), (Mark::Comma, Mark::Point));
        assert_eq!(german.overridden(&Dialect::default()), german);
    }
}
