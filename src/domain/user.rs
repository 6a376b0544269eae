//! A person and their keys: the state machine of a `user#<id>` stream.

pub mod administrators;
mod by_provider;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

pub use self::{by_provider::ProviderSignIn, refusal::CommandRefusal};
use super::{
    event::{Event, Fact, Recorded, RevocationReason, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    personal::Personal,
    sign_in::{self, SessionEnd, SignIn, SignInCommand},
    text::one_line,
};

/// Most keys that work at the same time for one person.
pub const ACTIVE_KEYS_MAX: usize = 20;
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
    /// The last four characters of its secret.
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
    /// The last four characters of its secret.
    pub last_four: String,
    /// Which server secret it was derived from.
    pub secret_version: u32,
    /// The invitation that it fulfils, if any.
    pub invitation: Option<Uuid>,
    /// What its owner calls it.
    pub label: Option<Personal>,
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
    /// Why the last mail failed, unless a later one did not.
    pub mail_failure: Option<String>,
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
            mail_failure: None,
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
        Event::ApiKeyIssued { key_id, hash, last_four, secret_version, invitation, label } => {
            let key = Key {
                id: *key_id,
                version,
                hash: *hash,
                last_four: last_four.clone(),
                secret_version: *secret_version,
                invitation: *invitation,
                label: label.clone(),
                issued_at: at,
                mailed_at: None,
                valid_until: None,
                replaced_by: None,
                revoked: None,
            };
            user.keys.insert(*key_id, key);
        }
        Event::ApiKeyMailed { key_id, invitation, .. } => {
            user.mail_failure = None;
            if let Some(key) = user.keys.get_mut(key_id) {
                key.version = version;
                key.mailed_at = Some(at);
            }
            if let Some(mailed) = user.invitations.iter_mut().find(|(id, _)| id == invitation) {
                mailed.1 = Some(at);
            }
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
        Event::MailFailed { class, reason, .. } => {
            user.mail_failure = Some(reason.known().unwrap_or(class).to_owned());
        }
        Event::UserInvited { .. }
        | Event::PlanDefined { .. }
        | Event::PlanRetired
        | Event::AdminTokenIssued { .. }
        | Event::AdminTokenRevoked { .. }
        | Event::ImportStarted { .. }
        | Event::ImportCompleted { .. }
        | Event::ImportFailed { .. }
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
    user.sign_in.erase(at, user.version);
    for key in user.keys.values_mut() {
        if key.label.take().is_some() {
            // The view's row of the key changes with it.
            key.version = user.version;
        }
    }
}

/// What is to be changed of a person; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The plan of their keys.
    pub plan: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Whether their keys work.
    pub enabled: Option<bool>,
}

impl Changes {
    /// An event for everything that is not so already.
    fn events(self, user: &User) -> Vec<Event> {
        let plan = self.plan.filter(|plan| *plan != user.plan).map(|plan| Event::PlanAssigned { plan });
        let role = self.role.filter(|role| *role != user.role).map(|role| Event::RoleChanged { role });
        let enabled = self.enabled.filter(|enabled| *enabled != (user.standing == Standing::Enabled));
        let standing = enabled.map(|enabled| if enabled { Event::UserEnabled } else { Event::UserDisabled });
        [plan, role, standing].into_iter().flatten().collect()
    }
}

/// Something that is asked of a person's stream. Identifiers and moments are handed in with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Invite.
    Invite {
        /// Their address.
        email: super::email::Email,
        /// Their name.
        name: Option<String>,
        /// What they may do.
        role: Role,
        /// The plan of their keys.
        plan: String,
        /// The new invitation.
        invitation: Uuid,
    },
    /// Mail the invitation again.
    ResendInvitation {
        /// The new invitation.
        invitation: Uuid,
    },
    /// Change what is to be changed, at once.
    Change(Changes),
    /// Delete and erase.
    Delete,
    /// Issue a key.
    IssueKey {
        /// The key.
        key: NewKey,
        /// The invitation that it fulfils, if any.
        invitation: Option<Uuid>,
        /// What its owner calls it.
        label: Option<String>,
    },
    /// Replace a key.
    RotateKey {
        /// The old key.
        key_id: KeyId,
        /// The new one.
        new: NewKey,
        /// When the old one stops working.
        valid_until: Timestamp,
    },
    /// Revoke a key.
    RevokeKey {
        /// The key.
        key_id: KeyId,
    },
    /// Something about how they sign in.
    SignIn(SignInCommand),
    /// Begin a session of somebody whom the provider knows, with what they may do from now on.
    SignInByProvider(Box<ProviderSignIn>),
    /// Revoke a key that was found where others could read it.
    RevokeLeakedKey {
        /// The key's id.
        key_id: KeyId,
        /// What was found hashes to this: a key of the same id that it is not goes on working.
        hash: KeyHash,
    },
    /// Revoke what a deleted person still has.
    RevokeAll,
    /// Write down that a mail was handed over.
    RecordMailed {
        /// The key in it.
        key_id: KeyId,
        /// The invitation that it fulfils.
        invitation: Uuid,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Write down that somebody was told of a leak.
    RecordLeakNotice {
        /// The key.
        key_id: KeyId,
        /// Who was told.
        to: UserId,
        /// What kind of refusal it was, if the mail was refused.
        refused: Option<String>,
    },
    /// Write down that a mail was refused.
    RecordMailFailed {
        /// The invitation.
        invitation: Uuid,
        /// What kind of refusal it was.
        class: String,
        /// What the mail system said.
        reason: String,
    },
}

/// Decides a command. No event means that what is asked is already so.
///
/// # Errors
/// Why it cannot be done.
pub fn decide(state: Option<&User>, command: Command) -> Result<Vec<Event>, CommandRefusal> {
    if let Command::Invite { email, name, role, plan, invitation } = command {
        if state.is_some() {
            return Err(CommandRefusal::Exists);
        }
        let name = line("name", name, NAME_CHARS_MAX)?;
        let (email, name) = (Personal::Known(email.as_str().to_owned()), name.map(Personal::Known));
        return Ok(vec![Event::UserInvited { email, name, role, plan, invitation }]);
    }
    let user = state.ok_or(CommandRefusal::NoUser)?;
    if user.standing == Standing::Deleted {
        return decide_for_deleted(user, &command);
    }
    match command {
        Command::Invite { .. } => Err(CommandRefusal::Exists),
        Command::ResendInvitation { invitation } => {
            enabled(user)?;
            Ok(vec![Event::InvitationResent { invitation }])
        }
        Command::Change(changes) => Ok(changes.events(user)),
        Command::Delete => Ok(vec![Event::UserDeleted]),
        Command::IssueKey { key, invitation, label } => {
            enabled(user)?;
            let label = line("label", label, LABEL_CHARS_MAX)?.map(Personal::Known);
            unused(user, key.id)?;
            if user.current_keys().count() >= ACTIVE_KEYS_MAX {
                return Err(CommandRefusal::TooManyKeys);
            }
            Ok(vec![issued(key, invitation, label)])
        }
        Command::RotateKey { key_id, new, valid_until } => {
            enabled(user)?;
            let old = user.keys.get(&key_id).ok_or(CommandRefusal::NoKey(key_id))?;
            if !old.is_current() {
                return Err(CommandRefusal::KeyEnded(key_id));
            }
            unused(user, new.id)?;
            let rotated = Event::ApiKeyRotated { key_id, replaced_by: new.id, valid_until };
            Ok(vec![issued(new, old.invitation, old.label.clone()), rotated])
        }
        Command::RevokeKey { key_id } => {
            let key = user.keys.get(&key_id).ok_or(CommandRefusal::NoKey(key_id))?;
            if key.revoked.is_some() {
                return Ok(Vec::new());
            }
            Ok(vec![Event::ApiKeyRevoked { key_id, reason: RevocationReason::Requested }])
        }
        Command::SignIn(command) => {
            enabled(user)?;
            Ok(sign_in::decide(&user.sign_in, command)?.into_iter().map(Event::SignIn).collect())
        }
        Command::SignInByProvider(of) => by_provider::decide(user, *of),
        Command::RevokeLeakedKey { key_id, hash } => {
            let is_it = |key: &&Key| key.revoked.is_none() && key.hash == hash;
            let leaked = user.keys.get(&key_id).filter(is_it);
            Ok(leaked
                .map(|key| Event::ApiKeyRevoked { key_id: key.id, reason: RevocationReason::Leaked })
                .into_iter()
                .collect())
        }
        Command::RevokeAll => Ok(Vec::new()),
        Command::RecordLeakNotice { key_id, to, refused } => {
            if user.leak_notices.contains(&(key_id, to)) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::LeakNoticeMailed { key_id, to, refused }])
        }
        Command::RecordMailed { key_id, invitation, message_id } => {
            if user.is_mailed(invitation) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::ApiKeyMailed { key_id, invitation, message_id }])
        }
        Command::RecordMailFailed { invitation, class, reason } => {
            Ok(vec![Event::MailFailed { invitation, class, reason: Personal::Known(reason) }])
        }
    }
}

fn decide_for_deleted(user: &User, command: &Command) -> Result<Vec<Event>, CommandRefusal> {
    match command {
        Command::RevokeAll => Ok(user
            .unrevoked_keys()
            .map(|key| Event::ApiKeyRevoked { key_id: key.id, reason: RevocationReason::UserDeleted })
            .collect()),
        Command::RevokeKey { key_id } => match user.keys.get(key_id) {
            None => Err(CommandRefusal::NoKey(*key_id)),
            Some(key) if key.revoked.is_some() => Ok(Vec::new()),
            Some(_) => Ok(vec![Event::ApiKeyRevoked { key_id: *key_id, reason: RevocationReason::UserDeleted }]),
        },
        // All their keys are revoked, or about to be.
        Command::RevokeLeakedKey { .. } => Ok(Vec::new()),
        _ => Err(CommandRefusal::Deleted),
    }
}

fn enabled(user: &User) -> Result<(), CommandRefusal> {
    match user.standing {
        Standing::Enabled => Ok(()),
        Standing::Disabled => Err(CommandRefusal::Disabled),
        Standing::Deleted => Err(CommandRefusal::Deleted),
    }
}

fn unused(user: &User, id: KeyId) -> Result<(), CommandRefusal> {
    if user.keys.contains_key(&id) { Err(CommandRefusal::KeyExists(id)) } else { Ok(()) }
}

fn issued(key: NewKey, invitation: Option<Uuid>, label: Option<Personal>) -> Event {
    let NewKey { id, hash, last_four, secret_version } = key;
    Event::ApiKeyIssued { key_id: id, hash, last_four, secret_version, invitation, label }
}

/// A text that somebody gave: one line, without the spaces around it; none when it shows nothing.
fn line(field: &'static str, text: Option<String>, max: usize) -> Result<Option<String>, CommandRefusal> {
    let Some(text) = text else { return Ok(None) };
    let line = one_line(&text).map_err(|found| CommandRefusal::Hidden { field, found })?;
    match line {
        Some(line) if line.chars().count() > max => Err(CommandRefusal::TooLong { field, max }),
        line => Ok(line.map(ToOwned::to_owned)),
    }
}

#[cfg(test)]
mod tests;
