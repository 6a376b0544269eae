//! Connections to the database file.

use std::{
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

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection =
        Connection::open_with_flags(private::by_real_directory(path), flags).map_err(|error| named(path, &error))?;
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
