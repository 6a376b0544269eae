//! Searches for words over columns.

use super::{
    blocks::ColumnBlocks,
    dictionary::{Dictionary, NextOccurrence, TextList},
    few,
    mask::Mask,
};
use crate::dataset::{
    query::{WordBits, WordSearch, begins_word, ends_word},
    text::bare,
};

/// The rows that have each word. Others than the wanted ones may be missing, or be in it.
pub(super) fn met<B: ColumnBlocks>(
    blocks: &B,
    block: usize,
    search: &WordSearch,
    wanted: &Mask,
) -> Result<Mask, B::Failure> {
    let bits = bits_of_rows(blocks, block, search, (wanted, false))?;
    if bits.is_empty() {
        return Ok(Mask::Nothing);
    }
    Ok(Mask::Rows(bits.into_iter().map(|bits| u8::from(search.is_met(WordBits(bits)))).collect()))
}

/// The relevance of the wanted rows, by row; of the others it is any number. It is empty where no row has a word.
pub(super) fn relevance<B: ColumnBlocks>(
    blocks: &B,
    block: usize,
    search: &WordSearch,
    wanted: &Mask,
) -> Result<Vec<u32>, B::Failure> {
    let bits = bits_of_rows(blocks, block, search, (wanted, true))?;
    Ok(bits.into_iter().map(|bits| search.relevance(WordBits(bits))).collect())
}

/// The bits of the texts of each wanted row, with those of the words' order if they are `ordered`; empty where no row has any.
fn bits_of_rows<B: ColumnBlocks>(
    blocks: &B,
    block: usize,
    search: &WordSearch,
    (wanted, ordered): (&Mask, bool),
) -> Result<Vec<u64>, B::Failure> {
    let rows = blocks.rows(block)?;
    let few = wanted.count(rows);
    let mut all: Vec<u64> = Vec::new();
    for column in search.columns() {
        if few::may_pay(few, rows) {
            let chunk = blocks.chunk(block, *column)?;
            let Dictionary::Texts(list) = &*chunk.dictionary else { continue };
            if few::pays(few, &chunk.dictionary) {
                all.resize(rows, 0);
                let mut known: Vec<Option<u64>> = vec![None; list.len()];
                wanted.each(rows, |row| {
                    let place = chunk.codes.get(row).map_or(usize::MAX, usize::from);
                    if let (Some(known), Some(bits)) = (known.get_mut(place), all.get_mut(row)) {
                        *bits |= *known.get_or_insert_with(|| search.bits_of(&bare(list.get(place))).0);
                    }
                });
                continue;
            }
        }
        let dictionary = blocks.bare(block, *column)?;
        let Dictionary::Texts(list) = &*dictionary else { continue };
        if let Some(mut of_code) = bits_of_texts(list, search, ordered) {
            // The code of null.
            of_code.push(0);
            all.resize(rows, 0);
            blocks.codes(block, *column)?.join_bits(&of_code, &mut all);
        }
    }
    Ok(all)
}

/// The bits of each text of a list in bare form; none where no text has any.
fn bits_of_texts(list: &TextList, search: &WordSearch, ordered: bool) -> Option<Vec<u64>> {
    let mut all: Option<Vec<u64>> = None;
    for (nth, word) in search.words().iter().enumerate() {
        let whole = WordSearch::of_word(nth, true);
        list.occurrences(word, |place, at| {
            let text = list.get(place);
            if !begins_word(text, at) {
                return NextOccurrence::Any;
            }
            let found = WordSearch::of_word(nth, ends_word(text, at + word.len()));
            if let Some(bits) = all.get_or_insert_with(|| vec![0; list.len()]).get_mut(place) {
                *bits |= found;
            }
            if found == whole { NextOccurrence::InOtherTexts } else { NextOccurrence::Any }
        });
    }
    if ordered {
        for (place, bits) in all.iter_mut().flatten().enumerate().filter(|(_, bits)| **bits > 0) {
            *bits |= search.order_bits(list.get(place), *bits);
        }
    }
    all
}
