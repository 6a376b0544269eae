//! Wrong keys and tokens, by address: whoever guesses is told to wait. A right key passes all the same, since many people
//! may share an address.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;

use super::Network;
use crate::clock::SharedClock;

/// Addresses that are remembered: some megabytes. Beyond it, those are forgotten that were not seen for long.
const ADDRESSES_MAX: usize = 16_384;

/// What addresses have tried.
pub(super) struct Guesses {
    tallies: Cache<Network, Arc<Tally>>,
    wrong_max: u32,
    window_us: i64,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Tally {
    begun_us: AtomicI64,
    wrong: AtomicU32,
}

impl std::fmt::Debug for Guesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guesses").field("addresses", &self.tallies.len()).finish_non_exhaustive()
    }
}

impl Guesses {
    /// `wrong_max` wrong keys are refused as such within `window`, further ones with a time to wait.
    pub(super) fn new(wrong_max: u32, window: Duration, clock: SharedClock) -> Self {
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        Self { tallies: Cache::new(ADDRESSES_MAX), wrong_max, window_us, clock }
    }

    /// Counts a wrong one. `Some` when there were too many: seconds until they count anew.
    pub(super) fn wrong(&self, network: Network) -> Option<u64> {
        let now_us = self.clock.monotonic_us();
        let fresh = || {
            let tally = Tally { begun_us: AtomicI64::new(now_us), wrong: AtomicU32::new(0) };
            Ok::<_, std::convert::Infallible>(Arc::new(tally))
        };
        let Ok(tally) = self.tallies.get_or_insert_with(&network, fresh);
        let begun_us = tally.begun_us.load(Ordering::Relaxed);
        let left_us = begun_us.saturating_add(self.window_us) - now_us;
        if left_us <= 0 {
            tally.begun_us.store(now_us, Ordering::Relaxed);
            tally.wrong.store(1, Ordering::Relaxed);
            return None;
        }
        // No further than one beyond: it must not begin anew by counting.
        if tally.wrong.load(Ordering::Relaxed) < self.wrong_max {
            tally.wrong.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(u64::try_from(left_us).unwrap_or(0).div_ceil(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(last).into())
    }

    #[test]
    fn an_address_waits_after_so_many_wrong_keys_and_others_do_not() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let guesses = Guesses::new(3, Duration::from_secs(60), clock.clone());
        assert!((0..3).all(|_| guesses.wrong(network(1)).is_none()));
        clock.advance_us(10_500_000);
        assert_eq!(guesses.wrong(network(1)), Some(50));
        assert_eq!(guesses.wrong(network(2)), None);
        clock.advance_us(50_000_000);
        assert!((0..3).all(|_| guesses.wrong(network(1)).is_none()));
        assert_eq!(guesses.wrong(network(1)), Some(60));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let guesses = Guesses::new(3, Duration::from_secs(60), clock);
        for last in 0..100_000 {
            guesses.wrong(network(last));
        }
        assert!(guesses.tallies.len() <= ADDRESSES_MAX);
    }
}
