//! What a replay works on: the log at one moment, and new views beside the live ones; or, in a store that many write to and
//! that has no such moment, the log as it is read and the live views, which are put right in place. It has no way to a queue or
//! a mail system.

use std::ops::Range;

use jiff::Timestamp;

use super::StoreError;
use crate::domain::{
    id::{StreamId, UserId},
    key::KeyId,
    persisted::{CodecError, Encoded},
    personal::PersonalKey,
    view::Rows,
};

/// Opens a replay.
pub trait Replayable: Send + Sync {
    /// The log as it is now, with room for new views.
    ///
    /// # Errors
    /// When the store does not answer.
    fn replay_space(&self) -> Result<Box<dyn ReplaySpace>, StoreError>;
}

/// The log and the new views of one replay.
pub trait ReplaySpace: Send {
    /// How many commits the log holds.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn commits_total(&mut self) -> Result<u64, StoreError>;

    /// The side that is read and the side that is written: they do not wait for each other.
    fn sides(&mut self) -> (&mut dyn ReplayLog, &mut dyn ReplayViews);

    /// Lets [`ReplayLog::next`] go on with the whole streams that have grown since it began; with `last`, no stream can grow
    /// until [`Self::switch`]. Returns how many commits have come.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read or the views not be written: nothing is switched then.
    fn catch_up(&mut self, last: bool) -> Result<u64, StoreError>;

    /// Makes the new views the live ones, at once; where they are put right in place, removes what no stream accounts for.
    ///
    /// # Errors
    /// [`StoreError`] where the views of before are still in force.
    fn switch(&mut self) -> Result<(), StoreError>;

    /// The keys that were issued twice, as far as the rebuild met them: each stays with the one who had it first.
    fn issued_twice(&mut self) -> Vec<IssuedTwice>;
}

/// The log at one moment.
pub trait ReplayLog: Send {
    /// The next commits, at most `max`, or the whole of one stream: stream by stream and in order, each with the key of the
    /// person whose stream it is; none at the end.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError>;

    /// What is live of each of these streams: of the same moment as the commits, or a later one; then [`Self::again`] tells.
    ///
    /// # Errors
    /// [`StoreError`] where the views cannot be read, or a row is not one that this permitd understands.
    fn live_rows(&mut self, streams: &[StreamId]) -> Result<Vec<Live>, StoreError>;

    /// The rows that a stream's commits lead to, and what is live of it, both read again, so that nobody wrote to the stream in
    /// between. Asked for when they seemed to differ; `None` where they were of one moment already.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn again(&mut self, stream: &StreamId) -> Result<Option<Settled>, StoreError>;

    /// The keys of a person's stream that another's stream issued, too. Asked for where the two readings differ, as they then do:
    /// a key has one place.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn issued_twice(&mut self, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError>;

    /// Live rows that no stream accounts for, and claims that belong to nobody, each named for people.
    ///
    /// # Errors
    /// [`StoreError`] where the views cannot be read, or a row is not one that this permitd understands.
    fn orphans(&mut self) -> Result<Vec<String>, StoreError>;
}

/// A stream that was read again.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The rows that its commits lead to.
    pub expected: Rows,
    /// What is live of it.
    pub live: Live,
    /// How it came to be so since its first commit that may lack its rows, beginning with what was before; none where there is no
    /// such commit.
    pub stages: Vec<Stage>,
    /// Whether its person was erased: what was theirs can still be in the rows, but is not in `stages`.
    pub is_erased: bool,
}

/// A stream as of one of its commits.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The rows that the commits up to it lead to.
    pub rows: Rows,
    /// What else is kept and is not what these rows say, named as in [`Live::wrong`].
    pub wrong: Vec<String>,
    /// The rows that the commit writes.
    pub written: Rows,
    /// What else it writes, named as in [`Live::wrong`].
    pub written_beside: Vec<String>,
    /// Whether some of what it writes may not be there yet.
    pub is_unpublished: bool,
}

/// A key that two people were issued. No store lets that happen any more, but older versions did. It is as public as what each
/// of the two knows: to be revoked for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IssuedTwice {
    /// The key.
    pub key: KeyId,
    /// Who had it first, and keeps it.
    pub first: UserId,
    /// Who was issued it, too.
    pub other: UserId,
    /// Whether it was revoked for both.
    pub is_over: bool,
}

/// What is live of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Its rows.
    pub rows: Rows,
    /// What else is kept of it and is not what its rows say, each named for people.
    pub wrong: Vec<String>,
}

impl Live {
    /// The name of a key's terms in a ledger that keeps them apart from the rows.
    pub fn wrong_terms(key: KeyId) -> String {
        format!("ledger terms of key {key}")
    }
}

/// Why a stream cannot be folded: a newer permitd wrote it, or it is damaged.
pub(super) fn unreadable(error: CodecError) -> StoreError {
    match error {
        CodecError::Unknown { .. } => StoreError::Incompatible(error.to_string()),
        error => StoreError::Corrupt(error.to_string()),
    }
}

/// The new views.
pub trait ReplayViews: Send {
    /// Writes rows into them.
    ///
    /// # Errors
    /// [`StoreError`] where they could not be written: the replay ends, and the views of before stay.
    fn put(&mut self, rows: &[Rows]) -> Result<(), StoreError>;
}

/// Commits that were read together. Their events lie in one text: one allocation for thousands of commits.
#[derive(Debug, Default)]
pub struct CommitBatch {
    events: String,
    commits: Vec<Commit>,
}

#[derive(Debug)]
struct Commit {
    stream: StreamId,
    version: u64,
    recorded_at: Timestamp,
    events: Range<usize>,
    key: Option<PersonalKey>,
}

impl CommitBatch {
    /// Adds a commit, with the key of the person whose stream it is.
    pub fn push(&mut self, commit: Encoded<'_>, key: Option<PersonalKey>) {
        let start = self.events.len();
        self.events.push_str(commit.events);
        let (stream, events) = (commit.stream.clone(), start..self.events.len());
        let Encoded { version, recorded_at, .. } = commit;
        self.commits.push(Commit { stream, version, recorded_at, events, key });
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// The commits in order, each with its person's key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Encoded<'_>, Option<&PersonalKey>)> {
        self.commits.iter().map(|Commit { stream, version, recorded_at, events, key }| {
            let events = self.events.get(events.clone()).unwrap_or_default();
            (Encoded { stream, version: *version, recorded_at: *recorded_at, events }, key.as_ref())
        })
    }
}
