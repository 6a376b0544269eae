//! What only DynamoDB has: imports that are overtaken by others, versions of records beside each other, reads that cost.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{Record, Value, query::Query},
    store::records::{ImportOrder, RecordStore, RecordStoreError},
};
use uuid::Uuid;

use super::{TODAY, Tables, beginning, data, find, get, put_all, samples::definition, wait};

pub(super) const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

pub(super) fn all() -> Query {
    Query::everything(1000)
}

pub(super) fn statuses(store: &Arc<dyn RecordStore>) -> Vec<serde_json::Value> {
    data(find(store, &all()).unwrap()).into_iter().map(|record| record["status"].clone()).collect()
}

/// So many records, all of this status.
pub(super) fn records(count: usize, status: &str) -> Vec<Record> {
    let record = |number| {
        let mut values = vec![Value::Null; definition().columns.len()];
        values[0] = Value::Text(format!("k{number:03}"));
        values[2] = Value::Text(status.to_owned());
        Record { values }
    };
    (0..count).map(record).collect()
}

pub(super) fn import(
    store: &Arc<dyn RecordStore>,
    records: &[Record],
    replace: bool,
) -> permitd::store::records::ImportResult {
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, replace)).unwrap();
    put_all(&mut *session, records);
    session.commit().unwrap()
}

/// Waits until an import that does not renew its lease counts as one that died.
pub(super) fn outlast_the_lease(clock: &ManualClock, store: &Arc<dyn RecordStore>) {
    clock.advance_us(61 * SECOND_US);
    assert!(store.is_importing("things").unwrap(), "it has to be seen silent for a while");
    clock.advance_us(31 * SECOND_US);
}

#[test]
fn a_first_import_that_is_given_up_is_cleared_away_by_the_next() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
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
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
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
    let mut stalled = here.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *stalled, &records(30, "stalled"));
    clock.advance_us(59 * SECOND_US);
    assert!(there.is_importing("things").unwrap());
    assert!(matches!(
        there.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).err(),
        Some(RecordStoreError::ImportRunning { .. })
    ));
    clock.advance_us(2 * SECOND_US);
    assert!(there.is_importing("things").unwrap(), "by this clock it has run out; whether it is silent is to be seen");
    clock.advance_us(30 * SECOND_US);
    assert!(!there.is_importing("things").unwrap());
    let mut second = there.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
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
    let mut stalled = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *stalled, &records(5, "stalled"));
    outlast_the_lease(&clock, &store);
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
    let refused = store.begin_import(ImportOrder::new(&other, Uuid::now_v7(), TODAY, false)).err().unwrap().to_string();
    assert!(refused.contains("records-others") && refused.contains("permitd aws setup"), "{refused}");
    assert!(!store.is_importing("others").unwrap(), "the lock is given back");
    let mut indexed = definition();
    indexed.indexes.push(permitd::dataset::Index { partition: "filed".to_owned(), sort: None });
    let refused =
        store.begin_import(ImportOrder::new(&indexed, Uuid::now_v7(), TODAY, false)).err().unwrap().to_string();
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
fn alternatives_that_both_hold_find_a_record_once() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()), 10_000);
    let mut rows = records(12, "filed");
    for (row, number) in rows.iter_mut().zip(0_i64..) {
        row.values[2] = Value::Text(if number % 2 == 0 { "filed" } else { "issued" }.to_owned());
        row.values[4] = Value::Money(number % 3);
    }
    import(&store, &rows, false);
    let ask = |expression: &str, more: &str| {
        let filter: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let (key, limits) = (permitd::dataset::cursor::CursorKey::new([7; 32]), Default::default());
        let raw_query = format!("filter={filter}&count=exact&explain=true{more}");
        find(&store, &permitd::dataset::query::parse(&definition(), &raw_query, &limits, &key).unwrap()).unwrap()
    };
    // Six of the twelve are filed, four cost nothing, two are both; k001 is neither.
    for (expression, expected) in [
        ("status = filed OR cost = 0", 8),
        ("cost = 0 OR status = filed OR number = k001", 9),
        ("(status = filed OR cost = 0) AND number != k000", 7),
        ("(status = filed AND cost = 0) OR (cost = 0 AND status = issued)", 4),
        // What is read for the first one is what only the second one means.
        ("(cost = 0 AND units > 1000) OR status = filed", 6),
        ("(cost = 0 AND status = issued) OR status = filed", 8),
    ] {
        for more in ["", "&sort=-cost", "&limit=3"] {
            let page = ask(expression, more);
            assert_eq!(page.count, Some(expected), "{expression}{more}");
            let plan = page.explained.as_ref().unwrap().plan.clone();
            assert!(plan.iter().any(|step| step.contains("each record once")), "{plan:?}");
            let mut keys: Vec<_> = data(page).into_iter().map(|record| record["number"].to_string()).collect();
            let count = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), count, "{expression}{more}");
            assert_eq!(count as u64, if more == "&limit=3" { 3 } else { expected }, "{expression}{more}");
        }
    }
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
    // Ninety rows and a hundred changes in batches of 25; a hundred rows end. The table is read again for the figures of its columns.
    let changes = [
        ("BatchWriteItem", 8),
        ("DescribeTable", 1),
        ("GetItem", 1),
        ("Query", 33),
        ("Scan", 8),
        ("TransactWriteItems", 1),
        ("UpdateItem", 102),
    ];
    assert_eq!(sent, changes.map(|(operation, count)| (operation.to_owned(), count)));
    assert_eq!(tables.items_of("changes").len(), 100 + 2, "each change, and each version");
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
