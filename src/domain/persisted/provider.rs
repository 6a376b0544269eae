//! Version 2 of the start of a session, for people who sign in at a provider. It is written for them alone, so that an older permitd reads
//! the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::v1::{EarlierMethod, Sealed};
use crate::domain::sign_in::SignInMethod;

/// The person signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionStarted")]
pub struct SessionStartedBy {
    /// The session's public id: 16 base-62 digits.
    pub session: String,
    /// SHA-256 of its token, hexadecimal.
    pub sha256: String,
    /// When it ends at the latest, RFC 3339.
    pub expires_at: String,
    /// Seconds without use after which it ends.
    pub idle_s: u32,
    /// How they signed in.
    pub method: SignInMethod,
    /// Where from, sealed.
    pub network: Sealed,
}

/// The sign-in method, if the first version of the event knows it.
pub(super) fn earlier(method: SignInMethod) -> Option<EarlierMethod> {
    match method {
        SignInMethod::Password => Some(EarlierMethod::Password),
        SignInMethod::PasswordAndCode => Some(EarlierMethod::PasswordAndCode),
        SignInMethod::PasswordAndRecoveryCode => Some(EarlierMethod::PasswordAndRecoveryCode),
        SignInMethod::Provider
        | SignInMethod::ProviderAndItsFactor
        | SignInMethod::ProviderAndCode
        | SignInMethod::ProviderAndRecoveryCode => None,
    }
}

/// The JSON Schema of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![("SessionStarted.v2", schemars::schema_for!(SessionStartedBy))]
}
