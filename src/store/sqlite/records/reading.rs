//! One version of a data set, as a question reads it: in a snapshot, and within the time that it has.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
};

use rusqlite::{Connection, ErrorCode};

use super::{file::unavailable, moments, schema, shape::Shape};
use crate::{
    clock::SharedClock,
    dataset::query::{PointInTime, Query},
    store::records::{DataSet, RecordStoreError, rules},
};

/// Steps of SQLite's machine between two looks at the watch.
pub(super) const STEPS_PER_LOOK: i32 = 1_000;

/// Why a statement was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Spent {
    Nothing = 0,
    Budget = 1,
    Time = 2,
}

/// Tells when a question has to stop: when its time is up, when a turn's budget is spent, or when nobody waits for its answer any
/// more.
#[derive(Clone)]
pub(super) struct Watch(Arc<Watched>);

struct Watched {
    clock: SharedClock,
    deadline_us: i64,
    abandoned: AtomicBool,
    looks: AtomicU32,
    budget_looks: AtomicU32,
    spent: AtomicU8,
    /// Whether interruptions are suspended.
    rests: AtomicBool,
    /// Whether the thread gives way to requests at each look.
    gives_way: bool,
}

impl Watch {
    /// A watch that runs out after so many milliseconds, for a thread that gives way to requests.
    pub(super) fn new(clock: &SharedClock, allowed_ms: u64) -> Self {
        Self::of(clock, allowed_ms, true)
    }

    /// A watch without an end, for a thread that answers requests.
    pub(super) fn of_request(clock: &SharedClock) -> Self {
        Self::of(clock, u64::MAX, false)
    }

    fn of(clock: &SharedClock, allowed_ms: u64, gives_way: bool) -> Self {
        let allowed_us = i64::try_from(allowed_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self(Arc::new(Watched {
            deadline_us: clock.monotonic_us().saturating_add(allowed_us),
            clock: Arc::clone(clock),
            abandoned: AtomicBool::new(false),
            looks: AtomicU32::new(0),
            budget_looks: AtomicU32::new(u32::MAX),
            spent: AtomicU8::new(Spent::Nothing as u8),
            rests: AtomicBool::new(false),
            gives_way,
        }))
    }

    /// Tells whether the time is up or nobody waits.
    pub(super) fn is_over(&self) -> bool {
        self.0.abandoned.load(Ordering::Relaxed) || self.0.clock.monotonic_us() >= self.0.deadline_us
    }

    /// Fails if the time is up or nobody waits. To be called before work of some tenths of a millisecond.
    pub(super) fn check(&self) -> Result<(), QuestionFailure> {
        self.give_way();
        if self.is_over() { Err(QuestionFailure::TimeUp) } else { Ok(()) }
    }

    /// Lets requests that wait for the processor go first: otherwise the system may let this thread run for milliseconds before it looks
    /// at others.
    fn give_way(&self) {
        if self.0.gives_way {
            std::thread::yield_now();
        }
    }

    /// Notes that nobody waits any more.
    pub(super) fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }

    /// Begins a turn of so many looks at the watch; with none, only the time limits it.
    pub(super) fn turn(&self, budget_looks: Option<u32>) {
        self.0.looks.store(0, Ordering::Relaxed);
        self.0.budget_looks.store(budget_looks.unwrap_or(u32::MAX), Ordering::Relaxed);
        self.0.spent.store(Spent::Nothing as u8, Ordering::Relaxed);
    }

    /// Tells whether the interrupted turn had spent its budget, and not the whole time.
    pub(super) fn ran_out_of_budget(&self) -> bool {
        self.0.spent.load(Ordering::Relaxed) == Spent::Budget as u8
    }

    /// Lets a statement run to its end, whatever the time.
    fn resting<T>(&self, statement: impl FnOnce() -> T) -> T {
        self.0.rests.store(true, Ordering::Relaxed);
        let outcome = statement();
        self.0.rests.store(false, Ordering::Relaxed);
        outcome
    }

    /// Tells whether to stop.
    fn look(&self) -> bool {
        if self.0.rests.load(Ordering::Relaxed) {
            return false;
        }
        self.give_way();
        let looks = self.0.looks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let spent = if self.is_over() {
            Spent::Time
        } else if looks > self.0.budget_looks.load(Ordering::Relaxed) {
            Spent::Budget
        } else {
            return false;
        };
        self.0.spent.store(spent as u8, Ordering::Relaxed);
        true
    }

    /// Watches the connection's work from now on.
    pub(super) fn over(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let watch = self.clone();
        connection.progress_handler(STEPS_PER_LOOK, Some(move || watch.look()))
    }
}

/// An error while answering a question.
pub(super) enum QuestionFailure {
    Sqlite(rusqlite::Error),
    Other(RecordStoreError),
    /// The column projection cannot be read, and why.
    Columns(String),
    /// The time is up, between two statements.
    TimeUp,
    /// Nobody waits for the answer any more.
    Gone,
}

impl From<rusqlite::Error> for QuestionFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<RecordStoreError> for QuestionFailure {
    fn from(error: RecordStoreError) -> Self {
        Self::Other(error)
    }
}

impl QuestionFailure {
    /// A column projection that cannot be read.
    pub(super) fn columns(reason: &str) -> Self {
        Self::Columns(reason.to_owned())
    }

    /// Tells whether the watch ended the question.
    pub(super) fn is_interrupted(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted),
            Self::TimeUp => true,
            Self::Other(_) | Self::Columns(_) | Self::Gone => false,
        }
    }

    /// The error of a question about a file that was not interrupted.
    pub(super) fn told(self, doing: &str, path: &Path) -> RecordStoreError {
        match self {
            Self::Sqlite(error) => unavailable(doing, path, &error),
            Self::Other(error) => error,
            Self::Columns(reason) => {
                RecordStoreError::Unavailable { doing: format!("{doing} {}", path.display()), reason }
            }
            Self::TimeUp | Self::Gone => RecordStoreError::Unavailable {
                doing: format!("{doing} {}", path.display()),
                reason: "it was given up".to_owned(),
            },
        }
    }
}

/// A read transaction: all its statements see one version. They stay prepared, unlike those of `rusqlite::Transaction`. Its own
/// begin and end are not interrupted: an open transaction would make the next one fail.
struct ReadSnapshot<'c> {
    connection: &'c Connection,
    watch: &'c Watch,
}

impl<'c> ReadSnapshot<'c> {
    fn take(connection: &'c Connection, watch: &'c Watch) -> rusqlite::Result<Self> {
        watch.resting(|| {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            connection.prepare_cached("BEGIN")?.execute([])
        })?;
        Ok(Self { connection, watch })
    }
}

impl Drop for ReadSnapshot<'_> {
    fn drop(&mut self) {
        let commit = || self.connection.prepare_cached("COMMIT")?.execute([]);
        if let Err(error) = self.watch.resting(commit) {
            // The connection's next snapshot tries again first.
            tracing::error!(%error, "a snapshot could not be ended");
        }
    }
}

/// One version of a data set, during a read.
pub(super) struct RecordReading<'a> {
    snapshot: ReadSnapshot<'a>,
    pub(super) shape: &'a Shape,
    pub(super) data_set: &'a DataSet,
    pub(super) watch: &'a Watch,
    /// The version being read.
    pub(super) version: u64,
    /// The earliest version that can be read instead.
    pub(super) held_from: u64,
    /// The earliest version since which all changes are known.
    pub(super) changes_from: u64,
    /// How many records there are.
    pub(super) records: u64,
}

impl<'a> RecordReading<'a> {
    /// Begins to read a data set, if its columns are still those known.
    pub(super) fn begin(
        (connection, shape): (&'a Connection, &'a Shape),
        data_set: &'a DataSet,
        watch: &'a Watch,
    ) -> Result<Self, QuestionFailure> {
        let snapshot = ReadSnapshot::take(connection, watch)?;
        let mut state = connection
            .prepare_cached("SELECT version, generation, held_from, changes_from, records, instance FROM state")?;
        let ([version, generation, held_from, changes_from, records], is_same) = state.query_row([], |row| {
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|place| schema::count(row, place));
            Ok(([a?, b?, c?, d?, e?], schema::uuid(row, 5)? == data_set.instance))
        })?;
        // The connection may be to a file that has just replaced the served one.
        if !is_same || version < data_set.version || generation != data_set.generation {
            let name = data_set.definition.name.clone();
            return Err(RecordStoreError::DefinitionChanged { name }.into());
        }
        Ok(Self { snapshot, shape, data_set, watch, version, held_from, changes_from, records })
    }

    pub(super) fn connection(&self) -> &'a Connection {
        self.snapshot.connection
    }

    /// The version to read the past at, for a query; none if that is the present one.
    pub(super) fn pinned(&self, query: &Query) -> Result<Option<u64>, QuestionFailure> {
        match query.continued_version() {
            None => self.earlier(query.as_of),
            // No cursor is of a version to come, unless the records are older ones that were put back.
            Some(version) if version < self.held_from || version > self.version => Err(self.gone(version)),
            Some(version) => Ok(Some(version).filter(|version| *version != self.version)),
        }
    }

    /// The version to read the past at, for a question as of this; none if that is the present one.
    pub(super) fn earlier(&self, as_of: Option<PointInTime>) -> Result<Option<u64>, QuestionFailure> {
        let version = as_of.map(|as_of| self.version_at(as_of)).transpose()?;
        Ok(version.filter(|version| *version != self.version))
    }

    /// The held version that a question as of this is about.
    pub(super) fn version_at(&self, as_of: PointInTime) -> Result<u64, QuestionFailure> {
        let version = match as_of {
            PointInTime::Version(version) => version,
            PointInTime::Moment(at) => {
                moments::version_at(self.connection(), at)?.ok_or_else(|| self.before_all(&at.to_string()))?
            }
        };
        if version > self.version {
            let (name, present) = (self.data_set.definition.name.clone(), self.version);
            return Err(RecordStoreError::NoSuchVersion { name, version, present }.into());
        }
        if version < self.held_from {
            return Err(self.gone(version));
        }
        Ok(version)
    }

    /// The error for a version that is no longer held.
    pub(super) fn gone(&self, version: u64) -> QuestionFailure {
        self.gone_before(version, self.held_from)
    }

    /// The error for a version before this one, from which on the past is known.
    pub(super) fn gone_before(&self, version: u64, known_from: u64) -> QuestionFailure {
        match moments::of_version(self.connection(), known_from) {
            Ok(since) => rules::gone(&self.data_set.definition, version, (known_from, since)).into(),
            Err(error) => error.into(),
        }
    }

    /// The error for a moment before those of all known versions.
    fn before_all(&self, moment: &str) -> QuestionFailure {
        let (name, moment, held_from) = (self.data_set.definition.name.clone(), moment.to_owned(), self.held_from);
        match moments::of_version(self.connection(), held_from) {
            Ok(since) => RecordStoreError::MomentGone { name, moment, held_from, since }.into(),
            Err(error) => error.into(),
        }
    }
}
