//! Rebuilding the views from the log, and verifying them against it. Neither is given a queue or a mailer: a rebuild cannot
//! send, by construction.

mod verify;

pub use self::verify::{Difference, verify};
use crate::{
    domain::{
        id::StreamId,
        persisted::{self, CodecError, StoredCommit},
        personal::PersonalKey,
        view::{Rows, State},
    },
    store::{ReplaySpace, StoreError},
};

/// Commits that are read at once.
const CHUNK_COMMITS: usize = 4096;
/// Rounds in which a rebuild catches up with what was appended meanwhile before it holds appends for the last one.
const CATCH_UP_ROUNDS_MAX: u32 = 8;
/// A round that brings no more commits than this ends the catching up.
const CATCH_UP_COMMITS: u64 = 100;

/// Why a replay ended without an effect.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An event cannot be read. The live views are as they were.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store did not answer. The live views are as they were.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Commits read.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Streams that have ended.
    pub streams: u64,
}

/// A stream's state after its last commit.
type Ended = (StreamId, State);

/// Takes the streams that have ended.
type HandOver<'a> = &'a mut dyn FnMut(&mut dyn ReplaySpace, Vec<Ended>) -> Result<(), ReplayError>;

/// Folds commits into the state of one stream after another.
#[derive(Default)]
struct Folding {
    current: Option<Ended>,
    progress: Progress,
}

impl Folding {
    /// Takes in a commit; gives back the stream that ended with the one before, if one did.
    fn take(&mut self, commit: &StoredCommit, key: Option<&PersonalKey>) -> Result<Option<Ended>, CodecError> {
        let goes_on = self.current.as_ref().is_some_and(|(stream, _)| *stream == commit.stream);
        let ended = if goes_on { None } else { self.end() };
        let (_, state) = self.current.get_or_insert_with(|| (commit.stream.clone(), State::empty(&commit.stream)));
        let events = persisted::decode(commit, key)?;
        events.iter().for_each(|event| state.apply(event));
        self.progress.commits += 1;
        self.progress.events += u64::try_from(events.len()).unwrap_or(u64::MAX);
        Ok(ended)
    }

    fn end(&mut self) -> Option<Ended> {
        let ended = self.current.take();
        self.progress.streams += u64::from(ended.is_some());
        ended
    }

    /// Reads to the end of what `space` has now, handing over each stream as it ends, some at a time.
    fn run(
        &mut self,
        space: &mut dyn ReplaySpace,
        report: &mut dyn FnMut(Progress),
        hand_over: HandOver<'_>,
    ) -> Result<(), ReplayError> {
        loop {
            let chunk = space.next(CHUNK_COMMITS)?;
            let mut ended = Vec::new();
            for (commit, key) in &chunk {
                ended.extend(self.take(commit, key.as_ref())?);
            }
            if chunk.is_empty() {
                ended.extend(self.end());
            }
            hand_over(space, ended)?;
            report(self.progress);
            if chunk.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Rebuilds every view beside the live ones, catches up with what is appended meanwhile, and switches over at once.
/// `report` is told how far it is.
///
/// # Errors
/// When an event cannot be read (its stream is named; it is never skipped) or the store fails; the live views are then as
/// they were.
pub fn rebuild(space: &mut dyn ReplaySpace, report: &mut dyn FnMut(Progress)) -> Result<Progress, ReplayError> {
    let mut folding = Folding::default();
    let mut put = |space: &mut dyn ReplaySpace, ended: Vec<Ended>| {
        let rows: Vec<Rows> = ended.iter().map(|(_, state)| state.rows()).collect();
        Ok(space.put(&rows)?)
    };
    folding.run(space, report, &mut put)?;
    for _ in 0..CATCH_UP_ROUNDS_MAX {
        let grown = space.catch_up(false)?;
        folding.run(space, report, &mut put)?;
        if grown <= CATCH_UP_COMMITS {
            break;
        }
    }
    space.catch_up(true)?;
    folding.run(space, report, &mut put)?;
    space.switch()?;
    Ok(folding.progress)
}
