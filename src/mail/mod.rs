//! Outgoing mail: what a mail is, who takes it, and the mails there are.
//!
//! A mailer is given whole mails and knows nothing of users and keys. Sending can be repeated: a caller that does not know
//! whether a mail went out sends it again with the same message id, so that a mailbox can recognise the duplicate.

mod file;
mod message;
pub mod ses;
mod smtp;
pub mod templates;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use thiserror::Error;

pub use file::FileMailer;
pub use message::{Sender, SenderError};
pub use ses::SesMailer;
pub use smtp::{SmtpMailer, SmtpSetupError};

use crate::{
    aws::Access,
    clock::SharedClock,
    config::{MailTransport, Settings},
};

/// The longest `reason` or `reference` that is kept of a server's words, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// Something that takes mail.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Hands the mail over, durably: after `Ok` it is the next station's.
    ///
    /// # Errors
    /// [`MailError::Rejected`] when trying again is pointless, [`MailError::Unavailable`] when it is not.
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError>;
}

/// A mail to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// The address, without a name.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The part of the Message-ID before the `@`: letters, digits, `.`, `_`, `-`; the same whenever the same mail is sent
    /// again, another when a person is meant to get another mail.
    pub message_id: String,
    /// Further header fields, name and value.
    pub headers: Vec<(&'static str, String)>,
}

/// Says which mail it is, not what is in it: bodies carry keys.
impl fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingMail")
            .field("to", &self.to)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

/// What is known of a mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The file's path, or the server's own words such as `250 queued as 4F1B`.
    pub reference: String,
}

/// Why a mail was not taken. The reasons never hold any of the mail's content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MailError {
    /// For good: an impossible address, or a server's permanent refusal (5xx).
    #[error("the mail was rejected for good: {reason}")]
    Rejected {
        /// In the server's words where it has any.
        reason: String,
    },
    /// For now: the server is away, busy (4xx) or does not accept our account, or the disk is full.
    #[error("the mail could not be handed over, try again later: {reason}")]
    Unavailable {
        /// In the server's words where it has any.
        reason: String,
    },
}

/// Why the settings give no mailer.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The sender's address is wrong.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// SES is asked for by somebody without access to AWS.
    #[error("mail.transport = ses needs access to AWS, which was not set up")]
    NoAccess,
    /// The SMTP settings are wrong.
    #[error(transparent)]
    Smtp(#[from] SmtpSetupError),
}

/// The mailer that the settings ask for. SES needs `access` to AWS; the others do without.
///
/// # Errors
/// When the sender or the SMTP settings cannot be used, or access is missing.
pub fn from_settings(
    settings: &Settings,
    clock: SharedClock,
    access: Option<&Access>,
) -> Result<Arc<dyn Mailer>, SetupError> {
    let sender = Sender::parse(&settings.mail.from, &settings.mail.reply_to)?;
    Ok(match settings.mail_transport() {
        MailTransport::Auto | MailTransport::File => Arc::new(FileMailer::new(settings.outbox(), sender, clock)),
        MailTransport::Ses => {
            let access = access.ok_or(SetupError::NoAccess)?;
            Arc::new(SesMailer::new(access, sender, clock, &settings.mail.ses.configuration_set))
        }
        MailTransport::Smtp => Arc::new(SmtpMailer::new(&settings.mail.smtp, sender, clock)?),
    })
}

/// A server's words on one line of bounded length.
fn one_line(words: &str) -> String {
    words.chars().take(WORDS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
