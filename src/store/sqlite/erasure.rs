//! Leaving nothing of a person who is erased, where SQLite would. It overwrites what is deleted (`secure_delete`), but not the
//! copies that stay behind in a page when its rows move to another one: that of somebody's key, from when others were
//! invited, may outlive the row.
//!
//! So the tables that hold something personal in plain are written anew in the transaction of the erasure: their old pages
//! become free as a whole, and those are overwritten.

use rusqlite::Connection;

/// Those tables, and the order in which their rows lie.
const TABLES: [(&str, &str); 5] =
    [("personal_keys", "user"), ("claims", "name"), ("users", "id"), ("keys", "user, id"), ("sessions", "user, id")];

/// Writes the tables anew. To be called within a transaction, on a connection with `secure_delete`. Takes longer for more
/// people, and holds other writes up meanwhile: a tenth of a second for 5,000 of them, a second for 50,000, and what the disk takes
/// for some 40 MB then. Erasures that wait for it together share one.
pub(super) fn rewrite(connection: &Connection) -> rusqlite::Result<()> {
    for (table, order) in TABLES {
        connection.execute_batch(&format!(
            "CREATE TABLE being_rewritten AS SELECT * FROM {table}; DELETE FROM {table};
             INSERT INTO {table} SELECT * FROM being_rewritten ORDER BY {order}; DROP TABLE being_rewritten"
        ))?;
    }
    Ok(())
}
