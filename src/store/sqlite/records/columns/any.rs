//! Asks a question of whatever blocks a data set has.

use std::sync::Arc;

use super::{
    super::{
        reading::{QuestionFailure, RecordReading},
        schema::RecordTable,
    },
    live::LiveBlocks,
    projection::ShownVersion,
    slot::ColumnSlot,
};
use crate::dataset::columns::{ChunkBounds, Codes, ColumnBlocks, ColumnChunk, Dictionary, FoundRow, Mask, Ranks};

/// The states of a version: from the projection, or read from SQLite as they are needed.
pub(in super::super) enum AnyBlocks<'a> {
    Projected(ShownVersion<'a>),
    Live(LiveBlocks<'a>),
}

/// Asks a question about a version: of the projection if there is one, else of blocks that are read from SQLite with these columns.
pub(in super::super) fn ask<T>(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    version: u64,
    columns: &[usize],
    question: impl Fn(&AnyBlocks<'_>) -> Result<T, QuestionFailure>,
) -> Result<T, QuestionFailure> {
    if let Some(projection) = slot.at(reading)? {
        let definition = &reading.data_set.definition;
        let shown =
            ShownVersion { projection: &projection, definition, cache: slot.cache(), watch: reading.watch, version };
        match question(&AnyBlocks::Projected(shown)) {
            Err(QuestionFailure::Columns(reason)) => slot.give_up(projection.id, &reason),
            outcome => return outcome,
        }
    }
    question(&AnyBlocks::Live(LiveBlocks::new(reading, version, columns)?))
}

impl AnyBlocks<'_> {
    /// The table and number of a state in the snapshot that is read.
    pub(in super::super) fn address(
        &self,
        found: FoundRow,
        reading: &RecordReading<'_>,
    ) -> Result<(RecordTable, i64), QuestionFailure> {
        match self {
            Self::Projected(blocks) => blocks.address(found, reading.version),
            Self::Live(blocks) => blocks.address(found),
        }
    }

    /// The source in words, for an explanation.
    pub(in super::super) fn explained(&self) -> &'static str {
        match self {
            Self::Projected(_) => "compare the columns of all records",
            Self::Live(_) => "compare the columns of all records, as read from their table",
        }
    }
}

/// Hands a call to the blocks that there are.
macro_rules! hand_over {
    ($self:expr, $blocks:ident => $call:expr) => {
        match $self {
            AnyBlocks::Projected($blocks) => $call,
            AnyBlocks::Live($blocks) => $call,
        }
    };
}

impl ColumnBlocks for AnyBlocks<'_> {
    type Failure = QuestionFailure;

    fn are_kept(&self) -> bool {
        hand_over!(self, blocks => blocks.are_kept())
    }

    fn count(&self) -> usize {
        hand_over!(self, blocks => blocks.count())
    }

    fn rows(&self, block: usize) -> Result<usize, QuestionFailure> {
        hand_over!(self, blocks => blocks.rows(block))
    }

    fn visible(&self, block: usize) -> Result<Mask, QuestionFailure> {
        hand_over!(self, blocks => blocks.visible(block))
    }

    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        hand_over!(self, blocks => blocks.bounds(block, column))
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, QuestionFailure> {
        hand_over!(self, blocks => blocks.chunk(block, column))
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, QuestionFailure> {
        hand_over!(self, blocks => blocks.codes(block, column))
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        hand_over!(self, blocks => blocks.folded(block, column))
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        hand_over!(self, blocks => blocks.bare(block, column))
    }

    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        hand_over!(self, blocks => blocks.folded_at_hand(block, column))
    }

    fn bare_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        hand_over!(self, blocks => blocks.bare_at_hand(block, column))
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, QuestionFailure> {
        hand_over!(self, blocks => blocks.ranks(block))
    }
}
