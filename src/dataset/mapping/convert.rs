//! Cells as typed values. A file is read leniently where its meaning is certain (`$1,234.50`, `12/1/2016`, a date that lost
//! its format), and refused where it is not.

use std::borrow::Cow;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::dataset::{
    ColumnType, Value, ValueError,
    definition::{DateOrder, Extract},
    reader::{Cell, moment_of_serial},
    value::{date_of, number_of, parse_cents, parse_iso_date, parse_number},
};

/// The first number that is read as `yyyymmdd`.
const COMPACT_DATE_MIN: f64 = 10_000_101.0;
/// Beyond this a float no longer holds every whole number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Two-digit years from here on are of the last century.
const CENTURY_PIVOT: i16 = 70;

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

fn timestamp(cell: Cell<'_>, reading: Reading) -> Result<Timestamp, CellError> {
    if let Cell::Text(text) = cell
        && let Ok(moment) = trim(text).parse::<Timestamp>()
    {
        return Ok(moment);
    }
    // Files do not say their zone; UTC keeps what they show.
    let moment = moment(cell, reading).ok_or(ValueError::Timestamp)?;
    Ok(moment.to_zoned(TimeZone::UTC).map_err(|_| ValueError::OutOfRange)?.timestamp())
}

fn moment(cell: Cell<'_>, reading: Reading) -> Option<DateTime> {
    match cell {
        Cell::Moment(moment) => Some(moment),
        Cell::Text(text) => moment_of_text(trim(text), reading.date_order),
        #[expect(clippy::cast_precision_loss, reason = "dates are small numbers; others are refused")]
        Cell::Integer(number) => moment_of_number(number as f64, reading.epoch_1904),
        Cell::Number(number) => moment_of_number(number, reading.epoch_1904),
        _ => None,
    }
}

/// A date that lost its format: `yyyymmdd`, or days since the epoch. Only spreadsheets have numbers.
fn moment_of_number(number: f64, epoch_1904: bool) -> Option<DateTime> {
    if number.fract() == 0.0 && (COMPACT_DATE_MIN..100_000_000.0).contains(&number) {
        return moment_of_text(&format!("{number:.0}"), DateOrder::MonthFirst);
    }
    moment_of_serial(number, epoch_1904)
}

/// The forms in which reports write dates, with or without a time of day.
fn moment_of_text(text: &str, order: DateOrder) -> Option<DateTime> {
    if let Some(date) = parse_iso_date(text.as_bytes()) {
        return Some(date.to_datetime(Time::midnight()));
    }
    let (first, rest) = token(text)?;
    if first.len() == 8 && first.bytes().all(|byte| byte.is_ascii_digit()) {
        let (year, rest_of) = first.split_at(4);
        let (month, day) = rest_of.split_at(2);
        let date = date_of(number(year)?, number(month)?, number(day)?)?;
        return Some(date.to_datetime(time_of_day(rest)?));
    }
    let (second, rest) = token(separated(rest)?)?;
    let (third, rest) = token(separated(rest)?)?;
    let date = date_of_tokens(first, second, third, order)?;
    return Some(date.to_datetime(time_of_day(rest)?));

    fn number(digits: &str) -> Option<i16> {
        number_of(digits.as_bytes())
    }
}

fn date_of_tokens(first: &str, second: &str, third: &str, order: DateOrder) -> Option<Date> {
    let number = |token: &str| number_of(token.as_bytes());
    let short = |token: &str| if token.len() <= 2 { number(token) } else { None };
    let year = |token: &str| match token.len() {
        4 => number(token),
        2 => number(token).map(|year| year + if year < CENTURY_PIVOT { 2000 } else { 1900 }),
        _ => None,
    };
    if first.len() == 4
        && let Some(year) = number(first)
    {
        return date_of(year, short(second).or_else(|| month_of(second))?, short(third)?);
    }
    if let Some(month) = month_of(first) {
        return date_of(year(third)?, month, short(second)?);
    }
    if let Some(month) = month_of(second) {
        return date_of(year(third)?, month, short(first)?);
    }
    match order {
        DateOrder::MonthFirst => date_of(year(third)?, short(first)?, short(second)?),
        DateOrder::DayFirst => date_of(year(third)?, short(second)?, short(first)?),
    }
}

/// A run of digits or of letters at the text's beginning, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let first = text.bytes().next()?;
    let end = if first.is_ascii_digit() {
        text.bytes().position(|byte| !byte.is_ascii_digit())
    } else if first.is_ascii_alphabetic() {
        text.bytes().position(|byte| !byte.is_ascii_alphabetic())
    } else {
        return None;
    };
    Some(text.split_at(end.unwrap_or(text.len())))
}

/// What follows one separator of a date, and spaces around it.
fn separated(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches(' ');
    match bare.strip_prefix(['/', '-', '.', ',']) {
        Some(rest) => Some(rest.trim_start_matches(' ')),
        None if bare.len() < text.len() => Some(bare),
        None => None,
    }
}

fn month_of(name: &str) -> Option<i16> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if name.len() < 3 || !name.is_ascii() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let place =
        MONTHS.iter().position(|month| month.starts_with(&name) || (name == "sept" && *month == "september"))?;
    i16::try_from(place + 1).ok()
}

/// ` 12:00`, `T09:30:00.000`, `, 4:05 PM`, or nothing, which is midnight.
fn time_of_day(text: &str) -> Option<Time> {
    let text = text.trim_start_matches([' ', ',', 'T']).trim_end_matches('Z').trim_end();
    if text.is_empty() {
        return Some(Time::midnight());
    }
    let half = |suffix: &str| {
        let at = text.len().checked_sub(2)?;
        text.get(at..).filter(|end| end.eq_ignore_ascii_case(suffix)).and_then(|_| text.get(..at))
    };
    let (clock, noon) = match (half("am"), half("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        _ => (text, None),
    };
    let clock = clock.split_once('.').map_or(clock, |(clock, _)| clock);
    let mut parts = clock.split(':').map(|part| if part.len() <= 2 { number_of(part.as_bytes()) } else { None });
    let hour = parts.next()??;
    let minute = parts.next()??;
    let second = parts.next().map_or(Some(0), |second| second)?;
    if parts.next().is_some() || (noon.is_some() && !(1..=12).contains(&hour)) {
        return None;
    }
    let hour = noon.map_or(hour, |noon| hour % 12 + noon);
    Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
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
