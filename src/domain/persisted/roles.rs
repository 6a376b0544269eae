//! Version 2 of the events that carry a role, which adds managers between readers and administrators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::v1::Sealed;
use crate::domain::event::Role;

/// A person was invited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserInvited")]
pub struct InvitedInRole {
    /// Their e-mail address, sealed.
    pub email: Sealed,
    /// Their name, sealed.
    pub name: Option<Sealed>,
    /// What they may do.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
    /// The invitation.
    pub invitation: Uuid,
}

/// The person may do something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoleChanged")]
pub struct RoleGiven {
    /// What they may do.
    pub role: Role,
}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![("RoleChanged.v2", schemars::schema_for!(RoleGiven)), ("UserInvited.v2", schemars::schema_for!(InvitedInRole))]
}
