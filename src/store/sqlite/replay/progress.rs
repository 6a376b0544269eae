//! How far a rebuild is, so that it can be told and gone on with: one row, which is written together with the rows.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::{
    Progress, ReplayPlan, ReplayStatus, ReplayView, ReplayedTo, StoreError,
    replay_plan::{Interrupted, program},
    sqlite::views::moment,
};

/// The table.
pub(in crate::store::sqlite) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS replay_progress (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    view        TEXT,
    program     TEXT NOT NULL,
    quarantined TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    mark        TEXT NOT NULL,
    stream      TEXT NOT NULL,
    commits     INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    streams     INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    indexed     INTEGER NOT NULL,
    heard_of_at INTEGER NOT NULL,
    process     INTEGER NOT NULL
) STRICT;
";

/// What is recorded of a rebuild.
pub(super) struct RecordedReplay {
    pub(super) interrupted: Interrupted,
    pub(super) generation: i64,
    /// The last commit of the log's moment.
    pub(super) position: u64,
    /// Which commit that is.
    mark: String,
    /// The last stream whose rows are written; empty for none.
    pub(super) stream: String,
    pub(super) progress: Progress,
    pub(super) indexed: bool,
    total: u64,
    /// The process that writes, or wrote, the new tables.
    process: i32,
}

impl RecordedReplay {
    /// Whether the log still has the commit that was its last one then.
    pub(super) fn is_of(&self, log: &Connection) -> Result<bool, StoreError> {
        Ok(mark(log, self.position)? == self.mark)
    }

    /// The other process in which it still runs: it is there, and wrote rows in the last minute.
    pub(super) fn running_in(&self, now: Timestamp) -> Option<i32> {
        use rustix::process::{Pid, getpid, test_kill_process};
        let process = Pid::from_raw(self.process).filter(|process| *process != getpid())?;
        let is_there = !matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH));
        (is_there && self.status().is_running(now)).then_some(self.process)
    }

    /// The same for whoever only looks.
    fn status(&self) -> ReplayStatus {
        let (view, heard_of_at) = (self.interrupted.view, self.interrupted.heard_of_at);
        ReplayStatus { view, progress: self.progress, commits_total: self.total, heard_of_at }
    }
}

/// What tells a commit from another one at the same position.
fn mark(connection: &Connection, position: u64) -> Result<String, StoreError> {
    let sql = "SELECT stream || ' ' || version || ' ' || command FROM commits WHERE position = ?1";
    Ok(connection.query_row(sql, [position], |row| row.get(0)).optional()?.unwrap_or_default())
}

fn now_us() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Records that a rebuild begins.
pub(super) fn begin(
    connection: &Connection,
    plan: &ReplayPlan,
    quarantined: &str,
    generation: i64,
    position: u64,
    total: u64,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO replay_progress
        (one, view, program, quarantined, generation, position, mark, stream, commits, events, streams, total, indexed, heard_of_at,
         process)
        VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, '', 0, 0, 0, ?7, 0, ?8, ?9)";
    let (view, mark) = (plan.view.map(ReplayView::name), mark(connection, position)?);
    let values = params![view, program(), quarantined, generation, position, mark, total, now_us(), std::process::id()];
    connection.execute(sql, values)?;
    Ok(())
}

/// Records that this process goes on with it.
pub(super) fn take_over(connection: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE replay_progress SET process = ?1, heard_of_at = ?2";
    connection.execute(sql, params![std::process::id(), now_us()])?;
    Ok(())
}

/// Records the place that is reached.
pub(super) fn reach(connection: &Connection, ReplayedTo { stream, progress }: &ReplayedTo) -> Result<(), StoreError> {
    let sql = "UPDATE replay_progress SET stream = ?1, commits = ?2, events = ?3, streams = ?4, heard_of_at = ?5";
    let Progress { commits, events, streams } = progress;
    let values = params![stream.to_string(), commits, events, streams, now_us()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Records that the new tables have their indexes.
pub(super) fn indexed(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE replay_progress SET indexed = 1, heard_of_at = ?1", [now_us()])?;
    Ok(())
}

/// Forgets the rebuild: it is done, or cannot be gone on with.
pub(super) fn end(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM replay_progress", [])?;
    Ok(())
}

/// What is recorded.
pub(super) fn read(connection: &Connection) -> Result<Option<RecordedReplay>, StoreError> {
    let sql = "SELECT view, program, quarantined, generation, position, mark, stream, commits, events, streams, total, indexed,
        heard_of_at, process FROM replay_progress";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let view: Option<String> = row.get(0)?;
    let interrupted = Interrupted {
        view: view.as_deref().and_then(ReplayView::named),
        program: row.get(1)?,
        quarantined: row.get(2)?,
        heard_of_at: moment(row.get(12)?)?,
    };
    Ok(Some(RecordedReplay {
        interrupted,
        generation: row.get(3)?,
        position: row.get(4)?,
        mark: row.get(5)?,
        stream: row.get(6)?,
        progress: Progress { commits: row.get(7)?, events: row.get(8)?, streams: row.get(9)? },
        total: row.get(10)?,
        indexed: row.get(11)?,
        process: row.get(13)?,
    }))
}

/// The same for whoever only looks.
pub(super) fn status(connection: &Connection) -> Result<Option<ReplayStatus>, StoreError> {
    Ok(read(connection)?.map(|recorded| recorded.status()))
}
