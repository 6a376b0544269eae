//! Wrong keys and tokens, by address: whoever guesses is told to wait, longer each time, and gets that answer later each time. A
//! right key passes all the same, since many people may share an address.
//!
//! All refusals share a pace, whatever their addresses: what goes beyond it is put off. So a flood of them, however many addresses
//! it comes from, takes no more of the processor than that pace does, and leaves the rest to good keys.

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

/// Addresses that are remembered: some megabytes.
pub(super) const ADDRESSES_MAX: usize = 16_384;
const SECOND_US: i64 = 1_000_000;
/// What an address is told to wait after the first wrong key beyond those that it may send.
const FIRST_WAIT_US: i64 = SECOND_US;
/// How long the answer to that one is put off.
const FIRST_DELAY_US: i64 = 10_000;
/// Refusals that come at once after a pause are answered at once: as many as belong to this time.
const AT_ONCE_US: i64 = 250_000;

/// What addresses have tried.
#[derive(Debug)]
pub(super) struct Guesses {
    attempts: Attempts<Network>,
    pace: Pace,
    delay_max_us: i64,
    /// Refusals that are being put off.
    delayed: AtomicUsize,
    delayed_max: usize,
    clock: SharedClock,
}

/// What a refusal has earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuessVerdict {
    /// What the address is told to wait, seconds, when it has sent too many wrong ones.
    pub(super) wait_s: Option<u64>,
    /// How long the answer is put off. `None` when it cannot be: then it is the connection's last.
    pub(super) delay: Option<Duration>,
}

impl Guesses {
    /// As the settings want it.
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

    /// Counts a wrong one.
    pub(super) fn wrong(&self, network: Network) -> GuessVerdict {
        let now_us = self.clock.monotonic_us();
        let slowed = self.attempts.wrong(&network, now_us);
        let wait_s = slowed.map(|slowed| u64::try_from(slowed.wait_us).unwrap_or(0).div_ceil(1_000_000));
        let own_us = slowed.map_or(0, |slowed| doubled(FIRST_DELAY_US, slowed.nth, self.delay_max_us));
        GuessVerdict { wait_s, delay: self.delay(now_us, own_us) }
    }

    /// How long a refusal is put off that is nobody's guess.
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

/// How an address is slowed that may do something so often within the window.
pub(super) fn slowing(settings: &HttpSection, free: u32) -> Slowing {
    let us = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_US);
    let (window_us, wait_max_us) = (us(settings.wrong_keys_window_s), us(settings.wrong_keys_wait_max_s));
    Slowing { free, window_us, first_wait_us: FIRST_WAIT_US, wait_max_us }
}

/// The place of a refusal among those that are put off, given back when it is dropped.
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

/// Waits for as long as an answer is put off, or until the port stops, which `draining` says. `false` when it cannot wait: too many do.
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

    /// Each from an address of its own, so that none has earned a wait.
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
