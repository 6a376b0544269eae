//! What became of a person's last invitation.

use jiff::Timestamp;
use uuid::Uuid;

use super::person::{InvitationMail, User};
use crate::domain::{event::Event, sign_in::SignInEvent};

/// Takes in an event, as far as it tells of the last invitation's mail. To be called before the links change with it.
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
                // Where nobody knows which mail came back it is this one, unless somebody has got it.
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
