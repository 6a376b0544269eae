//! The queue that receives SES's topic.

use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use super::{
    Policy, QueueError, client, dead_letters_name,
    setup::{arn, message_attributes, queue},
};
use crate::aws::{Access, CheckedResource, FeedbackPlace, ResourceState, SetupAction};

/// Reports the queue's state, and its place. [`SetupAction::Make`] makes the queue or corrects it; the other queues must exist.
///
/// # Errors
/// When SQS cannot be reached or refuses.
pub async fn setup_feedback(
    access: &Access,
    prefix: &str,
    name: &str,
    policy: Policy,
    action: SetupAction,
) -> Result<(CheckedResource, Option<FeedbackPlace>), QueueError> {
    let client = client(access, None);
    let dead = arn(&client, &dead_letters_name(prefix)).await?;
    let mut expected = message_attributes(policy, dead.as_deref());
    // The policy names the queue itself, so the queue must exist.
    let made = match action {
        SetupAction::Make => Some(queue(&client, name, &expected, action).await?),
        SetupAction::Check => None,
    };
    let place = arn(&client, name).await?.and_then(|queue| FeedbackPlace::of(&queue, prefix));
    if place.is_none() && made.is_some() {
        return Err(super::missing(name));
    }
    expected.extend(place.as_ref().map(|place| (Attribute::Policy, place.queue_policy())));
    let checked = queue(&client, name, &expected, action).await?;
    Ok((made.filter(|made| made.found != ResourceState::Right).unwrap_or(checked), place))
}
