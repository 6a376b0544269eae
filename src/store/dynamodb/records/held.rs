//! Which versions of a data set can be read as they were, and under which epoch each became visible.

use super::epochs::{Unreadable, pairs, read_pairs};

/// Runs that are remembered: the item that holds them is read again and again.
const RUNS_MAX: usize = 1000;

/// The versions that are held. Versions follow one another by one, and so do epochs as long as every import changes something
/// and none dies: of such a run its first version is kept, with its epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held(Vec<(u64, u64)>);

impl Held {
    /// This version alone, which an epoch made.
    pub(super) fn only(version: u64, epoch: u64) -> Self {
        Self(vec![(version, epoch)])
    }

    /// The earliest of them.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.0.first().map(|(version, _)| *version)
    }

    /// The epoch that made a version. To be asked of no version after the last one.
    pub(super) fn epoch(&self, version: u64) -> Option<u64> {
        let (first, epoch) = self.0.iter().rev().find(|(first, _)| *first <= version)?;
        Some(epoch + (version - first))
    }

    /// The same with the next version.
    pub(super) fn followed_by(&self, version: u64, epoch: u64) -> Self {
        let mut next = self.clone();
        if next.epoch(version) != Some(epoch) {
            next.0.push((version, epoch));
        }
        next.0.drain(..next.0.len().saturating_sub(RUNS_MAX));
        next
    }

    /// The same without what came before a version.
    pub(super) fn since(&self, version: u64) -> Self {
        let Some(epoch) = self.epoch(version) else { return self.clone() };
        let later = self.0.iter().copied().filter(|(first, _)| *first > version);
        Self(std::iter::once((version, epoch)).chain(later).collect())
    }

    /// As it is stored.
    pub(super) fn to_text(&self) -> String {
        pairs(&self.0)
    }

    /// Reads what was stored.
    pub(super) fn from_text(text: &str) -> Result<Self, Unreadable> {
        Ok(Self(read_pairs(text)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_version_has_its_epoch(first in 1_u64..50, steps in proptest::collection::vec(prop_oneof![4 => Just(1_u64), 1 => 2_u64..5], 0..60), from in 0_u64..60) {
            let mut epochs = vec![(first, first + 3)];
            let mut held = Held::only(first, first + 3);
            for step in steps {
                let (version, epoch) = *epochs.last().unwrap();
                epochs.push((version + 1, epoch + step));
                held = held.followed_by(version + 1, epoch + step);
            }
            let from = first + from % epochs.len() as u64;
            let shorter = held.since(from);
            prop_assert_eq!((held.earliest(), shorter.earliest()), (Some(first), Some(from)));
            prop_assert_eq!(held.epoch(first - 1), None);
            for (version, epoch) in &epochs {
                prop_assert_eq!(held.epoch(*version), Some(*epoch));
                prop_assert_eq!(shorter.epoch(*version), Some(*epoch).filter(|_| *version >= from));
            }
            prop_assert_eq!(Held::from_text(&shorter.to_text()), Ok(shorter));
        }
    }

    #[test]
    fn a_run_takes_no_more_room_than_one_version() {
        let held = (2..500).fold(Held::only(1, 4), |held, version| held.followed_by(version, version + 3));
        assert_eq!(held.to_text(), "1:4");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let held = (2..=3000).fold(Held::only(1, 1), |held, version| held.followed_by(version, version * 2));
        assert_eq!((held.0.len(), held.earliest()), (RUNS_MAX, Some(2001)));
        assert_eq!((held.epoch(2001), held.epoch(2000)), (Some(4002), None));
    }
}
