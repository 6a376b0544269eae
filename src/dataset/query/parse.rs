//! Plain parameters to a [`Query`]: `status=issued&estimated_cost__gte=10000&sort=-file_date`.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde_json::value::RawValue;

use super::{Filter, InvalidParam, Limits, Query, SortTerm, Term, Test, ascending, folded};
use crate::dataset::{
    ColumnType, Definition, Value,
    cursor::{self, CursorKey},
    suggest,
};

/// The operators that may follow a column's name and two underscores.
pub const OPERATORS: [&str; 12] =
    ["eq", "ne", "lt", "lte", "gt", "gte", "between", "in", "notin", "contains", "startswith", "isnull"];

/// The parameters that are not filters. A column of such a name is reached by `<name>__eq`.
pub const RESERVED: [&str; 5] = ["select", "sort", "limit", "cursor", "explain"];

/// What people write who are used to another interface.
const OPERATOR_ALIASES: [(&str, &str); 14] = [
    ("equals", "eq"),
    ("exact", "eq"),
    ("neq", "ne"),
    ("not", "ne"),
    ("le", "lte"),
    ("ge", "gte"),
    ("min", "gte"),
    ("max", "lte"),
    ("range", "between"),
    ("nin", "notin"),
    ("like", "contains"),
    ("icontains", "contains"),
    ("prefix", "startswith"),
    ("null", "isnull"),
];

/// Parameters beyond the terms: the reserved ones.
const PARAMETERS_EXTRA: usize = RESERVED.len();
/// How much of an overlong name is repeated in a message.
const NAME_CHARS_SHOWN: usize = 80;
/// Problems reported at most; a caller that has so many has another one.
const PROBLEMS_MAX: usize = 50;

/// Reads a query string as it stands in the request, still percent-encoded.
///
/// # Errors
/// Every parameter that is unknown, repeated, malformed, beyond a limit or of the wrong type, at once.
pub fn parse(
    definition: &Definition,
    raw_query: &str,
    limits: &Limits,
    cursor_key: &CursorKey,
) -> Result<Query, Vec<InvalidParam>> {
    let mut reading = Reading {
        definition,
        limits,
        problems: Vec::new(),
        terms: Vec::new(),
        select: None,
        sort: Vec::new(),
        limit: limits.page_records_default,
        cursor: None,
        explain: false,
    };
    let mut names_seen: Vec<String> = Vec::new();
    for parameter in raw_query.split('&').filter(|parameter| !parameter.is_empty()) {
        if names_seen.len() >= limits.terms_max + PARAMETERS_EXTRA || reading.problems.len() >= PROBLEMS_MAX {
            let reason = format!("too many parameters: at most {} conditions are allowed", limits.terms_max);
            reading.refuse("", reason, None);
            break;
        }
        let (raw_name, raw_value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (Some(name), Some(value)) = (decoded(raw_name), decoded(raw_value)) else {
            reading.refuse(raw_name, "is not percent-encoded UTF-8".into(), None);
            continue;
        };
        if names_seen.iter().any(|seen| *seen == name) {
            reading.refuse(&name, "is given more than once: write it once, with __in for several values".into(), None);
            continue;
        }
        reading.parameter(&name, &value);
        names_seen.push(name.into_owned());
    }
    reading.finish(cursor_key)
}

fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains(['%', '+']) {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// What has been read so far.
struct Reading<'a> {
    definition: &'a Definition,
    limits: &'a Limits,
    problems: Vec<InvalidParam>,
    terms: Vec<Filter>,
    select: Option<Vec<usize>>,
    sort: Vec<SortTerm>,
    limit: u32,
    cursor: Option<String>,
    explain: bool,
}

impl Reading<'_> {
    fn refuse(&mut self, name: &str, reason: String, did_you_mean: Option<String>) {
        let name = name.chars().take(NAME_CHARS_SHOWN).collect();
        self.problems.push(InvalidParam { name, reason, did_you_mean });
    }

    fn parameter(&mut self, name: &str, value: &str) {
        // A cursor has a limit of its own.
        if name != "cursor" && value.len() > self.limits.value_bytes_max {
            let reason = format!("is {} bytes long: at most {} are allowed", value.len(), self.limits.value_bytes_max);
            return self.refuse(name, reason, None);
        }
        match name {
            "select" => self.select(value),
            "sort" => self.sort(value),
            "limit" => self.limit(value),
            "cursor" => self.cursor = Some(value.to_owned()),
            "explain" => self.explain(value),
            _ => self.filter(name, value),
        }
    }

    fn limit(&mut self, value: &str) {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            let reason = format!("expected a whole number from 1 to {}", self.limits.page_records_max);
            return self.refuse("limit", reason, None);
        }
        // Digits that do not fit are a number larger than the maximum.
        self.limit = value.parse().unwrap_or(u32::MAX).clamp(1, self.limits.page_records_max);
    }

    fn explain(&mut self, value: &str) {
        match value {
            "true" => self.explain = true,
            "false" => self.explain = false,
            _ => self.refuse("explain", "expected true or false".to_owned(), None),
        }
    }

    fn select(&mut self, value: &str) {
        let mut columns = Vec::new();
        for name in value.split(',') {
            match self.column("select", name) {
                Some(column) if columns.contains(&column) => {
                    self.refuse("select", format!("names the column {name:?} twice"), None);
                }
                Some(column) => columns.push(column),
                None => {}
            }
        }
        let all = columns.iter().copied().eq(0..self.definition.columns.len());
        self.select = if all { None } else { Some(columns) };
    }

    fn sort(&mut self, value: &str) {
        let names: Vec<&str> = value.split(',').collect();
        if names.len() > self.limits.sort_columns_max {
            let reason = format!("names {} columns: at most {} are allowed", names.len(), self.limits.sort_columns_max);
            return self.refuse("sort", reason, None);
        }
        for name in names {
            let (bare, descending) = name.strip_prefix('-').map_or((name, false), |bare| (bare, true));
            match self.column("sort", bare) {
                Some(column) if self.sort.iter().any(|term| term.column == column) => {
                    self.refuse("sort", format!("names the column {bare:?} twice"), None);
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
        let (column_name, operator) = match name.rsplit_once("__") {
            // A column's own name may hold two underscores.
            Some(_) if self.definition.column_index(name).is_some() => (name, "eq"),
            Some((column_name, operator)) => (column_name, operator),
            None => (name, "eq"),
        };
        let Some(column) = self.definition.column_index(column_name) else {
            return self.unknown_parameter(name, column_name);
        };
        if !OPERATORS.contains(&operator) {
            let meant = OPERATOR_ALIASES
                .iter()
                .find_map(|(alias, meant)| (*alias == operator).then_some(*meant))
                .or_else(|| suggest::nearest(operator, OPERATORS))
                .map(|meant| format!("{column_name}__{meant}"));
            let reason = format!("there is no such operator: the operators are {}", OPERATORS.join(", "));
            return self.refuse(name, reason, meant);
        }
        if self.terms.len() >= self.limits.terms_max {
            let reason = format!("is one condition too many: at most {} are allowed", self.limits.terms_max);
            return self.refuse(name, reason, None);
        }
        match self.test(column, operator, value) {
            Ok(test) => self.terms.push(Filter::Term(Term { column, test })),
            Err(reason) => self.refuse(name, reason, None),
        }
    }

    fn unknown_parameter(&mut self, name: &str, column_name: &str) {
        let suffix = name.strip_prefix(column_name).unwrap_or("");
        let names = self.column_names().chain(RESERVED.into_iter().filter(|_| suffix.is_empty()));
        let meant = suggest::nearest(column_name, names).map(|meant| format!("{meant}{suffix}"));
        let reason = if suffix.is_empty() {
            "is neither a column nor a parameter of this data set".to_owned()
        } else {
            "does not begin with the name of a column".to_owned()
        };
        self.refuse(name, reason, meant);
    }

    fn test(&self, column: usize, operator: &str, text: &str) -> Result<Test, String> {
        let one = || self.value(column, text);
        Ok(match operator {
            "eq" => Test::Equal(one()?),
            "ne" => Test::NotEqual(one()?),
            "lt" => Test::Less(one()?),
            "lte" => Test::LessOrEqual(one()?),
            "gt" => Test::Greater(one()?),
            "gte" => Test::GreaterOrEqual(one()?),
            "between" => match self.list(column, text)?.as_slice() {
                [low, high] if ascending(low, high).is_le() => Test::Between(low.clone(), high.clone()),
                [_, _] => return Err("the first bound is above the second, so nothing can match".into()),
                _ => return Err("expected two values, as in 10000,50000".into()),
            },
            "in" => match self.distinct(column, text)?.as_slice() {
                [only] => Test::Equal(only.clone()),
                list => Test::In(list.to_vec()),
            },
            "notin" => match self.distinct(column, text)?.as_slice() {
                [only] => Test::NotEqual(only.clone()),
                list => Test::NotIn(list.to_vec()),
            },
            "contains" => Test::Contains(folded(self.text(column, text)?)),
            "startswith" if column == self.definition.key => Test::StartsWith(self.definition.canonical_key(text)),
            "startswith" => Test::StartsWith(self.text(column, text)?.to_owned()),
            _ => match text {
                "true" => Test::Null(true),
                "false" => Test::Null(false),
                _ => return Err("expected true or false".into()),
            },
        })
    }

    fn kind(&self, column: usize) -> ColumnType {
        self.definition.columns.get(column).map_or(ColumnType::Text, |column| column.kind)
    }

    fn text<'t>(&self, column: usize, text: &'t str) -> Result<&'t str, String> {
        match self.kind(column) {
            ColumnType::Text => Ok(text),
            _ => Err("this operator is for text columns only".into()),
        }
    }

    fn value(&self, column: usize, text: &str) -> Result<Value, String> {
        if column == self.definition.key {
            return Ok(Value::Text(self.definition.canonical_key(text)));
        }
        Value::parse(self.kind(column), text).map_err(|error| error.to_string())
    }

    fn distinct(&self, column: usize, text: &str) -> Result<Vec<Value>, String> {
        let mut values = self.list(column, text)?;
        values.sort_by(ascending);
        values.dedup_by(|left, right| ascending(left, right).is_eq());
        Ok(values)
    }

    /// A list: separated by commas, or a JSON array where a value holds a comma.
    fn list(&self, column: usize, text: &str) -> Result<Vec<Value>, String> {
        let items: Vec<Cow<'_, str>> = if text.starts_with('[') {
            let raw: Vec<&RawValue> = serde_json::from_str(text)
                .map_err(|_| "begins with [ but is not a JSON array such as [\"a, b\",\"c\"]".to_owned())?;
            raw.into_iter().map(|item| array_item(item.get())).collect::<Result<_, _>>()?
        } else {
            text.split(',').map(Cow::Borrowed).collect()
        };
        if items.is_empty() {
            return Err("the list is empty".into());
        }
        if items.len() > self.limits.list_values_max {
            return Err(format!("lists {} values: at most {} are allowed", items.len(), self.limits.list_values_max));
        }
        items
            .iter()
            .map(|item| {
                self.value(column, item).map_err(|reason| {
                    let shown: String = item.chars().take(NAME_CHARS_SHOWN).collect();
                    format!("{shown:?}: {reason}")
                })
            })
            .collect()
    }

    fn finish(mut self, cursor_key: &CursorKey) -> Result<Query, Vec<InvalidParam>> {
        let mut query = Query {
            filter: Filter::All(std::mem::take(&mut self.terms)),
            select: self.select.take(),
            sort: std::mem::take(&mut self.sort),
            limit: self.limit,
            after: None,
            explain: self.explain,
        };
        // With another mistake in the query, the cursor's own binding could not be judged.
        if let (true, Some(text)) = (self.problems.is_empty(), &self.cursor) {
            match cursor::open(cursor_key, self.definition, &query, text) {
                Ok(position) => query.after = Some(position),
                Err(error) => self.refuse("cursor", error.to_string(), None),
            }
        }
        if self.problems.is_empty() { Ok(query) } else { Err(self.problems) }
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
