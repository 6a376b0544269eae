//! Tracks failures of the ledger since its last answer: a node whose grants keep failing cannot serve.

use crate::store::StoreError;

/// Failed grants in a row after which the node reports that it cannot serve.
const FAILING_TIMES: u32 = 3;
/// How long the node reports so without another try, microseconds: while requests go elsewhere, nothing shows that the ledger works again.
const FAILING_US: i64 = 10_000_000;

/// The failures of the ledger since its last answer.
#[derive(Debug, Default)]
pub(super) struct Failing {
    times: u32,
    last_us: i64,
    reason: String,
}

impl Failing {
    /// Records a failure.
    pub(super) fn note(&mut self, error: &StoreError, now_us: i64) {
        self.times = self.times.saturating_add(1);
        self.last_us = now_us;
        self.reason = error.to_string();
    }

    /// Why the last calls failed in a row, if that was lately.
    pub(super) fn trouble(&self, now_us: i64) -> Option<String> {
        let is_lately = now_us.saturating_sub(self.last_us) < FAILING_US;
        (self.times >= FAILING_TIMES && is_lately).then(|| self.reason.clone())
    }
}
