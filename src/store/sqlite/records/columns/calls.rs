//! Calls for the thread that makes projections.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, PoisonError},
};

/// The data sets whose projections are to be looked after.
#[derive(Default)]
pub(in super::super) struct KeeperCalls {
    waiting: Mutex<WaitingCalls>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitingCalls {
    names: BTreeSet<String>,
    is_stopping: bool,
}

impl KeeperCalls {
    /// Asks for a data set's projection to be looked after.
    pub(super) fn call(&self, name: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).names.insert(name.to_owned());
        self.changed.notify_one();
    }

    /// Waits for the next call; none when there is nothing to do any more.
    pub(super) fn next(&self) -> Option<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if waiting.is_stopping {
                return None;
            }
            if let Some(name) = waiting.names.pop_first() {
                return Some(name);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn stop(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_stopping = true;
        self.changed.notify_all();
    }
}
