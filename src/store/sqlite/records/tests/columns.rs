//! The column projection: what it is made of, what damages it, and what replaces it.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::*;
use crate::store::records::samples::{any_query, naive};

fn projection_of(store: &Store) -> PathBuf {
    store.folder.path().join("records/things.columns")
}

/// The answer of a store to a query, as text.
fn answer(store: &SqliteRecordStore, query: &Query) -> String {
    let data_set = store.data_set("things").unwrap();
    let page = wait(store.find(&data_set, query)).unwrap();
    String::from_utf8(page.document.finish(&[], "things", 1)).unwrap()
}

fn questions() -> Vec<Query> {
    [
        "sort=latitude",
        "status__contains=FIL&sort=-units",
        "filter=NOT+cost+%3D+7&sort=changed,-number",
        "sort=number,latitude",
    ]
    .map(|raw_query| parsed(&definition(), raw_query))
    .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_changed_byte_is_noticed(
        records in proptest::collection::vec(any_record(), 30..60),
        (place, bit) in (any::<prop::sample::Index>(), 0_u8..8),
        is_open in any::<bool>(),
    ) {
        let store = Store::new();
        store.import(&definition(), &records);
        if is_open {
            store.projecting();
        } else {
            // It is made, and then found by another process.
            let other = projecting(&store.folder);
            other.tend_columns("things").unwrap();
        }
        let path = projection_of(&store);
        let mut bytes = fs::read(&path).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        wait(store.projecting.refresh()).unwrap();
        for query in questions() {
            store.projecting.tend_columns("things").unwrap();
            prop_assert_eq!(answer(&store.projecting, &query), answer(&store.store, &query));
        }
    }

    #[test]
    fn a_file_that_ends_early_is_made_anew(records in proptest::collection::vec(any_record(), 30..60), end in any::<prop::sample::Index>()) {
        let store = Store::new();
        store.import(&definition(), &records);
        store.projecting();
        let path = projection_of(&store);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..end.index(bytes.len())]).unwrap();
        let other = projecting(&store.folder);
        other.tend_columns("things").unwrap();
        prop_assert_eq!(&fs::read(&path).unwrap(), &bytes);
        for query in questions() {
            prop_assert_eq!(answer(&other, &query), answer(&store.store, &query));
        }
    }

    #[test]
    fn another_process_goes_on_where_the_file_is(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..25), any::<bool>()), 2..6),
        queries in proptest::collection::vec(any_query(), 6),
    ) {
        let store = Store::new();
        let mut now: Vec<Record> = Vec::new();
        for (nth, (records, replace)) in imports.iter().enumerate() {
            let mut session = store.begin(&definition(), *replace && nth > 0);
            put_all(&mut *session, records);
            session.commit().unwrap();
            let records = stored(records);
            now.retain(|old| !*replace && !records.iter().any(|new| new.values[..2] == old.values[..2]));
            now.extend(records);
            // Every second version finds the file of the one before.
            if nth % 2 == 0 {
                projecting(&store.folder).tend_columns("things").unwrap();
            }
        }
        let other = projecting(&store.folder);
        other.tend_columns("things").unwrap();
        for query in queries {
            let expected = naive(&definition(), &now, &query);
            let found: serde_json::Value = serde_json::from_str(&answer(&other, &query)).unwrap();
            let most = expected.len().min(query.limit as usize);
            prop_assert_eq!(found["data"].as_array().unwrap(), &expected[..most].to_vec(), "{:?}", query);
        }
    }
}

#[test]
fn a_restored_file_is_not_taken_for_the_one_that_was_projected() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1), record("2", "filed", 2)]);
    let backup = tempfile::tempdir().unwrap();
    let database = store.folder.path().join("records/things.db");
    wait(store.store.close()).unwrap();
    fs::copy(&database, backup.path().join("things.db")).unwrap();
    store.import(&definition(), &[record("1", "issued", 1)]);
    projecting(&store.folder).tend_columns("things").unwrap();
    // The backup gets another version of the same number.
    let Store { folder, store, projecting: idle } = store;
    drop((store, idle));
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(folder.path().join(format!("records/things.db{suffix}"))).ok();
    }
    fs::copy(backup.path().join("things.db"), &database).unwrap();
    let store = Store {
        store: SqliteRecordStore::open(settings(&folder), SystemClock::shared()).unwrap(),
        projecting: projecting(&folder),
        folder,
    };
    store.import(&definition(), &[record("2", "complete", 2)]);
    assert_eq!(store.data_set().version, 2);
    let (found, _) = store.find("sort=-latitude").unwrap();
    assert_eq!(
        found.iter().map(|record| record["status"].as_str().unwrap()).collect::<Vec<_>>(),
        ["complete", "filed"]
    );
}

#[test]
fn what_is_withdrawn_is_in_no_projection() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "a-withdrawn-value", 1), record("2", "filed", 2)]);
    store.projecting();
    let path = projection_of(&store);
    let has_value = |bytes: &[u8]| memchr::memmem::find(bytes, b"a-withdrawn-value").is_some();
    assert!(has_value(&fs::read(&path).unwrap()));
    let mut narrower = definition();
    narrower.columns.remove(2);
    narrower.indexes.remove(0);
    narrower.load_date = Some(7);
    let mut changed = record("2", "filed", 2);
    changed.values.remove(2);
    store.import(&narrower, &[changed]);
    assert!(!path.exists(), "the import has removed it");
    wait(store.projecting.refresh()).unwrap();
    store.projecting.tend_columns("things").unwrap();
    assert!(!has_value(&fs::read(&path).unwrap()));
}

#[test]
fn a_data_set_takes_its_projection_with_it() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1)]);
    store.projecting();
    assert!(projection_of(&store).exists());
    store.store.hold("things", Uuid::from_u128(3)).unwrap().remove().unwrap();
    assert!(!projection_of(&store).exists());
    // One that was being made meanwhile does not stay either.
    store.projecting.tend_columns("things").unwrap();
    wait(store.projecting.refresh()).unwrap();
    store.projecting.tend_columns("things").unwrap();
    assert!(!projection_of(&store).exists());
}

#[test]
fn a_thread_makes_projections_and_ends_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let columns = ColumnSettings { bytes_max: 1 << 20, kept: true, ..settings(&folder).columns };
    let settings = SqliteRecordSettings { columns, ..settings(&folder) };
    let store = SqliteRecordStore::open(settings, SystemClock::shared()).unwrap();
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::from_u128(7), TODAY, false)).unwrap();
    put_all(&mut *session, &[record("1", "filed", 1)]);
    session.commit().unwrap();
    while !store.has_columns("things") {
        std::thread::yield_now();
    }
    assert!(folder.path().join("records/things.columns").exists());
    // Whole files are left by whoever closes.
    wait(store.close()).unwrap();
}

/// A file system that goes with this value.
#[cfg(target_os = "linux")]
struct Mounted(PathBuf);

#[cfg(target_os = "linux")]
impl Mounted {
    /// One of 2 MB; none where none can be mounted.
    fn small(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"]).arg(&path);
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(path))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a connection may still be closing.
        std::process::Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_no_question_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::small(folder.path().join("records")) else { return };
    let store = SqliteRecordStore::open(settings(&folder), SystemClock::shared()).unwrap();
    let order = ImportOrder::new(&definition(), Uuid::from_u128(7), TODAY, false);
    let mut session = store.begin_import(order).unwrap();
    put_all(&mut *session, &[record("1", "filed", 1), record("2", "issued", 2), record("3", "filed", 3)]);
    session.commit().unwrap();
    let before: Vec<String> = questions().iter().map(|query| answer(&store, query)).collect();
    let filling = mounted.0.join("filling");
    let mut file = fs::File::create(&filling).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let columns = ColumnSettings { bytes_max: 1 << 20, kept: true, ..settings(&folder).columns };
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let settings = SqliteRecordSettings { columns, ..settings(&folder) };
    let projecting = SqliteRecordStore::open(settings, clock.clone()).unwrap();
    let is_resting = || projecting.shared.find("things").unwrap().columns.is_resting();
    while !is_resting() {
        std::thread::yield_now();
    }
    let said = projecting.tend_columns("things").unwrap_err();
    assert!(said.contains("the disk is full") && said.contains("make room"), "{said}");
    let ask = || questions().iter().map(|query| answer(&projecting, query)).collect::<Vec<_>>();
    assert_eq!(ask(), before);
    for entry in fs::read_dir(&mounted.0).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("columns"), "{name}");
    }
    fs::remove_file(&filling).unwrap();
    // Not at every question, but after a while.
    assert_eq!(ask(), before);
    assert!(is_resting() && !projecting.has_columns("things"));
    clock.advance_us(61_000_000);
    assert_eq!(ask(), before);
    while !projecting.has_columns("things") {
        std::thread::yield_now();
    }
    assert_eq!(ask(), before);
}

/// What the retention gives up leaves the file when it is a fourth of it.
#[test]
fn what_is_no_longer_held_leaves_the_file() {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let store = Store::with(clock.clone(), Retention { days: 10, changes_max: 1000 });
    let import = |status: &str| store.import(&definition(), &[record("1", status, 1), record("2", "filed", 2)]);
    import("an-outlived-value");
    import("issued");
    store.projecting();
    let has_value = || memchr::memmem::find(&fs::read(projection_of(&store)).unwrap(), b"an-outlived-value").is_some();
    assert!(has_value(), "its version is held");
    clock.advance_us(11 * 86_400_000_000);
    import("complete");
    clock.advance_us(11 * 86_400_000_000);
    import("filed");
    wait(store.projecting.refresh()).unwrap();
    assert_eq!(store.projecting.data_set("things").unwrap().held_from, 3);
    store.projecting.tend_columns("things").unwrap();
    assert!(!has_value());
    assert_eq!(store.find("sort=latitude").unwrap().0[0]["status"], "filed");
}

#[test]
fn imports_and_questions_at_once_see_whole_versions() {
    let store = Store::of(400);
    store.projecting();
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let ask = || {
            let query = parsed(&definition(), "sort=latitude&limit=1000&count=exact");
            while !over.load(Ordering::Relaxed) {
                wait(store.projecting.refresh()).unwrap();
                let data_set = store.projecting.data_set("things").unwrap();
                let page = match wait(store.projecting.find(&data_set, &query)) {
                    Err(RecordStoreError::Busy) => continue,
                    page => page.unwrap(),
                };
                let found = data(&page.document.finish(&[], "things", 1));
                assert_eq!((found.len(), page.count), (400, Some(400)));
                // Each version has one status in all records.
                assert!(found.iter().all(|record| record["status"] == found[0]["status"]), "{}", page.version);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        };
        let asking = [scope.spawn(ask), scope.spawn(ask)];
        for round in 0..12 {
            let status = format!("status {round}");
            let records: Vec<Record> = (0..400).map(|n| record(&format!("k{n:06}"), &status, n)).collect();
            store.import(&definition(), &records);
            // One of these began after the import: more changes at once than are caught up with would end the projection.
            let enough = answered.load(Ordering::Relaxed) + 3;
            while answered.load(Ordering::Relaxed) < enough && !asking.iter().any(|thread| thread.is_finished()) {
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(store.projecting.has_columns("things"));
}

#[test]
fn a_question_that_is_given_up_before_there_are_columns_says_so() {
    let store = Store::of(2000);
    // Where a file would be written, nothing can be.
    std::fs::create_dir(store.folder.path().join("records/things.columns-unfinished")).unwrap();
    for kept in [true, false] {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        let hurried = store.another_with(clock.clone(), |settings| {
            settings.find_timeout_ms = 60;
            settings.columns = ColumnSettings { bytes_max: 20_000, kept, ..settings.columns };
        });
        let data_set = hurried.data_set("things").unwrap();
        clock.hurry_us(10_000);
        let slow = parsed(&data_set.definition, "sort=latitude&status__contains=nothing");
        let told = wait(hurried.find(&data_set, &slow)).unwrap_err().to_string();
        assert_eq!(told.contains("repeat it in a minute, when the columns are ready"), kept, "{told}");
        assert!(told.contains("given up after 60 ms") && told.contains("indexed column"), "{told}");
    }
}
