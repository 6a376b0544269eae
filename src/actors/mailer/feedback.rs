//! Handles bounces and complaints, which SES reports through a queue.
//!
//! Guarantees: each report is recorded once, however often its message comes; nothing is recorded for people who do not exist or were
//! deleted. An address with a permanent bounce or a complaint gets no mail until an administrator allows it: all mail passes
//! [`MailerWork::hand_over`].

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
    /// Hands a mail over, unless its address has a mail stop.
    pub(super) async fn hand_over(&self, stop: Option<MailStop>, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        match stop {
            None => self.mailer.send(mail).await,
            Some(stop) => {
                let class = format!("not sent: {}", stop.class());
                Err(MailError::Rejected { reason: class.clone(), class })
            }
        }
    }

    /// Records a report.
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
            // The person was deleted, or belongs to another deployment: there is nothing to record.
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

    /// The mail's recipient: by the mail's tag, or by the address.
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

/// The stored form of SES's id.
fn hashed(id: &str) -> String {
    CommandId::from_feedback(id).as_str().to_owned()
}

impl Mailers {
    /// Adds a mailer that receives the mail system's reports.
    #[must_use]
    pub fn listening(mut self, queue: Arc<dyn Queue>, polling: Polling, mailbox_capacity: usize) -> Self {
        self.actors.push(super::start(&self.work, queue, Some(polling), false, mailbox_capacity));
        self
    }

    /// Records a mail system's report.
    ///
    /// # Errors
    /// When the message is no report, or it cannot be recorded.
    pub async fn take_feedback(&self, body: &str) -> Result<(), FeedbackRefused> {
        self.work.take_feedback(body).await.map_err(|error| FeedbackRefused(error.to_string()))
    }
}

/// Why a report was not recorded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FeedbackRefused(String);
