//! Makes the queues, and compares them with their expected attributes.

use std::collections::HashMap;

use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use serde_json::{Value, json};

use super::{Policy, QueueError, client, dead_letters_name, look_up, messages_name, unavailable};
use crate::aws::{Access, CheckedResource, ResourceState};

/// The longest that SQS keeps a message, days.
const RETENTION_DAYS_MAX: u32 = 14;
const DAY_S: u32 = 86_400;

pub(super) type Attributes = HashMap<Attribute, String>;

/// Makes missing queues and corrects different ones; reports how each was found.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn setup(access: &Access, prefix: &str, policy: Policy) -> Result<Vec<CheckedResource>, QueueError> {
    let client = client(access, None);
    // The dead-letter queue comes first: the other one refers to it.
    let dead = put_right(&client, &dead_letters_name(prefix), dead_letter_attributes()).await?;
    let target = describe(&client, &dead_letters_name(prefix)).await?;
    let target = target.as_ref().and_then(|(_, attributes)| attributes.get(&Attribute::QueueArn));
    let Some(target) = target else { return Err(super::missing(&dead_letters_name(prefix))) };
    let messages = put_right(&client, &messages_name(prefix), message_attributes(policy, Some(target))).await?;
    Ok(vec![messages, dead])
}

/// Reports the state of the queues, and changes nothing.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn check(access: &Access, prefix: &str, policy: Policy) -> Result<Vec<CheckedResource>, QueueError> {
    let client = client(access, None);
    let dead = describe(&client, &dead_letters_name(prefix)).await?;
    let target = dead.as_ref().and_then(|(_, attributes)| attributes.get(&Attribute::QueueArn));
    let messages = describe(&client, &messages_name(prefix)).await?;
    let expected = message_attributes(policy, target.map(String::as_str));
    let messages =
        CheckedResource { resource: resource(&messages_name(prefix)), found: compare(messages.as_ref(), &expected) };
    let found = compare(dead.as_ref(), &dead_letter_attributes());
    Ok(vec![messages, CheckedResource { resource: resource(&dead_letters_name(prefix)), found }])
}

/// Compares a queue with its expected attributes.
pub(super) fn compare(queue: Option<&(String, Attributes)>, expected: &[(Attribute, String)]) -> ResourceState {
    let Some((_, attributes)) = queue else { return ResourceState::Missing };
    let differences = differences(attributes, expected);
    if differences.is_empty() {
        return ResourceState::Right;
    }
    let said: Vec<String> = differences.iter().map(|difference| difference.said(attributes)).collect();
    ResourceState::Different(format!("{}; `permitd aws setup` puts it right", said.join(", ")))
}

pub(super) fn resource(name: &str) -> String {
    format!("queue {name}")
}

fn dead_letter_attributes() -> Vec<(Attribute, String)> {
    vec![
        (Attribute::MessageRetentionPeriod, (RETENTION_DAYS_MAX * DAY_S).to_string()),
        (Attribute::SqsManagedSseEnabled, "true".to_owned()),
    ]
}

pub(super) fn message_attributes(policy: Policy, dead_letters: Option<&str>) -> Vec<(Attribute, String)> {
    let retention_s = policy.retention_days.clamp(1, RETENTION_DAYS_MAX) * DAY_S;
    let mut attributes = vec![
        (Attribute::VisibilityTimeout, policy.visibility_s.to_string()),
        (Attribute::MessageRetentionPeriod, retention_s.to_string()),
        (Attribute::SqsManagedSseEnabled, "true".to_owned()),
    ];
    if let Some(target) = dead_letters {
        let redrive = json!({ "deadLetterTargetArn": target, "maxReceiveCount": policy.receives_max });
        attributes.push((Attribute::RedrivePolicy, redrive.to_string()));
    }
    attributes
}

/// An attribute with another value than expected.
struct AttributeDifference<'a> {
    name: &'a Attribute,
    expected: &'a str,
}

impl AttributeDifference<'_> {
    fn said(&self, attributes: &Attributes) -> String {
        let is = attributes.get(self.name).map_or("not set", String::as_str);
        format!("{} is {is} and should be {}", self.name, self.expected)
    }
}

fn differences<'a>(attributes: &Attributes, expected: &'a [(Attribute, String)]) -> Vec<AttributeDifference<'a>> {
    let is_different = |(name, value): &&(Attribute, String)| {
        let is = attributes.get(name).map(String::as_str);
        match name {
            // A KMS key of the deployment's own encrypts as well, and is not ours to remove.
            Attribute::SqsManagedSseEnabled => {
                let own_key = attributes.get(&Attribute::KmsMasterKeyId).is_some_and(|key| !key.is_empty());
                !own_key && is != Some(value)
            }
            // Compared as JSON: the text may be written differently.
            Attribute::Policy => {
                let read = |text: &str| serde_json::from_str::<Value>(text).ok();
                is.and_then(read) != read(value)
            }
            Attribute::RedrivePolicy => !is.is_some_and(|is| is_same_redrive(is, value)),
            _ => is != Some(value),
        }
    };
    expected.iter().filter(is_different).map(|(name, value)| AttributeDifference { name, expected: value }).collect()
}

/// SQS may reorder the policy, and write its number as text.
fn is_same_redrive(one: &str, other: &str) -> bool {
    let read = |text: &str| -> Option<(String, u64)> {
        let policy: Value = serde_json::from_str(text).ok()?;
        let count = policy.get("maxReceiveCount")?;
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
        Some((policy.get("deadLetterTargetArn")?.as_str()?.to_owned(), count))
    };
    read(one).is_some() && read(one) == read(other)
}

/// A queue's URL and attributes, if the queue exists.
pub(super) async fn describe(client: &Client, name: &str) -> Result<Option<(String, Attributes)>, QueueError> {
    let Some(url) = look_up(client, name).await? else { return Ok(None) };
    let described = client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All).send().await;
    let described = described.map_err(|error| unavailable(&error))?;
    Ok(Some((url, described.attributes.unwrap_or_default())))
}

pub(super) async fn put_right(
    client: &Client,
    name: &str,
    expected: Vec<(Attribute, String)>,
) -> Result<CheckedResource, QueueError> {
    let checked = |found| Ok(CheckedResource { resource: resource(name), found });
    let Some((url, attributes)) = describe(client, name).await? else {
        let made = client.create_queue().queue_name(name).set_attributes(Some(expected.into_iter().collect()));
        made.send().await.map_err(|error| unavailable(&error))?;
        return checked(ResourceState::Made);
    };
    let differences = differences(&attributes, &expected);
    if differences.is_empty() {
        return checked(ResourceState::Right);
    }
    let said: Vec<String> = differences.iter().map(|difference| difference.said(&attributes)).collect();
    let change = differences.iter().map(|difference| (difference.name.clone(), difference.expected.to_owned()));
    let changed = client.set_queue_attributes().queue_url(url).set_attributes(Some(change.collect()));
    changed.send().await.map_err(|error| unavailable(&error))?;
    checked(ResourceState::Changed(said.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "arn:aws:sqs:eu-west-1:000000000000:permitd-dead-letters";

    #[test]
    fn a_redrive_policy_is_the_same_however_it_is_written() {
        let policy = format!(r#"{{"maxReceiveCount": 5, "deadLetterTargetArn": "{TARGET}"}}"#);
        assert!(is_same_redrive(&policy, &format!(r#"{{"deadLetterTargetArn":"{TARGET}","maxReceiveCount":"5"}}"#)));
        assert!(!is_same_redrive(&policy, &format!(r#"{{"deadLetterTargetArn":"{TARGET}","maxReceiveCount":4}}"#)));
        assert!(!is_same_redrive(&policy, r#"{"deadLetterTargetArn":"arn:other","maxReceiveCount":5}"#));
        assert!(!is_same_redrive("{}", "{}"));
    }

    #[test]
    fn an_own_key_is_encryption_too() {
        let expected = message_attributes(Policy::default(), Some(TARGET));
        let mut attributes: Attributes = expected.iter().cloned().collect();
        assert!(differences(&attributes, &expected).is_empty());
        attributes.insert(Attribute::SqsManagedSseEnabled, "false".to_owned());
        let [difference] = differences(&attributes, &expected).try_into().ok().unwrap();
        assert_eq!(difference.said(&attributes), "SqsManagedSseEnabled is false and should be true");
        attributes.insert(Attribute::KmsMasterKeyId, "alias/ours".to_owned());
        assert!(differences(&attributes, &expected).is_empty());
    }

    #[test]
    fn no_more_is_asked_of_sqs_than_it_keeps() {
        let policy = Policy { retention_days: 365, ..Policy::default() };
        let attributes: Attributes = message_attributes(policy, None).into_iter().collect();
        assert_eq!(attributes.get(&Attribute::MessageRetentionPeriod).map(String::as_str), Some("1209600"));
    }
}
