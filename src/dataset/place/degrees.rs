//! Coordinates: decimals of degrees, and the whole numbers that they are kept as.

use std::fmt;

/// The parts of a degree.
pub(super) const UNITS_OF_DEGREE: i32 = 10_000_000;
/// The decimals of a degree.
const DECIMALS: usize = 7;

/// Why a text is no point. Completes "the value …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// The text has none of the forms of a point.
    #[error("expected a point such as POINT (-122.4194 37.7749) or 37.7749,-122.4194 (latitude first)")]
    Form,
    /// The latitude is out of range.
    #[error("the latitude is beyond 90 degrees")]
    Latitude,
    /// The longitude is out of range.
    #[error("the longitude is beyond 180 degrees")]
    Longitude,
    /// The latitude is out of range, and would not be as a longitude.
    #[error(
        "the latitude is beyond 90 degrees: latitude and longitude look exchanged. POINT and GeoJSON have the longitude first, a pair has the latitude first"
    )]
    Exchanged,
}

/// A coordinate as the shortest decimal of degrees.
pub(super) struct Degrees(pub(super) i32);

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, of_degree) = (self.0.unsigned_abs(), UNITS_OF_DEGREE.unsigned_abs());
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", units / of_degree)?;
        let mut fraction = units % of_degree;
        if fraction == 0 {
            return Ok(());
        }
        let mut decimals = DECIMALS;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        write!(f, ".{fraction:0decimals$}")
    }
}

/// The number of a decimal.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    text.parse().ok().filter(|number: &f64| number.is_finite() && text.bytes().all(is_part))
}

/// The units of a decimal of degrees, rounded half away from zero; none for any other text. Numbers far beyond all degrees become one
/// beyond all degrees.
pub(super) fn units(text: &str) -> Option<i64> {
    const BEYOND: i64 = i64::MAX / 2;
    if text.contains(['e', 'E']) {
        // It is shown without an exponent.
        return units(&number(text)?.to_string());
    }
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let decimals = fraction.bytes().chain(std::iter::repeat(b'0')).take(DECIMALS);
    let units = whole
        .bytes()
        .chain(decimals)
        .fold(0_i64, |units, digit| units.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(BEYOND));
    let rounds_up = fraction.as_bytes().get(DECIMALS).is_some_and(|digit| *digit >= b'5');
    let units = units + i64::from(rounds_up);
    Some(if is_negative { -units } else { units })
}
