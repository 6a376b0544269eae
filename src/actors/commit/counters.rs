//! What the committer counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the committer has counted.
#[derive(Debug, Default)]
pub struct CommitCounters {
    pub(super) appended: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(in crate::actors) repeated: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) publish_failures: AtomicU64,
}

/// A reading of [`CommitCounters`].
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct CommitCounts {
    /// Commits appended.
    pub appended: u64,
    /// Appends that lost a race and were decided anew.
    pub conflicts: u64,
    /// Commands that an earlier try had carried out.
    pub repeated: u64,
    /// Messages published.
    pub published: u64,
    /// Publications that were left to the relay.
    pub publish_failures: u64,
}

impl CommitCounters {
    /// What they say now.
    pub(super) fn read(&self) -> CommitCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CommitCounts {
            appended: read(&self.appended),
            conflicts: read(&self.conflicts),
            repeated: read(&self.repeated),
            published: read(&self.published),
            publish_failures: read(&self.publish_failures),
        }
    }
}
