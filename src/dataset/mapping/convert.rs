//! Converts cells to typed values. A file is read leniently if the meaning is certain (`$1,234.50`, `12/1/2016`, a date that lost its
//! format), and refused if it is not, or if the type would lose a digit.

use std::borrow::Cow;

use jiff::civil::Time;

use super::{
    dates::{date, timestamp},
    numbers::{Marks, WrittenNumber, Wrong},
    reading::{CellError, Reading, trim},
};
use crate::dataset::{
    ColumnType, Point, Value, ValueError,
    definition::{Extract, Mark},
    place::{PointError, degrees_of},
    reader::{
        number_format::shortest,
        rows::{Cell, Numeral},
    },
    value::parse_cents,
};

/// The text of a cell without surrounding space; empty for a blank cell. A number becomes the text that its sheet shows.
pub(in crate::dataset) fn text_of(cell: Cell<'_>) -> Result<Cow<'_, str>, CellError> {
    Ok(match cell {
        Cell::Blank => Cow::Borrowed(""),
        Cell::Text(text) => Cow::Borrowed(trim(text)),
        Cell::Number(Numeral { digits, format }) => format.shown(digits),
        Cell::Bool(flag) => Cow::Borrowed(if flag { "TRUE" } else { "FALSE" }),
        Cell::Moment(moment) if moment.time() == Time::midnight() => Cow::Owned(moment.date().to_string()),
        Cell::Moment(moment) => Cow::Owned(moment.to_string()),
        Cell::Error(error) => return Err(CellError::Unusable(error.to_owned())),
    })
}

/// The value of a cell that is not blank, and whether it is exact instead of rounded.
pub(in crate::dataset) fn value_of(
    cell: Cell<'_>,
    kind: ColumnType,
    reading: &Reading,
) -> Result<(Value, bool), CellError> {
    if let Cell::Error(error) = cell {
        return Err(CellError::Unusable(error.to_owned()));
    }
    let value = match kind {
        ColumnType::Text => Value::Text(text_of(cell)?.into_owned()),
        ColumnType::Integer => Value::Integer(integer(cell, reading)?),
        ColumnType::Money => {
            let (cents, exact) = cents(cell, reading).map_err(|error| in_marks(error, reading.marks))?;
            return Ok((Value::Money(cents), exact));
        }
        ColumnType::Number => Value::Number(number(cell, reading).map_err(|error| in_marks(error, reading.marks))?),
        ColumnType::Date => Value::Date(date(cell, reading)?),
        ColumnType::Timestamp => Value::Timestamp(timestamp(cell, reading)?),
        ColumnType::Point => Value::Point(point(cell)?),
    };
    Ok((value, true))
}

/// The error with an example in the file's way of writing numbers.
fn in_marks(error: CellError, marks: Marks) -> CellError {
    match (marks.decimal, error) {
        (Mark::Comma, CellError::Value(ValueError::Number)) => CellError::NumberWithComma,
        (Mark::Comma, CellError::Value(ValueError::Money)) => CellError::MoneyWithComma,
        (_, error) => error,
    }
}

/// The error for a text that is no number, given the expected type.
fn wrong(wrong: Wrong, expected: ValueError) -> CellError {
    match wrong {
        Wrong::Form => CellError::Value(expected),
        Wrong::TwoWays => CellError::TwoWays,
        Wrong::Zeros => CellError::Zeros,
    }
}

/// A number of a sheet as a plain decimal. Refused if the sheet shows leading zeros: the text means something else then.
fn numeral(Numeral { digits, format }: Numeral<'_>) -> Result<&str, CellError> {
    if format.is_of_time() {
        return Err(CellError::Clock);
    }
    let is_padded = || {
        let shown = format.shown(digits);
        shown.strip_prefix('0').is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    if format.is_padded() && is_padded() { Err(CellError::Zeros) } else { Ok(digits) }
}

fn integer(cell: Cell<'_>, reading: &Reading) -> Result<i64, CellError> {
    match cell {
        Cell::Number(number) => {
            let digits = numeral(number)?;
            if let Ok(whole) = digits.parse() {
                return Ok(whole);
            }
            let shown = shortest(digits.parse().map_err(|_| ValueError::Integer)?);
            let written = WrittenNumber::of(&shown, SHEET_MARKS).map_err(|error| wrong(error, ValueError::Integer))?;
            if written.has_exponent() { Err(ValueError::OutOfRange.into()) } else { Ok(written.integer()?) }
        }
        Cell::Text(text) => {
            let text = trim(text);
            if let Some(number) = plain_digits(text) {
                return Ok(number);
            }
            let written = WrittenNumber::of(text, reading.marks).map_err(|error| wrong(error, ValueError::Integer))?;
            if written.has_exponent() { Err(CellError::Scientific) } else { Ok(written.integer()?) }
        }
        _ => Err(ValueError::Integer.into()),
    }
}

/// How a workbook's own numbers are written.
const SHEET_MARKS: Marks = Marks { decimal: Mark::Point, thousands: Mark::None, unsure: false };

/// A number of up to fifteen digits and nothing else, as in most cells of most files.
fn plain_digits(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 15 || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// An amount, and whether it is exact.
fn cents(cell: Cell<'_>, reading: &Reading) -> Result<(i64, bool), CellError> {
    match cell {
        Cell::Number(number) => {
            let number: f64 = numeral(number)?.parse().map_err(|_| ValueError::Money)?;
            // A sheet computes to fifteen digits.
            let shown = shortest(number);
            let written = WrittenNumber::of(&shown, SHEET_MARKS).map_err(|error| wrong(error, ValueError::Money))?;
            Ok(parse_cents(&written.plain().ok_or(ValueError::OutOfRange)?)?)
        }
        Cell::Text(text) => cents_of_text(trim(text), reading.marks),
        _ => Err(ValueError::Money.into()),
    }
}

/// Reads `4000`, `$1,234.50`, `-$5`, `5 €`, and `(12.00)`, the accountants' form of a negative amount.
fn cents_of_text(text: &str, marks: Marks) -> Result<(i64, bool), CellError> {
    if let Some(whole) = plain_digits(text) {
        return Ok((whole * 100, true));
    }
    let (bracketed, text) = match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => (true, inner.trim()),
        None => (false, text),
    };
    let (minus, text) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let bare = text.strip_prefix(CURRENCIES).map(str::trim_start);
    let bare = bare.or_else(|| text.strip_suffix(CURRENCIES).map(str::trim_end)).unwrap_or(text);
    let written = WrittenNumber::of(bare, marks).map_err(|error| wrong(error, ValueError::Money))?;
    if (minus || bracketed) && written.is_negative() || (minus && bracketed) || (minus && bare.starts_with('+')) {
        return Err(ValueError::Money.into());
    }
    let written = if minus || bracketed { written.negated() } else { written };
    Ok(parse_cents(&written.plain().ok_or(ValueError::OutOfRange)?)?)
}

/// Currency signs that amounts may have.
pub(in crate::dataset) const CURRENCIES: [char; 5] = ['$', '\u{20ac}', '\u{a3}', '\u{a5}', '\u{20b9}'];

fn number(cell: Cell<'_>, reading: &Reading) -> Result<f64, CellError> {
    let expected = |error| wrong(error, ValueError::Number);
    match cell {
        Cell::Number(number) => {
            Ok(WrittenNumber::of(numeral(number)?, SHEET_MARKS).map_err(expected)?.number(false)?)
        }
        Cell::Text(text) => {
            let text = trim(text);
            if let Some(number) = plain_digits(text) {
                #[expect(clippy::cast_precision_loss, reason = "fifteen digits are held exactly")]
                return Ok(number as f64);
            }
            let (percent, text) = match text.strip_suffix('%') {
                Some(rest) => (true, rest.trim_end()),
                None => (false, text),
            };
            Ok(WrittenNumber::of(text, reading.marks).map_err(expected)?.number(percent)?)
        }
        _ => Err(ValueError::Number.into()),
    }
}

/// The point in a cell, in any of the forms that [`Point::parse`] reads.
fn point(cell: Cell<'_>) -> Result<Point, CellError> {
    let Cell::Text(text) = cell else { return Err(ValueError::from(PointError::Form).into()) };
    Ok(Point::parse(trim(text)).map_err(ValueError::from)?)
}

/// The coordinate in a cell that holds a point, with all of its decimals.
pub(in crate::dataset) fn coordinate(cell: Cell<'_>, extract: Extract) -> Result<f64, CellError> {
    let Cell::Text(text) = cell else { return Err(ValueError::from(PointError::Form).into()) };
    let (latitude, longitude) = degrees_of(trim(text)).map_err(ValueError::from)?;
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
    use crate::dataset::{definition::DateOrder, reader::NumberFormat};

    fn read_as(cell: Cell<'_>, kind: ColumnType, reading: &Reading) -> Result<Value, CellError> {
        value_of(cell, kind, reading).map(|(value, _)| value)
    }

    fn read(cell: Cell<'_>, kind: ColumnType) -> Result<Value, CellError> {
        read_as(cell, kind, &Reading::PLAIN)
    }

    fn day_first() -> Reading {
        Reading { date_order: DateOrder::DayFirst, ..Reading::PLAIN }
    }

    /// A number of a sheet.
    fn number(digits: &str) -> Cell<'_> {
        formatted(digits, &NumberFormat::General)
    }

    fn formatted<'a>(digits: &'a str, format: &'a NumberFormat) -> Cell<'a> {
        Cell::Number(Numeral { digits, format })
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
        assert_eq!(read_as(Cell::Text("1/12/2016"), ColumnType::Date, &day_first()).as_ref(), Ok(&day));
    }

    #[test]
    fn a_refusal_has_an_example_as_the_file_writes() {
        let said = |text, kind, reading| read_as(Cell::Text(text), kind, &reading).unwrap_err().to_string();
        let german = || Reading { marks: Marks { decimal: Mark::Comma, ..Marks::PLAIN }, ..day_first() };
        let no_day = "there is no such day, read with the day before the month";
        for (text, kind, reason) in [
            ("31.02.2024", ColumnType::Date, no_day),
            ("2024-13-01", ColumnType::Date, "there is no such day"),
            ("31.2.", ColumnType::Date, "expected a date such as 2016-12-01 or 31/12/2016"),
            ("hoch", ColumnType::Number, "expected a number such as 37,78: decimals are written with a comma here"),
            (
                "x",
                ColumnType::Money,
                "expected an amount such as 4000 or 4000,50: decimals are written with a comma here",
            ),
        ] {
            assert_eq!(said(text, kind, german()), reason, "{text}");
        }
        assert_eq!(said("high", ColumnType::Number, Reading::PLAIN), "expected a number such as 37.78");
    }

    #[test]
    fn dates_that_lost_their_format() {
        let day = Value::Date(date(2016, 12, 1));
        assert_eq!(read(number("42705"), ColumnType::Date).as_ref(), Ok(&day));
        assert_eq!(read(number("20161201"), ColumnType::Date).as_ref(), Ok(&day));
        let mac = Reading { epoch_1904: true, ..Reading::PLAIN };
        assert_eq!(read_as(number("41243"), ColumnType::Date, &mac).as_ref(), Ok(&day));
        for wrong in ["0", "-1", "60", "3000000", "20161301"] {
            assert!(read(number(wrong), ColumnType::Date).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_in_all_its_forms() {
        for (form, cents) in [
            ("$1,234.50", 123_450),
            ("1234.5", 123_450),
            ("(12.00)", -1_200),
            ("-$5", -500),
            ("$-5", -500),
            ("$ 7", 700),
            ("0", 0),
            ("-0.00", 0),
            ("1.005", 101),
            ("-1.005", -101),
            ("5-", -500),
            ("\u{2212}5", -500),
            ("+5", 500),
            ("5.", 500),
            ("\u{20ac}5", 500),
            ("5 \u{20ac}", 500),
            ("1.5E3", 150_000),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(read(Cell::Text(form), ColumnType::Money), Ok(Value::Money(cents)), "{form}");
        }
        for wrong in [
            "1,5",
            "1,2345",
            "12,34,567",
            "$",
            "USD 5",
            "--5",
            "-(5)",
            "(-5)",
            "1.2.3",
            "five",
            "007",
            "1 234.50",
            "92233720368547758.08",
            "$(5)-",
        ] {
            assert!(read(Cell::Text(wrong), ColumnType::Money).is_err(), "{wrong}");
        }
        assert_eq!(read(number("0.125"), ColumnType::Money), Ok(Value::Money(13)));
        assert_eq!(read(number("-0.125"), ColumnType::Money), Ok(Value::Money(-13)));
        assert_eq!(read(number("1.0049999999999999"), ColumnType::Money), Ok(Value::Money(101)));
        assert_eq!(read(number("1.015"), ColumnType::Money), Ok(Value::Money(102)));
        assert_eq!(read(number("12500"), ColumnType::Money), Ok(Value::Money(1_250_000)));
        assert!(read(number("1e300"), ColumnType::Money).is_err());
        assert!(read(Cell::Bool(true), ColumnType::Money).is_err());
        let exact = |text| value_of(Cell::Text(text), ColumnType::Money, &Reading::PLAIN).unwrap().1;
        assert!(exact("1.50") && exact("1.500") && !exact("1.505"), "what is rounded off is told");
    }

    #[test]
    fn whole_numbers() {
        for (cell, expected) in [
            (Cell::Text("1,234"), 1_234),
            (Cell::Text("2.0"), 2),
            (Cell::Text("-0"), 0),
            (Cell::Text("9007199254740993"), 9_007_199_254_740_993),
            (number("2"), 2),
            (number("2.0"), 2),
            (number("12345678901234567"), 12_345_678_901_234_567),
            (number("2.01612E+11"), 201_612_000_000),
            (number("2998.0000000000005"), 2_998),
        ] {
            assert_eq!(read(cell, ColumnType::Integer), Ok(Value::Integer(expected)), "{cell:?}");
        }
        for wrong in [
            Cell::Text("2.5"),
            number("2.5"),
            number("1e19"),
            Cell::Text(".0"),
            Cell::Text("02138"),
            Cell::Text("00"),
            Cell::Text("2.01612E+11"),
            Cell::Text("12345678901234567890"),
            Cell::Bool(true),
        ] {
            assert!(read(wrong, ColumnType::Integer).is_err(), "{wrong:?}");
        }
        let padded = NumberFormat::of_code("00000");
        assert_eq!(read(formatted("2138", &padded), ColumnType::Integer), Err(CellError::Zeros));
        assert_eq!(read(formatted("12345", &padded), ColumnType::Integer), Ok(Value::Integer(12_345)));
    }

    #[test]
    fn numbers() {
        for (cell, expected) in [
            (Cell::Text("12.5%"), 0.125),
            (Cell::Text("1.5E3"), 1_500.0),
            (Cell::Text("-0"), 0.0),
            (Cell::Text("1,234.5"), 1_234.5),
            (number("0.30000000000000004"), 0.300_000_000_000_000_04),
        ] {
            assert_eq!(read(cell, ColumnType::Number), Ok(Value::Number(expected)), "{cell:?}");
        }
        for cell in [Cell::Text("9007199254740993"), number("9007199254740993")] {
            assert_eq!(read(cell, ColumnType::Number), Err(ValueError::LosesDigits.into()));
        }
        let clock = NumberFormat::of_code("h:mm");
        assert_eq!(read(formatted("0.5", &clock), ColumnType::Number), Err(CellError::Clock));
    }

    #[test]
    fn commas_and_points_of_other_places() {
        let marks =
            |decimal, thousands, unsure| Reading { marks: Marks { decimal, thousands, unsure }, ..Reading::PLAIN };
        let german = marks(Mark::Comma, Mark::Point, false);
        assert_eq!(read_as(Cell::Text("1.234,50"), ColumnType::Money, &german), Ok(Value::Money(123_450)));
        assert_eq!(read_as(Cell::Text("1,204"), ColumnType::Number, &german), Ok(Value::Number(1.204)));
        assert_eq!(read_as(Cell::Text("1.204"), ColumnType::Integer, &german), Ok(Value::Integer(1_204)));
        let unsure = marks(Mark::Point, Mark::Comma, true);
        for kind in [ColumnType::Integer, ColumnType::Number, ColumnType::Money] {
            assert_eq!(read_as(Cell::Text("1,204"), kind, &unsure), Err(CellError::TwoWays));
        }
    }

    #[test]
    fn texts_as_the_sheet_shows_them() {
        let text = |cell| read(cell, ColumnType::Text).unwrap().to_string();
        assert_eq!(text(number("2998")), "2998");
        assert_eq!(text(number("201612013997")), "201612013997");
        assert_eq!(text(Cell::Text("\u{a0}½ ")), "½");
        assert_eq!(text(Cell::Bool(true)), "TRUE");
        let (padded, elapsed) = (NumberFormat::of_code("00000"), NumberFormat::of_code("[h]:mm:ss"));
        assert_eq!(text(formatted("2138", &padded)), "02138");
        assert_eq!(text(formatted("1.5", &elapsed)), "36:00:00");
        assert_eq!(text(number("0.30000000000000004")), "0.3");
    }

    #[test]
    fn points() {
        for form in ["POINT (-122.5 37.75)", "(37.75, -122.5)", "point(-122.5 37.75)", "37.75, -122.5"] {
            assert_eq!(coordinate(Cell::Text(form), Extract::Latitude), Ok(37.75), "{form}");
            assert_eq!(coordinate(Cell::Text(form), Extract::Longitude), Ok(-122.5), "{form}");
        }
        for wrong in ["POINT EMPTY", "(91, 0)", "37.75 -122.5", "(a, b)", ""] {
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
            let float = (cents as f64 / 100.0).to_string();
            prop_assert_eq!(read(number(&float), ColumnType::Money), Ok(Value::Money(cents)));
        }

        #[test]
        fn any_day_is_read_in_both_orders(year in 1900_i16..2100, month in 1_i8..=12, day in 1_i8..=28) {
            let expected = Value::Date(Date::new(year, month, day).unwrap());
            prop_assert_eq!(read(Cell::Text(&format!("{month}/{day}/{year}")), ColumnType::Date), Ok(expected.clone()));
            prop_assert_eq!(read_as(Cell::Text(&format!("{day}/{month}/{year}")), ColumnType::Date, &day_first()), Ok(expected));
        }

        #[test]
        fn no_cell_breaks_the_conversion(text in any::<String>(), float in any::<f64>(), integer in any::<i64>()) {
            let (float, integer) = (float.to_string(), integer.to_string());
            for (_, kind) in ColumnType::NAMES {
                for cell in [Cell::Text(&text), number(&float), number(&integer), Cell::Error("#REF!")] {
                    if let Ok(value) = read(cell, kind) {
                        prop_assert_eq!(value.kind(), Some(kind));
                    }
                }
            }
        }
    }
}
