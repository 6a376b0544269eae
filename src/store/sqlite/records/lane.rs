//! A thread's access to a data set: a connection, and the derived shape of its columns.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    file::{open, unavailable},
    served::Served,
    shape::Shape,
};
use crate::store::records::{DataSet, RecordStoreError};

/// The page cache of a thread that answers questions: the records of the largest page (1,000), each on a page of the file (8 KiB), have
/// room in it. What reads a file from end to end needs no such cache.
const CACHE_KIB: i64 = 12 * 1024;

/// A thread's access to a data set.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) shape: Shape,
}

/// A thread's lane to a data set with those columns. Its connection is opened on first use.
pub(super) fn lane<'l>(
    lanes: &'l mut HashMap<u64, Lane>,
    served: &Served,
    data_set: &DataSet,
) -> Result<&'l mut Lane, RecordStoreError> {
    let lane = match lanes.entry(served.id) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            if served.place.trouble().is_some() {
                // A connection to the path would read another file.
                return Err(RecordStoreError::DefinitionChanged { name: data_set.definition.name.clone() });
            }
            let connection = open(&served.path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
                connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
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
