//! A store that did not answer.

use super::{Problem, ProblemCode};
use crate::store::StoreError;

/// Seconds after which a client may try again when something is away.
pub const RETRY_AFTER_S: u64 = 1;

/// A store that did not answer.
pub fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(%cause, "the store does not answer");
            Problem::new(ProblemCode::Unavailable, "the store does not answer").retry_after(RETRY_AFTER_S)
        }
        StoreError::Full(_) => {
            tracing::error!(%error, "nothing can be written");
            Problem::new(ProblemCode::Unavailable, "the server's disk is full").retry_after(RETRY_AFTER_S)
        }
        StoreError::Corrupt(_) | StoreError::Incompatible(_) | StoreError::Limit(_) => Problem::internal(error),
    }
}
