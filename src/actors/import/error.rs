//! Why an import ended without an effect.

use std::path::PathBuf;

use super::Guarded;
use crate::{
    actors::{Busy, commit::CommandError, lineage::JudgeError},
    dataset::reader::ReadError,
    domain::text::HiddenCharacter,
    store::records::RecordStoreError,
};

/// Why an import ended without an effect.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file's name could make it look like another.
    #[error("the name of the file holds {0}: rename it")]
    FileName(#[from] HiddenCharacter),
    /// The file is not what it claims.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The records could not be written.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// It would replace too much.
    #[error(transparent)]
    Guarded(#[from] Guarded),
    /// The log could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The rejects file could not be written.
    #[error("the rejects file {path} cannot be written: {source}", path = path.display())]
    Rejects {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The thread that imports has ended.
    #[error("the import was interrupted: {0}")]
    Interrupted(String),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl From<JudgeError> for ImportError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Store(error) => Self::Command(error.into()),
            JudgeError::Records(error) => Self::Records(error),
        }
    }
}
