//! The order of a block's rows by key and record id, the end of every order.

use super::{
    chunk::{ColumnChunk, TornChunk},
    codes::Codes,
    dictionary::partition_point,
};
use crate::dataset::Value;

/// The order of a block's rows by key and record id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranks {
    /// The place of each row in the order.
    pub(super) of_row: Codes,
    /// The row at each place.
    rows: Vec<u16>,
}

impl Ranks {
    /// The order of a block whose rows have these keys and record ids.
    pub fn new(keys: &ColumnChunk, ids: &ColumnChunk) -> Self {
        let code = |chunk: &ColumnChunk, row| u32::from(chunk.codes.get(row).unwrap_or_default());
        let mut order: Vec<(u32, u16)> = (0..=u16::MAX)
            .take(keys.rows())
            .map(|row| ((code(keys, row.into()) << 16) | code(ids, row.into()), row))
            .collect();
        order.sort_unstable();
        let rows: Vec<u16> = order.into_iter().map(|(_, row)| row).collect();
        Self::of(rows)
    }

    /// The order of so many rows that lie in it.
    pub(super) fn in_order(rows: usize) -> Self {
        Self::of((0..=u16::MAX).take(rows).collect())
    }

    fn of(rows: Vec<u16>) -> Self {
        let mut of_row = vec![0; rows.len()];
        for (rank, row) in (0..=u16::MAX).zip(&rows) {
            if let Some(of) = of_row.get_mut(usize::from(*row)) {
                *of = rank;
            }
        }
        // Always two bytes wide: nearly every block is full.
        Self { of_row: Codes::Wide(of_row), rows }
    }

    /// The place of a row.
    pub fn rank(&self, row: usize) -> u16 {
        self.of_row.get(row).unwrap_or_default()
    }

    /// The first place whose record is not before a key and record id, and the first one whose record is after them. In between are
    /// the states of that record, in the order of their rows.
    pub fn range(&self, keys: &ColumnChunk, ids: &ColumnChunk, key: &Value, id: &Value) -> (usize, usize) {
        let (key, is_key) = keys.dictionary.place(key);
        let (id, is_id) = ids.dictionary.place(id);
        let codes = |place: usize| {
            let row = self.rows.get(place).map_or(0, |row| usize::from(*row));
            let code = |chunk: &ColumnChunk| chunk.codes.get(row).map_or(0, usize::from);
            (code(keys), code(ids))
        };
        let begin = partition_point(self.rows.len(), |place| {
            let (of, its) = codes(place);
            of < key || (of == key && is_key && its < id)
        });
        let end = match is_key && is_id {
            true => partition_point(self.rows.len(), |place| codes(place) <= (key, id)),
            false => begin,
        };
        (begin, end.max(begin))
    }

    /// The row at a place.
    pub fn row(&self, place: usize) -> Option<usize> {
        self.rows.get(place).map(|row| usize::from(*row))
    }

    /// Memory, bytes.
    pub fn bytes(&self) -> usize {
        self.of_row.bytes() + self.rows.len() * 2
    }

    /// Appends the order for a file: the rows in it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.rows.iter().flat_map(|row| row.to_le_bytes()));
    }

    /// Reads the order of a block of so many rows back.
    ///
    /// # Errors
    /// [`TornChunk`] where the bytes are not such an order.
    pub fn read(bytes: &[u8], rows: usize) -> Result<Self, TornChunk> {
        let (places, rest) = bytes.as_chunks();
        if places.len() != rows || !rest.is_empty() {
            return Err(TornChunk);
        }
        Ok(Self::of(places.iter().map(|row| u16::from_le_bytes(*row)).collect()))
    }
}
