//! Importing files. One in the process; one import at a time.
//!
//! Guarantees: an import is all or nothing; the log says when it began and how it ended, also when the process died in
//! between ([`Imports::recover`]); what an import would empty or remove beyond the usual takes a confirmation; a row that cannot be a record is written to the rejects file with its line, column, value
//! and reason, and counted.

mod approval;
mod desk;
mod error;
mod guard;
mod looked_at;
mod naming;
mod recovery;
mod redefined;
mod rejects;
mod spool;
mod staging;
mod status;
mod work;

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use actix::{Actor, Context, Handler, Message};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{
    desk::{Desk, Seat},
    spool::{Spool, Ticket},
    work::ImportWork,
};
pub use self::{
    error::ImportError,
    guard::Guarded,
    looked_at::{LookedAt, LookedColumn, LookedProblem, ReadAs, SentFile},
    redefined::{Opened, Redefinition},
    staging::{Upload, UploadRefusal},
    status::ImportStatus,
};
use super::{
    ask::{Mailbox, Reply, ask},
    commit::{Committer, Envelope},
    counting::counters,
};
use crate::{
    dataset::{Definition, reader::Limits},
    domain::{
        event::{ImportCounts, Origin},
        guard::{Excess, GuardLimits},
    },
    store::records::RecordStore,
};

/// Imports that are looked at for those that died beside a server.
const RECENT_IMPORTS: usize = 200;

/// A definition that was found.
#[derive(Debug, Clone)]
pub struct FoundDefinition {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Whether it is kept by hand in a file, which the next import reads again.
    pub is_in_file: bool,
}

/// Finds the definition that a data set's files are read by; an error where definitions cannot be read.
pub type FindDefinition = Arc<dyn Fn(&str) -> Result<Option<FoundDefinition>, String> + Send + Sync>;

/// The names of the data sets that there are definitions of.
pub type DefinedNames = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// How files are imported, and kept until they are.
#[derive(Clone)]
pub struct ImportSettings {
    /// The limits of files.
    pub limits: Limits,
    /// The guard, where a definition says nothing else.
    pub guard: GuardLimits,
    /// The folder of rejected rows.
    pub rejects: PathBuf,
    /// The folder of files that were sent.
    pub spool: PathBuf,
    /// The name of this machine.
    pub node: String,
    /// For how long an import is held that nobody decides upon.
    pub held_for: SignedDuration,
    /// For how long rejected rows and reports are kept.
    pub kept_for: SignedDuration,
    /// The largest file that is taken, bytes.
    pub file_bytes_max: u64,
    /// Bytes of the disk that are left free.
    pub free_bytes_min: u64,
    /// Files that arrive at the same time.
    pub uploads_max: usize,
    /// The same of one caller.
    pub uploads_per_caller_max: usize,
    /// The definitions.
    pub definitions: FindDefinition,
    /// The names of those that are written down, whether there are records or not.
    pub defined: DefinedNames,
    /// Imports that wait in the mailbox.
    pub mailbox_capacity: usize,
}

/// What is to be done with a file that is sent.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The data set.
    pub dataset: String,
    /// Whether the file is the whole data set.
    pub replace: bool,
    /// Whether it is only to be known what it would do.
    pub dry_run: bool,
    /// Whether stored records keep their values of columns that the file does not have.
    pub keep_absent: bool,
    /// What is said of the file, by the names of parameters.
    pub options: Vec<(String, String)>,
    /// The definition to read it by, as TOML, where it is not the one that the data set has.
    pub definition: Option<String>,
    /// The fingerprint of the data set's definition that this one takes the place of; none where the data set has none yet.
    pub redefines: Option<String>,
    /// Its name, without its folders.
    pub file_name: String,
}

/// Something that can be read from any place.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A file to import.
pub struct Order {
    /// The file.
    pub file: Box<dyn Source>,
    /// Its name, without its folders.
    pub file_name: String,
    /// How to read it, and into which data set.
    pub definition: Arc<Definition>,
    /// The same with what is said of this file alone, which the data set does not keep.
    pub reading: Arc<Definition>,
    /// Whether it is the whole data set, so that what it lacks is removed.
    pub replace: bool,
    /// Whether it may do more than the guard lets it.
    pub confirmed: bool,
    /// Whether stored records keep their values of columns that the file does not have; where nothing is said, they do unless it is
    /// confirmed.
    pub keep_absent: Option<bool>,
    /// What it is besides, where its file was sent to the server.
    pub staged: Option<Staged>,
    /// Whether it is only to be known what it would do.
    pub dry_run: bool,
    /// Who wants it.
    pub origin: Origin,
    /// How far it is, for whoever wants to know.
    pub progress: Arc<ImportProgress>,
}

/// An import whose file is kept: what exceeds the guard is held.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The import.
    pub id: Uuid,
    /// The command that approves of it, where it was held.
    pub approval: Option<Envelope>,
}

/// Where an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its file is arriving.
    Uploading,
    /// Its file is being read, or waits to be.
    Reading,
    /// What was read is becoming visible.
    Committing,
}

/// How far an import is.
#[derive(Debug, Default)]
pub struct ImportProgress {
    /// Rows read.
    pub rows: AtomicU64,
    /// Bytes of the file read, or arrived.
    pub bytes: AtomicU64,
    /// Bytes of the file, once they are known.
    pub bytes_total: AtomicU64,
    phase: AtomicU8,
    /// Who wants it to end.
    cancelled: OnceLock<Origin>,
}

impl ImportProgress {
    /// Where it is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Uploading,
            1 => Phase::Reading,
            _ => Phase::Committing,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Says that it is to end. Who comes first did it.
    fn cancel(&self, who: Origin) {
        self.cancelled.set(who).ok();
    }

    /// Who wants it to end, if somebody does.
    pub fn cancelled(&self) -> Option<&Origin> {
        self.cancelled.get()
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The import.
    pub import: Uuid,
    /// The data set.
    pub dataset: String,
    /// Whether nothing was changed, and the rest says what would have been.
    pub dry_run: bool,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// Its version before; 0 where there was none.
    pub version_before: u64,
    /// Its version afterwards; of a dry run, its version, or 0 where there is none yet.
    pub dataset_version: u64,
    /// Whether the version rose; of a dry run, whether it would rise.
    pub changed: bool,
    /// Rows by what became of them.
    #[serde(flatten)]
    pub counts: ImportCounts,
    /// Where the rejected rows are, if there are any.
    pub rejects_file: Option<PathBuf>,
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The line of the header.
    pub header_line: u64,
    /// Headers that no column of the definition reads.
    pub unmatched_headers: Vec<String>,
    /// Columns that the file does not have, or not all of what they are made of.
    pub absent_columns: Vec<String>,
    /// What a person should know of the file.
    pub notes: Vec<String>,
    /// Of these, the ones of which stored records kept their values: how many values differ from what the file's rows say.
    pub kept_columns: BTreeMap<String, u64>,
    /// Of these, the ones of which stored records took the blanks or defaults: how many values that changed.
    pub emptied_columns: BTreeMap<String, u64>,
    /// Headers that no column reads, and the absent columns that they may mean.
    pub similar_headers: BTreeMap<String, String>,
    /// Why this is refused unless it is confirmed; of a dry run only, others end with it.
    pub refused_unless_confirmed: Option<String>,
    /// The limits that it exceeds.
    pub exceeds: Vec<Excess>,
    /// The first values of stored records that it changes.
    pub differences: Vec<ImportDifference>,
}

/// A value that an import changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportDifference {
    /// The record's key.
    pub key: String,
    /// Its record id.
    pub record_id: String,
    /// The column.
    pub column: String,
    /// What is stored; nothing where no value is.
    pub old: Option<String>,
    /// What the file says.
    pub new: Option<String>,
}

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

counters! {
    /// What the importer has counted.
    ImportCounters read as ImporterCounts {
        /// Imports begun.
        started,
        /// Imports that are visible.
        completed,
        /// Imports that had no effect.
        failed,
        /// Imports that were held.
        held,
        /// Rows read.
        rows,
        /// Rows rejected.
        rejected,
    }
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

/// How others import.
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

    /// Imports a file, after those that are waiting.
    ///
    /// # Errors
    /// When nothing was imported: why.
    pub async fn import(&self, order: Order) -> Result<Summary, ImportError> {
        ask(&self.actor, |reply| StartImport { order, reply }, None).await?
    }

    /// Writes down how the imports ended that were under way when a process died. Returns how many.
    ///
    /// # Errors
    /// When the log or the records cannot be read or written.
    pub async fn recover(&self) -> Result<u64, ImportError> {
        self.work.recover(usize::MAX).await
    }

    /// The same for the last imports only: for doing it now and then, where other nodes import, too, and may die of it.
    ///
    /// # Errors
    /// When the log or the records cannot be read or written.
    pub async fn recover_recent(&self) -> Result<u64, ImportError> {
        self.work.recover(RECENT_IMPORTS).await
    }

    /// Removes a data set: its records, and their past. The log stays, and says so.
    ///
    /// # Errors
    /// When there is none, an import into it is running, or the store cannot.
    pub async fn remove(&self, dataset: &str, envelope: &Envelope) -> Result<u64, ImportError> {
        self.work.remove(dataset, envelope).await
    }

    /// Gives a data set another name, under which it has its records, their past and their version.
    ///
    /// # Errors
    /// When there is none, or one of the other name; an import into it is running; or the store cannot.
    pub async fn rename(&self, dataset: &str, to: &str, origin: Origin) -> Result<u64, ImportError> {
        self.work.rename(dataset, to, origin).await
    }

    /// Keeps a data set and serves it to nobody, or serves it again. Its version.
    ///
    /// # Errors
    /// When there is none, an import into it is running, or the store cannot.
    pub async fn withdraw(&self, dataset: &str, withdrawn: bool, envelope: &Envelope) -> Result<u64, ImportError> {
        self.work.withdraw(dataset, withdrawn, envelope).await
    }

    /// The definition that a data set's files are read by, as it is now.
    ///
    /// # Errors
    /// When there is none, or definitions cannot be read.
    pub fn definition(&self, dataset: &str) -> Result<Arc<Definition>, ImportError> {
        Ok(self.found_definition(dataset)?.definition)
    }

    /// The same, with where it is from.
    ///
    /// # Errors
    /// As [`Self::definition`].
    pub fn found_definition(&self, dataset: &str) -> Result<FoundDefinition, ImportError> {
        let found = (self.work.settings.definitions)(dataset).map_err(ImportError::Definitions)?;
        found.ok_or_else(|| ImportError::NoDefinition { name: dataset.to_owned() })
    }

    /// Bytes that the disk has room for where files wait to be imported, and how many are left free in any case.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn room_bytes(&self) -> std::io::Result<(u64, u64)> {
        Ok((self.work.spool.free_bytes()?, self.work.settings.free_bytes_min))
    }

    /// The names of the data sets that there are definitions of.
    ///
    /// # Errors
    /// When definitions cannot be read.
    pub fn defined(&self) -> Result<Vec<String>, ImportError> {
        (self.work.settings.defined)().map_err(ImportError::Definitions)
    }

    /// What was counted.
    pub fn counts(&self) -> ImporterCounts {
        self.work.counters.read()
    }
}
