//! Everything that is kept about a person, as one document: for them, and for an administrator whom they ask.

use serde_json::{Value, json};

use super::commit::{CommandError, Committer};
use crate::domain::{
    id::{StreamId, UserId},
    persisted,
};

/// Commits that are read at once.
const PAGE_COMMITS: usize = 256;

/// The person's row, their keys, sessions and usage, and all events about them with what is personal in them opened. What they are
/// recognised by, such as the hash of their password, is named and not shown. `None` when there is no such person.
///
/// # Errors
/// When the store does not answer or holds something unreadable.
pub async fn everything(committer: &Committer, user: UserId) -> Result<Option<Value>, CommandError> {
    let stores = &committer.stores;
    let Some(row) = stores.views.user(user).await? else { return Ok(None) };
    let key = stores.log.personal_key(user).await?;
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let commits = stores.log.load(&StreamId::User(user), after, PAGE_COMMITS).await?;
        for commit in &commits {
            events.extend(persisted::opened_documents(commit, key.as_ref())?);
            after = commit.version;
        }
        if commits.len() < PAGE_COMMITS {
            break;
        }
    }
    Ok(Some(json!({
        "exported_at": committer.clock.now(),
        "user": row,
        "keys": stores.used_keys(user).await?,
        "sessions": stores.used_sessions(user).await?,
        "usage": stores.ledger.usage(user, 0).await?,
        "events": events,
    })))
}
