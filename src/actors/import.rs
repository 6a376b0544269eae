//! Imports files. One actor in the process; one import at a time.
//!
//! Guarantees: an import is all or nothing; the log records its beginning and end, also when the process died in between
//! ([`Imports::recover`]); removals and emptied values above the guard need a confirmation; a row that cannot be a record is counted, and
//! written to the rejects file with its line, column, value and reason.

mod approval;
mod counters;
mod desk;
mod error;
mod guard;
mod looked_at;
mod naming;
mod order;
mod progress;
mod recovery;
mod redefined;
mod rejects;
mod settings;
mod spool;
mod staging;
mod status;
mod summary;
mod work;

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};

use self::{
    counters::ImportCounters,
    desk::{Desk, Seat},
    spool::{Spool, Ticket},
    work::ImportWork,
};
pub use self::{
    counters::ImporterCounts,
    error::ImportError,
    guard::Guarded,
    looked_at::{LookedAt, LookedColumn, LookedProblem, ReadAs, SentFile},
    order::{FileSource, Order, Staged, WantedImport},
    progress::{ImportProgress, Phase},
    redefined::{Opened, Redefinition},
    settings::{DefinedNames, FindDefinition, FoundDefinition, ImportSettings},
    staging::{Upload, UploadRefusal},
    status::ImportStatus,
    summary::{ImportDifference, Summary},
};
use super::{
    ask::{Mailbox, Reply, ask},
    commit::{Committer, Envelope},
};
use crate::{dataset::Definition, domain::event::Origin, store::records::RecordStore};

/// The newest imports that are checked for a dead process while a server runs.
const RECENT_IMPORTS: usize = 200;

#[derive(Message)]
#[rtype(result = "()")]
struct StartImport {
    order: Order,
    reply: Reply<Result<Summary, ImportError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct RunStaged {
    ticket: Ticket,
    approval: Option<Envelope>,
    seat: Seat,
    reply: Reply<Result<Summary, ImportError>>,
}

/// The actor.
pub struct ImportActor {
    work: Arc<ImportWork>,
    mailbox_capacity: usize,
}

impl Actor for ImportActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<StartImport> for ImportActor {
    type Result = ();

    fn handle(&mut self, StartImport { order, reply }: StartImport, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move {
            let _turn = work.one_at_a_time.lock().await;
            work.import(order).await
        });
    }
}

impl Handler<RunStaged> for ImportActor {
    type Result = ();

    fn handle(&mut self, RunStaged { ticket, approval, seat, reply }: RunStaged, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move { work.run_staged(ticket, approval, seat).await });
    }
}

/// The handle for importing.
#[derive(Clone)]
pub struct Imports {
    actor: Mailbox<ImportActor>,
    work: Arc<ImportWork>,
}

impl Imports {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(committer: Arc<Committer>, records: Arc<dyn RecordStore>, settings: ImportSettings) -> Self {
        let (mailbox_capacity, spool) = (settings.mailbox_capacity, Spool::new(settings.spool.clone()));
        let work = Arc::new(ImportWork {
            committer,
            records,
            settings,
            spool,
            desk: Desk::default(),
            counters: ImportCounters::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
            accepting: tokio::sync::Mutex::default(),
        });
        Self {
            actor: Mailbox::start(ImportActor { work: Arc::clone(&work), mailbox_capacity }, mailbox_capacity),
            work,
        }
    }

    /// Imports a file after the waiting ones.
    ///
    /// # Errors
    /// When nothing was imported.
    pub async fn import(&self, order: Order) -> Result<Summary, ImportError> {
        ask(&self.actor, |reply| StartImport { order, reply }, None).await?
    }

    /// Records the end of imports whose process died. Returns how many.
    ///
    /// # Errors
    /// When the log or the records cannot be read or written.
    pub async fn recover(&self) -> Result<u64, ImportError> {
        self.work.recover(usize::MAX).await
    }

    /// The same for the newest imports only: for regular checks when other nodes import, too, and may die.
    ///
    /// # Errors
    /// When the log or the records cannot be read or written.
    pub async fn recover_recent(&self) -> Result<u64, ImportError> {
        self.work.recover(RECENT_IMPORTS).await
    }

    /// Removes a data set with its records and history. The log stays, and records the removal.
    ///
    /// # Errors
    /// When the data set does not exist, an import into it is running, or the store cannot remove it.
    pub async fn remove(&self, dataset: &str, envelope: &Envelope) -> Result<u64, ImportError> {
        self.work.remove(dataset, envelope).await
    }

    /// Renames a data set, with its records, history and version.
    ///
    /// # Errors
    /// When it does not exist or the other name does; when an import into it is running; or when the store cannot rename.
    pub async fn rename(&self, dataset: &str, to: &str, origin: Origin) -> Result<u64, ImportError> {
        self.work.rename(dataset, to, origin).await
    }

    /// Withdraws a data set, or serves it again. Returns its version.
    ///
    /// # Errors
    /// When the data set does not exist, an import into it is running, or the store cannot do it.
    pub async fn withdraw(&self, dataset: &str, withdrawn: bool, envelope: &Envelope) -> Result<u64, ImportError> {
        self.work.withdraw(dataset, withdrawn, envelope).await
    }

    /// The present definition for reading a data set's files.
    ///
    /// # Errors
    /// When there is none, or definitions cannot be read.
    pub fn definition(&self, dataset: &str) -> Result<Arc<Definition>, ImportError> {
        Ok(self.found_definition(dataset)?.definition)
    }

    /// The same, with its origin.
    ///
    /// # Errors
    /// As [`Self::definition`].
    pub fn found_definition(&self, dataset: &str) -> Result<FoundDefinition, ImportError> {
        let found = (self.work.settings.definitions)(dataset).map_err(ImportError::Definitions)?;
        found.ok_or_else(|| ImportError::NoDefinition { name: dataset.to_owned() })
    }

    /// Free bytes on the disk of waiting files, and how many must stay free.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn room_bytes(&self) -> std::io::Result<(u64, u64)> {
        Ok((self.work.spool.free_bytes()?, self.work.settings.free_bytes_min))
    }

    /// The names of all data sets with a definition.
    ///
    /// # Errors
    /// When definitions cannot be read.
    pub fn defined(&self) -> Result<Vec<String>, ImportError> {
        (self.work.settings.defined)().map_err(ImportError::Definitions)
    }

    /// The present counts.
    pub fn counts(&self) -> ImporterCounts {
        self.work.counters.read()
    }
}
