//! The signed checkpoints: a table of their own.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Database, StoreError, corrupt};
use crate::{
    domain::checkpoint::SignedCheckpoint,
    store::checkpoints::{KeptCheckpoint, KeptCheckpoints},
};

/// The tables. `leaves` are those that differ from the checkpoint before, packed; `mailed_checkpoints` has the last one that was mailed.
pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS checkpoints (
    number     INTEGER PRIMARY KEY,
    text       TEXT NOT NULL,
    signature  TEXT NOT NULL,
    public_key TEXT NOT NULL,
    proofs     TEXT NOT NULL,
    leaves     BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS mailed_checkpoints (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT;
";

const COLUMNS: &str = "number, text, signature, public_key, proofs";

#[async_trait]
impl KeptCheckpoints for Database {
    async fn settled(&self, _: Timestamp) -> Result<u64, StoreError> {
        // Positions are given in the order of commits.
        self.read(|connection| {
            Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?)
        })
        .await
    }

    async fn checkpoints(&self, before: Option<u64>, max: usize) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let before = before.unwrap_or(i64::MAX.cast_unsigned());
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM checkpoints WHERE number < ?1 ORDER BY number DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![before, max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(kept(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn leaves(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT leaves FROM checkpoints WHERE number = ?1";
            Ok(connection.prepare_cached(sql)?.query_row([number], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn keep(&self, checkpoint: KeptCheckpoint, leaves: Vec<u8>) -> Result<bool, StoreError> {
        self.write(move |connection| insert(connection, &checkpoint, &leaves)).await
    }

    async fn mailed(&self) -> Result<Option<u64>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT number FROM mailed_checkpoints";
            Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn note_mailed(&self, number: u64) -> Result<(), StoreError> {
        self.write(move |connection| {
            let sql = "INSERT INTO mailed_checkpoints (one, number) VALUES (1, ?1)
                       ON CONFLICT (one) DO UPDATE SET number = max(number, excluded.number)";
            connection.prepare_cached(sql)?.execute([number])?;
            Ok(())
        })
        .await
    }
}

/// Inserts a checkpoint. `false` where one with its number is there.
pub(super) fn insert(connection: &Connection, kept: &KeptCheckpoint, leaves: &[u8]) -> Result<bool, StoreError> {
    let KeptCheckpoint { number, signed, proofs } = kept;
    let SignedCheckpoint { text, signature, public_key } = signed;
    let proofs = serde_json::to_string(proofs).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let sql =
        format!("INSERT INTO checkpoints ({COLUMNS}, leaves) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING");
    let values = params![number, text, signature, public_key, proofs, leaves];
    Ok(connection.prepare_cached(&sql)?.execute(values)? == 1)
}

/// Begins a checkpoint whose leaves follow in parts. One that was begun before begins anew.
pub(super) fn begin(connection: &Connection, kept: &KeptCheckpoint) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM checkpoints WHERE number = ?1")?.execute([kept.number])?;
    insert(connection, kept, &[]).map(drop)
}

/// Adds the next part of a checkpoint's leaves.
pub(super) fn add_leaves(connection: &Connection, number: u64, part: &[u8]) -> Result<(), StoreError> {
    let sql = "UPDATE checkpoints SET leaves = CAST(leaves || ?2 AS BLOB) WHERE number = ?1";
    connection.prepare_cached(sql)?.execute(params![number, part])?;
    Ok(())
}

/// Hands over each checkpoint with its leaves, the first one first.
pub(super) fn each(
    connection: &Connection,
    take: &mut dyn FnMut(KeptCheckpoint, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS}, leaves FROM checkpoints ORDER BY number"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(kept(row)?, row.get(5)?)?;
    }
    Ok(())
}

fn kept(row: &Row<'_>) -> Result<KeptCheckpoint, StoreError> {
    let proofs: String = row.get(4)?;
    Ok(KeptCheckpoint {
        number: row.get(0)?,
        signed: SignedCheckpoint { text: row.get(1)?, signature: row.get(2)?, public_key: row.get(3)? },
        proofs: serde_json::from_str(&proofs).map_err(|error| corrupt("proofs of a checkpoint", error))?,
    })
}
