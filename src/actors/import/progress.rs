//! How far an import is.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use crate::domain::event::Origin;

/// Where an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its file is arriving.
    Uploading,
    /// Its file is being read, or waits to be.
    Reading,
    /// What was read is becoming visible.
    Committing,
}

/// How far an import is.
#[derive(Debug, Default)]
pub struct ImportProgress {
    /// Rows read.
    pub rows: AtomicU64,
    /// Bytes of the file read, or arrived.
    pub bytes: AtomicU64,
    /// Bytes of the file, once they are known.
    pub bytes_total: AtomicU64,
    phase: AtomicU8,
    /// Who wants it to end.
    cancelled: OnceLock<Origin>,
}

impl ImportProgress {
    /// Where it is.
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

    /// Says that it is to end. Who comes first did it.
    pub(super) fn cancel(&self, who: Origin) {
        self.cancelled.set(who).ok();
    }

    /// Who wants it to end, if somebody does.
    pub fn cancelled(&self) -> Option<&Origin> {
        self.cancelled.get()
    }
}
