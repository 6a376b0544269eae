//! The events. What is stored is [`super::persisted`], which changes by rules of its own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    bounds::KeyBounds,
    guard::Excess,
    id::{StreamId, UserId, Who},
    key::{KeyHash, KeyId},
    notice::{Notice, NoticeChoice},
    permission::Permissions,
    personal::Personal,
    plan::{KeyRules, Limits},
    sign_in::SignInEvent,
};
pub use super::{guard::ImportCounts, role::Role};

/// Why a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Somebody asked for it.
    Requested,
    /// Its owner was deleted.
    UserDeleted,
    /// It was found where others could read it.
    Leaked,
}

impl RevocationReason {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::UserDeleted => "user_deleted",
            Self::Leaked => "leaked",
        }
    }
}

/// Whether a mail that came back would do so again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BounceKind {
    /// Such as to a mailbox that is not there.
    Permanent,
    /// Such as to a mailbox that is full.
    Transient,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A person was invited.
    UserInvited {
        /// Their address.
        email: Personal,
        /// Their name.
        name: Option<Personal>,
        /// What they may do.
        role: Role,
        /// The plan of their keys.
        plan: String,
        /// The invitation, which one mail fulfils.
        invitation: Uuid,
    },
    /// The invitation is to be mailed again.
    InvitationResent {
        /// The new invitation.
        invitation: Uuid,
    },
    /// The person has made their first request.
    InvitationAccepted,
    /// Their keys stop working until they are enabled.
    UserDisabled,
    /// Their keys work again.
    UserEnabled,
    /// The person was deleted: their keys never work again and their personal data is erased.
    UserDeleted,
    /// They may do something else.
    RoleChanged {
        /// What.
        role: Role,
    },
    /// Their keys have another plan.
    PlanAssigned {
        /// Which.
        plan: String,
    },
    /// A key exists.
    ApiKeyIssued {
        /// Its public id.
        key_id: KeyId,
        /// The SHA-256 of the key.
        hash: KeyHash,
        /// The last four characters of the key, by which people tell keys apart; of its secret where it was made when these were taken.
        last_four: String,
        /// Which server secret it was derived from.
        secret_version: u32,
        /// The invitation that it fulfils, if any.
        invitation: Option<Uuid>,
        /// What its owner calls it.
        label: Option<Personal>,
        /// Until when it works, from where, and what for.
        bounds: KeyBounds,
    },
    /// The key is called, or may do, something else: all of it as it is from now on.
    ApiKeyChanged {
        /// The key.
        key_id: KeyId,
        /// What its owner calls it.
        label: Option<Personal>,
        /// Until when it works, from where, and what for.
        bounds: KeyBounds,
    },
    /// It was noticed that the key expires within so many days, so that its owner is told.
    ApiKeyExpiring {
        /// The key.
        key_id: KeyId,
        /// How many days before its end this is for.
        days: u8,
    },
    /// A mail with the key was handed to the mail system.
    ApiKeyMailed {
        /// The key.
        key_id: KeyId,
        /// The invitation that the mail fulfils.
        invitation: Uuid,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// The key has a successor.
    ApiKeyRotated {
        /// The old key.
        key_id: KeyId,
        /// The new one.
        replaced_by: KeyId,
        /// When the old one stops working.
        valid_until: Timestamp,
    },
    /// The key never works again.
    ApiKeyRevoked {
        /// The key.
        key_id: KeyId,
        /// Why.
        reason: RevocationReason,
    },
    /// Somebody was told by mail that the key was revoked because it had leaked.
    LeakNoticeMailed {
        /// The key.
        key_id: KeyId,
        /// Who was told: its owner, or an administrator.
        to: UserId,
        /// What kind of refusal it was, in permitd's own words, where the mail system would not take the mail.
        refused: Option<String>,
    },
    /// The mail system will not take the mail.
    MailFailed {
        /// The invitation that was not fulfilled.
        invitation: Uuid,
        /// What kind of refusal it was, in permitd's own words: nothing of the person is in it.
        class: String,
        /// What the mail system said, which may repeat the address.
        reason: Personal,
    },
    /// Something happened to how a person signs in.
    SignIn(SignInEvent),
    /// The person's requests of a day have come to this share of their quota, so that they are told.
    QuotaReached {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share.
        percent: u8,
    },
    /// The person wants these notices, and no others.
    NoticesChosen {
        /// Which.
        choice: NoticeChoice,
    },
    /// A mail with a notice was handed to the mail system.
    NoticeMailed {
        /// The notice.
        notice: Notice,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// The mail system will not take the mail with a notice.
    NoticeFailed {
        /// The notice.
        notice: Notice,
        /// What kind of refusal it was, in permitd's own words: nothing of the person is in it.
        class: String,
        /// What the mail system said, which may repeat the address.
        reason: Personal,
    },
    /// A mail that had been taken came back.
    MailBounced {
        /// Whether another one would.
        kind: BounceKind,
        /// What kind of bounce it was, in permitd's own words.
        class: String,
        /// What the mail system said, which may repeat the address.
        reason: Personal,
        /// The mail's Message-ID, before the `@`, where it is known.
        message_id: Option<String>,
    },
    /// Whoever got a mail does not want it.
    MailComplained {
        /// What kind of complaint it was, in permitd's own words.
        class: String,
        /// What the mail system said, which may repeat the address.
        reason: Personal,
        /// The mail's Message-ID, before the `@`, where it is known.
        message_id: Option<String>,
    },
    /// The address gets mail again.
    MailAllowed,
    /// A plan has these limits.
    PlanDefined {
        /// The limits.
        limits: Limits,
        /// What it says of keys.
        rules: KeyRules,
    },
    /// Nobody gets this plan any more.
    PlanRetired,
    /// An administrator's token exists.
    AdminTokenIssued {
        /// Its public id.
        token: KeyId,
        /// What it is called.
        name: String,
        /// The SHA-256 of the token.
        hash: KeyHash,
        /// What it may.
        permissions: Permissions,
        /// When it stops working, if ever.
        expires_at: Option<Timestamp>,
    },
    /// The token never works again.
    AdminTokenRevoked {
        /// Which.
        token: KeyId,
    },
    /// An import began.
    ImportStarted {
        /// The import.
        import: Uuid,
        /// The file's name, without its folders.
        file_name: String,
        /// The fingerprint of the definition that reads it.
        definition: String,
        /// Whether the file is the whole data set, so that what it lacks is removed.
        replace: bool,
    },
    /// All rows of the import are visible.
    ImportCompleted {
        /// The import.
        import: Uuid,
        /// The data set's version after it.
        dataset_version: u64,
        /// What it did.
        counts: ImportCounts,
    },
    /// The import ended; the data set is as it was.
    ImportFailed {
        /// The import.
        import: Uuid,
        /// Why.
        reason: String,
    },
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
    },
    /// The import is to be done as it is.
    ImportApproved {
        /// The import.
        import: Uuid,
    },
    /// The import is not to be done.
    ImportDiscarded {
        /// The import.
        import: Uuid,
        /// Why, where nobody asked for it.
        reason: Option<String>,
    },
    /// Somebody ended the import before its rows were visible.
    ImportCancelled {
        /// The import.
        import: Uuid,
    },
    /// The records of the data set are kept, and served to nobody.
    DataSetWithdrawn,
    /// The records of the data set are served again.
    DataSetRestored,
    /// The records of the data set, and their past, were removed.
    DataSetRemoved {
        /// The version that they had.
        dataset_version: u64,
    },
    /// The records of the data set go by another name now.
    DataSetRenamed {
        /// Which.
        to: String,
        /// The version that they had.
        dataset_version: u64,
    },
    /// Records that went by another name are those of this data set now: as if imported, at the version that they had.
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
    },
}

impl Event {
    /// The type as it is stored.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::UserInvited { .. } => "UserInvited",
            Self::InvitationResent { .. } => "InvitationResent",
            Self::InvitationAccepted => "InvitationAccepted",
            Self::UserDisabled => "UserDisabled",
            Self::UserEnabled => "UserEnabled",
            Self::UserDeleted => "UserDeleted",
            Self::RoleChanged { .. } => "RoleChanged",
            Self::PlanAssigned { .. } => "PlanAssigned",
            Self::ApiKeyIssued { .. } => "ApiKeyIssued",
            Self::ApiKeyChanged { .. } => "ApiKeyChanged",
            Self::ApiKeyExpiring { .. } => "ApiKeyExpiring",
            Self::ApiKeyMailed { .. } => "ApiKeyMailed",
            Self::ApiKeyRotated { .. } => "ApiKeyRotated",
            Self::ApiKeyRevoked { .. } => "ApiKeyRevoked",
            Self::LeakNoticeMailed { .. } => "LeakNoticeMailed",
            Self::MailFailed { .. } => "MailFailed",
            Self::SignIn(event) => event.type_name(),
            Self::QuotaReached { .. } => "QuotaReached",
            Self::NoticesChosen { .. } => "NoticesChosen",
            Self::NoticeMailed { .. } => "NoticeMailed",
            Self::NoticeFailed { .. } => "NoticeFailed",
            Self::MailBounced { .. } => "MailBounced",
            Self::MailComplained { .. } => "MailComplained",
            Self::MailAllowed => "MailAllowed",
            Self::PlanDefined { .. } => "PlanDefined",
            Self::PlanRetired => "PlanRetired",
            Self::AdminTokenIssued { .. } => "AdminTokenIssued",
            Self::AdminTokenRevoked { .. } => "AdminTokenRevoked",
            Self::ImportStarted { .. } => "ImportStarted",
            Self::ImportCompleted { .. } => "ImportCompleted",
            Self::ImportFailed { .. } => "ImportFailed",
            Self::ImportHeld { .. } => "ImportHeld",
            Self::ImportApproved { .. } => "ImportApproved",
            Self::ImportDiscarded { .. } => "ImportDiscarded",
            Self::ImportCancelled { .. } => "ImportCancelled",
            Self::DataSetWithdrawn => "DataSetWithdrawn",
            Self::DataSetRestored => "DataSetRestored",
            Self::DataSetRemoved { .. } => "DataSetRemoved",
            Self::DataSetRenamed { .. } => "DataSetRenamed",
            Self::DataSetTakenOver { .. } => "DataSetTakenOver",
        }
    }
}

/// A point in the past of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// Right after the commit of this version.
    Version(u64),
    /// After all that was recorded up to this moment.
    Moment(Timestamp),
}

/// A text that names no point in the past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a version such as 3, or a moment such as 2026-03-01T12:00:00Z, is expected")]
pub struct AsOfError;

impl AsOf {
    /// Reads a version or a moment.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, AsOfError> {
        let version = text.parse().map(Self::Version);
        version.or_else(|_| text.parse().map(Self::Moment)).map_err(|_| AsOfError)
    }

    /// The moment that what ends by itself is told at: that of the past where one is named, but not later than `now`.
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Version(_) => now,
            Self::Moment(moment) => moment.min(now),
        }
    }

    /// Whether a commit is of that past.
    pub fn holds(self, version: u64, recorded_at: Timestamp) -> bool {
        match self {
            Self::Version(last) => version <= last,
            Self::Moment(moment) => recorded_at <= moment,
        }
    }
}

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who did it.
    pub who: Who,
    /// The request that it belongs to.
    pub correlation_id: String,
    /// The command or event that caused it.
    pub causation_id: Option<String>,
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The event's id, UUID version 7.
    pub id: Uuid,
    /// Its stream.
    pub stream: StreamId,
    /// The version of its commit in the stream, from 1.
    pub version: u64,
    /// Its place in the commit, from 0.
    pub index: u32,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
    /// What happened.
    pub event: Event,
}

/// What a state takes in of an event: who did it, and for which request, makes no difference to any.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Its stream.
    pub stream: &'a StreamId,
    /// The version of its commit in the stream, from 1.
    pub version: u64,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: &'a Event,
}

impl Recorded {
    /// What a state takes in of it.
    pub fn fact(&self) -> Fact<'_> {
        Fact { stream: &self.stream, version: self.version, recorded_at: self.recorded_at, event: &self.event }
    }
}
