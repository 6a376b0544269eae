//! The events. Their stored form is [`super::persisted`], which changes by rules of its own.

mod as_of;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::as_of::{AsOf, AsOfError};
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
        /// The person's role.
        role: Role,
        /// The plan of the person's keys.
        plan: String,
        /// The invitation, for which one mail is sent.
        invitation: Uuid,
    },
    /// The invitation is to be mailed again.
    InvitationResent {
        /// The new invitation.
        invitation: Uuid,
    },
    /// The person has made their first request.
    InvitationAccepted,
    /// The person's keys stop working until they are enabled.
    UserDisabled,
    /// The person's keys work again.
    UserEnabled,
    /// The person was deleted: the keys never work again and the personal data is erased.
    UserDeleted,
    /// The person has another role.
    RoleChanged {
        /// The new role.
        role: Role,
    },
    /// The person's keys have another plan.
    PlanAssigned {
        /// The new plan.
        plan: String,
    },
    /// A key exists.
    ApiKeyIssued {
        /// Its public id.
        key_id: KeyId,
        /// The SHA-256 of the key.
        hash: KeyHash,
        /// The last four characters of the key, by which people tell keys apart; those of its secret for keys of earlier versions.
        last_four: String,
        /// The version of the server secret that the key was derived from.
        secret_version: u32,
        /// The invitation that it fulfils, if any.
        invitation: Option<Uuid>,
        /// The label that its owner gives the key.
        label: Option<Personal>,
        /// Until when the key works, from where, and what for.
        bounds: KeyBounds,
    },
    /// The key's label or bounds changed: both in full, as they are from now on.
    ApiKeyChanged {
        /// The key.
        key_id: KeyId,
        /// The label that its owner gives the key.
        label: Option<Personal>,
        /// Until when the key works, from where, and what for.
        bounds: KeyBounds,
    },
    /// A notice to the key's owner is due: the key expires within so many days.
    ApiKeyExpiring {
        /// The key.
        key_id: KeyId,
        /// The number of days before its end that the notice is for.
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
        /// When the old key stops working.
        valid_until: Timestamp,
    },
    /// The key never works again.
    ApiKeyRevoked {
        /// The key.
        key_id: KeyId,
        /// The reason.
        reason: RevocationReason,
    },
    /// Somebody was told by mail that the key was revoked because it had leaked.
    LeakNoticeMailed {
        /// The key.
        key_id: KeyId,
        /// Who was told: its owner, or an administrator.
        to: UserId,
        /// The kind of refusal, in permitd's own words, if the mail system refused the mail.
        refused: Option<String>,
    },
    /// The mail system will not take the mail.
    MailFailed {
        /// The invitation that was not fulfilled.
        invitation: Uuid,
        /// The kind of refusal, in permitd's own words, without anything about the person.
        class: String,
        /// The mail system's words, which may repeat the address.
        reason: Personal,
    },
    /// An event about how a person signs in.
    SignIn(SignInEvent),
    /// The person's requests of a day have reached this share of their quota, of which they are to be told.
    QuotaReached {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share, percent.
        percent: u8,
    },
    /// The person chose which notices to get.
    NoticesChosen {
        /// The notices chosen.
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
        /// The kind of refusal, in permitd's own words, without anything about the person.
        class: String,
        /// The mail system's words, which may repeat the address.
        reason: Personal,
    },
    /// A mail bounced after the mail system had taken it.
    MailBounced {
        /// Whether another mail would bounce, too.
        kind: BounceKind,
        /// The kind of bounce, in permitd's own words.
        class: String,
        /// The mail system's words, which may repeat the address.
        reason: Personal,
        /// The part of the mail's Message-ID before the `@`, if known.
        message_id: Option<String>,
    },
    /// The recipient of a mail complained about it.
    MailComplained {
        /// The kind of complaint, in permitd's own words.
        class: String,
        /// The mail system's words, which may repeat the address.
        reason: Personal,
        /// The part of the mail's Message-ID before the `@`, if known.
        message_id: Option<String>,
    },
    /// The address gets mail again.
    MailAllowed,
    /// A plan has these limits.
    PlanDefined {
        /// The limits.
        limits: Limits,
        /// The plan's rules for keys.
        rules: KeyRules,
    },
    /// The plan was retired: it is not assigned any more.
    PlanRetired,
    /// An administrator's token exists.
    AdminTokenIssued {
        /// Its public id.
        token: KeyId,
        /// The token's name.
        name: String,
        /// The SHA-256 of the token.
        hash: KeyHash,
        /// The token's permissions.
        permissions: Permissions,
        /// When the token stops working, if ever.
        expires_at: Option<Timestamp>,
    },
    /// The token never works again.
    AdminTokenRevoked {
        /// The token.
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
        /// Whether the file is the whole data set, so that records missing from it are removed.
        replace: bool,
    },
    /// All rows of the import are visible.
    ImportCompleted {
        /// The import.
        import: Uuid,
        /// The data set's version after the import.
        dataset_version: u64,
        /// What the import did.
        counts: ImportCounts,
    },
    /// The import ended; the data set is as it was.
    ImportFailed {
        /// The import.
        import: Uuid,
        /// The reason.
        reason: String,
    },
    /// The import would remove, reject or empty too much: nobody sees it until it is approved.
    ImportHeld {
        /// The import.
        import: Uuid,
        /// The data set's version that the import was compared with; 0 if there was none.
        dataset_version: u64,
        /// What the import would do.
        counts: ImportCounts,
        /// The limits that the import exceeds.
        why: Vec<Excess>,
        /// The machine that keeps the import's file.
        node: String,
    },
    /// A held import was approved.
    ImportApproved {
        /// The import.
        import: Uuid,
    },
    /// A held import was discarded.
    ImportDiscarded {
        /// The import.
        import: Uuid,
        /// The reason, if nobody asked for the discard.
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
        /// The version that the records had.
        dataset_version: u64,
    },
    /// The records of the data set are under another name now.
    DataSetRenamed {
        /// The new name.
        to: String,
        /// The version that the records had.
        dataset_version: u64,
    },
    /// The records of another name belong to this data set now, as if imported at the version that they had.
    DataSetTakenOver {
        /// The id that stands for the import.
        import: Uuid,
        /// The former name.
        from: String,
        /// The fingerprint of the records' definition under this name.
        definition: String,
        /// The records' version.
        dataset_version: u64,
        /// The number of records.
        records: u64,
    },
}

impl Event {
    /// The event's type as it is stored.
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

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The actor.
    pub who: Who,
    /// The id of the request that the event belongs to.
    pub correlation_id: String,
    /// The id of the command or event that caused the event.
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
    /// The event's place in the commit, from 0.
    pub index: u32,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The actor, request and cause of the event.
    pub origin: Origin,
    /// What happened.
    pub event: Event,
}

/// The part of an event that a state depends on: not who did it, nor for which request.
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
    /// The part of the event that a state depends on.
    pub fn fact(&self) -> Fact<'_> {
        Fact { stream: &self.stream, version: self.version, recorded_at: self.recorded_at, event: &self.event }
    }
}
