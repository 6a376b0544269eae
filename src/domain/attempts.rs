//! Counts wrong attempts at a secret by address, account or any other key: the first few cost nothing, each further one doubles the next
//! wait, and a quiet time clears them all. Also keeps a shared pace for everybody ([`Pace`]).
//!
//! Moments are microseconds of any clock that does not run backwards.

use std::{
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use quick_cache::sync::Cache;

/// Limits and waits for wrong attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowing {
    /// Wrong attempts within the window that cost nothing.
    pub free: u32,
    /// The window, microseconds. Also the quiet time after the last wait that clears all attempts.
    pub window_us: i64,
    /// The first wait, microseconds. It doubles with each further attempt.
    pub first_wait_us: i64,
    /// The longest wait, microseconds.
    pub wait_max_us: i64,
}

impl Slowing {
    /// The wait after the `nth` attempt beyond the free ones, from 1.
    fn wait_us(&self, nth: u32) -> i64 {
        doubled(self.first_wait_us, nth, self.wait_max_us)
    }
}

/// `first`, doubled for each of `nth` but the first, at most `max`.
pub fn doubled(first: i64, nth: u32, max: i64) -> i64 {
    let factor = 1_i64.checked_shl(nth.saturating_sub(1)).filter(|factor| *factor > 0);
    factor.and_then(|factor| first.checked_mul(factor)).map_or(max, |wait| wait.min(max))
}

/// The delay that an attempt beyond the free ones has caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowed {
    /// The number of attempts beyond the free ones, this one included.
    pub nth: u32,
    /// How long the next attempt has to wait, microseconds.
    pub wait_us: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct AttemptTally {
    begun_us: i64,
    last_us: i64,
    /// Free attempts used within the window that began at `begun_us`.
    free_used: u32,
    /// Attempts beyond the free ones.
    beyond: u32,
}

impl AttemptTally {
    fn is_forgotten(&self, slowing: &Slowing, now_us: i64) -> bool {
        let (since, life_us) = match self.beyond {
            0 => (self.begun_us, slowing.window_us),
            beyond => (self.last_us, slowing.wait_us(beyond).saturating_add(slowing.window_us)),
        };
        now_us.saturating_sub(since) >= life_us
    }

    fn wrong(&mut self, slowing: &Slowing, now_us: i64) -> Option<Slowed> {
        if self.is_forgotten(slowing, now_us) {
            *self = Self { begun_us: now_us, ..Self::default() };
        }
        self.last_us = now_us;
        if self.beyond == 0 && self.free_used < slowing.free {
            self.free_used += 1;
            return None;
        }
        self.beyond = self.beyond.saturating_add(1);
        Some(Slowed { nth: self.beyond, wait_us: slowing.wait_us(self.beyond) })
    }

    fn wait_us(&self, slowing: &Slowing, now_us: i64) -> i64 {
        match self.beyond {
            0 => 0,
            beyond => self.last_us.saturating_add(slowing.wait_us(beyond)).saturating_sub(now_us).max(0),
        }
    }
}

/// Wrong attempts by key. Memory is bounded: above the limit, the keys not seen for the longest time are forgotten.
pub struct Attempts<K> {
    slowing: Slowing,
    tallies: Cache<K, Arc<Mutex<AttemptTally>>>,
}

impl<K: Eq + Hash + Clone> std::fmt::Debug for Attempts<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("remembered", &self.tallies.len()).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> Attempts<K> {
    /// Remembers at most `remembered_max` keys.
    pub fn new(slowing: Slowing, remembered_max: usize) -> Self {
        Self { slowing, tallies: Cache::new(remembered_max) }
    }

    fn tally(&self, of: &K, now_us: i64) -> Arc<Mutex<AttemptTally>> {
        let fresh = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(AttemptTally {
                begun_us: now_us,
                ..AttemptTally::default()
            })))
        };
        let Ok(tally) = self.tallies.get_or_insert_with(of, fresh);
        tally
    }

    /// Counts a wrong attempt. Returns `Some` if there were too many.
    pub fn wrong(&self, of: &K, now_us: i64) -> Option<Slowed> {
        let tally = self.tally(of, now_us);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.wrong(&self.slowing, now_us)
    }

    /// Begins an attempt whose check is costly, such as a password's. It counts as wrong until [`Self::forget`], so that parallel attempts
    /// gain nothing over consecutive ones.
    ///
    /// # Errors
    /// The time to wait, microseconds. The attempt was not made then.
    pub fn begin(&self, of: &K, now_us: i64) -> Result<(), i64> {
        let tally = self.tally(of, now_us);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match tally.wait_us(&self.slowing, now_us) {
            0 => {
                tally.wrong(&self.slowing, now_us);
                Ok(())
            }
            wait_us => Err(wait_us),
        }
    }

    /// Forgets the wrong attempts after a right one.
    pub fn forget(&self, of: &K) {
        self.tallies.remove(of);
    }

    /// The number of keys remembered.
    pub fn remembered(&self) -> usize {
        self.tallies.len()
    }
}

/// A pace of so many turns a second, shared by everybody, with some at once after a pause (GCRA).
#[derive(Debug)]
pub struct Pace {
    interval_us: i64,
    at_once_us: i64,
    /// When the next turn is free.
    next_us: AtomicI64,
}

impl Pace {
    /// Allows `per_s` turns a second, and at once as many as fit into `at_once_us`.
    pub fn new(per_s: u32, at_once_us: i64) -> Self {
        Self { interval_us: 1_000_000 / i64::from(per_s.max(1)), at_once_us, next_us: AtomicI64::new(i64::MIN) }
    }

    /// The wait for the caller's turn, microseconds. `None` if it would exceed `wait_max_us`: then no turn is taken.
    pub fn turn(&self, now_us: i64, wait_max_us: i64) -> Option<i64> {
        let of = |next_us: i64| next_us.max(now_us.saturating_sub(self.at_once_us));
        let wait_us = |next_us: i64| of(next_us).saturating_sub(now_us).max(0);
        let taken = self.next_us.try_update(Ordering::Relaxed, Ordering::Relaxed, |next_us| {
            (wait_us(next_us) <= wait_max_us).then(|| of(next_us).saturating_add(self.interval_us))
        });
        taken.ok().map(wait_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const SLOWING: Slowing =
        Slowing { free: 3, window_us: 60 * SECOND, first_wait_us: SECOND, wait_max_us: 900 * SECOND };

    #[test]
    fn a_few_are_free_then_the_wait_doubles_and_a_quiet_time_ends_it() {
        let attempts = Attempts::new(SLOWING, 100);
        assert!((0..3).all(|_| attempts.wrong(&1, 0).is_none()));
        let waits: Vec<i64> = (0..12).map(|_| attempts.wrong(&1, SECOND).unwrap().wait_us / SECOND).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(attempts.wrong(&2, SECOND), None, "others are not slowed");
        let quiet = SECOND + (900 + 60) * SECOND;
        assert_eq!(attempts.wrong(&1, quiet - 1).map(|slowed| slowed.nth), Some(13));
        assert_eq!(attempts.wrong(&1, 2 * quiet), None);
        attempts.wrong(&3, 0);
        attempts.forget(&3);
        assert!((0..3).all(|_| attempts.wrong(&3, 0).is_none()), "a right one begins anew");
    }

    #[test]
    fn an_attempt_waits_for_its_turn_and_counts_when_it_begins() {
        let attempts = Attempts::new(SLOWING, 100);
        assert!(
            (0..4).all(|_| attempts.begin(&"ana", 0).is_ok()),
            "the first beyond the free ones makes the next wait"
        );
        assert_eq!((attempts.begin(&"ana", 0), attempts.begin(&"ben", 0)), (Err(SECOND), Ok(())));
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..12 {
            let wait = attempts.begin(&"ana", now).unwrap_err();
            assert_eq!(attempts.begin(&"ana", now + wait - 1), Err(1), "who does not wait is no further");
            now += wait;
            assert!(attempts.begin(&"ana", now).is_ok());
            waits.push(wait / SECOND);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        attempts.forget(&"ana");
        assert!((0..4).all(|_| attempts.begin(&"ana", now).is_ok()));
        assert_eq!(attempts.begin(&"ana", now + 1), Err(SECOND - 1));
        assert!((0..4).all(|_| attempts.begin(&"ana", now + 61 * SECOND).is_ok()), "forgotten after a quiet time");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::new(SLOWING, 1_000);
        for of in 0..100_000 {
            attempts.wrong(&of, 0);
        }
        assert!(attempts.remembered() <= 1_000);
    }

    #[test]
    fn a_pace_lets_some_pass_at_once_and_the_others_in_their_turn() {
        let pace = Pace::new(10, SECOND / 2);
        let turns: Vec<Option<i64>> = (0..8).map(|_| pace.turn(7 * SECOND, 2 * SECOND / 10)).collect();
        assert_eq!(turns, [[Some(0); 6].as_slice(), &[Some(SECOND / 10), Some(SECOND / 5)]].concat());
        assert_eq!(pace.turn(7 * SECOND, SECOND / 5), None, "nobody waits for longer");
        assert_eq!(pace.turn(7 * SECOND, SECOND), Some(3 * SECOND / 10), "and who does not wait takes no turn");
    }

    proptest! {
        /// For any sequence of attempts: no more than a window's free attempts are free, no wait exceeds the longest, and a wait shrinks
        /// only after a quiet time.
        #[test]
        fn waits_grow_and_are_bounded(gaps in prop::collection::vec(0..200 * SECOND, 1..60), free in 0_u32..5) {
            let slowing = Slowing { free, ..SLOWING };
            let attempts = Attempts::new(slowing, 10);
            let (mut now, mut last, mut free_at) = (0, None::<(i64, Slowed)>, Vec::new());
            for gap in gaps {
                now += gap;
                match attempts.wrong(&(), now) {
                    None => {
                        free_at.push(now);
                        let recent = free_at.iter().filter(|at| now - **at < slowing.window_us).count();
                        // Attempts may fall into two adjoining windows.
                        prop_assert!(recent <= 2 * usize::try_from(free).unwrap());
                        if let Some((at, slowed)) = last.take() {
                            prop_assert!(now - at >= slowed.wait_us + slowing.window_us);
                        }
                    }
                    Some(slowed) => {
                        prop_assert!(slowed.wait_us <= slowing.wait_max_us);
                        if let Some((at, before)) = last
                            && now - at < before.wait_us + slowing.window_us
                        {
                            prop_assert!(slowed.wait_us >= before.wait_us && slowed.nth == before.nth + 1);
                        }
                        last = Some((now, slowed));
                        prop_assert_eq!(attempts.begin(&(), now), if slowed.wait_us == 0 { Ok(()) } else { Err(slowed.wait_us) });
                    }
                }
            }
        }

        /// Over any time no more turns are taken than the pace allows.
        #[test]
        fn turns_keep_their_pace(gaps in prop::collection::vec(0..SECOND, 1..100)) {
            let pace = Pace::new(5, SECOND);
            let (mut now, mut at) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                at.extend(pace.turn(now, 3 * SECOND).map(|wait| now + wait));
            }
            for (place, begin) in at.iter().enumerate() {
                let within = at[place..].iter().filter(|turn| *turn - begin < 2 * SECOND).count();
                prop_assert!(within <= 5 + 2 * 5 + 1, "{within} in two seconds");
            }
        }
    }
}
