//! A data set that is begun anew, since its records were lost; and moments that never fall.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use permitd::{
    clock::{Clock, ManualClock, SharedClock},
    dataset::{
        Value,
        query::{Position, Query, Since},
    },
    store::records::{Anew, ImportOrder, RecordStore, RecordStoreError, Retention},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, all_changes, all_states, beginning, changes, data,
    dynamodb::{all, import, records, statuses},
    find, listed, put_all,
    samples::definition,
    sqlite,
};
use crate::support;

fn anew(store: &Arc<dyn RecordStore>, rows: usize, anew: Anew) -> Result<u64, RecordStoreError> {
    let mut session =
        store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true).beginning_anew(anew))?;
    put_all(&mut *session, &records(rows, "anew"));
    Ok(session.commit()?.version)
}

#[test]
fn what_is_removed_is_gone_everywhere_and_its_name_is_free() {
    let (tables, folder, clock) = (Tables::new(&definition()), support::data_dir(), ManualClock::at(beginning()));
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
    let shared: Arc<dyn RecordStore> = tables.store(clock.clone());
    let elsewhere: Arc<dyn RecordStore> = tables.store(clock);
    for store in [&embedded, &shared] {
        import(store, &records(6, "filed"), false);
        import(store, &records(6, "issued"), false);
        let held = store.hold("things", Uuid::now_v7()).unwrap();
        let refused =
            store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).map(drop).unwrap_err();
        assert!(matches!(refused, RecordStoreError::ImportRunning { .. }), "{refused}");
        held.remove().unwrap();
        assert!(store.data_set("things").is_none());
        // Once more, as who finishes what was interrupted.
        store.hold("things", Uuid::now_v7()).unwrap().remove().unwrap();
    }
    assert!(tables.items().is_empty() && tables.items_of("changes").is_empty(), "nothing of it is left");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(elsewhere.refresh()).unwrap();
    assert!(elsewhere.data_set("things").is_none(), "another server hears of it");
    for store in [&embedded, &shared] {
        assert_eq!(anew(store, 3, Anew { above: 2, instead_of: None }).unwrap(), 3);
        assert_eq!(statuses(store), vec!["anew"; 3], "nothing of before comes back");
    }
}

#[test]
fn what_is_begun_anew_has_another_instance_and_goes_on_above_all_known_versions() {
    let (tables, folder, clock) = (Tables::new(&definition()), support::data_dir(), ManualClock::at(beginning()));
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
    let shared: Arc<dyn RecordStore> = tables.store(clock);
    for store in [&embedded, &shared] {
        import(store, &records(6, "filed"), false);
        import(store, &records(6, "issued"), false);
        let before = store.data_set("things").unwrap();
        let last = before.last_import.id;
        // Something else is there than what was to be dropped: it stays.
        for wrong in [None, Some(Uuid::nil())] {
            let refused = anew(store, 3, Anew { above: 9, instead_of: wrong }).unwrap_err();
            assert!(matches!(refused, RecordStoreError::ImportRunning { .. }), "{refused}");
        }
        assert_eq!(store.data_set("things").unwrap().version, 2);
        assert_eq!(anew(store, 3, Anew { above: 9, instead_of: Some(last) }).unwrap(), 10);
        let after = store.data_set("things").unwrap();
        assert_ne!(after.instance, before.instance);
        assert_eq!((after.version, after.records, after.held_from, after.changes_from), (10, 3, 10, 10));
        assert_eq!(statuses(store), vec!["anew"; 3]);
        // Nothing goes on from before: neither a walk, nor changes, nor histories.
        for version in [1, 2, 9] {
            let after = Some(Position { version, values: vec![Value::Text("k".to_owned()), Value::Integer(0)] });
            let gone = find(store, &Query { after, ..all() }).unwrap_err();
            assert!(matches!(gone, RecordStoreError::VersionGone { .. }), "{gone}");
            let gone = changes(store, &Since::Version(version), 5).unwrap_err();
            assert!(matches!(gone, RecordStoreError::VersionGone { .. }), "{gone}");
        }
        assert_eq!(listed(&all_changes(store, 10, 5).unwrap()), Vec::<serde_json::Value>::new());
        let states = listed(&all_states(store, "k000", None, 5).unwrap().unwrap());
        assert_eq!((states.len(), &states[0]["valid_from"]["version"]), (1, &10.into()));
        // From there it goes on as ever.
        import(store, &records(4, "later"), false);
        assert_eq!(store.data_set("things").unwrap().version, 11);
        assert_eq!(listed(&all_changes(store, 10, 50).unwrap()).len(), 4);
        assert_eq!(data(find(store, &all()).unwrap()).len(), 4);
        // A node that comes later sees the same.
    }
    let elsewhere: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    assert_eq!(statuses(&elsewhere), vec!["later"; 4]);
}

/// A clock that is set.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn monotonic_us(&self) -> i64 {
        0
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn moments_of_versions_never_fall_however_the_clock_is_set(
        seconds in proptest::collection::vec(0_i64..200_000, 2..7),
    ) {
        let clock = Arc::new(Set::default());
        let (tables, folder) = (Tables::new(&definition()), support::data_dir());
        let shared_clock: SharedClock = clock.clone();
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, Arc::clone(&shared_clock), Retention::default()));
        let shared: Arc<dyn RecordStore> = tables.store(shared_clock);
        for (nth, second) in seconds.iter().enumerate() {
            clock.0.store(second * 1_000_000, Ordering::SeqCst);
            for store in [&embedded, &shared] {
                import(store, &records(1, &format!("s{nth}")), false);
            }
        }
        let pages = all_states(&embedded, "k000", None, 2).unwrap().unwrap();
        prop_assert_eq!(&all_states(&shared, "k000", None, 2).unwrap().unwrap(), &pages);
        let states = listed(&pages);
        prop_assert_eq!(states.len(), seconds.len());
        let moment = |value: &serde_json::Value| value["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
        for (state, second) in states.iter().zip(&seconds) {
            let from = moment(&state["valid_from"]);
            prop_assert!(from >= Timestamp::from_second(*second).unwrap(), "no earlier than the clock said");
            if !state["valid_until"].is_null() {
                prop_assert!(moment(&state["valid_until"]) >= from, "{}", state);
            }
        }
        let told: Vec<Timestamp> = listed(&all_changes(&shared, 1, 2).unwrap()).iter().map(moment).collect();
        prop_assert!(told.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", told);
    }
}
