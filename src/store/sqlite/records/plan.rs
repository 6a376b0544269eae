//! Which index answers a query. SQLite's own choice can be wrong by a factor of twenty, and nobody would notice before
//! the data has grown; so the index is named (`INDEXED BY`), by this rule:
//!
//! 1. An index of which the filter binds the leading columns to one value each comes first; the more of them the better.
//! 2. Among equals, one whose remaining columns give the order asked for: it answers without sorting and stops when the
//!    page is full.
//! 3. Among equals, one of which the filter limits the next column to a range.
//! 4. With none of these, the table is scanned and sorted.
//!
//! A list of values, or alternatives of which each can be looked up, are looked up one by one: each is a stream in the order
//! asked for, and the streams are merged. So is what a version held that is not the present one: what is still as it was, and
//! what has been replaced since.
//!
//! Where an index has the order but not the conditions, and another one (or a scan) the conditions but not the order,
//! which of them is faster depends on how many records match, and is not known before. Then there are two ways, tried with
//! growing budgets until one of them is done (see `find`): that costs little more than the better one alone. Columns that a
//! way's index shall not be used for are written `+column`, which SQLite never looks up.

use std::cmp::Ordering;

use rusqlite::types::Value as Sql;

use super::{
    Shape,
    branch::{Branch, add_columns, far_end, limits, splits},
    condition::{self, Text},
    schema::{IndexShape, Table, owned},
};
use crate::dataset::{
    Definition, Value,
    query::{Filter, Query, SortTerm, Test, ascending},
};

/// One way to answer a query.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether the segments yield whole records, in order as they are read. If not, they are sorted and yield row numbers.
    pub(super) ordered: bool,
    /// The indexes that the segments are searched by; none for a scan of the table.
    pub(super) indexes: Vec<String>,
    /// What is read. Each stream yields records in the order asked for; together they are merged. One record may come in
    /// several.
    pub(super) streams: Vec<Stream>,
}

/// What yields records in order.
#[derive(Debug)]
pub(super) struct Stream {
    /// Where they are.
    pub(super) table: Table,
    /// Statements to be run one after the other. The last parameter of each, a limit, is not among its parameters yet.
    pub(super) segments: Vec<Segment>,
}

impl Way {
    /// What it does, in words.
    pub(super) fn explained(&self) -> Vec<String> {
        let mut plan: Vec<String> = match self.indexes.as_slice() {
            [] => vec!["scan all records".to_owned()],
            indexes => indexes.iter().map(|index| format!("search the index {index}")).collect(),
        };
        let before = self.streams.iter().filter(|stream| stream.table == Table::Old).count();
        if before > 0 {
            plan.push("the same in what has been replaced since".to_owned());
        }
        let searches = self.streams.len() - before;
        if searches > 1 {
            plan.push(format!("merge {searches} searches"));
        }
        plan.push(if self.ordered { "its order is the one asked for" } else { "sort what matches" }.to_owned());
        plan
    }
}

/// A statement and its parameters.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) sql: String,
    pub(super) params: Vec<Sql>,
}

/// The one or two ways to answer a query from the records as they are, or as they were at version `at`. The first one is to
/// be run to its end when none is done within a budget.
pub(super) fn ways(definition: &Definition, shape: &Shape, query: &Query, at: Option<u64>) -> Vec<Way> {
    let order = query.order(definition);
    let after = query.after.as_ref().map(|position| position.values.as_slice());
    Planner { definition, after, order, shape, at }.ways(&query.filter)
}

/// The records that a filter means, as the end of a `SELECT` from one table: `FROM … WHERE …`. `columns` are read besides
/// those that the filter names.
pub(super) fn matching(
    definition: &Definition,
    shape: &Shape,
    filter: &Filter,
    columns: &[usize],
    (table, at): (Table, Option<u64>),
) -> Segment {
    let planner = Planner { definition, after: None, order: Vec::new(), shape, at };
    planner.matching(filter, columns, table)
}

/// What a record of the answer is made of, followed by the columns of its position.
pub(super) fn results(shape: &Shape, order: &[SortTerm], table: Table) -> String {
    let mut results = table.values().to_owned();
    for term in order {
        results.push_str(", ");
        results.push_str(shape.name(term.column));
    }
    results
}

/// An index, seen by a branch.
struct Candidate<'a> {
    index: &'a IndexShape,
    /// How many of its leading columns the branch binds.
    bound: usize,
    /// Whether the next one may have a few values only.
    listed: bool,
    /// The order that remains to be served by the columns after those, if they serve it.
    serves: Option<Vec<SortTerm>>,
    /// Whether the branch limits the next column.
    range: bool,
}

impl Candidate<'_> {
    /// How well the conditions are looked up.
    fn rank(&self) -> (usize, bool) {
        (self.bound + usize::from(self.listed), self.range)
    }
}

/// The branches of a filter, each with the index that it is looked up in.
struct Split<'a, 'i> {
    searches: Vec<(Branch<'a>, Candidate<'i>)>,
}

impl Split<'_, '_> {
    /// A split is as good as its worst branch.
    fn rank(&self) -> (usize, bool) {
        self.searches.iter().map(|(_, candidate)| candidate.rank()).min().unwrap_or_default()
    }
}

struct Planner<'a> {
    definition: &'a Definition,
    /// The place to go on after, in the columns of the order.
    after: Option<&'a [Value]>,
    order: Vec<SortTerm>,
    shape: &'a Shape,
    at: Option<u64>,
}

impl<'a> Planner<'a> {
    fn name(&self, column: usize) -> &'a str {
        self.shape.name(column)
    }

    fn ways(&self, filter: &Filter) -> Vec<Way> {
        let whole = Branch::of(filter.parts());
        let splits = splits(&whole);
        let is_free = whole.terms.is_empty() && whole.others.is_empty();
        let walk = best(splits.iter().filter_map(|split| self.walk(split)));
        let seek = best(splits.iter().filter_map(|split| self.seek(split)));
        match (walk, seek) {
            (None, None) => vec![self.scan(&whole)],
            (None, Some(seek)) => vec![self.sorted(&seek)],
            (Some(walk), Some(seek)) if seek.rank().0 > walk.rank().0 => vec![self.sorted(&seek), self.ordered(&walk)],
            (Some(walk), _) if walk.rank() > (0, false) || is_free => vec![self.ordered(&walk)],
            (Some(walk), Some(seek)) => vec![self.sorted(&seek), self.ordered(&walk)],
            (Some(walk), None) => vec![self.scan(&whole), self.ordered(&walk)],
        }
    }

    /// The branches, each by the best index that gives the order.
    fn walk<'b>(&self, branches: &[Branch<'b>]) -> Option<Split<'b, 'a>> {
        let search = |branch: &Branch<'b>| {
            let candidates = self.candidates(branch).filter(|candidate| candidate.serves.is_some());
            // An index of which a list binds a column has no order: the list is split for that.
            let candidates = candidates.map(|candidate| Candidate { listed: false, ..candidate });
            first_of_best(candidates).map(|candidate| (branch.clone(), candidate))
        };
        let searches = branches.iter().map(search).collect::<Option<Vec<_>>>()?;
        let split = Split { searches };
        // To read an index in its order several times is worth it only where each time reads a part of it.
        (branches.len() == 1 || split.rank() > (0, false)).then_some(split)
    }

    /// The branches, each by the index that its conditions are best looked up in.
    fn seek<'b>(&self, branches: &[Branch<'b>]) -> Option<Split<'b, 'a>> {
        let search = |branch: &Branch<'b>| {
            let candidates = self.candidates(branch).filter(|candidate| candidate.rank() > (0, false));
            first_of_best(candidates).map(|candidate| (branch.clone(), candidate))
        };
        Some(Split { searches: branches.iter().map(search).collect::<Option<Vec<_>>>()? })
    }

    fn candidates<'b>(&'b self, branch: &'b Branch<'_>) -> impl Iterator<Item = Candidate<'a>> + 'b {
        self.shape.indexes.iter().map(|index| self.candidate(branch, index))
    }

    fn candidate(&self, branch: &Branch<'_>, index: &'a IndexShape) -> Candidate<'a> {
        let bound = index.columns.iter().take_while(|column| branch.is_bound(**column)).count();
        let tests = || branch.terms.iter().filter(|term| Some(&term.column) == index.columns.get(bound));
        let listed = tests().any(|term| matches!(term.test, Test::In(_)));
        let range = tests().any(|term| limits(&term.test));
        Candidate { index, bound, listed, serves: self.served(branch, index, bound), range }
    }

    /// What is left of the order when its bound columns are left out, if the rest of the index gives it.
    fn served(&self, branch: &Branch<'_>, index: &IndexShape, bound: usize) -> Option<Vec<SortTerm>> {
        let order: Vec<SortTerm> = self.order.iter().copied().filter(|term| !branch.is_bound(term.column)).collect();
        let rest = index.columns.iter().skip(bound);
        let same_columns =
            order.len() <= rest.len() && order.iter().zip(rest).all(|(term, column)| term.column == *column);
        let one_direction = order.iter().zip(order.iter().skip(1)).all(|(a, b)| a.descending == b.descending);
        // Nulls lie at the wrong end of an ascending index: that can be mended for its first column alone.
        let nulls_first_only = order.iter().skip(1).all(|term| !self.may_be_null(branch, term.column));
        (same_columns && one_direction && nulls_first_only).then_some(order)
    }

    fn may_be_null(&self, branch: &Branch<'_>, column: usize) -> bool {
        let required = column == self.definition.key || column == self.definition.record_id;
        !required && !branch.terms.iter().any(|term| term.column == column && !term.test.accepts(&Value::Null))
    }

    /// The place to continue after: the value of a column of the order.
    fn position(&self, column: usize) -> Option<&'a Value> {
        let place = self.order.iter().position(|term| term.column == column)?;
        self.after?.get(place)
    }

    /// The tables that hold records of the version.
    fn tables(&self) -> &'static [Table] {
        if self.at.is_some() { &[Table::Records, Table::Old] } else { &[Table::Records] }
    }

    fn ordered(&self, split: &Split<'_, '_>) -> Way {
        let searches = split.searches.iter().flat_map(|(branch, candidate)| {
            let stream = |table: &Table| Stream { table: *table, segments: self.segments(*table, branch, candidate) };
            self.tables().iter().map(stream)
        });
        Way { ordered: true, indexes: split.indexes(), streams: searches.collect() }
    }

    fn segments(&self, table: Table, branch: &Branch<'_>, candidate: &Candidate<'_>) -> Vec<Segment> {
        let order = candidate.serves.as_deref().unwrap_or_default();
        let after = match self.beginning(branch) {
            Beginning::Nowhere => return Vec::new(),
            Beginning::First => None,
            Beginning::After { terms, inclusive } => Some((terms, inclusive)),
        };
        let segment = |order: &[SortTerm], add: &dyn Fn(&mut Text)| {
            self.segment(table, (branch, candidate), (order, after.is_some()), add)
        };
        let Some((first, rest)) = order.split_first() else {
            // The filter asks for one record: there is none after it.
            let asked = self.after.is_none() || after.as_ref().is_none_or(|(_, inclusive)| *inclusive);
            return if asked { vec![segment(order, &|_| {})] } else { Vec::new() };
        };
        let at = after.as_ref().and_then(|(terms, _)| if *terms > 0 { self.position(first.column) } else { None });
        let decided = |order: &[SortTerm], skip: usize, sql: &mut Text| {
            let Some((terms, inclusive)) = &after else { return };
            self.push_after(order.get(..terms.saturating_sub(skip)).unwrap_or_default(), *inclusive, sql);
        };
        let nulls = self.may_be_null(branch, first.column);
        let mut segments = Vec::new();
        match at {
            None if nulls && !first.descending => {
                segments.push(segment(order, &|sql| self.push_not_null(first.column, sql)));
            }
            None => segments.push(segment(order, &|_| {})),
            Some(Value::Null) => {}
            Some(_) => segments.push(segment(order, &|sql| decided(order, 0, sql))),
        }
        let nulls_follow = at.is_some() || !first.descending;
        if nulls && nulls_follow {
            segments.push(segment(rest, &|sql| {
                sql.condition(&format!("{} IS NULL", self.name(first.column)), []);
                if at == Some(&Value::Null) {
                    decided(rest, 1, sql);
                }
            }));
        }
        segments
    }

    /// Where a branch has to begin to go on after the place: of the columns of the order that it leaves free, those that
    /// decide. A column that it binds to another value than that of the place decides all by itself.
    fn beginning(&self, branch: &Branch<'_>) -> Beginning {
        let Some(after) = self.after else { return Beginning::First };
        let mut terms = 0;
        for (term, place) in self.order.iter().zip(after) {
            let Some(bound) = branch.bound(term.column) else {
                terms += 1;
                continue;
            };
            let later = match ascending(bound, place) {
                Ordering::Equal => continue,
                order if term.descending && !bound.is_null() && !place.is_null() => order.is_lt(),
                order => order.is_gt(),
            };
            return match (terms, later) {
                (0, true) => Beginning::First,
                (0, false) => Beginning::Nowhere,
                (terms, inclusive) => Beginning::After { terms, inclusive },
            };
        }
        Beginning::After { terms, inclusive: false }
    }

    fn segment(
        &self,
        table: Table,
        (branch, candidate): (&Branch<'_>, &Candidate<'_>),
        (order, is_after): (&[SortTerm], bool),
        add: &dyn Fn(&mut Text),
    ) -> Segment {
        let mut sql = Text::select(&results(self.shape, &self.order, table), table, Some(&candidate.index.name));
        let next = candidate.index.columns.get(candidate.bound).copied();
        let position = |column: usize| self.position(column).filter(|_| is_after);
        let continues = next.filter(|next| position(*next).is_some_and(|value| !value.is_null()));
        for term in &branch.terms {
            // Where the position is inside the range, the range's near end says nothing any more, and SQLite must not choose it
            // as the place to start from. Of a filter with alternatives the position may be one of another alternative's.
            let is_inside = |column: usize| position(column).is_some_and(|value| term.test.accepts(value));
            let test = match continues {
                Some(column)
                    if column == term.column && order.iter().any(|term| term.column == column) && is_inside(column) =>
                {
                    let descending = order.first().is_some_and(|term| term.descending);
                    match far_end(&term.test, descending) {
                        Some(test) => test,
                        None => continue,
                    }
                }
                _ => term.test.clone(),
            };
            let sought = seeks(candidate, term.column, &test) && !matches!(test, Test::In(_));
            self.push_test(term.column, &test, sought, &mut sql);
        }
        self.push_rest(table, branch, &mut sql);
        add(&mut sql);
        sql.order(order.iter().map(|term| direction(self.name(term.column), term.descending, false)));
        sql.limited()
    }

    fn sorted(&self, split: &Split<'_, '_>) -> Way {
        let searches = split.searches.iter().map(|(branch, candidate)| (branch, Some(candidate)));
        self.unordered(searches, split.indexes())
    }

    fn scan(&self, branch: &Branch<'_>) -> Way {
        self.unordered(std::iter::once((branch, None)), Vec::new())
    }

    fn unordered<'s>(
        &self,
        searches: impl ExactSizeIterator<Item = (&'s Branch<'s>, Option<&'s Candidate<'s>>)>,
        indexes: Vec<String>,
    ) -> Way {
        let merged = searches.len() * self.tables().len() > 1;
        let streams = searches.flat_map(|(branch, candidate)| {
            let stream = move |table: &Table| Stream {
                table: *table,
                segments: vec![self.sorted_segment(*table, branch, candidate, merged)],
            };
            self.tables().iter().map(stream)
        });
        Way { ordered: false, indexes, streams: streams.collect() }
    }

    fn sorted_segment(
        &self,
        table: Table,
        branch: &Branch<'_>,
        candidate: Option<&Candidate<'_>>,
        merged: bool,
    ) -> Segment {
        let mut columns = String::from("\"$row\"");
        // What is merged has to be compared.
        for term in self.order.iter().filter(|_| merged) {
            columns.push_str(", ");
            columns.push_str(self.name(term.column));
        }
        let mut sql = Text::select(&columns, table, candidate.map(|candidate| candidate.index.name.as_str()));
        self.push_branch(table, branch, candidate, &mut sql);
        if let Some(values) = self.after {
            let (condition, params) = self.beyond(branch, values);
            sql.condition(&condition, params);
        }
        sql.order(self.order.iter().map(|term| {
            let nulls = self.may_be_null(branch, term.column);
            direction(&format!("+{}", self.name(term.column)), term.descending, nulls)
        }));
        sql.limited()
    }

    fn matching(&self, filter: &Filter, columns: &[usize], table: Table) -> Segment {
        let whole = Branch::of(filter.parts());
        let seek = best(splits(&whole).iter().filter_map(|split| self.seek(split)));
        let mut sql = Text::default();
        match seek.as_ref().map(|split| split.searches.as_slice()) {
            None => {
                // An index that has every column is narrower than the table.
                let mut needed = columns.to_vec();
                add_columns(filter, &mut needed);
                let has_all = |index: &&IndexShape| needed.iter().all(|column| index.columns.contains(column));
                let narrow = if self.at.is_none() { self.shape.indexes.iter().find(has_all) } else { None };
                sql.from(table, narrow.map(|index| index.name.as_str()));
                self.push_branch(table, &whole, None, &mut sql);
            }
            Some([(branch, candidate)]) => {
                sql.from(table, Some(&candidate.index.name));
                self.push_branch(table, branch, Some(candidate), &mut sql);
            }
            Some(searches) => {
                // A record may match several of them, and counts once.
                sql.from(table, None);
                let mut rows = Text::default();
                for (nth, (branch, candidate)) in searches.iter().enumerate() {
                    rows.begin(if nth == 0 { "SELECT \"$row\"" } else { " UNION SELECT \"$row\"" });
                    rows.from(table, Some(&candidate.index.name));
                    self.push_branch(table, branch, Some(candidate), &mut rows);
                }
                sql.condition(&format!("\"$row\" IN ({})", rows.sql), rows.params);
            }
        }
        Segment { sql: sql.sql, params: sql.params }
    }

    fn push_branch(&self, table: Table, branch: &Branch<'_>, candidate: Option<&Candidate<'_>>, sql: &mut Text) {
        for term in &branch.terms {
            let sought = candidate.is_some_and(|candidate| seeks(candidate, term.column, &term.test));
            self.push_test(term.column, &term.test, sought, sql);
        }
        self.push_rest(table, branch, sql);
    }

    /// The conditions that are no conditions on one column, and the version.
    fn push_rest(&self, table: Table, branch: &Branch<'_>, sql: &mut Text) {
        for filter in &branch.others {
            let (condition, params) = condition::of_filter(self.shape, filter);
            sql.condition(&condition, params);
        }
        if let Some(at) = self.at {
            let at = Sql::Integer(at.cast_signed());
            sql.condition("+\"$from\" <= ?", [at.clone()]);
            if table == Table::Old {
                sql.condition("+\"$to\" > ?", [at]);
            }
        }
    }

    fn push_test(&self, column: usize, test: &Test, sought: bool, sql: &mut Text) {
        match test {
            Test::Null(false) if sought => self.push_not_null(column, sql),
            test => {
                for (condition, params) in condition::of_test(self.name(column), test, sought) {
                    sql.condition(&condition, params);
                }
            }
        }
    }

    fn push_not_null(&self, column: usize, sql: &mut Text) {
        let Some(kind) = self.definition.columns.get(column).map(|column| column.kind) else { return };
        // `IS NOT NULL` would not always be looked up in an index.
        sql.condition(&format!("{} >= ?", self.name(column)), [super::schema::smallest(kind)]);
    }

    /// "After the position" or also at it, for an order of one direction without nulls.
    fn push_after(&self, order: &[SortTerm], inclusive: bool, sql: &mut Text) {
        let columns: Vec<&str> = order.iter().map(|term| self.name(term.column)).collect();
        let values: Vec<Sql> = order.iter().filter_map(|term| self.position(term.column)).map(owned).collect();
        let after = match (order.first().is_some_and(|term| term.descending), inclusive) {
            (false, false) => ">",
            (false, true) => ">=",
            (true, false) => "<",
            (true, true) => "<=",
        };
        let condition = match columns.as_slice() {
            [] if inclusive => return,
            [] => "0".to_owned(),
            [only] => format!("{only} {after} ?"),
            _ => format!("({}) {after} ({})", columns.join(", "), condition::marks(columns.len())),
        };
        sql.condition(&condition, values);
    }

    /// "After the position", for any order, as a condition that no index is searched for.
    fn beyond(&self, branch: &Branch<'_>, values: &[Value]) -> (String, Vec<Sql>) {
        let mut condition = String::from("0");
        let mut params: Vec<Sql> = Vec::new();
        for (term, value) in self.order.iter().zip(values).rev() {
            let column = format!("+{}", self.name(term.column));
            let after = if term.descending { "<" } else { ">" };
            if value.is_null() {
                condition = format!("({column} IS NULL AND {condition})");
                continue;
            }
            let nulls =
                if self.may_be_null(branch, term.column) { format!("{column} IS NULL OR ") } else { String::new() };
            condition = format!("({nulls}{column} {after} ? OR ({column} = ? AND {condition}))");
            params.splice(0..0, [owned(value), owned(value)]);
        }
        (condition, params)
    }
}

impl Split<'_, '_> {
    /// The indexes, each named once.
    fn indexes(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, candidate) in &self.searches {
            if !names.contains(&candidate.index.name) {
                names.push(candidate.index.name.clone());
            }
        }
        names
    }
}

/// Where a branch begins.
enum Beginning {
    /// At its first record.
    First,
    /// After the place, as far as so many of its columns decide it; or also at it.
    After { terms: usize, inclusive: bool },
    /// All that it has comes before the place.
    Nowhere,
}

/// The first of the best.
fn first_of_best<'c>(candidates: impl Iterator<Item = Candidate<'c>>) -> Option<Candidate<'c>> {
    candidates.reduce(|best, next| if next.rank() > best.rank() { next } else { best })
}

fn best<'b, 'c>(splits: impl Iterator<Item = Split<'b, 'c>>) -> Option<Split<'b, 'c>> {
    splits.reduce(|best, next| if next.rank() > best.rank() { next } else { best })
}

/// Whether the candidate's index is to be searched for this condition.
fn seeks(candidate: &Candidate<'_>, column: usize, test: &Test) -> bool {
    let Some(place) = candidate.index.columns.iter().position(|indexed| *indexed == column) else { return false };
    match test {
        Test::Equal(_) | Test::Null(true) => place < candidate.bound,
        Test::In(_) => place == candidate.bound,
        test => place == candidate.bound && limits(test),
    }
}

fn direction(column: &str, descending: bool, nulls: bool) -> String {
    match (descending, nulls) {
        (false, false) => column.to_owned(),
        (false, true) => format!("{column} NULLS LAST"),
        // Nulls are the smallest in SQLite, hence last already.
        (true, _) => format!("{column} DESC"),
    }
}
