//! The queue in SQS: a standard queue `<prefix>-messages` and its dead-letter queue `<prefix>-dead-letters`.
//!
//! Guarantees: a sent message is received until it is acknowledged or dead; a message is deleted only after it was sent elsewhere or is
//! done; a batch's sizes and counts are checked here, before SQS refuses them; no error holds a message's text.
//!
//! SQS differs: its counts are approximate, and acknowledging with an old receipt may succeed as if the message were ours. So consumers
//! decide by what is recorded, never by the queue's answer.

mod dead;
mod feedback;
mod later;
mod setup;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        Message as Received, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
        SendMessageBatchRequestEntry,
    },
};
use aws_smithy_types::timeout::TimeoutConfig;

pub use self::{feedback::setup_feedback, setup::setup};
use super::{
    BATCH_MAX, DeadLetter, Delivery, Depth, MESSAGE_BYTES_MAX, Message, Policy, Queue, QueueError, WAIT_MAX,
    body_put_off,
    letters::{FoundLetters, LetterAct, LetterFilter},
};
use crate::aws::{self, Access};

/// Longest visibility timeout of SQS, seconds.
const VISIBILITY_S_MAX: u32 = 43_200;
/// The attribute with the wait that remains after the message's own delay, seconds.
const WAIT: &str = "wait_s";
/// How long an attempt may take when SQS waits for messages.
const WAITED_ATTEMPT_TIMEOUT: Duration = WAIT_MAX.saturating_add(Duration::from_secs(10));
/// How long such a call may take with its retries.
const WAITED_OPERATION_TIMEOUT: Duration = WAIT_MAX.saturating_add(Duration::from_secs(40));

/// A deployment's queue in SQS.
pub struct SqsQueue {
    client: Client,
    /// For calls in which SQS waits for messages.
    waiting: Client,
    /// The queue's URL.
    messages: String,
    /// The dead-letter queue's URL.
    dead: String,
    policy: Policy,
    /// Held while this process reads the dead letters, which hides them from others.
    looking: tokio::sync::Mutex<()>,
}

/// The queue's name.
pub fn messages_name(prefix: &str) -> String {
    format!("{prefix}-messages")
}

/// The dead-letter queue's name.
pub fn dead_letters_name(prefix: &str) -> String {
    format!("{prefix}-dead-letters")
}

impl SqsQueue {
    /// Opens the queues whose names begin with `prefix`. Asks SQS for their URLs.
    ///
    /// # Errors
    /// When one is missing or SQS cannot be reached.
    pub async fn open(access: &Access, prefix: &str, policy: Policy) -> Result<Self, QueueError> {
        Self::open_feedback(access, prefix, &messages_name(prefix), policy).await
    }

    /// Opens the queue of this name that receives SES's reports. It shares the dead-letter queue, and a redriven report goes to
    /// [`messages_name`].
    ///
    /// # Errors
    /// When one is missing or SQS cannot be reached.
    pub async fn open_feedback(access: &Access, prefix: &str, name: &str, policy: Policy) -> Result<Self, QueueError> {
        let client = client(access, None);
        let timeouts = access.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts
            .operation_attempt_timeout(WAITED_ATTEMPT_TIMEOUT)
            .operation_timeout(WAITED_OPERATION_TIMEOUT)
            .build();
        let waiting = self::client(access, Some(timeouts));
        let messages = found(&client, name).await?;
        let dead = found(&client, &dead_letters_name(prefix)).await?;
        Ok(Self { client, waiting, messages, dead, policy, looking: tokio::sync::Mutex::default() })
    }

    /// Sends a batch; returns the results of the messages that SQS's answer mentions.
    async fn send_batch(&self, batch: &[Placed<'_>]) -> Result<Vec<(usize, Result<(), QueueError>)>, QueueError> {
        let entry = |(place, body): &Placed<'_>| {
            SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(*body).build()
        };
        let entries = batch.iter().map(entry).collect::<Result<_, _>>();
        let entries = entries.map_err(|error| QueueError::Unavailable(error.to_string()))?;
        let sent = self.client.send_message_batch().queue_url(&self.messages).set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|error| unavailable(&error))?;
        let taken = sent.successful().iter().filter_map(|entry| Some((entry.id().parse().ok()?, Ok(()))));
        let refused = sent.failed().iter().filter_map(|entry| {
            let words = format!("SQS: {}: {}", entry.code(), entry.message().unwrap_or("no reason was given"));
            Some((entry.id().parse().ok()?, Err(QueueError::Unavailable(aws::one_line(&words)))))
        });
        Ok(taken.chain(refused).collect())
    }

    async fn change_visibility(&self, delivery: &Delivery, visibility_s: u32) -> Result<bool, QueueError> {
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(&self.messages)
            .receipt_handle(SqsReceipt::read(&delivery.receipt).handle)
            .visibility_timeout(whole_seconds(visibility_s.min(VISIBILITY_S_MAX)))
            .send()
            .await;
        ours(changed.map(drop))
    }

    /// A queue's counts: visible, received but not acknowledged, delayed.
    async fn counts(&self, url: &str) -> Result<[u64; 3], QueueError> {
        let names = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
        ];
        let answer = self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = answer.send().await.map_err(|error| unavailable(&error))?;
        let count = |name: &Attribute| {
            let text = answer.attributes().and_then(|attributes| attributes.get(name));
            let count = text.and_then(|text| text.parse().ok());
            count.ok_or_else(|| QueueError::Unavailable(format!("SQS did not say {name}")))
        };
        let [visible, in_flight, delayed] = &names;
        Ok([count(visible)?, count(in_flight)?, count(delayed)?])
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let bodies: Vec<Result<String, QueueError>> = messages.iter().map(body).collect();
        let unsaid = || QueueError::Unavailable("SQS did not say that it has the message".to_owned());
        let mut results: Vec<Result<(), QueueError>> =
            bodies.iter().map(|body| Err(body.as_ref().err().cloned().unwrap_or_else(unsaid))).collect();
        let mut put = |place: usize, result| {
            if let Some(slot) = results.get_mut(place) {
                *slot = result;
            }
        };
        let sendable = bodies.iter().enumerate().filter_map(|(place, body)| Some((place, body.as_deref().ok()?)));
        let mut failure = None;
        for batch in batches(sendable) {
            match self.send_batch(&batch).await {
                Ok(said) => said.into_iter().for_each(|(place, result)| put(place, result)),
                Err(error) => {
                    batch.iter().for_each(|(place, _)| put(*place, Err(error.clone())));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if results.iter().all(Result::is_err) => Err(error),
            _ => Ok(results),
        }
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut wait = wait.min(WAIT_MAX).as_secs();
        loop {
            let client = if wait == 0 { &self.client } else { &self.waiting };
            let visibility_s = self.policy.visibility_s;
            let received = receive(client, &self.messages, max, visibility_s, wait, &[WAIT]).await?;
            let count = received.len();
            let due = self.due(received).await?;
            if !due.is_empty() || count == 0 {
                return due.into_iter().map(delivery).collect();
            }
            // All received messages must wait longer; other messages may be due.
            wait = 0;
        }
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        self.change_visibility(delivery, self.policy.visibility_s).await
    }

    /// SQS may say `true` for a message that somebody else has received again, and then keeps it.
    async fn acknowledge(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        let handle = SqsReceipt::read(&delivery.receipt).handle;
        let deleted = self.client.delete_message().queue_url(&self.messages).receipt_handle(handle).send().await;
        ours(deleted.map(drop))
    }

    async fn fail(&self, delivery: &Delivery, reason: &str, delay_s: u32) -> Result<(), QueueError> {
        if delivery.receives < self.policy.receives_max {
            self.change_visibility(delivery, delay_s).await?;
            return Ok(());
        }
        // `bury` checks first: a late consumer must not bury a message that others have, or that the queue has buried.
        self.bury(delivery, reason).await
    }

    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError> {
        let body = body_put_off(&delivery.body, delivery.put_off().saturating_add(1));
        self.send_anew(delivery, &body, delay_s).await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        if self.extend(delivery).await? {
            self.make_dead(delivery, reason).await?;
        }
        Ok(())
    }

    /// SQS never takes a receive back: a message with only one receive left is sent anew.
    async fn release(&self, delivery: &Delivery, delay_s: u32) -> Result<(), QueueError> {
        if delivery.receives + 1 < self.policy.receives_max {
            self.change_visibility(delivery, delay_s).await?;
            return Ok(());
        }
        self.send_anew(delivery, &delivery.body, delay_s).await.map(drop)
    }

    /// Reads at most `dead::LETTERS_MAX` letters; they are hidden from others meanwhile, up to a minute after a crash.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.list_dead_letters(limit).await
    }

    async fn redrive(&self, id: &str) -> Result<(), QueueError> {
        self.redrive_dead_letter(id).await
    }

    async fn discard(&self, id: &str) -> Result<(), QueueError> {
        let settled = self.settle_dead_letters(LetterAct::Discard, &[id.to_owned()]).await?;
        settled.first().map(drop).ok_or_else(|| QueueError::NoDeadLetter(id.to_owned()))
    }

    async fn find_dead(&self, wanted: &LetterFilter, limit: usize) -> Result<FoundLetters, QueueError> {
        self.find_dead_letters(wanted, limit).await
    }

    async fn settle_dead(&self, act: LetterAct, ids: &[String]) -> Result<Vec<String>, QueueError> {
        self.settle_dead_letters(act, ids).await
    }

    /// Always 0: SQS expires messages itself.
    async fn expire(&self) -> Result<u64, QueueError> {
        Ok(0)
    }

    /// Approximate: SQS's counts can be a minute old.
    async fn depth(&self) -> Result<Depth, QueueError> {
        let [visible, in_flight, delayed] = self.counts(&self.messages).await?;
        let dead = self.counts(&self.dead).await?.iter().sum();
        Ok(Depth { visible, in_flight: in_flight + delayed, dead })
    }

    /// Makes one call.
    async fn probe(&self) -> Result<(), QueueError> {
        self.counts(&self.messages).await.map(drop)
    }
}

fn client(access: &Access, timeouts: Option<TimeoutConfig>) -> Client {
    let mut config = aws_sdk_sqs::config::Builder::from(access.config()).interceptor(access.counter());
    if let Some(endpoint) = &access.endpoints().sqs {
        config = config.endpoint_url(endpoint);
    }
    if let Some(timeouts) = timeouts {
        config = config.timeout_config(timeouts);
    }
    Client::from_conf(config.build())
}

/// A queue's URL, if the queue exists.
async fn look_up(client: &Client, name: &str) -> Result<Option<String>, QueueError> {
    match client.get_queue_url().queue_name(name).send().await {
        Ok(found) => Ok(found.queue_url().map(ToOwned::to_owned)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

async fn found(client: &Client, name: &str) -> Result<String, QueueError> {
    look_up(client, name).await?.ok_or_else(|| missing(name))
}

/// Receives up to `max` messages, at most [`BATCH_MAX`], with these attributes of ours.
async fn receive(
    client: &Client,
    url: &str,
    max: usize,
    visibility_s: u32,
    wait_s: u64,
    attributes: &[&str],
) -> Result<Vec<Received>, QueueError> {
    let max = i32::try_from(max.min(BATCH_MAX)).unwrap_or(1);
    if max == 0 {
        return Ok(Vec::new());
    }
    let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
    let received = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(max)
        .visibility_timeout(whole_seconds(visibility_s))
        .wait_time_seconds(i32::try_from(wait_s).unwrap_or(0))
        .message_system_attribute_names(SystemAttribute::ApproximateReceiveCount)
        .message_system_attribute_names(SystemAttribute::SentTimestamp)
        .message_system_attribute_names(SystemAttribute::ApproximateFirstReceiveTimestamp)
        .set_message_attribute_names(Some(attributes))
        .send()
        .await;
    Ok(received.map_err(|error| unavailable(&error))?.messages.unwrap_or_default())
}

fn delivery(received: Received) -> Result<Delivery, QueueError> {
    let receives = system_number(&received, &SystemAttribute::ApproximateReceiveCount)?;
    let sent_ms = system_number(&received, &SystemAttribute::SentTimestamp)?;
    let (Some(id), Some(handle), Some(body)) = (received.message_id, received.receipt_handle, received.body) else {
        return Err(QueueError::Unavailable("SQS gave a message without id, receipt or text".to_owned()));
    };
    let receipt = SqsReceipt { sent_ms, handle: &handle }.write();
    Ok(Delivery { id, receipt, body, receives: u32::try_from(receives).unwrap_or(u32::MAX) })
}

fn system_number(received: &Received, name: &SystemAttribute) -> Result<i64, QueueError> {
    let text = received.attributes().and_then(|attributes| attributes.get(name));
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| QueueError::Unavailable(format!("SQS gave a message without {name}")))
}

/// The content of a receipt: SQS's handle and, for a dead letter, the time of sending.
struct SqsReceipt<'a> {
    sent_ms: i64,
    handle: &'a str,
}

impl<'a> SqsReceipt<'a> {
    fn write(&self) -> String {
        format!("{} {}", self.sent_ms, self.handle)
    }

    fn read(receipt: &'a str) -> Self {
        let (sent_ms, handle) = receipt.split_once(' ').unwrap_or(("", receipt));
        Self { sent_ms: sent_ms.parse().unwrap_or(0), handle }
    }
}

/// A message's text in a form that SQS accepts.
fn body(message: &Message) -> Result<String, QueueError> {
    let text = serde_json::to_string(message).map_err(|error| QueueError::Unreadable(error.to_string()))?;
    // SQS refuses only these characters of JSON text; JSON can escape them.
    let text = text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(QueueError::TooLong { bytes: text.len() });
    }
    Ok(text)
}

/// A message's index among those to be sent, and its text.
type Placed<'a> = (usize, &'a str);

/// Splits messages into batches that SQS accepts: [`BATCH_MAX`] messages and [`MESSAGE_BYTES_MAX`] in total.
fn batches<'a>(messages: impl Iterator<Item = Placed<'a>>) -> Vec<Vec<Placed<'a>>> {
    let mut batches: Vec<Vec<Placed<'a>>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.1.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MAX && bytes <= MESSAGE_BYTES_MAX => batch.push(message),
            _ => {
                bytes = message.1.len();
                batches.push(vec![message]);
            }
        }
    }
    batches
}

fn whole_seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Why a call failed. Holds no sent data.
fn unavailable<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> QueueError {
    if is_missing(error) {
        return QueueError::Unavailable("a queue is missing: run `permitd aws setup`".to_owned());
    }
    QueueError::Unavailable(aws::reason("SQS", error))
}

fn missing(name: &str) -> QueueError {
    QueueError::Unavailable(format!("queue {name} is missing: run `permitd aws setup`"))
}

fn is_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    // SQS has an old and a new name for this error.
    let is_its_name = |code: &str| code.ends_with("NonExistentQueue") || code.ends_with("QueueDoesNotExist");
    matches!(error, SdkError::ServiceError(service) if service.err().code().is_some_and(is_its_name))
}

/// Whether the message was still ours at the time of a call about it.
fn ours<E: ProvideErrorMetadata, R>(result: Result<(), SdkError<E, R>>) -> Result<bool, QueueError> {
    match result {
        Ok(()) => Ok(true),
        Err(SdkError::ServiceError(service)) if is_stale(service.err()) => Ok(false),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Whether SQS says that the message is no longer in flight, or is in flight under another receipt.
fn is_stale(error: &impl ProvideErrorMetadata) -> bool {
    let (code, words) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    // SQS answers `InvalidParameterValue` for most wrong parameters, and names the parameter.
    code.ends_with("MessageNotInflight")
        || code.ends_with("ReceiptHandleIsInvalid")
        || (code.contains("InvalidParameterValue") && words.contains("ReceiptHandle"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::EventMessage;

    fn message(correlation_id: String) -> Message {
        let (event, type_name) = (uuid::Uuid::from_u128(7), "UserInvited".to_owned());
        Message::V1(EventMessage { event, type_name, stream: "user#0".to_owned(), version: 1, correlation_id })
    }

    #[test]
    fn batches_hold_what_sqs_takes() {
        let sizes = |lengths: &[usize]| -> Vec<usize> {
            let texts: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let batches = batches(texts.iter().map(String::as_str).enumerate());
            let places: Vec<usize> = batches.iter().flatten().map(|(place, _)| *place).collect();
            assert_eq!(places, (0..lengths.len()).collect::<Vec<_>>(), "each once, in order");
            batches.iter().map(Vec::len).collect()
        };
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&[1; 10]), [10]);
        assert_eq!(sizes(&[1; 21]), [10, 10, 1]);
        let half = MESSAGE_BYTES_MAX / 2;
        assert_eq!(sizes(&[half, half, 1, half, half]), [2, 2, 1]);
        assert_eq!(sizes(&[MESSAGE_BYTES_MAX, 0, MESSAGE_BYTES_MAX]), [2, 1]);
    }

    #[test]
    fn a_text_is_what_sqs_takes_and_reads_back_the_same() {
        let odd = message("a\u{fffe}\u{ffff}\u{0}\u{1f}ñ".to_owned());
        let text = body(&odd).unwrap();
        assert!(!text.contains(['\u{fffe}', '\u{ffff}', '\u{0}', '\u{1f}']), "{text:?}");
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), odd);
        let refused = body(&message("x".repeat(MESSAGE_BYTES_MAX))).unwrap_err().to_string();
        assert!(refused.contains("262144") && !refused.contains("xxx"), "{refused}");
    }

    #[test]
    fn a_receipt_holds_when_its_message_was_sent() {
        let written = SqsReceipt { sent_ms: 12, handle: "a b" }.write();
        let read = SqsReceipt::read(&written);
        assert_eq!((read.sent_ms, read.handle), (12, "a b"));
    }
}
