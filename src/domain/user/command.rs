//! Commands on a person, and the events that they lead to.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Comeback, CommandRefusal, Key, LABEL_CHARS_MAX, LeakedAccess, NAME_CHARS_MAX, NewKey, ProviderSignIn, Standing,
    User, by_provider, leaked, noticed, refusal::enabled,
};
use crate::domain::{
    bounds::{KeyBounds, KeyChange, Lifetime},
    email::Email,
    event::{Event, RevocationReason, Role},
    id::UserId,
    key::{KeyHash, KeyId},
    notice::{ChosenNotices, Notice},
    personal::Personal,
    plan::KeyRules,
    sign_in::{self, SignInCommand},
    text::one_line,
};

/// Changes of a person; an absent field keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChanges {
    /// The plan of their keys.
    pub plan: Option<String>,
    /// Their role.
    pub role: Option<Role>,
    /// Whether their keys work.
    pub enabled: Option<bool>,
    /// The notices that they want.
    pub notices: Option<ChosenNotices>,
}

impl UserChanges {
    /// An event for every field that changes.
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

/// A command on a person's stream. The caller passes identifiers and moments.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Invite.
    Invite {
        /// Their address.
        email: Email,
        /// Their name.
        name: Option<String>,
        /// Their role.
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
    /// Make several changes at once.
    Change(UserChanges),
    /// Delete and erase.
    Delete,
    /// Issue a key.
    IssueKey {
        /// The key.
        key: NewKey,
        /// The invitation that it fulfils, if any.
        invitation: Option<Uuid>,
        /// The key's label and bounds.
        wanted: KeyChange,
        /// The plan's rules for keys.
        rules: KeyRules,
        /// The present moment.
        now: Timestamp,
    },
    /// Change a key's label and bounds.
    ChangeKey {
        /// The key.
        key_id: KeyId,
        /// The changes.
        change: KeyChange,
        /// The plan's rules for keys.
        rules: KeyRules,
        /// The present moment.
        now: Timestamp,
    },
    /// Replace a key.
    RotateKey {
        /// The old key.
        key_id: KeyId,
        /// The new one.
        new: NewKey,
        /// When the old key stops working.
        valid_until: Timestamp,
        /// The plan's rules for keys.
        rules: KeyRules,
        /// The present moment.
        now: Timestamp,
    },
    /// Revoke a key.
    RevokeKey {
        /// The key.
        key_id: KeyId,
    },
    /// A command about how the person signs in.
    SignIn(SignInCommand),
    /// Begin a session of a person whom the provider knows, and set their role.
    SignInByProvider(Box<ProviderSignIn>),
    /// Revoke a key that leaked.
    RevokeLeakedKey {
        /// The key's id.
        key_id: KeyId,
        /// The hash of the found key: a different key with the same id goes on working.
        hash: KeyHash,
    },
    /// End a session or void a link that leaked.
    EndLeaked {
        /// The session or link.
        leaked: LeakedAccess,
        /// The present moment.
        now: Timestamp,
    },
    /// Revoke all keys of a deleted person.
    RevokeAll,
    /// Record that a mail with a key was handed over.
    RecordMailed {
        /// The key in it.
        key_id: KeyId,
        /// The invitation that it fulfils.
        invitation: Uuid,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Record that a key is about to expire, if such a notice is due.
    NoteExpiring {
        /// The key.
        key_id: KeyId,
        /// The present moment.
        now: Timestamp,
    },
    /// Record that the person has made a request.
    NoteFirstRequest,
    /// Record that a share of a day's quota is spent.
    NoteQuota {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share, percent.
        percent: u8,
    },
    /// Record that a notice was handed over.
    RecordNotice {
        /// The notice.
        notice: Notice,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Record that a notice was refused.
    RecordNoticeFailed {
        /// The notice.
        notice: Notice,
        /// The kind of refusal.
        class: String,
        /// The mail system's words.
        reason: String,
    },
    /// Record that somebody was told of a leak.
    RecordLeakNotice {
        /// The key.
        key_id: KeyId,
        /// Who was told.
        to: UserId,
        /// The kind of refusal, if the mail was refused.
        refused: Option<String>,
    },
    /// Record a bounce or complaint about a mail that had been taken.
    RecordComeback(Comeback),
    /// Allow mail to the person's address again.
    AllowMail,
    /// Record that a mail was refused.
    RecordMailFailed {
        /// The invitation.
        invitation: Uuid,
        /// The kind of refusal.
        class: String,
        /// The mail system's words.
        reason: String,
    },
}

/// Decides a command. Returns no event if nothing changes.
///
/// # Errors
/// Why the command is refused.
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
            if revived.works(now) && !key.works(now) {
                let is_of_its_kind = |other: &&Key| other.works(now) && other.is_current() == key.is_current();
                has_room(user.keys.values().filter(is_of_its_kind).count(), &rules)?;
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
            // Otherwise repeated rotation would make any number of working keys.
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
            if !noticed::is_open(user, notice) =>
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
        // All that the person had is revoked, or about to be.
        Command::RevokeLeakedKey { .. } | Command::EndLeaked { .. } => Ok(Vec::new()),
        _ => Err(CommandRefusal::Deleted),
    }
}

/// Checks that one more key than `working` may work.
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

/// The bounds of a key's successor: the same, except that a key with the plan's longest life is replaced by one with that life anew. An end
/// set for the key itself stays.
fn successor(old: &Key, rules: &KeyRules, now: Timestamp) -> Result<KeyBounds, CommandRefusal> {
    let latest = |issued_at| Lifetime { issued_at, now, rules }.latest();
    let has_longest = old.bounds.expires_at.is_none() || old.bounds.expires_at == latest(old.issued_at);
    let expires_at = if has_longest { latest(now) } else { old.bounds.expires_at };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(CommandRefusal::KeyExpired(old.id));
    }
    // If the plan has become stricter, the new key follows it.
    let expires_at = match (expires_at, latest(now)) {
        (Some(end), Some(latest)) => Some(end.min(latest)),
        (end, _) => end,
    };
    Ok(KeyBounds { expires_at, ..old.bounds.clone() })
}

fn label(text: Option<String>) -> Result<Option<Personal>, CommandRefusal> {
    Ok(line("label", text, LABEL_CHARS_MAX)?.map(Personal::Known))
}

/// A text that somebody entered: one line, without surrounding spaces; `None` if it shows nothing.
fn line(field: &'static str, text: Option<String>, max: usize) -> Result<Option<String>, CommandRefusal> {
    let Some(text) = text else { return Ok(None) };
    let line = one_line(&text).map_err(|found| CommandRefusal::Hidden { field, found })?;
    match line {
        Some(line) if line.chars().count() > max => Err(CommandRefusal::TooLong { field, max }),
        line => Ok(line.map(ToOwned::to_owned)),
    }
}
