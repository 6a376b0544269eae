//! The failures of stores and actors, as problems.

use super::limits::overloaded;
use crate::{
    actors::{query::QueryError, turns::NoTurn},
    http::{Charge, InvalidParam, Problem, ProblemCode, store_problem::RETRY_AFTER_S},
    store::records::{DataSet, RecordStoreError},
};

/// When to ask again while the records are copied to this node: seconds to minutes, by their number.
const COPY_RETRY_AFTER_S: u64 = 5;

/// The problem of wrong parameters, or of a version that is gone when its parameter is the only wrong one.
pub(super) fn wrong_parameters(params: &[InvalidParam]) -> Problem {
    match params {
        [only] if only.is_gone => {
            Problem::new(ProblemCode::VersionGone, format!("the parameter {} {}", only.name, only.reason))
        }
        params => Problem::invalid_params(params),
    }
}

/// The problem of a withdrawn data set.
pub(super) fn withdrawn(data_set: &DataSet) -> Problem {
    let detail = format!("{:?} was withdrawn by an administrator; its records are kept", data_set.definition.name);
    Problem::new(ProblemCode::DataSetWithdrawn, detail)
}

pub(super) fn query_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Busy(busy) => overloaded(busy),
        QueryError::NoTurn(refused) => {
            let code = match refused {
                NoTurn::OwnShare => ProblemCode::OwnShare,
                NoTurn::Full => ProblemCode::Overloaded,
            };
            Problem::new(code, refused.to_string()).retry_after(RETRY_AFTER_S).charged(Charge::Nothing)
        }
        QueryError::Records(error) => records_problem(error),
    }
}

fn records_problem(error: RecordStoreError) -> Problem {
    let text = error.to_string();
    match error {
        RecordStoreError::UnknownDataSet { .. } | RecordStoreError::BadName { .. } => {
            Problem::new(ProblemCode::NotFound, text)
        }
        RecordStoreError::VersionGone { .. } | RecordStoreError::MomentGone { .. } => {
            Problem::new(ProblemCode::VersionGone, text)
        }
        RecordStoreError::Busy
        | RecordStoreError::ImportRunning { .. }
        | RecordStoreError::Committing { .. }
        | RecordStoreError::DefinitionChanged { .. } => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S).charged(Charge::Nothing)
        }
        // The question was expensive, or the client is slow: the work was done.
        RecordStoreError::TimedOut { .. } | RecordStoreError::Stalled => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S).charged(Charge::Whole)
        }
        RecordStoreError::Copying { .. } => {
            Problem::new(ProblemCode::Unavailable, text).retry_after(COPY_RETRY_AFTER_S).charged(Charge::Nothing)
        }
        RecordStoreError::TooLarge { .. }
        | RecordStoreError::TooManyGroups { .. }
        | RecordStoreError::TooManyValues
        | RecordStoreError::NotHeld { .. }
        | RecordStoreError::NoSuchVersion { .. } => Problem::new(ProblemCode::InvalidParameters, text),
        RecordStoreError::Unavailable { .. } => {
            let detail = "the records cannot be read at the moment; the request was not counted";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S).because(text)
        }
        RecordStoreError::NameTaken { .. }
        | RecordStoreError::NotRenamed
        | RecordStoreError::IdentityChanged { .. }
        | RecordStoreError::BadRow { .. }
        | RecordStoreError::TooLong { .. }
        | RecordStoreError::WrongRole { .. }
        | RecordStoreError::Corrupt { .. }
        | RecordStoreError::OtherDataSet { .. }
        | RecordStoreError::DryRun { .. } => Problem::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::Busy;

    /// Work that the server did is charged, whatever its result; the server's own faults are given back; a request that was refused before
    /// any work costs nothing.
    #[test]
    fn what_was_done_is_charged() {
        let narrow = String::new;
        let cases = [
            (RecordStoreError::TimedOut { limit_ms: 5, narrow: narrow() }.into(), Charge::Whole),
            (RecordStoreError::Stalled.into(), Charge::Whole),
            (RecordStoreError::Copying { name: narrow(), percent: 5 }.into(), Charge::Nothing),
            (RecordStoreError::TooLarge { bytes_max: 5, narrow: narrow() }.into(), Charge::Whole),
            (RecordStoreError::TooManyGroups { groups_max: 5 }.into(), Charge::Whole),
            (RecordStoreError::TooManyValues.into(), Charge::Whole),
            (
                RecordStoreError::VersionGone { name: narrow(), version: 1, held_from: 2, since: None }.into(),
                Charge::Whole,
            ),
            (RecordStoreError::Unavailable { doing: narrow(), reason: narrow() }.into(), Charge::Rate),
            (RecordStoreError::Corrupt { name: narrow(), reason: narrow() }.into(), Charge::Rate),
            (RecordStoreError::Busy.into(), Charge::Nothing),
            (QueryError::Busy(Busy::Full), Charge::Nothing),
            (QueryError::NoTurn(NoTurn::Full), Charge::Nothing),
            (QueryError::NoTurn(NoTurn::OwnShare), Charge::Nothing),
        ];
        for (error, charge) in cases {
            let text = error.to_string();
            assert_eq!(query_problem(error).charge(), charge, "{text}");
        }
    }
}
