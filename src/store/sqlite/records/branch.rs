//! A filter, split into parts that can be looked up: conditions that all have to hold, and alternatives.

use std::borrow::Cow;

use crate::dataset::{
    Value,
    query::{Filter, Term, Test, after_prefix},
};

/// The most streams to merge, at one version.
const STREAMS_MAX: usize = 32;

/// Conditions that all have to hold.
#[derive(Debug, Clone)]
pub(super) struct Branch<'a> {
    pub(super) terms: Vec<Cow<'a, Term>>,
    pub(super) others: Vec<&'a Filter>,
}

impl<'a> Branch<'a> {
    pub(super) fn of(parts: impl IntoIterator<Item = &'a Filter>) -> Self {
        let (mut terms, mut others) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Filter::Term(term) => terms.push(Cow::Borrowed(term)),
                Filter::All(filters) => {
                    let inner = Self::of(filters);
                    terms.extend(inner.terms);
                    others.extend(inner.others);
                }
                other => others.push(other),
            }
        }
        Self { terms, others }
    }

    /// The only value that it allows for a column.
    pub(super) fn bound(&self, column: usize) -> Option<&Value> {
        self.terms.iter().filter(|term| term.column == column).find_map(|term| match &term.test {
            Test::Equal(value) => Some(value),
            Test::Null(true) => Some(&Value::Null),
            _ => None,
        })
    }

    pub(super) fn is_bound(&self, column: usize) -> bool {
        self.bound(column).is_some()
    }
}

/// The ways to split a filter: as it is, by the values of a list, and by alternatives.
pub(super) fn splits<'a>(whole: &Branch<'a>) -> Vec<Vec<Branch<'a>>> {
    let mut splits = vec![vec![whole.clone()]];
    for (nth, term) in whole.terms.iter().enumerate() {
        if let Test::In(values) = &term.test
            && values.len() <= STREAMS_MAX
        {
            let column = term.column;
            let branch = |value: &Value| {
                let mut branch = whole.clone();
                if let Some(term) = branch.terms.get_mut(nth) {
                    *term = Cow::Owned(Term { column, test: Test::Equal(value.clone()) });
                }
                branch
            };
            splits.push(values.iter().map(branch).collect());
        }
    }
    for (nth, other) in whole.others.iter().enumerate() {
        if let Filter::Any(alternatives) = other
            && alternatives.len() <= STREAMS_MAX
        {
            let branch = |alternative: &'a Filter| {
                let mut branch = Branch::of(alternative.parts());
                branch.terms.extend(whole.terms.iter().cloned());
                let rest = whole.others.iter().enumerate().filter(|(place, _)| *place != nth);
                branch.others.extend(rest.map(|(_, other)| *other));
                branch
            };
            splits.push(alternatives.iter().map(branch).collect());
        }
    }
    splits
}

/// The columns in a filter.
pub(super) fn add_columns(filter: &Filter, columns: &mut Vec<usize>) {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().for_each(|filter| add_columns(filter, columns)),
        Filter::Not(filter) => add_columns(filter, columns),
        Filter::Term(term) => columns.push(term.column),
        Filter::Words(search) => columns.extend(search.columns()),
    }
}

/// Tells whether a test limits its column to a part of an index.
pub(super) fn limits(test: &Test) -> bool {
    !matches!(
        test,
        Test::NotEqual(_)
            | Test::NotIn(_)
            | Test::Contains(_)
            | Test::Inside(_)
            | Test::Equal(_)
            | Test::Null(true)
            | Test::In(_)
    )
}

/// The rest of a test after a position that satisfied it, in the direction of reading.
pub(super) fn far_end(test: &Test, descending: bool) -> Option<Test> {
    match (test, descending) {
        (Test::Greater(_) | Test::GreaterOrEqual(_), false) | (Test::Less(_) | Test::LessOrEqual(_), true) => None,
        (Test::Null(false), _) => None,
        (Test::Between(_, high), false) => Some(Test::LessOrEqual(high.clone())),
        (Test::Between(low, _), true) => Some(Test::GreaterOrEqual(low.clone())),
        (Test::StartsWith(prefix), false) => after_prefix(prefix).map(|end| Test::Less(Value::Text(end))),
        (Test::StartsWith(prefix), true) => Some(Test::GreaterOrEqual(Value::Text(prefix.clone()))),
        (other, _) => Some(other.clone()),
    }
}
