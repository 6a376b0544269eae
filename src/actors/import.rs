//! Importing files. One in the process; one import at a time.
//!
//! Guarantees: an import is all or nothing; the log says when it began and how it ended, also when the process died in
//! between ([`Imports::recover`]); a row that cannot be a record is written to the rejects file with its line, column, value
//! and reason, and counted.

mod rejects;

use std::{
    io::{Read, Seek},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::{Actor, Addr, Context, Handler, Message};
use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use uuid::Uuid;

use self::rejects::Rejects;
use super::{
    ask::{Busy, Reply, ask},
    commit::{CommandError, Committer, Envelope},
    lineage::{JudgeError, judged},
};
use crate::{
    dataset::{
        Definition,
        reader::{self, Header, ImportRow, Limits, Problem, ReadError},
    },
    domain::{
        event::{Event, ImportCounts, Origin},
        id::{CommandId, StreamId, Who},
        text::{HiddenCharacter, one_line},
        view::State,
    },
    failpoint::crash_point,
    store::records::{Anew, ImportResult, ImportSession, LastImport, RecordStore, RecordStoreError, RowOutcome},
};

/// Imports that are looked at for those that died beside a server.
const RECENT_IMPORTS: usize = 200;
/// Rows between two reports of progress.
const ROWS_PER_REPORT: u64 = 1024;
/// Longest file name that is written into the log, characters.
const FILE_NAME_CHARS_MAX: usize = 200;
/// Longest reason that is written into the log, characters.
const REASON_CHARS_MAX: usize = 1000;

/// Why an import ended without an effect.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file's name could make it look like another.
    #[error("the name of the file holds {0}: rename it")]
    FileName(#[from] HiddenCharacter),
    /// The file is not what it claims.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The records could not be written.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// The log could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The rejects file could not be written.
    #[error("the rejects file {path} cannot be written: {source}", path = path.display())]
    Rejects {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The thread that imports has ended.
    #[error("the import was interrupted: {0}")]
    Interrupted(String),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
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
    /// Whether it is the whole data set, so that what it lacks is removed.
    pub replace: bool,
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
    /// Its version afterwards.
    pub dataset_version: u64,
    /// Whether the version rose.
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
    /// Columns that the file does not have.
    pub absent_columns: Vec<String>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct StartImport {
    order: Order,
    reply: Reply<Result<Summary, ImportError>>,
}

/// What the importer has counted.
#[derive(Debug, Default)]
pub struct ImportCounters {
    started: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    rows: AtomicU64,
    rejected: AtomicU64,
}

/// A reading of [`ImportCounters`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ImporterCounts {
    /// Imports begun.
    pub started: u64,
    /// Imports that are visible.
    pub completed: u64,
    /// Imports that had no effect.
    pub failed: u64,
    /// Rows read.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
}

struct ImportWork {
    committer: Arc<Committer>,
    records: Arc<dyn RecordStore>,
    limits: Limits,
    rejects: PathBuf,
    counters: ImportCounters,
    one_at_a_time: tokio::sync::Mutex<()>,
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
        actix::spawn(async move {
            let _turn = work.one_at_a_time.lock().await;
            drop(reply.send(work.import(order).await));
        });
    }
}

/// What reading and writing came to.
struct Written {
    header: Header,
    version: u64,
    changed: bool,
    counts: ImportCounts,
    rejects_file: Option<PathBuf>,
}

impl ImportWork {
    async fn import(self: &Arc<Self>, order: Order) -> Result<Summary, ImportError> {
        one_line(&order.file_name)?;
        let import = self.committer.new_id().map_err(CommandError::from)?;
        let (dataset, origin) = (order.definition.name.clone(), order.origin.clone());
        let started = Event::ImportStarted {
            import,
            file_name: order.file_name.chars().take(FILE_NAME_CHARS_MAX).collect(),
            definition: order.definition.fingerprint(),
            replace: order.replace,
        };
        // Begun before it is written down: from the log's first word of it until its rows are visible, others see that it
        // runs, and do not take it for one that died.
        let anew = self.anew(&dataset).await?;
        let (work, definition, replace) = (Arc::clone(self), Arc::clone(&order.definition), order.replace);
        let session = blocking(move || {
            Ok(match anew {
                None => work.records.begin_import(&definition, import, work.today(), replace)?,
                Some(anew) => work.records.begin_import_anew(&definition, import, work.today(), anew)?,
            })
        })
        .await;
        let session = match session {
            Ok(session) => session,
            Err(error) => return self.failed_to_begin(&dataset, &origin, started, import, error).await,
        };
        self.end_others(&dataset, import).await?;
        self.record(&dataset, &origin, import, "start", vec![started]).await?;
        self.counters.started.fetch_add(1, Ordering::Relaxed);
        crash_point("import-started");
        let work = Arc::clone(self);
        let done = blocking(move || {
            let mut session = Some(session);
            Ok((work.write(import, order, &mut session), session))
        });
        let (written, session) = done.await.unwrap_or_else(|error| (Err(error), None));
        crash_point("import-written");
        match written {
            Ok(written) => self.completed(&dataset, &origin, import, written).await,
            Err(error) => {
                let recorded = self.failed(&dataset, &origin, Vec::new(), import, &error).await;
                // Given up after that is written down: until then others see that it runs.
                blocking(move || {
                    drop(session);
                    Ok(())
                })
                .await?;
                recorded?;
                Err(error)
            }
        }
    }

    /// How to begin the data set anew, if its records are not those that the log knows: what is there is not to be built upon,
    /// and no version that the log knows is to come to be once more.
    async fn anew(&self, dataset: &str) -> Result<Option<Anew>, ImportError> {
        self.records.refresh().await?;
        let (stored, lineage, verdict) =
            judged(&self.committer, &self.records, dataset).await.map_err(|error| match error {
                JudgeError::Store(error) => ImportError::Command(error.into()),
                JudgeError::Records(error) => ImportError::Records(error),
            })?;
        let Err(loss) = verdict else { return Ok(None) };
        tracing::warn!(dataset, "{loss}; the import begins it anew");
        Ok(Some(Anew { above: lineage.version(), instead_of: stored.map(|stored| stored.last_import) }))
    }

    /// Writes down, as one commit, that an import began and failed: it never had the data set for itself, so that others might
    /// take it for one that died.
    async fn failed_to_begin(
        &self,
        dataset: &str,
        origin: &Origin,
        started: Event,
        import: Uuid,
        error: ImportError,
    ) -> Result<Summary, ImportError> {
        self.counters.started.fetch_add(1, Ordering::Relaxed);
        self.failed(dataset, origin, vec![started], import, &error).await?;
        Err(error)
    }

    async fn failed(
        &self,
        dataset: &str,
        origin: &Origin,
        mut events: Vec<Event>,
        import: Uuid,
        error: &ImportError,
    ) -> Result<(), CommandError> {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        let reason = error.to_string().chars().take(REASON_CHARS_MAX).collect();
        events.push(Event::ImportFailed { import, reason });
        self.record(dataset, origin, import, "end", events).await
    }

    /// Writes down how the imports of a data set ended whose processes did not. To be called by an import that has the data set
    /// for itself: then no other one is under way, whatever the log says, and the last visible one is the last that ever became
    /// visible.
    async fn end_others(&self, dataset: &str, import: Uuid) -> Result<(), ImportError> {
        self.records.refresh().await?;
        let stored = self.records.data_set(dataset);
        let last = stored.as_deref().map(|stored| &stored.last_import);
        let envelope = Envelope {
            command: CommandId::from_import(import, "others-ended"),
            request_hash: None,
            expected_version: None,
            origin: recovery(import),
        };
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.running().map(|running| ending(running.id, last)).collect()),
            State::User(_) | State::Plan(..) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await?;
        Ok(())
    }

    async fn completed(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        written: Written,
    ) -> Result<Summary, ImportError> {
        let Written { header, version, changed, counts, rejects_file } = written;
        let event = Event::ImportCompleted { import, dataset_version: version, counts };
        self.record(dataset, origin, import, "end", vec![event]).await?;
        self.counters.completed.fetch_add(1, Ordering::Relaxed);
        Ok(Summary {
            import,
            dataset: dataset.to_owned(),
            dataset_version: version,
            changed,
            counts,
            rejects_file,
            sheet: header.sheet,
            header_line: header.line,
            unmatched_headers: header.unmatched,
            absent_columns: header.absent,
        })
    }

    /// Appends events of an import: its beginning, its end if it has not ended, or both.
    async fn record(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        step: &str,
        events: Vec<Event>,
    ) -> Result<(), CommandError> {
        let envelope = Envelope {
            command: CommandId::from_import(import, step),
            request_hash: None,
            expected_version: None,
            origin: origin.clone(),
        };
        let decide = |state: &State| match (state, events.as_slice()) {
            (State::DataSet(_, log), [ending]) if !matches!(ending, Event::ImportStarted { .. }) => {
                Ok(log.end_import(import, ending.clone()))
            }
            (State::DataSet(..), events) => Ok(events.to_vec()),
            (State::User(_) | State::Plan(..), _) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await.map(drop)
    }

    fn today(&self) -> Date {
        self.committer.clock.now().to_zoned(TimeZone::UTC).date()
    }

    /// Reads the file and writes its records; nothing of it is visible unless this succeeds. Leaves the session behind when it
    /// fails before the commit.
    fn write(
        &self,
        import: Uuid,
        order: Order,
        session: &mut Option<Box<dyn ImportSession>>,
    ) -> Result<Written, ImportError> {
        let ended = || ImportError::Interrupted("its session has ended".to_owned());
        let Order { file, file_name, definition, progress, .. } = order;
        let mut source = reader::open(file, &file_name, &definition, &self.limits)?;
        let path = self.rejects.join(format!("{}-{import}.csv", definition.name));
        let mut rejects = Rejects::into(path);
        let mut rows = 0;
        let running = session.as_deref_mut().ok_or_else(ended)?;
        while let Some(row) = source.next() {
            self.take(running, &mut rejects, &definition, row?)?;
            rows += 1;
            if rows % ROWS_PER_REPORT == 0 {
                progress.rows.store(rows, Ordering::Relaxed);
                progress.bytes.store(source.progress().bytes_read, Ordering::Relaxed);
            }
        }
        progress.rows.store(rows, Ordering::Relaxed);
        let rejected = rejects.rows();
        let rejects_file = rejects.finish()?;
        crash_point("import-before-commit");
        let result = session.take().ok_or_else(ended)?.commit()?;
        self.counters.rows.fetch_add(rows, Ordering::Relaxed);
        self.counters.rejected.fetch_add(rejected, Ordering::Relaxed);
        let counts = counts(&result);
        let header = source.header().clone();
        Ok(Written { header, version: result.version, changed: result.changed, counts, rejects_file })
    }

    fn take(
        &self,
        session: &mut dyn ImportSession,
        rejects: &mut Rejects,
        definition: &Definition,
        row: ImportRow,
    ) -> Result<(), ImportError> {
        match row {
            ImportRow::Rejected { line, key, problems } => {
                session.reject(key.as_deref())?;
                rejects.write(line, &problems)
            }
            ImportRow::Record { line, key, record } => match session.put(line, &key, record)? {
                RowOutcome::Inserted | RowOutcome::Updated | RowOutcome::Unchanged => Ok(()),
                RowOutcome::Duplicate { first_line } => {
                    let column = definition.columns.get(definition.record_id);
                    let problem = Problem {
                        column: column.map(|column| column.name.clone()).unwrap_or_default(),
                        value: key,
                        reason: format!("line {first_line} has the same key and record id"),
                    };
                    session.reject(None)?;
                    rejects.write(line, &[problem])
                }
            },
        }
    }

    async fn recover(&self, last: usize) -> Result<u64, ImportError> {
        let running = self.committer.stores.views.imports(None, last).await.map_err(CommandError::from)?;
        let mut ended = 0;
        for import in running.into_iter().filter(|import| import.status == "running") {
            // In this order: one that ends meanwhile is seen as running, or as visible.
            if self.records.is_importing(&import.dataset)? {
                continue;
            }
            self.records.refresh().await?;
            let stored = self.records.data_set(&import.dataset);
            let event = ending(import.id, stored.as_deref().map(|stored| &stored.last_import));
            self.record(&import.dataset, &recovery(import.id), import.id, "end", vec![event]).await?;
            ended += 1;
        }
        Ok(ended)
    }
}

/// Does what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ImportError::Interrupted(error.to_string())))
}

/// Who writes down how an import ended whose process did not.
fn recovery(import: Uuid) -> Origin {
    Origin { who: Who::system("importer"), correlation_id: import.to_string(), causation_id: Some(import.to_string()) }
}

/// How an import ended whose process did not say so: it is visible, or has had no effect.
fn ending(import: Uuid, last: Option<&LastImport>) -> Event {
    match last {
        Some(last) if last.id == import => completion(last),
        _ => {
            let reason = "the process ended before the import did; the data set is as it was".to_owned();
            Event::ImportFailed { import, reason }
        }
    }
}

/// How an import that is visible ended.
fn completion(LastImport { id, result, .. }: &LastImport) -> Event {
    Event::ImportCompleted { import: *id, dataset_version: result.version, counts: counts(result) }
}

fn counts(result: &ImportResult) -> ImportCounts {
    ImportCounts {
        inserted: result.inserted,
        updated: result.updated,
        unchanged: result.unchanged,
        removed: result.removed,
        rejected: result.rejected,
    }
}

/// How others import.
#[derive(Clone)]
pub struct Imports {
    actor: Addr<ImportActor>,
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
        Self { actor: ImportActor { work: Arc::clone(&work), mailbox_capacity }.start(), work }
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

    /// What was counted.
    pub fn counts(&self) -> ImporterCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.work.counters;
        ImporterCounts {
            started: read(&counters.started),
            completed: read(&counters.completed),
            failed: read(&counters.failed),
            rows: read(&counters.rows),
            rejected: read(&counters.rejected),
        }
    }
}
