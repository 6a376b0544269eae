//! Counts, facets and figures over columns.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

use hashbrown::DefaultHashBuilder;

use super::{
    blocks::ColumnBlocks,
    chunk::ColumnChunk,
    dictionary::{Dictionary, days_of},
    filter,
    mask::Mask,
};
use crate::dataset::{
    ColumnType, Definition, Value,
    query::{Filter, ascending},
    summary::{ExactSum, Facet, Figures, Sum, mean_of},
};

/// The most memory for the different values of a facet, bytes. Where they need more, the blocks are read several times, each time for
/// a part of the values.
const FACET_BYTES_MAX: usize = 64 << 20;
/// Memory of a value in a table besides its text, bytes.
const ENTRY_BYTES: usize = 64;

/// The number of records that match a filter.
///
/// # Errors
/// Where a block cannot be read, or there is no time left.
pub fn count<B: ColumnBlocks>(blocks: &B, filter: &Filter) -> Result<u64, B::Failure> {
    let mut sum = 0;
    for block in 0..blocks.count() {
        let mask = filter::matching(blocks, block, filter)?;
        sum += match mask {
            Mask::Nothing => 0,
            mask => mask.count(blocks.rows(block)?),
        };
    }
    Ok(sum)
}

/// The number of matching records, and the most frequent values of columns: at most `limit` of each.
///
/// # Errors
/// Where a block cannot be read, or there is no time left.
pub fn facets<B: ColumnBlocks>(
    blocks: &B,
    filter: &Filter,
    columns: &[usize],
    limit: u32,
) -> Result<(u64, Vec<Facet>), B::Failure> {
    facets_within(blocks, filter, columns, limit, FACET_BYTES_MAX)
}

/// The same within so much memory.
pub(super) fn facets_within<B: ColumnBlocks>(
    blocks: &B,
    filter: &Filter,
    columns: &[usize],
    limit: u32,
    bytes_max: usize,
) -> Result<(u64, Vec<Facet>), B::Failure> {
    let mut records = 0;
    // One reading of the blocks serves all columns whose values have room together.
    let mut tallies: Vec<Option<ValueTally>> =
        columns.iter().map(|_| Some(ValueTally::new(bytes_max / columns.len().max(1), limit))).collect();
    for block in 0..blocks.count() {
        let mask = filter::matching(blocks, block, filter)?;
        if mask.is_empty() {
            continue;
        }
        records += mask.count(blocks.rows(block)?);
        for (column, slot) in columns.iter().zip(&mut tallies) {
            let Some(tally) = slot else { continue };
            if !tally.add(&blocks.chunk(block, *column)?, &mask, |_| true) {
                *slot = None;
            }
        }
    }
    let mut facets = Vec::with_capacity(columns.len());
    for (column, tally) in columns.iter().zip(tallies) {
        facets.push(match tally {
            Some(tally) => tally.facet(*column, Vec::new()),
            None => facet_in_parts(blocks, filter, *column, limit, bytes_max)?,
        });
    }
    Ok((records, facets))
}

/// A value in the form in which it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CountedValue {
    Null,
    Text(Box<str>),
    Other(i128),
}

impl CountedValue {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Text(text) => Self::Text(text.as_str().into()),
            Value::Integer(whole) | Value::Money(whole) => Self::Other(i128::from(*whole)),
            Value::Number(real) => Self::Other(i128::from((real + 0.0).to_bits())),
            Value::Date(date) => Self::Other(i128::from(days_of(*date))),
            Value::Point(point) => Self::Other(i128::from(point.packed())),
            Value::Timestamp(moment) => Self::Other(moment.as_nanosecond()),
        }
    }
}

/// The values of a column and how often each occurs, within a bound of memory.
struct ValueTally {
    counts: HashMap<CountedValue, (Value, u64), DefaultHashBuilder>,
    bytes: usize,
    bytes_max: usize,
    most: usize,
}

impl ValueTally {
    fn new(bytes_max: usize, limit: u32) -> Self {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { counts: HashMap::default(), bytes: 0, bytes_max, most }
    }

    /// Counts the values of the rows in a mask that are meant. False where they need more memory than there is.
    fn add(&mut self, chunk: &ColumnChunk, mask: &Mask, is_meant: impl Fn(&CountedValue) -> bool) -> bool {
        for (code, count) in tallied(chunk, mask) {
            let (counted, text_bytes) = counted(chunk, code);
            if !is_meant(&counted) {
                continue;
            }
            if let Some((_, sum)) = self.counts.get_mut(&counted) {
                *sum += u64::from(count);
                continue;
            }
            self.bytes += 2 * text_bytes + ENTRY_BYTES;
            // As many values as are asked for have room in any case.
            if self.bytes > self.bytes_max && self.counts.len() > self.most {
                return false;
            }
            self.counts.insert(counted, (chunk.dictionary.value(code), u64::from(count)));
        }
        true
    }

    /// The most frequent of these values and of others: one more than is asked for, which shows that there are more.
    fn best(self, mut values: Vec<(Value, u64)>) -> Vec<(Value, u64)> {
        values.extend(self.counts.into_values());
        values.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| ascending(&left.0, &right.0)));
        values.truncate(self.most.saturating_add(1));
        values
    }

    /// The facet of these values and of others.
    fn facet(self, column: usize, others: Vec<(Value, u64)>) -> Facet {
        let most = self.most;
        let mut values = self.best(others);
        let complete = values.len() <= most;
        values.truncate(most);
        Facet { column, values, complete }
    }
}

/// A facet whose values have no room together: the blocks are read several times, each time for a part of the values.
fn facet_in_parts<B: ColumnBlocks>(
    blocks: &B,
    filter: &Filter,
    column: usize,
    limit: u32,
    bytes_max: usize,
) -> Result<Facet, B::Failure> {
    let hasher = DefaultHashBuilder::default();
    let mut parts = 2;
    loop {
        let in_part = |part: u64| {
            let mut tally = ValueTally::new(bytes_max, limit);
            for block in 0..blocks.count() {
                let mask = filter::matching(blocks, block, filter)?;
                let is_meant = |counted: &CountedValue| hasher.hash_one(counted) % parts == part;
                if !mask.is_empty() && !tally.add(&blocks.chunk(block, column)?, &mask, is_meant) {
                    return Ok(None);
                }
            }
            Ok(Some(tally))
        };
        let mut values = Some(Vec::new());
        for part in 0..parts {
            values = match (in_part(part)?, values) {
                (Some(tally), Some(values)) => Some(tally.best(values)),
                _ => None,
            };
            if values.is_none() {
                break;
            }
        }
        if let Some(values) = values {
            return Ok(ValueTally::new(bytes_max, limit).facet(column, values));
        }
        parts *= 2;
    }
}

/// The codes of the rows in a mask that occur, with their numbers.
fn tallied(chunk: &ColumnChunk, mask: &Mask) -> impl Iterator<Item = (u16, u32)> {
    let mut counts = vec![0; chunk.codes_len()];
    chunk.codes.tally(mask, &mut counts);
    (0..=u16::MAX).zip(counts).filter(|(_, count)| *count > 0)
}

/// The value of a code as it is counted, and the size of its text.
pub(super) fn counted(chunk: &ColumnChunk, code: u16) -> (CountedValue, usize) {
    let place = usize::from(code);
    if place >= chunk.dictionary.len() {
        return (CountedValue::Null, 0);
    }
    match &*chunk.dictionary {
        Dictionary::Texts(list) => {
            let text = list.get(place);
            (CountedValue::Text(text.into()), text.len())
        }
        Dictionary::Moments(list) => {
            (list.get(place).map_or(CountedValue::Null, |moment| CountedValue::Other(*moment)), 0)
        }
        Dictionary::Reals(list) => {
            (list.get(place).map_or(CountedValue::Null, |real| CountedValue::Other(i128::from(real.to_bits()))), 0)
        }
        wholes => (wholes.whole(code).map_or(CountedValue::Null, |whole| CountedValue::Other(i128::from(whole))), 0),
    }
}

/// The number of matching records, and the figures of columns.
///
/// # Errors
/// Where a block cannot be read, or there is no time left.
pub fn stats<B: ColumnBlocks>(
    blocks: &B,
    definition: &Definition,
    filter: &Filter,
    columns: &[usize],
) -> Result<(u64, Vec<Figures>), B::Failure> {
    let mut records = 0;
    let mut all: Vec<ColumnSums> = columns.iter().map(|column| ColumnSums::new(definition, *column)).collect();
    for block in 0..blocks.count() {
        let mask = filter::matching(blocks, block, filter)?;
        if mask.is_empty() {
            continue;
        }
        records += mask.count(blocks.rows(block)?);
        for sums in &mut all {
            sums.add(&blocks.chunk(block, sums.figures.column)?, &mask);
        }
    }
    Ok((records, all.into_iter().map(ColumnSums::finish).collect()))
}

/// The figures of a column so far.
struct ColumnSums {
    kind: ColumnType,
    figures: Figures,
    wholes: i128,
    reals: ExactSum,
}

impl ColumnSums {
    fn new(definition: &Definition, column: usize) -> Self {
        let figures = Figures { column, count: 0, min: Value::Null, max: Value::Null, sum: None, mean: None };
        Self { kind: definition.column_kind(column), figures, wholes: 0, reals: ExactSum::default() }
    }

    fn add(&mut self, chunk: &ColumnChunk, mask: &Mask) {
        let (mut least, mut greatest) = (None, None);
        for (code, count) in tallied(chunk, mask).filter(|(code, _)| usize::from(*code) < chunk.dictionary.len()) {
            least = least.or(Some(code));
            greatest = Some(code);
            self.figures.count += u64::from(count);
            match &*chunk.dictionary {
                Dictionary::Reals(list) => {
                    if let Some(real) = list.get(usize::from(code)) {
                        self.reals.add_times(*real, count);
                    }
                }
                wholes => {
                    if let Some(whole) = wholes.whole(code) {
                        self.wholes += i128::from(whole) * i128::from(count);
                    }
                }
            }
        }
        let figures = &mut self.figures;
        if let Some(least) = least.map(|code| chunk.dictionary.value(code))
            && (figures.min.is_null() || ascending(&least, &figures.min).is_lt())
        {
            figures.min = least;
        }
        if let Some(greatest) = greatest.map(|code| chunk.dictionary.value(code))
            && (figures.max.is_null() || ascending(&greatest, &figures.max).is_gt())
        {
            figures.max = greatest;
        }
    }

    fn finish(mut self) -> Figures {
        let count = self.figures.count;
        if count > 0 {
            (self.figures.sum, self.figures.mean) = match self.kind {
                ColumnType::Integer => (Some(Sum::Integer(self.wholes)), Some(mean_of(self.wholes, count, 1))),
                ColumnType::Money => (Some(Sum::Money(self.wholes)), Some(mean_of(self.wholes, count, 100))),
                ColumnType::Number => (Some(Sum::Number(self.reals.value())), Some(self.reals.mean(count))),
                ColumnType::Text | ColumnType::Date | ColumnType::Timestamp | ColumnType::Point => (None, None),
            };
        }
        self.figures
    }
}
