//! Figures and frequencies of columns, added up value by value.

use std::{cmp::Ordering, collections::HashMap};

use super::{Value, json, query::ascending};

/// The values of a column and how often each occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Facet {
    /// The column's place.
    pub column: usize,
    /// The most frequent values first, equally frequent ones in ascending order; null counts as a value.
    pub values: Vec<(Value, u64)>,
    /// Whether `values` is complete.
    pub complete: bool,
}

/// Limits on a count of values. Whether they are exceeded depends on the values alone, not on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyRoom {
    /// The count is given up above this number of different values.
    pub different_max: usize,
    /// The count is given up if the different values together take more memory than this, bytes.
    pub bytes_max: usize,
    /// Longer texts are not counted at all, bytes.
    pub text_bytes_max: usize,
}

impl TallyRoom {
    /// No limits.
    const ALL: Self = Self { different_max: usize::MAX, bytes_max: usize::MAX, text_bytes_max: usize::MAX };
    /// Memory of a value besides its text, which is stored twice, bytes: its place in a table that is half empty at worst.
    const VALUE_BYTES: usize = 192;

    /// Memory of a value whose text has so many bytes.
    fn bytes_of(text_bytes: usize) -> usize {
        text_bytes.saturating_mul(2).saturating_add(Self::VALUE_BYTES)
    }
}

/// Counts the values of a column, up to a limit of different ones.
#[derive(Debug)]
pub struct FacetTally {
    column: usize,
    /// The counts, by the text itself for texts, and by the JSON of other values.
    counts: HashMap<Vec<u8>, (Value, u64)>,
    nulls: u64,
    room: TallyRoom,
    /// Memory of the different values.
    bytes: usize,
    has_given_up: bool,
    /// The text of the value being counted.
    text: Vec<u8>,
}

impl FacetTally {
    /// A count for the column at this place, without limits.
    pub fn new(column: usize) -> Self {
        Self::within(column, TallyRoom::ALL)
    }

    /// A count for the column at this place within limits. Once they are exceeded the count is given up: nothing is counted any more.
    pub fn within(column: usize, room: TallyRoom) -> Self {
        Self { column, counts: HashMap::new(), nulls: 0, room, bytes: 0, has_given_up: false, text: Vec::new() }
    }

    /// Tells whether the limits were exceeded.
    pub fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    /// Memory held for the different values now, bytes: their texts and the table.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let entry = size_of::<(Vec<u8>, (Value, u64))>() + 1;
        // A table uses at most seven of eight places.
        let table = self.counts.capacity() * 8 / 7 * entry;
        let texts = self.counts.iter().map(|(text, (value, _))| match value {
            Value::Text(value) => text.capacity() + value.capacity(),
            _ => text.capacity(),
        });
        texts.sum::<usize>() + table
    }

    /// Counts a value.
    pub fn add(&mut self, value: &Value) {
        if self.has_given_up {
            return;
        }
        // Equal numbers need one text: negative zero becomes zero.
        let value = match value {
            Value::Number(number) if *number == 0.0 => &Value::Number(0.0),
            other => other,
        };
        let text = match value {
            Value::Null => {
                self.nulls += 1;
                return;
            }
            // All values of a column are of one type.
            Value::Text(text) => text.as_bytes(),
            other => {
                self.text.clear();
                json::write_value(other, &mut self.text);
                &self.text
            }
        };
        if text.len() > self.room.text_bytes_max {
            return;
        }
        if let Some((_, count)) = self.counts.get_mut(text) {
            *count += 1;
            return;
        }
        self.bytes = self.bytes.saturating_add(TallyRoom::bytes_of(text.len()));
        if self.counts.len() < self.room.different_max && self.bytes <= self.room.bytes_max {
            self.counts.insert(text.to_owned(), (value.clone(), 1));
        } else {
            self.has_given_up = true;
            self.counts = HashMap::new();
        }
    }

    /// The `limit` most frequent values.
    pub fn finish(self, limit: u32) -> Facet {
        let nulls = Some((Value::Null, self.nulls)).filter(|(_, count)| *count > 0);
        let mut values: Vec<(Value, u64)> = self.counts.into_values().chain(nulls).collect();
        values.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| ascending(&left.0, &right.0)));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let complete = values.len() <= limit;
        values.truncate(limit);
        Facet { column: self.column, values, complete }
    }
}

/// The sum of a column's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sum {
    /// The sum of whole numbers.
    Integer(i128),
    /// The sum of amounts, in hundredths.
    Money(i128),
    /// The exact sum of numbers with a fraction, rounded once.
    Number(f64),
}

impl Sum {
    /// Appends the sum as JSON. With `as_text`, one of whole numbers or amounts is a string.
    pub fn write(&self, as_text: bool, out: &mut Vec<u8>) {
        let exact = match self {
            Self::Integer(sum) => sum.to_string(),
            Self::Money(cents) => {
                let sign = if *cents < 0 { "-" } else { "" };
                let cents = cents.unsigned_abs();
                format!("{sign}{}.{:02}", cents / 100, cents % 100)
            }
            Self::Number(sum) => return json::write_value(&Value::Number(*sum), out),
        };
        if as_text { json::write_as_text(exact.as_bytes(), out) } else { out.extend_from_slice(exact.as_bytes()) }
    }
}

/// The figures of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The column's place.
    pub column: usize,
    /// Values that are not null.
    pub count: u64,
    /// The least value; null if there is none.
    pub min: Value,
    /// The greatest value; null if there is none.
    pub max: Value,
    /// The sum, for a column of numbers or amounts with at least one value.
    pub sum: Option<Sum>,
    /// The arithmetic mean, where there is a sum. It is there as well where the sum is beyond the largest number.
    pub mean: Option<f64>,
}

impl Figures {
    /// Appends the members of the figures' JSON object, without braces: `"count":2,"min":…,"max":…` and, if there is a sum,
    /// `"sum":…,"mean":…`. With `as_text`, whole numbers and amounts are strings.
    pub fn write_members(&self, as_text: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"count\":");
        json::write_digits(self.count, out);
        out.extend_from_slice(b",\"min\":");
        json::write_value_as(&self.min, as_text, out);
        out.extend_from_slice(b",\"max\":");
        json::write_value_as(&self.max, as_text, out);
        let Some(sum) = &self.sum else { return };
        out.extend_from_slice(b",\"sum\":");
        sum.write(as_text, out);
        out.extend_from_slice(b",\"mean\":");
        json::write_value(&self.mean.map_or(Value::Null, Value::Number), out);
    }
}

/// Adds up the figures of a column.
#[derive(Debug)]
pub struct FiguresTally {
    figures: Figures,
    exact: ExactSum,
}

impl FiguresTally {
    /// A tally for the column at this place.
    pub fn new(column: usize) -> Self {
        let figures = Figures { column, count: 0, min: Value::Null, max: Value::Null, sum: None, mean: None };
        Self { figures, exact: ExactSum::default() }
    }

    /// Takes a value in.
    pub fn add(&mut self, value: &Value) {
        if value.is_null() {
            return;
        }
        let figures = &mut self.figures;
        figures.count += 1;
        if figures.min.is_null() || ascending(value, &figures.min) == Ordering::Less {
            figures.min = value.clone();
        }
        if figures.max.is_null() || ascending(value, &figures.max) == Ordering::Greater {
            figures.max = value.clone();
        }
        let so_far = match figures.sum {
            Some(Sum::Integer(sum) | Sum::Money(sum)) => sum,
            _ => 0,
        };
        match value {
            Value::Integer(number) => figures.sum = Some(Sum::Integer(so_far + i128::from(*number))),
            Value::Money(cents) => figures.sum = Some(Sum::Money(so_far + i128::from(*cents))),
            Value::Number(number) => {
                self.exact.add(*number);
                figures.sum = Some(Sum::Number(0.0));
            }
            _ => {}
        }
    }

    /// The figures.
    pub fn finish(mut self) -> Figures {
        let count = self.figures.count;
        self.figures.mean = match &mut self.figures.sum {
            None => None,
            Some(Sum::Integer(sum)) => Some(mean_of(*sum, count, 1)),
            Some(Sum::Money(cents)) => Some(mean_of(*cents, count, 100)),
            Some(Sum::Number(sum)) => {
                *sum = self.exact.value();
                Some(self.exact.mean(count))
            }
        };
        self.figures
    }
}

/// The mean of so many whole numbers with this sum, in units of which each has so many. The whole part is divided exactly, so that of
/// large numbers no more is lost than a number with a fraction loses.
pub fn mean_of(sum: i128, count: u64, units: u32) -> f64 {
    let divisor = i128::from(count) * i128::from(units);
    if divisor == 0 {
        return 0.0;
    }
    (sum / divisor) as f64 + (sum % divisor) as f64 / divisor as f64
}

/// An exact sum of numbers in any order: partial sums that do not overlap, after Shewchuk, "Adaptive Precision Floating-Point Arithmetic"
/// (1997), as in Python's `math.fsum`.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    partials: Vec<f64>,
    /// The same of numbers from [`LARGE`] on, divided by [`SCALE`]: their sum may be beyond the largest number for a while.
    large: Vec<f64>,
}

/// Numbers from here on are added up apart.
const LARGE: f64 = f64::from_bits((1023 + 900) << 52);
/// A power of two, so that dividing large numbers by it loses nothing: so many of the largest ones have a sum.
const SCALE: f64 = f64::from_bits((1023 + 200) << 52);

/// Adds a finite number to partial sums that do not overlap. False where the result would be beyond the largest number.
fn add_to(partials: &mut Vec<f64>, number: f64) -> bool {
    let mut next = number;
    let mut kept = 0;
    for nth in 0..partials.len() {
        let Some(mut partial) = partials.get(nth).copied() else { break };
        if next.abs() < partial.abs() {
            std::mem::swap(&mut next, &mut partial);
        }
        let high = next + partial;
        if !high.is_finite() {
            return false;
        }
        let low = partial - (high - next);
        if low != 0.0 {
            if let Some(slot) = partials.get_mut(kept) {
                *slot = low;
            }
            kept += 1;
        }
        next = high;
    }
    partials.truncate(kept);
    partials.push(next);
    true
}

impl ExactSum {
    /// Adds a finite number.
    pub fn add(&mut self, number: f64) {
        // Neither can exceed the largest number: that would take more numbers than there can be.
        if number.abs() < LARGE {
            add_to(&mut self.partials, number);
        } else {
            add_to(&mut self.large, number / SCALE);
        }
    }

    /// The mean of so many numbers with this sum, which may be beyond the largest number.
    pub fn mean(&self, count: u64) -> f64 {
        let sum = self.value();
        if sum.is_finite() {
            return sum / count as f64;
        }
        let mut scaled = self.large.clone();
        // What is lost of the other numbers is nothing beside such a sum.
        for partial in &self.partials {
            add_to(&mut scaled, partial / SCALE);
        }
        rounded(&scaled) / count as f64 * SCALE
    }

    /// Adds a finite number so many times.
    pub fn add_times(&mut self, number: f64, times: u32) {
        let times = f64::from(times);
        let product = number * times;
        // What the rounded product lacks. It is exact where neither is too great or too small for it.
        let rest = number.mul_add(times, -product);
        if product.is_finite() && (number == 0.0 || product.abs() > f64::MIN_POSITIVE / f64::EPSILON) {
            self.add(product);
            self.add(rest);
        } else {
            (0..times as u32).for_each(|_| self.add(number));
        }
    }

    /// The sum, rounded once, to the nearest number.
    pub fn value(&self) -> f64 {
        if self.large.is_empty() {
            return rounded(&self.partials);
        }
        let mut all = self.partials.clone();
        // The greatest comes first: what is beyond the largest number after it is beyond it in all.
        for partial in self.large.iter().rev() {
            let partial = partial * SCALE;
            if !partial.is_finite() || !add_to(&mut all, partial) {
                return partial.signum() * f64::INFINITY;
            }
        }
        rounded(&all)
    }
}

/// The sum of partial sums that do not overlap, rounded once.
fn rounded(partials: &[f64]) -> f64 {
    let mut rest = partials.iter().rev().copied();
    let Some(mut high) = rest.next() else { return 0.0 };
    let mut low = 0.0;
    let mut rest = rest.peekable();
    while let Some(partial) = rest.next() {
        let sum = high + partial;
        low = partial - (sum - high);
        high = sum;
        if low != 0.0 {
            // Half-way cases are decided by the remaining partial sums.
            if let Some(after) = rest.peek()
                && ((low < 0.0 && *after < 0.0) || (low > 0.0 && *after > 0.0))
            {
                let twice = low * 2.0;
                let nearer = high + twice;
                if twice == nearer - high {
                    return nearer;
                }
            }
            break;
        }
    }
    debug_assert!(low.abs() <= high.abs());
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(numbers: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        numbers.iter().for_each(|number| sum.add(*number));
        sum.value()
    }

    #[test]
    fn a_sum_may_be_beyond_the_largest_number_for_a_while() {
        assert_eq!(exact(&[1e308, 1e308, -1e308]), 1e308);
        assert_eq!(exact(&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX, 3.0]), 3.0);
        assert_eq!(exact(&[f64::MAX, 1.0, -f64::MAX]), 1.0);
        assert_eq!(exact(&[-1e308, -1e308]), f64::NEG_INFINITY);
        assert_eq!(exact(&[f64::MAX; 40]), f64::INFINITY);
        let mut sum = ExactSum::default();
        (0..128).for_each(|_| sum.add(1e308));
        assert_eq!((sum.value(), sum.mean(128)), (f64::INFINITY, 1e308));
        // The sum is rounded, and then the quotient, as where the sum is a number.
        let last = 1e308_f64.to_bits();
        sum.add(-1e308);
        assert!((last - 1..=last + 1).contains(&sum.mean(127).to_bits()), "{}", sum.mean(127));
        assert_eq!(mean_of(3 * 9_007_199_254_740_994, 3, 1), 9_007_199_254_740_994.0);
        assert_eq!((mean_of(-5, 2, 1), mean_of(705, 2, 100), mean_of(0, 0, 1)), (-2.5, 3.525, 0.0));
    }

    #[test]
    fn nothing_is_lost_between_large_and_small() {
        assert_eq!(exact(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(exact(&[0.1; 10]), 1.0);
        assert_eq!(exact(&[]), 0.0);
        assert_eq!(exact(&[1e16, 1.0, 1e-16]), 10_000_000_000_000_002.0);
        assert_eq!(exact(&[1e308, 1e308]), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn the_order_makes_no_difference(
            numbers in proptest::collection::vec(-1e300_f64..1e300, 0..40).prop_map(|mut numbers| {
                numbers.iter_mut().step_by(3).for_each(|number| *number = number.sqrt().max(-1e5));
                numbers.retain(|number| number.is_finite());
                numbers
            }),
        ) {
            let mut backwards = numbers.clone();
            backwards.reverse();
            let mut sorted = numbers.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert_eq!(exact(&numbers).to_bits(), exact(&backwards).to_bits());
            prop_assert_eq!(exact(&numbers).to_bits(), exact(&sorted).to_bits());
        }

        #[test]
        fn whole_numbers_add_up_as_they_do_elsewhere(numbers in proptest::collection::vec(any::<i32>(), 0..40)) {
            let floats: Vec<f64> = numbers.iter().map(|number| f64::from(*number)).collect();
            let whole: i64 = numbers.iter().map(|number| i64::from(*number)).sum();
            prop_assert_eq!(exact(&floats), whole as f64);
        }
    }

    #[test]
    fn figures_and_frequencies() {
        let mut tally = FiguresTally::new(4);
        let mut facet = FacetTally::new(4);
        for value in [Value::Money(250), Value::Null, Value::Money(-5), Value::Money(250)] {
            tally.add(&value);
            facet.add(&value);
        }
        let figures = tally.finish();
        let mut text = Vec::new();
        figures.write_members(false, &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), r#""count":3,"min":-0.05,"max":2.50,"sum":4.95,"mean":1.65"#);
        let values = vec![(Value::Money(250), 2), (Value::Money(-5), 1), (Value::Null, 1)];
        assert_eq!(facet.finish(3), Facet { column: 4, values, complete: true });
        let mut none = Vec::new();
        FiguresTally::new(6).finish().write_members(false, &mut none);
        assert_eq!(none, br#""count":0,"min":null,"max":null"#);
    }
}
