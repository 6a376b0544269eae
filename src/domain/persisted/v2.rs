//! Version 2 of the events that stored others' words in plain: a mail system's, which may repeat the address, and the owner's label of a
//! key. Both are sealed like the person's own data now, and erased with it. Also version 2 of a key's revocation, which knows more reasons;
//! it is written for those alone, so that an older permitd reads the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::v1::Sealed;
use crate::domain::event::RevocationReason;

/// A key exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyIssued")]
pub struct SealedKeyIssued {
    /// Its public id: 16 base-62 digits.
    pub key_id: String,
    /// SHA-256 of the key, hexadecimal.
    pub sha256: String,
    /// The last four characters of its secret.
    pub last_four: String,
    /// Which server secret it was derived from.
    pub secret_version: u32,
    /// The invitation that it fulfils.
    pub invitation: Option<Uuid>,
    /// What its owner calls it, sealed.
    pub label: Option<Sealed>,
}

/// The key never works again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyRevoked")]
pub struct KeyRevokedFor {
    /// The key.
    pub key_id: String,
    /// Why.
    pub reason: RevocationReason,
}

/// The mail system will not take the mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MailFailed")]
pub struct SealedMailFailed {
    /// The invitation that was not fulfilled.
    pub invitation: Uuid,
    /// What kind of refusal it was, such as `550 5.1.1, refused the address`; nothing of the person is in it.
    pub class: String,
    /// What the mail system said, sealed.
    pub reason: Sealed,
}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("ApiKeyIssued.v2", schemars::schema_for!(SealedKeyIssued)),
        ("ApiKeyRevoked.v2", schemars::schema_for!(KeyRevokedFor)),
        ("MailFailed.v2", schemars::schema_for!(SealedMailFailed)),
    ]
}
