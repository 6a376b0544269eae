//! Mails about a leaked key, session or link: to its owner, and to the administrators, who learn its id and the owner's.

use super::{MailerWork, MessageError, Offer, step::envelope};
use crate::{
    actors::{commit::CommandError, person::user_in},
    domain::{
        event::Role,
        id::{StreamId, UserId},
        leak::Leaked,
        text::one_line,
        user::{Command, CommandRefusal, MailStop, Standing, User, decide},
        view::{State, UserRow, UserStatus},
    },
    failpoint::crash_point,
    mail::{
        MailError, OutgoingMail,
        templates::{KeyLeak, Rendered},
    },
    queue::EventMessage,
};

/// The most administrators who are told of one leak.
const ADMINISTRATORS_MAX: usize = 50;

/// A recipient and their address.
struct Recipient {
    id: UserId,
    address: String,
    stop: Option<MailStop>,
}

/// The prefix of the message ids of a person's mails about leaks.
pub(super) fn mail_prefix(to: UserId) -> String {
    format!("leak-{to}-")
}

impl MailerWork {
    /// Mails everybody who was not told yet. Each mail is recorded separately, so that one that fails temporarily repeats none of the
    /// others.
    pub(super) async fn tell_of_leak(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        owner: &User,
        leaked: Leaked,
    ) -> Result<(), MessageError> {
        let key_id = leaked.id();
        let of_owner = owner.email.known().map(|address| Recipient {
            id: owner.id,
            address: address.to_owned(),
            stop: owner.mail_stop,
        });
        let administrators = self.administrators(owner.id).await?;
        for recipient in of_owner.into_iter().chain(administrators) {
            if owner.leak_notices.contains(&(key_id, recipient.id)) {
                continue;
            }
            let notice = self.leak_notice(owner, leaked, &recipient)?;
            crash_point("mailer-before-mail");
            let refused = match self.hand_over(recipient.stop, &notice).await {
                Ok(_) => {
                    self.counters.leaks_told.add(1);
                    None
                }
                Err(MailError::Rejected { class, .. }) => {
                    self.counters.mails_rejected.add(1);
                    tracing::warn!(user = %recipient.id, class, "a mail was refused for good");
                    Some(class)
                }
                Err(error @ (MailError::Unavailable { .. } | MailError::Here(_))) => {
                    return Err(MessageError::Mail(error));
                }
            };
            crash_point("mailer-after-mail");
            let command = Command::RecordLeakNotice { key_id, to: recipient.id, refused };
            let record = |state: &State| match decide(user_in(state), command.clone()) {
                Ok(events) => Ok(events),
                // The person was deleted while the mail was on its way: there is nothing to record.
                Err(CommandRefusal::Deleted) => Ok(Vec::new()),
                Err(refusal) => Err(refusal.into()),
            };
            let step = envelope(message, &format!("told-{}", recipient.id));
            let recorded = self.committer.run(stream, &step, record).await?;
            if user_in(&recorded.state).is_some_and(|person| person.standing == Standing::Deleted) {
                self.mailer.forget(&[mail_prefix(owner.id)]).await?;
            }
            crash_point("mailer-after-mailed");
        }
        Ok(())
    }

    /// The administrators, except the owner.
    async fn administrators(&self, owner: UserId) -> Result<Vec<Recipient>, MessageError> {
        let (mut found, mut everybody) = (Vec::new(), self.committer.stores.everybody());
        while let Some(people) = everybody.next_page().await.map_err(CommandError::from)? {
            let has_left = |status| matches!(status, UserStatus::Disabled | UserStatus::Deleted);
            let is_one =
                |person: &UserRow| person.role == Role::Admin && person.id != owner && !has_left(person.status);
            let administrators = people.into_iter().filter(is_one);
            found.extend(administrators.filter_map(|person| {
                Some(Recipient { id: person.id, stop: person.mail_stop, address: person.email? })
            }));
            if found.len() >= ADMINISTRATORS_MAX {
                tracing::warn!(
                    told = ADMINISTRATORS_MAX,
                    "not all administrators are told of a leak: there are too many"
                );
                found.truncate(ADMINISTRATORS_MAX);
                break;
            }
        }
        Ok(found)
    }

    fn leak_notice(&self, owner: &User, leaked: Leaked, to: &Recipient) -> Result<OutgoingMail, MessageError> {
        let key_id = leaked.id();
        let (is_owner, templates) = (to.id == owner.id, &self.offering.templates);
        let Offer { brand, public_url, contact, .. } = self.offering.offer();
        let name = owner.name.as_ref().filter(|_| is_owner);
        let leak = KeyLeak {
            brand,
            name: name.and_then(|name| one_line(name.known()?).ok()?).map(ToOwned::to_owned),
            public_url,
            contact,
            what: leaked.word(),
            key_id: key_id.to_string(),
            last_four: owner.keys.get(&key_id).map(|key| key.last_four.clone()).unwrap_or_default(),
            user: owner.id.to_string(),
        };
        let Rendered { subject, text, html } =
            if is_owner { templates.key_leaked(&leak) } else { templates.key_leaked_told(&leak) }?;
        let message_id = format!("{}{key_id}", mail_prefix(to.id));
        let recipient = Some(to.id);
        Ok(OutgoingMail { to: to.address.clone(), recipient, subject, text, html, message_id, headers: Vec::new() })
    }
}
