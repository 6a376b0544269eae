//! Delayed messages. SQS delays a new message by at most 15 minutes, and counts every receive: so a longer wait passes from one new message
//! to the next, with the remaining wait in an attribute.
//!
//! A crash between sending the next message and deleting the last leaves both: consumers handle them like any message that comes twice.

use aws_sdk_sqs::types::{Message as Received, MessageAttributeValue};

use super::{Delivery, Queue, QueueError, SqsQueue, WAIT, unavailable, whole_seconds};

/// The longest delay of a new message, seconds.
const DELAY_S_MAX: u32 = 900;

impl SqsQueue {
    /// Sends a message that is to be received after `delay_s`.
    pub(super) async fn send_later(&self, body: &str, delay_s: u32) -> Result<(), QueueError> {
        let delay = delay_s.min(DELAY_S_MAX);
        let mut send = self.client.send_message().queue_url(&self.messages).message_body(body);
        send = send.delay_seconds(whole_seconds(delay));
        if let Some(left) = delay_s.checked_sub(delay).filter(|left| *left > 0) {
            let value = MessageAttributeValue::builder().data_type("Number").string_value(left.to_string()).build();
            let value = value.map_err(|error| QueueError::Unavailable(error.to_string()))?;
            send = send.message_attributes(WAIT, value);
        }
        send.send().await.map(drop).map_err(|error| unavailable(&error))
    }

    /// Sends a received message as a new one, then deletes the received one; returns whether that was still ours. A crash between the two
    /// steps leaves it twice, which consumers bear; in the other order it could be lost.
    pub(super) async fn send_anew(&self, delivery: &Delivery, body: &str, delay_s: u32) -> Result<bool, QueueError> {
        // A late consumer must not resend a message that others have.
        if !self.extend(delivery).await? {
            return Ok(false);
        }
        self.send_later(body, delay_s).await?;
        self.acknowledge(delivery).await
    }

    /// Returns the messages that have waited long enough, and sends the others on.
    pub(super) async fn due(&self, received: Vec<Received>) -> Result<Vec<Received>, QueueError> {
        let mut due = Vec::new();
        for message in received {
            let (left, body) = (left_s(&message), message.body());
            let (Some(left), Some(body), Some(handle)) = (left, body, message.receipt_handle()) else {
                due.push(message);
                continue;
            };
            // A message that cannot be sent on now is received again after its visibility timeout.
            let sent_on = match self.send_later(body, left).await {
                Ok(()) => self.delete(&self.messages, handle).await,
                Err(error) => Err(error),
            };
            if let Err(error) = sent_on {
                tracing::warn!(%error, "a message for later could not be sent on; it is received again");
            }
        }
        Ok(due)
    }
}

/// The remaining wait of a message, if there is any.
fn left_s(message: &Received) -> Option<u32> {
    let value = message.message_attributes()?.get(WAIT)?.string_value()?;
    value.parse().ok().filter(|left| *left > 0)
}
