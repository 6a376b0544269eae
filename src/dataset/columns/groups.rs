//! Groups over columns: in each block, rows get the numbers of their groups, and each measure is a loop over them; what the blocks say
//! of a group is added up.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    mem,
};

use hashbrown::DefaultHashBuilder;

use super::{
    blocks::ColumnBlocks,
    chunk::ColumnChunk,
    dictionary::Dictionary,
    filter,
    mask::Mask,
    summary::{CountedValue, counted},
};
use crate::dataset::{
    ColumnType, Definition, Value,
    query::{Filter, Groups, KeyPart, Measure, MeasureKind, SortTerm, Test, ascending},
    summary::{ExactSum, Sum},
};

/// The number of no key.
const NONE: u32 = u32::MAX;
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
    fn compare(&self, other: &Self, term: &SortTerm) -> Ordering {
        let exact = match (self, other) {
            (Self::Sum(Sum::Integer(left)), Self::Sum(Sum::Integer(right)))
            | (Self::Sum(Sum::Money(left)), Self::Sum(Sum::Money(right))) => left.cmp(right),
            (Self::Middle { halves: left, .. }, Self::Middle { halves: right, .. }) => left.cmp(right),
            _ => return term.compare(&self.value(), &other.value()),
        };
        if term.descending { exact.reverse() } else { exact }
    }
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

/// What is known of a measure of a group.
enum Gauge {
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
struct OrderedValue(Value);

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

struct KnownGroup {
    keys: Vec<u32>,
    count: u64,
    gauges: Vec<Gauge>,
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
    /// Values that are remembered.
    values: usize,
    text_bytes: usize,
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
            values: 0,
            text_bytes: 0,
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
            let digits = (key.part != KeyPart::Whole).then(|| self.digits_of_codes(nth, &chunk));
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
            self.measure(nth, measure.kind, &chunk, &cells, &places);
            if self.values > self.room.values_max || self.text_bytes > self.room.text_bytes_max {
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
            keys.of_whole.insert(whole, number);
        }
        number
    }

    /// For each code of a chunk the place of its key among those of the chunk, and the numbers of these keys.
    fn digits_of_codes(&mut self, nth: usize, chunk: &ColumnChunk) -> (Vec<u32>, Vec<u32>) {
        let mut known: HashMap<u32, u32, DefaultHashBuilder> = HashMap::default();
        let mut numbers = Vec::new();
        let digits = (0..=u16::MAX).take(chunk.codes_len()).map(|code| {
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

    /// Adds what a block says of one measure.
    fn measure(&mut self, nth: usize, kind: MeasureKind, chunk: &ColumnChunk, cells: &GroupCells, places: &[u32]) {
        let (of_row, len, null) = (cells.of_row.as_slice(), cells.cells, chunk.dictionary.len());
        let groups = &mut self.groups;
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
                            self.text_bytes += text.len();
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
                                self.values += 1;
                                0
                            });
                            *known += count;
                        }
                        Some(Gauge::Different(known)) => {
                            let (counted, bytes) = counted(chunk, code);
                            if known.insert(counted) {
                                self.values += 1;
                                self.text_bytes += bytes;
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
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

/// Whether a condition holds for a group.
fn holds(condition: &Filter, row: &[Measured]) -> bool {
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
            (Some(_), Test::Contains(_) | Test::StartsWith(_)) => false,
        }),
    }
}

/// What is known of a measure of a cell's group; none where the cell has no rows.
fn gauge_of<'g>(groups: &'g mut [KnownGroup], places: &[u32], cell: usize, nth: usize) -> Option<&'g mut Gauge> {
    let place = places.get(cell).filter(|place| **place != NONE)?;
    groups.get_mut(*place as usize)?.gauges.get_mut(nth)
}

fn gauge(definition: &Definition, measure: &Measure) -> Gauge {
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

fn whole_count(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The measure that a gauge shows. Without a value there is no sum, mean, median or end.
fn measured(kind: MeasureKind, column: ColumnType, gauge: Gauge) -> Measured {
    let units = if column == ColumnType::Money { 100.0 } else { 1.0 };
    let value = match gauge {
        Gauge::Count(count) => whole_count(count),
        Gauge::Wholes { count: 0, .. } | Gauge::Reals { count: 0, .. } => Value::Null,
        Gauge::Wholes { sum, count } if kind == MeasureKind::Mean => Value::Number(sum as f64 / (count as f64 * units)),
        Gauge::Wholes { sum, .. } if column == ColumnType::Money => return Measured::Sum(Sum::Money(sum)),
        Gauge::Wholes { sum, .. } => return Measured::Sum(Sum::Integer(sum)),
        Gauge::Reals { sum, count } if kind == MeasureKind::Mean => Value::Number(sum.value() / count as f64),
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
