//! Filters over columns.

use std::cmp::Ordering;

use super::{ChunkBounds, ColumnBlocks, mask::Mask};
use crate::dataset::{
    Value,
    query::{Filter, Test, ascending},
};

/// The rows of a block that are shown and match a filter.
pub(super) fn matching<B: ColumnBlocks>(blocks: &B, block: usize, filter: &Filter) -> Result<Mask, B::Failure> {
    let visible = blocks.visible(block)?;
    if visible == Mask::Nothing {
        return Ok(visible);
    }
    Ok(rows(blocks, block, filter)?.and(visible))
}

fn rows<B: ColumnBlocks>(blocks: &B, block: usize, filter: &Filter) -> Result<Mask, B::Failure> {
    match filter {
        Filter::All(filters) => {
            let mut mask = Mask::Everything;
            for filter in filters {
                mask = mask.and(rows(blocks, block, filter)?);
                // What follows may need columns that are not in memory.
                if mask.is_empty() {
                    return Ok(Mask::Nothing);
                }
            }
            Ok(mask)
        }
        Filter::Any(filters) => {
            let mut mask = Mask::Nothing;
            for filter in filters {
                mask = mask.or(rows(blocks, block, filter)?);
            }
            Ok(mask)
        }
        Filter::Not(filter) => Ok(rows(blocks, block, filter)?.not()),
        Filter::Term(term) => {
            if let Some(bounds) = blocks.bounds(block, term.column)
                && let Some(known) = decided(&term.test, bounds)
            {
                return Ok(known);
            }
            let chunk = blocks.chunk(block, term.column)?;
            chunk.passing(&term.test, || blocks.folded(block, term.column))
        }
    }
}

/// The answer of a test for a whole block, where the bounds of its values give it.
fn decided(test: &Test, bounds: &ChunkBounds) -> Option<Mask> {
    let ChunkBounds { least, greatest, has_nulls } = bounds;
    let has_values = !least.is_null();
    let is_below = |value: &Value| has_values && ascending(value, least) == Ordering::Less;
    let is_above =
        |value: &Value| greatest.as_ref().is_some_and(|greatest| ascending(value, greatest) == Ordering::Greater);
    let is_outside = |value: &Value| !has_values || is_below(value) || is_above(value);
    let none = match test {
        Test::Equal(value) => is_outside(value),
        Test::NotEqual(value) => return is_outside(value).then_some(Mask::Everything),
        Test::Less(value) | Test::LessOrEqual(value) => !has_values || is_below(value),
        Test::Greater(value) | Test::GreaterOrEqual(value) => !has_values || is_above(value),
        Test::Between(low, high) => !has_values || is_above(low) || is_below(high),
        Test::In(list) => list.iter().all(is_outside),
        Test::NotIn(list) => return list.iter().all(is_outside).then_some(Mask::Everything),
        Test::Contains(_) | Test::StartsWith(_) => !has_values,
        Test::Null(true) if !has_values => return Some(Mask::Everything),
        Test::Null(true) => !has_nulls,
        Test::Null(false) if !has_nulls => return Some(Mask::Everything),
        Test::Null(false) => !has_values,
    };
    none.then_some(Mask::Nothing)
}
