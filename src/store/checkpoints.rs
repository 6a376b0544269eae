//! Where signed checkpoints are kept: beside the log, which they speak of.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::checkpoint::{LeafProof, LogCheckpoint, SignedCheckpoint};

/// The most bytes of the packed leaves of one checkpoint.
pub const PACKED_BYTES_MAX: usize = 1 << 30;

/// A checkpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// Its number.
    pub number: u64,
    /// What was signed.
    pub signed: SignedCheckpoint,
    /// The proofs of the data sets' versions that are in it for the first time.
    pub proofs: Vec<LeafProof>,
}

impl KeptCheckpoint {
    /// The document for people and tools; `said` is what its text says.
    pub fn document(&self, said: &LogCheckpoint) -> serde_json::Value {
        let LogCheckpoint { number, at, previous, position, leaves, root } = said;
        let SignedCheckpoint { text, signature, public_key } = &self.signed;
        serde_json::json!({
            "number": number,
            "at": format!("{at:.6}"),
            "previous": previous,
            "position": position.to_string(),
            "leaves": leaves,
            "root": root.to_string(),
            "text": text,
            "signature": signature,
            "public_key": public_key,
        })
    }
}

/// The checkpoints of a deployment.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The position up to which the log is settled: what is recorded from now on has a larger one. 0 where nothing is.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    async fn settled(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Checkpoints before this number, or the last ones: the latest first, at most `max`.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn checkpoints(&self, before: Option<u64>, max: usize) -> Result<Vec<KeptCheckpoint>, StoreError>;

    /// The leaves that a checkpoint has other than the one before it, as [`Self::keep`] was given them; none where there is no such one.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn leaves(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps a checkpoint with the leaves that are new in it, whole or not at all. `false` where one with its number is there.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: look whether it is there.
    async fn keep(&self, checkpoint: KeptCheckpoint, leaves: Vec<u8>) -> Result<bool, StoreError>;
}
