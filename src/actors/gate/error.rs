//! Why the gate could not decide.

use crate::{actors::ask::Busy, store::StoreError};

/// Why the gate could not decide: the request must not pass.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GateError {
    /// Too many requests wait.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The ledger cannot be reached.
    #[error(transparent)]
    Ledger(#[from] StoreError),
}
