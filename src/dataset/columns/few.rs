//! When to search the texts of some rows one by one, and not all texts of a block at once.

use super::dictionary::Dictionary;

/// To search the text of one row takes as long as to search so many bytes of many texts at once.
const ROW_BYTES: u64 = 400;
/// With more rows than one in so many, the texts of all rows are searched at once in any case.
const FEW_ROWS: u64 = 16;

/// Tells whether so many rows of all may be few enough, whatever their texts.
pub(super) fn may_pay(wanted: u64, rows: usize) -> bool {
    wanted * FEW_ROWS < rows as u64
}

/// Tells whether so many rows are few enough for these texts.
pub(super) fn pays(wanted: u64, texts: &Dictionary) -> bool {
    wanted * ROW_BYTES < texts.bytes() as u64
}
