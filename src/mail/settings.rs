//! `[mail]`: how mail is sent, and how much of it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{domain::pace::InvitationBounds, secret_string::SecretString};

/// Outgoing mail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `mail.transport`
    pub transport: MailTransport,
    /// `mail.delivery`
    pub delivery: MailDelivery,
    /// `mail.from`
    pub from: String,
    /// `mail.reply_to`; empty for none.
    pub reply_to: String,
    /// `mail.contact`; see [`Self::contact`].
    pub contact: String,
    /// `mail.brand`
    pub brand: String,
    /// `mail.templates`; see [`Self::templates`].
    pub templates: PathBuf,
    /// `mail.outbox`; `Settings::outbox` has the folder in force.
    pub outbox: PathBuf,
    /// `mail.outbox_days`
    pub outbox_days: u32,
    /// `mail.retry_for_h`; see [`Self::retry_for`].
    pub retry_for_h: u32,
    /// `mail.invitations_per_person_per_hour`
    pub invitations_per_person_per_hour: u32,
    /// `mail.invitations_per_hour_max`
    pub invitations_per_hour_max: u32,
    /// `mail.notices`
    pub notices: bool,
    /// `mail.notices_interval_s`; see [`Self::notices_interval`].
    pub notices_interval_s: u32,
    /// `[mail.smtp]`
    pub smtp: Smtp,
    /// `[mail.ses]`
    pub ses: Ses,
}

/// SES.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ses {
    /// `mail.ses.configuration_set`; empty for none.
    pub configuration_set: String,
    /// `mail.ses.feedback_queue`; empty for none.
    pub feedback_queue: String,
}

/// `mail.transport`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// [`Self::Ses`] where everything is in AWS, else [`Self::File`]: `Settings::mail_transport` says it.
    Auto,
    /// One file per mail in the outbox.
    File,
    /// An SMTP server.
    Smtp,
    /// Amazon SES.
    Ses,
}

impl MailTransport {
    /// The name in settings and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::File => "file",
            Self::Smtp => "smtp",
            Self::Ses => "ses",
        }
    }
}

/// `mail.delivery`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailDelivery {
    /// The mail carries the key.
    Key,
    /// The mail carries a link that shows the key once.
    ClaimLink,
}

/// The SMTP server that takes mail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// `mail.smtp.host`
    pub host: String,
    /// `mail.smtp.port`
    pub port: u16,
    /// `mail.smtp.tls`
    pub tls: SmtpTls,
    /// `mail.smtp.ca_file`; empty for none.
    pub ca_file: PathBuf,
    /// `mail.smtp.username`; empty for none.
    pub username: String,
    /// `mail.smtp.password`
    pub password: SecretString,
    /// `mail.smtp.timeout_s`
    pub timeout_s: u64,
}

/// `mail.smtp.tls`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Nothing protects the connection.
    None,
    /// STARTTLS, and no mail without it.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// The default sender.
const NO_SENDER: &str = "permitd <permitd@localhost>";

impl Mail {
    /// The contact for questions: the first that is set of the setting, `reply_to` and the sender.
    pub fn contact(&self) -> Option<&str> {
        let from = Some(self.from.as_str()).filter(|from| *from != NO_SENDER);
        [Some(self.contact.as_str()), Some(self.reply_to.as_str()), from]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty())
    }

    /// The directory of templates that replace the program's, if there is one.
    pub fn templates(&self) -> Option<&Path> {
        (!self.templates.as_os_str().is_empty()).then_some(self.templates.as_path())
    }

    /// How long sending a mail is retried after temporary failures.
    pub fn retry_for(&self) -> Duration {
        Duration::from_secs(u64::from(self.retry_for_h) * 3600)
    }

    /// How often expiring keys are looked for; `None` when notices are off.
    pub fn notices_interval(&self) -> Option<Duration> {
        self.notices.then(|| Duration::from_secs(self.notices_interval_s.into()))
    }

    /// The limits of mailed invitations per hour.
    pub fn invitation_bounds(&self) -> InvitationBounds {
        let Self { invitations_per_person_per_hour: per_person, invitations_per_hour_max: over_all, .. } = *self;
        InvitationBounds { per_person, over_all }
    }
}
