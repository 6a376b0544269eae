//! The persisted form of events: a struct for each type and schema version, apart from [`Event`], so that every stored event stays readable
//! for ever. A released version never changes (`schemas/events/<Type>.v<n>.json` is its JSON Schema, and a golden file of each must decode
//! for ever). A new need gets a new version; the old one is upcast here, on reading.

pub mod accepted;
mod chained;
mod decoder;
mod error;
pub mod feedback;
pub mod keys;
pub mod leaks;
pub mod line;
pub mod provider;
mod request;
pub mod roles;
mod sign_in;
mod stored;
pub mod tokens;
pub mod v1;
pub mod v2;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

pub use self::{
    chained::head,
    error::{COMMIT_BYTES_MAX, CodecError},
    request::belongs_to,
    stored::{Encoded, StoredCommit},
};
use self::{
    decoder::Decoder,
    stored::{StoredEvent, StoredText, raw},
};
use super::{
    event::{Event, Fact, Origin, Recorded, RevocationReason},
    id::Who,
    key::KeyId,
    notice::NoticeChoice,
    personal::{Personal, PersonalKey},
    plan::{KeyRules, Limits},
    sign_in::{SessionEnd, SignInEvent},
    view::State,
};

/// The type of the event that creates a key.
const KEY_ISSUED: &str = "ApiKeyIssued";

/// An event that is about to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event's id, UUID version 7.
    pub id: Uuid,
    /// The actor, request and cause of the event.
    pub origin: Origin,
    /// What happened.
    pub event: Event,
}

/// Encodes the events of one commit. `key` seals the personal data in them.
///
/// # Errors
/// [`CodecError::TooLarge`] over [`COMMIT_BYTES_MAX`]; [`CodecError::NoPersonalKey`] for personal data without a key.
pub fn encode(events: &[NewEvent], key: Option<&PersonalKey>) -> Result<String, CodecError> {
    let data: Vec<Box<RawValue>> = events.iter().map(|new| encode_data(new, key)).collect::<Result<_, _>>()?;
    let stored: Vec<StoredEvent<'_>> = events
        .iter()
        .zip(&data)
        .map(|(new, data)| StoredEvent {
            id: new.id,
            type_name: new.event.type_name().into(),
            schema_version: schema_version(&new.event),
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

/// Decodes the events of one commit. `key` opens the personal data in them; without it that data is read as erased.
///
/// # Errors
/// When an event is unknown or not what its schema says.
pub fn decode(commit: &StoredCommit, key: Option<&PersonalKey>) -> Result<Vec<Recorded>, CodecError> {
    let decoder = Decoder { commit: commit.encoded(), key };
    let recorded = |(stored, index): (&StoredEvent<'_>, u32)| {
        Ok(Recorded {
            id: stored.id,
            stream: commit.stream.clone(),
            version: commit.version,
            index,
            recorded_at: commit.recorded_at,
            origin: Origin {
                who: Who(stored.actor.to_owned()),
                correlation_id: stored.correlation_id.to_owned(),
                causation_id: stored.causation_id.as_ref().map(StoredText::to_owned),
            },
            event: decoder.decode_data(stored)?,
        })
    };
    decoder.stored()?.iter().zip(0u32..).map(recorded).collect()
}

/// Decodes the events of one commit, as [`decode`] does, and applies them to a state. Skips what no state depends on, because a replay does
/// this a million times. Returns the number of events.
///
/// # Errors
/// When an event is unknown or not what its schema says; the events before it may have been applied then.
pub fn fold(commit: Encoded<'_>, key: Option<&PersonalKey>, state: &mut State) -> Result<u64, CodecError> {
    let decoder = Decoder { commit, key };
    let Encoded { stream, version, recorded_at, .. } = commit;
    let mut events = 0;
    for stored in &decoder.stored()? {
        state.take(Fact { stream, version, recorded_at, event: &decoder.decode_data(stored)? });
        events += 1;
    }
    Ok(events)
}

/// How many events an encoded commit holds; 0 for one that cannot be read.
pub fn count(events: &str) -> u64 {
    let read: Result<Vec<&RawValue>, _> = serde_json::from_str(events);
    read.map_or(0, |events| u64::try_from(events.len()).unwrap_or(u64::MAX))
}

/// The ids of the keys that encoded events issue, in order. Nothing else is read.
///
/// # Errors
/// When the events are no JSON array of events, or a key's id is invalid: then nobody could tell whose it is.
pub fn issued_keys(events: &str) -> Result<Vec<KeyId>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Issued<'a> {
        #[serde(rename = "type", borrow)]
        type_name: StoredText<'a>,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        key_id: StoredText<'a>,
    }
    // Few commits issue a key; the others are not parsed.
    if !events.contains(KEY_ISSUED) {
        return Ok(Vec::new());
    }
    let events: Vec<Issued<'_>> = serde_json::from_str(events)?;
    let issued = events.iter().filter(|event| event.type_name.0 == KEY_ISSUED);
    let id = |event: &Issued<'_>| {
        let id: Id<'_> = serde_json::from_str(event.data.get())?;
        KeyId::parse(&id.key_id.0).map_err(serde::de::Error::custom)
    };
    issued.map(id).collect()
}

/// The persisted event as a document for people and tools: `id`, `stream`, `version`, `index`, `type`, `schema_version`,
/// `recorded_at`, `actor`, `correlation_id`, `causation_id`, `data` as stored. Personal data stays sealed. A commit whose stored bytes are
/// damaged is one document of the type [`UNREADABLE`], so that the others can be shown.
///
/// # Errors
/// When an event's data is not JSON.
pub fn documents(commit: &StoredCommit) -> Result<Vec<serde_json::Value>, CodecError> {
    let decoder = Decoder { commit: commit.encoded(), key: None };
    let stored = match decoder.stored() {
        Ok(stored) => stored,
        Err(error) => return Ok(vec![unreadable_document(commit, &error)]),
    };
    let to_document = |(index, stored): (usize, &StoredEvent<'_>)| {
        let data: serde_json::Value =
            serde_json::from_str(stored.data.get()).map_err(|source| decoder.malformed("event".to_owned(), source))?;
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

/// The type that a commit is shown with whose events cannot be told from one another. No event has it.
pub const UNREADABLE: &str = "Unreadable";

fn unreadable_document(commit: &StoredCommit, error: &CodecError) -> serde_json::Value {
    serde_json::json!({
        "id": Uuid::nil(),
        "stream": commit.stream.to_string(),
        "version": commit.version,
        "index": 0,
        "type": UNREADABLE,
        "schema_version": 1,
        "recorded_at": commit.recorded_at.to_string(),
        "actor": "unknown",
        "correlation_id": "",
        "causation_id": null,
        "data": { "problem": error.to_string() },
    })
}

/// Largest whole number that JavaScript and jq hold exactly.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// The same documents, each with its commit's position in the log: as a text if it is too large to be exact in floating point.
///
/// # Errors
/// When the stored bytes are not JSON.
pub fn positioned(commit: &StoredCommit) -> Result<Vec<serde_json::Value>, CodecError> {
    let position: serde_json::Value =
        if commit.position > EXACT_MAX { commit.position.to_string().into() } else { commit.position.into() };
    let mut documents = documents(commit)?;
    for fields in documents.iter_mut().filter_map(serde_json::Value::as_object_mut) {
        fields.insert("position".to_owned(), position.clone());
    }
    Ok(documents)
}

/// The same documents with the personal data opened, for the person themselves. Secrets by which people are recognised stay hidden: whoever
/// reads them could sign in as the person.
///
/// # Errors
/// When the stored bytes are not JSON.
pub fn opened_documents(
    commit: &StoredCommit,
    key: Option<&PersonalKey>,
) -> Result<Vec<serde_json::Value>, CodecError> {
    let mut documents = positioned(commit)?;
    for document in &mut documents {
        let id = document.get("id").and_then(|id| id.as_str()).and_then(|id| Uuid::parse_str(id).ok());
        let Some((id, fields)) = id.zip(document.get_mut("data").and_then(|data| data.as_object_mut())) else {
            continue;
        };
        for (name, value) in fields {
            let Some(sealed) = value.as_str() else { continue };
            if sign_in::RECOGNISED_BY.contains(&name.as_str()) {
                *value = sign_in::NOT_SHOWN.into();
            } else if let Some(opened) = key.and_then(|key| key.open(id, name, sealed)) {
                *value = opened.into();
            }
        }
    }
    Ok(documents)
}

/// All event types, each once, in alphabetical order.
pub fn types() -> Vec<&'static str> {
    let mut known: Vec<&str> = schemas().iter().map(|(file, _)| file.split('.').next().unwrap_or(file)).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// Tells whether an event type has this name.
pub fn is_type(name: &str) -> bool {
    types().contains(&name)
}

/// The types of a commit's events, including types that this permitd does not know.
///
/// # Errors
/// When the stored bytes are not JSON.
pub fn type_names(commit: &StoredCommit) -> Result<Vec<String>, CodecError> {
    let decoder = Decoder { commit: commit.encoded(), key: None };
    Ok(decoder.stored()?.iter().map(|stored| stored.type_name.to_owned()).collect())
}

fn encode_data(new: &NewEvent, key: Option<&PersonalKey>) -> Result<Box<RawValue>, CodecError> {
    let seal = |field: &str, personal: &Personal| -> Result<v1::Sealed, CodecError> {
        let text = personal.known().ok_or(CodecError::NoPersonalKey)?;
        let sealed = key.and_then(|key| key.seal(new.id, field, text)).ok_or(CodecError::NoPersonalKey)?;
        Ok(v1::Sealed(sealed))
    };
    let seal_some =
        |field: &str, personal: Option<&Personal>| personal.map(|personal| seal(field, personal)).transpose();
    let raw = match &new.event {
        Event::UserInvited { email, name, role, plan, invitation } => raw(&roles::InvitedInRole {
            email: seal("email", email)?,
            name: name.as_ref().map(|name| seal("name", name)).transpose()?,
            role: *role,
            plan: plan.clone(),
            invitation: *invitation,
        }),
        Event::InvitationResent { invitation } => raw(&v1::InvitationResent { invitation: *invitation }),
        Event::InvitationAccepted => raw(&accepted::InvitationAccepted {}),
        Event::UserDisabled => raw(&v1::UserDisabled {}),
        Event::UserEnabled => raw(&v1::UserEnabled {}),
        Event::UserDeleted => raw(&v1::UserDeleted {}),
        Event::RoleChanged { role } => raw(&roles::RoleGiven { role: *role }),
        Event::PlanAssigned { plan } => raw(&v1::PlanAssigned { plan: plan.clone() }),
        Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label, bounds } => {
            raw(&keys::BoundedKeyIssued {
                key_id: key_id.to_string(),
                sha256: hash.to_hex(),
                last_four: last_four.clone(),
                secret_version: *secret_version,
                invitation: *invitation,
                label: seal_some("label", label.as_ref())?,
                expires_at: bounds.expires_at.map(|at| at.to_string()),
                allowed_ips: seal_some("allowed_ips", bounds.allowed_ips.as_ref())?,
                datasets: bounds.scopes.datasets.clone(),
                actions: bounds.scopes.actions.clone(),
            })
        }
        Event::ApiKeyChanged { key_id, label, bounds } => raw(&keys::KeyChanged {
            key_id: key_id.to_string(),
            label: seal_some("label", label.as_ref())?,
            expires_at: bounds.expires_at.map(|at| at.to_string()),
            allowed_ips: seal_some("allowed_ips", bounds.allowed_ips.as_ref())?,
            datasets: bounds.scopes.datasets.clone(),
            actions: bounds.scopes.actions.clone(),
        }),
        Event::ApiKeyExpiring { key_id, days } => raw(&keys::KeyExpiring { key_id: key_id.to_string(), days: *days }),
        Event::QuotaReached { day, percent } => raw(&keys::QuotaReached { day: *day, percent: *percent }),
        Event::NoticesChosen { choice: NoticeChoice { expiry, keys, quota } } => {
            raw(&keys::NoticesChosen { expiry: *expiry, keys: *keys, quota: *quota })
        }
        Event::NoticeMailed { notice, message_id } => {
            raw(&keys::NoticeMailed { notice: *notice, message_id: message_id.clone() })
        }
        Event::NoticeFailed { notice, class, reason } => {
            raw(&keys::NoticeFailed { notice: *notice, class: class.clone(), reason: seal("reason", reason)? })
        }
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
            let key_id = key_id.to_string();
            let earlier = |reason| v1::ApiKeyRevoked { key_id: key_id.clone(), reason };
            match reason {
                RevocationReason::Requested => raw(&earlier(v1::EarlierReason::Requested)),
                RevocationReason::UserDeleted => raw(&earlier(v1::EarlierReason::UserDeleted)),
                RevocationReason::Leaked => raw(&v2::KeyRevokedFor { key_id, reason: *reason }),
            }
        }
        Event::LeakNoticeMailed { key_id, to, refused } => {
            raw(&v1::LeakNoticeMailed { key_id: key_id.to_string(), to: to.0, refused: refused.clone() })
        }
        Event::MailBounced { kind, class, reason, message_id } => raw(&feedback::MailBounced {
            kind: *kind,
            class: class.clone(),
            reason: seal("reason", reason)?,
            message_id: message_id.clone(),
        }),
        Event::MailComplained { class, reason, message_id } => raw(&feedback::MailComplained {
            class: class.clone(),
            reason: seal("reason", reason)?,
            message_id: message_id.clone(),
        }),
        Event::MailAllowed => raw(&feedback::MailAllowed {}),
        Event::MailFailed { invitation, class, reason } => raw(&v2::SealedMailFailed {
            invitation: *invitation,
            class: class.clone(),
            reason: seal("reason", reason)?,
        }),
        Event::SignIn(event) => return sign_in::encode(event, seal),
        Event::PlanDefined {
            limits: Limits { rate_per_s, burst, quota_per_day },
            rules: KeyRules { key_max_age_days, datasets, keys_max },
        } => raw(&keys::RuledPlanDefined {
            rate_per_s: *rate_per_s,
            burst: *burst,
            quota_per_day: *quota_per_day,
            key_max_age_days: *key_max_age_days,
            datasets: datasets.clone(),
            keys_max: *keys_max,
        }),
        Event::PlanRetired => raw(&v1::PlanRetired {}),
        Event::AdminTokenIssued { token, name, hash, permissions, expires_at } => raw(&tokens::AdminTokenIssued {
            token_id: token.to_string(),
            name: name.clone(),
            sha256: hash.to_hex(),
            scopes: permissions.list().collect(),
            read_only: permissions.read_only,
            expires_at: expires_at.map(|until| until.to_string()),
        }),
        Event::AdminTokenRevoked { token } => raw(&tokens::AdminTokenRevoked { token_id: token.to_string() }),
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
        Event::ImportHeld { import, dataset_version, counts, why, node } => raw(&v1::ImportHeld {
            import: *import,
            dataset_version: *dataset_version,
            counts: *counts,
            why: why.clone(),
            node: node.clone(),
        }),
        Event::ImportApproved { import } => raw(&v1::ImportApproved { import: *import }),
        Event::ImportDiscarded { import, reason } => {
            raw(&v1::ImportDiscarded { import: *import, reason: reason.clone() })
        }
        Event::ImportCancelled { import } => raw(&v1::ImportCancelled { import: *import }),
        Event::DataSetWithdrawn => raw(&v1::DataSetWithdrawn {}),
        Event::DataSetRestored => raw(&v1::DataSetRestored {}),
        Event::DataSetRemoved { dataset_version } => raw(&v1::DataSetRemoved { dataset_version: *dataset_version }),
        Event::DataSetRenamed { to, dataset_version } => {
            raw(&v1::DataSetRenamed { to: to.clone(), dataset_version: *dataset_version })
        }
        Event::DataSetTakenOver { import, from, definition, dataset_version, records } => raw(&v1::DataSetTakenOver {
            import: *import,
            from: from.clone(),
            definition: definition.clone(),
            dataset_version: *dataset_version,
            records: *records,
        }),
    };
    raw.map_err(CodecError::Encode)
}

/// The schema version in which an event is written.
fn schema_version(event: &Event) -> u32 {
    match event {
        Event::ApiKeyIssued { .. } => 3,
        Event::UserInvited { .. }
        | Event::RoleChanged { .. }
        | Event::MailFailed { .. }
        | Event::PlanDefined { .. }
        | Event::ApiKeyRevoked { reason: RevocationReason::Leaked, .. } => 2,
        Event::SignIn(SignInEvent::SessionStarted { method, .. }) if method.is_by_provider() => 2,
        Event::SignIn(SignInEvent::SessionEnded { reason: SessionEnd::Leaked, .. }) => 2,
        _ => 1,
    }
}

/// The JSON Schema of every version of every event's data: `(file name, schema)`.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    [
        v1::schemas(),
        v2::schemas(),
        accepted::schemas(),
        feedback::schemas(),
        keys::schemas(),
        leaks::schemas(),
        provider::schemas(),
        roles::schemas(),
        tokens::schemas(),
    ]
    .concat()
}
