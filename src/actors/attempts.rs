//! Wrong passwords and codes, by account: whoever guesses waits longer and longer. An address that nobody has is an account like
//! any other, so that a wait tells nothing.

use std::sync::{Mutex, PoisonError};

use quick_cache::sync::Cache;

use crate::clock::SharedClock;

/// Accounts that are remembered: some megabytes. Beyond it, those are forgotten that were not seen for long.
const ACCOUNTS_MAX: usize = 16_384;
/// The longest wait, seconds: whoever keeps others out by guessing does so for no longer than that after they stop.
const WAIT_S_MAX: u64 = 900;

/// What was tried of accounts.
pub struct Attempts {
    tallies: Cache<String, std::sync::Arc<Mutex<Tally>>>,
    free: u32,
    wait_s: u64,
    clock: SharedClock,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    wrong: u32,
    until_us: i64,
    last_us: i64,
}

impl Attempts {
    /// After `free` wrong ones, `wait_s` seconds; after each further one twice as long.
    pub fn new(free: u32, wait_s: u64, clock: SharedClock) -> Self {
        Self { tallies: Cache::new(ACCOUNTS_MAX), free, wait_s, clock }
    }

    fn tally(&self, account: &str) -> std::sync::Arc<Mutex<Tally>> {
        let fresh = || Ok::<_, std::convert::Infallible>(std::sync::Arc::default());
        let Ok(tally) = self.tallies.get_or_insert_with(account, fresh);
        tally
    }

    /// Takes a try: `Err` with the seconds to wait when none may be made yet. A try counts as a wrong one until [`Self::right`] says
    /// otherwise, so that many at once are no more than one after the other.
    ///
    /// # Errors
    /// Seconds until the next try.
    pub fn begin(&self, account: &str) -> Result<(), u64> {
        let now_us = self.clock.monotonic_us();
        let tally = self.tally(account);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if now_us < tally.until_us {
            return Err(u64::try_from(tally.until_us - now_us).unwrap_or(0).div_ceil(1_000_000));
        }
        let longest_us = i64::try_from(WAIT_S_MAX * 1_000_000).unwrap_or(i64::MAX);
        if now_us - tally.last_us > longest_us.saturating_mul(4) {
            tally.wrong = 0;
        }
        tally.last_us = now_us;
        tally.wrong = tally.wrong.saturating_add(1);
        if let Some(over) = tally.wrong.checked_sub(self.free) {
            let wait_s = self.wait_s.saturating_mul(1 << over.min(20)).min(WAIT_S_MAX);
            tally.until_us = now_us.saturating_add(i64::try_from(wait_s * 1_000_000).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// The last try was right.
    pub fn right(&self, account: &str) {
        self.tallies.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn each_wrong_try_makes_the_wait_longer_and_a_right_one_ends_it() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let attempts = Attempts::new(3, 10, clock.clone());
        assert!((0..3).all(|_| attempts.begin("ana").is_ok()));
        assert_eq!(attempts.begin("ana"), Err(10));
        assert!(attempts.begin("bob").is_ok());
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = attempts.begin("ana").unwrap_err();
            clock.advance_us(i64::try_from(wait).unwrap() * 1_000_000);
            assert!(attempts.begin("ana").is_ok());
            waits.push(wait);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
        attempts.right("ana");
        assert!((0..3).all(|_| attempts.begin("ana").is_ok()));
        assert_eq!(attempts.begin("ana"), Err(10));
        clock.advance_us(4 * 3600 * 1_000_000);
        assert!((0..3).all(|_| attempts.begin("ana").is_ok()), "forgotten after an hour");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::new(1, 10, ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
        for account in 0..50_000 {
            attempts.begin(&account.to_string()).ok();
        }
        assert!(attempts.tallies.len() <= ACCOUNTS_MAX);
    }
}
