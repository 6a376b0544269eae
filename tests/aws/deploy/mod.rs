//! What a deployment in AWS consists of: made and checked by `permitd aws`, described by the template in `deploy/`, started by
//! the compose file.

mod command;
mod compose;
mod deployed;
mod operations;
mod tables;
mod template;

use permitd::{
    aws::{CheckedResource, ResourceState},
    store::dynamodb::Dynamo,
};

use crate::support::emulator::{self, Kind};

/// A deployment of its own in an emulator.
async fn deployment(kind: Kind) -> Dynamo {
    Dynamo::new(&emulator::access(emulator::shared_endpoints(kind)).await, &emulator::prefix())
}

/// How the resource of this name stands.
fn found<'c>(checked: &'c [CheckedResource], resource: &str) -> &'c ResourceState {
    let found = checked.iter().find(|row| row.resource == resource);
    &found.unwrap_or_else(|| panic!("no {resource} in {checked:#?}")).found
}
