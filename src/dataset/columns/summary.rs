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
    summary::{ExactSum, Facet, Figures, Sum},
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
    let records = count(blocks, filter)?;
    let mut facets = Vec::with_capacity(columns.len());
    for column in columns {
        facets.push(facet(blocks, filter, *column, limit, bytes_max)?);
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
            Value::Timestamp(moment) => Self::Other(moment.as_nanosecond()),
        }
    }
}

fn facet<B: ColumnBlocks>(
    blocks: &B,
    filter: &Filter,
    column: usize,
    limit: u32,
    bytes_max: usize,
) -> Result<Facet, B::Failure> {
    let mut parts = 1;
    loop {
        if let Some(facet) = facet_in_parts(blocks, filter, column, limit, (bytes_max, parts))? {
            return Ok(facet);
        }
        parts *= 2;
    }
}

/// The same in so many parts, one after the other: each reads the blocks for a part of the values. None where a part is too large.
fn facet_in_parts<B: ColumnBlocks>(
    blocks: &B,
    filter: &Filter,
    column: usize,
    limit: u32,
    (bytes_max, parts): (usize, u64),
) -> Result<Option<Facet>, B::Failure> {
    let hasher = DefaultHashBuilder::default();
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut values: Vec<(Value, u64)> = Vec::new();
    for part in 0..parts {
        let mut counts: HashMap<CountedValue, (Value, u64), DefaultHashBuilder> = HashMap::default();
        let mut bytes = 0;
        for block in 0..blocks.count() {
            let mask = filter::matching(blocks, block, filter)?;
            if mask.is_empty() {
                continue;
            }
            let chunk = blocks.chunk(block, column)?;
            for (code, count) in tallied(&chunk, &mask) {
                let (counted, text_bytes) = counted(&chunk, code);
                if parts > 1 && hasher.hash_one(&counted) % parts != part {
                    continue;
                }
                if let Some((_, sum)) = counts.get_mut(&counted) {
                    *sum += u64::from(count);
                    continue;
                }
                bytes += 2 * text_bytes + ENTRY_BYTES;
                if bytes > bytes_max && counts.len() > most {
                    return Ok(None);
                }
                counts.insert(counted, (chunk.dictionary.value(code), u64::from(count)));
            }
        }
        values.extend(counts.into_values());
        values.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| ascending(&left.0, &right.0)));
        // One more than is wanted shows that there are more.
        values.truncate(most.saturating_add(1));
    }
    let complete = values.len() <= most;
    values.truncate(most);
    Ok(Some(Facet { column, values, complete }))
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
        let figures = Figures { column, count: 0, min: Value::Null, max: Value::Null, sum: None };
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
        if self.figures.count > 0 {
            self.figures.sum = match self.kind {
                ColumnType::Integer => Some(Sum::Integer(self.wholes)),
                ColumnType::Money => Some(Sum::Money(self.wholes)),
                ColumnType::Number => Some(Sum::Number(self.reals.value())),
                ColumnType::Text | ColumnType::Date | ColumnType::Timestamp => None,
            };
        }
        self.figures
    }
}
