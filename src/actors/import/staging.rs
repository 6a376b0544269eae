//! Imports files sent to this node: accepts them, imports them one after the other, and holds those that exceed the guard until they are
//! approved, discarded or expired.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    ImportError, Imports, Order, RunStaged, Staged, Summary, WantedImport,
    desk::{Crowd, Seat},
    redefined,
    spool::{Arriving, ImportReport, Spool, Ticket, TicketState},
    work::{ImportWork, blocking},
};
use crate::{
    actors::{
        answers::Answered,
        ask::tell,
        commit::{CommandError, Envelope},
    },
    dataset::definition::Said,
    domain::{
        data_set::{DataSetLog, HoldRefusal},
        event::{Event, Origin},
        id::{CommandId, StreamId, Who},
        view::{HELD, State},
    },
    failpoint::crash_point,
    store::AnswerPlace,
};

/// Imports that may wait at the same time.
const WAITING_MAX: usize = 100;
/// Longest reason that a ticket keeps, characters.
const REASON_CHARS_MAX: usize = 1000;

/// Why a file is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UploadRefusal {
    /// Too many files arrive at the same time.
    #[error("{0} files arrive at the same time, which is the most (import.uploads_max): try again a little later")]
    TooMany(usize),
    /// Too many files of this caller arrive.
    #[error(
        "{0} files of yours arrive at the same time, which is the most (import.uploads_per_caller_max): wait for one of them"
    )]
    TooManyOfCaller(usize),
    /// Too many imports wait.
    #[error("{WAITING_MAX} imports are waiting, which is the most: try again when some are done")]
    Waiting,
    /// The file is too large.
    #[error("the file has more than import.file_bytes_max = {0} bytes: split it, or raise that")]
    TooLarge(u64),
    /// The disk has no room for the file.
    #[error(
        "the server's disk has no room for the file beside import.free_bytes_min = {0} bytes: make room, or lower that"
    )]
    NoRoom(u64),
    /// Too many files of this caller are stored for a preview.
    #[error("{0} files of yours wait to be imported or removed, which is the most: decide upon one of them first")]
    TooManyLookedAt(usize),
    /// Somebody cancelled the import.
    #[error("the import was cancelled while its file arrived")]
    Cancelled,
    /// The file cannot be stored.
    #[error("the file cannot be kept: {0}")]
    Io(#[from] io::Error),
}

/// An arriving file.
pub struct Upload {
    id: Uuid,
    pub(super) arriving: Arriving,
    seat: Seat,
    file_bytes_max: u64,
    free_bytes_min: u64,
    work: Arc<ImportWork>,
}

impl Upload {
    /// The import of the file.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Appends bytes. Blocks.
    ///
    /// # Errors
    /// When the disk has no room, or somebody cancelled the import.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadRefusal> {
        if self.seat.progress.cancelled().is_some() {
            return Err(UploadRefusal::Cancelled);
        }
        let total = self.arriving.bytes().saturating_add(bytes.len() as u64);
        if total > self.file_bytes_max {
            return Err(UploadRefusal::TooLarge(self.file_bytes_max));
        }
        self.work.has_room(bytes.len() as u64)?;
        self.arriving.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UploadRefusal::NoRoom(self.free_bytes_min),
            _ => UploadRefusal::Io(error),
        })?;
        self.seat.progress.bytes.store(total, Ordering::Relaxed);
        crash_point("upload-arriving");
        Ok(())
    }

    /// The SHA-256 of the arrived bytes.
    pub fn sha256(&self) -> String {
        self.arriving.sha256()
    }

    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.arriving.bytes() == 0
    }
}

impl Imports {
    /// Begins to receive a file, whose size may be known. For a command that a client may repeat, every try gets the same import id.
    ///
    /// # Errors
    /// When too many files arrive, the file is too large, or the disk has no room.
    pub fn receive(
        &self,
        dataset: &str,
        who: &Who,
        command: Option<&CommandId>,
        bytes: Option<u64>,
    ) -> Result<Upload, UploadRefusal> {
        let work = &self.work;
        let settings = &work.settings;
        let new_id = || work.committer.new_id().map_err(|error| UploadRefusal::Io(io::Error::other(error)));
        let id = match command {
            Some(command) => command.derived_uuid("import", &StreamId::DataSet(dataset.to_owned())),
            None => new_id()?,
        };
        if bytes.is_some_and(|bytes| bytes > settings.file_bytes_max) {
            return Err(UploadRefusal::TooLarge(settings.file_bytes_max));
        }
        if work.desk.imports() >= WAITING_MAX {
            return Err(UploadRefusal::Waiting);
        }
        work.has_room(bytes.unwrap_or(0))?;
        let (part, limits) = (new_id()?, (settings.uploads_max, settings.uploads_per_caller_max));
        let seat = work.desk.receive((id, part), dataset, who, limits).map_err(|crowd| match crowd {
            Crowd::All => UploadRefusal::TooMany(settings.uploads_max),
            Crowd::Caller => UploadRefusal::TooManyOfCaller(settings.uploads_per_caller_max),
        })?;
        seat.progress.bytes_total.store(bytes.unwrap_or(0), Ordering::Relaxed);
        let arriving = work.spool.begin(id, part)?;
        let (file_bytes_max, free_bytes_min) = (settings.file_bytes_max, settings.free_bytes_min);
        Ok(Upload { id, arriving, seat, file_bytes_max, free_bytes_min, work: Arc::clone(work) })
    }

    /// Stores an arrived file and imports it after the waiting ones. Returns the import; for a repeated command, the first try's.
    ///
    /// # Errors
    /// When the command was for another request, or the file cannot be stored.
    pub async fn accept(&self, upload: Upload, wanted: WantedImport, envelope: &Envelope) -> Result<Uuid, ImportError> {
        let _turn = self.work.accepting.lock().await;
        if let Some(first) = self.work.accepted_before(envelope).await? {
            return Ok(first);
        }
        let Upload { id, arriving, seat, .. } = upload;
        let (bytes, sha256) = (arriving.bytes(), arriving.sha256());
        let keep = move |spool: &Spool, ticket: &Ticket| {
            let kept = spool.keep(arriving, ticket);
            drop(seat);
            kept
        };
        self.take_in((id, bytes, sha256), wanted, envelope, keep).await
    }

    /// Writes the ticket of a stored file, and imports the file after the waiting ones.
    pub(super) async fn take_in(
        &self,
        (id, bytes, sha256): (Uuid, u64, String),
        wanted: WantedImport,
        envelope: &Envelope,
        keep: impl FnOnce(&Spool, &Ticket) -> io::Result<()> + Send + 'static,
    ) -> Result<Uuid, ImportError> {
        let work = &self.work;
        let WantedImport { dataset, replace, dry_run, keep_absent, options, definition, redefines, file_name } = wanted;
        let ticket = Ticket {
            id,
            dataset,
            replace,
            dry_run,
            keep_absent,
            options,
            definition,
            redefines,
            file_name,
            bytes,
            sha256,
            who: envelope.origin.who.clone(),
            correlation_id: envelope.origin.correlation_id.clone(),
            accepted_at: work.committer.clock.now(),
            state: TicketState::Waiting,
            report: None,
            reason: None,
        };
        match work.read_ticket(id).await? {
            // An earlier try died before it was answered.
            Some(first) if first.is_of_same_request(&ticket) => drop(keep),
            Some(_) => return Err(CommandError::KeyReused.into()),
            None => {
                let (spool, kept) = (work.spool.clone(), ticket.clone());
                blocking(move || keep(&spool, &kept).map_err(failed_to("kept"))).await?;
            }
        }
        crash_point("upload-kept");
        let answered = Answered::ImportAccepted { import: id };
        if !work.committer.keep_answer(envelope, &answered, None).await? {
            // Another server was faster, with the same request or with another one under the same key.
            let spool = work.spool.clone();
            blocking(move || spool.remove(id).map_err(failed_to("removed"))).await?;
            return work.accepted_before(envelope).await?.ok_or_else(|| CommandError::Contended.into());
        }
        crash_point("upload-answered");
        if let Some(ticket) = work.read_ticket(id).await?.filter(|ticket| ticket.state == TicketState::Waiting) {
            self.start_staged(ticket)?;
        }
        Ok(id)
    }

    fn start_staged(&self, ticket: Ticket) -> Result<(), ImportError> {
        let begun = self.work.desk.begin(ticket.id, &ticket.dataset, &ticket.who, ticket.bytes);
        let Some(seat) = begun else { return Ok(()) };
        tell(&self.actor, |reply| RunStaged { ticket, approval: None, seat, reply }).map(drop)?;
        Ok(())
    }

    /// Cancels an import that runs here, or in another process with the same data directory.
    ///
    /// # Errors
    /// When it is not running, or not here.
    pub async fn cancel(&self, import: Uuid, origin: Origin) -> Result<(), ImportError> {
        if let Some(working) = self.work.desk.find(import) {
            working.progress.cancel(origin);
            return Ok(());
        }
        let ticket = self.work.read_ticket(import).await?;
        let row = self.work.committer.stores.views.import(import).await.map_err(CommandError::from)?;
        let status = row.as_ref().map(|row| row.status.as_str());
        match (status, &ticket) {
            (Some("running"), Some(_)) => {}
            (Some("running"), None) => return Err(ImportError::NotHere),
            (None, Some(ticket)) if ticket.state == TicketState::Waiting => {}
            (None, None) => return Err(CommandError::Hold(HoldRefusal::Unknown).into()),
            _ => return Err(CommandError::Hold(HoldRefusal::NotRunning).into()),
        }
        let spool = self.work.spool.clone();
        blocking(move || spool.ask_to_cancel(import, &origin).map_err(failed_to("marked"))).await
    }

    /// Continues imports accepted before a start, and removes what finished ones do not need. For a server, at intervals.
    ///
    /// # Errors
    /// When the log or the folder cannot be read or written.
    pub async fn tend(&self) -> Result<(), ImportError> {
        let spool = self.work.spool.clone();
        let imports = blocking(move || spool.imports().map_err(failed_to("listed"))).await?;
        for import in imports {
            if self.work.desk.find(import).is_some() {
                continue;
            }
            if let Some(ticket) = self.work.tend(import).await? {
                tracing::info!(import = %ticket.id, dataset = ticket.dataset, "an import that was accepted before is gone on with");
                self.start_staged(ticket)?;
            }
        }
        self.clear_looked_at().await?;
        self.work.clear_rejects().await
    }

    /// Removes files that were arriving at a crash. For a server, before it serves.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file cannot be removed.
    pub fn clear_unfinished(&self) -> io::Result<u64> {
        Ok(self.work.spool.clear_unfinished()? + self.work.spool.clear_shelf()?)
    }
}

impl ImportWork {
    /// The import of an earlier try of the same command.
    pub(super) async fn accepted_before(&self, envelope: &Envelope) -> Result<Option<Uuid>, ImportError> {
        match self.committer.find_answer(envelope).await? {
            None => Ok(None),
            Some(AnswerPlace::Text(text)) => match Answered::read(&text).map_err(CommandError::from)? {
                Answered::ImportAccepted { import } => Ok(Some(import)),
                _ => Err(CommandError::KeyReused.into()),
            },
            Some(AnswerPlace::Commit(_)) => Err(CommandError::KeyReused.into()),
        }
    }

    /// Checks that the disk has room for this many more bytes.
    fn has_room(&self, bytes: u64) -> Result<(), UploadRefusal> {
        let min = self.settings.free_bytes_min;
        if self.spool.free_bytes()? < bytes.saturating_add(min) {
            return Err(UploadRefusal::NoRoom(min));
        }
        Ok(())
    }

    pub(super) async fn read_ticket(&self, import: Uuid) -> Result<Option<Ticket>, ImportError> {
        let spool = self.spool.clone();
        blocking(move || spool.ticket(import).map_err(failed_to("read"))).await
    }

    async fn write_ticket(&self, ticket: Ticket) -> Result<(), ImportError> {
        let spool = self.spool.clone();
        blocking(move || spool.write(&ticket).map_err(failed_to("kept"))).await
    }

    async fn remove_file(&self, import: Uuid) -> Result<(), ImportError> {
        let spool = self.spool.clone();
        blocking(move || spool.remove_file(import).map_err(failed_to("removed"))).await
    }

    /// The data set of an import, and its log.
    pub(super) async fn log_of_import(&self, import: Uuid) -> Result<(String, DataSetLog), ImportError> {
        let row = self.committer.stores.views.import(import).await.map_err(CommandError::from)?;
        let dataset = row.ok_or(CommandError::Hold(HoldRefusal::Unknown))?.dataset;
        let log = self.log_of(&dataset).await?;
        Ok((dataset, log))
    }

    /// The ticket of a held import, if its file is here.
    pub(super) async fn ticket_of_held(&self, import: Uuid) -> Result<Ticket, ImportError> {
        let (_, log) = self.log_of_import(import).await?;
        let (_, held) = log.held(import).map_err(CommandError::from)?;
        match self.read_ticket(import).await? {
            Some(ticket) if self.spool.has_file(import) => Ok(ticket),
            _ => Err(ImportError::Elsewhere { node: held.node.clone() }),
        }
    }

    pub(super) async fn discard(
        &self,
        import: Uuid,
        envelope: &Envelope,
        reason: Option<String>,
    ) -> Result<(), ImportError> {
        let (dataset, _) = self.log_of_import(import).await?;
        let decide = |state: &State| match state {
            State::DataSet(_, log) => {
                log.held(import)?;
                Ok(vec![Event::ImportDiscarded { import, reason: reason.clone() }])
            }
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset), envelope, decide).await?;
        crash_point("import-discarded");
        self.remove_file(import).await
    }

    /// Imports a stored file, and records the result in its ticket.
    pub(super) async fn run_staged(
        self: &Arc<Self>,
        mut ticket: Ticket,
        approval: Option<Envelope>,
        seat: Seat,
    ) -> Result<Summary, ImportError> {
        let (import, is_approved) = (ticket.id, approval.is_some());
        let done = self.import_staged(&ticket, approval, &seat).await;
        let keeps_file = match &done {
            Ok(summary) => {
                (ticket.state, ticket.reason) = (TicketState::Completed, None);
                ticket.report = Some(ImportReport::from(summary));
                false
            }
            Err(ImportError::Guarded(guarded)) => {
                (ticket.state, ticket.reason) = (TicketState::Held, None);
                ticket.report = Some(ImportReport::from(&*guarded.would));
                true
            }
            Err(ImportError::Cancelled) => {
                ticket.state = TicketState::Cancelled;
                false
            }
            Err(error) => {
                ticket.reason = Some(error.to_string().chars().take(REASON_CHARS_MAX).collect());
                if !is_approved {
                    ticket.state = TicketState::Failed;
                }
                // An approved import that failed is held again.
                is_approved
            }
        };
        let kept = async {
            if ticket.state != TicketState::Waiting {
                self.write_ticket(ticket).await?;
            }
            if keeps_file { Ok(()) } else { self.remove_file(import).await }
        };
        if let Err(error) = kept.await {
            tracing::error!(%import, %error, "what became of an import cannot be kept with its file; the log has it");
        }
        drop(seat);
        done
    }

    async fn import_staged(
        self: &Arc<Self>,
        ticket: &Ticket,
        approval: Option<Envelope>,
        seat: &Seat,
    ) -> Result<Summary, ImportError> {
        let _turn = self.one_at_a_time.lock().await;
        let is_approved = approval.is_some();
        match self.order_of(ticket, approval, seat).await {
            Ok(order) => self.import(order).await,
            Err(error) => {
                // An approved import that cannot begin is held again.
                if is_approved {
                    self.died(&ticket.dataset, ticket.id, None).await?;
                }
                Err(error)
            }
        }
    }

    /// Makes the order for an uploaded file.
    async fn order_of(&self, ticket: &Ticket, approval: Option<Envelope>, seat: &Seat) -> Result<Order, ImportError> {
        if let Some(who) = self.spool.cancelled_by(ticket.id) {
            seat.progress.cancel(who);
        }
        if seat.progress.cancelled().is_some() && approval.is_none() {
            return Err(ImportError::Cancelled);
        }
        let name = &ticket.dataset;
        let known = (self.settings.definitions)(name).map_err(ImportError::Definitions)?;
        let definition = match &ticket.definition {
            None => known.ok_or_else(|| ImportError::NoDefinition { name: name.clone() })?.definition,
            Some(text) => redefined::own_definition(text, name, known.as_ref(), ticket.redefines.as_deref())?,
        };
        let options = ticket.options.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let said = Said::of(options).map_err(|(name, reason)| ImportError::Said(format!("{name}: {reason}")))?;
        let reading = Arc::new(definition.reading_as(&said).map_err(ImportError::Said)?);
        if approval.is_some() {
            let (spool, sent) = (self.spool.clone(), ticket.clone());
            if !blocking(move || spool.is_whole(&sent).map_err(failed_to("read"))).await? {
                let other = io::Error::other("it is not what it was: discard the import, and send the file again");
                return Err(failed_to("read")(other));
            }
        }
        let file = self.spool.open(ticket.id).map_err(failed_to("read"))?;
        let origin = approval.as_ref().map_or_else(
            || Origin { who: ticket.who.clone(), correlation_id: ticket.correlation_id.clone(), causation_id: None },
            |approval| approval.origin.clone(),
        );
        Ok(Order {
            file: Box::new(file),
            file_name: ticket.file_name.clone(),
            definition,
            reading,
            replace: ticket.replace,
            confirmed: false,
            keep_absent: Some(ticket.keep_absent),
            staged: Some(Staged { id: ticket.id, approval }),
            dry_run: ticket.dry_run,
            origin,
            progress: Arc::clone(&seat.progress),
        })
    }

    /// Removes what an import no longer needs. Returns its ticket if it is still to be imported.
    async fn tend(&self, import: Uuid) -> Result<Option<Ticket>, ImportError> {
        let Some(mut ticket) = self.read_ticket(import).await? else { return Ok(None) };
        let row = self.committer.stores.views.import(import).await.map_err(CommandError::from)?;
        let is_over = match row.as_ref().map(|row| row.status.as_str()) {
            None if ticket.state == TicketState::Waiting => return Ok(Some(ticket)),
            Some("running" | HELD) => return Ok(None),
            _ => true,
        };
        if is_over && self.is_older(ticket.accepted_at, self.settings.kept_for) {
            let spool = self.spool.clone();
            blocking(move || spool.remove(import).map_err(failed_to("removed"))).await?;
        } else if self.spool.has_file(import) || ticket.state == TicketState::Waiting {
            if ticket.state == TicketState::Waiting {
                ticket.state = TicketState::Failed;
                self.write_ticket(ticket).await?;
            }
            self.remove_file(import).await?;
        }
        Ok(None)
    }

    pub(super) fn is_older(&self, at: Timestamp, than: jiff::SignedDuration) -> bool {
        self.committer.clock.now().duration_since(at) > than
    }

    /// Discards a held import that nobody decided on in time.
    pub(super) async fn expire(&self, import: Uuid) -> Result<(), ImportError> {
        let who = Who::system("importer");
        let origin = Origin { who, correlation_id: import.to_string(), causation_id: Some(import.to_string()) };
        let envelope = Envelope::new(CommandId::from_import(import, "expired"), origin);
        let days = self.settings.held_for.as_hours() / 24;
        let reason = format!("nobody approved of it within {days} days");
        match self.discard(import, &envelope, Some(reason)).await {
            // Somebody decided meanwhile.
            Err(ImportError::Command(CommandError::Hold(_))) => Ok(()),
            done => done,
        }
    }

    /// Removes files of rejected rows past their retention.
    async fn clear_rejects(&self) -> Result<(), ImportError> {
        let (folder, now) = (self.settings.rejects.clone(), self.committer.clock.now());
        let kept_for = self.settings.kept_for;
        blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries.map_err(failed_to("listed"))?,
            };
            for entry in entries {
                let entry = entry.map_err(failed_to("listed"))?;
                let changed = entry.metadata().and_then(|found| found.modified()).map_err(failed_to("listed"))?;
                let changed = Timestamp::try_from(changed).unwrap_or(now);
                let is_csv = entry.path().extension().is_some_and(|extension| extension == "csv");
                if is_csv && now.duration_since(changed) > kept_for {
                    std::fs::remove_file(entry.path()).map_err(failed_to("removed"))?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// An error of the upload folder.
pub(super) fn failed_to(doing: &'static str) -> impl Fn(io::Error) -> ImportError {
    move |source| ImportError::Spool { doing, source }
}
