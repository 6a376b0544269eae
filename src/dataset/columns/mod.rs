//! Columns: the states of a data set's records, column by column, in blocks. Questions that no index serves are answered from them.
//!
//! A block holds up to [`BLOCK_ROWS`] states. In a block, each column is a [`Chunk`]: a dictionary of its different values in ascending
//! order, and for each row the value's place in it, the *code*. Codes have one or two bytes, and their order is that of the values, so
//! that conditions, orders and counts of any type are loops over small numbers. A null has the code after the last value.
//!
//! [`Filter::matches`](super::query::Filter::matches) and [`Query::order`](super::query::Query::order) define what an answer is; here
//! is only how it is found. Where blocks come from is up to a store: see [`ColumnBlocks`].

mod build;
mod chunk;
mod codes;
mod dictionary;
mod fence;
mod filter;
mod first;
mod groups;
mod mask;
mod ranks;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::{
    build::ChunkBuilder,
    chunk::{Chunk, TornChunk},
    codes::Codes,
    dictionary::{Dictionary, TextList},
    first::{FirstWanted, FoundRow, first},
    groups::{FoundGroups, GroupFailure, GroupRoom, Measured, groups},
    mask::Mask,
    ranks::Ranks,
    summary::{count, facets, stats},
};
use super::Value;

/// The most states in a block: their codes fit into two bytes.
pub const BLOCK_ROWS: usize = 1 << 16;

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

/// States of records in blocks, as a store holds them. One value of this type shows the records of one version.
pub trait ColumnBlocks {
    /// Why a block cannot be read.
    type Failure;

    /// The number of blocks.
    fn count(&self) -> usize;

    /// The number of rows in a block.
    ///
    /// # Errors
    /// Where the block cannot be read, or there is no time left.
    fn rows(&self, block: usize) -> Result<usize, Self::Failure>;

    /// The rows of a block whose state counts in the version that is shown.
    ///
    /// # Errors
    /// Where the block cannot be read, or there is no time left.
    fn visible(&self, block: usize) -> Result<Mask, Self::Failure>;

    /// The bounds of a column in a block, if they are known without reading it.
    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds>;

    /// A column of a block.
    ///
    /// # Errors
    /// Where it cannot be read, or there is no time left.
    fn chunk(&self, block: usize, column: usize) -> Result<Chunk, Self::Failure>;

    /// The codes of a column of a block alone.
    ///
    /// # Errors
    /// Where they cannot be read, or there is no time left.
    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, Self::Failure>;

    /// The folded forms of a text column's different values, in the order of its codes.
    ///
    /// # Errors
    /// Where they cannot be read, or there is no time left.
    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Self::Failure>;

    /// The order of a block's rows by key and record id.
    ///
    /// # Errors
    /// Where it cannot be read, or there is no time left.
    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, Self::Failure>;
}
