//! A person and their keys: the state machine of a `user#<id>` stream.

pub mod administrators;
mod by_provider;
mod command;
mod invitation;
mod leaked;
mod post;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

pub use self::{
    by_provider::ProviderSignIn,
    command::{Changes, Command, decide},
    invitation::InvitationMail,
    leaked::LeakedAccess,
    post::{Comeback, ComebackKind, MailStop},
    refusal::CommandRefusal,
};
use super::{
    bounds::{self, KeyBounds},
    event::{Event, Fact, Recorded, RevocationReason, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::{self, KeyNotices, NoticeChoice, QuotaNotices},
    personal::Personal,
    reach::KeyReach,
    sign_in::{self, SessionEnd, SignIn},
};

/// Longest label of a key, characters.
pub const LABEL_CHARS_MAX: usize = 80;
/// Longest name of a person, characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A key that is about to be issued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKey {
    /// Its public id.
    pub id: KeyId,
    /// The SHA-256 of the key.
    pub hash: KeyHash,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// Which server secret it was derived from.
    pub secret_version: u32,
}

/// A key as its owner's stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its public id.
    pub id: KeyId,
    /// Version of the last commit that changed it.
    pub version: u64,
    /// The SHA-256 of the key.
    pub hash: KeyHash,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// Which server secret it was derived from.
    pub secret_version: u32,
    /// The invitation that it fulfils, if any.
    pub invitation: Option<Uuid>,
    /// What its owner calls it.
    pub label: Option<Personal>,
    /// Until when it works, from where, and what for.
    pub bounds: KeyBounds,
    /// When its end was set last.
    pub end_set_at: Timestamp,
    /// What its owner was told of it.
    pub noticed: KeyNotices,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was last mailed.
    pub mailed_at: Option<Timestamp>,
    /// When it stops working because it was rotated.
    pub valid_until: Option<Timestamp>,
    /// Its successor.
    pub replaced_by: Option<KeyId>,
    /// When and why it was revoked.
    pub revoked: Option<(Timestamp, RevocationReason)>,
}

impl Key {
    /// Whether it was neither revoked nor replaced.
    pub fn is_current(&self) -> bool {
        self.revoked.is_none() && self.replaced_by.is_none()
    }

    /// Whether it works, as far as it depends on the key.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.valid_until.is_none_or(|until| until > now) && !self.is_expired(now)
    }

    /// Whether it was replaced, and works all the same.
    pub fn is_in_grace(&self, now: Timestamp) -> bool {
        self.valid_until.is_some() && self.works(now)
    }

    /// What it may be used for, and from where.
    pub fn reach(&self) -> KeyReach {
        let networks = self.bounds.allowed_ips.as_ref();
        // Erased ones allow nobody.
        let networks = networks.map(|networks| bounds::networks(networks.known().unwrap_or_default()));
        KeyReach::new(networks, self.bounds.scopes.clone())
    }

    /// Whether its own end has come.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.bounds.expires_at.is_some_and(|end| end <= now)
    }
}

/// What a person may currently do with their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Their keys work.
    Enabled,
    /// Their keys are refused until they are enabled.
    Disabled,
    /// Their keys are refused for ever.
    Deleted,
}

/// A person as their stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Version of the last commit.
    pub version: u64,
    /// Their address.
    pub email: Personal,
    /// Their name.
    pub name: Option<Personal>,
    /// What they may do.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
    /// Whether their keys work.
    pub standing: Standing,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// When the last event was recorded.
    pub changed_at: Timestamp,
    /// When they were deleted.
    pub deleted_at: Option<Timestamp>,
    /// The invitations, oldest first, each with the time at which a mail for it was handed over.
    pub invitations: Vec<(Uuid, Option<Timestamp>)>,
    /// When each of them was asked for, in the same order.
    pub invitations_at: Vec<Timestamp>,
    /// What became of the last of them.
    pub invitation_mail: InvitationMail,
    /// When they were first noticed to make requests.
    pub first_request_at: Option<Timestamp>,
    /// Why the last mail failed, unless a later one did not.
    pub mail_failure: Option<String>,
    /// The notices that they want.
    pub notices: NoticeChoice,
    /// What they were told of their quota.
    pub quota: QuotaNotices,
    /// When that mail failed.
    pub mail_failed_at: Option<Timestamp>,
    /// Why they get no more mail, if they get none.
    pub mail_stop: Option<MailStop>,
    /// Their keys.
    pub keys: BTreeMap<KeyId, Key>,
    /// How they sign in.
    pub sign_in: Box<SignIn>,
    /// Who was told by mail of which key's leak.
    pub leak_notices: BTreeSet<(KeyId, UserId)>,
}

impl User {
    /// Folds a stream's events, in order, into the state after the last; `None` for an empty stream.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Option<Self> {
        let mut state = None;
        for event in events {
            evolve(&mut state, event.fact());
        }
        state
    }

    /// The key that a mail for an invitation carries: the newest current key that was issued for an invitation.
    pub fn invitation_key(&self) -> Option<&Key> {
        self.keys
            .values()
            .filter(|key| key.invitation.is_some() && key.is_current())
            .max_by_key(|key| (key.issued_at, key.id))
    }

    /// Whether a key was issued for this invitation, even if it has ended since.
    pub fn had_key_for(&self, invitation: Uuid) -> bool {
        self.keys.values().any(|key| key.invitation == Some(invitation))
    }

    /// Whether a mail for this invitation was handed over.
    pub fn is_mailed(&self, invitation: Uuid) -> bool {
        self.invitations.iter().any(|(id, mailed_at)| *id == invitation && mailed_at.is_some())
    }

    /// Whether they can sign in and administer.
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

/// Takes in one event of the person's stream.
pub fn evolve(state: &mut Option<User>, fact: Fact<'_>) {
    let at = fact.recorded_at;
    if let (None, Event::UserInvited { email, name, role, plan, invitation }) = (state.as_ref(), fact.event) {
        let super::id::StreamId::User(id) = *fact.stream else { return };
        *state = Some(User {
            id,
            version: fact.version,
            email: email.clone(),
            name: name.clone(),
            role: *role,
            plan: plan.clone(),
            standing: Standing::Enabled,
            invited_at: at,
            changed_at: at,
            deleted_at: None,
            invitations: vec![(*invitation, None)],
            invitations_at: vec![at],
            invitation_mail: InvitationMail::default(),
            first_request_at: None,
            mail_failure: None,
            notices: NoticeChoice::default(),
            quota: QuotaNotices::default(),
            mail_failed_at: None,
            mail_stop: None,
            keys: BTreeMap::new(),
            sign_in: Box::default(),
            leak_notices: BTreeSet::new(),
        });
        return;
    }
    let Some(user) = state.as_mut() else { return };
    user.version = fact.version;
    user.changed_at = at;
    apply(user, fact.event, at);
}

fn apply(user: &mut User, event: &Event, at: Timestamp) {
    let version = user.version;
    invitation::apply(user, event, at);
    match event {
        Event::InvitationResent { invitation } => {
            user.invitations.push((*invitation, None));
            user.invitations_at.push(at);
        }
        Event::SignIn(event) => {
            if matches!(event, sign_in::SignInEvent::LinkMailed { .. }) {
                user.mail_failure = None;
            }
            user.sign_in.apply(event, at, version);
        }
        Event::UserDisabled => {
            user.standing = Standing::Disabled;
            user.sign_in.end_all(at, version, SessionEnd::Disabled, None);
        }
        Event::UserEnabled => user.standing = Standing::Enabled,
        Event::UserDeleted => erase(user, at),
        Event::RoleChanged { role } => {
            user.role = *role;
            user.sign_in.end_all(at, version, SessionEnd::RoleChanged, None);
        }
        Event::PlanAssigned { plan } => user.plan.clone_from(plan),
        Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label, bounds } => {
            let key = Key {
                id: *key_id,
                version,
                hash: *hash,
                last_four: last_four.clone(),
                secret_version: *secret_version,
                invitation: *invitation,
                label: label.clone(),
                bounds: bounds.clone(),
                end_set_at: at,
                noticed: KeyNotices::default(),
                issued_at: at,
                mailed_at: None,
                valid_until: None,
                replaced_by: None,
                revoked: None,
            };
            user.keys.insert(*key_id, key);
        }
        Event::ApiKeyMailed { key_id, invitation, .. } => {
            if user.mail_stop.is_none() {
                user.mail_failure = None;
                user.mail_failed_at = None;
            }
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.mailed_at = Some(at);
            }
            if let Some(mailed) = user.invitations.iter_mut().find(|(id, _)| id == invitation) {
                mailed.1 = Some(at);
            }
        }
        Event::ApiKeyChanged { key_id, label, bounds } => {
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.label.clone_from(label);
                if key.bounds.expires_at != bounds.expires_at {
                    key.end_set_at = at;
                    key.noticed = KeyNotices { expiring: None, expiring_told: None, ..key.noticed };
                }
                key.bounds.clone_from(bounds);
            }
        }
        Event::ApiKeyExpiring { key_id, days } => {
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.noticed.expiring = Some(*days);
            }
        }
        Event::QuotaReached { day, percent } => {
            if *day != user.quota.day {
                user.quota = QuotaNotices { day: *day, ..QuotaNotices::default() };
            }
            user.quota.reached = *percent;
        }
        Event::NoticesChosen { choice } => user.notices = *choice,
        Event::NoticeMailed { notice, .. } => {
            user.mail_failure = None;
            notice::told(user, *notice);
        }
        Event::NoticeFailed { notice, class, reason } => {
            user.mail_failure = Some(reason.known().unwrap_or(class).to_owned());
            notice::told(user, *notice);
        }
        Event::ApiKeyRotated { key_id, replaced_by, valid_until } => {
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.replaced_by = Some(*replaced_by);
                key.valid_until = Some(*valid_until);
            }
        }
        Event::ApiKeyRevoked { key_id, reason } => {
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.revoked = Some((at, *reason));
            }
        }
        Event::LeakNoticeMailed { key_id, to, .. } => {
            user.leak_notices.insert((*key_id, *to));
        }
        Event::MailFailed { .. } | Event::MailBounced { .. } | Event::MailComplained { .. } | Event::MailAllowed => {
            post::apply(user, event, at)
        }
        Event::UserInvited { .. }
        | Event::InvitationAccepted
        | Event::PlanDefined { .. }
        | Event::PlanRetired
        | Event::AdminTokenIssued { .. }
        | Event::AdminTokenRevoked { .. }
        | Event::ImportStarted { .. }
        | Event::ImportCompleted { .. }
        | Event::ImportFailed { .. }
        | Event::ImportHeld { .. }
        | Event::ImportApproved { .. }
        | Event::ImportDiscarded { .. }
        | Event::ImportCancelled { .. }
        | Event::DataSetWithdrawn
        | Event::DataSetRestored
        | Event::DataSetRemoved { .. }
        | Event::DataSetRenamed { .. }
        | Event::DataSetTakenOver { .. } => {}
    }
}

/// Forgets all that was said of the person and by them.
fn erase(user: &mut User, at: Timestamp) {
    user.standing = Standing::Deleted;
    user.deleted_at = Some(at);
    user.email = Personal::Erased;
    user.name = user.name.take().map(|_| Personal::Erased);
    user.mail_failure = None;
    user.mail_failed_at = None;
    user.mail_stop = None;
    user.sign_in.erase(at, user.version);
    for key in user.keys.values_mut() {
        let (label, allowed_ips) = (key.label.take(), key.bounds.allowed_ips.take());
        if label.is_some() || allowed_ips.is_some() {
            // The view's row of the key changes with it.
            key.version = user.version;
        }
    }
}

#[cfg(test)]
mod tests;
