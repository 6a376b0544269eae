//! The chain of stored commits.

use super::StoredCommit;
use crate::domain::chain::{ChainHash, CommitContent};

/// The hash of a stream after all of its commits, in order.
pub fn head<'c>(commits: impl IntoIterator<Item = &'c StoredCommit>) -> ChainHash {
    commits.into_iter().fold(ChainHash::START, |previous, commit| commit.hash_after(previous))
}

impl StoredCommit {
    /// What the chain covers of the commit.
    pub fn link(&self) -> CommitContent<'_> {
        CommitContent {
            stream: &self.stream,
            version: self.version,
            recorded_at: self.recorded_at,
            command: &self.command,
            request_hash: self.request_hash.as_deref(),
            events: &self.events,
        }
    }

    /// The commit's hash after `previous`: the stored one, or, of a commit from before there were chains, the one that it gets.
    pub fn hash_after(&self, previous: ChainHash) -> ChainHash {
        self.hash.unwrap_or_else(|| previous.then(&self.link()))
    }
}
