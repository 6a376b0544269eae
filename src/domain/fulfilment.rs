//! Decides what the mailer does next for a message, from the state just loaded and nothing else. Any step may crash and is decided again
//! from what was recorded.

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

/// The contents of an invitation's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailContents {
    /// Whether the mail carries the key itself; otherwise it carries a link that shows the key once.
    pub key: bool,
    /// Whether the mail carries a link to set a password, for a person without one.
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

/// The task that an event gives to the mailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Make sure that a mail for this invitation is sent.
    Fulfil {
        /// The invitation.
        invitation: Uuid,
    },
    /// Make sure that a mail with this link is sent.
    MailLink {
        /// The link's number.
        number: u32,
    },
    /// Revoke the keys of a deleted person.
    RevokeKeys,
    /// Make sure that this notice is mailed.
    Notify(Notice),
    /// Tell the owner and the administrators that a key, session or link was ended because it had leaked.
    TellOfLeak(Leaked),
}

/// The task that the event gives to the mailer, if any. Only events with a task are published.
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
    /// Issue a key for this invitation, and the links that the mail carries.
    IssueKey,
    /// Issue the links that the mail carries; the key exists.
    IssueLinks,
    /// Send the mail with this link, then record that it was sent.
    SendLink {
        /// The link's number.
        number: u32,
    },
    /// Send the mail with this key, then record that it was sent.
    SendMail {
        /// The key to send.
        key_id: KeyId,
    },
    /// Revoke all keys.
    RevokeKeys,
    /// Mail this notice, then record that it was sent.
    Notify(Notice),
    /// Tell of the leak those who were not told yet, and record each mail.
    TellOfLeak(Leaked),
}

/// The next step for `duty`, given the person as just loaded and the contents of invitation mails.
pub fn next_step(user: Option<&User>, duty: Duty, delivery: MailContents) -> FulfilmentStep {
    let Some(user) = user else { return FulfilmentStep::Acknowledge };
    match duty {
        Duty::RevokeKeys if user.standing == Standing::Deleted && user.unrevoked_keys().next().is_some() => {
            FulfilmentStep::RevokeKeys
        }
        Duty::RevokeKeys => FulfilmentStep::Acknowledge,
        // A deleted person has nothing that works, so nobody needs to act.
        Duty::TellOfLeak(_) if user.standing == Standing::Deleted => FulfilmentStep::Acknowledge,
        Duty::TellOfLeak(leaked) => FulfilmentStep::TellOfLeak(leaked),
        _ if user.standing != Standing::Enabled => FulfilmentStep::Acknowledge,
        // A link replaced by a newer one is not mailed any more.
        Duty::MailLink { number } => match user.sign_in.link(number) {
            Some(link) if !link.mailed && !link.used => FulfilmentStep::SendLink { number },
            _ => FulfilmentStep::Acknowledge,
        },
        Duty::Notify(notice) if noticed::is_open(user, notice) => FulfilmentStep::Notify(notice),
        Duty::Notify(_) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } if user.is_mailed(invitation) => FulfilmentStep::Acknowledge,
        Duty::Fulfil { invitation } => match user.invitation_key() {
            // Somebody revoked the key before it was mailed, and meant it. Another invitation gets another key.
            None if user.had_key_for(invitation) => FulfilmentStep::Acknowledge,
            None => FulfilmentStep::IssueKey,
            Some(_) if delivery.links(user).iter().any(|link| user.sign_in.link_in(invitation, *link).is_none()) => {
                FulfilmentStep::IssueLinks
            }
            Some(key) => FulfilmentStep::SendMail { key_id: key.id },
        },
    }
}
