//! Sends mail through SES v2, complete, as every other transport does.
//!
//! Guarantees: one call hands over a mail at most once, since only a refusal for sending too fast is retried here. Problems of the
//! deployment (an unverified sender, a paused account, a missing configuration set, throttling) are [`MailError::Unavailable`] with advice,
//! so that the mail is tried again. No error holds the recipient's address or content of the mail.

pub mod feedback;
mod refusal;
mod setup;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sesv2::{
    Client,
    config::{Builder, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::send_email::builders::SendEmailFluentBuilder,
    primitives::Blob,
    types::{Destination, EmailContent, MessageTag, RawMessage},
};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

pub use self::setup::{SesError, setup, setup_feedback};
use self::{
    feedback::{MESSAGE_TAG, USER_TAG},
    refusal::SesRefusal,
};
use super::{
    MailError, Mailer, OutgoingMail, Receipt, Sender,
    message::{Carrier, recipient},
};
use crate::{
    aws::{self, Access},
    clock::SharedClock,
};

/// Mails that are sent at the same time: a new account may send one a second.
const SENDS_AT_ONCE: usize = 4;
/// How often a mail is tried that SES throttles, before the queue brings it again later.
const THROTTLED_TRIES_MAX: u32 = 6;
/// The longest pause before the first retry; it doubles with every further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// SES has no SMTPUTF8 (<https://docs.aws.amazon.com/ses/latest/dg/send-email-concepts-email-format.html>).
const NO_SMTPUTF8: &str = "the address has letters beyond ASCII before its @, which SES does not take";
/// Largest mail, bytes: SES's default limit.
const MAIL_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The tag that tells the kind of mail.
const KIND_TAG: &str = "permitd-mail";

/// Hands mail to SES.
#[derive(Debug)]
pub struct SesMailer {
    /// For sending: never retries by itself.
    sending: Client,
    /// For queries.
    asking: Client,
    sender: Sender,
    clock: SharedClock,
    configuration_set: Option<String>,
    backoff: Duration,
    turns: Semaphore,
}

impl SesMailer {
    /// A mailer that sends with this configuration set; an empty name means none. SES is not called before the first mail.
    pub fn new(access: &Access, sender: Sender, clock: SharedClock, configuration_set: &str) -> Self {
        Self {
            sending: Client::from_conf(config(access).retry_config(RetryConfig::disabled()).build()),
            asking: client(access),
            sender,
            clock,
            configuration_set: Some(configuration_set.to_owned()).filter(|name| !name.is_empty()),
            backoff: BACKOFF,
            turns: Semaphore::new(SENDS_AT_ONCE),
        }
    }

    /// The same with another first pause after throttling.
    #[must_use]
    pub fn with_backoff(self, backoff: Duration) -> Self {
        Self { backoff, ..self }
    }

    fn request(&self, mail: &OutgoingMail, to: &str, content: Vec<u8>) -> Result<SendEmailFluentBuilder, MailError> {
        let broken = |error: aws_sdk_sesv2::error::BuildError| MailError::unavailable(error.to_string());
        let raw = RawMessage::builder().data(Blob::new(content)).build().map_err(broken)?;
        let tag = |name: &str, value: &str| MessageTag::builder().name(name).value(tag_value(value)).build();
        let kind = mail.message_id.split_once('-').map_or(mail.message_id.as_str(), |(kind, _)| kind);
        let user = mail.recipient.map(|user| tag(USER_TAG, &user.to_string())).transpose().map_err(broken)?;
        let tags = [tag(KIND_TAG, kind), tag(MESSAGE_TAG, &mail.message_id)];
        let tags = tags.into_iter().collect::<Result<Vec<_>, _>>().map_err(broken)?;
        Ok(self
            .sending
            .send_email()
            .from_email_address(self.sender.address())
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().raw(raw).build())
            .set_email_tags(Some(tags.into_iter().chain(user).collect()))
            .set_configuration_set_name(self.configuration_set.clone()))
    }

    /// Explains the refusal of an unverified recipient: only the sandbox requires verified ones.
    async fn unverified_recipient(&self, words: &str) -> String {
        let advice = match self.asking.get_account().send().await {
            Ok(account) if account.production_access_enabled() => return words.to_owned(),
            Ok(_) => "the account is in SES's sandbox, from which mail goes to verified addresses only",
            Err(error) => {
                let reason = aws::reason("SES", &error);
                tracing::warn!(reason, "whether SES's sandbox is the cause of a refusal cannot be told");
                "the account may be in SES's sandbox, from which mail goes to verified addresses only"
            }
        };
        format!("{words} ({advice}: ask AWS for production access, or verify the address)")
    }
}

#[async_trait]
impl Mailer for SesMailer {
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        let content = self.sender.compose(mail, self.clock.now(), Carrier::Server)?.formatted();
        if content.len() > MAIL_BYTES_MAX {
            let words = format!("the mail has {} bytes, SES takes at most {MAIL_BYTES_MAX}", content.len());
            return Err(MailError::rejected(words));
        }
        let to = recipient(mail)?.to_string();
        if !to.is_ascii() {
            return Err(MailError::rejected(NO_SMTPUTF8));
        }
        let request = self.request(mail, &to, content)?;
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|error| MailError::unavailable(error.to_string()))?;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match request.clone().send().await {
                Ok(taken) => return Ok(Receipt { reference: taken.message_id().unwrap_or("taken by SES").to_owned() }),
                Err(error) => error,
            };
            let refusal = why(&error, self.sender.address(), &to);
            let class = class(&error, &refusal);
            match refusal {
                SesRefusal::Throttled(_) if tries < THROTTLED_TRIES_MAX => {
                    tokio::time::sleep(pause(self.backoff, tries, &mail.message_id)).await;
                }
                SesRefusal::Throttled(reason) | SesRefusal::Deployment(reason, _) => {
                    return Err(MailError::Unavailable { class, reason });
                }
                SesRefusal::Mail(reason) => return Err(MailError::Rejected { class, reason }),
                SesRefusal::UnverifiedRecipient(words) => {
                    let reason = self.unverified_recipient(&words).await;
                    return Err(MailError::Rejected { class, reason });
                }
            }
        }
    }
}

fn config(access: &Access) -> Builder {
    let config = Builder::from(access.config()).interceptor(access.counter());
    match &access.endpoints().ses {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    }
}

fn client(access: &Access) -> Client {
    Client::from_conf(config(access).build())
}

fn why<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, sender: &str, recipient: &str) -> SesRefusal {
    match error {
        SdkError::ServiceError(answer) => {
            let (code, words) = (answer.err().code(), answer.err().message());
            refusal::why(code.unwrap_or("error"), words.unwrap_or("no reason was given"), sender, recipient)
        }
        _ => SesRefusal::Deployment(aws::reason("SES", error), None),
    }
}

/// The kind of refusal, without the words of SES: they may repeat the address.
fn class<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, refusal: &SesRefusal) -> String {
    let SdkError::ServiceError(answer) = error else { return aws::reason("SES", error) };
    let code = answer.err().code().unwrap_or("error");
    match refusal {
        SesRefusal::Throttled(_) => format!("SES: {code}: too many mails at once, or for today"),
        SesRefusal::Deployment(_, Some(advice)) => format!("SES: {code}: {advice}"),
        SesRefusal::Deployment(_, None) => format!("SES: {code}"),
        SesRefusal::Mail(_) => format!("SES: {code}: refused this mail"),
        SesRefusal::UnverifiedRecipient(_) => format!("SES: {code}: the recipient is not verified"),
    }
}

/// The pause after this many tries: between half of the backoff and all of it. It differs from mail to mail, so that mails refused together
/// do not come again together.
fn pause(backoff: Duration, tries: u32, message_id: &str) -> Duration {
    let longest = backoff.saturating_mul(1 << tries.saturating_sub(1).min(10));
    let digest = Sha256::digest(format!("{message_id} {tries}"));
    let spread = digest.first().copied().unwrap_or_default();
    longest.mul_f64(0.5 + f64::from(spread) / f64::from(u8::MAX) / 2.0)
}

/// A text as a valid tag value of SES: letters, digits, `_`, `-`.
fn tag_value(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let second = Duration::from_secs(1);
        for tries in 1..=6 {
            let longest = second * (1 << (tries - 1));
            let pauses: Vec<Duration> = (0..50).map(|n| pause(second, tries, &format!("m{n}"))).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{pauses:?}");
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(*most - *least > longest / 4, "they are spread: {pauses:?}");
        }
    }

    #[test]
    fn a_tag_is_what_ses_takes() {
        assert_eq!(tag_value("invitation-0a.b_c"), "invitation-0a_b_c");
    }
}
