//! One row after another becomes a record, or the list of what is wrong with it.

use super::{
    convert::{CellError, Reading, coordinate, text_of, trim, value_of},
    header::FoundHeader,
    title::title_case,
};
use crate::dataset::{
    ColumnType, Record, Value,
    definition::{Case, Definition, Extract, Fold, Origin, Part},
    reader::{Cell, ImportRow, Problem, ReadError, RowCells},
};
use std::sync::Arc;

/// The longest text of a cell that a problem quotes, in characters.
const QUOTED_CHARS_MAX: usize = 120;
/// The longest key: it is part of a path.
const KEY_BYTES_MAX: usize = 256;

/// Converts rows by place: everything that can be looked up was looked up when the header was found.
pub struct Mapper {
    definition: Arc<Definition>,
    reading: Reading,
    width: usize,
    key_header: String,
    reads: Vec<ReadStep>,
    joins: Vec<JoinStep>,
    /// The texts of the current row's fields that a join needs, by field.
    texts: Vec<String>,
    /// Bytes of text since a batch was last handed over.
    bytes: usize,
}

struct ReadStep {
    field: usize,
    name: String,
    /// The column of the file, if the file has it.
    place: Option<usize>,
    target: Option<usize>,
    is_key: bool,
    is_joined: bool,
    kind: ColumnType,
    extract: Option<Extract>,
    required: bool,
    default: Value,
    fold: Fold,
    blanks: Vec<String>,
}

struct JoinStep {
    field: usize,
    name: String,
    target: Option<usize>,
    required: bool,
    default: Value,
    fold: Fold,
    parts: Vec<Part>,
}

impl Mapper {
    /// Prepares the conversion of the rows below a header. `epoch_1904` is for dates that are bare numbers.
    ///
    /// # Errors
    /// When a default is no value of its column, which a checked definition rules out.
    pub fn new(header: FoundHeader, epoch_1904: bool) -> Result<Self, ReadError> {
        let FoundHeader { definition, places, width, key_header, .. } = header;
        let source = &definition.source;
        let mut is_joined = vec![false; source.fields.len()];
        for field in &source.fields {
            let Origin::Join { parts } = &field.origin else { continue };
            for part in parts {
                if let Some(joined) = is_joined.get_mut(part.field) {
                    *joined = true;
                }
            }
        }
        let mut reads = Vec::new();
        let mut joins = Vec::new();
        for ((place, field), is_joined) in source.fields.iter().enumerate().zip(is_joined) {
            let default = match &field.default {
                None => Value::Null,
                Some(text) if field.kind == ColumnType::Text => Value::Text(field.fold.folded(text).into_owned()),
                Some(text) => Value::parse(field.kind, text).map_err(|error| ReadError::Malformed {
                    detail: format!("the default of column {:?} in its definition: {error}", field.name),
                })?,
            };
            match &field.origin {
                // Unpublished columns that nothing is made of are not even looked at.
                Origin::Header { extract, .. } if field.target.is_some() || is_joined => reads.push(ReadStep {
                    field: place,
                    name: field.name.clone(),
                    place: places.get(place).copied().flatten(),
                    target: field.target,
                    is_key: field.target == Some(definition.key),
                    is_joined,
                    kind: field.kind,
                    extract: *extract,
                    required: field.required,
                    default,
                    fold: field.fold,
                    blanks: source.blanks.iter().chain(&field.blanks).cloned().collect(),
                }),
                Origin::Join { parts } => joins.push(JoinStep {
                    field: place,
                    name: field.name.clone(),
                    target: field.target,
                    required: field.required,
                    default,
                    fold: field.fold,
                    parts: parts.clone(),
                }),
                Origin::Header { .. } | Origin::Import => {}
            }
        }
        let reading = Reading { date_order: source.date_order, epoch_1904 };
        let texts = vec![String::new(); source.fields.len()];
        Ok(Self { definition, reading, width, key_header, reads, joins, texts, bytes: 0 })
    }

    /// Whether the texts since the last time this was true come to `bytes_max`.
    pub(in crate::dataset) fn take_bytes_if(&mut self, bytes_max: usize) -> bool {
        let is_enough = self.bytes >= bytes_max;
        if is_enough {
            self.bytes = 0;
        }
        is_enough
    }

    /// Converts a row; none if it is blank.
    pub fn map(&mut self, line: u64, row: &impl RowCells) -> Option<ImportRow> {
        if (0..row.width()).all(|place| is_blank(row.cell(place))) {
            return None;
        }
        if let Some(problem) = self.wrong_width(row) {
            return Some(ImportRow::Rejected { line, key: None, problems: vec![problem] });
        }
        let mut values = vec![Value::Null; self.definition.columns.len()];
        let mut problems = Vec::new();
        let mut key = None;
        for step in &self.reads {
            let cell = step.place.map_or(Cell::Blank, |place| row.cell(place));
            if step.is_joined
                && let Some(text) = self.texts.get_mut(step.field)
            {
                text.clear();
                match text_of(step.usable(cell)) {
                    Ok(read) if !step.is_blank(&read) => text.push_str(&read),
                    Ok(_) => {}
                    // A published field reports it itself.
                    Err(error) if step.target.is_none() => problems.push(problem(&step.name, "", &error)),
                    Err(_) => {}
                }
            }
            let Some(target) = step.target else { continue };
            let read = if step.is_key {
                key_of(&self.definition, &self.key_header, cell, step).map(|read| {
                    key = Some(read.clone());
                    Value::Text(read)
                })
            } else {
                step.value(cell, self.reading)
            };
            match read {
                Ok(value) => {
                    if let Value::Text(text) = &value {
                        self.bytes += text.len();
                    }
                    if let Some(slot) = values.get_mut(target) {
                        *slot = value;
                    }
                }
                Err(error) => problems.push(problem(&step.name, &quoted(cell), &error)),
            }
        }
        for step in &self.joins {
            step.join(&mut self.texts);
            let text = self.texts.get(step.field).map_or("", String::as_str);
            let Some(target) = step.target else { continue };
            let value =
                if text.is_empty() { step.default.clone() } else { Value::Text(step.fold.folded(text).into_owned()) };
            if value.is_null() && step.required {
                problems.push(problem(&step.name, "", &Missing));
            }
            if let Some(slot) = values.get_mut(target) {
                *slot = value;
            }
        }
        Some(match key {
            Some(key) if problems.is_empty() => ImportRow::Record { line, key, record: Record { values } },
            key => ImportRow::Rejected { line, key, problems },
        })
    }

    /// A row of a delimited file with another number of cells than the header has shifted its values.
    fn wrong_width(&self, row: &impl RowCells) -> Option<Problem> {
        if !row.is_delimited() {
            return None;
        }
        let width = row.width();
        let is_right =
            width == self.width || (width > self.width && (self.width..width).all(|place| is_blank(row.cell(place))));
        (!is_right).then(|| Problem {
            column: String::new(),
            value: String::new(),
            reason: format!(
                "the row has {width} cells where the header has {}: is a delimiter or a quotation mark missing?",
                self.width
            ),
        })
    }
}

impl ReadStep {
    fn is_blank(&self, text: &str) -> bool {
        text.is_empty() || self.blanks.iter().any(|blank| blank.eq_ignore_ascii_case(text))
    }

    /// The cell, or a blank one for an error that the definition declares to be blank.
    fn usable<'a>(&self, cell: Cell<'a>) -> Cell<'a> {
        match cell {
            Cell::Error(error) if self.is_blank(error) => Cell::Blank,
            other => other,
        }
    }

    fn value(&self, cell: Cell<'_>, reading: Reading) -> Result<Value, RowError> {
        let is_blank = match cell {
            Cell::Blank => true,
            Cell::Text(text) => self.is_blank(trim(text)),
            Cell::Error(error) => self.is_blank(error),
            _ if self.blanks.is_empty() => false,
            other => self.is_blank(&text_of(other)?),
        };
        if is_blank {
            if self.required && self.default.is_null() {
                return Err(RowError::Missing(Missing));
            }
            return Ok(self.default.clone());
        }
        if let Some(extract) = self.extract {
            return Ok(Value::Number(coordinate(cell, extract)?));
        }
        if self.fold != Fold::None && self.kind == ColumnType::Text {
            return Ok(Value::Text(self.fold.folded(&text_of(cell)?).into_owned()));
        }
        Ok(value_of(cell, self.kind, reading)?)
    }
}

impl JoinStep {
    fn join(&self, texts: &mut [String]) {
        let mut joined = texts.get_mut(self.field).map(std::mem::take).unwrap_or_default();
        joined.clear();
        for part in &self.parts {
            let text = texts.get(part.field).map_or("", String::as_str);
            if text.is_empty() || part.omit.iter().any(|omitted| omitted.eq_ignore_ascii_case(text)) {
                continue;
            }
            if !joined.is_empty() {
                joined.push_str(&part.before);
            }
            joined.push_str(&part.prefix);
            match part.case {
                Case::Keep => joined.push_str(text),
                Case::Lower => joined.extend(text.chars().flat_map(char::to_lowercase)),
                Case::Upper => joined.extend(text.chars().flat_map(char::to_uppercase)),
                Case::Title => title_case(text, &mut joined),
            }
        }
        if let Some(slot) = texts.get_mut(self.field) {
            *slot = joined;
        }
    }
}

/// Why a cell is refused.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("numbers in scientific notation have lost digits: format the column as text or number and save it again")]
    LostDigits,
    #[error("the header, repeated among the rows")]
    RepeatedHeader,
    #[error("longer than {KEY_BYTES_MAX} bytes")]
    LongKey,
}

#[derive(Debug, thiserror::Error)]
#[error("is blank, and every row needs a value here")]
struct Missing;

fn key_of(definition: &Definition, header: &str, cell: Cell<'_>, step: &ReadStep) -> Result<String, RowError> {
    let text = text_of(cell)?;
    if step.is_blank(&text) {
        return Err(RowError::Missing(Missing));
    }
    if text == header {
        return Err(RowError::RepeatedHeader);
    }
    if text.contains(['E', 'e']) && text.contains('+') && text.parse::<f64>().is_ok() {
        return Err(RowError::LostDigits);
    }
    let key = definition.canonical_key(&text);
    match key.len() {
        0 => Err(RowError::Missing(Missing)),
        1..=KEY_BYTES_MAX => Ok(key),
        _ => Err(RowError::LongKey),
    }
}

fn is_blank(cell: Cell<'_>) -> bool {
    match cell {
        Cell::Blank => true,
        Cell::Text(text) => trim(text).is_empty(),
        _ => false,
    }
}

fn problem(column: &str, value: &str, reason: &impl std::fmt::Display) -> Problem {
    Problem { column: column.to_owned(), value: value.to_owned(), reason: reason.to_string() }
}

/// The cell as a person sees it, cut to a sensible length.
fn quoted(cell: Cell<'_>) -> String {
    let text = match cell {
        Cell::Error(error) => error.into(),
        other => text_of(other).unwrap_or_default(),
    };
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
