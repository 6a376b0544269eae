//! Version 1 of every event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::leaks::EarlierEnd;
use crate::domain::{
    event::{ImportCounts, Role},
    guard::Excess,
    link::LinkPurpose,
    sign_in::SignInMethod,
};

/// The kind of a refusal that was recorded before refusals had kinds.
pub const MAIL_FAILED: &str = "refused for good";

/// Text that is sealed with the person's own key: base64 of XChaCha20-Poly1305.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sealed(pub String);

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Role")]
pub enum EarlyRole {
    /// Reads the data.
    Reader,
    /// Administers.
    Admin,
}

impl From<EarlyRole> for Role {
    fn from(role: EarlyRole) -> Self {
        match role {
            EarlyRole::Reader => Self::Reader,
            EarlyRole::Admin => Self::Admin,
        }
    }
}

/// Why a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RevocationReason")]
pub enum EarlierReason {
    /// Somebody asked for it.
    Requested,
    /// Its owner was deleted.
    UserDeleted,
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SignInMethod")]
pub enum EarlierMethod {
    /// By a password.
    Password,
    /// By a password and a code of the second factor.
    PasswordAndCode,
    /// By a password and a recovery code.
    PasswordAndRecoveryCode,
}

impl From<EarlierMethod> for SignInMethod {
    fn from(method: EarlierMethod) -> Self {
        match method {
            EarlierMethod::Password => Self::Password,
            EarlierMethod::PasswordAndCode => Self::PasswordAndCode,
            EarlierMethod::PasswordAndRecoveryCode => Self::PasswordAndRecoveryCode,
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* })*

        /// The JSON Schema of every event's data: `(file name, schema)`.
        pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
            vec![$((concat!(stringify!($name), ".v1"), schemars::schema_for!($name))),*]
        }
    };
}

events! {
    /// A person was invited.
    UserInvited {
        /// Their e-mail address, sealed.
        email: Sealed,
        /// Their name, sealed.
        name: Option<Sealed>,
        /// What they may do.
        role: EarlyRole,
        /// The plan of their keys.
        plan: String,
        /// The invitation.
        invitation: Uuid,
    }
    /// The invitation is to be mailed again.
    InvitationResent {
        /// The new invitation.
        invitation: Uuid,
    }
    /// The person's keys stop working until they are enabled.
    UserDisabled {}
    /// The person's keys work again.
    UserEnabled {}
    /// The person was deleted.
    UserDeleted {}
    /// The person may do something else.
    RoleChanged {
        /// What they may do.
        role: EarlyRole,
    }
    /// The person's keys have another plan.
    PlanAssigned {
        /// Which.
        plan: String,
    }
    /// A key exists.
    ApiKeyIssued {
        /// Its public id: 16 base-62 digits.
        key_id: String,
        /// SHA-256 of the key, hexadecimal.
        sha256: String,
        /// The last four characters of its secret.
        last_four: String,
        /// Which server secret it was derived from.
        secret_version: u32,
        /// The invitation that it fulfils.
        invitation: Option<Uuid>,
        /// What its owner calls it.
        label: Option<String>,
    }
    /// A mail with the key was handed to the mail system.
    ApiKeyMailed {
        /// The key.
        key_id: String,
        /// The invitation that the mail fulfils.
        invitation: Uuid,
        /// The mail's Message-ID.
        message_id: String,
    }
    /// The key has a successor.
    ApiKeyRotated {
        /// The old key.
        key_id: String,
        /// The new key.
        replaced_by: String,
        /// When the old key stops working, RFC 3339.
        valid_until: String,
    }
    /// The key never works again.
    ApiKeyRevoked {
        /// The key.
        key_id: String,
        /// Why.
        reason: EarlierReason,
    }
    /// Somebody was told by mail that the key was revoked because it had leaked.
    LeakNoticeMailed {
        /// The key.
        key_id: String,
        /// Who was told: its owner, or an administrator.
        to: Uuid,
        /// What kind of refusal it was, where the mail system would not take the mail.
        refused: Option<String>,
    }
    /// The mail system will not take the mail.
    MailFailed {
        /// The invitation that was not fulfilled.
        invitation: Uuid,
        /// What the mail system said.
        reason: String,
    }
    /// A plan has these limits.
    PlanDefined {
        /// Requests per second.
        rate_per_s: f64,
        /// Requests that the token bucket holds.
        burst: u32,
        /// Requests per UTC day.
        quota_per_day: u64,
    }
    /// Nobody gets this plan any more.
    PlanRetired {}
    /// An import began.
    ImportStarted {
        /// The import.
        import: Uuid,
        /// The file's name, without its folders.
        file_name: String,
        /// The fingerprint of the definition that reads it.
        definition: String,
        /// Whether the file is the whole data set.
        replace: bool,
    }
    /// All rows of the import are visible.
    ImportCompleted {
        /// The import.
        import: Uuid,
        /// The data set's version after it.
        dataset_version: u64,
        /// What it did.
        counts: ImportCounts,
    }
    /// The import ended; the data set is as it was.
    ImportFailed {
        /// The import.
        import: Uuid,
        /// Why.
        reason: String,
    }
    /// The import would remove, reject or empty too much: nobody sees it until it is approved.
    ImportHeld {
        /// The import.
        import: Uuid,
        /// The data set's version that it was compared with; 0 where there was none.
        dataset_version: u64,
        /// What it would do.
        counts: ImportCounts,
        /// The limits that it exceeds.
        why: Vec<Excess>,
        /// The machine that keeps its file.
        node: String,
    }
    /// The import is to be done as it is.
    ImportApproved {
        /// The import.
        import: Uuid,
    }
    /// The import is not to be done.
    ImportDiscarded {
        /// The import.
        import: Uuid,
        /// Why, where nobody asked for it.
        reason: Option<String>,
    }
    /// Somebody ended the import before its rows were visible.
    ImportCancelled {
        /// The import.
        import: Uuid,
    }
    /// The records of the data set are kept, and served to nobody.
    DataSetWithdrawn {}
    /// The records of the data set are served again.
    DataSetRestored {}
    /// The records of the data set, and their past, were removed.
    DataSetRemoved {
        /// The version that they had.
        dataset_version: u64,
    }
    /// The records of the data set go by another name now.
    DataSetRenamed {
        /// Which.
        to: String,
        /// The version that they had.
        dataset_version: u64,
    }
    /// Records that went by another name are those of this data set now.
    DataSetTakenOver {
        /// What stands for the import.
        import: Uuid,
        /// The other name.
        from: String,
        /// The fingerprint of their definition under this name.
        definition: String,
        /// Their version.
        dataset_version: u64,
        /// How many they are.
        records: u64,
    }
    /// There is a single-use link.
    LinkIssued {
        /// Which of the person's, from 1.
        number: u32,
        /// What for.
        purpose: LinkPurpose,
        /// The mail that it is in.
        mail: Uuid,
        /// SHA-256 of its token, hexadecimal.
        sha256: String,
        /// Which server secret it was derived from.
        secret_version: u32,
        /// When it stops working, RFC 3339.
        expires_at: String,
    }
    /// A mail with the link was handed to the mail system.
    LinkMailed {
        /// Which link.
        number: u32,
        /// The mail's Message-ID.
        message_id: String,
    }
    /// Somebody did what the link is for.
    LinkUsed {
        /// Which link.
        number: u32,
    }
    /// The person has this password.
    PasswordSet {
        /// Its hash as a PHC string, sealed.
        phc: Sealed,
        /// The session that set it: 16 base-62 digits.
        session: Option<String>,
    }
    /// The same password is hashed otherwise.
    PasswordRehashed {
        /// Its hash as a PHC string, sealed.
        phc: Sealed,
    }
    /// The person signed in.
    SessionStarted {
        /// The session's public id: 16 base-62 digits.
        session: String,
        /// SHA-256 of its token, hexadecimal.
        sha256: String,
        /// When it ends at the latest, RFC 3339.
        expires_at: String,
        /// Seconds without use after which it ends.
        idle_s: u32,
        /// How they signed in.
        method: EarlierMethod,
        /// Where from, sealed.
        network: Sealed,
    }
    /// The session was used.
    SessionSeen {
        /// Which.
        session: String,
    }
    /// The session never works again.
    SessionEnded {
        /// Which.
        session: String,
        /// Why.
        reason: EarlierEnd,
    }
    /// The person was given a secret for a second factor.
    SecondFactorBegun {
        /// The secret in base-32, sealed.
        secret: Sealed,
    }
    /// The person has shown that they have the second factor.
    SecondFactorConfirmed {
        /// The time step of the code.
        step: u64,
        /// The SHA-256 of each recovery code, as a JSON list, sealed.
        recovery: Sealed,
    }
    /// A code of the second factor was taken.
    SecondFactorUsed {
        /// The time step of a code by the time.
        step: Option<u64>,
        /// Which recovery code, from 0.
        recovery: Option<u8>,
    }
    /// The person has no second factor any more.
    SecondFactorRemoved {}
}
