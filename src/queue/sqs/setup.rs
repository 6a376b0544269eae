//! Makes the queues, and compares them with their expected attributes.

use std::collections::HashMap;

use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use serde_json::{Value, json};

use super::{Policy, QueueError, client, dead_letters_name, look_up, messages_name, unavailable};
use crate::aws::{Access, CheckedResource, ResourceState, SetupAction};

/// The longest that SQS keeps a message, days.
const RETENTION_DAYS_MAX: u32 = 14;
const DAY_S: u32 = 86_400;

type Attributes = HashMap<Attribute, String>;

/// Reports the state of the queues. [`SetupAction::Make`] makes missing queues and corrects different ones.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn setup(
    access: &Access,
    prefix: &str,
    policy: Policy,
    action: SetupAction,
) -> Result<Vec<CheckedResource>, QueueError> {
    let client = client(access, None);
    // The dead-letter queue comes first: the other one refers to it.
    let name = dead_letters_name(prefix);
    let dead = queue(&client, &name, &dead_letter_attributes(), action).await?;
    let target = arn(&client, &name).await?;
    if target.is_none() && action == SetupAction::Make {
        return Err(super::missing(&name));
    }
    let expected = message_attributes(policy, target.as_deref());
    Ok(vec![queue(&client, &messages_name(prefix), &expected, action).await?, dead])
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
async fn describe(client: &Client, name: &str) -> Result<Option<(String, Attributes)>, QueueError> {
    let Some(url) = look_up(client, name).await? else { return Ok(None) };
    let described = client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All).send().await;
    let described = described.map_err(|error| unavailable(&error))?;
    Ok(Some((url, described.attributes.unwrap_or_default())))
}

/// The ARN of a queue; none if there is no such queue.
pub(super) async fn arn(client: &Client, name: &str) -> Result<Option<String>, QueueError> {
    let described = describe(client, name).await?;
    Ok(described.and_then(|(_, mut attributes)| attributes.remove(&Attribute::QueueArn)))
}

/// Compares a queue with its expected attributes, and makes or corrects it if that is the action.
pub(super) async fn queue(
    client: &Client,
    name: &str,
    expected: &[(Attribute, String)],
    action: SetupAction,
) -> Result<CheckedResource, QueueError> {
    let checked = |found| Ok(CheckedResource { resource: format!("queue {name}"), found });
    let Some((url, attributes)) = describe(client, name).await? else {
        if action == SetupAction::Check {
            return checked(ResourceState::Missing);
        }
        let made = client.create_queue().queue_name(name).set_attributes(Some(expected.iter().cloned().collect()));
        made.send().await.map_err(|error| unavailable(&error))?;
        return checked(ResourceState::Made);
    };
    let differences = differences(&attributes, expected);
    if differences.is_empty() {
        return checked(ResourceState::Right);
    }
    let said: Vec<String> = differences.iter().map(|difference| difference.said(&attributes)).collect();
    let said = said.join(", ");
    if action == SetupAction::Check {
        return checked(ResourceState::Different(format!("{said}; `permitd aws setup` puts it right")));
    }
    let change = differences.iter().map(|difference| (difference.name.clone(), difference.expected.to_owned()));
    let changed = client.set_queue_attributes().queue_url(url).set_attributes(Some(change.collect()));
    changed.send().await.map_err(|error| unavailable(&error))?;
    checked(ResourceState::Changed(said))
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
