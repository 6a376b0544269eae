//! Which index answers a query. SQLite's own choice can be wrong by a factor of twenty, and nobody would notice before
//! the data has grown; so the index is named (`INDEXED BY`), by this rule:
//!
//! 1. An index of which the filter binds the leading columns to one value each comes first; the more of them the better.
//! 2. Among equals, one whose remaining columns give the order asked for: it answers without sorting and stops when the
//!    page is full.
//! 3. Among equals, one of which the filter limits the next column to a range.
//! 4. With none of these, the table is scanned and sorted.
//!
//! A list of values, or alternatives of which each can be looked up, are looked up one by one: each is a stream in the order
//! asked for, and the streams are merged. So is what a version held that is not the present one: what is still as it was, and
//! what has been replaced since.
//!
//! Where an index has the order but not the conditions, and another one (or a scan) the conditions but not the order,
//! which of them is faster depends on how many records match, and is not known before. Then there are two ways, tried with
//! growing budgets until one of them is done (see `find`): that costs little more than the better one alone. Columns that a
//! way's index shall not be used for are written `+column`, which SQLite never looks up.

mod choose;
mod index;
mod place;
mod sought;
mod write;

pub(super) use self::{
    choose::ways,
    write::{matching, results},
};
use super::{schema::RecordTable, statement::Segment};

/// One way to answer a query.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether the segments yield whole records, in order as they are read. If not, they are sorted and yield row numbers.
    pub(super) ordered: bool,
    /// The indexes that the segments are searched by; none for a scan of the table.
    pub(super) indexes: Vec<String>,
    /// What is read. Each stream yields records in the order asked for; together they are merged. One record may come in
    /// several.
    pub(super) streams: Vec<WayStream>,
}

/// What yields records in order.
#[derive(Debug)]
pub(super) struct WayStream {
    /// Where they are.
    pub(super) table: RecordTable,
    /// Statements to be run one after the other. The last parameter of each, a limit, is not among its parameters yet.
    pub(super) segments: Vec<Segment>,
}

impl Way {
    /// What it does, in words.
    pub(super) fn explained(&self) -> Vec<String> {
        let mut words: Vec<String> = match self.indexes.as_slice() {
            [] => vec!["scan all records".to_owned()],
            indexes => indexes.iter().map(|index| format!("search the index {index}")).collect(),
        };
        let before = self.streams.iter().filter(|stream| stream.table == RecordTable::Old).count();
        if before > 0 {
            words.push("the same in what has been replaced since".to_owned());
        }
        let searches = self.streams.len() - before;
        if searches > 1 {
            words.push(format!("merge {searches} searches"));
        }
        words.push(if self.ordered { "its order is the one asked for" } else { "sort what matches" }.to_owned());
        words
    }
}
