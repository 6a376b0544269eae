//! Pages in the order of keys, without reading all records: the rows of every block that come first in that order are taken out, and if
//! enough of them match, no other counts.

use std::{cmp::Ordering, sync::Arc};

use super::{
    blocks::ColumnBlocks,
    chunk::{ChunkBounds, ColumnChunk},
    codes::Codes,
    dictionary::Dictionary,
    filter,
    first::{FirstWanted, FoundRow, OrderEnd, first_of_all},
    mask::Mask,
    ranks::Ranks,
};
use crate::dataset::Value;

/// Rows of the first front: enough for a page where one record in twenty matches.
const FRONT_ROWS: u64 = 2_048;
/// A row of a front takes as long as so many rows of whole blocks: where codes are compared, and where texts are searched.
const ROWS_FOR_ONE: (u64, u64) = (16, 80);
/// A front that has to grow grows by no more than this.
const GROWTH_MAX: u64 = 8;

/// The first records in an order that match a filter and follow a place.
///
/// # Errors
/// Where a block cannot be read, or there is no time left.
pub fn first<B: ColumnBlocks>(blocks: &B, wanted: &FirstWanted<'_>) -> Result<Vec<FoundRow>, B::Failure> {
    let rows_for_one = if filter::searches(wanted.filter) { ROWS_FOR_ONE.1 } else { ROWS_FOR_ONE.0 };
    match first_within(blocks, wanted, (FRONT_ROWS, rows_for_one))? {
        Some(found) => Ok(found),
        None => first_of_all(blocks, wanted),
    }
}

/// The first records in the order of keys, if a part of all records has them; `None` where the order is another one, or too few match. The
/// first front has so many rows, each of which takes as long as so many of whole blocks.
pub(super) fn first_within<B: ColumnBlocks>(
    blocks: &B,
    wanted: &FirstWanted<'_>,
    (front_rows, rows_for_one): (u64, u64),
) -> Result<Option<Vec<FoundRow>>, B::Failure> {
    let end = match wanted.terms() {
        ([], Some(end)) if wanted.ranking.is_none() && blocks.are_kept() => end,
        _ => return Ok(None),
    };
    let mut all = 0;
    for block in 0..blocks.count() {
        all += blocks.rows(block)? as u64;
    }
    let mut rows = front_rows;
    // What was looked at for nothing is a part of what all records take.
    while rows.saturating_mul(rows_for_one) < all {
        let front = Front::new(blocks, wanted, end, rows)?;
        let found = first_of_all(&front, wanted)?;
        if found.len() == wanted.most || front.is_all {
            return Ok(Some(found.into_iter().map(|found| front.of_block(found)).collect()));
        }
        let looked_at = front.rows.iter().map(|rows| rows.len() as u64).sum::<u64>();
        let share = (wanted.most as u64 + 1).saturating_mul(looked_at.max(rows)) / found.len().max(1) as u64;
        rows = share.saturating_add(share / 2).clamp(rows.saturating_mul(2), rows.saturating_mul(GROWTH_MAX));
    }
    Ok(None)
}

/// The rows of all blocks that come first: blocks of fewer rows.
struct Front<'b, B: ColumnBlocks> {
    blocks: &'b B,
    /// The rows of each block, in the order of keys.
    rows: Vec<Vec<u16>>,
    /// Whether no row follows them.
    is_all: bool,
}

impl<'b, B: ColumnBlocks> Front<'b, B> {
    /// About so many of the rows that follow the place to continue after.
    fn new(
        blocks: &'b B,
        wanted: &FirstWanted<'_>,
        OrderEnd { descending }: OrderEnd,
        front_rows: u64,
    ) -> Result<Self, B::Failure> {
        let definition = wanted.definition;
        let mut places = Vec::with_capacity(blocks.count());
        for block in 0..blocks.count() {
            let rows = blocks.rows(block)?;
            let (keys, ids) = (blocks.chunk(block, definition.key)?, blocks.chunk(block, definition.record_id)?);
            let ranks = blocks.ranks(block)?;
            // The ranks that are left.
            let left = match wanted.after {
                Some([key, id]) => {
                    let (begin, behind) = ranks.range(&keys, &ids, key, id);
                    if descending { (0, begin) } else { (behind, rows) }
                }
                _ => (0, rows),
            };
            places.push((keys, ids, ranks, left));
        }
        // The end of the front: in each block, what lies as far behind its beginning as is its share; of these, the nearest one.
        let all: u64 = places.iter().map(|(.., (from, to))| (to - from) as u64).sum();
        let is_all = front_rows >= all;
        let share = |(from, to): (usize, usize)| {
            let own = ((to - from) as u64).saturating_mul(front_rows) / all.max(1);
            usize::try_from(own).unwrap_or(usize::MAX)
        };
        let mut end: Option<[Value; 2]> = None;
        for (keys, ids, ranks, left) in places.iter().filter(|_| !is_all) {
            let place = if descending { left.1.checked_sub(share(*left) + 1) } else { Some(left.0 + share(*left)) };
            let Some(row) = place.filter(|place| (left.0..left.1).contains(place)).and_then(|place| ranks.row(place))
            else {
                continue;
            };
            let here = [keys.value(row), ids.value(row)];
            let is_nearer = |known: &[Value; 2]| {
                let terms = wanted.order.iter().zip(here.iter().zip(known));
                let mut orders = terms.map(|(term, (here, known))| term.compare(here, known));
                orders.find(|order| order.is_ne()) == Some(Ordering::Less)
            };
            if end.as_ref().is_none_or(is_nearer) {
                end = Some(here);
            }
        }
        let mut rows = Vec::with_capacity(places.len());
        for (keys, ids, ranks, (from, to)) in &places {
            let (from, to) = match &end {
                None => (*from, *to),
                Some([key, id]) => {
                    let (begin, behind) = ranks.range(keys, ids, key, id);
                    if descending { ((*from).max(begin), *to) } else { (*from, (*to).min(behind)) }
                }
            };
            let row = |place: usize| ranks.row(place).and_then(|row| u16::try_from(row).ok());
            rows.push((from..to).filter_map(row).collect());
        }
        Ok(Self { blocks, rows, is_all })
    }

    fn rows_of(&self, block: usize) -> &[u16] {
        self.rows.get(block).map(Vec::as_slice).unwrap_or_default()
    }

    /// A row of the front as one of its block.
    fn of_block(&self, found: FoundRow) -> FoundRow {
        let row = self.rows_of(found.block).get(found.row).copied().unwrap_or_default();
        FoundRow { row: usize::from(row), ..found }
    }
}

impl<B: ColumnBlocks> ColumnBlocks for Front<'_, B> {
    type Failure = B::Failure;

    fn are_kept(&self) -> bool {
        true
    }

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, block: usize) -> Result<usize, B::Failure> {
        Ok(self.rows_of(block).len())
    }

    fn visible(&self, block: usize) -> Result<Mask, B::Failure> {
        if self.rows_of(block).is_empty() {
            return Ok(Mask::Nothing);
        }
        Ok(match self.blocks.visible(block)? {
            Mask::Rows(marks) => {
                let mark = |row: &u16| marks.get(usize::from(*row)).copied().unwrap_or(0);
                Mask::Rows(self.rows_of(block).iter().map(mark).collect())
            }
            all => all,
        })
    }

    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        self.blocks.bounds(block, column)
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, B::Failure> {
        let ColumnChunk { dictionary, codes } = self.blocks.chunk(block, column)?;
        Ok(ColumnChunk { dictionary, codes: Arc::new(codes.of_rows(self.rows_of(block))) })
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, B::Failure> {
        Ok(Arc::new(self.blocks.codes(block, column)?.of_rows(self.rows_of(block))))
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, B::Failure> {
        self.blocks.folded(block, column)
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, B::Failure> {
        self.blocks.bare(block, column)
    }

    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        self.blocks.folded_at_hand(block, column)
    }

    fn bare_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        self.blocks.bare_at_hand(block, column)
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, B::Failure> {
        // They lie in their order.
        Ok(Arc::new(Ranks::in_order(self.rows_of(block).len())))
    }
}
