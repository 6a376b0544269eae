//! Reads numbers as people type them, and explains those that it cannot read.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use super::output::grouped;

/// Reads a whole number within these bounds.
pub(super) fn whole<T>(bounds: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Copy + Into<u64> + Send + Sync + 'static,
{
    move |text| {
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        number.filter(|number| bounds.contains(number)).ok_or_else(|| {
            let (least, most): (u64, u64) = ((*bounds.start()).into(), (*bounds.end()).into());
            format!("a whole number from {least} to {} is expected, in digits", grouped(most))
        })
    }
}

/// Reads a number within these bounds, which are those of what it is for.
pub(super) fn decimal(
    bounds: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let is_plain = |byte: u8| byte.is_ascii_digit() || b".-+eE".contains(&byte);
        let number = text.bytes().all(is_plain).then(|| text.parse().ok()).flatten();
        let (least, most): (&dyn Display, &dyn Display) = (bounds.start(), bounds.end());
        number
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| format!("a number from {least} to {most} is expected, such as 0.5 or 20"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_or_said_what_it_should_be() {
        assert_eq!(whole(1..=10_000_u32)("10000"), Ok(10_000));
        for text in ["0", "10001", "-1", "1.5", "many", "", "99999999999999999999", "+1", "0x1"] {
            assert_eq!(
                whole(1..=10_000_u32)(text),
                Err("a whole number from 1 to 10,000 is expected, in digits".to_owned())
            );
        }
        assert_eq!(decimal(0.001..=10.0)("0.5"), Ok(0.5));
        for text in ["0", "11", "inf", "NaN", "fast", "1,5", ""] {
            assert!(decimal(0.001..=10.0)(text).unwrap_err().contains("a number from 0.001 to 10"), "{text}");
        }
    }
}
