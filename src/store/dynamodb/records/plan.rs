//! How a query is answered: which index, which parts of it, in which order. Pure.
//!
//! 1. A filter that binds the key reads the records of these keys, and sorts them.
//! 2. An index whose partition the filter binds, and whose order is the one asked for, yields the page record by record.
//!    Where another index has more of its columns bound, that one is read and sorted first: it holds few records.
//! 3. An index whose partition is bound is read and sorted, if the records are few enough.
//! 4. What is asked for in the order of the keys is read from the index of all records, and filtered.
//! 5. Anything else reads all records and sorts them, if they are few enough.
//!
//! Conditions are those that have to hold each by itself. Where they bind nothing, but of several alternatives each binds the
//! key or the partition of an index, the records of all alternatives are read, each once, and sorted.
//!
//! An ordered way ends with its page or with the read budget, and can be gone on with. One that sorts has to read everything
//! first: when that is more than the budget, the next way is taken.

use super::{
    order::{self, Range},
    row::{IndexLayout, Layout},
};
use crate::dataset::{
    Value,
    query::{Filter, Position, Query, SortTerm, Term, Test, ascending},
};

/// The most streams that one query reads and merges: values of a list times shards.
const STREAMS_MAX: usize = 256;

/// One way to answer a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// Reads the records of these keys and sorts them.
    Keys(Vec<String>),
    /// Reads an index.
    Index(IndexWay),
    /// Reads what each of several alternatives may match and sorts it. What an alternative before matches has been found by
    /// that one.
    Any(Vec<(Filter, Way)>),
}

/// What of an index is read, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexWay {
    /// The index, by place in [`Layout::indexes`].
    pub(super) index: usize,
    /// The values of its partition column; one null for the index of all records.
    pub(super) partitions: Vec<Value>,
    /// The parts of each partition, one after the other in the direction of reading.
    pub(super) ranges: Vec<Range>,
    /// Whether the records come in the order asked for. If not, they have to be sorted.
    pub(super) ordered: bool,
    /// Read from the end to the beginning.
    pub(super) descending: bool,
    /// Whether every record that is read answers the query, but for older versions.
    pub(super) exact: bool,
}

/// The ways to answer a query, to be tried one after the other. The last is either ordered or all that there is.
pub(super) fn ways(layout: &Layout, query: &Query) -> Vec<Way> {
    let order = query.order(layout.definition());
    Planner { layout, after: query.after.as_ref(), order, ..Planner::of(layout, &query.filter) }.ways()
}

/// The way that reads the fewest records to find all that a filter means, in no order.
pub(super) fn everything(layout: &Layout, filter: &Filter) -> Option<Way> {
    let planner = Planner::of(layout, filter);
    planner.seek().or_else(|| planner.alternatives()).or_else(|| planner.walk().map(|walk| planner.way(&walk, false)))
}

/// An index, seen by a query.
struct Candidate<'a> {
    place: usize,
    index: &'a IndexLayout,
    partitions: Vec<Value>,
    /// Whether the partition is one value.
    single: bool,
    /// How many leading columns of its order the filter binds to one value.
    bound: usize,
    /// Whether the filter limits the next column.
    limited: bool,
    /// The order that remains, if the rest of the index gives it.
    serves: Option<Vec<SortTerm>>,
}

impl Candidate<'_> {
    fn rank(&self) -> (usize, bool) {
        (self.bound + usize::from(self.single), self.limited)
    }
}

struct Planner<'a> {
    layout: &'a Layout,
    filter: &'a Filter,
    after: Option<&'a Position>,
    order: Vec<SortTerm>,
    terms: Vec<&'a Term>,
}

impl<'a> Planner<'a> {
    fn of(layout: &'a Layout, filter: &'a Filter) -> Self {
        Self { layout, filter, after: None, order: Vec::new(), terms: filter.conjuncts() }
    }

    fn ways(&self) -> Vec<Way> {
        let walk = self.walk();
        let walk_way = |ordered| walk.as_ref().map(|walk| self.way(walk, ordered));
        let walk_ordered = walk.as_ref().is_some_and(|walk| walk.serves.is_some());
        let in_order = || if walk_ordered { walk_way(true) } else { None };
        if let Some(keys) = self.keys() {
            return std::iter::once(Way::Keys(keys)).chain(in_order()).collect();
        }
        let declared = self.declared();
        let ordered = best(declared.iter().filter(|candidate| candidate.serves.is_some()));
        let seek = best(declared.iter());
        match (ordered, seek) {
            (Some(ordered), Some(seek)) if seek.rank().0 > ordered.rank().0 => {
                vec![self.way(seek, false), self.way(ordered, true)]
            }
            (Some(ordered), _) => vec![self.way(ordered, true)],
            (None, Some(seek)) => std::iter::once(self.way(seek, false)).chain(in_order()).collect(),
            (None, None) => match self.alternatives() {
                Some(any) => std::iter::once(any).chain(in_order()).collect(),
                None => walk_way(walk_ordered).into_iter().collect(),
            },
        }
    }

    /// The index of all records.
    fn walk(&self) -> Option<Candidate<'a>> {
        let layout = self.layout;
        layout.indexes().first().and_then(|index| self.candidate(0, index))
    }

    /// The declared indexes whose partition is bound.
    fn declared(&self) -> Vec<Candidate<'a>> {
        let layout = self.layout;
        let declared = layout.indexes().iter().enumerate().skip(1);
        declared.filter_map(|(place, index)| self.candidate(place, index)).collect()
    }

    /// The keys, or the part of an index, that hold all that the conditions ask for.
    fn seek(&self) -> Option<Way> {
        let declared = || best(self.declared().iter()).map(|candidate| self.way(candidate, false));
        self.keys().map(Way::Keys).or_else(declared)
    }

    /// The ways to find what alternatives mean, where each has one.
    fn alternatives(&self) -> Option<Way> {
        self.filter.parts().iter().find_map(|part| {
            let Filter::Any(alternatives) = part else { return None };
            let found = alternatives.iter().map(|alternative| {
                let terms = self.terms.iter().copied().chain(alternative.conjuncts()).collect();
                let planner = Planner { filter: alternative, terms, ..Self::of(self.layout, alternative) };
                Some((alternative.clone(), planner.seek()?))
            });
            let found = found.collect::<Option<Vec<_>>>()?;
            let streams: usize = found.iter().map(|(_, way)| way.streams(self.layout)).sum();
            (streams <= STREAMS_MAX).then_some(Way::Any(found))
        })
    }

    /// The keys that the filter asks for, if it asks for some.
    fn keys(&self) -> Option<Vec<String>> {
        let key = self.layout.definition().key;
        self.terms.iter().filter(|term| term.column == key).find_map(|term| match &term.test {
            Test::Equal(Value::Text(key)) => Some(vec![key.clone()]),
            Test::In(list) => {
                let text = |key| if let Value::Text(key) = key { Some(key) } else { None };
                distinct(list).into_iter().map(text).collect()
            }
            _ => None,
        })
    }

    fn candidate(&self, place: usize, index: &'a IndexLayout) -> Option<Candidate<'a>> {
        let (partitions, single) = match index.partition {
            None => (vec![Value::Null], false),
            Some(column) => self.partitions(column)?,
        };
        if partitions.len().saturating_mul(usize::try_from(self.layout.shards()).unwrap_or(usize::MAX)) > STREAMS_MAX {
            return None;
        }
        let bound = index.order.iter().take_while(|column| self.bound(**column).is_some()).count();
        let rest = index.order.get(bound..).unwrap_or_default();
        let limited =
            rest.first().is_some_and(|next| self.terms.iter().any(|term| term.column == *next && limits(&term.test)));
        let serves = self.served(rest);
        Some(Candidate { place, index, partitions, single, bound, limited, serves })
    }

    /// The values that a column may have, if the filter lists them, and whether it is one.
    fn partitions(&self, column: usize) -> Option<(Vec<Value>, bool)> {
        if let Some(value) = self.bound(column) {
            return Some((vec![value.clone()], true));
        }
        self.terms.iter().filter(|term| term.column == column).find_map(|term| match &term.test {
            Test::In(list) => Some((distinct(list), false)),
            _ => None,
        })
    }

    /// The one value that the filter lets a column have.
    fn bound(&self, column: usize) -> Option<&Value> {
        bound_value(&self.terms, column)
    }

    /// What is left of the order when its bound columns are left out, if these columns of an index give it.
    fn served(&self, rest: &[usize]) -> Option<Vec<SortTerm>> {
        let order: Vec<SortTerm> =
            self.order.iter().copied().filter(|term| self.bound(term.column).is_none()).collect();
        let same_columns =
            order.len() <= rest.len() && order.iter().zip(rest).all(|(term, column)| term.column == *column);
        let one_direction = order.iter().zip(order.iter().skip(1)).all(|(a, b)| a.descending == b.descending);
        // From the end to the beginning, nulls come first: that can be mended for the first column alone.
        let descending = order.first().is_some_and(|term| term.descending);
        let nulls_last = !descending || order.iter().skip(1).all(|term| !self.may_be_null(term.column));
        (same_columns && one_direction && nulls_last).then_some(order)
    }

    fn may_be_null(&self, column: usize) -> bool {
        let definition = self.layout.definition();
        let required = column == definition.key || column == definition.record_id;
        !required && !self.terms.iter().any(|term| term.column == column && !term.test.accepts(&Value::Null))
    }

    fn way(&self, candidate: &Candidate<'_>, ordered: bool) -> Way {
        let order = candidate.serves.as_deref().filter(|_| ordered).unwrap_or_default();
        let descending = order.first().is_some_and(|term| term.descending);
        let bound = candidate.index.order.iter().take(candidate.bound);
        let prefix = order::prefix(bound.filter_map(|column| self.bound(*column)));
        let next = candidate.index.order.get(candidate.bound).copied();
        let whole = self.limited(&prefix, next);
        let after = if ordered { self.after(candidate) } else { None };
        let nullable = order.first().filter(|first| first.descending && self.may_be_null(first.column));
        let ranges = match (nullable, &after) {
            (None, None) => vec![whole],
            (None, Some(place)) => vec![whole.and(Range::after(place, descending))],
            // What is not null comes first, then what is; each of them backwards.
            (Some(_), None) => vec![whole.clone().and(Range::present(&prefix)), whole.and(Range::absent(&prefix))],
            (Some(first), Some(place)) => {
                let after = Range::after(place, true);
                let (present, absent) = (Range::present(&prefix), Range::absent(&prefix));
                if self.position(first.column).is_none_or(Value::is_null) {
                    vec![whole.and(absent).and(after)]
                } else {
                    vec![whole.clone().and(present).and(after), whole.and(absent)]
                }
            }
        };
        Way::Index(IndexWay {
            index: candidate.place,
            partitions: candidate.partitions.clone(),
            ranges: ranges.into_iter().filter(|range| !range.is_empty()).collect(),
            ordered,
            descending,
            exact: self.is_exact(candidate, next),
        })
    }

    /// The place to go on after in an index. It is that of a record that was looked at; behind the bound columns its values
    /// may be others than the filter's.
    fn after(&self, candidate: &Candidate<'_>) -> Option<String> {
        self.after?;
        let (bound, rest) = candidate.index.order.split_at_checked(candidate.bound)?;
        let of_filter = bound.iter().filter_map(|column| self.bound(*column));
        let of_record = rest.iter().filter_map(|column| self.position(*column).or_else(|| self.bound(*column)));
        Some(order::place(of_filter.chain(of_record)))
    }

    /// The place to go on after: the value of a column of the order.
    fn position(&self, column: usize) -> Option<&Value> {
        let place = self.order.iter().position(|term| term.column == column)?;
        self.after?.values.get(place)
    }

    /// What lies behind the prefix and within the limits that the filter sets to the next column.
    fn limited(&self, prefix: &str, next: Option<usize>) -> Range {
        let tests = self.terms.iter().filter(|term| Some(term.column) == next).map(|term| &term.test);
        tests.fold(Range::of(prefix.to_owned()), |range, test| match test {
            Test::Less(value) => range.and(Range::to_value(prefix, value, true)),
            Test::LessOrEqual(value) => range.and(Range::to_value(prefix, value, false)),
            Test::Greater(value) => range.and(Range::from_value(prefix, value, true)),
            Test::GreaterOrEqual(value) => range.and(Range::from_value(prefix, value, false)),
            Test::Between(low, high) => {
                range.and(Range::from_value(prefix, low, false)).and(Range::to_value(prefix, high, false))
            }
            Test::In(list) => match (list.first(), list.last()) {
                (Some(low), Some(high)) => {
                    range.and(Range::from_value(prefix, low, false)).and(Range::to_value(prefix, high, false))
                }
                _ => range,
            },
            Test::StartsWith(start) => range.and(Range::starting(prefix, start)),
            Test::Null(false) | Test::Contains(_) => range.and(Range::present(prefix)),
            Test::Equal(_) | Test::NotEqual(_) | Test::NotIn(_) | Test::Null(true) => range,
        })
    }

    /// Whether the index alone says everything that the filter does.
    fn is_exact(&self, candidate: &Candidate<'_>, next: Option<usize>) -> bool {
        if self.terms.len() < self.filter.parts().len() {
            // It says more than conditions on columns.
            return false;
        }
        let bound = |column: usize| candidate.index.order.iter().take(candidate.bound).any(|bound| *bound == column);
        let mut seen: Vec<usize> = Vec::new();
        self.terms.iter().all(|term| {
            let once = !seen.contains(&term.column);
            seen.push(term.column);
            match &term.test {
                Test::Equal(_) | Test::Null(true) => {
                    once && (candidate.index.partition == Some(term.column) || bound(term.column))
                }
                Test::In(_) => once && candidate.index.partition == Some(term.column),
                test => next == Some(term.column) && limits(test),
            }
        })
    }
}

/// The one value that conditions let a column have, if they name one.
pub(super) fn bound_value<'t>(terms: &[&'t Term], column: usize) -> Option<&'t Value> {
    terms.iter().filter(|term| term.column == column).find_map(|term| match &term.test {
        Test::Equal(value) => Some(value),
        Test::Null(true) => Some(&Value::Null),
        _ => None,
    })
}

/// The values of a list, each once: what is read twice would be answered twice.
fn distinct(list: &[Value]) -> Vec<Value> {
    let mut distinct = list.to_vec();
    distinct.sort_by(ascending);
    distinct.dedup_by(|left, right| ascending(left, right).is_eq());
    distinct
}

/// The first of the best.
fn best<'c, 'i>(candidates: impl Iterator<Item = &'c Candidate<'i>>) -> Option<&'c Candidate<'i>> {
    candidates.reduce(|best, next| if next.rank() > best.rank() { next } else { best })
}

/// Whether a test is the same as a range of an index's next column.
fn limits(test: &Test) -> bool {
    matches!(
        test,
        Test::Less(_)
            | Test::LessOrEqual(_)
            | Test::Greater(_)
            | Test::GreaterOrEqual(_)
            | Test::Between(..)
            | Test::StartsWith(_)
            | Test::Null(false)
    )
}

impl Way {
    /// How many partitions it reads.
    fn streams(&self, layout: &Layout) -> usize {
        match self {
            Self::Keys(keys) => keys.len(),
            Self::Index(way) => {
                let shards = usize::try_from(layout.shards()).unwrap_or(usize::MAX);
                way.partitions.len().saturating_mul(way.ranges.len()).saturating_mul(shards)
            }
            Self::Any(alternatives) => alternatives.iter().map(|(_, way)| way.streams(layout)).sum(),
        }
    }

    /// What it does, in words.
    pub(super) fn explained(&self, layout: &Layout) -> Vec<String> {
        let name = |column: usize| layout.definition().column_name(column);
        match self {
            Self::Keys(keys) => {
                vec![format!("query the table for {}", many(keys.len(), "key")), "sort them".to_owned()]
            }
            Self::Index(way) => {
                let Some(index) = layout.indexes().get(way.index) else { return Vec::new() };
                let of = match index.partition {
                    Some(column) => format!(" for {} of {}", many(way.partitions.len(), "value"), name(column)),
                    None => String::new(),
                };
                let shards = many(usize::try_from(layout.shards()).unwrap_or(usize::MAX), "shard");
                let mut plan = vec![format!("query the index {}{of}, {shards} in parallel", index.name)];
                if !way.exact {
                    plan.push("filter what was read".to_owned());
                }
                plan.push(match (way.ordered, way.descending) {
                    (true, false) => "merge the shards: their order is the one asked for".to_owned(),
                    (true, true) => "merge the shards, read backwards: their order is the one asked for".to_owned(),
                    (false, _) => "sort what matches".to_owned(),
                });
                plan
            }
            Self::Any(alternatives) => {
                let ways = alternatives.iter().flat_map(|(_, way)| way.explained(layout).into_iter().take(1));
                let rest = ["filter what was read, each record once", "sort what matches"].map(str::to_owned);
                ways.chain(rest).collect()
            }
        }
    }
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
