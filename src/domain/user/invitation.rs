//! The progress of a person's last invitation.

use jiff::Timestamp;
use uuid::Uuid;

use super::person::{InvitationMail, User};
use crate::domain::{event::Event, sign_in::SignInEvent};

/// Applies an event that concerns the last invitation's mail. Call it before the links change by the event.
pub(super) fn apply(user: &mut User, event: &Event, at: Timestamp) {
    let last = user.invitations.last().map(|(invitation, _)| *invitation);
    let is_last = |mail: &Uuid| Some(*mail) == last;
    match event {
        Event::InvitationResent { .. } => user.invitation_mail = InvitationMail::default(),
        Event::SignIn(SignInEvent::LinkIssued { mail, expires_at, .. }) if is_last(mail) => {
            user.invitation_mail.links_end = user.invitation_mail.links_end.max(Some(*expires_at));
        }
        Event::SignIn(SignInEvent::LinkUsed { number })
            if user.sign_in.link(*number).is_some_and(|link| is_last(&link.mail)) =>
        {
            user.invitation_mail.opened_at.get_or_insert(at);
        }
        Event::MailBounced { message_id, .. } => {
            let has_come = user.invitation_mail.opened_at.is_some() || user.first_request_at.is_some();
            let is_its = match message_id {
                Some(id) => last.is_some_and(|last| id.starts_with(&InvitationMail::id_prefix(last))),
                // A bounce of an unknown mail counts as this invitation's, unless the person has received it.
                None => !has_come,
            };
            if is_its {
                user.invitation_mail.bounced_at.get_or_insert(at);
            }
        }
        Event::InvitationAccepted => user.first_request_at = user.first_request_at.or(Some(at)),
        _ => {}
    }
}
