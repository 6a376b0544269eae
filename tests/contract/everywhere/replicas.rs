//! What becomes of a node's copies of records: they are made anew where they are not what they should be, and nothing is lost
//! with them.

use std::{fs, path::Path, sync::Arc, time::Duration};

use permitd::{
    clock::ManualClock,
    dataset::query::{Facets, Format, Query, Since, Stats},
    store::{
        dynamodb::records::{DynamoRecordStore, RecordSettings},
        records::{ImportOrder, RecordStore, RecordStoreError, Retention},
        sqlite::records::{FileRole, SqliteRecordStore},
    },
};
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning,
    dynamodb::{DAY_US, SECOND_US, all, import, records, statuses},
    export, get, heard,
    imports::past,
    put_all,
    samples::definition,
    settings_of, sqlite, wait,
};
use crate::support;

const ROWS: usize = 400;

/// A deployment with three versions, and the directory of a node that has a copy of the first two.
struct Copied {
    tables: Tables,
    clock: Arc<ManualClock>,
    importing: Arc<dyn RecordStore>,
    settings: RecordSettings,
}

impl Copied {
    fn new() -> Self {
        let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
        let importing: Arc<dyn RecordStore> = tables.store(clock.clone());
        import(&importing, &records(ROWS, "filed"), false);
        import(&importing, &records(ROWS - 1, "issued"), true);
        let settings = tables.settings(Retention::default());
        drop(tables.open(clock.clone(), settings.clone()));
        import(&importing, &records(ROWS + 1, "complete"), false);
        Self { tables, clock, importing, settings }
    }

    fn file(&self) -> std::path::PathBuf {
        self.settings.replica.directory.join("things.db")
    }

    fn node(&self) -> Arc<dyn RecordStore> {
        self.tables.open(self.clock.clone(), self.settings.clone())
    }

    /// Checks that a node has all that there is.
    #[track_caller]
    fn check(&self, node: &Arc<dyn RecordStore>) {
        let query = Query { format: Some(Format::Ndjson), ..all() };
        assert!(export(node, &query).unwrap() == export(&self.importing, &query).unwrap());
        for (here, there) in past(node).into_iter().zip(past(&self.importing)) {
            assert_eq!(here, there);
        }
        assert_eq!(past(node).len(), past(&self.importing).len());
        assert_eq!(node.copies()[0].versions_behind, 0);
    }

    /// How often the table is scanned while a node opens.
    fn scans(&self) -> u64 {
        let (sent, node) = self.tables.sent(|| self.node());
        self.check(&node);
        sent.into_iter().find(|(operation, _)| operation == "Scan").map_or(0, |(_, count)| count)
    }
}

#[test]
fn a_copy_that_is_there_is_gone_on_with() {
    let copied = Copied::new();
    assert_eq!(copied.scans(), 0);
}

/// What is done to a file.
type Damage = fn(&Path);

#[test]
fn a_copy_that_is_gone_or_damaged_is_made_anew() {
    let damages: [(&str, Damage); 5] = [
        ("gone", |file| fs::remove_file(file).unwrap()),
        ("empty", |file| fs::write(file, b"").unwrap()),
        ("no database", |file| fs::write(file, vec![7; 100_000]).unwrap()),
        ("cut short", |file| fs::File::options().write(true).open(file).unwrap().set_len(20_000).unwrap()),
        ("flipped bytes", |file| {
            let mut bytes = fs::read(file).unwrap();
            // The beginnings of all pages but the first: what SQLite goes by.
            bytes.chunks_mut(8192).skip(1).for_each(|page| page[..8].iter_mut().for_each(|byte| *byte ^= 0xff));
            fs::write(file, bytes).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let copied = Copied::new();
        damage(&copied.file());
        assert!(copied.scans() > 0, "{what}");
    }
}

#[test]
fn a_copy_that_is_damaged_under_a_node_is_made_anew() {
    let copied = Copied::new();
    // Once closed, all is in the file and nothing in its log.
    drop(copied.node());
    let node = copied.node();
    let mut bytes = fs::read(copied.file()).unwrap();
    bytes.chunks_mut(8192).skip(1).for_each(|page| page[..8].iter_mut().for_each(|byte| *byte ^= 0xff));
    // In place: it is the file that the node has open.
    use std::os::unix::fs::FileExt as _;
    fs::File::options().write(true).open(copied.file()).unwrap().write_all_at(&bytes, 0).unwrap();
    // A connection of its own, which has read nothing yet.
    let told = export(&node, &Query { format: Some(Format::Ndjson), ..all() }).map(drop);
    assert!(told.is_err(), "{told:?}");
    assert!(get(&node, "k001", None).is_some(), "reads by key go on");
    heard(&node);
    copied.check(&node);
}

#[test]
fn a_copy_of_another_deployment_is_made_anew() {
    let (copied, other) = (Copied::new(), Copied::new());
    fs::copy(other.file(), copied.file()).unwrap();
    assert!(copied.scans() > 0);
}

/// An import by an id that the test chooses.
fn import_as(id: u128, store: &Arc<dyn RecordStore>, status: &str) {
    let order = ImportOrder::new(&definition(), Uuid::from_u128(id), TODAY, false);
    let mut session = store.begin_import(order).unwrap();
    put_all(&mut *session, &records(ROWS, status));
    assert!(session.commit().unwrap().changed);
}

/// The tables are restored from a backup: what a node has copied was in them before, and is not in what they hold now, though the
/// data set is the same, and the numbers of its versions and of its epochs are.
#[test]
fn a_copy_of_what_was_there_before_a_backup_was_restored_is_made_anew() {
    for later in [0, 1, 2] {
        let [(before, old), (restored, importing)] = [(); 2].map(|()| {
            let tables = Tables::new(&definition());
            let importing: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
            import_as(1, &importing, "in the backup");
            (tables, importing)
        });
        import_as(2, &old, "lost");
        let settings = before.settings(Retention::default());
        drop(before.open(ManualClock::at(beginning()), settings.clone()));
        // With as many versions as were lost, and with more.
        for number in 0..=later {
            import_as(3 + number, &importing, &format!("after the restore, {number}"));
        }
        let node: Arc<dyn RecordStore> = restored.open(ManualClock::at(beginning()), settings.clone());
        let query = Query { format: Some(Format::Ndjson), ..all() };
        let same = |node: &Arc<dyn RecordStore>| {
            assert!(export(node, &query).unwrap() == export(&importing, &query).unwrap(), "later: {later}");
            assert_eq!(past(node), past(&importing));
        };
        same(&node);
        // What it compares with is what there is.
        import_as(10, &node, "lost");
        heard(&importing);
        same(&node);
    }
}

/// A server and the commands beside it have one directory, and hear of the same versions at the same time.
#[test]
fn two_processes_that_follow_in_one_directory_do_not_trip_each_other() {
    let copied = Copied::new();
    let both = [copied.node(), copied.node()];
    for number in 0..12 {
        import(&copied.importing, &records(ROWS, &format!("status {number}")), false);
        std::thread::scope(|scope| {
            for node in &both {
                scope.spawn(|| heard(node));
            }
        });
    }
    for node in &both {
        heard(node);
        copied.check(node);
    }
}

/// A command in a server's directory brings their common file to its version, of which the server hears later.
#[test]
fn no_question_runs_ahead_of_the_reads_by_key() {
    let copied = Copied::new();
    let (node, command) = (copied.node(), copied.node());
    let reader = node.reader();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let by_key = || runtime.block_on(reader.get("things", "k001", None)).unwrap().unwrap().version;
    let figures = Stats { filter: all().filter, columns: vec![3], numbers_as_texts: false, as_of: None };
    let values = Facets { filter: all().filter, columns: vec![2], limit: 5, numbers_as_texts: false, as_of: None };
    let at_once = || {
        let data_set = node.data_set("things").unwrap();
        // What it cannot answer at once goes to the actors' other way.
        reader.find_now(&data_set, &all()).map(|page| page.unwrap().version)
    };
    let asked: [(&str, &dyn Fn() -> Option<u64>); 7] = [
        ("a page", &|| Some(super::find(&node, &all()).unwrap().version)),
        ("a page at once", &at_once),
        ("facets", &|| Some(super::facets(&node, &values).unwrap().version)),
        ("figures", &|| Some(super::stats(&node, &figures).unwrap().version)),
        ("changes", &|| Some(super::changes(&node, &Since::Version(3), 10).unwrap().version)),
        ("a history", &|| Some(super::history(&node, "k001", None, None, 10).unwrap().unwrap().version)),
        ("an export", &|| {
            let (node, query) = (Arc::clone(&node), Query { format: Some(Format::Ndjson), ..all() });
            let export =
                wait(async move { node.export(&node.data_set("things").unwrap(), &query).await.unwrap().version });
            Some(export)
        }),
    ];
    for (number, (what, ask)) in asked.iter().enumerate() {
        import(&command, &records(ROWS, &format!("status {number}")), false);
        let seen = ask();
        assert!(*what == "a page at once" || seen.is_some());
        assert!(by_key() >= seen.unwrap_or(0), "{what}: of version {seen:?}, and by key of {}", by_key());
    }
}

/// The replica is a version further than what this node shows, and cannot go on to the next one, which is committed: it is locked.
#[test]
fn a_version_that_cannot_be_shown_yet_is_not_answered() {
    let copied = Copied::new();
    let (node, command) = (copied.node(), copied.node());
    import(&command, &records(ROWS, "by the command"), false);
    import(&copied.importing, &records(ROWS, "elsewhere"), false);
    let lock = rusqlite::Connection::open(copied.file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(get(&node, "k001", None).unwrap().version, 3);
    let told = super::find(&node, &all()).map(|page| page.version).unwrap_err();
    assert!(matches!(told, RecordStoreError::Committing { .. }), "{told}");
    assert_eq!(get(&node, "k001", None).unwrap().version, 3);
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(super::find(&node, &all()).unwrap().version, 4, "which it had before it looked for what is to be shown");
    assert_eq!(get(&node, "k001", None).unwrap().version, 5);
    assert_eq!(super::find(&node, &all()).unwrap().version, 5);
}

/// Puts a file in the place of a node's, as it runs: as another file, or into the one that is open.
fn put(file: &Path, over: &Path, in_place: bool) {
    let bytes = fs::read(file).unwrap();
    if in_place {
        return fs::write(over, bytes).unwrap();
    }
    let beside = over.with_extension("beside");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, over).unwrap();
}

#[test]
fn another_deployments_copy_that_is_put_under_a_node_is_never_answered_from() {
    for in_place in [false, true] {
        let (copied, other) = (Copied::new(), Copied::new());
        import(&other.importing, &records(ROWS + 1, "of others"), false);
        let (theirs, ours) = (other.node(), copied.node());
        other.check(&theirs);
        copied.check(&ours);
        drop(theirs);
        put(&other.file(), &copied.file(), in_place);
        // A connection of its own, to what is there now.
        let query = Query { format: Some(Format::Ndjson), ..all() };
        let right = export(&copied.importing, &query).unwrap();
        for _ in 0..3 {
            match export(&ours, &query) {
                Ok(answer) => assert!(answer == right, "another deployment's records, in place: {in_place}"),
                Err(error) => assert!(
                    matches!(error, RecordStoreError::DefinitionChanged { .. } | RecordStoreError::Copying { .. }),
                    "{error}"
                ),
            }
        }
        heard(&ours);
        copied.check(&ours);
    }
}

#[test]
fn an_older_copy_of_its_own_that_is_put_under_a_node_is_followed_from_or_made_anew() {
    for (in_place, by_sqlite) in [(false, false), (true, false), (false, true), (true, true)] {
        let copied = Copied::new();
        let (older, node) = (copied.tables.scratch.path().join("older.db"), copied.node());
        match by_sqlite {
            // SQLite's own copy has no write-ahead log any more.
            true => {
                let connection = rusqlite::Connection::open(copied.file()).unwrap();
                connection.execute("VACUUM INTO ?", [older.to_str().unwrap()]).map(drop).unwrap();
            }
            false => fs::copy(copied.file(), &older).map(drop).unwrap(),
        }
        import(&copied.importing, &records(ROWS + 2, "later"), false);
        heard(&node);
        copied.check(&node);
        put(&older, &copied.file(), in_place);
        for _ in 0..3 {
            let hearing = Arc::clone(&node);
            drop(wait(async move { hearing.refresh().await }));
        }
        heard(&node);
        copied.check(&node);
        import(&copied.importing, &records(ROWS + 2, "later still"), false);
        heard(&node);
        copied.check(&node);
    }
}

/// While the node goes from version to version, on from the older copy.
#[test]
fn no_version_is_shown_again_that_was_left_behind() {
    let copied = Copied::new();
    let (older, node) = (copied.tables.scratch.path().join("older.db"), copied.node());
    fs::copy(copied.file(), &older).unwrap();
    for number in 0..8 {
        import(&copied.importing, &records(ROWS, &format!("status {number}")), false);
    }
    heard(&node);
    copied.check(&node);
    let present = node.data_set("things").unwrap().version;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shown = scope.spawn(|| {
            let mut oldest = present;
            while !is_over.load(std::sync::atomic::Ordering::Acquire) {
                oldest = oldest.min(node.data_set("things").unwrap().version);
            }
            oldest
        });
        for _ in 0..3 {
            put(&older, &copied.file(), false);
            heard(&node);
        }
        is_over.store(true, std::sync::atomic::Ordering::Release);
        assert_eq!(shown.join().unwrap(), present);
    });
    copied.check(&node);
}

#[test]
fn a_file_of_an_embedded_server_that_is_put_under_a_node_is_told_of_until_it_is_gone() {
    let copied = Copied::new();
    let folder = support::data_dir();
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, copied.clock.clone(), Retention::default()));
    import(&embedded, &records(ROWS + 1, "of its own"), false);
    drop(embedded);
    let own = folder.path().join("records/things.db");
    let node = copied.node();
    copied.check(&node);
    put(&own, &copied.file(), false);
    let query = Query { format: Some(Format::Ndjson), ..all() };
    let refused = |error: &RecordStoreError| {
        matches!(
            error,
            RecordStoreError::DefinitionChanged { .. }
                | RecordStoreError::Copying { .. }
                | RecordStoreError::Unavailable { .. }
        )
    };
    let right = export(&copied.importing, &query).unwrap();
    let told = export(&node, &query);
    assert!(told.as_ref().map_or_else(refused, |answer| *answer == right), "{told:?}");
    for _ in 0..2 {
        let hearing = Arc::clone(&node);
        let told = wait(async move { hearing.refresh().await }).unwrap_err();
        assert!(matches!(told, RecordStoreError::WrongRole { .. }), "{told}");
        let copy = node.copies().remove(0);
        assert!(!copy.is_ready && copy.trouble.unwrap().contains("holds records of its own"));
        for told in [export(&node, &query).map(drop), super::find(&node, &all()).map(drop)] {
            let told = told.unwrap_err();
            assert!(refused(&told), "{told}");
        }
        assert!(get(&node, "k001", None).is_some(), "reads by key go on");
    }
    assert!(fs::read(copied.file()).unwrap() == fs::read(&own).unwrap(), "it is as it was");
    fs::remove_file(copied.file()).unwrap();
    heard(&node);
    copied.check(&node);
}

#[test]
fn a_node_in_the_place_of_whose_copy_is_no_file_is_not_ready_until_that_is_gone() {
    let copied = Copied::new();
    let node = copied.node();
    copied.check(&node);
    fs::remove_file(copied.file()).unwrap();
    fs::create_dir(copied.file()).unwrap();
    for _ in 0..2 {
        let hearing = Arc::clone(&node);
        wait(async move { hearing.refresh().await }).unwrap_err();
        let copy = node.copies().remove(0);
        assert!(!copy.is_ready && copy.trouble.is_some(), "{copy:?}");
        super::find(&node, &all()).map(drop).unwrap_err();
        assert!(get(&node, "k001", None).is_some(), "reads by key go on");
    }
    fs::remove_dir(copied.file()).unwrap();
    heard(&node);
    copied.check(&node);
}

#[test]
fn a_copy_that_is_older_than_the_changes_that_are_kept_is_made_anew() {
    let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
    let retention = Retention { days: 1, changes_max: 1_000_000 };
    let importing: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    import(&importing, &records(40, "filed"), false);
    let settings = tables.settings(retention);
    let late: Arc<dyn RecordStore> = tables.open(clock.clone(), settings.clone());
    for status in ["issued", "complete", "again"] {
        clock.advance_us(2 * DAY_US);
        import(&importing, &records(41, status), false);
    }
    assert_eq!(statuses(&late), vec!["filed"; 40]);
    heard(&late);
    assert_eq!(statuses(&late), vec!["again"; 41]);
    assert_eq!(past(&late), past(&importing));
}

#[test]
fn a_file_of_an_embedded_server_is_never_replaced_and_a_copy_never_taken_for_one() {
    let copied = Copied::new();
    let folder = support::data_dir();
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, copied.clock.clone(), Retention::default()));
    import(&embedded, &records(3, "of its own"), false);
    let own = folder.path().join("records/things.db");
    drop(embedded);
    fs::copy(&own, copied.file()).unwrap();
    let (dynamo, settings, clock) = (copied.tables.dynamo.clone(), copied.settings.clone(), copied.clock.clone());
    let refused = wait(async move { DynamoRecordStore::open(dynamo, settings, clock).await.map(drop) }).unwrap_err();
    assert!(matches!(refused, RecordStoreError::WrongRole { .. }), "{refused}");
    assert!(refused.to_string().contains("backend = \"sqlite\""), "{refused}");
    assert!(fs::read(copied.file()).unwrap() == fs::read(&own).unwrap(), "it is as it was");
    // The other way round.
    let replica = Copied::new();
    fs::copy(replica.file(), &own).unwrap();
    let settings = settings_of(&folder.path().join("records"), FileRole::Truth, Retention::default());
    let refused = SqliteRecordStore::open(settings, replica.clock.clone()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("backend = \"aws\""), "{refused}");
}

#[test]
fn a_copy_goes_with_its_data_set() {
    let copied = Copied::new();
    let node = copied.node();
    copied.importing.hold("things", Uuid::now_v7()).unwrap().remove().unwrap();
    let hearing = Arc::clone(&node);
    wait(async move { hearing.refresh().await.unwrap() });
    assert!(node.data_set("things").is_none() && !copied.file().exists());
}

#[test]
fn what_a_copy_leaves_that_did_not_come_to_its_end_is_taken_away() {
    let copied = Copied::new();
    let left = copied.settings.replica.directory.join("things.db-copying-left");
    fs::write(&left, b"half").unwrap();
    copied.check(&copied.node());
    assert!(!left.exists());
}

#[test]
fn an_import_on_a_machine_without_a_copy_makes_one_first() {
    let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
    let importing: Arc<dyn RecordStore> = tables.store(clock.clone());
    import(&importing, &records(ROWS, "filed"), false);
    // It opens, and imports at once: its copy is under way.
    let (dynamo, settings) = (tables.dynamo.clone(), tables.settings(Retention::default()));
    let other: Arc<dyn RecordStore> =
        Arc::new(wait(async move { DynamoRecordStore::open(dynamo, settings, clock).await.unwrap() }));
    let mut session = other.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *session, &records(ROWS, "filed"));
    assert_eq!(session.commit().unwrap().unchanged, ROWS as u64);
    assert!(other.copies()[0].is_ready);
}

#[test]
fn a_copy_keeps_the_epochs_by_which_the_past_is_cleared_away() {
    // A node that has copied clears away what another one wrote.
    let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
    let retention = Retention { days: 1, changes_max: 1_000_000 };
    let first: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    import(&first, &records(40, "filed"), false);
    import(&first, &records(30, "issued"), false);
    clock.advance_us(DAY_US + SECOND_US);
    let second: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    import(&second, &records(20, "complete"), true);
    clock.advance_us(2 * DAY_US);
    for status in ["again", "and again"] {
        import(&second, &records(20, status), false);
        clock.advance_us(Duration::from_secs(100).as_micros() as i64);
    }
    import(&second, &records(20, "at last"), false);
    clock.advance_us(2 * DAY_US);
    import(&second, &records(20, "now"), false);
    clock.advance_us(100 * SECOND_US);
    import(&second, &records(20, "then"), false);
    // What is there, what it was, and nothing else: twenty records, as of the three versions that are held.
    assert_eq!(tables.items().len(), 60);
    heard(&first);
    assert_eq!(past(&first), past(&second));
    let third: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    assert_eq!(past(&third), past(&second));
}

/// A version and an import that changed nothing, which a node hears of at once: it knows by which import each record was written.
#[test]
fn what_a_node_removes_that_has_followed_stays_removed() {
    let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
    let retention = Retention { days: 1, changes_max: 1_000_000 };
    let importing: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    import(&importing, &records(10, "filed"), false);
    let following: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    import(&importing, &records(20, "issued"), false);
    for _ in 0..3 {
        assert!(!import(&importing, &records(20, "issued"), false).changed);
    }
    let (sent, ()) = tables.sent(|| heard(&following));
    assert!(sent.iter().all(|(operation, _)| operation != "Scan"), "it follows, and copies nothing: {sent:?}");
    let last = |store: &Arc<dyn RecordStore>| store.data_set("things").unwrap().last_import.clone();
    assert_eq!(last(&following), last(&importing), "of the import that changed nothing");
    assert_eq!(import(&following, &records(5, "issued"), true).removed, 15);
    // The past goes, up to the removal.
    for status in ["complete", "again", "and again", "at last"] {
        clock.advance_us(2 * DAY_US);
        import(&following, &records(5, status), false);
    }
    assert_eq!(
        tables.items().len(),
        15,
        "what five records are and were in the versions that are held, and nothing of those that are gone"
    );
    for store in [&following, &importing] {
        heard(store);
        assert!(get(store, "k007", None).is_none() && get(store, "k001", None).is_some());
    }
    let copied: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    assert_eq!(statuses(&copied), vec!["at last"; 5]);
}

/// A file system of 4 MB, which goes with this value; none where none can be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = support::data_dir();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a connection may still be closing.
        std::process::Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_disk_that_is_full_is_said_and_passes() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (tables, clock) = (Tables::new(&definition()), ManualClock::at(beginning()));
    let importing: Arc<dyn RecordStore> = tables.store(clock.clone());
    import(&importing, &records(ROWS, "filed"), false);
    let mut settings = tables.settings(Retention::default());
    settings.replica.directory = disk.0.path().join("records");
    fs::create_dir(disk.0.path().join("records")).unwrap();
    let filling = disk.0.path().join("filling");
    fs::write(&filling, vec![0; 4 * 1024 * 1024 - 50_000]).unwrap();
    let (dynamo, shared) = (tables.dynamo.clone(), clock.clone());
    let node: Arc<dyn RecordStore> =
        Arc::new(wait(async move { DynamoRecordStore::open(dynamo, settings, shared).await.unwrap() }));
    while node.copies()[0].trouble.is_none() {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let told = node.copies()[0].trouble.clone().unwrap();
    assert!(told.contains("the disk is full") && told.contains("make room"), "{told}");
    assert!(get(&node, "k001", None).is_some(), "reads by key go on");
    let refused = super::find(&node, &all()).map(drop).unwrap_err();
    assert!(matches!(refused, RecordStoreError::Unavailable { .. }), "{refused}");
    fs::remove_file(&filling).unwrap();
    clock.advance_us(2 * SECOND_US);
    heard(&node);
    assert_eq!(statuses(&node), vec!["filed"; ROWS]);
}
