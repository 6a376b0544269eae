//! When to search the texts of some rows one by one, and not all texts of a block at once.

use super::dictionary::Dictionary;

/// To fold and search the text of one row takes as long as to search so many bytes of many texts at once.
const FOLDED_ROW_BYTES: u64 = 4_000;
/// The same for a text whose folded form is in memory.
const ROW_BYTES: u64 = 2_000;
/// With more rows, the texts of all rows are searched at once in any case.
const FEW_ROWS: u64 = 1 << 12;

/// Tells whether so many rows may be few enough, whatever the texts.
pub(super) fn may_pay(wanted: u64) -> bool {
    wanted <= FEW_ROWS
}

/// Tells whether so many rows are few enough for these texts, which are in folded form.
pub(super) fn pays(wanted: u64, texts: &Dictionary) -> bool {
    wanted * ROW_BYTES < texts.bytes() as u64
}

/// Tells whether so many rows are few enough for these texts, each of which would have to be folded.
pub(super) fn pays_folding(wanted: u64, texts: &Dictionary) -> bool {
    wanted * FOLDED_ROW_BYTES < texts.bytes() as u64
}
