//! Writes the statements of a way.

use super::{
    index::{IndexCandidate, IndexedBranches, seeks},
    place::{Beginning, beginning, push_after},
    sought::WaySought,
};
use crate::{
    dataset::{
        Value,
        query::{SortTerm, Test},
    },
    store::sqlite::records::{
        branch::{Branch, far_end},
        condition,
        schema::{RecordTable, smallest},
        shape::Shape,
        statement::{Segment, StatementText},
    },
};

/// The statement that reads a state by its number.
pub(in crate::store::sqlite::records) fn by_number(results: &str, table: RecordTable) -> String {
    format!("SELECT {results} FROM {} WHERE \"$row\" = ?", table.name())
}

/// The result columns: a state's values and its number, by which its place is looked up. Each further column would be read for each row.
pub(in crate::store::sqlite::records) fn with_number(table: RecordTable) -> String {
    format!("{}, \"$row\"", table.values())
}

/// The result columns: a state's values, followed by the columns of its place.
pub(in crate::store::sqlite::records) fn with_place(shape: &Shape, order: &[SortTerm], table: RecordTable) -> String {
    let mut results = table.values().to_owned();
    for term in order {
        results.push_str(", ");
        results.push_str(shape.name(term.column));
    }
    results
}

/// The streams of a walk.
pub(super) fn ordered(sought: &WaySought<'_>, split: &IndexedBranches<'_, '_>) -> Vec<Vec<Segment>> {
    let results = match split.searches.as_slice() {
        [_] => with_number(RecordTable::Records),
        // They are merged by their places.
        _ => with_place(sought.shape, &sought.order, RecordTable::Records),
    };
    split.searches.iter().map(|(branch, candidate)| segments(sought, branch, candidate, &results)).collect()
}

fn segments(
    sought: &WaySought<'_>,
    branch: &Branch<'_>,
    candidate: &IndexCandidate<'_>,
    results: &str,
) -> Vec<Segment> {
    let order = candidate.serves.as_deref().unwrap_or_default();
    let after = match beginning(sought, branch) {
        Beginning::Nowhere => return Vec::new(),
        Beginning::First => None,
        Beginning::After { terms, inclusive } => Some((terms, inclusive)),
    };
    let segment = |order: &[SortTerm], add: &dyn Fn(&mut StatementText)| {
        segment(sought, results, (branch, candidate), (order, after.is_some()), add)
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
    results: &str,
    (branch, candidate): (&Branch<'_>, &IndexCandidate<'_>),
    (order, is_after): (&[SortTerm], bool),
    add: &dyn Fn(&mut StatementText),
) -> Segment {
    let mut sql = StatementText::select(results, &candidate.index.name);
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
    push_rest(sought, branch, &mut sql);
    add(&mut sql);
    sql.order(order.iter().map(|term| direction(sought.name(term.column), term.descending)));
    sql.limited()
}

/// Appends the conditions on more than one column.
fn push_rest(sought: &WaySought<'_>, branch: &Branch<'_>, sql: &mut StatementText) {
    for filter in &branch.others {
        let (condition, params) = condition::of_filter(sought.shape, filter);
        sql.condition(&condition, params);
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

fn direction(column: &str, descending: bool) -> String {
    if descending { format!("{column} DESC") } else { column.to_owned() }
}
