//! Whether the deployment still takes commands: one that was closed for a move does not, and says where it goes on.
//!
//! A node may work for a few seconds after it has seen that the deployment is open. Whoever closes one waits for these, and for the longest
//! call that began in them ([`CLOSING_WAIT`]), before reading what was written: so nothing is written after it was read. A condition in
//! each write would be exact as well, and would make each write of the log a transaction, at four times its price.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{aws::OPERATION_TIMEOUT, failpoint::is_off};

/// The failpoint by which tests that count calls have nobody look for the mark.
pub const MARK_UNWATCHED: &str = "mark-unwatched";

/// How long a node trusts that it has seen no mark, counted from before it asked.
const TRUSTED: Duration = Duration::from_secs(5);
/// How long after a mark was set nothing more is written by nodes that had not seen it: the time they trust, the longest call that began in
/// it, and some spare.
pub const CLOSING_WAIT: Duration = Duration::from_secs(TRUSTED.as_secs() + OPERATION_TIMEOUT.as_secs() + 2);

/// When the deployment was last seen to be open.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenOpen(Arc<Mutex<Option<Instant>>>);

impl SeenOpen {
    pub(super) fn is_recent(&self) -> bool {
        if is_off(MARK_UNWATCHED) {
            return true;
        }
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|at| at.elapsed() < TRUSTED)
    }

    pub(super) fn note(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}
