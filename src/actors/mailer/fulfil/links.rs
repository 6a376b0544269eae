//! Links in the mail of an invitation, and the mail for a forgotten password.

use jiff::SignedDuration;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{FulfilmentStep, LinkPolicy, MailerWork, MessageError, Offer};
use crate::{
    actors::{commit::CommandError, mailer::step::envelope, person::user_in},
    domain::{
        fulfilment::{self, Duty},
        id::StreamId,
        link::{LinkPlace, LinkPurpose},
        sign_in::{NewLink, SignInCommand},
        text::one_line,
        user::{Command, User, decide},
        view::State,
    },
    failpoint::crash_point,
    mail::{OutgoingMail, templates::PasswordReset},
    queue::EventMessage,
};

impl MailerWork {
    /// The links for the mail of an invitation that are not issued yet.
    pub(super) fn missing_links(
        &self,
        user: Option<&User>,
        invitation: Uuid,
        policy: LinkPolicy,
    ) -> Result<Vec<NewLink>, CommandError> {
        let Some(user) = user else { return Ok(Vec::new()) };
        let is_missing = |purpose: &LinkPurpose| user.sign_in.link_in(invitation, *purpose).is_none();
        let missing = policy.delivery.links(user).into_iter().filter(is_missing).zip(user.sign_in.next_link()..);
        let secret_version = self.committer.secrets.current_version();
        missing
            .map(|(purpose, number)| {
                let token = self.committer.secrets.link_token(secret_version, LinkPlace { user: user.id, number })?;
                let now = self.committer.clock.now();
                let life = SignedDuration::try_from(policy.life(purpose)).unwrap_or(SignedDuration::ZERO);
                let expires_at = now.checked_add(life).unwrap_or(now);
                Ok(NewLink { purpose, number, mail: invitation, hash: token.hash(), secret_version, expires_at })
            })
            .collect()
    }

    /// Issues the missing links of an invitation whose key exists.
    pub(super) async fn issue_links(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        duty: Duty,
        policy: LinkPolicy,
    ) -> Result<(), MessageError> {
        let Duty::Fulfil { invitation } = duty else { return Ok(()) };
        let issue = |state: &State| {
            let user = user_in(state);
            if fulfilment::next_step(user, duty, policy.delivery) != FulfilmentStep::IssueLinks {
                return Ok(Vec::new());
            }
            let links = self.missing_links(user, invitation, policy)?;
            Ok(decide(user, Command::SignIn(SignInCommand::IssueLinks(links)))?)
        };
        crash_point("mailer-before-links");
        self.committer.run(stream, &envelope(message, "links"), issue).await?;
        crash_point("mailer-after-links");
        Ok(())
    }

    /// The address of a link in the mail of an invitation; `None` without such a link.
    pub(super) fn address_of(
        &self,
        person: &User,
        mail: Uuid,
        purpose: LinkPurpose,
        public_url: &str,
    ) -> Result<Option<String>, MessageError> {
        let Some(link) = person.sign_in.link_in(mail, purpose) else { return Ok(None) };
        let place = LinkPlace { user: person.id, number: link.number };
        let token = self.committer.secrets.link_token(link.secret_version, place).map_err(CommandError::from)?;
        if token.hash() != link.hash {
            return Err(MessageError::OtherSecretOfLink(person.id));
        }
        Ok(Some(format!("{public_url}/links/{}", token.reveal())))
    }

    /// Sends the mail for a forgotten password, and records that.
    pub(super) async fn send_link(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        person: &User,
        number: u32,
    ) -> Result<(), MessageError> {
        let Some(link) = person.sign_in.link(number) else { return Ok(()) };
        let Offer { brand, public_url, contact, .. } = self.offering.offer();
        let address = self.address_of(person, link.mail, link.purpose, &public_url)?;
        let (Some(to), Some(address)) = (person.email.known(), address) else { return Ok(()) };
        let expires_at = link.expires_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let name = person.name.as_ref().and_then(|name| one_line(name.known()?).ok()?).map(ToOwned::to_owned);
        let reset = Zeroizing::new(PasswordReset { brand, name, contact, link: address, expires_at });
        let rendered = self.offering.templates.password_reset(&reset)?;
        let mail = Zeroizing::new(OutgoingMail {
            to: to.to_owned(),
            recipient: Some(person.id),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            message_id: format!("{}{number}", mail_prefix(link.mail)),
            headers: Vec::new(),
        });
        let message_id = mail.message_id.clone();
        let mailed = Command::SignIn(SignInCommand::RecordLinkMailed { number, message_id });
        let refused = |class, reason| Command::RecordMailFailed { invitation: link.mail, class, reason };
        self.deliver(stream, message, person, &mail, mailed, refused).await
    }
}

/// The prefix of the message ids of a link's mails.
pub(super) fn mail_prefix(mail: Uuid) -> String {
    format!("link-{mail}-")
}
