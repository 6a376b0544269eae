//! The present state of a stream.

use super::{Dynamo, StoreError, commits};
use crate::{
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
        personal::PersonalKey,
        view::State,
    },
    store::replay::unreadable,
};

/// The present state of a stream.
pub(super) struct Now {
    pub(super) state: State,
    pub(super) commits: Vec<StoredCommit>,
    pub(super) key: Option<PersonalKey>,
}

impl Now {
    /// Reads a stream to its end. Reads the person's key first, so that a person who is deleted in between is read as deleted.
    pub(super) async fn read(dynamo: &Dynamo, stream: &StreamId) -> Result<Self, StoreError> {
        let mut key = personal_key(dynamo, stream).await?;
        let commits = commits::load(dynamo, stream, 0, usize::MAX).await?;
        if key.is_none() && !commits.is_empty() {
            // The person may have been created after the key was looked up.
            key = personal_key(dynamo, stream).await?;
        }
        let mut state = State::empty(stream);
        for commit in &commits {
            persisted::fold(commit.encoded(), key.as_ref(), &mut state).map_err(unreadable)?;
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
