//! What became of mails to a person after they were handed over.

use jiff::Timestamp;

use super::person::{MailStop, User};
use crate::domain::{
    event::{BounceKind, Event},
    personal::Personal,
};

/// What a mail system says of a mail that it had taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comeback {
    /// What happened to it.
    pub kind: ComebackKind,
    /// What kind of it, in permitd's own words.
    pub class: String,
    /// What the mail system said.
    pub reason: String,
    /// Which mail, where that is known.
    pub message_id: Option<String>,
}

/// What happened to a mail that had been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComebackKind {
    /// It could not be delivered.
    Bounce(BounceKind),
    /// Whoever got it does not want it.
    Complaint,
}

impl Comeback {
    /// It as an event.
    pub(super) fn event(self) -> Event {
        let Self { kind, class, reason, message_id } = self;
        let reason = Personal::Known(reason);
        match kind {
            ComebackKind::Bounce(kind) => Event::MailBounced { kind, class, reason, message_id },
            ComebackKind::Complaint => Event::MailComplained { class, reason, message_id },
        }
    }
}

/// Takes in an event about mails. One that stops mails says why until they are let through again; a mail that is not sent for that
/// reason tells nothing new.
pub(super) fn apply(user: &mut User, event: &Event, at: Timestamp) {
    let mut failed = |class: &str, reason: &Personal| {
        user.mail_failure = Some(reason.known().unwrap_or(class).to_owned());
        user.mail_failed_at = Some(at);
    };
    match event {
        Event::MailFailed { class, reason, .. }
        | Event::MailBounced { kind: BounceKind::Transient, class, reason, .. }
            if user.mail_stop.is_none() =>
        {
            failed(class, reason);
        }
        Event::MailBounced { kind: BounceKind::Permanent, class, reason, .. } => {
            user.mail_stop = Some(MailStop::Bounced);
            failed(class, reason);
        }
        Event::MailComplained { class, reason, .. } => {
            user.mail_stop = Some(MailStop::Complained);
            failed(class, reason);
        }
        Event::MailAllowed => {
            user.mail_stop = None;
            user.mail_failure = None;
            user.mail_failed_at = None;
        }
        _ => {}
    }
}
