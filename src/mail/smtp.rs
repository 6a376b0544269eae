//! Sends mail to an SMTP server. One connection per mail: invitations are rare, and an idle connection only goes stale.

mod refusal;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use thiserror::Error;

use super::{
    MailError, Mailer, OutgoingMail, Receipt, Sender,
    message::Carrier,
    one_line,
    settings::{Smtp, SmtpTls},
};
use crate::clock::SharedClock;

const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Hands mail to the SMTP server of the settings.
#[derive(Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
    sender: Sender,
    clock: SharedClock,
}

/// SMTP settings that cannot be used.
#[derive(Debug, Error)]
pub enum SmtpSetupError {
    /// The file of certificate authorities cannot be used.
    #[error("mail.smtp.ca_file = {} cannot be used: {reason}; a PEM file of certificates is expected", .file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// TLS cannot be set up for the server's name.
    #[error("mail.smtp.host cannot be used with TLS: {0}; give the name that stands in the server's certificate")]
    Tls(String),
}

impl SmtpMailer {
    /// A mailer for the server of `settings`, which is not contacted before the first mail.
    ///
    /// # Errors
    /// When TLS cannot be set up as the settings say.
    pub fn new(settings: &Smtp, sender: Sender, clock: SharedClock) -> Result<Self, SmtpSetupError> {
        let tls = match settings.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::Starttls => Tls::Required(tls_parameters(settings)?),
            SmtpTls::Tls => Tls::Wrapper(tls_parameters(settings)?),
        };
        let timeout = Duration::from_secs(settings.timeout_s);
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout));
        if !settings.username.is_empty() {
            let password = settings.password.expose().to_owned();
            transport = transport.credentials(Credentials::new(settings.username.clone(), password));
        }
        Ok(Self { transport: transport.build(), timeout, sender, clock })
    }
}

fn tls_parameters(settings: &Smtp) -> Result<TlsParameters, SmtpSetupError> {
    let mut parameters = TlsParameters::builder(settings.host.clone());
    if !settings.ca_file.as_os_str().is_empty() {
        let wrong = |reason: String| SmtpSetupError::CaFile { file: settings.ca_file.clone(), reason };
        let length = std::fs::metadata(&settings.ca_file).map_err(|e| wrong(e.to_string()))?.len();
        if length > CA_FILE_BYTES_MAX {
            return Err(wrong(format!("it has {length} bytes, at most {CA_FILE_BYTES_MAX} are read")));
        }
        let pem = std::fs::read(&settings.ca_file).map_err(|e| wrong(e.to_string()))?;
        if !pem.windows(b"-----BEGIN CERTIFICATE".len()).any(|window| window == b"-----BEGIN CERTIFICATE") {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        parameters = parameters.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| wrong(e.to_string()))?);
    }
    parameters.build().map_err(|e| SmtpSetupError::Tls(e.to_string()))
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        let message = self.sender.compose(mail, self.clock.now(), Carrier::Server)?;
        let needs_utf8 = message.envelope().to().iter().any(|to| !to.user().is_ascii());
        // The transport's own timeout covers connecting only; this one cuts off a server that stalls later.
        let answer = tokio::time::timeout(self.timeout, self.transport.send(message)).await;
        match answer {
            Ok(Ok(response)) => {
                let words = response.message().collect::<Vec<_>>().join(" ");
                Ok(Receipt { reference: one_line(&format!("{} {words}", response.code())) })
            }
            // The server has no SMTPUTF8 (RFC 6531); nothing was sent, and a retry would not help.
            Ok(Err(e)) if needs_utf8 && e.is_client() => Err(MailError::rejected(refusal::NO_SMTPUTF8)),
            Ok(Err(e)) => Err(refusal::judged(&e)),
            Err(_) => Err(MailError::unavailable("the mail server did not finish in time")),
        }
    }
}
