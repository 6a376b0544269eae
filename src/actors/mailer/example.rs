//! Sends an example of a mail, to test whether mail arrives.

use uuid::Uuid;

use super::{CommandError, MailerWork, Mailers, TemplateError};
use crate::{
    domain::{
        email::Email,
        id::{CommandId, StreamId, UserId},
        user::MailStop,
    },
    mail::{MailError, OutgoingMail, templates::Rendered},
};

/// The prefix of the message ids of a person's examples.
pub(super) fn mail_prefix(to: UserId) -> String {
    format!("test-{to}-")
}

/// The result of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    /// The mail system took it, with these words.
    Taken(String),
    /// The mail system refused it for good.
    Refused(String),
    /// The mail system refused it for now.
    Unavailable(String),
    /// The address has a mail stop.
    Withheld(MailStop),
}

impl Tested {
    /// The name of the result, and the mail system's words.
    pub fn told(&self) -> (&'static str, String) {
        match self {
            Self::Taken(answer) => ("taken", answer.clone()),
            Self::Refused(answer) => ("refused", answer.clone()),
            Self::Unavailable(answer) => ("unavailable", answer.clone()),
            Self::Withheld(stop) => (
                "withheld",
                format!(
                    "{}: `permitd users allow-mail`, or POST /users/{{id}}/mail/allow, lets it be sent",
                    stop.class()
                ),
            ),
        }
    }
}

/// Why no example was sent.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// There is no such mail.
    #[error("there is no such mail; there are {0}")]
    NoMail(String),
    /// Its template cannot be filled in.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Mailers {
    /// Sends the example of a mail. A repeated command sends it with the same message id.
    ///
    /// # Errors
    /// When there is no such mail, its template cannot be filled in, or the store does not answer. The mail system's answer is a
    /// [`Tested`].
    pub async fn send_example(&self, to: &Email, mail: &str, command: &CommandId) -> Result<Tested, ExampleError> {
        self.work.send_example(to, mail, command).await
    }
}

impl MailerWork {
    async fn send_example(&self, to: &Email, mail: &str, command: &CommandId) -> Result<Tested, ExampleError> {
        let names = || crate::mail::templates::Templates::names().collect::<Vec<_>>().join(", ");
        let rendered = self.offering.templates.example(mail, &self.offering.offer().service());
        let Rendered { subject, text, html } = rendered.ok_or_else(|| ExampleError::NoMail(names()))??;
        let mut person = None;
        for form in to.forms() {
            person = self.committer.stores.views.user_by_email(&form).await.map_err(CommandError::from)?;
            if person.is_some() {
                break;
            }
        }
        if let Some(stop) = person.as_ref().and_then(|person| person.mail_stop) {
            return Ok(Tested::Withheld(stop));
        }
        // The id in the message id lets a later deletion of the person remove the mail.
        let whose = person.map_or(UserId(Uuid::nil()), |person| person.id);
        let message_id = format!("{}{}", mail_prefix(whose), command.derived_uuid("example", &StreamId::User(whose)));
        let mail = OutgoingMail {
            to: to.as_str().to_owned(),
            // The recipient must not take it for a real mail.
            subject: format!("Test: {subject}"),
            recipient: Some(whose).filter(|whose| !whose.0.is_nil()),
            text,
            html,
            message_id,
            headers: Vec::new(),
        };
        Ok(match self.mailer.send(&mail).await {
            Ok(receipt) => Tested::Taken(receipt.reference),
            Err(MailError::Rejected { reason, .. }) => Tested::Refused(reason),
            Err(MailError::Unavailable { reason, .. } | MailError::Here(reason)) => Tested::Unavailable(reason),
        })
    }
}
