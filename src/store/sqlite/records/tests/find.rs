//! Queries: the store's answers agree with the filter's meaning, in the requested order, page by page.

use super::*;
use crate::store::records::samples::{any_query, naive};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn pages_hold_what_the_filter_means_once_and_in_order(
        records in proptest::collection::vec(any_record(), 0..60),
        queries in proptest::collection::vec(any_query(), 25),
    ) {
        let store = Store::new();
        let definition = definition();
        store.import(&definition, &records);
        let records = stored(&records);
        for mut query in queries {
            let expected = naive(&definition, &records, &query);
            let mut gathered = Vec::new();
            loop {
                let (page, next) = store.find_query(&query).unwrap();
                if query.count {
                    prop_assert_eq!(store.count(&query), expected.len() as u64, "{:?}", query);
                }
                prop_assert!(page.len() <= query.limit as usize);
                prop_assert!(next.is_none() || page.len() == query.limit as usize);
                gathered.extend(page);
                prop_assert!(gathered.len() <= expected.len(), "{:?}", query);
                let Some(next) = next else { break };
                // Continues as a caller would: through a sealed cursor.
                let key = CursorKey::new([7; 32]);
                let sealed = crate::dataset::cursor::seal(&key, &definition, &query, &next).unwrap();
                query.after = None;
                query.anchor = None;
                query.go_on(crate::dataset::cursor::open(&key, &definition, &query, &sealed).unwrap());
                prop_assert_eq!(query.version(), Some(next.version));
            }
            prop_assert_eq!(gathered, expected, "{:?}", query);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn a_walk_stays_on_the_version_that_it_began_with(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..25), any::<bool>()), 2..5),
        queries in proptest::collection::vec(any_query(), 12),
    ) {
        let store = Store::new();
        let definition = definition();
        // The records that each query has seen of the version that it began with.
        let mut walks: Vec<(Query, Vec<serde_json::Value>, Vec<serde_json::Value>)> = Vec::new();
        let mut stored_now: Vec<Record> = Vec::new();
        for (nth, (records, replace)) in imports.iter().enumerate() {
            let mut session = store.begin(&definition, *replace && nth > 0);
            put_all(&mut *session, records);
            session.commit().unwrap();
            let records = stored(records);
            let same = |left: &Record, right: &Record| left.values[..2] == right.values[..2];
            stored_now.retain(|old| !*replace && !records.iter().any(|new| same(old, new)));
            stored_now.extend(records);
            // Each walk continues by a page, and a few walks begin.
            for (query, seen, _) in walks.iter_mut().filter(|(query, ..)| query.after.is_some()) {
                let (page, next) = store.find_query(query).unwrap();
                seen.extend(page);
                query.after = next;
            }
            for query in queries.iter().skip(nth * 3).take(3) {
                let expected = naive(&definition, &stored_now, query);
                let (page, next) = store.find_query(query).unwrap();
                walks.push((Query { after: next, ..query.clone() }, page, expected));
            }
        }
        for (mut query, mut seen, expected) in walks {
            while query.after.is_some() {
                let (page, next) = store.find_query(&query).unwrap();
                seen.extend(page);
                query.after = next;
                prop_assert!(seen.len() <= expected.len(), "{:?}", query);
            }
            prop_assert_eq!(seen, expected, "{:?}", query);
        }
    }
}

#[test]
fn a_query_that_takes_too_long_is_given_up() {
    let store = Store::of(2000);
    let hurried = store.hurried();
    let data_set = hurried.data_set("things").unwrap();
    let slow = parsed(&data_set.definition, "sort=latitude&status__contains=nothing");
    let outcome = wait(hurried.find(&data_set, &slow));
    let Err(RecordStoreError::TimedOut { limit_ms: 60, .. }) = outcome else { panic!("{outcome:?}") };
    // The thread is free again.
    let quick = parsed(&data_set.definition, "number=k000001");
    assert_eq!(wait(hurried.find(&data_set, &quick)).unwrap().document.count(), 1);
}

/// SQLite looks at the watch after a number of steps of a prepared statement, whichever question runs it: sometimes that is when an
/// abandoned question ends its snapshot.
#[test]
fn what_is_given_up_leaves_its_connection_as_it_was() {
    let store = Store::of(5_000);
    let (reader, data_set) = (store.store.reader(), store.data_set());
    let [long, quick] = ["status=filed&number__contains=nothing", "limit=10"].map(|q| parsed(&data_set.definition, q));
    let hurried = store.hurried();
    for nth in 0..1_500 {
        let given_up = reader.find_now(&data_set, &long).map(|page| page.map(|page| page.document.count()));
        assert!(given_up.is_none(), "{nth}: {given_up:?}");
        let page = reader.find_now(&data_set, &quick).unwrap();
        assert_eq!(page.unwrap_or_else(|error| panic!("{nth}: {error}")).document.count(), 10);
        assert!(matches!(wait(hurried.find(&data_set, &long)), Err(RecordStoreError::TimedOut { .. })), "{nth}");
    }
}

#[test]
fn a_way_whose_budget_is_spent_is_followed_by_the_other() {
    let store = Store::new();
    let records: Vec<Record> =
        (0..60_000).map(|n| record(&format!("k{n:06}"), if n == 59_999 { "rare" } else { "filed" }, n)).collect();
    store.import(&definition(), &records);
    let (found, next) = store.find("status__contains=RARE").unwrap();
    assert_eq!((found.len(), next), (1, None));
    assert_eq!(found[0]["number"], "k059999");
}

#[test]
fn an_index_that_is_no_longer_declared_is_not_asked_for() {
    let store = Store::new();
    let records: Vec<Record> = (0..20).map(|n| record(&format!("k{n}"), "filed", n)).collect();
    store.import(&definition(), &records);
    let ask = |reader: &dyn RecordReader| {
        let data_set = store.data_set();
        let query = parsed(&data_set.definition, "status=filed&sort=-filed");
        if let Some(soon) = reader.find_now(&data_set, &query) {
            assert_eq!(soon.unwrap().document.count(), 20);
        }
        assert_eq!(wait(store.store.find(&data_set, &query)).unwrap().document.count(), 20);
    };
    let reader = store.store.reader();
    ask(&*reader);
    let mut fewer = definition();
    fewer.indexes.clear();
    store.import(&fewer, &records);
    ask(&*reader);
    store.import(&definition(), &records);
    ask(&*reader);
}

#[test]
fn a_full_queue_is_said_to_be_full() {
    let store = Store::new();
    store.import(&definition(), &[record("1", "filed", 1)]);
    let other = store.another_with(SystemClock::shared(), |settings| settings.find_waiting_max = 0);
    let data_set = other.data_set("things").unwrap();
    let query = parsed(&data_set.definition, "");
    // There is no room to wait, so of two concurrent queries at least one finds no thread: the second is sent before the first is done.
    let outcomes = wait(async {
        let mut outcomes = Vec::new();
        for _ in 0..50 {
            let (a, b) = tokio::join!(other.find(&data_set, &query), other.find(&data_set, &query));
            outcomes.extend([a, b]);
        }
        outcomes
    });
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(RecordStoreError::Busy))));
}

#[test]
fn only_what_an_index_serves_at_once_is_answered_on_the_thread_that_asks() {
    let store = Store::of(20_000);
    let (reader, data_set) = (store.store.reader(), store.data_set());
    let at_once = |raw_query: &str| {
        let page = reader.find_now(&data_set, &parsed(&data_set.definition, raw_query));
        page.map(|page| page.unwrap().document.count())
    };
    assert_eq!(at_once("number=k000007"), Some(1));
    assert_eq!(at_once("limit=100"), Some(100));
    // No index has this order; and this condition is checked in every record of the index that has the order.
    assert_eq!(at_once("sort=latitude"), None);
    assert_eq!(at_once("status=filed&number__contains=nothing"), None);
    // After a query was given up, the thread's connection works as before.
    assert_eq!(at_once("limit=10"), Some(10));
}
