//! Makes chunks from values, row by row.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::civil::Date;

use super::{
    chunk::ColumnChunk,
    codes::{BLOCK_ROWS, Codes},
    dictionary::{Dictionary, TextList, days_of},
};
use crate::dataset::{ColumnType, Value};

/// The place of a null among different values.
const NULL: u32 = u32::MAX;

/// A column of a block that is being made: its values as they came, and the place among them of each row's. Whole numbers are all there,
/// other values each once.
#[derive(Debug)]
pub struct ChunkBuilder {
    kind: ColumnType,
    different: Different,
    /// The places of values of which each is there once, by hash.
    known: HashTable<u32>,
    hasher: DefaultHashBuilder,
    rows: Vec<u32>,
}

/// Values of one type, in the order of their first rows.
#[derive(Debug)]
enum Different {
    Texts(TextList),
    /// Those of all rows: near each other, they need not be told apart.
    Wholes(Vec<i64>),
    Dates(Vec<Date>),
    Moments(Vec<i128>),
    /// The bits of numbers.
    Reals(Vec<u64>),
}

impl ChunkBuilder {
    /// A builder for a column of this type.
    pub fn new(kind: ColumnType) -> Self {
        let different = match kind {
            ColumnType::Text => Different::Texts(TextList::default()),
            ColumnType::Integer | ColumnType::Money | ColumnType::Point => Different::Wholes(Vec::new()),
            ColumnType::Date => Different::Dates(Vec::new()),
            ColumnType::Timestamp => Different::Moments(Vec::new()),
            ColumnType::Number => Different::Reals(Vec::new()),
        };
        Self { kind, different, known: HashTable::new(), hasher: DefaultHashBuilder::default(), rows: Vec::new() }
    }

    /// The number of rows so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Appends a row. A value of another type counts as null.
    pub fn push(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.push_text(text),
            Value::Integer(whole) | Value::Money(whole) => self.push_whole(*whole),
            Value::Number(real) => self.push_real(*real),
            Value::Date(date) => self.push_date(*date),
            Value::Timestamp(moment) => self.push_moment(moment.as_nanosecond()),
            Value::Point(point) => self.push_whole(point.packed()),
            Value::Null => self.push_null(),
        }
    }

    /// Appends a row without a value.
    pub fn push_null(&mut self) {
        self.rows.push(NULL);
    }

    /// Appends a row with a text.
    pub fn push_text(&mut self, text: &str) {
        let Different::Texts(list) = &mut self.different else { return self.push_null() };
        let (hasher, hash) = (&self.hasher, self.hasher.hash_one(text));
        let place = match self.known.find(hash, |place| list.get(*place as usize) == text) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(list.len()).unwrap_or(NULL);
                list.push(text);
                self.known.insert_unique(hash, place, |place| hasher.hash_one(list.get(*place as usize)));
                place
            }
        };
        self.rows.push(place);
    }

    /// Appends a row with an integer, hundredths or a packed point.
    pub fn push_whole(&mut self, whole: i64) {
        let Different::Wholes(list) = &mut self.different else { return self.push_null() };
        self.rows.push(u32::try_from(list.len()).unwrap_or(NULL));
        list.push(whole);
    }

    /// Appends a row with a date.
    pub fn push_date(&mut self, date: Date) {
        let Different::Dates(list) = &mut self.different else { return self.push_null() };
        self.rows.push(placed(&mut self.known, &self.hasher, list, date));
    }

    /// Appends a row with a moment, in nanoseconds since 1970-01-01.
    pub fn push_moment(&mut self, moment: i128) {
        let Different::Moments(list) = &mut self.different else { return self.push_null() };
        self.rows.push(placed(&mut self.known, &self.hasher, list, moment));
    }

    /// Appends a row with a number. Negative zero is zero.
    pub fn push_real(&mut self, real: f64) {
        let Different::Reals(list) = &mut self.different else { return self.push_null() };
        self.rows.push(placed(&mut self.known, &self.hasher, list, (real + 0.0).to_bits()));
    }

    /// The chunk. At most [`BLOCK_ROWS`] rows have codes.
    pub fn finish(mut self) -> ColumnChunk {
        debug_assert!(self.rows.len() <= BLOCK_ROWS, "a block has too many rows");
        let (dictionary, order) = match self.different {
            Different::Texts(list) => {
                let order = text_order(&list);
                let mut sorted = TextList::default();
                order.iter().for_each(|place| sorted.push(list.get(*place as usize)));
                (Dictionary::Texts(sorted), order)
            }
            Different::Wholes(list) => match range(self.kind, &list) {
                Some(range) => range,
                None => {
                    let (mut different, known) = (Vec::new(), &mut self.known);
                    let mut place = |whole| placed(known, &self.hasher, &mut different, whole);
                    let places: Vec<u32> = list.into_iter().map(&mut place).collect();
                    let of_row = |row: &mut u32| *row = places.get(*row as usize).copied().unwrap_or(NULL);
                    self.rows.iter_mut().for_each(of_row);
                    wholes(self.kind, different)
                }
            },
            Different::Dates(list) => {
                let list: Vec<i64> = list.into_iter().map(days_of).collect();
                range(self.kind, &list).unwrap_or_else(|| wholes(self.kind, list))
            }
            Different::Moments(list) => {
                let (list, order) = sorted(list, |moment| *moment);
                (Dictionary::Moments(list), order)
            }
            Different::Reals(list) => {
                let (list, order) = sorted(list.into_iter().map(f64::from_bits).collect(), |real| ordered_bits(*real));
                (Dictionary::Reals(list), order)
            }
        };
        let null = u16::try_from(dictionary.len()).unwrap_or(u16::MAX);
        let code_of: Vec<u16> = match &dictionary {
            Dictionary::Range { .. } => order.iter().map(|code| u16::try_from(*code).unwrap_or(null)).collect(),
            _ => {
                let mut code_of = vec![null; order.len()];
                for (code, place) in (0..=u16::MAX).zip(&order) {
                    if let Some(of) = code_of.get_mut(*place as usize) {
                        *of = code;
                    }
                }
                code_of
            }
        };
        let codes = self.rows.iter().map(|place| code_of.get(*place as usize).copied().unwrap_or(null)).collect();
        ColumnChunk { dictionary: Arc::new(dictionary), codes: Arc::new(Codes::new(codes, null)) }
    }
}

/// The place of a value among the different ones, where it is put if it is new.
fn placed<T: Copy + Eq + std::hash::Hash>(
    known: &mut HashTable<u32>,
    hasher: &DefaultHashBuilder,
    list: &mut Vec<T>,
    value: T,
) -> u32 {
    let hash = hasher.hash_one(value);
    if let Some(place) = known.find(hash, |place| list.get(*place as usize).is_some_and(|known| *known == value)) {
        return *place;
    }
    let place = u32::try_from(list.len()).unwrap_or(NULL);
    list.push(value);
    known.insert_unique(hash, place, |place| list.get(*place as usize).map_or(0, |known| hasher.hash_one(known)));
    place
}

/// The places of texts in ascending order.
fn text_order(list: &TextList) -> Vec<u32> {
    // Keys of a data set often begin alike: what follows decides.
    let first = list.get(0).as_bytes();
    let alike = list.iter().map(|text| first.iter().zip(text.as_bytes()).take_while(|(a, b)| a == b).count()).min();
    let alike = alike.unwrap_or_default();
    let head = |text: &str| {
        let mut head = [0; 8];
        head.iter_mut().zip(text.as_bytes().get(alike..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(head)
    };
    let mut order: Vec<(u64, u32)> = list.iter().map(head).zip(0..).collect();
    order.sort_unstable_by(|left, right| {
        let texts = || list.get(left.1 as usize).cmp(list.get(right.1 as usize));
        left.0.cmp(&right.0).then_with(texts)
    });
    order.into_iter().map(|(_, place)| place).collect()
}

/// Values in ascending order, and the places that they had.
fn sorted<T: Copy, K: Ord>(list: Vec<T>, key: impl Fn(&T) -> K) -> (Vec<T>, Vec<u32>) {
    let mut pairs: Vec<(T, u32)> = list.into_iter().zip(0..).collect();
    pairs.sort_unstable_by_key(|(value, _)| key(value));
    pairs.into_iter().unzip()
}

/// Whole numbers that lie near each other as a range, and the code of each.
fn range(kind: ColumnType, list: &[i64]) -> Option<(Dictionary, Vec<u32>)> {
    let (first, last) = (list.iter().min().copied()?, list.iter().max().copied()?);
    let len = usize::try_from(i128::from(last) - i128::from(first) + 1).ok();
    // One code is left for null.
    let len = len.filter(|len| *len < BLOCK_ROWS)?;
    let codes = list.iter().map(|whole| u32::try_from(whole.wrapping_sub(first)).unwrap_or(NULL)).collect();
    Some((Dictionary::Range { kind, first, len }, codes))
}

/// Different whole numbers in ascending order, and the places that they had.
fn wholes(kind: ColumnType, list: Vec<i64>) -> (Dictionary, Vec<u32>) {
    let (list, order) = sorted(list, |whole| *whole);
    (Dictionary::Wholes { kind, list }, order)
}

/// Bits that are in the order of the numbers, which are finite.
fn ordered_bits(real: f64) -> i64 {
    let bits = real.to_bits().cast_signed();
    // For negative numbers, greater bits mean lesser numbers.
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}
