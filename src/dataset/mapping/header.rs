//! Finds the header: the row whose cells are the definition's headers, on any line.

use std::sync::Arc;

use super::convert::text_of;
use crate::dataset::{
    definition::{Definition, Field, FieldOrigin, normal_header},
    reader::{HeaderColumn, ReadError, RowCells},
    text::nfc,
};

/// Cells below this likeness are not shown as near misses: they may be data, and data may be personal.
const LIKENESS_MIN: f64 = 0.8;

/// Checks rows until one is a header of the definition.
pub struct HeaderSearch {
    definition: Arc<Definition>,
    fields: Vec<Spellings>,
    rows_max: usize,
    rows_seen: usize,
    most_rows_seen: usize,
    nearest: Option<NearMiss>,
}

/// The accepted spellings of a field's header.
#[derive(Default)]
struct Spellings {
    /// The spellings in the definition.
    exact: Vec<String>,
    /// In normal form.
    normal: Vec<String>,
    /// Whether another field reads another column with such a header, so that the columns are told apart by counting.
    counted: bool,
}

struct NearMiss {
    matched: usize,
    cells: Vec<String>,
    missing: Vec<usize>,
}

/// The column with a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldPlace {
    /// The column of the file.
    pub(super) column: usize,
    /// Whether its header is the column's own published name: then the cells are final values, not sources of them.
    pub(super) own: bool,
}

/// A recognised header.
pub struct FoundHeader {
    pub(super) definition: Arc<Definition>,
    /// The column of each field in the file.
    pub(super) places: Vec<Option<FieldPlace>>,
    pub(super) width: usize,
    /// One more than the last column with a header.
    pub(super) named_width: usize,
    /// Columns without a header.
    pub(super) unnamed: Vec<usize>,
    /// The key column's header as the file writes it.
    pub(super) key_header: String,
    /// The cells of the header.
    headers: Vec<String>,
    /// Whether the file provides record ids that the import would otherwise count.
    pub brings_ids: bool,
    /// Headers that no field reads.
    pub unmatched: Vec<String>,
    /// Published columns that the file lacks, or lacks a part of.
    pub absent: Vec<String>,
}

impl FoundHeader {
    /// The headers in their order, each with the fields that read its column.
    pub(in crate::dataset) fn columns(&self) -> Vec<HeaderColumn> {
        let fields_of = |column: usize| {
            let reads = |place: &Option<FieldPlace>| place.is_some_and(|place| place.column == column);
            self.places.iter().enumerate().filter(|(_, place)| reads(place)).map(|(field, _)| field).collect()
        };
        let headers = self.headers.iter().enumerate();
        headers.map(|(column, header)| HeaderColumn { header: header.clone(), fields: fields_of(column) }).collect()
    }
}

/// The cells of a row that may be a header.
struct Cells {
    exact: Vec<String>,
    normal: Vec<String>,
}

impl HeaderSearch {
    /// A search among the first `rows_max` rows of each sheet.
    pub fn new(definition: Arc<Definition>, rows_max: usize) -> Self {
        let mut fields: Vec<Spellings> = definition.source.fields.iter().map(Spellings::of).collect();
        let shared: Vec<bool> = fields
            .iter()
            .enumerate()
            .map(|(place, field)| {
                let mut others = fields.iter().enumerate().filter(|(other, _)| *other != place);
                let occurrence = occurrence_of(definition.source.fields.get(place));
                let is_other = |(other, spellings): (usize, &Spellings)| {
                    occurrence_of(definition.source.fields.get(other)) != occurrence
                        && spellings.normal.iter().any(|normal| field.normal.contains(normal))
                };
                occurrence > 1 || others.any(is_other)
            })
            .collect();
        for (field, counted) in fields.iter_mut().zip(shared) {
            field.counted = counted;
        }
        Self { fields, definition, rows_max, rows_seen: 0, most_rows_seen: 0, nearest: None }
    }

    /// Starts again on another sheet.
    pub fn restart(&mut self) {
        self.rows_seen = 0;
    }

    /// Tells whether enough rows were checked.
    pub fn is_exhausted(&self) -> bool {
        self.rows_seen >= self.rows_max
    }

    /// The number of fields that a row names, if it is a header.
    pub(in crate::dataset) fn recognised(&self, row: &impl RowCells) -> usize {
        let (matched, missing, _) = self.matched(&Cells::of(row));
        if missing.is_empty() && matched >= self.needed() { matched } else { 0 }
    }

    /// Returns the header if this row is one.
    ///
    /// # Errors
    /// When the row is a header, but two of its columns could be the one that a field reads.
    pub fn look(&mut self, row: &impl RowCells) -> Result<Option<FoundHeader>, ReadError> {
        self.rows_seen += 1;
        self.most_rows_seen = self.most_rows_seen.max(self.rows_seen);
        let cells = Cells::of(row);
        let (matched, missing, places) = self.matched(&cells);
        if !missing.is_empty() || matched < self.needed() {
            if self.nearest.as_ref().is_none_or(|nearest| nearest.matched < matched) {
                self.nearest = Some(NearMiss { matched, cells: cells.exact, missing });
            }
            return Ok(None);
        }
        let places = places.into_iter().map(|found| found.map_err(|columns| self.ambiguous(&columns, &cells)));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(self.found(cells, places)))
    }

    /// The number of fields that a header has to name.
    fn needed(&self) -> usize {
        let readable = self.fields.iter().filter(|spellings| !spellings.exact.is_empty()).count();
        readable.min(2)
    }

    /// The number of fields that a row names, the required fields that it lacks, and the place of each field.
    fn matched(&self, cells: &Cells) -> (usize, Vec<usize>, Vec<FoundPlace>) {
        let fields = &self.definition.source.fields;
        let mut places: Vec<FoundPlace> = fields.iter().map(|_| Ok(None)).collect();
        // A header spelled as in the definition belongs to that column only.
        let mut claimed = vec![false; cells.exact.len()];
        for ((field, spellings), place) in fields.iter().zip(&self.fields).zip(&mut places) {
            if let Some(column) = spellings.exactly(occurrence_of(Some(field)), cells) {
                *place = Ok(Some(FieldPlace { column, own: false }));
            }
        }
        claim(&places, &mut claimed);
        // In an exported file a column's own name belongs to that column only, even if it resembles another's header.
        let is_ours = self.is_ours(cells, &claimed, &places);
        if is_ours {
            self.own_names(cells, &claimed, is_ours, &mut places);
            claim(&places, &mut claimed);
        }
        for ((field, spellings), place) in fields.iter().zip(&self.fields).zip(&mut places) {
            if matches!(place, Ok(None)) {
                let found = spellings.normally(occurrence_of(Some(field)), cells, &claimed);
                *place = found.map(|column| column.map(|column| FieldPlace { column, own: false }));
            }
        }
        claim(&places, &mut claimed);
        self.own_names(cells, &claimed, is_ours, &mut places);
        let is_missing = |(place, field): (usize, &Field)| {
            let is_needed = field.required && matches!(field.origin, FieldOrigin::Header { .. });
            (is_needed && matches!(places.get(place), Some(Ok(None)))).then_some(place)
        };
        let missing = fields.iter().enumerate().filter_map(is_missing).collect();
        let named = places
            .iter()
            .zip(fields)
            .filter(|(place, field)| !matches!(place, Ok(None)) && !matches!(field.origin, FieldOrigin::Import));
        (named.count(), missing, places)
    }

    /// Tells whether the file is an export: its key column has its published name.
    fn is_ours(&self, cells: &Cells, claimed: &[bool], places: &[FoundPlace]) -> bool {
        let fields = &self.definition.source.fields;
        let key = fields.iter().zip(places).find(|(field, _)| field.target == Some(self.definition.key));
        match key {
            Some((field, Ok(Some(place)))) => cells.exact.get(place.column) == Some(&field.name),
            Some((field, Ok(None))) => cells.free(&field.name, claimed).is_some(),
            _ => false,
        }
    }

    /// A published column's own name is one of its headers, so that exports can be imported. A derived column is then taken as it is.
    fn own_names(&self, cells: &Cells, claimed: &[bool], is_ours: bool, places: &mut [FoundPlace]) {
        let fields = &self.definition.source.fields;
        for place in 0..fields.len() {
            let Some(field) = fields.get(place).filter(|field| field.target.is_some()) else { continue };
            let free = || cells.free(&field.name, claimed);
            let is_found = matches!(places.get(place), Some(Ok(Some(_))));
            let own = match &field.origin {
                FieldOrigin::Header { .. } if matches!(places.get(place), Some(Ok(None))) => free(),
                FieldOrigin::Header { extract: Some(_), .. } if is_ours => free(),
                // An ordinal or record id is only read from an exported file.
                FieldOrigin::Import if is_ours && !is_found => free(),
                FieldOrigin::Join { parts } if !is_found => {
                    let is_absent = |part: usize| matches!(places.get(part), None | Some(Ok(None)));
                    let lacks_a_part = parts.iter().any(|part| is_absent(part.field));
                    free().filter(|_| is_ours || lacks_a_part)
                }
                FieldOrigin::Coordinates { latitude, longitude } if !is_found => {
                    let is_absent = |part: &usize| matches!(places.get(*part), None | Some(Ok(None)));
                    free().filter(|_| is_ours || is_absent(latitude) || is_absent(longitude))
                }
                _ => None,
            };
            if let (Some(own), Some(slot)) = (own, places.get_mut(place)) {
                *slot = Ok(Some(own));
            }
        }
    }

    fn found(&self, cells: Cells, places: Vec<Option<FieldPlace>>) -> FoundHeader {
        let fields = &self.definition.source.fields;
        let mut is_absent: Vec<bool> = Vec::with_capacity(fields.len());
        for (field, place) in fields.iter().zip(&places) {
            is_absent.push(match &field.origin {
                FieldOrigin::Header { .. } => place.is_none(),
                // Without one of its parts, a joined text is incomplete.
                FieldOrigin::Join { parts } => {
                    place.is_none() && parts.iter().any(|part| is_absent.get(part.field) == Some(&true))
                }
                FieldOrigin::Coordinates { latitude, longitude } => {
                    let lacks = |part: &usize| places.get(*part).copied().flatten().is_none();
                    place.is_none() && (lacks(latitude) || lacks(longitude))
                }
                FieldOrigin::Import => false,
            });
        }
        let absent = fields.iter().zip(is_absent).filter(|(field, is_absent)| *is_absent && field.target.is_some());
        let absent = absent.map(|(field, _)| field.name.clone()).collect();
        let is_read = |column: usize| places.iter().flatten().any(|place| place.column == column);
        let unmatched = cells.exact.iter().enumerate().filter(|(column, cell)| !cell.is_empty() && !is_read(*column));
        let unmatched = unmatched.map(|(_, cell)| cell.clone()).collect();
        let key_place = fields.iter().position(|field| field.target == Some(self.definition.key));
        let key_place = key_place.and_then(|field| places.get(field).copied().flatten());
        let key_header = key_place.and_then(|place| cells.exact.get(place.column)).cloned().unwrap_or_default();
        let is_counted =
            |field: &Field| field.target == Some(self.definition.record_id) && field.origin == FieldOrigin::Import;
        let brings_ids = fields.iter().zip(&places).any(|(field, place)| place.is_some() && is_counted(field));
        FoundHeader {
            brings_ids,
            definition: Arc::clone(&self.definition),
            places,
            width: cells.exact.len(),
            named_width: cells.exact.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1),
            unnamed: (0..cells.exact.len())
                .filter(|place| cells.exact.get(*place).is_some_and(String::is_empty))
                .collect(),
            key_header,
            headers: cells.exact,
            unmatched,
            absent,
        }
    }

    fn ambiguous(&self, columns: &Ambiguous, cells: &Cells) -> ReadError {
        let field = self.definition.source.fields.iter().zip(&self.fields).find(|(_, spellings)| {
            columns.iter().any(|column| cells.normal.get(*column).is_some_and(|cell| spellings.normal.contains(cell)))
        });
        let headers: Vec<String> =
            columns.iter().filter_map(|column| cells.exact.get(*column)).map(|cell| format!("{cell:?}")).collect();
        ReadError::Malformed {
            detail: format!(
                "its columns {} could each be the column {:?} of the definition: write the header that is meant in its `headers` exactly",
                headers.join(" and "),
                field.map_or("", |(field, _)| field.name.as_str())
            ),
        }
    }

    /// The error of an unsuccessful search.
    pub fn failure(&self) -> ReadError {
        let detail = match &self.nearest {
            None => "the file has no rows".to_owned(),
            Some(nearest) => {
                let fields = &self.definition.source.fields;
                let missing: Vec<String> = nearest
                    .missing
                    .iter()
                    .filter_map(|place| fields.get(*place))
                    .map(|field| missing_field(field, &nearest.cells))
                    .collect();
                if missing.is_empty() {
                    "no row has two of its columns".to_owned()
                } else {
                    format!("missing {}", missing.join("; "))
                }
            }
        };
        ReadError::NoHeader { dataset: self.definition.name.clone(), rows: self.most_rows_seen, detail }
    }
}

/// Columns that could each be the field's.
type Ambiguous = Vec<usize>;
/// The place of a field, if found.
type FoundPlace = Result<Option<FieldPlace>, Ambiguous>;

impl Cells {
    /// The column with this name, if nothing else reads it.
    fn free(&self, name: &str, claimed: &[bool]) -> Option<FieldPlace> {
        let column = self.exact.iter().zip(claimed).position(|(cell, claimed)| cell == name && !claimed)?;
        Some(FieldPlace { column, own: true })
    }

    fn of(row: &impl RowCells) -> Self {
        // A cell with an error is no header, but the row may still be one.
        let text = |place| text_of(row.cell(place)).map(|text| nfc(&text).into_owned()).unwrap_or_default();
        let exact: Vec<String> = (0..row.width()).map(text).collect();
        let normal = exact.iter().map(|cell| normal_header(cell)).collect();
        Self { exact, normal }
    }
}

/// Marks the columns that are read.
fn claim(places: &[FoundPlace], claimed: &mut [bool]) {
    for column in places.iter().flatten().flatten().map(|place| place.column) {
        if let Some(slot) = claimed.get_mut(column) {
            *slot = true;
        }
    }
}

impl Spellings {
    fn of(field: &Field) -> Self {
        match &field.origin {
            FieldOrigin::Header { headers, .. } => Self {
                exact: headers.iter().map(|header| nfc(header.trim()).into_owned()).collect(),
                normal: headers.iter().map(|header| normal_header(&nfc(header))).collect(),
                counted: false,
            },
            FieldOrigin::Join { .. } | FieldOrigin::Coordinates { .. } | FieldOrigin::Import => Self::default(),
        }
    }

    /// The column whose header is spelled as in the definition. The first spelling found decides, because spellings are declared in order
    /// of preference.
    fn exactly(&self, occurrence: usize, cells: &Cells) -> Option<usize> {
        self.exact.iter().find_map(|spelling| {
            let bearing: Vec<usize> = cells
                .exact
                .iter()
                .enumerate()
                .filter(|(_, cell)| *cell == spelling)
                .map(|(column, _)| column)
                .collect();
            bearing.get(occurrence - 1).copied()
        })
    }

    /// The column whose header has the same normal form.
    fn normally(&self, occurrence: usize, cells: &Cells, claimed: &[bool]) -> Result<Option<usize>, Ambiguous> {
        for spelling in &self.normal {
            let bearing = cells.normal.iter().enumerate().filter(|(_, normal)| *normal == spelling);
            let bearing: Vec<usize> = bearing.map(|(column, _)| column).collect();
            let is_free = |column: &usize| claimed.get(*column) == Some(&false);
            if self.counted {
                if let Some(column) = bearing.get(occurrence - 1).filter(|column| is_free(column)) {
                    return Ok(Some(*column));
                }
                continue;
            }
            let free: Vec<usize> = bearing.into_iter().filter(is_free).collect();
            let Some(first) = free.first() else { continue };
            let is_same = |column: &usize| cells.exact.get(*column) == cells.exact.get(*first);
            return if free.iter().all(is_same) { Ok(Some(*first)) } else { Err(free) };
        }
        // A definition may count headers that an older normal form took for one.
        let lone = |spelling: &String| {
            let mut bearing = cells.exact.iter().enumerate().filter(|(_, cell)| *cell == spelling);
            let first = bearing.next().map(|(column, _)| column).filter(|column| claimed.get(*column) == Some(&false));
            first.filter(|_| bearing.next().is_none())
        };
        Ok(if occurrence > 1 { self.exact.iter().find_map(lone) } else { None })
    }
}

/// The occurrence of its header that a field reads.
fn occurrence_of(field: Option<&Field>) -> usize {
    match field.map(|field| &field.origin) {
        Some(FieldOrigin::Header { occurrence, .. }) => (*occurrence).max(1),
        _ => 1,
    }
}

fn missing_field(field: &Field, cells: &[String]) -> String {
    let FieldOrigin::Header { headers, .. } = &field.origin else { return field.name.clone() };
    let known: Vec<String> = headers.iter().map(|header| format!("{header:?}")).collect();
    let likeness = |cell: &String| {
        let normal = normal_header(cell);
        let scores = headers.iter().map(|header| strsim::jaro_winkler(&normal, &normal_header(header)));
        scores.fold(0.0, f64::max)
    };
    let near = cells.iter().map(|cell| (likeness(cell), cell)).max_by(|left, right| left.0.total_cmp(&right.0));
    let near = match near {
        Some((score, cell)) if score >= LIKENESS_MIN => format!(", nearest is {cell:?}"),
        _ => String::new(),
    };
    format!("{} (known as {}{near})", field.name, known.join(", "))
}
