//! Dates and moments in the forms in which files write them.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::convert::{CellError, Reading, trim};
use crate::dataset::{
    ValueError,
    definition::DateOrder,
    reader::{Cell, moment_of_serial},
    value::{date_of, number_of, parse_iso_date},
};

/// The first number that is read as `yyyymmdd`.
const COMPACT_DATE_MIN: f64 = 10_000_101.0;
/// Two-digit years from here on are of the last century.
const CENTURY_PIVOT: i16 = 70;

/// A moment; without a zone of its own it is taken as UTC.
pub(super) fn timestamp(cell: Cell<'_>, reading: Reading) -> Result<Timestamp, CellError> {
    if let Cell::Text(text) = cell
        && let Ok(moment) = trim(text).parse::<Timestamp>()
    {
        return Ok(moment);
    }
    // Files do not say their zone; UTC keeps what they show.
    let moment = moment(cell, reading).ok_or(ValueError::Timestamp)?;
    Ok(moment.to_zoned(TimeZone::UTC).map_err(|_| ValueError::OutOfRange)?.timestamp())
}

/// The date of a cell, with its time of day.
pub(super) fn moment(cell: Cell<'_>, reading: Reading) -> Option<DateTime> {
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
