//! Pages of queries. A query that an index serves in its order is tried on the thread that asks, within a small budget of
//! steps; any other, and one that was not done, goes to the pool.

use std::path::Path;

use super::{
    Lane, plan,
    pool::{Failure, Reading, Watch},
    render::Rendering,
    summary, unavailable,
    walk::{self, Wanted, Yielded},
};
use crate::{
    clock::SharedClock,
    dataset::{
        Definition, Document,
        query::{Position, Query, SortTerm},
    },
    store::records::{DataSet, Explained, Page, RecordStoreError, rules},
};

/// What a query may spend on the thread that asks, in looks at its watch: some tenths of a millisecond.
const SOON_LOOKS: u32 = 4;
/// What each of two ways may spend in its turns, in looks: from a fraction of a millisecond to some hundred of them.
const BUDGETS_LOOKS: [u32; 4] = [4, 32, 256, 2048];
/// What room is made for at most before a page is known to need it.
const PAGE_BYTES_EXPECTED: usize = 256 * 1024;
/// Bytes of the end of an answer, for which room is kept.
const END_BYTES: usize = 1024;

/// A page of the records that a query asks for.
pub(super) fn page(reading: &Reading<'_>, query: &Query) -> Result<Page, Failure> {
    let at = reading.pinned(version(query))?;
    let ways = plan::ways(&reading.data_set.definition, reading.shape, query, at);
    let turns = BUDGETS_LOOKS.iter().flat_map(|budget| ways.iter().map(|way| (way, Some(*budget))));
    let to_the_end = ways.first().map(|way| (way, None));
    let alone = ways.len() == 1;
    for (way, budget) in turns.filter(|_| !alone).chain(to_the_end) {
        reading.watch.turn(budget);
        match run(reading, query, way) {
            Err(failure) if failure.is_interrupted() && reading.watch.ran_out_of_budget() => {}
            Err(failure) => return Err(failure),
            Ok(mut page) => {
                reading.watch.turn(None);
                if query.count {
                    page.count = Some(summary::count(reading, &query.filter, at)?);
                }
                return Ok(page);
            }
        }
    }
    // The last turn has no budget, so it has returned.
    Err(RecordStoreError::Busy.into())
}

/// The version that a query goes on with.
fn version(query: &Query) -> Option<u64> {
    query.after.as_ref().map(|position| position.version)
}

/// The answer to a query that is done within a small budget, on a connection of the thread that asks; `None` where that
/// cannot be expected, or was not so.
pub(super) fn page_soon(
    lane: &mut Lane,
    path: &Path,
    clock: &SharedClock,
    data_set: &DataSet,
    query: &Query,
) -> Option<Result<Page, RecordStoreError>> {
    if query.count && !query.filter.parts().is_empty() {
        return None;
    }
    let watch = Watch::new(clock, u64::MAX);
    watch.turn(Some(SOON_LOOKS));
    let watched = watch.over(&mut lane.connection).map_err(Failure::from);
    let outcome = watched.and_then(|()| Reading::begin(lane, data_set, &watch)).and_then(|reading| {
        let at = reading.pinned(version(query))?;
        let ways = plan::ways(&data_set.definition, reading.shape, query, at);
        match ways.as_slice() {
            [way] if way.ordered && at.is_none() => {
                let mut page = run(&reading, query, way)?;
                page.count = query.count.then_some(reading.records);
                Ok(Some(page))
            }
            _ => Ok(None),
        }
    });
    let unwatched = lane.connection.progress_handler(0, None::<fn() -> bool>).map_err(Failure::from);
    match outcome.and_then(|page| unwatched.map(|()| page)) {
        Ok(page) => page.map(Ok),
        Err(failure) if failure.is_interrupted() => None,
        Err(Failure::Sqlite(error)) => Some(Err(unavailable("query", path, &error))),
        Err(Failure::Other(error)) => Some(Err(error)),
        Err(Failure::Gone) => None,
    }
}

fn run(reading: &Reading<'_>, query: &Query, way: &plan::Way) -> Result<Page, Failure> {
    let definition = &reading.data_set.definition;
    let selected = query.select.as_deref().map(|select| Rendering::new(definition, Some(select)));
    let rendering = selected.as_ref().unwrap_or(&reading.shape.rendering);
    let version = version(query).unwrap_or(reading.version);
    let mut gathered = Gathered::new(definition, query, rendering, version);
    let (order, limit) = (gathered.order.clone(), i64::from(query.limit) + 1);
    walk::each(reading.connection(), reading.shape, &order, way, limit, |record| gathered.take(&record))?;
    Ok(gathered.page(way))
}

/// A page in the making. It is asked for one record more than it holds, to know whether another page follows.
struct Gathered<'a> {
    definition: &'a Definition,
    query: &'a Query,
    order: Vec<SortTerm>,
    rendering: &'a Rendering,
    version: u64,
    document: Document,
    last: Option<Position>,
    more: bool,
}

impl<'a> Gathered<'a> {
    fn new(definition: &'a Definition, query: &'a Query, rendering: &'a Rendering, version: u64) -> Self {
        let order = query.order(definition);
        Self { definition, query, order, rendering, version, document: Document::list(), last: None, more: false }
    }

    fn take(&mut self, record: &Yielded<'_>) -> Result<Wanted, Failure> {
        if self.document.count() >= self.query.limit {
            self.more = true;
            return Ok(Wanted::Enough);
        }
        if self.document.count() == 0 {
            // Records of one data set are much alike: room for them all, within reason, instead of growing by and by.
            let page = self.rendering.bytes_max(record.values).saturating_mul(self.query.limit as usize);
            self.document.reserve((page + page / 4).min(PAGE_BYTES_EXPECTED) + END_BYTES);
        }
        self.rendering.write(record.values, self.document.next_record()).map_err(rusqlite::Error::from)?;
        rules::check_page(self.document.bytes())?;
        if self.document.count() == self.query.limit {
            self.last = Some(record.position(self.definition, &self.order, self.version)?);
        }
        Ok(Wanted::More)
    }

    fn page(self, way: &plan::Way) -> Page {
        let explained =
            self.query.explain.then(|| Explained { plan: way.explained(), read_units: None, examined: None });
        Page {
            version: self.version,
            document: self.document,
            next: if self.more { self.last } else { None },
            complete: true,
            count: None,
            explained,
        }
    }
}
