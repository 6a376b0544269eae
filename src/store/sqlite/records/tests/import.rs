//! Imports: what is written and kept, and that nothing is visible before the commit.

use super::*;

#[test]
fn the_same_file_again_changes_nothing() {
    let store = Store::new();
    let records = [record("1", "issued", 100), record("2", "issued", 200), record("1", "filed", 300)];
    let first = store.import(&definition(), &records);
    assert_eq!((first.version, first.changed, first.inserted), (1, true, 3));

    let mut session =
        store.store.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(8), date(2027, 1, 1), true)).unwrap();
    assert_eq!(put_all(&mut *session, &records), [RowOutcome::Unchanged; 3]);
    let second = session.commit().unwrap();
    assert_eq!((second.version, second.changed, second.unchanged), (1, false, 3));
    assert_eq!(store.data_set().last_import.id, Uuid::from_u128(8));
    assert!(store.all().iter().all(|record| record["load_date"] == "2026-11-22"));
}

#[test]
fn a_changed_row_is_updated_and_dated() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 100), record("2", "filed", 200)]);
    let mut session =
        store.store.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(8), date(2027, 1, 1), false)).unwrap();
    let outcomes =
        put_all(&mut *session, &[record("1", "issued", 100), record("2", "filed", 200), record("2", "new", 1)]);
    assert_eq!(outcomes, [RowOutcome::Updated, RowOutcome::Unchanged, RowOutcome::Inserted]);
    let result = session.commit().unwrap();
    assert_eq!((result.version, result.inserted, result.updated, result.unchanged), (2, 1, 1, 1));
    assert_eq!(store.data_set().records, 3);
    let all = store.all();
    let rows: Vec<_> =
        all.iter().map(|r| (r["number"].as_str(), r["record_id"].as_i64(), r["load_date"].as_str())).collect();
    assert_eq!(
        rows,
        [
            (Some("1"), Some(1), Some("2027-01-01")),
            (Some("2"), Some(1), Some("2026-11-22")),
            (Some("2"), Some(2), Some("2027-01-01"))
        ]
    );
}

#[test]
fn a_dropped_import_leaves_everything_as_it_was() {
    let store = Store::new();
    let mut session = store.begin(&definition(), false);
    put_all(&mut *session, &[record("1", "filed", 1)]);
    drop(session);
    assert!(store.store.data_sets().is_empty());
    wait(store.store.refresh()).unwrap();
    assert!(store.another().data_sets().is_empty());

    store.import(&definition(), &[record("1", "filed", 1)]);
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &[record("1", "issued", 1), record("9", "issued", 1)]);
    assert_eq!(store.all()[0]["status"], "filed");
    drop(session);
    let again = store.another();
    assert_eq!(again.data_set("things").unwrap().version, 1);
    assert_eq!(store.all().len(), 1);
    assert_eq!(store.all()[0]["status"], "filed");
    // The next import is not blocked.
    store.import(&definition(), &[record("1", "issued", 1)]);
    assert_eq!(store.all()[0]["status"], "issued");
}

#[test]
fn one_import_at_a_time_in_any_process() {
    let store = Store::new();
    let running = store.begin(&definition(), false);
    let other = store.another().begin_import(ImportOrder::new(&definition(), Uuid::from_u128(8), TODAY, false));
    assert!(matches!(other, Err(RecordStoreError::ImportRunning { .. })));
    drop(running);
    store.import(&definition(), &[]);
    assert_eq!(store.data_set().version, 1);
}

#[test]
fn replacing_removes_what_the_file_does_not_hold() {
    let store = Store::new();
    let records: Vec<Record> = (0..1300).map(|n| record(&format!("k{n:04}"), "filed", n)).collect();
    store.import(&definition(), &records);
    let mut session = store.begin(&definition(), true);
    put_all(&mut *session, &records[1200..]);
    put_all(&mut *session, &[record("new", "filed", 1)]);
    let result = session.commit().unwrap();
    assert_eq!((result.removed, result.unchanged, result.inserted), (1200, 100, 1));
    assert_eq!(store.data_set().records, 101);
    assert_eq!(store.all().len(), 101);
}

#[test]
fn a_rejected_row_keeps_its_ordinal_and_its_stored_record() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "a", 1), record("1", "b", 2), record("1", "c", 3), record("2", "d", 4)]);
    let mut session = store.begin(&definition(), true);
    session.put(1, "1", record("1", "a", 1)).unwrap();
    session.reject(Some("1")).unwrap();
    session.reject(None).unwrap();
    assert_eq!(session.put(3, "1", record("1", "c", 3)).unwrap(), RowOutcome::Unchanged);
    let result = session.commit().unwrap();
    assert_eq!((result.unchanged, result.removed), (2, 1));
    let statuses: Vec<String> = store.all().iter().map(|r| r["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(statuses, ["a", "b", "c"]);
}

#[test]
fn ids_of_the_file_are_unique_in_it() {
    let store = Store::new();
    let with_id = |key: &str, id: &str, status: &str| {
        let mut record = record(key, status, 1);
        record.values[1] = Value::Text(id.into());
        record
    };
    let mut session = store.begin(&definition_with_ids(), false);
    let outcomes = put_all(
        &mut *session,
        &[with_id("1", "x", "a"), with_id("1", "y", "b"), with_id("1", "x", "c"), with_id("2", "x", "d")],
    );
    assert_eq!(
        outcomes,
        [RowOutcome::Inserted, RowOutcome::Inserted, RowOutcome::Duplicate { first_line: 1 }, RowOutcome::Inserted]
    );
    let result = session.commit().unwrap();
    assert_eq!((result.inserted, result.unchanged), (3, 0));

    let mut session = store.begin(&definition_with_ids(), true);
    session.reject(Some("1")).unwrap();
    let result = session.commit().unwrap();
    assert_eq!(result.removed, 1, "the records of a rejected key stay");
}

#[test]
fn other_columns_take_effect_with_the_next_import() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 100), record("2", "filed", 200)]);
    let asked = store.data_set();
    let query = parsed(&asked.definition, "");

    // `units` is removed, `zip` is added, `latitude` becomes a text.
    let mut changed = definition();
    changed.columns.remove(3);
    changed.columns[4].kind = ColumnType::Text;
    changed.columns.push(Column {
        name: "zip".into(),
        kind: ColumnType::Text,
        description: String::new(),
        personal: false,
        searchable: false,
    });
    changed.load_date = Some(7);
    changed.indexes.retain(|index| index.partition != "units");
    let mut row = record("1", "filed", 100);
    row.values.remove(3);
    row.values[3] = Value::Money(100);
    row.values[4] = Value::Null;
    row.values.push(Value::Text("94110".into()));
    let mut session =
        store.store.begin_import(ImportOrder::new(&changed, Uuid::from_u128(8), date(2027, 1, 1), false)).unwrap();
    row.values[5] = Value::Null;
    assert_eq!(session.put(1, "1", row.clone()).unwrap(), RowOutcome::Updated);
    assert_eq!(store.data_set().definition, asked.definition);
    let result = session.commit().unwrap();
    assert_eq!((result.version, result.changed, result.updated), (2, true, 1));

    let all = store.all();
    assert_eq!(all[0]["zip"], "94110");
    assert_eq!(all[1]["zip"], serde_json::Value::Null);
    assert_eq!(all[1]["cost"].to_string(), "2.0");
    assert_eq!(all[1]["load_date"], "2026-11-22");
    assert!(all[1].get("units").is_none());
    // A query that was made for the old columns is not run on the new ones.
    let late = wait(store.store.find(&asked, &query));
    assert!(matches!(late, Err(RecordStoreError::DefinitionChanged { .. })));
}

#[test]
fn another_identity_needs_replacing() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 100)]);
    let refused = store.store.begin_import(ImportOrder::new(&definition_with_ids(), Uuid::from_u128(8), TODAY, false));
    assert!(matches!(refused, Err(RecordStoreError::IdentityChanged { .. })));
    let mut session = store.begin(&definition_with_ids(), true);
    let mut row = record("2", "filed", 1);
    row.values[1] = Value::Text("x".into());
    session.put(1, "2", row).unwrap();
    let result = session.commit().unwrap();
    assert_eq!((result.inserted, result.removed, store.data_set().records), (1, 1, 1));
}

#[test]
fn other_indexes_alone_are_no_new_version() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 100)]);
    let mut changed = definition();
    changed.title = "Other things".into();
    changed.indexes.remove(1);
    let result = store.import(&changed, &[record("1", "filed", 100)]);
    assert!(!result.changed);
    assert_eq!(store.data_set().definition.title, "Other things");
    let connection = rusqlite::Connection::open(store.folder.path().join("records/things.db")).unwrap();
    let count: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'records'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(count, 3);
}

#[test]
fn a_row_of_the_wrong_shape_is_a_defect_and_says_so() {
    let store = Store::new();
    let mut session = store.begin(&definition(), false);
    let mut short = record("1", "filed", 1);
    short.values.pop();
    assert!(matches!(session.put(3, "1", short), Err(RecordStoreError::BadRow { line: 3, .. })));
    let mut wrong = record("1", "filed", 1);
    wrong.values[4] = Value::Text("1".into());
    assert!(matches!(session.put(4, "1", wrong), Err(RecordStoreError::BadRow { line: 4, .. })));
}

#[test]
fn names_are_file_names() {
    let store = Store::new();
    for name in ["", "../up", "A", "a.b", &"x".repeat(65)] {
        let mut definition = definition();
        definition.name = name.to_owned();
        let refused = store.store.begin_import(ImportOrder::new(&definition, Uuid::nil(), TODAY, false));
        assert!(matches!(refused, Err(RecordStoreError::BadName { .. })), "{name}");
    }
}

#[test]
fn the_log_is_short_after_an_import() {
    let store = Store::new();
    let records: Vec<Record> = (0..5000).map(|n| record(&format!("k{n}"), "filed", n)).collect();
    store.import(&definition(), &records);
    let log = std::fs::metadata(store.folder.path().join("records/things.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0);
}

#[test]
fn who_only_looks_whether_an_import_runs_is_in_no_imports_way() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 100)]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.store.is_importing("things").unwrap();
            }
        });
        let begun: Vec<bool> = (0..200)
            .map(|number| {
                store.store.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(number), TODAY, false)).is_ok()
            })
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(begun.iter().all(|begun| *begun), "{} were refused", begun.iter().filter(|begun| !**begun).count());
    });
}
