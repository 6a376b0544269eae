//! A small data set of every type, for tests of record stores.

use jiff::civil::date;
use proptest::prelude::*;

use crate::dataset::{Column, ColumnType, Definition, Record, Value};

/// The definition that the tests use: the key, the ordinal, one nullable column of each type, and the load date.
pub(in crate::store) fn definition() -> Definition {
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
    ];
    let columns: Vec<serde_json::Value> =
        columns.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
    // Read from JSON, so that what the definition gains later takes its default here.
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
pub(in crate::store) fn any_value(kind: ColumnType) -> BoxedStrategy<Value> {
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
    };
    prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
}

/// Any record of the definition, as an import hands it over.
pub(in crate::store) fn any_record() -> impl Strategy<Value = Record> {
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
