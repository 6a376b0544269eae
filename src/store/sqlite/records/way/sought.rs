//! What a way is sought for: an order, a place in it, and a version.

use crate::{
    dataset::{Definition, Value, query::SortTerm},
    store::sqlite::records::{branch::Branch, lane::Shape, schema::RecordTable},
};

/// What a way is sought for.
pub(super) struct WaySought<'a> {
    pub(super) definition: &'a Definition,
    /// The place to go on after, in the columns of the order.
    pub(super) after: Option<&'a [Value]>,
    pub(super) order: Vec<SortTerm>,
    pub(super) shape: &'a Shape,
    /// The version, where it is not the present one.
    pub(super) at: Option<u64>,
}

impl<'a> WaySought<'a> {
    pub(super) fn name(&self, column: usize) -> &'a str {
        self.shape.name(column)
    }

    pub(super) fn may_be_null(&self, branch: &Branch<'_>, column: usize) -> bool {
        let required = column == self.definition.key || column == self.definition.record_id;
        !required && !branch.terms.iter().any(|term| term.column == column && !term.test.accepts(&Value::Null))
    }

    /// The place to continue after: the value of a column of the order.
    pub(super) fn position(&self, column: usize) -> Option<&'a Value> {
        let place = self.order.iter().position(|term| term.column == column)?;
        self.after?.get(place)
    }

    /// The tables that hold records of the version.
    pub(super) fn tables(&self) -> &'static [RecordTable] {
        if self.at.is_some() { &[RecordTable::Records, RecordTable::Old] } else { &[RecordTable::Records] }
    }
}
