//! Connects SES's reports on mails with the mailers' queue: SES publishes to a topic, and the queue is subscribed to it.

use aws_sdk_sesv2::types::{EventDestinationDefinition, EventType, SnsDestination};
use aws_sdk_sns::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::{Value, json};

use super::{SesError, client};
use crate::aws::{self, Access, CheckedResource, FeedbackPlace, ResourceState, SetupAction};

/// The name of the event destination for bounces and complaints.
const DESTINATION: &str = "permitd-feedback";
const EVENTS: [EventType; 2] = [EventType::Bounce, EventType::Complaint];

/// Reports the state of the topic, the queue's subscription and the destination that lets a configuration set publish to the topic.
/// [`SetupAction::Make`] makes them where they are missing.
///
/// # Errors
/// When SNS or SES cannot be reached or refuses.
pub async fn setup_feedback(
    access: &Access,
    place: &FeedbackPlace,
    configuration_set: &str,
    action: SetupAction,
) -> Result<Vec<CheckedResource>, SesError> {
    let config = Builder::from(access.config()).interceptor(access.counter());
    let config = match &access.endpoints().sns {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    };
    let sns = Client::from_conf(config.build());
    let topic = topic(&sns, place, configuration_set, action).await?;
    let is_there = topic != ResourceState::Missing;
    let subscription = if is_there { subscription(&sns, place, action).await? } else { ResourceState::Missing };
    let destination = destination(access, place, configuration_set, action).await?;
    let name = place.topic.rsplit(':').next().unwrap_or_default();
    let checked = |resource: String, found| CheckedResource { resource, found };
    Ok(vec![
        checked(format!("topic {name}"), topic),
        checked(format!("subscription of {} to {name}", place.queue_name()), subscription),
        checked(format!("event destination {configuration_set}/{DESTINATION}"), destination),
    ])
}

/// The topic's policy: only SES may publish, for this configuration set.
fn policy(place: &FeedbackPlace, configuration_set: &str) -> Value {
    let (partition, region, account) = place.parts();
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Feedback",
            "Effect": "Allow",
            "Principal": { "Service": "ses.amazonaws.com" },
            "Action": "sns:Publish",
            "Resource": place.topic,
            "Condition": { "StringEquals": {
                "AWS:SourceAccount": account,
                "AWS:SourceArn": format!("arn:{partition}:ses:{region}:{account}:configuration-set/{configuration_set}")
            } }
        }]
    })
}

async fn topic(sns: &Client, place: &FeedbackPlace, set: &str, action: SetupAction) -> Result<ResourceState, SesError> {
    let expected = policy(place, set);
    match sns.get_topic_attributes().topic_arn(&place.topic).send().await {
        Ok(found) => {
            let policy = found.attributes().and_then(|attributes| attributes.get("Policy"));
            let policy = policy.and_then(|policy| serde_json::from_str::<Value>(policy).ok());
            if policy.as_ref() == Some(&expected) {
                return Ok(ResourceState::Right);
            }
            let different = "its policy is not that SES may publish".to_owned();
            if action == SetupAction::Check {
                return Ok(ResourceState::Different(format!("{different}; `permitd aws setup` puts it right")));
            }
            let change = sns.set_topic_attributes().topic_arn(&place.topic).attribute_name("Policy");
            change.attribute_value(expected.to_string()).send().await.map_err(|error| failed(&error))?;
            Ok(ResourceState::Changed(different))
        }
        Err(error) if !is_not_found(&error) => Err(failed(&error)),
        Err(_) if action == SetupAction::Check => Ok(ResourceState::Missing),
        Err(_) => {
            let name = place.topic.rsplit(':').next().unwrap_or_default();
            let made = sns.create_topic().name(name).attributes("Policy", expected.to_string());
            made.send().await.map_err(|error| failed(&error))?;
            Ok(ResourceState::Made)
        }
    }
}

async fn subscription(sns: &Client, place: &FeedbackPlace, action: SetupAction) -> Result<ResourceState, SesError> {
    let mut pages = sns.list_subscriptions_by_topic().topic_arn(&place.topic).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed(&error))?;
        if page.subscriptions().iter().any(|found| found.endpoint() == Some(place.queue.as_str())) {
            return Ok(ResourceState::Right);
        }
    }
    if action == SetupAction::Check {
        return Ok(ResourceState::Missing);
    }
    let made = sns.subscribe().topic_arn(&place.topic).protocol("sqs").endpoint(&place.queue);
    made.attributes("RawMessageDelivery", "true").send().await.map_err(|error| failed(&error))?;
    Ok(ResourceState::Made)
}

async fn destination(
    access: &Access,
    place: &FeedbackPlace,
    set: &str,
    action: SetupAction,
) -> Result<ResourceState, SesError> {
    let ses = client(access);
    let found = match ses.get_configuration_set_event_destinations().configuration_set_name(set).send().await {
        Ok(found) => found,
        // The check of the configuration set reports its absence.
        Err(error) if super::is_not_found(&error) => return Ok(ResourceState::Missing),
        Err(error) => return Err(error.into()),
    };
    let found = found.event_destinations().iter().find(|destination| destination.name() == DESTINATION);
    let Some(found) = found else {
        if action == SetupAction::Check {
            return Ok(ResourceState::Missing);
        }
        let make = ses.create_configuration_set_event_destination().configuration_set_name(set);
        make.event_destination_name(DESTINATION).event_destination(definition(place)?).send().await?;
        return Ok(ResourceState::Made);
    };
    let topic = found.sns_destination().map(SnsDestination::topic_arn);
    let tells_all = EVENTS.iter().all(|event| found.matching_event_types().contains(event));
    if found.enabled() && tells_all && topic == Some(place.topic.as_str()) {
        return Ok(ResourceState::Right);
    }
    let different = "it does not publish bounces and complaints to the topic".to_owned();
    if action == SetupAction::Check {
        return Ok(ResourceState::Different(format!("{different}; `permitd aws setup` puts it right")));
    }
    let change = ses.update_configuration_set_event_destination().configuration_set_name(set);
    change.event_destination_name(DESTINATION).event_destination(definition(place)?).send().await?;
    Ok(ResourceState::Changed(different))
}

fn definition(place: &FeedbackPlace) -> Result<EventDestinationDefinition, SesError> {
    let topic = SnsDestination::builder().topic_arn(&place.topic).build();
    let topic = topic.map_err(|error| SesError(error.to_string()))?;
    let definition = EventDestinationDefinition::builder().enabled(true).sns_destination(topic);
    Ok(definition.set_matching_event_types(Some(EVENTS.to_vec())).build())
}

fn failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> SesError {
    SesError(aws::reason("SNS", error))
}

fn is_not_found<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error, SdkError::ServiceError(answer) if matches!(answer.err().code(), Some("NotFound" | "NotFoundException")))
}
