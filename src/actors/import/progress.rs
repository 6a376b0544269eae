//! The progress of an import.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use crate::domain::event::Origin;

/// The phase of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its file is arriving.
    Uploading,
    /// Its file is read, or waits for that.
    Reading,
    /// Its records become visible.
    Committing,
}

/// The progress of an import.
#[derive(Debug, Default)]
pub struct ImportProgress {
    /// Rows read.
    pub rows: AtomicU64,
    /// Bytes of the file that were read, or have arrived.
    pub bytes: AtomicU64,
    /// Bytes of the file, once they are known.
    pub bytes_total: AtomicU64,
    phase: AtomicU8,
    /// Who cancelled it.
    cancelled: OnceLock<Origin>,
}

impl ImportProgress {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Uploading,
            1 => Phase::Reading,
            _ => Phase::Committing,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Cancels the import. The first caller is recorded.
    pub(super) fn cancel(&self, who: Origin) {
        self.cancelled.set(who).ok();
    }

    /// Who cancelled it, if anybody did.
    pub fn cancelled(&self) -> Option<&Origin> {
        self.cancelled.get()
    }
}
