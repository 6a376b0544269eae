//! Problems of a store.

use super::{Problem, ProblemCode};
use crate::store::StoreError;

/// Seconds after which a client may try again when a part of the server is unavailable.
pub const RETRY_AFTER_S: u64 = 1;

/// Turns the error of a store into a problem.
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
        StoreError::ReadOnly => Problem::new(ProblemCode::ReadOnlyCopy, error.to_string()),
        StoreError::Corrupt(_) | StoreError::Incompatible(_) | StoreError::Limit(_) => Problem::internal(error),
    }
}
