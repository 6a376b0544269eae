//! The projection of a served data set, if there is one.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    super::{
        reading::{QuestionFailure, RecordReading, Watch},
        schema,
    },
    ColumnSettings,
    build::{build, version_of},
    cache::ColumnCache,
    calls::KeeperCalls,
    catch_up::catch_up,
    file::{ColumnFile, DatabaseMark, path_of, remove_file},
    projection::Projection,
};
use crate::{clock::SharedClock, dataset::columns::BLOCK_ROWS};

/// The least time between two attempts to make a projection of which the first failed, for want of room perhaps.
const RETRY_AFTER_MS: u64 = 60_000;

/// The place of a data set's projection.
pub(in super::super) struct ColumnSlot {
    settings: ColumnSettings,
    cache: Arc<ColumnCache>,
    calls: Arc<KeeperCalls>,
    name: String,
    /// The data set's file.
    database: PathBuf,
    mark: Option<DatabaseMark>,
    present: Mutex<Option<Arc<Projection>>>,
    /// Runs out when a projection that could not be made is tried again.
    resting: Mutex<Option<Watch>>,
}

/// The number of the next projection.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl ColumnSlot {
    pub(in super::super) fn new(
        settings: ColumnSettings,
        cache: &Arc<ColumnCache>,
        calls: &Arc<KeeperCalls>,
        name: &str,
        database: &Path,
    ) -> Self {
        Self {
            settings,
            cache: Arc::clone(cache),
            calls: Arc::clone(calls),
            name: name.to_owned(),
            database: database.to_owned(),
            mark: DatabaseMark::of(database),
            present: Mutex::new(None),
            resting: Mutex::new(None),
        }
    }

    /// Tells whether there is a projection.
    pub(in super::super) fn is_there(&self) -> bool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The generation of columns of the projection, if there is one.
    #[cfg(test)]
    pub(in super::super) fn generation(&self) -> Option<u64> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|projection| projection.of.generation)
    }

    pub(super) fn cache(&self) -> &ColumnCache {
        &self.cache
    }

    /// Tells whether projections are kept here.
    fn is_kept(&self) -> bool {
        self.settings.kept && self.settings.bytes_max > 0
    }

    /// Tells whether there will be a projection of so many records, and is none yet.
    pub(in super::super) fn is_awaited(&self, records: u64) -> bool {
        self.is_kept() && self.pays(records) && !self.is_there()
    }

    /// Tells whether so many states are worth a projection.
    fn pays(&self, states: u64) -> bool {
        self.settings.bytes_max > 0 && states >= self.settings.states_min.max(1)
    }

    /// Asks the keeper to look after the projection.
    pub(in super::super) fn call(&self) {
        if self.is_kept() {
            self.calls.call(&self.name);
        }
    }

    /// Notes that the projection could not be made. A question that needs it calls the keeper again, after a while.
    pub(super) fn rest(&self, clock: &SharedClock) {
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Watch::new(clock, RETRY_AFTER_MS));
    }

    /// Tells whether the projection could not be made, and is not tried again yet.
    #[cfg(test)]
    pub(in super::super) fn is_resting(&self) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn call_after_rest(&self) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.take_if(|watch| watch.is_over()).is_some() {
            self.call();
        }
    }

    /// The projection, brought to the version of a reading or a later one; none if it is not there yet.
    pub(super) fn at(&self, reading: &RecordReading<'_>) -> Result<Option<Arc<Projection>>, QuestionFailure> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(projection) = present.clone() else {
            drop(present);
            self.call_after_rest();
            return Ok(None);
        };
        let of = &projection.of;
        let is_same = of.instance == reading.data_set.instance && of.generation == reading.data_set.generation;
        if is_same && of.version >= reading.version {
            return Ok(Some(projection));
        }
        let next = match is_same {
            true => catch_up(reading, &projection, &self.cache, &self.settings),
            false => Ok(None),
        };
        match next {
            Ok(Some(next)) => {
                let next = Arc::new(next);
                if is_full(&self.settings, &next) {
                    self.call();
                }
                *present = Some(Arc::clone(&next));
                Ok(Some(next))
            }
            Ok(None) => {
                *present = None;
                self.call();
                Ok(None)
            }
            Err(QuestionFailure::Columns(reason)) => {
                drop(present);
                self.give_up(projection.id, &reason);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Gives up a projection whose columns are no longer those of the data set, with its file.
    pub(super) fn forget(&self) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.remove();
        self.call();
    }

    /// Gives up a projection that is not of the records that are there.
    pub(in super::super) fn give_up_present(&self, reason: &str) {
        let id = self.present.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|present| present.id);
        if let Some(id) = id {
            self.give_up(id, reason);
        }
    }

    /// Gives up a damaged projection. It is made anew.
    pub(super) fn give_up(&self, id: u64, reason: &str) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|projection| projection.id != id) {
            return;
        }
        *present = None;
        tracing::warn!(data_set = self.name, reason, "a column projection is given up, and made anew");
        self.remove();
        drop(present);
        self.call();
    }

    fn remove(&self) {
        if let Err(error) = remove_file(&self.database) {
            let file = path_of(&self.database);
            tracing::warn!(data_set = self.name, file = %file.display(), %error, "a column projection could not be removed");
        }
    }

    /// Makes the projection if it is needed and not there, or replaces one whose states in memory are too many.
    pub(super) fn tend(&self, reading: &RecordReading<'_>) -> Result<(), QuestionFailure> {
        let sum = "SELECT ifnull(sum(changes), 0) FROM versions";
        let old: u64 = reading.connection().query_row(sum, [], |row| schema::count(row, 0))?;
        if !self.pays(reading.records + old) {
            *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.remove();
            return Ok(());
        }
        let there = self.at(reading)?;
        let is_good = |projection: Arc<Projection>| {
            !is_full(&self.settings, &projection) && !projection.is_outlived(reading.held_from)
        };
        if there.is_some_and(is_good) {
            return Ok(());
        }
        if self.open(reading)? {
            return Ok(());
        }
        build(reading, &self.database, self.mark.clone(), &self.settings)?;
        match self.open(reading)? {
            true => Ok(()),
            false => Err(QuestionFailure::columns("the file was replaced while it was read")),
        }
    }

    /// Opens the file of a projection. Tells whether it is of use: otherwise it is removed.
    fn open(&self, reading: &RecordReading<'_>) -> Result<bool, QuestionFailure> {
        let found = match ColumnFile::open(&self.database, &reading.data_set.definition) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(error) => {
                let file = path_of(&self.database);
                tracing::warn!(data_set = self.name, file = %file.display(), %error, "a column projection is not used, and made anew");
                self.remove();
                return Ok(false);
            }
        };
        let projection = Projection::new(NEXT_ID.fetch_add(1, Ordering::Relaxed), found);
        let version = projection.of.version;
        let is_same = self.mark.is_some() && projection.file.directory.database == self.mark;
        let is_known =
            is_same && version <= reading.version && version_of(reading, version)?.as_ref() == Some(&projection.of);
        let next = match is_known {
            true => catch_up_if_behind(reading, projection, &self.cache, &self.settings)?,
            false => None,
        };
        match next.filter(|next| !is_full(&self.settings, next) && !next.is_outlived(reading.held_from)) {
            Some(next) => {
                *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(next));
                Ok(true)
            }
            None => {
                self.remove();
                Ok(false)
            }
        }
    }
}

fn catch_up_if_behind(
    reading: &RecordReading<'_>,
    projection: Projection,
    cache: &ColumnCache,
    settings: &ColumnSettings,
) -> Result<Option<Projection>, QuestionFailure> {
    match projection.of.version == reading.version {
        true => Ok(Some(projection)),
        false => catch_up(reading, &projection, cache, settings),
    }
}

/// Tells whether a projection has so many states in memory that it has to be made anew.
fn is_full(settings: &ColumnSettings, projection: &Projection) -> bool {
    let room = (BLOCK_ROWS as u64 / 2).min(settings.changes_max.saturating_mul(2)).max(projection.file_states / 1024);
    projection.added_states() > room
}
