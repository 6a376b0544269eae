//! Where everything comes from that is left to chance: one number.

/// SplitMix64: the same seed gives the same choices on every machine.
pub(crate) struct Chances(u64);

impl Chances {
    /// The choices for one purpose: what others take does not change them.
    pub(crate) fn new(seed: u64, purpose: [u64; 2]) -> Self {
        let mut chances = Self(seed);
        for part in purpose {
            chances.0 = chances.next() ^ part;
        }
        chances
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound, which must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The same as a place in a list; 0 for an empty one.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length.max(1)).unwrap())).unwrap()
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn among<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.place(choices.len())].clone()
    }
}
