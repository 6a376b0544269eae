//! Proves by signed checkpoints that the log before them is what it was: every stream's chain is computed anew and compared with what each
//! checkpoint says of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
};

use super::kept::{AllKept, CoveredError, leaves_of};
use crate::{
    domain::{
        chain::ChainHash,
        checkpoint::{CheckpointLeaf, Covered, LogCheckpoint, SignedCheckpoint, hash_of},
        id::StreamId,
        persisted::StoredCommit,
    },
    store::{KeptCheckpoints, LogSource},
    transfer::{BrokenChain, ChainCount, TransferError, TransferReport, verify_chains},
};

/// Heads that are compared in one pass over the log: it bounds the memory. More make several passes.
const HEADS_PER_PASS: u64 = 500_000;
/// Checkpoints in a row that are told to be gone, each by itself.
const GONE_MAX: u64 = 100;

/// What was found to be other than it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forgery {
    /// A kept checkpoint is not signed as it stands, or not a checkpoint.
    #[error("checkpoint {number} was changed: {reason}")]
    Checkpoint {
        /// Its number.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint is gone.
    #[error("checkpoint {number} is gone")]
    Gone {
        /// Its number.
        number: u64,
    },
    /// A checkpoint is signed by a key that is not trusted.
    #[error("checkpoint {number} is signed by another key, {key}: name the keys that you trust with --key")]
    Key {
        /// Its number.
        number: u64,
        /// The public key.
        key: String,
    },
    /// A checkpoint does not follow on the one before it.
    #[error("checkpoint {number} does not follow on the one before it: {reason}")]
    Order {
        /// Its number.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// Without a checkpoint that is gone or damaged the later ones tell less.
    #[error(
        "without checkpoint {number} it cannot be told what the later ones cover of streams that had changed in it, nor whether commits before them \
         were put in: a backup may have it"
    )]
    Unjudged {
        /// The number of the first one that is missing.
        number: u64,
    },
    /// The leaves that are kept are not those that were signed.
    #[error("what is kept of checkpoint {number} is not what was signed: its leaves give another root")]
    Leaves {
        /// Its number.
        number: u64,
    },
    /// Somebody keeps another checkpoint of this number.
    #[error(
        "checkpoint {number} is not the one that was kept elsewhere: one of them is of another log, or of a log that was written anew"
    )]
    Other {
        /// Its number.
        number: u64,
    },
    /// A chain is broken.
    #[error("{0}")]
    Chain(BrokenChain),
    /// A stream was written anew.
    #[error("{stream} is another one up to its commit {version} than when checkpoint {number} was made{since}", since = since(.agrees_at))]
    Rewritten {
        /// The stream.
        stream: StreamId,
        /// The version at which the checkpoint knows it.
        version: u64,
        /// The checkpoint.
        number: u64,
        /// The last checkpoint whose head of the stream is still right, and the version there.
        agrees_at: Option<(u64, u64)>,
    },
    /// The end of a stream is gone.
    #[error(
        "{stream} ends with its commit {found}; when checkpoint {number} was made, it had {expected}: its end was removed"
    )]
    CutOff {
        /// The stream.
        stream: StreamId,
        /// The commits that it has.
        found: u64,
        /// The commits that it had.
        expected: u64,
        /// The checkpoint.
        number: u64,
    },
    /// A stream is gone.
    #[error("{stream} is gone, of which checkpoint {number} has {expected} commits")]
    Removed {
        /// The stream.
        stream: StreamId,
        /// The commits that it had.
        expected: u64,
        /// The checkpoint.
        number: u64,
    },
    /// A commit stands where there was none.
    #[error(
        "the commit {version} of {stream} stands before the end of checkpoint {number}, which does not have it: it was put in later"
    )]
    PutIn {
        /// The stream.
        stream: StreamId,
        /// The version.
        version: u64,
        /// The checkpoint.
        number: u64,
    },
}

fn since(agrees_at: &Option<(u64, u64)>) -> String {
    agrees_at.map_or_else(String::new, |(number, version)| {
        format!(" (up to its commit {version} it is what checkpoint {number} says)")
    })
}

/// The public keys that checkpoints may be signed by, in base64. Without any it has to be one and the same for all.
pub type TrustedKeys = BTreeSet<String>;

/// What the checkpoints say of the streams of a part of the log.
#[derive(Debug, Default)]
pub struct Expected {
    /// The number of parts that the streams are in, and which one this is.
    parts: u64,
    part: u64,
    streams: BTreeMap<StreamId, ExpectedStream>,
    /// The last checkpoint, and the position that it covers.
    last: Option<(u64, u64)>,
    /// How many checkpoints there are.
    checkpoints: u64,
    /// Whether what one of them has is not known. A stream that none of the others has may be of that one.
    is_incomplete: bool,
}

#[derive(Debug, Default)]
struct ExpectedStream {
    /// Checkpoint, version and hash, in ascending order.
    heads: Vec<(u64, u64, ChainHash)>,
    /// The last version that the log has.
    found: u64,
    /// Whether something was found already.
    is_told: bool,
}

impl Expected {
    /// How many checkpoints were read.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// The number of the last checkpoint, if there is one.
    pub fn last(&self) -> Option<u64> {
        self.last.map(|(number, _)| number)
    }

    /// Notes that what a checkpoint has is not known.
    fn miss(&mut self, number: u64, find: &mut impl FnMut(Forgery)) {
        if !std::mem::replace(&mut self.is_incomplete, true) {
            find(Forgery::Unjudged { number });
        }
    }

    fn has(&self, stream: &StreamId) -> bool {
        self.parts <= 1 || BuildHasherDefault::<DefaultHasher>::default().hash_one(stream) % self.parts == self.part
    }

    fn saw(&mut self, commit: &StoredCommit, hash: ChainHash, found: &mut dyn FnMut(Forgery)) {
        let Some((last, position)) = self.last else { return };
        if !self.has(&commit.stream) {
            return;
        }
        let StoredCommit { stream, version, .. } = commit;
        let Some(expected) = self.streams.get_mut(stream) else {
            if commit.position <= position && !self.is_incomplete {
                self.streams.insert(stream.clone(), ExpectedStream { is_told: true, ..ExpectedStream::default() });
                found(Forgery::PutIn { stream: stream.clone(), version: *version, number: last });
            }
            return;
        };
        expected.found = expected.found.max(*version);
        if expected.is_told {
            return;
        }
        let mut agrees_at = None;
        for (number, at, head) in &expected.heads {
            match at.cmp(version) {
                std::cmp::Ordering::Less => agrees_at = Some((*number, *at)),
                std::cmp::Ordering::Equal if *head != hash => {
                    expected.is_told = true;
                    found(Forgery::Rewritten { stream: stream.clone(), version: *version, number: *number, agrees_at });
                    return;
                }
                _ => {}
            }
        }
        if expected.heads.last().is_some_and(|(_, at, _)| at < version)
            && commit.position <= position
            && !self.is_incomplete
        {
            expected.is_told = true;
            found(Forgery::PutIn { stream: stream.clone(), version: *version, number: last });
        }
    }

    /// Tells which streams lack their end.
    fn end(&self, found: &mut dyn FnMut(Forgery)) {
        for (stream, expected) in &self.streams {
            // Of a stream that was written anew more need not be told; the end of it that is missing is told by the first checkpoint that had it.
            let missing = expected.heads.iter().find(|(_, version, _)| *version > expected.found);
            let Some((number, version, _)) = missing else { continue };
            let (stream, expected, number, had) = (stream.clone(), expected.found, *number, *version);
            found(match expected {
                0 => Forgery::Removed { stream, expected: had, number },
                count => Forgery::CutOff { stream, found: count, expected: had, number },
            });
        }
    }
}

/// What was proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ProvenLog {
    /// Checkpoints that were checked.
    pub checkpoints: u64,
    /// Passes over the log.
    pub passes: u64,
    /// The log that was read.
    #[serde(flatten)]
    pub chains: ChainCount,
}

/// How many passes over the log it takes to compare all heads of the checkpoints up to a number, or of all.
///
/// # Errors
/// [`CoveredError`] where the store does not answer.
pub async fn passes(checkpoints: &dyn KeptCheckpoints, to: Option<u64>) -> Result<u64, CoveredError> {
    let (mut heads, mut all) = (0_u64, AllKept::up_to(checkpoints, to).await?);
    while let Some(kept) = all.next().await? {
        match leaves_of(checkpoints, kept.number).await {
            Ok(leaves) => heads = heads.saturating_add(u64::try_from(leaves.len()).unwrap_or(u64::MAX)),
            // Whoever compares tells what is wrong with them.
            Err(CoveredError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(heads.div_ceil(HEADS_PER_PASS).max(1))
}

/// Reads what the checkpoints from one number (or the first) up to another (or the last) say of the streams of a part; the first part also
/// checks the checkpoints themselves: signatures, keys, order, roots, and those that were kept `elsewhere`.
///
/// # Errors
/// [`CoveredError`] where the store does not answer. What was tampered with is no error but is given to `found`.
pub async fn expected(
    checkpoints: &dyn KeptCheckpoints,
    (from, to): (Option<u64>, Option<u64>),
    (trusted, elsewhere): (&TrustedKeys, &[SignedCheckpoint]),
    (part, parts): (u64, u64),
    found: &mut dyn FnMut(Forgery),
) -> Result<Expected, CoveredError> {
    let from = from.unwrap_or(1);
    let mut expected = Expected { part, parts, ..Expected::default() };
    let (mut covered, mut before) = (Covered::default(), None::<(SignedCheckpoint, LogCheckpoint)>);
    let mut find = |forgery: Forgery| {
        if part == 0 {
            found(forgery);
        }
    };
    let mut trusted = trusted.clone();
    let mut elsewhere: BTreeMap<u64, Vec<&SignedCheckpoint>> =
        elsewhere.iter().fold(BTreeMap::new(), |mut all: BTreeMap<u64, Vec<&SignedCheckpoint>>, one| {
            let number = LogCheckpoint::parse(&one.text).map_or(0, |said| said.number);
            all.entry(number).or_default().push(one);
            all
        });
    for (number, signed) in &elsewhere {
        for one in signed {
            if let Err(error) = one.checked() {
                find(Forgery::Checkpoint {
                    number: *number,
                    reason: format!("the one that was kept elsewhere: {error}"),
                });
            }
        }
    }
    let mut all = AllKept::up_to(checkpoints, to).await?;
    while let Some(kept) = all.next().await? {
        let number = kept.number;
        expected.checkpoints += 1;
        let next = before.as_ref().map_or(0, |(_, before)| before.number) + 1;
        for gone in (next..number).take(usize::try_from(GONE_MAX).unwrap_or(0)) {
            find(Forgery::Gone { number: gone });
        }
        if next < number {
            expected.miss(next, &mut find);
        }
        let said = match kept.signed.checked() {
            Ok(said) if said.number == number => said,
            Ok(said) => {
                find(Forgery::Checkpoint { number, reason: format!("it says that it is checkpoint {}", said.number) });
                LogCheckpoint { number, ..said }
            }
            Err(error) => {
                find(Forgery::Checkpoint { number, reason: error.to_string() });
                match LogCheckpoint::parse(&kept.signed.text) {
                    Ok(said) => LogCheckpoint { number, ..said },
                    // Its leaves are still compared with the log.
                    Err(_) => {
                        LogCheckpoint { number, ..before.as_ref().map_or_else(nothing, |(_, before)| before.clone()) }
                    }
                }
            }
        };
        if trusted.is_empty() {
            trusted.insert(kept.signed.public_key.clone());
        }
        if !trusted.contains(&kept.signed.public_key) {
            find(Forgery::Key { number, key: kept.signed.public_key.clone() });
        }
        if let Some(reason) = breach(before.as_ref(), &said) {
            find(Forgery::Order { number, reason });
        }
        for one in elsewhere.remove(&number).unwrap_or_default() {
            if one.text != kept.signed.text {
                find(Forgery::Other { number });
            }
        }
        let leaves = leaves_of(checkpoints, number).await;
        let leaves = match leaves {
            Ok(leaves) => leaves,
            Err(CoveredError::Damaged { number, reason }) => {
                find(Forgery::Checkpoint { number, reason });
                expected.miss(number, &mut find);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        for leaf in leaves {
            let leaf = match leaf {
                Ok(leaf) => leaf,
                Err(error) => {
                    find(Forgery::Checkpoint { number, reason: error.to_string() });
                    continue;
                }
            };
            if let CheckpointLeaf::Stream(stream, version, hash) = &leaf
                && expected.has(stream)
            {
                let heads = &mut expected.streams.entry(stream.clone()).or_default().heads;
                // Of what was before the first one that is asked for, the last word counts.
                if number <= from {
                    heads.clear();
                }
                heads.push((number, *version, *hash));
            }
            if part == 0 {
                covered.take(leaf);
            }
        }
        if part == 0 && !expected.is_incomplete && number >= from && covered.root() != (said.leaves, said.root) {
            find(Forgery::Leaves { number });
        }
        expected.last = Some((number, said.position));
        before = Some((kept.signed, said));
    }
    let newest = expected.last().unwrap_or(0);
    for number in elsewhere.into_keys().filter(|number| *number > 0 && to.is_none_or(|to| *number <= to)) {
        find(if number > newest { Forgery::Gone { number } } else { Forgery::Other { number } });
    }
    Ok(expected)
}

/// What stands for a first checkpoint that cannot be read.
fn nothing() -> LogCheckpoint {
    let (leaves, root) = Covered::default().root();
    LogCheckpoint { number: 0, at: jiff::Timestamp::UNIX_EPOCH, previous: None, position: 0, leaves, root }
}

/// Why a checkpoint does not follow on the one before it.
fn breach(before: Option<&(SignedCheckpoint, LogCheckpoint)>, said: &LogCheckpoint) -> Option<String> {
    let Some((signed, before)) = before else {
        return said.previous.as_ref().map(|_| "it names one before it, and is the first".to_owned());
    };
    if said.previous.as_deref() != Some(hash_of(&signed.text).as_str()) {
        return Some("it names another".to_owned());
    }
    if said.position < before.position || said.at < before.at {
        return Some("it covers less, or is older".to_owned());
    }
    None
}

/// Compares a log with what is expected of it. Gives what was tampered with to `found`.
///
/// # Errors
/// When the log cannot be read.
pub fn prove_log(
    source: &mut dyn LogSource,
    expected: &mut Expected,
    report: TransferReport<'_>,
    found: &mut dyn FnMut(Forgery),
) -> Result<ChainCount, TransferError> {
    let is_first = expected.part == 0;
    let found = std::cell::RefCell::new(found);
    let count = verify_chains(
        source,
        report,
        &mut |commit, hash| expected.saw(commit, hash, &mut **found.borrow_mut()),
        &mut |broken| {
            if is_first {
                (found.borrow_mut())(Forgery::Chain(broken));
            }
        },
    )?;
    expected.end(&mut **found.borrow_mut());
    Ok(count)
}
