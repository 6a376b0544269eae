//! Outgoing mail: what a mail is, which mailers take it, and the list of mails.
//!
//! A mailer receives complete mails and knows nothing of users and keys. A caller that does not know whether a mail was sent sends it again
//! with the same message id, so that a mailbox can recognise the duplicate.
//!
//! Guarantee: only [`MailError`]'s `reason` holds a mail system's words, since they may repeat the person's address. Logs and dead letters
//! get only its `class`, which is in permitd's own words.

mod chosen;
mod file;
mod message;
mod nothing;
pub mod ses;
pub mod settings;
mod smtp;
pub mod templates;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

pub use self::chosen::{MailSetting, SetupError, from_settings};
use crate::domain::{id::UserId, text::hidden};
pub use file::{FileMailer, UNFINISHED};
pub use message::{Sender, SenderError};
pub use nothing::NoMailer;
pub use ses::SesMailer;
pub use smtp::{SmtpMailer, SmtpSetupError};

/// The longest `reason` or `reference` that is kept of a server's words, characters.
const WORDS_CHARS_MAX: usize = 300;

/// Something that takes mail.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Hands over the mail durably: after `Ok` the next station is responsible for it.
    ///
    /// # Errors
    /// [`MailError::Rejected`] when trying again is pointless, [`MailError::Unavailable`] when it is not.
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError>;

    /// How many mails one consumer of messages sends at a time: few where each mail is a request to another system.
    fn sends_at_once(&self) -> usize {
        10
    }

    /// The mails this mailer stored whose message ids begin with one of these: the newest [`KEPT_MAX`], newest first. Only the file mailer
    /// stores any.
    ///
    /// # Errors
    /// When the stored mails cannot be read.
    async fn kept(&self, _message_ids: &[String]) -> Result<Vec<KeptMail>, MailError> {
        Ok(Vec::new())
    }

    /// Removes the stored mails whose message ids begin with one of these. A mailer that stores none does nothing.
    ///
    /// # Errors
    /// When not all could be removed.
    async fn forget(&self, _message_ids: &[String]) -> Result<(), MailError> {
        Ok(())
    }

    /// Removes stored mails that are older than they are to be kept; returns how many.
    ///
    /// # Errors
    /// When not all could be removed.
    async fn expire(&self) -> Result<u64, MailError> {
        Ok(0)
    }
}

/// The most mails that are listed for one person.
pub const KEPT_MAX: usize = 1000;

/// A stored mail. Its content is not shown: it has keys and links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptMail {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Its message id, without the domain.
    pub message_id: String,
}

/// A mail to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// The address, without a name.
    pub to: String,
    /// The recipient's user id, where it is known: reports on this mail are matched by it, without an address.
    pub recipient: Option<UserId>,
    /// One line of text.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The part of the Message-ID before the `@`: letters, digits, `.`, `_`, `-`. The same whenever the same mail is sent again; another
    /// one when a person is meant to get another mail.
    pub message_id: String,
    /// Further header fields, name and value.
    pub headers: Vec<(&'static str, String)>,
}

/// Overwrites the parts that may carry a key: code that composes such a mail keeps it in [`zeroize::Zeroizing`].
impl zeroize::Zeroize for OutgoingMail {
    fn zeroize(&mut self) {
        self.text.zeroize();
        self.html.zeroize();
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

/// Shows the message id only: bodies carry keys, and addresses are personal data.
impl fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingMail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// The mailer's proof that a mail was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The file's path, or the server's own words such as `250 queued as 4F1B`.
    pub reference: String,
}

/// Why a mail was not taken. No reason holds content of the mail. `Display` and `Debug` show only the class.
#[derive(Clone, PartialEq, Eq, Error)]
pub enum MailError {
    /// Permanent: an impossible address, or a server's permanent refusal (5xx).
    #[error("the mail was rejected for good: {class}")]
    Rejected {
        /// The kind of refusal, such as `550 5.1.1, refused the address`: never another system's words.
        class: String,
        /// The server's words, if it gave any. They may repeat the recipient's address.
        reason: String,
    },
    /// Temporary: the server is away, busy (4xx) or rejects our account, or the disk is full. Sending is retried for hours.
    #[error("the mail could not be handed over, try again later: {class}")]
    Unavailable {
        /// The kind of failure: never another system's words.
        class: String,
        /// The server's words, if it gave any. They may repeat the recipient's address.
        reason: String,
    },
    /// A problem on this machine that does not pass by itself: a person has to look soon.
    #[error("the mail cannot be handed over on this machine: {0}")]
    Here(String),
}

impl MailError {
    /// A permanent error in permitd's own words, which say nothing of the person.
    fn rejected(words: impl Into<String>) -> Self {
        let class = words.into();
        Self::Rejected { reason: class.clone(), class }
    }

    /// A temporary error in permitd's own words, which say nothing of the person.
    fn unavailable(words: impl Into<String>) -> Self {
        let class = words.into();
        Self::Unavailable { reason: class.clone(), class }
    }
}

impl fmt::Debug for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, class) = match self {
            Self::Rejected { class, .. } => ("Rejected", class),
            Self::Unavailable { class, .. } => ("Unavailable", class),
            Self::Here(class) => ("Here", class),
        };
        f.debug_struct(name).field("class", class).finish_non_exhaustive()
    }
}

/// A server's words on one line, of bounded length.
fn one_line(words: &str) -> String {
    words.chars().take(WORDS_CHARS_MAX).map(|c| if hidden(c).is_some() { ' ' } else { c }).collect()
}
