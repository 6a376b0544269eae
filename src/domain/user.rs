//! A person and their keys: the state machine of a `user#<id>` stream.

pub mod administrators;
mod by_provider;
mod command;
mod invitation;
mod leaked;
pub(super) mod noticed;
mod person;
mod post;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::{
    by_provider::ProviderSignIn,
    command::{Command, UserChanges, decide},
    leaked::LeakedAccess,
    person::{InvitationMail, Key, LABEL_CHARS_MAX, MailStop, NAME_CHARS_MAX, NewKey, Standing, User},
    post::{Comeback, ComebackKind},
    refusal::CommandRefusal,
};
use super::{
    event::{Event, Fact, Recorded},
    notice::{KeyNotices, NoticeChoice, QuotaNotices},
    personal::Personal,
    sign_in::{self, SessionEnd},
};

impl User {
    /// Folds a stream's events, in order, into the state after the last; `None` for an empty stream.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Option<Self> {
        let mut state = None;
        for event in events {
            evolve(&mut state, event.fact());
        }
        state
    }
}

/// Applies one event of the person's stream.
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
            noticed::told(user, *notice);
        }
        Event::NoticeFailed { notice, class, reason } => {
            user.mail_failure = Some(reason.known().unwrap_or(class).to_owned());
            noticed::told(user, *notice);
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

/// Erases everything that concerns the person or comes from them.
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
            // The key's row in the view changes with it.
            key.version = user.version;
        }
    }
}

#[cfg(test)]
mod tests;
