//! The forms of an answer, and the character between the values of CSV.

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One page as a JSON document.
    Json,
    /// All matching records, one JSON object a line.
    Ndjson,
    /// All matching records as a table (RFC 4180).
    Csv,
    /// All matching records as a feature collection (RFC 7946).
    Geojson,
    /// All matching records as a Parquet file.
    Parquet,
    /// All matching records as a stream of Arrow record batches (IPC).
    Arrow,
    /// All matching records as a workbook of one sheet.
    Xlsx,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Ndjson, Self::Csv, Self::Geojson, Self::Parquet, Self::Arrow, Self::Xlsx];

    /// The name in the parameter `format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Geojson => "geojson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Xlsx => "xlsx",
        }
    }

    /// The form's media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Geojson => "application/geo+json",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// The end of the name of a file in this form, without the dot. That of a stream of Arrow is not the name of the form: it is
    /// registered with the media type.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Arrow => "arrows",
            other => other.name(),
        }
    }

    /// Tells whether the form holds all matching records instead of a page.
    pub fn is_export(self) -> bool {
        self != Self::Json
    }

    /// Tells whether the form is compressed by itself, so that compressing it again would save nothing.
    pub fn is_compressed(self) -> bool {
        matches!(self, Self::Parquet | Self::Xlsx)
    }
}

/// The character between two values of CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// `;`, which spreadsheets expect where the comma is the decimal mark.
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Pipe,
}

impl Delimiter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    /// The name in the parameter `delimiter`. The character itself is taken as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe",
        }
    }

    /// The character.
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// The delimiter with this name, or that is this character.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delimiter| delimiter.name() == text || text.as_bytes() == [delimiter.byte()])
    }
}
