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
    /// It stands first, and so ends first: what it does is done with the others.
    pub(super) follower: Bridge,
    pub(super) shared: Arc<RecordsShared>,
}

impl RecordsNode {
    /// Does something on the thread that follows, whose connections are that thread's.
    pub(super) async fn follow_with<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RecordStoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let (answer, answered) = oneshot::channel();
        self.follower.spawn(async move {
            // Whoever asked may have gone.
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

    /// Checks that a question about a data set can be answered here. A version that it is about and that is not shown here is
    /// looked for: another node may have shown it.
    pub(super) async fn begin(&self, data_set: &DataSet, version: Option<u64>) -> Result<(), RecordStoreError> {
        let name = &data_set.definition.name;
        if version.is_some_and(|version| self.shared.view(name).is_ok_and(|view| view.data_set.version < version)) {
            self.refresh().await?;
        }
        self.shared.check_ready(name)
    }
}
