//! Groups over columns: in each block, rows get the numbers of their groups, and each measure is a loop over them; what the blocks say
//! of a group is added up.

use std::{cmp::Ordering, collections::HashMap, mem};

use hashbrown::DefaultHashBuilder;

use super::{
    blocks::ColumnBlocks,
    chunk::ColumnChunk,
    filter,
    mask::Mask,
    measure::{
        CellsOfGroups, KnownGroup, Measured, NONE, Remembered, add_block, gauge, holds, measured, settle, whole_count,
    },
    summary::CountedValue,
};
use crate::dataset::{
    Definition, Value,
    query::{Groups, KeyPart},
};

/// The most whole values whose keys are remembered from block to block.
const WHOLES_MAX: usize = 1 << 20;
/// The most cells of a block: tables of so many sums are in the processor's caches.
const CELLS_MAX: usize = 1 << 16;

/// Limits on the memory of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRoom {
    /// The most groups.
    pub groups_max: usize,
    /// The most different values that medians and numbers of different values remember, over all groups.
    pub values_max: usize,
    /// The most texts that are remembered, bytes.
    pub text_bytes_max: usize,
}

impl Default for GroupRoom {
    fn default() -> Self {
        Self { groups_max: 100_000, values_max: 1_000_000, text_bytes_max: 64 << 20 }
    }
}

/// Why there are no groups.
#[derive(Debug)]
pub enum GroupFailure<F> {
    /// A block cannot be read, or there is no time left.
    Blocks(F),
    /// There are more groups than there is room for.
    TooManyGroups(usize),
    /// Medians and numbers of different values would have to remember too much.
    TooManyValues,
}

/// The groups of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundGroups {
    /// The number of matching records.
    pub records: u64,
    /// The number of groups, those beyond the limit included.
    pub count: u64,
    /// A row for each group: the keys, then the measures.
    pub rows: Vec<Vec<Measured>>,
}

/// The groups of the records that match a filter.
///
/// # Errors
/// Where a block cannot be read, or there is no time left, or the groups need more room than there is.
pub fn groups<B: ColumnBlocks>(
    blocks: &B,
    definition: &Definition,
    asked: &Groups,
    room: GroupRoom,
) -> Result<FoundGroups, GroupFailure<B::Failure>> {
    groups_within(blocks, definition, asked, room, CELLS_MAX)
}

/// The same with so many cells in a block at most.
pub(super) fn groups_within<B: ColumnBlocks>(
    blocks: &B,
    definition: &Definition,
    asked: &Groups,
    room: GroupRoom,
    cells_max: usize,
) -> Result<FoundGroups, GroupFailure<B::Failure>> {
    let mut gathered = GatheredGroups::new(definition, asked, (room, cells_max));
    for block in 0..blocks.count() {
        gathered.take_block(blocks, block)?;
    }
    Ok(gathered.finish())
}

/// The different values of a key, over all blocks.
#[derive(Default)]
struct KeyValues {
    known: HashMap<CountedValue, u32, DefaultHashBuilder>,
    /// The numbers of the parts of whole values, so that each is worked out once.
    of_whole: HashMap<i64, u32, DefaultHashBuilder>,
    values: Vec<Value>,
}

impl KeyValues {
    /// The number of a key.
    fn number(&mut self, value: Value, text_bytes: &mut usize) -> u32 {
        let counted = CountedValue::of(&value);
        if let Some(number) = self.known.get(&counted) {
            return *number;
        }
        if let Value::Text(text) = &value {
            *text_bytes += 2 * text.len();
        }
        let number = u32::try_from(self.values.len()).unwrap_or(NONE - 1);
        self.values.push(value);
        self.known.insert(counted, number);
        number
    }
}

struct GatheredGroups<'a> {
    definition: &'a Definition,
    asked: &'a Groups,
    room: GroupRoom,
    cells_max: usize,
    keys: Vec<KeyValues>,
    known: HashMap<Vec<u32>, u32, DefaultHashBuilder>,
    groups: Vec<KnownGroup>,
    records: u64,
    /// The texts of keys, bytes.
    text_bytes: usize,
    remembered: Remembered,
}

/// The rows of a block in cells: the pairs, triples and so on of codes of the keys. A group has one cell or several.
struct GroupCells {
    /// The cell of each row; rows that the filter does not mean are in the one after the last.
    of_row: Vec<u32>,
    cells: usize,
    /// The numbers of keys that cells have in common, by the first part of a cell's number.
    base: Vec<Vec<u32>>,
    /// The keys whose codes the rest of a cell's number consists of.
    digits: Vec<CellDigit>,
}

/// A key that is a digit of the numbers of cells.
struct CellDigit {
    nth: usize,
    chunk: ColumnChunk,
    /// The number of the key of each digit; of codes, once it is needed.
    numbers: Vec<u32>,
}

impl<'a> GatheredGroups<'a> {
    fn new(definition: &'a Definition, asked: &'a Groups, (room, cells_max): (GroupRoom, usize)) -> Self {
        Self {
            definition,
            asked,
            room,
            cells_max,
            keys: asked.by.iter().map(|_| KeyValues::default()).collect(),
            known: HashMap::default(),
            groups: Vec::new(),
            records: 0,
            text_bytes: 0,
            remembered: Remembered::default(),
        }
    }

    fn take_block<B: ColumnBlocks>(&mut self, blocks: &B, block: usize) -> Result<(), GroupFailure<B::Failure>> {
        let mask = filter::matching(blocks, block, &self.asked.filter).map_err(GroupFailure::Blocks)?;
        if mask.is_empty() {
            return Ok(());
        }
        let rows = blocks.rows(block).map_err(GroupFailure::Blocks)?;
        self.records += mask.count(rows);
        let mut cells = GroupCells { of_row: vec![0; rows], cells: 1, base: vec![Vec::new()], digits: Vec::new() };
        for nth in 0..self.asked.by.len() {
            let Some(key) = self.asked.by.get(nth) else { break };
            let chunk = blocks.chunk(block, key.column).map_err(GroupFailure::Blocks)?;
            // Many days have one month: their codes become one digit. A value itself has its code.
            let digits = (key.part != KeyPart::Whole).then(|| self.digits_of_codes(nth, &chunk, &mask));
            let len = digits.as_ref().map_or(chunk.codes_len(), |(_, numbers)| numbers.len());
            if cells.cells * len > self.cells_max {
                cells.leave_out(&mask);
                let counts = cells.counts();
                self.join(&mut cells, &counts);
            }
            if cells.cells * len > self.cells_max {
                self.look_up(&mut cells, nth, &chunk, &mask);
            } else {
                let numbers = match digits {
                    Some((digits, numbers)) => {
                        chunk.codes.append_digits(&digits, len, &mut cells.of_row);
                        numbers
                    }
                    None => {
                        chunk.codes.append_digit(len, &mut cells.of_row);
                        vec![NONE; len]
                    }
                };
                cells.cells *= len;
                cells.digits.push(CellDigit { nth, chunk, numbers });
            }
            if self.text_bytes > self.room.text_bytes_max {
                return Err(GroupFailure::TooManyGroups(self.room.groups_max));
            }
        }
        cells.leave_out(&mask);
        let counts = cells.counts();
        let places = self.places(&mut cells, &counts)?;
        for (place, count) in places.iter().zip(&counts) {
            if let Some(group) = self.groups.get_mut(*place as usize) {
                group.count += u64::from(*count);
            }
        }
        for nth in 0..self.asked.measures.len() {
            let Some(measure) = self.asked.measures.get(nth) else { break };
            let Some(column) = measure.column else { continue };
            let chunk = blocks.chunk(block, column).map_err(GroupFailure::Blocks)?;
            let of_groups = CellsOfGroups { of_row: &cells.of_row, places: &places };
            add_block(&mut self.groups, (nth, measure.kind), &chunk, of_groups, &mut self.remembered);
            if self.remembered.values > self.room.values_max {
                settle(&mut self.groups, &mut self.remembered);
            }
            let Remembered { values, text_bytes } = self.remembered;
            if values > self.room.values_max || text_bytes > self.room.text_bytes_max {
                return Err(GroupFailure::TooManyValues);
            }
        }
        Ok(())
    }

    /// The number of the key of a code.
    fn number(&mut self, nth: usize, chunk: &ColumnChunk, code: u16) -> u32 {
        let (Some(keys), Some(key)) = (self.keys.get_mut(nth), self.asked.by.get(nth)) else { return NONE };
        // Nearly all parts are of dates: what was worked out for one is known in every block.
        let whole = chunk.dictionary.whole(code);
        if let Some(number) = whole.and_then(|whole| keys.of_whole.get(&whole)) {
            return *number;
        }
        let number = keys.number(key.part.of(&chunk.dictionary.value(code)), &mut self.text_bytes);
        if let Some(whole) = whole {
            if keys.of_whole.len() >= WHOLES_MAX {
                keys.of_whole.clear();
            }
            keys.of_whole.insert(whole, number);
        }
        number
    }

    /// For each code of a chunk the place of its key among those of the chunk, and the numbers of these keys. Codes that no row in the
    /// mask has get any place: their keys need not be known.
    fn digits_of_codes(&mut self, nth: usize, chunk: &ColumnChunk, mask: &Mask) -> (Vec<u32>, Vec<u32>) {
        let mut occurs = vec![0; chunk.codes_len()];
        chunk.codes.tally(mask, &mut occurs);
        let mut known: HashMap<u32, u32, DefaultHashBuilder> = HashMap::default();
        let mut numbers = Vec::new();
        let digits = (0..=u16::MAX).zip(&occurs).map(|(code, count)| {
            if *count == 0 {
                return 0;
            }
            let number = self.number(nth, chunk, code);
            *known.entry(number).or_insert_with(|| {
                numbers.push(number);
                u32::try_from(numbers.len() - 1).unwrap_or(NONE)
            })
        });
        (digits.collect(), numbers)
    }

    /// The numbers of the keys of a cell.
    fn keys_of(&mut self, cells: &mut GroupCells, cell: usize) -> Vec<u32> {
        let mut rest = cell;
        let mut last: Vec<u32> = Vec::with_capacity(cells.digits.len());
        for digit in cells.digits.iter_mut().rev() {
            let codes = digit.numbers.len().max(1);
            let code = rest % codes;
            rest /= codes;
            let Some(number) = digit.numbers.get_mut(code) else { continue };
            if *number == NONE {
                *number = self.number(digit.nth, &digit.chunk, u16::try_from(code).unwrap_or(u16::MAX));
            }
            last.push(*number);
        }
        let mut keys = cells.base.get(rest).cloned().unwrap_or_default();
        keys.extend(last.into_iter().rev());
        keys
    }

    /// Joins the cells that are of one group, and drops those without rows.
    fn join(&mut self, cells: &mut GroupCells, counts: &[u32]) {
        let mut known: HashMap<Vec<u32>, u32, DefaultHashBuilder> = HashMap::default();
        let mut base: Vec<Vec<u32>> = Vec::new();
        let mut of_cell = vec![NONE; cells.cells];
        for (cell, of) in of_cell.iter_mut().enumerate() {
            if counts.get(cell).is_some_and(|count| *count > 0) {
                let keys = self.keys_of(cells, cell);
                *of = *known.entry(keys).or_insert_with_key(|keys| {
                    base.push(keys.clone());
                    u32::try_from(base.len() - 1).unwrap_or(NONE)
                });
            }
        }
        for cell in &mut cells.of_row {
            *cell = of_cell.get(*cell as usize).copied().unwrap_or(NONE);
        }
        (cells.cells, cells.base, cells.digits) = (base.len(), base, Vec::new());
    }

    /// Splits joined cells by a key of so many codes that not each pair can have a cell.
    fn look_up(&mut self, cells: &mut GroupCells, nth: usize, chunk: &ColumnChunk, mask: &Mask) {
        let mut known: HashMap<(u32, u16), u32, DefaultHashBuilder> = HashMap::default();
        let mut base: Vec<Vec<u32>> = Vec::new();
        let rows = cells.of_row.len();
        mask.each(rows, |row| {
            let (Some(cell), Some(code)) = (cells.of_row.get_mut(row), chunk.codes.get(row)) else { return };
            *cell = *known.entry((*cell, code)).or_insert_with(|| {
                let mut keys = cells.base.get(*cell as usize).cloned().unwrap_or_default();
                keys.push(self.number(nth, chunk, code));
                base.push(keys);
                u32::try_from(base.len() - 1).unwrap_or(NONE)
            });
        });
        (cells.cells, cells.base) = (base.len(), base);
    }

    /// The places among all groups of the cells of a block that have rows.
    fn places<F>(&mut self, cells: &mut GroupCells, counts: &[u32]) -> Result<Vec<u32>, GroupFailure<F>> {
        let mut places = vec![NONE; cells.cells];
        for (cell, place) in places.iter_mut().enumerate() {
            if counts.get(cell).is_none_or(|count| *count == 0) {
                continue;
            }
            let keys = self.keys_of(cells, cell);
            if let Some(known) = self.known.get(&keys) {
                *place = *known;
                continue;
            }
            if self.groups.len() >= self.room.groups_max {
                return Err(GroupFailure::TooManyGroups(self.room.groups_max));
            }
            let gauges = self.asked.measures.iter().map(|measure| gauge(self.definition, measure)).collect();
            *place = u32::try_from(self.groups.len()).unwrap_or(NONE);
            self.known.insert(keys.clone(), *place);
            self.groups.push(KnownGroup { keys, count: 0, gauges });
        }
        Ok(places)
    }

    fn finish(mut self) -> FoundGroups {
        let order = self.asked.order();
        let keys = &self.keys;
        let row = |group: KnownGroup| {
            let key = |(values, number): (&KeyValues, &u32)| {
                Measured::Value(values.values.get(*number as usize).cloned().unwrap_or(Value::Null))
            };
            let mut row: Vec<Measured> = keys.iter().zip(&group.keys).map(key).collect();
            for (measure, gauge) in self.asked.measures.iter().zip(group.gauges) {
                row.push(match measure.column {
                    None => Measured::Value(whole_count(group.count)),
                    Some(column) => measured(measure.kind, self.definition.column_kind(column), gauge),
                });
            }
            row
        };
        let rows = mem::take(&mut self.groups).into_iter().map(row);
        let mut kept: Vec<Vec<Measured>> = rows.filter(|row| holds(&self.asked.having, row)).collect();
        let count = kept.len() as u64;
        kept.sort_by(|left, right| {
            order.iter().fold(Ordering::Equal, |so_far, term| {
                so_far.then_with(|| match (left.get(term.column), right.get(term.column)) {
                    (Some(left), Some(right)) => left.compare(right, term),
                    _ => Ordering::Equal,
                })
            })
        });
        kept.truncate(usize::try_from(self.asked.limit).unwrap_or(usize::MAX));
        FoundGroups { records: self.records, count, rows: kept }
    }
}

impl GroupCells {
    /// Puts the rows that a mask leaves out into the cell after the last.
    fn leave_out(&mut self, mask: &Mask) {
        let none = u32::try_from(self.cells).unwrap_or(NONE);
        match mask {
            Mask::Nothing => self.of_row.fill(none),
            Mask::Everything => {}
            Mask::Rows(marks) => {
                for (cell, mark) in self.of_row.iter_mut().zip(marks) {
                    *cell = if *mark == 1 { *cell } else { none };
                }
            }
        }
    }

    /// The number of rows in each cell, and in the one after the last.
    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.cells + 1];
        for cell in &self.of_row {
            if let Some(count) = counts.get_mut(*cell as usize) {
                *count += 1;
            }
        }
        counts
    }
}
