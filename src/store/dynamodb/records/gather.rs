//! The page in the making, and the order of records.

use std::cmp::Ordering;

use super::{plan, row};
use crate::{
    dataset::{
        Definition, Document, Record, Value,
        query::{Position, Query, SortTerm, ascending},
    },
    store::records::{Explained, Page, RecordStoreError, rules},
};

/// A page that is filled record by record.
pub(super) struct Gathered<'a> {
    definition: &'a Definition,
    query: &'a Query,
    order: Vec<SortTerm>,
    reading: Vec<(usize, SortTerm)>,
    version: u64,
    document: Document,
    last: Option<Position>,
    more: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(definition: &'a Definition, query: &'a Query, version: u64) -> Self {
        let order = query.order(definition);
        let reading = reading_order(query, &order);
        Self { definition, query, order, reading, version, document: Document::list(), last: None, more: false }
    }

    /// Whether the page holds all that it may, and it is known that more follows.
    pub(super) fn is_done(&self) -> bool {
        self.more
    }

    /// Whether the page holds all that it may.
    pub(super) fn is_full(&self) -> bool {
        self.document.count() >= self.query.limit
    }

    /// How many records are still to be found, the one that tells that more follow included.
    pub(super) fn room(&self) -> usize {
        let room = self.query.limit.saturating_sub(self.document.count());
        usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Takes in the next record that matches.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), RecordStoreError> {
        if self.is_full() {
            self.more = true;
            return Ok(());
        }
        row::write_json(self.definition, record, self.query.select.as_deref(), self.document.next_record());
        rules::check_page(self.document.bytes())?;
        if self.is_full() {
            self.last = Some(self.position(record));
        }
        Ok(())
    }

    /// Where a record stands in the order.
    pub(super) fn position(&self, record: &Record) -> Position {
        let values = self.order.iter().map(|term| row::value(record, term.column).clone()).collect();
        Position { version: self.version, values }
    }

    /// How two records follow one another.
    pub(super) fn compare(&self, left: &Record, right: &Record) -> Ordering {
        let order = self.order.iter().copied().enumerate();
        compared(order, |_, column| row::value(left, column), |_, column| row::value(right, column))
    }

    /// Whether a record comes after the place that the query goes on from.
    pub(super) fn is_after(&self, record: &Record) -> bool {
        let Some(position) = &self.query.after else { return true };
        let of_position = |place: usize, _| position.values.get(place).unwrap_or(&Value::Null);
        compared(self.reading.iter().copied(), |_, column| row::value(record, column), of_position).is_gt()
    }

    /// The page when everything has been seen that belongs on it.
    pub(super) fn page(self, explained: Option<Explained>) -> Page {
        let next = if self.more { self.last } else { None };
        Page { version: self.version, document: self.document, next, complete: true, count: None, explained }
    }

    /// The page when the store stopped looking, at a record of this position. The record need not match.
    pub(super) fn stopped(self, at: Position, explained: Option<Explained>) -> Page {
        let complete = self.document.count() >= self.query.limit;
        Page { version: self.version, document: self.document, next: Some(at), complete, count: None, explained }
    }
}

/// The order in which a store that stopped at a record has read: columns that the filter binds to one value decide last. For
/// records that match it is the order asked for; it also holds for one that does not match, whose values there differ.
fn reading_order(query: &Query, order: &[SortTerm]) -> Vec<(usize, SortTerm)> {
    let conditions = query.filter.conjuncts();
    let is_bound = |(_, term): &(usize, SortTerm)| plan::bound_value(&conditions, term.column).is_some();
    let (bound, free): (Vec<_>, Vec<_>) = order.iter().copied().enumerate().partition(is_bound);
    let descending = free.first().is_some_and(|(_, term)| term.descending);
    let bound = bound.into_iter().map(|(place, term)| (place, SortTerm { descending, ..term }));
    free.iter().copied().chain(bound).collect()
}

/// Compares by an order, in which nulls come last in both directions. Both sides give their value for a place in the order and
/// the column that stands there.
fn compared<'v>(
    order: impl Iterator<Item = (usize, SortTerm)>,
    left: impl Fn(usize, usize) -> &'v Value,
    right: impl Fn(usize, usize) -> &'v Value,
) -> Ordering {
    for (place, term) in order {
        let (left, right) = (left(place, term.column), right(place, term.column));
        let order = ascending(left, right);
        if order.is_ne() {
            let reversed = term.descending && !left.is_null() && !right.is_null();
            return if reversed { order.reverse() } else { order };
        }
    }
    Ordering::Equal
}
