//! What grants count.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the grants have counted.
#[derive(Debug, Default)]
pub struct GrantCounters {
    pub(super) admitted: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) taken: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// A reading of [`GrantCounters`].
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct GrantCounts {
    /// Requests admitted.
    pub admitted: u64,
    /// Requests refused by a limit.
    pub limited: u64,
    /// Requests refused because their key does not work.
    pub unknown: u64,
    /// Grants taken from the ledger.
    pub taken: u64,
    /// Times that the ledger could not be reached.
    pub failed: u64,
}

impl GrantCounters {
    /// What they say now.
    pub(super) fn read(&self) -> GrantCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GrantCounts {
            admitted: read(&self.admitted),
            limited: read(&self.limited),
            unknown: read(&self.unknown),
            taken: read(&self.taken),
            failed: read(&self.failed),
        }
    }
}
