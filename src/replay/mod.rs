//! Rebuilds the views from the log, and compares them with it. Neither gets a queue or a mailer, so a rebuild cannot send anything.

mod compare;
mod quarantine;
mod verify;

use std::{
    collections::BTreeSet,
    sync::mpsc::sync_channel,
    thread::{self, Scope, ScopedJoinHandle},
};

pub use self::{
    compare::{
        CompareError, FieldDifference, OtherProgram, compare_views, compare_with_program, fold_lines, print_rows,
    },
    quarantine::{QuarantineError, quarantine, release},
    verify::{Difference, Verified, verify, verify_records},
};
pub use crate::store::Progress;
use crate::{
    domain::{
        id::StreamId,
        persisted::{self, CodecError, Encoded},
        personal::PersonalKey,
        view::{Rows, State},
    },
    store::{CommitBatch, ReplayBatch, ReplayBeginning, ReplayLog, ReplaySpace, ReplayedTo, StoreError},
};

/// Commits that are read at a time.
const CHUNK_COMMITS: usize = 1024;
/// Chunks that may be read ahead of folding: a store may read some of them in one piece.
const CHUNKS_AHEAD: usize = 12;
/// Batches of streams that may wait to be written while the next one is folded.
const BATCHES_AHEAD: usize = 1;
/// Streams in a batch: enough to make a write transaction worthwhile, few enough not to delay appends noticeably.
const STREAMS_TOGETHER: usize = 1024;
/// Rounds in which a rebuild catches up with new commits before it blocks appends for the last round.
const CATCH_UP_ROUNDS_MAX: u32 = 8;
/// Catching up ends with a round of at most this many commits.
const CATCH_UP_COMMITS: u64 = 100;

/// Why a replay ended without an effect.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An event cannot be read. The live views are unchanged or, where they are corrected in place, partly corrected.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store did not answer. The live views are unchanged or, where they are corrected in place, partly corrected.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stream that was read completely.
struct Ended {
    stream: StreamId,
    /// Its state after its last commit.
    state: State,
    /// What was read up to its end.
    progress: Progress,
}

/// Receives what was made of completed streams.
type HandOver<'a, T> = &'a mut dyn FnMut(&mut dyn ReplayLog, Vec<T>) -> Result<(), ReplayError>;

/// Folds commits into the state of one stream after another.
#[derive(Default)]
struct Folding {
    current: Option<(StreamId, State)>,
    progress: Progress,
    /// The streams in quarantine.
    quarantined: BTreeSet<StreamId>,
    /// Whether the present stream is one of them and cannot be read from here on.
    has_stopped: bool,
}

impl Folding {
    /// Folds all streams; of those in quarantine only what can be read.
    fn beside(quarantined: BTreeSet<StreamId>) -> Self {
        Self { quarantined, ..Self::default() }
    }

    /// Folds a commit; returns the previous stream if it ended with the commit before.
    fn take(&mut self, commit: Encoded<'_>, key: Option<&PersonalKey>) -> Result<Option<Ended>, CodecError> {
        let goes_on = self.current.as_ref().is_some_and(|(stream, _)| stream == commit.stream);
        let ended = if goes_on { None } else { self.end() };
        let (_, state) = self.current.get_or_insert_with(|| (commit.stream.clone(), State::empty(commit.stream)));
        self.progress.commits += 1;
        if self.quarantined.contains(commit.stream) {
            let before = state.clone();
            match persisted::fold(commit, key, state) {
                Ok(events) if !self.has_stopped => self.progress.events += events,
                // The events before the unreadable one may have been applied.
                Ok(_) | Err(_) => (*state, self.has_stopped) = (before, true),
            }
            return Ok(ended);
        }
        self.progress.events += persisted::fold(commit, key, state)?;
        Ok(ended)
    }

    fn end(&mut self) -> Option<Ended> {
        let (stream, state) = self.current.take()?;
        self.has_stopped = false;
        self.progress.streams += 1;
        Some(Ended { stream, state, progress: self.progress })
    }

    /// Folds a chunk; an empty one is the end. Returns what `make` makes of the streams that ended.
    fn fold<T>(&mut self, chunk: &CommitBatch, make: &impl Fn(Ended) -> T) -> Result<Vec<T>, CodecError> {
        let mut ended = Vec::new();
        for (commit, key) in chunk.iter() {
            ended.extend(self.take(commit, key)?.map(make));
        }
        if chunk.is_empty() {
            ended.extend(self.end().map(make));
        }
        Ok(ended)
    }

    /// Reads `log` up to its present end and hands over what `make` makes of each stream that ends, in batches. Folding runs on its own
    /// thread, in parallel with reading.
    fn run<T: Send>(
        &mut self,
        log: &mut dyn ReplayLog,
        report: &mut dyn FnMut(Progress),
        make: impl Fn(Ended) -> T + Send,
        hand_over: HandOver<'_, T>,
    ) -> Result<(), ReplayError> {
        thread::scope(|scope| {
            let (chunks, to_fold) = sync_channel::<CommitBatch>(CHUNKS_AHEAD);
            let (folded, results) = sync_channel(CHUNKS_AHEAD);
            let fold = move || {
                for chunk in to_fold {
                    let ended = self.fold(&chunk, &make).map(|ended| (ended, self.progress));
                    // The receiver is gone after an error.
                    if folded.send(ended).is_err() {
                        return;
                    }
                }
            };
            start(scope, "replay-fold", fold)?;
            let (mut ahead, mut waiting) = (0, Vec::new());
            loop {
                let chunk = log.next(CHUNK_COMMITS)?;
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
                    hand_over(log, std::mem::take(&mut waiting))?;
                }
                if is_last {
                    return Ok(());
                }
            }
        })
    }

    /// Reads the log up to its present end and writes its streams' rows into the new views. Writing runs on its own thread, in parallel
    /// with reading and folding. `is_first` says that all streams come once and in order, so that the place that is reached tells what is
    /// done.
    fn write_rows(
        &mut self,
        space: &mut dyn ReplaySpace,
        is_first: bool,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), ReplayError> {
        let (log, views) = space.sides();
        thread::scope(|scope| {
            let (batches, to_write) = sync_channel::<ReplayBatch>(BATCHES_AHEAD);
            let writing =
                start(scope, "replay-write", move || to_write.iter().try_for_each(|batch| views.put(&batch)))?;
            // Sending fails only after a write failed.
            let mut send = |_: &mut dyn ReplayLog, ended: Vec<(Rows, ReplayedTo)>| {
                let (rows, mut reached): (Vec<Rows>, Vec<ReplayedTo>) = ended.into_iter().unzip();
                let reached = reached.pop().filter(|_| is_first);
                batches.send(ReplayBatch { rows, reached }).map_err(|_| interrupted())
            };
            let make = |Ended { stream, state, progress }| (state.rows(), ReplayedTo { stream, progress });
            let read = self.run(log, report, make, &mut send);
            drop(batches);
            writing.join().map_err(|_| interrupted())??;
            read
        })
    }
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, work).map_err(|error| StoreError::Unavailable(format!("no thread for {name}: {error}")))
}

fn interrupted() -> ReplayError {
    StoreError::Unavailable("a thread of the replay has ended".to_owned()).into()
}

/// Rebuilds every view beside the live ones, catches up with new commits, and then switches over at once. `report` receives the progress.
///
/// # Errors
/// When an event cannot be read (the error names its stream; it is never skipped, unless its stream is in quarantine: that counts up to
/// its last commit that can be read) or the store fails. The live views are then unchanged or,
/// where they are corrected in place, partly corrected: no row is worse than before.
pub fn rebuild(space: &mut dyn ReplaySpace, report: &mut dyn FnMut(Progress)) -> Result<Progress, ReplayError> {
    let beginning = space.begin()?;
    rebuild_from(space, &beginning, report)
}

/// The same, for whoever has begun it and wants to tell how ([`ReplaySpace::begin`]).
///
/// # Errors
/// As [`rebuild`].
pub fn rebuild_from(
    space: &mut dyn ReplaySpace,
    beginning: &ReplayBeginning,
    report: &mut dyn FnMut(Progress),
) -> Result<Progress, ReplayError> {
    let mut folding = Folding::beside(space.quarantined()?);
    if let ReplayBeginning::Resumed(progress) = beginning {
        folding.progress = *progress;
    }
    folding.write_rows(space, true, report)?;
    for _ in 0..CATCH_UP_ROUNDS_MAX {
        let grown = space.catch_up(false)?;
        folding.write_rows(space, false, report)?;
        if grown <= CATCH_UP_COMMITS {
            break;
        }
    }
    space.catch_up(true)?;
    folding.write_rows(space, false, report)?;
    space.switch()?;
    Ok(folding.progress)
}
