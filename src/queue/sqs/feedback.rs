//! The queue that receives SES's topic.

use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use super::{
    Policy, QueueError, client, dead_letters_name,
    setup::{compare, describe, message_attributes, put_right, resource},
};
use crate::aws::{Access, CheckedResource, FeedbackPlace, ResourceState};

/// Makes the queue or corrects it; reports how it was found, and its place. The other queues must exist.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn setup_feedback(
    access: &Access,
    prefix: &str,
    name: &str,
    policy: Policy,
) -> Result<(CheckedResource, Option<FeedbackPlace>), QueueError> {
    let client = client(access, None);
    let dead = arn(&client, &dead_letters_name(prefix)).await?;
    let mut expected = message_attributes(policy, dead.as_deref());
    let made = put_right(&client, name, expected.clone()).await?;
    let place = arn(&client, name).await?.and_then(|queue| FeedbackPlace::of(&queue, prefix));
    let Some(place) = place else { return Err(super::missing(name)) };
    // The policy names the queue itself, so the queue must exist.
    expected.push((Attribute::Policy, place.queue_policy()));
    let changed = put_right(&client, name, expected).await?;
    Ok((if made.found == ResourceState::Right { changed } else { made }, Some(place)))
}

/// Reports the queue's state and place, and changes nothing.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn check_feedback(
    access: &Access,
    prefix: &str,
    name: &str,
    policy: Policy,
) -> Result<(CheckedResource, Option<FeedbackPlace>), QueueError> {
    let client = client(access, None);
    let dead = arn(&client, &dead_letters_name(prefix)).await?;
    let mut expected = message_attributes(policy, dead.as_deref());
    let place = arn(&client, name).await?.and_then(|queue| FeedbackPlace::of(&queue, prefix));
    expected.extend(place.as_ref().map(|place| (Attribute::Policy, place.queue_policy())));
    let found = compare(describe(&client, name).await?.as_ref(), &expected);
    Ok((CheckedResource { resource: resource(name), found }, place))
}

async fn arn(client: &aws_sdk_sqs::Client, name: &str) -> Result<Option<String>, QueueError> {
    let described = describe(client, name).await?;
    Ok(described.and_then(|(_, mut attributes)| attributes.remove(&Attribute::QueueArn)))
}
