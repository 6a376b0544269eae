//! Makes a replica by a parallel scan of the table, whose rows hold the present and past states of each record.
//!
//! The rows of a record lie beside each other, the latest last: so each segment of the scan gives whole records one after the
//! other, and only one row of a record is kept in memory. Imports continue during a scan: the copy holds what was visible when the
//! scan began. Rows that nobody can read any more may be cleared away meanwhile. The number of records shows if one is missing or
//! counted twice by that: then the copy is made again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{
    lists::{self, VersionItem},
    manifest::{self, DataSetManifest},
    row::{self, Layout, RowHeader},
    shared::{RecordsShared, blocking, failed, table},
    standings::Copied,
};
use crate::{
    dataset::{Record, Value},
    failpoint::crash_point,
    store::{
        StoreError,
        dynamodb::{item::Item, unavailable},
        records::RecordStoreError,
        sqlite::records::replica::{CopiedVersion, Copying, NextState, Retired},
    },
};

/// Segments that are read at the same time: each has a page of up to a megabyte in memory.
const SEGMENTS_MAX: usize = 4;
/// Batches of records that may wait to be written.
const WAITING_MAX: usize = 4;
/// Tries of a copy whose table was changed meanwhile.
const TRIES_MAX: u32 = 5;

/// Makes a replica. Counts its progress in `copied`.
pub(super) async fn make(
    shared: &Arc<RecordsShared>,
    name: &str,
    copied: &Arc<Copied>,
) -> Result<(), RecordStoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match make_once(shared, name, copied).await {
            Err(RecordStoreError::Corrupt { reason, .. }) if tries < TRIES_MAX => {
                tracing::info!(data_set = name, reason, "the table was changed under a copy: it is made again");
            }
            outcome => return outcome,
        }
    }
}

async fn make_once(shared: &Arc<RecordsShared>, name: &str, copied: &Arc<Copied>) -> Result<(), RecordStoreError> {
    let doing = |error: StoreError| failed("copy", name, error);
    let head = manifest::of(&shared.dynamo, name).await.map_err(doing)?;
    // The data set was removed meanwhile.
    let Some(head) = head else { return Ok(()) };
    shared.nodes.hear(table(shared, name), head.clone(), shared.clock.monotonic_us());
    copied.records.store(0, Ordering::Relaxed);
    copied.wanted.store(head.data_set.records, Ordering::Relaxed);
    let versions = lists::versions(&shared.dynamo, name).await.map_err(doing)?;
    let generations = lists::generations(&shared.dynamo, name).await.map_err(doing)?;
    let plan = Arc::new(CopyPlan::new(head, generations.into_iter().collect()));
    let (rows, received) = mpsc::channel(WAITING_MAX);
    let (engine, own, copied) = (Arc::clone(shared), Arc::clone(&plan), Arc::clone(copied));
    let writing = blocking(move || write(&engine, &own, &versions, received, &copied));
    let (written, scanned) = tokio::join!(writing, scan(shared, name, &plan, rows));
    scanned.map_err(doing)?;
    written
}

/// The state to copy, and the layouts to read it by.
struct CopyPlan {
    head: DataSetManifest,
    /// The layouts of ended generations.
    layouts: HashMap<u64, Arc<Layout>>,
}

/// A message to the writer of the copy.
enum Unfolded {
    /// Everything was read.
    End,
    /// A record's present state, and the version since which it has it.
    Is(u64, Record),
    /// A record was inserted at a version.
    Inserted { version: u64, key: String, id: Value },
    /// A past state of a record, up to a version.
    Was { version: u64, was: u64, generation: u64, record: Record, remains: bool },
    /// The epoch of a version.
    Epoch(u64, u64),
}

impl CopyPlan {
    fn new(head: DataSetManifest, layouts: HashMap<u64, Arc<Layout>>) -> Self {
        Self { head, layouts }
    }

    fn sees(&self, epoch: u64) -> bool {
        epoch >= self.head.born && self.head.epochs.is_committed(epoch)
    }

    /// The layout of a generation.
    fn layout(&self, generation: u64) -> Result<&Layout, StoreError> {
        if generation == self.head.data_set.generation {
            return Ok(&self.head.layout);
        }
        let found = self.layouts.get(&generation).map(|layout| &**layout);
        found.ok_or_else(|| StoreError::Corrupt(format!("the columns of generation {generation} are missing")))
    }

    /// A past record, with the columns of the generation that replaced or removed it. Values of columns that were withdrawn since
    /// are left out, even if a column of that name is published again.
    fn record_of(&self, generation: u64, open: &OpenRow) -> Result<Record, StoreError> {
        let layout = self.layout(generation)?;
        let mut record = layout.record(&open.item)?;
        if generation != self.head.data_set.generation {
            let withdrawn = self.head.layout.withdrawn_from(&open.item)?;
            for (column, value) in layout.definition().columns.iter().zip(&mut record.values) {
                if withdrawn.contains(&column.name) {
                    *value = Value::Null;
                }
            }
        }
        Ok(record)
    }

    /// Tells whether the changes of a version are kept.
    fn keeps(&self, version: u64) -> bool {
        version > self.head.data_set.changes_from
    }
}

/// Reads all segments, and sends the contents of their rows.
async fn scan(
    shared: &RecordsShared,
    name: &str,
    plan: &CopyPlan,
    told: Sender<Vec<Unfolded>>,
) -> Result<(), StoreError> {
    let table = table(shared, name);
    let request = shared.dynamo.client().scan().table_name(&table).consistent_read(true);
    let segments = shared.settings.parallel_requests.clamp(1, SEGMENTS_MAX);
    let total = i32::try_from(segments).unwrap_or(1);
    let segment =
        |number: i32| scan_segment(&table, request.clone().segment(number).total_segments(total), plan, &told);
    futures_util::future::try_join_all((0..total).map(segment)).await?;
    told.send(vec![Unfolded::End]).await.ok();
    Ok(())
}

async fn scan_segment(
    table: &str,
    request: ScanFluentBuilder,
    plan: &CopyPlan,
    told: &Sender<Vec<Unfolded>>,
) -> Result<(), StoreError> {
    let mut unfolding =
        Unfolding { plan, key: String::new(), open: Vec::new(), versions: HashSet::new(), told: Vec::new() };
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| unavailable(table, &error))?;
        for item in page.items.unwrap_or_default() {
            unfolding.take(item)?;
        }
        crash_point("replica-copying");
        if told.send(std::mem::take(&mut unfolding.told)).await.is_err() {
            // The writer has stopped, and reports the reason.
            return Ok(());
        }
    }
    unfolding.close_all()?;
    told.send(unfolding.told).await.ok();
    Ok(())
}

/// The last row that was read of a record.
struct OpenRow {
    id: String,
    row: RowHeader,
    item: Item,
    /// The prefix of the sort keys of the record's rows, and of rows that may lie among them.
    prefix: String,
}

/// Makes records of the rows of a segment. Rows of one key come in the order of their sort keys. Between the rows of a record there
/// can be only rows of records whose ids begin with its id and a `#`: so open records form a stack.
struct Unfolding<'p> {
    plan: &'p CopyPlan,
    key: String,
    open: Vec<OpenRow>,
    /// The versions whose epoch was sent.
    versions: HashSet<u64>,
    told: Vec<Unfolded>,
}

impl Unfolding<'_> {
    fn take(&mut self, item: Item) -> Result<(), StoreError> {
        let present = &self.plan.head.layout;
        let key = crate::store::dynamodb::item::get_text(&item, present.key_attribute())?;
        if key != self.key {
            self.key = key.to_owned();
            self.close_all()?;
        }
        let (id, epoch) = present.place(&item)?;
        if !self.plan.sees(epoch) {
            return Ok(());
        }
        let (id, row) = (id.to_owned(), row::row(&item, epoch)?);
        let sort_key = row::sort_key(&id, epoch);
        while let Some(last) = self.open.pop_if(|open| !sort_key.starts_with(&open.prefix)) {
            self.close(&last)?;
        }
        if !row.is_gone && self.versions.insert(row.version) {
            self.told.push(Unfolded::Epoch(row.version, row.epoch));
        }
        match self.open.iter().rposition(|open| open.id == id) {
            Some(place) => {
                let next = OpenRow { prefix: format!("{id}#"), id, row, item };
                for above in self.open.split_off(place + 1) {
                    self.close(&above)?;
                }
                if let Some(before) = self.open.pop() {
                    self.follows(&before, &next)?;
                }
                self.open.push(next);
            }
            None => {
                self.begins(&id, &row)?;
                self.open.push(OpenRow { prefix: format!("{id}#"), id, row, item });
            }
        }
        Ok(())
    }

    fn id(&self, written: &str) -> Result<Value, StoreError> {
        self.plan.head.layout.id_of(written)
    }

    /// Sends the insertion of a record, if it is kept.
    fn begins(&mut self, id: &str, row: &RowHeader) -> Result<(), StoreError> {
        if self.plan.keeps(row.version) && !row.is_gone {
            let (version, key, id) = (row.version, self.key.clone(), self.id(id)?);
            self.told.push(Unfolded::Inserted { version, key, id });
        }
        Ok(())
    }

    /// Sends the state of a record before its next row, if it is kept.
    fn follows(&mut self, before: &OpenRow, next: &OpenRow) -> Result<(), StoreError> {
        let version = next.row.version;
        if !self.plan.keeps(version) {
            return Ok(());
        }
        if before.row.is_gone {
            return self.begins(&next.id, &next.row);
        }
        let generation = self.plan.head.generation_at(next.row.epoch);
        let record = self.plan.record_of(generation, before)?;
        let (was, remains) = (before.row.version, !next.row.is_gone);
        self.told.push(Unfolded::Was { version, was, generation, record, remains });
        Ok(())
    }

    /// Sends a record's present state, unless the record is removed.
    fn close(&mut self, last: &OpenRow) -> Result<(), StoreError> {
        if !last.row.is_gone {
            self.told.push(Unfolded::Is(last.row.version, self.plan.head.layout.record(&last.item)?));
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), StoreError> {
        while let Some(last) = self.open.pop() {
            self.close(&last)?;
        }
        Ok(())
    }
}

/// Writes all messages, and puts the replica in its place.
fn write(
    shared: &RecordsShared,
    plan: &CopyPlan,
    versions: &[VersionItem],
    mut received: Receiver<Vec<Unfolded>>,
    copied: &Copied,
) -> Result<(), RecordStoreError> {
    let head = &plan.head;
    let data_set = &head.data_set;
    let mut copying = shared.engine.copy(&data_set.definition)?;
    let mut is_whole = false;
    while let Some(told) = received.blocking_recv() {
        let mut records = 0;
        for told in told {
            records += u64::from(matches!(told, Unfolded::Is(..)));
            is_whole |= matches!(told, Unfolded::End);
            take_in(&mut copying, plan, told)?;
        }
        copied.records.fetch_add(records, Ordering::Relaxed);
    }
    if !is_whole {
        let reason = "the table was not read to its end".to_owned();
        return Err(RecordStoreError::Unavailable { doing: format!("copy {}", data_set.definition.name), reason });
    }
    for version in versions {
        let number = version.state.version;
        if (data_set.changes_from..=data_set.version).contains(&number) {
            let VersionItem { at, changes, epoch, ref state } = *version;
            copying.version(&CopiedVersion { version: number, at, changes, epoch, made_by: state.last_import.id })?;
        }
    }
    for (generation, layout) in &plan.layouts {
        copying.generation(*generation, layout.definition())?;
    }
    copying.generation(data_set.generation, &data_set.definition)?;
    crash_point("replica-copied");
    copying.finish(&NextState { data_set: (**data_set).clone(), epoch: head.epochs.visible(), at: None })
}

fn take_in(copying: &mut Copying, plan: &CopyPlan, told: Unfolded) -> Result<(), RecordStoreError> {
    match told {
        Unfolded::Is(since, record) => copying.record(since, &record),
        Unfolded::Inserted { version, key, id } => copying.inserted(version, &key, &id),
        Unfolded::Was { version, was, generation, record, remains } => {
            let definition = plan.layout(generation).map_err(|error| failed("copy", "records", error))?.definition();
            let text = |place: usize| record.values.get(place).cloned().unwrap_or(Value::Null);
            let (key, id) = (text(definition.key).to_string(), text(definition.record_id));
            let is_held = version > plan.head.data_set.held_from && generation == plan.head.data_set.generation;
            let retired = Retired { version, was, generation, record: &record, remains, is_held };
            copying.retired(&key, &id, &retired)
        }
        Unfolded::Epoch(version, epoch) => copying.epoch(version, epoch),
        Unfolded::End => Ok(()),
    }
}
