//! Reads stored events: opens personal data, and upcasts older versions.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    accepted,
    error::CodecError,
    feedback, keys, leaks, provider, roles,
    stored::{Encoded, StoredEvent},
    tokens, v1, v2,
};
use crate::domain::{
    bounds::{DataAction, KeyBounds, KeyScopes},
    event::{Event, RevocationReason},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::NoticeChoice,
    permission::Permissions,
    personal::{Personal, PersonalKey},
    plan::{KeyRules, Limits},
    sign_in::SignInEvent,
};

/// A commit with the key of its person, if there is one: opens sealed data, and names the place of every error.
pub(super) struct Decoder<'a> {
    pub(super) commit: Encoded<'a>,
    pub(super) key: Option<&'a PersonalKey>,
}

impl<'a> Decoder<'a> {
    pub(super) fn stored(&self) -> Result<Vec<StoredEvent<'a>>, CodecError> {
        serde_json::from_str(self.commit.events).map_err(|source| self.malformed("commit".to_owned(), source))
    }

    pub(super) fn malformed(&self, what: String, source: serde_json::Error) -> CodecError {
        CodecError::Malformed { stream: self.commit.stream.to_string(), version: self.commit.version, what, source }
    }

    pub(super) fn invalid(&self, detail: impl std::fmt::Display) -> CodecError {
        let detail = detail.to_string();
        CodecError::Invalid { stream: self.commit.stream.to_string(), version: self.commit.version, detail }
    }

    pub(super) fn read<T: DeserializeOwned>(&self, stored: &StoredEvent<'_>) -> Result<T, CodecError> {
        serde_json::from_str(stored.data.get()).map_err(|source| self.malformed(stored.type_name.to_owned(), source))
    }

    pub(super) fn open(&self, event: Uuid, field: &str, sealed: &v1::Sealed) -> Result<Personal, CodecError> {
        let Some(key) = self.key else { return Ok(Personal::Erased) };
        let opened = key.open(event, field, &sealed.0);
        opened.map(Personal::Known).ok_or_else(|| self.invalid(format!("{field} does not open with the person's key")))
    }

    /// Plaintext stored by an older version. It is hidden once the person is erased, although the log itself cannot change.
    fn plain(&self, text: String) -> Personal {
        if self.key.is_some() { Personal::Known(text) } else { Personal::Erased }
    }

    pub(super) fn key_id(&self, text: &str) -> Result<KeyId, CodecError> {
        KeyId::parse(text).map_err(|error| self.invalid(error))
    }

    pub(super) fn decode_data(&self, stored: &StoredEvent<'_>) -> Result<Event, CodecError> {
        let unknown = || CodecError::Unknown {
            stream: self.commit.stream.to_string(),
            version: self.commit.version,
            type_name: stored.type_name.to_owned(),
            schema_version: stored.schema_version,
        };
        let type_name = stored.type_name.0.as_ref();
        if let Some(event) = self.decode_of_keys(type_name, stored)? {
            return Ok(event);
        }
        match stored.schema_version {
            1 => {}
            2 => return self.decode_v2(type_name, stored)?.ok_or_else(unknown),
            _ => return Err(unknown()),
        }
        Ok(match type_name {
            "UserInvited" => {
                let v1::UserInvited { email, name, role, plan, invitation } = self.read(stored)?;
                let email = self.open(stored.id, "email", &email)?;
                let name = name.map(|name| self.open(stored.id, "name", &name)).transpose()?;
                Event::UserInvited { email, name, role: role.into(), plan, invitation }
            }
            "InvitationResent" => {
                Event::InvitationResent { invitation: self.read::<v1::InvitationResent>(stored)?.invitation }
            }
            "UserDisabled" => self.read::<v1::UserDisabled>(stored).map(|_| Event::UserDisabled)?,
            "InvitationAccepted" => {
                self.read::<accepted::InvitationAccepted>(stored).map(|_| Event::InvitationAccepted)?
            }
            "UserEnabled" => self.read::<v1::UserEnabled>(stored).map(|_| Event::UserEnabled)?,
            "UserDeleted" => self.read::<v1::UserDeleted>(stored).map(|_| Event::UserDeleted)?,
            "RoleChanged" => Event::RoleChanged { role: self.read::<v1::RoleChanged>(stored)?.role.into() },
            "PlanAssigned" => Event::PlanAssigned { plan: self.read::<v1::PlanAssigned>(stored)?.plan },
            "ApiKeyIssued" => {
                let v1::ApiKeyIssued { key_id, sha256, last_four, secret_version, invitation, label } =
                    self.read(stored)?;
                let hash = KeyHash::parse(&sha256).map_err(|error| self.invalid(error))?;
                let (key_id, label) = (self.key_id(&key_id)?, label.map(|label| self.plain(label)));
                let bounds = KeyBounds::default();
                Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label, bounds }
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
                let reason = match reason {
                    v1::EarlierReason::Requested => RevocationReason::Requested,
                    v1::EarlierReason::UserDeleted => RevocationReason::UserDeleted,
                };
                Event::ApiKeyRevoked { key_id: self.key_id(&key_id)?, reason }
            }
            "LeakNoticeMailed" => {
                let v1::LeakNoticeMailed { key_id, to, refused } = self.read(stored)?;
                Event::LeakNoticeMailed { key_id: self.key_id(&key_id)?, to: UserId(to), refused }
            }
            "MailFailed" => {
                let v1::MailFailed { invitation, reason } = self.read(stored)?;
                Event::MailFailed { invitation, class: v1::MAIL_FAILED.to_owned(), reason: self.plain(reason) }
            }
            "MailBounced" => {
                let feedback::MailBounced { kind, class, reason, message_id } = self.read(stored)?;
                Event::MailBounced { kind, class, reason: self.open(stored.id, "reason", &reason)?, message_id }
            }
            "MailComplained" => {
                let feedback::MailComplained { class, reason, message_id } = self.read(stored)?;
                Event::MailComplained { class, reason: self.open(stored.id, "reason", &reason)?, message_id }
            }
            "MailAllowed" => self.read::<feedback::MailAllowed>(stored).map(|_| Event::MailAllowed)?,
            "PlanDefined" => {
                let v1::PlanDefined { rate_per_s, burst, quota_per_day } = self.read(stored)?;
                let limits = Limits { rate_per_s, burst, quota_per_day };
                Event::PlanDefined { limits, rules: KeyRules::default() }
            }
            "PlanRetired" => self.read::<v1::PlanRetired>(stored).map(|_| Event::PlanRetired)?,
            "AdminTokenIssued" => {
                let tokens::AdminTokenIssued { token_id, name, sha256, scopes, read_only, expires_at } =
                    self.read(stored)?;
                let hash = KeyHash::parse(&sha256).map_err(|error| self.invalid(error))?;
                let expires_at = expires_at.map(|until| until.parse()).transpose();
                let expires_at = expires_at.map_err(|error: jiff::Error| self.invalid(error))?;
                let permissions = Permissions::of(&scopes).only_reading(read_only);
                Event::AdminTokenIssued { token: self.key_id(&token_id)?, name, hash, permissions, expires_at }
            }
            "AdminTokenRevoked" => {
                let token = self.key_id(&self.read::<tokens::AdminTokenRevoked>(stored)?.token_id)?;
                Event::AdminTokenRevoked { token }
            }
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
            "ImportHeld" => {
                let v1::ImportHeld { import, dataset_version, counts, why, node } = self.read(stored)?;
                Event::ImportHeld { import, dataset_version, counts, why, node }
            }
            "ImportApproved" => Event::ImportApproved { import: self.read::<v1::ImportApproved>(stored)?.import },
            "ImportDiscarded" => {
                let v1::ImportDiscarded { import, reason } = self.read(stored)?;
                Event::ImportDiscarded { import, reason }
            }
            "ImportCancelled" => Event::ImportCancelled { import: self.read::<v1::ImportCancelled>(stored)?.import },
            "DataSetWithdrawn" => self.read::<v1::DataSetWithdrawn>(stored).map(|_| Event::DataSetWithdrawn)?,
            "DataSetRestored" => self.read::<v1::DataSetRestored>(stored).map(|_| Event::DataSetRestored)?,
            "DataSetRemoved" => {
                Event::DataSetRemoved { dataset_version: self.read::<v1::DataSetRemoved>(stored)?.dataset_version }
            }
            "DataSetRenamed" => {
                let v1::DataSetRenamed { to, dataset_version } = self.read(stored)?;
                Event::DataSetRenamed { to, dataset_version }
            }
            "DataSetTakenOver" => {
                let v1::DataSetTakenOver { import, from, definition, dataset_version, records } = self.read(stored)?;
                Event::DataSetTakenOver { import, from, definition, dataset_version, records }
            }
            other => return self.decode_sign_in(other, stored)?.map(Event::SignIn).ok_or_else(unknown),
        })
    }

    /// Decodes events about keys' bounds and people's notices.
    fn decode_of_keys(&self, type_name: &str, stored: &StoredEvent<'_>) -> Result<Option<Event>, CodecError> {
        Ok(Some(match (type_name, stored.schema_version) {
            ("ApiKeyIssued", 3) => {
                let issued: keys::BoundedKeyIssued = self.read(stored)?;
                let (expires_at, allowed_ips) = (issued.expires_at.as_deref(), issued.allowed_ips.as_ref());
                Event::ApiKeyIssued {
                    key_id: self.key_id(&issued.key_id)?,
                    hash: KeyHash::parse(&issued.sha256).map_err(|error| self.invalid(error))?,
                    label: self.open_some(stored.id, "label", issued.label.as_ref())?,
                    bounds: self.bounds(stored.id, expires_at, allowed_ips, issued.datasets, issued.actions)?,
                    last_four: issued.last_four,
                    secret_version: issued.secret_version,
                    invitation: issued.invitation,
                }
            }
            ("ApiKeyChanged", 1) => {
                let changed: keys::KeyChanged = self.read(stored)?;
                let (expires_at, allowed_ips) = (changed.expires_at.as_deref(), changed.allowed_ips.as_ref());
                Event::ApiKeyChanged {
                    key_id: self.key_id(&changed.key_id)?,
                    label: self.open_some(stored.id, "label", changed.label.as_ref())?,
                    bounds: self.bounds(stored.id, expires_at, allowed_ips, changed.datasets, changed.actions)?,
                }
            }
            ("ApiKeyExpiring", 1) => {
                let keys::KeyExpiring { key_id, days } = self.read(stored)?;
                Event::ApiKeyExpiring { key_id: self.key_id(&key_id)?, days }
            }
            ("QuotaReached", 1) => {
                let keys::QuotaReached { day, percent } = self.read(stored)?;
                Event::QuotaReached { day, percent }
            }
            ("NoticesChosen", 1) => {
                let keys::NoticesChosen { expiry, keys, quota } = self.read(stored)?;
                Event::NoticesChosen { choice: NoticeChoice { expiry, keys, quota } }
            }
            ("NoticeMailed", 1) => {
                let keys::NoticeMailed { notice, message_id } = self.read(stored)?;
                Event::NoticeMailed { notice, message_id }
            }
            ("NoticeFailed", 1) => {
                let keys::NoticeFailed { notice, class, reason } = self.read(stored)?;
                Event::NoticeFailed { notice, class, reason: self.open(stored.id, "reason", &reason)? }
            }
            ("PlanDefined", 2) => {
                let defined: keys::RuledPlanDefined = self.read(stored)?;
                let keys::RuledPlanDefined { rate_per_s, burst, quota_per_day, key_max_age_days, datasets, keys_max } =
                    defined;
                let rules = KeyRules { key_max_age_days, datasets, keys_max };
                Event::PlanDefined { limits: Limits { rate_per_s, burst, quota_per_day }, rules }
            }
            _ => return Ok(None),
        }))
    }

    fn open_some(&self, event: Uuid, field: &str, sealed: Option<&v1::Sealed>) -> Result<Option<Personal>, CodecError> {
        sealed.map(|sealed| self.open(event, field, sealed)).transpose()
    }

    fn bounds(
        &self,
        event: Uuid,
        expires_at: Option<&str>,
        allowed_ips: Option<&v1::Sealed>,
        datasets: Option<Vec<String>>,
        actions: Vec<DataAction>,
    ) -> Result<KeyBounds, CodecError> {
        let moment = |text: &str| text.parse().map_err(|error: jiff::Error| self.invalid(error));
        Ok(KeyBounds {
            expires_at: expires_at.map(moment).transpose()?,
            allowed_ips: self.open_some(event, "allowed_ips", allowed_ips)?,
            scopes: KeyScopes { datasets, actions },
        })
    }

    /// Decodes events in their second version.
    fn decode_v2(&self, type_name: &str, stored: &StoredEvent<'_>) -> Result<Option<Event>, CodecError> {
        Ok(match type_name {
            "UserInvited" => {
                let roles::InvitedInRole { email, name, role, plan, invitation } = self.read(stored)?;
                let email = self.open(stored.id, "email", &email)?;
                let name = name.map(|name| self.open(stored.id, "name", &name)).transpose()?;
                Some(Event::UserInvited { email, name, role, plan, invitation })
            }
            "RoleChanged" => Some(Event::RoleChanged { role: self.read::<roles::RoleGiven>(stored)?.role }),
            "ApiKeyIssued" => {
                let v2::SealedKeyIssued { key_id, sha256, last_four, secret_version, invitation, label } =
                    self.read(stored)?;
                let hash = KeyHash::parse(&sha256).map_err(|error| self.invalid(error))?;
                let label = label.map(|label| self.open(stored.id, "label", &label)).transpose()?;
                let key_id = self.key_id(&key_id)?;
                let bounds = KeyBounds::default();
                Some(Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label, bounds })
            }
            "ApiKeyRevoked" => {
                let v2::KeyRevokedFor { key_id, reason } = self.read(stored)?;
                Some(Event::ApiKeyRevoked { key_id: self.key_id(&key_id)?, reason })
            }
            "SessionEnded" => {
                let leaks::SessionEndedFor { session, reason } = self.read(stored)?;
                Some(Event::SignIn(SignInEvent::SessionEnded { session: self.key_id(&session)?, reason }))
            }
            "SessionStarted" => {
                let provider::SessionStartedBy { session, sha256, expires_at, idle_s, method, network } =
                    self.read(stored)?;
                let hash = KeyHash::parse(&sha256).map_err(|error| self.invalid(error))?;
                let expires_at = expires_at.parse().map_err(|error: jiff::Error| self.invalid(error))?;
                let (session, network) = (self.key_id(&session)?, self.open(stored.id, "network", &network)?);
                let started = SignInEvent::SessionStarted { session, hash, expires_at, idle_s, method, network };
                Some(Event::SignIn(started))
            }
            "MailFailed" => {
                let v2::SealedMailFailed { invitation, class, reason } = self.read(stored)?;
                Some(Event::MailFailed { invitation, class, reason: self.open(stored.id, "reason", &reason)? })
            }
            _ => None,
        })
    }
}
