//! SQLite: the log, the views, the ledger and the queue in one file, `permitd.db`. WAL, `synchronous=FULL`, STRICT tables,
//! one writer thread that commits waiting writes together, and a few connections for reading.

mod admin_tokens;
mod answers;
pub mod copy;
mod endings;
mod erasure;
mod functions;
mod ledger;
mod log;
pub mod records;
mod replay;
mod roll;
mod schema;
mod twice;
mod upkeep;
pub mod views;
mod worked;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::sync::{Semaphore, oneshot};

pub use self::schema::SCHEMA_VERSION;
pub use self::worked::{Tick, Worked};
use self::{roll::KeptRoll, writer::Writer};
use super::{StoreError, Stores};
use crate::{
    clock::SharedClock,
    private::{self, FilePlace},
};

/// The file's name in its folder.
pub const FILE_NAME: &str = "permitd.db";
/// Connections that read at the same time.
const READERS: usize = 2;
/// How long a write waits for another process's, milliseconds.
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// Page cache of a connection, KiB.
const CACHE_KIB: i64 = 4096;

/// The open database file. Clones share it.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    places: Arc<[FilePlace]>,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    reading: Semaphore,
    /// Who is searched, as far as it was read.
    roll: Mutex<KeptRoll>,
    worked: Mutex<Option<Arc<Worked>>>,
    /// Whether a server works on the file at the same time: then its time is that of the deadlines.
    is_guest: AtomicBool,
}

impl Database {
    /// Opens `permitd.db` in a folder, making it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, is a link or somebody else's, or was written by a newer permitd.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        private::file_or_new(&path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        for beside in ["-wal", "-shm"] {
            // SQLite makes them with the mode of the database's file.
            let path = folder.join(format!("{FILE_NAME}{beside}"));
            private::file(&path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::migrate(&mut connection)?;
        let readers: Vec<Connection> = (0..READERS).map(|_| Self::connect_reader(&path)).collect::<Result<_, _>>()?;
        // The write-ahead log and its index are there as long as a connection is.
        let files = ["", "-wal", "-shm"].map(|beside| folder.join(format!("{FILE_NAME}{beside}")));
        let place = |path: &PathBuf| FilePlace::of(path).map_err(|error| unseen(path, &error));
        let mut places: Vec<FilePlace> = files.iter().map(place).collect::<Result<_, _>>()?;
        // The database itself, which has its tables by now. The others are emptied by checkpoints.
        if let Some(database) = places.first_mut() {
            *database = database.clone().never_empty();
        }
        let places: Arc<[FilePlace]> = places.into();
        let writer = Writer::start(connection, Arc::clone(&places))?;
        let (readers, reading, worked) = (Mutex::new(readers), Semaphore::new(READERS), Mutex::default());
        let (is_guest, roll) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { path, places, writer, readers, reading, roll, worked, is_guest }) })
    }

    fn connect_reader(path: &Path) -> Result<Connection, StoreError> {
        connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// A connection of its own, for long work such as a rebuild.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn connect(&self) -> Result<Connection, StoreError> {
        connect(&self.shared.path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Where the file and its write-ahead log are, to notice when one is taken away.
    pub fn places(&self) -> &[FilePlace] {
        &self.shared.places
    }

    /// From now on deadlines in the file are reckoned in the time for which it is worked on, which this process adds to by its
    /// monotonic clock. A process that only looks need not; for it the wall clock decides.
    pub fn keep_time_by(&self, clock: SharedClock) -> Arc<Worked> {
        let worked = Arc::new(Worked::by(clock));
        *lock(&self.shared.worked) = Some(Arc::clone(&worked));
        worked
    }

    /// Says that a server works on the file at the same time. The end of a rotated key's grace is then left to the server's first
    /// look at the key: this process does not know the server's time.
    pub fn is_beside_server(&self) {
        self.shared.is_guest.store(true, Ordering::Release);
    }

    /// What a commit of this process writes deadlines by.
    fn worked_for_commits(&self) -> Option<Arc<Worked>> {
        self.worked().filter(|_| !self.shared.is_guest.load(Ordering::Acquire))
    }

    fn worked(&self) -> Option<Arc<Worked>> {
        lock(&self.shared.worked).clone()
    }

    /// Has the next search read everybody anew.
    fn forget_roll(&self) {
        lock(&self.shared.roll).forget();
    }

    /// # Errors
    /// When the file was deleted or replaced: what is written now would be lost.
    fn still_there(&self) -> Result<(), StoreError> {
        still_there(&self.shared.places)
    }

    /// The stores that this file holds.
    pub fn stores(&self) -> Stores {
        Stores {
            log: Arc::new(self.clone()),
            answers: Arc::new(self.clone()),
            views: Arc::new(self.clone()),
            ledger: Arc::new(self.clone()),
            admin_tokens: Arc::new(self.clone()),
            replay: Arc::new(self.clone()),
            upkeep: Arc::new(self.clone()),
        }
    }

    /// Runs `work` in a write transaction, together with other waiting writes; an error undoes this one alone. The answer
    /// comes after the commit has reached the disk.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError::Unavailable`] when the transaction cannot be committed.
    pub async fn write<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.shared.writer.run(work).await
    }

    /// To be set within a write that deletes what must not be found on the disk any more: the tables of what is personal are
    /// then written anew in its transaction, and the write-ahead log is emptied after its commit.
    fn purge_after_commit(&self) -> Arc<AtomicBool> {
        self.shared.writer.purge_after_commit()
    }

    /// Runs `work` on a connection that only reads, on a thread for blocking work.
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
                None => Self::connect_reader(&shared.path),
            };
            let result = connection.and_then(|connection| {
                let result = work(&connection);
                lock(&shared.readers).push(connection);
                result
            });
            // The one who asked may have gone; then nobody needs the answer.
            drop(answer.send(result));
        });
        answered.await.map_err(|_| closed())?
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Errors
/// When one of them was deleted or replaced: what is written would be lost.
fn still_there(places: &[FilePlace]) -> Result<(), StoreError> {
    places.iter().find_map(FilePlace::trouble).map_or(Ok(()), |trouble| Err(StoreError::Unavailable(trouble)))
}

fn unseen(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

fn closed() -> StoreError {
    StoreError::Unavailable("the database is closed".to_owned())
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection =
        Connection::open_with_flags(private::by_real_directory(path), flags).map_err(|error| named(path, &error))?;
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;"
    ))?;
    // Plans that do not depend on bound values: otherwise a statement that has an order is prepared anew every time it is run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    functions::add_contains_folded(&connection)?;
    Ok(connection)
}

/// The error with the file that it is about.
fn named(path: &Path, error: &rusqlite::Error) -> StoreError {
    let text = format!("{}: {}", path.display(), words(error));
    match Trouble::of(error) {
        Trouble::Damage => StoreError::Corrupt(text),
        Trouble::NoRoom => StoreError::Full(text),
        Trouble::Other => StoreError::Unavailable(text),
    }
}

/// What SQLite says, and what can be done where it does not say that.
fn words(error: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
    let what_to_do = match error.sqlite_error_code() {
        Some(ReadOnly) => {
            "; the file or its file system is read-only, and even to read it takes files beside it: mount it to be written, or \
             give the file back its owner and mode"
        }
        Some(SystemIoFailure) => {
            "; a file beside permitd.db may be gone, or its disk fail: stop the server that runs, and put back all that was beside it"
        }
        Some(DatabaseCorrupt | NotADatabase) => "; restore permitd.db from your backup, with all that was beside it",
        Some(CannotOpen) => {
            "; where the file is there, its directory is read-only: even to read it takes files beside it. Mount it to be \
             written, or correct its owner and mode"
        }
        _ => "",
    };
    format!("{error}{what_to_do}")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match Trouble::of(&error) {
            Trouble::Damage => Self::Corrupt(words(&error)),
            Trouble::NoRoom => Self::Full(error.to_string()),
            Trouble::Other => Self::Unavailable(words(&error)),
        }
    }
}

/// What kind of trouble an error of SQLite is: what to do about it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Trouble {
    /// The file is not what SQLite wrote: a person must look.
    Damage,
    /// The disk is full, or the file may not grow.
    NoRoom,
    /// Anything else: trying again may help.
    Other,
}

fn has_no_room_for_index(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

impl Trouble {
    pub(in crate::store) fn of(error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damage,
            Some(DiskFull) => Self::NoRoom,
            // The index of the write-ahead log cannot grow.
            _ if has_no_room_for_index(error) => Self::NoRoom,
            _ => Self::Other,
        }
    }
}

/// What a stored text should have been.
fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a stored {what} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        domain::{
            id::{CommandId, StreamId, UserId},
            personal::PersonalKey,
            view::{Rows, UserRow},
        },
        store::{Append, PersonalChange, UserFilter, view_rows::samples},
    };

    fn append(user: UserId, expected_version: u64, personal: PersonalChange) -> Append {
        Append {
            stream: StreamId::User(user),
            expected_version,
            command: CommandId::stored(&format!("test:{expected_version}")),
            request_hash: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            events: "[]".to_owned(),
            secret: None,
            administrators: None,
            claims: Vec::new(),
            personal,
            rows: Rows::default(),
            publishes: false,
        }
    }

    /// Something of a person that is told from everything else.
    fn row(user: UserId, version: u64, email: Option<String>) -> UserRow {
        UserRow {
            id: user,
            version,
            name: email.as_ref().map(|email| format!("name of {email}")),
            email,
            mail_failure: Some("x".repeat(usize::try_from(user.0.as_u128() % 120).unwrap())),
            ..samples::bare().users.remove(0)
        }
    }

    #[tokio::test]
    async fn of_many_people_who_are_erased_nothing_is_left_where_pages_were_split() {
        use sha2::{Digest, Sha256};
        const PEOPLE: u128 = 400;
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let log = database.stores().log;
        // In no order, so that pages are split in their midst.
        let user = |n: u128| {
            let digest = Sha256::digest(n.to_le_bytes());
            UserId(uuid::Uuid::from_bytes(digest[..16].try_into().unwrap()))
        };
        let secret = |n: u128| -> [u8; 32] { *format!("personal-key-{n:019}").as_bytes().first_chunk().unwrap() };
        for n in 0..PEOPLE {
            let create = PersonalChange::Create(user(n), PersonalKey::from_bytes(secret(n)));
            let rows =
                Rows { users: vec![row(user(n), 1, Some(format!("secret-{n}@example.org")))], ..Rows::default() };
            log.append(Append { rows, ..append(user(n), 0, create) }).await.unwrap();
        }
        let files =
            || std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let found = |what: &[u8]| -> usize {
            files().map(|bytes| bytes.windows(what.len()).filter(|window| *window == what).count()).sum()
        };
        let search = UserFilter { search: Some("secret-".to_owned()), limit: 1, ..UserFilter::default() };
        assert_eq!(database.stores().views.users(search).await.unwrap().len(), 1);
        assert!(!lock(&database.shared.roll).knows_nobody());
        // One is left, so that what is looked for is there.
        for n in 1..PEOPLE {
            let rows = Rows { users: vec![row(user(n), 2, None)], ..Rows::default() };
            log.append(Append { rows, ..append(user(n), 1, PersonalChange::Destroy(user(n))) }).await.unwrap();
            if n == 1 {
                assert!(lock(&database.shared.roll).knows_nobody(), "nor in memory");
                assert_eq!((found(&secret(1)), found(b"secret-1@")), (0, 0), "at once, while the others are there");
            }
        }
        assert_eq!(found(b"personal-key-"), 1);
        assert_eq!(found(b"secret-"), found(b"secret-0@"), "of nobody else");
        assert!(log.personal_key(user(0)).await.unwrap().is_some());
        let left = database.stores().views.user_by_email("secret-0@example.org").await.unwrap();
        assert_eq!(left.map(|row| row.id), Some(user(0)));
    }

    #[tokio::test]
    async fn a_destroyed_personal_key_is_nowhere_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let log = database.stores().log;
        let (user, secret) = (UserId(uuid::Uuid::from_u128(5)), *b"thirty-two bytes of one person..");
        let on_disk = || {
            let files =
                std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
            files.map(|bytes| bytes.windows(32).filter(|window| *window == secret).count()).sum::<usize>()
        };
        let create = PersonalChange::Create(user, PersonalKey::from_bytes(secret));
        log.append(append(user, 0, create)).await.unwrap();
        assert!(log.personal_key(user).await.unwrap().is_some());
        assert!(on_disk() > 0, "the test looks in the right place");
        log.append(append(user, 1, PersonalChange::Destroy(user))).await.unwrap();
        assert_eq!(log.personal_key(user).await.unwrap(), None);
        assert_eq!(on_disk(), 0);
    }
}
