//! Which index answers a query. SQLite's own choice can be wrong by a factor of twenty, and nobody would notice before
//! the data has grown; so the index is named (`INDEXED BY`), by this rule:
//!
//! 1. An index whose leading columns the filter binds to one value each comes first; the more of them the better.
//! 2. Among equals, one whose remaining columns give the order asked for: it answers without sorting and stops when the
//!    page is full.
//! 3. Among equals, one whose next column the filter limits to a range.
//! 4. With none of these, the table is scanned and sorted.
//!
//! A list of values, or alternatives that can each be looked up, are looked up one by one: each is a stream in the requested order,
//! and the streams are merged. An earlier version is merged in the same way: from records that have not changed since, and from
//! records that were replaced since.
//!
//! If one index has the order but not the conditions, and another one (or a scan) the conditions but not the order, the number of
//! matching records decides which is faster, and it is not known before. Then there are two ways, tried with growing budgets until
//! one of them is done (see `find`): that costs little more than the better one alone. Columns that must not be searched in a way's
//! index are written `+column`, which SQLite never looks up.

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
    /// Whether the segments yield whole records in order. If not, they yield sorted row numbers.
    pub(super) ordered: bool,
    /// The indexes of the segments; none for a scan of the table.
    pub(super) indexes: Vec<String>,
    /// The streams to read. Each yields records in the requested order; together they are merged. Several may yield the same
    /// record.
    pub(super) streams: Vec<WayStream>,
}

/// A source of records in order.
#[derive(Debug)]
pub(super) struct WayStream {
    /// The table of the records.
    pub(super) table: RecordTable,
    /// Statements to run one after the other. Their parameters lack the last one, a limit.
    pub(super) segments: Vec<Segment>,
}

impl Way {
    /// The way in words.
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
