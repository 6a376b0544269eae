//! What the mailer does next for a message: a pure decision on the state that it has just loaded. Any step may crash and be
//! decided again from what was recorded.

use uuid::Uuid;

use super::{
    event::{Event, Recorded, RevocationReason},
    key::KeyId,
    notice::{self, Notice},
    user::{Standing, User},
};

/// What an event asks of the mailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// See that a mail for this invitation is sent.
    Fulfil {
        /// Which invitation.
        invitation: Uuid,
    },
    /// Revoke what a deleted person still has.
    RevokeKeys,
    /// See that this notice is mailed.
    Notify(Notice),
    /// Tell the owner of this key and the administrators that it was revoked because it had leaked.
    TellOfLeak {
        /// The key.
        key_id: KeyId,
    },
}

/// What the event asks of the mailer, if anything. Only such events are published.
pub fn duty(recorded: &Recorded) -> Option<Duty> {
    match &recorded.event {
        Event::UserInvited { invitation, .. } | Event::InvitationResent { invitation } => {
            Some(Duty::Fulfil { invitation: *invitation })
        }
        Event::UserDeleted => Some(Duty::RevokeKeys),
        Event::ApiKeyRevoked { key_id, reason: RevocationReason::Leaked } => Some(Duty::TellOfLeak { key_id: *key_id }),
        _ => notice::asked(recorded).map(Duty::Notify),
    }
}

/// The next step for a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FulfilmentStep {
    /// Nothing is left to do: acknowledge the message.
    Acknowledge,
    /// Issue a key for this invitation.
    IssueKey,
    /// Send the mail with this key, then write down that it was sent.
    SendMail {
        /// The key to send.
        key_id: KeyId,
    },
    /// Revoke all keys.
    RevokeKeys,
    /// Mail this notice, then write down that it was sent.
    Notify(Notice),
    /// Tell those who were not told yet of the key's leak, and write that down for each.
    TellOfLeak {
        /// The key.
        key_id: KeyId,
    },
}

/// The next step for `duty`, given the person as just loaded.
pub fn next_step(user: Option<&User>, duty: Duty) -> FulfilmentStep {
    let Some(user) = user else { return FulfilmentStep::Acknowledge };
    match duty {
        Duty::RevokeKeys if user.standing == Standing::Deleted && user.unrevoked_keys().next().is_some() => {
            FulfilmentStep::RevokeKeys
        }
        Duty::RevokeKeys => FulfilmentStep::Acknowledge,
        // Of a deleted person all keys are revoked, and nobody needs to look after them.
        Duty::TellOfLeak { .. } if user.standing == Standing::Deleted => FulfilmentStep::Acknowledge,
        Duty::TellOfLeak { key_id } => FulfilmentStep::TellOfLeak { key_id },
        Duty::Fulfil { .. } | Duty::Notify(_) if user.standing != Standing::Enabled => FulfilmentStep::Acknowledge,
        Duty::Notify(notice) if notice::is_open(user, notice) => FulfilmentStep::Notify(notice),
        Duty::Notify(_) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } if user.is_mailed(invitation) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } => match user.invitation_key() {
            // Revoked before it was mailed: somebody wants it so. Another invitation gets another key.
            None if user.had_key_for(invitation) => FulfilmentStep::Acknowledge,
            None => FulfilmentStep::IssueKey,
            Some(key) => FulfilmentStep::SendMail { key_id: key.id },
        },
    }
}
