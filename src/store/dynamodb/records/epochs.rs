//! Which row of a record a reader sees, of those that lie beside each other.
//!
//! Every import writes under an epoch of its own, a number that rises with each import that begins. A row carries the epoch that it
//! was written in and never changes; of the rows of a record, the one of the last epoch that counts is seen. An epoch counts from
//! the moment its import is committed, by one write of the data set's state. Epochs between two that were committed one after the
//! other belong to imports that died or failed: they never count.

use std::fmt::Write;

/// The most gaps, and entries of given-up epochs, to remember. The next import clears away what a dead import left.
const KEPT_MAX: usize = 100;
/// How long data that nobody holds any more stays in place: other readers may not have heard of the last import, or are at work.
const UNSEEN_KEPT_US: i64 = 60_000_000;

/// The epochs of a data set as one state of it knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    visible: u64,
    /// Epochs of imports that died, from the first to the last, both included; the oldest first.
    gaps: Vec<(u64, u64)>,
    /// What states gave up, the earliest first: an epoch, and the time (microseconds since 1970) when data that had been replaced
    /// or removed by then was given up.
    given_up: Vec<(u64, i64)>,
}

/// The error for a text that is no state of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its epochs cannot be read")]
pub(super) struct Unreadable;

impl Epochs {
    /// The epochs of records that were written at once: all after `base`, up to `visible`. Data that was replaced or removed up to
    /// `floor` is given up.
    pub(super) fn begun(base: u64, visible: u64, floor: u64, now_us: i64) -> Self {
        Self { visible, gaps: vec![(0, base)], given_up: vec![(floor, now_us)] }
    }

    /// The last committed epoch; 0 before the first.
    pub(super) fn visible(&self) -> u64 {
        self.visible
    }

    /// Tells whether the import of that epoch was committed by then.
    pub(super) fn is_committed(&self, epoch: u64) -> bool {
        epoch <= self.visible && !self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&epoch))
    }

    /// The state of when an earlier epoch had become visible.
    pub(super) fn at(&self, epoch: u64) -> Self {
        Self { visible: epoch, ..self.clone() }
    }

    /// The epoch up to which this state has given up replaced and removed data.
    pub(super) fn floor(&self) -> u64 {
        self.given_up.last().map_or(0, |(floor, _)| *floor)
    }

    /// The floor of all states that somebody may still read by.
    pub(super) fn floor_of_all(&self, now_us: i64) -> u64 {
        let known_everywhere = |(_, moment): &&(u64, i64)| now_us.saturating_sub(*moment) > UNSEEN_KEPT_US;
        self.given_up.iter().rev().find(known_everywhere).map_or(0, |(floor, _)| *floor)
    }

    /// The state after a later epoch is committed, and data that was replaced or removed up to `floor` is given up.
    pub(super) fn committed(&self, epoch: u64, floor: u64, now_us: i64) -> Self {
        let mut next = self.clone();
        if epoch > self.visible + 1 {
            next.gaps.push((self.visible + 1, epoch - 1));
        }
        next.visible = epoch;
        if floor > self.floor() {
            next.given_up.push((floor, now_us));
        }
        // Of the entries that are known everywhere the last one suffices.
        let floor_of_all = next.floor_of_all(now_us);
        next.given_up.retain(|(floor, _)| *floor >= floor_of_all);
        let excess = |kept: usize| kept.saturating_sub(KEPT_MAX);
        next.gaps.drain(..excess(next.gaps.len()));
        next.given_up.drain(..excess(next.given_up.len()));
        next
    }

    /// The stored form: the visible epoch, the gaps, the given-up epochs.
    pub(super) fn to_texts(&self) -> (u64, String, String) {
        (self.visible, pairs(&self.gaps), pairs(&self.given_up))
    }

    /// Reads the stored form.
    pub(super) fn from_texts(visible: u64, gaps: &str, given_up: &str) -> Result<Self, Unreadable> {
        Ok(Self { visible, gaps: read_pairs(gaps)?, given_up: read_pairs(given_up)? })
    }
}

pub(super) fn pairs<T: std::fmt::Display>(pairs: &[(u64, T)]) -> String {
    pairs.iter().fold(String::new(), |mut text, (first, second)| {
        let between = if text.is_empty() { "" } else { "," };
        // Writing to memory cannot fail.
        write!(text, "{between}{first}:{second}").ok();
        text
    })
}

pub(super) fn read_pairs<T: std::str::FromStr>(text: &str) -> Result<Vec<(u64, T)>, Unreadable> {
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
        let first = Epochs::default().committed(1, 1, 0);
        // Imports 2 and 3 died; 4 is committed.
        let second = first.committed(4, 1, MINUTE_US);
        assert!(first.is_committed(1) && !first.is_committed(4));
        assert!(second.is_committed(1) && second.is_committed(4));
        assert!(!second.is_committed(2) && !second.is_committed(3));
    }

    #[test]
    fn earlier_epochs_are_seen_as_they_were() {
        let epochs = Epochs::default().committed(1, 1, 0).committed(4, 1, 0).committed(5, 1, 0);
        let seen = |epoch: u64| [1, 4, 5].map(|at| epochs.at(at).is_committed(epoch));
        assert_eq!(seen(1), [true, true, true]);
        assert_eq!(seen(3), [false, false, false], "who died is seen at no time");
        assert_eq!(seen(4), [false, true, true]);
        assert_eq!(seen(6), [false, false, false]);
    }

    #[test]
    fn the_latest_state_that_is_old_enough_decides() {
        let (first, second) = (4, 5);
        let epochs = Epochs::default().committed(1, 1, 0).committed(4, first, MINUTE_US);
        let epochs = epochs.committed(5, second, 2 * MINUTE_US).committed(6, second, 9 * MINUTE_US);
        assert_eq!(epochs.floor(), second);
        assert_eq!(epochs.floor_of_all(9 * MINUTE_US), second, "a state that gives up no more changes nothing");
        let quick = Epochs::default().committed(4, first, 0).committed(5, second, MINUTE_US);
        assert_eq!(quick.floor_of_all(MINUTE_US + 1), first);
        assert_eq!(quick.floor_of_all(2 * MINUTE_US), first);
        assert_eq!(quick.floor_of_all(2 * MINUTE_US + 1), second);
        assert_eq!(quick.floor_of_all(-MINUTE_US), 0, "a clock that was set back clears nothing");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let at_once = (1..=1000).fold(Epochs::default(), |epochs, nth: u64| epochs.committed(nth * 2, nth, 0));
        assert_eq!((at_once.gaps.len(), at_once.given_up.len()), (KEPT_MAX, KEPT_MAX));
        assert_eq!((at_once.floor(), at_once.floor_of_all(MINUTE_US + 1)), (1000, 1000));
        let in_time = (1..=1000).fold(Epochs::default(), |epochs, nth: u64| {
            epochs.committed(nth * 2, nth, i64::try_from(nth).unwrap() * 2 * MINUTE_US)
        });
        assert_eq!(in_time.given_up.len(), 2, "what is known everywhere, and what may not be yet");
    }

    #[test]
    fn what_is_written_at_once_is_seen_from_its_first_epoch_on() {
        let epochs = Epochs::begun(100, 103, 101, 0);
        assert_eq!(
            [0, 7, 100, 101, 103, 104].map(|epoch| epochs.is_committed(epoch)),
            [false, false, false, true, true, false]
        );
        assert_eq!((epochs.visible(), epochs.floor(), epochs.floor_of_all(MINUTE_US + 1)), (103, 101, 101));
        let next = epochs.committed(105, 101, MINUTE_US);
        assert!(next.is_committed(105) && !next.is_committed(104) && next.is_committed(101) && !next.is_committed(100));
    }

    proptest! {
        #[test]
        fn it_is_read_as_it_was_stored(steps in proptest::collection::vec((1_u64..4, 0_u64..3, any::<i64>()), 0..20)) {
            let epochs = steps.iter().fold(Epochs::default(), |epochs, (step, given_up, now)| {
                epochs.committed(epochs.visible() + step, epochs.floor() + given_up, *now)
            });
            let (visible, gaps, given_up) = epochs.to_texts();
            prop_assert_eq!(Epochs::from_texts(visible, &gaps, &given_up), Ok(epochs));
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        assert_eq!(Epochs::from_texts(1, "1", ""), Err(Unreadable));
        assert_eq!(Epochs::from_texts(1, "", "x:1"), Err(Unreadable));
    }
}
