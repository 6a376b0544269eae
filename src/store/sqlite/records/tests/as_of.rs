//! Questions about earlier versions, compared with a plain list of each version's records.

use super::{
    past::{exported, imported},
    *,
};
use crate::{
    dataset::{
        export::groups_as_json,
        query::{Facets, Filter, Format, Groups, PageStart, PointInTime, Stats, parse_groups},
        summary::{Facet, FacetTally, Figures, FiguresTally},
    },
    store::records::samples::{any_query, naive},
};

const DAY_US: i64 = 86_400_000_000;

/// The groups by status, with the count and the sum of the costs, by definition.
fn by_status(records: &[&Record]) -> serde_json::Value {
    let mut groups: Vec<(Value, u64, Option<i64>)> = Vec::new();
    for record in records {
        let (status, cost) = (&record.values[2], &record.values[4]);
        let place = groups.iter().position(|(known, ..)| known == status).unwrap_or_else(|| {
            groups.push((status.clone(), 0, None));
            groups.len() - 1
        });
        groups[place].1 += 1;
        if let Value::Money(cents) = cost {
            groups[place].2 = Some(groups[place].2.unwrap_or(0) + cents);
        }
    }
    groups.sort_by(|(left, ..), (right, ..)| query::ascending(left, right));
    let shown = |(status, count, sum): (Value, u64, Option<i64>)| {
        let status = if status.is_null() { serde_json::Value::Null } else { status.to_string().into() };
        serde_json::json!({ "status": status, "count": count, "sum_cost": sum.map(|cents| cents as f64 / 100.0) })
    };
    groups.into_iter().map(shown).collect()
}

fn grouped(raw_query: &str, filter: &Filter, as_of: PointInTime) -> Groups {
    let asked = parse_groups(&definition(), raw_query, &QueryLimits::default()).unwrap();
    Groups { filter: filter.clone(), as_of: Some(as_of), ..asked }
}

/// Every page of a query as of a version.
fn pages(store: &SqliteRecordStore, query: &Query, version: u64) -> (Vec<serde_json::Value>, Option<u64>) {
    let data_set = store.data_set("things").unwrap();
    let mut query = Query { as_of: Some(PointInTime::Version(version)), ..query.clone() };
    let mut found = Vec::new();
    loop {
        let page = wait(store.find(&data_set, &query)).unwrap();
        assert_eq!(page.version, version);
        let count = page.count;
        found.extend(data(&page.document.finish(&[], "things", page.version)));
        let Some(next) = page.next else { return (found, count) };
        assert_eq!(next.version, version);
        query.go_on(PageStart::At(next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_question_about_a_version_is_answered_by_its_records(
        imports in proptest::collection::vec((proptest::collection::vec(any_record(), 0..14), any::<bool>()), 1..6),
        queries in proptest::collection::vec(any_query(), 4),
        columns in proptest::sample::subsequence((0..9_usize).collect::<Vec<_>>(), 1..4),
        limit_asked in proptest::option::of(1_u32..10),
    ) {
        let store = Store::with(fake_clock(), Retention::default());
        let versions = imported(&store, &imports, || {
            store.projecting();
        });
        for (version, held) in versions.iter().enumerate().skip(1) {
            let records: Vec<Record> = held.values().cloned().collect();
            let as_of = PointInTime::Version(version as u64);
            for query in &queries {
                let matching: Vec<&Record> = records.iter().filter(|record| query.filter.matches(record)).collect();
                let expected = naive(&definition(), &records, query);
                for asked in [&store.store, store.projecting()] {
                    let data_set = asked.data_set("things").unwrap();
                    let (found, count) = pages(asked, query, version as u64);
                    prop_assert_eq!(&found, &expected, "version {}: {:?}", version, query);
                    prop_assert_eq!(count, query.count.then_some(matching.len() as u64));

                    let export = Query { format: Some(Format::Ndjson), limit_asked, as_of: Some(as_of), ..query.clone() };
                    let whole = exported(asked, &export);
                    let lines: Vec<serde_json::Value> = whole
                        .split_inclusive(|byte| *byte == b'\n')
                        .map(|line| serde_json::from_slice(line).unwrap())
                        .collect();
                    let most = limit_asked.map_or(usize::MAX, |limit| limit as usize);
                    prop_assert_eq!(&lines[..], &expected[..most.min(expected.len())], "version {}: {:?}", version, export);

                    let tally = |column: &usize| -> (Facet, Figures) {
                        let (mut facet, mut figures) = (FacetTally::new(*column), FiguresTally::new(*column));
                        for record in &matching {
                            facet.add(&record.values[*column]);
                            figures.add(&record.values[*column]);
                        }
                        (facet.finish(5), figures.finish())
                    };
                    let (facets, figures): (Vec<_>, Vec<_>) = columns.iter().map(tally).unzip();
                    let filter = || query.filter.clone();
                    let facets_asked = Facets {
                        filter: filter(), columns: columns.clone(), limit: 5, numbers_as_texts: false, as_of: Some(as_of),
                    };
                    let told = wait(asked.facets(&data_set, &facets_asked)).unwrap();
                    prop_assert_eq!((told.version, told.records), (version as u64, matching.len() as u64));
                    prop_assert_eq!(&told.columns, &facets, "version {}: {:?}", version, facets_asked);
                    let stats_asked =
                        Stats { filter: filter(), columns: columns.clone(), numbers_as_texts: false, as_of: Some(as_of) };
                    let told = wait(asked.stats(&data_set, &stats_asked)).unwrap();
                    prop_assert_eq!((told.version, told.records), (version as u64, matching.len() as u64));
                    let numbers = |found: &Figures| definition().columns[found.column].kind != ColumnType::Text;
                    for (told, expected) in told.columns.iter().zip(&figures).filter(|(told, _)| numbers(told)) {
                        prop_assert_eq!(told, expected, "version {}: {:?}", version, stats_asked);
                    }
                    let by = grouped("by=status&measure=count,sum(cost)", &query.filter, as_of);
                    let told = wait(asked.groups(&data_set, &by)).unwrap();
                    prop_assert_eq!(told.version, version as u64);
                    let rows = groups_as_json(&definition(), &by, &told.found);
                    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
                    prop_assert_eq!(rows, by_status(&matching), "version {}: {:?}", version, by);
                }
            }
            for first in ["a", "b", "c", "d", "e"] {
                for second in ["", "a", "b"] {
                    let key = format!("{first}{second}");
                    let of_key = Query { filter: parsed(&definition(), &format!("number={key}")).filter, ..Query::everything(10) };
                    let expected = naive(&definition(), &records, &of_key);
                    let get = |id: Option<&str>| wait(store.store.get_at(&store.data_set(), &key, id, as_of)).unwrap();
                    let found = get(None).map(|found| (found.version, found.count, data(&found.document)));
                    let some = (!expected.is_empty()).then(|| (version as u64, expected.len() as u32, expected.clone()));
                    prop_assert_eq!(found, some, "version {}: {}", version, key);
                    for (id, number) in [("1", Some(1)), ("2", Some(2)), ("01", None), ("x", None)] {
                        let one = expected.iter().find(|record| number.is_some_and(|number| record["record_id"] == number));
                        prop_assert_eq!(get(Some(id)).map(|found| data(&found.document)), one.map(|one| vec![one.clone()]));
                    }
                }
            }
        }
    }
}

#[test]
fn a_time_means_the_last_version_that_is_not_after_it() {
    let begins: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let clock = ManualClock::at(begins);
    let store = Store::with(clock.clone(), Retention { days: 10, changes_max: 1000 });
    for status in ["one", "two", "three"] {
        store.import(&definition(), &[record("k1", status, 1)]);
        clock.advance_us(DAY_US);
    }
    let version_at = |text: &str| {
        let as_of = PointInTime::parse(text).unwrap();
        let version = wait(store.store.version_at(&store.data_set(), as_of));
        // The store itself takes a time as well.
        let page = wait(store.store.find(&store.data_set(), &Query { as_of: Some(as_of), ..Query::everything(5) }));
        assert_eq!(page.map(|page| page.version).ok(), version.as_ref().ok().copied(), "{text}");
        version
    };
    for (text, expected) in [
        ("2026-03-01T12:00:00Z", 1),
        ("2026-03-01T12:00:00.0000005Z", 1),
        ("2026-03-02", 1),
        ("2026-03-02T11:59:59.999999999Z", 1),
        ("2026-03-02T12:00:00Z", 2),
        ("2026-03-02T13:00:00+01:00", 2),
        ("2026-03-03T12:00:00Z", 3),
        ("9999-12-30", 3),
        ("2", 2),
    ] {
        assert_eq!(version_at(text).unwrap(), expected, "{text}");
    }
    for text in ["2026-03-01T11:59:59.999999999Z", "2026-03-01", "1970-01-01", "0001-01-01"] {
        let gone = version_at(text).unwrap_err();
        assert!(matches!(gone, RecordStoreError::MomentGone { held_from: 1, .. }), "{text}: {gone}");
        assert!(gone.to_string().contains("from 1 (2026-03-01T12:00:00.000000Z) on"), "{gone}");
    }
    for (text, version) in [("4", 4), ("99999999999999999999", u64::MAX), ("9223372036854775808", 1 << 63)] {
        let early = version_at(text).unwrap_err();
        assert!(
            matches!(early, RecordStoreError::NoSuchVersion { version: of, present: 3, .. } if of == version),
            "{early}"
        );
    }
    let gone = version_at("0").unwrap_err();
    assert!(matches!(gone, RecordStoreError::VersionGone { version: 0, held_from: 1, .. }), "{gone}");
    // Version 3 was the present one when ten days began: what was before it is given up.
    clock.advance_us(11 * DAY_US);
    store.import(&definition(), &[record("k1", "four", 1)]);
    for (text, is_held) in [("1", false), ("2", false), ("3", true), ("4", true), ("2026-03-02T18:00:00Z", false)] {
        assert_eq!(version_at(text).is_ok(), is_held, "{text}");
    }
    let gone = version_at("2").unwrap_err();
    assert!(gone.to_string().contains("from 3 (2026-03-03T12:00:00.000000Z) on"), "{gone}");
    let found = wait(store.store.get_at(&store.data_set(), "k1", None, PointInTime::Version(2))).unwrap_err();
    assert!(matches!(found, RecordStoreError::VersionGone { version: 2, held_from: 3, .. }), "{found}");
}

#[test]
fn a_column_that_is_withdrawn_is_in_no_version() {
    let store = Store::with(fake_clock(), Retention::default());
    store.import(&definition(), &[record("k1", "secret", 1)]);
    let mut narrower = definition();
    narrower.columns.remove(2);
    narrower.load_date = Some(7);
    narrower.indexes.clear();
    let mut kept = record("k1", "secret", 1);
    kept.values.remove(2);
    store.import(&narrower, &[kept]);
    let data_set = store.data_set();
    for asked in [&store.store, store.projecting()] {
        let query = Query { as_of: Some(PointInTime::Version(1)), ..Query::everything(5) };
        let gone = [
            wait(asked.find(&data_set, &query)).map(drop),
            wait(asked.export(&data_set, &Query { format: Some(Format::Csv), ..query })).map(drop),
            wait(asked.get_at(&data_set, "k1", None, PointInTime::Version(1))).map(drop),
            wait(asked.get_at(&data_set, "k1", Some("1"), PointInTime::Version(1))).map(drop),
        ];
        for gone in gone {
            assert!(matches!(gone, Err(RecordStoreError::VersionGone { version: 1, held_from: 2, .. })), "{gone:?}");
        }
        let now = wait(asked.get_at(&data_set, "k1", None, PointInTime::Version(2))).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&now.document).contains("secret"));
    }
}

#[test]
fn the_present_version_by_its_number_is_read_as_the_present() {
    let store = Store::of(50);
    let query = |raw: &str| Query { explain: true, ..parsed(&definition(), raw) };
    let plan = |query: &Query| wait(store.store.find(&store.data_set(), query)).unwrap().explained.unwrap().plan;
    assert_eq!(plan(&query("limit=5&as_of=1")), plan(&query("limit=5")));
    assert!(store.store.reader().find_now(&store.data_set(), &query("limit=5&as_of=1")).is_some());
    store.import(&definition(), &[record("k000000", "issued", 0)]);
    let past = plan(&query("limit=5&as_of=1"));
    assert!(past.iter().any(|step| step.contains("as of version 1")), "{past:?}");
    assert!(store.store.reader().find_now(&store.data_set(), &query("limit=5&as_of=1")).is_none());
}
