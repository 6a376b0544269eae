//! A process dies during an import: the files serve the data set as before the import, or as after it.
//!
//! Two ways to die: the files at some step, copied and opened elsewhere, which equals a process that ends at that step; and a real
//! process that is killed somewhere in its commit.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use super::*;

/// Together larger than an import's page cache: some of them are in the files before the commit.
const RECORDS: usize = 2_500;
const STATUS_BYTES: usize = 10_000;
/// The moments of a commit at which the process is killed.
const KILLS: u32 = 4;
/// The environment variable with the folder of the killed process.
const FOLDER: &str = "PERMITD_TEST_IMPORT_INTO";
const ENDED_AFTER: Duration = Duration::from_secs(120);

fn long_record(number: usize, letter: &str) -> Record {
    record(&format!("k{number:05}"), &letter.repeat(STATUS_BYTES), 1)
}

fn long_records(letter: &str) -> Vec<Record> {
    (0..RECORDS).map(|number| long_record(number, letter)).collect()
}

/// A store over the files in their present state, as another machine would find them after this process died.
pub(super) fn after_a_crash(store: &Store) -> Store {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("records")).unwrap();
    for entry in std::fs::read_dir(store.folder.path().join("records")).unwrap() {
        let path = entry.unwrap().path();
        // The shared memory dies with the processes that shared it.
        if !path.to_str().unwrap().ends_with("-shm") {
            std::fs::copy(&path, folder.path().join("records").join(path.file_name().unwrap())).unwrap();
        }
    }
    let opened = SqliteRecordStore::open(settings(&folder), SystemClock::shared()).unwrap();
    Store { store: opened, projecting: projecting(&folder), folder }
}

fn database_bytes(store: &Store) -> u64 {
    std::fs::metadata(store.folder.path().join("records/things.db")).unwrap().len()
}

fn log_bytes(store: &Store) -> u64 {
    std::fs::metadata(store.folder.path().join("records/things.db-wal")).unwrap().len()
}

fn first_record(store: &Store) -> serde_json::Value {
    let (records, _) = store.find("limit=1").unwrap();
    records[0].clone()
}

fn status_begins_with(store: &Store, letter: &str) {
    let reader = store.store.reader();
    for number in [0, RECORDS / 2, RECORDS - 1] {
        let found = wait(reader.get("things", &format!("k{number:05}"), None)).unwrap().unwrap();
        assert!(data(&found.document)[0]["status"].as_str().unwrap().starts_with(letter));
    }
}

#[test]
fn a_first_import_that_died_leaves_nothing_and_is_in_nobodys_way() {
    let store = Store::new();
    let mut session = store.begin(&definition(), false);
    let begun = after_a_crash(&store);
    put_all(&mut *session, &long_records("a"));
    assert!(database_bytes(&store) > 1 << 20, "part of the records is in the file");
    let midway = after_a_crash(&store);
    for dead in [begun, midway] {
        assert!(dead.store.data_sets().is_empty());
        assert!(!dead.store.is_importing("things").unwrap());
        dead.import(&definition(), &[record("1", "issued", 1)]);
        assert_eq!(dead.all().len(), 1);
    }
    session.commit().unwrap();
    status_begins_with(&after_a_crash(&store), "a");
}

#[test]
fn an_import_that_died_leaves_the_data_set_as_it_was() {
    let store = Store::new();
    store.import(&definition(), &long_records("a"));
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &long_records("b"));
    assert!(log_bytes(&store) > 1 << 20, "part of the records is in the log");
    let dead = after_a_crash(&store);
    assert_eq!((dead.data_set().version, dead.data_set().records), (1, RECORDS as u64));
    status_begins_with(&dead, "a");
    dead.import(&definition(), &long_records("c"));
    status_begins_with(&dead, "c");
    session.commit().unwrap();
    status_begins_with(&after_a_crash(&store), "b");
}

#[test]
fn an_import_that_died_with_new_columns_leaves_the_old_ones() {
    let store = Store::new();
    store.import(&definition(), &long_records("a"));
    let mut changed = definition();
    changed.columns[5].name = "height".into();
    let session = store.begin(&changed, false);
    assert!(log_bytes(&store) > 1 << 20, "part of the new table is in the log");
    let dead = after_a_crash(&store);
    assert_eq!((dead.data_set().version, dead.data_set().generation), (1, 1));
    assert!(first_record(&dead).get("latitude").is_some());
    status_begins_with(&dead, "a");
    session.commit().unwrap();
    assert!(first_record(&store).get("height").is_some());
}

/// Not a test by itself: the code of the process that is killed.
#[test]
fn imports_into_the_folder_of_the_environment() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let settings = SqliteRecordSettings {
        directory: folder.into(),
        cache_bytes: 1 << 20,
        ..settings(&tempfile::tempdir().unwrap())
    };
    let store = SqliteRecordStore::open(settings, SystemClock::shared()).unwrap();
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(8), TODAY, true)).unwrap();
    put_all(&mut *session, &long_records("b"));
    println!("\nall rows are in");
    session.commit().unwrap();
    println!("\nthe import is done");
}

/// Starts an import in another process and kills it this long after its commit began. Returns the duration of the commit, if it
/// ended.
fn killed_after(store: &Store, delay: Duration) -> Option<Duration> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::sqlite::records::tests::crash::imports_into_the_folder_of_the_environment"])
        .args(["--nocapture", "--test-threads=1"])
        .env(FOLDER, store.folder.path().join("records"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, said) = channel();
    let listener = std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("all rows") || line.starts_with("the import"))
            .all(|line| sender.send(line).is_ok())
    });
    assert_eq!(said.recv_timeout(ENDED_AFTER).as_deref(), Ok("all rows are in"));
    let began = Instant::now();
    let ended = match said.recv_timeout(delay) {
        Ok(_) => Some(began.elapsed()),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => panic!("the import failed"),
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(listener.join().unwrap());
    ended
}

#[test]
fn a_first_import_that_is_killed_in_its_commit_happened_or_not() {
    let whole = killed_after(&Store::new(), ENDED_AFTER).unwrap();
    for kill in 0..KILLS {
        let store = Store::new();
        let ended = killed_after(&store, whole * kill / KILLS);
        wait(store.store.refresh()).unwrap();
        if store.store.data_sets().is_empty() {
            assert!(ended.is_none(), "what was committed is served");
        } else {
            assert_eq!(store.data_set().records, RECORDS as u64);
            status_begins_with(&store, "b");
        }
        store.import(&definition(), &long_records("c"));
        status_begins_with(&store, "c");
    }
}

#[test]
fn an_import_that_is_killed_in_its_commit_happened_or_not() {
    let store = Store::new();
    store.import(&definition(), &long_records("a"));
    let whole = killed_after(&after_a_crash(&store), ENDED_AFTER).unwrap();
    for kill in 0..KILLS {
        let dead = after_a_crash(&store);
        let ended = killed_after(&dead, whole * kill / KILLS);
        wait(dead.store.refresh()).unwrap();
        let version = dead.data_set().version;
        assert!(version == 2 || ended.is_none(), "what was committed is served");
        status_begins_with(&dead, if version == 2 { "b" } else { "a" });
        assert_eq!(dead.data_set().records, RECORDS as u64);
        dead.import(&definition(), &[long_record(0, "c")]);
    }
}
