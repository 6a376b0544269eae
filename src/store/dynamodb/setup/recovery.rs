//! Point-in-time recovery: a table can be restored to any second of its last days.

use aws_sdk_dynamodb::types::{
    ContinuousBackupsDescription, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
};

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

/// The days if the service names none.
const DAYS_DEFAULT: u32 = 35;

/// The state of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// It is on, over so many days if the service tells.
    On(Option<u32>),
    Off,
    /// The service has no recovery, as some emulators.
    Unknown,
}

/// Asks the service.
pub(super) async fn look(dynamo: &Dynamo, name: &str) -> Result<Recovery, StoreError> {
    let described = wait::if_known(name, dynamo.client().describe_continuous_backups().table_name(name).send().await)?;
    Ok(described.map_or(Recovery::Unknown, |described| standing(described.continuous_backups_description())))
}

/// Turns recovery on, or sets its days, where needed, and reports the resulting state.
pub(super) async fn ensure(
    dynamo: &Dynamo,
    name: &str,
    table: &TableSpec,
    was_made: bool,
) -> Result<CheckedResource, StoreError> {
    let before = look(dynamo, name).await?;
    if !is_to_be_set(table, before) {
        return Ok(row(name, table, &before));
    }
    let days = i32::try_from(table.recovery_days).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let wanted = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .recovery_period_in_days(days)
        .build()
        .map_err(|error| StoreError::Unavailable(format!("table {name}: {error}")))?;
    let request =
        dynamo.client().update_continuous_backups().table_name(name).point_in_time_recovery_specification(wanted);
    let busy = [BusyReason::TooMany, BusyReason::InUse, BusyReason::BackupsNotYet];
    let sent = wait::patiently(&Backoff::FOR_A_TURN, &busy, || request.clone().send()).await;
    sent.map_err(|error| unavailable(name, &error))?;
    let mut row = row(name, table, &look(dynamo, name).await?);
    if row.found == ResourceState::Right {
        row.found = if was_made {
            ResourceState::Made
        } else {
            ResourceState::Changed(format!("it is on now, for {days} days"))
        };
    }
    Ok(row)
}

/// The state, for people.
pub(super) fn row(name: &str, table: &TableSpec, standing: &Recovery) -> CheckedResource {
    let wanted = table.recovery_days;
    let found = match *standing {
        Recovery::On(Some(days)) if days == wanted => ResourceState::Right,
        Recovery::On(None) if wanted == DAYS_DEFAULT => ResourceState::Right,
        Recovery::On(Some(days)) => {
            ResourceState::Different(format!("it reaches back {days} days, not {wanted}: run `permitd aws setup`"))
        }
        Recovery::On(None) => {
            ResourceState::Notice(format!("it is on; for {wanted} days or others, this service does not say"))
        }
        Recovery::Off => ResourceState::Different("it is off: run `permitd aws setup`".to_owned()),
        Recovery::Unknown => ResourceState::Notice("this service has no continuous backups".to_owned()),
    };
    CheckedResource { resource: format!("recovery {name}"), found }
}

fn is_to_be_set(table: &TableSpec, standing: Recovery) -> bool {
    match standing {
        Recovery::On(days) => days.is_some_and(|days| days != table.recovery_days),
        Recovery::Off => true,
        Recovery::Unknown => false,
    }
}

fn standing(described: Option<&ContinuousBackupsDescription>) -> Recovery {
    let recovery = described.and_then(|backups| backups.point_in_time_recovery_description());
    let Some(recovery) = recovery else { return Recovery::Off };
    match recovery.point_in_time_recovery_status() {
        Some(PointInTimeRecoveryStatus::Enabled) => {
            Recovery::On(recovery.recovery_period_in_days().and_then(|days| u32::try_from(days).ok()))
        }
        _ => Recovery::Off,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{ContinuousBackupsStatus, PointInTimeRecoveryDescription};

    use super::*;
    use crate::store::dynamodb::schema::{self, PERSONAL};

    fn described(status: PointInTimeRecoveryStatus, days: Option<i32>) -> ContinuousBackupsDescription {
        let recovery = PointInTimeRecoveryDescription::builder()
            .point_in_time_recovery_status(status)
            .set_recovery_period_in_days(days);
        ContinuousBackupsDescription::builder()
            .continuous_backups_status(ContinuousBackupsStatus::Enabled)
            .point_in_time_recovery_description(recovery.build())
            .build()
            .unwrap()
    }

    #[test]
    fn what_the_service_says_is_compared_with_the_days_wanted() {
        let tables = schema::base_tables();
        let personal = tables.iter().find(|table| table.name == PERSONAL).unwrap();
        let found = |table, standing| row("x", table, &standing).found;
        let on = |days| standing(Some(&described(PointInTimeRecoveryStatus::Enabled, days)));
        let off = standing(Some(&described(PointInTimeRecoveryStatus::Disabled, None)));
        assert_eq!((off, standing(None)), (Recovery::Off, Recovery::Off));
        assert_eq!(found(personal, on(Some(7))), ResourceState::Right);
        assert_eq!(found(&tables[0], on(Some(35))), ResourceState::Right);
        assert_eq!(found(&tables[0], on(None)), ResourceState::Right, "35 days are DynamoDB's own");
        assert!(matches!(found(personal, on(None)), ResourceState::Notice(_)));
        assert!(found(personal, on(Some(35))).is_wrong() && found(personal, off).is_wrong());
        assert!(!found(personal, Recovery::Unknown).is_wrong());
        let to_be_set =
            [on(Some(7)), on(Some(35)), on(None), off, Recovery::Unknown].map(|at| is_to_be_set(personal, at));
        assert_eq!(to_be_set, [false, true, false, true, false]);
    }
}
