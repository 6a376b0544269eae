//! Measures of groups: what is known of each so far, and what a block adds to it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
};

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
    Wholes {
        sum: i128,
        count: u64,
    },
    Reals {
        sum: ExactSum,
        count: u64,
    },
    End(Value),
    /// How often each value occurs.
    Values(BTreeMap<OrderedValue, u64>),
    Different(HashSet<CountedValue, DefaultHashBuilder>),
}

/// A number in the order of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderedValue(Value);

impl Eq for OrderedValue {}

impl PartialOrd for OrderedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        ascending(&self.0, &other.0)
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
            let mut pairs: HashMap<(u32, u16), u64, DefaultHashBuilder> = HashMap::default();
            chunk.codes.each_with(of_row, |code, cell| {
                if usize::from(code) < null && (cell as usize) < len {
                    *pairs.entry((cell, code)).or_insert(0) += 1;
                }
            });
            for ((cell, code), count) in pairs {
                match gauge_of(groups, places, cell as usize, nth) {
                    Some(Gauge::Values(known)) => {
                        let known = known.entry(OrderedValue(dictionary.value(code))).or_insert_with(|| {
                            remembered.values += 1;
                            0
                        });
                        *known += count;
                    }
                    Some(Gauge::Different(known)) => {
                        let (counted, bytes) = counted(chunk, code);
                        if known.insert(counted) {
                            remembered.values += 1;
                            remembered.text_bytes += bytes;
                        }
                    }
                    _ => {}
                }
            }
        }
    }
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
        (MeasureKind::Median, _) => Gauge::Values(BTreeMap::new()),
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
        Gauge::Values(values) => return median(&values),
        Gauge::Different(values) => whole_count(values.len() as u64),
    };
    Measured::Value(value)
}

/// The middle of values that occur so often; null where there are none.
fn median(values: &BTreeMap<OrderedValue, u64>) -> Measured {
    let count: u64 = values.values().sum();
    let nth = |wanted: u64| {
        let mut before = 0;
        let found = values.iter().find(|(_, times)| {
            before += **times;
            before > wanted
        });
        found.map(|(value, _)| &value.0)
    };
    let Some(last) = count.checked_sub(1) else { return Measured::Value(Value::Null) };
    match (nth(last / 2), nth(count / 2)) {
        (Some(Value::Number(low)), Some(Value::Number(high))) => {
            let (sum, halves) = (low + high, low / 2.0 + high / 2.0);
            // The halves of the least numbers are rounded, and the sum of the greatest is beyond them.
            Measured::Value(Value::Number(if sum.is_finite() { sum / 2.0 } else { halves }))
        }
        (Some(Value::Integer(low)), Some(Value::Integer(high))) => {
            Measured::Middle { halves: i128::from(*low) + i128::from(*high), is_money: false }
        }
        (Some(Value::Money(low)), Some(Value::Money(high))) => {
            Measured::Middle { halves: i128::from(*low) + i128::from(*high), is_money: true }
        }
        _ => Measured::Value(Value::Null),
    }
}
