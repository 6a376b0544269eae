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
            records::{FileRole, SqliteRecordSettings as Settings, SqliteRecordStore},
        },
    },
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
            retention: Retention::default(),
            exports_max: 2,
            export_timeout_ms: 60_000,
            export_stall_ms: 10_000,
        };
        Arc::new(SqliteRecordStore::open(settings, clock).expect("a record store"))
    }
}
