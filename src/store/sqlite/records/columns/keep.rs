//! The thread that makes projections and looks after them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use super::{
    super::{
        lane::Lanes,
        pool,
        reading::{QuestionFailure, Watch},
        shared::SharedRecords,
    },
    calls::KeeperCalls,
    file::remove_file,
};
use crate::store::records::RecordStoreError;

/// The thread that makes projections.
pub(in super::super) struct ColumnKeeper {
    calls: Arc<KeeperCalls>,
    watch: Watch,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ColumnKeeper {
    pub(in super::super) fn start(shared: &Arc<SharedRecords>) -> Result<Self, RecordStoreError> {
        let (calls, watch) = (Arc::clone(&shared.column_calls), Watch::new(&shared.clock, u64::MAX));
        let thread = match shared.settings.columns.kept && shared.settings.columns.bytes_max > 0 {
            false => None,
            true => {
                let (calls, watch, shared) = (Arc::clone(&calls), watch.clone(), Arc::clone(shared));
                let work = move || {
                    pool::step_back();
                    let mut lanes = Lanes::of_scans();
                    while let Some(name) = calls.next() {
                        if let Err(reason) = tend(&shared, &name, &mut lanes, &watch) {
                            // Questions are answered without it, and call again after a while.
                            tracing::warn!(data_set = name, reason, "a column projection was not made");
                        }
                        lanes.keep(|id| shared.all_served().iter().any(|served| served.id == id));
                    }
                };
                let thread = std::thread::Builder::new().name("records-columns".to_owned()).spawn(work);
                Some(thread.map_err(|error| RecordStoreError::Unavailable {
                    doing: "start its threads".to_owned(),
                    reason: error.to_string(),
                })?)
            }
        };
        Ok(Self { calls, watch, thread: Mutex::new(thread) })
    }

    /// Ends the thread. What it was making is given up.
    pub(in super::super) fn stop(&self) {
        self.calls.stop();
        self.watch.abandon();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that makes column projections had panicked");
        }
    }
}

impl Drop for ColumnKeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks after the projection of a data set, on the calling thread. The error says why there is none.
pub(in super::super) fn tend(
    shared: &SharedRecords,
    name: &str,
    lanes: &mut Lanes,
    watch: &Watch,
) -> Result<(), String> {
    // A data set that is gone has no projection.
    let Ok(served) = shared.find(name) else { return Ok(()) };
    let tended = pool::read(lanes, &served, &served.current(), watch, |reading, columns| columns.tend(reading));
    if served.place.trouble().is_some() {
        // The file was removed or replaced meanwhile, and what was made of it may have come after that.
        if shared.find(name).is_err() {
            remove_file(&served.path).map_err(|error| error.to_string())?;
        }
        return Ok(());
    }
    // An import may have changed the columns while states of before were read: what it has withdrawn must not stay in a file.
    let is_now = pool::read(lanes, &served, &served.current(), watch, |_, _| Ok(()));
    if let Err(QuestionFailure::Other(RecordStoreError::DefinitionChanged { .. })) = is_now {
        served.columns.forget();
        return Ok(());
    }
    let reason = match tended {
        Ok(()) => return Ok(()),
        Err(failure) if failure.is_interrupted() => return Ok(()),
        // The data set has just changed its columns, which calls again.
        Err(QuestionFailure::Other(RecordStoreError::DefinitionChanged { .. })) => return Ok(()),
        Err(QuestionFailure::Gone | QuestionFailure::TimeUp) => return Ok(()),
        Err(QuestionFailure::Sqlite(error)) => error.to_string(),
        Err(QuestionFailure::Other(error)) => error.to_string(),
        Err(QuestionFailure::Columns(reason)) => reason,
    };
    served.columns.rest(&shared.clock);
    Err(reason)
}
