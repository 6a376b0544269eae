//! Rebuilding the views from the log, and verifying them against it. Neither is given a queue or a mailer: a rebuild cannot
//! send, by construction.

mod verify;

use std::{sync::mpsc::sync_channel, thread};

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
/// Chunks that are read before the first of them has been folded.
const CHUNKS_AHEAD: usize = 3;
/// Streams that are handed over together: enough to make a write transaction worth its while, few enough for it to be over
/// before anybody who appends notices.
const STREAMS_TOGETHER: usize = 4096;
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

/// Commits as the space reads them.
type Chunk = Vec<(StoredCommit, Option<PersonalKey>)>;

/// Takes what was made of streams that have ended.
type HandOver<'a, T> = &'a mut dyn FnMut(&mut dyn ReplaySpace, Vec<T>) -> Result<(), ReplayError>;

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

    /// Folds a chunk; an empty one is the end. Gives back what `make` makes of the streams that ended.
    fn fold<T>(&mut self, chunk: &Chunk, make: &impl Fn(Ended) -> T) -> Result<Vec<T>, CodecError> {
        let mut ended = Vec::new();
        for (commit, key) in chunk {
            ended.extend(self.take(commit, key.as_ref())?.map(make));
        }
        if chunk.is_empty() {
            ended.extend(self.end().map(make));
        }
        Ok(ended)
    }

    /// Reads to the end of what `space` has now, handing over what `make` makes of each stream as it ends, some at a time.
    /// Folding has a thread of its own, so that it takes place while the space reads and writes.
    fn run<T: Send>(
        &mut self,
        space: &mut dyn ReplaySpace,
        report: &mut dyn FnMut(Progress),
        make: impl Fn(Ended) -> T + Send,
        hand_over: HandOver<'_, T>,
    ) -> Result<(), ReplayError> {
        thread::scope(|scope| {
            let (chunks, to_fold) = sync_channel::<Chunk>(CHUNKS_AHEAD);
            let (folded, results) = sync_channel(CHUNKS_AHEAD);
            thread::Builder::new().name("fold".to_owned()).spawn_scoped(scope, move || {
                for chunk in to_fold {
                    let ended = self.fold(&chunk, &make).map(|ended| (ended, self.progress));
                    // Nobody waits for more once an error has been handed on.
                    if folded.send(ended).is_err() {
                        return;
                    }
                }
            }).map_err(|_| interrupted())?;
            let (mut ahead, mut waiting) = (0, Vec::new());
            loop {
                let chunk = space.next(CHUNK_COMMITS)?;
                let is_last = chunk.is_empty();
                chunks.send(chunk).map_err(|_| interrupted())?;
                ahead += 1;
                while ahead == CHUNKS_AHEAD || (is_last && ahead > 0) {
                    let (ended, progress) = results.recv().map_err(|_| interrupted())??;
                    ahead -= 1;
                    waiting.extend(ended);
                    report(progress);
                }
                if is_last || waiting.len() >= STREAMS_TOGETHER {
                    hand_over(space, std::mem::take(&mut waiting))?;
                }
                if is_last {
                    return Ok(());
                }
            }
        })
    }
}

fn interrupted() -> ReplayError {
    StoreError::Unavailable("the thread that folds has ended".to_owned()).into()
}

/// Rebuilds every view beside the live ones, catches up with what is appended meanwhile, and switches over at once.
/// `report` is told how far it is.
///
/// # Errors
/// When an event cannot be read (its stream is named; it is never skipped) or the store fails; the live views are then as
/// they were.
pub fn rebuild(space: &mut dyn ReplaySpace, report: &mut dyn FnMut(Progress)) -> Result<Progress, ReplayError> {
    let mut folding = Folding::default();
    let rows = |(_, state): Ended| state.rows();
    let mut put = |space: &mut dyn ReplaySpace, rows: Vec<Rows>| Ok(space.put(&rows)?);
    folding.run(space, report, rows, &mut put)?;
    for _ in 0..CATCH_UP_ROUNDS_MAX {
        let grown = space.catch_up(false)?;
        folding.run(space, report, rows, &mut put)?;
        if grown <= CATCH_UP_COMMITS {
            break;
        }
    }
    space.catch_up(true)?;
    folding.run(space, report, rows, &mut put)?;
    space.switch()?;
    Ok(folding.progress)
}
