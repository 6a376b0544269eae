//! Masks: which rows of a block are meant.

/// Some rows of a block. A byte for each row, and not a bit, lets every loop over them use the processor's vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// No row.
    Nothing,
    /// Every row.
    Everything,
    /// The rows with a 1; others have a 0.
    Rows(Vec<u8>),
}

impl Mask {
    /// The rows in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => Self::Nothing,
            (Self::Everything, other) | (other, Self::Everything) => other,
            (Self::Rows(mut rows), Self::Rows(other)) => {
                rows.iter_mut().zip(&other).for_each(|(row, other)| *row &= other);
                Self::Rows(rows)
            }
        }
    }

    /// The rows in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Rows(mut rows), Self::Rows(other)) => {
                rows.iter_mut().zip(&other).for_each(|(row, other)| *row |= other);
                Self::Rows(rows)
            }
        }
    }

    /// The rows that are not in it.
    #[must_use]
    pub fn inverted(self) -> Self {
        match self {
            Self::Nothing => Self::Everything,
            Self::Everything => Self::Nothing,
            Self::Rows(mut rows) => {
                rows.iter_mut().for_each(|row| *row ^= 1);
                Self::Rows(rows)
            }
        }
    }

    /// Removes a row of a block of so many.
    pub fn remove(&mut self, row: usize, rows: usize) {
        if matches!(self, Self::Everything) {
            *self = Self::Rows(vec![1; rows]);
        }
        if let Self::Rows(marks) = self
            && let Some(mark) = marks.get_mut(row)
        {
            *mark = 0;
        }
    }

    /// Tells whether there is no row in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::Rows(rows) => !rows.contains(&1),
        }
    }

    /// The number of rows in it, of so many in the block.
    pub fn count(&self, rows: usize) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Everything => rows as u64,
            // Parts whose sum fits into few bits are added up by the processor's vectors.
            Self::Rows(marks) => {
                marks.chunks(1 << 12).map(|part| u64::from(part.iter().map(|mark| u32::from(*mark)).sum::<u32>())).sum()
            }
        }
    }

    /// The rows in it, of so many in the block, in ascending order.
    pub(super) fn rows(&self, rows: usize) -> Vec<usize> {
        let mut marked = Vec::new();
        self.each(rows, |row| marked.push(row));
        marked
    }

    /// Hands each row in it to `take`, of so many in the block, in ascending order.
    pub fn each(&self, rows: usize, mut take: impl FnMut(usize)) {
        match self {
            Self::Nothing => {}
            Self::Everything => (0..rows).for_each(take),
            Self::Rows(marks) => {
                let (words, rest) = marks.as_chunks::<8>();
                for (nth, word) in words.iter().enumerate() {
                    let mut word = u64::from_le_bytes(*word);
                    while word != 0 {
                        take(nth * 8 + (word.trailing_zeros() / 8) as usize);
                        word &= word - 1;
                    }
                }
                let done = words.len() * 8;
                rest.iter().enumerate().filter(|(_, mark)| **mark == 1).for_each(|(nth, _)| take(done + nth));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_mask() -> impl Strategy<Value = Mask> {
        let rows = proptest::collection::vec(0_u8..2, 21).prop_map(Mask::Rows);
        prop_oneof![Just(Mask::Nothing), Just(Mask::Everything), rows]
    }

    fn rows(mask: &Mask) -> Vec<bool> {
        let mut rows = vec![false; 21];
        mask.each(21, |row| rows[row] = true);
        rows
    }

    proptest! {
        #[test]
        fn masks_are_sets(a in any_mask(), b in any_mask(), gone in 0_usize..21) {
            let both: Vec<bool> = rows(&a).iter().zip(rows(&b)).map(|(a, b)| *a && b).collect();
            let either: Vec<bool> = rows(&a).iter().zip(rows(&b)).map(|(a, b)| *a || b).collect();
            let others: Vec<bool> = rows(&a).iter().map(|a| !a).collect();
            prop_assert_eq!(rows(&a.clone().and(b.clone())), both);
            prop_assert_eq!(rows(&a.clone().or(b)), either);
            prop_assert_eq!(rows(&a.clone().inverted()), others);
            prop_assert_eq!(a.count(21), rows(&a).iter().filter(|row| **row).count() as u64);
            prop_assert_eq!(a.is_empty(), a.count(21) == 0);
            let (mut less, mut expected) = (a.clone(), rows(&a));
            less.remove(gone, 21);
            expected[gone] = false;
            prop_assert_eq!(rows(&less), expected);
        }
    }
}
