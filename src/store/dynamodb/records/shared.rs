//! The common parts of the record store, its readers and its imports.

use std::sync::Arc;

use super::{
    lock::SilentLocks,
    standings::{NodeStandings, RecordView},
};
use crate::{
    clock::SharedClock,
    store::{
        StoreError,
        dynamodb::{Dynamo, schema},
        records::{DataSet, RecordStoreError, cache},
        sqlite::records::{SqliteRecordSettings, SqliteRecordStore},
    },
};

/// Sizes and limits of the store.
#[derive(Debug, Clone)]
pub struct RecordSettings {
    /// Requests of an import, of a copy or of following that run at the same time.
    pub parallel_requests: usize,
    /// The greatest age of a node's knowledge of a data set by which it may read records; also how long an import waits before it
    /// clears away data that others may still read. 0 turns waiting off.
    pub hearing_ms: u64,
    /// Whether this process is a server: a server removes unfinished copies.
    pub is_server: bool,
    /// The settings of the replicas.
    pub replica: SqliteRecordSettings,
}

/// The common parts of the record store, its readers and its imports.
pub(super) struct RecordsShared {
    pub(super) dynamo: Dynamo,
    pub(super) settings: RecordSettings,
    pub(super) clock: SharedClock,
    /// The silence of locks whose imports may have died.
    pub(super) watch: Arc<SilentLocks>,
    pub(super) nodes: NodeStandings,
    pub(super) engine: SqliteRecordStore,
    pub(super) cache: cache::Answers,
}

impl RecordsShared {
    /// The state of a data set for reads by key.
    pub(super) fn view(&self, name: &str) -> Result<Arc<RecordView>, RecordStoreError> {
        self.nodes.view(name).ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    /// Tells whether reads by key of a data set are of this version, or of a later one.
    pub(super) fn shows(&self, data_set: &DataSet, version: u64) -> bool {
        self.view(&data_set.definition.name).is_ok_and(|view| view.data_set.version >= version)
    }

    /// Checks that questions about a data set can be answered here.
    pub(super) fn check_ready(&self, name: &str) -> Result<(), RecordStoreError> {
        self.nodes.ready(name).unwrap_or_else(|| Err(RecordStoreError::UnknownDataSet { name: name.to_owned() }))
    }

    /// Checks the answer to a question. A replica that turns out to be damaged is made anew.
    pub(super) fn answered<T>(&self, of: &DataSet, answer: Result<T, RecordStoreError>) -> Result<T, RecordStoreError> {
        let name = &of.definition.name;
        match answer {
            Err(RecordStoreError::Corrupt { reason, .. }) => {
                self.nodes.distrust(name, &reason);
                Err(RecordStoreError::Copying { name: name.clone(), percent: 0 })
            }
            // The data set exists: its replica was removed.
            Err(RecordStoreError::UnknownDataSet { .. }) => {
                Err(RecordStoreError::Copying { name: name.clone(), percent: 0 })
            }
            answer => answer,
        }
    }
}

/// Runs blocking work off the follower's thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RecordStoreError> + Send + 'static,
) -> Result<T, RecordStoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(RecordStoreError::Unavailable { doing: "follow the records".to_owned(), reason: error.to_string() })
    })
}

/// The whole name of a data set's table.
pub(super) fn table(shared: &RecordsShared, name: &str) -> String {
    shared.dynamo.table(&schema::records_table(name))
}

/// Turns an error of the store into one of records. `of` names what could not be read or written.
pub(super) fn failed(doing: &str, of: &str, error: StoreError) -> RecordStoreError {
    match error {
        StoreError::Unavailable(reason) | StoreError::Full(reason) | StoreError::Limit(reason) => {
            RecordStoreError::Unavailable { doing: format!("{doing} {of}"), reason }
        }
        StoreError::Corrupt(reason) | StoreError::Incompatible(reason) => {
            RecordStoreError::Corrupt { name: of.to_owned(), reason }
        }
        StoreError::ReadOnly => {
            RecordStoreError::Unavailable { doing: format!("{doing} {of}"), reason: error.to_string() }
        }
    }
}
