//! Exports: all records that match a query, in one snapshot and constant memory. Each export has a thread of a bounded number,
//! which waits for the receiver of the parts for a bounded time: while it reads, the write-ahead log cannot be cut.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use super::{
    find::{StatesAsked, states},
    pool::{self, Lanes, QuestionFailure, RecordReading, Watch},
    render,
    served::Served,
    shared::SharedRecords,
    walk::{self, RecordsWanted, Yielded},
    way,
};
use crate::{
    dataset::{
        export::RowWriter,
        query::{Position, Query},
    },
    store::records::{
        DataSet, Export, RecordStoreError,
        outlet::{Gone, Outlet, PART_BYTES},
        rules,
    },
};

/// Records that are found together by their columns: their places are in memory at once.
const STATES_PER_PART: usize = 50_000;

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
    let (watch, limit_ms) = (Watch::new(clock, settings.export_timeout_ms), settings.export_timeout_ms);
    let work = move || {
        pool::step_back();
        let outcome =
            pool::read(&mut Lanes::new(), &served, &data_set, &watch, |reading| write(reading, &query, &mut outlet));
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

fn write(reading: &RecordReading<'_>, query: &Query, outlet: &mut Outlet) -> Result<(), QuestionFailure> {
    let definition = &reading.data_set.definition;
    let order = query.order(definition);
    let writer = RowWriter::new(definition, query);
    let mut part = Vec::with_capacity(PART_BYTES + PART_BYTES / 4);
    writer.begin(&mut part);
    let limit = query.limit_asked.map_or(-1, i64::from);
    let mut left = limit;
    let mut take = |record: &Yielded<'_>| {
        if left == 0 {
            return Ok(RecordsWanted::Enough);
        }
        left -= 1;
        match &query.select {
            None => writer.row(render::values(record.values), &mut part),
            Some(select) => {
                let values: Vec<&[u8]> = render::values(record.values).collect();
                let selected = select.iter().map(|place| values.get(*place).copied().unwrap_or(b"null"));
                writer.row(selected, &mut part);
            }
        }
        if part.len() >= PART_BYTES {
            let next = Vec::with_capacity(part.capacity());
            let full = std::mem::replace(&mut part, next);
            outlet.send_blocking(reading.version, full, || reading.watch.is_over())?;
        }
        Ok(RecordsWanted::More)
    };
    match way::way(definition, reading.shape, query).filter(|way| way.complete) {
        Some(way) => walk::each(reading.connection(), &order, &way, limit, |record| take(&record))?,
        None => {
            let mut last: Option<Position> = None;
            loop {
                let after = last.as_ref().map(|position| position.values.as_slice());
                let asked =
                    StatesAsked { at: None, filter: &query.filter, order: &order, after, most: STATES_PER_PART };
                let (states, _) = states(reading, asked)?;
                let (mut wanted, mut taken) = (RecordsWanted::More, 0);
                walk::fetch(reading.connection(), reading.shape, &order, &states, |record| {
                    wanted = take(&record)?;
                    taken += 1;
                    if taken == STATES_PER_PART {
                        last = Some(record.position(definition, &order, reading.version)?);
                    }
                    Ok(wanted)
                })?;
                if taken < STATES_PER_PART || matches!(wanted, RecordsWanted::Enough) {
                    break;
                }
            }
        }
    }
    Ok(outlet.send_blocking(reading.version, part, || reading.watch.is_over())?)
}
