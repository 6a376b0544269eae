//! The ends of rotated keys by this process's monotonic clock: setting the wall clock does not change the length of a key's grace.
//!
//! The process that rotates a key knows the end. Another process learns of it when it first asks for the key, and takes the rest by
//! its own wall clock, at most the whole grace. So a wall clock that is wrong at that moment lets a key live for one more grace at
//! most, however long it stays wrong. AWS itself refuses requests signed by a clock that is wrong by more than some minutes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::{
    clock::SharedClock,
    domain::{key::KeyId, view::KeyRow},
};

/// The number of remembered keys at which all are forgotten.
const KEYS_MAX: usize = 100_000;

/// The ends that this process knows of. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Endings {
    clock: SharedClock,
    /// The ends by the monotonic clock, microseconds.
    ends: Arc<Mutex<HashMap<KeyId, i64>>>,
}

impl Endings {
    pub(super) fn by(clock: SharedClock) -> Self {
        Self { clock, ends: Arc::default() }
    }

    /// Notes the ends of the keys that a commit rotated.
    pub(super) fn note(&self, keys: &[KeyRow], version: u64, recorded_at: Timestamp) {
        for row in keys.iter().filter(|row| row.version == version) {
            let Some(valid_until) = row.valid_until else { continue };
            self.left_us(row.id, valid_until, Some(recorded_at), recorded_at.as_microsecond());
        }
    }

    /// Microseconds for which a key still works; none or less once it does not. `now_us` is the wall clock.
    pub(super) fn left_us(&self, key: KeyId, valid_until: Timestamp, since: Option<Timestamp>, now_us: i64) -> i64 {
        let monotonic_us = self.clock.monotonic_us();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= KEYS_MAX && !ends.contains_key(&key) {
            // Memory has to be bounded: this process reckons each end anew, for the grace at most.
            ends.clear();
        }
        let end_us = *ends.entry(key).or_insert_with(|| {
            let until_us = valid_until.as_microsecond();
            let grace_us = since.map_or(i64::MAX, |since| until_us.saturating_sub(since.as_microsecond()));
            monotonic_us.saturating_add(until_us.saturating_sub(now_us).min(grace_us).max(0))
        });
        end_us.saturating_sub(monotonic_us)
    }
}
