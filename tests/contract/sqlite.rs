//! SQLite.

use std::sync::Arc;

use permitd::{
    clock::SharedClock,
    domain::id::StreamId,
    queue::{Policy, Queue, sqlite::SqliteQueue},
    store::{
        Stores,
        records::{RecordStore, Retention},
        sqlite::{
            Database,
            records::{ColumnSettings, FileRole, SqliteRecordSettings as Settings, SqliteRecordStore},
        },
    },
};

use crate::{
    backend::{Backend as _, Stream, beginning, invited, issued, key},
    replay::differences,
};

pub(crate) struct Backend {
    database: Database,
    folder: tempfile::TempDir,
}

impl crate::backend::Backend for Backend {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory");
        Self { database: Database::open(folder.path()).expect("a database"), folder }
    }

    fn stores(&self) -> Stores {
        self.database.stores()
    }

    fn stores_of_another_process(&self) -> Stores {
        Database::open(self.folder.path()).expect("the same database").stores()
    }

    fn copy_last_commit(&self, from: &StreamId, to: &StreamId, version: u64) {
        let connection = rusqlite::Connection::open(self.database.path()).expect("the database");
        let sql = "INSERT INTO commits (stream, version, position, command, recorded_at, events)
                   SELECT ?2, ?3, (SELECT max(position) + 1 FROM commits), command || ':copy', recorded_at + 1, events
                   FROM commits WHERE stream = ?1 ORDER BY version DESC LIMIT 1";
        let copied = connection.execute(sql, rusqlite::params![from.to_string(), to.to_string(), version]);
        assert_eq!(copied.expect("a commit"), 1);
    }

    fn queue(&self, clock: SharedClock, policy: Policy) -> Arc<dyn Queue> {
        Arc::new(SqliteQueue::new(self.database.clone(), clock, policy))
    }

    fn records(&self, clock: SharedClock) -> Arc<dyn RecordStore> {
        let settings = Settings {
            role: FileRole::Truth,
            directory: self.folder.path().join("records"),
            cache_bytes: 1 << 20,
            find_threads: 2,
            find_waiting_max: 16,
            find_timeout_ms: 10_000,
            columns: ColumnSettings::NONE,
            retention: Retention::default(),
            exports_max: 2,
            export_timeout_ms: 60_000,
            export_stall_ms: 10_000,
            workbook_bytes_max: 1 << 30,
        };
        Arc::new(SqliteRecordStore::open(settings, clock).expect("a record store"))
    }
}

/// Of a key that was issued twice the first owner keeps it, as with a replay.
#[tokio::test]
async fn views_of_an_earlier_version_are_made_anew_from_the_log() {
    let backend = Backend::new();
    let (stores, key) = (backend.stores(), key(1));
    let (mut first, mut second) = (Stream::user(2), Stream::user(1));
    for person in [&mut first, &mut second] {
        person.write(&stores, vec![invited("x@example.org")], beginning()).await;
    }
    first.write(&stores, vec![issued(&key)], beginning()).await;
    let (users, keys) = (first.rows().users, first.rows().keys);
    backend.copy_last_commit(&first.id, &second.id, 2);
    let file = rusqlite::Connection::open(backend.database.path()).unwrap();
    file.execute_batch(
        "DROP TABLE users; DROP TABLE keys; DROP TABLE plans; DROP TABLE imports; DROP TABLE sessions; DROP TABLE tokens;
         CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT); CREATE INDEX users_email_1 ON users (email);
         INSERT INTO users VALUES ('nobody', 'eve@example.org'); PRAGMA user_version = 4;",
    )
    .unwrap();
    let stores = backend.stores_of_another_process();
    assert_eq!(stores.views.user(first.user_id()).await.unwrap().as_ref(), users.first());
    assert_eq!(stores.views.keys(first.user_id()).await.unwrap(), keys);
    assert_eq!(stores.views.keys(second.user_id()).await.unwrap(), []);
    assert_eq!(differences(&stores), [format!("keys {}", key.id())], "it was issued twice");

    // What cannot be read is refused, and leaves the file as it is.
    let sql = "UPDATE commits SET events = replace(events, 'ApiKeyIssued', 'ApiKeyFramed'); PRAGMA user_version = 4";
    file.execute_batch(sql).unwrap();
    let refused = Database::open(backend.folder.path()).err().unwrap().to_string();
    assert!(refused.contains("ApiKeyFramed") && refused.contains("user#"), "{refused}");
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 4);
}
