//! Questions to a data set: which records (filter), which of their columns (select), in which order (sort), how many, and
//! after which one (cursor). What a store answers is defined here; how it finds it is the store's business.

mod expression;
mod filter;
mod foreign;
mod operator;
mod parse;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use filter::{Filter, Term, Test, after_prefix, ascending};
pub use foreign::{KEY_IN_ADDRESS, is_key};
pub use operator::Operator;
pub use parse::{RESERVED, parse, parse_changes, parse_facets, parse_history, parse_read, parse_stats};

use super::{Definition, Value};

/// How large a question may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLimits {
    /// Bytes of a query string.
    pub query_bytes_max: usize,
    /// Conditions in one query.
    pub terms_max: usize,
    /// Parentheses and NOTs of an expression within one another.
    pub depth_max: usize,
    /// Values in one list.
    pub list_values_max: usize,
    /// Columns in `sort`.
    pub sort_columns_max: usize,
    /// Columns of facets or figures.
    pub summary_columns_max: usize,
    /// Bytes of one parameter's decoded value.
    pub value_bytes_max: usize,
    /// Records in a page when `limit` is absent.
    pub page_records_default: u32,
    /// Records in a page at most: a larger `limit` is brought down to it.
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
    /// The character of the value that it is about, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Whether it would be right if what it is about were not gone.
    #[serde(skip)]
    pub is_gone: bool,
}

/// How much of an overlong name is repeated in a message.
const NAME_CHARS_SHOWN: usize = 80;

impl InvalidParam {
    /// What is wrong with a parameter, and what was probably meant.
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
    /// From the largest value to the smallest.
    pub descending: bool,
}

/// A place in an order: the values of one record in the columns of [`Query::order`].
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The version of the data set that the record was read from.
    pub version: u64,
    /// As many values as the order has terms.
    pub values: Vec<Value>,
}

/// The record that a page ended at, where its values are more than a cursor takes along: the store finds them again, in the
/// version that the cursor is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// The version of the data set that the record was read from.
    pub version: u64,
    /// A filter that means the record, and few others.
    pub filter: Filter,
    /// Tells the record's values from those of others: see [`Anchor::is_at`].
    pub(in crate::dataset) digest: [u8; 16],
}

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum PageStart {
    /// Behind these values.
    At(Position),
    /// Behind this record.
    Behind(Anchor),
}

/// Where to go on with changes: after all that earlier versions changed, or after one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Since {
    /// After everything that this version and earlier ones changed.
    Version(u64),
    /// After the change of one record by one version. The values are the record's key and its record id.
    Change(Position),
    /// The same, where these are more than a cursor takes along.
    Behind(Anchor),
}

impl Since {
    /// The version that was named, or whose change was.
    pub fn version(&self) -> u64 {
        match self {
            Self::Version(version) => *version,
            Self::Change(position) => position.version,
            Self::Behind(anchor) => anchor.version,
        }
    }

    /// The last version of which nothing is asked for any more. Of that of a change all changes are still there.
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

/// A question for what imports have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Since then.
    pub since: Since,
    /// Changes on a page at most.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// A question for the states of the records that bear a key.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Answer with what comes after this state: the version that it is valid from, and the record id.
    pub after: Option<PageStart>,
    /// States on a page at most.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// How the records that a path names are to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadForm {
    /// As [`Query::select`].
    pub select: Option<Vec<usize>>,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// A question to a data set, checked against its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// Which columns, by place, in the order to publish them in; none means all of them.
    pub select: Option<Vec<usize>>,
    /// The order as asked for; [`Query::order`] is the total one.
    pub sort: Vec<SortTerm>,
    /// Records in the page at most.
    pub limit: u32,
    /// The limit as it was asked for, if it was. It holds for an export, which has no pages.
    pub limit_asked: Option<u32>,
    /// Answer with what comes after this place.
    pub after: Option<Position>,
    /// Answer with what comes after this record: the store makes an `after` of it first.
    pub anchor: Option<Anchor>,
    /// Say in the answer how many records match.
    pub count: bool,
    /// Say in the answer how it was found.
    pub explain: bool,
    /// The form of the answer, if the query says it.
    pub format: Option<Format>,
    /// Write no cell of CSV that a spreadsheet would take for a formula.
    pub csv_safe: bool,
    /// Begin CSV with a byte order mark, by which spreadsheets know UTF-8.
    pub bom: bool,
    /// Write whole numbers and amounts as JSON strings, for readers that keep numbers as doubles.
    pub numbers_as_texts: bool,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One page as a JSON document.
    Json,
    /// Everything that matches, a JSON object a line.
    Ndjson,
    /// Everything that matches, as a table (RFC 4180).
    Csv,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// As the parameter `format` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Whether it holds everything that matches, instead of a page.
    pub fn is_export(self) -> bool {
        self != Self::Json
    }
}

/// A question for the values of columns, and how often each occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Facets {
    /// In these records.
    pub filter: Filter,
    /// Of these columns, by place.
    pub columns: Vec<usize>,
    /// Values of each column at most, the most frequent first.
    pub limit: u32,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

/// A question for the figures of columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Of these records.
    pub filter: Filter,
    /// Of these columns, by place; none of them is a text.
    pub columns: Vec<usize>,
    /// As [`Query::numbers_as_texts`].
    pub numbers_as_texts: bool,
}

impl Facets {
    /// One text for all ways of asking the same.
    pub fn normal_form(&self, definition: &Definition) -> String {
        let Self { filter, columns, limit, numbers_as_texts } = self;
        format!("facets;{};limit={limit};texts={numbers_as_texts}", summarised(definition, filter, columns))
    }
}

impl Stats {
    /// One text for all ways of asking the same.
    pub fn normal_form(&self, definition: &Definition) -> String {
        let Self { filter, columns, numbers_as_texts } = self;
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
    /// All records in the order of their keys, so many on a page.
    pub fn everything(limit: u32) -> Self {
        Self {
            filter: Filter::All(Vec::new()),
            select: None,
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
            numbers_as_texts: false,
        }
    }

    /// Goes on at a place.
    pub fn go_on(&mut self, place: PageStart) {
        (self.after, self.anchor) = match place {
            PageStart::At(position) => (Some(position), None),
            PageStart::Behind(anchor) => (None, Some(anchor)),
        };
    }

    /// Whether it goes on somewhere.
    pub fn goes_on(&self) -> bool {
        self.after.is_some() || self.anchor.is_some()
    }

    /// The version that it goes on in.
    pub fn version(&self) -> Option<u64> {
        let anchored = self.anchor.as_ref().map(|anchor| anchor.version);
        self.after.as_ref().map(|position| position.version).or(anchored)
    }

    /// The question for the record that it goes on behind: its values in the order of this query are found by it.
    pub fn for_anchor(&self, anchor: &Anchor) -> Self {
        Self { filter: anchor.filter.clone(), sort: self.sort.clone(), ..Self::everything(u32::MAX) }
    }

    /// The order of the answer: `sort`, and then the record's key and record id, by which no two records are alike. They
    /// follow in the direction of the last sort term, so that one index serves an order and its reverse.
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

    /// One text for all ways of asking the same: the order of parameters and of list values does not count, nor does a
    /// default that is spelt out. `cursor` is not part of it.
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
        form
    }

    /// The part of [`Query::normal_form`] that says which records come in which order. A cursor is bound to it and to
    /// nothing else: `limit`, `select`, `numbers` and `explain` may change from page to page without losing one's place.
    pub fn scope(&self, definition: &Definition) -> String {
        let mut form = String::from("filter=");
        self.filter.write_normal_form(definition, &mut form);
        form.push_str(";sort=");
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
