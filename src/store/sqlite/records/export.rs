//! Exports: everything that a query asks for, in one snapshot and constant memory. Each has a thread of its own, of a bounded
//! number, which waits for whoever receives the parts, but not for ever: while it reads, the write-ahead log cannot be cut.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{
    mpsc::{self, OwnedPermit, Sender, error::TrySendError},
    oneshot,
};

use super::{
    Served, Shared, plan,
    pool::{self, Failure, Lanes, Reading, Watch},
    render, unavailable,
    walk::{self, Wanted, Yielded},
};
use crate::{
    dataset::{
        export::RowWriter,
        query::{Format, Query},
    },
    store::records::{DataSet, Export, RecordStoreError, rules},
};

/// Bytes of a part, about.
const PART_BYTES: usize = 64 * 1024;
/// Parts that are ready before they are asked for.
const PARTS_WAITING: usize = 4;
/// How long a thread rests before it looks whether there is room for the next part.
const REST: Duration = Duration::from_millis(2);

/// Gives an export's place back.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Result<Self, RecordStoreError> {
        let most = shared.settings.exports_max;
        let taken = shared
            .exporting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |exports| (exports < most).then_some(exports + 1));
        taken.map(|_| Self(Arc::clone(shared))).map_err(|_| RecordStoreError::Busy)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.exporting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Begins an export; see `RecordStore::export`.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    served: Arc<Served>,
    data_set: Arc<DataSet>,
    query: Query,
) -> Result<Export, RecordStoreError> {
    let place = Place::take(shared)?;
    let (begun, first) = oneshot::channel();
    let (mut outlet, parts) = Outlet::new(place, begun);
    let work = move || {
        pool::step_back();
        let outcome = pool::read(&mut Lanes::new(), &served, &data_set, &outlet.watch.clone(), |reading| {
            write(reading, &query, &mut outlet)
        });
        let error = match outcome {
            Ok(()) => None,
            Err(Failure::Gone) => return,
            Err(failure) if failure.is_interrupted() => Some(RecordStoreError::TimedOut {
                limit_ms: outlet.place.0.settings.export_timeout_ms,
                narrow: rules::narrowing(&data_set.definition, &query),
            }),
            Err(Failure::Sqlite(error)) => Some(unavailable("export", &served.path, &error)),
            Err(Failure::Other(error)) => Some(error),
        };
        outlet.finish(error);
    };
    let failed = |reason: String| RecordStoreError::Unavailable { doing: "begin an export".to_owned(), reason };
    std::thread::Builder::new()
        .name("records-export".to_owned())
        .spawn(work)
        .map_err(|error| failed(error.to_string()))?;
    let version = first.await.map_err(|_| failed("its thread has stopped".to_owned()))??;
    Ok(Export { version, parts })
}

fn write(reading: &Reading<'_>, query: &Query, outlet: &mut Outlet) -> Result<(), Failure> {
    let definition = &reading.data_set.definition;
    let order = query.order(definition);
    let ways = plan::ways(definition, reading.shape, query, None);
    let Some(way) = ways.first() else { return Ok(()) };
    let writer =
        RowWriter::new(definition, query.select.as_deref(), query.format.unwrap_or(Format::Ndjson), query.csv_safe);
    let mut part = Vec::with_capacity(PART_BYTES + PART_BYTES / 4);
    writer.begin(&mut part);
    let limit = query.limit_asked.map_or(-1, i64::from);
    let mut left = limit;
    let take = |record: Yielded<'_>| {
        if left == 0 {
            return Ok(Wanted::Enough);
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
            outlet.send(reading.version, std::mem::replace(&mut part, next))?;
        }
        Ok(Wanted::More)
    };
    walk::each(reading.connection(), reading.shape, &order, way, limit, take)?;
    outlet.send(reading.version, part)
}

/// Where the parts go.
struct Outlet {
    place: Place,
    watch: Watch,
    begun: Option<oneshot::Sender<Result<u64, RecordStoreError>>>,
    parts: Sender<Part>,
    /// Room for the word that not everything was sent: parts that simply end are the whole. It is said in any case but a good
    /// end, also when the thread panics.
    unfinished: Option<OwnedPermit<Part>>,
}

type Part = Result<Bytes, RecordStoreError>;

impl Outlet {
    fn new(place: Place, begun: oneshot::Sender<Result<u64, RecordStoreError>>) -> (Self, mpsc::Receiver<Part>) {
        let (sender, parts) = mpsc::channel(PARTS_WAITING + 1);
        let watch = Watch::new(&place.0.clock, place.0.settings.export_timeout_ms);
        let unfinished = sender.clone().try_reserve_owned().ok();
        (Self { place, watch, begun: Some(begun), parts: sender, unfinished }, parts)
    }

    /// Sends a part, as soon as there is room for it.
    fn send(&mut self, version: u64, part: Vec<u8>) -> Result<(), Failure> {
        if let Some(begun) = self.begun.take()
            && begun.send(Ok(version)).is_err()
        {
            return Err(Failure::Gone);
        }
        if part.is_empty() {
            return Ok(());
        }
        let shared = &self.place.0;
        let stall_us = i64::try_from(shared.settings.export_stall_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let give_up_us = shared.clock.monotonic_us().saturating_add(stall_us);
        let mut part = Ok(Bytes::from(part));
        loop {
            part = match self.parts.try_send(part) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Failure::Gone),
                Err(TrySendError::Full(part)) => part,
            };
            if self.watch.is_over() || shared.clock.monotonic_us() >= give_up_us {
                return Err(Failure::Gone);
            }
            std::thread::park_timeout(REST);
        }
    }

    /// Ends the parts, as the whole or with what went wrong.
    fn finish(&mut self, error: Option<RecordStoreError>) {
        match (error, self.begun.take()) {
            (None, _) => drop(self.unfinished.take()),
            (Some(error), Some(begun)) => drop(begun.send(Err(error))),
            (Some(error), None) => {
                if let Some(permit) = self.unfinished.take() {
                    permit.send(Err(error));
                }
            }
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(permit) = self.unfinished.take() {
            let reason = "its parts were not taken in time, or its thread has stopped".to_owned();
            permit.send(Err(RecordStoreError::Unavailable { doing: "go on with an export".to_owned(), reason }));
        }
    }
}
