//! Mails notices, and records that they were mailed.

use jiff::Timestamp;

use super::{MailerWork, MessageError, Offer};
use crate::{
    actors::commit::CommandError,
    domain::{
        id::{StreamId, UserId},
        notice::Notice,
        text::one_line,
        user::{Command, Key, User},
    },
    mail::{
        OutgoingMail,
        templates::{KeyExpires, KeyMade, KeyRevoked, KeyTold, NoticeMail, QuotaSpent},
    },
    queue::EventMessage,
};

impl MailerWork {
    /// Mails a notice and records that.
    pub(super) async fn notify(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        notice: Notice,
        person: &User,
    ) -> Result<(), MessageError> {
        let Some(mail) = self.compose_notice(person, notice).await? else { return Ok(()) };
        let mailed = Command::RecordNotice { notice, message_id: mail.message_id.clone() };
        let refused = |class, reason| Command::RecordNoticeFailed { notice, class, reason };
        self.deliver(stream, message, person, &mail, mailed, refused).await
    }

    async fn compose_notice(&self, person: &User, notice: Notice) -> Result<Option<OutgoingMail>, MessageError> {
        let Some(to) = person.email.known() else { return Ok(None) };
        let key_told = |id| person.keys.get(&id).map(|key| key_told(person, key));
        let now = self.committer.clock.now();
        let (Offer { brand, public_url, contact, .. }, templates) = (self.offering.offer(), &self.offering.templates);
        let name = person.name.as_ref().and_then(|name| one_line(name.known()?).ok()?).map(ToOwned::to_owned);
        let of = NoticeMail { brand, name, public_url, contact, told: () };
        let rendered = match notice {
            Notice::KeyMade { key_id } => key_told(key_id).map(|key| templates.key_made(&of.telling(KeyMade { key }))),
            Notice::KeyRevoked { key_id } => {
                key_told(key_id).map(|key| templates.key_revoked(&of.telling(KeyRevoked { key })))
            }
            Notice::KeyExpiring { key_id, .. } => {
                let end = person.keys.get(&key_id).and_then(|key| key.bounds.expires_at);
                let is_over = end.is_some_and(|end| end <= now);
                key_told(key_id).map(|key| templates.key_expiring(&of.telling(KeyExpires { key, is_over })))
            }
            Notice::QuotaReached { day, percent } => {
                let plan = self.committer.stores.views.plan(&person.plan).await.map_err(CommandError::from)?;
                let quota = plan.map(|plan| plan.limits.quota_per_day);
                quota.map(|quota| templates.quota_reached(&of.telling(QuotaSpent { day: date(day), percent, quota })))
            }
        };
        let Some(rendered) = rendered.transpose()? else { return Ok(None) };
        Ok(Some(OutgoingMail {
            to: to.to_owned(),
            recipient: Some(person.id),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            message_id: message_id(person, notice),
            headers: Vec::new(),
        }))
    }
}

/// A key as its owner knows it.
fn key_told(person: &User, key: &Key) -> KeyTold {
    let replaced = person.keys.values().find(|old| old.replaced_by == Some(key.id));
    KeyTold {
        id: key.id.to_string(),
        last_four: key.last_four.clone(),
        label: key.label.as_ref().and_then(|label| label.known()).map(ToOwned::to_owned),
        expires_at: key.bounds.expires_at.map(|at| moment(Some(at))),
        revoked_at: key.revoked.map(|(at, _)| moment(Some(at))),
        replaces: replaced.map(|old| old.id.to_string()),
        replaces_until: replaced.map(|old| moment(old.valid_until)),
    }
}

/// A moment as people read it, to the minute.
fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}

/// The date of a UTC day counted from 1970-01-01.
fn date(day: i64) -> String {
    let at = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d").to_string()
}

/// The prefix of the message ids of a person's notices.
pub(super) fn notice_prefix(user: UserId) -> String {
    format!("notice-{}-", user.0.simple())
}

/// A message id that stays the same whenever the notice is mailed again.
fn message_id(person: &User, notice: Notice) -> String {
    let end = |id| person.keys.get(&id).and_then(|key| key.bounds.expires_at).map_or(0, Timestamp::as_second);
    let which = match notice {
        Notice::KeyMade { key_id } => format!("made-{key_id}"),
        Notice::KeyRevoked { key_id } => format!("revoked-{key_id}"),
        Notice::KeyExpiring { key_id, days } => format!("expires-{key_id}-{}-{days}", end(key_id)),
        Notice::QuotaReached { day, percent } => format!("quota-{day}-{percent}"),
    };
    format!("{}{which}", notice_prefix(person.id))
}
