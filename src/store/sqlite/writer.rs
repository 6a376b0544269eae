//! The one writer thread. It takes all waiting writes, runs each in a savepoint of one transaction, commits, and only then answers:
//! the waiting writes share one `fsync` (group commit).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{BUSY_TIMEOUT_MS, StoreError, closed, still_there};
use crate::{failpoint::crash_point, private::FilePlace};

/// Writes that may wait; more are refused as overload.
const WAITING_MAX: usize = 4096;
/// Writes that share one transaction.
const BATCH_MAX: usize = 256;
/// How often other threads may run before a commit if more writes are likely to come: otherwise the first of the answered clients
/// to write again would be written and synced alone.
const YIELDS_MAX: usize = 3;
/// Pages of the write-ahead log after which a commit moves them into the database: 32 MiB. Appends change pages all over their
/// tables; the longer the log, the more often a page is changed before it is moved, once.
const CHECKPOINT_PAGES: u32 = 8192;
/// Page cache of the writer, KiB. It changes pages all over its tables, and would otherwise read most of them again.
const CACHE_KIB: u32 = 32 * 1024;
/// The size to which the write-ahead log's file is cut after its content was moved, bytes: a rebuild lets it grow beyond that.
const LOG_BYTES_MAX: u64 = 64 << 20;

type WriteAnswer = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// Work in the transaction; if no transaction could be begun, it gets the error.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> WriteAnswer + Send>;

pub(super) struct Writer {
    jobs: SyncSender<Job>,
    purge: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. `places` are those of the connection's files: once one is gone, nothing is written.
    pub(super) fn start(connection: Connection, places: Arc<[FilePlace]>) -> Result<Self, StoreError> {
        connection.execute_batch(&format!(
            "PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA journal_size_limit = {LOG_BYTES_MAX};
             PRAGMA cache_size = -{CACHE_KIB}"
        ))?;
        // A process that died right after an erasure left erased data in the log. If somebody reads from it now, the next erasure
        // or start empties it.
        if !empty_log(&connection) {
            tracing::debug!("the write-ahead log is in use and stays as it is");
        }
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let purge = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&purge);
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || write_all(&connection, &places, &waiting, &asked))
            .map_err(|error| StoreError::Unavailable(format!("no thread for the writer: {error}")))?;
        Ok(Self { jobs, purge })
    }

    /// A flag for a write: when set, the write-ahead log is emptied after its commit.
    pub(super) fn purge_after_commit(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.purge)
    }

    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.map_err(E::from).and_then(|connection| in_savepoint(connection, work));
            Box::new(move |failure| {
                // A caller whose work failed gets its error, also when that undid all other work.
                let result = match failure {
                    Some(failure) => result.and(Err(E::from(failure))),
                    None => result,
                };
                // The caller may have gone; the write stays.
                drop(answer.send(result));
            })
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Unavailable(format!("{WAITING_MAX} writes are waiting already")),
            TrySendError::Disconnected(_) => closed(),
        })?;
        answered.await.map_err(|_| closed())?
    }
}

fn in_savepoint<T, E: From<StoreError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, "SAVEPOINT job").map_err(StoreError::from)?;
    let result = work(connection);
    if result.is_err() && connection.is_autocommit() {
        // SQLite has rolled back the whole transaction by itself, as on a full disk.
        return result;
    }
    if result.is_err() {
        run(connection, "ROLLBACK TO job").map_err(StoreError::from)?;
    }
    run(connection, "RELEASE job").map_err(StoreError::from)?;
    result
}

/// Runs one of a few statements: they stay prepared.
fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn write_all(connection: &Connection, places: &[FilePlace], waiting: &Receiver<Job>, purge: &AtomicBool) {
    // Whether the write-ahead log still holds purged data.
    let mut log_to_empty = false;
    let mut together = 0;
    while let Ok(first) = waiting.recv() {
        let mut answers: Vec<WriteAnswer> = Vec::new();
        let begun = run(connection, "BEGIN IMMEDIATE").map_err(StoreError::from);
        // The callers get the reason why nothing can be written, such as a read-only file system.
        answers.push(first(begun.clone().map(|()| connection)));
        let outcome = begun.and_then(|()| {
            let mut yields = 0;
            while answers.len() < BATCH_MAX && !connection.is_autocommit() {
                match waiting.try_recv() {
                    Ok(job) => answers.push(job(Ok(connection))),
                    Err(_) if answers.len() < together && yields < YIELDS_MAX => {
                        yields += 1;
                        thread::yield_now();
                    }
                    Err(_) => break,
                }
            }
            together = answers.len();
            if connection.is_autocommit() {
                let reason = "another write failed, and with it all that were to be committed together";
                return Err(StoreError::Unavailable(reason.to_owned()));
            }
            if purge.load(Ordering::SeqCst) {
                super::erasure::rewrite(connection)?;
            }
            crash_point("sqlite-before-commit");
            // Writes into a removed file would succeed, and nobody would ever find them.
            still_there(places)?;
            run(connection, "COMMIT").map_err(StoreError::from)
        });
        let failure = outcome.err();
        if failure.is_some() && !connection.is_autocommit() {
            // A rollback that fails leaves the transaction open; the next BEGIN then reports it to the callers.
            run(connection, "ROLLBACK").ok();
        }
        if failure.is_none() && (purge.swap(false, Ordering::SeqCst) || log_to_empty) {
            // Somebody may be reading: then it is tried again after the next commit.
            log_to_empty = !empty_log(connection);
        }
        for answer in answers {
            answer(failure.clone());
        }
    }
}

/// Moves the write-ahead log into the database and empties it; `false` when somebody is reading from it. Does not wait for readers:
/// a rebuild or a verification reads for long, and itself waits for the lock that is held meanwhile.
fn empty_log(connection: &Connection) -> bool {
    let patience = |ms: u32| connection.busy_timeout(Duration::from_millis(ms.into())).is_ok();
    if !patience(0) {
        return false;
    }
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    patience(BUSY_TIMEOUT_MS) && busy.is_ok_and(|busy| busy == 0)
}
