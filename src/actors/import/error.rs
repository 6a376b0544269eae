//! Why an import ended without an effect.

use std::path::PathBuf;

use super::Guarded;
use crate::{
    actors::{Busy, commit::CommandError, lineage::JudgeError},
    dataset::reader::ReadError,
    domain::{lineage::Loss, text::HiddenCharacter},
    store::records::RecordStoreError,
};

/// Why an import ended without an effect.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file's name could make it look like another.
    #[error("the name of the file holds {0}: rename it")]
    FileName(#[from] HiddenCharacter),
    /// The file's content is not what it claims.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The records could not be written.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// The records are not those of the log: nothing is to build on them.
    #[error("{0}: {remedy}", remedy = .0.remedy())]
    Lost(Loss),
    /// The import would replace too much.
    #[error(transparent)]
    Guarded(#[from] Guarded),
    /// Somebody cancelled the import.
    #[error("the import was cancelled; the data set is as it was")]
    Cancelled,
    /// The uploaded file cannot be stored or read.
    #[error("the file that was sent cannot be {doing}: {source}")]
    Spool {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of a held import is not here.
    #[error("the file of this import is kept by {node:?}: ask that server, or send the file again")]
    Elsewhere {
        /// The machine that has the file.
        node: String,
    },
    /// This node is not doing the import.
    #[error(
        "the import is not under way on this server: it may be on another, or of a command, which ends with Ctrl-C"
    )]
    NotHere,
    /// There is no definition for the file.
    #[error("there is no definition of a data set {name:?}")]
    NoDefinition {
        /// The data set.
        name: String,
    },
    /// Definitions cannot be read.
    #[error("the definitions of data sets cannot be read: {0}")]
    Definitions(String),
    /// The options of the file do not fit the definition.
    #[error("{0}")]
    Said(String),
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
    /// The importing thread has ended.
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
