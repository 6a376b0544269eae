//! The work in progress on this node: arriving files and running imports.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::{ImportProgress, Phase};
use crate::domain::id::Who;

/// An import in progress.
#[derive(Debug, Clone)]
pub(super) struct Working {
    pub(super) dataset: String,
    pub(super) who: Who,
    pub(super) progress: Arc<ImportProgress>,
}

/// All imports in progress by their ids. A file may arrive twice under one id, when a client retries.
#[derive(Debug, Clone, Default)]
pub(super) struct Desk(Arc<Mutex<BTreeMap<(Uuid, Uuid), Working>>>);

/// An import's place on the desk, freed on drop.
#[derive(Debug)]
pub(super) struct Seat {
    desk: Desk,
    at: (Uuid, Uuid),
    pub(super) progress: Arc<ImportProgress>,
    /// The locked file of an approved import, so that other processes see that the import is alive.
    pub(super) taken: Option<File>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.at);
    }
}

/// Why no further file is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Too many files arrive at the same time.
    All,
    /// Too many files of this caller arrive.
    Caller,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Uuid, Uuid), Working>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(&self, at: (Uuid, Uuid), progress: Arc<ImportProgress>) -> Seat {
        Seat { desk: self.clone(), at, progress, taken: None }
    }

    /// Takes a place for an arriving file. `part` tells apart files of the same import.
    pub(super) fn receive(
        &self,
        (id, part): (Uuid, Uuid),
        dataset: &str,
        who: &Who,
        (uploads_max, per_caller_max): (usize, usize),
    ) -> Result<Seat, Crowd> {
        let mut all = self.lock();
        let arriving = || all.values().filter(|working| working.progress.phase() == Phase::Uploading);
        if arriving().filter(|working| working.who == *who).count() >= per_caller_max {
            return Err(Crowd::Caller);
        }
        if arriving().count() >= uploads_max {
            return Err(Crowd::All);
        }
        let progress = Arc::new(ImportProgress::default());
        let working = Working { dataset: dataset.to_owned(), who: who.clone(), progress: Arc::clone(&progress) };
        all.insert((id, part), working);
        drop(all);
        Ok(self.seat((id, part), progress))
    }

    /// Takes a place for an import of an arrived file; `None` when it has one.
    pub(super) fn begin(&self, id: Uuid, dataset: &str, who: &Who, bytes: u64) -> Option<Seat> {
        let mut all = self.lock();
        if all.contains_key(&(id, Uuid::nil())) {
            return None;
        }
        let progress = Arc::new(ImportProgress::default());
        progress.enter(Phase::Reading);
        progress.bytes_total.store(bytes, std::sync::atomic::Ordering::Relaxed);
        let working = Working { dataset: dataset.to_owned(), who: who.clone(), progress: Arc::clone(&progress) };
        all.insert((id, Uuid::nil()), working);
        drop(all);
        Some(self.seat((id, Uuid::nil()), progress))
    }

    /// An import in progress: its reading, or its file's arrival.
    pub(super) fn find(&self, id: Uuid) -> Option<Working> {
        let all = self.lock();
        all.range((id, Uuid::nil())..=(id, Uuid::max())).next().map(|(_, working)| working.clone())
    }

    /// How many imports wait or run.
    pub(super) fn imports(&self) -> usize {
        self.lock().keys().filter(|(_, part)| part.is_nil()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_files_arrive_at_once_and_so_many_of_one_caller() {
        let (desk, limits) = (Desk::default(), (3, 2));
        let [ana, bob] = ["ana", "bob"].map(|name| Who(name.to_owned()));
        let receive = |number: u128, who: &Who| {
            let id = Uuid::from_u128(number);
            desk.receive((id, id), "trees", who, limits)
        };
        let first = receive(1, &ana).unwrap();
        let _second = receive(2, &ana).unwrap();
        assert_eq!(receive(3, &ana).unwrap_err(), Crowd::Caller);
        let _third = receive(3, &bob).unwrap();
        assert_eq!(receive(4, &bob).unwrap_err(), Crowd::All);
        assert!(desk.find(Uuid::from_u128(1)).is_some());
        drop(first);
        assert!(desk.find(Uuid::from_u128(1)).is_none());
        let _fourth = receive(4, &bob).unwrap();
        let seat = desk.begin(Uuid::from_u128(9), "trees", &ana, 5).unwrap();
        assert!(desk.begin(Uuid::from_u128(9), "trees", &ana, 5).is_none(), "once");
        assert_eq!(desk.imports(), 1);
        drop(seat);
        assert_eq!(desk.imports(), 0);
    }
}
