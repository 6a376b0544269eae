//! Converts each row into a record, or into the list of its problems.

use std::sync::Arc;

use super::{
    above::Above,
    convert::{coordinate, text_of, value_of},
    header::FoundHeader,
    numbers::Marks,
    point::{FoundCoordinate, PointStep},
    reading::{CellError, Reading, trim},
    title::title_case,
};
use crate::dataset::{
    ColumnType, RECORD_BYTES_MAX, Record, RecordIdRule, Value,
    definition::{Case, Definition, Extract, Field, FieldOrigin, Fold, JoinPart},
    json::write_value,
    reader::{Cell, CellProblem, FileRow, Note, ReadError, RowCells, letters_of},
    text::{folded, nfc},
};

/// The longest text that a problem quotes from a cell, in characters.
const QUOTED_CHARS_MAX: usize = 120;
/// Records with less text stay below the limit, however the text is escaped.
const TEXT_BYTES_FREE: usize = RECORD_BYTES_MAX / 8;
/// The longest key, and the longest record id: both are part of a path.
const KEY_BYTES_MAX: usize = 256;

/// Converts rows by place: all look-ups were done when the header was found.
pub struct Mapper {
    definition: Arc<Definition>,
    reading: Reading,
    width: usize,
    named_width: usize,
    /// Columns without a header, and whether a value occurred in each.
    unnamed: Vec<(usize, bool)>,
    key_header: String,
    reads: Vec<ReadStep>,
    joins: Vec<JoinStep>,
    points: Vec<PointStep>,
    /// The coordinates of the current row that points need, by field.
    coordinates: Vec<FoundCoordinate>,
    /// The texts of the current row that joins need, by field.
    texts: Vec<String>,
    /// Bytes of text since the last batch was handed over.
    bytes: usize,
    /// The number of rows so far; it is the key if rows are counted as keys.
    rows: u64,
    counts_keys: bool,
    short: MetTally,
    rounded: MetTally,
    /// The line of the row that ended the table.
    stopped: Option<u64>,
}

/// How often something occurred, and on which line first.
#[derive(Default)]
struct MetTally {
    line: u64,
    count: u64,
}

impl MetTally {
    fn meet(&mut self, line: u64) {
        if self.count == 0 {
            self.line = line;
        }
        self.count += 1;
    }
}

/// How the file writes its values.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileReading {
    /// Whether bare numbers count days from 1904.
    pub epoch_1904: bool,
    /// The delimiter of a text file.
    pub delimiter: Option<u8>,
}

struct ReadStep {
    field: usize,
    name: String,
    /// The column in the file, if present.
    place: Option<usize>,
    target: Option<usize>,
    is_key: bool,
    is_joined: bool,
    is_coordinate: bool,
    /// How this column reads dates, if different from others.
    reading: Option<Reading>,
    /// The value that fills a blank cell, if the column is filled down.
    above: Option<Above>,
    kind: ColumnType,
    extract: Option<Extract>,
    required: bool,
    default: Value,
    fold: Fold,
    /// Texts that mean "no value", folded.
    blanks: Vec<String>,
}

struct JoinStep {
    field: usize,
    name: String,
    target: Option<usize>,
    required: bool,
    default: Value,
    fold: Fold,
    parts: Vec<JoinPart>,
}

impl Mapper {
    /// Prepares the conversion of the rows below a header.
    ///
    /// # Errors
    /// When a default is no value of its column; a checked definition rules that out.
    pub fn new(header: FoundHeader, file: FileReading) -> Result<Self, ReadError> {
        let FoundHeader { definition, places, width, named_width, unnamed, key_header, .. } = header;
        let source = &definition.source;
        let dialect = &source.dialect;
        let (decimal, thousands) = dialect.marks();
        // Files with decimal commas use semicolons as delimiters.
        let unsure = dialect.decimal.is_none() && dialect.thousands.is_none() && file.delimiter == Some(b';');
        let reading = Reading {
            date_order: source.date_order,
            epoch_1904: file.epoch_1904,
            marks: Marks { decimal, thousands, unsure },
            zone: dialect.zone(),
        };
        let mut is_joined = vec![false; source.fields.len()];
        let mut is_coordinate = is_joined.clone();
        for (place, field) in source.fields.iter().enumerate() {
            let (flags, parts): (_, Vec<usize>) = match &field.origin {
                FieldOrigin::Join { parts } => (&mut is_joined, parts.iter().map(|part| part.field).collect()),
                // A point that the file has is taken as it is.
                FieldOrigin::Coordinates { latitude, longitude } if places.get(place).copied().flatten().is_none() => {
                    (&mut is_coordinate, vec![*latitude, *longitude])
                }
                _ => continue,
            };
            for part in parts {
                if let Some(flag) = flags.get_mut(part) {
                    *flag = true;
                }
            }
        }
        let is_ordinal = |target: Option<usize>| {
            target == Some(definition.record_id) && definition.record_id_rule == RecordIdRule::Ordinal
        };
        let mut reads = Vec::new();
        let mut joins = Vec::new();
        let mut points = Vec::new();
        for ((place, field), is_joined) in source.fields.iter().enumerate().zip(is_joined) {
            let default = match &field.default {
                None => Value::Null,
                Some(text) if field.kind == ColumnType::Text => Value::Text(field.fold.folded(text).into_owned()),
                Some(text) => Value::parse(field.kind, text).map_err(|error| ReadError::Malformed {
                    detail: format!("the default of column {:?} in its definition: {error}", field.name),
                })?,
            };
            let found = places.get(place).copied().flatten();
            let is_coordinate = is_coordinate.get(place).copied().unwrap_or_default();
            let read = |extract: Option<Extract>| ReadStep {
                field: place,
                name: field.name.clone(),
                place: found.map(|found| found.column),
                target: field.target,
                is_key: field.target == Some(definition.key),
                is_joined,
                is_coordinate,
                reading: field.date_order.map(|date_order| Reading { date_order, ..reading.clone() }),
                above: field.fill_down.then(Above::default),
                kind: field.kind,
                // A column under its own name holds the extracted value already.
                extract: extract.filter(|_| found.is_none_or(|found| !found.own)),
                required: field.required,
                default: default.clone(),
                fold: field.fold,
                blanks: source.blanks.iter().chain(&field.blanks).map(|blank| folded(blank).into_owned()).collect(),
            };
            match &field.origin {
                // Unpublished columns that no join needs are not read at all.
                FieldOrigin::Header { extract, .. } if field.target.is_some() || is_joined || is_coordinate => {
                    reads.push(read(*extract))
                }
                FieldOrigin::Join { .. } | FieldOrigin::Coordinates { .. } if found.is_some() => reads.push(read(None)),
                // Columns that the import fills are only read from an exported file.
                FieldOrigin::Import
                    if found.is_some() && (is_ordinal(field.target) || field.target == Some(definition.key)) =>
                {
                    // In a file with ids every row must have one.
                    reads.push(ReadStep { required: true, ..read(None) });
                }
                FieldOrigin::Join { parts } => joins.push(JoinStep {
                    field: place,
                    name: field.name.clone(),
                    target: field.target,
                    required: field.required,
                    default,
                    fold: field.fold,
                    parts: parts.iter().map(with_folded_words).collect(),
                }),
                FieldOrigin::Coordinates { latitude, longitude } => {
                    points.extend(field.target.map(|target| PointStep {
                        name: field.name.clone(),
                        target,
                        required: field.required,
                        default,
                        is_shown: [latitude, longitude].into_iter().all(|coordinate| {
                            definition.source.fields.get(*coordinate).is_some_and(|field| field.target.is_some())
                        }),
                        latitude: *latitude,
                        longitude: *longitude,
                    }));
                }
                FieldOrigin::Header { .. } | FieldOrigin::Import => {}
            }
        }
        let texts = vec![String::new(); source.fields.len()];
        let coordinates = vec![FoundCoordinate::default(); source.fields.len()];
        let is_counted = |field: &Field| field.target == Some(definition.key) && field.origin == FieldOrigin::Import;
        let counts_keys = source.fields.iter().any(is_counted) && !reads.iter().any(|step: &ReadStep| step.is_key);
        Ok(Self {
            rows: 0,
            counts_keys,
            definition,
            reading,
            width,
            named_width,
            unnamed: unnamed.into_iter().map(|place| (place, false)).collect(),
            key_header,
            reads,
            joins,
            points,
            coordinates,
            texts,
            bytes: 0,
            short: MetTally::default(),
            rounded: MetTally::default(),
            stopped: None,
        })
    }

    /// Notes on the converted rows, for a person.
    pub(in crate::dataset) fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.short.count > 0 {
            notes.push(Note::ShortRows { line: self.short.line, rows: self.short.count });
        }
        let unnamed = self.unnamed.iter().filter(|(_, met)| *met).map(|(place, _)| letters_of(*place));
        let columns: Vec<String> = unnamed.collect();
        if !columns.is_empty() {
            notes.push(Note::Unnamed { columns });
        }
        if self.rounded.count > 0 {
            notes.push(Note::Rounded { line: self.rounded.line, values: self.rounded.count });
        }
        if let Some(line) = self.stopped {
            notes.push(Note::Stopped { line });
        }
        notes
    }

    /// Tells whether the table ends before this row.
    pub(in crate::dataset) fn ends_before(&mut self, line: u64, row: &impl RowCells) -> bool {
        let ends = stops_at(&self.definition.source.dialect.stop_at, row);
        if ends {
            self.stopped = Some(line);
        }
        ends
    }

    /// Tells whether the texts since the last time this was true reach `bytes_max`.
    pub(in crate::dataset) fn take_bytes_if(&mut self, bytes_max: usize) -> bool {
        let is_enough = self.bytes >= bytes_max;
        if is_enough {
            self.bytes = 0;
        }
        is_enough
    }

    /// Converts a row; `None` for a blank row.
    pub fn map(&mut self, line: u64, row: &impl RowCells) -> Option<FileRow> {
        if (0..row.width()).all(|place| is_blank(row.cell(place))) || (self.rows == 0 && is_ruler(row)) {
            return None;
        }
        self.rows += 1;
        if let Some(problem) = row.flaw().map(flaw_of).or_else(|| self.too_wide(row)) {
            return Some(FileRow::Rejected { line, key: None, problems: vec![problem] });
        }
        // Spreadsheet programs omit blank cells at a row's end.
        if row.is_delimited() && row.width() < self.named_width {
            self.short.meet(line);
        }
        for (place, met) in &mut self.unnamed {
            *met = *met || !is_blank(row.cell(*place));
        }
        let mut values = vec![Value::Null; self.definition.columns.len()];
        let mut problems = Vec::new();
        let mut key = None;
        if self.counts_keys {
            let counted = self.definition.canonical_key(&self.rows.to_string());
            if let Some(slot) = values.get_mut(self.definition.key) {
                *slot = Value::Text(counted.clone());
            }
            key = Some(counted);
        }
        for step in &mut self.reads {
            let mut cell = step.place.map_or(Cell::Blank, |place| row.cell(place));
            let mut above = step.above.take();
            if let Some(above) = &mut above {
                if is_blank(cell) {
                    cell = above.cell();
                } else {
                    above.keep(cell);
                }
            }
            if step.is_joined
                && let Some(text) = self.texts.get_mut(step.field)
            {
                text.clear();
                match text_of(step.usable(cell)) {
                    Ok(read) if !step.is_blank(&read) => text.push_str(&nfc(&read)),
                    Ok(_) => {}
                    // A published field reports the error itself.
                    Err(error) if step.target.is_none() => problems.push(problem(&step.name, "", &error)),
                    Err(_) => {}
                }
            }
            if step.target.is_some() || step.is_coordinate {
                let read = if step.is_key {
                    key_of(&self.definition, &self.key_header, cell, step).map(|read| {
                        key = Some(read.clone());
                        (Value::Text(read), true)
                    })
                } else {
                    step.value(cell, &self.reading)
                };
                if step.is_coordinate
                    && let Some(slot) = self.coordinates.get_mut(step.field)
                {
                    *slot = FoundCoordinate::of(read.as_ref().ok().map(|(value, _)| value));
                }
                match read {
                    Ok((value, exact)) => {
                        if let Value::Text(text) = &value {
                            self.bytes += text.len();
                        }
                        if !exact {
                            self.rounded.meet(line);
                        }
                        if let Some(slot) = step.target.and_then(|target| values.get_mut(target)) {
                            *slot = value;
                        }
                    }
                    Err(error) => {
                        // What is not published is shown to nobody.
                        let shown = if step.target.is_some() { quoted(cell) } else { String::new() };
                        problems.push(problem(&step.name, &shown, &error));
                    }
                }
            }
            step.above = above;
        }
        for step in &self.joins {
            step.join(&mut self.texts);
            let text = self.texts.get(step.field).map_or("", String::as_str);
            let Some(target) = step.target else { continue };
            let value =
                if text.is_empty() { step.default.clone() } else { Value::Text(step.fold.folded(text).into_owned()) };
            if value.is_null() && step.required {
                problems.push(problem(&step.name, "", &MissingValue));
            }
            if let Some(slot) = values.get_mut(target) {
                *slot = value;
            }
        }
        for step in &self.points {
            match step.value(&self.coordinates) {
                Ok(value) if value.is_null() && step.required => {
                    problems.push(problem(&step.name, "", &MissingValue));
                }
                Ok(value) => {
                    if let Some(slot) = values.get_mut(step.target) {
                        *slot = value;
                    }
                }
                Err(error) => problems.push(problem(&step.name, &step.shown(&self.coordinates), &error)),
            }
        }
        problems.extend(too_long(&values));
        problems.extend(self.long_id(&values));
        Some(match key {
            Some(key) if problems.is_empty() => FileRow::Record { line, key, record: Record { values } },
            key => FileRow::Rejected { line, key, problems },
        })
    }

    /// The problem of a record id that not every store can hold.
    fn long_id(&self, values: &[Value]) -> Option<CellProblem> {
        let place = self.definition.record_id;
        let Some(Value::Text(id)) = values.get(place) else { return None };
        (id.len() > KEY_BYTES_MAX)
            .then(|| problem(self.definition.column_name(place), &quoted(Cell::Text(id)), &RowError::LongKey))
    }

    /// A delimited row with more cells than the header has shifted values.
    fn too_wide(&self, row: &impl RowCells) -> Option<CellProblem> {
        let width = row.width();
        let is_wide = row.is_delimited() && (self.width..width).any(|place| !is_blank(row.cell(place)));
        is_wide.then(|| CellProblem {
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
        text.is_empty() || (!self.blanks.is_empty() && self.blanks.iter().any(|blank| *blank == folded(text)))
    }

    /// The cell; blank for an error that the definition declares to be blank.
    fn usable<'a>(&self, cell: Cell<'a>) -> Cell<'a> {
        match cell {
            Cell::Error(error) if self.is_blank(error) => Cell::Blank,
            other => other,
        }
    }

    /// The value of a cell, and whether it is exact instead of rounded.
    fn value(&self, cell: Cell<'_>, reading: &Reading) -> Result<(Value, bool), RowError> {
        let is_blank = match cell {
            Cell::Blank => true,
            Cell::Text(text) => self.is_blank(trim(text)),
            Cell::Error(error) => self.is_blank(error),
            _ if self.blanks.is_empty() => false,
            other => self.is_blank(&text_of(other)?),
        };
        if is_blank {
            if self.required && self.default.is_null() {
                return Err(RowError::Missing(MissingValue));
            }
            return Ok((self.default.clone(), true));
        }
        if let Some(extract) = self.extract {
            return Ok((Value::Number(coordinate(cell, extract)?), true));
        }
        if self.kind == ColumnType::Text {
            return Ok((Value::Text(self.fold.folded(&text_of(cell)?).into_owned()), true));
        }
        Ok(value_of(cell, self.kind, self.reading.as_ref().unwrap_or(reading))?)
    }
}

impl JoinStep {
    fn join(&self, texts: &mut [String]) {
        let mut joined = texts.get_mut(self.field).map(std::mem::take).unwrap_or_default();
        joined.clear();
        for part in &self.parts {
            let text = texts.get(part.field).map_or("", String::as_str);
            if text.is_empty() || (!part.omit.is_empty() && part.omit.iter().any(|omitted| *omitted == folded(text))) {
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
    Missing(#[from] MissingValue),
    #[error("the header, repeated among the rows")]
    RepeatedHeader,
    #[error("longer than {KEY_BYTES_MAX} bytes")]
    LongKey,
}

#[derive(Debug, thiserror::Error)]
#[error("is blank, and every row needs a value here")]
struct MissingValue;

fn key_of(definition: &Definition, header: &str, cell: Cell<'_>, step: &ReadStep) -> Result<String, RowError> {
    let text = text_of(cell)?;
    if step.is_blank(&text) {
        return Err(RowError::Missing(MissingValue));
    }
    let text = nfc(&text);
    if text == header {
        return Err(RowError::RepeatedHeader);
    }
    if is_scientific(&text) {
        return Err(RowError::Cell(CellError::Scientific));
    }
    let key = definition.canonical_key(&text);
    match key.len() {
        0 => Err(RowError::Missing(MissingValue)),
        1..=KEY_BYTES_MAX => Ok(key),
        _ => Err(RowError::LongKey),
    }
}

/// The part with its omitted words folded, because they are compared for every row.
fn with_folded_words(part: &JoinPart) -> JoinPart {
    JoinPart { omit: part.omit.iter().map(|word| folded(word).into_owned()).collect(), ..part.clone() }
}

/// The problem of a record that not every store can hold.
fn too_long(values: &[Value]) -> Option<CellProblem> {
    let text_bytes = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
    if values.iter().map(text_bytes).sum::<usize>() <= TEXT_BYTES_FREE {
        return None;
    }
    let mut written = Vec::new();
    values.iter().for_each(|value| write_value(value, &mut written));
    (written.len() > RECORD_BYTES_MAX).then(|| CellProblem {
        column: String::new(),
        value: String::new(),
        reason: format!("the record has {} bytes, and a record has at most {RECORD_BYTES_MAX}", written.len()),
    })
}

/// Tells whether a text is a long number in the shortened form of spreadsheet programs.
pub(in crate::dataset) fn is_scientific(text: &str) -> bool {
    text.contains(['E', 'e']) && text.contains('+') && text.parse::<f64>().is_ok()
}

fn flaw_of(reason: &str) -> CellProblem {
    CellProblem { column: String::new(), value: String::new(), reason: reason.to_owned() }
}

/// Tells whether a row only draws a line below the header, as some table printers do.
pub(in crate::dataset) fn is_ruler(row: &impl RowCells) -> bool {
    let is_drawn = |cell: Cell<'_>| match cell {
        Cell::Text(text) => trim(text).len() >= 3 && trim(text).bytes().all(|byte| matches!(byte, b'-' | b'+' | b'=')),
        _ => false,
    };
    let mut cells = (0..row.width()).map(|place| row.cell(place)).filter(|cell| !is_blank(*cell)).peekable();
    cells.peek().is_some() && cells.all(is_drawn)
}

/// Tells whether the table ends before a row, by `stop_at`.
pub(in crate::dataset) fn stops_at(stops: &[String], row: &impl RowCells) -> bool {
    if stops.is_empty() {
        return false;
    }
    let first = (0..row.width()).map(|place| row.cell(place)).find(|cell| !is_blank(*cell));
    let text = first.and_then(|cell| text_of(cell).ok()).unwrap_or_default();
    let text = folded(&text);
    stops.iter().any(|stop| match folded(stop).strip_suffix('*') {
        Some(start) => text.starts_with(start.trim()),
        None => text == folded(stop).trim(),
    })
}

/// Tells whether a cell holds nothing but space.
pub(in crate::dataset) fn is_blank(cell: Cell<'_>) -> bool {
    match cell {
        Cell::Blank => true,
        Cell::Text(text) => trim(text).is_empty(),
        _ => false,
    }
}

fn problem(column: &str, value: &str, reason: &impl std::fmt::Display) -> CellProblem {
    CellProblem { column: column.to_owned(), value: value.to_owned(), reason: reason.to_string() }
}

/// The cell as a person sees it, cut to [`QUOTED_CHARS_MAX`] characters.
fn quoted(cell: Cell<'_>) -> String {
    let text = match cell {
        Cell::Error(error) if error.starts_with('#') => error.into(),
        other => text_of(other).unwrap_or_default(),
    };
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
