//! Filters: which records a question is about, as a tree that every record store evaluates alike.

use std::{cmp::Ordering, fmt::Write};

use crate::dataset::{Definition, Record, Value, text::contains_folded};

/// A condition on a record. [`Filter::matches`] is its meaning; a store may find the records in any other way as long as
/// they are the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one of them holds; with none, every record matches.
    All(Vec<Filter>),
    /// At least one of them holds; with none, no record matches.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A condition on one column.
    Term(Term),
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The column's place in [`Definition::columns`].
    pub column: usize,
    /// What its value has to satisfy.
    pub test: Test,
}

/// What a value has to satisfy. A test is true or false, never unknown: a null equals nothing, so that `NotEqual` and
/// `NotIn` hold for it, and every other test but `Null(true)` does not. Hence `ne` is exactly "not `eq`".
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Is this value.
    Equal(Value),
    /// Is null or another value.
    NotEqual(Value),
    /// Comes before this value.
    Less(Value),
    /// Comes before this value or is it.
    LessOrEqual(Value),
    /// Comes after this value.
    Greater(Value),
    /// Comes after this value or is it.
    GreaterOrEqual(Value),
    /// Lies between the two, both included.
    Between(Value, Value),
    /// Is one of these: in ascending order, without repetition, at least two.
    In(Vec<Value>),
    /// Is null or none of these.
    NotIn(Vec<Value>),
    /// Is a text that holds this one, which is [`folded`](crate::dataset::text::folded), ignoring case.
    Contains(String),
    /// Is a text that begins with this one.
    StartsWith(String),
    /// Is null (`true`), or is not (`false`).
    Null(bool),
}

impl Filter {
    /// The filter that is true where all of these are. A list within the list becomes a part of it.
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

    /// What one of these at least says. Several values of one column become one list of them, which an index knows how to
    /// look up.
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

    /// The opposite. It is pushed inwards as far as it goes, so that what it comes to can be looked up.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::All(filters) => Self::any(filters.into_iter().map(Self::negated)),
            Self::Any(filters) => Self::all(filters.into_iter().map(Self::negated)),
            Self::Not(filter) => *filter,
            Self::Term(Term { column, test }) => match test.opposite() {
                Ok(test) => Self::Term(Term { column, test }),
                Err(test) => Self::Not(Box::new(Self::Term(Term { column, test }))),
            },
        }
    }

    /// What has to hold, each by itself.
    pub fn parts(&self) -> &[Filter] {
        match self {
            Self::All(filters) => filters,
            other => std::slice::from_ref(other),
        }
    }

    /// The conditions on one column that have to hold. There may be other [`Filter::parts`] besides.
    pub fn conjuncts(&self) -> Vec<&Term> {
        self.parts().iter().filter_map(|part| if let Self::Term(term) = part { Some(term) } else { None }).collect()
    }

    /// How many conditions on one column it holds.
    pub fn terms(&self) -> usize {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::terms).sum(),
            Self::Not(filter) => filter.terms(),
            Self::Term(_) => 1,
        }
    }

    /// Whether the record is one of those asked for.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(record)),
            Self::Not(filter) => !filter.matches(record),
            Self::Term(term) => record.values.get(term.column).is_some_and(|value| term.test.accepts(value)),
        }
    }

    /// Appends a form that is the same for filters that differ only in the order of what they are made of.
    pub fn write_normal_form(&self, definition: &Definition, out: &mut String) {
        match self {
            Self::Term(term) => {
                out.push_str(definition.column_name(term.column));
                term.test.write_normal_form(out);
            }
            Self::All(filters) => write_sorted(filters, "&", definition, out),
            Self::Any(filters) => write_sorted(filters, "|", definition, out),
            Self::Not(filter) => {
                out.push('!');
                filter.write_normal_form(definition, out);
            }
        }
    }
}

/// Adds one more of several that may hold.
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
    /// Is one of these values.
    pub fn one_of(mut values: Vec<Value>) -> Self {
        values.sort_by(ascending);
        values.dedup_by(|left, right| ascending(left, right).is_eq());
        match values.len() {
            1 => Self::Equal(values.remove(0)),
            _ => Self::In(values),
        }
    }

    /// Is null or none of these values.
    pub fn none_of(values: Vec<Value>) -> Self {
        match Self::one_of(values) {
            Self::Equal(value) => Self::NotEqual(value),
            Self::In(values) => Self::NotIn(values),
            other => other,
        }
    }

    /// The values that a test for certain values names.
    fn values(self) -> Vec<Value> {
        match self {
            Self::Equal(value) | Self::NotEqual(value) => vec![value],
            Self::In(values) | Self::NotIn(values) => values,
            _ => Vec::new(),
        }
    }

    /// The test that holds exactly where this one does not; the test itself where there is none. That of a comparison
    /// would have to hold for null.
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

    /// Whether a value satisfies the test.
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
            Self::Null(true) => (" null", &[]),
            Self::Null(false) => (" !null", &[]),
        };
        write_list(operator, values.iter().copied(), out);
    }
}

/// Texts are quoted and their quotes escaped, so that no value can imitate the syntax around it.
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
        // Writing to memory has no way to fail.
        debug_assert!(written.is_ok());
    }
}

/// The ascending order of values of one column as every store keeps it: numbers by value (a negative zero is zero), texts
/// by their bytes, nulls after everything else.
pub fn ascending(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        _ => left.total_cmp(right),
    }
}

/// The smallest text that comes after every text with this prefix, in the order of bytes; none if there is no such text.
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
