//! The data sets that are served: those with the records that the log knows, unless they are withdrawn.

use std::sync::Arc;

use super::{Problem, ProblemCode, state::Service, store_problem::RETRY_AFTER_S};
use crate::store::records::DataSet;

/// All data sets that are not withdrawn and not known to have lost their records.
pub(in crate::http) fn served(service: &Service) -> Vec<Arc<DataSet>> {
    let mut data_sets = service.lineages.not_lost();
    data_sets.retain(|data_set| !data_set.standing.withdrawn);
    data_sets
}

/// The problem of a name that no data set has.
pub(in crate::http) fn no_data_set(name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    Problem::new(ProblemCode::NotFound, format!("there is no data set {name:?}"))
}

/// Checks that the records of a data set are those that the log knows; `data_set` is what the store has under the name.
///
/// # Errors
/// A problem when they are others or gone, or when that cannot be told at the moment.
pub(in crate::http) async fn sound(
    service: &Service,
    name: &str,
    data_set: Option<Arc<DataSet>>,
) -> Result<Arc<DataSet>, Problem> {
    let lineages = &service.lineages;
    let unavailable = |detail: String| Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S);
    let verdict = match data_set.as_ref().and_then(|present| lineages.verdict(present)) {
        Some(verdict) => verdict,
        // Boxed: only the first request after an import comes here.
        None => Box::pin(lineages.judge(name)).await.map_err(|error| {
            let detail = "the records cannot be compared with the log at the moment; the request was not counted";
            unavailable(detail.to_owned()).because(&error)
        })?,
    };
    match (verdict, data_set) {
        (Ok(()), Some(data_set)) => Ok(data_set),
        (Err(loss), _) => Err(unavailable(format!(
            "{loss}. The operator has to restore them or to import again; the request was not counted"
        ))),
        (Ok(()), None) if service.records.data_set(name).is_none() => Err(no_data_set(name)),
        // The records have come back meanwhile.
        (Ok(()), None) => {
            let detail = "the records of this data set have just come back: repeat the request; it was not counted";
            Err(unavailable(detail.to_owned()))
        }
    }
}
