//! Connections to the database file.

use std::{
    fmt::Write as _,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{functions, trouble::named};
use crate::{
    private::{self, FilePlace},
    store::StoreError,
};

/// How long a write waits for another process's, milliseconds.
pub(super) const BUSY_TIMEOUT_MS: u32 = 10_000;

/// Page cache of a connection, KiB.
pub(super) const CACHE_KIB: i64 = 4096;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Errors
/// When a file was deleted or replaced: writes would be lost.
pub(super) fn still_there(places: &[FilePlace]) -> Result<(), StoreError> {
    places.iter().find_map(FilePlace::trouble).map_or(Ok(()), |trouble| Err(StoreError::Unavailable(trouble)))
}

/// The flags of a connection to a file that nobody changes: SQLite takes no lock and makes no file beside it.
pub(super) const IMMUTABLE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_URI);

/// The name under which SQLite opens a file that nobody changes, with [`IMMUTABLE`].
pub(super) fn immutable(path: &Path) -> String {
    let mut name = String::from("file:");
    for byte in private::by_real_directory(path).as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => name.push(char::from(*byte)),
            // Writing into a text does not fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
    }
    name + "?immutable=1"
}

/// Refuses a file whose write-ahead log still has content: read without it, the file would show an earlier state.
///
/// # Errors
/// When the log has content or cannot be looked at.
pub(super) fn refuse_log(path: &Path) -> Result<(), StoreError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::symlink_metadata(&log) {
        Ok(found) if found.len() > 0 => Err(StoreError::Unavailable(format!(
            "{} has a write-ahead log that was not moved into it, since its last server did not stop in order. Copy the whole \
             directory, run `permitd events verify --data COPY`, which moves it, and read the copy",
            path.display()
        ))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unavailable(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Opens a connection to a file that nobody changes.
///
/// # Errors
/// When the file cannot be opened.
pub(super) fn connect_immutable(path: &Path) -> Result<Connection, StoreError> {
    let flags = IMMUTABLE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    prepared(Connection::open_with_flags(immutable(path), flags).map_err(|error| named(path, &error))?)
}

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    prepared(Connection::open_with_flags(private::by_real_directory(path), flags).map_err(|error| named(path, &error))?)
}

fn prepared(connection: Connection) -> Result<Connection, StoreError> {
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;"
    ))?;
    // Plans must not depend on bound values: otherwise a statement with an order is prepared anew for every run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    functions::add_contains_folded(&connection)?;
    Ok(connection)
}
