//! Walks by texts that no cursor takes along: through pages, changes and histories.

use std::{collections::BTreeSet, sync::Arc};

use permitd::{
    clock::ManualClock,
    dataset::{
        Definition, Record, Value,
        cursor::{self, CursorKey},
        query::{PageStart, Query, SortTerm},
    },
    store::records::{ImportOrder, RecordStore, Retention, Since},
};
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning, changes, data, find, finished, history, imports, listed, put_all, samples, sqlite, stored,
};
use crate::support;

/// The column of the long texts.
const NOTE: usize = 10;
const UNITS: usize = 3;

/// The definition of the samples with one more text, by which nothing is looked up.
fn definition() -> Definition {
    let mut document = serde_json::to_value(samples::definition()).unwrap();
    let columns = document["columns"].as_array_mut().unwrap();
    let mut note = columns[2].clone();
    note["name"] = "note".into();
    columns.push(note);
    serde_json::from_value(document).unwrap()
}

fn record(key: String, units: i64, note: Option<String>) -> Record {
    let mut values = vec![Value::Null; NOTE + 1];
    values[0] = Value::Text(key);
    values[UNITS] = Value::Integer(units);
    values[NOTE] = note.map_or(Value::Null, Value::Text);
    Record { values }
}

/// Texts of some kilobytes that are alike for most of their length, two that are the same, and one that is none.
fn records() -> Vec<Record> {
    let note = |nth: usize| format!("{}{}", "½x".repeat(1_000 + nth % 5 * 330), nth / 2);
    let mut records: Vec<Record> =
        (0..11).map(|nth| record(format!("k{}", nth % 7), i64::try_from(nth % 3).unwrap(), Some(note(nth)))).collect();
    records[4].values[NOTE] = Value::Null;
    records[5].values[NOTE] = Value::Text("short".to_owned());
    records
}

fn orders() -> Vec<Vec<SortTerm>> {
    let term = |column, descending| SortTerm { column, descending };
    vec![
        vec![term(NOTE, false)],
        vec![term(NOTE, true)],
        vec![term(UNITS, true), term(NOTE, false)],
        vec![term(NOTE, true), term(UNITS, false)],
        vec![term(NOTE, false), term(0, true)],
    ]
}

/// Every page of a query, through cursors as a caller has them. `between` is done after the first page.
fn walk(store: &Arc<dyn RecordStore>, query: &Query, mut between: impl FnMut()) -> Vec<serde_json::Value> {
    let (key, definition) = (CursorKey::new([7; 32]), definition());
    let (mut query, mut rows) = (query.clone(), Vec::new());
    loop {
        let page = find(store, &query).unwrap();
        let next = page.next.clone();
        rows.extend(data(page));
        let Some(next) = next else { return rows };
        (query.after, query.anchor) = (None, None);
        let sealed = cursor::seal(&key, &definition, &query, &next).unwrap();
        assert!(sealed.len() <= cursor::PAGE_CURSOR_CHARS_MAX, "{}", sealed.len());
        query.go_on(cursor::open(&key, &definition, &query, &sealed).unwrap());
        if rows.len() <= query.limit as usize {
            between();
        }
        assert!(rows.len() < 100, "it comes to no end");
    }
}

#[test]
fn a_walk_sorted_by_long_texts_comes_to_its_end() {
    let (tables, folder, clock) = (Tables::new(&definition()), support::data_dir(), ManualClock::at(beginning()));
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
    let shared: Arc<dyn RecordStore> = tables.store(clock);
    let import = |store: &Arc<dyn RecordStore>, records: &[Record]| {
        let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
        put_all(&mut *session, records);
        session.commit().unwrap();
    };
    for store in [&embedded, &shared] {
        import(store, &records());
        for (nth, sort) in orders().into_iter().enumerate() {
            for limit in [1, 2, 4] {
                let query = Query { sort: sort.clone(), ..Query::everything(limit) };
                let expected = samples::naive(&definition(), &stored(&definition(), &records()), &query);
                assert_eq!(walk(store, &query, || {}), expected, "{query:?}");
            }
            // It goes on in the version that it began in, whatever has become of the record that its page ended at.
            let query = Query { sort, ..Query::everything(3) };
            let expected = samples::naive(&definition(), &stored(&definition(), &records()), &query);
            let changed = || {
                let other = |record: &mut Record| record.values[NOTE] = Value::Text(format!("other {nth}"));
                let mut records = records();
                records.iter_mut().step_by(2).for_each(other);
                records.pop();
                import(store, &records);
            };
            assert_eq!(walk(store, &query, changed), expected, "{query:?}");
            import(store, &records());
        }
    }
}

#[test]
fn a_walk_through_long_keys_comes_to_its_end() {
    let folder = support::data_dir();
    let store: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, ManualClock::at(beginning()), Retention::default()));
    let long = |nth: i64| record(format!("{}{nth}", "k½".repeat(2_000)), nth, Some("y".repeat(5_000)));
    let records: Vec<Record> = (0..7).map(long).chain([record("k".to_owned(), 1, None)]).collect();
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *session, &records);
    session.commit().unwrap();
    for sort in orders().into_iter().chain([Vec::new()]) {
        let query = Query { sort, ..Query::everything(1) };
        let rows = walk(&store, &query, || {});
        assert_eq!(rows, samples::naive(&definition(), &stored(&definition(), &records), &query), "{:?}", query.sort);
        let keys: BTreeSet<_> = rows.iter().map(|row| row["number"].as_str().unwrap().to_owned()).collect();
        assert_eq!(keys.len(), 8);
    }
}

/// Every change since a version, through cursors as a caller has them.
fn walk_changes(store: &Arc<dyn RecordStore>, version: u64, limit: u32) -> Vec<serde_json::Value> {
    let (key, definition) = (CursorKey::new([7; 32]), with_long_ids());
    let (mut since, mut pages) = (Since::Version(version), Vec::new());
    loop {
        let page = changes(store, &since, limit).unwrap();
        pages.push(finished(page.document, page.version));
        let Some(next) = page.next else { return listed(&pages) };
        let sealed = cursor::seal_change(&key, &definition, &next).unwrap();
        assert!(sealed.len() <= cursor::PAGE_CURSOR_CHARS_MAX, "{}", sealed.len());
        since = cursor::open_change(&key, &definition, &sealed).unwrap().into();
        assert!(pages.len() < 100, "it comes to no end");
    }
}

/// Every state of the records of a key, in the same way. `between` is done after the first page.
fn walk_states(
    store: &Arc<dyn RecordStore>,
    of: (&str, Option<&str>),
    limit: u32,
    mut between: impl FnMut(),
) -> Vec<serde_json::Value> {
    let (key, definition) = (CursorKey::new([7; 32]), with_long_ids());
    let (mut after, mut pages): (Option<PageStart>, Vec<String>) = (None, Vec::new());
    loop {
        let page = history(store, of.0, of.1, after.as_ref(), limit).unwrap().expect("it is known");
        pages.push(finished(page.document, page.version));
        let Some(next) = page.next else { return listed(&pages) };
        let sealed = cursor::seal_state(&key, &definition, of, &next).unwrap();
        assert!(sealed.len() <= cursor::PAGE_CURSOR_CHARS_MAX, "{}", sealed.len());
        after = Some(cursor::open_state(&key, &definition, of, &sealed).unwrap());
        if pages.len() == 1 {
            between();
        }
        assert!(pages.len() < 100, "it comes to no end");
    }
}

/// A definition whose record ids are texts of the file.
fn with_long_ids() -> Definition {
    imports::definitions().pop().unwrap()
}

/// Keys and record ids of so many characters, of three bytes each two, and some short ones.
fn identities(chars: usize) -> Vec<(String, String)> {
    let long = |what: char, nth: usize| format!("{}{nth}", format!("{what}½").repeat(chars / 2));
    let mut identities = vec![("a".to_owned(), "1".to_owned()), ("z".to_owned(), long('i', 3))];
    for nth in 0..3 {
        identities.extend((0..4).map(|id| (long('k', nth), long('i', id))));
        identities.push((long('k', nth), "1".to_owned()));
        identities.push((format!("m{nth}"), long('i', nth)));
    }
    identities
}

fn changes_and_states_come_to_their_end(store: &Arc<dyn RecordStore>, chars: usize) {
    let identities = identities(chars);
    let import = |units: i64, identities: &[(String, String)]| {
        let mut session = store.begin_import(ImportOrder::new(&with_long_ids(), Uuid::now_v7(), TODAY, true)).unwrap();
        let record = |(key, id): &(String, String)| {
            let mut values = vec![Value::Null; with_long_ids().columns.len()];
            (values[0], values[1]) = (Value::Text(key.clone()), Value::Text(id.clone()));
            values[UNITS] = Value::Integer(units);
            Record { values }
        };
        put_all(&mut *session, &identities.iter().map(record).collect::<Vec<_>>());
        session.commit().unwrap();
    };
    import(1, &identities[..identities.len() / 2]);
    import(2, &identities);
    import(3, &identities);
    import(4, &identities[3..]);
    for since in 1..=3 {
        let whole = walk_changes(store, since, 1000);
        assert!(whole.len() >= identities.len(), "{}", whole.len());
        for limit in [1, 2, 5] {
            assert_eq!(walk_changes(store, since, limit), whole, "since {since}, {limit} on a page");
        }
    }
    let mut units = 5;
    for (key, id) in &identities {
        for of in [(key.as_str(), None), (key.as_str(), Some(id.as_str()))] {
            let whole = walk_states(store, of, 1000, || {});
            for limit in [1, 2] {
                assert_eq!(walk_states(store, of, limit, || {}), whole);
            }
        }
    }
    // It goes on behind a record, whatever has become of it.
    let (key, _) = &identities[2];
    let before = walk_states(store, (key, None), 1000, || {});
    let gone = walk_states(store, (key, None), 1, || {
        import(units, &identities[5..]);
        units += 1;
    });
    let place =
        |state: &serde_json::Value| (state["record_id"].to_string(), state["valid_from"]["version"].to_string());
    let places: Vec<_> = gone.iter().map(place).collect();
    assert!(before.iter().map(place).all(|known| places.contains(&known)), "{places:?}");
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len(), "none comes twice");
}

#[test]
fn changes_and_histories_of_long_keys_and_ids_come_to_their_end() {
    let (tables, folder, clock) = (Tables::new(&with_long_ids()), support::data_dir(), ManualClock::at(beginning()));
    let shared: Arc<dyn RecordStore> = tables.store(clock.clone());
    // A key and a record id are one key of an index in DynamoDB: of 1,024 bytes.
    changes_and_states_come_to_their_end(&shared, 240);
    let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock, Retention::default()));
    changes_and_states_come_to_their_end(&embedded, 5_000);
}
