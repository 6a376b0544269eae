//! A set of row numbers, one bit each: which stored rows an import has seen.

use std::collections::BTreeMap;

const BITS_PER_WORD: u64 = 64;
const WORDS_PER_BLOCK: usize = 1024;
const BITS_PER_BLOCK: u64 = BITS_PER_WORD * WORDS_PER_BLOCK as u64;

/// Grows by 8 KiB per 65,536 neighbouring numbers: 125 KB for a million rows.
#[derive(Debug, Default)]
pub(super) struct RowSet {
    blocks: BTreeMap<u64, Box<[u64; WORDS_PER_BLOCK]>>,
}

impl RowSet {
    pub(super) fn insert(&mut self, row: i64) {
        let (block, word, bit) = place(row);
        let words = self.blocks.entry(block).or_insert_with(|| Box::new([0; WORDS_PER_BLOCK]));
        if let Some(word) = words.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn contains(&self, row: i64) -> bool {
        let (block, word, bit) = place(row);
        self.blocks.get(&block).and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }
}

fn place(row: i64) -> (u64, usize, u64) {
    let number = row.cast_unsigned();
    let within = number % BITS_PER_BLOCK;
    let word = usize::try_from(within / BITS_PER_WORD).unwrap_or(0);
    (number / BITS_PER_BLOCK, word, 1 << (within % BITS_PER_WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in(rows in proptest::collection::btree_set(0_i64..300_000, 0..50), other in 0_i64..300_000) {
            let rows: BTreeSet<i64> = rows;
            let mut set = RowSet::default();
            rows.iter().for_each(|row| set.insert(*row));
            prop_assert!(rows.iter().all(|row| set.contains(*row)));
            prop_assert_eq!(set.contains(other), rows.contains(&other));
        }
    }
}
