//! Filters over columns.

use std::cmp::Ordering;

use memchr::memmem::Finder;

use super::{blocks::ColumnBlocks, chunk::ChunkBounds, dictionary::Dictionary, few, mask::Mask, words};
use crate::dataset::{
    Value,
    query::{Filter, Test, ascending},
};

/// The rows of a block that are shown and match a filter.
pub(super) fn matching<B: ColumnBlocks>(blocks: &B, block: usize, filter: &Filter) -> Result<Mask, B::Failure> {
    let mut mask = blocks.visible(block)?;
    for is_costly in [false, true] {
        mask = narrowed(blocks, block, filter, is_costly, mask)?;
    }
    Ok(mask)
}

/// Of some rows, those that match the parts of a filter that are searches in texts, or those that match all other parts.
pub(super) fn narrowed<B: ColumnBlocks>(
    blocks: &B,
    block: usize,
    filter: &Filter,
    is_costly: bool,
    mut mask: Mask,
) -> Result<Mask, B::Failure> {
    for part in filter.parts().iter().filter(|part| searches(part) == is_costly) {
        // What follows may need columns that are not in memory.
        if mask.is_empty() {
            return Ok(Mask::Nothing);
        }
        mask = rows(blocks, block, part, &mask)?.and(mask);
    }
    Ok(mask)
}

/// Tells whether a filter searches in texts.
pub(super) fn searches(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(searches),
        Filter::Not(filter) => searches(filter),
        Filter::Term(term) => matches!(term.test, Test::Contains(_)),
        Filter::Words(_) => true,
    }
}

/// The rows that match. Others than the wanted ones may be missing, or be in it.
fn rows<B: ColumnBlocks>(blocks: &B, block: usize, filter: &Filter, wanted: &Mask) -> Result<Mask, B::Failure> {
    match filter {
        Filter::All(filters) => {
            let mut mask = wanted.clone();
            for filter in filters {
                if mask.is_empty() {
                    return Ok(Mask::Nothing);
                }
                mask = rows(blocks, block, filter, &mask)?.and(mask);
            }
            Ok(mask)
        }
        Filter::Any(filters) => {
            let mut mask = Mask::Nothing;
            for filter in filters {
                mask = mask.or(rows(blocks, block, filter, wanted)?);
            }
            Ok(mask)
        }
        Filter::Not(filter) => Ok(rows(blocks, block, filter, wanted)?.inverted()),
        Filter::Words(search) => words::met(blocks, block, search, wanted),
        Filter::Term(term) => {
            if let Some(bounds) = blocks.bounds(block, term.column)
                && let Some(known) = decided(&term.test, bounds)
            {
                return Ok(known);
            }
            let Test::Contains(needle) = &term.test else {
                return Ok(blocks.chunk(block, term.column)?.passing(&term.test));
            };
            let rows = blocks.rows(block)?;
            let few = wanted.count(rows);
            if few::may_pay(few) {
                if let Some(folded) = blocks.folded_at_hand(block, term.column) {
                    if let Dictionary::Texts(list) = &*folded
                        && few::pays(few, &folded)
                    {
                        let finder = Finder::new(needle);
                        let codes = blocks.codes(block, term.column)?;
                        return Ok(few::passing(list, &codes, wanted, |text| finder.find(text.as_bytes()).is_some()));
                    }
                } else {
                    let chunk = blocks.chunk(block, term.column)?;
                    if few::pays_folding(few, &chunk.dictionary) {
                        return Ok(chunk.containing(needle, wanted));
                    }
                }
            }
            let marks = blocks.folded(block, term.column)?.containing(needle);
            match marks.contains(&1) {
                true => Ok(blocks.codes(block, term.column)?.marked_of(&marks)),
                false => Ok(Mask::Nothing),
            }
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
        Test::Inside(area) => {
            let (low, high) = area.ends();
            !has_values || is_above(&Value::Point(low)) || is_below(&Value::Point(high))
        }
        Test::Null(true) if !has_values => return Some(Mask::Everything),
        Test::Null(true) => !has_nulls,
        Test::Null(false) if !has_nulls => return Some(Mask::Everything),
        Test::Null(false) => !has_values,
    };
    none.then_some(Mask::Nothing)
}
