//! Figures of columns are made and kept with a version.

use super::*;

fn records(status: &str) -> Vec<Record> {
    (0..40).map(|n| record(&format!("k{n:02}"), status, n)).collect()
}

/// The most frequent value of the status, if the figures are of the present version.
fn status(store: &SqliteRecordStore) -> Option<String> {
    let figures = store.data_set("things").unwrap().present_figures()?;
    Some(figures.columns[2].values[0].value.text())
}

fn run(store: &Store, sql: &str) {
    let path = store.folder.path().join("records/things.db");
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn an_import_that_died_leaves_the_figures_of_the_version_that_is_there() {
    let store = Store::new();
    store.import(&definition(), &records("filed"));
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &records("issued"));
    session.settle().unwrap();
    let dead = crash::after_a_crash(&store);
    assert_eq!((dead.data_set().version, status(&dead.store).as_deref()), (1, Some("filed")));
    drop(session);
    assert_eq!(status(&store.another()).as_deref(), Some("filed"));
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &records("issued"));
    session.commit().unwrap();
    // A process that finds the version finds its figures.
    let after = crash::after_a_crash(&store);
    assert_eq!((after.data_set().version, status(&after.store).as_deref()), (2, Some("issued")));
}

#[test]
fn a_file_of_an_older_permitd_has_figures_from_the_next_import_on() {
    let store = Store::new();
    store.import(&definition(), &records("filed"));
    run(&store, "DROP TABLE figures");
    let old = store.another();
    assert_eq!((status(&old), old.data_set("things").unwrap().records), (None, 40));
    assert!(!store.import(&definition(), &records("filed")).changed, "the same file");
    assert_eq!(status(&store.store).as_deref(), Some("filed"));
    assert_eq!(status(&store.another()).as_deref(), Some("filed"));
}

#[test]
fn figures_of_another_version_and_damaged_ones_are_not_shown() {
    let store = Store::new();
    store.import(&definition(), &records("filed"));
    // The state after an import by an older permitd, which knows no figures.
    run(&store, "UPDATE state SET version = 2, document = json_set(document, '$.state.version', 2)");
    let other = store.another();
    assert!(other.data_set("things").unwrap().figures.is_some());
    assert_eq!(status(&other), None);
    run(
        &store,
        "UPDATE state SET version = 1, document = json_set(document, '$.state.version', 1); UPDATE figures SET document = '{\"version\":1'",
    );
    let damaged = store.another();
    assert_eq!((status(&damaged), damaged.data_set("things").unwrap().records), (None, 40));
    damaged.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(8), TODAY, false)).unwrap().commit().unwrap();
    assert_eq!(status(&damaged).as_deref(), Some("filed"));
}
