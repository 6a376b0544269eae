//! The role of a store's files: records themselves, or copies of them. One is never taken for the other.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{
    epochs,
    file::{name_of, open, open_immutable, unavailable},
};
use crate::store::records::RecordStoreError;

/// The role of a store's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileRole {
    /// The records themselves.
    #[default]
    Truth,
    /// Copies of records whose truth is elsewhere.
    Replica,
    /// Records of a copy of a deployment, which is only read: no file is locked, written, or made beside another.
    ReadOnly,
}

/// Opens a file to read from it, as the files of this role are.
pub(super) fn open_to_read(path: &Path, role: FileRole) -> rusqlite::Result<Connection> {
    match role {
        FileRole::Truth | FileRole::Replica => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY),
        FileRole::ReadOnly => open_immutable(path),
    }
}

/// Checks that a file with a data set has the store's role.
pub(super) fn check_role(connection: &Connection, path: &Path, role: FileRole) -> Result<(), RecordStoreError> {
    let found = epochs::present(connection).map_err(|error| unavailable("read", path, &error))?;
    match (role, found) {
        (FileRole::Truth | FileRole::ReadOnly, Some(_)) => {
            let reason = "it is a node's copy of a data set that DynamoDB keeps. Serve it with backend = \"aws\", or move \
                          the file away: nothing is lost with it";
            Err(RecordStoreError::WrongRole { path: path.to_owned(), reason: reason.to_owned() })
        }
        (FileRole::Replica, None) => Err(not_a_replica(path)),
        // Written by another program. Turning the log on waits for everybody who has the file open: to copy anew waits for nobody.
        (FileRole::Replica, Some(_)) if !has_log(connection).map_err(|error| unavailable("read", path, &error))? => {
            let reason = "it has no write-ahead log: it is not a file that this server has written".to_owned();
            Err(RecordStoreError::Corrupt { name: name_of(path), reason })
        }
        _ => Ok(()),
    }
}

/// Whether a file has a write-ahead log, possibly an empty one. It is a property of the file.
fn has_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA journal_mode", [], |row| Ok(row.get::<_, String>(0)? == "wal"))
}

/// Refuses to touch a file with a truth of its own. A file that cannot be read at all could be served by nobody.
pub(super) fn refuse_truth(path: &Path) -> Result<(), RecordStoreError> {
    // Looks at names alone: a damaged replica is a replica, too.
    let tables = "SELECT count(*) FILTER (WHERE name = 'state') > count(*) FILTER (WHERE name = 'replica')
        FROM sqlite_schema";
    let is_truth = |connection: Connection| connection.query_row(tables, [], |row| row.get::<_, bool>(0));
    match open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(is_truth) {
        Ok(true) => Err(not_a_replica(path)),
        _ => Ok(()),
    }
}

fn not_a_replica(path: &Path) -> RecordStoreError {
    let reason = "it holds records of its own, of a server with backend = \"sqlite\". Move it away, or give this server \
                  another data directory: it would be replaced by a copy of what DynamoDB keeps";
    RecordStoreError::WrongRole { path: path.to_owned(), reason: reason.to_owned() }
}
