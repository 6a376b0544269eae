//! The open database file.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, oneshot};

use super::{
    connection::{connect, connect_immutable, lock, still_there},
    roll::{self, KeptRoll},
    trouble::{closed, corrupt},
    worked::Worked,
    writer::Writer,
};
use crate::{clock::SharedClock, private::FilePlace, store::StoreError};

/// The file's name in its folder.
pub const FILE_NAME: &str = "permitd.db";

/// Connections that read at the same time.
pub(super) const READERS: usize = 2;

/// The open database file. Clones share it.
#[derive(Clone)]
pub struct Database {
    pub(super) shared: Arc<Shared>,
}

impl Database {
    pub(super) fn connect_reader(path: &Path, is_read_only: bool) -> Result<Connection, StoreError> {
        if is_read_only { connect_immutable(path) } else { connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) }
    }

    /// Whether the file was opened without anything that writes.
    pub(super) fn is_read_only(&self) -> bool {
        self.shared.writer.is_none()
    }

    /// Opens a connection of its own, for long work such as a rebuild.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn connect(&self) -> Result<Connection, StoreError> {
        if self.is_read_only() {
            return connect_immutable(&self.shared.path);
        }
        connect(&self.shared.path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The last moment that the file knows of: of its last commit, or of the last use of a key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_moment(&self) -> Result<Timestamp, StoreError> {
        let connection = Self::connect_reader(&self.shared.path, self.is_read_only())?;
        let sql = "SELECT max(coalesce((SELECT recorded_at FROM commits ORDER BY position DESC LIMIT 1), 0),
                              coalesce((SELECT max(at) FROM key_uses), 0))";
        let last_us = connection.query_row(sql, [], |row| row.get(0))?;
        Timestamp::from_microsecond(last_us).map_err(|error| corrupt("moment", error))
    }

    /// The places of the file and its write-ahead log, to notice when one is removed.
    pub fn places(&self) -> &[FilePlace] {
        &self.shared.places
    }

    /// From now on deadlines in the file are reckoned in worked time, to which this process adds by its monotonic clock. A process
    /// that only looks does not need this; it uses the wall clock.
    pub fn keep_time_by(&self, clock: SharedClock) -> Arc<Worked> {
        let worked = Arc::new(Worked::by(clock));
        *lock(&self.shared.worked) = Some(Arc::clone(&worked));
        worked
    }

    /// Notes that a server works on the file at the same time. The end of a rotated key's grace is then left to the server's first
    /// look at the key: this process does not know the server's time.
    pub fn is_beside_server(&self) {
        self.shared.is_guest.store(true, Ordering::Release);
    }

    /// The worked time by which commits of this process write deadlines.
    pub(super) fn worked_for_commits(&self) -> Option<Arc<Worked>> {
        self.worked().filter(|_| !self.shared.is_guest.load(Ordering::Acquire))
    }

    pub(super) fn worked(&self) -> Option<Arc<Worked>> {
        lock(&self.shared.worked).clone()
    }

    /// Makes the next search read all people anew.
    pub(super) fn forget_roll(&self) {
        lock(&self.shared.roll).forget();
    }

    /// # Errors
    /// When the file was deleted or replaced: writes would be lost.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        still_there(&self.shared.places)
    }

    /// Runs `work` in a write transaction that it shares with other waiting writes; an error undoes only this work. Returns after
    /// the commit has reached the disk.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError::Unavailable`] when the transaction cannot be committed.
    pub async fn write<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &self.shared.writer {
            Some(writer) => writer.run(work).await,
            None => Err(StoreError::ReadOnly.into()),
        }
    }

    /// A flag for a write that deletes data which must not stay on the disk: when set, the tables with personal data are written
    /// anew in its transaction, and the write-ahead log is emptied after its commit.
    pub(super) fn purge_after_commit(&self) -> Arc<AtomicBool> {
        self.shared.writer.as_ref().map(Writer::purge_after_commit).unwrap_or_default()
    }

    /// Runs `work` on a read-only connection, on a thread for blocking work.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError::Unavailable`] when no thread can be had.
    pub async fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let _permit = self.shared.reading.acquire().await.map_err(|_| closed())?;
        let shared = Arc::clone(&self.shared);
        let (answer, answered) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let taken = lock(&shared.readers).pop();
            let connection = match taken {
                Some(connection) => Ok(connection),
                None => Self::connect_reader(&shared.path, shared.writer.is_none()),
            };
            let result = connection.and_then(|connection| {
                let result = work(&connection);
                lock(&shared.readers).push(connection);
                result
            });
            // The caller may have gone; then nobody needs the answer.
            drop(answer.send(result));
        });
        answered.await.map_err(|_| closed())?
    }
}

pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) places: Arc<[FilePlace]>,
    /// The thread that writes; none where the file is only read.
    pub(super) writer: Option<Writer>,
    pub(super) readers: Mutex<Vec<Connection>>,
    pub(super) reading: Semaphore,
    /// The roll of people to search, as far as it was read.
    pub(super) roll: Mutex<KeptRoll>,
    pub(super) worked: Mutex<Option<Arc<Worked>>>,
    /// Whether a server works on the file at the same time: then deadlines are by the server's time.
    pub(super) is_guest: AtomicBool,
}

/// Forgets the roll once nobody searches.
pub(super) fn watch_roll(shared: &Arc<Shared>) {
    let Some(mut searches) = lock(&shared.roll).begin_watch() else { return };
    let shared: Weak<Shared> = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(roll::IDLE).await;
            let Some(shared) = shared.upgrade() else { return };
            let Some(by_now) = lock(&shared.roll).forget_idle(searches) else { return };
            searches = by_now;
        }
    });
}
