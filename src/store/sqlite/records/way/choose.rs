//! Chooses the one or two ways to answer a query.

use super::{
    Way,
    index::{best, seek, walk},
    sought::WaySought,
    write::{ordered, scan, sorted},
};
use crate::{
    dataset::{
        Definition,
        query::{Filter, Query},
    },
    store::sqlite::records::{
        branch::{Branch, splits},
        lane::Shape,
    },
};

/// The one or two ways to answer a query, from the present records or from those of version `at`. If none ends within a budget, the
/// first one is run to its end.
pub(in crate::store::sqlite::records) fn ways(
    definition: &Definition,
    shape: &Shape,
    query: &Query,
    at: Option<u64>,
) -> Vec<Way> {
    let order = query.order(definition);
    let after = query.after.as_ref().map(|position| position.values.as_slice());
    choose(&WaySought { definition, after, order, shape, at }, &query.filter)
}

fn choose(sought: &WaySought<'_>, filter: &Filter) -> Vec<Way> {
    let whole = Branch::of(filter.parts());
    let splits = splits(&whole);
    let is_free = whole.terms.is_empty() && whole.others.is_empty();
    let walk = best(splits.iter().filter_map(|split| walk(sought, split)));
    let seek = best(splits.iter().filter_map(|split| seek(sought, split)));
    match (walk, seek) {
        (None, None) => vec![scan(sought, &whole)],
        (None, Some(seek)) => vec![sorted(sought, &seek)],
        (Some(walk), Some(seek)) if seek.rank().0 > walk.rank().0 => {
            vec![sorted(sought, &seek), ordered(sought, &walk)]
        }
        (Some(walk), _) if walk.rank() > (0, false) || is_free => vec![ordered(sought, &walk)],
        (Some(walk), Some(seek)) => vec![sorted(sought, &seek), ordered(sought, &walk)],
        (Some(walk), None) => vec![scan(sought, &whole), ordered(sought, &walk)],
    }
}
