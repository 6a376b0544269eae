//! No file holds values of a withdrawn column.

use super::*;

/// A store whose present and past records hold values that begin with `secret-`.
fn with_secrets() -> Store {
    let store = Store::new();
    let records = |what: &str| {
        (0..1500).map(|n| record(&format!("k{n:04}"), &format!("secret-{what}{n}"), n)).collect::<Vec<_>>()
    };
    store.import(&definition(), &records("old"));
    store.import(&definition(), &records("new")[..700]);
    // Gives up some of the past, and so frees pages.
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &records("new")[..1000]);
    session.commit().unwrap();
    assert!(secrets(&store) > 3000, "the test looks in the right place");
    store
}

/// The number of secret values in the files of the store.
fn secrets(store: &Store) -> usize {
    let files = std::fs::read_dir(store.folder.path().join("records")).unwrap();
    let found = |bytes: Vec<u8>| bytes.windows(7).filter(|window| *window == b"secret-").count();
    files.map(|file| found(std::fs::read(file.unwrap().path()).unwrap())).sum()
}

/// The definition without the column `status`.
fn withdrawn() -> Definition {
    let mut definition = definition();
    definition.columns.remove(2);
    definition.load_date = Some(7);
    definition.indexes.retain(|index| index.partition != "status");
    definition
}

fn without_status(key: &str, cents: i64) -> Record {
    let mut record = record(key, "", cents);
    record.values.remove(2);
    record
}

#[test]
fn what_is_withdrawn_is_in_no_file() {
    let store = with_secrets();
    store.import(&withdrawn(), &[without_status("k0001", 7)]);
    assert_eq!(secrets(&store), 0);
    // All other data is there, also of the past.
    assert_eq!(store.all().len(), 1000);
    let changes = wait(store.store.changes(&store.data_set(), &crate::store::records::Since::Version(1), 1)).unwrap();
    let change = &data(&changes.document.finish(&[], "things", 1))[0];
    assert_eq!(change["before"]["cost"].to_string(), "0.0");
    assert!(change["before"].get("status").is_none(), "{change}");
    assert_eq!(store.import(&withdrawn(), &[without_status("k0001", 7)]).unchanged, 1);
}

#[test]
fn a_data_set_that_begins_anew_leaves_nothing() {
    let store = with_secrets();
    let mut session = store.begin(&definition_with_ids(), true);
    let mut row = record("1", "filed", 1);
    row.values[1] = Value::Text("x".into());
    session.put(1, "1", row).unwrap();
    session.commit().unwrap();
    assert_eq!(secrets(&store), 0);
}

#[test]
fn somebody_who_is_reading_delays_it_and_no_more() {
    let store = with_secrets();
    let reader = rusqlite::Connection::open(store.folder.path().join("records/things.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    store.import(&withdrawn(), &[without_status("k0001", 7)]);
    assert!(secrets(&store) > 0, "the reader still sees them");
    drop(reader);
    // Another process's server notices, and this one does, too.
    let another = store.another();
    wait(another.refresh()).unwrap();
    wait(store.store.refresh()).unwrap();
    assert_eq!(secrets(&store), 0);
}

#[test]
fn an_import_that_died_before_it_is_made_good_by_the_next_start() {
    let store = with_secrets();
    let path = store.folder.path().join("records/things.db");
    store.import(&withdrawn(), &[without_status("k0001", 7)]);
    // The state after a crash right after the commit: marked, with data in a free page.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE scratch (a TEXT)").unwrap();
    connection.execute("INSERT INTO scratch VALUES (?1)", ["secret-again".repeat(2000)]).unwrap();
    connection.execute_batch("DROP TABLE scratch; PRAGMA user_version = 1").unwrap();
    drop(connection);
    assert!(secrets(&store) > 0);
    let restarted = store.another();
    assert_eq!(secrets(&store), 0);
    assert_eq!(restarted.data_set("things").unwrap().records, 1000);
}
