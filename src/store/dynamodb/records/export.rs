//! Exports: everything that a query asks for, at one version and in constant memory. Each is a task of its own, of a bounded
//! number, which waits for whoever receives the parts, but not for ever.
//!
//! What an index has in the order asked for is read as it is taken. What has to be sorted is read before the first part, and so
//! is no more than a page may read.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::{
    Served, Shared,
    find::{sorted, wanted},
    gather::Gathered,
    plan::{self, IndexWay, Way},
    reading::{self, Reading, Stop},
    row,
};
use crate::{
    dataset::{Definition, Record, export::RowWriter, json, query::Query},
    store::records::{
        DataSet, Export, RecordStoreError,
        outlet::{Gone, Outlet, PART_BYTES},
        rules,
    },
};

/// Records that are fetched at a time, over all shards.
const FETCHED_AT_A_TIME: usize = 1000;

/// Begins an export; see `RecordStore::export`.
pub(super) async fn begin(shared: &Arc<Shared>, data_set: &DataSet, query: &Query) -> Result<Export, RecordStoreError> {
    let place = Arc::clone(&shared.exporting).try_acquire_owned().map_err(|_| RecordStoreError::Busy)?;
    let pinned = query.version();
    let served = shared.served_for(data_set, pinned).await?;
    let version = pinned.unwrap_or(served.manifest.data_set.version);
    let settings = &shared.settings;
    let (mut outlet, inlet) = Outlet::new(Arc::clone(&shared.clock), settings.export_stall_ms);
    let shared = Arc::clone(shared);
    let query = query.clone();
    tokio::spawn(async move {
        let outcome = run(&shared, &served, &query, version, &mut outlet).await;
        // Who sees the end may begin another one at once.
        drop(place);
        if let Ok(error) = outcome {
            outlet.finish(error);
        }
    });
    inlet.export().await
}

/// Sends all parts. Gives back what went wrong, if anything did and somebody is there to hear it.
async fn run(
    shared: &Shared,
    served: &Served,
    query: &Query,
    version: u64,
    outlet: &mut Outlet,
) -> Result<Option<RecordStoreError>, Gone> {
    let limit_ms = shared.settings.export_timeout_ms;
    let written = timeout(Duration::from_millis(limit_ms), write(shared, served, query, version, outlet)).await;
    Ok(match written {
        Ok(Ok(())) => None,
        Ok(Err(Ended::Gone)) => return Err(Gone),
        Ok(Err(Ended::Failed(RecordStoreError::DefinitionChanged { name }))) => Some(shared.outdated(&name).await),
        Ok(Err(Ended::Failed(error))) => Some(error),
        Err(_) => {
            let narrow = rules::narrowing(served.manifest.layout.definition(), false);
            Some(RecordStoreError::TimedOut { limit_ms, narrow })
        }
    })
}

/// Why an export ends before its end.
enum Ended {
    /// Nobody takes its parts.
    Gone,
    Failed(RecordStoreError),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<RecordStoreError> for Ended {
    fn from(error: RecordStoreError) -> Self {
        Self::Failed(error)
    }
}

async fn write(
    shared: &Shared,
    served: &Served,
    query: &Query,
    version: u64,
    outlet: &mut Outlet,
) -> Result<(), Ended> {
    let layout = &served.manifest.layout;
    let mut reading = Reading::begin(shared, served, &query.filter, Some(version))?;
    let most = query.limit_asked.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut rows = Rows::new(layout.definition(), query);
    for way in plan::ways(layout, query) {
        match &way {
            Way::Index(index) if index.ordered => {
                walk(&mut reading, query, index, (most, &mut rows, outlet)).await?;
                return Ok(outlet.send(version, rows.part()).await?);
            }
            way => {
                let gathered = Gathered::new(layout.definition(), query, version);
                let limit_ms = shared.settings.find_timeout_ms;
                let reading_all = sorted(&mut reading, &gathered, way, most);
                match timeout(Duration::from_millis(limit_ms), reading_all).await {
                    Ok(Ok((records, _))) => {
                        reading.check_held().await?;
                        for record in &records {
                            rows.add(record);
                            rows.send_full(version, outlet).await?;
                        }
                        return Ok(outlet.send(version, rows.part()).await?);
                    }
                    Ok(Err(Stop::OverBudget)) => {}
                    Ok(Err(Stop::Failed(error))) => return Err(error.into()),
                    Err(_) => {
                        let narrow = rules::narrowing(layout.definition(), false);
                        return Err(RecordStoreError::TimedOut { limit_ms, narrow }.into());
                    }
                }
            }
        }
    }
    Err(reading.too_much(reading::narrow(layout.definition(), &query.filter, &query.sort)).into())
}

/// Writes what an index has in the order asked for.
async fn walk(
    reading: &mut Reading<'_>,
    query: &Query,
    way: &IndexWay,
    (most, rows, outlet): (usize, &mut Rows<'_>, &mut Outlet),
) -> Result<(), Ended> {
    let gathered = Gathered::new(reading.definition(), query, reading.version);
    let mut walk = reading.walk(way);
    let (mut left, mut looked) = (most, 0_u64);
    while left > 0 {
        let next = walk.next(reading, wanted(way, left).min(FETCHED_AT_A_TIME)).await?;
        // Also of what is not there.
        reading.check_held().await?;
        let Some(item) = next else { break };
        looked += 1;
        if let Some(record) = reading.row(&item)?.filter(|record| gathered.is_after(record))
            && query.filter.matches(&record)
        {
            rows.add(&record);
            left -= 1;
            rows.send_full(reading.version, outlet).await?;
        }
        if looked == reading.records_max {
            // Whoever waits has waited as long as for a page.
            outlet.begin(reading.version)?;
        }
    }
    Ok(())
}

/// The rows of the part that is being written.
struct Rows<'a> {
    select: Option<&'a [usize]>,
    writer: RowWriter,
    part: Vec<u8>,
    /// The JSON of the values of a row, one after the other.
    values: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn new(definition: &Definition, query: &'a Query) -> Self {
        let writer = RowWriter::new(definition, query);
        let mut part = Vec::with_capacity(PART_BYTES + PART_BYTES / 4);
        writer.begin(&mut part);
        Self { select: query.select.as_deref(), writer, part, values: Vec::new(), ends: Vec::new() }
    }

    fn add(&mut self, record: &Record) {
        self.values.clear();
        self.ends.clear();
        let mut add = |value| {
            json::write_value(value, &mut self.values);
            self.ends.push(self.values.len());
        };
        match self.select {
            None => record.values.iter().for_each(&mut add),
            Some(select) => select.iter().for_each(|column| add(row::value(record, *column))),
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let values = starts.zip(&self.ends).map(|(from, to)| self.values.get(from..*to).unwrap_or_default());
        self.writer.row(values, &mut self.part);
    }

    /// Sends what was written so far, if it is a part.
    async fn send_full(&mut self, version: u64, outlet: &mut Outlet) -> Result<(), Ended> {
        if self.part.len() < PART_BYTES {
            return Ok(());
        }
        Ok(outlet.send(version, self.part()).await?)
    }

    /// What was written so far.
    fn part(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.part.capacity());
        std::mem::replace(&mut self.part, next)
    }
}

/// The places that exports take.
pub(super) fn places(exports_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(exports_max.clamp(1, Semaphore::MAX_PERMITS)))
}
