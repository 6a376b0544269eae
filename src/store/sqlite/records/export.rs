//! Exports: all records that match a query, in one snapshot and constant memory. Each export has a thread of a bounded number,
//! which waits for the receiver of the parts for a bounded time: while it reads, the write-ahead log cannot be cut.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use super::{
    columns::ColumnSlot,
    find::{StatesAsked, states},
    lane::Lanes,
    pool,
    reading::{QuestionFailure, RecordReading, Watch},
    render,
    role::FileRole,
    served::Served,
    shared::SharedRecords,
    walk::{self, PlacesWanted, RecordsWanted, Yielded},
    way,
};
use crate::{
    dataset::{
        export::{RowWriter, WorkbookPlace},
        query::{Position, Query, SortTerm},
    },
    store::records::{
        DataSet, Export, RecordStoreError,
        outlet::{Gone, Outlet, PART_BYTES},
        rules,
    },
};

/// Records that are found together by their columns: their places are in memory at once. Without a projection each part reads the whole
/// table, so that there are fewer parts, which take more memory.
const STATES_PER_PART: usize = 10_000;
const STATES_PER_PART_LIVE: usize = 100_000;
/// Rows between two looks whether somebody still waits for the export.
const ROWS_PER_LOOK: u64 = 4096;

/// Frees an export's place when dropped.
struct ExportPlace(Arc<SharedRecords>);

impl ExportPlace {
    fn take(shared: &Arc<SharedRecords>) -> Result<Self, RecordStoreError> {
        let most = shared.settings.exports_max;
        let taken = shared
            .exporting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |exports| (exports < most).then_some(exports + 1));
        taken.map(|_| Self(Arc::clone(shared))).map_err(|_| RecordStoreError::Busy)
    }
}

impl Drop for ExportPlace {
    fn drop(&mut self) {
        self.0.exporting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Begins an export; see `RecordStore::export`.
pub(super) async fn begin(
    shared: &Arc<SharedRecords>,
    served: Arc<Served>,
    data_set: Arc<DataSet>,
    query: Query,
) -> Result<Export, RecordStoreError> {
    let place = ExportPlace::take(shared)?;
    let (clock, settings) = (&shared.clock, &shared.settings);
    let (mut outlet, inlet) = Outlet::new(Arc::clone(clock), settings.export_stall_ms);
    // Nothing is written into the directory of a copy, not even for a moment.
    let folder = match settings.role {
        FileRole::Truth | FileRole::Replica => settings.directory.clone(),
        FileRole::ReadOnly => std::env::temp_dir(),
    };
    let workbooks = WorkbookPlace { folder, bytes_max: settings.workbook_bytes_max };
    let (watch, limit_ms) = (Watch::new(clock, settings.export_timeout_ms), settings.export_timeout_ms);
    let work = move || {
        pool::step_back();
        let outcome = pool::read(&mut Lanes::of_scans(), &served, &data_set, &watch, |reading, columns| {
            write(reading, columns, &query, &workbooks, &mut outlet)
        });
        let error = match outcome {
            Ok(()) => None,
            Err(QuestionFailure::Gone) => return,
            Err(failure) if failure.is_interrupted() => {
                Some(RecordStoreError::TimedOut { limit_ms, narrow: rules::narrowing(&data_set.definition, false) })
            }
            Err(failure) => Some(failure.told("export", &served.path)),
        };
        if let Some(RecordStoreError::Corrupt { name, .. }) = &error {
            place.0.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        }
        // A receiver that sees the end may begin another export at once.
        drop(place);
        outlet.finish(error);
    };
    std::thread::Builder::new().name("records-export".to_owned()).spawn(work).map_err(|error| {
        RecordStoreError::Unavailable { doing: "begin an export".to_owned(), reason: error.to_string() }
    })?;
    inlet.export().await
}

impl From<Gone> for QuestionFailure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

fn write(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    query: &Query,
    workbooks: &WorkbookPlace,
    outlet: &mut Outlet,
) -> Result<(), QuestionFailure> {
    let definition = &reading.data_set.definition;
    let (at, order) = (reading.pinned(query)?, query.order(definition));
    let version = at.unwrap_or(reading.version);
    let unwritten = |error| RecordStoreError::of_export(definition, error);
    let mut writer = RowWriter::new(definition, query, workbooks).map_err(unwritten)?;
    let mut part = Vec::with_capacity(PART_BYTES + PART_BYTES / 4);
    writer.begin(&mut part).map_err(unwritten)?;
    let places = writer.places().map(<[usize]>::to_vec).or_else(|| query.select.clone());
    let limit = query.limit_asked.map_or(-1, i64::from);
    let (mut left, mut taken) = (limit, 0_u64);
    let take = |record: &Yielded<'_>| {
        if left == 0 {
            return Ok(RecordsWanted::Enough);
        }
        (left, taken) = (left - 1, taken + 1);
        // Some forms send nothing for long.
        if taken.is_multiple_of(ROWS_PER_LOOK) && outlet.is_left() {
            return Err(QuestionFailure::Gone);
        }
        // Some forms need columns beside those that are selected.
        match &places {
            None => writer.row(render::values(record.values), &mut part).map_err(unwritten)?,
            Some(select) => {
                let values: Vec<&[u8]> = render::values(record.values).collect();
                let selected = select.iter().map(|place| values.get(*place).copied().unwrap_or(b"null"));
                writer.row(selected, &mut part).map_err(unwritten)?;
            }
        }
        if part.len() >= PART_BYTES {
            let next = Vec::with_capacity(part.capacity());
            let full = std::mem::replace(&mut part, next);
            outlet.send_blocking(version, full, || reading.watch.is_over())?;
        }
        Ok(RecordsWanted::More)
    };
    // An index that has the order is read once.
    let is_walked = at.is_none() && query.ranking.is_none();
    let way = if is_walked { way::way(definition, reading.shape, query) } else { None };
    match way.filter(|way| way.may_pay(slot)) {
        Some(way) => {
            let mut take = take;
            walk::each(reading.connection(), reading.shape, &order, &way, limit, |record| take(&record))?;
        }
        None => compared(reading, slot, query, (at, &order, limit), take)?,
    }
    let watch = reading.watch;
    Ok(writer.finish(part, |part| outlet.send_blocking(version, part, || watch.is_over())).map_err(unwritten)??)
}

/// Hands the records of a query to `take`, as many as it wants, part by part: each is found by its columns, after the last one.
fn compared(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    query: &Query,
    (at, order, limit): (Option<u64>, &[SortTerm], i64),
    mut take: impl FnMut(&Yielded<'_>) -> Result<RecordsWanted, QuestionFailure>,
) -> Result<(), QuestionFailure> {
    let mut last: Option<Position> = None;
    // One more than asked for, so that `take` is asked whether it has enough.
    let mut left = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
    loop {
        let most = if slot.is_there() { STATES_PER_PART } else { STATES_PER_PART_LIVE }.min(left);
        let after = last.as_ref().map(|position| position.values.as_slice());
        let asked = StatesAsked { at, filter: &query.filter, ranking: query.ranking.as_ref(), order, after, most };
        let found = states(reading, slot, asked)?;
        let (mut wanted, mut taken) = (RecordsWanted::More, 0);
        walk::fetch(reading.connection(), reading.shape, (order, PlacesWanted::Few), &found.states, |record| {
            wanted = take(&record)?;
            taken += 1;
            if taken == most {
                let place = record.position(&reading.data_set.definition, reading.version)?;
                last = Some(found.ranked(taken - 1, place));
            }
            Ok(wanted)
        })?;
        left -= taken;
        if taken < most || left == 0 || matches!(wanted, RecordsWanted::Enough) {
            return Ok(());
        }
    }
}
