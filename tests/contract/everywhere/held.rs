//! What DynamoDB holds of the past, and for how long: versions, changes, exports, whichever node is asked.

use std::{sync::Arc, time::Duration};

use permitd::{
    clock::ManualClock,
    dataset::{
        Definition, Index, Record, Value,
        query::{Filter, Format, Position, Query, SortTerm, Term, Test},
    },
    store::records::{Export, ImportOrder, RecordStore, RecordStoreError, Retention, Since},
};
use uuid::Uuid;

use super::{
    TODAY, Tables, all_changes, all_states, beginning, changes, data,
    dynamodb::{DAY_US, SECOND_US, all, import, outlast_the_lease, records, statuses},
    export, find, heard, listed, put_all,
    samples::definition,
    wait,
};

#[test]
fn what_nobody_holds_is_cleared_away_once_everybody_has_heard_of_that() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let retention = Retention { days: 1, changes_max: 1_000_000 };
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store_with(clock.clone(), retention), tables.store_with(clock.clone(), retention));
    let counts = || (tables.items().len(), tables.items_of("changes").len());
    import(&here, &records(40, "filed"), false);
    import(&here, &records(40, "issued"), false);
    // A list and a version each, and the columns of the generation. The list of a first import is the first to go.
    assert_eq!(counts(), (80, 2 * 2 + 1));
    heard(&there);
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
    // Who has not heard of that goes on with what its replica has.
    assert_eq!((walk(&there, 1).unwrap(), statuses(&there)), (vec!["filed".into(); 40], vec!["issued".into(); 40]));
    assert_eq!(listed(&all_changes(&there, 1, 100).unwrap()).len(), 40);
    assert_eq!(counts(), (120, 2 + 3 + 1));
    clock.advance_us(60 * SECOND_US);
    let complete = records(41, "complete");
    import(&here, &complete, false);
    assert_eq!(counts(), (121, 3 + 4 + 1), "not a minute ago somebody may not have heard of it");
    clock.advance_us(SECOND_US);
    import(&here, &complete, false);
    assert_eq!(counts(), (121, 3 + 4 + 1), "the past is cleared away by an import that changes something");
    import(&here, &records(42, "complete"), false);
    assert_eq!(counts(), (82, 3 + 4 + 1), "what version 2 replaced, its list, and version 1");
    // What is cleared away is still there for whoever has it, and is not needed to go on.
    assert_eq!(listed(&all_changes(&there, 1, 100).unwrap()).len(), 40);
    heard(&there);
    let gone = all_changes(&there, 1, 100).unwrap_err();
    assert!(gone.contains("version 1") && gone.contains("those from 2 (2026-03-01T12:00:00.000000Z) on"), "{gone}");
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
    let store: Arc<dyn RecordStore> = tables.store(clock.clone());
    import(&store, &records(30, "filed"), false);
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *session, &records(50, "given up"));
    drop(session);
    assert_eq!(listed(&all_changes(&store, 1, 100).unwrap()).len(), 0);
    assert_eq!(listed(&all_states(&store, "k001", None, 100).unwrap().unwrap()).len(), 1);
    import(&store, &records(31, "filed"), false);
    let changes = listed(&all_changes(&store, 1, 100).unwrap());
    assert_eq!((changes.len(), &changes[0]["key"], &changes[0]["change"]), (1, &"k030".into(), &"inserted".into()));
    assert_eq!(tables.items_of("changes").len(), 2 * 2 + 1, "it has written nothing");
    // One that is overtaken writes on; that counts for nothing.
    let elsewhere: Arc<dyn RecordStore> = tables.store(clock.clone());
    let mut stalled = elsewhere.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *stalled, &records(20, "stalled"));
    outlast_the_lease(&clock, &store);
    import(&store, &records(32, "filed"), false);
    put_all(&mut *stalled, &records(50, "stalled")[20..]);
    assert!(stalled.commit().is_err());
    assert_eq!(listed(&all_changes(&store, 1, 100).unwrap()).len(), 2);
}

#[test]
fn a_version_that_was_not_heard_of_is_looked_for_once() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let here: Arc<dyn RecordStore> = tables.store(clock.clone());
    import(&here, &records(5, "filed"), false);
    let there: Arc<dyn RecordStore> = tables.store(clock);
    import(&here, &records(5, "issued"), false);
    import(&here, &records(5, "complete"), false);
    let since = |version: u64| changes(&there, &Since::Version(version), 100);
    let (sent, refused) = tables.sent(|| since(4));
    assert!(matches!(refused, Err(RecordStoreError::NoSuchVersion { version: 4, present: 3, .. })), "{refused:?}");
    assert_eq!(sent, [("BatchGetItem".to_owned(), 2), ("Query".to_owned(), 4)], "it follows what it hears of");
    let (sent, refused) = tables.sent(|| since(4));
    assert!(matches!(refused, Err(RecordStoreError::NoSuchVersion { .. })), "{refused:?}");
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
    let store: Arc<dyn RecordStore> = tables.store(clock);
    let mut rows = records(3, "filed");
    rows.iter_mut().for_each(|row| row.values[5] = Value::Number(1.5));
    import(&store, &rows, false);
    let first = find(&store, &Query::everything(1)).unwrap();
    let mut narrower = definition();
    narrower.columns.remove(5);
    narrower.load_date = Some(7);
    let mut changed = records(1, "issued");
    changed[0].values.remove(5);
    let mut session = store.begin_import(ImportOrder::new(&narrower, Uuid::now_v7(), TODAY, false)).unwrap();
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
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *session, &records(1, "complete"));
    session.commit().unwrap();
    let changes = listed(&all_changes(&store, 1, 100).unwrap());
    let told: Vec<_> = changes.iter().map(|change| [&change["before"], &change["after"]]).collect();
    assert!(told.iter().flatten().all(|record| record["latitude"].is_null()), "{told:?}");
    assert_eq!(told.iter().map(|[before, _]| before["status"].clone()).collect::<Vec<_>>(), ["filed", "issued"]);
}

#[test]
fn an_export_stays_on_its_version_and_says_when_it_cannot() {
    const ROWS: usize = 1500;
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let retention = Retention { days: 400, changes_max: 0 };
    let store: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
    // 22 parts. Few rows that are long: each is written to an emulator.
    let rows = |status: &str| records(ROWS, &status.repeat(165));
    import(&store, &rows("filed"), false);
    let query = Query { format: Some(Format::Ndjson), ..all() };
    let whole = String::from_utf8(export(&store, &query).unwrap()).unwrap();
    assert_eq!(whole.lines().count(), ROWS);
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
    assert!(rest(second).unwrap() == whole, "what is cleared away there is still in the replica that it reads");
    import(&store, &rows("again"), true);
    let untaken = begin().unwrap();
    // Four parts, and the word that they are not all.
    while untaken.parts.len() < 4 {
        std::thread::yield_now();
    }
    while untaken.parts.len() < 5 {
        std::thread::park_timeout(Duration::from_millis(1));
        clock.advance_us(61 * SECOND_US);
    }
    let given_up = rest(untaken).unwrap_err().to_string();
    assert!(given_up.contains("parts were not taken in time"), "{given_up}");
}

/// The walk of all filed records by their cost, from a place in it to its end.
fn filed_by_cost(store: &Arc<dyn RecordStore>, after: Option<Position>) -> (Vec<serde_json::Value>, Option<Position>) {
    let status = Term { column: 2, test: Test::Equal(Value::Text("filed".to_owned())) };
    let sort = vec![SortTerm { column: 4, descending: false }];
    let query = Query { filter: Filter::Term(status), sort, after, ..Query::everything(6) };
    let page = find(store, &query).unwrap();
    let next = page.next.clone();
    (data(page), next)
}

#[test]
fn an_index_that_comes_later_finds_what_is_held() {
    let with_index = |partition: &str, sort: &str| {
        let index = Index { partition: partition.to_owned(), sort: Some(sort.to_owned()) };
        Definition { indexes: vec![index], ..definition() }
    };
    let (first, second) = (with_index("units", "changed"), with_index("status", "cost"));
    let mut of_the_table = first.clone();
    of_the_table.indexes.extend(second.indexes.clone());
    let tables = Tables::new(&of_the_table);
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    let run = |definition: &Definition, rows: &[Record]| {
        let mut session = store.begin_import(ImportOrder::new(definition, Uuid::now_v7(), TODAY, true)).unwrap();
        put_all(&mut *session, rows);
        session.commit().unwrap()
    };
    let mut rows = records(20, "filed");
    rows.iter_mut().zip(0_i64..).for_each(|(row, number)| row.values[4] = Value::Money(number * 7 % 20));
    run(&first, &rows);
    let whole: Vec<_> = {
        let (mut whole, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = filed_by_cost(&store, after);
            whole.extend(page);
            after = next;
            if after.is_none() {
                break whole;
            }
        }
    };
    assert_eq!(whole.len(), 20);
    let (begun, place) = filed_by_cost(&store, None);
    let is_the_rest = || {
        let (mut seen, mut after) = (begun.clone(), place.clone());
        while after.is_some() {
            let (page, next) = filed_by_cost(&store, after);
            seen.extend(page);
            after = next;
        }
        assert_eq!(seen, whole);
    };
    // These end before there is the index, and these with the import that brings it: some change, some are removed.
    rows.truncate(17);
    rows[..5].iter_mut().for_each(|row| row.values[2] = Value::Text("issued".to_owned()));
    run(&first, &rows);
    is_the_rest();
    rows.truncate(14);
    rows[5..10].iter_mut().for_each(|row| row.values[2] = Value::Text("issued".to_owned()));
    run(&second, &rows);
    is_the_rest();
    assert_eq!(filed_by_cost(&store, None).0.len(), 4);
}

#[test]
fn what_was_lost_on_the_way_is_not_found_again() {
    let without = |names: &[&str]| {
        let mut definition = definition();
        definition.columns.retain(|column| !names.contains(&column.name.as_str()));
        definition.load_date = definition.column_index("load_date");
        definition.indexes.clear();
        definition
    };
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    let run = |definition: &Definition, count: usize| {
        let mut rows = records(count, "filed");
        for row in &mut rows {
            (row.values[3], row.values[5]) = (Value::Integer(4), Value::Number(1.5));
            row.values = definition
                .columns
                .iter()
                .map(|column| row.values[self::definition().column_index(&column.name).unwrap()].clone())
                .collect();
        }
        let mut session = store.begin_import(ImportOrder::new(definition, Uuid::now_v7(), TODAY, false)).unwrap();
        put_all(&mut *session, &rows);
        session.commit().unwrap()
    };
    run(&without(&[]), 1);
    assert_eq!(run(&without(&[]), 2).inserted, 1);
    // Each of these writes the second record anew: it loses what has no column any more.
    for names in [["units"].as_slice(), &["units", "latitude"], &[]] {
        assert_eq!(run(&without(names), 0).updated, 0);
        let changes = listed(&all_changes(&store, 1, 10).unwrap());
        let states = listed(&all_states(&store, "k001", None, 10).unwrap().unwrap());
        assert_eq!((changes.len(), states.len()), (1, 1), "it has not changed since");
        assert_eq!(changes[0]["after"], states[0]["record"]);
        assert_eq!(states[0]["record"], data(find(&store, &all()).unwrap())[1], "as it is now");
        assert_eq!(states[0]["valid_from"]["version"], 2);
    }
    let now = &data(find(&store, &all()).unwrap())[1];
    assert!(now["units"].is_null() && now["latitude"].is_null(), "{now}");
}
