//! Which index answers a query. SQLite's own choice can be wrong by a factor of twenty, and nobody would notice before
//! the data has grown; so the index is named (`INDEXED BY`), by this rule:
//!
//! 1. An index of which the filter binds the leading columns to one value each comes first; the more of them the better.
//! 2. Among equals, one whose remaining columns give the order asked for: it answers without sorting and stops when the
//!    page is full.
//! 3. Among equals, one of which the filter limits the next column to a range.
//! 4. With none of these, the table is scanned and sorted.
//!
//! Where an index has the order but not the conditions, and another one (or a scan) the conditions but not the order,
//! which of them is faster depends on how many records match, and is not known before. Then there are two ways, tried in
//! turn with growing budgets until one of them is done: that costs little more than the better one alone. Columns that a
//! way's index shall not be used for are written `+column`, which SQLite never looks up.

use std::borrow::Cow;

use rusqlite::types::Value as Sql;

use super::{
    Shape,
    schema::{IndexShape, owned, quoted, smallest},
};
use crate::dataset::{
    Definition, Value,
    query::{Query, SortTerm, Term, Test, after_prefix},
};

/// One way to answer a query.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether the segments yield the records in order. If not, they yield the row numbers of the page in order.
    pub(super) ordered: bool,
    /// The index that the segments are searched by; none for a scan of the table.
    pub(super) index: Option<String>,
    /// Statements that yield the page one after the other. The last parameter of each, a limit, is not among its
    /// parameters yet.
    pub(super) segments: Vec<Segment>,
}

impl Way {
    /// What it does, in words.
    pub(super) fn explained(&self) -> Vec<String> {
        let searched = match &self.index {
            Some(index) => format!("search the index {index}"),
            None => "scan all records".to_owned(),
        };
        let order = if self.ordered { "its order is the one asked for" } else { "sort what matches" };
        vec![searched, order.to_owned()]
    }
}

/// A statement and its parameters.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) sql: String,
    pub(super) params: Vec<Sql>,
}

/// The one or two ways to answer a query. The first one is to be run to its end when none is done within a budget.
pub(super) fn ways(definition: &Definition, shape: &Shape, query: &Query) -> Vec<Way> {
    let planner = Planner { definition, query, order: query.order(definition), terms: query.filter.conjuncts(), shape };
    planner.ways()
}

/// What a record of the answer is made of, followed by the columns of its position.
pub(super) fn results(shape: &Shape, order: &[SortTerm]) -> String {
    let mut results = String::from("\"$values\"");
    for term in order {
        results.push_str(", ");
        results.push_str(shape.name(term.column));
    }
    results
}

/// An index, seen by a query.
struct Candidate<'a> {
    index: &'a IndexShape,
    /// How many of its leading columns the filter binds.
    bound: usize,
    /// The order that remains to be served by the columns after those, if they serve it.
    serves: Option<Vec<SortTerm>>,
    /// Whether the filter limits the next column.
    range: bool,
}

struct Planner<'a> {
    definition: &'a Definition,
    query: &'a Query,
    order: Vec<SortTerm>,
    terms: Vec<&'a Term>,
    shape: &'a Shape,
}

impl Planner<'_> {
    fn name(&self, column: usize) -> &str {
        self.shape.name(column)
    }

    fn ways(&self) -> Vec<Way> {
        let candidates: Vec<Candidate<'_>> = self.shape.indexes.iter().map(|index| self.candidate(index)).collect();
        let walk = best(candidates.iter().filter(|candidate| candidate.serves.is_some()));
        let seek = best(candidates.iter().filter(|candidate| candidate.bound > 0 || candidate.range));
        match (walk, seek) {
            (None, None) => vec![self.scan()],
            (None, Some(seek)) => vec![self.sorted(seek)],
            (Some(walk), Some(seek)) if seek.bound > walk.bound => {
                vec![self.sorted(seek), self.ordered(walk)]
            }
            (Some(walk), _) if walk.bound > 0 || walk.range || self.terms.is_empty() => vec![self.ordered(walk)],
            (Some(walk), Some(seek)) => vec![self.sorted(seek), self.ordered(walk)],
            (Some(walk), None) => vec![self.scan(), self.ordered(walk)],
        }
    }

    fn candidate<'i>(&self, index: &'i IndexShape) -> Candidate<'i> {
        let bound = index.columns.iter().take_while(|column| self.is_bound(**column)).count();
        let next = index.columns.get(bound);
        let range = next.is_some_and(|next| self.terms.iter().any(|term| term.column == *next && limits(&term.test)));
        Candidate { index, bound, serves: self.served(index, bound), range }
    }

    /// What is left of the order when its bound columns are left out, if the rest of the index gives it.
    fn served(&self, index: &IndexShape, bound: usize) -> Option<Vec<SortTerm>> {
        let order: Vec<SortTerm> = self.order.iter().copied().filter(|term| !self.is_bound(term.column)).collect();
        let rest = index.columns.iter().skip(bound);
        let same_columns =
            order.len() <= rest.len() && order.iter().zip(rest).all(|(term, column)| term.column == *column);
        let one_direction = order.iter().zip(order.iter().skip(1)).all(|(a, b)| a.descending == b.descending);
        // Nulls lie at the wrong end of an ascending index: that can be mended for its first column alone.
        let nulls_first_only = order.iter().skip(1).all(|term| !self.may_be_null(term.column));
        (same_columns && one_direction && nulls_first_only).then_some(order)
    }

    fn is_bound(&self, column: usize) -> bool {
        self.terms.iter().any(|term| term.column == column && matches!(term.test, Test::Equal(_) | Test::Null(true)))
    }

    fn may_be_null(&self, column: usize) -> bool {
        let required = column == self.definition.key || column == self.definition.record_id;
        !required && !self.terms.iter().any(|term| term.column == column && !term.test.accepts(&Value::Null))
    }

    /// The place to continue after: the value of a column of the order.
    fn position(&self, column: usize) -> Option<&Value> {
        let place = self.order.iter().position(|term| term.column == column)?;
        self.query.after.as_ref()?.values.get(place)
    }

    fn ordered(&self, candidate: &Candidate<'_>) -> Way {
        let order = candidate.serves.as_deref().unwrap_or_default();
        let index = Some(candidate.index.name.clone());
        let mut segments = Vec::new();
        let Some((first, rest)) = order.split_first() else {
            // The filter asks for one record: there is none after it.
            if self.query.after.is_none() {
                segments.push(self.segment(candidate, order, |_| {}));
            }
            return Way { ordered: true, index, segments };
        };
        let nulls = self.may_be_null(first.column);
        match self.position(first.column) {
            None if nulls && !first.descending => {
                segments.push(self.segment(candidate, order, |sql| self.push_not_null(first.column, sql)));
            }
            None => segments.push(self.segment(candidate, order, |_| {})),
            Some(Value::Null) => {}
            Some(_) => segments.push(self.segment(candidate, order, |sql| self.push_after(order, sql))),
        }
        let nulls_follow = match self.position(first.column) {
            None => !first.descending,
            Some(_) => true,
        };
        if nulls && nulls_follow {
            segments.push(self.segment(candidate, rest, |sql| {
                sql.condition(&format!("{} IS NULL", self.name(first.column)), []);
                if self.position(first.column) == Some(&Value::Null) {
                    self.push_after(rest, sql);
                }
            }));
        }
        Way { ordered: true, index, segments }
    }

    fn segment(&self, candidate: &Candidate<'_>, order: &[SortTerm], add: impl FnOnce(&mut Text)) -> Segment {
        let mut sql = Text::select(&results(self.shape, &self.order), Some(&candidate.index.name));
        let next = candidate.index.columns.get(candidate.bound).copied();
        let continues = next.filter(|next| self.position(*next).is_some_and(|value| !value.is_null()));
        for term in &self.terms {
            // The position is inside the filter's range: beyond it, the range's near end says nothing, and SQLite must
            // not choose it as the place to start from.
            let test = match continues {
                Some(column) if column == term.column && order.iter().any(|term| term.column == column) => {
                    let descending = order.first().is_some_and(|term| term.descending);
                    match far_end(&term.test, descending) {
                        Some(test) => test,
                        None => continue,
                    }
                }
                _ => term.test.clone(),
            };
            let sought = self.seeks(candidate, term.column, &test) && !matches!(test, Test::In(_));
            self.push_test(term.column, &test, sought, &mut sql);
        }
        add(&mut sql);
        sql.order(order.iter().map(|term| direction(self.name(term.column), term.descending, false)));
        sql.finish()
    }

    fn sorted(&self, candidate: &Candidate<'_>) -> Way {
        let index = Some(candidate.index.name.clone());
        Way { ordered: false, index, segments: vec![self.sorted_segment(Some(candidate))] }
    }

    fn scan(&self) -> Way {
        Way { ordered: false, index: None, segments: vec![self.sorted_segment(None)] }
    }

    fn sorted_segment(&self, candidate: Option<&Candidate<'_>>) -> Segment {
        let mut sql = Text::select("\"$row\"", candidate.map(|candidate| candidate.index.name.as_str()));
        for term in &self.terms {
            let sought = candidate.is_some_and(|candidate| self.seeks(candidate, term.column, &term.test));
            self.push_test(term.column, &term.test, sought, &mut sql);
        }
        if let Some(position) = &self.query.after {
            let (condition, params) = self.beyond(&position.values);
            sql.condition(&condition, params);
        }
        sql.order(self.order.iter().map(|term| {
            let nulls = self.may_be_null(term.column);
            direction(&format!("+{}", self.name(term.column)), term.descending, nulls)
        }));
        sql.finish()
    }

    /// Whether the candidate's index is to be searched for this condition.
    fn seeks(&self, candidate: &Candidate<'_>, column: usize, test: &Test) -> bool {
        let Some(place) = candidate.index.columns.iter().position(|indexed| *indexed == column) else { return false };
        match test {
            Test::Equal(_) | Test::Null(true) => place < candidate.bound,
            test => place == candidate.bound && limits(test),
        }
    }

    /// "After the position", for an order of one direction without nulls.
    fn push_after(&self, order: &[SortTerm], sql: &mut Text) {
        let columns: Vec<&str> = order.iter().map(|term| self.name(term.column)).collect();
        let values: Vec<Sql> = order.iter().filter_map(|term| self.position(term.column)).map(owned).collect();
        let after = if order.first().is_some_and(|term| term.descending) { "<" } else { ">" };
        let condition = match columns.as_slice() {
            [] => "0".to_owned(),
            [only] => format!("{only} {after} ?"),
            _ => format!("({}) {after} ({})", columns.join(", "), vec!["?"; columns.len()].join(", ")),
        };
        sql.condition(&condition, values);
    }

    fn push_not_null(&self, column: usize, sql: &mut Text) {
        let Some(kind) = self.definition.columns.get(column).map(|column| column.kind) else { return };
        // `IS NOT NULL` would not always be looked up in an index.
        sql.condition(&format!("{} >= ?", self.name(column)), [smallest(kind)]);
    }

    /// "After the position", for any order, as a condition that no index is searched for.
    fn beyond(&self, values: &[Value]) -> (String, Vec<Sql>) {
        let mut condition = String::from("0");
        let mut params: Vec<Sql> = Vec::new();
        for (term, value) in self.order.iter().zip(values).rev() {
            let column = format!("+{}", self.name(term.column));
            let after = if term.descending { "<" } else { ">" };
            if value.is_null() {
                condition = format!("({column} IS NULL AND {condition})");
                continue;
            }
            let nulls = if self.may_be_null(term.column) { format!("{column} IS NULL OR ") } else { String::new() };
            condition = format!("({nulls}{column} {after} ? OR ({column} = ? AND {condition}))");
            params.splice(0..0, [owned(value), owned(value)]);
        }
        (condition, params)
    }

    fn push_test(&self, column: usize, test: &Test, sought: bool, sql: &mut Text) {
        let bare = self.name(column);
        let name = if sought { Cow::Borrowed(bare) } else { Cow::Owned(format!("+{bare}")) };
        match test {
            Test::Equal(value) => sql.condition(&format!("{name} = ?"), [owned(value)]),
            Test::NotEqual(value) => sql.condition(&format!("{name} IS NOT ?"), [owned(value)]),
            Test::Less(value) => sql.condition(&format!("{name} < ?"), [owned(value)]),
            Test::LessOrEqual(value) => sql.condition(&format!("{name} <= ?"), [owned(value)]),
            Test::Greater(value) => sql.condition(&format!("{name} > ?"), [owned(value)]),
            Test::GreaterOrEqual(value) => sql.condition(&format!("{name} >= ?"), [owned(value)]),
            Test::Between(low, high) => sql.condition(&format!("{name} BETWEEN ? AND ?"), [owned(low), owned(high)]),
            Test::In(list) => sql.condition(&format!("{name} IN ({})", marks(list.len())), list.iter().map(owned)),
            Test::NotIn(list) => {
                let condition = format!("({name} IS NULL OR {name} NOT IN ({}))", marks(list.len()));
                sql.condition(&condition, list.iter().map(owned));
            }
            Test::Contains(needle) => {
                sql.condition(&format!("contains_folded({name}, ?)"), [Sql::Text(needle.clone())]);
            }
            Test::StartsWith(prefix) => {
                sql.condition(&format!("{name} >= ?"), [Sql::Text(prefix.clone())]);
                if let Some(end) = after_prefix(prefix) {
                    sql.condition(&format!("{name} < ?"), [Sql::Text(end)]);
                }
            }
            Test::Null(true) => sql.condition(&format!("{name} IS NULL"), []),
            Test::Null(false) if sought => self.push_not_null(column, sql),
            Test::Null(false) => sql.condition(&format!("{name} IS NOT NULL"), []),
        }
    }
}

/// The first of the best.
fn best<'c, 'i>(candidates: impl Iterator<Item = &'c Candidate<'i>>) -> Option<&'c Candidate<'i>> {
    candidates.reduce(|best, next| if (next.bound, next.range) > (best.bound, best.range) { next } else { best })
}

/// Whether a test limits its column to a part of an index.
fn limits(test: &Test) -> bool {
    !matches!(test, Test::NotEqual(_) | Test::NotIn(_) | Test::Contains(_) | Test::Equal(_) | Test::Null(true))
}

/// What remains of a test behind a position that satisfied it, in the direction of reading.
fn far_end(test: &Test, descending: bool) -> Option<Test> {
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

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn direction(column: &str, descending: bool, nulls: bool) -> String {
    match (descending, nulls) {
        (false, false) => column.to_owned(),
        (false, true) => format!("{column} NULLS LAST"),
        // Nulls are the smallest in SQLite, hence last already.
        (true, _) => format!("{column} DESC"),
    }
}

/// A statement in the making.
struct Text {
    sql: String,
    params: Vec<Sql>,
    conditions: usize,
}

impl Text {
    fn select(columns: &str, index: Option<&str>) -> Self {
        let by = index.map_or("NOT INDEXED".to_owned(), |index| format!("INDEXED BY {}", quoted(index)));
        Self { sql: format!("SELECT {columns} FROM records {by}"), params: Vec::new(), conditions: 0 }
    }

    fn condition(&mut self, condition: &str, params: impl IntoIterator<Item = Sql>) {
        self.sql.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.params.extend(params);
        self.conditions += 1;
    }

    fn order(&mut self, terms: impl Iterator<Item = String>) {
        let terms: Vec<String> = terms.collect();
        if !terms.is_empty() {
            self.sql.push_str(" ORDER BY ");
            self.sql.push_str(&terms.join(", "));
        }
    }

    fn finish(mut self) -> Segment {
        self.sql.push_str(" LIMIT ?");
        Segment { sql: self.sql, params: self.params }
    }
}
