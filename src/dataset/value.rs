//! Typed values and records: parsing what a caller writes, and one total order.

use std::cmp::Ordering;

use jiff::{Timestamp, civil::Date};

use super::{
    ColumnType,
    place::{Point, PointError},
};

/// The longest record as JSON, in bytes, that every store holds with what it adds. DynamoDB's items have 400 KB.
pub const RECORD_BYTES_MAX: usize = 350 * 1024;

/// A typed value of a record. The variant matches its column's [`super::ColumnType`], or is `Null`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: a blank cell.
    Null,
    /// Unicode text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// An amount of money in hundredths (cents), so that binary fractions lose no cent.
    Money(i64),
    /// A number with a fraction, such as a latitude. Always finite.
    Number(f64),
    /// A calendar date without a time zone.
    Date(Date),
    /// A moment, stored and shown in UTC.
    Timestamp(Timestamp),
    /// A point on the earth.
    Point(Point),
}

/// A row of a data set as it is stored and published: one value for each of [`super::Definition::columns`], in their order. Unpublished
/// columns are not part of a record: they are dropped when a row is read, and never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The values, one for each column of the definition.
    pub values: Vec<Value>,
}

/// Why a text is not a value of a column's type. The message completes "the value …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not a whole number.
    #[error("expected a whole number such as 12")]
    Integer,
    /// The text is not an amount.
    #[error("expected an amount such as 4000 or 4000.50")]
    Money,
    /// The amount has fractions of a cent, where none may be dropped.
    #[error("expected an amount with at most two decimals, such as 4000.50")]
    MoneyDecimals,
    /// The text is not a number.
    #[error("expected a number such as 37.78")]
    Number,
    /// The text is not a date.
    #[error("expected a date such as 2016-12-01")]
    Date,
    /// The text is not a moment.
    #[error("expected a timestamp such as 2016-12-01T09:30:00Z")]
    Timestamp,
    /// The text is not a point, or there is no such point.
    #[error(transparent)]
    Point(#[from] PointError),
    /// The number exceeds the range of the type.
    #[error("the number is too large")]
    OutOfRange,
    /// The number has more digits than 64 bits can hold.
    #[error("the number has more digits than can be held: make the column a text")]
    LosesDigits,
}

impl Value {
    /// Parses the canonical text of a value, as written in JSON answers and query parameters: an ISO date, an RFC 3339 timestamp, a plain
    /// number; a point in any form. The importer reads files more leniently.
    pub fn parse(kind: ColumnType, text: &str) -> Result<Self, ValueError> {
        match kind {
            ColumnType::Text => Ok(Self::Text(text.to_owned())),
            ColumnType::Integer => parse_integer(text).map(Self::Integer),
            ColumnType::Money => match parse_cents(text)? {
                (cents, true) => Ok(Self::Money(cents)),
                (_, false) => Err(ValueError::MoneyDecimals),
            },
            ColumnType::Number => parse_number(text).map(Self::Number),
            ColumnType::Date => parse_iso_date(text.as_bytes()).map(Self::Date).ok_or(ValueError::Date),
            ColumnType::Timestamp => text.parse::<Timestamp>().map(Self::Timestamp).map_err(|_| ValueError::Timestamp),
            ColumnType::Point => Ok(Self::Point(Point::parse(text)?)),
        }
    }

    /// Tells whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The type, or `None` for a null.
    pub fn kind(&self) -> Option<ColumnType> {
        match self {
            Self::Null => None,
            Self::Text(_) => Some(ColumnType::Text),
            Self::Integer(_) => Some(ColumnType::Integer),
            Self::Money(_) => Some(ColumnType::Money),
            Self::Number(_) => Some(ColumnType::Number),
            Self::Date(_) => Some(ColumnType::Date),
            Self::Timestamp(_) => Some(ColumnType::Timestamp),
            Self::Point(_) => Some(ColumnType::Point),
        }
    }

    /// A total order: null first, then by value; texts by their bytes (like SQLite's `BINARY` collation). Values of different types are
    /// ordered by type, only to make the order total.
    pub fn total_cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Self::Integer(left), Self::Integer(right)) | (Self::Money(left), Self::Money(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.total_cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
            (Self::Point(left), Self::Point(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) => 1,
            Self::Money(_) => 2,
            Self::Number(_) => 3,
            Self::Date(_) => 4,
            Self::Timestamp(_) => 5,
            Self::Point(_) => 6,
            Self::Text(_) => 7,
        }
    }
}

/// Writes the text that [`Value::parse`] reads back; nothing for a null.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Money(cents) => {
                let sign = if *cents < 0 { "-" } else { "" };
                write!(f, "{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::Timestamp(moment) => write!(f, "{moment}"),
            Self::Point(point) => write!(f, "{point}"),
        }
    }
}

fn parse_integer(text: &str) -> Result<i64, ValueError> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            ValueError::OutOfRange
        } else {
            ValueError::Integer
        }
    })
}

pub(super) fn parse_number(text: &str) -> Result<f64, ValueError> {
    // `f64` also parses "inf" and "nan", which are no values of a column.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E')) {
        return Err(ValueError::Number);
    }
    let number: f64 = text.parse().map_err(|_| ValueError::Number)?;
    if number.is_finite() { Ok(number) } else { Err(ValueError::OutOfRange) }
}

/// Parses a plain decimal as cents, rounding half away from zero. The second part says whether the result is exact.
pub(super) fn parse_cents(text: &str) -> Result<(i64, bool), ValueError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(ValueError::Money);
    }
    let mut cents: i64 = 0;
    let mut round_up = false;
    let mut exact = true;
    let places = whole.bytes().map(|byte| (byte, 0_usize)).chain(fraction.bytes().zip(1..));
    for (byte, place) in places {
        if !byte.is_ascii_digit() {
            return Err(ValueError::Money);
        }
        let digit = i64::from(byte - b'0');
        match place {
            0..=2 => {
                cents =
                    cents.checked_mul(10).and_then(|cents| cents.checked_add(digit)).ok_or(ValueError::OutOfRange)?;
            }
            3 => {
                round_up = digit >= 5;
                exact = exact && digit == 0;
            }
            _ => exact = exact && digit == 0,
        }
    }
    for _ in fraction.len()..2 {
        cents = cents.checked_mul(10).ok_or(ValueError::OutOfRange)?;
    }
    cents = cents.checked_add(i64::from(round_up)).ok_or(ValueError::OutOfRange)?;
    Ok((if negative { -cents } else { cents }, exact))
}

/// Parses `yyyy-mm-dd` and nothing else.
pub(super) fn parse_iso_date(text: &[u8]) -> Option<Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = number_of(&[*y1, *y2, *y3, *y4])?;
    let month = number_of(&[*m1, *m2])?;
    let day = number_of(&[*d1, *d2])?;
    date_of(year, month, day)
}

/// The number written as one to four ASCII digits.
pub(super) fn number_of(digits: &[u8]) -> Option<i16> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits.iter().try_fold(0_i16, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0')))
}

pub(super) fn date_of(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            (-i64::MAX..i64::MAX).prop_map(Value::Money),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Number),
            (0_i16..=9999, 1_i8..=12, 1_i8..=28).prop_map(|(y, m, d)| Value::Date(Date::new(y, m, d).unwrap())),
            (-62_135_596_800_i64..253_370_764_800, 0_i32..1_000_000_000)
                .prop_map(|(s, n)| Value::Timestamp(Timestamp::new(s, n).unwrap_or(Timestamp::UNIX_EPOCH))),
            any::<String>().prop_map(Value::Text),
            (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Value::Point(Point::of_degrees(lat, lon).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_the_same_value(value in any_value()) {
            let kind = value.kind().unwrap();
            prop_assert_eq!(Value::parse(kind, &value.to_string()), Ok(value));
        }

        #[test]
        fn the_order_is_total(a in any_value(), b in any_value(), c in any_value()) {
            prop_assert_eq!(a.total_cmp(&b), b.total_cmp(&a).reverse());
            if a.total_cmp(&b).is_le() && b.total_cmp(&c).is_le() {
                prop_assert!(a.total_cmp(&c).is_le());
            }
            prop_assert_eq!(a.total_cmp(&a), Ordering::Equal);
            prop_assert_eq!(Value::Null.total_cmp(&a), Ordering::Less);
        }

        #[test]
        fn no_text_makes_parsing_fail_otherwise_than_by_an_error(text in any::<String>()) {
            for (_, kind) in ColumnType::NAMES {
                prop_assert!(Value::parse(kind, &text).map_or(true, |value| value.kind() == Some(kind)));
            }
        }
    }

    #[test]
    fn amounts() {
        let money = |text| Value::parse(ColumnType::Money, text);
        assert_eq!(money("4000"), Ok(Value::Money(400_000)));
        assert_eq!(money("4000.5"), Ok(Value::Money(400_050)));
        assert_eq!(money("-.05"), Ok(Value::Money(-5)));
        assert_eq!(money("1.250"), Ok(Value::Money(125)));
        assert_eq!(money("1.255"), Err(ValueError::MoneyDecimals));
        assert_eq!(parse_cents("1.255"), Ok((126, false)));
        assert_eq!(parse_cents("-1.255"), Ok((-126, false)));
        assert_eq!(money("99999999999999999999"), Err(ValueError::OutOfRange));
        for wrong in ["", ".", "-", "$5", "1,000", "1e3", "1.2.3", "nan"] {
            assert_eq!(money(wrong), Err(ValueError::Money), "{wrong}");
        }
    }

    #[test]
    fn dates_are_iso_and_exist() {
        for wrong in ["2016-02-30", "12/01/2016", "2016-12-1", "2016-12-01T00:00:00", "", "２016-12-01"] {
            assert_eq!(Value::parse(ColumnType::Date, wrong), Err(ValueError::Date), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        for wrong in ["inf", "nan", "NaN", "0x10", ""] {
            assert_eq!(Value::parse(ColumnType::Number, wrong), Err(ValueError::Number), "{wrong}");
        }
        assert_eq!(Value::parse(ColumnType::Number, "1e999"), Err(ValueError::OutOfRange));
    }
}
