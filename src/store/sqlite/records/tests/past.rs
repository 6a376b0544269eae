//! The known past, compared with a plain list of each version's records.

use std::collections::BTreeMap;

use super::*;
use crate::{
    clock::ManualClock,
    dataset::{
        query::{Facets, Format, PageStart, Stats},
        summary::{Facet, FacetTally, Figures, FiguresTally},
    },
    store::records::{
        Past, Retention, Since,
        samples::{HeldVersion, any_query, expected_changes, expected_states, identity, naive},
    },
};

/// Imports one file after the other, and returns the records of each version. `imported` is called after each.
pub(super) fn imported(store: &Store, imports: &[(Vec<Record>, bool)], imported: impl Fn()) -> Vec<HeldVersion> {
    let mut versions = vec![BTreeMap::new()];
    for (nth, (records, replace)) in imports.iter().enumerate() {
        let mut session = store.begin(&definition(), *replace && nth > 0);
        put_all(&mut *session, records);
        let result = session.commit().unwrap();
        // A projection of an early version follows the later ones: states end in memory.
        imported();
        let mut now: BTreeMap<(String, i64), Record> =
            if *replace { BTreeMap::new() } else { versions.last().unwrap().clone() };
        now.extend(stored(records).into_iter().map(|record| (identity(&record), record)));
        assert_eq!(result.changed, nth == 0 || versions.last() != Some(&now));
        if result.changed {
            versions.push(now);
        }
        assert_eq!(result.version as usize, versions.len() - 1);
    }
    versions
}

fn moment(_: usize) -> String {
    "1970-01-01T00:00:00.000000Z".to_owned()
}

fn listed(past: &Past) -> Vec<serde_json::Value> {
    data(&past.document.clone().finish(&[], "things", past.version))
}

fn all_changes(store: &Store, since: u64, limit: u32) -> Vec<serde_json::Value> {
    let (mut since, mut changes) = (Since::Version(since), Vec::new());
    loop {
        let past = wait(store.store.changes(&store.data_set(), &since, limit)).unwrap();
        let page = listed(&past);
        assert!(page.len() <= limit as usize);
        changes.extend(page);
        let Some(next) = past.next else { return changes };
        since = Since::Change(next);
    }
}

fn all_states(store: &Store, key: &str, id: Option<&str>, limit: u32) -> Option<Vec<serde_json::Value>> {
    let (mut after, mut states): (Option<PageStart>, _) = (None, Vec::new());
    loop {
        let past = wait(store.store.history(&store.data_set(), key, id, after.as_ref(), limit)).unwrap()?;
        states.extend(listed(&past));
        let Some(next) = past.next else { return Some(states) };
        after = Some(PageStart::At(next));
    }
}

pub(super) fn exported(store: &SqliteRecordStore, query: &Query) -> Vec<u8> {
    wait(async {
        let data_set = store.data_set("things").unwrap();
        let mut export = store.export(&data_set, query).await.unwrap();
        let mut whole = Vec::new();
        while let Some(part) = export.parts.recv().await {
            whole.extend_from_slice(&part.unwrap());
        }
        whole
    })
}

#[test]
fn an_export_that_has_ended_makes_room_for_the_next_one() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1)]);
    let other = store.another_with(SystemClock::shared(), |settings| settings.exports_max = 1);
    let data_set = other.data_set("things").unwrap();
    let query = parsed(&data_set.definition, "format=ndjson");
    for nth in 0..300 {
        let mut export = wait(other.export(&data_set, &query)).unwrap_or_else(|error| panic!("{nth}: {error}"));
        while let Some(part) = wait(export.parts.recv()) {
            part.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn changes_and_states_are_those_between_the_versions(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..12), any::<bool>()), 1..6),
        limit in 1_u32..5,
    ) {
        let store = Store::with(fake_clock(), Retention::default());
        let versions = imported(&store, &imports, || ());
        for since in 1..versions.len() {
            prop_assert_eq!(all_changes(&store, since as u64, limit), expected_changes(&versions, since, moment));
        }
        for first in ["a", "b", "c", "d", "e"] {
            for second in ["", "a", "b"] {
                let key = format!("{first}{second}");
                let expected = expected_states(&versions, &key, moment);
                let one: Vec<_> = expected.iter().filter(|state| state["record_id"] == 1).cloned().collect();
                let some = |states: Vec<serde_json::Value>| (!states.is_empty()).then_some(states);
                prop_assert_eq!(all_states(&store, &key, Some("1"), limit), some(one));
                prop_assert_eq!(all_states(&store, &key, None, limit), some(expected));
            }
        }
    }

    #[test]
    fn summaries_and_exports_hold_what_the_filter_means(
        records in proptest::collection::vec(any_record(), 0..40),
        queries in proptest::collection::vec(any_query(), 12),
        columns in proptest::sample::subsequence((0..9_usize).collect::<Vec<_>>(), 1..4),
        limit in 1_u32..5,
        limit_asked in proptest::option::of(1_u32..10),
    ) {
        let store = Store::new();
        store.import(&definition(), &records);
        let records = stored(&records);
        for query in queries {
            let matching: Vec<&Record> = records.iter().filter(|record| query.filter.matches(record)).collect();
            let tally = |column: &usize| -> (Facet, Figures) {
                let (mut facet, mut figures) = (FacetTally::new(*column), FiguresTally::new(*column));
                for record in &matching {
                    facet.add(&record.values[*column]);
                    figures.add(&record.values[*column]);
                }
                (facet.finish(limit), figures.finish())
            };
            let (facets, figures): (Vec<_>, Vec<_>) = columns.iter().map(tally).unzip();
            for store_asked in [&store.store, store.projecting()] {
                let data_set = store_asked.data_set("things").unwrap();
                let asked = Facets { filter: query.filter.clone(), columns: columns.clone(), limit, numbers_as_texts: false, as_of: None };
                let found = wait(store_asked.facets(&data_set, &asked)).unwrap();
                prop_assert_eq!(found.records, matching.len() as u64);
                prop_assert_eq!(&found.columns, &facets, "{:?}", asked);
                let asked = Stats { filter: query.filter.clone(), columns: columns.clone(), numbers_as_texts: false, as_of: None };
                let found = wait(store_asked.stats(&data_set, &asked)).unwrap();
                prop_assert_eq!(found.records, matching.len() as u64);
                let numbers = |found: &Figures| definition().columns[found.column].kind != ColumnType::Text;
                for (found, expected) in found.columns.iter().zip(&figures).filter(|(found, _)| numbers(found)) {
                    prop_assert_eq!(found, expected, "{:?}", asked);
                }
                let expected = naive(&definition(), &records, &query);
                let most = limit_asked.map_or(usize::MAX, |limit| limit as usize);
                let query = Query { format: Some(Format::Ndjson), limit_asked, ..query.clone() };
                let whole = exported(store_asked, &query);
                let lines: Vec<serde_json::Value> = whole
                    .split_inclusive(|byte| *byte == b'\n')
                    .map(|line| serde_json::from_slice(line).unwrap())
                    .collect();
                prop_assert_eq!(&lines[..], &expected[..most.min(expected.len())], "{:?}", query);
                let whole = exported(store_asked, &Query { format: Some(Format::Csv), ..query.clone() });
                let mut reader = csv::Reader::from_reader(whole.as_slice());
                let names: Vec<String> = match &query.select {
                    None => definition().columns.iter().map(|column| column.name.clone()).collect(),
                    Some(select) => select.iter().map(|place| definition().columns[*place].name.clone()).collect(),
                };
                prop_assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), names);
                prop_assert_eq!(reader.records().map(Result::unwrap).count(), lines.len());
            }
        }
    }
}

#[test]
fn what_is_older_than_it_is_to_be_kept_is_given_up() {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let store = Store::with(clock.clone(), Retention { days: 10, changes_max: 5 });
    let import = |status: &str| store.import(&definition(), &[record("k1", status, 1), record("k2", status, 2)]);
    import("one");
    let query = parsed(&definition(), "limit=1");
    let (_, begun) = store.find_query(&query).unwrap();
    import("two");
    let walk = Query { after: begun, ..query };
    assert_eq!(store.find_query(&walk).unwrap().0[0]["status"], "one");
    let since = |version: u64| wait(store.store.changes(&store.data_set(), &Since::Version(version), 10));
    assert_eq!(listed(&since(1).unwrap()).len(), 2);
    assert!(matches!(since(0), Err(RecordStoreError::VersionGone { version: 0, held_from: 1, .. })));
    assert!(matches!(since(3), Err(RecordStoreError::NoSuchVersion { version: 3, present: 2, .. })));
    // By number: of six changes, those of the oldest version are given up.
    import("three");
    import("four");
    assert!(matches!(since(1), Err(RecordStoreError::VersionGone { version: 1, held_from: 2, .. })));
    assert_eq!(listed(&since(2).unwrap()).len(), 4);
    let gone = store.find_query(&walk).unwrap_err();
    assert!(matches!(gone, RecordStoreError::VersionGone { version: 1, held_from: 2, .. }), "{gone}");
    // By age: version 4 was the present one ten days ago, so it is still held.
    clock.advance_us(11 * 86_400_000_000);
    import("five");
    let data_set = store.data_set();
    assert_eq!((data_set.version, data_set.held_from, data_set.changes_from), (5, 4, 4));
    let states = all_states(&store, "k1", None, 10).unwrap();
    let statuses: Vec<&str> = states.iter().map(|state| state["record"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["four", "five"]);
    // No version keeps more than it must.
    let connection = rusqlite::Connection::open(store.folder.path().join("records/things.db")).unwrap();
    let rows = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("changes"), rows("old"), rows("versions")), (2, 2, 2));
}

#[test]
fn a_change_of_columns_ends_walks_and_keeps_changes() {
    let store = Store::with(fake_clock(), Retention::default());
    store.import(&definition(), &[record("k1", "filed", 1), record("k2", "filed", 2)]);
    let (_, begun) = store.find("limit=1").unwrap();
    store.import(&definition(), &[record("k1", "issued", 1)]);
    let mut narrower = definition();
    narrower.columns.remove(5);
    narrower.load_date = Some(7);
    let mut changed = record("k2", "complete", 2);
    changed.values.remove(5);
    store.import(&narrower, &[changed]);
    let data_set = store.data_set();
    assert_eq!((data_set.version, data_set.held_from, data_set.changes_from), (3, 3, 1));
    let query = Query { after: begun, ..parsed(&narrower, "limit=1") };
    assert!(matches!(store.find_query(&query), Err(RecordStoreError::VersionGone { version: 1, held_from: 3, .. })));
    let changes = all_changes(&store, 1, 10);
    let told: Vec<_> = changes
        .iter()
        .map(|change| (&change["key"], &change["before"]["status"], &change["after"]["status"]))
        .collect();
    let text = |text: &str| serde_json::Value::from(text);
    let expected = [[text("k1"), text("filed"), text("issued")], [text("k2"), text("filed"), text("complete")]];
    assert_eq!(told, expected.iter().map(|[a, b, c]| (a, b, c)).collect::<Vec<_>>());
    assert!(changes.iter().all(|change| change["before"].get("latitude").is_none()), "in the columns of today");
}

#[test]
fn an_export_that_nobody_takes_is_given_up_and_says_so() {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let store = Store::with(clock.clone(), Retention::default());
    let records: Vec<Record> = (0..30_000).map(|n| record(&format!("k{n:06}"), "filed", n)).collect();
    store.import(&definition(), &records);
    let query = Query { format: Some(Format::Csv), ..parsed(&definition(), "") };
    wait(async {
        let data_set = store.data_set();
        let begin = async || store.store.export(&data_set, &query).await;
        let (mut first, second) = (begin().await.unwrap(), begin().await.unwrap());
        assert!(matches!(begin().await, Err(RecordStoreError::Busy)), "no more than two at the same time");
        // A dropped export makes room for the next.
        drop(second);
        while begin().await.is_err() {
            std::thread::yield_now();
        }
        clock.advance_us(11_000_000);
        let mut outcome = Ok(0);
        while let Some(part) = first.parts.recv().await {
            match part {
                Ok(part) => outcome = outcome.map(|bytes: usize| bytes + part.len()),
                Err(error) => outcome = Err(error.to_string()),
            }
            // The thread looks at the clock before it finds room.
            clock.advance_us(11_000_000);
        }
        assert!(outcome.is_err(), "parts that end without an error are the whole: {outcome:?}");
    });
}
