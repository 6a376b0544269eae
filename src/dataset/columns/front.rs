//! Pages in the order of keys, without reading all records: the rows of every block that come first in that order are looked at, then
//! those that follow them, until there are enough.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
};

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
use crate::dataset::{
    Value,
    query::{Filter, ascending},
};

/// Rows of the first front: enough for a page where one record in twenty matches.
const FRONT_ROWS: u64 = 2_048;
/// A row of a front takes as long as so many rows of whole blocks: where codes are compared, and where texts are searched.
const ROWS_FOR_ONE: (u64, u64) = (16, 80);
/// A front has no more rows than so many times those of the fronts before it.
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
    let mut ahead = RowsAhead::read(blocks, wanted, end)?;
    let (mut found, mut looked_at, mut rows) = (Vec::new(), 0_u64, front_rows);
    // What is looked at for nothing is a part of what all records take.
    while (looked_at + rows).saturating_mul(rows_for_one) < ahead.rows_of_all {
        let front = ahead.next_front(rows);
        looked_at += front.len();
        let matching = front.matching(wanted.filter)?;
        ahead.append_first(&matching, wanted.most, &mut found);
        if found.len() == wanted.most || ahead.is_over() {
            return Ok(Some(found));
        }
        // As many as seem to be missing, and a fourth more: another front would take longer.
        let missing = (wanted.most - found.len()) as u64;
        let seem = missing.saturating_mul(looked_at) / (found.len() as u64).max(1);
        rows = seem
            .saturating_add(seem / 4)
            .clamp((front_rows / 4).max(1), looked_at.max(rows).saturating_mul(GROWTH_MAX));
    }
    Ok(None)
}

/// The rows that are not looked at yet.
struct RowsAhead<'b, B: ColumnBlocks> {
    blocks: &'b B,
    end: OrderEnd,
    rest: Vec<BlockRest>,
    /// The rows of all blocks, those before the place to continue after included.
    rows_of_all: u64,
}

/// What is left of a block.
struct BlockRest {
    keys: ColumnChunk,
    ids: ColumnChunk,
    ranks: Arc<Ranks>,
    /// The first rank that is left.
    from: usize,
    /// The first rank that is not.
    to: usize,
}

impl BlockRest {
    fn len(&self) -> u64 {
        (self.to - self.from) as u64
    }

    /// The key and record id of a row.
    fn identity_of(&self, row: usize) -> RowIdentity {
        RowIdentity([self.keys.value(row), self.ids.value(row)])
    }
}

/// A key and a record id.
#[derive(Debug, Clone)]
struct RowIdentity([Value; 2]);

impl RowIdentity {
    fn compare(&self, other: &Self) -> Ordering {
        let ([key, id], [other_key, other_id]) = (&self.0, &other.0);
        ascending(key, other_key).then_with(|| ascending(id, other_id))
    }
}

impl OrderEnd {
    /// An order of keys and record ids in this direction.
    fn directed(self, order: Ordering) -> Ordering {
        if self.descending { order.reverse() } else { order }
    }
}

impl<'b, B: ColumnBlocks> RowsAhead<'b, B> {
    /// The rows that follow the place to continue after.
    fn read(blocks: &'b B, wanted: &FirstWanted<'_>, end: OrderEnd) -> Result<Self, B::Failure> {
        let (mut rest, mut rows_of_all) = (Vec::with_capacity(blocks.count()), 0);
        for block in 0..blocks.count() {
            let rows = blocks.rows(block)?;
            rows_of_all += rows as u64;
            let keys = blocks.chunk(block, wanted.definition.key)?;
            let ids = blocks.chunk(block, wanted.definition.record_id)?;
            let ranks = blocks.ranks(block)?;
            let (from, to) = match wanted.after {
                Some([key, id]) => {
                    let (begin, behind) = ranks.range(&keys, &ids, key, id);
                    if end.descending { (0, begin) } else { (behind, rows) }
                }
                _ => (0, rows),
            };
            rest.push(BlockRest { keys, ids, ranks, from, to });
        }
        Ok(Self { blocks, end, rest, rows_of_all })
    }

    fn is_over(&self) -> bool {
        self.rest.iter().all(|rest| rest.len() == 0)
    }

    /// Takes the rows that come next, at least one, and about so many.
    fn next_front(&mut self, rows: u64) -> Front<'b, B> {
        let cuts = self.cuts(rows);
        let take = |(rest, cut): (&mut BlockRest, usize)| {
            let places = match self.end.descending {
                false => std::mem::replace(&mut rest.from, cut)..cut,
                true => cut..std::mem::replace(&mut rest.to, cut),
            };
            let row = |place: usize| rest.ranks.row(place).and_then(|row| u16::try_from(row).ok());
            places.filter_map(row).collect()
        };
        Front { blocks: self.blocks, rows: self.rest.iter_mut().zip(cuts).map(take).collect() }
    }

    /// The rank in each block up to which, or down to which, the next rows reach.
    fn cuts(&self, rows: u64) -> Vec<usize> {
        let all: u64 = self.rest.iter().map(BlockRest::len).sum();
        if rows >= all {
            return self.rest.iter().map(|rest| if self.end.descending { rest.from } else { rest.to }).collect();
        }
        // In each block, what lies as far behind its beginning as is its share. The middle of these is the end of about so many rows,
        // unless keys and blocks have to do with each other.
        let share = |rest: &BlockRest| u128::from(rest.len()) * u128::from(rows) / u128::from(all);
        let share = |rest: &BlockRest| u64::try_from(share(rest)).unwrap_or(u64::MAX);
        let ends = self.rest.iter().filter_map(|rest| self.identity(rest, share(rest))).collect();
        let ends = self.in_order(ends, |end: &RowIdentity| end);
        let (cuts, taken) = self.up_to(ends.get(ends.len() / 2));
        if (rows / 4..=rows * 2).contains(&taken) {
            return cuts;
        }
        // More places in each block, twice as far each time, with the rows between them.
        let mut ends = Vec::new();
        for rest in &self.rest {
            let (mut before, mut reach) = (0, share(rest) + 1);
            while before < rest.len().min(rows) {
                let to = reach.min(rest.len());
                ends.extend(self.identity(rest, to - 1).map(|end| (end, to - before)));
                (before, reach) = (to, reach * 2);
            }
        }
        let mut passed = 0;
        let ends = self.in_order(ends, |(end, _)| end);
        let end = ends.iter().find(|(_, between)| {
            passed += between;
            passed >= rows
        });
        self.up_to(end.map(|(end, _)| end)).0
    }

    /// Appends rows of all blocks in their order, up to as many as are wanted in all. Those of each block are in the order of keys, ascending.
    fn append_first(&self, rows: &[Vec<usize>], most: usize, found: &mut Vec<FoundRow>) {
        let head = |block: usize, nth: usize| {
            let (rows, rest) = (rows.get(block)?, self.rest.get(block)?);
            let place = if self.end.descending { rows.len().checked_sub(nth + 1)? } else { nth };
            let row = *rows.get(place)?;
            Some(Head {
                identity: rest.identity_of(row),
                end: self.end,
                at: FoundRow { block, row, ranked: None },
                nth,
            })
        };
        let mut heads: BinaryHeap<Head> = (0..rows.len()).filter_map(|block| head(block, 0)).collect();
        while found.len() < most
            && let Some(mut first) = heads.peek_mut()
        {
            found.push(first.at);
            match head(first.at.block, first.nth + 1) {
                Some(next) => *first = next,
                None => drop(PeekMut::pop(first)),
            }
        }
    }

    /// The key and record id of the row that so many rows of a block come before; none where it has no such row.
    fn identity(&self, rest: &BlockRest, before: u64) -> Option<RowIdentity> {
        let before = usize::try_from(before).ok().filter(|before| *before < rest.to - rest.from)?;
        let rank = if self.end.descending { rest.to - before - 1 } else { rest.from + before };
        rest.ranks.row(rank).map(|row| rest.identity_of(row))
    }

    fn in_order<T>(&self, mut list: Vec<T>, identity: impl Fn(&T) -> &RowIdentity) -> Vec<T> {
        list.sort_unstable_by(|left, right| self.end.directed(identity(left).compare(identity(right))));
        list
    }

    /// The ranks in each block up to a place, and how many rows are before them; with no place, up to the end.
    fn up_to(&self, end: Option<&RowIdentity>) -> (Vec<usize>, u64) {
        let mut taken = 0;
        let mut cut = |rest: &BlockRest| {
            let cut = match end {
                None if self.end.descending => rest.from,
                None => rest.to,
                Some(RowIdentity([key, id])) => {
                    let (begin, behind) = rest.ranks.range(&rest.keys, &rest.ids, key, id);
                    if self.end.descending { begin } else { behind }.clamp(rest.from, rest.to)
                }
            };
            taken += if self.end.descending { rest.to - cut } else { cut - rest.from } as u64;
            cut
        };
        let cuts = self.rest.iter().map(&mut cut).collect();
        (cuts, taken)
    }
}

/// Rows of all blocks that come next: blocks of fewer rows.
struct Front<'b, B: ColumnBlocks> {
    blocks: &'b B,
    /// The rows of each block, in the order of keys, ascending.
    rows: Vec<Vec<u16>>,
}

/// The next row of a block that matches. The greatest head is the one that comes first.
struct Head {
    identity: RowIdentity,
    end: OrderEnd,
    at: FoundRow,
    /// Its place among the block's rows that match, from the first in the order on.
    nth: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.end.directed(self.identity.compare(&other.identity)).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl<B: ColumnBlocks> Front<'_, B> {
    fn len(&self) -> u64 {
        self.rows.iter().map(|rows| rows.len() as u64).sum()
    }

    fn rows_of(&self, block: usize) -> &[u16] {
        self.rows.get(block).map(Vec::as_slice).unwrap_or_default()
    }

    /// The rows of each block that match, in the order of keys, ascending.
    fn matching(&self, filter: &Filter) -> Result<Vec<Vec<usize>>, B::Failure> {
        let mut matching = Vec::with_capacity(self.rows.len());
        for (block, rows) in self.rows.iter().enumerate() {
            let mut of_block: Vec<usize> = Vec::new();
            if !rows.is_empty() {
                let mask = filter::matching(self, block, filter)?;
                mask.each(rows.len(), |place| of_block.extend(rows.get(place).copied().map(usize::from)));
            }
            matching.push(of_block);
        }
        Ok(matching)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{columns::tests::ValueBlocks, query::SortTerm, samples};

    proptest! {
        #[test]
        fn fronts_are_of_about_as_many_rows_as_are_asked_for_however_keys_and_blocks_lie(
            numbers in proptest::collection::vec(0_i64..50, 1..400),
            is_sorted in any::<bool>(),
            (descending, block_rows) in (any::<bool>(), 1_usize..60),
            rows in 1_u64..60,
        ) {
            let definition = samples::definition("things", &[("key", "text"), ("id", "integer")]);
            let mut numbers = numbers;
            if is_sorted {
                numbers.sort_unstable();
            }
            let row = |(nth, number): (i64, &i64)| vec![Value::Text(format!("{number:02}")), Value::Integer(nth)];
            let all: Vec<Vec<Value>> = (0..).zip(&numbers).map(row).collect();
            let blocks = ValueBlocks::new(&definition, &all, block_rows, false);
            let order = [0, 1].map(|column| SortTerm { column, descending });
            let filter = Filter::All(Vec::new());
            let wanted =
                FirstWanted { definition: &definition, filter: &filter, ranking: None, order: &order, after: None, most: 1 };
            let mut ahead = RowsAhead::read(&blocks, &wanted, OrderEnd { descending }).unwrap();
            let mut left = all.len() as u64;
            while !ahead.is_over() {
                let front = ahead.next_front(rows);
                let fewest = (rows / 4).clamp(1, left);
                prop_assert!((fewest..=rows * 5 + blocks.count() as u64).contains(&front.len()), "{} of {rows}", front.len());
                left -= front.len();
            }
            prop_assert_eq!(left, 0);
        }
    }
}
