//! Measures of groups: what is known of each so far, and what a block adds to it.

use std::{cmp::Ordering, collections::HashSet};

use hashbrown::DefaultHashBuilder;

use super::{
    chunk::ColumnChunk,
    dictionary::Dictionary,
    summary::{CountedValue, counted},
};
use crate::dataset::{
    ColumnType, Definition, Value,
    query::{Filter, Measure, MeasureKind, SortTerm, Test, ascending},
    summary::{ExactSum, Sum, mean_of},
};

/// The most counters of the codes of a block's cells: beyond, what occurs is sorted.
const COUNTERS_MAX: usize = 1 << 21;

/// So many numbers are not worth putting in order.
const LATER_MIN: usize = 256;

/// The number of no group.
pub(super) const NONE: u32 = u32::MAX;

/// A value of a group's row.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// A key, or a measure that is a value.
    Value(Value),
    /// An exact sum.
    Sum(Sum),
    /// The exact middle of whole numbers, or of amounts in hundredths, in halves.
    Middle {
        /// Twice the middle.
        halves: i128,
        /// Whether it is of amounts.
        is_money: bool,
    },
}

impl Measured {
    /// The value to compare with. A sum beyond its type counts as the end of the type.
    pub fn value(&self) -> Value {
        let within = |sum: i128| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
        match self {
            Self::Value(value) => value.clone(),
            Self::Sum(Sum::Integer(sum)) => Value::Integer(within(*sum)),
            Self::Sum(Sum::Money(sum)) => Value::Money(within(*sum)),
            Self::Sum(Sum::Number(sum)) => Value::Number(*sum),
            Self::Middle { halves, is_money } => Value::Number(*halves as f64 / if *is_money { 200.0 } else { 2.0 }),
        }
    }

    /// On which side of all values of its type a sum lies; none where it is one of them.
    fn beyond(&self) -> Option<Ordering> {
        match self {
            Self::Sum(Sum::Integer(sum) | Sum::Money(sum)) if i64::try_from(*sum).is_err() => Some(sum.cmp(&0)),
            _ => None,
        }
    }

    /// The order of two values of one column: exact, also of sums beyond their types.
    pub(super) fn compare(&self, other: &Self, term: &SortTerm) -> Ordering {
        let exact = match (self, other) {
            (Self::Sum(Sum::Integer(left)), Self::Sum(Sum::Integer(right)))
            | (Self::Sum(Sum::Money(left)), Self::Sum(Sum::Money(right))) => left.cmp(right),
            (Self::Middle { halves: left, .. }, Self::Middle { halves: right, .. }) => left.cmp(right),
            _ => return term.compare(&self.value(), &other.value()),
        };
        if term.descending { exact.reverse() } else { exact }
    }
}

/// What is known of a measure of a group.
pub(super) enum Gauge {
    Count(u64),
    Wholes { sum: i128, count: u64 },
    Reals { sum: ExactSum, count: u64 },
    End(Value),
    Numbers(NumberRuns),
    Different(HashSet<CountedValue, DefaultHashBuilder>),
}

/// Numbers, and how often each occurs. What blocks add is put in order once there is as much of it as is in order already: so each number
/// is moved a few times, however many blocks there are.
#[derive(Debug, Default)]
pub(super) struct NumberRuns {
    /// In ascending order, each once.
    sorted: Vec<(OrderedNumber, u64)>,
    later: Vec<(OrderedNumber, u64)>,
}

impl NumberRuns {
    /// What is remembered.
    fn len(&self) -> usize {
        self.sorted.len() + self.later.len()
    }

    fn add(&mut self, numbers: impl Iterator<Item = (OrderedNumber, u64)>) {
        self.later.extend(numbers);
        if self.later.len() > self.sorted.len().max(LATER_MIN) {
            self.settle();
        }
    }

    /// Puts all numbers in order.
    fn settle(&mut self) {
        self.sorted.append(&mut self.later);
        // Runs that are in order already are merged.
        self.sorted.sort_by_key(|(number, _)| *number);
        self.sorted.dedup_by(|next, known| {
            let is_same = next.0 == known.0;
            known.1 += if is_same { next.1 } else { 0 };
            is_same
        });
    }
}

/// A number in the order of numbers: a whole one itself, and any other as the number that its bits make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderedNumber(i64);

impl OrderedNumber {
    /// The number of a code; none for a null, and for what is no number.
    fn of(dictionary: &Dictionary, code: u16) -> Option<Self> {
        match dictionary {
            Dictionary::Reals(list) => {
                let bits = list.get(usize::from(code))?.to_bits().cast_signed();
                Some(Self(Self::turned(bits)))
            }
            other => other.whole(code).map(Self),
        }
    }

    /// The greater a negative number's bits, the less it is.
    fn turned(bits: i64) -> i64 {
        if bits < 0 { bits ^ i64::MAX } else { bits }
    }

    /// The number that is no whole one.
    fn real(self) -> f64 {
        f64::from_bits(Self::turned(self.0).cast_unsigned())
    }
}

/// A group so far.
pub(super) struct KnownGroup {
    /// The numbers of its keys.
    pub(super) keys: Vec<u32>,
    pub(super) count: u64,
    pub(super) gauges: Vec<Gauge>,
}

/// What medians, ends and numbers of different values remember.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) values: usize,
    pub(super) text_bytes: usize,
}

/// The rows of a block in cells, and the group of each cell.
#[derive(Clone, Copy)]
pub(super) struct CellsOfGroups<'c> {
    /// The cell of each row; that of a row that does not count is the one after the last.
    pub(super) of_row: &'c [u32],
    /// The place of each cell's group; none for a cell without rows.
    pub(super) places: &'c [u32],
}

/// Adds what a block says of one measure to the gauges of its groups.
pub(super) fn add_block(
    groups: &mut [KnownGroup],
    (nth, kind): (usize, MeasureKind),
    chunk: &ColumnChunk,
    CellsOfGroups { of_row, places }: CellsOfGroups<'_>,
    remembered: &mut Remembered,
) {
    let (len, null) = (places.len(), chunk.dictionary.len());
    match (kind, &*chunk.dictionary) {
        (MeasureKind::Count, _) => {
            let mut counts = vec![0_u32; len + 1];
            chunk.codes.add_up(of_row, &mut counts, |code, count| *count += u32::from(usize::from(code) < null));
            for (cell, more) in counts.iter().take(len).enumerate() {
                if let Some(Gauge::Count(count)) = gauge_of(groups, places, cell, nth) {
                    *count += u64::from(*more);
                }
            }
        }
        (MeasureKind::Sum | MeasureKind::Mean, Dictionary::Reals(list)) => {
            chunk.codes.each_with(of_row, |code, cell| {
                if let Some(real) = list.get(usize::from(code))
                    && let Some(Gauge::Reals { sum, count }) = gauge_of(groups, places, cell as usize, nth)
                {
                    sum.add(*real);
                    *count += 1;
                }
            });
        }
        (MeasureKind::Sum | MeasureKind::Mean, dictionary) => {
            // A null adds nothing.
            let wholes: Vec<(i64, u32)> = (0..=u16::MAX)
                .take(null)
                .map(|code| (dictionary.whole(code).unwrap_or(0), 1))
                .chain([(0, 0)])
                .collect();
            let mut sums = vec![(0_i128, 0_u32); len + 1];
            chunk.codes.add_up(of_row, &mut sums, |code, (sum, count)| {
                let (whole, times) = wholes.get(usize::from(code)).copied().unwrap_or_default();
                *sum += i128::from(whole);
                *count += times;
            });
            for (cell, (more, times)) in sums.iter().take(len).enumerate() {
                if let Some(Gauge::Wholes { sum, count }) = gauge_of(groups, places, cell, nth) {
                    *sum += more;
                    *count += u64::from(*times);
                }
            }
        }
        (MeasureKind::Min | MeasureKind::Max, dictionary) => {
            let is_max = kind == MeasureKind::Max;
            let mut ends: Vec<Option<u16>> = vec![None; len + 1];
            chunk.codes.add_up(of_row, &mut ends, |code, end| {
                let is_further = |end: u16| if is_max { code > end } else { code < end };
                if usize::from(code) < null && end.is_none_or(is_further) {
                    *end = Some(code);
                }
            });
            for (cell, end) in ends.iter().take(len).enumerate() {
                let (Some(code), Some(Gauge::End(known))) = (*end, gauge_of(groups, places, cell, nth)) else {
                    continue;
                };
                let value = dictionary.value(code);
                let order = ascending(&value, known);
                if known.is_null() || (if is_max { order.is_gt() } else { order.is_lt() }) {
                    if let (Value::Text(text), true) = (&value, known.is_null()) {
                        remembered.text_bytes += text.len();
                    }
                    *known = value;
                }
            }
        }
        (MeasureKind::Median | MeasureKind::Distinct, dictionary) => {
            let occurrences = occurrences(chunk, CellsOfGroups { of_row, places });
            for of_cell in occurrences.chunk_by(|left, right| left.cell == right.cell) {
                let Some(cell) = of_cell.first().map(|one| one.cell as usize) else { continue };
                match gauge_of(groups, places, cell, nth) {
                    Some(Gauge::Numbers(known)) => {
                        let number = |one: &Occurrence| {
                            OrderedNumber::of(dictionary, one.code).map(|number| (number, u64::from(one.count)))
                        };
                        let before = known.len();
                        known.add(of_cell.iter().filter_map(number));
                        remembered.values = (remembered.values + known.len()).saturating_sub(before);
                    }
                    Some(Gauge::Different(known)) => {
                        for one in of_cell {
                            let (counted, bytes) = counted(chunk, one.code);
                            if known.insert(counted) {
                                remembered.values += 1;
                                remembered.text_bytes += bytes;
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Lets measures remember each number once.
pub(super) fn settle(groups: &mut [KnownGroup], remembered: &mut Remembered) {
    for gauge in groups.iter_mut().flat_map(|group| &mut group.gauges) {
        if let Gauge::Numbers(known) = gauge {
            let before = known.len();
            known.settle();
            remembered.values -= before - known.len();
        }
    }
}

/// How often a code occurs in the rows of a cell.
#[derive(Debug, Clone, Copy)]
struct Occurrence {
    cell: u32,
    code: u16,
    count: u32,
}

/// The codes that occur in each cell, in the order of cells and codes. Nulls are left out.
fn occurrences(chunk: &ColumnChunk, CellsOfGroups { of_row, places }: CellsOfGroups<'_>) -> Vec<Occurrence> {
    let (cells, codes) = (places.len(), chunk.dictionary.len());
    if cells.saturating_mul(codes) <= COUNTERS_MAX {
        let mut counters = vec![0_u32; cells * codes];
        chunk.codes.each_with(of_row, |code, cell| {
            let (cell, code) = (cell as usize, usize::from(code));
            if code < codes
                && let Some(counter) = counters.get_mut(cell * codes + code)
            {
                *counter += 1;
            }
        });
        let mut occurring = Vec::with_capacity(of_row.len());
        for (cell, counters) in (0..).zip(counters.chunks(codes.max(1))) {
            for (code, count) in (0..=u16::MAX).zip(counters).filter(|(_, count)| **count > 0) {
                occurring.push(Occurrence { cell, code, count: *count });
            }
        }
        return occurring;
    }
    let mut pairs: Vec<(u32, u16)> = Vec::with_capacity(of_row.len());
    chunk.codes.each_with(of_row, |code, cell| {
        if usize::from(code) < codes && (cell as usize) < cells {
            pairs.push((cell, code));
        }
    });
    pairs.sort_unstable();
    let alike = pairs.chunk_by(|left, right| left == right);
    alike
        .filter_map(|alike| {
            let (cell, code) = *alike.first()?;
            Some(Occurrence { cell, code, count: u32::try_from(alike.len()).unwrap_or(u32::MAX) })
        })
        .collect()
}

/// Whether a condition holds for a group.
pub(super) fn holds(condition: &Filter, row: &[Measured]) -> bool {
    match condition {
        Filter::All(conditions) => conditions.iter().all(|condition| holds(condition, row)),
        Filter::Any(conditions) => conditions.iter().any(|condition| holds(condition, row)),
        Filter::Not(condition) => !holds(condition, row),
        Filter::Term(term) => row.get(term.column).is_some_and(|measured| match (measured.beyond(), &term.test) {
            (None, test) => test.accepts(&measured.value()),
            // It equals no value of the type, and lies beyond all of them.
            (Some(_), Test::Equal(_) | Test::In(_) | Test::Between(..) | Test::Null(true)) => false,
            (Some(_), Test::NotEqual(_) | Test::NotIn(_) | Test::Null(false)) => true,
            (Some(side), Test::Less(_) | Test::LessOrEqual(_)) => side.is_lt(),
            (Some(side), Test::Greater(_) | Test::GreaterOrEqual(_)) => side.is_gt(),
            (Some(_), Test::Contains(_) | Test::StartsWith(_) | Test::Inside(_)) => false,
        }),
        // Groups are not searched for words.
        Filter::Words(_) => false,
    }
}

/// What is known of a measure of a cell's group; none where the cell has no rows.
fn gauge_of<'g>(groups: &'g mut [KnownGroup], places: &[u32], cell: usize, nth: usize) -> Option<&'g mut Gauge> {
    let place = places.get(cell).filter(|place| **place != NONE)?;
    groups.get_mut(*place as usize)?.gauges.get_mut(nth)
}

pub(super) fn gauge(definition: &Definition, measure: &Measure) -> Gauge {
    let kind = measure.column.map(|column| definition.column_kind(column));
    match (measure.kind, kind) {
        (MeasureKind::Count, _) => Gauge::Count(0),
        (MeasureKind::Sum | MeasureKind::Mean, Some(ColumnType::Number)) => {
            Gauge::Reals { sum: ExactSum::default(), count: 0 }
        }
        (MeasureKind::Sum | MeasureKind::Mean, _) => Gauge::Wholes { sum: 0, count: 0 },
        (MeasureKind::Min | MeasureKind::Max, _) => Gauge::End(Value::Null),
        (MeasureKind::Median, _) => Gauge::Numbers(NumberRuns::default()),
        (MeasureKind::Distinct, _) => Gauge::Different(HashSet::default()),
    }
}

pub(super) fn whole_count(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The measure that a gauge shows. Without a value there is no sum, mean, median or end.
pub(super) fn measured(kind: MeasureKind, column: ColumnType, gauge: Gauge) -> Measured {
    let units = if column == ColumnType::Money { 100 } else { 1 };
    let value = match gauge {
        Gauge::Count(count) => whole_count(count),
        Gauge::Wholes { count: 0, .. } | Gauge::Reals { count: 0, .. } => Value::Null,
        Gauge::Wholes { sum, count } if kind == MeasureKind::Mean => Value::Number(mean_of(sum, count, units)),
        Gauge::Wholes { sum, .. } if column == ColumnType::Money => return Measured::Sum(Sum::Money(sum)),
        Gauge::Wholes { sum, .. } => return Measured::Sum(Sum::Integer(sum)),
        Gauge::Reals { sum, count } if kind == MeasureKind::Mean => Value::Number(sum.mean(count)),
        Gauge::Reals { sum, .. } => return Measured::Sum(Sum::Number(sum.value())),
        Gauge::End(value) => value,
        Gauge::Numbers(mut numbers) => {
            numbers.settle();
            return median(column, &numbers.sorted);
        }
        Gauge::Different(values) => whole_count(values.len() as u64),
    };
    Measured::Value(value)
}

/// The middle of numbers of a column's type, with how often each occurs; null where there are none.
fn median(kind: ColumnType, numbers: &[(OrderedNumber, u64)]) -> Measured {
    let count: u64 = numbers.iter().map(|(_, times)| times).sum();
    let nth = |wanted: u64| {
        let mut before = 0;
        let found = numbers.iter().find(|(_, times)| {
            before += times;
            before > wanted
        });
        found.map(|(number, _)| *number)
    };
    let Some(last) = count.checked_sub(1) else { return Measured::Value(Value::Null) };
    let (Some(low), Some(high)) = (nth(last / 2), nth(count / 2)) else { return Measured::Value(Value::Null) };
    if kind == ColumnType::Number {
        let (low, high) = (low.real(), high.real());
        let (sum, halves) = (low + high, low / 2.0 + high / 2.0);
        // The halves of the least numbers are rounded, and the sum of the greatest is beyond them.
        return Measured::Value(Value::Number(if sum.is_finite() { sum / 2.0 } else { halves }));
    }
    Measured::Middle { halves: i128::from(low.0) + i128::from(high.0), is_money: kind == ColumnType::Money }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_that_come_in_parts_are_counted_as_one_list(
            parts in proptest::collection::vec(proptest::collection::btree_map(any::<i8>(), 1_u64..4, 0..90), 0..20),
        ) {
            let (mut runs, mut all) = (NumberRuns::default(), BTreeMap::new());
            for part in parts {
                part.iter().for_each(|(number, count)| *all.entry(i64::from(*number)).or_insert(0) += count);
                runs.add(part.into_iter().map(|(number, count)| (OrderedNumber(number.into()), count)));
                prop_assert!(runs.len() <= 2 * all.len() + LATER_MIN + 90, "what is remembered is bounded");
            }
            runs.settle();
            let expected: Vec<_> = all.into_iter().map(|(number, count)| (OrderedNumber(number), count)).collect();
            prop_assert_eq!(runs.sorted, expected);
        }

        #[test]
        fn numbers_have_the_order_of_their_keys(left in any::<f64>(), right in any::<f64>()) {
            prop_assume!(!left.is_nan() && !right.is_nan() && left != right);
            let key = |number| OrderedNumber::of(&Dictionary::Reals(vec![number]), 0).unwrap();
            prop_assert_eq!(key(left).cmp(&key(right)), left.partial_cmp(&right).unwrap());
            prop_assert_eq!(key(left).real().to_bits(), left.to_bits());
        }
    }
}
