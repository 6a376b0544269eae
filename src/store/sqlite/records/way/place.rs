//! How a page goes on after a place: where each branch begins, and the conditions that this makes.

use std::cmp::Ordering;

use rusqlite::types::Value as Sql;

use super::sought::WaySought;
use crate::{
    dataset::{
        Value,
        query::{SortTerm, ascending},
    },
    store::sqlite::records::{branch::Branch, condition, schema::owned, statement::StatementText},
};

/// Where a branch begins.
pub(super) enum Beginning {
    /// At its first record.
    First,
    /// After the place, as far as so many of its columns decide it; or also at it.
    After { terms: usize, inclusive: bool },
    /// All that it has comes before the place.
    Nowhere,
}

/// Where a branch has to begin to go on after the place: of the columns of the order that it leaves free, those that
/// decide. A column that it binds to another value than that of the place decides all by itself.
pub(super) fn beginning(sought: &WaySought<'_>, branch: &Branch<'_>) -> Beginning {
    let Some(after) = sought.after else { return Beginning::First };
    let mut terms = 0;
    for (term, place) in sought.order.iter().zip(after) {
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

/// "After the position" or also at it, for an order of one direction without nulls.
pub(super) fn push_after(sought: &WaySought<'_>, order: &[SortTerm], inclusive: bool, sql: &mut StatementText) {
    let columns: Vec<&str> = order.iter().map(|term| sought.name(term.column)).collect();
    let values: Vec<Sql> = order.iter().filter_map(|term| sought.position(term.column)).map(owned).collect();
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
pub(super) fn beyond(sought: &WaySought<'_>, branch: &Branch<'_>, values: &[Value]) -> (String, Vec<Sql>) {
    let mut condition = String::from("0");
    let mut params: Vec<Sql> = Vec::new();
    for (term, value) in sought.order.iter().zip(values).rev() {
        let column = format!("+{}", sought.name(term.column));
        let after = if term.descending { "<" } else { ">" };
        if value.is_null() {
            condition = format!("({column} IS NULL AND {condition})");
            continue;
        }
        let nulls =
            if sought.may_be_null(branch, term.column) { format!("{column} IS NULL OR ") } else { String::new() };
        condition = format!("({nulls}{column} {after} ? OR ({column} = ? AND {condition}))");
        params.splice(0..0, [owned(value), owned(value)]);
    }
    (condition, params)
}
