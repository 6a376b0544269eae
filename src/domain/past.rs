//! Data sets as they were: what their stream alone tells.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    event::AsOf,
    view::{ImportRow, State},
};

/// A text that names no point in the past of a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a moment such as 2026-03-01T12:00:00Z, or a position of the log such as position:1200, is expected; records of a version are \
     read with the data set itself"
)]
pub struct NoPastError;

/// A data set as it was. Its records are told by the data set itself, as far as their versions are held.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PastDataSet {
    /// Its name.
    pub name: String,
    /// The version of its stream then.
    pub version: u64,
    /// The version of its records then; null where it had none under this name.
    pub dataset_version: Option<u64>,
    /// Whether it was kept, and served to nobody.
    pub withdrawn: bool,
    /// The name that its records had before, if they were renamed to this one.
    pub renamed_from: Option<String>,
    /// Its imports up to then, the last begun first.
    pub imports: Vec<ImportRow>,
}

impl PastDataSet {
    /// Reads a moment or a position of the log. A bare number is refused: it would be taken for a version of the records.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn point(text: &str) -> Result<AsOf, NoPastError> {
        match AsOf::parse(text) {
            Ok(point @ (AsOf::Moment(_) | AsOf::Position(_))) => Ok(point),
            Ok(AsOf::Version(_)) | Err(_) => Err(NoPastError),
        }
    }

    /// The data set of a state; none before its first event.
    pub fn of(state: &State) -> Option<Self> {
        let State::DataSet(name, log) = state else { return None };
        let mut imports = state.rows().imports;
        imports.sort_by_key(|import| std::cmp::Reverse((import.started_at, import.id)));
        (log.version > 0).then(|| Self {
            name: name.clone(),
            version: log.version,
            dataset_version: log.known_version(),
            withdrawn: log.withdrawn,
            renamed_from: log.taken_over.as_ref().map(|(from, _)| from.clone()),
            imports,
        })
    }
}
