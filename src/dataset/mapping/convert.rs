//! Cells as typed values. A file is read leniently where its meaning is certain (`$1,234.50`, `12/1/2016`, a date that lost
//! its format), and refused where it is not.

use std::borrow::Cow;

use jiff::civil::Time;

use super::dates::{moment, timestamp};
use crate::dataset::{
    ColumnType, Value, ValueError,
    definition::{DateOrder, Extract},
    reader::Cell,
    value::{parse_cents, parse_number},
};

/// Beyond this a float no longer holds every whole number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What conversion needs to know of the file and the definition.
#[derive(Debug, Clone, Copy)]
pub(in crate::dataset) struct Reading {
    pub(in crate::dataset) date_order: DateOrder,
    /// Whether days are counted from 1904, where a date is a bare number.
    pub(in crate::dataset) epoch_1904: bool,
}

/// Why a cell is no value of its column. Completes "the cell …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::dataset) enum CellError {
    #[error("{0}")]
    Value(#[from] ValueError),
    #[error("the cell holds {0}")]
    Unusable(&'static str),
    #[error("expected a point such as POINT (-122.41 37.72) or (37.72, -122.41)")]
    Point,
    #[error("expected a date such as 2016-12-01 or {0}")]
    Date(&'static str),
}

/// The text of a cell without surrounding space; empty for a blank one.
pub(in crate::dataset) fn text_of(cell: Cell<'_>) -> Result<Cow<'_, str>, CellError> {
    Ok(match cell {
        Cell::Blank => Cow::Borrowed(""),
        Cell::Text(text) => Cow::Borrowed(trim(text)),
        Cell::Integer(number) => Cow::Owned(number.to_string()),
        Cell::Number(number) if number.fract() == 0.0 && number.abs() < EXACT_MAX => Cow::Owned(format!("{number:.0}")),
        Cell::Number(number) => Cow::Owned(number.to_string()),
        Cell::Bool(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        Cell::Moment(moment) if moment.time() == Time::midnight() => Cow::Owned(moment.date().to_string()),
        Cell::Moment(moment) => Cow::Owned(moment.to_string()),
        Cell::Error(error) => return Err(CellError::Unusable(error)),
    })
}

pub(super) fn trim(text: &str) -> &str {
    let edges = (text.as_bytes().first(), text.as_bytes().last());
    match edges {
        // Nearly every cell of a real file needs no trimming.
        (Some(b'!'..=b'~'), Some(b'!'..=b'~')) => text,
        _ => text.trim(),
    }
}

/// The value of a cell that is not blank.
pub(in crate::dataset) fn value_of(cell: Cell<'_>, kind: ColumnType, reading: Reading) -> Result<Value, CellError> {
    if let Cell::Error(error) = cell {
        return Err(CellError::Unusable(error));
    }
    Ok(match kind {
        ColumnType::Text => Value::Text(text_of(cell)?.into_owned()),
        ColumnType::Integer => Value::Integer(integer(cell)?),
        ColumnType::Money => Value::Money(cents(cell)?),
        ColumnType::Number => Value::Number(number(cell)?),
        ColumnType::Date => Value::Date(moment(cell, reading).ok_or_else(|| date_error(reading))?.date()),
        ColumnType::Timestamp => Value::Timestamp(timestamp(cell, reading)?),
    })
}

fn date_error(reading: Reading) -> CellError {
    CellError::Date(match reading.date_order {
        DateOrder::MonthFirst => "12/31/2016",
        DateOrder::DayFirst => "31/12/2016",
    })
}

fn integer(cell: Cell<'_>) -> Result<i64, ValueError> {
    match cell {
        Cell::Integer(number) => Ok(number),
        Cell::Number(number) if number.fract() != 0.0 || number.is_nan() => Err(ValueError::Integer),
        Cell::Number(number) if number.abs() >= EXACT_MAX => Err(ValueError::OutOfRange),
        // The guards above leave only whole numbers that 64 bits hold.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the guards above")]
        Cell::Number(number) => Ok(number as i64),
        Cell::Text(text) => {
            if let Some(number) = plain_digits(trim(text)) {
                return Ok(number);
            }
            let text = ungrouped(trim(text)).ok_or(ValueError::Integer)?;
            let whole = match text.split_once('.') {
                Some((whole, zeros)) if !whole.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
                _ => &text,
            };
            match Value::parse(ColumnType::Integer, whole)? {
                Value::Integer(number) => Ok(number),
                _ => Err(ValueError::Integer),
            }
        }
        _ => Err(ValueError::Integer),
    }
}

/// The number that up to fifteen digits and nothing else write, which is what most cells of most files are.
fn plain_digits(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    text.bytes().try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn cents(cell: Cell<'_>) -> Result<i64, ValueError> {
    match cell {
        Cell::Integer(number) => number.checked_mul(100).ok_or(ValueError::OutOfRange),
        Cell::Number(number) if number.is_nan() => Err(ValueError::Money),
        Cell::Number(number) if number.abs() * 100.0 >= EXACT_MAX => Err(ValueError::OutOfRange),
        // `round` rounds half away from zero.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the guards above")]
        Cell::Number(number) => Ok((number * 100.0).round() as i64),
        Cell::Text(text) => cents_of_text(trim(text)),
        _ => Err(ValueError::Money),
    }
}

/// `4000`, `$1,234.50`, `-$5`, and `(12.00)`, which is how accountants write a negative amount.
fn cents_of_text(text: &str) -> Result<i64, ValueError> {
    if let Some(whole) = plain_digits(text) {
        return Ok(whole * 100);
    }
    let (bracketed, text) = match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => (true, inner.trim()),
        None => (false, text),
    };
    let (minus, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let text = text.strip_prefix('$').unwrap_or(text).trim_start();
    if minus && (bracketed || text.starts_with(['-', '+'])) {
        return Err(ValueError::Money);
    }
    let (cents, _) = parse_cents(&ungrouped(text).ok_or(ValueError::Money)?)?;
    Ok(if bracketed || minus { -cents } else { cents })
}

fn number(cell: Cell<'_>) -> Result<f64, ValueError> {
    match cell {
        Cell::Integer(number) if number.unsigned_abs() >= 1 << 53 => Err(ValueError::OutOfRange),
        #[expect(clippy::cast_precision_loss, reason = "bounded by the guard above")]
        Cell::Integer(number) => Ok(number as f64),
        Cell::Number(number) if number.is_finite() => Ok(number),
        Cell::Text(text) => parse_number(&ungrouped(trim(text)).ok_or(ValueError::Number)?),
        _ => Err(ValueError::Number),
    }
}

/// A number without the commas between groups of three digits. None where commas are something else, so that a decimal
/// comma never turns 1,5 into 15.
fn ungrouped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(',') {
        return Some(Cow::Borrowed(text));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?.trim_start_matches(['-', '+']);
    let grouped = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3) && !fraction.contains(',');
    grouped.then(|| Cow::Owned(text.replace(',', "")))
}

/// The coordinate of `POINT (lon lat)` or `(lat, lon)`.
pub(in crate::dataset) fn coordinate(cell: Cell<'_>, extract: Extract) -> Result<f64, CellError> {
    let Cell::Text(text) = cell else { return Err(CellError::Point) };
    let text = trim(text);
    let inside = |text: &str| Some(text.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim().to_owned());
    let has_tag = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("POINT"));
    let (latitude, longitude) = if has_tag {
        let pair = text.get(5..).and_then(inside).ok_or(CellError::Point)?;
        let (longitude, latitude) = pair.split_once(' ').ok_or(CellError::Point)?;
        (latitude.trim().to_owned(), longitude.trim().to_owned())
    } else {
        let pair = inside(text).ok_or(CellError::Point)?;
        let (latitude, longitude) = pair.split_once(',').ok_or(CellError::Point)?;
        (latitude.trim().to_owned(), longitude.trim().to_owned())
    };
    let latitude = parse_number(&latitude).map_err(|_| CellError::Point)?;
    let longitude = parse_number(&longitude).map_err(|_| CellError::Point)?;
    if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
        return Err(CellError::Point);
    }
    Ok(match extract {
        Extract::Latitude => latitude,
        Extract::Longitude => longitude,
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    use super::*;

    const US: Reading = Reading { date_order: DateOrder::MonthFirst, epoch_1904: false };

    fn read(cell: Cell<'_>, kind: ColumnType) -> Result<Value, CellError> {
        value_of(cell, kind, US)
    }

    #[test]
    fn dates_in_all_their_forms() {
        let day = Value::Date(date(2016, 12, 1));
        for form in [
            "2016-12-01",
            "2016/12/1",
            "12/01/2016",
            "12/1/2016",
            "12/1/16",
            "12-01-2016",
            "1-Dec-2016",
            "01-DEC-16",
            "Dec 1, 2016",
            "December 1 2016",
            "1 December 2016",
            "20161201",
            "12/1/2016 12:00",
            "12/1/2016 4:05 PM",
            "2016-12-01T09:30:00.000",
            "2016-12-01T00:00:00Z",
            "12/01/2016 12:00:00 AM",
            " 12/1/2016 ",
        ] {
            assert_eq!(read(Cell::Text(form), ColumnType::Date).as_ref(), Ok(&day), "{form}");
        }
        for wrong in [
            "13/01/2016",
            "2/30/2016",
            "12/1",
            "12/1/2016 25:00",
            "12/1/2016 noon",
            "soon",
            "42705",
            "1/2/3/4",
            "12/1/201",
        ] {
            assert!(read(Cell::Text(wrong), ColumnType::Date).is_err(), "{wrong}");
        }
        let uk = Reading { date_order: DateOrder::DayFirst, epoch_1904: false };
        assert_eq!(value_of(Cell::Text("1/12/2016"), ColumnType::Date, uk).as_ref(), Ok(&day));
    }

    #[test]
    fn dates_that_lost_their_format() {
        let day = Value::Date(date(2016, 12, 1));
        assert_eq!(read(Cell::Number(42_705.0), ColumnType::Date).as_ref(), Ok(&day));
        assert_eq!(read(Cell::Integer(20_161_201), ColumnType::Date).as_ref(), Ok(&day));
        let mac = Reading { date_order: DateOrder::MonthFirst, epoch_1904: true };
        assert_eq!(value_of(Cell::Number(41_243.0), ColumnType::Date, mac).as_ref(), Ok(&day));
        for wrong in [0.0, -1.0, 60.0, 3e6, f64::NAN, f64::INFINITY, 20_161_301.0] {
            assert!(read(Cell::Number(wrong), ColumnType::Date).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_in_all_its_forms() {
        for (form, cents) in [
            ("$1,234.50", 123_450),
            ("1234.5", 123_450),
            ("(12.00)", -1_200),
            ("-$5", -500),
            ("$ 7", 700),
            ("0", 0),
            ("1.005", 101),
        ] {
            assert_eq!(read(Cell::Text(form), ColumnType::Money), Ok(Value::Money(cents)), "{form}");
        }
        for wrong in ["1,5", "1,2345", "12,34,567", "$", "USD 5", "--5", "-(5)", "(-5)", "1.2.3", "five"] {
            assert!(read(Cell::Text(wrong), ColumnType::Money).is_err(), "{wrong}");
        }
        assert_eq!(read(Cell::Number(0.125), ColumnType::Money), Ok(Value::Money(13)));
        assert_eq!(read(Cell::Number(-0.125), ColumnType::Money), Ok(Value::Money(-13)));
        assert_eq!(read(Cell::Integer(12_500), ColumnType::Money), Ok(Value::Money(1_250_000)));
        for wrong in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(read(Cell::Number(wrong), ColumnType::Money).is_err(), "{wrong}");
        }
        assert!(read(Cell::Integer(i64::MAX), ColumnType::Money).is_err());
        assert!(read(Cell::Bool(true), ColumnType::Money).is_err());
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(read(Cell::Text("1,234"), ColumnType::Integer), Ok(Value::Integer(1_234)));
        assert_eq!(read(Cell::Text("2.0"), ColumnType::Integer), Ok(Value::Integer(2)));
        assert_eq!(read(Cell::Number(2.0), ColumnType::Integer), Ok(Value::Integer(2)));
        for wrong in [
            Cell::Text("2.5"),
            Cell::Number(2.5),
            Cell::Number(f64::NAN),
            Cell::Number(1e18),
            Cell::Text(".0"),
            Cell::Bool(true),
        ] {
            assert!(read(wrong, ColumnType::Integer).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn texts_of_numbers_have_no_fraction_they_did_not_have() {
        assert_eq!(read(Cell::Number(2998.0), ColumnType::Text), Ok(Value::Text("2998".into())));
        assert_eq!(read(Cell::Number(201_612_013_997.0), ColumnType::Text), Ok(Value::Text("201612013997".into())));
        assert_eq!(read(Cell::Text("\u{a0}½ "), ColumnType::Text), Ok(Value::Text("½".into())));
    }

    #[test]
    fn points() {
        for form in ["POINT (-122.5 37.75)", "(37.75, -122.5)", "point(-122.5 37.75)"] {
            assert_eq!(coordinate(Cell::Text(form), Extract::Latitude), Ok(37.75), "{form}");
            assert_eq!(coordinate(Cell::Text(form), Extract::Longitude), Ok(-122.5), "{form}");
        }
        for wrong in ["POINT EMPTY", "(91, 0)", "37.75, -122.5", "(a, b)", ""] {
            assert!(coordinate(Cell::Text(wrong), Extract::Latitude).is_err(), "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_kept_in_utc() {
        let expected = Value::Timestamp("2016-12-01T09:30:00Z".parse().unwrap());
        for form in ["2016-12-01T09:30:00Z", "2016-12-01T10:30:00+01:00", "12/1/2016 9:30 AM", "2016-12-01 09:30"] {
            assert_eq!(read(Cell::Text(form), ColumnType::Timestamp).as_ref(), Ok(&expected), "{form}");
        }
    }

    proptest! {
        #[test]
        fn amounts_written_with_groups_read_the_same(cents in -99_999_999_999_i64..99_999_999_999) {
            let plain = Value::Money(cents).to_string();
            let (whole, fraction) = plain.trim_start_matches('-').split_once('.').unwrap();
            let mut grouped = String::new();
            for (place, digit) in whole.chars().enumerate() {
                if place > 0 && (whole.len() - place) % 3 == 0 { grouped.push(','); }
                grouped.push(digit);
            }
            let sign = if cents < 0 { "-" } else { "" };
            let shown = format!("{sign}${grouped}.{fraction}");
            prop_assert_eq!(read(Cell::Text(&shown), ColumnType::Money), Ok(Value::Money(cents)));
            #[allow(clippy::cast_precision_loss)]
            let float = cents as f64 / 100.0;
            prop_assert_eq!(read(Cell::Number(float), ColumnType::Money), Ok(Value::Money(cents)));
        }

        #[test]
        fn any_day_is_read_in_both_orders(year in 1900_i16..2100, month in 1_i8..=12, day in 1_i8..=28) {
            let expected = Value::Date(Date::new(year, month, day).unwrap());
            let uk = Reading { date_order: DateOrder::DayFirst, epoch_1904: false };
            prop_assert_eq!(read(Cell::Text(&format!("{month}/{day}/{year}")), ColumnType::Date), Ok(expected.clone()));
            prop_assert_eq!(value_of(Cell::Text(&format!("{day}/{month}/{year}")), ColumnType::Date, uk), Ok(expected));
        }

        #[test]
        fn no_cell_breaks_the_conversion(text in any::<String>(), float in any::<f64>(), integer in any::<i64>()) {
            for (_, kind) in ColumnType::NAMES {
                for cell in [Cell::Text(&text), Cell::Number(float), Cell::Integer(integer), Cell::Error("#REF!")] {
                    if let Ok(value) = read(cell, kind) {
                        prop_assert_eq!(value.kind(), Some(kind));
                    }
                }
            }
        }
    }
}
