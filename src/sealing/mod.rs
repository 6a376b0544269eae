//! Seals the log in signed checkpoints, and proves by them that nothing before them was changed, removed or put in. What is signed never holds
//! personal data, and erasing a person changes none of it.

mod kept;
mod prove;
mod records;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::kept::{covered, packed};
pub use self::{
    kept::{AllKept, CoveredError},
    prove::{Expected, Forgery, ProvenLog, TrustedKeys, expected, passes, prove_log},
    records::{HeldVersions, VersionDigests},
};
use crate::{
    domain::{
        chain::ChainHash,
        checkpoint::{CheckpointKey, CheckpointLeaf, LogCheckpoint, SignedCheckpoint, hash_of},
        id::StreamId,
        persisted::StoredCommit,
    },
    failpoint::crash_point,
    store::{KeptCheckpoint, StoreError, Stores},
};

/// Commits that are read at a time.
const PAGE_COMMITS: usize = 1_000;

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// A commit does not follow from the one before it: what is broken is not signed.
    #[error(
        "the commit {version} of {stream} does not follow from the one before it: one of them was changed. Nothing was signed; `permitd events \
         prove` tells more"
    )]
    Broken {
        /// The stream.
        stream: StreamId,
        /// The version.
        version: u64,
    },
    /// The earlier checkpoints cannot be read.
    #[error(transparent)]
    Kept(#[from] CoveredError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What sealing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealOutcome {
    /// There is a new checkpoint.
    New(KeptCheckpoint),
    /// Nothing has happened since the last one, or at all.
    Nothing(Option<KeptCheckpoint>),
    /// Another process has made one at the same time.
    Overtaken,
}

/// Makes a checkpoint of all that is settled at `now`, and of the versions of data sets that are not in an earlier one.
///
/// # Errors
/// [`SealingError`]: nothing was kept then, or where the store did not answer, perhaps the whole checkpoint.
pub async fn seal(
    stores: &Stores,
    digests: &dyn VersionDigests,
    key: &CheckpointKey,
    now: Timestamp,
) -> Result<SealOutcome, SealingError> {
    let (mut covered, last) = covered(&*stores.checkpoints, None).await?;
    let begin = last.as_ref().map_or(0, |(_, checkpoint)| checkpoint.position);
    let position = stores.checkpoints.settled(now).await?.max(begin);
    let quarantined = stores.quarantines.fresh().await?;
    let mut changed: BTreeMap<StreamId, (u64, ChainHash)> = BTreeMap::new();
    let mut after = begin;
    'log: loop {
        let commits = stores.log.read(after, PAGE_COMMITS).await?;
        for commit in &commits {
            if commit.position > position {
                break 'log;
            }
            after = commit.position;
            let before = changed.get(&commit.stream).copied().or_else(|| covered.head(&commit.stream));
            let (version, head) = before.unwrap_or((0, ChainHash::START));
            // A clock that is behind gives a later version an earlier place.
            if commit.version <= version {
                continue;
            }
            let expected = (commit.version == version.saturating_add(1)).then(|| head.then(&commit.link()));
            let hash = match (commit.hash, expected) {
                (Some(hash), Some(expected)) if hash != expected && quarantined.of(&commit.stream).is_none() => {
                    return Err(SealingError::Broken { stream: commit.stream.clone(), version: commit.version });
                }
                (Some(hash), _) => hash,
                (None, Some(expected)) => expected,
                (None, None) => head_of(stores, commit).await?,
            };
            changed.insert(commit.stream.clone(), (commit.version, hash));
        }
        if commits.len() < PAGE_COMMITS {
            break;
        }
    }
    let mut leaves: Vec<CheckpointLeaf> =
        changed.into_iter().map(|(stream, (version, hash))| CheckpointLeaf::Stream(stream, version, hash)).collect();
    let mut versions = Vec::new();
    for leaf in digests.of_new_versions(&covered).await {
        if let CheckpointLeaf::DataSet(name, version, _) = &leaf {
            versions.push((name.clone(), *version));
        }
        leaves.push(leaf);
    }
    if leaves.is_empty() {
        return Ok(SealOutcome::Nothing(last.map(|(kept, _)| kept)));
    }
    leaves.iter().for_each(|leaf| covered.take(leaf.clone()));
    let (count, root) = covered.root();
    let checkpoint = LogCheckpoint {
        number: last.as_ref().map_or(0, |(kept, _)| kept.number) + 1,
        at: now.max(last.as_ref().map_or(Timestamp::MIN, |(_, checkpoint)| checkpoint.at)),
        previous: last.as_ref().map(|(kept, _)| hash_of(&kept.signed.text)),
        position,
        leaves: count,
        root,
    };
    let kept = KeptCheckpoint {
        number: checkpoint.number,
        signed: SignedCheckpoint::sign(&checkpoint, key),
        proofs: covered.proofs(&versions),
    };
    crash_point("seal-before-keep");
    let is_kept = stores.checkpoints.keep(kept.clone(), packed(&leaves)?).await?;
    crash_point("seal-after-keep");
    Ok(if is_kept { SealOutcome::New(kept) } else { SealOutcome::Overtaken })
}

/// The hash of a stream up to a commit that has none and whose predecessor is not covered: computed from its first commit.
async fn head_of(stores: &Stores, commit: &StoredCommit) -> Result<ChainHash, StoreError> {
    let (mut head, mut version) = (ChainHash::START, 0);
    while version < commit.version {
        let some = stores.log.load(&commit.stream, version, PAGE_COMMITS).await?;
        for each in some.iter().take_while(|each| each.version <= commit.version) {
            (head, version) = (each.hash.unwrap_or_else(|| head.then(&each.link())), each.version);
        }
        if some.is_empty() {
            return Err(StoreError::Corrupt(format!("{} ends before its version {}", commit.stream, commit.version)));
        }
    }
    Ok(head)
}
