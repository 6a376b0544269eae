//! Point reads: the found records, the contents of the cache, and other processes' imports.

use super::*;

#[test]
fn all_records_of_a_key_in_their_order() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "a", 1), record("2", "b", 2), record("1", "c", 3)]);
    let reader = store.store.reader();
    for _from_the_store_then_from_the_cache in 0..2 {
        let found = wait(reader.get("things", "1", None)).unwrap().unwrap();
        assert_eq!((found.version, found.count), (1, 2));
        let records = data(&found.document);
        assert_eq!((&records[0]["status"], &records[1]["status"]), (&"a".into(), &"c".into()));
        let one = wait(reader.get("things", "1", Some("2"))).unwrap().unwrap();
        assert_eq!(data(&one.document), records[1..]);
    }
    assert!(store.store.shared.cache.weight() > 0);
    for (key, id) in [("1", "3"), ("1", "02"), ("1", "+2"), ("1", "x"), ("9", "1")] {
        assert_eq!(wait(reader.get("things", key, Some(id))).unwrap(), None);
    }
    assert_eq!(wait(reader.get("things", "9", None)).unwrap(), None);
    assert!(matches!(wait(reader.get("other", "1", None)), Err(RecordStoreError::UnknownDataSet { .. })));
}

#[test]
fn an_import_is_seen_at_once_here_and_after_a_refresh_elsewhere() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1)]);
    let other = store.another();
    let (here, there) = (store.store.reader(), other.reader());
    let status = |reader: &dyn RecordReader| {
        let found = wait(reader.get("things", "1", None)).unwrap().unwrap();
        (found.version, data(&found.document)[0]["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status(&*here), (1, "filed".into()));
    assert_eq!(status(&*there), (1, "filed".into()));
    store.import(&definition(), &[record("1", "issued", 1), record("2", "filed", 1)]);
    assert_eq!(status(&*here), (2, "issued".into()));
    assert_eq!(status(&*there), (1, "filed".into()), "answers may be as old as the last refresh");
    wait(other.refresh()).unwrap();
    assert_eq!(status(&*there), (2, "issued".into()));
    assert_eq!(other.data_set("things").unwrap().records, 2);
}

#[test]
fn a_read_past_the_cache_notices_the_new_version() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1), record("2", "filed", 1)]);
    let other = store.another();
    let there = other.reader();
    wait(there.get("things", "1", None)).unwrap();
    store.import(&definition(), &[record("1", "issued", 1)]);
    assert_eq!(wait(there.get("things", "2", None)).unwrap().unwrap().version, 2);
    assert_eq!(wait(there.get("things", "1", None)).unwrap().unwrap().version, 2, "no caller sees time run backwards");
}

#[test]
fn a_data_set_of_another_process_appears() {
    let store = Store::new();
    let other = store.another();
    store.import(&definition(), &[record("1", "filed", 1)]);
    assert!(other.data_set("things").is_none());
    wait(other.refresh()).unwrap();
    assert_eq!(other.data_set("things").unwrap().records, 1);
}

#[test]
fn the_cache_keeps_within_its_bound() {
    let store = Store::new();
    let records: Vec<Record> = (0..5000).map(|n| record(&format!("k{n}"), &"x".repeat(500), n)).collect();
    store.import(&definition(), &records);
    let reader = store.store.reader();
    for record in &records {
        wait(reader.get("things", key(record), None)).unwrap().unwrap();
    }
    assert!(store.store.shared.cache.weight() <= 1 << 20);
}

#[test]
fn too_many_records_of_one_key_are_refused() {
    let store = Store::new();
    let records: Vec<Record> = (0..90).map(|n| record("1", &"x".repeat(100_000), n)).collect();
    store.import(&definition(), &records);
    let refused = wait(store.store.reader().get("things", "1", None));
    assert!(matches!(refused, Err(RecordStoreError::TooLarge { .. })));
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("records")).unwrap();
    std::fs::write(folder.path().join("records/things.db"), "not a database, but a text of some length").unwrap();
    let refused = SqliteRecordStore::open(settings(&folder), fake_clock()).err().unwrap();
    assert!(refused.to_string().contains("things"), "{refused}");
}
