//! The input and output of a replay: a read transaction for the log, and the next generation of the views' tables.

mod ahead;
mod mend;
mod progress;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

pub(super) use self::progress::TABLE as PROGRESS;

use self::ahead::ReadAhead;
use super::{
    Database, StoreError,
    batches::{LogPosition, folded, read_stream},
    corrupt, quarantine, twice,
    views::{self, Statements},
};
use crate::{
    domain::id::StreamId,
    failpoint::crash_point,
    store::{
        CommitBatch, IssuedTwice, Live, Progress, ReplayBatch, ReplayBeginning, ReplayLog, ReplayPlan, ReplaySpace,
        ReplayStatus, ReplayView, ReplayViews, Replayable, Settled, replay_plan::named,
    },
};

/// The page cache for the new views, KiB: their indexes are made from pages that are still in it.
const CACHE_KIB: u32 = 32 * 1024;

#[async_trait]
impl Replayable for Database {
    fn replay_space_for(&self, plan: &ReplayPlan) -> Result<Box<dyn ReplaySpace>, StoreError> {
        if plan.read_units_per_s.is_some() {
            return Err(StoreError::Limit("read units are bounded over DynamoDB only: this log is a file".to_owned()));
        }
        let (log, views) = (self.connect()?, self.connect()?);
        // Each read of a page searches the write-ahead log for it, such as those of an earlier rebuild.
        if !self.is_read_only() {
            views.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        log.execute_batch("BEGIN")?;
        // While the log is read at its one moment, later writes cannot be moved out of the write-ahead log: checkpoints after every
        // batch would only take time.
        views.execute_batch(&format!(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 0"
        ))?;
        let position = last_position(&log)?;
        let (first, end) = range_of(plan.view);
        let ahead = ReadAhead::from(LogPosition { stream: first, version: 0 }, end);
        Ok(Box::new(SqliteSpace {
            plan: *plan,
            log: SqliteLog { connection: log, position, ahead: Some(ahead), view: plan.view, grown: Vec::new() },
            views: NewViews {
                connection: views,
                view: plan.view,
                is_read_only: self.is_read_only(),
                generation: None,
                indexed: false,
                locked: false,
                twice: Vec::new(),
            },
        }))
    }

    fn mend(&self, stream: &StreamId, view: Option<ReplayView>) -> Result<Progress, StoreError> {
        mend::stream(&mut self.connect()?, stream, view)
    }

    async fn replay_status(&self) -> Result<Option<ReplayStatus>, StoreError> {
        self.read(progress::status).await
    }
}

/// The first stream name of a view, and the one behind its last.
fn range_of(view: Option<ReplayView>) -> (String, String) {
    match view.map(ReplayView::prefix) {
        // Behind `#` comes `$`.
        Some(prefix) => (prefix.to_owned(), prefix.replace('#', "$")),
        None => (String::new(), char::MAX.to_string()),
    }
}

struct SqliteSpace {
    plan: ReplayPlan,
    log: SqliteLog,
    views: NewViews,
}

impl ReplaySpace for SqliteSpace {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        let (first, end) = range_of(self.plan.view);
        let sql = "SELECT count(*) FROM commits WHERE stream >= ?1 AND stream < ?2";
        match self.plan.view {
            None => Ok(self.log.connection.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?),
            Some(_) => Ok(self.log.connection.query_row(sql, [first, end], |row| row.get(0))?),
        }
    }

    fn begin(&mut self) -> Result<ReplayBeginning, StoreError> {
        let quarantined = named(&self.quarantined()?);
        // Positions are counted from 1, without gaps.
        let total = if self.plan.view.is_none() { self.log.position } else { self.commits_total()? };
        let recorded = progress::read(&self.views.connection)?;
        if let Some(process) = recorded.as_ref().and_then(|recorded| recorded.running_in(Timestamp::now())) {
            let what = format!("another rebuild of this data runs, in the process {process}: wait for it, or stop it");
            return Err(StoreError::Unavailable(what));
        }
        let obstacle = match &recorded {
            None => None,
            Some(recorded) => Some(match recorded.interrupted.obstacle(&self.plan, &quarantined, Timestamp::now()) {
                Some(why) => Some(why),
                None if !recorded.is_of(&self.log.connection)? => Some("it was of another log".to_owned()),
                None if !self.views.has_tables(recorded.generation)? => Some("its tables are gone".to_owned()),
                None => None,
            }),
        };
        if let (Some(recorded), Some(None)) = (&recorded, &obstacle) {
            // What has grown since the log's moment of then is read again when catching up.
            self.log.position = recorded.position;
            if !recorded.stream.is_empty() {
                let reached = LogPosition { stream: recorded.stream.clone(), version: u64::from(u32::MAX) };
                self.log.ahead = Some(ReadAhead::from(reached, range_of(self.plan.view).1));
            }
            progress::take_over(&self.views.connection)?;
            (self.views.generation, self.views.indexed) = (Some(recorded.generation), recorded.indexed);
            return Ok(ReplayBeginning::Resumed(recorded.progress));
        }
        let generation = self.views.prepare_generation()?;
        let position = self.log.position;
        progress::begin(&self.views.connection, &self.plan, &quarantined, generation, position, total)?;
        Ok(obstacle.flatten().map_or(ReplayBeginning::New, ReplayBeginning::Anew))
    }

    fn quarantined(&mut self) -> Result<BTreeSet<StreamId>, StoreError> {
        quarantine::streams(&self.log.connection)
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
    /// The reading of all streams; none once they have all been read.
    ahead: Option<ReadAhead>,
    /// The view that is rebuilt; none for all.
    view: Option<ReplayView>,
    /// The streams that have grown and still have to be read.
    grown: Vec<String>,
}

impl SqliteLog {
    /// Takes a new moment, and queues the streams that have grown since the last one. Returns the number of new commits.
    fn go_on(&mut self) -> Result<u64, StoreError> {
        self.connection.execute_batch("COMMIT; BEGIN")?;
        let position = last_position(&self.connection)?;
        let (first, end) = range_of(self.view);
        let sql = "SELECT DISTINCT stream FROM commits WHERE position > ?1 AND stream >= ?2 AND stream < ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = rusqlite::params![self.position, first, end];
        self.grown = statement.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(position.saturating_sub(std::mem::replace(&mut self.position, position)))
    }
}

impl ReplayLog for SqliteLog {
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError> {
        if let Some(ahead) = &mut self.ahead {
            let chunk = ahead.next(&self.connection, max)?;
            if chunk.is_empty() {
                self.ahead = None;
            }
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
               AND NOT EXISTS (SELECT 1 FROM quarantines WHERE stream = 'user#' || claims.owner AND released_at IS NULL)
            UNION ALL
            SELECT 'personal key of user ' || user FROM personal_keys
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = personal_keys.user AND status != 'deleted')
               AND NOT EXISTS (SELECT 1 FROM quarantines WHERE stream = 'user#' || personal_keys.user AND released_at IS NULL)";
        let mut statement = self.connection.prepare(sql)?;
        let orphans = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(orphans)
    }
}

/// Writes the next generation of the views' tables.
struct NewViews {
    connection: Connection,
    /// The view that is rebuilt; none for all.
    view: Option<ReplayView>,
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
    fn put(&mut self, ReplayBatch { rows, reached }: &ReplayBatch) -> Result<(), StoreError> {
        let suffix = suffix(self.prepare_generation()?);
        // At first every stream comes once; streams that come later have grown since.
        let statements = Statements::new(&suffix, self.indexed);
        if self.locked {
            return statements.put_of(self.view, &self.connection, rows);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        statements.put_of(self.view, &transaction, rows)?;
        if let Some(reached) = reached {
            progress::reach(&transaction, reached)?;
        }
        transaction.commit()?;
        crash_point("replay-batch");
        Ok(())
    }
}

impl NewViews {
    /// Whether the tables of an interrupted rebuild are there.
    fn has_tables(&self, generation: i64) -> Result<bool, StoreError> {
        for table in tables_of(self.view) {
            let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
            let name = format!("{table}{}", suffix(generation));
            if !self.connection.query_row(sql, [name], |row| row.get::<_, bool>(0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

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
        for table in tables_of(self.view) {
            self.connection.execute_batch(&format!(
                "PRAGMA secure_delete = {}; DROP TABLE {table}; ALTER TABLE {table}{suffix} RENAME TO {table};",
                wiping(&self.connection, table)?
            ))?;
        }
        progress::end(&self.connection)?;
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
        let indexes = of_tables(&views::indexes(&suffix(generation), generation), self.view, &suffix(generation));
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match transaction.execute_batch(&indexes) {
            Ok(()) => {
                progress::indexed(&transaction)?;
                transaction.commit()?;
            }
            // Only keys have an index that is unique: a key was issued twice.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                transaction.rollback()?;
                let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                self.twice = twice::leave_to_the_first(&transaction, &suffix(generation))?;
                transaction.execute_batch(&indexes)?;
                // Which keys those are is known to this rebuild only: the next one does not go on with it.
                progress::end(&transaction)?;
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
        progress::end(&transaction)?;
        transaction.execute_batch(&of_tables(&views::tables(&suffix(generation)), self.view, &suffix(generation)))?;
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

/// The tables of a view, or of all.
fn tables_of(view: Option<ReplayView>) -> Vec<&'static str> {
    views::TABLES.into_iter().filter(|table| view.is_none_or(|view| view.name() == *table)).collect()
}

/// Of these statements those about a view's table with this suffix; all without a view.
fn of_tables(statements: &str, view: Option<ReplayView>, suffix: &str) -> String {
    let is_wanted = |statement: &&str| {
        view.is_none_or(|view| statement.split_whitespace().any(|word| word == format!("{}{suffix}", view.name())))
    };
    statements.split_inclusive(';').filter(is_wanted).collect()
}

fn suffix(generation: i64) -> String {
    format!("_g{generation}")
}

fn last_position(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?)
}
