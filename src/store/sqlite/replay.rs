//! What a replay works on: a read transaction for the log, and the next generation of the views' tables.

use rusqlite::{Connection, params};

use super::{
    Database, StoreError, log,
    views::{self, Statements},
};
use crate::{
    domain::{id::StreamId, persisted::StoredCommit, personal::PersonalKey, view::Rows},
    failpoint::crash_point,
    store::{ReplaySpace, Replayable},
};

/// Page cache for the new views, KiB: their rows come in the order of people, not of their indexes.
const CACHE_KIB: u32 = 64 * 1024;

impl Replayable for Database {
    fn replay_space(&self) -> Result<Box<dyn ReplaySpace>, StoreError> {
        let (log, views) = (self.connect()?, self.connect()?);
        log.execute_batch("BEGIN")?;
        views.execute_batch(&format!("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB}"))?;
        let position = last_position(&log)?;
        Ok(Box::new(Space {
            log,
            views,
            generation: None,
            indexed: false,
            position,
            at: Some(Place::default()),
            grown: None,
            locked: false,
        }))
    }
}

/// Where in the log reading goes on: after this version of this stream.
#[derive(Default, Clone)]
struct Place {
    stream: String,
    version: u64,
}

struct Space {
    /// Reads the log; its transaction holds one moment fast.
    log: Connection,
    /// Writes the new views.
    views: Connection,
    /// The new tables' generation, once they are there.
    generation: Option<i64>,
    /// Whether they have their indexes.
    indexed: bool,
    /// The last commit of the moment that has been read.
    position: u64,
    /// Where reading all streams goes on; none once they have all been read.
    at: Option<Place>,
    /// The streams that have grown and are still to be read.
    grown: Option<Vec<String>>,
    /// Whether the views' connection holds the write lock until the switch.
    locked: bool,
}

const COLUMNS: &str = "stream, version, position, command, request_hash, recorded_at, events";

impl ReplaySpace for Space {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        Ok(self.log.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?)
    }

    fn next(&mut self, max: usize) -> Result<Vec<(StoredCommit, Option<PersonalKey>)>, StoreError> {
        if let Some(place) = self.at.take() {
            let commits = read_from(self.reader(), &place, max)?;
            self.at =
                commits.last().map(|(commit, _)| Place { stream: commit.stream.to_string(), version: commit.version });
            return Ok(commits);
        }
        let mut commits = Vec::new();
        while commits.len() < max {
            let Some(stream) = self.grown.as_mut().and_then(Vec::pop) else { break };
            commits.extend(read_stream(self.reader(), &stream)?);
        }
        Ok(commits)
    }

    fn catch_up(&mut self, last: bool) -> Result<u64, StoreError> {
        self.make_indexes()?;
        if last {
            // Until here a crash costs only the new tables. This commit's sync covers all that was written before it.
            self.views.execute_batch("PRAGMA synchronous = FULL")?;
            self.views.execute_batch("BEGIN IMMEDIATE")?;
            self.locked = true;
        } else {
            self.log.execute_batch("COMMIT; BEGIN")?;
        }
        let reader = self.reader();
        let position = last_position(reader)?;
        let sql = "SELECT DISTINCT stream FROM commits WHERE position > ?1";
        let grown: Vec<String> =
            reader.prepare(sql)?.query_map([self.position], |row| row.get(0))?.collect::<Result<_, _>>()?;
        self.grown = Some(grown);
        Ok(position.saturating_sub(std::mem::replace(&mut self.position, position)))
    }

    fn put(&mut self, rows: &[Rows]) -> Result<(), StoreError> {
        let generation = self.prepare_generation()?;
        // At first every stream comes once; what comes later is a stream that has grown since.
        let suffix = suffix(generation);
        let statements = if self.indexed { Statements::upserts(&suffix) } else { Statements::inserts(&suffix) };
        if self.locked {
            return statements.put(&self.views, rows);
        }
        let transaction = self.views.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        statements.put(&transaction, rows)?;
        Ok(transaction.commit()?)
    }

    fn switch(&mut self) -> Result<(), StoreError> {
        let generation = self.prepare_generation()?;
        for table in views::TABLES {
            self.views.execute_batch(&format!(
                "DROP TABLE {table}; ALTER TABLE {table}{} RENAME TO {table};",
                suffix(generation)
            ))?;
        }
        crash_point("replay-before-switch");
        self.views.execute_batch("COMMIT")?;
        self.locked = false;
        Ok(())
    }

    fn live_rows(&mut self, stream: &StreamId) -> Result<Rows, StoreError> {
        views::rows_of(&self.log, stream)
    }

    fn orphans(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = "
            SELECT 'users ' || id FROM users WHERE NOT EXISTS (SELECT 1 FROM commits WHERE stream = 'user#' || users.id)
            UNION ALL
            SELECT 'keys ' || id FROM keys WHERE NOT EXISTS (SELECT 1 FROM commits WHERE stream = 'user#' || keys.user)
            UNION ALL
            SELECT 'plans ' || name FROM plans WHERE NOT EXISTS (SELECT 1 FROM commits WHERE stream = 'plan#' || plans.name)
            UNION ALL
            SELECT 'imports ' || id FROM imports
             WHERE NOT EXISTS (SELECT 1 FROM commits WHERE stream = 'dataset#' || imports.dataset)
            UNION ALL
            SELECT 'claim of user ' || owner FROM claims
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = claims.owner AND status != 'deleted')
            UNION ALL
            SELECT 'personal key of user ' || user FROM personal_keys
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = personal_keys.user AND status != 'deleted')";
        let mut statement = self.log.prepare(sql)?;
        let orphans = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(orphans)
    }
}

impl Space {
    /// The connection that sees the commits to read: the one that holds the lock, once it does.
    fn reader(&self) -> &Connection {
        if self.locked { &self.views } else { &self.log }
    }

    /// Makes the new tables' indexes, once most rows are there.
    fn make_indexes(&mut self) -> Result<(), StoreError> {
        let generation = self.prepare_generation()?;
        if !std::mem::replace(&mut self.indexed, true) {
            let transaction = self.views.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute_batch(&views::indexes(&suffix(generation), generation))?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// Makes the new tables, under a generation of their own, and removes what an interrupted rebuild left.
    fn prepare_generation(&mut self) -> Result<i64, StoreError> {
        if let Some(generation) = self.generation {
            return Ok(generation);
        }
        let transaction = self.views.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let sql = "UPDATE view_generation SET generation = generation + 1 RETURNING generation";
        let generation: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
        for table in views::TABLES {
            let left: Vec<String> = transaction
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?1 || '_g[0-9]*'")?
                .query_map([table], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for name in left {
                transaction.execute_batch(&format!("DROP TABLE {name}"))?;
            }
        }
        transaction.execute_batch(&views::tables(&suffix(generation)))?;
        transaction.commit()?;
        self.generation = Some(generation);
        Ok(generation)
    }
}

fn suffix(generation: i64) -> String {
    format!("_g{generation}")
}

fn last_position(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?)
}

fn read_from(
    connection: &Connection,
    place: &Place,
    max: usize,
) -> Result<Vec<(StoredCommit, Option<PersonalKey>)>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM commits WHERE (stream, version) > (?1, ?2) ORDER BY stream, version LIMIT ?3");
    with_keys(connection, &sql, params![place.stream, place.version, max])
}

fn read_stream(connection: &Connection, stream: &str) -> Result<Vec<(StoredCommit, Option<PersonalKey>)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM commits WHERE stream = ?1 ORDER BY version");
    with_keys(connection, &sql, [stream])
}

fn with_keys(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<(StoredCommit, Option<PersonalKey>)>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut commits: Vec<(StoredCommit, Option<PersonalKey>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let commit = log::commit(row)?;
        let key = match (&commit.stream, commits.last()) {
            (stream, Some((last, key))) if *stream == last.stream => key.clone(),
            (StreamId::User(user), _) => log::personal_key(connection, *user)?,
            _ => None,
        };
        commits.push((commit, key));
    }
    Ok(commits)
}
