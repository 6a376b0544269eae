//! A thread's access to a data set: a connection, and the derived shape of its columns.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use rusqlite::Connection;

use super::{file::unavailable, role::open_to_read, served::Served, shape::Shape};
use crate::store::records::{DataSet, RecordStoreError};

/// The page cache of a thread that answers questions: the records of the largest page (1,000), each on a page of the file (8 KiB), have
/// room in it. What reads a file from end to end needs no such cache.
const CACHE_KIB: i64 = 12 * 1024;

/// A thread's access to a data set.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) shape: Shape,
}

/// A thread's access to data sets.
pub(super) struct Lanes {
    of_data_sets: HashMap<u64, Lane>,
    /// The page cache of each connection; the usual one where there is none.
    cache_kib: Option<i64>,
}

impl Lanes {
    /// Those of a thread that answers questions.
    pub(super) fn of_answers() -> Self {
        Self { of_data_sets: HashMap::new(), cache_kib: Some(CACHE_KIB) }
    }

    /// Those of a thread that reads data sets from end to end.
    pub(super) fn of_scans() -> Self {
        Self { of_data_sets: HashMap::new(), cache_kib: None }
    }

    /// Closes those to other data sets.
    pub(super) fn keep(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.of_data_sets.retain(|id, _| is_kept(*id));
    }

    /// The lane to a data set with those columns. Its connection is opened on first use.
    pub(super) fn lane(&mut self, served: &Served, data_set: &DataSet) -> Result<&mut Lane, RecordStoreError> {
        let lane = match self.of_data_sets.entry(served.id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                if served.place.trouble().is_some() {
                    // A connection to the path would read another file.
                    return Err(RecordStoreError::DefinitionChanged { name: data_set.definition.name.clone() });
                }
                let connection = open_to_read(&served.path, served.role).and_then(|connection| {
                    if let Some(kib) = self.cache_kib {
                        connection.pragma_update(None, "cache_size", -kib)?;
                    }
                    Ok(connection)
                });
                let connection = connection.map_err(|error| unavailable("open", &served.path, &error))?;
                entry.insert(Lane { connection, shape: Shape::of(&data_set.definition, data_set.generation) })
            }
        };
        // Other indexes may have been declared for the same columns since the question was checked.
        let current = served.current();
        let known = if current.generation == data_set.generation { &current.definition } else { &data_set.definition };
        if !Arc::ptr_eq(&lane.shape.definition, known) || lane.shape.generation != data_set.generation {
            lane.shape = Shape::of(known, data_set.generation);
        }
        Ok(lane)
    }
}
