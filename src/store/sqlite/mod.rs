//! SQLite: the log, the views, the ledger and the queue in one file, `permitd.db`. WAL, `synchronous=FULL`, STRICT tables,
//! one writer thread that commits waiting writes together, and a few connections for reading.

mod accounts;
mod admin_tokens;
mod answers;
mod batches;
mod chain;
mod checkpoints;
mod connection;
mod copied_ledger;
mod copied_log;
pub mod copy;
mod database;
mod endings;
mod erasure;
mod functions;
mod ledger;
mod log;
mod mark;
mod quarantine;
pub mod records;
mod replay;
mod roll;
mod schema;
mod stored;
mod stores;
mod transfer;
mod trouble;
mod twice;
mod upkeep;
pub mod views;
mod worked;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use self::connection::{IMMUTABLE, immutable};
pub(super) use self::trouble::Trouble;
use self::{
    connection::{BUSY_TIMEOUT_MS, connect, lock, refuse_log, still_there},
    database::{READERS, Shared},
    trouble::{closed, corrupt, unseen},
    writer::Writer,
};
pub use self::{
    copied_log::{CopiedLog, CopiedPerson},
    database::{Database, FILE_NAME},
    schema::SCHEMA_VERSION,
    worked::{Tick, Worked},
};
use super::StoreError;
use crate::private::{self, FilePlace};

impl Database {
    /// Opens `permitd.db` in a folder; creates it if it does not exist.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, is a link or belongs to somebody else, or was written by a newer permitd.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        private::file_or_new(&path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        for beside in ["-wal", "-shm"] {
            // SQLite makes these files with the mode of the database's file.
            let path = folder.join(format!("{FILE_NAME}{beside}"));
            private::file(&path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::migrate(&mut connection)?;
        let readers: Vec<Connection> =
            (0..READERS).map(|_| Self::connect_reader(&path, false)).collect::<Result<_, _>>()?;
        // The write-ahead log and its index exist as long as a connection does.
        let files = ["", "-wal", "-shm"].map(|beside| folder.join(format!("{FILE_NAME}{beside}")));
        let place = |path: &PathBuf| FilePlace::of(path).map_err(|error| unseen(path, &error));
        let mut places: Vec<FilePlace> = files.iter().map(place).collect::<Result<_, _>>()?;
        // The database itself, which has its tables by now. Checkpoints empty the other files.
        if let Some(database) = places.first_mut() {
            *database = database.clone().never_empty();
        }
        let places: Arc<[FilePlace]> = places.into();
        let writer = Some(Writer::start(connection, Arc::clone(&places))?);
        let (readers, reading, worked) = (Mutex::new(readers), Semaphore::new(READERS), Mutex::default());
        let (is_guest, roll) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { path, places, writer, readers, reading, roll, worked, is_guest }) })
    }

    /// Checks that the tables in a folder's `permitd.db` are those that this permitd writes, so that opening it migrates nothing.
    ///
    /// # Errors
    /// When there is no such file, or another permitd wrote its tables.
    pub fn check(folder: &Path) -> Result<(), StoreError> {
        schema::check(&connect(&folder.join(FILE_NAME), OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }

    /// Opens `permitd.db` in a folder without anything that writes: no thread, no lock, no file beside it, no migration. Nobody else may
    /// change the file meanwhile.
    ///
    /// # Errors
    /// When there is no such file, it has a write-ahead log that was not moved into it, or another permitd wrote its tables.
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        refuse_log(&path)?;
        let readers: Vec<Connection> =
            (0..READERS).map(|_| Self::connect_reader(&path, true)).collect::<Result<_, _>>()?;
        readers.first().map_or(Ok(()), schema::check)?;
        let place = FilePlace::of(&path).map_err(|error| unseen(&path, &error))?;
        let places: Arc<[FilePlace]> = Arc::from([place.never_empty()]);
        let (readers, reading, worked) = (Mutex::new(readers), Semaphore::new(READERS), Mutex::default());
        let (is_guest, roll) = (AtomicBool::new(true), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { path, places, writer: None, readers, reading, roll, worked, is_guest }) })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        domain::{
            chain::ChainHash,
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
            previous: ChainHash::START,
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

    /// A row with unmistakable data of a person.
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
        // In random order, so that pages are split in the middle.
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
        // One person is left, so that the search finds something.
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
    async fn a_marked_file_takes_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Database::open(folder.path()).unwrap().stores();
        let moved = crate::store::DeploymentMark::Moved {
            to: "elsewhere".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            address: None,
        };
        stores.upkeep.set_mark(Some(moved)).await.unwrap();
        let first = || append(UserId(uuid::Uuid::from_u128(1)), 0, PersonalChange::Keep);
        assert!(stores.log.append(first()).await.unwrap_err().to_string().contains("elsewhere"));
        stores.upkeep.set_mark(None).await.unwrap();
        assert_eq!(stores.log.append(first()).await.unwrap(), 1);
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
