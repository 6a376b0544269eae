//! Time to live: DynamoDB removes items when the moment in one attribute has passed. Readers ignore expired items anyway; their
//! removal keeps the table small.

use aws_sdk_dynamodb::types::{TimeToLiveDescription, TimeToLiveSpecification, TimeToLiveStatus};

use super::{
    Dynamo,
    wait::{self, Backoff, BusyReason},
};
use crate::{
    aws::{CheckedResource, ResourceState},
    store::{
        StoreError,
        dynamodb::{schema::TableSpec, unavailable},
    },
};

/// The state of expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Items expire by this attribute, now or soon.
    By(String),
    Off,
    /// The service has no expiry, as some emulators.
    Unknown,
}

/// Asks the service, if the table needs expiry.
pub(super) async fn look(dynamo: &Dynamo, name: &str) -> Result<Expiry, StoreError> {
    let described = wait::if_known(name, dynamo.client().describe_time_to_live().table_name(name).send().await)?;
    Ok(described.map_or(Expiry::Unknown, |described| standing(described.time_to_live_description())))
}

/// Reports the state; nothing for a table that needs no expiry.
pub(super) async fn check(
    dynamo: &Dynamo,
    name: &str,
    table: &TableSpec,
) -> Result<Option<CheckedResource>, StoreError> {
    let Some(attribute) = table.expires else { return Ok(None) };
    Ok(Some(row(name, attribute, &look(dynamo, name).await?)))
}

/// Turns expiry on where needed, and reports the resulting state; nothing for a table that needs none.
pub(super) async fn ensure(
    dynamo: &Dynamo,
    name: &str,
    table: &TableSpec,
    was_made: bool,
) -> Result<Option<CheckedResource>, StoreError> {
    let Some(attribute) = table.expires else { return Ok(None) };
    let before = look(dynamo, name).await?;
    if before != Expiry::Off {
        return Ok(Some(row(name, attribute, &before)));
    }
    let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
    let wanted = wanted.map_err(|error| StoreError::Unavailable(format!("table {name}: {error}")))?;
    let request = dynamo.client().update_time_to_live().table_name(name).time_to_live_specification(wanted);
    let busy = [BusyReason::TooMany, BusyReason::InUse];
    let sent = wait::patiently(&Backoff::FOR_A_TURN, &busy, || request.clone().send()).await;
    // Another process may have been faster.
    if let Err(error) = sent
        && look(dynamo, name).await? != Expiry::By(attribute.to_owned())
    {
        return Err(unavailable(name, &error));
    }
    let mut row = row(name, attribute, &look(dynamo, name).await?);
    if row.found == ResourceState::Right {
        row.found = if was_made {
            ResourceState::Made
        } else {
            ResourceState::Changed(format!("items expire by `{attribute}` now"))
        };
    }
    Ok(Some(row))
}

fn row(name: &str, wanted: &str, standing: &Expiry) -> CheckedResource {
    let found = match standing {
        Expiry::By(attribute) if attribute == wanted => ResourceState::Right,
        Expiry::By(attribute) => ResourceState::Different(format!(
            "items expire by `{attribute}`, not by `{wanted}`: turn that off, then run `permitd aws setup`"
        )),
        Expiry::Off => ResourceState::Different("it is off: run `permitd aws setup`".to_owned()),
        Expiry::Unknown => ResourceState::Notice("this service removes no items by itself".to_owned()),
    };
    CheckedResource { resource: format!("expiry {name}"), found }
}

fn standing(described: Option<&TimeToLiveDescription>) -> Expiry {
    let Some(described) = described else { return Expiry::Off };
    match (described.time_to_live_status(), described.attribute_name()) {
        (Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling), Some(attribute)) => {
            Expiry::By(attribute.to_owned())
        }
        _ => Expiry::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_says_is_compared_with_the_attribute_wanted() {
        let described = |status, attribute: Option<&str>| {
            let described = TimeToLiveDescription::builder().time_to_live_status(status);
            standing(Some(&described.set_attribute_name(attribute.map(ToOwned::to_owned)).build()))
        };
        let found = |standing| row("x-state", "x", &standing).found;
        assert_eq!(found(described(TimeToLiveStatus::Enabled, Some("x"))), ResourceState::Right);
        assert_eq!(found(described(TimeToLiveStatus::Enabling, Some("x"))), ResourceState::Right);
        assert!(found(described(TimeToLiveStatus::Enabled, Some("until"))).is_wrong());
        assert!(found(described(TimeToLiveStatus::Disabled, None)).is_wrong());
        assert_eq!(standing(None), Expiry::Off);
        assert!(!found(Expiry::Unknown).is_wrong());
    }
}
