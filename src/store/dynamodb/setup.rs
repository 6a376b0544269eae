//! Makes a deployment's tables, and reports their state.
//!
//! Guarantees: nothing is ever deleted, and a table with foreign keys is not touched. Both functions can be repeated at any time,
//! also by several processes at once: what is right stays unchanged. Every wait has a bound; work that AWS has begun by then goes
//! on by itself.
//!
//! Settings of a table, beside its keys and indexes:
//! - on-demand billing: requests are paid for, capacity is not planned;
//! - encryption with the account's own key for DynamoDB (`alias/aws/dynamodb` in KMS), so that its use can be audited. Another
//!   key that the account's owner has chosen is as good;
//! - point-in-time recovery over the days of its [`TableSpec`];
//! - where the specification says so, removal of expired items;
//! - deletion protection.

mod compare;
mod expiry;
mod recovery;
mod requests;
mod wait;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_table::{UpdateTableError, builders::UpdateTableFluentBuilder},
    types::TableDescription,
};

use self::{
    compare::{Flaw, IndexState},
    wait::{Backoff, BusyReason},
};
use super::{
    Dynamo, has_code,
    schema::{IndexSpec, TableSpec},
    unavailable,
};
use crate::{
    aws::{self, CheckedResource, ResourceState},
    store::StoreError,
};

/// Makes the missing tables and indexes, repairs differences that can be repaired in place, and reports the resulting state of each
/// resource. Waits up to half an hour for an index that is added to a table with data.
///
/// # Errors
/// When DynamoDB cannot be reached or refuses, or a table does not become ready in time. Work done until then stays.
pub async fn setup(dynamo: &Dynamo, tables: &[TableSpec]) -> Result<Vec<CheckedResource>, StoreError> {
    let mut begun = Vec::new();
    // All tables are begun before the first is waited for: AWS makes them at the same time.
    for table in tables {
        begun.push(begin(dynamo, table).await?);
    }
    let mut checked = Vec::new();
    for (table, begun) in tables.iter().zip(begun) {
        match begun {
            TableBegun::Made => checked.extend(finish(dynamo, table, true).await?),
            TableBegun::Found => checked.extend(finish(dynamo, table, false).await?),
        }
    }
    Ok(checked)
}

/// Reports the state of each table and index, and changes nothing.
///
/// # Errors
/// When DynamoDB cannot be reached or refuses.
pub async fn check(dynamo: &Dynamo, tables: &[TableSpec]) -> Result<Vec<CheckedResource>, StoreError> {
    let mut checked = Vec::new();
    for table in tables {
        let name = dynamo.table(&table.name);
        let Some(found) = describe(dynamo, &name).await? else {
            checked.push(table_row(&name, ResourceState::Missing));
            continue;
        };
        checked.extend(rows(&name, table, &found));
        if !has_wrong_keys(table, &found) {
            let standing = recovery::look(dynamo, &name).await?;
            checked.push(recovery::row(&name, table, &standing));
            checked.extend(expiry::check(dynamo, &name, table).await?);
        }
    }
    Ok(checked)
}

/// The outcome of beginning a table.
enum TableBegun {
    /// The table existed.
    Found,
    /// AWS is making it.
    Made,
}

async fn begin(dynamo: &Dynamo, table: &TableSpec) -> Result<TableBegun, StoreError> {
    let name = dynamo.table(&table.name);
    if describe(dynamo, &name).await?.is_some() {
        return Ok(TableBegun::Found);
    }
    let request = requests::create(dynamo.client(), &name, table)?;
    match wait::patiently(&Backoff::FOR_A_TURN, &[BusyReason::TooMany], || request.clone().send()).await {
        Ok(_) => Ok(TableBegun::Made),
        // Another process was faster.
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(TableBegun::Found)
        }
        Err(error) => Err(unavailable(&name, &error)),
    }
}

/// Waits for a table, repairs what can be repaired, and reports its state.
async fn finish(dynamo: &Dynamo, table: &TableSpec, was_made: bool) -> Result<Vec<CheckedResource>, StoreError> {
    let name = dynamo.table(&table.name);
    let mut found = settled(dynamo, &name).await?;
    if has_wrong_keys(table, &found) {
        return Ok(rows(&name, table, &found));
    }
    let (mut changes, mut refusals) = (Vec::new(), Vec::new());
    for flaw in compare::table(table, &found) {
        let Some((request, done)) = requests::mend(dynamo.client(), &name, &flaw) else { continue };
        match send(&request).await {
            Ok(()) => changes.push(done),
            // An emulator without the setting answers that there is nothing to change.
            Err(error) if flaw.is_of_protection() && has_code(&error, "ValidationException") => {
                refusals.push(format!("{flaw}, which this service refuses ({})", aws::reason("DynamoDB", &error)));
            }
            Err(error) => return Err(unavailable(&name, &error)),
        }
        found = settled(dynamo, &name).await?;
    }
    let mut added = Vec::new();
    // DynamoDB adds one index at a time.
    for index in &table.indexes {
        if compare::index(index, &found) == IndexState::Missing {
            let sent = send(&requests::add_index(dynamo.client(), &name, index)?).await;
            sent.map_err(|error| unavailable(&name, &error))?;
            found = settled(dynamo, &name).await?;
            added.push(index_resource(&name, &index.name));
        }
    }
    let mut checked = rows(&name, table, &found);
    if let (false, Some(row)) = (refusals.is_empty(), checked.first_mut()) {
        row.found = ResourceState::Notice(refusals.join("; "));
    }
    for row in checked.iter_mut().filter(|row| row.found == ResourceState::Right) {
        if was_made || added.contains(&row.resource) {
            row.found = ResourceState::Made;
        } else if !changes.is_empty() && row.resource == table_resource(&name) {
            row.found = ResourceState::Changed(changes.join("; "));
        }
    }
    checked.push(recovery::ensure(dynamo, &name, table, was_made).await?);
    checked.extend(expiry::ensure(dynamo, &name, table, was_made).await?);
    Ok(checked)
}

/// Sends a change of a table, repeatedly while the table is busy with another.
async fn send(request: &UpdateTableFluentBuilder) -> Result<(), SdkError<UpdateTableError>> {
    let busy = [BusyReason::TooMany, BusyReason::InUse];
    wait::patiently(&Backoff::FOR_A_TURN, &busy, || request.clone().send()).await.map(|_| ())
}

async fn describe(dynamo: &Dynamo, name: &str) -> Result<Option<TableDescription>, StoreError> {
    match dynamo.client().describe_table().table_name(name).send().await {
        Ok(described) => match described.table {
            Some(table) => Ok(Some(table)),
            None => Err(StoreError::Unavailable(format!("table {name}: DynamoDB describes it by nothing"))),
        },
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => Ok(None),
        Err(error) => Err(unavailable(name, &error)),
    }
}

/// The table, once no part of it is being made or changed.
async fn settled(dynamo: &Dynamo, name: &str) -> Result<TableDescription, StoreError> {
    let look = async || match describe(dynamo, name).await? {
        // AWS may show a new table a moment late.
        None => Ok(Err("it does not show up".to_owned())),
        Some(table) => Ok(compare::unsettled(&table).map_or(Ok(table), Err)),
    };
    match wait::until(&Backoff::FOR_A_TABLE, look).await? {
        Ok(table) => Ok(table),
        Err(still) => Err(StoreError::Unavailable(format!(
            "table {name} is not ready: {still}. AWS goes on with it: run `permitd aws setup` again later"
        ))),
    }
}

fn has_wrong_keys(table: &TableSpec, found: &TableDescription) -> bool {
    compare::table(table, found).iter().any(|flaw| matches!(flaw, Flaw::Keys { .. }))
}

fn rows(name: &str, table: &TableSpec, found: &TableDescription) -> Vec<CheckedResource> {
    let flaws = compare::table(table, found);
    let (wrong, notices): (Vec<&Flaw>, Vec<&Flaw>) = flaws.iter().partition(|flaw| flaw.is_wrong());
    let words = |flaws: &[&Flaw]| flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let itself = if !wrong.is_empty() {
        ResourceState::Different(words(&wrong))
    } else if let Some(still) = compare::unsettled_table(found) {
        ResourceState::Different(format!("{still}: look again in a minute"))
    } else if !notices.is_empty() {
        ResourceState::Notice(words(&notices))
    } else {
        ResourceState::Right
    };
    let mut rows = vec![table_row(name, itself)];
    if has_wrong_keys(table, found) {
        return rows;
    }
    rows.extend(table.indexes.iter().map(|index| index_row(name, index, found)));
    rows.extend(compare::unknown_indexes(table, found).into_iter().map(|index| {
        let why = format!(
            "nothing of this deployment reads it, and every write pays for it: delete it when no older version runs, by \
             `aws dynamodb update-table --table-name {name} --global-secondary-index-updates \
             '[{{\"Delete\":{{\"IndexName\":\"{index}\"}}}}]'`"
        );
        CheckedResource { resource: index_resource(name, &index), found: ResourceState::Notice(why) }
    }));
    rows
}

fn index_row(name: &str, index: &IndexSpec, found: &TableDescription) -> CheckedResource {
    let standing = match compare::index(index, found) {
        IndexState::Right => ResourceState::Right,
        IndexState::Missing => ResourceState::Missing,
        IndexState::Building(how) => ResourceState::Different(format!("{how}: look again in a minute")),
        IndexState::Different(how) => ResourceState::Different(format!(
            "{how}: delete the index, then `permitd aws setup` makes it as it should be"
        )),
    };
    CheckedResource { resource: index_resource(name, &index.name), found: standing }
}

fn table_row(name: &str, found: ResourceState) -> CheckedResource {
    CheckedResource { resource: table_resource(name), found }
}

fn table_resource(name: &str) -> String {
    format!("table {name}")
}

fn index_resource(name: &str, index: &str) -> String {
    format!("index {name}/{index}")
}
