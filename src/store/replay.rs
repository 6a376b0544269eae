//! The input and output of a replay: the log at one moment, and new views beside the live ones. A store with many writers has no
//! such moment: there the replay reads the log as it is and repairs the live views in place. A replay has no access to a queue or a
//! mail system.

use std::{collections::BTreeSet, ops::Range};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Progress, ReplayBatch, ReplayBeginning, ReplayPlan, ReplayStatus, ReplayView, StoreError};
use crate::domain::{
    id::{StreamId, UserId},
    key::KeyId,
    persisted::{self, CodecError, Encoded},
    personal::PersonalKey,
    view::{Rows, State},
};

/// Opens a replay.
#[async_trait]
pub trait Replayable: Send + Sync {
    /// The log as it is now, with room for new views.
    ///
    /// # Errors
    /// When the store does not answer.
    fn replay_space(&self) -> Result<Box<dyn ReplaySpace>, StoreError> {
        self.replay_space_for(&ReplayPlan::default())
    }

    /// The same, for a part: the streams that the plan's view follows from, with room for that view.
    ///
    /// # Errors
    /// When the store does not answer, or cannot do what the plan asks for.
    fn replay_space_for(&self, plan: &ReplayPlan) -> Result<Box<dyn ReplaySpace>, StoreError>;

    /// Writes the rows of one stream anew, or those of one view, from its commits: in one write where the store can, otherwise row by
    /// row, each at once. Returns what was read.
    ///
    /// # Errors
    /// [`StoreError`] where the stream cannot be read, or its rows may not have been written: repeat the call.
    fn mend(&self, stream: &StreamId, view: Option<ReplayView>) -> Result<Progress, StoreError>;

    /// The rebuild that is running, or was interrupted.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn replay_status(&self) -> Result<Option<ReplayStatus>, StoreError>;
}

/// The log and the new views of one replay.
pub trait ReplaySpace: Send {
    /// How many commits the log holds.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn commits_total(&mut self) -> Result<u64, StoreError>;

    /// The streams in quarantine: those of them that cannot be read count up to their last commit that can.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    fn quarantined(&mut self) -> Result<BTreeSet<StreamId>, StoreError>;

    /// Begins a rebuild, or goes on where one of the same plan was interrupted: then [`ReplayLog::next`] gives what is left.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be read or written.
    fn begin(&mut self) -> Result<ReplayBeginning, StoreError>;

    /// The side to read from and the side to write to: they do not wait for each other.
    fn sides(&mut self) -> (&mut dyn ReplayLog, &mut dyn ReplayViews);

    /// Lets [`ReplayLog::next`] continue with the streams that have grown since it began, each as a whole; with `last`, no stream
    /// can grow until [`Self::switch`]. Returns the number of new commits.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read or the views cannot be written: then nothing is switched.
    fn catch_up(&mut self, last: bool) -> Result<u64, StoreError>;

    /// Makes the new views live, at once. A replay that repairs in place removes rows that no stream accounts for.
    ///
    /// # Errors
    /// [`StoreError`] where the earlier views are still live.
    fn switch(&mut self) -> Result<(), StoreError>;

    /// The keys that were issued twice, as far as the rebuild met them: each stays with its first owner.
    fn issued_twice(&mut self) -> Vec<IssuedTwice>;
}

/// The log at one moment.
pub trait ReplayLog: Send {
    /// The next commits, at most `max`, or the whole of one stream: stream by stream and in order, each with the personal key of
    /// the stream's person; none at the end.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError>;

    /// The live rows of each of these streams, as of the commits or later; if later, [`Self::again`] settles differences.
    ///
    /// # Errors
    /// [`StoreError`] where the views cannot be read, or this permitd does not understand a row.
    fn live_rows(&mut self, streams: &[StreamId]) -> Result<Vec<Live>, StoreError>;

    /// Reads a stream's expected and live rows again, so that nobody wrote to the stream in between. Called when they seemed to
    /// differ; `None` where both were of one moment already.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn again(&mut self, stream: &StreamId) -> Result<Option<Settled>, StoreError>;

    /// The keys of a person's stream that another person's stream also issued. Called where expected and live rows differ, as they
    /// do for such keys: a key has one place.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn issued_twice(&mut self, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError>;

    /// Live rows that no stream accounts for, and claims without an owner, each named for people.
    ///
    /// # Errors
    /// [`StoreError`] where the views cannot be read, or this permitd does not understand a row.
    fn orphans(&mut self) -> Result<Vec<String>, StoreError>;
}

/// A stream that was read again.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The rows that follow from its commits.
    pub expected: Rows,
    /// Its live rows.
    pub live: Live,
    /// Its stages since its first commit whose rows may be missing, beginning with the stage before that commit; empty where there
    /// is no such commit.
    pub stages: Vec<Stage>,
    /// Whether its person was erased: the rows may still hold personal data, which `stages` lacks.
    pub is_erased: bool,
}

/// A stream as of one of its commits.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The rows that follow from the commits up to this one.
    pub rows: Rows,
    /// Other kept items that differ from these rows, named as in [`Live::wrong`].
    pub wrong: Vec<String>,
    /// The rows that this commit writes.
    pub written: Rows,
    /// Other items that this commit writes, named as in [`Live::wrong`].
    pub written_beside: Vec<String>,
    /// Whether some of the commit's writes may still be missing.
    pub is_unpublished: bool,
}

/// A key that two people were issued. No store allows it any more, but older versions did. Each of the two knows the other's key:
/// revoke it for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IssuedTwice {
    /// The key.
    pub key: KeyId,
    /// Its first owner, who keeps it.
    pub first: UserId,
    /// Its other owner.
    pub other: UserId,
    /// Whether it was revoked for both.
    pub is_over: bool,
}

/// The live rows of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Its rows.
    pub rows: Rows,
    /// Other kept items of the stream that differ from its rows, each named for people.
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

/// The state of a stream after its last commit before the first one that cannot be read, how many commits that are, and why the next one
/// cannot be read; none where all can.
pub fn last_readable<'a>(
    stream: &StreamId,
    commits: impl Iterator<Item = (Encoded<'a>, Option<&'a PersonalKey>)> + Clone,
) -> (State, usize, Option<CodecError>) {
    // A commit whose later events cannot be read has changed the state already: the commits before it are folded again.
    let folded = |count: usize| {
        let mut state = State::empty(stream);
        for (at, (commit, key)) in commits.clone().take(count).enumerate() {
            if let Err(error) = persisted::fold(commit, key, &mut state) {
                return (state, at, Some(error));
            }
        }
        (state, count, None)
    };
    match folded(usize::MAX) {
        (_, at, Some(error)) => {
            let (state, ..) = folded(at);
            (state, at, Some(error))
        }
        (state, ..) => (state, commits.count(), None),
    }
}

/// The new views.
pub trait ReplayViews: Send {
    /// Writes rows into them, and records the place that is reached.
    ///
    /// # Errors
    /// [`StoreError`] where they could not be written: the replay ends, and the earlier views stay.
    fn put(&mut self, batch: &ReplayBatch) -> Result<(), StoreError>;
}

/// Commits that were read together. Their events share one text: one allocation for thousands of commits.
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
    /// Adds a commit, with the personal key of its stream's person.
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
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Encoded<'_>, Option<&PersonalKey>)> + Clone {
        self.commits.iter().map(|Commit { stream, version, recorded_at, events, key }| {
            let events = self.events.get(events.clone()).unwrap_or_default();
            (Encoded { stream, version: *version, recorded_at: *recorded_at, events }, key.as_ref())
        })
    }
}
