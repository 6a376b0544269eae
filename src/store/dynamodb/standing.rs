//! Whether the deployment takes commits: it bears no mark. A node trusts what it has read for a moment, so that an append needs no read of its own
//! for it; who marks a deployment waits for longer than that before it relies on it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Dynamo, StoreError};
use crate::store::Upkeep;

/// How long a node trusts that there was no mark.
pub const MARK_TRUSTED: Duration = Duration::from_secs(1);

/// When there was surely no mark, as far as this process knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Unmarked(Arc<Mutex<Option<Instant>>>);

impl Unmarked {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Forgets what is known: the next append reads the mark.
    pub(super) fn forget(&self) {
        self.set(None);
    }

    fn is_sure(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < MARK_TRUSTED)
    }
}

/// # Errors
/// Where the deployment bears a mark: its log takes no commit.
pub(super) async fn refuse_marked(dynamo: &Dynamo) -> Result<(), StoreError> {
    if dynamo.unmarked.is_sure() {
        return Ok(());
    }
    // Taken before the read: the mark may be written right after it.
    let now = Instant::now();
    match dynamo.mark().await? {
        Some(mark) => Err(StoreError::Unavailable(mark.to_string())),
        None => {
            dynamo.unmarked.set(Some(now));
            Ok(())
        }
    }
}
