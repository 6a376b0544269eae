//! Finding the header: the row whose cells are the definition's headers, wherever it stands.

use std::sync::Arc;

use super::convert::text_of;
use crate::dataset::{
    definition::{Definition, Field, Origin, normal_header},
    reader::{ReadError, RowCells},
};

/// Below this likeness a cell is not shown as a near miss: it may be data, and data may be personal.
const LIKENESS_MIN: f64 = 0.8;

/// Looks at rows until one is a header of the definition.
pub struct HeaderSearch {
    definition: Arc<Definition>,
    /// For each field, its headers in normal form.
    spellings: Vec<Vec<String>>,
    rows_max: usize,
    rows_seen: usize,
    most_rows_seen: usize,
    nearest: Option<NearMiss>,
}

struct NearMiss {
    matched: usize,
    cells: Vec<String>,
    missing: Vec<usize>,
}

/// A header that was recognised.
pub struct FoundHeader {
    pub(super) definition: Arc<Definition>,
    /// For each field, the place of its column in the file.
    pub(super) places: Vec<Option<usize>>,
    pub(super) width: usize,
    /// The key column's header as the file writes it.
    pub(super) key_header: String,
    /// Headers that no field reads.
    pub unmatched: Vec<String>,
    /// Published columns that the file does not have, or not all of what they are made of.
    pub absent: Vec<String>,
}

impl HeaderSearch {
    /// A search among the first `rows_max` rows of each sheet.
    pub fn new(definition: Arc<Definition>, rows_max: usize) -> Self {
        let spellings = definition.source.fields.iter().map(|field| match &field.origin {
            Origin::Header { headers, .. } => headers.iter().map(|header| normal_header(header)).collect(),
            Origin::Join { .. } | Origin::Import => Vec::new(),
        });
        Self { spellings: spellings.collect(), definition, rows_max, rows_seen: 0, most_rows_seen: 0, nearest: None }
    }

    /// Begins anew on another sheet.
    pub fn restart(&mut self) {
        self.rows_seen = 0;
    }

    /// Whether enough rows were looked at.
    pub fn is_exhausted(&self) -> bool {
        self.rows_seen >= self.rows_max
    }

    /// Whether this row is the header.
    pub fn look(&mut self, row: &impl RowCells) -> Option<FoundHeader> {
        self.rows_seen += 1;
        self.most_rows_seen = self.most_rows_seen.max(self.rows_seen);
        // A cell that holds an error is no header; the row may still be one.
        let cells: Vec<String> = (0..row.width())
            .map(|place| text_of(row.cell(place)).map(std::borrow::Cow::into_owned).unwrap_or_default())
            .collect();
        let normal: Vec<String> = cells.iter().map(|cell| normal_header(cell)).collect();
        let fields = &self.definition.source.fields;
        let places: Vec<Option<usize>> =
            fields.iter().zip(&self.spellings).map(|(field, spellings)| place_of(field, spellings, &normal)).collect();

        let matched = places.iter().flatten().count();
        let readable = self.spellings.iter().filter(|spellings| !spellings.is_empty()).count();
        let is_missing = |(place, field): &(usize, &Field)| {
            field.required && matches!(field.origin, Origin::Header { .. }) && places.get(*place) == Some(&None)
        };
        let missing: Vec<usize> = fields.iter().enumerate().filter(is_missing).map(|(place, _)| place).collect();
        if !missing.is_empty() || matched < readable.min(2) {
            if self.nearest.as_ref().is_none_or(|nearest| nearest.matched < matched) {
                self.nearest = Some(NearMiss { matched, cells, missing });
            }
            return None;
        }
        Some(self.found(cells, places))
    }

    fn found(&self, cells: Vec<String>, places: Vec<Option<usize>>) -> FoundHeader {
        let fields = &self.definition.source.fields;
        let mut is_absent: Vec<bool> = Vec::with_capacity(fields.len());
        for (field, place) in fields.iter().zip(&places) {
            is_absent.push(match &field.origin {
                Origin::Header { .. } => place.is_none(),
                // Without one of its parts, a text is not what it would be.
                Origin::Join { parts } => parts.iter().any(|part| is_absent.get(part.field) == Some(&true)),
                Origin::Import => false,
            });
        }
        let absent = fields.iter().zip(is_absent).filter(|(field, is_absent)| *is_absent && field.target.is_some());
        let absent = absent.map(|(field, _)| field.name.clone()).collect();
        let unmatched =
            cells.iter().enumerate().filter(|(place, cell)| !cell.is_empty() && !places.contains(&Some(*place)));
        let unmatched = unmatched.map(|(_, cell)| cell.clone()).collect();
        let key_place = fields.iter().position(|field| field.target == Some(self.definition.key));
        let key_place = key_place.and_then(|field| places.get(field).copied().flatten());
        let key_header = key_place.and_then(|place| cells.get(place)).cloned().unwrap_or_default();
        FoundHeader {
            definition: Arc::clone(&self.definition),
            places,
            width: cells.len(),
            key_header,
            unmatched,
            absent,
        }
    }

    /// The error of a search that found nothing.
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

/// The first spelling that the row has decides: spellings are declared in the order of preference.
fn place_of(field: &Field, spellings: &[String], normal: &[String]) -> Option<usize> {
    let Origin::Header { occurrence, .. } = &field.origin else { return None };
    spellings.iter().find_map(|spelling| {
        let mut bearing = normal.iter().enumerate().filter(|(_, header)| *header == spelling);
        bearing.nth(occurrence - 1).map(|(place, _)| place)
    })
}

fn missing_field(field: &Field, cells: &[String]) -> String {
    let Origin::Header { headers, .. } = &field.origin else { return field.name.clone() };
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
