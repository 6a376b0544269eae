//! Pages of queries. A query that an index serves in its order is tried on the calling thread, within a small budget of steps; any
//! other, and one that exceeds the budget, goes to the pool.

use std::{borrow::Cow, path::Path};

use super::{
    file::unavailable,
    lane::Lane,
    pool::{QuestionFailure, RecordReading, STEPS_PER_LOOK, Watch},
    render::Rendering,
    summary,
    walk::{self, RecordsWanted, Yielded},
    way::{self, Way},
};
use crate::{
    clock::SharedClock,
    dataset::{
        Definition, Document,
        query::{Position, Query, SortTerm},
    },
    store::records::{DataSet, Explained, Page, RecordStoreError, rules},
};

/// The budget of a query on the calling thread, in looks at its watch: some tenths of a millisecond.
const SOON_LOOKS: u32 = 4;
/// The budgets of each of two searches in its turns, in looks: from a fraction of a millisecond to some hundred of them.
const BUDGETS_LOOKS: [u32; 4] = [4, 32, 256, 2048];
/// The budget of a walk through an index in its first turn, and the factor by which it grows from turn to turn.
const WALK_LOOKS: u64 = 4;
const WALK_GROWTH: u64 = 8;
/// The cost of each record in a scan, in steps, about.
const SCAN_STEPS: u64 = 6;
/// How much longer a step takes in a walk, which fetches each record from another place, than in a scan (measured).
const WALK_WEIGHT: u64 = 6;
/// The part of a scan's time that a walk may take to find out whether it pays.
const EXPLORE_PART: u64 = 4;
/// The most room to reserve before a page is known to need it.
const PAGE_BYTES_EXPECTED: usize = 256 * 1024;
/// Room reserved for the end of an answer, bytes.
const END_BYTES: usize = 1024;

/// A page of the records that match a query.
pub(super) fn page(reading: &RecordReading<'_>, query: &Query) -> Result<Page, QuestionFailure> {
    let at = reading.pinned(query.version())?;
    let query = &*placed(reading, query, at)?;
    let ways = way::ways(&reading.data_set.definition, reading.shape, query, at);
    let mut page = match ways.as_slice() {
        [scan, walk] if scan.indexes.is_empty() => walk_or_scan(reading, query, walk, scan)?,
        [search, walk] => in_turns(reading, query, [search, walk])?,
        [way, ..] => run(reading, query, way, &mut 0)?,
        [] => return Err(RecordStoreError::Busy.into()),
    };
    if query.count {
        page.count = Some(summary::count(reading, &query.filter, at)?);
    }
    Ok(page)
}

/// The query with the values of the record to continue after, where its cursor leaves them out.
fn placed<'q>(
    reading: &RecordReading<'_>,
    query: &'q Query,
    at: Option<u64>,
) -> Result<Cow<'q, Query>, QuestionFailure> {
    let Some(anchor) = &query.anchor else { return Ok(Cow::Borrowed(query)) };
    let (definition, asked) = (&reading.data_set.definition, query.for_anchor(anchor));
    let (order, mut found) = (asked.order(definition), None);
    let ways = way::ways(definition, reading.shape, &asked, at);
    if let Some(way) = ways.first() {
        walk::each(reading.connection(), reading.shape, &order, way, -1, |record| {
            let position = record.position(definition, &order, anchor.version)?;
            if !anchor.is_at(&position.values) {
                return Ok(RecordsWanted::More);
            }
            found = Some(position);
            Ok(RecordsWanted::Enough)
        })?;
    }
    let gone = || rules::gone(definition, anchor.version, reading.held_from);
    Ok(Cow::Owned(Query { after: Some(found.ok_or_else(gone)?), anchor: None, ..query.clone() }))
}

/// Answers by an index that has the order, or by a scan and a sort. The time of a scan depends on the number of records; the time
/// of a walk depends on how many match, which shows once it has begun.
fn walk_or_scan(reading: &RecordReading<'_>, query: &Query, walk: &Way, scan: &Way) -> Result<Page, QuestionFailure> {
    let scan_looks = reading.records.saturating_mul(SCAN_STEPS) / u64::from(STEPS_PER_LOOK.unsigned_abs());
    let wanted = u64::from(query.limit) + 1;
    let (mut budget, mut spent) = (WALK_LOOKS, 0);
    while spent * WALK_WEIGHT <= scan_looks {
        let mut found = 0;
        if let Some(page) = turn(reading, query, walk, budget, &mut found)? {
            return Ok(page);
        }
        spent += budget;
        let more = budget.saturating_mul(WALK_GROWTH);
        let whole = (budget * wanted).checked_div(u64::from(found));
        budget = match whole.filter(|whole| whole.saturating_mul(WALK_WEIGHT) < scan_looks) {
            // Twice the estimate: records are not spread evenly.
            Some(whole) => more.max(whole * 2),
            None if more * WALK_WEIGHT * EXPLORE_PART <= scan_looks => more,
            None => break,
        };
    }
    run(reading, query, scan, &mut 0)
}

/// Answers by one of two searches, when it is unknown which is faster: in turn, with growing budgets, until one is done.
fn in_turns(reading: &RecordReading<'_>, query: &Query, ways: [&Way; 2]) -> Result<Page, QuestionFailure> {
    for (budget, way) in BUDGETS_LOOKS.iter().flat_map(|budget| ways.map(|way| (budget, way))) {
        if let Some(page) = turn(reading, query, way, u64::from(*budget), &mut 0)? {
            return Ok(page);
        }
    }
    run(reading, query, ways[0], &mut 0)
}

/// Runs one way within a budget; `None` when that is spent. `found` gets the number of the page's records found by then.
fn turn(
    reading: &RecordReading<'_>,
    query: &Query,
    way: &Way,
    budget_looks: u64,
    found: &mut u32,
) -> Result<Option<Page>, QuestionFailure> {
    reading.watch.turn(Some(u32::try_from(budget_looks).unwrap_or(u32::MAX)));
    let outcome = match run(reading, query, way, found) {
        Err(failure) if failure.is_interrupted() && reading.watch.ran_out_of_budget() => Ok(None),
        outcome => outcome.map(Some),
    };
    reading.watch.turn(None);
    outcome
}

/// The answer to a query that fits a small budget, on the calling thread's connection; `None` if it is not expected to fit, or did
/// not.
pub(super) fn page_soon(
    lane: &mut Lane,
    path: &Path,
    clock: &SharedClock,
    data_set: &DataSet,
    query: &Query,
) -> Option<Result<Page, RecordStoreError>> {
    if (query.count && !query.filter.parts().is_empty()) || query.anchor.is_some() {
        return None;
    }
    let watch = Watch::new(clock, u64::MAX);
    watch.turn(Some(SOON_LOOKS));
    let watched = watch.over(&mut lane.connection).map_err(QuestionFailure::from);
    let outcome = watched.and_then(|()| RecordReading::begin(lane, data_set, &watch)).and_then(|reading| {
        let at = reading.pinned(query.version())?;
        let ways = way::ways(&data_set.definition, reading.shape, query, at);
        match ways.as_slice() {
            [way] if way.ordered && at.is_none() => {
                let mut page = run(&reading, query, way, &mut 0)?;
                page.count = query.count.then_some(reading.records);
                Ok(Some(page))
            }
            _ => Ok(None),
        }
    });
    let unwatched = lane.connection.progress_handler(0, None::<fn() -> bool>).map_err(QuestionFailure::from);
    match outcome.and_then(|page| unwatched.map(|()| page)) {
        Ok(page) => page.map(Ok),
        Err(failure) if failure.is_interrupted() => None,
        Err(QuestionFailure::Sqlite(error)) => Some(Err(unavailable("query", path, &error))),
        Err(QuestionFailure::Other(error)) => Some(Err(error)),
        Err(QuestionFailure::Gone) => None,
    }
}

/// Runs one way to its end. `found` gets the number of the page's records found, also on failure.
fn run(reading: &RecordReading<'_>, query: &Query, way: &Way, found: &mut u32) -> Result<Page, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let selected = query.select.as_deref().map(|select| Rendering::new(definition, Some(select)));
    let rendering = selected.as_ref().unwrap_or(&reading.shape.rendering);
    let version = query.version().unwrap_or(reading.version);
    let mut gathered = Gathered::new(definition, query, rendering, version);
    let (order, limit) = (gathered.order.clone(), i64::from(query.limit) + 1);
    let outcome = walk::each(reading.connection(), reading.shape, &order, way, limit, |record| gathered.take(&record));
    *found = gathered.document.count();
    outcome?;
    Ok(gathered.page(way))
}

/// An unfinished page. It asks for one record more than it holds, to see whether another page follows.
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

    fn take(&mut self, record: &Yielded<'_>) -> Result<RecordsWanted, QuestionFailure> {
        if self.document.count() >= self.query.limit {
            self.more = true;
            return Ok(RecordsWanted::Enough);
        }
        if self.document.count() == 0 {
            // Records of a data set are much alike: reserve room for all of them, within reason, instead of growing.
            let page = self.rendering.bytes_max(record.values).saturating_mul(self.query.limit as usize);
            self.document.reserve((page + page / 4).min(PAGE_BYTES_EXPECTED) + END_BYTES);
        }
        self.rendering.write(record.values, self.document.next_record()).map_err(rusqlite::Error::from)?;
        rules::check_page(self.document.bytes())?;
        if self.document.count() == self.query.limit {
            self.last = Some(record.position(self.definition, &self.order, self.version)?);
        }
        Ok(RecordsWanted::More)
    }

    fn page(self, way: &Way) -> Page {
        let explained = self.query.explain.then(|| Explained { plan: way.explained() });
        Page {
            version: self.version,
            document: self.document,
            next: if self.more { self.last } else { None },
            count: None,
            explained,
        }
    }
}
