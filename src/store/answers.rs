//! The answers that clients' commands got. Each is found by its command alone, in whatever stream the command was carried out.
//!
//! A command that committed is answered from its commit, for ever. The answer of a command that committed nothing is kept as a text
//! that the store does not read, until the time that the caller set.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::id::{CommandId, StreamId};

/// The answer that a command got, and the request that it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The mark of the answered request.
    pub request_hash: String,
    /// The answer.
    pub kept: AnswerPlace,
}

/// Where an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerPlace {
    /// The answer follows from the command's commit.
    Commit(StreamId),
    /// The text that the caller made of the answer.
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
    /// The answer that this one replaces, if it is still kept: for example the note that the command is under way.
    pub instead_of: Option<String>,
    /// Now.
    pub now: Timestamp,
    /// When the answer expires: from then on the store behaves as if it had never been kept.
    pub expires_at: Timestamp,
}

/// The kept answers.
///
/// A command has one answer: a commit that [`super::EventLog::append`] writes with a request hash, or an answer that was kept here,
/// whichever came first. The write that would make the second one is refused.
#[async_trait]
pub trait KeptAnswers: Send + Sync {
    /// The command's answer, unless there is none or it has expired at `now`. If an older permitd let the command commit in several
    /// streams: the commit of this request, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read: it is then unknown whether there is an answer.
    async fn find(
        &self,
        command: &CommandId,
        request_hash: &str,
        now: Timestamp,
    ) -> Result<Option<KeptAnswer>, StoreError>;

    /// Keeps an answer. Returns `false` when the command has committed, or has another answer than the one to be replaced.
    ///
    /// # Errors
    /// [`StoreError`] where the answer may not have been written: a retry finds out.
    async fn keep(&self, answer: NewAnswer) -> Result<bool, StoreError>;

    /// Removes expired answers, if the store does not do so by itself. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] where not all were removed: the next sweep goes on.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}
