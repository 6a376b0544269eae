//! The same questions: the same rows, in the same order, on the same pages.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{
        Record, Value,
        cursor::{self, CursorKey},
        export::{RowWriter, WorkbookPlace},
        json,
        query::{Facets, Format, Groups, Query, QueryLimits, Stats, parse_groups},
        summary::{FacetTally, FiguresTally},
    },
    store::records::{ImportOrder, RecordStore, RecordStoreError, Retention},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning, data, export, facets, find, groups,
    imports::{definitions, for_the_table},
    key, put_all,
    samples::{any_query, any_record, definition, naive},
    sqlite, stats, stored,
};
use crate::support;

/// A page, and how many records match in all.
type Shown = (Vec<serde_json::Value>, Option<u64>);

/// Every page of a query; or why there is none.
fn pages(store: &Arc<dyn RecordStore>, query: &Query) -> Result<Vec<Shown>, RecordStoreError> {
    let (mut query, mut pages) = (query.clone(), Vec::new());
    loop {
        let page = find(store, &query)?;
        let (next, count) = (page.next.clone(), page.count);
        pages.push((data(page), count));
        assert!(pages.len() < 300, "{query:?} comes to no end");
        let Some(next) = next else { return Ok(pages) };
        // As a caller would go on: through a sealed cursor.
        let (key, definition) = (CursorKey::new([7; 32]), definition());
        query.after = None;
        let sealed = cursor::seal(&key, &definition, &query, &next).unwrap();
        query.anchor = None;
        query.go_on(cursor::open(&key, &definition, &query, &sealed).unwrap());
        assert_eq!(query.version(), Some(next.version));
    }
}

fn rows(pages: Vec<Shown>) -> Vec<serde_json::Value> {
    pages.into_iter().flat_map(|(rows, _)| rows).collect()
}

/// The same two imports in stores of each kind, and in a node that has copied what they left.
struct Filled {
    embedded: Arc<dyn RecordStore>,
    shared: Arc<dyn RecordStore>,
    copied: Arc<dyn RecordStore>,
    _places: (Tables, tempfile::TempDir),
}

impl Filled {
    fn with(first: &[Record], second: &[Record], replace: bool) -> Self {
        let (tables, folder) = (Tables::new(&definition()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
        let shared: Arc<dyn RecordStore> = tables.store(clock.clone());
        for store in [&embedded, &shared] {
            for (records, replace) in [(first, false), (second, replace)] {
                let mut session =
                    store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, replace)).unwrap();
                put_all(&mut *session, records);
                session.commit().unwrap();
            }
        }
        let copied: Arc<dyn RecordStore> = tables.store(clock);
        Self { embedded, shared, copied, _places: (tables, folder) }
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
        let Filled { embedded, shared, copied, _places } = Filled::with(&first, &second, replace);
        let records = model(&first, &second, replace);
        for query in queries {
            let expected = naive(&definition(), &records, &query);
            let of_embedded = pages(&embedded, &query).unwrap();
            let of_shared = pages(&shared, &query).unwrap();
            prop_assert_eq!(&of_embedded, &of_shared, "{:?}", query);
            let count = query.count.then_some(expected.len() as u64);
            prop_assert!(of_shared.iter().all(|(_, counted)| *counted == count), "{:?}", query);
            prop_assert_eq!(&rows(of_shared), &expected, "{:?}", query);
            prop_assert_eq!(&pages(&copied, &query).unwrap(), &of_embedded, "{:?}", query);
        }
    }
}

/// The rows of an export by definition: every record looked at, and sorted.
fn exported(records: &[Record], query: &Query) -> Vec<u8> {
    let definition = definition();
    let places: Vec<usize> = query.select.clone().unwrap_or_else(|| (0..definition.columns.len()).collect());
    let ordered = naive(&definition, records, &Query { select: Some(vec![0, 1]), ..query.clone() });
    // Exports of text, which need no place.
    let place = WorkbookPlace { folder: std::path::PathBuf::new(), bytes_max: 0 };
    let mut writer = RowWriter::new(&definition, query, &place).unwrap();
    let mut whole = Vec::new();
    writer.begin(&mut whole).unwrap();
    for identity in ordered.iter().take(query.limit_asked.map_or(usize::MAX, |limit| limit as usize)) {
        let is_it = |record: &&Record| {
            identity["number"] == key(record)
                && Value::Integer(identity["record_id"].as_i64().unwrap()) == record.values[1]
        };
        let record = records.iter().find(is_it).unwrap();
        let value = |place: &usize| {
            let mut text = Vec::new();
            json::write_value(&record.values[*place], &mut text);
            text
        };
        let values: Vec<Vec<u8>> = places.iter().map(value).collect();
        writer.row(values.iter().map(Vec::as_slice), &mut whole).unwrap();
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn every_store_summarises_and_exports_the_same(
        first in proptest::collection::vec(any_record(), 0..30),
        second in proptest::collection::vec(any_record(), 0..30),
        replace in any::<bool>(),
        queries in proptest::collection::vec(any_query(), 15),
        columns in proptest::sample::subsequence((0..9_usize).collect::<Vec<_>>(), 1..4),
        limit in 1_u32..5,
        limit_asked in proptest::option::of(1_u32..10),
        csv_safe in any::<bool>(),
        bom in any::<bool>(),
        numbers_as_texts in any::<bool>(),
    ) {
        let Filled { embedded, shared, copied, _places } = Filled::with(&first, &second, replace);
        let records = model(&first, &second, replace);
        // Of texts there are no figures.
        let measured: Vec<usize> = columns.iter().copied().filter(|column| ![0, 2].contains(column)).collect();
        for query in queries {
            let matching: Vec<&Record> = records.iter().filter(|record| query.filter.matches(record)).collect();
            let asked = Facets { filter: query.filter.clone(), columns: columns.clone(), limit, numbers_as_texts: false, as_of: None };
            let found = facets(&shared, &asked).unwrap();
            prop_assert_eq!(&found, &facets(&embedded, &asked).unwrap(), "{:?}", asked);
            prop_assert_eq!(found.records, matching.len() as u64);
            for facet in &found.columns {
                let mut tally = FacetTally::new(facet.column);
                matching.iter().for_each(|record| tally.add(&record.values[facet.column]));
                prop_assert_eq!(facet, &tally.finish(limit), "{:?}", asked);
            }
            prop_assert_eq!(&facets(&copied, &asked).unwrap(), &found, "{:?}", asked);
            let raw = "by=status,month(filed)&measure=count,sum(cost),median(units),max(latitude),distinct(changed)";
            let limits = QueryLimits::default();
            let asked = Groups { filter: query.filter.clone(), ..parse_groups(&definition(), raw, &limits).unwrap() };
            let found = groups(&shared, &asked).unwrap();
            prop_assert_eq!(&found, &groups(&embedded, &asked).unwrap(), "{:?}", asked);
            prop_assert_eq!(&found, &groups(&copied, &asked).unwrap(), "{:?}", asked);
            prop_assert_eq!(found.found.records, matching.len() as u64);
            let asked = Stats { filter: query.filter.clone(), columns: measured.clone(), numbers_as_texts: false, as_of: None };
            let found = stats(&shared, &asked).unwrap();
            prop_assert_eq!(&found, &stats(&embedded, &asked).unwrap(), "{:?}", asked);
            for figures in &found.columns {
                let mut tally = FiguresTally::new(figures.column);
                matching.iter().for_each(|record| tally.add(&record.values[figures.column]));
                prop_assert_eq!(figures, &tally.finish(), "{:?}", asked);
            }
            prop_assert_eq!(&stats(&copied, &asked).unwrap(), &found, "{:?}", asked);
            for format in [Format::Ndjson, Format::Csv] {
                let query = Query { format: Some(format), limit_asked, csv_safe, bom, numbers_as_texts, ..query.clone() };
                let found = export(&shared, &query).unwrap();
                prop_assert_eq!(&found, &exported(&records, &query), "{:?}", query);
                prop_assert_eq!(&found, &export(&embedded, &query).unwrap(), "{:?}", query);
                prop_assert_eq!(&found, &export(&copied, &query).unwrap(), "{:?}", query);
            }
        }
    }
}

/// A walk through the pages of a query in one store.
#[derive(Debug, Clone)]
struct Walk {
    next: Option<Query>,
    pages: Vec<Shown>,
}

impl Walk {
    /// Reads the next page.
    fn go_on(&mut self, store: &Arc<dyn RecordStore>) {
        let Some(query) = self.next.take() else { return };
        let page = find(store, &query).unwrap_or_else(|error| panic!("{error}: {query:?}"));
        self.next = page.next.clone().map(|place| Query { after: Some(place), ..query });
        let count = page.count;
        self.pages.push((data(page), count));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn every_walk_stays_on_the_version_that_it_began_with(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..20), any::<bool>(), 0_usize..2), 2..5),
        queries in proptest::collection::vec(any_query(), 12),
    ) {
        let (tables, folder) = (Tables::new(&for_the_table()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
        let here: Arc<dyn RecordStore> = tables.store(clock.clone());
        // Two nodes that hear of no import by themselves.
        let mut others: Vec<Arc<dyn RecordStore>> = Vec::new();
        // Each query with what it means, and how far each store has come with it.
        let mut walks: Vec<(Query, Vec<serde_json::Value>, Vec<Walk>)> = Vec::new();
        let mut now: Vec<Record> = Vec::new();
        for (nth, (records, replace, which)) in imports.iter().enumerate() {
            // The same columns, not always the same indexes.
            for (store, definition) in [(&embedded, definition()), (&here, definitions().swap_remove(*which))] {
                let mut session = store.begin_import(ImportOrder::new(&definition, Uuid::from_u128(7), TODAY, *replace && nth > 0)).unwrap();
                put_all(&mut *session, records);
                session.commit().unwrap();
            }
            // Whatever may be cleared away is so by the next import.
            clock.advance_us(100_000_000);
            let added = stored(&definition(), records);
            let is_same = |left: &Record, right: &Record| left.values[..2] == right.values[..2];
            now.retain(|old| !*replace && !added.iter().any(|new| is_same(old, new)));
            now.extend(added);
            if others.is_empty() {
                others = vec![tables.store(clock.clone()), tables.store(clock.clone())];
            }
            for (.., walks) in &mut walks {
                for (store, walk) in [&embedded, &here].into_iter().chain(&others).zip(walks) {
                    walk.go_on(store);
                }
            }
            for query in queries.iter().skip(nth * 3).take(3) {
                let mut first = Walk { next: Some(query.clone()), pages: Vec::new() };
                first.go_on(&here);
                // Who has not heard of the version is asked to go on with it.
                walks.push((query.clone(), naive(&definition(), &now, query), vec![first; 4]));
            }
        }
        for (query, expected, mut walks) in walks {
            for (store, walk) in [&embedded, &here].into_iter().chain(&others).zip(&mut walks) {
                for _ in 0..300 {
                    walk.go_on(store);
                }
                prop_assert!(walk.next.is_none(), "{:?} comes to no end", query);
            }
            let count = query.count.then_some(expected.len() as u64);
            for walk in &walks {
                prop_assert!(walk.pages.iter().all(|(_, counted)| *counted == count), "{:?}", query);
            }
            let last = walks.pop().unwrap();
            prop_assert_eq!(&rows(last.pages), &expected, "{:?}", query);
            prop_assert_eq!(&walks[0].pages, &walks[1].pages, "{:?}", query);
            prop_assert_eq!(&walks[1].pages, &walks[2].pages, "{:?}", query);
            prop_assert_eq!(rows(walks.swap_remove(0).pages), expected, "{:?}", query);
        }
    }
}
