//! Events for sessions and links that end because they leaked. The new version of a session's end is written for this reason alone, so that
//! an older permitd reads the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::sign_in::SessionEnd;

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SessionEnd")]
pub enum EarlierEnd {
    /// Its owner signed out.
    SignedOut,
    /// Its owner ended it from elsewhere.
    EndedByOwner,
    /// An administrator ended it.
    EndedByAdministrator,
    /// The person has another password.
    PasswordChanged,
    /// The person was disabled.
    Disabled,
    /// The person was deleted.
    Deleted,
    /// The person may do something else.
    RoleChanged,
    /// There were newer ones, as many as one person may have.
    TooMany,
}

impl From<EarlierEnd> for SessionEnd {
    fn from(reason: EarlierEnd) -> Self {
        match reason {
            EarlierEnd::SignedOut => Self::SignedOut,
            EarlierEnd::EndedByOwner => Self::EndedByOwner,
            EarlierEnd::EndedByAdministrator => Self::EndedByAdministrator,
            EarlierEnd::PasswordChanged => Self::PasswordChanged,
            EarlierEnd::Disabled => Self::Disabled,
            EarlierEnd::Deleted => Self::Deleted,
            EarlierEnd::RoleChanged => Self::RoleChanged,
            EarlierEnd::TooMany => Self::TooMany,
        }
    }
}

/// The reason of a session's end, if the first version of the event knows it.
pub(super) fn earlier_end(reason: SessionEnd) -> Option<EarlierEnd> {
    match reason {
        SessionEnd::SignedOut => Some(EarlierEnd::SignedOut),
        SessionEnd::EndedByOwner => Some(EarlierEnd::EndedByOwner),
        SessionEnd::EndedByAdministrator => Some(EarlierEnd::EndedByAdministrator),
        SessionEnd::PasswordChanged => Some(EarlierEnd::PasswordChanged),
        SessionEnd::Disabled => Some(EarlierEnd::Disabled),
        SessionEnd::Deleted => Some(EarlierEnd::Deleted),
        SessionEnd::RoleChanged => Some(EarlierEnd::RoleChanged),
        SessionEnd::TooMany => Some(EarlierEnd::TooMany),
        SessionEnd::Leaked => None,
    }
}

/// The session never works again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionEnded")]
pub struct SessionEndedFor {
    /// Which.
    pub session: String,
    /// Why.
    pub reason: SessionEnd,
}

/// The link was found where others could read it, and does not work any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkVoided {
    /// Which link of the person's.
    pub number: u32,
}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("SessionEnded.v2", schemars::schema_for!(SessionEndedFor)),
        ("LinkVoided.v1", schemars::schema_for!(LinkVoided)),
    ]
}
