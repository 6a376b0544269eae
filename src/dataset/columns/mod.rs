//! Columns: the states of a data set's records, column by column, in blocks. Questions that no index serves are answered from them.
//!
//! A block holds up to [`BLOCK_ROWS`] states. In a block, each column is a [`ColumnChunk`]: a dictionary of its different values in ascending
//! order, and for each row the value's place in it, the *code*. Codes have one or two bytes, and their order is that of the values, so
//! that conditions, orders and counts of any type are loops over small numbers. A null has the code after the last value.
//!
//! [`Filter::matches`](super::query::Filter::matches) and [`Query::order`](super::query::Query::order) define what an answer is; here
//! is only how it is found. Where blocks come from is up to a store: see [`ColumnBlocks`].

mod blocks;
mod build;
mod chunk;
mod codes;
mod dictionary;
mod fence;
mod few;
mod filter;
mod first;
mod front;
mod groups;
mod mask;
mod measure;
mod ranked;
mod ranks;
mod summary;
#[cfg(test)]
mod tests;
mod words;

pub use self::{
    blocks::ColumnBlocks,
    build::ChunkBuilder,
    chunk::{ChunkBounds, ColumnChunk, TornChunk},
    codes::{BLOCK_ROWS, Codes},
    dictionary::{Dictionary, TextList},
    first::{FirstWanted, FoundRow},
    front::first,
    groups::{FoundGroups, GroupFailure, GroupRoom, groups},
    mask::Mask,
    measure::Measured,
    ranks::Ranks,
    summary::{count, facets, stats},
};
