//! Dates and moments in the forms that files use.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::Offset,
};

use super::reading::{CellError, Reading, trim};
use crate::dataset::{
    ValueError,
    definition::DateOrder,
    reader::{rows::Cell, serial::moment_of_days},
    value::{date_of, number_of, parse_iso_date},
};

/// The first number that is read as `yyyymmdd`.
const COMPACT_DATE_MIN: f64 = 10_000_101.0;
/// Two-digit years from this one on belong to the last century.
pub(in crate::dataset) const CENTURY_PIVOT: i16 = 70;

/// A date with its time of day, and the offset from UTC if it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataset) struct WrittenDate {
    pub(in crate::dataset) moment: DateTime,
    pub(in crate::dataset) offset: Option<Offset>,
    /// Whether a time of day is written.
    pub(in crate::dataset) has_time: bool,
}

/// Reads a date; a time of day is dropped.
pub(super) fn date(cell: Cell<'_>, reading: &Reading) -> Result<Date, CellError> {
    let text = if let Cell::Text(text) = cell { text } else { "" };
    Ok(written(cell, reading)?.ok_or_else(|| date_error(text, reading))?.moment.date())
}

/// Reads a moment; without a zone of its own it is in the reading's zone.
pub(super) fn timestamp(cell: Cell<'_>, reading: &Reading) -> Result<Timestamp, CellError> {
    let WrittenDate { moment, offset, .. } = written(cell, reading)?.ok_or(ValueError::Timestamp)?;
    match offset {
        Some(offset) => offset.to_timestamp(moment).map_err(|_| ValueError::OutOfRange.into()),
        None => {
            let local = reading.zone.to_ambiguous_timestamp(moment);
            if local.is_ambiguous() {
                return Err(CellError::ClockChange);
            }
            local.unambiguous().map_err(|_| ValueError::OutOfRange.into())
        }
    }
}

fn date_error(text: &str, reading: &Reading) -> CellError {
    let text = trim(text);
    if is_of_three_numbers(text) {
        let is_year_first = text.bytes().take(3).all(|byte| byte.is_ascii_digit());
        return CellError::NoSuchDay(match reading.date_order {
            _ if is_year_first => "",
            DateOrder::MonthFirst => ", read with the month before the day",
            DateOrder::DayFirst => ", read with the day before the month",
        });
    }
    CellError::Date(match reading.date_order {
        DateOrder::MonthFirst => "12/31/2016",
        DateOrder::DayFirst => "31/12/2016",
    })
}

/// The date in a cell; `None` if it holds none.
fn written(cell: Cell<'_>, reading: &Reading) -> Result<Option<WrittenDate>, CellError> {
    let plain = |moment| WrittenDate { moment, offset: None, has_time: moment.time() != Time::midnight() };
    Ok(match cell {
        Cell::Moment(moment) => Some(plain(moment)),
        Cell::Text(text) => of_text(trim(text), reading.date_order),
        Cell::Number(number) => match number.digits.parse() {
            Ok(days) => Some(plain(of_number(days, reading.epoch_1904)?)),
            Err(_) => None,
        },
        _ => None,
    })
}

/// A date that lost its format: `yyyymmdd`, or days since the epoch. Only spreadsheets have numbers.
fn of_number(number: f64, epoch_1904: bool) -> Result<DateTime, CellError> {
    if number.fract() == 0.0 && (COMPACT_DATE_MIN..100_000_000.0).contains(&number) {
        let compact = of_text(&format!("{number:.0}"), DateOrder::MonthFirst);
        return compact.map(|written| written.moment).ok_or(ValueError::Date.into());
    }
    moment_of_days(number, epoch_1904).map_err(CellError::Moment)
}

/// Reads the forms of dates that reports use, with or without a time of day and a zone.
pub(in crate::dataset) fn of_text(text: &str, order: DateOrder) -> Option<WrittenDate> {
    let midnight =
        |date: Date| WrittenDate { moment: date.to_datetime(Time::midnight()), offset: None, has_time: false };
    if let Some(date) = parse_iso_date(text.as_bytes()) {
        return Some(midnight(date));
    }
    let (first, rest) = token(text)?;
    if let Some(weekday) = weekday_of(first) {
        // A wrong day of the week means a mistake in it or in the date.
        let rest = rest.trim_start_matches(['.', ',', ' ']);
        let dated = if rest.len() < text.len() - first.len() { of_text(rest, order) } else { None };
        return dated.filter(|dated| dated.moment.weekday() == weekday);
    }
    let (date, rest) = if first.len() == 8 && first.bytes().all(|byte| byte.is_ascii_digit()) {
        let (year, rest_of) = first.split_at(4);
        let (month, day) = rest_of.split_at(2);
        let number = |digits: &str| number_of(digits.as_bytes());
        (date_of(number(year)?, number(month)?, number(day)?)?, rest)
    } else {
        let (second, rest) = token(separated(rest)?)?;
        let (third, rest) = token(separated(rest)?)?;
        (date_of_tokens(first, second, third, order)?, rest)
    };
    if rest.is_empty() {
        return Some(midnight(date));
    }
    let (time, offset) = time_of_day(rest)?;
    Some(WrittenDate { moment: date.to_datetime(time), offset, has_time: true })
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

/// Tells whether a text has the form of a date, whatever its numbers are.
fn is_of_three_numbers(text: &str) -> bool {
    let mut lengths = [0; 3];
    let mut rest = text;
    for (nth, length) in lengths.iter_mut().enumerate() {
        let at = if nth == 0 { Some(rest) } else { separated(rest) };
        let Some((digits, behind)) = at.and_then(token) else { return false };
        if !digits.starts_with(|digit: char| digit.is_ascii_digit()) {
            return false;
        }
        (*length, rest) = (digits.len(), behind);
    }
    rest.is_empty() && matches!(lengths, [1 | 2, 1 | 2, 2 | 4] | [4, 1 | 2, 1 | 2])
}

/// The run of digits or letters at the beginning of a text, and the rest.
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

/// The rest behind one separator of a date and the spaces around it.
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

fn weekday_of(name: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    if name.len() < 3 || !name.is_ascii() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    DAYS.iter().find(|(day, _)| day.starts_with(&name)).map(|(_, weekday)| *weekday)
}

/// Reads ` 12:00`, `T09:30:00.125`, `, 4:05 PM`, each with an optional zone.
fn time_of_day(text: &str) -> Option<(Time, Option<Offset>)> {
    let text = text.strip_prefix(['T', 't']).unwrap_or_else(|| text.trim_start_matches([' ', ','])).trim_end();
    let clock_end = text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.' | ','));
    let (clock, rest) = text.split_at(clock_end.unwrap_or(text.len()));
    let (noon, rest) = half_of_day(rest.trim_start());
    let offset = match rest {
        "" => None,
        zone => Some(offset_of(zone)?),
    };
    let (clock, fraction) = match clock.find(['.', ',']) {
        Some(at) => (clock.get(..at)?, Some(clock.get(at + 1..)?)),
        None => (clock, None),
    };
    let mut parts = clock.split(':').map(|part| if part.len() <= 2 { number_of(part.as_bytes()) } else { None });
    let hour = parts.next()??;
    let minute = parts.next()??;
    let second = match parts.next() {
        Some(second) => Some(second?),
        None => None,
    };
    if parts.next().is_some()
        || (noon.is_some() && !(1..=12).contains(&hour))
        || (fraction.is_some() && second.is_none())
    {
        return None;
    }
    let hour = noon.map_or(hour, |noon| hour % 12 + noon);
    let nanos = fraction.map_or(Some(0), nanoseconds)?;
    let small = |number: i16| i8::try_from(number).ok();
    let time = Time::new(small(hour)?, small(minute)?, small(second.unwrap_or(0))?, nanos).ok()?;
    Some((time, offset))
}

/// Nanoseconds from up to nine decimals. More cannot be stored.
fn nanoseconds(decimals: &str) -> Option<i32> {
    let kept = decimals.trim_end_matches('0');
    if decimals.is_empty() || kept.len() > 9 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{kept:0<9}").parse().ok()
}

/// `AM` or `PM` in any spelling: the hours that it adds, and the rest.
fn half_of_day(text: &str) -> (Option<i16>, &str) {
    for (hours, words) in [(0, ["am", "a.m."]), (12, ["pm", "p.m."])] {
        for word in words {
            let is_word = text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            let rest = text.get(word.len()..).unwrap_or_default();
            if is_word && !rest.starts_with(|next: char| next.is_ascii_alphanumeric()) {
                return (Some(hours), rest.trim_start());
            }
        }
    }
    (None, text)
}

/// The zone of a time: `Z`, `+01:00`, `-0800`, `+01`, or a name that RFC 2822 defines. Other names are ambiguous.
fn offset_of(zone: &str) -> Option<Offset> {
    const NAMES: [(&str, i8); 13] = [
        ("z", 0),
        ("utc", 0),
        ("gmt", 0),
        ("ut", 0),
        ("est", -5),
        ("edt", -4),
        ("cst", -6),
        ("cdt", -5),
        ("mst", -7),
        ("mdt", -6),
        ("pst", -8),
        ("pdt", -7),
        ("+00", 0),
    ];
    // A zone's name may follow the offset; the offset counts.
    let zone = match zone.split_once('[') {
        Some((offset, name)) if name.ends_with(']') => offset.trim_end(),
        Some(_) => return None,
        None => zone,
    };
    if let Some((_, hours)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(zone)) {
        return Some(Offset::constant(*hours));
    }
    let bare = zone.strip_prefix("UTC").or_else(|| zone.strip_prefix("GMT")).unwrap_or(zone);
    let (negative, digits) = match bare.as_bytes().first()? {
        b'+' => (false, bare.get(1..)?),
        b'-' => (true, bare.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 && (1..=2).contains(&hours.len()) => (hours, minutes),
        None if digits.len() == 4 => digits.split_at(2),
        None if (1..=2).contains(&digits.len()) => (digits, "0"),
        _ => return None,
    };
    let (hours, minutes) = (number_of(hours.as_bytes())?, number_of(minutes.as_bytes())?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    Offset::from_seconds(if negative { -seconds } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::mapping::reading::Reading;

    fn moment(text: &str) -> Result<String, CellError> {
        timestamp(Cell::Text(text), &Reading::PLAIN).map(|moment| moment.to_string())
    }

    #[test]
    fn moments_with_fractions_and_zones() {
        for (text, expected) in [
            ("2016-12-01 09:30:00.123456", "2016-12-01T09:30:00.123456Z"),
            ("2016-12-01T09:30:00+0100", "2016-12-01T08:30:00Z"),
            ("2016-12-01 09:30:00-08", "2016-12-01T17:30:00Z"),
            ("2016-12-01 09:30:00+00", "2016-12-01T09:30:00Z"),
            ("2016-12-01 09:30:00 UTC", "2016-12-01T09:30:00Z"),
            ("2016-12-01 09:30:00 PST", "2016-12-01T17:30:00Z"),
            ("12/16/2004 09:18:00 EST", "2004-12-16T14:18:00Z"),
            ("2016-12-01T09:30:00,5Z", "2016-12-01T09:30:00.5Z"),
            ("12/1/2016 9:30:00.250 AM", "2016-12-01T09:30:00.25Z"),
            ("2016-12-01 12:30:00 am", "2016-12-01T00:30:00Z"),
            ("2016-12-01T09:30:00.999999999", "2016-12-01T09:30:00.999999999Z"),
            ("Thu, 01 Dec 2016 09:30:00 GMT", "2016-12-01T09:30:00Z"),
            ("2016-12-01T09:30:00-00:00", "2016-12-01T09:30:00Z"),
            ("2016-12-01T09:30:00+01:00[Europe/Paris]", "2016-12-01T08:30:00Z"),
            ("2016-12-01 09:30:00 +0530", "2016-12-01T04:00:00Z"),
            ("2016-12-01", "2016-12-01T00:00:00Z"),
        ] {
            assert_eq!(moment(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in [
            "2016-12-01T09:30:00.1234567890123Z",
            "2016-12-31T23:59:60Z",
            "2016-12-01T24:00:00Z",
            "1480584600",
            "2016-12-01 09:30:00 CET",
            "2016-12-01 09:30:00 +25:00",
            "Fri, 01 Dec 2016 09:30:00 GMT",
            "-1000-01-01T00:00:00Z",
            "2016-12-01 09.30",
            "2016-12-01 09:30:00.",
            "12/1/2016 13:00 PM",
            "",
        ] {
            assert!(moment(wrong).is_err(), "{wrong} {:?}", moment(wrong));
        }
    }

    #[test]
    fn a_day_is_that_which_is_written_whatever_its_zone() {
        let day = date(Cell::Text("2016-12-01T23:30:00-08:00"), &Reading::PLAIN).unwrap();
        assert_eq!(day.to_string(), "2016-12-01");
    }

    #[test]
    fn local_times() {
        let zone = jiff::tz::TimeZone::get("America/Los_Angeles").unwrap();
        let reading = Reading { zone, ..Reading::PLAIN };
        let read = |text| timestamp(Cell::Text(text), &reading).map(|moment| moment.to_string());
        assert_eq!(read("12/1/2016 9:30 AM").as_deref(), Ok("2016-12-01T17:30:00Z"));
        assert_eq!(read("2016-12-01T09:30:00Z").as_deref(), Ok("2016-12-01T09:30:00Z"));
        for changed in ["2016-03-13 02:30:00", "2016-11-06 01:30:00"] {
            assert_eq!(read(changed), Err(CellError::ClockChange), "{changed}");
        }
    }
}
