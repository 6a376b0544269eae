//! Pages of queries. A query whose order an index has is tried on the calling thread, within a small budget of steps; any other, and
//! one that exceeds the budget, goes to the pool. There an index that has the order and all conditions is walked, and every other
//! query is answered from columns.

use std::{borrow::Cow, path::Path};

use super::{
    columns::{ColumnSlot, ask},
    lane::Lane,
    reading::{QuestionFailure, RecordReading, Watch},
    render::Rendering,
    schema::RecordTable,
    summary,
    walk::{self, PlacesWanted, RecordsWanted, Yielded},
    way::{self, Way},
};
use crate::{
    clock::SharedClock,
    dataset::{
        Definition, Document, Value,
        columns::{self, FirstWanted},
        query::{Filter, Position, Query, Ranking, SortTerm},
    },
    store::records::{DataSet, Explained, Page, RecordStoreError, rules},
};

/// The budget of a walk that may meet records that do not match, in looks at its watch: some tenths of a millisecond. Columns take as
/// long for many records.
const SOON_LOOKS: u32 = 4;
/// Longer pages would not fit that budget.
const SOON_RECORDS_MAX: u32 = 300;
/// Records that are looked at together to find the one that a page continues after.
const ANCHOR_RECORDS: usize = 1000;
/// The most room to reserve before a page is known to need it.
const PAGE_BYTES_EXPECTED: usize = 256 * 1024;
/// Room reserved for the end of an answer, bytes.
const END_BYTES: usize = 1024;

/// A page of the records that match a query.
pub(super) fn page(reading: &RecordReading<'_>, slot: &ColumnSlot, query: &Query) -> Result<Page, QuestionFailure> {
    let at = reading.pinned(query)?;
    let query = &*placed(reading, slot, query, at)?;
    let definition = &reading.data_set.definition;
    let is_walked = at.is_none() && query.ranking.is_none();
    let way = if is_walked { way::way(definition, reading.shape, query) } else { None };
    let walked = match &way {
        None => None,
        Some(way) if way.complete => Some(walked(reading, query, way)?),
        Some(way) if way.may_pay(slot) => turn(reading, query, way)?,
        Some(_) => None,
    };
    let mut page = match walked {
        Some(page) => page,
        None => match compared(reading, slot, query, at) {
            Err(QuestionFailure::Columns(reason)) => {
                // What was found is not in the records: they are asked themselves.
                slot.give_up_present(&reason);
                compared(reading, slot, query, at)?
            }
            outcome => outcome?,
        },
    };
    if query.count {
        page.count = Some(summary::count(reading, slot, &query.filter, at)?);
    }
    Ok(page)
}

/// What is asked of columns: the first states in an order.
#[derive(Clone, Copy)]
pub(super) struct StatesAsked<'a> {
    /// The version, unless it is the present one.
    pub(super) at: Option<u64>,
    pub(super) filter: &'a Filter,
    pub(super) ranking: Option<&'a Ranking>,
    pub(super) order: &'a [SortTerm],
    pub(super) after: Option<&'a [Value]>,
    pub(super) most: usize,
}

/// States that were found by their columns.
pub(super) struct FoundStates {
    /// Their tables and numbers, in their order.
    pub(super) states: Vec<(RecordTable, i64)>,
    /// The numbers of a ranking, in the same order; none without one.
    ranked: Vec<u32>,
    /// The way there in words.
    explained: &'static str,
}

/// The first states in an order.
pub(super) fn states(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    asked: StatesAsked<'_>,
) -> Result<FoundStates, QuestionFailure> {
    let StatesAsked { at, filter, ranking, order, after, most } = asked;
    let definition = &reading.data_set.definition;
    let others: Vec<usize> = order.iter().map(|term| term.column).collect();
    ask(reading, slot, at.unwrap_or(reading.version), &summary::needed(filter, &others), |blocks| {
        let found = columns::first(blocks, &FirstWanted { definition, filter, ranking, order, after, most })?;
        let ranked = found.iter().filter_map(|found| found.ranked).collect();
        let addresses = found.into_iter().map(|found| blocks.address(found, reading));
        Ok(FoundStates { states: addresses.collect::<Result<_, _>>()?, ranked, explained: blocks.explained() })
    })
}

impl FoundStates {
    /// Adds the number that a ranking gives to a state to the values of its place.
    pub(super) fn ranked(&self, nth: usize, mut place: Position) -> Position {
        if let Some(number) = self.ranked.get(nth) {
            place.values.insert(0, Value::Integer(i64::from(*number)));
        }
        place
    }
}

/// The query with the values of the record to continue after, where its cursor leaves them out.
fn placed<'q>(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    query: &'q Query,
    at: Option<u64>,
) -> Result<Cow<'q, Query>, QuestionFailure> {
    let Some(anchor) = &query.anchor else { return Ok(Cow::Borrowed(query)) };
    let (definition, order) = (&reading.data_set.definition, query.order(&reading.data_set.definition));
    let (mut found, mut last) = (None, None::<Position>);
    while found.is_none() {
        let after = last.as_ref().map(|position| position.values.as_slice());
        let ranking = query.ranking.as_ref();
        let asked = StatesAsked { at, filter: &anchor.filter, ranking, order: &order, after, most: ANCHOR_RECORDS };
        let found_states = states(reading, slot, asked)?;
        let (mut met, mut nth) = (None, 0);
        let all = (order.as_slice(), PlacesWanted::All);
        walk::fetch(reading.connection(), reading.shape, all, &found_states.states, |record| {
            let position = found_states.ranked(nth, record.position(definition, anchor.version)?);
            nth += 1;
            if anchor.is_at(&position.values) {
                found = Some(position);
                return Ok(RecordsWanted::Enough);
            }
            met = Some(position);
            Ok(RecordsWanted::More)
        })?;
        last = met;
        if found_states.states.len() < ANCHOR_RECORDS {
            break;
        }
    }
    let gone = || reading.gone(anchor.version);
    Ok(Cow::Owned(Query { after: Some(found.ok_or_else(gone)?), anchor: None, ..query.clone() }))
}

/// Walks an index that lacks some of the conditions, within a small budget; `None` when that is spent. Where many records match,
/// this is the fastest way.
fn turn(reading: &RecordReading<'_>, query: &Query, way: &Way) -> Result<Option<Page>, QuestionFailure> {
    reading.watch.turn(Some(SOON_LOOKS));
    let outcome = match walked(reading, query, way) {
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
    (path, slot): (&Path, &ColumnSlot),
    clock: &SharedClock,
    data_set: &DataSet,
    query: &Query,
) -> Option<Result<Page, RecordStoreError>> {
    let is_long = query.limit > SOON_RECORDS_MAX || (query.count && !query.filter.parts().is_empty());
    if is_long || query.anchor.is_some() || query.ranking.is_some() {
        return None;
    }
    let watch = Watch::of_request(clock);
    watch.turn(Some(SOON_LOOKS));
    let watched = watch.over(&mut lane.connection).map_err(QuestionFailure::from);
    let outcome = watched
        .and_then(|()| RecordReading::begin((&lane.connection, &lane.shape), data_set, &watch))
        .and_then(|reading| {
            if reading.pinned(query)?.is_some() {
                return Ok(None);
            }
            match way::way(&data_set.definition, reading.shape, query) {
                Some(way) if way.narrow && way.may_pay(slot) => {
                    let mut page = walked(&reading, query, &way)?;
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
        Err(failure) => Some(Err(failure.told("query", path))),
    }
}

/// A page of the records that a walk meets.
fn walked(reading: &RecordReading<'_>, query: &Query, way: &Way) -> Result<Page, QuestionFailure> {
    let mut gathered = Gathered::new(reading, query, None);
    let (order, limit) = (query.order(&reading.data_set.definition), i64::from(query.limit) + 1);
    walk::each(reading.connection(), reading.shape, &order, way, limit, |record| {
        gathered.take(&record, |place| place)
    })?;
    Ok(gathered.page(way.explained()))
}

/// A page of the records that are found by their columns, now or at an earlier version.
fn compared(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    query: &Query,
    at: Option<u64>,
) -> Result<Page, QuestionFailure> {
    let mut gathered = Gathered::new(reading, query, at);
    let order = query.order(&reading.data_set.definition);
    let after = query.after.as_ref().map(|position| position.values.as_slice());
    let most = usize::try_from(query.limit).unwrap_or(usize::MAX).saturating_add(1);
    let asked = StatesAsked { at, filter: &query.filter, ranking: query.ranking.as_ref(), order: &order, after, most };
    let found = states(reading, slot, asked)?;
    let mut nth = 0;
    walk::fetch(reading.connection(), reading.shape, (&order, PlacesWanted::Few), &found.states, |record| {
        nth += 1;
        gathered.take(&record, |place| found.ranked(nth - 1, place))
    })?;
    let of_past = at.map(|version| format!("read them as of version {version}"));
    Ok(gathered.page(std::iter::once(found.explained.to_owned()).chain(of_past).collect()))
}

/// An unfinished page. It asks for one record more than it holds, to see whether another page follows.
struct Gathered<'a> {
    definition: &'a Definition,
    query: &'a Query,
    rendering: Cow<'a, Rendering>,
    version: u64,
    document: Document,
    last: Option<Position>,
    more: bool,
}

impl<'a> Gathered<'a> {
    /// A page of a version, or of the present one.
    fn new(reading: &'a RecordReading<'_>, query: &'a Query, at: Option<u64>) -> Self {
        let definition = &*reading.data_set.definition;
        let selected = query.select.as_deref().map(|select| Rendering::new(definition, Some(select)));
        let rendering = selected.map_or(Cow::Borrowed(&reading.shape.rendering), Cow::Owned);
        let version = at.unwrap_or(reading.version);
        Self { definition, query, rendering, version, document: Document::list(), last: None, more: false }
    }

    /// Takes in a record; `placed` completes its place.
    fn take(
        &mut self,
        record: &Yielded<'_>,
        placed: impl FnOnce(Position) -> Position,
    ) -> Result<RecordsWanted, QuestionFailure> {
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
            self.last = Some(placed(record.position(self.definition, self.version)?));
        }
        Ok(RecordsWanted::More)
    }

    fn page(self, plan: Vec<String>) -> Page {
        let explained = self.query.explain.then_some(Explained { plan });
        Page {
            version: self.version,
            document: self.document,
            next: if self.more { self.last } else { None },
            count: None,
            explained,
        }
    }
}
