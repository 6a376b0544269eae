//! The persisted form of events: a struct for each type and schema version, apart from [`Event`], so that what was written
//! once is read for ever. A released version never changes (`schemas/events/<Type>.v<n>.json` is its JSON Schema, and a
//! golden file of each must decode for ever); a new need gets a new version, and the old one is upcast here, on reading.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    event::{Event, ImportCounts, Origin, Recorded, RevocationReason, Role},
    id::{CommandId, StreamId, Who},
    key::{KeyHash, KeyId},
    personal::{Personal, PersonalKey},
    plan::Limits,
};

/// Largest commit, bytes of its encoded events. DynamoDB's item limit of 400 KB leaves room for the rest.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// Why stored events cannot be read, or new ones not be written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// This binary does not know the event: a newer one wrote it. It is never skipped.
    #[error(
        "stream {stream}, version {version}: unknown event {type_name} v{schema_version}; this stream cannot be read by this \
         version of permitd: upgrade to the one that wrote it"
    )]
    Unknown {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// The event's type.
        type_name: String,
        /// Its schema version.
        schema_version: u32,
    },
    /// The stored bytes are not what the schema says.
    #[error("stream {stream}, version {version}: the stored {what} cannot be read: {source}")]
    Malformed {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// What part.
        what: String,
        /// How.
        source: serde_json::Error,
    },
    /// The stored bytes hold something impossible.
    #[error("stream {stream}, version {version}: {detail}")]
    Invalid {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// What.
        detail: String,
    },
    /// The commit is too large.
    #[error("the commit would hold {bytes} bytes of events; the limit is {COMMIT_BYTES_MAX}: split the command")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Personal data without the person's key.
    #[error("personal data cannot be written: the person's key was destroyed or does not exist")]
    NoPersonalKey,
    /// The events cannot be encoded.
    #[error("the events cannot be encoded: {0}")]
    Encode(serde_json::Error),
}

/// A commit as it is stored: all events of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// The stream.
    pub stream: StreamId,
    /// The commit's version in the stream, from 1.
    pub version: u64,
    /// The commit's place in the whole log (embedded mode), ascending, without meaning otherwise.
    pub position: u64,
    /// The command.
    pub command: CommandId,
    /// A hash of what the client sent with its `Idempotency-Key`, so that another body under the same key is noticed.
    pub request_hash: Option<String>,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The encoded events: a JSON array.
    pub events: String,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    id: Uuid,
    #[serde(rename = "type", borrow)]
    type_name: std::borrow::Cow<'a, str>,
    schema_version: u32,
    #[serde(borrow)]
    actor: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    correlation_id: std::borrow::Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// An event that is about to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id, UUID version 7.
    pub id: Uuid,
    /// Where it comes from.
    pub origin: Origin,
    /// What happened.
    pub event: Event,
}

/// Encodes the events of one commit. `key` seals the personal data in them.
///
/// # Errors
/// [`CodecError::TooLarge`] over [`COMMIT_BYTES_MAX`]; [`CodecError::NoPersonalKey`] when there is personal data and no key.
pub fn encode(events: &[NewEvent], key: Option<&PersonalKey>) -> Result<String, CodecError> {
    let data: Vec<Box<RawValue>> = events.iter().map(|new| encode_data(new, key)).collect::<Result<_, _>>()?;
    let stored: Vec<StoredEvent<'_>> = events
        .iter()
        .zip(&data)
        .map(|(new, data)| StoredEvent {
            id: new.id,
            type_name: new.event.type_name().into(),
            schema_version: 1,
            actor: new.origin.who.0.as_str().into(),
            correlation_id: new.origin.correlation_id.as_str().into(),
            causation_id: new.origin.causation_id.as_deref().map(Into::into),
            data,
        })
        .collect();
    let text = serde_json::to_string(&stored).map_err(CodecError::Encode)?;
    if text.len() > COMMIT_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// Decodes the events of one commit. `key` opens the personal data in them; without it they are read as erased.
///
/// # Errors
/// When an event is unknown or not what its schema says.
pub fn decode(commit: &StoredCommit, key: Option<&PersonalKey>) -> Result<Vec<Recorded>, CodecError> {
    let place = Place { commit, key };
    let stored: Vec<StoredEvent<'_>> =
        serde_json::from_str(&commit.events).map_err(|source| place.malformed("commit".to_owned(), source))?;
    stored
        .iter()
        .zip(0u32..)
        .map(|(stored, index)| {
            Ok(Recorded {
                id: stored.id,
                stream: commit.stream.clone(),
                version: commit.version,
                index,
                recorded_at: commit.recorded_at,
                origin: Origin {
                    who: Who(stored.actor.clone().into_owned()),
                    correlation_id: stored.correlation_id.clone().into_owned(),
                    causation_id: stored.causation_id.clone().map(std::borrow::Cow::into_owned),
                },
                event: place.decode_data(stored)?,
            })
        })
        .collect()
}

/// The persisted event as a document for people and tools: `id`, `stream`, `version`, `index`, `type`, `schema_version`,
/// `recorded_at`, `actor`, `correlation_id`, `causation_id`, `data` as stored. Personal data stays sealed.
///
/// # Errors
/// When the stored bytes are not JSON.
pub fn documents(commit: &StoredCommit) -> Result<Vec<serde_json::Value>, CodecError> {
    let place = Place { commit, key: None };
    let stored: Vec<StoredEvent<'_>> =
        serde_json::from_str(&commit.events).map_err(|source| place.malformed("commit".to_owned(), source))?;
    let to_document = |(index, stored): (usize, &StoredEvent<'_>)| {
        let data: serde_json::Value =
            serde_json::from_str(stored.data.get()).map_err(|source| place.malformed("event".to_owned(), source))?;
        Ok(serde_json::json!({
            "id": stored.id,
            "stream": commit.stream.to_string(),
            "version": commit.version,
            "index": index,
            "type": stored.type_name,
            "schema_version": stored.schema_version,
            "recorded_at": commit.recorded_at.to_string(),
            "actor": stored.actor,
            "correlation_id": stored.correlation_id,
            "causation_id": stored.causation_id,
            "data": data,
        }))
    };
    stored.iter().enumerate().map(to_document).collect()
}

/// Version 1 of every event.
pub mod v1 {
    use super::{Deserialize, ImportCounts, JsonSchema, RevocationReason, Role, Serialize, Uuid};

    /// Text that is sealed with the person's own key: base64 of XChaCha20-Poly1305.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct Sealed(pub String);

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
            role: Role,
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
            role: Role,
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
            reason: RevocationReason,
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
    }
}

fn encode_data(new: &NewEvent, key: Option<&PersonalKey>) -> Result<Box<RawValue>, CodecError> {
    let seal = |field: &str, personal: &Personal| -> Result<v1::Sealed, CodecError> {
        let text = personal.known().ok_or(CodecError::NoPersonalKey)?;
        let sealed = key.and_then(|key| key.seal(new.id, field, text)).ok_or(CodecError::NoPersonalKey)?;
        Ok(v1::Sealed(sealed))
    };
    let raw = match &new.event {
        Event::UserInvited { email, name, role, plan, invitation } => raw(&v1::UserInvited {
            email: seal("email", email)?,
            name: name.as_ref().map(|name| seal("name", name)).transpose()?,
            role: *role,
            plan: plan.clone(),
            invitation: *invitation,
        }),
        Event::InvitationResent { invitation } => raw(&v1::InvitationResent { invitation: *invitation }),
        Event::UserDisabled => raw(&v1::UserDisabled {}),
        Event::UserEnabled => raw(&v1::UserEnabled {}),
        Event::UserDeleted => raw(&v1::UserDeleted {}),
        Event::RoleChanged { role } => raw(&v1::RoleChanged { role: *role }),
        Event::PlanAssigned { plan } => raw(&v1::PlanAssigned { plan: plan.clone() }),
        Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label } => raw(&v1::ApiKeyIssued {
            key_id: key_id.to_string(),
            sha256: hash.to_hex(),
            last_four: last_four.clone(),
            secret_version: *secret_version,
            invitation: *invitation,
            label: label.clone(),
        }),
        Event::ApiKeyMailed { key_id, invitation, message_id } => raw(&v1::ApiKeyMailed {
            key_id: key_id.to_string(),
            invitation: *invitation,
            message_id: message_id.clone(),
        }),
        Event::ApiKeyRotated { key_id, replaced_by, valid_until } => raw(&v1::ApiKeyRotated {
            key_id: key_id.to_string(),
            replaced_by: replaced_by.to_string(),
            valid_until: valid_until.to_string(),
        }),
        Event::ApiKeyRevoked { key_id, reason } => {
            raw(&v1::ApiKeyRevoked { key_id: key_id.to_string(), reason: *reason })
        }
        Event::MailFailed { invitation, reason } => {
            raw(&v1::MailFailed { invitation: *invitation, reason: reason.clone() })
        }
        Event::PlanDefined { limits: Limits { rate_per_s, burst, quota_per_day } } => {
            raw(&v1::PlanDefined { rate_per_s: *rate_per_s, burst: *burst, quota_per_day: *quota_per_day })
        }
        Event::PlanRetired => raw(&v1::PlanRetired {}),
        Event::ImportStarted { import, file_name, definition, replace } => raw(&v1::ImportStarted {
            import: *import,
            file_name: file_name.clone(),
            definition: definition.clone(),
            replace: *replace,
        }),
        Event::ImportCompleted { import, dataset_version, counts } => {
            raw(&v1::ImportCompleted { import: *import, dataset_version: *dataset_version, counts: *counts })
        }
        Event::ImportFailed { import, reason } => raw(&v1::ImportFailed { import: *import, reason: reason.clone() }),
    };
    raw.map_err(CodecError::Encode)
}

fn raw<T: Serialize>(data: &T) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(data)
}

struct Place<'a> {
    commit: &'a StoredCommit,
    key: Option<&'a PersonalKey>,
}

impl Place<'_> {
    fn malformed(&self, what: String, source: serde_json::Error) -> CodecError {
        CodecError::Malformed { stream: self.commit.stream.to_string(), version: self.commit.version, what, source }
    }

    fn invalid(&self, detail: impl std::fmt::Display) -> CodecError {
        let detail = detail.to_string();
        CodecError::Invalid { stream: self.commit.stream.to_string(), version: self.commit.version, detail }
    }

    fn read<T: DeserializeOwned>(&self, stored: &StoredEvent<'_>) -> Result<T, CodecError> {
        serde_json::from_str(stored.data.get()).map_err(|source| self.malformed(stored.type_name.to_string(), source))
    }

    fn open(&self, event: Uuid, field: &str, sealed: &v1::Sealed) -> Result<Personal, CodecError> {
        let Some(key) = self.key else { return Ok(Personal::Erased) };
        let opened = key.open(event, field, &sealed.0);
        opened.map(Personal::Known).ok_or_else(|| self.invalid(format!("{field} does not open with the person's key")))
    }

    fn key_id(&self, text: &str) -> Result<KeyId, CodecError> {
        KeyId::parse(text).map_err(|error| self.invalid(error))
    }

    fn decode_data(&self, stored: &StoredEvent<'_>) -> Result<Event, CodecError> {
        let unknown = || CodecError::Unknown {
            stream: self.commit.stream.to_string(),
            version: self.commit.version,
            type_name: stored.type_name.to_string(),
            schema_version: stored.schema_version,
        };
        if stored.schema_version != 1 {
            return Err(unknown());
        }
        Ok(match stored.type_name.as_ref() {
            "UserInvited" => {
                let v1::UserInvited { email, name, role, plan, invitation } = self.read(stored)?;
                let email = self.open(stored.id, "email", &email)?;
                let name = name.map(|name| self.open(stored.id, "name", &name)).transpose()?;
                Event::UserInvited { email, name, role, plan, invitation }
            }
            "InvitationResent" => {
                Event::InvitationResent { invitation: self.read::<v1::InvitationResent>(stored)?.invitation }
            }
            "UserDisabled" => self.read::<v1::UserDisabled>(stored).map(|_| Event::UserDisabled)?,
            "UserEnabled" => self.read::<v1::UserEnabled>(stored).map(|_| Event::UserEnabled)?,
            "UserDeleted" => self.read::<v1::UserDeleted>(stored).map(|_| Event::UserDeleted)?,
            "RoleChanged" => Event::RoleChanged { role: self.read::<v1::RoleChanged>(stored)?.role },
            "PlanAssigned" => Event::PlanAssigned { plan: self.read::<v1::PlanAssigned>(stored)?.plan },
            "ApiKeyIssued" => {
                let v1::ApiKeyIssued { key_id, sha256, last_four, secret_version, invitation, label } =
                    self.read(stored)?;
                let hash = KeyHash::parse(&sha256).map_err(|error| self.invalid(error))?;
                Event::ApiKeyIssued {
                    key_id: self.key_id(&key_id)?,
                    hash,
                    last_four,
                    secret_version,
                    invitation,
                    label,
                }
            }
            "ApiKeyMailed" => {
                let v1::ApiKeyMailed { key_id, invitation, message_id } = self.read(stored)?;
                Event::ApiKeyMailed { key_id: self.key_id(&key_id)?, invitation, message_id }
            }
            "ApiKeyRotated" => {
                let v1::ApiKeyRotated { key_id, replaced_by, valid_until } = self.read(stored)?;
                let valid_until = valid_until.parse().map_err(|error: jiff::Error| self.invalid(error))?;
                let (key_id, replaced_by) = (self.key_id(&key_id)?, self.key_id(&replaced_by)?);
                Event::ApiKeyRotated { key_id, replaced_by, valid_until }
            }
            "ApiKeyRevoked" => {
                let v1::ApiKeyRevoked { key_id, reason } = self.read(stored)?;
                Event::ApiKeyRevoked { key_id: self.key_id(&key_id)?, reason }
            }
            "MailFailed" => {
                let v1::MailFailed { invitation, reason } = self.read(stored)?;
                Event::MailFailed { invitation, reason }
            }
            "PlanDefined" => {
                let v1::PlanDefined { rate_per_s, burst, quota_per_day } = self.read(stored)?;
                Event::PlanDefined { limits: Limits { rate_per_s, burst, quota_per_day } }
            }
            "PlanRetired" => self.read::<v1::PlanRetired>(stored).map(|_| Event::PlanRetired)?,
            "ImportStarted" => {
                let v1::ImportStarted { import, file_name, definition, replace } = self.read(stored)?;
                Event::ImportStarted { import, file_name, definition, replace }
            }
            "ImportCompleted" => {
                let v1::ImportCompleted { import, dataset_version, counts } = self.read(stored)?;
                Event::ImportCompleted { import, dataset_version, counts }
            }
            "ImportFailed" => {
                let v1::ImportFailed { import, reason } = self.read(stored)?;
                Event::ImportFailed { import, reason }
            }
            _ => return Err(unknown()),
        })
    }
}
