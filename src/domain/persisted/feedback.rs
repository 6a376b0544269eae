//! Version 1 of the events that report on mails after they were handed over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::v1::Sealed;
use crate::domain::event::BounceKind;

/// A mail came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailBounced {
    /// Whether another mail would come back as well.
    pub kind: BounceKind,
    /// What kind of bounce it was, such as `Permanent/General 5.1.1`; nothing of the person is in it.
    pub class: String,
    /// What the mail system said, sealed.
    pub reason: Sealed,
    /// The mail's Message-ID, before the `@`, where it is known.
    pub message_id: Option<String>,
}

/// Whoever got a mail does not want it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailComplained {
    /// What kind of complaint it was, such as `abuse`; nothing of the person is in it.
    pub class: String,
    /// What the mail system said, sealed.
    pub reason: Sealed,
    /// The mail's Message-ID, before the `@`, where it is known.
    pub message_id: Option<String>,
}

/// The address gets mail again, although one came back or was not wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailAllowed {}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("MailAllowed.v1", schemars::schema_for!(MailAllowed)),
        ("MailBounced.v1", schemars::schema_for!(MailBounced)),
        ("MailComplained.v1", schemars::schema_for!(MailComplained)),
    ]
}
