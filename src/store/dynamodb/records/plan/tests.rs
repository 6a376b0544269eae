//! Which ways are taken.

use std::sync::Arc;

use super::*;
use crate::{
    dataset::{
        cursor::CursorKey,
        query::{self, Limits, Position},
    },
    store::records::samples::definition,
};

fn layout() -> Layout {
    Layout::new(Arc::new(definition()), 4)
}

fn parsed(raw_query: &str) -> Query {
    query::parse(&definition(), raw_query, &Limits::default(), &CursorKey::new([7; 32])).unwrap()
}

/// Each way in a few words.
fn shown(raw_query: &str) -> Vec<String> {
    let layout = layout();
    ways(&layout, &parsed(raw_query)).iter().map(|way| in_words(&layout, way)).collect()
}

fn in_words(layout: &Layout, way: &Way) -> String {
    match way {
        Way::Keys(keys) => format!("keys {}", keys.join(",")),
        Way::Index(way) => {
            let mut text = layout.indexes()[way.index].name.clone();
            text.push_str(if way.ordered { ", ordered" } else { ", sorted" });
            text.push_str(if way.descending { ", backwards" } else { "" });
            text.push_str(if way.exact { "" } else { ", filtered" });
            text.push_str(&format!(", {} ranges", way.ranges.len()));
            text
        }
        Way::Any(alternatives) => {
            alternatives.iter().map(|(_, way)| in_words(layout, way)).collect::<Vec<_>>().join(" | ")
        }
    }
}

fn with_filter(expression: &str, more: &str) -> Vec<String> {
    let encoded: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    shown(&format!("filter={encoded}{more}"))
}

#[test]
fn alternatives_are_looked_up_where_each_can_be() {
    let walk = "walk, ordered, filtered, 1 ranges";
    let cases: &[(&str, &str, &[&str])] = &[
        ("status = 'filed' OR cost = 5", "", &["by-status.filed, sorted, 1 ranges | by-cost, sorted, 1 ranges", walk]),
        ("number = 'k1' OR cost = 5", "&sort=latitude", &["keys k1 | by-cost, sorted, 1 ranges"]),
        (
            "(status = 'filed' AND filed > 2016-01-01) OR (cost = 5 AND units > 1)",
            "&sort=latitude",
            &["by-status.filed, sorted, 1 ranges | by-cost, sorted, filtered, 1 ranges"],
        ),
        ("status = 'filed' OR latitude = 5", "", &[walk]),
        ("status = 'filed' OR latitude = 5", "&sort=latitude", &["walk, sorted, filtered, 1 ranges"]),
        // What has to hold anyway is the better way.
        (
            "units = 1 AND (status = 'filed' OR cost = 5)",
            "&sort=latitude",
            &["by-units.changed, sorted, filtered, 1 ranges"],
        ),
        (
            "NOT (status != 'filed' AND cost != 5)",
            "",
            &["by-status.filed, sorted, 1 ranges | by-cost, sorted, 1 ranges", walk],
        ),
        ("status = 'filed' AND NOT (cost > 5)", "&sort=filed", &["by-status.filed, ordered, filtered, 1 ranges"]),
    ];
    for (expression, more, expected) in cases {
        assert_eq!(with_filter(expression, more), *expected, "{expression}{more}");
    }
    let layout = layout();
    let everything = |raw_query: &str| in_words(&layout, &everything(&layout, &parsed(raw_query).filter).unwrap());
    assert_eq!(everything("status=filed&sort=-filed"), "by-status.filed, sorted, 1 ranges");
    assert_eq!(everything("latitude=5"), "walk, sorted, filtered, 1 ranges");
    assert_eq!(everything("number__in=k1,k2&cost=5"), "keys k1,k2");
}

#[test]
fn an_index_is_chosen_by_what_it_serves() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["walk, ordered, 1 ranges"]),
        ("sort=-number", &["walk, ordered, backwards, 1 ranges"]),
        ("status__contains=x", &["walk, ordered, filtered, 1 ranges"]),
        ("number__startswith=k", &["walk, ordered, 1 ranges"]),
        ("number=k1", &["keys k1", "walk, ordered, 1 ranges"]),
        ("number__in=k1,k2&sort=cost", &["keys k1,k2"]),
        ("status=filed&sort=filed", &["by-status.filed, ordered, 1 ranges"]),
        ("status=filed&sort=-filed", &["by-status.filed, ordered, backwards, 2 ranges"]),
        ("status=filed&sort=-filed&filed__gt=2016-01-01", &["by-status.filed, ordered, backwards, 1 ranges"]),
        ("status__isnull=true&sort=filed", &["by-status.filed, ordered, 1 ranges"]),
        ("status__in=filed,issued&sort=filed", &["by-status.filed, ordered, 1 ranges"]),
        ("status=filed&filed=2016-12-01", &["by-status.filed, ordered, 1 ranges"]),
        ("status=filed&sort=latitude", &["by-status.filed, sorted, 1 ranges"]),
        ("status=filed&filed__ne=2016-12-01&sort=latitude", &["by-status.filed, sorted, filtered, 1 ranges"]),
        ("status=filed", &["by-status.filed, sorted, 1 ranges", "walk, ordered, filtered, 1 ranges"]),
        ("cost=5", &["by-cost, ordered, 1 ranges"]),
        ("cost=5&sort=status", &["by-cost, sorted, 1 ranges"]),
        ("status=filed&filed=2016-12-01&cost=5&sort=changed", &["by-status.filed, sorted, filtered, 1 ranges"]),
        (
            "units=1&changed__isnull=true&status=filed&sort=filed",
            &["by-units.changed, sorted, filtered, 1 ranges", "by-status.filed, ordered, filtered, 1 ranges"],
        ),
        ("sort=latitude", &["walk, sorted, 1 ranges"]),
        ("sort=status&number__gt=k", &["walk, sorted, 1 ranges"]),
        ("status=filed&filed__gt=2017-01-01&filed__lt=2016-01-01&sort=filed", &["by-status.filed, ordered, 0 ranges"]),
    ];
    for (raw_query, expected) in cases {
        assert_eq!(shown(raw_query), *expected, "{raw_query}");
    }
}

#[test]
fn a_list_of_too_many_values_is_no_way_into_an_index() {
    let list: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(shown(&format!("cost__in={}&sort=latitude", list.join(","))), ["walk, sorted, filtered, 1 ranges"]);
}

#[test]
fn a_position_among_nulls_leaves_only_nulls() {
    let mut query = parsed("status=filed&sort=-filed");
    let position =
        |filed: Value| Position { version: 1, values: vec![filed, Value::Text("k".to_owned()), Value::Integer(1)] };
    let ranges = |query: &Query| match ways(&layout(), query).remove(0) {
        Way::Index(way) => way.ranges,
        Way::Keys(_) | Way::Any(_) => panic!("an index"),
    };
    query.after = Some(position(Value::Date(jiff::civil::date(2016, 12, 1))));
    assert_eq!(ranges(&query).len(), 2);
    query.after = Some(position(Value::Null));
    let only = ranges(&query);
    assert_eq!(only.len(), 1);
    assert!(only[0].from.starts_with('1'));
}
