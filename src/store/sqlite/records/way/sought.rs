//! The goal of a way: an order, and a place in it.

use crate::{
    dataset::{Definition, Value, query::SortTerm},
    store::sqlite::records::{branch::Branch, shape::Shape},
};

/// The goal of a way.
pub(super) struct WaySought<'a> {
    pub(super) definition: &'a Definition,
    /// The place to continue after, in the columns of the order.
    pub(super) after: Option<&'a [Value]>,
    pub(super) order: Vec<SortTerm>,
    pub(super) shape: &'a Shape,
}

impl<'a> WaySought<'a> {
    pub(super) fn name(&self, column: usize) -> &'a str {
        self.shape.name(column)
    }

    pub(super) fn may_be_null(&self, branch: &Branch<'_>, column: usize) -> bool {
        let required = column == self.definition.key || column == self.definition.record_id;
        !required && !branch.terms.iter().any(|term| term.column == column && !term.test.accepts(&Value::Null))
    }

    /// The value of a column at the place to continue after.
    pub(super) fn position(&self, column: usize) -> Option<&'a Value> {
        let place = self.order.iter().position(|term| term.column == column)?;
        self.after?.get(place)
    }
}
