//! Continues a page after a place: the beginning of each branch, and its conditions.

use std::cmp::Ordering;

use rusqlite::types::Value as Sql;

use super::sought::WaySought;
use crate::{
    dataset::query::{SortTerm, ascending},
    store::sqlite::records::{branch::Branch, condition, schema::owned, statement::StatementText},
};

/// The beginning of a branch.
pub(super) enum Beginning {
    /// At its first record.
    First,
    /// After the place, as far as so many of the branch's free columns decide it; `inclusive` also at it.
    After { terms: usize, inclusive: bool },
    /// All its records come before the place.
    Nowhere,
}

/// The beginning of a branch after the place: decided by the columns of the order that the branch leaves free, until it binds a
/// column to another value than the place's, which decides the rest.
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

/// The condition "after the position", or also at it, for an order of one direction without nulls.
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
