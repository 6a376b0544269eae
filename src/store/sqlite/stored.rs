//! Commits that come from another store, as they are stored there.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::domain::{
    chain::ChainHash,
    id::StreamId,
    persisted::{self, StoredCommit},
};

/// Inserts a commit at its own position and version, and registers the keys that it issues.
pub(super) fn insert(connection: &Connection, commit: &StoredCommit, marked: bool) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO commits (stream, version, position, command, request_hash, recorded_at, events, unpublished, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let stream = commit.stream.to_string();
    let values = params![
        stream,
        commit.version,
        commit.position,
        commit.command.as_str(),
        commit.request_hash,
        commit.recorded_at.as_microsecond(),
        commit.events,
        marked.then_some(1),
        commit.hash.as_ref().map(ChainHash::as_bytes),
    ];
    connection.prepare_cached(sql)?.execute(values)?;
    // Events that cannot be read issue no key that anybody could use: their stream is refused.
    for key in persisted::issued_keys(&commit.events).unwrap_or_default() {
        let owner = match &commit.stream {
            StreamId::User(user) => user.to_string(),
            StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => stream.clone(),
        };
        // The first owner keeps a key that an earlier permitd issued twice.
        let sql = "INSERT INTO issued_keys (id, owner) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        connection.prepare_cached(sql)?.execute([key.as_str(), &owner])?;
    }
    Ok(())
}
