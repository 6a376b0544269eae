//! What clients' commands were answered, each found by its command alone, in whatever stream it was carried out.
//!
//! A command that committed is answered from its commit, for ever. The answer of one that committed nothing is kept as a text
//! that the store does not read, for as long as its keeper says.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::id::{CommandId, StreamId};

/// What a command was answered, and for which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The mark of the request that was answered so.
    pub request_hash: String,
    /// The answer.
    pub kept: AnswerPlace,
}

/// Where an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerPlace {
    /// It follows from the command's commit.
    Commit(StreamId),
    /// It was kept: what its keeper made of it.
    Text(String),
}

/// An answer to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnswer {
    /// The command.
    pub command: CommandId,
    /// The mark of the request ([`crate::secrets::Secrets::request_mark`]).
    pub request_hash: String,
    /// The answer.
    pub answer: String,
    /// The answer that this one takes the place of, if it is still kept: that the command is under way, for example.
    pub instead_of: Option<String>,
    /// Now.
    pub now: Timestamp,
    /// From when on it is as if it had never been kept.
    pub expires_at: Timestamp,
}

/// The kept answers.
///
/// Of one command there is one answer: a commit that [`super::EventLog::append`] writes with a request hash, or what was kept
/// here before, whichever came first. The other is refused, in the same write that would make it.
#[async_trait]
pub trait KeptAnswers: Send + Sync {
    /// What the command was answered, if it was and if that is still kept at `now`. Where an older permitd let one command
    /// commit in several streams, the commit of this request, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read: nobody knows then whether there is one.
    async fn find(
        &self,
        command: &CommandId,
        request_hash: &str,
        now: Timestamp,
    ) -> Result<Option<KeptAnswer>, StoreError>;

    /// Keeps an answer. `false` when the command has committed, or has another answer than the one to take the place of.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: a retry finds out.
    async fn keep(&self, answer: NewAnswer) -> Result<bool, StoreError>;

    /// Removes answers that have expired, if the store does not do so by itself. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] where not all were removed: the next sweep goes on.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}
