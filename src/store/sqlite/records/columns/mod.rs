//! The column projection of a data set: every held state of every record, as typed columns in blocks (`dataset/columns`). It answers
//! the questions that no index serves, about the present and about earlier versions alike.
//!
//! Guarantees:
//! - It is never the truth. It is made from the data set's SQLite file by a thread of its own, and made anew where it is missing,
//!   damaged, or of another file. Until then the same questions are answered from blocks that are read from SQLite one by one.
//! - An answer is of the one version that the question's snapshot of SQLite has. A projection that is behind is brought to that
//!   version first, from the same snapshot: changed records get new states in memory, and their earlier states get an end.
//! - A file is written under another name, and takes its place as a whole. Each part of it has a checksum, which is compared whenever
//!   the part is read.

mod any;
mod build;
mod cache;
mod calls;
mod catch_up;
mod file;
mod keep;
mod live;
mod projection;
mod slot;
mod states;

#[cfg(test)]
pub(super) use self::keep::tend;
use crate::dataset::columns::BLOCK_ROWS;

pub(super) use self::{
    any::ask, cache::ColumnCache, calls::KeeperCalls, file::remove_file, keep::ColumnKeeper, slot::ColumnSlot,
};

/// Sizes of column projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSettings {
    /// Memory for parts of projections, bytes, over all data sets. With 0 there are no projections.
    pub bytes_max: u64,
    /// The fewest states of a data set for which a projection is made.
    pub states_min: u64,
    /// The most states in a block.
    pub block_rows: usize,
    /// The most changed records by which a projection is brought to the next version in memory. Beyond them it is made anew.
    pub changes_max: u64,
    /// Whether a thread makes projections as they are needed.
    pub kept: bool,
}

impl ColumnSettings {
    /// No projections.
    pub const NONE: Self = Self { bytes_max: 0, states_min: 0, block_rows: BLOCK_ROWS, changes_max: 0, kept: false };
}
