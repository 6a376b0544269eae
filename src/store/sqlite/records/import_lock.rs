//! The write lock of a data set's file, which an import holds throughout, and the connection that holds it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{
    file::{LOCK_WAIT, is_busy, open, unavailable},
    shared::SharedRecords,
    table,
};
use crate::store::records::RecordStoreError;

/// How long an import waits for the lock before it reports another import: longer than a mere check for one takes, and too short to
/// annoy anybody.
const BEGIN_WAIT: Duration = Duration::from_millis(200);
/// Bytes of a page. Records are about a kilobyte: pages of 4 KiB would waste a fifth of the file.
const PAGE_BYTES: i64 = 8192;
/// The page cache of an import; beyond it, pages go to the write-ahead log.
const CACHE_KIB: i64 = 32 * 1024;
/// The page cache of the temporary table.
const SCRATCH_CACHE_KIB: i64 = 16 * 1024;
/// Threads that help to sort the entries of a new index.
const SORT_THREADS: i64 = 2;

/// Tells whether somebody holds the write lock of the data set's file, as an import does throughout.
pub(super) fn is_running(shared: &SharedRecords, name: &str) -> Result<bool, RecordStoreError> {
    let path = shared.path(name)?;
    let failed = |error: rusqlite::Error| unavailable("look for an import into", &path, &error);
    if !path.exists() {
        return Ok(false);
    }
    let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        Ok(()) => Ok(false),
        Err(error) if is_busy(&error) => Ok(true),
        Err(error) => Err(failed(error)),
    }
}

/// A connection that holds the file's write lock: only one import at a time gets it, over all processes.
///
/// An empty file is written without a write-ahead log: nobody can read it yet, nothing in it needs saving, and every page is
/// written once instead of twice. A crash leaves it empty.
pub(super) fn open_for_import(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.busy_timeout(BEGIN_WAIT)?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages == 0 {
        begin_empty(&connection)?;
    } else {
        table::use_log(&connection)?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    connection.pragma_update(None, "threads", SORT_THREADS)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.execute_batch("CREATE TABLE temp.keys_kept (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")?;
    connection.pragma_update(Some("temp"), "cache_size", -SCRATCH_CACHE_KIB)?;
    Ok(connection)
}

/// Sets the page size of an empty file.
pub(super) fn begin_empty(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)
}
