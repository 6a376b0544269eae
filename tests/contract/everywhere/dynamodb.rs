//! What only DynamoDB has: imports that are overtaken by others, versions of records beside each other, reads that cost.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{
        Record, Value,
        query::{Format, Position, Query, SortTerm},
    },
    store::records::{Export, RecordStore, RecordStoreError, Retention, Since},
};
use uuid::Uuid;

use super::{
    TODAY, Tables, all_changes, all_states, beginning, changes, data, export, find, get, listed, put_all,
    samples::definition, wait,
};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

fn all() -> Query {
    Query::everything(1000)
}

fn statuses(store: &Arc<dyn RecordStore>) -> Vec<serde_json::Value> {
    data(find(store, &all()).unwrap()).into_iter().map(|record| record["status"].clone()).collect()
}

/// So many records, all of this status.
fn records(count: usize, status: &str) -> Vec<Record> {
    let record = |number| {
        let mut values = vec![Value::Null; definition().columns.len()];
        values[0] = Value::Text(format!("k{number:03}"));
        values[2] = Value::Text(status.to_owned());
        Record { values }
    };
    (0..count).map(record).collect()
}

fn import(store: &Arc<dyn RecordStore>, records: &[Record], replace: bool) -> permitd::store::records::ImportResult {
    let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, replace).unwrap();
    put_all(&mut *session, records);
    session.commit().unwrap()
}

#[test]
fn a_first_import_that_is_given_up_is_cleared_away_by_the_next() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *session, &records(60, "given up"));
    drop(session);
    assert!(store.data_set("things").is_none() && !store.is_importing("things").unwrap());
    let result = import(&store, &records(10, "filed"), false);
    assert_eq!((result.version, result.inserted, result.unchanged), (1, 10, 0));
    assert_eq!(statuses(&store), vec!["filed"; 10]);
    assert_eq!(tables.items().len(), 10);
}

#[test]
fn a_later_import_that_is_given_up_changes_nothing() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let store: Arc<dyn RecordStore> = tables.store(clock, 10_000);
    import(&store, &records(60, "filed"), false);
    let before = tables.items();
    let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, true).unwrap();
    put_all(&mut *session, &records(55, "given up"));
    drop(session);
    assert_eq!(statuses(&store), vec!["filed"; 60]);
    let again = import(&store, &records(60, "filed"), true);
    assert_eq!((again.changed, again.version, again.unchanged, again.removed), (false, 1, 60, 0));
    let mut after = tables.items();
    assert_eq!(after.len(), before.len(), "what it wrote is gone");
    assert!(after.iter_mut().all(|item| item.remove("$to").is_none()), "what it said of others is taken back");
}

#[test]
fn an_import_that_is_not_heard_of_is_overtaken_and_cannot_commit() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store(clock.clone(), 10_000), tables.store(clock.clone(), 10_000));
    let mut stalled = here.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *stalled, &records(30, "stalled"));
    clock.advance_us(59 * SECOND_US);
    assert!(there.is_importing("things").unwrap());
    assert!(matches!(
        there.begin_import(&definition(), Uuid::now_v7(), TODAY, false).err(),
        Some(RecordStoreError::ImportRunning { .. })
    ));
    clock.advance_us(2 * SECOND_US);
    assert!(!there.is_importing("things").unwrap());
    let mut second = there.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *second, &records(20, "second"));
    let refused = stalled.commit().unwrap_err().to_string();
    assert!(refused.contains("another one took its place"), "{refused}");
    assert!(there.is_importing("things").unwrap(), "giving up does not take the lock from whoever has it");
    assert_eq!(second.commit().unwrap().inserted, 20);
    assert_eq!(statuses(&there), vec!["second"; 20]);
    let seen = Arc::clone(&here);
    wait(async move { seen.refresh().await.unwrap() });
    assert_eq!(statuses(&here), vec!["second"; 20]);
    let third = import(&here, &records(20, "second"), true);
    assert_eq!((third.unchanged, third.changed), (20, false));
    assert_eq!(tables.items().len(), 20);
}

#[test]
fn an_overtaken_import_whose_rival_has_finished_cannot_commit() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let store: Arc<dyn RecordStore> = tables.store(clock.clone(), 10_000);
    import(&store, &records(5, "filed"), false);
    let mut stalled = store.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *stalled, &records(5, "stalled"));
    clock.advance_us(61 * SECOND_US);
    import(&store, &records(5, "second"), false);
    assert!(stalled.commit().is_err());
    assert_eq!(statuses(&store), vec!["second"; 5]);
}

#[test]
fn who_has_not_heard_of_an_import_reads_what_was_there_before() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store(clock.clone(), 10_000), tables.store(clock.clone(), 10_000));
    import(&here, &records(40, "filed"), false);
    let noticed = Arc::clone(&there);
    wait(async move { noticed.refresh().await.unwrap() });
    import(&here, &records(30, "issued"), true);
    assert_eq!(statuses(&there), vec!["filed"; 40]);
    assert_eq!(statuses(&here), vec!["issued"; 30]);
    // What is held is not cleared away, however late it is.
    clock.advance_us(DAY_US);
    import(&here, &records(30, "issued"), true);
    assert_eq!(statuses(&there), vec!["filed"; 40]);
    assert_eq!(tables.items().len(), 70);
    let noticed = Arc::clone(&there);
    wait(async move { noticed.refresh().await.unwrap() });
    assert_eq!(statuses(&there), vec!["issued"; 30]);
}

#[test]
fn a_table_that_is_missing_is_named_with_what_to_do() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    let mut other = definition();
    other.name = "others".to_owned();
    let refused = store.begin_import(&other, Uuid::now_v7(), TODAY, false).err().unwrap().to_string();
    assert!(refused.contains("records-others") && refused.contains("permitd aws setup"), "{refused}");
    assert!(!store.is_importing("others").unwrap(), "the lock is given back");
    let mut indexed = definition();
    indexed.indexes.push(permitd::dataset::Index { partition: "filed".to_owned(), sort: None });
    let refused = store.begin_import(&indexed, Uuid::now_v7(), TODAY, false).err().unwrap().to_string();
    assert!(refused.contains("by-filed") && refused.contains("permitd aws setup"), "{refused}");
}

#[test]
fn what_would_read_too_much_is_refused_with_what_would_help() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 20);
    import(&store, &records(30, "filed"), false);
    let parse = |raw_query: &str| {
        let key = permitd::dataset::cursor::CursorKey::new([7; 32]);
        permitd::dataset::query::parse(&definition(), raw_query, &permitd::dataset::query::Limits::default(), &key)
            .unwrap()
    };
    let refused = find(&store, &parse("latitude=1&sort=changed")).unwrap_err().to_string();
    assert!(refused.contains("20 records") && refused.contains("partition latitude, sort changed"), "{refused}");
    let page = find(&store, &parse("status__contains=nothing&explain=true")).unwrap();
    assert!(!page.complete && page.document.count() == 0 && page.next.is_some());
    let explained = page.explained.unwrap();
    assert_eq!(explained.examined, Some(20));
    assert!(
        explained.read_units.is_some_and(|units| units > 0.0) && explained.plan[0].contains("walk"),
        "{explained:?}"
    );
}

#[test]
fn a_read_is_one_request_and_none_the_second_time() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    import(&store, &records(5, "filed"), false);
    for (key, record_id, found) in [("k001", None, true), ("k002", Some("1"), true), ("nothing", None, false)] {
        let (sent, first) = tables.sent(|| get(&store, key, record_id));
        assert_eq!((sent, first.is_some()), (vec![("Query".to_owned(), 1)], found), "{key}");
        if found {
            let (sent, again) = tables.sent(|| get(&store, key, record_id));
            assert_eq!((sent, again), (Vec::new(), first), "{key}");
            let at_once = store.reader().get_now("things", key, record_id).unwrap().unwrap();
            assert!(at_once.is_some());
        }
    }
    let (sent, none) = tables.sent(|| get(&store, "k001", Some("01")));
    assert_eq!((sent, none), (Vec::new(), None), "such an id is written by nobody");
    assert!(store.reader().get_now("things", "k003", None).is_none(), "that takes a request");
    let (sent, ()) = tables.sent(|| {
        let store = Arc::clone(&store);
        wait(async move { store.refresh().await.unwrap() });
    });
    assert_eq!(sent, [("Query".to_owned(), 1)]);
}

#[test]
fn an_import_sends_what_it_has_to_and_no_more() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    let rows = records(100, "filed");
    let (sent, _) = tables.sent(|| import(&store, &rows, false));
    // Each of the last eight rows is looked for in each of the four indexes; and what is known of earlier versions.
    let first = [
        ("BatchWriteItem", 4),
        ("DescribeTable", 1),
        ("GetItem", 1),
        ("Query", 33),
        ("Scan", 4),
        ("TransactWriteItems", 1),
        ("UpdateItem", 2),
    ];
    assert_eq!(sent, first.map(|(operation, count)| (operation.to_owned(), count)));
    let (sent, again) = tables.sent(|| import(&store, &rows, true));
    assert!(!again.changed);
    let nothing_new =
        [("DescribeTable", 1), ("GetItem", 1), ("Query", 1), ("Scan", 4), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    assert_eq!(sent, nothing_new.map(|(operation, count)| (operation.to_owned(), count)));
    let (sent, changed) = tables.sent(|| import(&store, &records(90, "issued"), true));
    assert_eq!((changed.updated, changed.removed), (90, 10));
    // Ninety rows and a hundred changes in batches of 25; a hundred rows end.
    let changes = [
        ("BatchWriteItem", 8),
        ("DescribeTable", 1),
        ("GetItem", 1),
        ("Query", 33),
        ("Scan", 4),
        ("TransactWriteItems", 1),
        ("UpdateItem", 102),
    ];
    assert_eq!(sent, changes.map(|(operation, count)| (operation.to_owned(), count)));
    assert_eq!(tables.items_of("changes").len(), 100 + 2, "each change, and each version");
}

#[test]
fn what_nobody_holds_is_cleared_away_once_everybody_has_heard_of_that() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let retention = Retention { days: 1, changes_max: 1_000_000 };
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store_with(clock.clone(), 10_000, retention), tables.store_with(clock.clone(), 10_000, retention));
    let counts = || (tables.items().len(), tables.items_of("changes").len());
    import(&here, &records(40, "filed"), false);
    import(&here, &records(40, "issued"), false);
    assert_eq!(counts(), (80, 40 + 2));
    let noticed = Arc::clone(&there);
    wait(async move { noticed.refresh().await.unwrap() });
    let walk = |store: &Arc<dyn RecordStore>, version: u64| {
        let after = Some(Position { version, values: vec![Value::Text("k".to_owned()), Value::Integer(0)] });
        let page = find(store, &Query { after, ..all() });
        page.map(|page| data(page).into_iter().map(|record| record["status"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(walk(&here, 1).unwrap(), vec!["filed"; 40]);
    clock.advance_us(DAY_US + SECOND_US);
    // Version 2 was the present one a day ago: from here on version 1 is not held any more.
    import(&here, &records(40, "complete"), false);
    let gone = walk(&here, 1).unwrap_err();
    assert!(matches!(gone, RecordStoreError::VersionGone { version: 1, held_from: 2, .. }), "{gone}");
    assert_eq!(walk(&here, 2).unwrap(), vec!["issued"; 40]);
    // Who has not heard of that goes on with what is still there.
    assert_eq!((walk(&there, 1).unwrap(), statuses(&there)), (vec!["filed".into(); 40], vec!["issued".into(); 40]));
    assert_eq!(listed(&all_changes(&there, 1, 100).unwrap()).len(), 40);
    assert_eq!(counts(), (120, 80 + 3));
    clock.advance_us(60 * SECOND_US);
    let complete = records(41, "complete");
    import(&here, &complete, false);
    assert_eq!(counts(), (121, 81 + 4), "not a minute ago somebody may not have heard of it");
    clock.advance_us(SECOND_US);
    import(&here, &complete, false);
    assert_eq!(counts(), (81, 81 + 4), "changes are cleared away by an import that changes something");
    import(&here, &records(42, "complete"), false);
    assert_eq!(counts(), (82, 42 + 4));
    // There it is noticed when what has been cleared away is missed.
    let gone = all_changes(&there, 1, 100).unwrap_err();
    assert!(gone.contains("version 1") && gone.contains("those from 2 on"), "{gone}");
    assert_eq!(listed(&all_changes(&here, 2, 100).unwrap()).len(), 42);
    let states = all_states(&here, "k001", None, 100).unwrap().unwrap();
    let told: Vec<_> = listed(&states)
        .iter()
        .map(|state| (state["record"]["status"].clone(), state["valid_from"]["at"].is_null()))
        .collect();
    assert_eq!(told, [("issued".into(), false), ("complete".into(), false)]);
}

#[test]
fn an_import_that_dies_leaves_no_changes() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let store: Arc<dyn RecordStore> = tables.store(clock.clone(), 10_000);
    import(&store, &records(30, "filed"), false);
    let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, true).unwrap();
    put_all(&mut *session, &records(50, "given up"));
    drop(session);
    assert!(tables.items_of("changes").len() > 1, "it has written some down");
    assert_eq!(listed(&all_changes(&store, 1, 100).unwrap()).len(), 0);
    assert_eq!(listed(&all_states(&store, "k001", None, 100).unwrap().unwrap()).len(), 1);
    import(&store, &records(31, "filed"), false);
    let changes = listed(&all_changes(&store, 1, 100).unwrap());
    assert_eq!((changes.len(), &changes[0]["key"], &changes[0]["change"]), (1, &"k030".into(), &"inserted".into()));
    assert_eq!(tables.items_of("changes").len(), 1 + 2, "what it had written is gone");
    // One that is overtaken writes on; that counts for nothing.
    let mut stalled = store.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *stalled, &records(20, "stalled"));
    clock.advance_us(61 * SECOND_US);
    import(&store, &records(32, "filed"), false);
    put_all(&mut *stalled, &records(50, "stalled")[20..]);
    assert!(stalled.commit().is_err());
    assert_eq!(listed(&all_changes(&store, 1, 100).unwrap()).len(), 2);
}

#[test]
fn a_version_that_was_not_heard_of_is_looked_for_once() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let here: Arc<dyn RecordStore> = tables.store(clock.clone(), 10_000);
    import(&here, &records(5, "filed"), false);
    let there: Arc<dyn RecordStore> = tables.store(clock, 10_000);
    import(&here, &records(5, "issued"), false);
    import(&here, &records(5, "complete"), false);
    let since = |version: u64| changes(&there, &Since::Version(version), 100);
    let (sent, refused) = tables.sent(|| since(4));
    assert!(matches!(refused, Err(RecordStoreError::NoSuchVersion { version: 4, present: 3, .. })), "{refused:?}");
    assert_eq!(sent, [("Query".to_owned(), 1)]);
    assert!(matches!(since(0), Err(RecordStoreError::VersionGone { version: 0, held_from: 1, .. })));
    assert_eq!(since(3).unwrap().document.count(), 0);
    import(&here, &records(5, "again"), false);
    assert_eq!(since(3).unwrap().document.count(), 0, "this one is known");
    assert_eq!(since(4).unwrap().document.count(), 0);
    assert_eq!(since(3).unwrap().document.count(), 5);
}

#[test]
fn other_columns_end_walks_and_keep_changes() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let store: Arc<dyn RecordStore> = tables.store(clock, 10_000);
    let mut rows = records(3, "filed");
    rows.iter_mut().for_each(|row| row.values[5] = Value::Number(1.5));
    import(&store, &rows, false);
    let first = find(&store, &Query::everything(1)).unwrap();
    let mut narrower = definition();
    narrower.columns.remove(5);
    narrower.load_date = Some(7);
    let mut changed = records(1, "issued");
    changed[0].values.remove(5);
    let mut session = store.begin_import(&narrower, Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *session, &changed);
    assert_eq!(session.commit().unwrap().updated, 1);
    let gone = find(&store, &Query { after: first.next, ..Query::everything(1) }).unwrap_err();
    assert!(matches!(gone, RecordStoreError::VersionGone { version: 1, held_from: 2, .. }), "{gone}");
    let changes = listed(&all_changes(&store, 1, 100).unwrap());
    assert_eq!(changes.len(), 1, "a record that is only written anew has not changed");
    assert_eq!((&changes[0]["before"]["status"], &changes[0]["after"]["status"]), (&"filed".into(), &"issued".into()));
    assert!(changes[0]["before"].get("latitude").is_none(), "in the columns of today");
    let states = listed(&all_states(&store, "k001", None, 100).unwrap().unwrap());
    assert_eq!((states.len(), &states[0]["valid_from"]["version"]), (1, &1.into()));
    // Back again: what was dropped is not there any more.
    let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, false).unwrap();
    put_all(&mut *session, &records(1, "complete"));
    session.commit().unwrap();
    let changes = listed(&all_changes(&store, 1, 100).unwrap());
    let told: Vec<_> = changes.iter().map(|change| [&change["before"], &change["after"]]).collect();
    assert!(told.iter().flatten().all(|record| record["latitude"].is_null()), "{told:?}");
    assert_eq!(told.iter().map(|[before, _]| before["status"].clone()).collect::<Vec<_>>(), ["filed", "issued"]);
}

#[test]
fn an_export_stays_on_its_version_and_says_when_it_cannot() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let retention = Retention { days: 400, changes_max: 0 };
    let store: Arc<dyn RecordStore> = tables.store_with(clock.clone(), 10_000, retention);
    let rows = |status: &str| records(6000, &status.repeat(20));
    import(&store, &rows("filed"), false);
    let query = Query { format: Some(Format::Ndjson), ..all() };
    let whole = String::from_utf8(export(&store, &query).unwrap()).unwrap();
    assert_eq!(whole.lines().count(), 6000);
    let begin = || {
        let (store, query) = (Arc::clone(&store), query.clone());
        wait(async move { store.export(&store.data_set("things").unwrap(), &query).await })
    };
    let rest = |mut export: Export| {
        wait(async move {
            let mut rest = Vec::new();
            while let Some(part) = export.parts.recv().await {
                rest.extend_from_slice(&part?);
            }
            Ok::<_, RecordStoreError>(String::from_utf8(rest).unwrap())
        })
    };
    let (first, second) = (begin().unwrap(), begin().unwrap());
    assert!(matches!(begin().err(), Some(RecordStoreError::Busy)), "no more than two at the same time");
    assert_eq!((first.version, second.version), (1, 1));
    import(&store, &rows("issued"), true);
    assert!(rest(first).unwrap() == whole, "it is of the version that it began with");
    // Those that are dropped make room for others.
    drop(begin().unwrap());
    let third = loop {
        match begin() {
            Ok(export) => break export,
            Err(RecordStoreError::Busy) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(third.version, 2);
    // From now on version 1 is not held, and a minute later what was in it is cleared away.
    import(&store, &records(10, "complete"), true);
    clock.advance_us(61 * SECOND_US);
    import(&store, &records(11, "complete"), true);
    let gone = rest(second).unwrap_err();
    assert!(matches!(gone, RecordStoreError::VersionGone { version: 1, .. }), "{gone}");
    import(&store, &rows("again"), true);
    let untaken = begin().unwrap();
    // Four parts, and the word that they are not all.
    while untaken.parts.len() < 5 {
        clock.advance_us(301 * SECOND_US);
        std::thread::yield_now();
    }
    let given_up = rest(untaken).unwrap_err().to_string();
    assert!(given_up.contains("parts were not taken in time"), "{given_up}");
    let sorted = Query { sort: vec![SortTerm { column: 7, descending: false }], ..query.clone() };
    let frugal: Arc<dyn RecordStore> = tables.store(clock, 5);
    assert!(matches!(export(&frugal, &sorted), Err(RecordStoreError::TooMuchToRead { records_max: 5, .. })));
    assert_eq!(export(&frugal, &query).unwrap().iter().filter(|byte| **byte == b'\n').count(), 6000);
}

#[test]
fn what_would_have_to_be_counted_is_refused_where_it_is_too_much() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 20);
    import(&store, &records(30, "filed"), false);
    let count = |raw_query: &str| {
        let key = permitd::dataset::cursor::CursorKey::new([7; 32]);
        let limits = permitd::dataset::query::Limits::default();
        let query = permitd::dataset::query::parse(&definition(), raw_query, &limits, &key).unwrap();
        tables.sent(|| find(&store, &query).map(|page| page.count))
    };
    let (sent, counted) = count("count=exact&limit=3");
    assert_eq!(counted.unwrap(), Some(30));
    assert_eq!(sent, [("Query".to_owned(), 3)], "nothing is read to count what is known");
    assert_eq!(count("limit=3").1.unwrap(), None);
    let refused = count("count=exact&limit=3&status=filed&sort=filed").1.unwrap_err().to_string();
    assert!(refused.contains("20 records for a page: leave out count=exact, "), "{refused}");
    assert_eq!(count("limit=3&status=filed&sort=filed").1.unwrap(), None);
    assert_eq!(count("count=exact&number__in=k001,k002,k099&limit=1").1.unwrap(), Some(2));
}

#[test]
fn too_many_queries_at_once_are_refused() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    import(&store, &records(5, "filed"), false);
    let outcomes = wait(async move {
        let data_set = store.data_set("things").unwrap();
        // Each holds its place from the first time it is asked until its end.
        let queries = (0..17).map(|_| {
            let (store, data_set) = (Arc::clone(&store), Arc::clone(&data_set));
            tokio::spawn(async move { store.find(&data_set, &all()).await.map(|page| page.document.count()) })
        });
        let mut outcomes = Vec::new();
        for query in queries.collect::<Vec<_>>() {
            outcomes.push(query.await.unwrap());
        }
        outcomes
    });
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(RecordStoreError::Busy))).count();
    assert_eq!((busy, outcomes.iter().filter(|outcome| matches!(outcome, Ok(5))).count()), (1, 16));
}

#[test]
fn a_page_that_stops_goes_on_behind_records_that_do_not_match() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 2);
    let latitudes = [Some(1.0), None, Some(2.0), Some(-1.0), None, Some(1.0), Some(3.0), Some(1.0)];
    let mut rows = records(latitudes.len(), "filed");
    for (number, (row, latitude)) in rows.iter_mut().zip(latitudes).enumerate() {
        // Two records of each key.
        row.values[0] = Value::Text(format!("k{}", number % 4));
        row.values[5] = latitude.map_or(Value::Null, Value::Number);
    }
    import(&store, &rows, false);
    // The order names a column that the filter binds; its value in the record at which a page stops is another.
    for sort in ["sort=latitude,number", "sort=-latitude,-number", "sort=number", "sort=-number"] {
        for (filter, expected) in [("latitude=1", 3), ("latitude__isnull=true", 2), ("latitude__in=5,6&latitude=1", 0)]
        {
            pages_of(&store, &format!("{filter}&{sort}"), expected);
        }
    }
    for sort in ["", "sort=-number", "sort=record_id", "sort=record_id,-number", "sort=number,-record_id"] {
        pages_of(&store, &format!("record_id=2&{sort}"), 4);
        pages_of(&store, &format!("record_id=1&{sort}"), 4);
    }
}

/// Follows the pages of a query to their end, and counts the records.
fn pages_of(store: &Arc<dyn RecordStore>, raw_query: &str, expected: usize) {
    let key = permitd::dataset::cursor::CursorKey::new([7; 32]);
    let limits = permitd::dataset::query::Limits::default();
    let mut query = permitd::dataset::query::parse(&definition(), raw_query, &limits, &key).unwrap();
    let mut found = Vec::new();
    for _ in 0..50 {
        let page = find(store, &query).unwrap();
        query.after = page.next.clone();
        found.extend(data(page));
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!((query.after, found.len()), (None, expected), "{raw_query}");
}
