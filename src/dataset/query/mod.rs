//! Questions to a data set: which records (filter), which of their columns (select), in which order (sort), how many, and from where on
//! (cursor). This module defines what a store answers; how it finds the answer is up to the store.

mod as_of;
mod expression;
mod filter;
mod foreign;
mod format;
mod groups;
mod operator;
mod parameters;
mod parse;
mod ranking;
#[cfg(test)]
mod tests;
mod words;

use std::cmp::Ordering;

use serde::Serialize;

pub use as_of::PointInTime;
pub use filter::{Filter, Term, Test, after_prefix, ascending};
pub use foreign::{KEY_IN_ADDRESS, is_key};
pub use format::{Delimiter, Format};
pub use groups::{GroupKey, Groups, KeyPart, Measure, MeasureKind, group_columns};
pub use operator::Operator;
pub use parameters::{AS_OF, RESERVED, YIELDING};
pub use parse::{parse, parse_changes, parse_facets, parse_groups, parse_history, parse_read, parse_stats};
pub use ranking::{DISTANCE, RELEVANCE, RankedBy, Ranking};
pub use words::{SEARCH_WORDS_MAX, WordBits, WordSearch};
pub(in crate::dataset) use words::{begins_word, ends_word};

use super::{ColumnType, Definition, Value};

/// Limits on the size of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLimits {
    /// The longest query string, bytes.
    pub query_bytes_max: usize,
    /// The most conditions in one query.
    pub terms_max: usize,
    /// The deepest nesting of parentheses and NOTs in an expression.
    pub depth_max: usize,
    /// The most values in one list.
    pub list_values_max: usize,
    /// The most columns in `sort`.
    pub sort_columns_max: usize,
    /// The most columns of facets or figures.
    pub summary_columns_max: usize,
    /// The most keys of groups.
    pub group_keys_max: usize,
    /// The most measures of groups.
    pub measures_max: usize,
    /// The most vertices of a polygon.
    pub polygon_vertices_max: usize,
    /// The longest decoded value of one parameter, bytes.
    pub value_bytes_max: usize,
    /// Records in a page if `limit` is absent.
    pub page_records_default: u32,
    /// The most records in a page: a larger `limit` is lowered to it.
    pub page_records_max: u32,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            query_bytes_max: 8192,
            terms_max: 32,
            depth_max: 8,
            list_values_max: 200,
            sort_columns_max: 8,
            summary_columns_max: 8,
            group_keys_max: 4,
            measures_max: 8,
            polygon_vertices_max: 200,
            value_bytes_max: 4096,
            page_records_default: 100,
            page_records_max: 1000,
        }
    }
}

/// A parameter that cannot be answered: an entry of a problem document's `invalid_params`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidParam {
    /// The parameter's name as the caller wrote it (shortened when absurdly long).
    pub name: String,
    /// What is wrong with it and what to write instead.
    pub reason: String,
    /// The name or value that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// The place of the mistake in the value: a character, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Whether the parameter is only wrong because what it refers to is gone.
    #[serde(skip)]
    pub is_gone: bool,
}

/// The most characters of an overlong name that a message repeats.
const NAME_CHARS_SHOWN: usize = 80;

impl InvalidParam {
    /// A mistake in a parameter, and the name or value that was probably meant.
    pub fn new(name: &str, reason: impl Into<String>, did_you_mean: Option<&str>) -> Self {
        Self {
            name: name.chars().take(NAME_CHARS_SHOWN).collect(),
            reason: reason.into(),
            did_you_mean: did_you_mean.map(str::to_owned),
            position: None,
            is_gone: false,
        }
    }
}

/// One term of an order. Nulls come last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortTerm {
    /// The column's place in [`Definition::columns`].
    pub column: usize,
    /// Whether larger values come first.
    pub descending: bool,
}

impl SortTerm {
    /// The order of two values in the term.
    pub fn compare(&self, left: &Value, right: &Value) -> Ordering {
        let order = ascending(left, right);
        if self.descending && !left.is_null() && !right.is_null() { order.reverse() } else { order }
    }
}

/// A place in an order: the number that [`Query::ranking`] gives to a record, if there is one, and the record's values in the columns
/// of [`Query::order`].
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The version of the data set that the record was read from.
    pub version: u64,
    /// The number as an integer, if there is one; then one value for each term of the order.
    pub values: Vec<Value>,
}

/// The last record of a page, if its values are too long for a cursor: the store looks them up again in the cursor's version.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// The version of the data set that the record was read from.
    pub version: u64,
    /// A filter for the record and few others.
    pub filter: Filter,
    /// Distinguishes the record's values from others: see [`Anchor::is_at`].
    pub(in crate::dataset) digest: [u8; 16],
}

/// The place after which a page continues.
#[derive(Debug, Clone, PartialEq)]
pub enum PageStart {
    /// After these values.
    At(Position),
    /// After this record.
    Behind(Anchor),
}

/// The place after which changes continue: after a version, or after one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Since {
    /// After all changes of this and earlier versions.
    Version(u64),
    /// After one record's change in one version. The values are the record's key and record id.
    Change(Position),
    /// The same, if these are too long for a cursor.
    Behind(Anchor),
}

impl Since {
    /// The version named, or that of the change.
    pub fn version(&self) -> u64 {
        match self {
            Self::Version(version) => *version,
            Self::Change(position) => position.version,
            Self::Behind(anchor) => anchor.version,
        }
    }

    /// The last version whose changes are all excluded. The version of a change still has changes to come.
    pub fn whole_version(&self) -> u64 {
        match self {
            Self::Version(version) => *version,
            Self::Change(_) | Self::Behind(_) => self.version().saturating_sub(1),
        }
    }
}

impl From<PageStart> for Since {
    fn from(place: PageStart) -> Self {
        match place {
            PageStart::At(position) => Self::Change(position),
            PageStart::Behind(anchor) => Self::Behind(anchor),
        }
    }
}

/// A question for the changes made by imports.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The place after which changes are asked for.
    pub since: Since,
    /// The most changes on a page.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// A question for the states of the records with a key.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The state after which to continue: the version that it is valid from, and the record id.
    pub after: Option<PageStart>,
    /// The most states on a page.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// The form in which the records of a path are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadForm {
    /// As [`Query::select`].
    pub select: Option<Vec<usize>>,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
    /// As [`Query::as_of`].
    pub as_of: Option<PointInTime>,
}

/// A question to a data set, checked against its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The filter for the records.
    pub filter: Filter,
    /// The columns, by place, in the order to publish them in; `None` means all.
    pub select: Option<Vec<usize>>,
    /// What decides before the requested order.
    pub ranking: Option<Ranking>,
    /// The requested order; [`Query::order`] makes it total.
    pub sort: Vec<SortTerm>,
    /// The most records in the page.
    pub limit: u32,
    /// The requested limit, if any. It holds for an export, which has no pages.
    pub limit_asked: Option<u32>,
    /// The place after which to continue.
    pub after: Option<Position>,
    /// The record after which to continue: the store turns it into `after` first.
    pub anchor: Option<Anchor>,
    /// Whether the answer says how many records match.
    pub count: bool,
    /// Whether the answer says how it was found.
    pub explain: bool,
    /// The form of the answer, if the query names it.
    pub format: Option<Format>,
    /// Whether CSV cells that a spreadsheet would take for formulas are made safe.
    pub csv_safe: bool,
    /// Whether CSV begins with a byte order mark, by which spreadsheets recognise UTF-8.
    pub bom: bool,
    /// The character between the values of CSV, if the query names it.
    pub delimiter: Option<Delimiter>,
    /// Whether whole numbers and amounts are texts, for readers that keep numbers as doubles.
    pub numbers_as_texts: bool,
    /// The version that is asked about; `None` means the present one, or that of the place to continue after. Where both are given,
    /// they name the same version.
    pub as_of: Option<PointInTime>,
}

/// A question for the values of columns and their frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Facets {
    /// The filter for the records.
    pub filter: Filter,
    /// The columns, by place.
    pub columns: Vec<usize>,
    /// The most values of each column; the most frequent come first.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
    /// As [`Query::as_of`].
    pub as_of: Option<PointInTime>,
}

/// A question for the figures of columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The filter for the records.
    pub filter: Filter,
    /// The columns, by place; none of them is a text column.
    pub columns: Vec<usize>,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
    /// As [`Query::as_of`].
    pub as_of: Option<PointInTime>,
}

impl Facets {
    /// A text that is equal for all ways to ask the same question of one version; see [`Query::normal_form`].
    pub fn normal_form(&self, definition: &Definition) -> String {
        let Self { filter, columns, limit, numbers_as_texts, as_of: _ } = self;
        format!("facets;{};limit={limit};texts={numbers_as_texts}", summarised(definition, filter, columns))
    }
}

impl Stats {
    /// A text that is equal for all ways to ask the same question of one version; see [`Query::normal_form`].
    pub fn normal_form(&self, definition: &Definition) -> String {
        let Self { filter, columns, numbers_as_texts, as_of: _ } = self;
        format!("stats;{};texts={numbers_as_texts}", summarised(definition, filter, columns))
    }
}

fn summarised(definition: &Definition, filter: &Filter, columns: &[usize]) -> String {
    let mut form = String::from("filter=");
    filter.write_normal_form(definition, &mut form);
    form.push_str(";columns=");
    for column in columns {
        push_name(definition, *column, &mut form);
    }
    form
}

impl Query {
    /// A question for all records in the order of their keys, `limit` on a page.
    pub fn everything(limit: u32) -> Self {
        Self {
            filter: Filter::All(Vec::new()),
            select: None,
            ranking: None,
            sort: Vec::new(),
            limit,
            limit_asked: None,
            after: None,
            anchor: None,
            count: false,
            explain: false,
            format: None,
            csv_safe: false,
            bom: false,
            delimiter: None,
            numbers_as_texts: false,
            as_of: None,
        }
    }

    /// The column whose points are the geometries of GeoJSON: the first such column that is selected, or else the only one.
    ///
    /// # Errors
    /// The reason why there is none, to follow the name of the parameter `format`.
    pub fn geometry(&self, definition: &Definition) -> Result<usize, String> {
        let is_point = |place: &usize| definition.column_kind(*place) == ColumnType::Point;
        if let Some(place) = self.select.iter().flatten().copied().find(is_point) {
            return Ok(place);
        }
        let points = definition.points();
        match points.as_slice() {
            [only] => Ok(*only),
            [] => Err("is geojson: this data set has no column of points".to_owned()),
            several => {
                let names: Vec<&str> = several.iter().map(|place| definition.column_name(*place)).collect();
                Err(format!(
                    "is geojson: name the column of the geometries first in select, one of {}",
                    names.join(", ")
                ))
            }
        }
    }

    /// Continues after a place.
    pub fn go_on(&mut self, place: PageStart) {
        (self.after, self.anchor) = match place {
            PageStart::At(position) => (Some(position), None),
            PageStart::Behind(anchor) => (None, Some(anchor)),
        };
    }

    /// Tells whether the query continues after a place.
    pub fn goes_on(&self) -> bool {
        self.after.is_some() || self.anchor.is_some()
    }

    /// The version in which the query continues.
    pub fn continued_version(&self) -> Option<u64> {
        let anchored = self.anchor.as_ref().map(|anchor| anchor.version);
        self.after.as_ref().map(|position| position.version).or(anchored)
    }

    /// The version in which the query continues, or that it names.
    pub fn version(&self) -> Option<u64> {
        self.continued_version().or_else(|| self.as_of.and_then(PointInTime::version))
    }

    /// What is wrong with the cursor of a query as of a version, if it is of another one.
    pub fn of_other_version(&self, as_of: u64) -> Option<InvalidParam> {
        let of = self.continued_version().filter(|of| *of != as_of)?;
        let reason =
            format!("is of version {of}, and as_of asks for version {as_of}: ask as of {of}, or without as_of");
        Some(InvalidParam::new("cursor", reason, None))
    }

    /// The query for the record after which this one continues; it finds the record's values in the order of this query.
    pub fn for_anchor(&self, anchor: &Anchor) -> Self {
        Self {
            filter: anchor.filter.clone(),
            ranking: self.ranking.clone(),
            sort: self.sort.clone(),
            ..Self::everything(u32::MAX)
        }
    }

    /// The total order of the answer among records of one rank: `sort`, then the record's key and record id, which no two records share. These follow the direction
    /// of the last sort term, so that one index serves an order and its reverse.
    pub fn order(&self, definition: &Definition) -> Vec<SortTerm> {
        let descending = self.sort.last().is_some_and(|term| term.descending);
        let mut order = self.sort.clone();
        for column in [definition.key, definition.record_id] {
            if !order.iter().any(|term| term.column == column) {
                order.push(SortTerm { column, descending });
            }
        }
        order
    }

    /// A text that is equal for all ways to ask the same question of one version: the order of parameters and list values and explicit
    /// defaults do not count. `cursor` is not part of it, nor is `as_of`: the version that is asked about is told beside it, so that a
    /// question as of the present version and the same one without `as_of` are equal.
    pub fn normal_form(&self, definition: &Definition) -> String {
        let mut form = self.scope(definition);
        form.push_str(";select=");
        for column in self.select.iter().flatten() {
            push_name(definition, *column, &mut form);
        }
        match self.format {
            Some(format) if format.is_export() => form.push_str(&format!(";limit={:?}", self.limit_asked)),
            _ => form.push_str(&format!(";limit={}", self.limit)),
        }
        let flags = [
            (self.count, ";count"),
            (self.explain, ";explain"),
            (self.csv_safe, ";csv_safe"),
            (self.bom, ";bom"),
            (self.numbers_as_texts, ";texts"),
        ];
        for (is_set, name) in flags {
            if is_set {
                form.push_str(name);
            }
        }
        if let Some(delimiter) = self.delimiter.filter(|delimiter| *delimiter != Delimiter::default()) {
            form.push_str(";delimiter=");
            form.push_str(delimiter.name());
        }
        form
    }

    /// The part of [`Query::normal_form`] that says which records come in which order. A cursor is bound to it, and has a version of its
    /// own: `limit`, `select`, `numbers` and `explain` may change between pages.
    pub fn scope(&self, definition: &Definition) -> String {
        let mut form = String::from("filter=");
        self.filter.write_normal_form(definition, &mut form);
        form.push_str(";sort=");
        if let Some(ranking) = &self.ranking {
            ranking.write_normal_form(&mut form);
        }
        for term in self.order(definition) {
            form.push(if term.descending { '-' } else { '+' });
            push_name(definition, term.column, &mut form);
        }
        form
    }
}

fn push_name(definition: &Definition, column: usize, out: &mut String) {
    out.push_str(definition.column_name(column));
    out.push(',');
}
