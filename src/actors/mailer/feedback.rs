//! What comes of mails after they were handed over: SES tells it through a queue.
//!
//! Guarantees: what is told once is written down once, however often the message comes; of somebody who is not there, or was deleted,
//! nothing is written down. An address whose mail came back for good, or that complained, gets no more mail until an administrator
//! says so: no mail goes past [`MailerWork::hand_over`].

use std::sync::Arc;

use super::{CommandError, MailerWork, Mailers, MessageError, Polling};
use crate::{
    actors::{commit::Envelope, person::user_in},
    domain::{
        event::Origin,
        id::{CommandId, StreamId, UserId, Who},
        user::{Command, CommandRefusal, MailStop, decide},
        view::State,
    },
    failpoint::crash_point,
    mail::{
        MailError, OutgoingMail, Receipt,
        ses::feedback::{self, Feedback, Told},
    },
    queue::Queue,
};

impl MailerWork {
    /// Hands a mail over, if mail goes to its address.
    pub(super) async fn hand_over(&self, stop: Option<MailStop>, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        match stop {
            None => self.mailer.send(mail).await,
            Some(stop) => {
                let class = format!("not sent: {}", stop.class());
                Err(MailError::Rejected { reason: class.clone(), class })
            }
        }
    }

    /// Writes down what a message tells.
    pub(super) async fn take_feedback(&self, body: &str) -> Result<(), MessageError> {
        let Feedback::Comeback(told) = feedback::read(body)? else { return Ok(()) };
        let Some(user) = self.whose(&told).await? else {
            tracing::info!("a mail came back that went to nobody who is known here");
            return Ok(());
        };
        let _turn = self.turn(user).await;
        let Told { id, comeback, .. } = *told;
        let envelope = Envelope::new(
            CommandId::from_feedback(&id),
            Origin { who: Who::system("ses"), correlation_id: hashed(&id), causation_id: None },
        );
        let class = comeback.class.clone();
        let record = |state: &State| match decide(user_in(state), Command::RecordComeback(comeback.clone())) {
            Ok(events) => Ok(events),
            // Deleted meanwhile, or another deployment's: there is nothing to write down.
            Err(CommandRefusal::Deleted | CommandRefusal::NoUser) => Ok(Vec::new()),
            Err(refusal) => Err(refusal.into()),
        };
        crash_point("feedback-before");
        let recorded = self.committer.run(&StreamId::User(user), &envelope, record).await?;
        if !recorded.repeated && !recorded.events.is_empty() {
            self.counters.mails_back.add(1);
            tracing::warn!(%user, class, "a mail came back");
        }
        crash_point("feedback-recorded");
        Ok(())
    }

    /// Whose mail it was: as the mail says, or whoever has the address.
    async fn whose(&self, told: &Told) -> Result<Option<UserId>, MessageError> {
        if told.user.is_some() {
            return Ok(told.user);
        }
        let Some(Ok(email)) = told.address.as_deref().map(crate::domain::email::Email::parse) else { return Ok(None) };
        for form in email.forms() {
            if let Some(row) = self.committer.stores.views.user_by_email(&form).await.map_err(CommandError::from)? {
                return Ok(Some(row.id));
            }
        }
        Ok(None)
    }
}

/// SES's id as it is kept.
fn hashed(id: &str) -> String {
    CommandId::from_feedback(id).as_str().to_owned()
}

impl Mailers {
    /// Has one more of them look for what a mail system tells of mails.
    #[must_use]
    pub fn listening(mut self, queue: Arc<dyn Queue>, polling: Polling, mailbox_capacity: usize) -> Self {
        self.actors.push(super::start(&self.work, queue, Some(polling), false, mailbox_capacity));
        self
    }

    /// Takes a message in which a mail system tells of a mail.
    ///
    /// # Errors
    /// When it is none, or it cannot be written down.
    pub async fn take_feedback(&self, body: &str) -> Result<(), FeedbackRefused> {
        self.work.take_feedback(body).await.map_err(|error| FeedbackRefused(error.to_string()))
    }
}

/// Why what a mail system tells was not written down.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FeedbackRefused(String);
