//! Filters: the records that a question is about, as a tree with one meaning for all record stores.

use std::{cmp::Ordering, fmt::Write};

use super::WordSearch;
use crate::dataset::{Definition, Record, Value, place::Area, text::contains_folded};

/// A condition on a record. [`Filter::matches`] defines its meaning; a store may find the same records in any way.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold; an empty list matches every record.
    All(Vec<Filter>),
    /// At least one of them holds; an empty list matches no record.
    Any(Vec<Filter>),
    /// The filter does not hold.
    Not(Box<Filter>),
    /// A condition on one column.
    Term(Term),
    /// Words in any of several columns.
    Words(WordSearch),
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The column's place in [`Definition::columns`].
    pub column: usize,
    /// The test that the column's value has to pass.
    pub test: Test,
}

/// A test of a value. It is true or false, never unknown: a null equals nothing, so it passes `NotEqual` and `NotIn`, and fails every other
/// test but `Null(true)`. Hence `ne` is exactly "not `eq`".
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The value is this one.
    Equal(Value),
    /// The value is null or another one.
    NotEqual(Value),
    /// The value comes before this one.
    Less(Value),
    /// The value is this one or comes before it.
    LessOrEqual(Value),
    /// The value comes after this one.
    Greater(Value),
    /// The value is this one or comes after it.
    GreaterOrEqual(Value),
    /// The value lies between the two, both included.
    Between(Value, Value),
    /// The value is one of these: in ascending order, without repetition, at least two.
    In(Vec<Value>),
    /// The value is null or none of these.
    NotIn(Vec<Value>),
    /// The value is a text that contains this one, which is [`folded`](crate::dataset::text::folded); case is ignored.
    Contains(String),
    /// The value is a text that begins with this one.
    StartsWith(String),
    /// The value is a point in this area.
    Inside(Area),
    /// The value is null (`true`) or not null (`false`).
    Null(bool),
}

impl Filter {
    /// The filter that holds if all of these hold. Nested lists are flattened.
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat = Vec::new();
        for filter in filters {
            match filter {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            1 => flat.remove(0),
            _ => Self::All(flat),
        }
    }

    /// The filter that holds if at least one of these holds. Several values of one column become one list, which an index can look up.
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat: Vec<Filter> = Vec::new();
        for filter in filters {
            match filter {
                Self::Any(inner) => inner.into_iter().for_each(|filter| join(&mut flat, filter)),
                other => join(&mut flat, other),
            }
        }
        match flat.len() {
            1 => flat.remove(0),
            _ => Self::Any(flat),
        }
    }

    /// The opposite filter. The negation is pushed inwards as far as possible, so that an index can look up the result.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::All(filters) => Self::any(filters.into_iter().map(Self::negated)),
            Self::Any(filters) => Self::all(filters.into_iter().map(Self::negated)),
            Self::Not(filter) => *filter,
            Self::Words(search) => Self::Not(Box::new(Self::Words(search))),
            Self::Term(Term { column, test }) => match test.opposite() {
                Ok(test) => Self::Term(Term { column, test }),
                Err(test) => Self::Not(Box::new(Self::Term(Term { column, test }))),
            },
        }
    }

    /// The filters that all have to hold.
    pub fn parts(&self) -> &[Filter] {
        match self {
            Self::All(filters) => filters,
            other => std::slice::from_ref(other),
        }
    }

    /// The conditions on one column that all have to hold. There may be other [`Filter::parts`], too.
    pub fn conjuncts(&self) -> Vec<&Term> {
        self.parts().iter().filter_map(|part| if let Self::Term(term) = part { Some(term) } else { None }).collect()
    }

    /// The number of conditions in the filter.
    pub fn terms(&self) -> usize {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::terms).sum(),
            Self::Not(filter) => filter.terms(),
            Self::Term(_) | Self::Words(_) => 1,
        }
    }

    /// Tells whether the record passes the filter.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(record)),
            Self::Not(filter) => !filter.matches(record),
            Self::Term(term) => record.values.get(term.column).is_some_and(|value| term.test.accepts(value)),
            Self::Words(search) => search.is_met(search.bits_of_record(record)),
        }
    }

    /// Appends a form that is equal for filters that differ only in the order of their parts.
    pub fn write_normal_form(&self, definition: &Definition, out: &mut String) {
        match self {
            Self::Term(term) => {
                out.push_str(definition.column_name(term.column));
                term.test.write_normal_form(out);
            }
            Self::Words(search) => search.write_normal_form(definition, out),
            Self::All(filters) => write_sorted(filters, "&", definition, out),
            Self::Any(filters) => write_sorted(filters, "|", definition, out),
            Self::Not(filter) => {
                out.push('!');
                filter.write_normal_form(definition, out);
            }
        }
    }
}

/// Adds an alternative to a list of alternatives.
fn join(filters: &mut Vec<Filter>, filter: Filter) {
    let Filter::Term(Term { column, test: Test::Equal(_) | Test::In(_) }) = &filter else {
        filters.push(filter);
        return;
    };
    let column = *column;
    let equals = |known: &&mut Filter| matches!(known, Filter::Term(Term { column: of, test: Test::Equal(_) | Test::In(_) }) if *of == column);
    match (filters.iter_mut().find(equals), filter) {
        (Some(Filter::Term(known)), Filter::Term(added)) => {
            let mut values = std::mem::replace(&mut known.test, Test::In(Vec::new())).values();
            values.extend(added.test.values());
            known.test = Test::one_of(values);
        }
        (_, filter) => filters.push(filter),
    }
}

fn write_sorted(filters: &[Filter], between: &str, definition: &Definition, out: &mut String) {
    let mut forms: Vec<String> = filters
        .iter()
        .map(|filter| {
            let mut form = String::new();
            filter.write_normal_form(definition, &mut form);
            form
        })
        .collect();
    forms.sort_unstable();
    forms.dedup();
    out.push('(');
    out.push_str(&forms.join(between));
    out.push(')');
}

impl Test {
    /// The test for any of these values.
    pub fn one_of(mut values: Vec<Value>) -> Self {
        values.sort_by(ascending);
        values.dedup_by(|left, right| ascending(left, right).is_eq());
        match values.len() {
            1 => Self::Equal(values.remove(0)),
            _ => Self::In(values),
        }
    }

    /// The test for null or none of these values.
    pub fn none_of(values: Vec<Value>) -> Self {
        match Self::one_of(values) {
            Self::Equal(value) => Self::NotEqual(value),
            Self::In(values) => Self::NotIn(values),
            other => other,
        }
    }

    /// The values that a test of equality names.
    fn values(self) -> Vec<Value> {
        match self {
            Self::Equal(value) | Self::NotEqual(value) => vec![value],
            Self::In(values) | Self::NotIn(values) => values,
            _ => Vec::new(),
        }
    }

    /// The test that holds exactly if this one does not; `Err` with the test itself if there is none: the opposite of a comparison would
    /// have to hold for null.
    fn opposite(self) -> Result<Self, Self> {
        Ok(match self {
            Self::Equal(value) => Self::NotEqual(value),
            Self::NotEqual(value) => Self::Equal(value),
            Self::In(values) => Self::NotIn(values),
            Self::NotIn(values) => Self::In(values),
            Self::Null(wanted) => Self::Null(!wanted),
            other => return Err(other),
        })
    }

    /// Tells whether a value passes the test.
    pub fn accepts(&self, value: &Value) -> bool {
        let compare = |bound: &Value| if value.is_null() { None } else { Some(ascending(value, bound)) };
        match self {
            Self::Equal(bound) => compare(bound) == Some(Ordering::Equal),
            Self::NotEqual(bound) => compare(bound) != Some(Ordering::Equal),
            Self::Less(bound) => compare(bound).is_some_and(Ordering::is_lt),
            Self::LessOrEqual(bound) => compare(bound).is_some_and(Ordering::is_le),
            Self::Greater(bound) => compare(bound).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual(bound) => compare(bound).is_some_and(Ordering::is_ge),
            Self::Between(low, high) => {
                compare(low).is_some_and(Ordering::is_ge) && compare(high).is_some_and(Ordering::is_le)
            }
            Self::In(list) => list.iter().any(|bound| compare(bound) == Some(Ordering::Equal)),
            Self::NotIn(list) => !list.iter().any(|bound| compare(bound) == Some(Ordering::Equal)),
            Self::Contains(needle) => matches!(value, Value::Text(text) if contains_folded(text, needle)),
            Self::StartsWith(prefix) => matches!(value, Value::Text(text) if text.starts_with(prefix.as_str())),
            Self::Inside(area) => matches!(value, Value::Point(point) if area.contains(*point)),
            Self::Null(wanted) => value.is_null() == *wanted,
        }
    }

    fn write_normal_form(&self, out: &mut String) {
        let (operator, values): (&str, &[&Value]) = match self {
            Self::Equal(bound) => ("=", &[bound]),
            Self::NotEqual(bound) => ("!=", &[bound]),
            Self::Less(bound) => ("<", &[bound]),
            Self::LessOrEqual(bound) => ("<=", &[bound]),
            Self::Greater(bound) => (">", &[bound]),
            Self::GreaterOrEqual(bound) => (">=", &[bound]),
            Self::Between(low, high) => ("~", &[low, high]),
            Self::In(list) => return write_list(" in ", list.iter(), out),
            Self::NotIn(list) => return write_list(" !in ", list.iter(), out),
            Self::Contains(needle) => return write_list("*", [&Value::Text(needle.clone())], out),
            Self::StartsWith(prefix) => return write_list("^", [&Value::Text(prefix.clone())], out),
            Self::Inside(area) => {
                let (operator, value) = area.written();
                out.push_str(&format!(" {operator} {value:?}"));
                return;
            }
            Self::Null(true) => (" null", &[]),
            Self::Null(false) => (" !null", &[]),
        };
        write_list(operator, values.iter().copied(), out);
    }
}

/// Quotes texts and escapes their quotes, so that no value can imitate the syntax around it.
fn write_list<'a>(operator: &str, values: impl IntoIterator<Item = &'a Value>, out: &mut String) {
    out.push_str(operator);
    for (place, value) in values.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let written = match value {
            Value::Text(text) => write!(out, "{text:?}"),
            other => write!(out, "{other}"),
        };
        // Writing to memory cannot fail.
        debug_assert!(written.is_ok());
    }
}

/// The ascending order of a column's values in every store: numbers by value (negative zero is zero), texts by their bytes, nulls last.
pub fn ascending(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        _ => left.total_cmp(right),
    }
}

/// The smallest text that comes after every text with this prefix, in byte order; `None` if there is none.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut head = prefix.to_owned();
    while let Some(last) = head.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            head.push(next);
            return Some(head);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_is_a_range(prefix in "\\PC{1,3}", text in "\\PC{0,5}") {
            let in_range = text >= prefix && after_prefix(&prefix).is_none_or(|end| text < end);
            prop_assert_eq!(text.starts_with(&prefix), in_range);
            let longer = format!("{prefix}{text}");
            prop_assert!(longer >= prefix && after_prefix(&prefix).is_none_or(|end| longer < end));
        }
    }

    #[test]
    fn the_last_characters_have_prefixes_too() {
        assert_eq!(after_prefix("a\u{10ffff}"), Some("b".into()));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix("\u{d7ff}"), Some("\u{e000}".into()));
    }

    #[test]
    fn a_null_equals_nothing() {
        let issued = Value::Text("issued".into());
        assert!(Test::NotEqual(issued.clone()).accepts(&Value::Null));
        assert!(!Test::Equal(issued.clone()).accepts(&Value::Null));
        assert!(Test::NotIn(vec![issued.clone()]).accepts(&Value::Null));
        assert!(!Test::Less(issued).accepts(&Value::Null));
    }
}
