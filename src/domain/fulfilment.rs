//! What the mailer does next for a message: a pure decision on the state that it has just loaded. Any step may crash and be
//! decided again from what was recorded.

use uuid::Uuid;

use super::{
    event::{Event, Recorded, RevocationReason},
    key::KeyId,
    leak::Leaked,
    link::LinkPurpose,
    notice::Notice,
    sign_in::{SessionEnd, SignInEvent},
    user::{Standing, User, noticed},
};

/// What the mail of an invitation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailContents {
    /// The key itself; without, a link that shows it once.
    pub key: bool,
    /// A link to set a password, for whoever has none.
    pub sign_in: bool,
}

impl MailContents {
    /// The links that the mail of an invitation has to carry.
    pub fn links(self, user: &User) -> Vec<LinkPurpose> {
        let claim = (!self.key).then_some(LinkPurpose::ClaimKey);
        let set = (self.sign_in && user.sign_in.password.is_none()).then_some(LinkPurpose::Invitation);
        claim.into_iter().chain(set).collect()
    }
}

/// What an event asks of the mailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// See that a mail for this invitation is sent.
    Fulfil {
        /// Which invitation.
        invitation: Uuid,
    },
    /// See that a mail with this link is sent.
    MailLink {
        /// Which link of the person's.
        number: u32,
    },
    /// Revoke what a deleted person still has.
    RevokeKeys,
    /// See that this notice is mailed.
    Notify(Notice),
    /// Tell the owner of this and the administrators that it was ended because it had leaked.
    TellOfLeak(Leaked),
}

/// What the event asks of the mailer, if anything. Only such events are published.
pub fn duty(recorded: &Recorded) -> Option<Duty> {
    match &recorded.event {
        Event::UserInvited { invitation, .. } | Event::InvitationResent { invitation } => {
            Some(Duty::Fulfil { invitation: *invitation })
        }
        Event::SignIn(SignInEvent::LinkIssued { purpose: LinkPurpose::PasswordReset, number, .. }) => {
            Some(Duty::MailLink { number: *number })
        }
        Event::UserDeleted => Some(Duty::RevokeKeys),
        Event::ApiKeyRevoked { key_id, reason: RevocationReason::Leaked } => {
            Some(Duty::TellOfLeak(Leaked::Key(*key_id)))
        }
        Event::SignIn(SignInEvent::SessionEnded { session, reason: SessionEnd::Leaked }) => {
            Some(Duty::TellOfLeak(Leaked::Session(*session)))
        }
        Event::SignIn(SignInEvent::LinkVoided { number }) => Some(Duty::TellOfLeak(Leaked::Link(*number))),
        _ => noticed::asked(recorded).map(Duty::Notify),
    }
}

/// The next step for a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FulfilmentStep {
    /// Nothing is left to do: acknowledge the message.
    Acknowledge,
    /// Issue a key for this invitation, and the links that its mail carries.
    IssueKey,
    /// Issue the links that the mail carries: the key is there.
    IssueLinks,
    /// Send the mail with this link, then write down that it was sent.
    SendLink {
        /// Which link of the person's.
        number: u32,
    },
    /// Send the mail with this key, then write down that it was sent.
    SendMail {
        /// The key to send.
        key_id: KeyId,
    },
    /// Revoke all keys.
    RevokeKeys,
    /// Mail this notice, then write down that it was sent.
    Notify(Notice),
    /// Tell those who were not told yet of the leak, and write that down for each.
    TellOfLeak(Leaked),
}

/// The next step for `duty`, given the person as just loaded and what mails carry.
pub fn next_step(user: Option<&User>, duty: Duty, delivery: MailContents) -> FulfilmentStep {
    let Some(user) = user else { return FulfilmentStep::Acknowledge };
    match duty {
        Duty::RevokeKeys if user.standing == Standing::Deleted && user.unrevoked_keys().next().is_some() => {
            FulfilmentStep::RevokeKeys
        }
        Duty::RevokeKeys => FulfilmentStep::Acknowledge,
        // Of a deleted person all is revoked, and nobody needs to look after it.
        Duty::TellOfLeak(_) if user.standing == Standing::Deleted => FulfilmentStep::Acknowledge,
        Duty::TellOfLeak(leaked) => FulfilmentStep::TellOfLeak(leaked),
        _ if user.standing != Standing::Enabled => FulfilmentStep::Acknowledge,
        // One that a newer one has replaced is not mailed any more.
        Duty::MailLink { number } => match user.sign_in.link(number) {
            Some(link) if !link.mailed && !link.used => FulfilmentStep::SendLink { number },
            _ => FulfilmentStep::Acknowledge,
        },
        Duty::Notify(notice) if noticed::is_open(user, notice) => FulfilmentStep::Notify(notice),
        Duty::Notify(_) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } if user.is_mailed(invitation) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } => match user.invitation_key() {
            // Revoked before it was mailed: somebody wants it so. Another invitation gets another key.
            None if user.had_key_for(invitation) => FulfilmentStep::Acknowledge,
            None => FulfilmentStep::IssueKey,
            Some(_) if delivery.links(user).iter().any(|link| user.sign_in.link_in(invitation, *link).is_none()) => {
                FulfilmentStep::IssueLinks
            }
            Some(key) => FulfilmentStep::SendMail { key_id: key.id },
        },
    }
}
