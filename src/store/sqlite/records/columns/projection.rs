//! A projection of one version, and the states of any version that it holds.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        reading::{QuestionFailure, Watch},
        schema::RecordTable,
    },
    cache::{ColumnCache, Part, PartKey},
    file::{BlockEntry, ChunkExtents, ColumnFile, ColumnFileError, FileExtent, ProjectedVersion},
    states::{StateBlock, counting},
};
use crate::dataset::{
    Definition,
    columns::{ChunkBounds, Codes, ColumnBlocks, ColumnChunk, Dictionary, FoundRow, Mask, Ranks},
};

/// The end of a state that a block has as an open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateEnd {
    /// The first version in which it does not count.
    pub(super) until: u64,
    /// The number that it has among earlier states from then on.
    pub(super) change: i64,
}

/// The ends of a block's states, by row.
pub(super) type StateEnds = BTreeMap<usize, StateEnd>;

/// The states of all records up to a version. It is never changed: the next version has a value of its own.
#[derive(Debug, Clone)]
pub(in super::super) struct Projection {
    /// Unlike the name of its file, never used again for another projection.
    pub(super) id: u64,
    pub(super) of: ProjectedVersion,
    pub(super) file: Arc<ColumnFile>,
    /// Blocks in memory, which follow those of the file: states that later versions have added.
    pub(super) added: Vec<Arc<StateBlock>>,
    /// The ends that later versions have given to states, by block.
    pub(super) ends: BTreeMap<usize, Arc<StateEnds>>,
    /// The number of states in the file.
    pub(super) file_states: u64,
}

impl Projection {
    pub(super) fn new(id: u64, file: ColumnFile) -> Self {
        let file_states = file.directory.blocks.iter().map(|block| block.rows as u64).sum();
        let of = file.directory.of.clone();
        Self { id, of, file: Arc::new(file), added: Vec::new(), ends: BTreeMap::new(), file_states }
    }

    /// The number of states and of ends in memory.
    pub(super) fn added_states(&self) -> u64 {
        let states = self.added.iter().map(|block| block.rows.len() as u64);
        states.chain(self.ends.values().map(|ends| ends.len() as u64)).sum()
    }

    /// Tells whether a fourth of the file's states, or more, ended before the earliest version that can be read.
    pub(super) fn is_outlived(&self, held_from: u64) -> bool {
        let over = self.file.directory.blocks.iter().filter(|block| block.until_max <= held_from);
        over.map(|block| block.rows as u64).sum::<u64>() * 4 > self.file_states
    }

    /// A block of the file, or one in memory.
    pub(super) fn block(&self, block: usize) -> Result<ProjectedBlock<'_>, QuestionFailure> {
        if let Some(entry) = self.file.directory.blocks.get(block) {
            return Ok(ProjectedBlock::File(entry));
        }
        let added = block.checked_sub(self.file.directory.blocks.len()).and_then(|nth| self.added.get(nth));
        added
            .map(|states| ProjectedBlock::Memory(states))
            .ok_or_else(|| QuestionFailure::columns("there is no such block"))
    }
}

/// A block of a projection.
pub(super) enum ProjectedBlock<'p> {
    File(&'p BlockEntry),
    Memory(&'p StateBlock),
}

impl ProjectedBlock<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::File(entry) => entry.rows,
            Self::Memory(states) => states.rows.len(),
        }
    }

    pub(super) fn table(&self) -> RecordTable {
        match self {
            Self::File(entry) => entry.table(),
            Self::Memory(states) => states.table,
        }
    }
}

/// The states of one version.
#[derive(Clone, Copy)]
pub(in super::super) struct ShownVersion<'a> {
    pub(super) projection: &'a Projection,
    pub(super) definition: &'a Definition,
    pub(super) cache: &'a ColumnCache,
    pub(super) watch: &'a Watch,
    pub(super) version: u64,
}

impl ShownVersion<'_> {
    /// A part of the file, from memory if it is there.
    fn part(
        &self,
        extent: FileExtent,
        read: impl FnOnce(&ColumnFile) -> Result<Part, ColumnFileError>,
    ) -> Result<Part, QuestionFailure> {
        if self.watch.is_over() {
            return Err(QuestionFailure::TimeUp);
        }
        let key = PartKey { projection: self.projection.id, at: extent.at };
        if let Some(part) = self.cache.get(key) {
            return Ok(part);
        }
        let part = read(&self.projection.file).map_err(|error| QuestionFailure::Columns(error.to_string()))?;
        self.cache.insert(key, part.clone());
        Ok(part)
    }

    fn dictionary(&self, extent: FileExtent) -> Result<Arc<Dictionary>, QuestionFailure> {
        match self.part(extent, |file| Ok(Part::Dictionary(Arc::new(file.dictionary(extent)?))))? {
            Part::Dictionary(dictionary) => Ok(dictionary),
            _ => Err(QuestionFailure::columns("a part is not a dictionary")),
        }
    }

    /// A dictionary, if it is in memory.
    fn at_hand(&self, extent: FileExtent) -> Option<Arc<Dictionary>> {
        match self.cache.get(PartKey { projection: self.projection.id, at: extent.at })? {
            Part::Dictionary(dictionary) => Some(dictionary),
            _ => None,
        }
    }

    fn codes_at(&self, extent: FileExtent, rows: usize) -> Result<Arc<Codes>, QuestionFailure> {
        match self.part(extent, |file| Ok(Part::Codes(Arc::new(file.codes(extent, rows)?))))? {
            Part::Codes(codes) => Ok(codes),
            _ => Err(QuestionFailure::columns("a part has no codes")),
        }
    }

    fn chunk_at(&self, extents: ChunkExtents, rows: usize) -> Result<ColumnChunk, QuestionFailure> {
        let (dictionary, codes) = (self.dictionary(extents.dictionary)?, self.codes_at(extents.codes, rows)?);
        Ok(ColumnChunk { dictionary, codes })
    }

    /// The version since which each state of a block counts.
    pub(super) fn from(&self, block: usize, row: usize) -> Result<Option<i64>, QuestionFailure> {
        Ok(match self.projection.block(block)? {
            ProjectedBlock::File(entry) => self.chunk_at(entry.from, entry.rows)?.whole(row),
            ProjectedBlock::Memory(states) => states.from.whole(row),
        })
    }

    /// The table and number of a state in the snapshot of a version that is not before the one that is shown.
    pub(super) fn address(&self, found: FoundRow, snapshot: u64) -> Result<(RecordTable, i64), QuestionFailure> {
        let FoundRow { block, row, .. } = found;
        if let Some(end) = self.projection.ends.get(&block).and_then(|ends| ends.get(&row))
            && end.until <= snapshot
        {
            return Ok((RecordTable::Old, end.change));
        }
        let place = self.projection.block(block)?;
        let number = match place {
            ProjectedBlock::Memory(states) => states.rows.get(row).copied(),
            ProjectedBlock::File(BlockEntry { numbers: None, first_row, .. }) => {
                i64::try_from(row).ok().and_then(|row| first_row.checked_add(row))
            }
            ProjectedBlock::File(BlockEntry { numbers: Some(extent), .. }) => {
                match self.part(*extent, |file| Ok(Part::Rows(Arc::new(file.numbers(*extent)?))))? {
                    Part::Rows(rows) => rows.get(row).copied(),
                    _ => None,
                }
            }
        };
        let number = number.ok_or_else(|| QuestionFailure::columns("a state has no number"))?;
        Ok((place.table(), number))
    }
}

impl ColumnBlocks for ShownVersion<'_> {
    type Failure = QuestionFailure;

    fn are_kept(&self) -> bool {
        true
    }

    fn count(&self) -> usize {
        self.projection.file.directory.blocks.len() + self.projection.added.len()
    }

    fn rows(&self, block: usize) -> Result<usize, QuestionFailure> {
        Ok(self.projection.block(block)?.rows())
    }

    fn visible(&self, block: usize) -> Result<Mask, QuestionFailure> {
        self.watch.check()?;
        let place = self.projection.block(block)?;
        let mut mask = match place {
            ProjectedBlock::Memory(states) => states.visible(self.version),
            ProjectedBlock::File(entry) if entry.until_max <= self.version => Mask::Nothing,
            ProjectedBlock::File(entry) => {
                let from = match entry.from_max <= self.version {
                    true => None,
                    false => Some(self.chunk_at(entry.from, entry.rows)?),
                };
                let until = entry.until.map(|until| self.chunk_at(until, entry.rows)).transpose()?;
                counting(from.as_ref(), until.as_ref(), self.version)
            }
        };
        if let Some(ends) = self.projection.ends.get(&block) {
            for (row, _) in ends.iter().filter(|(_, end)| end.until <= self.version) {
                mask.remove(*row, place.rows());
            }
        }
        Ok(mask)
    }

    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        self.projection.file.bounds(block, column)
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, QuestionFailure> {
        match self.projection.block(block)? {
            ProjectedBlock::Memory(states) => Ok(states.column(column)?.chunk.clone()),
            ProjectedBlock::File(entry) => self.chunk_at(entry.column(column)?.chunk, entry.rows),
        }
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, QuestionFailure> {
        match self.projection.block(block)? {
            ProjectedBlock::Memory(states) => Ok(Arc::clone(&states.column(column)?.chunk.codes)),
            ProjectedBlock::File(entry) => self.codes_at(entry.column(column)?.chunk.codes, entry.rows),
        }
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        match self.projection.block(block)? {
            ProjectedBlock::Memory(states) => Ok(states.column(column)?.folded()),
            ProjectedBlock::File(entry) => self.dictionary(entry.column(column)?.folded()),
        }
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        match self.projection.block(block)? {
            ProjectedBlock::Memory(states) => Ok(states.column(column)?.bare()),
            ProjectedBlock::File(entry) => self.dictionary(entry.column(column)?.bare()),
        }
    }

    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        match self.projection.block(block).ok()? {
            ProjectedBlock::Memory(states) => Some(states.column(column).ok()?.folded()),
            ProjectedBlock::File(entry) => self.at_hand(entry.column(column).ok()?.folded()),
        }
    }

    fn bare_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        match self.projection.block(block).ok()? {
            ProjectedBlock::Memory(states) => Some(states.column(column).ok()?.bare()),
            ProjectedBlock::File(entry) => self.at_hand(entry.column(column).ok()?.bare()),
        }
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, QuestionFailure> {
        let entry = match self.projection.block(block)? {
            ProjectedBlock::Memory(states) => return states.ranks(self.definition.key, self.definition.record_id),
            ProjectedBlock::File(entry) => entry,
        };
        let extent = entry.ranks;
        match self.part(extent, |file| Ok(Part::Ranks(Arc::new(file.ranks(extent, entry.rows)?))))? {
            Part::Ranks(ranks) => Ok(ranks),
            _ => Err(QuestionFailure::columns("a part is not an order")),
        }
    }
}
