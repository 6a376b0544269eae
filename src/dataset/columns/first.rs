//! The first records in an order: a page, or a part of an export.
//!
//! Blocks are read one after the other. The best rows so far are kept, at most twice as many as are wanted; the last that still counts
//! is the fence that a row has to be before. In each block the fence has a place among the block's codes, so that nearly every row is
//! decided by one comparison of two small numbers.

use std::{
    cell::{OnceCell, RefCell},
    cmp::Ordering,
    sync::Arc,
};

use super::{
    blocks::ColumnBlocks, chunk::ColumnChunk, fence::TermKeys, filter, mask::Mask, ranked::BlockRanking, ranks::Ranks,
};
use crate::dataset::{
    Definition, Value,
    query::{Filter, Ranking, SortTerm, ascending},
};

/// The fewest rows to collect before those that are too many are dropped.
const COLLECTED_MIN: usize = 256;

/// Where no more than one row in so many is alike in a term, the next one is not looked at for all of them.
const ALIKE_FEW: u64 = 256;

/// What the first records are wanted of.
#[derive(Debug, Clone, Copy)]
pub struct FirstWanted<'a> {
    /// The definition of the columns.
    pub definition: &'a Definition,
    /// The filter for the records.
    pub filter: &'a Filter,
    /// What decides before the order.
    pub ranking: Option<&'a Ranking>,
    /// A total order: see [`Query::order`](crate::dataset::query::Query::order).
    pub order: &'a [SortTerm],
    /// The place to continue after: the number that a ranking gives, if there is one, and a value for each term of the order.
    pub after: Option<&'a [Value]>,
    /// The most records.
    pub most: usize,
}

impl<'a> FirstWanted<'a> {
    /// The terms of the order, and its end.
    pub(super) fn terms(&self) -> (&'a [SortTerm], Option<OrderEnd>) {
        match self.order {
            [terms @ .., key, id]
                if key.column == self.definition.key
                    && id.column == self.definition.record_id
                    && key.descending == id.descending =>
            {
                (terms, Some(OrderEnd { descending: key.descending }))
            }
            all => (all, None),
        }
    }
}

/// The place of a state in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRow {
    /// The block.
    pub block: usize,
    /// The row in it.
    pub row: usize,
    /// The number that a ranking gives.
    pub ranked: Option<u32>,
}

/// The first records in an order that match a filter and follow a place, of all rows.
pub(super) fn first_of_all<B: ColumnBlocks>(blocks: &B, wanted: &FirstWanted<'_>) -> Result<Vec<FoundRow>, B::Failure> {
    first_collecting(blocks, wanted, COLLECTED_MIN)
}

/// The same; at least so many rows are collected before those that are too many are dropped.
pub(super) fn first_collecting<B: ColumnBlocks>(
    blocks: &B,
    wanted: &FirstWanted<'_>,
    collected_min: usize,
) -> Result<Vec<FoundRow>, B::Failure> {
    if wanted.most == 0 {
        return Ok(Vec::new());
    }
    let mut collected = Collected::new(blocks, wanted, collected_min);
    for block in collected.blocks_in_order() {
        collected.take_block(block)?;
    }
    collected.finish()
}

/// A row that may be among the first.
struct Candidate {
    at: FoundRow,
    /// Its rank, where there is a ranking.
    rank: u32,
    /// Its values in the terms of the order, without the end.
    values: Vec<Value>,
    /// Its key and record id, once they are needed; from the beginning where its block would have to be read again for them.
    identity: OnceCell<[Value; 2]>,
}

/// The end of most orders: key and record id, both in one direction. Ranks are compared in its place.
#[derive(Clone, Copy)]
pub(super) struct OrderEnd {
    pub(super) descending: bool,
}

struct Collected<'a, B: ColumnBlocks> {
    blocks: &'a B,
    wanted: &'a FirstWanted<'a>,
    /// The terms of the order, without the end.
    terms: &'a [SortTerm],
    end: Option<OrderEnd>,
    candidates: Vec<Candidate>,
    /// Those that are too many are dropped when there are so many.
    collected_max: usize,
    /// Whether the last candidate is the fence: as many as are wanted are there, and later ones are not.
    is_fenced: bool,
}

impl<'a, B: ColumnBlocks> Collected<'a, B> {
    fn new(blocks: &'a B, wanted: &'a FirstWanted<'a>, collected_min: usize) -> Self {
        let (terms, end) = wanted.terms();
        let collected_max = wanted.most.saturating_mul(2).max(collected_min);
        Self { blocks, wanted, terms, end, candidates: Vec::new(), collected_max, is_fenced: false }
    }

    /// The column that decides first.
    fn leading(&self) -> Option<SortTerm> {
        self.wanted.order.first().copied().filter(|_| self.wanted.ranking.is_none())
    }

    /// The blocks, the most promising first: what follows can often be left out.
    fn blocks_in_order(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.blocks.count()).collect();
        let Some(term) = self.leading() else { return all };
        let bounds = |block: &usize| self.blocks.bounds(*block, term.column);
        all.sort_by(|left, right| match (bounds(left), bounds(right)) {
            (Some(left), Some(right)) if !term.descending => ascending(&left.least, &right.least),
            (Some(left), Some(right)) => match (&left.greatest, &right.greatest) {
                (Some(left), Some(right)) if left.is_null() || right.is_null() => ascending(left, right),
                (Some(left), Some(right)) => ascending(right, left),
                (left, right) => left.is_some().cmp(&right.is_some()),
            },
            (left, right) => left.is_some().cmp(&right.is_some()),
        });
        all
    }

    /// Tells whether a block's bounds show that none of its rows counts.
    fn is_beyond(&self, block: usize) -> Result<bool, B::Failure> {
        let Some(term) = self.leading() else { return Ok(false) };
        let Some(bounds) = self.blocks.bounds(block, term.column) else { return Ok(false) };
        if let Some(after) = self.wanted.after.and_then(<[Value]>::first) {
            let is_before = match (term.descending, &bounds.greatest) {
                _ if bounds.has_nulls => false,
                (false, Some(greatest)) => term.compare(greatest, after).is_lt(),
                (false, None) => false,
                (true, _) => term.compare(&bounds.least, after).is_lt(),
            };
            if is_before {
                return Ok(true);
            }
        }
        let Some(fence) = self.fence() else { return Ok(false) };
        let fence = match fence.values.first() {
            Some(value) => value,
            None => &self.identity(fence)?[0],
        };
        Ok(match (term.descending, &bounds.greatest) {
            (false, _) => term.compare(fence, &bounds.least).is_lt(),
            (true, Some(greatest)) => term.compare(fence, greatest).is_lt(),
            (true, None) => false,
        })
    }

    fn fence(&self) -> Option<&Candidate> {
        self.candidates.get(self.wanted.most - 1).filter(|_| self.is_fenced)
    }

    fn take_block(&mut self, block: usize) -> Result<(), B::Failure> {
        if self.is_beyond(block)? {
            return Ok(());
        }
        // What a search in texts is spared, it need not read.
        let filtered = |costly, mask| filter::narrowed(self.blocks, block, self.wanted.filter, costly, mask);
        let mut mask = filtered(false, self.blocks.visible(block)?)?;
        if self.wanted.ranking.is_some() {
            // Only what matches is ranked.
            mask = filtered(true, mask)?;
        }
        if mask.is_empty() {
            return Ok(());
        }
        let local = LocalOrder::read(self, block, &mask)?;
        let after = self.wanted.after.map(|after| local.place(after));
        let mut fence = self.local_fence(&local, block)?;
        mask = local.within(after.as_ref(), fence.as_ref())?.and(mask);
        if self.wanted.ranking.is_none() {
            mask = filtered(true, mask)?;
        }
        // A list, so that an error ends the loop.
        for row in mask.rows(local.rows) {
            let is_after = match &after {
                Some(after) => local.compare(row, after)? == Ordering::Greater,
                None => true,
            };
            let is_before = match &fence {
                Some(fence) => local.compare(row, fence)? == Ordering::Less,
                None => true,
            };
            if !is_after || !is_before {
                continue;
            }
            self.candidates.push(Candidate {
                at: FoundRow {
                    block,
                    row,
                    ranked: local.ranking.as_ref().map(|ranking| ranking.value(local.rank(row))),
                },
                rank: local.rank(row),
                values: local.terms.iter().map(|term| term.value(row)).collect(),
                identity: match self.blocks.are_kept() {
                    true => OnceCell::new(),
                    false => OnceCell::from(local.identity(row)?),
                },
            });
            if self.candidates.len() >= self.collected_max {
                self.drop_surplus()?;
                fence = self.local_fence(&local, block)?;
            }
        }
        Ok(())
    }

    /// The place of the fence in a block.
    fn local_fence(&self, local: &LocalOrder<'_, B>, block: usize) -> Result<Option<LocalPlace>, B::Failure> {
        let Some(fence) = self.fence() else { return Ok(None) };
        let keys = local.terms.iter().zip(&fence.values).map(|(term, value)| term.of_value(value)).collect();
        let end = match self.end {
            None => LocalEnd::None,
            Some(_) if fence.at.block == block => {
                let rank = usize::from(local.ranks()?.rank(fence.at.row));
                LocalEnd::Known(OnceCell::from((rank, rank + 1)))
            }
            Some(_) => LocalEnd::Of { identity: self.identity(fence)?.clone(), place: OnceCell::new() },
        };
        Ok(Some(LocalPlace { rank: fence.rank, keys, end }))
    }

    /// Keeps as many candidates as are wanted, the last of which is the fence.
    fn drop_surplus(&mut self) -> Result<(), B::Failure> {
        let most = self.wanted.most;
        if self.candidates.len() <= most {
            return Ok(());
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        let failure = RefCell::new(None);
        candidates.select_nth_unstable_by(most - 1, |left, right| self.compared(left, right, &failure));
        candidates.truncate(most);
        self.candidates = candidates;
        self.is_fenced = true;
        failure.into_inner().map_or(Ok(()), Err)
    }

    fn finish(mut self) -> Result<Vec<FoundRow>, B::Failure> {
        self.drop_surplus()?;
        let mut candidates = std::mem::take(&mut self.candidates);
        let failure = RefCell::new(None);
        candidates.sort_unstable_by(|left, right| self.compared(left, right, &failure));
        match failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(candidates.into_iter().map(|candidate| candidate.at).collect()),
        }
    }

    /// Compares two candidates by the whole order. A failure is left in its place.
    fn compared(&self, left: &Candidate, right: &Candidate, failure: &RefCell<Option<B::Failure>>) -> Ordering {
        if left.rank != right.rank {
            return left.rank.cmp(&right.rank);
        }
        for (term, (left, right)) in self.terms.iter().zip(left.values.iter().zip(&right.values)) {
            let order = term.compare(left, right);
            if order.is_ne() {
                return order;
            }
        }
        let Some(end) = self.end else { return Ordering::Equal };
        let compared = || {
            if left.at.block == right.at.block && self.blocks.are_kept() {
                let ranks = self.blocks.ranks(left.at.block)?;
                return Ok(ranks.rank(left.at.row).cmp(&ranks.rank(right.at.row)));
            }
            let [(left_key, left_id), (right_key, right_id)] =
                [self.identity(left)?, self.identity(right)?].map(|[key, id]| (key, id));
            Ok(ascending(left_key, right_key).then_with(|| ascending(left_id, right_id)))
        };
        match compared() {
            Ok(order) if end.descending => order.reverse(),
            Ok(order) => order,
            Err(error) => {
                *failure.borrow_mut() = Some(error);
                Ordering::Equal
            }
        }
    }

    /// The key and the record id of a candidate.
    fn identity<'c>(&self, candidate: &'c Candidate) -> Result<&'c [Value; 2], B::Failure> {
        if let Some(identity) = candidate.identity.get() {
            return Ok(identity);
        }
        let FoundRow { block, row, .. } = candidate.at;
        let definition = self.wanted.definition;
        let key = self.blocks.chunk(block, definition.key)?.value(row);
        let id = self.blocks.chunk(block, definition.record_id)?.value(row);
        Ok(candidate.identity.get_or_init(|| [key, id]))
    }
}

/// A side of a place in an order.
#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

/// A place in the order, in the codes of a block.
struct LocalPlace {
    /// Zero where there is no ranking.
    rank: u32,
    keys: Vec<u32>,
    end: LocalEnd,
}

/// The place of a key and record id in a block: the first rank that is not before them, and the first that is after them.
enum LocalEnd {
    /// The order has no such end.
    None,
    Known(OnceCell<(usize, usize)>),
    /// Found once rows are compared that are alike up to here.
    Of {
        identity: [Value; 2],
        place: OnceCell<(usize, usize)>,
    },
}

/// The order over one block.
struct LocalOrder<'l, B: ColumnBlocks> {
    blocks: &'l B,
    block: usize,
    definition: &'l Definition,
    ranking: Option<BlockRanking>,
    terms: Vec<TermKeys>,
    end: Option<OrderEnd>,
    rows: usize,
    ranks: OnceCell<Arc<Ranks>>,
    identities: OnceCell<[ColumnChunk; 2]>,
}

impl<'l, B: ColumnBlocks> LocalOrder<'l, B> {
    /// Reads the order of a block, of which these rows are wanted.
    fn read(collected: &Collected<'l, B>, block: usize, wanted: &Mask) -> Result<Self, B::Failure> {
        let read = |ranking| BlockRanking::read(collected.blocks, block, ranking, wanted);
        let ranking = collected.wanted.ranking.map(read).transpose()?;
        let mut terms = Vec::with_capacity(collected.terms.len());
        for term in collected.terms {
            terms.push(TermKeys::new(collected.blocks.chunk(block, term.column)?, term));
        }
        Ok(Self {
            blocks: collected.blocks,
            block,
            definition: collected.wanted.definition,
            ranking,
            terms,
            end: collected.end,
            rows: collected.blocks.rows(block)?,
            ranks: OnceCell::new(),
            identities: OnceCell::new(),
        })
    }

    fn ranks(&self) -> Result<&Ranks, B::Failure> {
        if let Some(ranks) = self.ranks.get() {
            return Ok(ranks);
        }
        let ranks = self.blocks.ranks(self.block)?;
        Ok(self.ranks.get_or_init(|| ranks))
    }

    /// The keys and the record ids.
    fn identities(&self) -> Result<&[ColumnChunk; 2], B::Failure> {
        if let Some(identities) = self.identities.get() {
            return Ok(identities);
        }
        let keys = self.blocks.chunk(self.block, self.definition.key)?;
        let ids = self.blocks.chunk(self.block, self.definition.record_id)?;
        Ok(self.identities.get_or_init(|| [keys, ids]))
    }

    /// The key and the record id of a row.
    fn identity(&self, row: usize) -> Result<[Value; 2], B::Failure> {
        Ok(self.identities()?.each_ref().map(|chunk| chunk.value(row)))
    }

    /// The rank of a row; zero where there is no ranking.
    fn rank(&self, row: usize) -> u32 {
        self.ranking.as_ref().map_or(0, |ranking| ranking.of_row(row))
    }

    /// The place of values of the whole order.
    fn place(&self, values: &[Value]) -> LocalPlace {
        let (rank, values) = match (&self.ranking, values.split_first()) {
            (Some(ranking), Some((number, values))) => (ranking.rank_of(number), values),
            _ => (0, values),
        };
        let keys = self.terms.iter().zip(values).map(|(term, value)| term.of_value(value)).collect();
        let end = match (self.end, values.get(self.terms.len()..)) {
            (Some(_), Some([key, id])) => LocalEnd::Of { identity: [key.clone(), id.clone()], place: OnceCell::new() },
            _ => LocalEnd::None,
        };
        LocalPlace { rank, keys, end }
    }

    /// The ranks at a place: the first not before it, and the first after it.
    fn ranks_at(&self, place: &LocalPlace) -> Result<Option<(usize, usize)>, B::Failure> {
        match &place.end {
            LocalEnd::None => Ok(None),
            LocalEnd::Known(place) => Ok(place.get().copied()),
            LocalEnd::Of { identity: [key, id], place } => {
                if let Some(place) = place.get() {
                    return Ok(Some(*place));
                }
                let [keys, ids] = self.identities()?;
                let found = self.ranks()?.range(keys, ids, key, id);
                Ok(Some(*place.get_or_init(|| found)))
            }
        }
    }

    /// The rows that may lie between two places.
    fn within(&self, after: Option<&LocalPlace>, fence: Option<&LocalPlace>) -> Result<Mask, B::Failure> {
        if after.is_none() && fence.is_none() {
            return Ok(Mask::Everything);
        }
        if let Some(ranking) = &self.ranking {
            let rank = |place: Option<&LocalPlace>| place.map(|place| place.rank);
            return Ok(ranking.between(rank(after).unwrap_or(0), rank(fence).unwrap_or(u32::MAX)));
        }
        if self.terms.is_empty() {
            return self.ranked(after, fence);
        }
        Ok(self.beside(after, Side::After, 0)?.and(self.beside(fence, Side::Before, 0)?))
    }

    /// The rows that may lie on one side of a place, by the terms from one on.
    fn beside(&self, place: Option<&LocalPlace>, side: Side, nth: usize) -> Result<Mask, B::Failure> {
        let Some(place) = place else { return Ok(Mask::Everything) };
        let (Some(term), Some(key)) = (self.terms.get(nth), place.keys.get(nth).copied()) else {
            return match side {
                Side::Before => self.ranked(None, Some(place)),
                Side::After => self.ranked(Some(place), None),
            };
        };
        let beyond = match side {
            Side::Before => key.checked_sub(1).map(|last| term.between(0, last)),
            Side::After => key.checked_add(1).map(|first| term.between(first, u32::MAX)),
        };
        let (beyond, alike) = (beyond.unwrap_or(Mask::Nothing), term.between(key, key));
        // A few rows are compared one by one sooner.
        if alike.count(self.rows) * ALIKE_FEW <= self.rows as u64 {
            return Ok(beyond.or(alike));
        }
        Ok(beyond.or(alike.and(self.beside(Some(place), side, nth + 1)?)))
    }

    /// The rows that lie between two places by the end of the order.
    fn ranked(&self, after: Option<&LocalPlace>, fence: Option<&LocalPlace>) -> Result<Mask, B::Failure> {
        let Some(end) = self.end else { return Ok(Mask::Everything) };
        let at = |place: Option<&LocalPlace>| place.map_or(Ok(None), |place| self.ranks_at(place));
        let (after, fence) = (at(after)?, at(fence)?);
        // The ranks from one on, up to another one.
        let (from, to) = match end.descending {
            false => (after.map_or(0, |after| after.1), fence.map_or(self.rows, |fence| fence.0)),
            true => (fence.map_or(0, |fence| fence.1), after.map_or(self.rows, |after| after.0)),
        };
        Ok(match (u16::try_from(from), to.checked_sub(1).map(u16::try_from)) {
            (Ok(from), Some(Ok(last))) => self.ranks()?.of_row.between(from, last),
            _ => Mask::Nothing,
        })
    }

    /// Compares a row with a place.
    fn compare(&self, row: usize, place: &LocalPlace) -> Result<Ordering, B::Failure> {
        let order = self.rank(row).cmp(&place.rank);
        if order.is_ne() {
            return Ok(order);
        }
        for (term, key) in self.terms.iter().zip(&place.keys) {
            let order = term.of_row(row).cmp(key);
            if order.is_ne() {
                return Ok(order);
            }
        }
        let (Some(end), Some((begin, behind))) = (self.end, self.ranks_at(place)?) else { return Ok(Ordering::Equal) };
        let rank = usize::from(self.ranks()?.rank(row));
        let order = if rank < begin {
            Ordering::Less
        } else if rank < behind {
            Ordering::Equal
        } else {
            Ordering::Greater
        };
        Ok(if end.descending { order.reverse() } else { order })
    }
}
