//! The log of a file as a whole: read as of one moment, or written into a file that has none.
//!
//! While a log is written the table of commits has no index by streams: it is made at the end, from sorted entries. Each batch and how far it
//! comes are one transaction, so that a killed import goes on after the last one.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params, params_from_iter};
use uuid::Uuid;

use super::{
    Database, StoreError, chain, checkpoints, corrupt, log,
    mark::{read_mark, write_mark},
    quarantine, stored,
};
use crate::{
    domain::{
        id::{CommandId, UserId},
        key::KeyHash,
        persisted::StoredCommit,
        personal::PersonalKey,
    },
    secrets::SecretMark,
    store::{
        BesideLog, DeploymentMark, EarlierToken, LogChunk, LogOrder, LogSource, LogTarget, Room, TakeBeside,
        Transferable, user_list,
    },
};

/// Commits that are read at a time.
const CHUNK_COMMITS: usize = 4096;
/// What is beside the log, handed over at a time.
const CHUNK_BESIDE: usize = 4096;
/// The page cache of a filling, KiB: indexes are sorted in it.
const CACHE_KIB: u32 = 24 * 1024;
/// Pages of the write-ahead log before they are moved into the file.
const CHECKPOINT_PAGES: u32 = 8 * 1024;

/// The index that a filling makes at its end.
const BY_STREAM: &str = "CREATE UNIQUE INDEX IF NOT EXISTS commits_stream ON commits (stream, version)";

impl Transferable for Database {
    fn log_source(&self, order: LogOrder) -> Result<Box<dyn LogSource>, StoreError> {
        let connection = Database::connect_reader(self.path(), self.is_read_only())?;
        connection.execute_batch("BEGIN")?;
        Ok(Box::new(FileLog { connection, order, at: Some((0, String::new(), 0)) }))
    }

    fn log_target(&self) -> Result<Box<dyn LogTarget>, StoreError> {
        let connection = self.connect()?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
        ))?;
        Ok(Box::new(Filling { connection, source: Uuid::nil(), commits: 0 }))
    }
}

/// The log as of the moment of its transaction.
struct FileLog {
    connection: Connection,
    order: LogOrder,
    /// The last commit that was read: position, stream, version; none at the end.
    at: Option<(u64, String, u64)>,
}

impl LogSource for FileLog {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        Ok(self.connection.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?)
    }

    fn next(&mut self) -> Result<LogChunk, StoreError> {
        let Some((position, stream, version)) = self.at.take() else { return Ok(LogChunk::default()) };
        let columns = log::COLUMNS;
        let commits = match self.order {
            LogOrder::Positions => {
                let sql = format!("SELECT {columns} FROM commits WHERE position > ?1 ORDER BY position LIMIT ?2");
                log::collect(self.connection.prepare_cached(&sql)?.query(params![position, CHUNK_COMMITS])?)?
            }
            LogOrder::Streams => {
                let sql = format!(
                    "SELECT {columns} FROM commits WHERE (stream, version) > (?1, ?2) ORDER BY stream, version LIMIT ?3"
                );
                log::collect(self.connection.prepare_cached(&sql)?.query(params![stream, version, CHUNK_COMMITS])?)?
            }
        };
        self.at = commits.last().map(|last| (last.position, last.stream.to_string(), last.version));
        Ok(LogChunk { lane: 0, commits })
    }

    fn beside(&mut self, with_personal_keys: bool, take: TakeBeside<'_>) -> Result<(), StoreError> {
        let connection = &self.connection;
        let administrators = log::administrators(connection)?.map(BesideLog::Administrators);
        take(administrators.into_iter().collect())?;
        each(connection, "SELECT version, fingerprint FROM secret_versions ORDER BY version", take, |row| {
            Ok(BesideLog::SecretMark(SecretMark { version: row.get(0)?, fingerprint: row.get(1)? }))
        })?;
        take(quarantine::in_force(connection)?.into_iter().map(BesideLog::Quarantine).collect())?;
        checkpoints::each(connection, &mut |kept, leaves| take(BesideLog::of_checkpoint(kept, &leaves)))?;
        each(connection, "SELECT id, sha256 FROM admin_tokens ORDER BY created_at, id", take, |row| {
            let hash: String = row.get(1)?;
            let hash = KeyHash::parse(&hash).map_err(|error| corrupt("an administrator's token", error))?;
            Ok(BesideLog::EarlierToken(EarlierToken { id: row.get(0)?, hash }))
        })?;
        each(connection, "SELECT name, owner FROM claims ORDER BY name", take, |row| {
            Ok(BesideLog::Claim { name: row.get(0)?, owner: row.get(1)? })
        })?;
        let sql = "SELECT command, request_hash, answer, expires_at FROM answers ORDER BY command";
        each(connection, sql, take, |row| {
            let command: String = row.get(0)?;
            Ok(BesideLog::Answer {
                command: CommandId::stored(&command),
                request_hash: row.get(1)?,
                answer: row.get(2)?,
                expires_at: Timestamp::from_microsecond(row.get(3)?).map_err(|error| corrupt("moment", error))?,
            })
        })?;
        if with_personal_keys {
            each(connection, "SELECT user, key FROM personal_keys ORDER BY user", take, |row| {
                let user: String = row.get(0)?;
                let user = UserId::parse(&user).map_err(|error| corrupt("person", error))?;
                Ok(BesideLog::PersonalKey(user, PersonalKey::from_bytes(row.get(1)?)))
            })?;
        }
        Ok(())
    }
}

fn each(
    connection: &Connection,
    sql: &str,
    take: TakeBeside<'_>,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<BesideLog, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut some = Vec::new();
    while let Some(row) = rows.next()? {
        some.push(read(row)?);
        if some.len() == CHUNK_BESIDE {
            take(std::mem::take(&mut some))?;
        }
    }
    take(some)
}

/// A file that is being filled.
struct Filling {
    connection: Connection,
    source: Uuid,
    /// The commits of the source that are written.
    commits: u64,
}

impl LogTarget for Filling {
    fn room(&mut self) -> Result<Room, StoreError> {
        match read_mark(&self.connection)? {
            Some(DeploymentMark::Filling { source, commits }) => {
                (self.source, self.commits) = (source, commits);
                Ok(Room::Filling { source, commits })
            }
            Some(DeploymentMark::Moving(_) | DeploymentMark::Moved { .. }) => Ok(Room::Taken),
            None => {
                let sql = "SELECT EXISTS (SELECT 1 FROM commits) OR EXISTS (SELECT 1 FROM answers) OR EXISTS (SELECT 1 FROM secret_versions)
                           OR EXISTS (SELECT 1 FROM admin_tokens) OR EXISTS (SELECT 1 FROM messages)";
                let is_taken: bool = self.connection.query_row(sql, [], |row| row.get(0))?;
                Ok(if is_taken { Room::Taken } else { Room::Empty })
            }
        }
    }

    fn begin(&mut self, source: Uuid) -> Result<(), StoreError> {
        (self.source, self.commits) = (source, 0);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("DROP INDEX IF EXISTS commits_stream")?;
        write_mark(&transaction, Some(&DeploymentMark::Filling { source, commits: 0 }))?;
        Ok(transaction.commit()?)
    }

    fn put(&mut self, commits: &[StoredCommit]) -> Result<(), StoreError> {
        let commits_by_now = self.commits.saturating_add(u64::try_from(commits.len()).unwrap_or(u64::MAX));
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for commit in commits {
            stored::insert(&transaction, commit, commit.marked)?;
        }
        let mark = DeploymentMark::Filling { source: self.source, commits: commits_by_now };
        write_mark(&transaction, Some(&mark))?;
        transaction.commit()?;
        self.commits = commits_by_now;
        Ok(())
    }

    fn put_beside(&mut self, items: &[BesideLog]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for item in items {
            insert_beside(&transaction, item)?;
        }
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match transaction.execute_batch(BY_STREAM) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                return Err(StoreError::Corrupt("the log has a version of a stream twice".to_owned()));
            }
            made => made?,
        }
        chain::complete(&transaction)?;
        transaction.commit()?;
        // Of what was written so far a crash may cost the end; from here on it is on the disk.
        self.connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)")?;
        // The views are made next, which need a cache of their own.
        self.connection.execute_batch("PRAGMA cache_size = -2000; PRAGMA shrink_memory")?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        write_mark(&self.connection, None)
    }
}

fn insert_beside(connection: &Connection, item: &BesideLog) -> Result<(), StoreError> {
    let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), StoreError> {
        connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(())
    };
    match item {
        BesideLog::Answer { command, request_hash, answer, expires_at } => execute(
            "INSERT OR REPLACE INTO answers (command, request_hash, answer, expires_at) VALUES (?1, ?2, ?3, ?4)",
            &[&command.as_str(), request_hash, answer, &expires_at.as_microsecond()],
        ),
        BesideLog::Claim { name, owner } => {
            execute("INSERT OR REPLACE INTO claims (name, owner) VALUES (?1, ?2)", &[name, owner])
        }
        BesideLog::Administrators(users) => {
            execute("INSERT OR REPLACE INTO administrators (one, users) VALUES (1, ?1)", &[&user_list::write(users)])
        }
        BesideLog::SecretMark(SecretMark { version, fingerprint }) => execute(
            "INSERT OR REPLACE INTO secret_versions (version, fingerprint) VALUES (?1, ?2)",
            &[version, fingerprint],
        ),
        BesideLog::EarlierToken(EarlierToken { id, hash }) => execute(
            "INSERT OR REPLACE INTO admin_tokens (id, sha256, created_at) VALUES (?1, ?2, 0)",
            &[id, &hash.to_hex()],
        ),
        BesideLog::Quarantine(set_aside) => quarantine::insert(connection, set_aside).map(drop),
        BesideLog::Checkpoint(kept, _) => checkpoints::begin(connection, kept),
        BesideLog::CheckpointLeaves { number, bytes, .. } => checkpoints::add_leaves(connection, *number, bytes),
        BesideLog::PersonalKey(user, key) => execute(
            "INSERT OR REPLACE INTO personal_keys (user, key) VALUES (?1, ?2)",
            &[&user.to_string(), &key.as_bytes().as_slice()],
        ),
    }
}
