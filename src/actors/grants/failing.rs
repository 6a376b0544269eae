//! How the ledger has failed since it answered last: a node whose grants fail one after the other cannot serve.

use crate::store::StoreError;

/// Grants in a row that fail before the node says that it cannot serve.
const FAILING_TIMES: u32 = 3;
/// How long it says so without another try, microseconds: requests that go elsewhere cannot show that it works again.
const FAILING_US: i64 = 10_000_000;

/// How the ledger has failed since it answered last.
#[derive(Debug, Default)]
pub(super) struct Failing {
    times: u32,
    last_us: i64,
    reason: String,
}

impl Failing {
    /// Notes one more failure.
    pub(super) fn note(&mut self, error: &StoreError, now_us: i64) {
        self.times = self.times.saturating_add(1);
        self.last_us = now_us;
        self.reason = error.to_string();
    }

    /// Why the last calls have failed, one after the other, and lately.
    pub(super) fn trouble(&self, now_us: i64) -> Option<String> {
        let is_lately = now_us.saturating_sub(self.last_us) < FAILING_US;
        (self.times >= FAILING_TIMES && is_lately).then(|| self.reason.clone())
    }
}
