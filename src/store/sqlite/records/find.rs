//! Queries. One that an index serves in its order is tried on the thread that asks, within a small budget of steps; any
//! other, and one that was not done, goes to threads of their own: a fixed number, with a bounded number waiting and a limit
//! on the time of each.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, ErrorCode, Row, params_from_iter, types::Value as Sql};
use tokio::sync::oneshot;

use super::{Lane, Served, Shape, Shared, lane, plan, render::Rendering, schema, unavailable};
use crate::{
    clock::SharedClock,
    dataset::{
        Definition, Document, Value,
        query::{Position, Query, SortTerm},
    },
    store::records::{DataSet, Explained, Page, RecordStoreError, rules},
};

/// Steps of SQLite's machine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 1_000;
/// What a query may spend on the thread that asks, in looks: some tenths of a millisecond.
const SOON_LOOKS: u32 = 4;
/// What each of two ways may spend in its turns, in looks: from a fraction of a millisecond to some hundred of them.
const BUDGETS_LOOKS: [u32; 4] = [4, 32, 256, 2048];
/// What room is made for at most before a page is known to need it.
const PAGE_BYTES_EXPECTED: usize = 256 * 1024;
/// Bytes of the end of an answer, for which room is kept.
const END_BYTES: usize = 1024;

/// The threads.
pub(super) struct Pool {
    clock: SharedClock,
    timeout_ms: u64,
    jobs: Option<SyncSender<Box<Job>>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    served: Arc<Served>,
    data_set: Arc<DataSet>,
    query: Query,
    watch: Watch,
    reply: oneshot::Sender<Result<Page, RecordStoreError>>,
}

/// Why a statement was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Spent {
    Nothing = 0,
    Budget = 1,
    Time = 2,
}

/// Says when a query has to stop: when its time is up, or nobody waits for its answer any more.
#[derive(Clone)]
struct Watch {
    clock: SharedClock,
    deadline_us: i64,
    timeout_ms: u64,
    /// What would make the query faster.
    narrow: String,
    abandoned: Arc<AtomicBool>,
    spent: Arc<AtomicU8>,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.clock.monotonic_us() >= self.deadline_us
    }

    fn set(&self, spent: Spent) {
        self.spent.store(spent as u8, Ordering::Relaxed);
    }

    fn ran_out_of_budget(&self) -> bool {
        self.spent.load(Ordering::Relaxed) == Spent::Budget as u8
    }

    /// Watches what the connection does from now on.
    fn over(&self, connection: &mut Connection, budget_looks: Option<u32>) -> rusqlite::Result<()> {
        self.set(Spent::Nothing);
        let watch = self.clone();
        let mut looks = 0;
        let look = move || {
            looks += 1;
            if watch.is_over() {
                watch.set(Spent::Time);
                return true;
            }
            let spent = budget_looks.is_some_and(|budget| looks > budget);
            if spent {
                watch.set(Spent::Budget);
            }
            spent
        };
        connection.progress_handler(STEPS_PER_LOOK, Some(look))
    }

    fn timed_out(&self) -> RecordStoreError {
        RecordStoreError::TimedOut { limit_ms: self.timeout_ms, narrow: self.narrow.clone() }
    }
}

/// Tells the watch that the one who waited has gone.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, RecordStoreError> {
        let (jobs, receiver) = sync_channel(shared.settings.find_waiting_max);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut pool = Self {
            clock: Arc::clone(&shared.clock),
            timeout_ms: shared.settings.find_timeout_ms,
            jobs: Some(jobs),
            threads: Vec::new(),
        };
        for number in 0..shared.settings.find_threads.max(1) {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new()
                .name(format!("records-find-{number}"))
                .spawn(move || work(&receiver))
                .map_err(|error| RecordStoreError::Unavailable {
                    doing: "start its threads".to_owned(),
                    reason: error.to_string(),
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(super) async fn find(
        &self,
        served: Arc<Served>,
        data_set: Arc<DataSet>,
        query: Query,
    ) -> Result<Page, RecordStoreError> {
        let allowed_us = i64::try_from(self.timeout_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let watch = Watch {
            deadline_us: self.clock.monotonic_us().saturating_add(allowed_us),
            clock: Arc::clone(&self.clock),
            timeout_ms: self.timeout_ms,
            narrow: rules::narrowing(&data_set.definition),
            abandoned: Arc::default(),
            spent: Arc::default(),
        };
        let _waiting = Waiting(Arc::clone(&watch.abandoned));
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Job { served, data_set, query, watch, reply });
        let stopped = || RecordStoreError::Unavailable {
            doing: "run the query".to_owned(),
            reason: "its threads have stopped".to_owned(),
        };
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => answer.await.map_err(|_| stopped())?,
            Some(Err(TrySendError::Full(_))) => Err(RecordStoreError::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(stopped()),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Without a sender the threads end after the query they are at.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that runs queries had panicked");
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Box<Job>>>) {
    let mut lanes: HashMap<u64, Lane> = HashMap::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let outcome = if job.watch.is_over() { Err(job.watch.timed_out()) } else { answer(&mut lanes, &job) };
        if job.reply.send(outcome).is_err() {
            tracing::debug!("a query's answer came after its caller had gone");
        }
    }
}

fn answer(lanes: &mut HashMap<u64, Lane>, job: &Job) -> Result<Page, RecordStoreError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => job.watch.timed_out(),
        _ => unavailable("query", &job.served.path, &error),
    };
    let Lane { connection, shape } = lane(lanes, &job.served, &job.data_set).map_err(failed)?;
    let ways = plan::ways(&job.data_set.definition, shape, &job.query);
    let turns = BUDGETS_LOOKS.iter().flat_map(|budget| ways.iter().map(|way| (way, Some(*budget))));
    let to_the_end = ways.first().map(|way| (way, None));
    let alone = ways.len() == 1;
    for (way, budget) in turns.filter(|_| !alone).chain(to_the_end) {
        job.watch.over(connection, budget).map_err(failed)?;
        match run(connection, shape, &job.data_set, &job.query, way) {
            Err(Failure::Sqlite(error))
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
                    && job.watch.ran_out_of_budget() => {}
            Err(Failure::Sqlite(error)) => return Err(failed(error)),
            Err(Failure::Other(error)) => return Err(error),
            Ok(page) => return Ok(page),
        }
    }
    // The last turn has no budget, so it has returned.
    Err(job.watch.timed_out())
}

/// The answer to a query that is done within a small budget, on a connection of the thread that asks; `None` where that
/// cannot be expected, or was not so.
pub(super) fn answer_soon(
    Lane { connection, shape }: &mut Lane,
    path: &Path,
    data_set: &DataSet,
    query: &Query,
) -> Option<Result<Page, RecordStoreError>> {
    let ways = plan::ways(&data_set.definition, shape, query);
    let [way] = ways.as_slice() else { return None };
    if !way.ordered {
        return None;
    }
    let mut looks = 0;
    let spent = move || {
        looks += 1;
        looks > SOON_LOOKS
    };
    let watched = connection.progress_handler(STEPS_PER_LOOK, Some(spent));
    let outcome = watched.map_err(Failure::Sqlite).and_then(|()| run(connection, shape, data_set, query, way));
    let unwatched = connection.progress_handler(0, None::<fn() -> bool>).map_err(Failure::Sqlite);
    match outcome.and_then(|page| unwatched.map(|()| page)) {
        Ok(page) => Some(Ok(page)),
        Err(Failure::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => None,
        Err(Failure::Sqlite(error)) => Some(Err(unavailable("query", path, &error))),
        Err(Failure::Other(error)) => Some(Err(error)),
    }
}

enum Failure {
    Sqlite(rusqlite::Error),
    Other(RecordStoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A read transaction, so that every statement in it sees one version. Its statements are kept prepared, which those of
/// `rusqlite::Transaction` are not.
struct Snapshot<'c>(&'c Connection);

impl<'c> Snapshot<'c> {
    fn take(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            // The connection's next query begins a transaction, and so fails loudly.
            tracing::error!(%error, "a snapshot could not be ended");
        }
    }
}

fn run(
    connection: &Connection,
    shape: &Shape,
    data_set: &DataSet,
    query: &Query,
    way: &plan::Way,
) -> Result<Page, Failure> {
    let snapshot = Snapshot::take(connection)?.0;
    let mut state = snapshot.prepare_cached("SELECT version, generation FROM state")?;
    let (version, generation): (u64, u64) =
        state.query_row([], |row| Ok((schema::count(row, 0)?, schema::count(row, 1)?)))?;
    if generation != data_set.generation {
        let name = data_set.definition.name.clone();
        return Err(Failure::Other(RecordStoreError::DefinitionChanged { name }));
    }
    let selected = query.select.as_deref().map(|select| Rendering::new(&data_set.definition, Some(select)));
    let rendering = selected.as_ref().unwrap_or(&shape.rendering);
    let mut gathered = Gathered::new(&data_set.definition, query, rendering, version);
    if way.ordered {
        for segment in &way.segments {
            if gathered.is_full() {
                break;
            }
            let mut statement = snapshot.prepare_cached(&segment.sql)?;
            let limit = Sql::Integer(gathered.room());
            let mut rows = statement.query(params_from_iter(segment.params.iter().chain([&limit])))?;
            while let Some(row) = rows.next()? {
                gathered.take(row)?;
            }
        }
    } else {
        // Sorted by numbers first: a sorter that carried whole records would be many times the work.
        let columns = plan::results(shape, &gathered.order);
        let mut fetch = snapshot.prepare_cached(&format!("SELECT {columns} FROM records WHERE \"$row\" = ?"))?;
        for segment in &way.segments {
            let mut statement = snapshot.prepare_cached(&segment.sql)?;
            let limit = Sql::Integer(gathered.room());
            let mut rows = statement.query(params_from_iter(segment.params.iter().chain([&limit])))?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                let mut record = fetch.query((number,))?;
                if let Some(record) = record.next()? {
                    gathered.take(record)?;
                }
            }
        }
    }
    Ok(gathered.page(way))
}

/// A page in the making. It is asked for one record more than it holds, to know whether another page follows.
struct Gathered<'a> {
    definition: &'a Definition,
    query: &'a Query,
    order: Vec<SortTerm>,
    rendering: &'a Rendering,
    version: u64,
    document: Document,
    last: Option<Position>,
    more: bool,
}

impl<'a> Gathered<'a> {
    fn new(definition: &'a Definition, query: &'a Query, rendering: &'a Rendering, version: u64) -> Self {
        let order = query.order(definition);
        Self { definition, query, order, rendering, version, document: Document::list(), last: None, more: false }
    }

    fn is_full(&self) -> bool {
        self.more
    }

    /// How many rows to ask for.
    fn room(&self) -> i64 {
        i64::from(self.query.limit.saturating_sub(self.document.count())) + 1
    }

    fn take(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        if self.document.count() >= self.query.limit {
            self.more = true;
            return Ok(());
        }
        let values = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
        if self.document.count() == 0 {
            // Records of one data set are much alike: room for them all, within reason, instead of growing by and by.
            let page = self.rendering.bytes_max(values).saturating_mul(self.query.limit as usize);
            self.document.reserve((page + page / 4).min(PAGE_BYTES_EXPECTED) + END_BYTES);
        }
        self.rendering.write(values, self.document.next_record()).map_err(rusqlite::Error::from)?;
        rules::check_page(self.document.bytes()).map_err(Failure::Other)?;
        if self.document.count() == self.query.limit {
            let values = self.order.iter().enumerate();
            let values = values.map(|(place, term)| self.value(term.column, 1 + place, row));
            let values = values.collect::<rusqlite::Result<_>>()?;
            self.last = Some(Position { version: self.version, values });
        }
        Ok(())
    }

    fn value(&self, column: usize, place: usize, row: &Row<'_>) -> rusqlite::Result<Value> {
        let kind = self.definition.columns.get(column).map(|column| column.kind);
        let kind = kind.ok_or(rusqlite::Error::InvalidColumnIndex(column))?;
        Ok(schema::value(kind, row.get_ref(place)?)?)
    }

    fn page(self, way: &plan::Way) -> Page {
        let explained =
            self.query.explain.then(|| Explained { plan: way.explained(), read_units: None, examined: None });
        Page {
            version: self.version,
            document: self.document,
            next: if self.more { self.last } else { None },
            complete: true,
            explained,
        }
    }
}
