//! Version 1 of the events of administrators' tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::permission::Permission;

/// An administrator's token exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTokenIssued {
    /// Its public id: 16 base-62 digits.
    pub token_id: String,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the token, hexadecimal.
    pub sha256: String,
    /// What it may.
    pub scopes: Vec<Permission>,
    /// Whether it may only read.
    pub read_only: bool,
    /// When it stops working, RFC 3339; never where nothing is said.
    pub expires_at: Option<String>,
}

/// An administrator's token never works again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTokenRevoked {
    /// The token.
    pub token_id: String,
}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("AdminTokenIssued.v1", schemars::schema_for!(AdminTokenIssued)),
        ("AdminTokenRevoked.v1", schemars::schema_for!(AdminTokenRevoked)),
    ]
}
