//! Bounces and complaints about mails to a person.

use jiff::Timestamp;

use super::person::{MailStop, User};
use crate::domain::{
    event::{BounceKind, Event},
    personal::Personal,
};

/// A mail system's report on a mail that it had taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comeback {
    /// What happened to the mail.
    pub kind: ComebackKind,
    /// The kind of bounce or complaint, in permitd's own words.
    pub class: String,
    /// The mail system's words.
    pub reason: String,
    /// The mail's Message-ID, if known.
    pub message_id: Option<String>,
}

/// What happened to a mail that had been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComebackKind {
    /// The mail could not be delivered.
    Bounce(BounceKind),
    /// The recipient complained about the mail.
    Complaint,
}

impl Comeback {
    /// The report as an event.
    pub(super) fn event(self) -> Event {
        let Self { kind, class, reason, message_id } = self;
        let reason = Personal::Known(reason);
        match kind {
            ComebackKind::Bounce(kind) => Event::MailBounced { kind, class, reason, message_id },
            ComebackKind::Complaint => Event::MailComplained { class, reason, message_id },
        }
    }
}

/// Applies an event about mails. The reason of a mail stop is kept until mail is allowed again; mails withheld because of the stop do not
/// change it.
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
