//! Wrong keys and tokens, by address: a guessing client is told to wait, longer each time, and each answer is delayed longer. A right
//! key still passes, since many people may share an address.
//!
//! All refusals share one pace, whatever their addresses, and those beyond the pace are delayed. So a flood of refusals, from however
//! many addresses, takes no more of the processor than the pace does, and leaves the rest to right keys.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::address::Network;
use crate::{
    clock::SharedClock,
    config::HttpSection,
    domain::attempts::{Attempts, Pace, Slowing, doubled},
};

/// Most addresses that are remembered: some megabytes.
pub(super) const ADDRESSES_MAX: usize = 16_384;
const SECOND_US: i64 = 1_000_000;
/// The wait that an address is told after its first wrong key beyond the allowed number.
const FIRST_WAIT_US: i64 = SECOND_US;
/// The delay of the answer to that first wrong key.
const FIRST_DELAY_US: i64 = 10_000;
/// After a pause, as many refusals as the pace allows in this time are answered without delay.
const AT_ONCE_US: i64 = 250_000;

/// Wrong keys and tokens, by address.
#[derive(Debug)]
pub(super) struct Guesses {
    attempts: Attempts<Network>,
    pace: Pace,
    delay_max_us: i64,
    /// Refusals that are being delayed.
    delayed: AtomicUsize,
    delayed_max: usize,
    clock: SharedClock,
}

/// The wait and the delay of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuessVerdict {
    /// The wait that the address is told, seconds, when it has sent too many wrong keys.
    pub(super) wait_s: Option<u64>,
    /// The delay of the answer. `None` when it cannot be delayed: then the answer is the connection's last.
    pub(super) delay: Option<Duration>,
}

impl Guesses {
    /// Reads the limits from the settings.
    pub(super) fn new(settings: &HttpSection, clock: SharedClock) -> Self {
        Self {
            attempts: Attempts::new(slowing(settings, settings.wrong_keys_max), ADDRESSES_MAX),
            pace: Pace::new(settings.refusals_per_s, AT_ONCE_US),
            delay_max_us: i64::try_from(settings.refusal_delay_max_ms).unwrap_or(i64::MAX).saturating_mul(1000),
            delayed: AtomicUsize::new(0),
            delayed_max: settings.refusals_delayed_max,
            clock,
        }
    }

    /// Counts a wrong key or token.
    pub(super) fn wrong(&self, network: Network) -> GuessVerdict {
        let now_us = self.clock.monotonic_us();
        let slowed = self.attempts.wrong(&network, now_us);
        let wait_s = slowed.map(|slowed| u64::try_from(slowed.wait_us).unwrap_or(0).div_ceil(1_000_000));
        let own_us = slowed.map_or(0, |slowed| doubled(FIRST_DELAY_US, slowed.nth, self.delay_max_us));
        GuessVerdict { wait_s, delay: self.delay(now_us, own_us) }
    }

    /// The delay of a refusal that is no guess.
    pub(super) fn refused(&self) -> Option<Duration> {
        self.delay(self.clock.monotonic_us(), 0)
    }

    fn delay(&self, now_us: i64, own_us: i64) -> Option<Duration> {
        if self.delay_max_us == 0 {
            return Some(Duration::ZERO);
        }
        let turn_us = self.pace.turn(now_us, self.delay_max_us)?;
        Some(Duration::from_micros(u64::try_from(turn_us.max(own_us)).unwrap_or(0)))
    }
}

/// How an address is slowed after `free` attempts within the window.
pub(super) fn slowing(settings: &HttpSection, free: u32) -> Slowing {
    let us = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_US);
    let (window_us, wait_max_us) = (us(settings.wrong_keys_window_s), us(settings.wrong_keys_wait_max_s));
    Slowing { free, window_us, first_wait_us: FIRST_WAIT_US, wait_max_us }
}

/// A refusal's place among the delayed ones, given back on drop.
struct Delayed(Arc<Guesses>);

impl Delayed {
    fn take(guesses: &Arc<Guesses>) -> Option<Self> {
        let taken = guesses.delayed.try_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < guesses.delayed_max).then_some(count + 1)
        });
        taken.is_ok().then(|| Self(Arc::clone(guesses)))
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.0.delayed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the delay, or until `draining` says that the port stops. `false`, without waiting, if `delay` is `None` or too many wait.
pub(super) async fn put_off(
    guesses: &Arc<Guesses>,
    mut draining: watch::Receiver<bool>,
    delay: Option<Duration>,
) -> bool {
    let Some(delay) = delay else { return false };
    if delay.is_zero() {
        return true;
    }
    let Some(_delayed) = Delayed::take(guesses) else { return false };
    // Whether the time is over or the port stops, the answer is due.
    tokio::time::timeout(delay, draining.wait_for(|is_draining| *is_draining)).await.ok();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        config::{LoadFrom, Settings},
    };

    fn network(last: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(last).into())
    }

    fn guesses(overrides: &[(&str, &str)]) -> (Guesses, Arc<ManualClock>) {
        let overrides: Vec<(&str, String)> = overrides.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        let from = LoadFrom { config_file: None, env: std::iter::empty(), overrides: &overrides };
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        (Guesses::new(&Settings::load(from).unwrap().http, clock.clone()), clock)
    }

    #[test]
    fn an_address_waits_longer_after_each_wrong_key_and_others_do_not() {
        let (guesses, clock) = guesses(&[("http.wrong_keys_max", "3"), ("http.refusal_delay_max_ms", "100")]);
        let at_once = GuessVerdict { wait_s: None, delay: Some(Duration::ZERO) };
        assert!((0..3).all(|_| guesses.wrong(network(1)) == at_once));
        let slowed: Vec<_> = (0..6).map(|_| guesses.wrong(network(1))).collect();
        let waits: Vec<_> = slowed.iter().map(|verdict| verdict.wait_s.unwrap()).collect();
        let delays: Vec<_> = slowed.iter().map(|verdict| verdict.delay.unwrap().as_millis()).collect();
        assert_eq!((waits, delays), (vec![1, 2, 4, 8, 16, 32], vec![10, 20, 40, 80, 100, 100]));
        assert_eq!(guesses.wrong(network(2)), at_once);
        clock.advance_us(92 * SECOND_US);
        assert_eq!(guesses.wrong(network(1)), at_once, "32 s and a window later");
    }

    /// Each refusal comes from an address of its own, so no address is told to wait.
    #[test]
    fn all_refusals_keep_a_pace_together() {
        let (guesses, clock) = guesses(&[("http.refusals_per_s", "100"), ("http.refusal_delay_max_ms", "500")]);
        let delays: Vec<_> = (0..1_000).map(|last| guesses.wrong(network(last)).delay).collect();
        assert!(delays.iter().take(25).all(|delay| *delay == Some(Duration::ZERO)));
        assert_eq!(delays.iter().flatten().max(), Some(&Duration::from_millis(500)));
        assert_eq!(delays.iter().flatten().count(), 25 + 51, "the others are their connections' last");
        clock.advance_us(SECOND_US);
        assert_eq!(guesses.refused(), Some(Duration::ZERO));
    }
}
