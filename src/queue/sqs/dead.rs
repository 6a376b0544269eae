//! The dead-letter queue. SQS shows messages only by receiving them, so reading them hides them from others for a moment.
//!
//! A letter that a consumer buried is a new message with the old one's facts in its attributes. A letter that SQS moved itself, since no
//! consumer ever acknowledged it, is the old message. A crash between the two steps of burying leaves both: they are shown as one.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry as Release, Message as Received, MessageAttributeValue,
    MessageSystemAttributeName as SystemAttribute,
};
use jiff::Timestamp;

use super::{
    BATCH_MAX, DeadLetter, Delivery, QueueError, SqsQueue, SqsReceipt, aws, receive, system_number, unavailable,
};
use crate::queue::{
    REASON_CHARS_MAX, body_put_off,
    letters::{FoundLetters, LetterAct, LetterFilter},
};

/// Most dead letters that are read.
pub(super) const LETTERS_MAX: usize = 1000;
/// How long reading hides a letter at most, seconds.
const LOOK_VISIBILITY_S: u32 = 60;
/// How long SQS looks for letters. Without a wait it asks only some of its servers, and may report none.
const LOOK_WAIT: Duration = Duration::from_secs(1);

/// Attributes of a letter that a consumer buried.
const REASON: &str = "reason";
const RECEIVES: &str = "receives";
const MESSAGE_ID: &str = "message_id";
const SENT_MS: &str = "sent_ms";
const ATTRIBUTES: [&str; 4] = [REASON, RECEIVES, MESSAGE_ID, SENT_MS];

/// A received letter, hidden from others until it is released.
struct FoundLetter {
    letter: DeadLetter,
    /// Whether a consumer gave the reason.
    is_explained: bool,
    handle: String,
}

impl SqsQueue {
    /// Makes a message of ours a dead letter.
    pub(super) async fn make_dead(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let receipt = SqsReceipt::read(&delivery.receipt);
        let attributes = [
            (REASON, text_that_sqs_takes(reason)),
            (RECEIVES, delivery.receives.to_string()),
            (MESSAGE_ID, delivery.id.clone()),
            (SENT_MS, receipt.sent_ms.to_string()),
        ];
        let mut send = self.client.send_message().queue_url(&self.dead).message_body(&delivery.body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| QueueError::Unavailable(error.to_string()))?;
            send = send.message_attributes(name, value);
        }
        send.send().await.map_err(|error| unavailable(&error))?;
        self.delete(&self.messages, receipt.handle).await
    }

    pub(super) async fn list_dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let _looking = self.looking.lock().await;
        let seen = self.look(|_| false).await?;
        self.let_go(seen.iter()).await;
        let mut letters: BTreeMap<String, (DeadLetter, bool)> = BTreeMap::new();
        for FoundLetter { letter, is_explained, .. } in seen {
            match letters.entry(letter.id.clone()) {
                Entry::Vacant(place) => drop(place.insert((letter, is_explained))),
                Entry::Occupied(mut known) if is_explained && !known.get().1 => {
                    known.insert((letter, is_explained));
                }
                Entry::Occupied(_) => {}
            }
        }
        let mut letters: Vec<DeadLetter> = letters.into_values().map(|(letter, _)| letter).collect();
        letters.sort_by(|a, b| b.died_at.cmp(&a.died_at).then_with(|| a.id.cmp(&b.id)));
        letters.truncate(limit);
        Ok(letters)
    }

    pub(super) async fn redrive_dead_letter(&self, id: &str) -> Result<(), QueueError> {
        let _looking = self.looking.lock().await;
        let seen = self.look(|letter| letter.id == id).await?;
        // A copy of the letter that SQS moved itself is redriven with it, if it was seen.
        let (wanted, others): (Vec<FoundLetter>, Vec<FoundLetter>) =
            seen.into_iter().partition(|seen| seen.letter.id == id);
        self.let_go(others.iter()).await;
        let Some(first) = wanted.first() else { return Err(self.not_found(id, others.len()).await?) };
        let send =
            self.client.send_message().queue_url(&self.messages).message_body(body_put_off(&first.letter.body, 0));
        if let Err(error) = send.send().await {
            self.let_go(wanted.iter()).await;
            return Err(unavailable(&error));
        }
        for seen in &wanted {
            self.delete(&self.dead, &seen.handle).await?;
        }
        Ok(())
    }

    pub(super) async fn find_dead_letters(
        &self,
        wanted: &LetterFilter,
        limit: usize,
    ) -> Result<FoundLetters, QueueError> {
        let letters = self.list_dead_letters(LETTERS_MAX).await?;
        let is_whole = letters.len() < LETTERS_MAX;
        Ok(FoundLetters::among(letters, wanted, limit, is_whole))
    }

    /// Redrives or discards these letters in one look at the queue; returns those that were there.
    pub(super) async fn settle_dead_letters(&self, act: LetterAct, ids: &[String]) -> Result<Vec<String>, QueueError> {
        let _looking = self.looking.lock().await;
        let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let seen = self.look(|letter| ids.len() == 1 && wanted.contains(letter.id.as_str())).await?;
        let (found, others): (Vec<FoundLetter>, Vec<FoundLetter>) =
            seen.into_iter().partition(|seen| wanted.contains(seen.letter.id.as_str()));
        self.let_go(others.iter()).await;
        if let ([id], true) = (ids, found.is_empty()) {
            return Err(self.not_found(id, others.len()).await?);
        }
        let mut settled: Vec<String> = Vec::new();
        for at in 0..found.len() {
            let Some(seen) = found.get(at) else { break };
            // A copy of the letter that SQS moved itself goes with it.
            let is_first = !settled.contains(&seen.letter.id);
            let done = match act {
                LetterAct::Redrive if is_first => self.send_again(&seen.letter).await,
                LetterAct::Redrive | LetterAct::Discard => Ok(()),
            };
            let done = match done {
                Ok(()) => self.delete(&self.dead, &seen.handle).await,
                failed => failed,
            };
            if let Err(error) = done {
                self.let_go(found.iter().skip(at)).await;
                return Err(error);
            }
            if is_first {
                settled.push(seen.letter.id.clone());
            }
        }
        Ok(settled)
    }

    async fn send_again(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let send = self.client.send_message().queue_url(&self.messages).message_body(body_put_off(&letter.body, 0));
        send.send().await.map(drop).map_err(|error| unavailable(&error))
    }

    /// Why a letter was not found: it does not exist, or not all letters could be read.
    async fn not_found(&self, id: &str, seen: usize) -> Result<QueueError, QueueError> {
        if seen >= LETTERS_MAX {
            let known = format!("dead letter {id} is not among the {seen} that were looked through");
            return Ok(QueueError::Unavailable(format!("{known}: redrive others first, or use the AWS console")));
        }
        let [_, hidden, _] = self.counts(&self.dead).await?;
        Ok(match hidden {
            0 => QueueError::NoDeadLetter(id.to_owned()),
            _ => QueueError::Unavailable(format!(
                "dead letter {id} is not to be seen, but somebody else is looking at {hidden}: try again in a minute"
            )),
        })
    }

    /// Receives dead letters until there are no more, or a wanted one was found. The caller releases them.
    async fn look(&self, is_wanted: impl Fn(&DeadLetter) -> bool) -> Result<Vec<FoundLetter>, QueueError> {
        let mut all: Vec<FoundLetter> = Vec::new();
        while all.len() < LETTERS_MAX {
            let wait_s = LOOK_WAIT.as_secs();
            let found = receive(&self.client, &self.dead, BATCH_MAX, LOOK_VISIBILITY_S, wait_s, &ATTRIBUTES).await;
            let found =
                found.and_then(|found| found.into_iter().map(|one| self.seen(one)).collect::<Result<Vec<_>, _>>());
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.let_go(all.iter()).await;
                    return Err(error);
                }
            };
            let is_last = found.is_empty() || found.iter().any(|seen| is_wanted(&seen.letter));
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Shows letters to others again. If that fails, the letters reappear by themselves.
    async fn let_go(&self, seen: impl Iterator<Item = &FoundLetter> + Send) {
        let handles: Vec<&str> = seen.map(|seen| seen.handle.as_str()).collect();
        for batch in handles.chunks(BATCH_MAX) {
            let entry = |(place, handle): (usize, &&str)| {
                Release::builder().id(place.to_string()).receipt_handle(*handle).visibility_timeout(0).build()
            };
            let Ok(entries) = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() else { continue };
            let release = self.client.change_message_visibility_batch().queue_url(&self.dead);
            if let Err(error) = release.set_entries(Some(entries)).send().await {
                let reason = aws::reason("SQS", &error);
                tracing::warn!(reason, "dead letters stay hidden for up to {LOOK_VISIBILITY_S} s");
            }
        }
    }

    pub(super) async fn delete(&self, url: &str, handle: &str) -> Result<(), QueueError> {
        let deleted = self.client.delete_message().queue_url(url).receipt_handle(handle).send().await;
        // Somebody else may have deleted the message already.
        super::ours(deleted.map(drop)).map(drop)
    }

    fn seen(&self, received: Received) -> Result<FoundLetter, QueueError> {
        let attribute = |name: &str| {
            let value = received.message_attributes().and_then(|attributes| attributes.get(name));
            value.and_then(MessageAttributeValue::string_value)
        };
        let arrived = moment(system_number(&received, &SystemAttribute::SentTimestamp)?);
        let explained = (attribute(REASON), attribute(RECEIVES), attribute(MESSAGE_ID), attribute(SENT_MS));
        let letter = if let (Some(reason), Some(receives), Some(id), Some(sent_ms)) = explained {
            DeadLetter {
                id: id.to_owned(),
                body: received.body().unwrap_or_default().to_owned(),
                receives: receives.parse().unwrap_or(self.policy.receives_max),
                reason: reason.to_owned(),
                sent_at: sent_ms.parse().map_or(arrived, moment),
                died_at: arrived,
            }
        } else {
            // SQS keeps the message unchanged and does not record when it moved it: its first receive is the best estimate.
            let first = system_number(&received, &SystemAttribute::ApproximateFirstReceiveTimestamp)?;
            let receives = self.policy.receives_max;
            DeadLetter {
                id: received.message_id().unwrap_or_default().to_owned(),
                body: received.body().unwrap_or_default().to_owned(),
                receives,
                reason: format!("received {receives} times and never answered"),
                sent_at: arrived,
                died_at: moment(first).max(arrived),
            }
        };
        let is_explained = attribute(REASON).is_some();
        let handle = received.receipt_handle.unwrap_or_default();
        Ok(FoundLetter { letter, is_explained, handle })
    }
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// SQS accepts only XML characters, and no empty text.
fn text_that_sqs_takes(reason: &str) -> String {
    let is_taken = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let text: String =
        reason.chars().take(REASON_CHARS_MAX).map(|c| if is_taken(c) { c } else { '\u{fffd}' }).collect();
    if text.is_empty() { "no reason was given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_sqs_takes() {
        assert_eq!(text_that_sqs_takes("a\u{1b}\u{ffff}\n𝄞ñ"), "a\u{fffd}\u{fffd}\n𝄞ñ");
        assert_eq!(text_that_sqs_takes(&"ñ".repeat(5000)).chars().count(), REASON_CHARS_MAX);
        assert_eq!(text_that_sqs_takes(""), "no reason was given");
    }
}
