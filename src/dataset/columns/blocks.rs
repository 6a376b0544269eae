//! Where blocks come from.

use std::sync::Arc;

use super::{
    chunk::{ChunkBounds, ColumnChunk},
    codes::Codes,
    dictionary::Dictionary,
    mask::Mask,
    ranks::Ranks,
};

/// States of records in blocks, as a store holds them. One value of this type shows the records of one version.
pub trait ColumnBlocks {
    /// Why a block cannot be read.
    type Failure;

    /// Tells whether blocks are kept: then to read parts of all of them costs less than to read all of one after the other.
    fn are_kept(&self) -> bool;

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
    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, Self::Failure>;

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

    /// The forms without case and accents of a text column's different values, in the order of its codes.
    ///
    /// # Errors
    /// Where they cannot be read, or there is no time left.
    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Self::Failure>;

    /// The folded forms of a text column's different values, if they are in memory.
    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>>;

    /// The forms without case and accents of a text column's different values, if they are in memory.
    fn bare_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>>;

    /// The order of a block's rows by key and record id.
    ///
    /// # Errors
    /// Where it cannot be read, or there is no time left.
    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, Self::Failure>;
}
