//! Writes the statements of a way.

use rusqlite::types::Value as Sql;

use super::{
    Way, WayStream,
    index::{IndexCandidate, IndexedBranches, best, seek, seeks},
    place::{Beginning, beginning, beyond, push_after},
    sought::WaySought,
};
use crate::{
    dataset::{
        Definition, Value,
        query::{Filter, SortTerm, Test},
    },
    store::sqlite::records::{
        branch::{Branch, add_columns, far_end, splits},
        condition,
        lane::Shape,
        schema::{IndexShape, RecordTable, smallest},
        statement::{Segment, StatementText},
    },
};

/// The result columns: a record's values, followed by the columns of its position.
pub(in crate::store::sqlite::records) fn results(shape: &Shape, order: &[SortTerm], table: RecordTable) -> String {
    let mut results = table.values().to_owned();
    for term in order {
        results.push_str(", ");
        results.push_str(shape.name(term.column));
    }
    results
}

pub(super) fn ordered(sought: &WaySought<'_>, split: &IndexedBranches<'_, '_>) -> Way {
    let searches = split.searches.iter().flat_map(|(branch, candidate)| {
        let stream =
            |table: &RecordTable| WayStream { table: *table, segments: segments(sought, *table, branch, candidate) };
        sought.tables().iter().map(stream)
    });
    Way { ordered: true, indexes: split.indexes(), streams: searches.collect() }
}

pub(super) fn sorted(sought: &WaySought<'_>, split: &IndexedBranches<'_, '_>) -> Way {
    let searches = split.searches.iter().map(|(branch, candidate)| (branch, Some(candidate)));
    unordered(sought, searches, split.indexes())
}

pub(super) fn scan(sought: &WaySought<'_>, branch: &Branch<'_>) -> Way {
    unordered(sought, std::iter::once((branch, None)), Vec::new())
}

fn unordered<'s>(
    sought: &WaySought<'_>,
    searches: impl ExactSizeIterator<Item = (&'s Branch<'s>, Option<&'s IndexCandidate<'s>>)>,
    indexes: Vec<String>,
) -> Way {
    let merged = searches.len() * sought.tables().len() > 1;
    let streams = searches.flat_map(|(branch, candidate)| {
        let stream = move |table: &RecordTable| WayStream {
            table: *table,
            segments: vec![sorted_segment(sought, *table, branch, candidate, merged)],
        };
        sought.tables().iter().map(stream)
    });
    Way { ordered: false, indexes, streams: streams.collect() }
}

fn segments(
    sought: &WaySought<'_>,
    table: RecordTable,
    branch: &Branch<'_>,
    candidate: &IndexCandidate<'_>,
) -> Vec<Segment> {
    let order = candidate.serves.as_deref().unwrap_or_default();
    let after = match beginning(sought, branch) {
        Beginning::Nowhere => return Vec::new(),
        Beginning::First => None,
        Beginning::After { terms, inclusive } => Some((terms, inclusive)),
    };
    let segment = |order: &[SortTerm], add: &dyn Fn(&mut StatementText)| {
        segment(sought, table, (branch, candidate), (order, after.is_some()), add)
    };
    let Some((first, rest)) = order.split_first() else {
        // The filter asks for one record: nothing follows it.
        let asked = sought.after.is_none() || after.as_ref().is_none_or(|(_, inclusive)| *inclusive);
        return if asked { vec![segment(order, &|_| {})] } else { Vec::new() };
    };
    let at = after.as_ref().and_then(|(terms, _)| if *terms > 0 { sought.position(first.column) } else { None });
    let decided = |order: &[SortTerm], skip: usize, sql: &mut StatementText| {
        let Some((terms, inclusive)) = &after else { return };
        push_after(sought, order.get(..terms.saturating_sub(skip)).unwrap_or_default(), *inclusive, sql);
    };
    let nulls = sought.may_be_null(branch, first.column);
    let mut segments = Vec::new();
    match at {
        None if nulls && !first.descending => {
            segments.push(segment(order, &|sql| push_not_null(sought, first.column, sql)));
        }
        None => segments.push(segment(order, &|_| {})),
        Some(Value::Null) => {}
        Some(_) => segments.push(segment(order, &|sql| decided(order, 0, sql))),
    }
    let nulls_follow = at.is_some() || !first.descending;
    if nulls && nulls_follow {
        segments.push(segment(rest, &|sql| {
            sql.condition(&format!("{} IS NULL", sought.name(first.column)), []);
            if at == Some(&Value::Null) {
                decided(rest, 1, sql);
            }
        }));
    }
    segments
}

fn segment(
    sought: &WaySought<'_>,
    table: RecordTable,
    (branch, candidate): (&Branch<'_>, &IndexCandidate<'_>),
    (order, is_after): (&[SortTerm], bool),
    add: &dyn Fn(&mut StatementText),
) -> Segment {
    let mut sql =
        StatementText::select(&results(sought.shape, &sought.order, table), table, Some(&candidate.index.name));
    let next = candidate.index.columns.get(candidate.bound).copied();
    let position = |column: usize| sought.position(column).filter(|_| is_after);
    let continues = next.filter(|next| position(*next).is_some_and(|value| !value.is_null()));
    for term in &branch.terms {
        // If the position is inside the range, the range's near end means nothing any more, and SQLite must not start from it. In a
        // filter with alternatives the position may be that of another alternative.
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
        let is_looked_up = seeks(candidate, term.column, &test) && !matches!(test, Test::In(_));
        push_test(sought, term.column, &test, is_looked_up, &mut sql);
    }
    push_rest(sought, table, branch, &mut sql);
    add(&mut sql);
    sql.order(order.iter().map(|term| direction(sought.name(term.column), term.descending, false)));
    sql.limited()
}

fn sorted_segment(
    sought: &WaySought<'_>,
    table: RecordTable,
    branch: &Branch<'_>,
    candidate: Option<&IndexCandidate<'_>>,
    merged: bool,
) -> Segment {
    let mut columns = String::from("\"$row\"");
    // Merging compares the columns of the order.
    for term in sought.order.iter().filter(|_| merged) {
        columns.push_str(", ");
        columns.push_str(sought.name(term.column));
    }
    let mut sql = StatementText::select(&columns, table, candidate.map(|candidate| candidate.index.name.as_str()));
    push_branch(sought, table, branch, candidate, &mut sql);
    if let Some(values) = sought.after {
        let (condition, params) = beyond(sought, branch, values);
        sql.condition(&condition, params);
    }
    sql.order(sought.order.iter().map(|term| {
        let nulls = sought.may_be_null(branch, term.column);
        direction(&format!("+{}", sought.name(term.column)), term.descending, nulls)
    }));
    sql.limited()
}

/// The records that match a filter, as the end of a `SELECT` from one table: `FROM … WHERE …`. `columns` are read besides those in
/// the filter.
pub(in crate::store::sqlite::records) fn matching(
    definition: &Definition,
    shape: &Shape,
    filter: &Filter,
    columns: &[usize],
    (table, at): (RecordTable, Option<u64>),
) -> Segment {
    let sought = &WaySought { definition, after: None, order: Vec::new(), shape, at };
    let whole = Branch::of(filter.parts());
    let seek = best(splits(&whole).iter().filter_map(|split| seek(sought, split)));
    let mut sql = StatementText::default();
    match seek.as_ref().map(|split| split.searches.as_slice()) {
        None => {
            // An index with every needed column is narrower than the table.
            let mut needed = columns.to_vec();
            add_columns(filter, &mut needed);
            let has_all = |index: &&IndexShape| needed.iter().all(|column| index.columns.contains(column));
            let narrow = if at.is_none() { shape.indexes.iter().find(has_all) } else { None };
            sql.from(table, narrow.map(|index| index.name.as_str()));
            push_branch(sought, table, &whole, None, &mut sql);
        }
        Some([(branch, candidate)]) => {
            sql.from(table, Some(&candidate.index.name));
            push_branch(sought, table, branch, Some(candidate), &mut sql);
        }
        Some(searches) => {
            // A record may match several branches, and counts once.
            sql.from(table, None);
            let mut rows = StatementText::default();
            for (nth, (branch, candidate)) in searches.iter().enumerate() {
                rows.begin(if nth == 0 { "SELECT \"$row\"" } else { " UNION SELECT \"$row\"" });
                rows.from(table, Some(&candidate.index.name));
                push_branch(sought, table, branch, Some(candidate), &mut rows);
            }
            sql.condition(&format!("\"$row\" IN ({})", rows.sql), rows.params);
        }
    }
    Segment { sql: sql.sql, params: sql.params }
}

fn push_branch(
    sought: &WaySought<'_>,
    table: RecordTable,
    branch: &Branch<'_>,
    candidate: Option<&IndexCandidate<'_>>,
    sql: &mut StatementText,
) {
    for term in &branch.terms {
        let is_looked_up = candidate.is_some_and(|candidate| seeks(candidate, term.column, &term.test));
        push_test(sought, term.column, &term.test, is_looked_up, sql);
    }
    push_rest(sought, table, branch, sql);
}

/// Appends the conditions on more than one column, and the version.
fn push_rest(sought: &WaySought<'_>, table: RecordTable, branch: &Branch<'_>, sql: &mut StatementText) {
    for filter in &branch.others {
        let (condition, params) = condition::of_filter(sought.shape, filter);
        sql.condition(&condition, params);
    }
    if let Some(at) = sought.at {
        let at = Sql::Integer(at.cast_signed());
        sql.condition("+\"$from\" <= ?", [at.clone()]);
        if table == RecordTable::Old {
            sql.condition("+\"$to\" > ?", [at]);
        }
    }
}

fn push_test(sought: &WaySought<'_>, column: usize, test: &Test, is_looked_up: bool, sql: &mut StatementText) {
    match test {
        Test::Null(false) if is_looked_up => push_not_null(sought, column, sql),
        test => {
            for (condition, params) in condition::of_test(sought.name(column), test, is_looked_up) {
                sql.condition(&condition, params);
            }
        }
    }
}

fn push_not_null(sought: &WaySought<'_>, column: usize, sql: &mut StatementText) {
    let Some(kind) = sought.definition.columns.get(column).map(|column| column.kind) else { return };
    // SQLite would not always look up `IS NOT NULL` in an index.
    sql.condition(&format!("{} >= ?", sought.name(column)), [smallest(kind)]);
}

fn direction(column: &str, descending: bool, nulls: bool) -> String {
    match (descending, nulls) {
        (false, false) => column.to_owned(),
        (false, true) => format!("{column} NULLS LAST"),
        // Nulls are the smallest in SQLite, hence last already.
        (true, _) => format!("{column} DESC"),
    }
}
