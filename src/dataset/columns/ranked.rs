//! Orders by what a question says of a record: how relevant it is.

use super::{blocks::ColumnBlocks, chunk::ColumnChunk, mask::Mask, words};
use crate::dataset::{
    Point, Value,
    query::{RankedBy, Ranking},
};

/// The distances of the wanted rows' points, by row; the greatest number where there is no point.
fn distances(points: &ColumnChunk, from: Point, wanted: &Mask) -> Vec<u32> {
    let mut known: Vec<Option<u32>> = vec![None; points.codes_len()];
    let mut all = vec![u32::MAX; points.rows()];
    wanted.each(points.rows(), |row| {
        let code = points.codes.get(row).map_or(usize::MAX, usize::from);
        if let (Some(known), Some(distance)) = (known.get_mut(code), all.get_mut(row)) {
            *distance = *known.get_or_insert_with(|| match points.value(row) {
                Value::Point(point) => point.distance_cm(from),
                _ => u32::MAX,
            });
        }
    });
    all
}

/// The ranks of a block's rows: the lower, the earlier in the order.
pub(super) struct BlockRanking {
    ranks: Vec<u32>,
    descending: bool,
}

impl BlockRanking {
    /// The ranks of the wanted rows.
    pub(super) fn read<B: ColumnBlocks>(
        blocks: &B,
        block: usize,
        ranking: &Ranking,
        wanted: &Mask,
    ) -> Result<Self, B::Failure> {
        let mut ranks = match &ranking.by {
            RankedBy::Relevance(search) => words::relevance(blocks, block, search, wanted)?,
            RankedBy::Distance { column, from } => distances(&blocks.chunk(block, *column)?, *from, wanted),
        };
        if ranking.descending {
            ranks.iter_mut().for_each(|rank| *rank = !*rank);
        }
        Ok(Self { ranks, descending: ranking.descending })
    }

    /// The rank of a row.
    pub(super) fn of_row(&self, row: usize) -> u32 {
        self.ranks.get(row).copied().unwrap_or(u32::MAX)
    }

    /// The rank of a number that stands in a place of the order.
    pub(super) fn rank_of(&self, number: &Value) -> u32 {
        let number = match number {
            Value::Integer(number) => u32::try_from(*number).unwrap_or(u32::MAX),
            _ => 0,
        };
        self.value(number)
    }

    /// The number that a rank was made of.
    pub(super) fn value(&self, rank: u32) -> u32 {
        if self.descending { !rank } else { rank }
    }

    /// The rows whose ranks lie between two, both included.
    pub(super) fn between(&self, first: u32, last: u32) -> Mask {
        Mask::Rows(self.ranks.iter().map(|rank| u8::from((first..=last).contains(rank))).collect())
    }
}
