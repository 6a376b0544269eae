//! The event log.

use async_trait::async_trait;

use super::{
    Dynamo, StoreError, administrators,
    append::append,
    commits::{clear_mark, load, personal_key},
    feed, project,
};
use crate::{
    domain::{
        id::{StreamId, UserId},
        persisted::StoredCommit,
        personal::PersonalKey,
        reached::Reached,
        view::{KeyRow, Rows},
    },
    store::{Append, AppendError, EventLog, ReadingPace},
};

#[async_trait]
impl EventLog for Dynamo {
    async fn append(&self, commit: Append) -> Result<u64, AppendError> {
        // Only the rotated keys are needed after the append.
        let rotated: Vec<KeyRow> = commit.rows.keys.iter().filter(|row| row.valid_until.is_some()).cloned().collect();
        let recorded_at = commit.recorded_at;
        let version = append(self, commit).await?;
        if let Some(endings) = &self.endings {
            endings.note(&rotated, version, recorded_at);
        }
        Ok(version)
    }

    async fn load(&self, stream: &StreamId, after_version: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        load(self, stream, after_version, max).await
    }

    async fn personal_key(&self, user: UserId) -> Result<Option<PersonalKey>, StoreError> {
        personal_key(self, user).await
    }

    async fn administrators(&self) -> Result<Option<Vec<UserId>>, StoreError> {
        administrators::read(self).await
    }

    async fn read(&self, after_position: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        feed::read(self, after_position, max).await
    }

    async fn read_back(&self, before_position: Option<u64>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        feed::read_back(self, before_position, max).await
    }

    async fn read_on(&self, reached: &mut Reached, pace: ReadingPace) -> Result<(Vec<StoredCommit>, bool), StoreError> {
        feed::read_on(self, reached, pace).await
    }

    async fn unpublished(&self, after: Option<&StoredCommit>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        feed::unpublished(self, after.map(|after| after.position), max).await
    }

    async fn project(&self, rows: Rows) -> Result<(), StoreError> {
        project::write(self, project::of_all(&rows)?).await
    }

    async fn mark_published(&self, stream: &StreamId, version: u64) -> Result<(), StoreError> {
        clear_mark(self, stream, version).await
    }
}
