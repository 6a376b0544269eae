//! Fences: places in an order, in the codes of one block.

use super::{chunk::ColumnChunk, mask::Mask};
use crate::dataset::{Value, query::SortTerm};

/// The key of a null in every order: nulls come last.
const NULL_KEY: u32 = u32::MAX;
/// One more than the greatest code.
const CODES: u32 = 1 << 16;

/// A term of an order over one block: each row has a key, and keys are in the order of the term. Keys of values are even, so that
/// another value has a key between them.
pub(super) struct TermKeys {
    chunk: ColumnChunk,
    descending: bool,
    /// The code of null.
    null: usize,
}

impl TermKeys {
    pub(super) fn new(chunk: ColumnChunk, term: &SortTerm) -> Self {
        let null = chunk.dictionary.len();
        Self { chunk, descending: term.descending, null }
    }

    /// The key of a row.
    pub(super) fn of_row(&self, row: usize) -> u32 {
        match self.chunk.codes.get(row) {
            Some(code) if usize::from(code) < self.null => self.of_code(u32::from(code)),
            _ => NULL_KEY,
        }
    }

    fn of_code(&self, code: u32) -> u32 {
        if self.descending { 2 * (CODES - code) } else { 2 * code + 2 }
    }

    /// The key of a value, which the block need not have.
    pub(super) fn of_value(&self, value: &Value) -> u32 {
        if value.is_null() {
            return NULL_KEY;
        }
        let (place, is_there) = self.chunk.dictionary.place(value);
        let place = u32::try_from(place).unwrap_or(CODES).min(CODES);
        match (is_there, self.descending) {
            (true, _) => self.of_code(place),
            (false, false) => 2 * place + 1,
            (false, true) => 2 * (CODES - place) + 1,
        }
    }

    /// The value of a row.
    pub(super) fn value(&self, row: usize) -> Value {
        self.chunk.value(row)
    }

    /// The rows whose keys lie between two, both included.
    pub(super) fn between(&self, first: u32, last: u32) -> Mask {
        let nulls = || u16::try_from(self.null).map_or(Mask::Nothing, |null| self.chunk.codes.between(null, null));
        // The keys of values lie from 2 to 2 * CODES.
        let (low, high) = (first.max(2), last.min(2 * CODES));
        let values = if low > high || self.null == 0 {
            Mask::Nothing
        } else {
            let (least, greatest) = match self.descending {
                false => ((low - 2).div_ceil(2), (high - 2) / 2),
                true => (CODES - high / 2, CODES - low.div_ceil(2)),
            };
            let greatest = greatest.min(u32::try_from(self.null - 1).unwrap_or(CODES));
            match (u16::try_from(least), u16::try_from(greatest)) {
                (Ok(0), Ok(greatest)) if usize::from(greatest) + 1 >= self.null && last == NULL_KEY => {
                    return Mask::Everything;
                }
                (Ok(least), Ok(greatest)) => self.chunk.codes.between(least, greatest),
                _ => Mask::Nothing,
            }
        };
        if last == NULL_KEY { values.or(nulls()) } else { values }
    }
}
