//! Searches for words over columns.

use std::sync::Arc;

use super::{
    blocks::ColumnBlocks,
    codes::Codes,
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
    if let Some(texts) = RowTexts::of_few(blocks, block, search, wanted)? {
        let marks = texts.of_rows(search, (wanted, blocks.rows(block)?), |bits| u8::from(search.is_met(bits)));
        return Ok(Mask::Rows(marks));
    }
    if let [column] = search.columns() {
        let dictionary = blocks.bare(block, *column)?;
        let Dictionary::Texts(list) = &*dictionary else { return Ok(Mask::Nothing) };
        let Some(bits) = bits_of_texts(list, search, false) else { return Ok(Mask::Nothing) };
        let marks: Vec<u8> = bits.into_iter().map(|bits| u8::from(search.is_met(WordBits(bits)))).collect();
        return Ok(blocks.codes(block, *column)?.marked_of(&marks));
    }
    let bits = bits_of_rows(blocks, block, search, false)?;
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
    if let Some(texts) = RowTexts::of_few(blocks, block, search, wanted)? {
        return Ok(texts.of_rows(search, (wanted, blocks.rows(block)?), |bits| search.relevance(bits)));
    }
    let bits = bits_of_rows(blocks, block, search, true)?;
    Ok(bits.into_iter().map(|bits| search.relevance(WordBits(bits))).collect())
}

/// The texts of a block, where it pays to search those of some rows one by one.
struct RowTexts(Vec<ColumnTexts>);

struct ColumnTexts {
    codes: Arc<Codes>,
    texts: Arc<Dictionary>,
    /// Whether the texts are in bare form.
    is_bare: bool,
}

impl RowTexts {
    /// The texts, if the wanted rows are few enough.
    fn of_few<B: ColumnBlocks>(
        blocks: &B,
        block: usize,
        search: &WordSearch,
        wanted: &Mask,
    ) -> Result<Option<Self>, B::Failure> {
        let few = wanted.count(blocks.rows(block)?);
        if !few::may_pay(few) {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(search.columns().len());
        for column in search.columns() {
            let (codes, texts, is_bare) = match blocks.bare_at_hand(block, *column) {
                Some(texts) if few::pays(few, &texts) => (blocks.codes(block, *column)?, texts, true),
                Some(_) => return Ok(None),
                None => {
                    let chunk = blocks.chunk(block, *column)?;
                    if !few::pays_folding(few, &chunk.dictionary) {
                        return Ok(None);
                    }
                    (chunk.codes, chunk.dictionary, false)
                }
            };
            columns.push(ColumnTexts { codes, texts, is_bare });
        }
        Ok(Some(Self(columns)))
    }

    /// What is made of the bits of the wanted rows, of so many in the block; the default value for the others.
    fn of_rows<T: Clone + Default>(
        &self,
        search: &WordSearch,
        (wanted, rows): (&Mask, usize),
        make: impl Fn(WordBits) -> T,
    ) -> Vec<T> {
        let places = wanted.rows(rows);
        let mut bits = vec![0; places.len()];
        for ColumnTexts { codes, texts, is_bare } in &self.0 {
            let Dictionary::Texts(list) = &**texts else { continue };
            few::each_text(list, codes, &places, |nth, text| {
                if let Some(bits) = bits.get_mut(nth) {
                    *bits |= if *is_bare { search.bits_of(text).0 } else { search.bits_of(&bare(text)).0 };
                }
            });
        }
        let mut all = vec![T::default(); rows];
        for (row, bits) in places.into_iter().zip(bits) {
            if let Some(of_row) = all.get_mut(row) {
                *of_row = make(WordBits(bits));
            }
        }
        all
    }
}

/// The bits of the texts of each row, with those of the words' order if they are `ordered`; empty where no row has any.
fn bits_of_rows<B: ColumnBlocks>(
    blocks: &B,
    block: usize,
    search: &WordSearch,
    ordered: bool,
) -> Result<Vec<u64>, B::Failure> {
    let rows = blocks.rows(block)?;
    let mut all: Vec<u64> = Vec::new();
    for column in search.columns() {
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
