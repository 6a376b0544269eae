//! The SQL aggregate `exact_sum`.

use rusqlite::{
    functions::{Aggregate, Context},
    types::ValueRef,
};

use crate::dataset::summary::ExactSum;

/// The aggregate `exact_sum`: sums fractional numbers exactly, in any order.
pub(super) struct ExactSumOf;

impl Aggregate<Option<ExactSum>, Option<f64>> for ExactSumOf {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<ExactSum>> {
        Ok(None)
    }

    fn step(&self, call: &mut Context<'_>, sum: &mut Option<ExactSum>) -> rusqlite::Result<()> {
        if let ValueRef::Real(number) = call.get_raw(0) {
            sum.get_or_insert_default().add(number);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<ExactSum>>) -> rusqlite::Result<Option<f64>> {
        Ok(sum.flatten().map(|sum| sum.value()))
    }
}
