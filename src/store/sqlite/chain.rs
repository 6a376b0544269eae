//! The hashes of commits that have none: those from before streams were chained, and those that an earlier permitd has appended since.

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, log};
use crate::domain::chain::ChainHash;

/// Finds commits without a hash. There are none on most days, and then it is empty.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS commits_unchained ON commits (position) WHERE hash IS NULL";

/// Gives every commit that has no hash the one that follows from its stream, a stream at a time. Part of a transaction.
pub(super) fn complete(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(INDEX)?;
    let mut next = connection.prepare("SELECT stream FROM commits WHERE hash IS NULL ORDER BY position LIMIT 1")?;
    let mut completed = 0_u64;
    while let Some(stream) = next.query_row([], |row| row.get::<_, String>(0)).optional()? {
        for (version, hash) in missing(connection, &stream)? {
            let sql = "UPDATE commits SET hash = ?3 WHERE stream = ?1 AND version = ?2";
            connection.prepare_cached(sql)?.execute(params![stream, version, hash.as_bytes()])?;
            completed += 1;
        }
    }
    if completed > 0 {
        tracing::warn!(
            completed,
            "commits without a hash got theirs: an earlier permitd appended them, unless somebody took the hashes away"
        );
    }
    Ok(())
}

fn missing(connection: &Connection, stream: &str) -> Result<Vec<(u64, ChainHash)>, StoreError> {
    let sql = format!("SELECT {} FROM commits WHERE stream = ?1 ORDER BY version", log::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([stream])?;
    let (mut head, mut missing) = (ChainHash::START, Vec::new());
    while let Some(row) = rows.next()? {
        let commit = log::commit(row)?;
        head = commit.hash_after(head);
        if commit.hash.is_none() {
            missing.push((commit.version, head));
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_an_earlier_permitd_get_their_hash_wherever_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        drop(super::super::Database::open(folder.path()).unwrap());
        let file = folder.path().join("permitd.db");
        let insert = |connection: &Connection, stream: &str, version: u64, position: u64| {
            let sql = "INSERT INTO commits (stream, version, position, command, recorded_at, events) VALUES (?1, ?2, ?3, 'once:1', 7, '[]')";
            connection.execute(sql, params![stream, version, position]).unwrap();
        };
        let hashes = |connection: &Connection| {
            let sql = format!("SELECT {} FROM commits ORDER BY stream, version", log::COLUMNS);
            let mut statement = connection.prepare(&sql).unwrap();
            let commits = statement.query_and_then([], log::commit).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
            let mut head = ChainHash::START;
            for commit in &commits {
                head = if commit.version == 1 { ChainHash::START } else { head };
                head = head.then(&commit.link());
                assert_eq!(commit.hash, Some(head), "{commit:?}");
            }
            commits.len()
        };
        let connection = Connection::open(&file).unwrap();
        // A log that was moved here may have a later version of a stream first.
        for (stream, version, position) in [("plan#b", 2, 1), ("plan#a", 1, 2), ("plan#b", 1, 3)] {
            insert(&connection, stream, version, position);
        }
        drop(super::super::Database::open(folder.path()).unwrap());
        assert_eq!(hashes(&connection), 3);
        insert(&connection, "plan#b", 3, 4);
        insert(&connection, "plan#c", 1, 5);
        drop(super::super::Database::open(folder.path()).unwrap());
        assert_eq!(hashes(&connection), 5);
    }
}
