//! Version 1 of the event that records a person's first request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The person has made their first request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationAccepted {}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![("InvitationAccepted.v1", schemars::schema_for!(InvitationAccepted))]
}
