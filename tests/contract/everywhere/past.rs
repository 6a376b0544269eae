//! What is known of the past, compared with a plain list of what each version held.

use std::{collections::BTreeMap, sync::Arc};

use permitd::{
    clock::ManualClock,
    store::records::{ImportOrder, RecordStore, Retention},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, all_changes, all_states, beginning, listed, put_all,
    samples::{HeldVersion as Held, any_record, definition, expected_changes, expected_states, identity},
    sqlite, stored,
};
use crate::support;

fn moment(second: usize) -> String {
    format!("2026-03-01T12:00:{second:02}.000000Z")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn changes_and_states_are_those_between_the_versions(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..12), any::<bool>(), any::<bool>()), 1..6),
        limit in 1_u32..5,
    ) {
        let (tables, folder) = (Tables::new(&definition()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
        let shared: Arc<dyn RecordStore> = tables.store(clock.clone());
        let mut versions: Vec<Held> = vec![BTreeMap::new()];
        for (nth, (records, replace, is_tried_before)) in imports.iter().enumerate() {
            if *is_tried_before {
                // One that dies changes nothing.
                let mut session = shared.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
                put_all(&mut *session, &records[records.len() / 2..]);
            }
            let mut now = if *replace && nth > 0 { BTreeMap::new() } else { versions[versions.len() - 1].clone() };
            now.extend(stored(&definition(), records).into_iter().map(|record| (identity(&record), record)));
            let is_change = nth == 0 || versions[versions.len() - 1] != now;
            if is_change {
                versions.push(now);
                clock.advance_us(1_000_000);
            }
            for store in [&embedded, &shared] {
                let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, *replace && nth > 0)).unwrap();
                put_all(&mut *session, records);
                let result = session.commit().unwrap();
                prop_assert_eq!((result.version as usize, result.changed), (versions.len() - 1, is_change));
            }
        }
        let elsewhere: Arc<dyn RecordStore> = tables.store(clock);
        for since in 1..versions.len() {
            let pages = all_changes(&shared, since as u64, limit).unwrap();
            prop_assert_eq!(listed(&pages), expected_changes(&versions, since, moment));
            prop_assert_eq!(&all_changes(&embedded, since as u64, limit).unwrap(), &pages);
            prop_assert_eq!(&all_changes(&elsewhere, since as u64, limit).unwrap(), &pages);
        }
        for first in ["a", "b", "c", "d", "e"] {
            for second in ["", "a", "b"] {
                let key = format!("{first}{second}");
                let expected = expected_states(&versions, &key, moment);
                let pages = all_states(&shared, &key, None, limit).unwrap();
                prop_assert_eq!(pages.as_deref().map(listed).unwrap_or_default(), expected.clone());
                prop_assert_eq!(&all_states(&embedded, &key, None, limit).unwrap(), &pages);
                prop_assert_eq!(&all_states(&elsewhere, &key, None, limit).unwrap(), &pages);
                let one = expected.into_iter().filter(|state| state["record_id"] == 1).collect::<Vec<_>>();
                let pages = all_states(&shared, &key, Some("1"), limit).unwrap();
                prop_assert_eq!(pages.as_deref().map(listed).unwrap_or_default(), one);
            }
        }
    }
}
