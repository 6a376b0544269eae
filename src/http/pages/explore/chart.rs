//! A chart of one column, drawn from the frequencies of its values: bars of values, a histogram of numbers, months or years of days.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;

use super::wording;
use crate::{
    dataset::{ColumnType, Value, summary::Facet},
    http::pages::language::Language,
};

/// Distinct values that a chart is drawn from at most.
pub(super) const VALUES_MAX: u32 = 50_000;
/// Bars of single values at most; the other values share one more.
const BARS_MAX: usize = 12;
/// Approximate number of bars in a histogram.
const BINS: f64 = 12.0;
/// Months that are shown one by one; longer spans are shown by year.
const MONTHS_MAX: i32 = 36;
/// Years that are shown one by one; longer spans are shown by decade.
const YEARS_MAX: i32 = 40;
/// Ratio of the largest number to the median above which bars of one width would show one bar only.
const SKEW: f64 = 50.0;
/// Bars by powers of ten at most.
const POWERS_MAX: i32 = 18;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bar {
    /// The value or the range that it stands for.
    pub(super) label: String,
    /// The label where there is little room: for a histogram's bar, its beginning.
    pub(super) short: String,
    /// The number of its records.
    pub(super) count: u64,
    /// The conditions for these records; empty where no conditions express them.
    pub(super) conditions: Vec<(String, String)>,
}

impl Bar {
    fn new(label: String, count: u64, conditions: Vec<(String, String)>) -> Self {
        Self { short: label.clone(), label, count, conditions }
    }
}

/// A chart to draw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bars {
    /// The bars, in the order in which they are drawn.
    pub(super) bars: Vec<Bar>,
    /// Whether the bars are horizontal, each with its name before it.
    pub(super) lying: bool,
    /// Records whose values have no bar.
    pub(super) others: u64,
    /// Records without a value.
    pub(super) empty: u64,
}

/// The chart of a column; none where the column has too many distinct values.
pub(super) fn bars(name: &str, kind: ColumnType, facet: &Facet, language: Language) -> Option<Bars> {
    let empty = facet.values.iter().find(|(value, _)| value.is_null()).map_or(0, |(_, count)| *count);
    let values: Vec<(&Value, u64)> =
        facet.values.iter().filter(|(value, _)| !value.is_null()).map(|(value, count)| (value, *count)).collect();
    let (bars, lying, others) = match kind {
        // The most frequent texts are known for any number of values.
        ColumnType::Text | ColumnType::Point => most_frequent(name, &values, language),
        _ if !facet.complete => return None,
        ColumnType::Date | ColumnType::Timestamp => (periods(name, &values), false, 0),
        _ if values.len() <= BARS_MAX => {
            let mut values = values;
            values.sort_by(|left, right| number(left.0).total_cmp(&number(right.0)));
            most_frequent(name, &values, language)
        }
        _ => (histogram(name, kind, &values, language), false, 0),
    };
    Some(Bars { bars, lying, others, empty })
}

fn most_frequent(name: &str, values: &[(&Value, u64)], language: Language) -> (Vec<Bar>, bool, u64) {
    let bar = |(value, count): &(&Value, u64)| {
        Bar::new(wording::value(value, language), *count, vec![(format!("{name}__eq"), value.to_string())])
    };
    let others = values.iter().skip(BARS_MAX).map(|(_, count)| count).sum();
    (values.iter().take(BARS_MAX).map(bar).collect(), true, others)
}

/// The place of a value on an axis.
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Integer(number) => *number as f64,
        Value::Money(cents) => *cents as f64 / 100.0,
        Value::Number(number) => *number,
        _ => 0.0,
    }
}

fn histogram(name: &str, kind: ColumnType, values: &[(&Value, u64)], language: Language) -> Vec<Bar> {
    let mut numbers: Vec<(f64, u64)> = values.iter().map(|(value, count)| (number(value), *count)).collect();
    numbers.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (Some((min, _)), Some((max, _))) = (numbers.first().copied(), numbers.last().copied()) else {
        return Vec::new();
    };
    let total: u64 = numbers.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    let median = numbers.iter().find(|(_, count)| {
        seen += count;
        seen * 2 >= total
    });
    let is_skewed =
        median.is_some_and(|(median, _)| min >= 0.0 && max < 10_f64.powi(POWERS_MAX) && max > SKEW * median.max(1.0));
    let edges = if is_skewed { powers(max) } else { equal(min, max, kind) };
    let mut bars = Vec::new();
    let mut rest = numbers.as_slice();
    for pair in edges.windows(2) {
        let [(_, low_text), (high, high_text)] = pair else { continue };
        let at = rest.partition_point(|(number, _)| number < high);
        let (inside, after) = rest.split_at(at);
        rest = after;
        let shown = |text: &str| crate::http::pages::wording::decimal(text, language);
        let label = format!("{} – {}", shown(low_text), shown(high_text));
        let conditions = vec![(format!("{name}__gte"), low_text.clone()), (format!("{name}__lt"), high_text.clone())];
        let bar = Bar::new(label, inside.iter().map(|(_, count)| count).sum(), conditions);
        bars.push(Bar { short: shown(low_text), ..bar });
    }
    // Empty bars before the first and after the last used bar are no gaps.
    let is_used = |bar: &Bar| bar.count > 0;
    let first = bars.iter().position(is_used).unwrap_or(0);
    let last = bars.iter().rposition(is_used).map_or(0, |last| last + 1);
    bars.truncate(last);
    bars.drain(..first.min(last));
    bars
}

/// An edge between two bars, and its text.
type BarEdge = (f64, String);

/// Zero, and the powers of ten up to the first above the largest number.
fn powers(max: f64) -> Vec<BarEdge> {
    let mut edges: Vec<BarEdge> = vec![(0.0, "0".to_owned())];
    for exponent in 0..=POWERS_MAX {
        let edge = 10_f64.powi(exponent);
        edges.push((edge, format!("{edge:.0}")));
        if edge > max {
            break;
        }
    }
    edges
}

/// Edges at equal distances: one, two or five times a power of ten.
fn equal(min: f64, max: f64, kind: ColumnType) -> Vec<BarEdge> {
    let least = match kind {
        ColumnType::Integer => 1.0,
        ColumnType::Money => 0.01,
        _ => f64::MIN_POSITIVE,
    };
    let wanted = ((max - min) / BINS).max(least);
    let exponent = wanted.log10().floor();
    let power = 10_f64.powf(exponent);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= wanted * 0.999);
    let step = step.unwrap_or(wanted);
    // Rounded to these decimals, so that an edge reads as it was meant and not as the nearest double.
    let decimals = if exponent < 0.0 { (-exponent) as usize } else { 0 };
    let first = (min / step).floor();
    let mut edges = Vec::new();
    for nth in 0..=(2.0 * BINS) as u32 {
        let text = format!("{:.decimals$}", (first + f64::from(nth)) * step);
        let text =
            if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) { "0".to_owned() } else { text };
        let edge = text.parse().unwrap_or(0.0);
        edges.push((edge, text));
        if edge > max {
            break;
        }
    }
    edges
}

fn day_of(value: &Value) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        Value::Timestamp(at) => Some(at.to_zoned(TimeZone::UTC).date()),
        _ => None,
    }
}

/// Bars by month, year or decade, whichever are few enough, including the periods without records.
fn periods(name: &str, values: &[(&Value, u64)]) -> Vec<Bar> {
    let mut months: BTreeMap<i32, u64> = BTreeMap::new();
    for (value, count) in values {
        if let Some(day) = day_of(value) {
            *months.entry(i32::from(day.year()) * 12 + i32::from(day.month()) - 1).or_default() += count;
        }
    }
    let (Some((first, _)), Some((last, _))) = (months.first_key_value(), months.last_key_value()) else {
        return Vec::new();
    };
    let span = last - first + 1;
    let width = match span {
        _ if span <= MONTHS_MAX => 1,
        _ if span <= YEARS_MAX * 12 => 12,
        _ => 120,
    };
    let mut counted: BTreeMap<i32, u64> =
        (first.div_euclid(width)..=last.div_euclid(width)).map(|at| (at, 0)).collect();
    for (month, count) in &months {
        *counted.entry(month.div_euclid(width)).or_default() += count;
    }
    let day = |month: i32| format!("{:04}-{:02}-01", month.div_euclid(12), month.rem_euclid(12) + 1);
    counted
        .into_iter()
        .map(|(at, count)| {
            let (from, to) = (at * width, (at + 1) * width);
            let year = from.div_euclid(12);
            let label = match width {
                1 => format!("{year:04}-{:02}", from.rem_euclid(12) + 1),
                12 => format!("{year:04}"),
                _ => format!("{year:04}–{:04}", year + 9),
            };
            Bar::new(label, count, vec![(format!("{name}__gte"), day(from)), (format!("{name}__lt"), day(to))])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facet(values: Vec<(Value, u64)>) -> Facet {
        Facet { column: 0, values, complete: true }
    }

    fn drawn(kind: ColumnType, values: Vec<(Value, u64)>) -> Vec<(String, u64)> {
        let bars = bars("x", kind, &facet(values), Language::English).unwrap().bars;
        bars.into_iter().map(|bar| (bar.label, bar.count)).collect()
    }

    #[test]
    fn days_become_months_years_or_decades() {
        let day = |text: &str| (Value::parse(ColumnType::Date, text).unwrap(), 1);
        let months = drawn(ColumnType::Date, vec![day("2016-03-01"), day("2015-12-31"), day("2016-03-31")]);
        let expected = [("2015-12", 1), ("2016-01", 0), ("2016-02", 0), ("2016-03", 2)];
        assert_eq!(months, expected.map(|(label, count)| (label.to_owned(), count)));
        assert_eq!(drawn(ColumnType::Date, vec![day("2010-03-01"), day("2016-12-31")]).len(), 7);
        assert_eq!(drawn(ColumnType::Date, vec![day("1910-03-01"), day("2016-12-31")]).len(), 11);
    }

    #[test]
    fn few_numbers_are_shown_one_by_one_and_many_in_bars_of_one_width() {
        let few = drawn(ColumnType::Integer, vec![(Value::Integer(12), 7), (Value::Integer(3), 1), (Value::Null, 4)]);
        assert_eq!(few, [("3".to_owned(), 1), ("12".to_owned(), 7)]);
        let many = drawn(ColumnType::Integer, (1..=100).map(|n| (Value::Integer(n), 1)).collect());
        assert_eq!(many.first().unwrap(), &("0 – 10".to_owned(), 9));
        assert_eq!(many.last().unwrap(), &("100 – 110".to_owned(), 1));
    }

    #[test]
    fn what_is_mostly_small_is_shown_by_powers_of_ten() {
        let mut values: Vec<_> = (1..=50).map(|n| (Value::Money(n * 100), 10)).collect();
        values.push((Value::Money(100_000_000), 1));
        let bars = drawn(ColumnType::Money, values);
        assert_eq!(bars.last().unwrap(), &("1,000,000 – 10,000,000".to_owned(), 1));
    }

    #[test]
    fn too_many_different_values_are_not_drawn() {
        let some = Facet { complete: false, ..facet(vec![(Value::Number(1.0), 1)]) };
        assert_eq!(bars("x", ColumnType::Number, &some, Language::English), None);
    }

    proptest! {
        #[test]
        fn every_record_is_in_one_bar(numbers in proptest::collection::vec((-1e12_f64..1e12, 1_u64..9), 13..60), scale in -6_i32..4) {
            let values: Vec<_> = numbers.iter().map(|(n, count)| (Value::Number(n * 10_f64.powi(scale)), *count)).collect();
            let bars = drawn(ColumnType::Number, values);
            prop_assert!(bars.len() <= 30);
            prop_assert_eq!(bars.iter().map(|(_, count)| count).sum::<u64>(), numbers.iter().map(|(_, count)| count).sum::<u64>());
        }
    }
}
