//! What is wrong with a chain.

use crate::domain::id::StreamId;

/// A place where a stream's commits do not follow on each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// A version is missing, or there twice.
    #[error("stream {stream} has version {found} where version {expected} is expected")]
    Version {
        /// The stream.
        stream: StreamId,
        /// The version that follows.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// A commit is not the one that its hash was made of, or follows on another one.
    #[error("version {version} of stream {stream} is not what its hash says: it, or a commit before it, was changed")]
    Hash {
        /// The stream.
        stream: StreamId,
        /// The version.
        version: u64,
    },
}

impl BrokenChain {
    /// The stream.
    pub fn stream(&self) -> &StreamId {
        match self {
            Self::Version { stream, .. } | Self::Hash { stream, .. } => stream,
        }
    }
}
