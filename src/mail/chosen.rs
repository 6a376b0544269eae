//! The mailer that the settings ask for.

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use super::{
    Mailer,
    file::FileMailer,
    message::{Sender, SenderError},
    ses::SesMailer,
    settings::{Mail, MailTransport},
    smtp::{SmtpMailer, SmtpSetupError},
};
use crate::{aws::Access, clock::SharedClock};

/// Why the settings give no mailer.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The sender's address is wrong.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// SES is selected, but there is no access to AWS.
    #[error("mail.transport = ses needs access to AWS, which was not set up")]
    NoAccess,
    /// The SMTP settings are wrong.
    #[error(transparent)]
    Smtp(#[from] SmtpSetupError),
}

/// What the deployment adds to the mail settings: the transport that `auto` resolves to, the outbox's place, and access to AWS.
pub struct MailSetting<'a> {
    /// How mail is sent.
    pub transport: MailTransport,
    /// The directory that mail files are written to.
    pub outbox: PathBuf,
    /// Needed by SES only.
    pub access: Option<&'a Access>,
}

/// Makes the mailer that the settings ask for.
///
/// # Errors
/// When the sender or the SMTP settings cannot be used, or access is missing.
pub fn from_settings(
    settings: &Mail,
    premises: MailSetting<'_>,
    clock: SharedClock,
) -> Result<Arc<dyn Mailer>, SetupError> {
    let sender = Sender::parse(&settings.from, &settings.reply_to)?;
    Ok(match premises.transport {
        MailTransport::Auto | MailTransport::File => {
            let is_named = !settings.outbox.as_os_str().is_empty();
            Arc::new(FileMailer::new(premises.outbox, sender, clock).named(is_named).kept_for(settings.outbox_days))
        }
        MailTransport::Ses => {
            let access = premises.access.ok_or(SetupError::NoAccess)?;
            Arc::new(SesMailer::new(access, sender, clock, &settings.ses.configuration_set))
        }
        MailTransport::Smtp => Arc::new(SmtpMailer::new(&settings.smtp, sender, clock)?),
    })
}
