//! The rows of the views as both stores keep them: one JSON document each. Beside the document a store keeps the fields that it
//! searches or orders rows by, and the version: a row replaces only an older one. SQLite keeps them in columns
//! (`sqlite/views/rows.rs`), DynamoDB in the attributes of its keys and indexes (`dynamodb/rows.rs`). They follow from the
//! document; `events verify` tells where they differ.
//!
//! An absent field is none, or the default. Moments are in microseconds since the Unix epoch.

use jiff::{Timestamp, fmt::serde::timestamp::microsecond as us};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;
use crate::domain::{
    bounds::KeyScopes,
    event::{ImportCounts, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::NoticeChoice,
    permission::Permission,
    plan::{KeyRules, Limits},
    user::MailStop,
    view::{
        ImportRow, InvitationProgress, InvitationState, KeyRow, PlanRow, SessionRow, TokenRow, UserRow, UserStatus,
    },
};

/// A row of the views, as its document.
pub(super) trait ViewRow: Sized {
    /// The view that the row belongs to.
    const VIEW: &'static str;

    /// The version of the commit that last changed it.
    fn version(&self) -> u64;

    /// Its document.
    fn to_document(&self) -> Result<String, StoreError>;

    /// The row that a document holds.
    ///
    /// # Errors
    /// When the text is no document of such a row.
    fn from_document(document: &str) -> Result<Self, StoreError>;
}

/// A document can hold personal data: the error names the position, not the content.
fn unreadable(view: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!(
        "a row of the view {view} cannot be read at character {} of its document; `permitd events replay` writes it anew",
        error.column()
    ))
}

macro_rules! documents {
    ($($row:ident, $document:ident, $view:literal;)*) => {$(
        impl ViewRow for $row {
            const VIEW: &'static str = $view;

            fn version(&self) -> u64 {
                self.version
            }

            fn to_document(&self) -> Result<String, StoreError> {
                let mut bytes = Vec::with_capacity(512);
                let written = $document::serialize(self, &mut serde_json::Serializer::new(&mut bytes));
                written.map_err(|error| unreadable($view, &error))?;
                String::from_utf8(bytes).map_err(|error| StoreError::Corrupt(error.utf8_error().to_string()))
            }

            fn from_document(document: &str) -> Result<Self, StoreError> {
                let mut json = serde_json::Deserializer::from_str(document);
                let row = $document::deserialize(&mut json).and_then(|row| json.end().map(|()| row));
                row.map_err(|error| unreadable($view, &error))
            }
        }
    )*};
}

documents! {
    UserRow, UserDocument, "users";
    KeyRow, KeyDocument, "keys";
    SessionRow, SessionDocument, "sessions";
    PlanRow, PlanDocument, "plans";
    ImportRow, ImportDocument, "imports";
    TokenRow, TokenDocument, "tokens";
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserRow")]
struct UserDocument {
    id: UserId,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    role: Role,
    plan: String,
    status: UserStatus,
    #[serde(with = "us::required")]
    invited_at: Timestamp,
    #[serde(with = "us::required")]
    changed_at: Timestamp,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mail_failure: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    notices: NoticeChoice,
    #[serde(with = "InvitationDocument")]
    invitation: InvitationProgress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mail_stop: Option<MailStop>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    first_request_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "InvitationProgress")]
struct InvitationDocument {
    state: InvitationState,
    #[serde(with = "us::required")]
    since: Timestamp,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyRow")]
struct KeyDocument {
    id: KeyId,
    user: UserId,
    version: u64,
    #[serde(with = "sha256")]
    hash: KeyHash,
    last_four: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    scopes: KeyScopes,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    notice_at: Option<Timestamp>,
    #[serde(with = "us::required")]
    issued_at: Timestamp,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    mailed_at: Option<Timestamp>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_by: Option<KeyId>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocation_reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SessionRow")]
struct SessionDocument {
    id: KeyId,
    user: UserId,
    version: u64,
    #[serde(with = "sha256")]
    hash: KeyHash,
    #[serde(with = "us::required")]
    started_at: Timestamp,
    #[serde(with = "us::required")]
    expires_at: Timestamp,
    #[serde(with = "us::required")]
    idle_at: Timestamp,
    #[serde(with = "us::required")]
    seen_at: Timestamp,
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PlanRow")]
struct PlanDocument {
    name: String,
    version: u64,
    #[serde(with = "LimitsDocument")]
    limits: Limits,
    #[serde(default, skip_serializing_if = "is_default")]
    rules: KeyRules,
    retired: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsDocument {
    #[serde(with = "exact")]
    rate_per_s: f64,
    burst: u32,
    quota_per_day: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ImportRow")]
struct ImportDocument {
    id: Uuid,
    dataset: String,
    version: u64,
    file_name: String,
    definition: String,
    replace: bool,
    status: String,
    #[serde(with = "us::required")]
    started_at: Timestamp,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset_version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<ImportCounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TokenRow")]
struct TokenDocument {
    id: KeyId,
    version: u64,
    #[serde(with = "sha256")]
    hash: KeyHash,
    name: String,
    scopes: Vec<Permission>,
    read_only: bool,
    #[serde(with = "us::required")]
    issued_at: Timestamp,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(with = "us::optional", default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

/// A hash in hexadecimal.
mod sha256 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::KeyHash;

    pub(super) fn serialize<S: Serializer>(hash: &KeyHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
        KeyHash::parse(<&str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A number as a text of digits: a JSON reader may round a fraction to a neighbour.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Rows for tests.
#[cfg(test)]
pub(super) mod samples {
    use super::ViewRow;
    use crate::domain::view::Rows;

    /// Rows with every field.
    pub(super) const FULL: [&str; 6] = [
        r#"{"id": "00000000-0000-0000-0000-000000000007", "version": 3, "email": "ana@example.org", "name": "Ana \"Ann\" Ñandú",
            "role": "admin", "plan": "default", "status": "active", "invited_at": -1, "changed_at": 2, "deleted_at": 3,
            "mail_failure": "mailbox full", "notices": {"expiry": true, "keys": true, "quota": false},
            "invitation": {"state": "mailed", "since": 2, "expires_at": 9}, "mail_stop": "bounced", "first_request_at": 5}"#,
        r#"{"id": "0123456789abcdef", "user": "00000000-0000-0000-0000-000000000007", "version": 2,
            "hash": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", "last_four": "abcd", "label": "laptop",
            "expires_at": 9000000, "allowed_ips": ["192.0.2.0/24", "2001:db8::1"],
            "scopes": {"datasets": ["permits"], "actions": ["read"]}, "notice_at": 8000000, "issued_at": 5, "mailed_at": 6,
            "valid_until": 7, "replaced_by": "0123456789abcdeg", "revoked_at": 8, "revocation_reason": "requested"}"#,
        r#"{"id": "0123456789abcdef", "user": "00000000-0000-0000-0000-000000000007", "version": 2,
            "hash": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", "started_at": 5, "expires_at": 9,
            "idle_at": 8, "seen_at": 6, "method": "password", "network": "192.0.2.1", "ended_at": 7, "end_reason": "signed_out"}"#,
        r#"{"name": "large", "version": 1,
            "limits": {"rate_per_s": "0.1", "burst": 4294967295, "quota_per_day": 18446744073709551615},
            "rules": {"key_max_age_days": 90, "datasets": ["a", "b"], "keys_max": 3}, "retired": true}"#,
        r#"{"id": "00000000-0000-0000-0000-000000000004", "dataset": "permits", "version": 1, "file_name": "f.csv",
            "definition": "d", "replace": true, "status": "completed", "started_at": 1, "ended_at": 2, "dataset_version": 9,
            "counts": {"inserted": 1, "updated": 2, "unchanged": 3, "removed": 4, "rejected": 5}, "reason": "r"}"#,
        r#"{"id": "0123456789abcdef", "version": 2, "hash": "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
            "name": "nightly", "scopes": ["people", "server"], "read_only": true, "issued_at": 5, "expires_at": 6, "revoked_at": 7}"#,
    ];

    /// Rows without optional fields.
    pub(super) const BARE: [&str; 6] = [
        r#"{"id": "00000000-0000-0000-0000-000000000007", "version": 3, "role": "reader", "plan": "default", "status": "active",
            "invited_at": 0, "changed_at": 0, "invitation": {"state": "mailed", "since": 0}}"#,
        r#"{"id": "0123456789abcdef", "user": "00000000-0000-0000-0000-000000000007", "version": 2,
            "hash": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", "last_four": "abcd", "issued_at": 0}"#,
        r#"{"id": "0123456789abcdef", "user": "00000000-0000-0000-0000-000000000007", "version": 2,
            "hash": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", "started_at": 5, "expires_at": 9,
            "idle_at": 8, "seen_at": 6, "method": "password"}"#,
        r#"{"name": "small", "version": 1, "limits": {"rate_per_s": "5", "burst": 10, "quota_per_day": 1000}, "retired": false}"#,
        r#"{"id": "00000000-0000-0000-0000-000000000004", "dataset": "permits", "version": 1, "file_name": "f.csv",
            "definition": "d", "replace": false, "status": "running", "started_at": 1}"#,
        r#"{"id": "0123456789abcdef", "version": 2, "hash": "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
            "name": "nightly", "scopes": [], "read_only": false, "issued_at": 5}"#,
    ];

    pub(super) fn rows([user, key, session, plan, import, token]: [&str; 6]) -> Rows {
        fn one<T: ViewRow>(document: &str) -> Vec<T> {
            vec![T::from_document(document).unwrap()]
        }
        Rows {
            users: one(user),
            keys: one(key),
            sessions: one(session),
            plans: one(plan),
            imports: one(import),
            tokens: one(token),
        }
    }

    /// One row of each view, with every field.
    pub(in crate::store) fn full() -> Rows {
        rows(FULL)
    }

    /// One row of each view, without optional fields.
    pub(in crate::store) fn bare() -> Rows {
        rows(BARE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn rows_are_written_as_the_documents_that_they_were_read_from() {
        for documents in [samples::FULL, samples::BARE] {
            let rows = samples::rows(documents);
            let written = [
                rows.users[0].to_document(),
                rows.keys[0].to_document(),
                rows.sessions[0].to_document(),
                rows.plans[0].to_document(),
                rows.imports[0].to_document(),
                rows.tokens[0].to_document(),
            ];
            let value = |document: &str| serde_json::from_str::<Value>(document).unwrap();
            assert_eq!(written.map(|document| value(&document.unwrap())), documents.map(value));
        }
        let (full, bare) = (samples::full(), samples::bare());
        assert_eq!(full.users[0].name.as_deref(), Some("Ana \"Ann\" Ñandú"));
        assert_eq!(full.keys[0].notice_at, Timestamp::from_microsecond(8_000_000).ok());
        assert_eq!(
            (bare.keys[0].scopes.clone(), bare.users[0].notices),
            (KeyScopes::default(), NoticeChoice::default())
        );
    }

    #[test]
    fn a_document_that_cannot_be_read_is_told_without_what_it_holds() {
        let document = samples::full().users[0].to_document().unwrap();
        for wrong in [document.replace("\"admin\"", "\"ana@example.org\""), format!("{document} ana@example.org")] {
            let told = UserRow::from_document(&wrong).unwrap_err().to_string();
            assert!(told.contains("users") && told.contains("events replay") && !told.contains("ana"), "{told}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_reads_back_to_the_last_bit(rate_per_s in 0.001..10_000_000.0) {
            let mut row = samples::full().plans.remove(0);
            row.limits.rate_per_s = rate_per_s;
            prop_assert_eq!(PlanRow::from_document(&row.to_document().unwrap()).unwrap(), row);
        }
    }
}
