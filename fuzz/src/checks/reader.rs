//! The readers of files, and the mapping of their rows to records.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use crate::{
    dataset::{
        Definition, Record, Value,
        definition::Dialect,
        json::write_record,
        reader::{Cell, CellProblem, FileFormat, FileRow, Flow, ReadError, ReadLimits, RowCells, RowSink, open, scan},
    },
    subject::{definitions_for, file_limits},
    workbook,
};

/// Takes the bytes for a text file.
pub fn check_delimited(bytes: &[u8]) {
    check_scan(bytes, "some.csv");
    for definition in definitions_for(bytes) {
        // Whether it is one is no matter of this target.
        let _ = check_import(bytes, "some.csv", definition);
    }
}

/// Takes the bytes for a workbook, or for the parts of one.
pub fn check_workbook(bytes: &[u8]) {
    let built;
    let bytes = match workbook::of_parts(bytes) {
        Some(workbook) => {
            built = workbook;
            &built
        }
        None => bytes,
    };
    check_scan(bytes, "some.xls");
    for definition in definitions_for(bytes) {
        // As above.
        let _ = check_import(bytes, "some.xls", definition);
    }
}

/// How many lines a text file has at most.
pub(super) fn lines_of(bytes: &[u8]) -> u64 {
    1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64
}

/// Imports a file. What is read of it is within the limits, and of the types that the definition says.
pub(super) fn check_import(bytes: &[u8], file_name: &str, definition: &Definition) -> Result<(), ReadError> {
    let (limits, lines) = (file_limits(), lines_of(bytes));
    let source =
        open(Pieces::of(bytes), file_name, definition, &limits).inspect_err(|error| check_error(error, lines))?;
    let is_text = source.format() == FileFormat::Delimited;
    let mut line_before = source.header().line;
    assert!(line_before >= 1 && (!is_text || line_before <= lines));
    let mut rows = 0;
    for row in source {
        let row = row.inspect_err(|error| check_error(error, lines))?;
        rows += 1;
        assert!(rows < limits.rows_max, "the header is a row, too");
        let line = match &row {
            FileRow::Record { line, key, record } => {
                check_record(definition, key, record);
                *line
            }
            FileRow::Rejected { line, key, problems } => {
                assert!(key.as_ref().is_none_or(|key| definition.canonical_key(key) == *key), "{key:?}");
                assert!(!problems.is_empty(), "a row is rejected for a reason");
                problems.iter().for_each(|problem| check_problem(definition, problem));
                *line
            }
        };
        // A worksheet numbers its rows itself, in whatever order.
        assert!(!is_text || (line_before < line && line <= lines), "{line} after {line_before} of {lines}");
        line_before = line;
    }
    Ok(())
}

fn check_record(definition: &Definition, key: &str, record: &Record) {
    assert_eq!(record.values.len(), definition.columns.len());
    for (value, column) in record.values.iter().zip(&definition.columns) {
        assert!(value.is_null() || value.kind() == Some(column.kind), "{}: {value:?}", column.name);
        assert!(!matches!(value, Value::Number(number) if !number.is_finite()), "{}: {value:?}", column.name);
    }
    assert_eq!(record.values[definition.key], Value::Text(key.to_owned()));
    assert!((1..=256).contains(&key.len()), "{key:?}");
    assert_eq!(definition.canonical_key(key), key, "the key that is stored is the one that is looked up");
    let mut json = Vec::new();
    write_record(definition, record, &mut json);
    let shown: serde_json::Value = serde_json::from_slice(&json).expect("a record is JSON");
    assert_eq!(shown.as_object().map(serde_json::Map::len), Some(definition.columns.len()));
}

fn check_problem(definition: &Definition, problem: &CellProblem) {
    assert!(!problem.reason.is_empty(), "{problem:?}");
    assert!(problem.value.chars().count() <= 121, "{problem:?}");
    if !problem.column.is_empty() {
        let field = definition.source.fields.iter().find(|field| field.name == problem.column);
        let field = field.unwrap_or_else(|| panic!("{problem:?} names no column"));
        assert!(field.target.is_some() || problem.value.is_empty(), "{problem:?} shows what is not published");
    }
}

/// An error says where, or by which limit.
pub(super) fn check_error(error: &ReadError, lines: u64) {
    let limits = file_limits();
    match error {
        // The source never fails; calamine has errors of this kind for what ends too early.
        ReadError::Io(_) | ReadError::Encrypted => {}
        ReadError::NotASpreadsheet { found: detail }
        | ReadError::Truncated { detail }
        | ReadError::Malformed { detail } => assert!(!detail.is_empty(), "{error:?}"),
        ReadError::Bomb { detail, .. } => assert!(!detail.is_empty(), "{error:?}"),
        ReadError::TooMany { what, max } => assert!(!what.is_empty() && *max > 0, "{error:?}"),
        ReadError::RecordTooLong { line, max } => {
            assert!((1..=lines).contains(line) && *max == limits.record_bytes_max, "{error:?}");
        }
        ReadError::OpenQuote { line } => assert!((1..=lines).contains(line), "{error:?}"),
        ReadError::NoSheet { .. } => panic!("no sheet was asked for: {error:?}"),
        ReadError::NoHeader { rows, detail, .. } => {
            assert!(*rows <= limits.header_rows_max && !detail.is_empty(), "{error:?}");
        }
    }
}

fn check_scan(bytes: &[u8], file_name: &str) {
    let limits = file_limits();
    let mut sink = Counted { limits: limits.clone(), rows: 0, sheets: 0 };
    if let Err(error) = scan(Pieces::of(bytes), file_name, &Dialect::default(), &limits, &mut sink) {
        check_error(&error, lines_of(bytes));
    }
}

/// Counts what it is given, and holds it against the limits.
struct Counted {
    limits: ReadLimits,
    rows: u64,
    sheets: usize,
}

impl RowSink for Counted {
    fn sheet(&mut self, _name: Option<&str>, _epoch_1904: bool) {
        self.rows = 0;
        self.sheets += 1;
        assert!(self.sheets <= self.limits.sheets_max);
    }

    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError> {
        self.rows += 1;
        assert!(line >= 1 && self.rows <= self.limits.rows_max);
        assert!(row.width() <= self.limits.columns_max, "{} columns", row.width());
        // A Windows-1252 byte can be three of UTF-8.
        let growth = if row.is_delimited() { 3 } else { 1 };
        let bytes_max = growth * usize::try_from(self.limits.record_bytes_max).unwrap_or(usize::MAX);
        let mut bytes = 0;
        for place in 0..=row.width() {
            if let Cell::Text(text) = row.cell(place) {
                bytes += text.len();
            }
        }
        assert!(bytes <= bytes_max, "a row of {bytes} bytes");
        Ok(Flow::Continue)
    }

    fn sheet_end(&mut self) -> Flow {
        Flow::Continue
    }
}

/// A file that is read in small pieces, so that a small one passes the limits, too.
struct Pieces(Cursor<Vec<u8>>);

impl Pieces {
    const BYTES_MAX: usize = 64;

    fn of(bytes: &[u8]) -> Self {
        Self(Cursor::new(bytes.to_vec()))
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = buffer.len().min(Self::BYTES_MAX);
        self.0.read(&mut buffer[..bytes])
    }
}

impl Seek for Pieces {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
