//! Removes remains of an erased person that SQLite would leave. SQLite overwrites deleted rows (`secure_delete`), but not the
//! copies that stay behind in a page when its rows move to another page: a copy of a person's key from then may outlive the row.
//!
//! So the erasure's transaction writes the tables with personal data in plain anew: their old pages become free as a whole, and
//! free pages are overwritten.

use rusqlite::Connection;

/// The tables with personal data in plain, and the order of their rows.
const TABLES: [(&str, &str); 5] =
    [("personal_keys", "user"), ("claims", "name"), ("users", "id"), ("keys", "user, id"), ("sessions", "user, id")];

/// Writes the tables anew. Call it in a transaction, on a connection with `secure_delete`. The time grows with the number of
/// people, and other writes wait: a tenth of a second for 5,000 people, a second for 50,000, plus the disk's time for some 40 MB
/// then. Erasures that wait for it together share one.
pub(super) fn rewrite(connection: &Connection) -> rusqlite::Result<()> {
    for (table, order) in TABLES {
        connection.execute_batch(&format!(
            "CREATE TABLE being_rewritten AS SELECT * FROM {table}; DELETE FROM {table};
             INSERT INTO {table} SELECT * FROM being_rewritten ORDER BY {order}; DROP TABLE being_rewritten"
        ))?;
    }
    Ok(())
}
