//! Questions about earlier versions, whichever store holds them, compared with a plain list of each version's records.

use std::{collections::BTreeMap, sync::Arc};

use permitd::{
    clock::ManualClock,
    dataset::{
        export::groups_as_json,
        query::{Facets, Format, Groups, PageStart, PointInTime, Query, QueryLimits, parse_groups},
        summary::FacetTally,
    },
    store::records::{ImportOrder, RecordStore, RecordStoreError, Retention},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning, data, export, facets, find, groups, put_all,
    samples::{HeldVersion, any_query, any_record, definition, identity, naive},
    sqlite, stored, wait,
};
use crate::support;

fn version_at(store: &Arc<dyn RecordStore>, as_of: PointInTime) -> Result<u64, RecordStoreError> {
    let store = Arc::clone(store);
    wait(async move { store.version_at(&store.data_set("things").unwrap(), as_of).await })
}

/// The answer to a read by key of a version.
fn get_at(store: &Arc<dyn RecordStore>, key: &str, id: Option<&str>, version: u64) -> Option<String> {
    let (store, key, id) = (Arc::clone(store), key.to_owned(), id.map(str::to_owned));
    let found = wait(async move {
        let data_set = store.data_set("things").unwrap();
        store.get_at(&data_set, &key, id.as_deref(), PointInTime::Version(version)).await
    });
    found.unwrap().map(|found| String::from_utf8(found.document.to_vec()).unwrap())
}

/// Every page of a query as of a version.
fn pages(store: &Arc<dyn RecordStore>, query: &Query, version: u64) -> Vec<serde_json::Value> {
    let mut query = Query { as_of: Some(PointInTime::Version(version)), ..query.clone() };
    let mut found = Vec::new();
    loop {
        let page = find(store, &query).unwrap();
        assert_eq!(page.version, version);
        let next = page.next.clone();
        found.extend(data(page));
        let Some(next) = next else { return found };
        query.go_on(PageStart::At(next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn every_store_answers_as_of_every_version(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..12), any::<bool>()), 2..5),
        queries in proptest::collection::vec(any_query(), 5),
    ) {
        let (tables, folder) = (Tables::new(&definition()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
        let followed: Arc<dyn RecordStore> = tables.store(clock.clone());
        let mut versions: Vec<HeldVersion> = vec![BTreeMap::new()];
        for (nth, (records, replace)) in imports.iter().enumerate() {
            let replace = *replace && nth > 0;
            let mut now = if replace { BTreeMap::new() } else { versions[versions.len() - 1].clone() };
            now.extend(stored(&definition(), records).into_iter().map(|record| (identity(&record), record)));
            if nth == 0 || versions[versions.len() - 1] != now {
                versions.push(now);
                clock.advance_us(1_000_000);
            }
            for store in [&embedded, &followed] {
                let order = ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, replace);
                let mut session = store.begin_import(order).unwrap();
                put_all(&mut *session, records);
                session.commit().unwrap();
            }
        }
        let copied: Arc<dyn RecordStore> = tables.store(clock);
        let last = versions.len() as u64 - 1;
        for store in [&embedded, &followed, &copied] {
            for version in 1..=last {
                let held = &versions[version as usize];
                let records: Vec<_> = held.values().cloned().collect();
                // Version n is of the second n.
                let at = beginning() + jiff::SignedDuration::from_millis(version as i64 * 1_000 + 500);
                prop_assert_eq!(version_at(store, PointInTime::Moment(at)).unwrap(), version);
                for query in &queries {
                    let expected = naive(&definition(), &records, query);
                    prop_assert_eq!(&pages(store, query, version), &expected, "version {}: {:?}", version, query);
                    let as_of = Some(PointInTime::Version(version));
                    let asked = Query { as_of, format: Some(Format::Ndjson), ..query.clone() };
                    let lines = export(store, &asked).unwrap();
                    let lines: Vec<serde_json::Value> = lines
                        .split_inclusive(|byte| *byte == b'\n')
                        .map(|line| serde_json::from_slice(line).unwrap())
                        .collect();
                    prop_assert_eq!(&lines, &expected, "version {}: {:?}", version, asked);
                    let mut tally = FacetTally::new(2);
                    let matching = records.iter().filter(|record| query.filter.matches(record));
                    matching.for_each(|record| tally.add(&record.values[2]));
                    let filter = query.filter.clone();
                    let asked = Facets { filter: filter.clone(), columns: vec![2], limit: 9, numbers_as_texts: false, as_of };
                    prop_assert_eq!(&facets(store, &asked).unwrap().columns, &[tally.finish(9)], "version {}", version);
                    let by = parse_groups(&definition(), "by=status&measure=count,sum(cost),distinct(units)", &QueryLimits::default());
                    let by = Groups { filter, as_of, ..by.unwrap() };
                    let [told, same] = [store, &embedded].map(|store| groups(store, &by).unwrap().found);
                    let counted: u64 = expected.len() as u64;
                    prop_assert_eq!(told.records, counted);
                    prop_assert_eq!(groups_as_json(&definition(), &by, &told), groups_as_json(&definition(), &by, &same));
                }
                for key in held.keys().map(|(key, _)| key.as_str()).chain(["nobody"]) {
                    prop_assert_eq!(get_at(store, key, None, version), get_at(&embedded, key, None, version));
                    prop_assert_eq!(get_at(store, key, Some("1"), version), get_at(&embedded, key, Some("1"), version));
                    let ids = held.keys().filter(|(of, _)| of == key).count();
                    let found = get_at(store, key, None, version).map(|text| text.matches("\"number\":").count());
                    prop_assert_eq!(found, (ids > 0).then_some(ids));
                }
            }
            let early = version_at(store, PointInTime::Version(last + 1)).unwrap_err();
            prop_assert!(matches!(early, RecordStoreError::NoSuchVersion { .. }), "{}", early);
            let gone = version_at(store, PointInTime::Moment(beginning())).unwrap_err();
            prop_assert!(matches!(gone, RecordStoreError::MomentGone { held_from: 1, .. }), "{}", gone);
        }
    }
}
