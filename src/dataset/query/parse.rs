//! Parses plain parameters into a [`Query`]: `status=issued&estimated_cost__gte=10000&sort=-file_date`.

mod groups;
mod places;
mod ranked;

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde_json::value::RawValue;

pub use self::groups::parse_groups;
use super::{
    Changes, Delimiter, Facets, Filter, Format, History, InvalidParam, NAME_CHARS_SHOWN, PointInTime, Query,
    QueryLimits, ReadForm, Since, SortTerm, Stats, Term, WordSearch, expression, foreign,
    operator::{ConditionMaker, Operator, VALUE_CHARS_SHOWN},
    parameters::{AS_OF, OF_CHANGES, OF_FACETS, OF_GROUPS, OF_HISTORY, OF_PAGE, OF_READ, OF_STATS, RESERVED, YIELDING},
    ranking::RankName,
};
use crate::dataset::{
    ColumnType, Definition,
    cursor::{self, CursorError, CursorKey},
    suggest,
};

/// The message for any other value of `numbers`.
const NUMBERS_EXPECTED: &str = "expected text; without the parameter numbers are numbers";
/// Parameters allowed beyond the conditions: the reserved ones.
const PARAMETERS_EXTRA: usize = RESERVED.len() + YIELDING.len();
/// The most problems reported; a caller with more has another problem.
const PROBLEMS_MAX: usize = 50;

/// Reads the query string of a page or an export as it stands in the request, still percent-encoded.
///
/// # Errors
/// Every parameter that is unknown, repeated, malformed, beyond a limit or of the wrong type, at once.
pub fn parse(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
    cursor_key: &CursorKey,
) -> Result<Query, Vec<InvalidParam>> {
    QueryReading::new(definition, limits, &OF_PAGE).read(raw_query).page(cursor_key)
}

/// Reads the query string of a read by key.
///
/// # Errors
/// As [`parse`].
pub fn parse_read(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
) -> Result<ReadForm, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_READ).without_filters().read(raw_query);
    let (select, numbers_as_texts, as_of) = (reading.select.take(), reading.numbers_as_texts, reading.as_of);
    let form = ReadForm { select, numbers_as_texts, as_of };
    reading.finish(form)
}

/// Reads the query string of a question for the values of columns.
///
/// # Errors
/// As [`parse`].
pub fn parse_facets(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
) -> Result<Facets, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_FACETS).read(raw_query);
    let columns = reading.summarised(|_| true, "");
    let (limit, numbers_as_texts, as_of) = (reading.limit, reading.numbers_as_texts, reading.as_of);
    let facets = Facets { filter: reading.condition(), columns, limit, numbers_as_texts, as_of };
    reading.finish(facets)
}

/// Reads the query string of a question for figures.
///
/// # Errors
/// As [`parse`], and when a column's values have no meaningful order.
pub fn parse_stats(definition: &Definition, raw_query: &str, limits: &QueryLimits) -> Result<Stats, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_STATS).read(raw_query);
    let columns = reading.summarised(
        |kind| !matches!(kind, ColumnType::Text | ColumnType::Point),
        "has no figures: there are figures of numbers, amounts, dates and timestamps; values of other types are counted by facets",
    );
    let (numbers_as_texts, as_of) = (reading.numbers_as_texts, reading.as_of);
    let stats = Stats { filter: reading.condition(), columns, numbers_as_texts, as_of };
    reading.finish(stats)
}

/// Reads the query string of a question for changes.
///
/// # Errors
/// As [`parse`].
pub fn parse_changes(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
    cursor_key: &CursorKey,
) -> Result<Changes, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_CHANGES).without_filters().read(raw_query);
    let since = match reading.since.take() {
        None => {
            if reading.problems.is_empty() {
                let reason = "is missing: name a version of the data set, as answers tell it, or a page.next";
                reading.refuse("since", reason.to_owned(), None);
            }
            Since::Version(0)
        }
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
            Since::Version(text.parse().unwrap_or(u64::MAX))
        }
        Some(text) => match cursor::open_change(cursor_key, definition, &text) {
            Ok(place) => place.into(),
            Err(error) => {
                reading.refuse_cursor("since", error);
                Since::Version(0)
            }
        },
    };
    let changes = Changes { since, limit: reading.limit, numbers_as_texts: reading.numbers_as_texts };
    reading.finish(changes)
}

/// Reads the query string of a question for the history of a key, or of one of its records.
///
/// # Errors
/// As [`parse`].
pub fn parse_history(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
    cursor_key: &CursorKey,
    (key, record_id): (&str, Option<&str>),
) -> Result<History, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_HISTORY).without_filters().read(raw_query);
    let mut after = None;
    if let Some(text) = reading.cursor.take() {
        match cursor::open_state(cursor_key, definition, (key, record_id), &text) {
            Ok(place) => after = Some(place),
            Err(error) => reading.refuse_cursor("cursor", error),
        }
    }
    let history = History { after, limit: reading.limit, numbers_as_texts: reading.numbers_as_texts };
    reading.finish(history)
}

fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains(['%', '+']) {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// The parameters of groups as texts: they refer to each other, in whatever order they come.
#[derive(Debug, Default)]
struct GroupTexts {
    by: Option<String>,
    measure: Option<String>,
    having: Option<String>,
    sort: Option<String>,
}

/// The query as read so far.
struct QueryReading<'a> {
    definition: &'a Definition,
    limits: &'a QueryLimits,
    allowed: &'static [&'static str],
    takes_filters: bool,
    problems: Vec<InvalidParam>,
    filters: Vec<Filter>,
    terms_left: usize,
    select: Option<Vec<usize>>,
    words: Option<WordSearch>,
    ranked: Option<(RankName, bool)>,
    sort: Vec<SortTerm>,
    limit: u32,
    limit_asked: Option<u32>,
    cursor: Option<String>,
    count: bool,
    explain: bool,
    format: Option<Format>,
    csv_safe: bool,
    bom: bool,
    delimiter: Option<Delimiter>,
    numbers_as_texts: bool,
    columns: Option<Vec<usize>>,
    since: Option<String>,
    as_of: Option<PointInTime>,
    groups: GroupTexts,
}

impl<'a> QueryReading<'a> {
    fn new(definition: &'a Definition, limits: &'a QueryLimits, allowed: &'static [&'static str]) -> Self {
        Self {
            definition,
            limits,
            allowed,
            takes_filters: true,
            problems: Vec::new(),
            filters: Vec::new(),
            terms_left: limits.terms_max,
            select: None,
            words: None,
            ranked: None,
            sort: Vec::new(),
            limit: limits.page_records_default,
            limit_asked: None,
            cursor: None,
            count: false,
            explain: false,
            format: None,
            csv_safe: false,
            bom: false,
            delimiter: None,
            numbers_as_texts: false,
            columns: None,
            since: None,
            as_of: None,
            groups: GroupTexts::default(),
        }
    }

    fn without_filters(self) -> Self {
        Self { takes_filters: false, ..self }
    }

    fn read(mut self, raw_query: &str) -> Self {
        if raw_query.len() > self.limits.query_bytes_max {
            let (bytes, most) = (raw_query.len(), self.limits.query_bytes_max);
            let reason =
                format!("the query is {bytes} bytes long: at most {most} are allowed; ask in several requests");
            self.refuse("", reason, None);
            return self;
        }
        let mut names_seen: Vec<String> = Vec::new();
        for parameter in raw_query.split('&').filter(|parameter| !parameter.is_empty()) {
            if names_seen.len() >= self.limits.terms_max + PARAMETERS_EXTRA || self.problems.len() >= PROBLEMS_MAX {
                let reason = format!("too many parameters: at most {} conditions are allowed", self.limits.terms_max);
                self.refuse("", reason, None);
                break;
            }
            let (raw_name, raw_value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (Some(name), Some(value)) = (decoded(raw_name), decoded(raw_value)) else {
                self.refuse(raw_name, "is not percent-encoded UTF-8".into(), None);
                continue;
            };
            if names_seen.iter().any(|seen| *seen == name) {
                let is_parameter = self.allowed.contains(&name.as_ref()) || YIELDING.contains(&name.as_ref());
                let how = if is_parameter { "" } else { ", with __in for several values" };
                self.refuse(&name, format!("is given more than once: write it once{how}"), None);
                continue;
            }
            self.parameter(&name, &value);
            names_seen.push(name.into_owned());
        }
        self
    }

    fn refuse(&mut self, name: &str, reason: String, did_you_mean: Option<String>) {
        self.problems.push(InvalidParam::new(name, reason, did_you_mean.as_deref()));
    }

    fn refuse_cursor(&mut self, name: &str, error: CursorError) {
        let refused = InvalidParam::new(name, error.to_string(), None);
        self.problems.push(InvalidParam { is_gone: error == CursorError::Gone, ..refused });
    }

    fn parameter(&mut self, name: &str, value: &str) {
        // A cursor has its own limit.
        if !matches!(name, "cursor" | "since") && value.len() > self.limits.value_bytes_max {
            let reason = format!("is {} bytes long: at most {} are allowed", value.len(), self.limits.value_bytes_max);
            return self.refuse(name, reason, None);
        }
        match name {
            _ if RESERVED.contains(&name) && !self.allowed.contains(&name) => {
                let conditions = if self.takes_filters { "conditions, " } else { "" };
                let reason =
                    format!("is no parameter of this resource: it takes {conditions}{}", self.allowed.join(", "));
                self.refuse(name, reason, None);
            }
            "filter" => self.expression(value),
            _ if YIELDING.contains(&name) && self.definition.column_index(name).is_none() => self.yielding(name, value),
            "select" => self.select = self.column_list("select", value),
            "sort" if self.allowed.contains(&"by") => self.groups.sort = Some(value.to_owned()),
            "by" if self.allowed.contains(&"by") => self.groups.by = Some(value.to_owned()),
            "measure" if self.allowed.contains(&"by") => self.groups.measure = Some(value.to_owned()),
            "having" if self.allowed.contains(&"by") => self.groups.having = Some(value.to_owned()),
            "sort" => self.sort(value),
            "limit" => self.limit(value),
            "cursor" => self.cursor = Some(value.to_owned()),
            "count" => match value {
                "exact" => self.count = true,
                _ => {
                    let meant = Some("exact".to_owned());
                    self.refuse("count", "expected exact; without the parameter nothing is counted".to_owned(), meant);
                }
            },
            "explain" => self.explain = self.flag("explain", value),
            "format" => {
                let found = Format::ALL.into_iter().find(|format| format.name() == value);
                self.format = self.word("format", value, &Format::ALL.map(Format::name), found);
            }
            "csv_safe" => self.csv_safe = self.flag("csv_safe", value),
            "bom" => self.bom = self.flag("bom", value),
            "delimiter" => {
                let names = Delimiter::ALL.map(Delimiter::name);
                self.delimiter = self.word("delimiter", value, &names, Delimiter::named(value));
            }
            "numbers" => match value {
                "text" => self.numbers_as_texts = true,
                _ => self.refuse("numbers", NUMBERS_EXPECTED.to_owned(), Some("text".to_owned())),
            },
            "since" => self.since = Some(value.to_owned()),
            "columns" => self.columns = self.column_list("columns", value),
            AS_OF if self.allowed.contains(&AS_OF) => match PointInTime::parse(value) {
                Ok(as_of) => self.as_of = Some(as_of),
                Err(reason) => self.refuse(AS_OF, reason, None),
            },
            AS_OF => {
                let takes = self.allowed.join(", ");
                let reason = format!(
                    "is no parameter of this resource, which tells of all versions that are held: it takes {takes}"
                );
                self.refuse(AS_OF, reason, None);
            }
            _ => self.filter(name, value),
        }
    }

    fn expression(&mut self, text: &str) {
        match expression::parse(self.definition, self.limits, self.terms_left, text) {
            Ok(filter) => {
                self.terms_left = self.terms_left.saturating_sub(filter.terms());
                self.filters.push(filter);
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// What a value that is one of these words was found to mean.
    fn word<T>(&mut self, name: &str, value: &str, words: &[&'static str], found: Option<T>) -> Option<T> {
        if found.is_none() {
            let meant = suggest::nearest(value, words.iter().copied()).map(str::to_owned);
            self.refuse(name, format!("expected one of {}", words.join(", ")), meant);
        }
        found
    }

    fn flag(&mut self, name: &str, value: &str) -> bool {
        if !matches!(value, "true" | "false") {
            self.refuse(name, "expected true or false".to_owned(), None);
        }
        value == "true"
    }

    fn limit(&mut self, value: &str) {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            let reason = format!("expected a whole number from 1 to {}", self.limits.page_records_max);
            return self.refuse("limit", reason, None);
        }
        // Digits that overflow mean a number above the maximum.
        let asked = value.parse().unwrap_or(u32::MAX);
        if asked == 0 {
            let most = self.limits.page_records_max;
            let how = if self.allowed.contains(&"count") { "; to count only, ask for limit=1&count=exact" } else { "" };
            return self.refuse("limit", format!("is 0: expected a whole number from 1 to {most}{how}"), None);
        }
        self.limit_asked = Some(asked);
        self.limit = asked.min(self.limits.page_records_max);
    }

    fn column_list(&mut self, parameter: &str, value: &str) -> Option<Vec<usize>> {
        let mut columns = Vec::new();
        for name in value.split(',') {
            if self.problems.len() >= PROBLEMS_MAX {
                break;
            }
            match self.column(parameter, name) {
                Some(column) if columns.contains(&column) => {
                    self.refuse(parameter, format!("names the column {name:?} twice"), None);
                }
                Some(column) => columns.push(column),
                None => {}
            }
        }
        Some(columns)
    }

    fn sort(&mut self, value: &str) {
        let names: Vec<&str> = value.split(',').collect();
        if names.len() > self.limits.sort_columns_max {
            let reason = format!("names {} columns: at most {} are allowed", names.len(), self.limits.sort_columns_max);
            return self.refuse("sort", reason, None);
        }
        for name in names {
            let (bare, descending) = name.strip_prefix('-').map_or((name, false), |bare| (bare, true));
            if self.is_rank(bare, descending) {
                continue;
            }
            match self.column("sort", bare) {
                Some(column) if self.sort.iter().any(|term| term.column == column) => {
                    self.refuse("sort", format!("names the column {bare:?} twice"), None);
                }
                Some(column) if self.definition.column_kind(column) == ColumnType::Point => {
                    let reason = format!(
                        "names {bare:?}, and points have no order: sort=distance orders by the distance from near="
                    );
                    self.refuse("sort", reason, None);
                }
                Some(column) => self.sort.push(SortTerm { column, descending }),
                None => {}
            }
        }
    }

    /// The column that a value of `parameter` names.
    fn column(&mut self, parameter: &str, name: &str) -> Option<usize> {
        let found = self.definition.column_index(name);
        if found.is_none() {
            let reason = if name.is_empty() {
                "expected column names, separated by commas".to_owned()
            } else {
                let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
                format!("there is no column {shown:?}")
            };
            let meant = suggest::nearest(name, self.column_names()).map(str::to_owned);
            self.refuse(parameter, reason, meant);
        }
        found
    }

    fn column_names(&self) -> impl Iterator<Item = &str> {
        self.definition.columns.iter().map(|column| column.name.as_str())
    }

    fn filter(&mut self, name: &str, value: &str) {
        if !self.takes_filters {
            if self.is_foreign(name) {
                return;
            }
            let meant = suggest::nearest(name, self.allowed.iter().copied()).map(str::to_owned);
            let reason = format!("is no parameter of this resource: it takes {}", self.allowed.join(", "));
            return self.refuse(name, reason, meant);
        }
        if self.is_place(name, value) {
            return;
        }
        let (column_name, operator) = match name.rsplit_once("__") {
            // A column's own name may contain two underscores.
            Some(_) if self.definition.column_index(name).is_some() => (name, "eq"),
            Some((column_name, operator)) => (column_name, operator),
            None => (name, "eq"),
        };
        let Some(column) = self.definition.column_index(column_name) else {
            return self.unknown_parameter(name, column_name);
        };
        let Some(operator) = Operator::named(operator) else {
            let meant = Operator::meant(operator).map(|meant| format!("{column_name}__{}", meant.name()));
            let reason = format!("there is no such operator: the operators are {}", Operator::names());
            return self.refuse(name, reason, meant);
        };
        // To ask for such a text itself, callers write `__eq`.
        if let Some(condition) = foreign::condition(value).filter(|_| name == column_name) {
            let (reason, meant) = condition.told(column_name, VALUE_CHARS_SHOWN);
            return self.refuse(name, reason, meant);
        }
        self.condition_on(name, (column, operator), value);
    }

    /// Takes a condition on a column.
    fn condition_on(&mut self, name: &str, (column, operator): (usize, Operator), value: &str) {
        let Some(left) = self.terms_left.checked_sub(1) else {
            let reason = format!("is one condition too many: at most {} are allowed", self.limits.terms_max);
            return self.refuse(name, reason, None);
        };
        self.terms_left = left;
        let conditions = ConditionMaker { definition: self.definition, limits: self.limits };
        let values = if operator.takes_list() { self.values(column, value) } else { Ok(vec![Cow::Borrowed(value)]) };
        match values.and_then(|values| conditions.test(column, operator, &values).map_err(|unfit| unfit.reason)) {
            Ok(test) => self.filters.push(Filter::Term(Term { column, test })),
            Err(reason) => self.refuse(name, reason, None),
        }
    }

    /// Refuses a parameter of another product, and says how to do the same here.
    fn is_foreign(&mut self, name: &str) -> bool {
        let Some((here, meant)) = foreign::parameter(name) else { return false };
        let is_searched = || self.takes_filters && self.definition.is_searched();
        let is_allowed = |meant: &&str| self.allowed.contains(meant) || (*meant == "q" && is_searched());
        let meant = meant.filter(is_allowed).map(str::to_owned);
        self.refuse(name, format!("is no parameter here: {here}"), meant);
        true
    }

    fn unknown_parameter(&mut self, name: &str, column_name: &str) {
        if self.is_foreign(name) {
            return;
        }
        let suffix = name.strip_prefix(column_name).unwrap_or("");
        let names = self.column_names().chain(self.allowed.iter().copied().filter(|_| suffix.is_empty()));
        let meant = suggest::nearest(column_name, names).map(|meant| format!("{meant}{suffix}"));
        let reason = if suffix.is_empty() {
            "is neither a column nor a parameter of this data set".to_owned()
        } else {
            "does not begin with the name of a column".to_owned()
        };
        self.refuse(name, reason, meant);
    }

    /// A list: separated by commas, or a JSON array for values with commas.
    fn list<'t>(&self, text: &'t str) -> Result<Vec<Cow<'t, str>>, String> {
        if !text.starts_with('[') {
            return Ok(text.split(',').map(Cow::Borrowed).collect());
        }
        let raw: Vec<&RawValue> = serde_json::from_str(text)
            .map_err(|_| "begins with [ but is not a JSON array such as [\"a, b\",\"c\"]".to_owned())?;
        raw.into_iter().map(|item| array_item(item.get())).collect()
    }

    /// The filter of all conditions together.
    fn condition(&mut self) -> Filter {
        Filter::all(std::mem::take(&mut self.filters))
    }

    /// The columns to be summarised. Columns of an unsuitable type are refused.
    fn summarised(&mut self, is_meant: impl Fn(ColumnType) -> bool, refusal: &str) -> Vec<usize> {
        let columns = self.columns.take().unwrap_or_else(|| {
            self.refuse("columns", "is missing: name the columns, separated by commas".to_owned(), None);
            Vec::new()
        });
        let most = self.limits.summary_columns_max;
        if columns.len() > most {
            self.refuse("columns", format!("names {} columns: at most {most} are allowed", columns.len()), None);
        }
        for column in columns.iter().take(most).filter_map(|column| self.definition.columns.get(*column)) {
            if !is_meant(column.kind) {
                self.refuse("columns", format!("{:?} {refusal}", column.name), None);
            }
        }
        columns
    }

    fn page(mut self, cursor_key: &CursorKey) -> Result<Query, Vec<InvalidParam>> {
        let everything = |columns: &Vec<usize>| columns.iter().copied().eq(0..self.definition.columns.len());
        let filter = self.condition();
        let ranking = self.ranking(&filter);
        let mut query = Query {
            select: self.select.take().filter(|columns| !everything(columns)),
            filter,
            ranking,
            sort: std::mem::take(&mut self.sort),
            limit: self.limit,
            limit_asked: self.limit_asked,
            after: None,
            anchor: None,
            count: self.count,
            explain: self.explain,
            format: self.format,
            csv_safe: self.csv_safe,
            bom: self.bom,
            delimiter: self.delimiter,
            numbers_as_texts: self.numbers_as_texts,
            as_of: self.as_of,
        };
        // With another mistake in the query, the cursor's binding cannot be checked.
        if let (true, Some(text)) = (self.problems.is_empty(), &self.cursor) {
            match cursor::open(cursor_key, self.definition, &query, text) {
                Ok(place) => query.go_on(place),
                Err(error) => self.refuse_cursor("cursor", error),
            }
        }
        if let Some(wrong) =
            query.as_of.and_then(PointInTime::version).and_then(|version| query.of_other_version(version))
        {
            self.problems.push(wrong);
        }
        self.finish(query)
    }

    fn finish<T>(self, question: T) -> Result<T, Vec<InvalidParam>> {
        if self.problems.is_empty() { Ok(question) } else { Err(self.problems) }
    }
}

/// The text of a string or a number in a JSON array.
fn array_item(raw: &str) -> Result<Cow<'_, str>, String> {
    if raw.starts_with('"') {
        return serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| error.to_string());
    }
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(Cow::Borrowed(raw));
    }
    if raw == "null" {
        return Err("null is no list value: use __isnull".into());
    }
    Err("expected strings or numbers in the JSON array".into())
}
