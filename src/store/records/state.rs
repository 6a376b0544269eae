//! A data set's state in its stored form: one JSON document for all record stores.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DataSet, DataSetStanding, LastImport};
use crate::dataset::{Definition, figures::TableFigures};

/// A data set without its definition and the figures of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct DataSetState {
    pub(in crate::store) instance: Uuid,
    pub(in crate::store) version: u64,
    pub(in crate::store) held_from: u64,
    pub(in crate::store) changes_from: u64,
    pub(in crate::store) generation: u64,
    pub(in crate::store) records: u64,
    pub(in crate::store) last_import: LastImport,
    #[serde(default)]
    pub(in crate::store) standing: DataSetStanding,
}

#[derive(Serialize)]
struct DocumentWritten<'a> {
    state: DataSetState,
    definition: &'a Definition,
}

#[derive(Deserialize)]
struct DocumentRead {
    state: DataSetState,
    definition: Definition,
}

impl DataSetState {
    pub(in crate::store) fn of(data_set: &DataSet) -> Self {
        Self {
            instance: data_set.instance,
            version: data_set.version,
            held_from: data_set.held_from,
            changes_from: data_set.changes_from,
            generation: data_set.generation,
            records: data_set.records,
            last_import: data_set.last_import.clone(),
            standing: data_set.standing.clone(),
        }
    }

    /// The data set with this state.
    pub(in crate::store) fn with(self, definition: Arc<Definition>, figures: Option<Arc<TableFigures>>) -> DataSet {
        let Self { instance, version, held_from, changes_from, generation, records, last_import, standing } = self;
        DataSet {
            definition,
            instance,
            version,
            held_from,
            changes_from,
            generation,
            records,
            last_import,
            standing,
            figures,
        }
    }
}

/// The document of a data set: its state and its definition.
pub(in crate::store) fn write_document(data_set: &DataSet) -> Result<String, serde_json::Error> {
    serde_json::to_string(&DocumentWritten { state: DataSetState::of(data_set), definition: &data_set.definition })
}

/// Reads a document. `figures` are stored apart from it.
pub(in crate::store) fn read_document(
    document: &str,
    figures: Option<Arc<TableFigures>>,
) -> Result<DataSet, serde_json::Error> {
    let DocumentRead { state, definition } = serde_json::from_str(document)?;
    Ok(state.with(Arc::new(definition), figures))
}
