//! Threads that answer long questions: a fixed number, with a bounded number of waiting questions and a time limit for each.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::{
    columns::ColumnSlot,
    lane::Lanes,
    reading::{QuestionFailure, RecordReading, Watch},
    served::Served,
    shared::SharedRecords,
};
use crate::{
    clock::SharedClock,
    store::records::{DataSet, RecordStoreError},
};

/// The niceness of these threads against those of requests: at 15, each gets a thirtieth of the time of a request thread that uses
/// all it can get, and whatever those leave unused (docs/BENCHMARKS.md, "Thirty questions").
const NICENESS: i32 = 15;

/// The pool of threads.
pub(super) struct Pool {
    clock: SharedClock,
    timeout_ms: u64,
    jobs: Option<SyncSender<FindJob>>,
    threads: Vec<JoinHandle<()>>,
}

/// Advice where questions will soon be answered sooner.
const NOT_YET: &str = "repeat it in a minute, when the columns are ready that answer it sooner";

type FindJob = Box<dyn FnOnce(&mut Lanes) + Send>;

/// Abandons the watch when dropped: the caller has gone.
struct Waiting(Watch);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Pool {
    pub(super) fn start(shared: &Arc<SharedRecords>) -> Result<Self, RecordStoreError> {
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

    /// Answers a question on one of the threads, in one snapshot of the data set. `narrow` is advice for a faster question.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        served: Arc<Served>,
        data_set: Arc<DataSet>,
        narrow: String,
        question: impl FnOnce(&RecordReading<'_>, &ColumnSlot) -> Result<T, QuestionFailure> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let watch = Watch::new(&self.clock, self.timeout_ms);
        let _waiting = Waiting(watch.clone());
        let (reply, answer) = oneshot::channel();
        let limit_ms = self.timeout_ms;
        let job: FindJob = Box::new(move |lanes| {
            let timed_out = || {
                let narrow = match served.columns.is_awaited(data_set.records) {
                    true => format!("{NOT_YET}, or {narrow}"),
                    false => narrow.clone(),
                };
                RecordStoreError::TimedOut { limit_ms, narrow }
            };
            let outcome = if watch.is_over() {
                Err(timed_out())
            } else {
                read(lanes, &served, &data_set, &watch, question).map_err(|failure| match failure {
                    interrupted if interrupted.is_interrupted() => timed_out(),
                    QuestionFailure::Gone => timed_out(),
                    failure => failure.told("query", &served.path),
                })
            };
            if reply.send(outcome).is_err() {
                tracing::debug!("a query's answer came after its caller had gone");
            }
        });
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

/// Answers a question on the thread's own connection.
pub(super) fn read<T>(
    lanes: &mut Lanes,
    served: &Served,
    data_set: &DataSet,
    watch: &Watch,
    question: impl FnOnce(&RecordReading<'_>, &ColumnSlot) -> Result<T, QuestionFailure>,
) -> Result<T, QuestionFailure> {
    let lane = lanes.lane(served, data_set)?;
    watch.over(&mut lane.connection)?;
    question(&RecordReading::begin((&lane.connection, &lane.shape), data_set, watch)?, &served.columns)
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Without a sender the threads end after their present question.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that runs queries had panicked");
            }
        }
    }
}

/// Lowers the thread's priority below that of threads that answer quickly: long work may wait a little longer.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "a thread that reads for long could not step back");
    }
}

fn work(jobs: &Mutex<Receiver<FindJob>>) {
    step_back();
    let mut lanes = Lanes::of_answers();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(&mut lanes);
    }
}
