//! Where signed checkpoints are kept: beside the log, which they speak of.

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::domain::{
    checkpoint::{LeafProof, LogCheckpoint, SignedCheckpoint},
    id::hex,
};

/// The most bytes of the packed leaves of one checkpoint.
pub const PACKED_BYTES_MAX: usize = 1 << 30;

/// Bytes of one part of a checkpoint's packed leaves, where these are stored or written in parts.
pub const LEAVES_PART_BYTES: usize = 300 << 10;

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

/// What tells a checkpoint's packed leaves: two processes that make one number at once have leaves of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavesName {
    /// Their SHA-256, in hex.
    pub sha256: String,
    /// In how many parts they are.
    pub parts: usize,
}

impl LeavesName {
    /// The name of these leaves.
    pub fn of(leaves: &[u8]) -> Self {
        Self { sha256: hex(&Sha256::digest(leaves)), parts: leaves.chunks(LEAVES_PART_BYTES).len() }
    }
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
pub trait KeptCheckpoints: Send + Sync {
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

    /// The last checkpoint that was mailed to everybody who gets them, with all before it; none where nobody has noted one.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    async fn mailed(&self) -> Result<Option<u64>, StoreError>;

    /// Notes that this checkpoint and all before it were mailed. A smaller number than the noted one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been noted: they may be mailed again.
    async fn note_mailed(&self, number: u64) -> Result<(), StoreError>;
}
