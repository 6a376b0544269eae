//! Numbers, sizes, days and moments as the reader's language writes them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::language::Language;

/// Decimals that a number shows at most.
const DECIMALS: usize = 2;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A number, with its digits in groups of three and two decimals at most.
pub(super) fn number(value: f64, language: Language) -> String {
    let rounded = format!("{value:.DECIMALS$}");
    let text = rounded.trim_end_matches('0').trim_end_matches('.');
    decimal(if text == "-0" { "0" } else { text }, language)
}

/// A number written with a point, such as `-1234.50`, as the language writes it. No digit is lost.
pub(super) fn decimal(text: &str, language: Language) -> String {
    let (group, point) = match language {
        Language::English => (',', '.'),
        Language::German => ('.', ','),
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("\u{2212}", digits));
    let (whole, decimals) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut written = String::with_capacity(text.len() + text.len() / 3 + 3);
    written.push_str(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            written.push(group);
        }
        written.push(digit);
    }
    if let Some(decimals) = decimals {
        written.push(point);
        written.push_str(decimals);
    }
    written
}

/// A size in bytes, in the unit that keeps it short.
pub(super) fn bytes(count: f64, language: Language) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count, "bytes");
    for name in UNITS {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, name);
    }
    let rounded = if value < 10.0 && unit != "bytes" { (value * 10.0).round() / 10.0 } else { value.round() };
    format!("{} {unit}", number(rounded, language))
}

/// A day.
pub(super) fn day(date: Date, language: Language) -> String {
    match language {
        Language::English => {
            let month = usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month - 1)).unwrap_or(&"");
            format!("{} {month} {}", date.day(), date.year())
        }
        Language::German => format!("{:02}.{:02}.{}", date.day(), date.month(), date.year()),
    }
}

/// A moment, to the minute. It is in UTC and says so, since the server does not know the reader's time zone.
pub(super) fn moment(at: Timestamp, language: Language) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    format!("{}, {:02}:{:02} UTC", day(at.date(), language), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_language_does() {
        let both = |value| [number(value, Language::English), number(value, Language::German)];
        assert_eq!(both(0.0), ["0", "0"]);
        assert_eq!(both(-0.001), ["0", "0"]);
        assert_eq!(both(999.0), ["999", "999"]);
        assert_eq!(both(1000.0), ["1,000", "1.000"]);
        assert_eq!(both(-1_234_567.5), ["\u{2212}1,234,567.5", "\u{2212}1.234.567,5"]);
        assert_eq!(decimal("14956000.00", Language::German), "14.956.000,00");
        assert_eq!(decimal("12", Language::English), "12");
    }

    #[test]
    fn sizes_and_days_are_short() {
        assert_eq!(bytes(999.0, Language::English), "999 bytes");
        assert_eq!(bytes(1_500.0, Language::German), "1,5 kB");
        assert_eq!(bytes(342_460.0, Language::English), "342 kB");
        let at: Timestamp = "2026-11-09T07:05:59Z".parse().unwrap();
        assert_eq!(moment(at, Language::English), "9 Nov 2026, 07:05 UTC");
        assert_eq!(moment(at, Language::German), "09.11.2026, 07:05 UTC");
    }
}
