//! Texts whose order is that of values. DynamoDB sorts an index by the bytes of one attribute; here several values of a record,
//! one behind the other, become one text that compares as the values do, one after the other:
//! [`ascending`](crate::dataset::query::ascending), nulls after everything else.
//!
//! Each value is told from what follows it without knowing that: numbers, dates and moments have a fixed width, a text ends with
//! a character that stands in none. So a text that begins with the code of some values belongs to a record that has these.

use jiff::civil::Date;

use crate::dataset::Value;

/// Comes before every value that is not null.
const PRESENT: char = '0';
/// Stands for a null. No value's code begins with it.
const ABSENT: char = '1';
/// Ends a text.
const TEXT_END: char = '\u{1}';
/// Begins the code of a character that is not above it, so that no text holds [`TEXT_END`].
const ESCAPE: char = '\u{2}';
/// Ends a whole place, so that the place without it lies just before it.
const PLACE_END: char = '.';
/// Comes after whatever may follow the code of a value: each code begins with a digit, and so do all that follow it.
const BEHIND: char = '~';

/// The place of a record among others: the codes of its values in the columns of an order, and an end.
pub(super) fn place<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    let mut place = prefix(values);
    place.push(PLACE_END);
    place
}

/// What the places of all records begin with that have these values in the first columns of the order.
pub(super) fn prefix<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    let mut codes = String::new();
    for value in values {
        push(value, &mut codes);
    }
    codes
}

/// The code of one value by itself.
pub(super) fn canonical(value: &Value) -> String {
    // An equal value has an equal text, so that it can name a partition: a negative zero is zero.
    match value {
        Value::Number(number) if *number == 0.0 => "0".to_owned(),
        value => value.to_string(),
    }
}

fn push(value: &Value, out: &mut String) {
    if value.is_null() {
        out.push(ABSENT);
        return;
    }
    out.push(PRESENT);
    match value {
        Value::Null => {}
        Value::Text(text) => {
            push_text(text, out);
            out.push(TEXT_END);
        }
        Value::Integer(number) | Value::Money(number) => {
            out.push_str(&format!("{:016x}", number.cast_unsigned() ^ (1 << 63)));
        }
        Value::Number(number) => out.push_str(&format!("{:016x}", ordered_bits(*number))),
        Value::Date(date) => out.push_str(&ordered_date(*date)),
        // Moments lie within 69 bits of nanoseconds around 1970.
        Value::Timestamp(moment) => out.push_str(&format!("{:019x}", moment.as_nanosecond() + (1 << 72))),
    }
}

/// The bits of a float, such that greater ones are greater numbers.
fn ordered_bits(number: f64) -> u64 {
    // A negative zero is zero.
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn ordered_date(date: Date) -> String {
    let year = i32::from(date.year()) + 10_000;
    format!("{year:05}{:02}{:02}", date.month(), date.day())
}

fn push_text(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\u{0}' => out.extend([ESCAPE, '\u{2}']),
            TEXT_END => out.extend([ESCAPE, '\u{3}']),
            ESCAPE => out.extend([ESCAPE, '\u{4}']),
            other => out.push(other),
        }
    }
}

/// A stretch of an order: from a text on, up to another one, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: String,
    pub(super) to: String,
}

impl Range {
    /// All places that begin with this.
    pub(super) fn of(prefix: String) -> Self {
        let to = format!("{prefix}{BEHIND}");
        Self { from: prefix, to }
    }

    /// Those behind this prefix whose next value is not null.
    pub(super) fn present(prefix: &str) -> Self {
        // A null's place is longer than its code.
        Self { from: format!("{prefix}{PRESENT}"), to: format!("{prefix}{ABSENT}") }
    }

    /// Those behind this prefix whose next value is null.
    pub(super) fn absent(prefix: &str) -> Self {
        Self::of(format!("{prefix}{ABSENT}"))
    }

    /// What is in both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.from = self.from.max(other.from);
        self.to = self.to.min(other.to);
        self
    }

    /// From the smallest place on whose next value is at least this one (`above`: more than this one).
    pub(super) fn from_value(prefix: &str, value: &Value, above: bool) -> Self {
        let mut from = prefix.to_owned();
        push(value, &mut from);
        if above {
            from.push(BEHIND);
        }
        Self { from, ..Self::present(prefix) }
    }

    /// Up to the largest place whose next value is at most this one (`below`: less than this one).
    pub(super) fn to_value(prefix: &str, value: &Value, below: bool) -> Self {
        let mut to = prefix.to_owned();
        push(value, &mut to);
        if !below {
            to.push(BEHIND);
        }
        Self { to, ..Self::present(prefix) }
    }

    /// Those behind this prefix whose next value is a text that begins with `start`.
    pub(super) fn starting(prefix: &str, start: &str) -> Self {
        let mut from = format!("{prefix}{PRESENT}");
        let mut to = from.clone();
        push_text(start, &mut from);
        match crate::dataset::query::after_prefix(start) {
            Some(end) => push_text(&end, &mut to),
            None => to = format!("{prefix}{ABSENT}"),
        }
        Self { from, to }
    }

    /// What comes after a whole place, in the direction of reading.
    pub(super) fn after(place: &str, descending: bool) -> Self {
        match (descending, place.strip_suffix(PLACE_END)) {
            (false, _) => Self { from: format!("{place}{BEHIND}"), to: char::MAX.to_string() },
            // The place without its end is behind all that come before the place.
            (true, body) => Self { from: String::new(), to: body.unwrap_or(place).to_owned() },
        }
    }

    /// Whether nothing can lie in it.
    pub(super) fn is_empty(&self) -> bool {
        self.from > self.to
    }

    /// The same or a little more, with bounds of one byte to so many. What is too long to be a place needs no exact bound:
    /// what lies in between is told by the filter.
    pub(super) fn within(self, bytes_max: usize) -> Self {
        let Self { mut from, mut to } = self;
        if from.is_empty() {
            // DynamoDB takes no empty text for a key. Nothing lies before this one.
            from.push(PRESENT);
        }
        if from.len() > bytes_max {
            from.truncate(from.floor_char_boundary(bytes_max));
        }
        if to.len() > bytes_max {
            to.truncate(to.floor_char_boundary(bytes_max.saturating_sub(char::MAX.len_utf8())));
            to = crate::dataset::query::after_prefix(&to).unwrap_or_else(|| char::MAX.to_string());
        }
        Self { from, to }
    }

    #[cfg(test)]
    pub(super) fn contains(&self, place: &str) -> bool {
        self.from.as_str() <= place && place <= self.to.as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{ColumnType, query::ascending};

    fn any_value(kind: ColumnType) -> BoxedStrategy<Value> {
        let value = match kind {
            ColumnType::Text => prop_oneof!["[a-c\u{0}-\u{4}é~.]{0,4}", any::<String>()].prop_map(Value::Text).boxed(),
            ColumnType::Integer => {
                prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer).boxed()
            }
            ColumnType::Money => prop_oneof![any::<i64>(), -300_i64..300].prop_map(Value::Money).boxed(),
            ColumnType::Number => prop_oneof![
                any::<f64>().prop_filter("finite", |number| number.is_finite()),
                Just(0.0),
                Just(-0.0),
                Just(f64::MIN),
                Just(f64::MIN_POSITIVE),
                (-3_i32..3).prop_map(f64::from)
            ]
            .prop_map(Value::Number)
            .boxed(),
            ColumnType::Date => (-9999_i16..=9999, 1_i8..=12, 1_i8..=28)
                .prop_map(|(year, month, day)| Value::Date(Date::new(year, month, day).unwrap()))
                .boxed(),
            ColumnType::Timestamp => prop_oneof![
                (jiff::Timestamp::MIN.as_second()..jiff::Timestamp::MAX.as_second(), 0..1_000_000_000_i32)
                    .prop_filter_map("exists", |(s, n)| jiff::Timestamp::new(s, n).ok()),
                Just(jiff::Timestamp::MIN),
                Just(jiff::Timestamp::MAX),
            ]
            .prop_map(Value::Timestamp)
            .boxed(),
        };
        prop_oneof![1 => Just(Value::Null), 6 => value].boxed()
    }

    fn any_kind() -> impl Strategy<Value = ColumnType> {
        proptest::sample::select(ColumnType::NAMES.map(|(_, kind)| kind).to_vec())
    }

    /// The values of several records in the same columns.
    fn any_rows(rows: usize) -> impl Strategy<Value = Vec<Vec<Value>>> {
        proptest::collection::vec(any_kind(), 1..4).prop_flat_map(move |kinds| {
            let row: Vec<BoxedStrategy<Value>> = kinds.into_iter().map(any_value).collect();
            proptest::collection::vec(row, rows)
        })
    }

    fn compared(left: &[Value], right: &[Value]) -> Ordering {
        left.iter().zip(right).fold(Ordering::Equal, |order, (left, right)| order.then(ascending(left, right)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn places_are_in_the_order_of_the_values(rows in any_rows(2)) {
            let places = [place(&rows[0]), place(&rows[1])];
            prop_assert_eq!(places[0].as_bytes().cmp(places[1].as_bytes()), compared(&rows[0], &rows[1]));
        }

        #[test]
        fn a_prefix_holds_those_with_the_same_first_values(rows in any_rows(2), length in 1_usize..4) {
            let length = length.min(rows[0].len());
            let range = Range::of(prefix(&rows[0][..length]));
            let same = compared(&rows[0][..length], &rows[1][..length]).is_eq();
            prop_assert_eq!(range.contains(&place(&rows[1])), same);
        }

        #[test]
        fn values_bound_a_range(rows in any_rows(2)) {
            let (bound, place) = (&rows[0][0], place(&rows[1]));
            let order = ascending(&rows[1][0], bound);
            if !bound.is_null() && !rows[1][0].is_null() {
                prop_assert_eq!(Range::from_value("", bound, false).contains(&place), order.is_ge());
                prop_assert_eq!(Range::from_value("", bound, true).contains(&place), order.is_gt());
                prop_assert_eq!(Range::to_value("", bound, false).contains(&place), order.is_le());
                prop_assert_eq!(Range::to_value("", bound, true).contains(&place), order.is_lt());
            }
            prop_assert_eq!(Range::present("").contains(&place), !rows[1][0].is_null());
            prop_assert_eq!(Range::absent("").contains(&place), rows[1][0].is_null());
        }

        #[test]
        fn what_comes_after_a_place(rows in any_rows(2)) {
            let places = [place(&rows[0]), place(&rows[1])];
            let order = compared(&rows[1], &rows[0]);
            prop_assert_eq!(Range::after(&places[0], false).contains(&places[1]), order.is_gt());
            prop_assert_eq!(Range::after(&places[0], true).contains(&places[1]), order.is_lt());
        }

        #[test]
        fn texts_that_start_alike_lie_together(start in "[a-b\u{0}-\u{3}\u{10ffff}]{0,3}", text in "[a-c\u{0}-\u{3}\u{10ffff}]{0,5}") {
            let place = place([&Value::Text(text.clone()), &Value::Integer(1)]);
            prop_assert_eq!(Range::starting("", &start).contains(&place), text.starts_with(&start));
        }

        #[test]
        fn shorter_bounds_leave_nothing_out(rows in any_rows(1), ends in any_rows(2), bytes_max in 8_usize..40) {
            let whole = Range { from: place(&ends[0]), to: place(&ends[1]) };
            let shorter = whole.clone().within(bytes_max);
            prop_assert!(shorter.from.len() <= bytes_max && shorter.to.len() <= bytes_max);
            let place = place(&rows[0]);
            prop_assert!(!whole.contains(&place) || shorter.contains(&place));
        }

        #[test]
        fn equal_values_name_one_partition(rows in any_rows(2)) {
            let (left, right) = (&rows[0][0], &rows[1][0]);
            if !left.is_null() && !right.is_null() {
                prop_assert_eq!(canonical(left) == canonical(right), ascending(left, right).is_eq());
            }
        }
    }

    #[test]
    fn one_zero() {
        assert_eq!(canonical(&Value::Number(-0.0)), canonical(&Value::Number(0.0)));
        assert_eq!(place([&Value::Number(-0.0)]), place([&Value::Number(0.0)]));
    }
}
