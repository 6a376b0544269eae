//! Outgoing mail: what a mail is, who takes it, and the mails there are.
//!
//! A mailer is given whole mails and knows nothing of users and keys. Sending can be repeated: a caller that does not know
//! whether a mail went out sends it again with the same message id, so that a mailbox can recognise the duplicate.
//!
//! Guarantee: what a mail system said stands in [`MailError`]'s `reason` and nowhere else, since it may repeat the person's
//! address. What is logged, or kept with a dead letter, is its `class`, which are permitd's own words.

mod chosen;
mod file;
mod message;
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
pub use ses::SesMailer;
pub use smtp::{SmtpMailer, SmtpSetupError};

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

    /// How many mails one consumer of messages sends at the same time, if there are so many: few where each is a request to others.
    fn sends_at_once(&self) -> usize {
        10
    }

    /// What it keeps itself of mails whose message ids begin with one of these: the newest [`KEPT_MAX`], newest first. One that only hands
    /// over keeps nothing.
    ///
    /// # Errors
    /// When they cannot be looked for.
    async fn kept(&self, _message_ids: &[String]) -> Result<Vec<KeptMail>, MailError> {
        Ok(Vec::new())
    }

    /// Removes what it keeps itself of mails whose message ids begin with one of these. One that only hands over keeps nothing.
    ///
    /// # Errors
    /// When not all could be removed.
    async fn forget(&self, _message_ids: &[String]) -> Result<(), MailError> {
        Ok(())
    }

    /// Removes what it keeps itself for longer than it is to be kept; returns how many mails.
    ///
    /// # Errors
    /// When not all could be removed.
    async fn expire(&self) -> Result<u64, MailError> {
        Ok(0)
    }
}

/// Mails that are told of one person.
pub const KEPT_MAX: usize = 1000;

/// A mail that is kept. What stands in it is not told: keys and links do.
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
    /// Who has it, where that is known: what the mail system says of the mail later is found by this, and holds no address then.
    pub recipient: Option<UserId>,
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

/// Overwrites what may carry a key: whoever composes such a mail keeps it in [`zeroize::Zeroizing`].
impl zeroize::Zeroize for OutgoingMail {
    fn zeroize(&mut self) {
        self.text.zeroize();
        self.html.zeroize();
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

/// Says which mail it is, not what is in it, nor whom it goes to: bodies carry keys, and addresses are personal data.
impl fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingMail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// What is known of a mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The file's path, or the server's own words such as `250 queued as 4F1B`.
    pub reference: String,
}

/// Why a mail was not taken. The reasons never hold any of the mail's content. `Display` and `Debug` show the class alone.
#[derive(Clone, PartialEq, Eq, Error)]
pub enum MailError {
    /// For good: an impossible address, or a server's permanent refusal (5xx).
    #[error("the mail was rejected for good: {class}")]
    Rejected {
        /// What kind of refusal it is, such as `550 5.1.1, refused the address`: nothing that somebody else said.
        class: String,
        /// In the server's words where it has any. They may repeat the recipient's address.
        reason: String,
    },
    /// For now: the server is away, busy (4xx) or does not accept our account, or the disk is full. It is tried again for hours.
    #[error("the mail could not be handed over, try again later: {class}")]
    Unavailable {
        /// What kind of failure it is: nothing that somebody else said.
        class: String,
        /// In the server's words where it has any. They may repeat the recipient's address.
        reason: String,
    },
    /// Something on this machine is not as it has to be, and time alone does not mend it: a person has to look soon.
    #[error("the mail cannot be handed over on this machine: {0}")]
    Here(String),
}

impl MailError {
    /// For good, in permitd's own words, which hold nothing of the person.
    fn rejected(words: impl Into<String>) -> Self {
        let class = words.into();
        Self::Rejected { reason: class.clone(), class }
    }

    /// For now, in permitd's own words, which hold nothing of the person.
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

/// A server's words on one line of bounded length.
fn one_line(words: &str) -> String {
    words.chars().take(WORDS_CHARS_MAX).map(|c| if hidden(c).is_some() { ' ' } else { c }).collect()
}
