//! The file as a whole: its health, the server secret that it was written with, and its shutdown.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{Database, StoreError, closed, connect, mark};
use crate::{
    secrets::SecretMark,
    store::{DeploymentMark, Upkeep},
};

/// Reads of the tables that a request or a command uses: the first and last entry of each. They fail if one of these pages is damaged.
const ENDS: [&str; 8] = [
    "SELECT min(user), max(user) FROM ledger",
    "SELECT min(user), max(user) FROM usage",
    "SELECT min(user), max(user) FROM keys",
    "SELECT min(id), max(id) FROM users",
    "SELECT min(name), max(name) FROM plans",
    "SELECT min(stream), max(stream) FROM commits",
    "SELECT min(id), max(id) FROM messages",
    "SELECT min(id), max(id) FROM admin_tokens",
];
/// How long the shutdown waits for readers.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

#[async_trait]
impl Upkeep for Database {
    async fn probe(&self) -> Result<(), StoreError> {
        let (path, is_read_only) = (self.path().to_owned(), self.is_read_only());
        let read = tokio::task::spawn_blocking(move || {
            // A new connection has an empty cache: it reads from the disk.
            let connection = Database::connect_reader(&path, is_read_only)?;
            ENDS.iter().try_for_each(|sql| Ok(connection.query_row(sql, [], |_| Ok(()))?))
        });
        read.await.map_err(|_| closed())?.map_err(|error: StoreError| error)?;
        if is_read_only {
            return Ok(());
        }
        self.write(|connection| {
            // A row that does not change would not be written at all.
            connection.prepare_cached("UPDATE heartbeat SET beats = beats + 1")?.execute([])?;
            Ok(())
        })
        .await
    }

    async fn secret_marks(&self) -> Result<Vec<SecretMark>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT version, fingerprint FROM secret_versions ORDER BY version")?;
            let mark = |row: &rusqlite::Row<'_>| Ok(SecretMark { version: row.get(0)?, fingerprint: row.get(1)? });
            let marks = statement.query_map([], mark)?.collect::<Result<_, _>>()?;
            Ok(marks)
        })
        .await
    }

    async fn add_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError> {
        self.write(move |connection| insert_marks(connection, &marks)).await
    }

    async fn replace_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection.execute("DELETE FROM secret_versions", [])?;
            insert_marks(connection, &marks)
        })
        .await
    }

    async fn reclaim(&self, owners: Vec<(String, Vec<String>)>) -> Result<Vec<(String, String)>, StoreError> {
        self.write(move |connection| {
            connection.execute("DELETE FROM claims", [])?;
            let mut taken = Vec::new();
            for (owner, names) in &owners {
                for name in names {
                    let holder: Option<String> = connection
                        .prepare_cached("SELECT owner FROM claims WHERE name = ?1")?
                        .query_row([name], |row| row.get(0))
                        .optional()?;
                    match holder {
                        Some(holder) if holder != *owner => taken.push((owner.clone(), holder)),
                        Some(_) => {}
                        None => {
                            let sql = "INSERT INTO claims (name, owner) VALUES (?1, ?2)";
                            connection.prepare_cached(sql)?.execute(params![name, owner])?;
                        }
                    }
                }
            }
            taken.dedup();
            Ok(taken)
        })
        .await
    }

    async fn mark(&self) -> Result<Option<DeploymentMark>, StoreError> {
        self.read(mark::read_mark).await
    }

    async fn set_mark(&self, new: Option<DeploymentMark>) -> Result<(), StoreError> {
        self.write(move |connection| mark::write_mark(connection, new.as_ref())).await
    }

    async fn swap_mark(&self, from: Option<DeploymentMark>, to: Option<DeploymentMark>) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let found = mark::read_mark(connection)?;
            if found == to {
                return Ok(true);
            }
            if found != from {
                return Ok(false);
            }
            mark::write_mark(connection, to.as_ref())?;
            Ok(true)
        })
        .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.is_read_only() {
            // It has no write-ahead log.
            return Ok(());
        }
        self.still_there()?;
        let path = self.path().to_owned();
        let emptied = tokio::task::spawn_blocking(move || {
            let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(CLOSE_PATIENCE)?;
            let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            match busy {
                0 => Ok(()),
                _ => Err(StoreError::Unavailable(format!(
                    "{}: somebody else is reading; a copy is whole only together with its -wal file",
                    path.display()
                ))),
            }
        });
        emptied.await.map_err(|_| closed())?
    }
}

fn insert_marks(connection: &Connection, marks: &[SecretMark]) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO secret_versions (version, fingerprint) VALUES (?1, ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    for mark in marks {
        statement.execute(params![mark.version, mark.fingerprint])?;
    }
    Ok(())
}

/// Tells whether the deployment remembers this mark of the server secret.
pub(super) fn remembers(connection: &Connection, mark: &SecretMark) -> Result<bool, StoreError> {
    let sql = "SELECT fingerprint FROM secret_versions WHERE version = ?1";
    let known = connection.prepare_cached(sql)?.query_row([mark.version], |row| row.get::<_, String>(0)).optional()?;
    Ok(known.is_some_and(|known| known == mark.fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_called_one_and_ends_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        database.probe().await.unwrap();
        // Lets the file grow to any size, or not at all, which SQLite treats as a full disk.
        let grows = |may: bool| {
            let sql = if may { "PRAGMA max_page_count = 1000000" } else { "PRAGMA max_page_count = 1" };
            database.write(move |connection| Ok::<_, StoreError>(connection.query_row(sql, [], |_| Ok(()))?))
        };
        let marks = |from: u32| (from..from + 2000).map(|version| SecretMark { version, fingerprint: "x".repeat(64) });
        grows(false).await.unwrap();
        let refused = database.add_secret_marks(marks(0).collect()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Full(_)), "{refused}");
        assert!(database.secret_marks().await.unwrap().is_empty(), "nothing of it was written");
        grows(true).await.unwrap();
        database.add_secret_marks(marks(0).collect()).await.unwrap();
        assert!(refused.to_string().starts_with("the disk is full"), "{refused}");
    }

    /// Simulates a file system that became read-only: here only the writer's connection is set so.
    #[tokio::test]
    async fn a_database_that_cannot_be_written_is_noticed_by_the_probe() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        database.probe().await.unwrap();
        let close = |connection: &Connection| Ok::<_, StoreError>(connection.execute_batch("PRAGMA query_only = ON")?);
        database.write(close).await.unwrap();
        let refused = database.probe().await.unwrap_err();
        assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("readonly")), "{refused}");
    }

    #[tokio::test]
    async fn a_damaged_file_is_noticed_by_the_probe() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        database.close().await.unwrap();
        database.probe().await.unwrap();
        database.close().await.unwrap();
        let path = database.path().to_owned();
        let mut bytes = std::fs::read(&path).unwrap();
        // All pages but the first, which locates the others.
        bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xa5);
        std::fs::write(&path, bytes).unwrap();
        let refused = database.probe().await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    }

    #[tokio::test]
    async fn after_an_orderly_end_the_file_alone_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let mark = SecretMark { version: 3, fingerprint: "ab".to_owned() };
        database.add_secret_marks(vec![mark.clone()]).await.unwrap();
        let wal = folder.path().join("permitd.db-wal");
        assert!(wal.metadata().unwrap().len() > 0, "the test looks in the right place");
        database.close().await.unwrap();
        assert_eq!(wal.metadata().map_or(0, |wal| wal.len()), 0);
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(database.path(), copy.path().join("permitd.db")).unwrap();
        let copied = Database::open(copy.path()).unwrap();
        assert_eq!(copied.secret_marks().await.unwrap(), [mark]);
    }

    #[tokio::test]
    async fn nothing_is_written_into_a_file_that_was_taken_away() {
        for name in ["permitd.db", "permitd.db-wal", "permitd.db-shm"] {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(folder.path()).unwrap();
            std::fs::remove_file(folder.path().join(name)).unwrap();
            let refused = database.add_secret_marks(Vec::new()).await.unwrap_err().to_string();
            assert!(refused.contains("deleted or moved away"), "{name}: {refused}");
            assert!(database.close().await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_of_before_gets_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("permitd.db");
        drop(Database::open(folder.path()).unwrap());
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "DROP TABLE secret_versions; DROP TABLE worked; DROP TABLE heartbeat; DROP INDEX messages_hidden;
                 DROP TABLE key_endings; DROP INDEX answers_end; ALTER TABLE answers DROP COLUMN ends_tick;
                 ALTER TABLE messages DROP COLUMN hidden_since; ALTER TABLE messages DROP COLUMN sent_tick;
                 ALTER TABLE dead_letters DROP COLUMN died_tick",
            )
            .unwrap();
        let database = Database::open(folder.path()).unwrap();
        database.probe().await.unwrap();
        assert!(database.secret_marks().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn marks_are_added_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let mark = |version, text: &str| SecretMark { version, fingerprint: text.to_owned() };
        database.add_secret_marks(vec![mark(1, "a")]).await.unwrap();
        database.add_secret_marks(vec![mark(1, "other"), mark(2, "b")]).await.unwrap();
        assert_eq!(database.secret_marks().await.unwrap(), [mark(1, "a"), mark(2, "b")], "the first stays");
        database.replace_secret_marks(vec![mark(7, "c")]).await.unwrap();
        assert_eq!(database.secret_marks().await.unwrap(), [mark(7, "c")]);
    }

    #[tokio::test]
    async fn claims_are_replaced_and_double_owners_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let owner = |owner: &str, name: &str| (owner.to_owned(), vec![name.to_owned()]);
        assert!(database.reclaim(vec![owner("a", "x"), owner("b", "y")]).await.unwrap().is_empty());
        let taken = database.reclaim(vec![owner("a", "z"), owner("b", "z")]).await.unwrap();
        assert_eq!(taken, [("b".to_owned(), "a".to_owned())]);
    }
}
