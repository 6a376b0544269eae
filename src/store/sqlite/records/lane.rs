//! A thread's own way to a data set: a connection, and what follows from the columns that its questions are about.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    file::open,
    render::Rendering,
    schema::{self, IndexShape},
    served::Served,
};
use crate::{dataset::Definition, store::records::DataSet};

/// A thread's own way to a data set.
pub(super) struct Lane {
    pub(super) connection: Connection,
    pub(super) shape: Shape,
}

/// What follows from the columns and indexes of a data set, made once for each definition of them.
pub(super) struct Shape {
    /// What it follows from. Other indexes may be declared without other columns.
    pub(super) definition: Arc<Definition>,
    pub(super) generation: u64,
    pub(super) rendering: Rendering,
    pub(super) indexes: Vec<IndexShape>,
    /// The columns' names as SQL has them.
    pub(super) names: Vec<String>,
}

impl Shape {
    pub(super) fn of(definition: &Arc<Definition>, generation: u64) -> Self {
        Self {
            definition: Arc::clone(definition),
            generation,
            rendering: Rendering::new(definition, None),
            indexes: schema::indexes(definition),
            names: (0..definition.columns.len()).map(|place| schema::column_name(definition, place)).collect(),
        }
    }

    pub(super) fn name(&self, column: usize) -> &str {
        // Queries are checked against the definition that the names are from.
        self.names.get(column).map_or("NULL", String::as_str)
    }
}

/// A thread's lane to a data set with those columns. Its connection is opened at its first use.
pub(super) fn lane<'l>(
    lanes: &'l mut HashMap<u64, Lane>,
    served: &Served,
    data_set: &DataSet,
) -> rusqlite::Result<&'l mut Lane> {
    let lane = match lanes.entry(served.id) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let connection = open(&served.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            entry.insert(Lane { connection, shape: Shape::of(&data_set.definition, data_set.generation) })
        }
    };
    // Of the same columns other indexes may have come to be declared since the question was checked.
    let current = served.current();
    let known = if current.generation == data_set.generation { &current.definition } else { &data_set.definition };
    if !Arc::ptr_eq(&lane.shape.definition, known) || lane.shape.generation != data_set.generation {
        lane.shape = Shape::of(known, data_set.generation);
    }
    Ok(lane)
}
