//! A person and their keys, as their stream records them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    bounds::{self, KeyBounds},
    event::{RevocationReason, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::{KeyNotices, NoticeChoice, QuotaNotices},
    personal::Personal,
    reach::KeyReach,
    sign_in::SignIn,
};

/// Longest label of a key, characters.
pub const LABEL_CHARS_MAX: usize = 80;

/// Longest name of a person, characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A key that is about to be issued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKey {
    /// The key's public id.
    pub id: KeyId,
    /// The SHA-256 of the key.
    pub hash: KeyHash,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// The version of the server secret that the key was derived from.
    pub secret_version: u32,
}

/// A key as its owner's stream records it.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key's public id.
    pub id: KeyId,
    /// Version of the last commit that changed the key.
    pub version: u64,
    /// The SHA-256 of the key.
    pub hash: KeyHash,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// The version of the server secret that the key was derived from.
    pub secret_version: u32,
    /// The invitation that the key fulfils, if any.
    pub invitation: Option<Uuid>,
    /// The label that its owner gives the key.
    pub label: Option<Personal>,
    /// Until when the key works, from where, and what for.
    pub bounds: KeyBounds,
    /// When the key's end was last set.
    pub end_set_at: Timestamp,
    /// The notices about the key.
    pub noticed: KeyNotices,
    /// When the key was issued.
    pub issued_at: Timestamp,
    /// When the key was last mailed.
    pub mailed_at: Option<Timestamp>,
    /// When the key stops working because it was rotated.
    pub valid_until: Option<Timestamp>,
    /// The key's successor.
    pub replaced_by: Option<KeyId>,
    /// When and why the key was revoked.
    pub revoked: Option<(Timestamp, RevocationReason)>,
}

impl Key {
    /// Tells whether the key was neither revoked nor replaced.
    pub fn is_current(&self) -> bool {
        self.revoked.is_none() && self.replaced_by.is_none()
    }

    /// Tells whether the key works, as far as it depends on the key itself.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.valid_until.is_none_or(|until| until > now) && !self.is_expired(now)
    }

    /// Tells whether the key was replaced, but still works.
    pub fn is_in_grace(&self, now: Timestamp) -> bool {
        self.valid_until.is_some() && self.works(now)
    }

    /// What the key may be used for, and from where.
    pub fn reach(&self) -> KeyReach {
        let networks = self.bounds.allowed_ips.as_ref();
        // Erased networks allow nobody.
        let networks = networks.map(|networks| bounds::networks(networks.known().unwrap_or_default()));
        KeyReach::new(networks, self.bounds.scopes.clone())
    }

    /// Tells whether the key's own end has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.bounds.expires_at.is_some_and(|end| end <= now)
    }
}

/// Whether a person's keys work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Their keys work.
    Enabled,
    /// Their keys are refused until they are enabled.
    Disabled,
    /// Their keys are refused for ever.
    Deleted,
}

/// A person as their stream records them.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The person's id.
    pub id: UserId,
    /// Version of the last commit.
    pub version: u64,
    /// Their address.
    pub email: Personal,
    /// Their name.
    pub name: Option<Personal>,
    /// The person's role.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
    /// Whether the person's keys work.
    pub standing: Standing,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// When the last event was recorded.
    pub changed_at: Timestamp,
    /// When they were deleted.
    pub deleted_at: Option<Timestamp>,
    /// The invitations, oldest first, each with the time when its mail was handed over.
    pub invitations: Vec<(Uuid, Option<Timestamp>)>,
    /// When each invitation was requested, in the same order.
    pub invitations_at: Vec<Timestamp>,
    /// What is known of the last invitation's mail.
    pub invitation_mail: InvitationMail,
    /// When their first request was noticed.
    pub first_request_at: Option<Timestamp>,
    /// Why the last mail failed, unless a later one succeeded.
    pub mail_failure: Option<String>,
    /// The notices that they want.
    pub notices: NoticeChoice,
    /// The notices about their quota.
    pub quota: QuotaNotices,
    /// When the last mail failed.
    pub mail_failed_at: Option<Timestamp>,
    /// Why they get no mail, if it is stopped.
    pub mail_stop: Option<MailStop>,
    /// Their keys.
    pub keys: BTreeMap<KeyId, Key>,
    /// How they sign in.
    pub sign_in: Box<SignIn>,
    /// The recipients of mails about leaks: key and person.
    pub leak_notices: BTreeSet<(KeyId, UserId)>,
}

impl User {
    /// The key that an invitation's mail carries: the newest current key that was issued for an invitation.
    pub fn invitation_key(&self) -> Option<&Key> {
        self.keys
            .values()
            .filter(|key| key.invitation.is_some() && key.is_current())
            .max_by_key(|key| (key.issued_at, key.id))
    }

    /// Tells whether a key was issued for this invitation, even if it has ended since.
    pub fn had_key_for(&self, invitation: Uuid) -> bool {
        self.keys.values().any(|key| key.invitation == Some(invitation))
    }

    /// Tells whether a mail for this invitation was handed over.
    pub fn is_mailed(&self, invitation: Uuid) -> bool {
        self.invitations.iter().any(|(id, mailed_at)| *id == invitation && mailed_at.is_some())
    }

    /// Tells whether the person can sign in and administer.
    pub fn can_administer(&self) -> bool {
        self.role == Role::Admin && self.standing == Standing::Enabled && self.sign_in.has_way_in()
    }

    /// The keys that were not revoked.
    pub fn unrevoked_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values().filter(|key| key.revoked.is_none())
    }

    /// The keys that were neither revoked nor replaced.
    pub fn current_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values().filter(|key| key.is_current())
    }
}

/// Why an address gets no more mail, until an administrator says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailStop {
    /// A mail came back for good.
    Bounced,
    /// The person said that they do not want it.
    Complained,
}

impl MailStop {
    /// The name in answers and in the view.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }

    /// The mail stop with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bounced, Self::Complained].into_iter().find(|stop| stop.as_str() == name)
    }

    /// Why a mail is not sent.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Bounced => "an earlier mail to this address came back for good",
            Self::Complained => "an earlier mail to this address was reported as unwanted",
        }
    }
}

/// The state of the last invitation's mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvitationMail {
    /// When the last of its links ends.
    pub links_end: Option<Timestamp>,
    /// When one of its links was used.
    pub opened_at: Option<Timestamp>,
    /// When the mail bounced.
    pub bounced_at: Option<Timestamp>,
}

impl InvitationMail {
    /// What the Message-IDs of an invitation's mails begin with.
    pub fn id_prefix(invitation: Uuid) -> String {
        format!("invitation-{invitation}-")
    }
}
