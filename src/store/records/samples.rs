//! A small data set of every type, for tests of record stores.

use std::{cmp::Ordering, collections::BTreeMap};

use jiff::civil::date;
use proptest::prelude::*;

use crate::dataset::{
    Column, ColumnType, Definition, Point, Record, Value, json,
    place::{Area, Circle, GeoBox, Polygon},
    query::{Filter, Query, RankedBy, Ranking, SortTerm, Term, Test, WordSearch, ascending},
    text::folded,
};

/// The definition that the tests use: the key, the ordinal, one nullable column of each type, and the load date.
pub(crate) fn definition() -> Definition {
    let columns = [
        ("number", "text"),
        ("record_id", "integer"),
        ("status", "text"),
        ("units", "integer"),
        ("cost", "money"),
        ("latitude", "number"),
        ("filed", "date"),
        ("changed", "timestamp"),
        ("load_date", "date"),
        ("place", "point"),
    ];
    let columns: Vec<serde_json::Value> =
        columns.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
    // Read from JSON, so that later fields of definitions take their defaults here.
    serde_json::from_value(serde_json::json!({
        "name": "things",
        "title": "Things",
        "columns": columns,
        "key": 0,
        "record_id": 1,
        "record_id_rule": "ordinal",
        "load_date": 8,
        "indexes": [
            { "partition": "status", "sort": "filed" },
            { "partition": "cost" },
            { "partition": "units", "sort": "changed" },
        ],
    }))
    .unwrap()
}

/// Values of few kinds, so that many are equal.
pub(crate) fn any_value(kind: ColumnType) -> BoxedStrategy<Value> {
    let value = match kind {
        ColumnType::Text => prop_oneof!["[aAbß%_ ]{0,3}", "(issued|complete)"].prop_map(Value::Text).boxed(),
        ColumnType::Integer => prop_oneof![-2_i64..3, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer).boxed(),
        ColumnType::Money => (-300_i64..300).prop_map(Value::Money).boxed(),
        ColumnType::Number => {
            prop_oneof![(-3_i32..3).prop_map(|n| f64::from(n) / 2.0), Just(1e300)].prop_map(Value::Number).boxed()
        }
        ColumnType::Date => (1_i8..=5).prop_map(|day| Value::Date(date(2016, 12, day))).boxed(),
        ColumnType::Timestamp => (0_i128..4)
            .prop_map(|step| {
                Value::Timestamp(
                    jiff::Timestamp::from_nanosecond(1_480_550_400_000_000_000 + step * 250_000_000).unwrap(),
                )
            })
            .boxed(),
        ColumnType::Point => any_point().prop_map(Value::Point).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
}

/// A point of few, some of which are beside each other or on the antimeridian.
fn any_point() -> impl Strategy<Value = Point> {
    let places = ["37.77,-122.42", "37.77,-122.4199999", "37.79,-122.4", "0,0", "-17,180", "-17,-179", "90,0"];
    proptest::sample::select(places.to_vec()).prop_map(|text| Point::parse(text).unwrap())
}

fn any_area() -> impl Strategy<Value = Area> {
    let radius = proptest::sample::select(vec![0, 2, 50_000, 500_000, 2_001_511_444]);
    let boxes = ["-122.42,37.77,-122.42,37.77", "-123,37,-122,38", "170,-20,-170,0", "-180,-90,180,90"];
    let polygons = [
        "POLYGON ((-122.42 37.77, -122.3 37.77, -122.3 37.9))",
        "POLYGON ((-1 -1, 1 -1, 1 1, -1 1, -1 -1), (0 0, 0.5 0, 0.5 0.5, 0 0))",
    ];
    prop_oneof![
        (any_point(), radius).prop_map(|(centre, radius)| Area::Near(Circle::new(centre, radius))),
        proptest::sample::select(boxes.to_vec()).prop_map(|text| Area::Box(GeoBox::parse(text).unwrap())),
        proptest::sample::select(polygons.to_vec()).prop_map(|text| Area::Polygon(Polygon::parse(text, 9).unwrap())),
    ]
}

/// Any record of the definition, in the form of an import's row.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let values: Vec<BoxedStrategy<Value>> = definition()
        .columns
        .iter()
        .enumerate()
        .map(|(place, column): (usize, &Column)| match place {
            0 => "[a-e]{1,2}".prop_map(Value::Text).boxed(),
            1 | 8 => Just(Value::Null).boxed(),
            _ => any_value(column.kind),
        })
        .collect();
    values.prop_map(|values| Record { values })
}

fn any_test(kind: ColumnType) -> BoxedStrategy<Test> {
    let value = move || any_value(kind).prop_filter("not null", |value| !value.is_null());
    let list = move || {
        proptest::collection::vec(value(), 2..4).prop_map(|mut list| {
            list.sort_by(ascending);
            list
        })
    };
    let tests = prop_oneof![
        value().prop_map(Test::Equal),
        value().prop_map(Test::NotEqual),
        value().prop_map(Test::Less),
        value().prop_map(Test::LessOrEqual),
        value().prop_map(Test::Greater),
        value().prop_map(Test::GreaterOrEqual),
        list().prop_map(|list| Test::Between(list[0].clone(), list[1].clone())),
        list().prop_map(Test::In),
        list().prop_map(Test::NotIn),
        any::<bool>().prop_map(Test::Null),
    ];
    if kind == ColumnType::Point {
        return prop_oneof![1 => tests, 2 => any_area().prop_map(Test::Inside)].boxed();
    }
    if kind != ColumnType::Text {
        return tests.boxed();
    }
    let text = "[aAbß%_ ]{0,2}";
    prop_oneof![
        4 => tests,
        1 => text.prop_map(|text| Test::Contains(folded(&text).into_owned())),
        1 => text.prop_map(Test::StartsWith),
    ]
    .boxed()
}

/// Any query of the definition.
pub(crate) fn any_query() -> impl Strategy<Value = Query> {
    let columns = definition().columns;
    let kinds: Vec<ColumnType> = columns.iter().map(|column| column.kind).collect();
    let words = || {
        let columns = proptest::sample::subsequence(vec![0, 2], 1..=2);
        let text = proptest::collection::vec("[aAbß]{1,2}|is|COMPLETE", 1..3);
        (text, columns).prop_filter_map("a word", |(text, columns)| WordSearch::new(&text.join(" "), columns).unwrap())
    };
    let term = (0..kinds.len())
        .prop_flat_map(move |column| any_test(kinds[column]).prop_map(move |test| Filter::Term(Term { column, test })));
    let term = prop_oneof![12 => term, 1 => words().prop_map(Filter::Words)];
    // As expressions make them, and without simplification.
    let filter = term.prop_recursive(3, 8, 3, |inner| {
        let several = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Filter::any),
            several.clone().prop_map(Filter::all),
            several.prop_map(Filter::Any),
            inner.clone().prop_map(Filter::negated),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    });
    let sort = proptest::sample::subsequence((0..columns.len()).collect::<Vec<_>>(), 0..4)
        .prop_shuffle()
        .prop_flat_map(|columns| {
            proptest::collection::vec(any::<bool>(), columns.len()).prop_map(move |directions| {
                let terms = columns.iter().zip(directions);
                terms.map(|(column, descending)| SortTerm { column: *column, descending }).collect::<Vec<_>>()
            })
        });
    let select = proptest::option::of(proptest::sample::subsequence((0..columns.len()).collect::<Vec<_>>(), 1..4));
    let filters = proptest::collection::vec(filter, 0..3);
    let place = definition().column_index("place").unwrap();
    let by_words = (words(), any::<bool>()).prop_map(|(search, descending)| {
        let ranking = Ranking { by: RankedBy::Relevance(search.clone()), descending };
        (Filter::Words(search), ranking)
    });
    let by_distance = (any_point(), any::<bool>()).prop_map(move |(from, descending)| {
        let near = Test::Inside(Area::Near(Circle::new(from, 2_000_000_000)));
        let ranking = Ranking { by: RankedBy::Distance { column: place, from }, descending };
        (Filter::Term(Term { column: place, test: near }), ranking)
    });
    let ranked = proptest::option::weighted(0.2, prop_oneof![by_words, by_distance]);
    (filters, sort, select, 1_u32..8, any::<bool>(), ranked).prop_map(
        |(mut filters, sort, select, limit, count, ranked)| {
            let ranking = ranked.map(|(filter, ranking)| {
                filters.push(filter);
                ranking
            });
            Query { filter: Filter::all(filters), ranking, select, sort, count, ..Query::everything(limit) }
        },
    )
}

/// The number that a ranking gives to a record, in its direction.
fn rank(ranking: &Ranking, record: &Record) -> u32 {
    let number = match &ranking.by {
        RankedBy::Relevance(search) => search.relevance(search.bits_of_record(record)),
        RankedBy::Distance { column, from } => match &record.values[*column] {
            Value::Point(point) => point.distance_cm(*from),
            _ => u32::MAX,
        },
    };
    if ranking.descending { !number } else { number }
}

/// The answer by definition: all records filtered and sorted.
pub(crate) fn naive(definition: &Definition, records: &[Record], query: &Query) -> Vec<serde_json::Value> {
    let mut matching: Vec<&Record> = records.iter().filter(|record| query.filter.matches(record)).collect();
    matching.sort_by(|left, right| {
        let by_rank = query.ranking.as_ref().map_or(Ordering::Equal, |by| rank(by, left).cmp(&rank(by, right)));
        query.order(definition).iter().fold(by_rank, |order, term| {
            let (left, right) = (&left.values[term.column], &right.values[term.column]);
            let nulls = left.is_null() || right.is_null();
            let next = ascending(left, right);
            order.then(if term.descending && !nulls { next.reverse() } else { next })
        })
    });
    let shown = |record: &&Record| {
        let mut text = Vec::new();
        json::write_record(definition, record, &mut text);
        let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
        let Some(select) = &query.select else { return whole.into() };
        let names = select.iter().map(|column| definition.columns[*column].name.clone());
        names.map(|name| (name.clone(), whole[&name].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    matching.iter().map(shown).collect()
}

/// The records of a version, by key and record id.
pub(crate) type HeldVersion = BTreeMap<(String, i64), Record>;

/// A record's key and record id.
pub(crate) fn identity(record: &Record) -> (String, i64) {
    let (Value::Text(key), Value::Integer(id)) = (&record.values[0], &record.values[1]) else {
        panic!("a record without key or ordinal")
    };
    (key.clone(), *id)
}

fn shown(record: Option<&Record>) -> serde_json::Value {
    let Some(record) = record else { return serde_json::Value::Null };
    let mut text = Vec::new();
    json::write_record(&definition(), record, &mut text);
    serde_json::from_slice(&text).unwrap()
}

fn identities<'v>(versions: impl IntoIterator<Item = &'v HeldVersion>) -> Vec<&'v (String, i64)> {
    let mut identities: Vec<_> = versions.into_iter().flat_map(BTreeMap::keys).collect();
    identities.sort();
    identities.dedup();
    identities
}

/// The changes after a version, by definition. The first of the versions is empty; `moment` gives the time of each.
pub(crate) fn expected_changes(
    versions: &[HeldVersion],
    since: usize,
    moment: impl Fn(usize) -> String,
) -> Vec<serde_json::Value> {
    let mut changes = Vec::new();
    for version in since + 1..versions.len() {
        let (before, after) = (&versions[version - 1], &versions[version]);
        for identity in identities([before, after]) {
            let (old, new) = (before.get(identity), after.get(identity));
            let change = match (old, new) {
                (None, _) => "inserted",
                (_, None) => "removed",
                (old, new) if old == new => continue,
                _ => "updated",
            };
            changes.push(serde_json::json!({
                "version": version, "at": moment(version), "change": change,
                "key": identity.0, "record_id": identity.1, "before": shown(old), "after": shown(new),
            }));
        }
    }
    changes
}

/// The states of the records of a key, by definition.
pub(crate) fn expected_states(
    versions: &[HeldVersion],
    key: &str,
    moment: impl Fn(usize) -> String,
) -> Vec<serde_json::Value> {
    let at = |version: usize| serde_json::json!({ "version": version, "at": moment(version) });
    let mut states = Vec::new();
    for identity in identities(versions).into_iter().filter(|(of, _)| of == key) {
        let mut open: Option<(usize, &Record)> = None;
        for (version, records) in versions.iter().enumerate() {
            let now = records.get(identity);
            if now == open.map(|(_, record)| record) {
                continue;
            }
            if let Some((from, record)) = open.take() {
                states.push(serde_json::json!({
                    "record_id": identity.1, "valid_from": at(from), "valid_until": at(version),
                    "record": shown(Some(record)),
                }));
            }
            open = now.map(|record| (version, record));
        }
        if let Some((from, record)) = open {
            states.push(serde_json::json!({
                "record_id": identity.1, "valid_from": at(from), "valid_until": null, "record": shown(Some(record)),
            }));
        }
    }
    states
}
