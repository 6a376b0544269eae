//! What only DynamoDB has: imports that are overtaken by others, versions of records beside each other, reads that cost.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{
        Record, Value,
        query::{Facets, Format, Query},
    },
    store::records::{ImportOrder, RecordStore, RecordStoreError, Since},
};
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning, changes, data, export, facets, find, get, heard, put_all, samples::definition, wait,
};

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
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
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
    let store: Arc<dyn RecordStore> = tables.store(clock);
    import(&store, &records(60, "filed"), false);
    let before = tables.items();
    let mut session = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *session, &records(55, "given up"));
    drop(session);
    assert_eq!(statuses(&store), vec!["filed"; 60]);
    let again = import(&store, &records(60, "filed"), true);
    assert_eq!((again.changed, again.version, again.unchanged, again.removed), (false, 1, 60, 0));
    assert_eq!(tables.items().len(), before.len(), "nothing of it was written");
}

#[test]
fn an_import_that_is_not_heard_of_is_overtaken_and_cannot_commit() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store(clock.clone()), tables.store(clock.clone()));
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
    heard(&here);
    assert_eq!(statuses(&here), vec!["second"; 20]);
    let third = import(&here, &records(20, "second"), true);
    assert_eq!((third.unchanged, third.changed), (20, false));
    assert_eq!(tables.items().len(), 20);
}

#[test]
fn an_overtaken_import_whose_rival_has_finished_cannot_commit() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let store: Arc<dyn RecordStore> = tables.store(clock.clone());
    import(&store, &records(5, "filed"), false);
    let elsewhere: Arc<dyn RecordStore> = tables.store(clock.clone());
    let mut stalled = elsewhere.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
    put_all(&mut *stalled, &records(5, "stalled"));
    outlast_the_lease(&clock, &store);
    import(&store, &records(5, "second"), false);
    assert!(stalled.commit().is_err());
    assert_eq!(statuses(&store), vec!["second"; 5]);
    heard(&elsewhere);
    assert_eq!(statuses(&elsewhere), vec!["second"; 5]);
}

#[test]
fn who_has_not_heard_of_an_import_reads_what_was_there_before() {
    let tables = Tables::new(&definition());
    let clock = ManualClock::at(beginning());
    let (here, there): (Arc<dyn RecordStore>, Arc<dyn RecordStore>) =
        (tables.store(clock.clone()), tables.store(clock.clone()));
    import(&here, &records(40, "filed"), false);
    heard(&there);
    import(&here, &records(30, "issued"), true);
    assert_eq!(statuses(&there), vec!["filed"; 40]);
    assert_eq!(statuses(&here), vec!["issued"; 30]);
    // What is held is not cleared away, however late it is.
    clock.advance_us(DAY_US);
    import(&here, &records(30, "issued"), true);
    assert_eq!(statuses(&there), vec!["filed"; 40]);
    assert_eq!(tables.items().len(), 40 + 30 + 10, "and what says that ten are gone");
    heard(&there);
    assert_eq!(statuses(&there), vec!["issued"; 30]);
}

#[test]
fn a_table_that_is_missing_is_named_with_what_to_do() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    let mut other = definition();
    other.name = "others".to_owned();
    let refused = store.begin_import(ImportOrder::new(&other, Uuid::now_v7(), TODAY, false)).err().unwrap().to_string();
    assert!(refused.contains("records-others") && refused.contains("permitd aws setup"), "{refused}");
    assert!(!store.is_importing("others").unwrap(), "the lock is given back");
}

#[test]
fn a_read_is_one_request_and_none_the_second_time() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
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
fn an_import_sends_what_it_has_to_and_reads_nothing_to_compare() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    let rows = records(100, "filed");
    let (sent, _) = tables.sent(|| import(&store, &rows, false));
    // The list of what is written, a hundred rows in batches of 25, the lock (taken, noted, renewed).
    let counted = |sent: [(&str, u64); 5]| sent.map(|(operation, count)| (operation.to_owned(), count));
    let first =
        [("BatchWriteItem", 5), ("DescribeTable", 1), ("GetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 3)];
    assert_eq!(sent, counted(first));
    let (sent, again) = tables.sent(|| import(&store, &rows, true));
    assert!(!again.changed);
    let nothing_new = [("DescribeTable", 1), ("GetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    assert_eq!(sent, nothing_new.map(|(operation, count)| (operation.to_owned(), count)));
    let (sent, changed) = tables.sent(|| import(&store, &records(90, "issued"), true));
    assert_eq!((changed.updated, changed.removed), (90, 10));
    assert_eq!(sent, counted(first));
    assert_eq!(tables.items_of("changes").len(), 2 + 2 + 1, "lists, versions, the columns of a generation");
}

#[test]
fn a_question_is_no_request() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
    import(&store, &records(30, "filed"), false);
    import(&store, &records(30, "issued"), false);
    let parse = |raw_query: &str| {
        let key = permitd::dataset::cursor::CursorKey::new([7; 32]);
        let limits = permitd::dataset::query::QueryLimits::default();
        permitd::dataset::query::parse(&definition(), raw_query, &limits, &key).unwrap()
    };
    let (sent, ()) = tables.sent(|| {
        for raw_query in ["", "count=exact&status=issued", "latitude=1&sort=changed", "status__contains=nothing"] {
            find(&store, &parse(raw_query)).unwrap();
        }
        export(&store, &Query { format: Some(Format::Csv), ..all() }).unwrap();
        let asked = Facets { filter: all().filter, columns: vec![2], limit: 5, numbers_as_texts: false, as_of: None };
        assert_eq!(facets(&store, &asked).unwrap().records, 30);
        assert_eq!(changes(&store, &Since::Version(1), 100).unwrap().document.count(), 30);
    });
    assert_eq!(sent, Vec::new());
}

#[test]
fn a_page_that_stops_goes_on_behind_records_that_do_not_match() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.store(ManualClock::at(beginning()));
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
    let limits = permitd::dataset::query::QueryLimits::default();
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
