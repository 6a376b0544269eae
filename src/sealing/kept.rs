//! The checkpoints that are kept, and what each covers.

use std::io::Read;

use crate::{
    domain::checkpoint::{CheckpointError, CheckpointLeaf, Covered, LogCheckpoint},
    store::{KeptCheckpoint, KeptCheckpoints, StoreError},
};

/// Checkpoints that are read at a time.
const PAGE: usize = 100;
/// How much zstd tries.
const ZSTD_LEVEL: i32 = 3;
/// The most bytes of the leaves of one checkpoint, unpacked: those of ten million streams.
const LEAVES_BYTES_MAX: u64 = 2 << 30;

/// Why it is not known what the checkpoints cover.
#[derive(Debug, thiserror::Error)]
pub enum CoveredError {
    /// A checkpoint or its leaves cannot be read.
    #[error("checkpoint {number} cannot be read: {reason}")]
    Damaged {
        /// Its number.
        number: u64,
        /// Why.
        reason: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CoveredError {
    pub(super) fn damaged(number: u64, reason: impl ToString) -> Self {
        Self::Damaged { number, reason: reason.to_string() }
    }
}

/// Goes through the kept checkpoints, the first one first.
pub struct AllKept<'a> {
    checkpoints: &'a dyn KeptCheckpoints,
    /// Those of this page that are still to come, the next one last.
    page: Vec<KeptCheckpoint>,
    /// The numbers of those that are in no page yet, the next one last.
    numbers: Vec<u64>,
}

impl<'a> AllKept<'a> {
    /// All up to a number, or all.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn up_to(checkpoints: &'a dyn KeptCheckpoints, number: Option<u64>) -> Result<Self, StoreError> {
        let (mut before, mut numbers) = (number.map(|number| number.saturating_add(1)), Vec::new());
        loop {
            let page = checkpoints.checkpoints(before, PAGE).await?;
            numbers.extend(page.iter().map(|kept| kept.number));
            before = numbers.last().copied();
            if page.len() < PAGE {
                return Ok(Self { checkpoints, page: Vec::new(), numbers });
            }
        }
    }

    /// The next one.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn next(&mut self) -> Result<Option<KeptCheckpoint>, StoreError> {
        if self.page.is_empty() {
            let of_page = self.numbers.split_off(self.numbers.len().saturating_sub(PAGE));
            if let Some(last) = of_page.first() {
                self.page = self.checkpoints.checkpoints(Some(last.saturating_add(1)), of_page.len()).await?;
            }
        }
        Ok(self.page.pop())
    }
}

/// What the checkpoints cover together up to a number, or all of them; and the last of these.
pub(super) async fn covered(
    checkpoints: &dyn KeptCheckpoints,
    number: Option<u64>,
) -> Result<(Covered, Option<(KeptCheckpoint, LogCheckpoint)>), CoveredError> {
    let (mut covered, mut last) = (Covered::default(), None);
    let mut all = AllKept::up_to(checkpoints, number).await?;
    while let Some(kept) = all.next().await? {
        for leaf in leaves_of(checkpoints, kept.number).await? {
            covered.take(leaf.map_err(|error| CoveredError::damaged(kept.number, error))?);
        }
        let said = LogCheckpoint::parse(&kept.signed.text);
        let said = said.map_err(|error| CoveredError::damaged(kept.number, error))?;
        last = Some((kept, said));
    }
    Ok((covered, last))
}

/// The leaves that are new in a checkpoint.
pub(super) async fn leaves_of(
    checkpoints: &dyn KeptCheckpoints,
    number: u64,
) -> Result<Vec<Result<CheckpointLeaf, CheckpointError>>, CoveredError> {
    let packed = checkpoints.leaves(number).await?;
    let packed = packed.ok_or_else(|| CoveredError::damaged(number, "it is gone"))?;
    let mut text = String::new();
    let unpacked = zstd::stream::read::Decoder::new(packed.as_slice())
        .and_then(|decoder| decoder.take(LEAVES_BYTES_MAX).read_to_string(&mut text));
    unpacked.map_err(|error| CoveredError::damaged(number, format!("its leaves: {error}")))?;
    Ok(text.lines().map(CheckpointLeaf::parse).collect())
}

/// Leaves as they are kept: a line each, compressed.
pub(super) fn packed(leaves: &[CheckpointLeaf]) -> Result<Vec<u8>, StoreError> {
    let lines: String = leaves.iter().map(|leaf| format!("{leaf}\n")).collect();
    zstd::encode_all(lines.as_bytes(), ZSTD_LEVEL).map_err(|error| StoreError::Unavailable(error.to_string()))
}
