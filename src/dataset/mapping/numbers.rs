//! Reads numbers in texts into one plain form, without losing a digit.

use std::borrow::Cow;

use crate::dataset::{ValueError, definition::Mark};

/// Significant digits that every 64-bit floating point number can hold.
const SAFE_DIGITS: usize = 15;
/// Numbers with larger exponents are no amounts of anything that people count.
const EXPONENT_MAX: i32 = 60;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataset) struct Marks {
    pub(in crate::dataset) decimal: Mark,
    pub(in crate::dataset) thousands: Mark,
    /// Whether the marks are not set, in a file where both commas and points may be decimal marks.
    pub(in crate::dataset) unsure: bool,
}

impl Marks {
    /// The marks of most files.
    #[cfg(test)]
    pub(in crate::dataset) const PLAIN: Self = Self { decimal: Mark::Point, thousands: Mark::Comma, unsure: false };
}

/// A number's sign, its digits before and behind the point, and its power of ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenNumber<'a> {
    negative: bool,
    whole: Cow<'a, str>,
    fraction: &'a str,
    exponent: i32,
}

/// Why a text is no number, or one that cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The text is no number.
    Form,
    /// The text can be read in two ways.
    TwoWays,
    /// The text begins with zeros, which numbers do not.
    Zeros,
}

impl<'a> WrittenNumber<'a> {
    /// Reads `-1,234.50`, `1234.5E3`, `5-`, using the marks.
    pub(super) fn of(text: &'a str, marks: Marks) -> Result<Self, Wrong> {
        let (negative, bare) = sign(text).ok_or(Wrong::Form)?;
        let (mantissa, exponent) = match bare.find(['e', 'E']) {
            Some(at) => {
                let exponent = bare.get(at + 1..).and_then(|text| text.parse::<i32>().ok()).ok_or(Wrong::Form)?;
                (bare.get(..at).unwrap_or_default(), exponent)
            }
            None => (bare, 0),
        };
        if marks.unsure && exponent == 0 && is_two_ways(mantissa) {
            return Err(Wrong::TwoWays);
        }
        let (whole, fraction) = match mantissa.find(|letter| marks.decimal.is(letter)) {
            // A decimal mark is one byte long.
            Some(at) => (mantissa.get(..at).unwrap_or_default(), mantissa.get(at + 1..).unwrap_or_default()),
            None => (mantissa, ""),
        };
        let written = whole.len();
        let whole = ungrouped(whole, marks.thousands).ok_or(Wrong::Form)?;
        // Nobody groups digits before an exponent: the mark is a decimal one, of another language.
        if mantissa.len() < bare.len() && whole.len() < written {
            return Err(Wrong::Form);
        }
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(&whole) || !is_digits(fraction) {
            return Err(Wrong::Form);
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(Wrong::Zeros);
        }
        Ok(Self { negative, whole, fraction, exponent })
    }

    pub(super) fn has_exponent(&self) -> bool {
        self.exponent != 0
    }

    /// Changes the sign.
    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative;
        self
    }

    pub(super) fn is_negative(&self) -> bool {
        self.negative
    }

    /// The number as a plain decimal with a point; `None` if it would be too long for an amount of anything.
    pub(super) fn plain(&self) -> Option<String> {
        if self.exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let mut digits = format!("{}{}", self.whole, self.fraction);
        let mut point = i32::try_from(self.whole.len()).ok()? + self.exponent;
        while point <= 0 {
            digits.insert(0, '0');
            point += 1;
        }
        let at = usize::try_from(point).ok()?;
        while digits.len() < at {
            digits.push('0');
        }
        if digits.len() > at {
            digits.insert(at, '.');
        }
        Some(if self.negative { format!("-{digits}") } else { digits })
    }

    /// The number as a 64-bit one, if that keeps all written digits. `hundredths` is set if a percent sign follows.
    pub(super) fn number(&self, hundredths: bool) -> Result<f64, ValueError> {
        let exponent = if hundredths { self.exponent - 2 } else { self.exponent };
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let fraction = if self.fraction.is_empty() { "0" } else { self.fraction };
        let number: f64 = format!("{sign}{whole}.{fraction}e{exponent}").parse().map_err(|_| ValueError::Number)?;
        if !number.is_finite() {
            return Err(ValueError::OutOfRange);
        }
        let all = format!("{}{}", self.whole, self.fraction);
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            // Zero has no sign.
            return Ok(0.0);
        }
        if significant.len() > SAFE_DIGITS {
            let digits_of = |written: String| -> String {
                written.split('e').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect()
            };
            // On a tie, the shortest form of a number may be rounded differently than the form with this many digits.
            let same = digits_of(format!("{:.*e}", significant.len() - 1, number.abs())) == significant
                || digits_of(format!("{:e}", number.abs())) == significant;
            if !same {
                return Err(ValueError::LosesDigits);
            }
        }
        // The smallest numbers have fewer digits.
        if number == 0.0 { Err(ValueError::OutOfRange) } else { Ok(number) }
    }

    /// The number as a whole one.
    pub(super) fn integer(&self) -> Result<i64, ValueError> {
        if self.fraction.bytes().any(|byte| byte != b'0') || self.whole.is_empty() {
            return Err(ValueError::Integer);
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}", self.whole).parse().map_err(|_| ValueError::OutOfRange)
    }
}

/// The sign before or behind a number, and the number without it.
fn sign(text: &str) -> Option<(bool, &str)> {
    let is_minus = |letter: char| matches!(letter, '-' | '\u{2212}');
    if let Some(rest) = text.strip_prefix(is_minus) {
        let rest = rest.trim_start();
        return (!rest.starts_with(['-', '+', '\u{2212}'])).then_some((true, rest));
    }
    if let Some(rest) = text.strip_prefix('+') {
        return Some((false, rest));
    }
    // Accounting systems write the minus last; a minus behind an exponent is no sign.
    match text.strip_suffix(is_minus) {
        Some(rest) if rest.ends_with(|last: char| last.is_ascii_digit()) => Some((true, rest)),
        Some(_) => None,
        None => Some((false, text)),
    }
}

/// The whole part without marks between groups of three digits; `None` if the marks do not form such groups, so that a decimal comma never
/// turns 1,5 into 15.
fn ungrouped(whole: &str, thousands: Mark) -> Option<Cow<'_, str>> {
    if whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Cow::Borrowed(whole));
    }
    let mut groups = whole.split(|letter| thousands.is(letter));
    let first = groups.next()?;
    let mut joined = first.to_owned();
    let mut count = 0;
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        joined.push_str(group);
        count += 1;
    }
    (count == 0 || (1..=3).contains(&first.len())).then_some(Cow::Owned(joined))
}

/// Tells whether one mark stands before the last three digits, behind one to three others: `1,204` is 1204 or 1.204.
pub(in crate::dataset) fn is_two_ways(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once([',', '.']) else { return false };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (1..=3).contains(&whole.len()) && rest.len() == 3 && is_digits(whole) && is_digits(rest) && !whole.starts_with('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GERMAN: Marks = Marks { decimal: Mark::Comma, thousands: Mark::Point, unsure: false };

    fn plain(text: &str, marks: Marks) -> Result<String, Wrong> {
        WrittenNumber::of(text, marks).map(|written| written.plain().unwrap())
    }

    #[test]
    fn one_plain_form() {
        for (text, marks, expected) in [
            ("1,234.50", Marks::PLAIN, "1234.50"),
            ("1.234,50", GERMAN, "1234.50"),
            ("-5", Marks::PLAIN, "-5"),
            ("5-", Marks::PLAIN, "-5"),
            ("\u{2212}5", Marks::PLAIN, "-5"),
            ("1.5E3", Marks::PLAIN, "1500"),
            ("1.5e-3", Marks::PLAIN, "0.0015"),
            (".5", Marks::PLAIN, "0.5"),
            ("1 234,5", Marks { decimal: Mark::Comma, thousands: Mark::Space, unsure: false }, "1234.5"),
            ("1'234.5", Marks { decimal: Mark::Point, thousands: Mark::Apostrophe, unsure: false }, "1234.5"),
        ] {
            assert_eq!(plain(text, marks).as_deref(), Ok(expected), "{text}");
        }
        for text in ["1,5", "1,2345", "12,34,567", "--5", "-5-", "1.2.3", "five", "", "-", "1e", "e5", "1,234,5"] {
            assert!(plain(text, Marks::PLAIN).is_err(), "{text}");
        }
        for (text, marks) in
            [("9.000E-2", GERMAN), ("1.500E3", GERMAN), ("1.234e0", GERMAN), ("1,250E-1", Marks::PLAIN)]
        {
            assert_eq!(plain(text, marks), Err(Wrong::Form), "{text}");
        }
        assert_eq!(plain("007", Marks::PLAIN), Err(Wrong::Zeros));
        let unsure = Marks { unsure: true, ..Marks::PLAIN };
        assert_eq!(plain("1,204", unsure), Err(Wrong::TwoWays));
        assert_eq!(plain("1.204", unsure), Err(Wrong::TwoWays));
        assert_eq!(plain("0.204", unsure).as_deref(), Ok("0.204"));
        assert_eq!(plain("1.20", unsure).as_deref(), Ok("1.20"));
    }

    #[test]
    fn no_digit_is_lost() {
        let number = |text| WrittenNumber::of(text, Marks::PLAIN).unwrap().number(false);
        for text in [
            "0.1",
            "0.10000000000000001",
            "0.30000000000000004",
            "37.774929499999999",
            "1e300",
            "9007199254740992",
            "-1834716032053085.3",
        ] {
            assert!(number(text).is_ok(), "{text}");
        }
        for text in ["9007199254740993", "12345678901234567890", "3.14159265358979323846", "0.12345678901234567891"] {
            assert_eq!(number(text), Err(ValueError::LosesDigits), "{text}");
        }
        assert_eq!(number("1e999"), Err(ValueError::OutOfRange));
        assert_eq!(number("-0").map(f64::to_bits), Ok(0.0_f64.to_bits()));
        assert_eq!(WrittenNumber::of("12.5", Marks::PLAIN).unwrap().number(true), Ok(0.125));
    }

    proptest! {
        #[test]
        fn any_number_that_is_shown_is_read_back(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
            let expected = if number == 0.0 { 0.0 } else { number };
            for text in [number.to_string(), format!("{number:e}"), format!("{number:.16e}")] {
                let read = WrittenNumber::of(&text, Marks::PLAIN).unwrap().number(false);
                prop_assert_eq!(read.map(f64::to_bits), Ok(expected.to_bits()), "{}", text);
            }
        }

        #[test]
        fn groups_of_digits_are_read_as_they_were_written(number in any::<i64>(), cents in 0_u8..100) {
            let digits = number.unsigned_abs().to_string();
            let mut grouped = String::new();
            for (place, digit) in digits.char_indices() {
                if place > 0 && (digits.len() - place) % 3 == 0 {
                    grouped.push('.');
                }
                grouped.push(digit);
            }
            let sign = if number < 0 { "-" } else { "" };
            let read = plain(&format!("{sign}{grouped},{cents:02}"), GERMAN);
            prop_assert_eq!(read, Ok(format!("{sign}{digits}.{cents:02}")));
        }
    }
}
