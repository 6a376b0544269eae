//! The input and output of a replay: a read transaction for the log, and the next generation of the views' tables.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    Database, StoreError,
    batches::{LogPosition, folded, read_from, read_stream},
    corrupt, twice,
    views::{self, Statements},
};
use crate::{
    domain::{id::StreamId, view::Rows},
    failpoint::crash_point,
    store::{CommitBatch, IssuedTwice, Live, ReplayLog, ReplaySpace, ReplayViews, Replayable, Settled},
};

/// The page cache for the new views, KiB: their indexes are made from pages that are still in it.
const CACHE_KIB: u32 = 64 * 1024;

/// The part of the file that is mapped instead of copied from the system's cache, bytes: the log is read from end to end.
const MAPPED_BYTES_MAX: u64 = 1 << 40;

impl Replayable for Database {
    fn replay_space(&self) -> Result<Box<dyn ReplaySpace>, StoreError> {
        let (log, views) = (self.connect()?, self.connect()?);
        // Pages in the write-ahead log, such as those of an earlier rebuild, are not mapped, and each read searches for them.
        if !self.is_read_only() {
            views.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        log.execute_batch(&format!("PRAGMA mmap_size = {MAPPED_BYTES_MAX}; BEGIN"))?;
        // While the log is read at its one moment, later writes cannot be moved out of the write-ahead log: checkpoints after every
        // batch would only take time.
        views.execute_batch(&format!(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 0"
        ))?;
        let position = last_position(&log)?;
        Ok(Box::new(SqliteSpace {
            log: SqliteLog { connection: log, position, at: Some(LogPosition::default()), grown: Vec::new() },
            views: NewViews {
                connection: views,
                is_read_only: self.is_read_only(),
                generation: None,
                indexed: false,
                locked: false,
                twice: Vec::new(),
            },
        }))
    }
}

struct SqliteSpace {
    log: SqliteLog,
    views: NewViews,
}

impl ReplaySpace for SqliteSpace {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        Ok(self.log.connection.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?)
    }

    fn sides(&mut self) -> (&mut dyn ReplayLog, &mut dyn ReplayViews) {
        (&mut self.log, &mut self.views)
    }

    fn catch_up(&mut self, last: bool) -> Result<u64, StoreError> {
        self.views.make_indexes()?;
        if last {
            self.views.lock()?;
        }
        self.log.go_on()
    }

    fn switch(&mut self) -> Result<(), StoreError> {
        self.views.switch()
    }

    fn issued_twice(&mut self) -> Vec<IssuedTwice> {
        self.views.twice.clone()
    }
}

/// Reads the log at the one moment of its transaction.
struct SqliteLog {
    connection: Connection,
    /// The last commit of that moment.
    position: u64,
    /// The place where reading all streams continues; none once they have all been read.
    at: Option<LogPosition>,
    /// The streams that have grown and still have to be read.
    grown: Vec<String>,
}

impl SqliteLog {
    /// Takes a new moment, and queues the streams that have grown since the last one. Returns the number of new commits.
    fn go_on(&mut self) -> Result<u64, StoreError> {
        self.connection.execute_batch("COMMIT; BEGIN")?;
        let position = last_position(&self.connection)?;
        let sql = "SELECT DISTINCT stream FROM commits WHERE position > ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        self.grown = statement.query_map([self.position], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(position.saturating_sub(std::mem::replace(&mut self.position, position)))
    }
}

impl ReplayLog for SqliteLog {
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError> {
        if let Some(place) = self.at.take() {
            let chunk = read_from(&self.connection, &place, max)?;
            let last = chunk.iter().next_back();
            self.at = last.map(|(last, _)| LogPosition { stream: last.stream.to_string(), version: last.version });
            return Ok(chunk);
        }
        let mut chunk = CommitBatch::default();
        while chunk.len() < max {
            let Some(stream) = self.grown.pop() else { break };
            read_stream(&self.connection, &stream, &mut chunk)?;
        }
        Ok(chunk)
    }

    fn live_rows(&mut self, streams: &[StreamId]) -> Result<Vec<Live>, StoreError> {
        streams.iter().map(|stream| views::live(&self.connection, stream)).collect()
    }

    fn again(&mut self, _: &StreamId) -> Result<Option<Settled>, StoreError> {
        Ok(None)
    }

    fn issued_twice(&mut self, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError> {
        twice::of_stream(&self.connection, stream)
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
            SELECT 'tokens ' || id FROM tokens WHERE NOT EXISTS (SELECT 1 FROM commits WHERE stream = 'tokens#admin')
            UNION ALL
            SELECT 'claim of user ' || owner FROM claims
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = claims.owner AND status != 'deleted')
            UNION ALL
            SELECT 'personal key of user ' || user FROM personal_keys
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = personal_keys.user AND status != 'deleted')";
        let mut statement = self.connection.prepare(sql)?;
        let orphans = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(orphans)
    }
}

/// Writes the next generation of the views' tables.
struct NewViews {
    connection: Connection,
    /// Whether the file is only read: then no views can be written.
    is_read_only: bool,
    /// The new tables' generation, once they exist.
    generation: Option<i64>,
    /// Whether the new tables have their indexes.
    indexed: bool,
    /// Whether the connection holds the write lock until the switch.
    locked: bool,
    /// The keys that were issued twice.
    twice: Vec<IssuedTwice>,
}

impl ReplayViews for NewViews {
    fn put(&mut self, rows: &[Rows]) -> Result<(), StoreError> {
        let suffix = suffix(self.prepare_generation()?);
        // At first every stream comes once; streams that come later have grown since.
        let statements = Statements::new(&suffix, self.indexed);
        if self.locked {
            return statements.put(&self.connection, rows);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        statements.put(&transaction, rows)?;
        Ok(transaction.commit()?)
    }
}

impl NewViews {
    /// Blocks all other writes until the switch.
    fn lock(&mut self) -> Result<(), StoreError> {
        // Until here a crash costs only the new tables. This commit's sync covers all earlier writes.
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.locked = true;
        Ok(())
    }

    fn switch(&mut self) -> Result<(), StoreError> {
        let suffix = suffix(self.prepare_generation()?);
        for table in views::TABLES {
            self.connection.execute_batch(&format!(
                "PRAGMA secure_delete = {}; DROP TABLE {table}; ALTER TABLE {table}{suffix} RENAME TO {table};",
                wiping(&self.connection, table)?
            ))?;
        }
        crash_point("replay-before-switch");
        self.connection.execute_batch("COMMIT; PRAGMA secure_delete = ON")?;
        self.locked = false;
        Ok(())
    }

    /// Makes the new tables' indexes, once most rows are there.
    fn make_indexes(&mut self) -> Result<(), StoreError> {
        let generation = self.prepare_generation()?;
        if std::mem::replace(&mut self.indexed, true) {
            return Ok(());
        }
        let indexes = views::indexes(&suffix(generation), generation);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match transaction.execute_batch(&indexes) {
            Ok(()) => transaction.commit()?,
            // Only keys have an index that is unique: a key was issued twice.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                transaction.rollback()?;
                let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                self.twice = twice::leave_to_the_first(&transaction, &suffix(generation))?;
                transaction.execute_batch(&indexes)?;
                transaction.commit()?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Makes the new tables, under a generation of their own, and removes what an interrupted rebuild left.
    fn prepare_generation(&mut self) -> Result<i64, StoreError> {
        if let Some(generation) = self.generation {
            return Ok(generation);
        }
        if self.is_read_only {
            return Err(StoreError::ReadOnly);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
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

/// Rebuilds the views of a file with an earlier form of tables from its log. Part of the migration's transaction.
pub(super) fn remake_views(connection: &Connection) -> Result<(), StoreError> {
    for table in views::TABLES {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute_batch(&views::tables(""))?;
    let statements = Statements::new("", false);
    let streams: Vec<String> = connection
        .prepare("SELECT DISTINCT stream FROM commits ORDER BY stream")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in &streams {
        let stream = StreamId::parse(name).map_err(|error| corrupt("stream", error))?;
        statements.put(connection, &[folded(connection, &stream)?.rows()])?;
    }
    twice::leave_to_the_first(connection, "")?;
    let generation = connection.query_row("SELECT generation FROM view_generation", [], |row| row.get(0))?;
    Ok(connection.execute_batch(&views::indexes("", generation))?)
}

/// How thoroughly a table's old content is removed: people's addresses and names, the labels of their keys and the networks of use
/// are overwritten, which writes every page once more. The other views hold nothing that the log does not keep for ever.
fn wiping(connection: &Connection, table: &str) -> Result<&'static str, StoreError> {
    let is_personal = match table {
        "users" => true,
        "sessions" => connection.query_row("SELECT EXISTS (SELECT 1 FROM sessions)", [], |row| row.get(0))?,
        "keys" => connection.query_row("SELECT EXISTS (SELECT 1 FROM keys WHERE personal)", [], |row| row.get(0))?,
        _ => false,
    };
    Ok(if is_personal { "ON" } else { "OFF" })
}

fn suffix(generation: i64) -> String {
    format!("_g{generation}")
}

fn last_position(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?)
}
