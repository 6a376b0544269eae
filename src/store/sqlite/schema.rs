//! The tables, and how an older file becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, views};

/// The version of the tables that this binary writes.
pub const SCHEMA_VERSION: i64 = 2;

/// Commits at a stream's beginning that are searched one by one for a command's: an index would cost every append a page of
/// its own, and few streams become longer.
pub(super) const UNINDEXED_COMMITS: u32 = 32;

const TABLES: &str = "
CREATE TABLE commits (
    stream       TEXT NOT NULL,
    version      INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    command      TEXT NOT NULL,
    request_hash TEXT,
    recorded_at  INTEGER NOT NULL,
    events       TEXT NOT NULL,
    unpublished  INTEGER,
    PRIMARY KEY (stream, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX commits_position ON commits (position);
CREATE INDEX commits_unpublished ON commits (recorded_at) WHERE unpublished IS NOT NULL;

CREATE TABLE claims (name TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE personal_keys (user TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    key    TEXT PRIMARY KEY,
    tat_ns INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    used   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    key  TEXT NOT NULL,
    day  INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id         TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    sent_at    INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    receives   INTEGER NOT NULL,
    receipt    TEXT,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_visible ON messages (visible_at);
CREATE TABLE dead_letters (
    id       TEXT PRIMARY KEY,
    body     TEXT NOT NULL,
    sent_at  INTEGER NOT NULL,
    died_at  INTEGER NOT NULL,
    receives INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_tokens (id TEXT PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE view_generation (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL) STRICT;
INSERT INTO view_generation VALUES (1, 1);
";

/// What version 2 adds to the ledger: which bucket its moments are of, and the last grant of each node.
const RESERVATIONS: &str = "
ALTER TABLE ledger ADD COLUMN interval_ns INTEGER NOT NULL DEFAULT 0;
CREATE TABLE reservations (
    key         TEXT NOT NULL,
    node        INTEGER NOT NULL,
    serial      INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    tat_ns      INTEGER NOT NULL,
    limit_ns    INTEGER NOT NULL,
    interval_ns INTEGER NOT NULL,
    PRIMARY KEY (key, node)
) STRICT, WITHOUT ROWID;
";

/// Tables beside those: what is remembered of the server secret, how long the log has been worked on (see
/// `queue::sqlite`), and a row that is written to see whether writing works.
const ADDITIONS: &str = "
CREATE TABLE IF NOT EXISTS secret_versions (version INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS worked (one INTEGER PRIMARY KEY CHECK (one = 1), tick_us INTEGER NOT NULL, wall_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), beats INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO heartbeat VALUES (1, 0);
";

/// Brings a file to [`SCHEMA_VERSION`]. Two processes that do it at once do it once.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!("the file system does not support WAL (journal mode is {mode})")));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Incompatible(format!(
            "the database has tables of version {found}, this permitd knows {SCHEMA_VERSION}: use the newer permitd that wrote it"
        )));
    }
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(&format!(
            "CREATE UNIQUE INDEX commits_command ON commits (stream, command) WHERE version > {UNINDEXED_COMMITS}"
        ))?;
        transaction.execute_batch(&views::tables(""))?;
        transaction.execute_batch(&views::indexes("", 1))?;
    }
    if found < 2 {
        transaction.execute_batch(RESERVATIONS)?;
    }
    if found < SCHEMA_VERSION {
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    add(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// What was added to the tables of version 1 without changing the meaning of what was there: a file may lack it.
fn add(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(ADDITIONS)?;
    for (table, column) in [("messages", "hidden_since"), ("messages", "sent_tick"), ("dead_letters", "died_tick")] {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
        let is_there: bool = connection.query_row(sql, [table, column], |row| row.get(0))?;
        if !is_there {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} INTEGER"))?;
        }
    }
    // What was hidden by an older permitd is so for five minutes at most.
    connection.execute_batch("UPDATE messages SET hidden_since = visible_at - 300000000 WHERE hidden_since IS NULL")?;
    connection.execute_batch("CREATE INDEX IF NOT EXISTS messages_hidden ON messages (hidden_since)")?;
    Ok(())
}
