//! The same questions: the same rows, in the same order, on the same pages.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{
        Record,
        cursor::{self, CursorKey},
        query::Query,
    },
    store::records::{RecordStore, RecordStoreError},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning, data, find, key, put_all,
    samples::{any_query, any_record, definition, naive},
    sqlite, stored,
};
use crate::support;

/// Every page of a query, each with whether it is complete; or why there is none.
fn pages(store: &Arc<dyn RecordStore>, query: &Query) -> Result<Vec<(Vec<serde_json::Value>, bool)>, RecordStoreError> {
    let (mut query, mut pages) = (query.clone(), Vec::new());
    loop {
        let page = find(store, &query)?;
        let (next, complete) = (page.next.clone(), page.complete);
        pages.push((data(page), complete));
        assert!(pages.len() < 300, "{query:?} comes to no end");
        let Some(next) = next else { return Ok(pages) };
        // As a caller would go on: through a sealed cursor.
        let (key, definition) = (CursorKey::new([7; 32]), definition());
        query.after = None;
        let sealed = cursor::seal(&key, &definition, &query, &next).unwrap();
        query.after = Some(cursor::open(&key, &definition, &query, &sealed).unwrap());
        assert_eq!(query.after.as_ref(), Some(&next));
    }
}

/// What an import of `second` after `first` leaves.
fn model(first: &[Record], second: &[Record], replace: bool) -> Vec<Record> {
    let identity = |record: &Record| (key(record).to_owned(), record.values[1].to_string());
    let definition = definition();
    let (first, second) = (stored(&definition, first), stored(&definition, second));
    let kept = first.into_iter().filter(|old| !replace && !second.iter().any(|new| identity(old) == identity(new)));
    kept.chain(second.iter().cloned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn every_store_has_the_same_pages(
        first in proptest::collection::vec(any_record(), 0..40),
        second in proptest::collection::vec(any_record(), 0..40),
        replace in any::<bool>(),
        queries in proptest::collection::vec(any_query(), 25),
    ) {
        let (tables, folder) = (Tables::new(&definition()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder));
        let shared: Arc<dyn RecordStore> = tables.store(clock.clone(), 10_000);
        for store in [&embedded, &shared] {
            for (records, replace) in [(&first, false), (&second, replace)] {
                let mut session = store.begin_import(&definition(), Uuid::now_v7(), TODAY, replace).unwrap();
                put_all(&mut *session, records);
                session.commit().unwrap();
            }
        }
        let frugal: Arc<dyn RecordStore> = tables.store(clock, 3);
        let records = model(&first, &second, replace);
        for query in queries {
            let expected = naive(&definition(), &records, &query);
            let of_embedded = pages(&embedded, &query).unwrap();
            let of_shared = pages(&shared, &query).unwrap();
            prop_assert_eq!(&of_embedded, &of_shared, "{:?}", query);
            let rows: Vec<_> = of_shared.into_iter().flat_map(|(rows, _)| rows).collect();
            prop_assert_eq!(&rows, &expected, "{:?}", query);
            // With next to no budget it takes more pages, or is refused; it never leaves anything out.
            match pages(&frugal, &query) {
                Ok(pages) => {
                    let rows: Vec<_> = pages.into_iter().flat_map(|(rows, _)| rows).collect();
                    prop_assert_eq!(&rows, &expected, "{:?}", query);
                }
                Err(RecordStoreError::TooMuchToRead { records_max: 3, .. }) => {
                    // Versions that were replaced count until they are cleared away.
                    prop_assert!(first.len() + second.len() > 3);
                }
                Err(error) => prop_assert!(false, "{}: {:?}", error, query),
            }
        }
    }
}
