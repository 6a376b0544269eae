//! The present state of a stream.

use super::{Dynamo, StoreError, commits, quarantine};
use crate::{
    domain::{id::StreamId, persisted::StoredCommit, personal::PersonalKey, view::State},
    store::replay::{last_readable, unreadable},
};

/// The present state of a stream.
pub(super) struct Now {
    pub(super) state: State,
    pub(super) commits: Vec<StoredCommit>,
    pub(super) key: Option<PersonalKey>,
}

impl Now {
    /// Reads a stream to its end; one in quarantine to its first commit that cannot be read. Reads the person's key first, so that a person who is deleted in between is read as deleted.
    pub(super) async fn read(dynamo: &Dynamo, stream: &StreamId) -> Result<Self, StoreError> {
        let mut key = personal_key(dynamo, stream).await?;
        let mut commits = commits::load(dynamo, stream, 0, usize::MAX).await?;
        if key.is_none() && !commits.is_empty() {
            // The person may have been created after the key was looked up.
            key = personal_key(dynamo, stream).await?;
        }
        let encoded = commits.iter().map(|commit| (commit.encoded(), key.as_ref()));
        let (state, readable, problem) = last_readable(stream, encoded);
        if let Some(error) = problem {
            if !quarantine::holds(dynamo, stream).await? {
                return Err(unreadable(error));
            }
            commits.truncate(readable);
        }
        Ok(Self { state, commits, key })
    }
}

pub(super) async fn personal_key(dynamo: &Dynamo, stream: &StreamId) -> Result<Option<PersonalKey>, StoreError> {
    match stream {
        StreamId::User(user) => commits::personal_key(dynamo, *user).await,
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => Ok(None),
    }
}
