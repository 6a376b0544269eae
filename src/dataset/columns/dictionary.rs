//! Dictionaries: the different values of a column in a block, in ascending order.

use std::ops::Range;

use jiff::{Span, Timestamp, civil::Date};

use crate::dataset::{
    ColumnType, Point, Value,
    place::Area,
    text::{bare, folded},
};

/// Where the next occurrence of a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextOccurrence {
    /// Behind this one.
    Any,
    /// In the texts that follow.
    InOtherTexts,
}

/// Texts one after the other in one buffer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextList {
    /// The end of each text in the buffer.
    ends: Vec<u32>,
    buffer: String,
}

impl TextList {
    /// Appends a text. The buffer must not exceed 4 GiB: blocks are much smaller.
    pub fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.ends.push(u32::try_from(self.buffer.len()).unwrap_or(u32::MAX));
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A text; an empty one where there is none.
    pub fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let (Some(start), Some(end)) = (start, self.ends.get(place)) else { return "" };
        self.buffer.get(start as usize..*end as usize).unwrap_or_default()
    }

    /// The text of a code; none for a null.
    pub(super) fn at(&self, code: u16) -> Option<&str> {
        let place = usize::from(code);
        (place < self.len()).then(|| self.get(place))
    }

    /// The texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place))
    }

    /// Memory, bytes.
    pub fn bytes(&self) -> usize {
        self.ends.len() * 4 + self.buffer.len()
    }

    /// Marks with 1 the texts that contain another one.
    pub fn containing(&self, needle: &str) -> Vec<u8> {
        if needle.is_empty() {
            return vec![1; self.len()];
        }
        let mut marks = vec![0; self.len()];
        self.occurrences(needle, |place, _| {
            if let Some(mark) = marks.get_mut(place) {
                *mark = 1;
            }
            NextOccurrence::InOtherTexts
        });
        marks
    }

    /// Hands the places where a text occurs that is not empty to `take`: the place in the list, and the byte in the text there. One
    /// search runs over all texts: most blocks hold it nowhere.
    pub(super) fn occurrences(&self, needle: &str, mut take: impl FnMut(usize, usize) -> NextOccurrence) {
        let (finder, bytes) = (memchr::memmem::Finder::new(needle), self.buffer.as_bytes());
        let (mut from, mut place) = (0, 0);
        while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)).map(|at| from + at) {
            // The next text that ends behind the beginning of what was found: most often it is near.
            let is_before = |end: &u32| *end as usize <= at;
            let (mut near, mut ahead) = (16, self.ends.get(place..).unwrap_or_default());
            while let Some((passed, rest)) = ahead.split_at_checked(near)
                && passed.last().is_some_and(is_before)
            {
                (place, near, ahead) = (place + near, near * 2, rest);
            }
            place += ahead.get(..near).unwrap_or(ahead).partition_point(is_before);
            let Some(end) = self.ends.get(place).map(|end| *end as usize) else { break };
            if at + needle.len() > end {
                // It reaches into the next text.
                from = at + 1;
                continue;
            }
            let start =
                place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |start| *start as usize);
            from = match take(place, at - start) {
                NextOccurrence::InOtherTexts => end,
                NextOccurrence::Any => at + needle.len(),
            };
        }
    }

    /// Appends the list for a file: its length, the ends, the buffer.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_length(self.ends.len(), out);
        out.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend_from_slice(self.buffer.as_bytes());
    }

    /// Reads a list back, and removes it from the bytes.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let ends: Vec<u32> = read_numbers(bytes)?.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let (buffer, rest) = bytes.split_at_checked(ends.last().map_or(0, |end| *end as usize))?;
        *bytes = rest;
        Some(Self { ends, buffer: std::str::from_utf8(buffer).ok()?.to_owned() })
    }
}

/// The different values of a column in a block, in ascending order, without null.
#[derive(Debug, Clone, PartialEq)]
pub enum Dictionary {
    /// Texts.
    Texts(TextList),
    /// So many whole numbers from the first one on, whether they occur or not.
    Range {
        /// Their type.
        kind: ColumnType,
        /// The first one.
        first: i64,
        /// How many.
        len: usize,
    },
    /// Whole numbers: integers, hundredths, days since 1970-01-01, packed points.
    Wholes {
        /// Their type.
        kind: ColumnType,
        /// The numbers.
        list: Vec<i64>,
    },
    /// Moments, in nanoseconds since 1970-01-01.
    Moments(Vec<i128>),
    /// Numbers with a fraction. Zero has no sign.
    Reals(Vec<f64>),
}

/// The first day that is counted from.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// The days from 1970-01-01 to a date.
pub(super) fn days_of(date: Date) -> i64 {
    // The difference of two dates in days is never out of range.
    date.since(EPOCH).map_or(0, |span| i64::from(span.get_days()))
}

/// The date so many days after 1970-01-01.
fn date_of(days: i64) -> Value {
    let date = Span::new().try_days(days).and_then(|days| EPOCH.checked_add(days));
    date.map_or(Value::Null, Value::Date)
}

impl Dictionary {
    /// The folded forms of texts, in the order of the texts; no text where the values are none.
    #[must_use]
    pub fn folded(&self) -> Self {
        let mut list = TextList::default();
        if let Self::Texts(texts) = self {
            texts.iter().for_each(|text| list.push(&folded(text)));
        }
        Self::Texts(list)
    }

    /// The forms of texts without case and accents, in the order of the texts; no text where the values are none.
    #[must_use]
    pub fn bare(&self) -> Self {
        let mut list = TextList::default();
        if let Self::Texts(texts) = self {
            texts.iter().for_each(|text| list.push(&bare(text)));
        }
        Self::Texts(list)
    }

    /// Marks with 1 the texts that contain another one.
    pub(super) fn containing(&self, needle: &str) -> Vec<u8> {
        if let Self::Texts(list) = self { list.containing(needle) } else { Vec::new() }
    }

    /// Tells whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(list) => list.len(),
            Self::Range { len, .. } => *len,
            Self::Wholes { list, .. } => list.len(),
            Self::Moments(list) => list.len(),
            Self::Reals(list) => list.len(),
        }
    }

    /// The value of a code; null where there is none.
    pub(super) fn value(&self, code: u16) -> Value {
        let place = usize::from(code);
        if place >= self.len() {
            return Value::Null;
        }
        match self {
            Self::Texts(list) => Value::Text(list.get(place).to_owned()),
            Self::Range { kind, .. } | Self::Wholes { kind, .. } => {
                let Some(whole) = self.whole(code) else { return Value::Null };
                match kind {
                    ColumnType::Money => Value::Money(whole),
                    ColumnType::Date => date_of(whole),
                    ColumnType::Point => Point::unpacked(whole).map_or(Value::Null, Value::Point),
                    _ => Value::Integer(whole),
                }
            }
            Self::Moments(list) => {
                let moment = list.get(place).and_then(|moment| Timestamp::from_nanosecond(*moment).ok());
                moment.map_or(Value::Null, Value::Timestamp)
            }
            Self::Reals(list) => list.get(place).map_or(Value::Null, |real| Value::Number(*real)),
        }
    }

    /// The whole number of a code: an integer, hundredths, days, or a packed point.
    pub(super) fn whole(&self, code: u16) -> Option<i64> {
        match self {
            Self::Range { first, len, .. } if usize::from(code) < *len => first.checked_add(i64::from(code)),
            Self::Wholes { list, .. } => list.get(usize::from(code)).copied(),
            _ => None,
        }
    }

    /// The first code whose value is not below another value, and whether it is that value.
    pub(super) fn place(&self, value: &Value) -> (usize, bool) {
        match (self, value) {
            (Self::Texts(list), Value::Text(text)) => {
                let place = partition_point(list.len(), |place| list.get(place) < text.as_str());
                (place, place < list.len() && list.get(place) == text)
            }
            (Self::Range { first, len, .. }, value) => match whole_of(value) {
                Some(whole) => match i128::from(whole) - i128::from(*first) {
                    before if before < 0 => (0, false),
                    place => match usize::try_from(place).ok().filter(|place| place < len) {
                        Some(place) => (place, true),
                        None => (*len, false),
                    },
                },
                None => (0, false),
            },
            (Self::Wholes { list, .. }, value) => match whole_of(value) {
                Some(whole) => searched(list.binary_search(&whole)),
                None => (0, false),
            },
            (Self::Moments(list), Value::Timestamp(moment)) => searched(list.binary_search(&moment.as_nanosecond())),
            (Self::Reals(list), Value::Number(real)) => {
                let place = list.partition_point(|listed| listed < real);
                (place, list.get(place).is_some_and(|listed| listed == real))
            }
            // Questions are checked against the types of the columns.
            _ => (0, false),
        }
    }

    /// The codes of the points between the ends of an area, and a mark for each of them that is in the area.
    pub(super) fn points_in(&self, area: &Area) -> (usize, Vec<u8>) {
        let places = self.points_between(area);
        let is_in = |packed: i64| Point::unpacked(packed).is_some_and(|point| area.contains(point));
        let marks = match self {
            // Most points of these latitudes lie elsewhere.
            Self::Wholes { list, .. } => {
                let (list, reach) = (list.get(places.clone()).unwrap_or_default(), area.reach());
                list.iter().map(|packed| u8::from(reach.has(*packed) && is_in(*packed))).collect()
            }
            _ => {
                let whole = |place: usize| u16::try_from(place).ok().and_then(|code| self.whole(code));
                places.clone().map(|place| u8::from(whole(place).is_some_and(is_in))).collect()
            }
        };
        (places.start, marks)
    }

    /// The places of the points that may lie in an area.
    pub(super) fn points_between(&self, area: &Area) -> Range<usize> {
        let (low, high) = area.ends();
        let (to, is_there) = self.place(&Value::Point(high));
        self.place(&Value::Point(low)).0..to + usize::from(is_there)
    }

    /// The point of a code.
    pub(super) fn point(&self, code: u16) -> Option<Point> {
        self.whole(code).and_then(Point::unpacked)
    }

    /// Memory, bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Texts(list) => list.bytes(),
            Self::Range { .. } => 0,
            Self::Wholes { list, .. } => list.len() * size_of::<i64>(),
            Self::Moments(list) => list.len() * size_of::<i128>(),
            Self::Reals(list) => list.len() * size_of::<f64>(),
        }
    }

    /// Appends the dictionary for a file: its form, then its values.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Texts(list) => {
                out.push(0);
                list.write(out);
            }
            Self::Range { kind, first, len } => {
                out.extend([1, kind_byte(*kind)]);
                out.extend(first.to_le_bytes());
                write_length(*len, out);
            }
            Self::Wholes { kind, list } => {
                out.extend([2, kind_byte(*kind)]);
                write_length(list.len(), out);
                out.extend(list.iter().flat_map(|whole| whole.to_le_bytes()));
            }
            Self::Moments(list) => {
                out.push(3);
                write_length(list.len(), out);
                out.extend(list.iter().flat_map(|moment| moment.to_le_bytes()));
            }
            Self::Reals(list) => {
                out.push(4);
                write_length(list.len(), out);
                out.extend(list.iter().flat_map(|real| real.to_le_bytes()));
            }
        }
    }

    /// Reads a dictionary back, and removes it from the bytes.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let form = take::<1>(bytes)?;
        Some(match form {
            [0] => Self::Texts(TextList::read(bytes)?),
            [1] => {
                let kind = kind_of(take(bytes)?)?;
                Self::Range { kind, first: i64::from_le_bytes(take(bytes)?), len: read_length(bytes)? }
            }
            [2] => {
                let kind = kind_of(take(bytes)?)?;
                let list = read_numbers(bytes)?.iter().map(|whole| i64::from_le_bytes(*whole)).collect();
                Self::Wholes { kind, list }
            }
            [3] => Self::Moments(read_numbers(bytes)?.iter().map(|moment| i128::from_le_bytes(*moment)).collect()),
            [4] => Self::Reals(read_numbers(bytes)?.iter().map(|real| f64::from_le_bytes(*real)).collect()),
            _ => return None,
        })
    }
}

fn searched(found: Result<usize, usize>) -> (usize, bool) {
    match found {
        Ok(place) => (place, true),
        Err(place) => (place, false),
    }
}

/// The whole number of a value.
pub(super) fn whole_of(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(whole) | Value::Money(whole) => Some(*whole),
        Value::Date(date) => Some(days_of(*date)),
        Value::Point(point) => Some(point.packed()),
        _ => None,
    }
}

/// The first place for which a condition no longer holds.
pub(super) fn partition_point(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn kind_byte(kind: ColumnType) -> u8 {
    match kind {
        ColumnType::Integer => 0,
        ColumnType::Money => 1,
        ColumnType::Date => 2,
        ColumnType::Point => 3,
        // These have other forms.
        ColumnType::Text | ColumnType::Number | ColumnType::Timestamp => u8::MAX,
    }
}

fn kind_of(byte: [u8; 1]) -> Option<ColumnType> {
    match byte {
        [0] => Some(ColumnType::Integer),
        [1] => Some(ColumnType::Money),
        [2] => Some(ColumnType::Date),
        [3] => Some(ColumnType::Point),
        _ => None,
    }
}

pub(super) fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

pub(super) fn read_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(bytes)?)).ok()
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Reads a length and so many numbers of `N` bytes.
fn read_numbers<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [[u8; N]]> {
    let length = read_length(bytes)?;
    let (numbers, rest) = bytes.split_at_checked(length.checked_mul(N)?)?;
    *bytes = rest;
    Some(numbers.as_chunks().0)
}
