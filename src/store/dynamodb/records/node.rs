//! A node's view of the records, and the thread that keeps it up to date.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{follow, shared::RecordsShared};
use crate::{
    aws::Bridge,
    store::records::{DataSet, RecordStoreError},
};

/// A node's view of the records, and the thread that keeps it up to date.
pub(super) struct RecordsNode {
    /// The first field is dropped first: its work ends before the others go.
    pub(super) follower: Bridge,
    pub(super) shared: Arc<RecordsShared>,
}

impl RecordsNode {
    /// Runs work on the follower's thread, which owns the connections.
    pub(super) async fn follow_with<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RecordStoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let (answer, answered) = oneshot::channel();
        self.follower.spawn(async move {
            // The caller may have gone.
            answer.send(work.await).ok();
        });
        answered.await.unwrap_or_else(|_| {
            let reason = "its thread has stopped".to_owned();
            Err(RecordStoreError::Unavailable { doing: "follow the records".to_owned(), reason })
        })
    }

    pub(super) async fn refresh(&self) -> Result<(), RecordStoreError> {
        let shared = Arc::clone(&self.shared);
        self.follow_with(async move { follow::refresh(&shared).await }).await
    }

    /// Checks that a question about a data set can be answered here. If its version is not shown here yet, looks for it: another
    /// node may have shown it.
    pub(super) async fn begin(&self, data_set: &DataSet, version: Option<u64>) -> Result<(), RecordStoreError> {
        let name = &data_set.definition.name;
        if version.is_some_and(|version| self.shared.view(name).is_ok_and(|view| view.data_set.version < version)) {
            self.refresh().await?;
        }
        self.shared.check_ready(name)
    }

    /// Checks the answer to a question, as [`RecordsShared::answered`] does. An answer of a version that another process has brought
    /// into the replica is given when this node shows that version: later reads by key are of no earlier one.
    pub(super) async fn answered<T>(
        &self,
        of: &DataSet,
        answer: Result<T, RecordStoreError>,
        version: impl FnOnce(&T) -> u64,
    ) -> Result<T, RecordStoreError> {
        let answer = self.shared.answered(of, answer)?;
        let version = version(&answer);
        if !self.shared.shows(of, version) {
            self.refresh().await?;
        }
        match self.shared.shows(of, version) {
            true => Ok(answer),
            // The next import of the other process is being committed.
            false => Err(RecordStoreError::Committing { name: of.definition.name.clone() }),
        }
    }
}
