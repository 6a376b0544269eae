//! Which of the versions of a record that lie beside each other a reader sees.
//!
//! Every import writes under an epoch of its own, a number that rises with each one that begins. A row carries the epoch it
//! was written in and, once a later import has replaced or removed it, the epoch of that one. Neither counts before its import
//! is committed, which is one write of the data set's state. Epochs between two that were committed one after the other belong
//! to imports that died: they never count.

use std::fmt::Write;

/// Gaps and moments that are remembered. What is older was cleared away by many imports since.
const KEPT_MAX: usize = 100;
/// How long what is no longer seen stays in place: readers elsewhere may not have heard of the last import, or are at work.
const UNSEEN_KEPT_US: i64 = 60_000_000;

/// The epochs of a data set as one state of it knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    visible: u64,
    /// Epochs of imports that died, from the first to the last, both included; the oldest first.
    gaps: Vec<(u64, u64)>,
    /// When the last epochs became visible, microseconds since 1970; the oldest first.
    moments: Vec<(u64, i64)>,
}

/// A text that is not the state of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its epochs cannot be read")]
pub(super) struct Unreadable;

impl Epochs {
    /// The last one that was committed; 0 before the first.
    pub(super) fn visible(&self) -> u64 {
        self.visible
    }

    /// Whether the import of that epoch was committed.
    pub(super) fn is_committed(&self, epoch: u64) -> bool {
        epoch <= self.visible && !self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&epoch))
    }

    /// Whether a row written in one epoch and, perhaps, replaced or removed in another is seen.
    pub(super) fn sees(&self, from: u64, to: Option<u64>) -> bool {
        self.is_committed(from) && !to.is_some_and(|to| self.is_committed(to))
    }

    /// Whether nobody can need the row any more. To be asked only by who holds the import lock: what is not committed then
    /// never will be.
    pub(super) fn is_garbage(&self, from: u64, to: Option<u64>, now_us: i64) -> bool {
        if !self.is_committed(from) {
            return true;
        }
        let Some(to) = to.filter(|to| self.is_committed(*to)) else { return false };
        // An epoch whose moment is forgotten is older than the oldest that is remembered.
        let moment = self.moments.iter().find(|(epoch, _)| *epoch >= to).map(|(_, moment)| *moment);
        moment.is_some_and(|moment| now_us.saturating_sub(moment) > UNSEEN_KEPT_US)
    }

    /// The same after a later epoch was committed.
    pub(super) fn committed(&self, epoch: u64, now_us: i64) -> Self {
        let mut next = self.clone();
        if epoch > self.visible + 1 {
            next.gaps.push((self.visible + 1, epoch - 1));
        }
        next.moments.push((epoch, now_us));
        next.visible = epoch;
        let excess = |kept: usize| kept.saturating_sub(KEPT_MAX);
        next.gaps.drain(..excess(next.gaps.len()));
        next.moments.drain(..excess(next.moments.len()));
        next
    }

    /// As it is stored: the visible one, the gaps, the moments.
    pub(super) fn to_texts(&self) -> (u64, String, String) {
        (self.visible, pairs(&self.gaps), pairs(&self.moments))
    }

    /// Reads what was stored.
    pub(super) fn from_texts(visible: u64, gaps: &str, moments: &str) -> Result<Self, Unreadable> {
        Ok(Self { visible, gaps: read_pairs(gaps)?, moments: read_pairs(moments)? })
    }
}

fn pairs<T: std::fmt::Display>(pairs: &[(u64, T)]) -> String {
    pairs.iter().fold(String::new(), |mut text, (first, second)| {
        let between = if text.is_empty() { "" } else { "," };
        // Writing to memory has no way to fail.
        write!(text, "{between}{first}:{second}").ok();
        text
    })
}

fn read_pairs<T: std::str::FromStr>(text: &str) -> Result<Vec<(u64, T)>, Unreadable> {
    let read = |pair: &str| {
        let (first, second) = pair.split_once(':')?;
        Some((first.parse().ok()?, second.parse().ok()?))
    };
    text.split(',').filter(|pair| !pair.is_empty()).map(|pair| read(pair).ok_or(Unreadable)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    #[test]
    fn what_died_never_counts() {
        let first = Epochs::default().committed(1, 0);
        // Imports 2 and 3 died; 4 is committed.
        let second = first.committed(4, MINUTE_US);
        assert!(first.sees(1, None) && first.sees(1, Some(4)) && !first.sees(4, None));
        assert!(second.sees(1, None) && second.sees(4, None) && !second.sees(1, Some(4)));
        assert!(!second.sees(2, None) && !second.sees(3, None));
        assert!(second.sees(1, Some(3)), "who died removes nothing");
    }

    #[test]
    fn garbage_is_what_died_and_what_was_replaced_a_while_ago() {
        let epochs = Epochs::default().committed(1, 0).committed(4, MINUTE_US);
        assert!(epochs.is_garbage(2, None, MINUTE_US) && epochs.is_garbage(5, None, MINUTE_US));
        assert!(!epochs.is_garbage(1, None, i64::MAX) && !epochs.is_garbage(1, Some(3), i64::MAX));
        assert!(!epochs.is_garbage(1, Some(4), 2 * MINUTE_US), "somebody may still read it");
        assert!(epochs.is_garbage(1, Some(4), 2 * MINUTE_US + 1));
        assert!(Epochs::default().is_garbage(1, None, 0), "nothing was ever committed");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_forgotten_is_old() {
        let epochs = (1..=1000).fold(Epochs::default(), |epochs, nth: u64| {
            epochs.committed(nth * 2, i64::try_from(nth).unwrap() * MINUTE_US)
        });
        assert_eq!((epochs.gaps.len(), epochs.moments.len()), (KEPT_MAX, KEPT_MAX));
        assert!(epochs.is_garbage(2, Some(4), 2_000 * MINUTE_US));
        assert!(!epochs.is_garbage(2, Some(4), 901 * MINUTE_US), "the oldest that is remembered is not old enough");
    }

    proptest! {
        #[test]
        fn it_is_read_as_it_was_stored(steps in proptest::collection::vec((1_u64..4, any::<i64>()), 0..20)) {
            let epochs = steps.iter().fold(Epochs::default(), |epochs, (step, now)| {
                epochs.committed(epochs.visible() + step, *now)
            });
            let (visible, gaps, moments) = epochs.to_texts();
            prop_assert_eq!(Epochs::from_texts(visible, &gaps, &moments), Ok(epochs));
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        assert_eq!(Epochs::from_texts(1, "1", ""), Err(Unreadable));
        assert_eq!(Epochs::from_texts(1, "", "x:1"), Err(Unreadable));
    }
}
