//! A person and their keys: the state machine of a `user#<id>` stream.

pub mod administrators;
mod by_provider;
mod invitation;
mod leaked;
mod post;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

pub use self::{
    by_provider::ProviderSignIn,
    invitation::InvitationMail,
    leaked::LeakedAccess,
    post::{Comeback, ComebackKind, MailStop},
    refusal::CommandRefusal,
};
use super::{
    bounds::{KeyBounds, KeyChange, Lifetime},
    event::{Event, Fact, Recorded, RevocationReason, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::{self, ChosenNotices, KeyNotices, Notice, NoticeChoice, QuotaNotices},
    personal::Personal,
    plan::KeyRules,
    sign_in::{self, SessionEnd, SignIn, SignInCommand},
    text::one_line,
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

    /// Whether it was replaced, and works all the same.
    pub fn is_in_grace(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.valid_until.is_some_and(|until| until > now) && !self.is_expired(now)
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

/// What is to be changed of a person; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The plan of their keys.
    pub plan: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Whether their keys work.
    pub enabled: Option<bool>,
    /// The notices that they want.
    pub notices: Option<ChosenNotices>,
}

impl Changes {
    /// An event for everything that is not so already.
    fn events(self, user: &User) -> Vec<Event> {
        let plan = self.plan.filter(|plan| *plan != user.plan).map(|plan| Event::PlanAssigned { plan });
        let role = self.role.filter(|role| *role != user.role).map(|role| Event::RoleChanged { role });
        let enabled = self.enabled.filter(|enabled| *enabled != (user.standing == Standing::Enabled));
        let standing = enabled.map(|enabled| if enabled { Event::UserEnabled } else { Event::UserDisabled });
        let choice = self.notices.map(|chosen| chosen.of(user.notices)).filter(|choice| *choice != user.notices);
        let notices = choice.map(|choice| Event::NoticesChosen { choice });
        [plan, role, standing, notices].into_iter().flatten().collect()
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
        /// What is wanted of it.
        wanted: KeyChange,
        /// What the person's plan says of keys.
        rules: KeyRules,
        /// The moment.
        now: Timestamp,
    },
    /// Change what a key is called and what it may.
    ChangeKey {
        /// The key.
        key_id: KeyId,
        /// How.
        change: KeyChange,
        /// What the person's plan says of keys.
        rules: KeyRules,
        /// The moment.
        now: Timestamp,
    },
    /// Replace a key.
    RotateKey {
        /// The old key.
        key_id: KeyId,
        /// The new one.
        new: NewKey,
        /// When the old one stops working.
        valid_until: Timestamp,
        /// What the person's plan says of keys.
        rules: KeyRules,
        /// The moment.
        now: Timestamp,
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
    /// End a session or void a link that was found where others could read it.
    EndLeaked {
        /// What was found.
        leaked: LeakedAccess,
        /// Now.
        now: Timestamp,
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
    /// Write down that a key is about to expire, if a notice of that is due.
    NoteExpiring {
        /// The key.
        key_id: KeyId,
        /// The moment.
        now: Timestamp,
    },
    /// Write down that they have made a request.
    NoteFirstRequest,
    /// Write down that a share of a day's quota is spent.
    NoteQuota {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share.
        percent: u8,
    },
    /// Write down that a notice was handed over.
    RecordNotice {
        /// Which.
        notice: Notice,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Write down that a notice was refused.
    RecordNoticeFailed {
        /// Which.
        notice: Notice,
        /// What kind of refusal it was.
        class: String,
        /// What the mail system said.
        reason: String,
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
    /// Write down what became of a mail that had been taken.
    RecordComeback(Comeback),
    /// Let mail go to their address again.
    AllowMail,
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
            if let Some(stop) = user.mail_stop {
                return Err(CommandRefusal::MailStopped(stop));
            }
            Ok(vec![Event::InvitationResent { invitation }])
        }
        Command::Change(changes) => Ok(changes.events(user)),
        Command::Delete => Ok(vec![Event::UserDeleted]),
        Command::IssueKey { key, invitation, wanted, rules, now } => {
            enabled(user)?;
            unused(user, key.id)?;
            has_room(user.current_keys().filter(|key| !key.is_expired(now)).count(), &rules)?;
            let life = Lifetime { issued_at: now, now, rules: &rules };
            let label = label(wanted.label.clone().flatten())?;
            Ok(vec![issued(key, invitation, label, KeyBounds::default().changed(wanted, life, true)?)])
        }
        Command::ChangeKey { key_id, change, rules, now } => {
            let key = user.keys.get(&key_id).ok_or(CommandRefusal::NoKey(key_id))?;
            if key.revoked.is_some() {
                return Err(CommandRefusal::KeyEnded(key_id));
            }
            let label = match change.label.clone() {
                None => key.label.clone(),
                Some(wanted) => label(wanted)?,
            };
            let life = Lifetime { issued_at: key.issued_at, now, rules: &rules };
            let bounds = key.bounds.clone().changed(change, life, false)?;
            let revived = Key { bounds: bounds.clone(), ..key.clone() };
            if key.is_current() && key.is_expired(now) && !revived.is_expired(now) {
                has_room(user.current_keys().filter(|key| !key.is_expired(now)).count(), &rules)?;
            }
            let is_so = label == key.label && bounds == key.bounds;
            Ok(if is_so { Vec::new() } else { vec![Event::ApiKeyChanged { key_id, label, bounds }] })
        }
        Command::RotateKey { key_id, new, valid_until, rules, now } => {
            enabled(user)?;
            let old = user.keys.get(&key_id).ok_or(CommandRefusal::NoKey(key_id))?;
            if !old.is_current() {
                return Err(CommandRefusal::KeyEnded(key_id));
            }
            unused(user, new.id)?;
            // Otherwise rotating again and again would make as many keys that work as one likes.
            if valid_until > now {
                has_room(user.keys.values().filter(|key| key.is_in_grace(now)).count(), &rules)?;
            }
            let rotated = Event::ApiKeyRotated { key_id, replaced_by: new.id, valid_until };
            Ok(vec![issued(new, old.invitation, old.label.clone(), successor(old, &rules, now)?), rotated])
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
        Command::EndLeaked { leaked, now } => Ok(leaked::decide(user, leaked, now)),
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
        Command::NoteExpiring { key_id, now } => {
            let due = user.keys.get(&key_id).and_then(|key| key.due_notice(now));
            Ok(due.map(|days| Event::ApiKeyExpiring { key_id, days }).into_iter().collect())
        }
        Command::NoteFirstRequest => Ok(match user.first_request_at {
            None => vec![Event::InvitationAccepted],
            Some(_) => Vec::new(),
        }),
        Command::NoteQuota { day, percent } => {
            let is_news = day > user.quota.day || (day == user.quota.day && percent > user.quota.reached);
            Ok(if is_news { vec![Event::QuotaReached { day, percent }] } else { Vec::new() })
        }
        Command::RecordNotice { notice, .. } | Command::RecordNoticeFailed { notice, .. }
            if !notice::is_open(user, notice) =>
        {
            Ok(Vec::new())
        }
        Command::RecordNotice { notice, message_id } => Ok(vec![Event::NoticeMailed { notice, message_id }]),
        Command::RecordNoticeFailed { notice, class, reason } => {
            Ok(vec![Event::NoticeFailed { notice, class, reason: Personal::Known(reason) }])
        }
        Command::RecordComeback(comeback) => Ok(vec![comeback.event()]),
        Command::AllowMail => Ok(user.mail_stop.map(|_| Event::MailAllowed).into_iter().collect()),
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
        // All that they had is revoked, or about to be.
        Command::RevokeLeakedKey { .. } | Command::EndLeaked { .. } => Ok(Vec::new()),
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

/// Whether one more than so many keys may work.
fn has_room(working: usize, rules: &KeyRules) -> Result<(), CommandRefusal> {
    let max = rules.keys_max();
    let is_full = working >= usize::try_from(max).unwrap_or(usize::MAX);
    if is_full { Err(CommandRefusal::TooManyKeys { max }) } else { Ok(()) }
}

fn unused(user: &User, id: KeyId) -> Result<(), CommandRefusal> {
    if user.keys.contains_key(&id) { Err(CommandRefusal::KeyExists(id)) } else { Ok(()) }
}

fn issued(key: NewKey, invitation: Option<Uuid>, label: Option<Personal>, bounds: KeyBounds) -> Event {
    let NewKey { id, hash, last_four, secret_version } = key;
    Event::ApiKeyIssued { key_id: id, hash, last_four, secret_version, invitation, label, bounds }
}

/// The bounds of the key that replaces this one: the same. A key that has the plan's longest life is replaced by one that has it
/// anew; an end that was set for the key itself stays.
fn successor(old: &Key, rules: &KeyRules, now: Timestamp) -> Result<KeyBounds, CommandRefusal> {
    let latest = |issued_at| Lifetime { issued_at, now, rules }.latest();
    let has_longest = old.bounds.expires_at.is_none() || old.bounds.expires_at == latest(old.issued_at);
    let expires_at = if has_longest { latest(now) } else { old.bounds.expires_at };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(CommandRefusal::KeyExpired(old.id));
    }
    // A plan that has become stricter since holds for the new key.
    let expires_at = match (expires_at, latest(now)) {
        (Some(end), Some(latest)) => Some(end.min(latest)),
        (end, _) => end,
    };
    Ok(KeyBounds { expires_at, ..old.bounds.clone() })
}

fn label(text: Option<String>) -> Result<Option<Personal>, CommandRefusal> {
    Ok(line("label", text, LABEL_CHARS_MAX)?.map(Personal::Known))
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
