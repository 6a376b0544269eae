//! The routes, one file for each resource.

pub mod data;

use actix_web::web;

use super::{Problem, ProblemCode};
use crate::store::StoreError;

/// Seconds after which a client may try again when something is away.
pub const RETRY_AFTER_S: u64 = 1;

/// The administrator's resources.
pub fn administration(_app: &mut web::ServiceConfig) {}

/// Health and metrics, on a port of their own.
pub fn operation(_app: &mut web::ServiceConfig) {}

/// A store that did not answer.
pub fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(%cause, "the store does not answer");
            Problem::new(ProblemCode::Unavailable, "the store does not answer").retry_after(RETRY_AFTER_S)
        }
        StoreError::Corrupt(_) | StoreError::Incompatible(_) => Problem::internal(error),
    }
}
