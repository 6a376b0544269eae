//! What a store or an actor could not do, as problems.

use super::{super::RETRY_AFTER_S, limits::overloaded};
use crate::{
    actors::query::QueryError,
    http::{Problem, ProblemCode},
    store::records::RecordStoreError,
};

pub(super) fn query_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Busy(busy) => overloaded(busy),
        QueryError::Records(error) => records_problem(error),
    }
}

fn records_problem(error: RecordStoreError) -> Problem {
    let text = error.to_string();
    match error {
        RecordStoreError::UnknownDataSet { .. } | RecordStoreError::BadName { .. } => {
            Problem::new(ProblemCode::NotFound, text)
        }
        RecordStoreError::VersionGone { .. } => Problem::new(ProblemCode::VersionGone, text),
        RecordStoreError::Busy
        | RecordStoreError::TimedOut { .. }
        | RecordStoreError::ImportRunning { .. }
        | RecordStoreError::DefinitionChanged { .. } => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S)
        }
        RecordStoreError::TooLarge { .. }
        | RecordStoreError::TooMuchToRead { .. }
        | RecordStoreError::NoSuchVersion { .. } => Problem::new(ProblemCode::InvalidParameters, text),
        RecordStoreError::Unavailable { .. } => {
            let detail = "the records cannot be read at the moment; the request was not counted";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S).because(text)
        }
        RecordStoreError::IdentityChanged { .. }
        | RecordStoreError::BadRow { .. }
        | RecordStoreError::TooLong { .. }
        | RecordStoreError::Corrupt { .. } => Problem::internal(text),
    }
}
