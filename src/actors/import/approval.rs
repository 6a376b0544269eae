//! Approves or discards held imports, by one decision in the log.
//!
//! Guarantees: only one of approval and discard is recorded, whichever processes they reach; an approved import is done, or held again if
//! its process dies or it fails.

use uuid::Uuid;

use super::{ImportError, Imports, RunStaged, Summary, desk::Seat, spool::Ticket, staging::failed_to, work::blocking};
use crate::{
    actors::{
        ask::{Busy, ask, tell},
        commit::{CommandError, Envelope},
    },
    domain::data_set::HoldRefusal,
    failpoint::crash_point,
    store::AnswerPlace,
};

fn being_done() -> ImportError {
    CommandError::Hold(HoldRefusal::NotHeld("is being done".to_owned())).into()
}

impl Imports {
    /// Starts a held import, and answers once the approval is recorded: from then on nobody can discard it.
    ///
    /// # Errors
    /// When it is not held, or its file is not here.
    pub async fn approve(&self, import: Uuid, envelope: Envelope) -> Result<(), ImportError> {
        if self.was_done_before(&envelope).await? || self.work.desk.find(import).is_some() {
            return Ok(());
        }
        let Some((ticket, seat)) = self.approved(import, &envelope).await? else { return Ok(()) };
        let dataset = ticket.dataset.clone();
        let told = tell(&self.actor, |reply| RunStaged { ticket, approval: Some(envelope), seat, reply });
        self.begun(&dataset, import, told).await.map(drop)
    }

    /// The same, but waits for the end of the import.
    ///
    /// # Errors
    /// When it is not held, its file is not here, or it is held again.
    pub async fn approve_and_wait(&self, import: Uuid, envelope: Envelope) -> Result<Summary, ImportError> {
        let (ticket, seat) = self.approved(import, &envelope).await?.ok_or_else(being_done)?;
        let dataset = ticket.dataset.clone();
        let done = ask(&self.actor, |reply| RunStaged { ticket, approval: Some(envelope), seat, reply }, None).await;
        self.begun(&dataset, import, done).await?
    }

    async fn was_done_before(&self, envelope: &Envelope) -> Result<bool, ImportError> {
        Ok(matches!(self.work.committer.find_answer(envelope).await?, Some(AnswerPlace::Commit(_))))
    }

    /// Discards a held import.
    ///
    /// # Errors
    /// When it is not held, or was approved and is being done.
    pub async fn discard(&self, import: Uuid, envelope: &Envelope) -> Result<(), ImportError> {
        if !self.was_done_before(envelope).await? && self.work.desk.find(import).is_some() {
            return Err(being_done());
        }
        self.work.discard(import, envelope, None).await
    }

    /// Records the approval of a held import in the log, before anybody is answered. Returns what the import needs; `None` when this node
    /// is already doing it.
    async fn approved(&self, import: Uuid, envelope: &Envelope) -> Result<Option<(Ticket, Seat)>, ImportError> {
        let ticket = self.work.ticket_of_held(import).await?;
        let begun = self.work.desk.begin(import, &ticket.dataset, &envelope.origin.who, ticket.bytes);
        let Some(mut seat) = begun else { return Ok(None) };
        let spool = self.work.spool.clone();
        // Locks the file before the log has the approval: until the import ends, others see that it is alive.
        seat.taken = blocking(move || spool.take(import).map_err(failed_to("read"))).await?;
        if seat.taken.is_none() {
            return Err(being_done());
        }
        self.work.write_down_approval(&ticket.dataset, import, envelope).await?;
        crash_point("approval-recorded");
        Ok(Some((ticket, seat)))
    }

    /// Checks that an approved import was handed over; when the mailbox is full, it is held again.
    async fn begun<T>(&self, dataset: &str, import: Uuid, told: Result<T, Busy>) -> Result<T, ImportError> {
        if let Err(Busy::Full) = &told {
            self.work.died(dataset, import, None).await?;
        }
        Ok(told?)
    }
}
