//! Importing files. One in the process; one import at a time.
//!
//! Guarantees: an import is all or nothing; the log says when it began and how it ended, also when the process died in
//! between ([`Imports::recover`]); what an import would empty or remove beyond the usual takes a confirmation; a row that cannot be a record is written to the rejects file with its line, column, value
//! and reason, and counted.

mod error;
mod guard;
mod naming;
mod recovery;
mod rejects;
mod work;

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use actix::{Actor, Context, Handler, Message};
use serde::Serialize;
use uuid::Uuid;

use self::work::ImportWork;
pub use self::{error::ImportError, guard::Guarded};
use super::{
    ask::{Mailbox, Reply, ask},
    commit::Committer,
    counting::counters,
};
use crate::{
    dataset::{Definition, reader::Limits},
    domain::event::{ImportCounts, Origin},
    store::records::RecordStore,
};

/// Imports that are looked at for those that died beside a server.
const RECENT_IMPORTS: usize = 200;

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
    /// Whether it may empty columns that the file does not have, and remove more than a few records.
    pub confirmed: bool,
    /// Whether it is only to be known what it would do.
    pub dry_run: bool,
    /// Who wants it.
    pub origin: Origin,
    /// How far it is, for whoever wants to know.
    pub progress: Arc<ImportProgress>,
}

/// How far an import is.
#[derive(Debug, Default)]
pub struct ImportProgress {
    /// Rows read.
    pub rows: AtomicU64,
    /// Bytes of the file read.
    pub bytes: AtomicU64,
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
}

#[derive(Message)]
#[rtype(result = "()")]
struct StartImport {
    order: Order,
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

/// How others import.
#[derive(Clone)]
pub struct Imports {
    actor: Mailbox<ImportActor>,
    work: Arc<ImportWork>,
}

impl Imports {
    /// Starts the actor on the calling thread's arbiter. Rejected rows are written into the folder `rejects`.
    pub fn start(
        committer: Arc<Committer>,
        records: Arc<dyn RecordStore>,
        limits: Limits,
        rejects: PathBuf,
        mailbox_capacity: usize,
    ) -> Self {
        let (counters, one_at_a_time) = (ImportCounters::default(), tokio::sync::Mutex::default());
        let work = Arc::new(ImportWork { committer, records, limits, rejects, counters, one_at_a_time });
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
    pub async fn remove(&self, dataset: &str, origin: Origin) -> Result<u64, ImportError> {
        self.work.remove(dataset, origin).await
    }

    /// Gives a data set another name, under which it has its records, their past and their version.
    ///
    /// # Errors
    /// When there is none, or one of the other name; an import into it is running; or the store cannot.
    pub async fn rename(&self, dataset: &str, to: &str, origin: Origin) -> Result<u64, ImportError> {
        self.work.rename(dataset, to, origin).await
    }

    /// What was counted.
    pub fn counts(&self) -> ImporterCounts {
        self.work.counters.read()
    }
}
