//! Chunks: one column of one block.

use std::sync::Arc;

use super::{codes::Codes, dictionary::Dictionary, few, mask::Mask};
use crate::dataset::{
    Value,
    query::{Test, after_prefix},
    text::contains_folded,
};

/// Longer texts are cut where they bound a chunk, bytes.
const BOUND_BYTES_MAX: usize = 64;

/// The least and greatest value of a column in a block. They may lie outside of the values that occur, never inside.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkBounds {
    /// At or below every value; null where the column has nulls alone.
    pub least: Value,
    /// At or above every value; none where no such text is short enough.
    pub greatest: Option<Value>,
    /// Whether there are nulls.
    pub has_nulls: bool,
}

/// One column of a block: a dictionary, and a code for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnChunk {
    /// The different values.
    pub dictionary: Arc<Dictionary>,
    /// The place of each row's value among them.
    pub codes: Arc<Codes>,
}

/// The error for bytes that are not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a column's block does not have the form of one")]
pub struct TornChunk;

impl ColumnChunk {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.codes.len()
    }

    /// The value in a row; null where there is none.
    pub fn value(&self, row: usize) -> Value {
        self.codes.get(row).map_or(Value::Null, |code| self.dictionary.value(code))
    }

    /// The whole number in a row: an integer, hundredths, or days; none for a null.
    pub fn whole(&self, row: usize) -> Option<i64> {
        self.codes.get(row).and_then(|code| self.dictionary.whole(code))
    }

    /// The rows whose whole number is not above another one; a null is in no such row.
    pub fn at_most(&self, bound: i64) -> Mask {
        let place = match &*self.dictionary {
            Dictionary::Range { first, len, .. } => match i128::from(bound) - i128::from(*first) {
                before if before < 0 => 0,
                place => usize::try_from(place).map_or(*len, |place| (*len).min(place + 1)),
            },
            Dictionary::Wholes { list, .. } => list.partition_point(|whole| *whole <= bound),
            _ => 0,
        };
        match place.checked_sub(1).and_then(|last| u16::try_from(last).ok()) {
            Some(last) => self.codes.between(0, last),
            None => Mask::Nothing,
        }
    }

    /// The number of codes: those of values, and that of null.
    pub(super) fn codes_len(&self) -> usize {
        self.dictionary.len() + 1
    }

    /// The bounds of the column.
    pub fn bounds(&self) -> ChunkBounds {
        // A text that is cut comes before the whole one, and after it comes the next text of that length.
        let cut = |value: Value| match value {
            Value::Text(mut text) if text.len() > BOUND_BYTES_MAX => {
                text.truncate(text.floor_char_boundary(BOUND_BYTES_MAX));
                (Value::Text(text), true)
            }
            other => (other, false),
        };
        let last = self.dictionary.len().checked_sub(1).and_then(|last| u16::try_from(last).ok());
        let Some(last) = last else {
            return ChunkBounds { least: Value::Null, greatest: Some(Value::Null), has_nulls: self.rows() > 0 };
        };
        let greatest = match cut(self.dictionary.value(last)) {
            (Value::Text(text), true) => after_prefix(&text).map(Value::Text),
            (whole, _) => Some(whole),
        };
        let has_nulls = !self.null_rows().is_empty();
        ChunkBounds { least: cut(self.dictionary.value(0)).0, greatest, has_nulls }
    }

    /// The rows without a value.
    fn null_rows(&self) -> Mask {
        // With the most values that fit, no code is left for null: then there is none.
        u16::try_from(self.dictionary.len()).map_or(Mask::Nothing, |null| self.codes.between(null, null))
    }

    /// The rows whose value passes a test.
    pub(super) fn passing(&self, test: &Test) -> Mask {
        let dictionary = &*self.dictionary;
        // Codes from one place on, up to another one.
        let range = |from: usize, to: usize| match (u16::try_from(from), to.checked_sub(1).map(u16::try_from)) {
            (Ok(from), Some(Ok(last))) if from <= last => self.codes.between(from, last),
            _ => Mask::Nothing,
        };
        let len = dictionary.len();
        let equal = |value: &Value| match dictionary.place(value) {
            (place, true) => range(place, place + 1),
            _ => Mask::Nothing,
        };
        let from = |value: &Value, with: bool| {
            let (place, is_there) = dictionary.place(value);
            place + usize::from(is_there && !with)
        };
        let any_of = |list: &[Value]| {
            let mut table = vec![0; self.codes_len()];
            for value in list {
                if let (place, true) = dictionary.place(value)
                    && let Some(mark) = table.get_mut(place)
                {
                    *mark = 1;
                }
            }
            self.codes.marked_of(&table)
        };
        match test {
            Test::Equal(value) => equal(value),
            Test::NotEqual(value) => equal(value).inverted(),
            Test::Less(value) => range(0, from(value, true)),
            Test::LessOrEqual(value) => range(0, from(value, false)),
            Test::Greater(value) => range(from(value, false), len),
            Test::GreaterOrEqual(value) => range(from(value, true), len),
            Test::Between(low, high) => range(from(low, true), from(high, false)),
            Test::In(list) => any_of(list),
            Test::NotIn(list) => any_of(list).inverted(),
            Test::Contains(needle) => self.codes.marked_of(&dictionary.folded().containing(needle)),
            Test::StartsWith(prefix) => match dictionary {
                Dictionary::Texts(_) => {
                    let from = dictionary.place(&Value::Text(prefix.clone())).0;
                    let to = after_prefix(prefix).map_or(len, |end| dictionary.place(&Value::Text(end)).0);
                    range(from, to)
                }
                _ => Mask::Nothing,
            },
            Test::Inside(area) if dictionary.points_between(area).len() > self.rows() => {
                let inside = |code: u16| dictionary.point(code).is_some_and(|point| area.contains(point));
                self.codes.passing(inside)
            }
            Test::Inside(area) => {
                let (from, marks) = dictionary.points_in(area);
                self.codes.marked_from(from, &marks)
            }
            Test::Null(true) => self.null_rows(),
            Test::Null(false) => self.null_rows().inverted(),
        }
    }

    /// Of some rows, those whose text contains another one, which is folded. For few rows this is less work than a search in all
    /// texts.
    pub(super) fn containing(&self, needle: &str, rows: &Mask) -> Mask {
        let Dictionary::Texts(list) = &*self.dictionary else { return Mask::Nothing };
        few::passing(list, &self.codes, rows, |text| contains_folded(text, needle))
    }

    /// Appends the chunk for a file.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.dictionary.write(out);
        self.codes.write(out);
    }

    /// Reads a chunk of so many rows back.
    ///
    /// # Errors
    /// [`TornChunk`] where the bytes are not such a chunk.
    pub fn read(mut bytes: &[u8], rows: usize) -> Result<Self, TornChunk> {
        let mut read = || {
            let dictionary = Dictionary::read(&mut bytes)?;
            let codes = Codes::read(&mut bytes, rows)?;
            bytes.is_empty().then(|| Self { dictionary: Arc::new(dictionary), codes: Arc::new(codes) })
        };
        read().ok_or(TornChunk)
    }
}
