//! The index that answers a query, if one does. SQLite's own choice can be wrong by a factor of twenty, and nobody would notice before
//! the data has grown; so the index is named (`INDEXED BY`), by this rule: of the indexes whose remaining columns give the order asked
//! for once the leading ones are bound to a value each, the one with the most bound columns; among equals, one whose next column the
//! filter limits to a range. It answers without sorting and stops when the page is full.
//!
//! A list of values, or alternatives that can each be looked up, are looked up one by one: each is a stream in the requested order,
//! and the streams are merged. Columns that must not be searched in a way's index are written `+column`, which SQLite never looks up.
//!
//! Every other query is answered from columns (`columns.rs`).

mod index;
mod place;
mod sought;
mod write;

pub(super) use self::write::{by_number, with_number, with_place};
use self::{
    index::{best, walk},
    sought::WaySought,
    write::ordered,
};
use super::{
    branch::{Branch, splits},
    columns::ColumnSlot,
    shape::Shape,
    statement::Segment,
};
use crate::dataset::{Definition, query::Query};

/// A walk through an index that answers a query.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether the index has all conditions: then the walk meets no record that does not match.
    pub(super) complete: bool,
    /// Whether the index has some of the conditions, or there are none.
    pub(super) narrow: bool,
    /// The indexes of the segments.
    indexes: Vec<String>,
    /// The streams to read. Each yields records in the requested order; together they are merged. Several may yield the same
    /// record. A stream consists of statements to run one after the other, whose parameters lack the last one, a limit.
    pub(super) streams: Vec<Vec<Segment>>,
}

/// The walk through an index that answers a query about the present records in its order, if there is one.
pub(super) fn way(definition: &Definition, shape: &Shape, query: &Query) -> Option<Way> {
    let order = query.order(definition);
    let after = query.after.as_ref().map(|position| position.values.as_slice());
    let sought = WaySought { definition, after, order, shape };
    let whole = Branch::of(query.filter.parts());
    let splits = splits(&whole);
    let is_free = whole.terms.is_empty() && whole.others.is_empty();
    let walk = best(splits.iter().filter_map(|split| walk(&sought, split)))?;
    Some(Way {
        complete: walk.is_complete(),
        narrow: is_free || walk.rank() > (0, false),
        indexes: walk.indexes(),
        streams: ordered(&sought, &walk),
    })
}

impl Way {
    /// Whether to walk may take less time than to compare columns. A projection answers sooner than a walk that meets records that do not
    /// match; without one the table would be read again and again.
    pub(super) fn may_pay(&self, slot: &ColumnSlot) -> bool {
        self.complete || !slot.is_there()
    }

    /// The way in words.
    pub(super) fn explained(&self) -> Vec<String> {
        let mut words: Vec<String> = self.indexes.iter().map(|index| format!("search the index {index}")).collect();
        if self.streams.len() > 1 {
            words.push(format!("merge {} searches", self.streams.len()));
        }
        words.push("its order is the one asked for".to_owned());
        words
    }
}
