//! When to search the texts of some rows one by one, and not all texts of a block at once.

use std::hint::black_box;

use super::{
    codes::Codes,
    dictionary::{Dictionary, TextList},
    mask::Mask,
};

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

/// Hands over the text of each row with its place among these rows; a null has none. The texts lie far from each other in memory, which
/// sends several at the same time where nothing waits for one of them. So the beginning of each is read before any is looked at.
pub(super) fn each_text(list: &TextList, codes: &Codes, rows: &[usize], mut take: impl FnMut(usize, &str)) {
    let texts: Vec<Option<&str>> = rows.iter().map(|row| codes.get(*row).and_then(|code| list.at(code))).collect();
    let begins = texts.iter().flatten().filter_map(|text| text.as_bytes().first());
    black_box(begins.fold(0, |all, begin| all ^ begin));
    for (nth, text) in texts.into_iter().enumerate() {
        if let Some(text) = text {
            take(nth, text);
        }
    }
}

/// Of some rows, those whose text passes a test.
pub(super) fn passing(list: &TextList, codes: &Codes, wanted: &Mask, test: impl Fn(&str) -> bool) -> Mask {
    let rows = wanted.rows(codes.len());
    let mut marks = vec![0; codes.len()];
    each_text(list, codes, &rows, |nth, text| {
        if let Some(mark) = rows.get(nth).and_then(|row| marks.get_mut(*row)) {
            *mark = u8::from(test(text));
        }
    });
    Mask::Rows(marks)
}
