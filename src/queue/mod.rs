//! The event queue: at least once, unordered, with a visibility timeout and dead letters, like SQS standard queues.

pub mod letters;
pub mod nothing;
pub mod sqlite;
pub mod sqs;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::letters::DeadLetter;
use self::letters::{BULK_MAX, FoundLetters, LetterAct, LetterFilter};
use crate::{domain::id::StreamId, store::StoreError};

/// Most messages in one call, as in SQS.
pub const BATCH_MAX: usize = 10;
/// Largest message, bytes, as in SQS.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Longest wait for messages, as in SQS.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest reason that is kept with a dead letter, characters.
pub const REASON_CHARS_MAX: usize = 1000;

/// Why a call to the queue failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The queue cannot be reached: try again.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// The queue's store has another problem: it is full or damaged.
    #[error(transparent)]
    Store(StoreError),
    /// A message has a form that this permitd does not know.
    #[error("a message cannot be read: {0}")]
    Unreadable(String),
    /// A message is larger than any queue takes.
    #[error("a message of {bytes} bytes cannot be sent: the largest has {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    NoDeadLetter(String),
}

/// The content of a message: it refers to an event, which the consumer loads. A versioned enum, so that nodes of two versions can share a
/// queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum Message {
    /// Version 1: an event was recorded.
    #[serde(rename = "1")]
    V1(EventMessage),
}

/// An event was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// The event.
    pub event: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its stream, as text.
    pub stream: String,
    /// Its commit's version.
    pub version: u64,
    /// The id of the request that the event belongs to.
    pub correlation_id: String,
}

impl EventMessage {
    /// The stream.
    ///
    /// # Errors
    /// [`QueueError::Unreadable`] when the text is no stream.
    pub fn stream_id(&self) -> Result<StreamId, QueueError> {
        StreamId::parse(&self.stream).map_err(|error| QueueError::Unreadable(error.to_string()))
    }
}

/// A received message. Others cannot receive it until its visibility timeout ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id.
    pub id: String,
    /// The queue's handle for acknowledging, extending or releasing the message.
    pub receipt: String,
    /// The stored text; [`Self::message`] reads it.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

impl Delivery {
    /// Reads the message.
    ///
    /// # Errors
    /// [`QueueError::Unreadable`] when this permitd does not know it.
    pub fn message(&self) -> Result<Message, QueueError> {
        serde_json::from_str(&self.body).map_err(|error| QueueError::Unreadable(error.to_string()))
    }

    /// How often the message was put off ([`Queue::postpone`]).
    pub fn put_off(&self) -> u32 {
        let read = serde_json::from_str(&self.body).map(|PutOff { put_off }| put_off);
        read.unwrap_or(0)
    }
}

/// How often a message was put off: a member of the message's JSON, which older nodes ignore.
#[derive(Deserialize)]
struct PutOff {
    #[serde(default)]
    put_off: u32,
}

/// A message's text after it was put off `times` times; for 0 the text has no such member.
fn body_put_off(body: &str, times: u32) -> String {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(body) else { return body.to_owned() };
    fields.shift_remove("put_off");
    if times > 0 {
        fields.insert("put_off".to_owned(), times.into());
    }
    serde_json::Value::Object(fields).to_string()
}

/// How full the queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that are being handled or are delayed.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
}

/// A queue's limits for messages.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Seconds for which a received message is invisible to others.
    pub visibility_s: u32,
    /// Receives after which a message becomes a dead letter.
    pub receives_max: u32,
    /// Days that messages and dead letters are kept for.
    pub retention_days: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { visibility_s: 30, receives_max: 5, retention_days: 14 }
    }
}

/// The queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends at most [`BATCH_MAX`] messages. Single ones may fail: the answer holds one result for each, in order.
    ///
    /// # Errors
    /// When nothing was sent.
    async fn send(&self, messages: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// Receives at most `max` messages; a queue may return fewer, [`BATCH_MAX`] at most. When there are none, a queue that can wait waits
    /// up to `wait` (whole seconds, at most [`WAIT_MAX`]), and may then return none.
    ///
    /// May be dropped while it waits: a message on its way is received again after its visibility timeout.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: nothing was received.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError>;

    /// Whether [`Self::receive`] waits for messages of other processes. Otherwise consumers have to poll.
    fn can_wait(&self) -> bool;

    /// Restarts a message's visibility timeout. `false` when the message is no longer ours.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message may become visible to others.
    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError>;

    /// Acknowledges: removes a message that is done. `false` when the message is no longer ours.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message may be received again.
    async fn acknowledge(&self, delivery: &Delivery) -> Result<bool, QueueError>;

    /// Returns a failed message: it is received again after `delay_s`, or becomes a dead letter with this reason when the policy allows no
    /// more receives.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message is received again after its visibility timeout.
    async fn fail(&self, delivery: &Delivery, reason: &str, delay_s: u32) -> Result<(), QueueError>;

    /// Puts off a message that cannot be handled yet, through no fault of its own: it is received again after `delay_s` as if new, except
    /// for [`Delivery::put_off`]; its receives and age start anew. `false` when it is no longer ours. A crash may leave the message twice.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message is received again after its visibility timeout.
    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError>;

    /// Turns a message into a dead letter with this reason, however often it was received.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message is received again after its visibility timeout.
    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError>;

    /// Returns a message that only another process can handle: it is received again after `delay_s`, and this receive does not count
    /// towards the dead letters.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the message is received again after its visibility timeout.
    async fn release(&self, delivery: &Delivery, delay_s: u32) -> Result<(), QueueError>;

    /// The newest dead letters, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Store`], or [`QueueError::Unreadable`] for one that this permitd does not know.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Sends a dead letter again as a new message, without its receives and postponements.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetter`] when no dead letter has this id.
    async fn redrive(&self, id: &str) -> Result<(), QueueError>;

    /// Removes a dead letter for good: nothing of what its message asks for is done.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetter`] when no dead letter has this id.
    async fn discard(&self, id: &str) -> Result<(), QueueError>;

    /// The newest dead letters that the filter takes, newest first, at most `limit`, and how many there are. Looks through
    /// [`BULK_MAX`] letters at most, or as many as the queue shows.
    ///
    /// # Errors
    /// As [`Self::dead_letters`].
    async fn find_dead(&self, wanted: &LetterFilter, limit: usize) -> Result<FoundLetters, QueueError> {
        let letters = self.dead_letters(BULK_MAX).await?;
        let is_whole = letters.len() < BULK_MAX;
        Ok(FoundLetters::among(letters, wanted, limit, is_whole))
    }

    /// Redrives or discards these dead letters; returns those of them that were there.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: some may have been done. Repeat it for those that are left.
    async fn settle_dead(&self, act: LetterAct, ids: &[String]) -> Result<Vec<String>, QueueError> {
        let mut settled = Vec::new();
        for id in ids {
            let done = match act {
                LetterAct::Redrive => self.redrive(id).await,
                LetterAct::Discard => self.discard(id).await,
            };
            match done {
                Ok(()) => settled.push(id.clone()),
                // Somebody else was faster.
                Err(QueueError::NoDeadLetter(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(settled)
    }

    /// Removes messages and dead letters past the policy's retention; returns how many.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`]: the next sweep goes on.
    async fn expire(&self) -> Result<u64, QueueError>;

    /// How full the queue is.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`].
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// The bodies of all messages and dead letters, hidden ones included; none where the queue cannot show them all.
    ///
    /// # Errors
    /// When the queue does not answer.
    async fn held(&self) -> Result<Option<Vec<String>>, QueueError> {
        Ok(None)
    }

    /// Checks that the queue answers.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] or [`QueueError::Store`].
    async fn probe(&self) -> Result<(), QueueError> {
        self.depth().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_put_off_is_still_the_message() {
        let message = Message::V1(EventMessage {
            event: Uuid::from_u128(7),
            type_name: "UserInvited".to_owned(),
            stream: "user#0".to_owned(),
            version: 1,
            correlation_id: "ñ".to_owned(),
        });
        let body = serde_json::to_string(&message).unwrap();
        let delivery = |body: String| Delivery { id: String::new(), receipt: String::new(), body, receives: 1 };
        assert_eq!(delivery(body.clone()).put_off(), 0);
        let put_off = delivery(body_put_off(&body, 3));
        assert_eq!((put_off.put_off(), put_off.message().unwrap()), (3, message));
        assert_eq!(body_put_off(&put_off.body, 0), body, "as new");
        assert_eq!(body_put_off("no message", 1), "no message");
    }
}
