//! What the record store, its readers and its imports have in common.

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
    /// Requests of an import, of a copy or of following that are under way at the same time.
    pub parallel_requests: usize,
    /// How old what was heard of a data set may be for records to be read by it; and how long an import waits before it takes
    /// away what others may still read. 0 where nobody waits for anybody.
    pub hearing_ms: u64,
    /// Whether this process is a server: it removes what copies have left that did not come to their end.
    pub is_server: bool,
    /// The replicas.
    pub replica: SqliteRecordSettings,
}

/// What the store, its readers and its imports have in common.
pub(super) struct RecordsShared {
    pub(super) dynamo: Dynamo,
    pub(super) settings: RecordSettings,
    pub(super) clock: SharedClock,
    /// What is known of the locks of imports that may have died.
    pub(super) watch: Arc<SilentLocks>,
    pub(super) nodes: NodeStandings,
    pub(super) engine: SqliteRecordStore,
    pub(super) cache: cache::Answers,
}

impl RecordsShared {
    /// What reads by key see of a data set.
    pub(super) fn view(&self, name: &str) -> Result<Arc<RecordView>, RecordStoreError> {
        self.nodes.view(name).ok_or_else(|| RecordStoreError::UnknownDataSet { name: name.to_owned() })
    }

    /// Checks that questions about a data set can be answered here.
    pub(super) fn check_ready(&self, name: &str) -> Result<(), RecordStoreError> {
        self.nodes.ready(name).unwrap_or_else(|| Err(RecordStoreError::UnknownDataSet { name: name.to_owned() }))
    }

    /// The answer to a question. A replica that turns out to be damaged is made anew.
    pub(super) fn answered<T>(&self, of: &DataSet, answer: Result<T, RecordStoreError>) -> Result<T, RecordStoreError> {
        let name = &of.definition.name;
        match answer {
            Err(RecordStoreError::Corrupt { reason, .. }) => {
                self.nodes.distrust(name, &reason);
                Err(RecordStoreError::Copying { name: name.clone(), percent: 0 })
            }
            // The data set is there: it is the replica that somebody has taken away.
            Err(RecordStoreError::UnknownDataSet { .. }) => {
                Err(RecordStoreError::Copying { name: name.clone(), percent: 0 })
            }
            answer => answer,
        }
    }
}

/// Does what blocks beside the thread that follows.
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

/// An error of the store, said of records. `of` is what could not be read or written.
pub(super) fn failed(doing: &str, of: &str, error: StoreError) -> RecordStoreError {
    match error {
        StoreError::Unavailable(reason) | StoreError::Full(reason) | StoreError::Limit(reason) => {
            RecordStoreError::Unavailable { doing: format!("{doing} {of}"), reason }
        }
        StoreError::Corrupt(reason) | StoreError::Incompatible(reason) => {
            RecordStoreError::Corrupt { name: of.to_owned(), reason }
        }
    }
}
