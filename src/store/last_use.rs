//! Keys and sessions with when they were last used, and from where.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{LastUse, StoreError, Stores};
use crate::domain::{
    id::UserId,
    key::KeyId,
    view::{KeyRow, SessionRow},
};

/// The last use of something that data was read with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsedLast {
    /// When data was last read with it, as far as the servers have told: within a grant's life by the one that is asked.
    #[serde(rename = "last_used_at")]
    pub at: Option<Timestamp>,
    /// The network that this came from.
    #[serde(rename = "last_used_from")]
    pub from: Option<String>,
}

/// A key with its last use.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "UsedKey", deny_unknown_fields)]
pub struct UsedKey {
    /// The key.
    #[serde(flatten)]
    pub row: KeyRow,
    /// Its last use.
    #[serde(flatten)]
    pub used: UsedLast,
}

/// A session with its last use for data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsedSession {
    /// The session.
    #[serde(flatten)]
    pub row: SessionRow,
    /// Its last use.
    #[serde(flatten)]
    pub used: UsedLast,
}

fn use_of(uses: &[LastUse], id: KeyId) -> UsedLast {
    let found = uses.iter().find(|told| told.key == id);
    found.map(|told| UsedLast { at: Some(told.at), from: told.network.clone() }).unwrap_or_default()
}

impl Stores {
    /// A person's keys with their last uses, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn used_keys(&self, user: UserId) -> Result<Vec<UsedKey>, StoreError> {
        let rows = self.views.keys(user).await?;
        self.with_uses(user, rows).await
    }

    /// Keys of a person with their last uses.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn with_uses(&self, user: UserId, rows: Vec<KeyRow>) -> Result<Vec<UsedKey>, StoreError> {
        let uses = if rows.is_empty() { Vec::new() } else { self.ledger.last_uses(user).await? };
        Ok(rows.into_iter().map(|row| UsedKey { used: use_of(&uses, row.id), row }).collect())
    }

    /// A person's sessions with their last uses, oldest first, with those that have ended.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn used_sessions(&self, user: UserId) -> Result<Vec<UsedSession>, StoreError> {
        let rows = self.views.sessions(user).await?;
        let uses = if rows.is_empty() { Vec::new() } else { self.ledger.last_uses(user).await? };
        Ok(rows.into_iter().map(|row| UsedSession { used: use_of(&uses, row.id), row }).collect())
    }
}
