//! Groups of columns against groups of each record.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{super::*, ValueBlocks, kept};
use crate::dataset::{
    ColumnType, Definition, Point, Value,
    query::{Groups, ascending},
    samples,
};

/// A definition with a column of every type.
fn wide() -> Definition {
    samples::definition(
        "things",
        &[
            ("key", "text"),
            ("id", "integer"),
            ("status", "text"),
            ("units", "integer"),
            ("cost", "money"),
            ("height", "number"),
            ("day", "date"),
            ("at", "timestamp"),
            ("spot", "point"),
        ],
    )
}

fn any_row() -> impl Strategy<Value = Vec<Value>> {
    let near = |kind: ColumnType| {
        let value = match kind {
            ColumnType::Text => "[ab]{0,2}".prop_map(Value::Text).boxed(),
            ColumnType::Integer => (-5_i64..5).prop_map(Value::Integer).boxed(),
            ColumnType::Money => (-500_i64..500).prop_map(Value::Money).boxed(),
            ColumnType::Number => (-20_i32..20).prop_map(|n| Value::Number(f64::from(n) / 4.0)).boxed(),
            ColumnType::Date => (0_i64..800)
                .prop_map(move |days| dictionary::Dictionary::Range { kind, first: days, len: 1 }.value(0))
                .boxed(),
            ColumnType::Timestamp => (0_i128..200)
                .prop_map(|hours| Value::Timestamp(Timestamp::from_nanosecond(hours * 1_800_000_000_000).unwrap()))
                .boxed(),
            ColumnType::Point => (0_i32..40)
                .prop_map(|n| {
                    Value::Point(Point::of_degrees(37.0 + f64::from(n % 7) / 50.0, f64::from(n) / 50.0).unwrap())
                })
                .boxed(),
        };
        prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
    };
    let columns = wide().columns.iter().skip(2).map(|column| near(column.kind)).collect::<Vec<_>>();
    columns.prop_map(|values| [vec![Value::Text("k".into()), Value::Integer(1)], values].concat())
}

fn any_groups() -> impl Strategy<Value = Groups> {
    let by = proptest::sample::subsequence(
        vec![
            "status",
            "units",
            "year(day)",
            "quarter(day)",
            "month(day)",
            "week(at)",
            "day(at)",
            "hour(at)",
            "weekday(day)",
            "bin(units,3)",
            "bin(cost,1.50)",
            "bin(height,0.75)",
            "day",
            "at",
            "height",
            "spot",
            "geohash(spot,4)",
            "fine:geohash(spot,12)",
        ],
        1..4,
    )
    .prop_shuffle();
    let measures = proptest::sample::subsequence(
        vec![
            "count",
            "count(cost)",
            "sum(cost)",
            "sum(units)",
            "sum(height)",
            "mean(cost)",
            "mean(height)",
            "min(day)",
            "max(status)",
            "median(units)",
            "median(cost)",
            "median(height)",
            "distinct(status)",
            "distinct(at)",
            "distinct(spot)",
            "count(spot)",
            "max(height)",
        ],
        1..5,
    );
    let filter = proptest::sample::select(vec![
        "",
        "units__gt=0",
        "status__contains=A",
        "cost__isnull=true",
        "near=37.1,0.2,30km",
    ]);
    (by, measures, filter, any::<bool>(), 1_u32..6).prop_map(|(by, measures, filter, backwards, limit)| {
        let sign = if backwards { "-" } else { "" };
        let raw = format!(
            "by={}&measure=n:count,{}&having=n+%3E+1&sort={sign}n&limit={limit}&{filter}",
            by.join(","),
            measures
                .iter()
                .filter(|measure| **measure != "count")
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(","),
        )
        .replace("n:count,&", "n:count&");
        crate::dataset::query::parse_groups(&wide(), &raw, &crate::dataset::query::QueryLimits::default()).unwrap()
    })
}

/// The groups by definition: each record is put into its group, and each measure is worked out from the list of values.
fn naive_groups(rows: &[Vec<Value>], asked: &Groups) -> FoundGroups {
    use crate::dataset::{Record, query::MeasureKind, summary::FiguresTally};
    let rows: Vec<&Vec<Value>> =
        rows.iter().filter(|row| asked.filter.matches(&Record { values: (*row).clone() })).collect();
    let mut groups: Vec<(Vec<Value>, Vec<&Vec<Value>>)> = Vec::new();
    for row in &rows {
        let keys: Vec<Value> = asked.by.iter().map(|key| key.part.of(&kept(&row[key.column]))).collect();
        match groups.iter_mut().find(|(known, _)| *known == keys) {
            Some((_, members)) => members.push(row),
            None => groups.push((keys, vec![row])),
        }
    }
    let measured = |members: &[&Vec<Value>], measure: &crate::dataset::query::Measure| {
        let Some(column) = measure.column else { return Measured::Value(Value::Integer(members.len() as i64)) };
        let mut values: Vec<Value> =
            members.iter().map(|row| kept(&row[column])).filter(|value| !value.is_null()).collect();
        values.sort_by(ascending);
        let mut tally = FiguresTally::new(column);
        values.iter().for_each(|value| tally.add(value));
        let figures = tally.finish();
        let number = |value: &Value| match value {
            Value::Integer(whole) => *whole as f64,
            Value::Money(cents) => *cents as f64 / 100.0,
            Value::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        };
        Measured::Value(match measure.kind {
            MeasureKind::Count => Value::Integer(values.len() as i64),
            MeasureKind::Sum => match figures.sum {
                Some(sum) => return Measured::Sum(sum),
                None => Value::Null,
            },
            MeasureKind::Mean => figures.mean.map_or(Value::Null, Value::Number),
            MeasureKind::Min => values.first().cloned().unwrap_or(Value::Null),
            MeasureKind::Max => values.last().cloned().unwrap_or(Value::Null),
            MeasureKind::Median if values.is_empty() => Value::Null,
            MeasureKind::Median => {
                let (low, high) = (&values[(values.len() - 1) / 2], &values[values.len() / 2]);
                match (low, high) {
                    (Value::Money(low), Value::Money(high)) => {
                        return Measured::Middle { halves: i128::from(low + high), is_money: true };
                    }
                    (Value::Integer(low), Value::Integer(high)) => {
                        return Measured::Middle { halves: i128::from(low + high), is_money: false };
                    }
                    (low, high) => Value::Number((number(low) + number(high)) / 2.0),
                }
            }
            MeasureKind::Distinct => {
                values.dedup();
                Value::Integer(values.len() as i64)
            }
        })
    };
    let mut kept_groups: Vec<Vec<Measured>> = groups
        .iter()
        .map(|(keys, members)| {
            let keys = keys.iter().cloned().map(Measured::Value);
            keys.chain(asked.measures.iter().map(|measure| measured(members, measure))).collect::<Vec<_>>()
        })
        .filter(|row| asked.having.matches(&Record { values: row.iter().map(Measured::value).collect() }))
        .collect();
    let count = kept_groups.len() as u64;
    kept_groups.sort_by(|left, right| {
        asked.order().iter().fold(std::cmp::Ordering::Equal, |so_far, term| {
            let (left, right) = (left[term.column].value(), right[term.column].value());
            let next = ascending(&left, &right);
            so_far.then(if term.descending && !left.is_null() && !right.is_null() { next.reverse() } else { next })
        })
    });
    kept_groups.truncate(asked.limit as usize);
    FoundGroups { records: rows.len() as u64, count, rows: kept_groups }
}

proptest! {
    #[test]
    fn groups_are_those_of_every_record_by_itself(
        rows in proptest::collection::vec(any_row(), 0..40),
        asked in any_groups(),
        block_rows in 1_usize..12,
    ) {
        let definition = wide();
        let blocks = ValueBlocks::new(&definition, &rows, block_rows, true);
        let found = groups(&blocks, &definition, &asked, GroupRoom::default()).unwrap();
        prop_assert_eq!(&found, &naive_groups(&rows, &asked));
        let blocks = blocks.not_kept();
        prop_assert_eq!(groups(&blocks, &definition, &asked, GroupRoom::default()).unwrap(), found);
        prop_assert!(blocks.were_read_once());
    }

    #[test]
    fn groups_of_many_keys_are_looked_up(rows in proptest::collection::vec(any_row(), 0..40), asked in any_groups()) {
        let definition = wide();
        let blocks = ValueBlocks::new(&definition, &rows, 40, true);
        for cells_max in [1, 4, 9] {
            let found = groups::groups_within(&blocks, &definition, &asked, GroupRoom::default(), cells_max).unwrap();
            prop_assert_eq!(found, naive_groups(&rows, &asked));
        }
    }
}

#[test]
fn sums_beyond_their_type_are_compared_as_they_are() {
    let definition = wide();
    let row = |status: &str, units: i64| {
        let mut row = vec![Value::Null; 9];
        (row[0], row[1], row[2], row[3]) =
            (Value::Text("k".into()), Value::Integer(1), Value::Text(status.into()), Value::Integer(units));
        row
    };
    let most = i64::MAX;
    let rows = [
        row("a", most),
        row("a", most),
        row("b", most),
        row("b", most),
        row("b", 7),
        row("c", most),
        row("d", -most),
        row("d", -most),
    ];
    let blocks = ValueBlocks::new(&definition, &rows, 3, true);
    let ask = |further: &str| {
        let raw = format!("by=status&measure=sum(units),median(units)&{further}");
        let asked =
            crate::dataset::query::parse_groups(&definition, &raw, &crate::dataset::query::QueryLimits::default());
        let found = groups(&blocks, &definition, &asked.unwrap(), GroupRoom::default()).unwrap();
        let key = |row: &Vec<Measured>| match row[0].value() {
            Value::Text(text) => text,
            other => panic!("{other:?} is no text"),
        };
        found.rows.iter().map(key).collect::<String>()
    };
    assert_eq!(ask("sort=-sum_units"), "bacd");
    assert_eq!(ask("having=sum_units+%3E+9223372036854775807"), "ab");
    assert_eq!(ask("having=sum_units+%3D+9223372036854775807"), "c");
    assert_eq!(ask("having=sum_units+!=+9223372036854775807"), "abd");
    assert_eq!(ask("having=sum_units+%3C=+9223372036854775807"), "cd");
    assert_eq!(ask("having=NOT+sum_units+%3C+0"), "abc");
    let asked = crate::dataset::query::parse_groups(
        &definition,
        "by=status&measure=median(units)",
        &crate::dataset::query::QueryLimits::default(),
    );
    let found = groups(&blocks, &definition, &asked.unwrap(), GroupRoom::default()).unwrap();
    assert_eq!(found.rows[2][1], Measured::Middle { halves: 2 * i128::from(most), is_money: false });
    let bins = |number: f64, width: f64| crate::dataset::query::KeyPart::RealBin(width).of(&Value::Number(number));
    assert_eq!(bins(0.3, 0.1), Value::Number(0.3));
    assert_eq!(bins(0.3, 1e-9), Value::Number(0.3));
    assert_eq!(bins(-1e-320, 1e308), Value::Number(-1e308));
    assert_eq!(bins(1e300, 1e-300), Value::Number(1e300));
    assert_eq!(bins(-0.1, 0.25), Value::Number(-0.25));
}

#[test]
fn groups_keep_within_their_room() {
    let definition = wide();
    let row = |n: i64| {
        let mut row = vec![Value::Null; 9];
        (row[0], row[1], row[3]) = (Value::Text("k".into()), Value::Integer(1), Value::Integer(n));
        row[2] = Value::Text("x".repeat(100) + &n.to_string());
        row
    };
    let rows: Vec<Vec<Value>> = (0..50).map(row).collect();
    let blocks = ValueBlocks::new(&definition, &rows, 8, true);
    let limits = crate::dataset::query::QueryLimits::default();
    let ask = |raw: &str, room: GroupRoom| {
        let asked = crate::dataset::query::parse_groups(&definition, raw, &limits).unwrap();
        groups(&blocks, &definition, &asked, room)
    };
    let room = GroupRoom { groups_max: 50, values_max: 50, text_bytes_max: 12_000 };
    assert_eq!(ask("by=units", room).unwrap().count, 50);
    assert!(matches!(ask("by=units", GroupRoom { groups_max: 49, ..room }), Err(GroupFailure::TooManyGroups(49))));
    assert!(matches!(
        ask("by=status", GroupRoom { text_bytes_max: 1_000, ..room }),
        Err(GroupFailure::TooManyGroups(50))
    ));
    assert!(ask("by=year(day)&measure=median(units)", room).is_ok());
    let fewer = GroupRoom { values_max: 49, ..room };
    for raw in ["by=year(day)&measure=median(units)", "by=year(day)&measure=distinct(units)"] {
        assert!(matches!(ask(raw, fewer), Err(GroupFailure::TooManyValues)), "{raw}");
    }
}
