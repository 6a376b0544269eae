//! The tables, and their migration from older versions.

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, chain, checkpoints, corrupt, log, mark, quarantine, replay};
use crate::domain::persisted;

/// The version of the tables that this binary writes.
pub const SCHEMA_VERSION: i64 = 5;

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

/// Version 2 adds: the owner of every key ever issued, the answers to commands without a commit, and clients' commands by their id
/// alone.
const KEYS_AND_ANSWERS: &str = "
CREATE TABLE issued_keys (id TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
    command      TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    answer       TEXT NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_expire ON answers (expires_at);
CREATE INDEX commits_asked ON commits (command) WHERE request_hash IS NOT NULL;
";

/// Version 2 adds to the ledger: the bucket that its moments belong to, and the last grant of each node.
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

/// Version 3 changes the ledger: buckets and quotas belong to people instead of their keys. The uses of a person's keys on a day
/// become the person's sum; of their buckets the emptiest counts. Grants that crashed nodes did not give back no longer come back.
/// It adds what requests were for, and the last use of each key.
const PEOPLE: &str = "
CREATE TABLE IF NOT EXISTS owed (key TEXT PRIMARY KEY, owed_ns INTEGER NOT NULL, burst INTEGER NOT NULL) STRICT, WITHOUT ROWID;
ALTER TABLE ledger RENAME TO ledger_of_keys;
ALTER TABLE usage RENAME TO usage_of_keys;
ALTER TABLE owed RENAME TO owed_of_keys;
DROP TABLE reservations;
CREATE TABLE ledger (
    user        TEXT PRIMARY KEY,
    tat_ns      INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    used        INTEGER NOT NULL,
    interval_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    user TEXT NOT NULL,
    day  INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (user, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE owed (user TEXT PRIMARY KEY, owed_ns INTEGER NOT NULL, burst INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE reservations (
    user        TEXT NOT NULL,
    node        INTEGER NOT NULL,
    serial      INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    tat_ns      INTEGER NOT NULL,
    limit_ns    INTEGER NOT NULL,
    interval_ns INTEGER NOT NULL,
    PRIMARY KEY (user, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_counts (
    user     TEXT NOT NULL,
    day      INTEGER NOT NULL,
    key      TEXT NOT NULL,
    dataset  TEXT NOT NULL,
    status   INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    counted  INTEGER NOT NULL,
    PRIMARY KEY (user, day, key, dataset, status)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_uses (
    user       TEXT NOT NULL,
    key        TEXT NOT NULL,
    at         INTEGER NOT NULL,
    network    TEXT,
    network_at INTEGER,
    PRIMARY KEY (user, key)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_counts SELECT owner, day, key, '', 0, used, used FROM usage_of_keys JOIN issued_keys ON id = usage_of_keys.key;
INSERT INTO usage SELECT owner, day, sum(used) FROM usage_of_keys JOIN issued_keys ON id = usage_of_keys.key GROUP BY owner, day;
INSERT INTO ledger
    SELECT owner, max(tat_ns), 0, 0, interval_ns FROM ledger_of_keys JOIN issued_keys ON id = ledger_of_keys.key GROUP BY owner;
UPDATE ledger SET day = coalesce((SELECT max(day) FROM usage WHERE usage.user = ledger.user), 0);
UPDATE ledger SET used = coalesce((SELECT used FROM usage WHERE usage.user = ledger.user AND usage.day = ledger.day), 0);
INSERT INTO owed SELECT owner, sum(owed_ns), max(burst) FROM owed_of_keys JOIN issued_keys ON id = owed_of_keys.key GROUP BY owner;
DROP TABLE ledger_of_keys;
DROP TABLE usage_of_keys;
DROP TABLE owed_of_keys;
";

/// Version 4 stores commits in log order, behind an index of streams. In a tree by streams each step of a search compared whole
/// rows, and read a page and the overflow pages of the row; an append changed a page somewhere in the middle.
const BY_POSITION: &str = "
ALTER TABLE commits RENAME TO commits_by_stream;
CREATE TABLE commits (
    stream       TEXT NOT NULL,
    version      INTEGER NOT NULL,
    position     INTEGER PRIMARY KEY,
    command      TEXT NOT NULL,
    request_hash TEXT,
    recorded_at  INTEGER NOT NULL,
    events       TEXT NOT NULL,
    unpublished  INTEGER
) STRICT;
INSERT INTO commits SELECT stream, version, position, command, request_hash, recorded_at, events, unpublished
    FROM commits_by_stream ORDER BY position;
DROP TABLE commits_by_stream;
CREATE UNIQUE INDEX commits_stream ON commits (stream, version);
CREATE INDEX commits_unpublished ON commits (recorded_at) WHERE unpublished IS NOT NULL;
CREATE INDEX commits_asked ON commits (command) WHERE request_hash IS NOT NULL;
";

/// Further tables: the marks of the server secret, the worked time of the log (see [`super::worked`]), the ends of rotated keys in
/// that time, a row that probes write to test writing, the set of administrators, and the last uses of their tokens.
const ADDITIONS: &str = "
CREATE TABLE IF NOT EXISTS secret_versions (version INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS worked (one INTEGER PRIMARY KEY CHECK (one = 1), tick_us INTEGER NOT NULL, wall_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS key_endings (key TEXT PRIMARY KEY, ends_tick INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), beats INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO heartbeat VALUES (1, 0);
CREATE TABLE IF NOT EXISTS administrators (one INTEGER PRIMARY KEY CHECK (one = 1), users TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS token_uses (token TEXT PRIMARY KEY, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deployment (one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL) STRICT;
";

/// Migrates a file to [`SCHEMA_VERSION`]. If two processes do it at once, it is done once.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!("the file system does not support WAL (journal mode is {mode})")));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(newer(found));
    }
    if found == 0 {
        transaction.execute_batch(TABLES)?;
    }
    if found < 2 {
        transaction.execute_batch(KEYS_AND_ANSWERS)?;
        register_keys(&transaction)?;
        transaction.execute_batch(RESERVATIONS)?;
    }
    if found < 3 {
        transaction.execute_batch(PEOPLE)?;
    }
    if found < 4 {
        transaction.execute_batch(BY_POSITION)?;
        transaction.execute_batch(&format!(
            "CREATE UNIQUE INDEX commits_command ON commits (stream, command) WHERE version > {}",
            log::UNINDEXED_COMMITS
        ))?;
    }
    // Whoever remakes the views asks for it.
    transaction.execute_batch(quarantine::TABLE)?;
    transaction.execute_batch(checkpoints::TABLE)?;
    transaction.execute_batch(replay::PROGRESS)?;
    if found < 5 {
        // Since this version rows of views are documents.
        replay::remake_views(&transaction)?;
    }
    if found < SCHEMA_VERSION {
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    add(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Checks that a file that is only read has the tables that this binary knows: it cannot be migrated.
///
/// # Errors
/// [`StoreError::Incompatible`], with what to do.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(newer(found));
    }
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN
               ('secret_versions', 'worked', 'key_endings', 'heartbeat', 'administrators', 'token_uses', 'deployment', 'checkpoints')";
    let added: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('commits') WHERE name = 'hash')";
    let is_chained: bool = connection.query_row(sql, [], |row| row.get(0))?;
    if found < SCHEMA_VERSION || added < 8 || !is_chained {
        return Err(StoreError::Incompatible(format!(
            "the database has tables of version {found}, and this permitd reads {SCHEMA_VERSION}. Nothing is migrated read-only: use the permitd \
             that wrote it, or copy the directory, run `permitd events verify --data COPY` once, and read the copy"
        )));
    }
    Ok(())
}

fn newer(found: i64) -> StoreError {
    StoreError::Incompatible(format!(
        "the database has tables of version {found}, this permitd knows {SCHEMA_VERSION}: use the newer permitd that wrote it"
    ))
}

/// Registers the owners of the keys that the log has issued. A key that was issued twice, as older versions allowed, gets its first
/// owner: `events verify` names both.
fn register_keys(connection: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT stream, events FROM commits WHERE instr(events, 'ApiKeyIssued') > 0 ORDER BY position";
    let mut statement = connection.prepare(sql)?;
    let mut commits = statement.query([])?;
    while let Some(commit) = commits.next()? {
        let text = |column| commit.get_ref(column)?.as_str().map_err(|error| corrupt("commit", error));
        let (stream, events) = (text(0)?, text(1)?);
        for key in persisted::issued_keys(events).map_err(|error| corrupt("commit", error))? {
            let owner = stream.strip_prefix("user#").unwrap_or(stream);
            let sql = "INSERT INTO issued_keys (id, owner) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            connection.prepare_cached(sql)?.execute([key.as_str(), owner])?;
        }
    }
    Ok(())
}

/// Adds later additions to the tables of version 1 that did not change the meaning of existing data: a file may lack them.
fn add(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(ADDITIONS)?;
    let columns = [
        ("messages", "hidden_since", "INTEGER"),
        ("messages", "sent_tick", "INTEGER"),
        ("dead_letters", "died_tick", "INTEGER"),
        ("worked", "cut_us", "INTEGER"),
        ("answers", "ends_tick", "INTEGER"),
        ("commits", "hash", "BLOB"),
    ];
    for (table, column, kind) in columns {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
        let is_there: bool = connection.query_row(sql, [table, column], |row| row.get(0))?;
        if !is_there {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        }
    }
    // Messages that an older permitd hid stay hidden for five minutes at most.
    connection.execute_batch("UPDATE messages SET hidden_since = visible_at - 300000000 WHERE hidden_since IS NULL")?;
    connection.execute_batch("CREATE INDEX IF NOT EXISTS messages_hidden ON messages (hidden_since)")?;
    connection.execute_batch("CREATE INDEX IF NOT EXISTS answers_end ON answers (ends_tick)")?;
    // The log of a file that is being filled has no index by streams yet.
    if mark::read_mark(connection)?.is_none() { chain::complete(connection) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        domain::{
            bounds::KeyBounds,
            chain::ChainHash,
            event::{Event, Origin},
            id::{CommandId, StreamId, UserId, Who},
            key::{ApiKey, KeyId},
            persisted::{NewEvent, StoredCommit},
            view::Rows,
        },
        store::{AnswerPlace, Append, AppendError, PersonalChange, sqlite::Database},
    };

    fn stream(number: u128) -> StreamId {
        StreamId::User(UserId(uuid::Uuid::from_u128(number)))
    }

    fn issued(number: u8) -> String {
        let key = ApiKey::new(KeyId::from_random([number; 12]), &[number; 24]);
        let origin = Origin { who: Who::system("test"), correlation_id: String::new(), causation_id: None };
        let event = Event::ApiKeyIssued {
            key_id: key.id(),
            hash: key.hash(),
            last_four: key.last_four(),
            secret_version: 1,
            invitation: None,
            label: None,
            bounds: KeyBounds::default(),
        };
        persisted::encode(&[NewEvent { id: uuid::Uuid::nil(), origin, event }], None).unwrap()
    }

    #[tokio::test]
    async fn a_ledger_of_keys_becomes_one_of_people() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = Connection::open(folder.path().join("permitd.db")).unwrap();
        let transaction = old.transaction().unwrap();
        transaction.execute_batch(TABLES).unwrap();
        transaction.execute_batch(KEYS_AND_ANSWERS).unwrap();
        transaction.execute_batch(RESERVATIONS).unwrap();
        transaction.pragma_update(None, "user_version", 2).unwrap();
        let [ana, ben] = [1, 2].map(|number| UserId(uuid::Uuid::from_u128(number)));
        let keys = [1, 2, 3].map(|number| KeyId::from_random([number; 12]));
        for (key, owner, days) in
            [(0, ana, [(9, 100), (10, 5)]), (1, ana, [(8, 7), (10, 4)]), (2, ben, [(9, 1), (10, 2)])]
        {
            let key: KeyId = keys[key];
            let sql = "INSERT INTO issued_keys VALUES (?1, ?2)";
            transaction.execute(sql, [key.to_string(), owner.to_string()]).unwrap();
            let sql = "INSERT INTO ledger VALUES (?1, 77, ?2, ?3, 5)";
            transaction.execute(sql, rusqlite::params![key.as_str(), days[1].0, days[1].1]).unwrap();
            for (day, used) in days {
                let sql = "INSERT INTO usage VALUES (?1, ?2, ?3)";
                transaction.execute(sql, rusqlite::params![key.as_str(), day, used]).unwrap();
            }
        }
        transaction.commit().unwrap();
        drop(old);

        let stores = Database::open(folder.path()).unwrap().stores();
        let days = async |user| {
            let days = stores.ledger.usage(user, 0).await.unwrap();
            days.iter().map(|day| (day.day, day.used)).collect::<Vec<_>>()
        };
        assert_eq!(days(ana).await, [(8, 7), (9, 100), (10, 9)], "both keys together");
        assert_eq!(days(ben).await, [(9, 1), (10, 2)]);
        let counts = stores.ledger.counts(ana, 10).await.unwrap();
        let counts: Vec<_> = counts.iter().map(|line| (line.key, line.status, line.requests, line.counted)).collect();
        assert_eq!(counts, [(Some(keys[0]), 0, 5, 5), (Some(keys[1]), 0, 4, 4)]);
        let row = Connection::open(folder.path().join("permitd.db")).unwrap();
        let sql = "SELECT tat_ns, day, used, interval_ns FROM ledger WHERE user = ?1";
        let row = row.query_row(sql, [ana.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        assert_eq!(row, Ok((77, 10, 9, 5)));
    }

    #[tokio::test]
    async fn a_file_of_the_first_version_knows_its_keys_and_commands_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join("permitd.db")).unwrap();
        old.execute_batch(TABLES).unwrap();
        // Whatever form the views had, with their indexes.
        old.execute_batch("CREATE TABLE keys (id TEXT PRIMARY KEY, user TEXT); CREATE INDEX keys_id_1 ON keys (user)")
            .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let commit = |stream: StreamId, position: u32, hash: &str, events: String| {
            let sql = "INSERT INTO commits VALUES (?1, 1, ?2, 'idem:1', ?3, 0, ?4, NULL)";
            old.execute(sql, rusqlite::params![stream.to_string(), position, hash, events]).unwrap();
        };
        // One command in two streams, which issued the same key: the stream with the later name did so first.
        commit(stream(2), 1, "two", issued(7));
        commit(stream(1), 2, "one", issued(7));
        drop(old);

        let stores = Database::open(folder.path()).unwrap().stores();
        drop(Database::open(folder.path()).expect("it is done once"));
        assert!(stores.views.sessions(UserId(uuid::Uuid::from_u128(1))).await.unwrap().is_empty());
        assert!(stores.views.session(KeyId::from_random([7; 12])).await.unwrap().is_none());
        let owners: Vec<(String, String)> = Connection::open(folder.path().join("permitd.db"))
            .unwrap()
            .prepare("SELECT id, owner FROM issued_keys")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let owner = UserId(uuid::Uuid::from_u128(2)).to_string();
        assert_eq!(owners, [(KeyId::from_random([7; 12]).to_string(), owner)], "whoever had it first");
        let log = stores.log.read(0, 10).await.unwrap();
        let log: Vec<_> = log.into_iter().map(|commit| (commit.position, commit.stream)).collect();
        assert_eq!(log, [(1, stream(2)), (2, stream(1))], "in their order");
        for stream in [1, 2].map(stream) {
            let [commit] = <[StoredCommit; 1]>::try_from(stores.log.load(&stream, 0, 2).await.unwrap()).unwrap();
            assert_eq!(commit.hash, Some(ChainHash::START.then(&commit.link())), "and they are chained");
        }
        let command = CommandId::stored("idem:1");
        for (hash, number) in [("one", 1), ("two", 2)] {
            let found = stores.answers.find(&command, hash, Timestamp::UNIX_EPOCH).await.unwrap().unwrap();
            assert_eq!((found.request_hash.as_str(), found.kept), (hash, AnswerPlace::Commit(stream(number))));
        }
        let append = Append {
            stream: stream(3),
            expected_version: 0,
            previous: ChainHash::START,
            command: CommandId::stored("idem:2"),
            request_hash: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            events: issued(7),
            secret: None,
            claims: Vec::new(),
            personal: PersonalChange::Keep,
            administrators: None,
            rows: Rows::default(),
            publishes: false,
        };
        assert!(matches!(stores.log.append(append).await, Err(AppendError::KeyIssued { .. })));
    }
}
