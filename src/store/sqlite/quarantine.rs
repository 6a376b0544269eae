//! The quarantine: a table of its own. A row stays when its quarantine ends, with its end.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{Database, StoreError, corrupt, views::moment};
use crate::{
    domain::id::StreamId,
    store::quarantine::{PastQuarantine, Quarantine, QuarantineTable},
};

/// The table. One quarantine of a stream at a time is in force.
pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS quarantines (
    id          INTEGER PRIMARY KEY,
    stream      TEXT NOT NULL,
    since       INTEGER NOT NULL,
    who         TEXT NOT NULL,
    reason      TEXT NOT NULL,
    problem     TEXT NOT NULL,
    released_at INTEGER,
    released_by TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS quarantines_in_force ON quarantines (stream) WHERE released_at IS NULL;
";

const COLUMNS: &str = "stream, since, who, reason, problem";

#[async_trait]
impl QuarantineTable for Database {
    async fn in_force(&self) -> Result<Vec<Quarantine>, StoreError> {
        self.read(in_force).await
    }

    async fn past(&self, max: usize) -> Result<Vec<PastQuarantine>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, released_at, released_by FROM quarantines WHERE released_at IS NOT NULL
                 ORDER BY released_at DESC, id DESC LIMIT ?1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (released_at, released_by) = (moment(row.get(5)?)?, row.get(6)?);
                found.push(PastQuarantine { quarantine: quarantine(row)?, released_at, released_by });
            }
            Ok(found)
        })
        .await
    }

    async fn begin(&self, quarantine: Quarantine) -> Result<bool, StoreError> {
        self.write(move |connection| insert(connection, &quarantine)).await
    }

    async fn end(&self, stream: &StreamId, released_at: Timestamp, released_by: &str) -> Result<bool, StoreError> {
        let (stream, released_by) = (stream.to_string(), released_by.to_owned());
        self.write(move |connection| {
            let sql =
                "UPDATE quarantines SET released_at = ?2, released_by = ?3 WHERE stream = ?1 AND released_at IS NULL";
            let values = params![stream, released_at.as_microsecond(), released_by];
            Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
        })
        .await
    }
}

/// The quarantines in force, by stream.
pub(super) fn in_force(connection: &Connection) -> Result<Vec<Quarantine>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantines WHERE released_at IS NULL ORDER BY stream");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(quarantine(row)?);
    }
    Ok(found)
}

/// Records a quarantine. `false` when the stream is in quarantine already.
pub(super) fn insert(connection: &Connection, quarantine: &Quarantine) -> Result<bool, StoreError> {
    let Quarantine { stream, since, who, reason, problem } = quarantine;
    let sql = format!("INSERT INTO quarantines ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING");
    let values = params![stream.to_string(), since.as_microsecond(), who, reason, problem];
    Ok(connection.prepare_cached(&sql)?.execute(values)? == 1)
}

fn quarantine(row: &Row<'_>) -> Result<Quarantine, StoreError> {
    let stream: String = row.get(0)?;
    Ok(Quarantine {
        stream: StreamId::parse(&stream).map_err(|error| corrupt("stream", error))?,
        since: moment(row.get(1)?)?,
        who: row.get(2)?,
        reason: row.get(3)?,
        problem: row.get(4)?,
    })
}

/// The streams in quarantine.
pub(super) fn streams(connection: &Connection) -> Result<BTreeSet<StreamId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT stream FROM quarantines WHERE released_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut found = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let stream: String = row.get(0)?;
        found.insert(StreamId::parse(&stream).map_err(|error| corrupt("stream", error))?);
    }
    Ok(found)
}

/// Whether a stream is in quarantine.
pub(super) fn holds(connection: &Connection, stream: &StreamId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM quarantines WHERE stream = ?1 AND released_at IS NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([stream.to_string()], |row| row.get(0))?)
}
