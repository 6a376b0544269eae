//! The event log.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Database, StoreError, Worked, answers, corrupt, endings, mark, trouble, upkeep, views};
use crate::{
    domain::{
        chain::ChainHash,
        id::{CommandId, StreamId, UserId},
        key::KeyId,
        persisted::{self, StoredCommit},
        personal::PersonalKey,
        view::Rows,
    },
    store::{Append, AppendError, ClaimChange, EventLog, PersonalChange, user_list},
};

/// Commits at a stream's beginning that are searched one by one for a command: an index would cost every append one more page, and
/// few streams grow longer.
pub(super) const UNINDEXED_COMMITS: u32 = 32;

pub(super) const COLUMNS: &str =
    "stream, version, position, command, request_hash, recorded_at, events, unpublished IS NOT NULL, hash";

#[async_trait]
impl EventLog for Database {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let erases = matches!(append.personal, PersonalChange::Destroy(_));
        let purge = erases.then(|| self.purge_after_commit());
        let worked = self.worked_for_commits();
        let written = self
            .write(move |connection| {
                let version = write_commit(connection, &append, worked.as_deref())?;
                if let Some(purge) = purge {
                    purge.store(true, Ordering::SeqCst);
                }
                Ok(version)
            })
            .await;
        if erases {
            self.forget_roll();
        }
        written
    }

    async fn load(&self, stream: &StreamId, after_version: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        let stream = stream.to_string();
        let sql = format!("SELECT {COLUMNS} FROM commits WHERE stream = ?1 AND version > ?2 ORDER BY version LIMIT ?3");
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            collect(statement.query(params![stream, place(after_version), max])?)
        })
        .await
    }

    async fn personal_key(&self, user: UserId) -> Result<Option<PersonalKey>, StoreError> {
        self.read(move |connection| personal_key(connection, user)).await
    }

    async fn administrators(&self) -> Result<Option<Vec<UserId>>, StoreError> {
        Database::read(self, administrators).await
    }

    async fn read(&self, after_position: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM commits WHERE position > ?1 ORDER BY position LIMIT ?2");
        Database::read(self, move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            collect(statement.query(params![place(after_position), max])?)
        })
        .await
    }

    async fn read_back(&self, before_position: Option<u64>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM commits WHERE position < ?1 ORDER BY position DESC LIMIT ?2");
        let before = before_position.map_or(i64::MAX, place);
        Database::read(self, move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            collect(statement.query(params![before, max])?)
        })
        .await
    }

    async fn unpublished(&self, after: Option<&StoredCommit>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        let (recorded_us, position) =
            after.map_or((i64::MIN, 0), |after| (after.recorded_at.as_microsecond(), place(after.position)));
        let sql = format!(
            "SELECT {COLUMNS} FROM commits WHERE unpublished IS NOT NULL AND (recorded_at, position) > (?1, ?2)
             ORDER BY recorded_at, position LIMIT ?3"
        );
        Database::read(self, move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            collect(statement.query(params![recorded_us, position, max])?)
        })
        .await
    }

    async fn project(&self, rows: Rows) -> Result<(), StoreError> {
        let written = self.write(move |connection| views::put(connection, &rows)).await;
        // No commit tells the roll to read these rows again.
        self.forget_roll();
        written
    }

    async fn mark_published(&self, stream: &StreamId, version: u64) -> Result<(), StoreError> {
        let stream = stream.to_string();
        self.write(move |connection| {
            let sql = "UPDATE commits SET unpublished = NULL WHERE stream = ?1 AND version = ?2";
            connection.prepare_cached(sql)?.execute(params![stream, version])?;
            Ok(())
        })
        .await
    }
}

fn write_commit(connection: &Connection, append: &Append, worked: Option<&Worked>) -> Result<u64, AppendError> {
    mark::refuse_marked(connection)?;
    let stream = append.stream.to_string();
    let current: Option<u64> = connection
        .prepare_cached("SELECT max(version) FROM commits WHERE stream = ?1")
        .and_then(|mut statement| statement.query_row([&stream], |row| row.get(0)))
        .map_err(StoreError::from)?;
    let current = current.unwrap_or(0);
    if let Some(earlier) = find_command(connection, &stream, current, &append.command)? {
        return Err(AppendError::AlreadyDone(Box::new(earlier)));
    }
    if current != append.expected_version {
        return Err(AppendError::Conflict);
    }
    if let Some(request_hash) = &append.request_hash
        && (answers::kept(connection, worked, &append.command, append.recorded_at)?.is_some()
            || answers::commit_of(connection, &append.command, request_hash)?.is_some())
    {
        return Err(AppendError::Answered);
    }
    if let Some(mark) = &append.secret
        && !upkeep::remembers(connection, mark)?
    {
        return Err(AppendError::OtherSecret);
    }
    for key in persisted::issued_keys(&append.events).map_err(|error| corrupt("commit", error))? {
        register_key(connection, &append.stream, key)?;
    }
    if let Some(change) = &append.administrators {
        if administrators(connection)? != change.seen {
            return Err(AppendError::Conflict);
        }
        let sql = "INSERT INTO administrators (one, users) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET users = excluded.users";
        execute(connection, sql, [user_list::write(&change.now)])?;
    }
    for claim in &append.claims {
        change_claim(connection, claim)?;
    }
    change_personal_key(connection, &append.personal)?;
    let version = append.expected_version + 1;
    insert(connection, &stream, version, append)?;
    views::put(connection, &append.rows)?;
    if let Some(worked) = worked {
        endings::note(connection, worked, &append.rows.keys, version, append.recorded_at)?;
    }
    Ok(version)
}

pub(super) fn administrators(connection: &Connection) -> Result<Option<Vec<UserId>>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT users FROM administrators")?;
    let users: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
    users.as_deref().map(user_list::read).transpose()
}

fn insert(connection: &Connection, stream: &str, version: u64, append: &Append) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO commits (stream, version, position, command, request_hash, recorded_at, events, unpublished, hash)
               VALUES (?1, ?2, (SELECT coalesce(max(position), 0) + 1 FROM commits), ?3, ?4, ?5, ?6, ?7, ?8)";
    let hash = append.hash();
    let values = params![
        stream,
        version,
        append.command.as_str(),
        append.request_hash,
        append.recorded_at.as_microsecond(),
        append.events,
        append.publishes.then_some(1),
        hash.as_bytes(),
    ];
    execute(connection, sql, values)
}

/// Finds the command's commit in a stream at the version `current`: first at its beginning, which has no index, then in the rest.
fn find_command(
    connection: &Connection,
    stream: &str,
    current: u64,
    command: &CommandId,
) -> Result<Option<StoredCommit>, StoreError> {
    let find = |versions: &str| {
        let sql = format!(
            "SELECT {COLUMNS} FROM commits WHERE stream = ?1 AND command = ?2 AND version {versions} {UNINDEXED_COMMITS}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        collect(statement.query(params![stream, command.as_str()])?).map(|mut found| found.pop())
    };
    let early = if current > 0 { find("<=")? } else { None };
    if early.is_none() && current > u64::from(UNINDEXED_COMMITS) { find(">") } else { Ok(early) }
}

/// Registers the owner of a new key. Refuses a key that was issued before, to any person, and one that is in the views without
/// being registered.
fn register_key(connection: &Connection, stream: &StreamId, key: KeyId) -> Result<(), AppendError> {
    let owner = match stream {
        StreamId::User(user) => user.to_string(),
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => stream.to_string(),
    };
    let sql = "INSERT INTO issued_keys (id, owner) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM keys WHERE id = ?1)
               ON CONFLICT DO NOTHING";
    let registered = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![key.as_str(), owner]))
        .map_err(StoreError::from)?;
    if registered == 1 { Ok(()) } else { Err(AppendError::KeyIssued { key }) }
}

fn change_claim(connection: &Connection, claim: &ClaimChange) -> Result<(), AppendError> {
    match claim {
        ClaimChange::Take { name, owner } => {
            let holder: Option<String> = connection
                .prepare_cached("SELECT owner FROM claims WHERE name = ?1")
                .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
                .map_err(StoreError::from)?;
            match holder {
                Some(holder) if holder != *owner => return Err(AppendError::ClaimTaken { owner: holder }),
                Some(_) => {}
                None => {
                    execute(connection, "INSERT INTO claims (name, owner) VALUES (?1, ?2)", params![name, owner])?;
                }
            }
        }
        ClaimChange::Release { name, owner } => {
            execute(connection, "DELETE FROM claims WHERE name = ?1 AND owner = ?2", params![name, owner])?;
        }
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn change_personal_key(connection: &Connection, change: &PersonalChange) -> Result<(), StoreError> {
    match change {
        PersonalChange::Keep => {}
        PersonalChange::Create(user, key) => {
            let sql = "INSERT INTO personal_keys (user, key) VALUES (?1, ?2)";
            execute(connection, sql, params![user.to_string(), key.as_bytes().as_slice()])?;
        }
        PersonalChange::Destroy(user) => {
            execute(connection, "DELETE FROM personal_keys WHERE user = ?1", [user.to_string()])?;
        }
    }
    Ok(())
}

/// The person's key, unless it was destroyed.
pub(super) fn personal_key(connection: &Connection, user: UserId) -> Result<Option<PersonalKey>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT key FROM personal_keys WHERE user = ?1")?;
    let bytes: Option<[u8; 32]> = statement.query_row([user.to_string()], |row| row.get(0)).optional()?;
    Ok(bytes.map(PersonalKey::from_bytes))
}

/// A version or a position as an SQLite number; none lies beyond the largest of these.
fn place(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<StoredCommit>, StoreError> {
    let mut commits = Vec::new();
    while let Some(row) = rows.next()? {
        commits.push(commit(row)?);
    }
    Ok(commits)
}

/// Reads a row of [`COLUMNS`].
pub(super) fn commit(row: &Row<'_>) -> Result<StoredCommit, StoreError> {
    let stream = row.get_ref(0)?.as_str().map_err(|error| corrupt("stream", error))?;
    let command = row.get_ref(3)?.as_str().map_err(|error| corrupt("command", error))?;
    Ok(StoredCommit {
        stream: StreamId::parse(stream).map_err(|error| corrupt("stream", error))?,
        version: row.get(1)?,
        position: row.get(2)?,
        command: CommandId::stored(command),
        request_hash: row.get(4)?,
        recorded_at: Timestamp::from_microsecond(row.get(5)?).map_err(|error| corrupt("moment", error))?,
        events: trouble::events(row.get_ref(6)?).into_owned(),
        marked: row.get(7)?,
        hash: row.get::<_, Option<[u8; 32]>>(8)?.map(ChainHash::from_bytes),
    })
}
