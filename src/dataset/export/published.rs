//! Published values: what the JSON of a value, as [`json::write_value`](crate::dataset::json::write_value) writes it, says.

use std::borrow::Cow;

use jiff::{Timestamp, civil::Date};

use crate::dataset::{Column, ColumnType, Point, json};

/// A value of a record, read from its JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PublishedValue<'v> {
    /// No value.
    Null,
    /// A text.
    Text(Cow<'v, str>),
    /// A whole number.
    Integer(i64),
    /// An amount, in hundredths.
    Money(i64),
    /// A number.
    Number(f64),
    /// A date.
    Date(Date),
    /// A moment.
    Timestamp(Timestamp),
    /// A point.
    Point(Point),
}

/// How the values of a published column are written.
#[derive(Debug, Clone)]
pub(super) struct PublishedColumn {
    pub(super) name: String,
    /// The type of the column in the file: text where a number is written as a text.
    pub(super) kind: ColumnType,
    /// Whether the values are numbers that are written as texts.
    pub(super) is_number_as_text: bool,
}

impl PublishedColumn {
    pub(super) fn new(column: &Column, numbers_as_texts: bool) -> Self {
        let is_number_as_text = numbers_as_texts && json::may_be_text(column.kind);
        let kind = if is_number_as_text { ColumnType::Text } else { column.kind };
        Self { name: column.name.clone(), kind, is_number_as_text }
    }

    /// Reads the JSON of one of the column's values. None if it is not of the column's type.
    pub(super) fn read<'v>(&self, value: &'v [u8]) -> Option<PublishedValue<'v>> {
        if value == b"null" {
            return Some(PublishedValue::Null);
        }
        Some(match self.kind {
            ColumnType::Text if self.is_number_as_text => PublishedValue::Text(plain(value)?.into()),
            ColumnType::Text => PublishedValue::Text(text(value)?),
            ColumnType::Integer => PublishedValue::Integer(plain(value)?.parse().ok()?),
            ColumnType::Money => PublishedValue::Money(cents(plain(value)?)?),
            ColumnType::Number => PublishedValue::Number(plain(value)?.parse().ok()?),
            ColumnType::Date => PublishedValue::Date(text(value)?.parse().ok()?),
            ColumnType::Timestamp => PublishedValue::Timestamp(text(value)?.parse().ok()?),
            ColumnType::Point => PublishedValue::Point(point(value)?),
        })
    }
}

/// The text of a JSON string.
pub(super) fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match std::str::from_utf8(inside) {
        Ok(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_slice(value).ok().map(Cow::Owned),
    }
}

/// The point of a GeoJSON geometry.
pub(super) fn point(value: &[u8]) -> Option<Point> {
    Point::of_geojson(plain(value)?).ok()
}

fn plain(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// The hundredths of an amount with exactly two decimals.
fn cents(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole.strip_prefix('-').unwrap_or(whole)) || fraction.len() != 2 || !is_digits(fraction) {
        return None;
    }
    // Digit by digit: the least amount of all has no positive counterpart. Its sign stands even before a zero, as in -0.05.
    let is_negative = whole.starts_with('-');
    whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit).try_fold(0_i64, |cents, digit| {
        let digit = i64::from(digit - b'0');
        cents.checked_mul(10)?.checked_add(if is_negative { -digit } else { digit })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::Value;

    fn column(kind: ColumnType) -> PublishedColumn {
        PublishedColumn { name: "any".to_owned(), kind, is_number_as_text: false }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -150_i64..150].prop_map(Value::Money),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Number),
            (-9999_i16..=9999, 1_i8..=12, 1_i8..=28).prop_map(|(y, m, d)| Value::Date(Date::new(y, m, d).unwrap())),
            (-300_000_000_000_i64..253_000_000_000, 0_i32..1_000_000_000)
                .prop_map(|(s, n)| Value::Timestamp(Timestamp::new(s, n).unwrap())),
            any::<String>().prop_map(Value::Text),
            (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Value::Point(Point::of_degrees(lat, lon).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any_value()) {
            let kind = value.kind().unwrap();
            let mut written = Vec::new();
            json::write_value(&value, &mut written);
            let expected = match &value {
                Value::Null => PublishedValue::Null,
                Value::Text(text) => PublishedValue::Text(text.as_str().into()),
                Value::Integer(number) => PublishedValue::Integer(*number),
                Value::Money(cents) => PublishedValue::Money(*cents),
                Value::Number(number) => PublishedValue::Number(*number),
                Value::Date(date) => PublishedValue::Date(*date),
                Value::Timestamp(moment) => PublishedValue::Timestamp(*moment),
                Value::Point(point) => PublishedValue::Point(*point),
            };
            prop_assert_eq!(column(kind).read(&written), Some(expected));
            prop_assert_eq!(column(kind).read(b"null"), Some(PublishedValue::Null));
        }

        #[test]
        fn junk_is_no_value(bytes: Vec<u8>) {
            for (_, kind) in ColumnType::NAMES {
                drop(column(kind).read(&bytes));
            }
        }
    }

    #[test]
    fn what_is_of_another_type_is_no_value() {
        for (kind, value) in [
            (ColumnType::Text, "5"),
            (ColumnType::Text, "\"a"),
            (ColumnType::Integer, "1.5"),
            (ColumnType::Integer, "\"1\""),
            (ColumnType::Money, "5"),
            (ColumnType::Money, "5.0"),
            (ColumnType::Money, "--5.00"),
            (ColumnType::Money, "92233720368547758.08"),
            (ColumnType::Number, "\"a\""),
            (ColumnType::Date, "\"2016-02-30\""),
            (ColumnType::Timestamp, "\"2016-12-01\""),
            (ColumnType::Point, "\"POINT (1 2)\""),
            (ColumnType::Point, "{\"type\":\"Point\",\"coordinates\":[1,91]}"),
        ] {
            assert_eq!(column(kind).read(value.as_bytes()), None, "{value}");
        }
        assert_eq!(column(ColumnType::Number).read(b"-0"), Some(PublishedValue::Number(-0.0)));
        let Some(PublishedValue::Number(zero)) = column(ColumnType::Number).read(b"-0") else { panic!() };
        assert!(zero.is_sign_negative());
    }
}
