//! The end of an import: what the file does not hold, what another definition asks for, and the one write that makes it all
//! visible.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, Select, TransactWriteItem, Update},
};

use super::{
    super::{
        lock,
        manifest::{self, Manifest},
        row::{self, IndexLayout},
        scratch::{Fate, Owed, OwedRow, OwedUntil, Stored},
    },
    OpenImport, Probe, manifest_of,
    past::Cleared,
};
use crate::{
    dataset::figures::TableTally,
    failpoint::crash_point,
    store::{
        StoreError,
        dynamodb::{
            BATCH_READS_MAX, Dynamo, ITEM_BYTES_MAX, fetch,
            item::{self, Item, number, text},
            schema, unavailable,
        },
        records::{ImportResult, RecordStoreError, outcome::Columns},
    },
};

/// Stored records that are taken from the temporary file at a time.
const STORED_PER_STEP: usize = 1000;
/// How often an index is asked whether it has followed.
const PROBE_TRIES_MAX: u32 = 60;
/// The first pause before it is asked again; each one is twice as long as the one before.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause, and so about a minute in all.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often the last write is tried again that conflicts with another one.
const COMMIT_TRIES_MAX: u32 = 8;
/// The pause before that.
const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// How the last write went.
enum Committed {
    Yes,
    /// The lock or the state is not as it was.
    Overtaken,
    /// Somebody else is at the same items: try again.
    Conflict,
}

impl OpenImport {
    pub(super) fn finish(&mut self) -> Result<ImportResult, RecordStoreError> {
        self.mark_removed()?;
        self.settle_stored()?;
        self.writer.finish().map_err(|error| self.write_failed(error))?;
        self.changes.finish().map_err(|error| self.write_failed(error))?;
        let cleared = self.clear_past()?;
        self.count_columns(cleared)?;
        self.writes(cleared)?;
        // Whoever took the lock over has cleared away what this import wrote: no index will ever show it.
        if !self.lease.renew().map_err(|error| self.failed(error))? {
            return Err(self.overtaken());
        }
        if self.wrote {
            self.wait_for_indexes()?;
        }
        // What it gives up counts from now on.
        let (next, writes) = self.writes(cleared)?;
        self.commit_as(writes)?;
        let result = next.data_set.last_import.result.clone();
        self.shared.imported(next);
        crash_point("import-before-erasing");
        // The import has happened. What could not be erased now is by the next one.
        if let Err(error) = self.erase_withdrawn() {
            tracing::warn!(
                data_set = self.name(),
                error = error.to_string(),
                "values of columns that were withdrawn are still stored: import again to erase them"
            );
        }
        Ok(result)
    }

    /// Waits until other servers have heard of what is visible: they read the rows of the past until then.
    pub(super) fn let_others_hear(&self) -> Result<(), RecordStoreError> {
        let heard = Duration::from_millis(self.shared.settings.index_settle_ms);
        self.run(async move {
            tokio::time::sleep(heard).await;
            Ok(())
        })
    }

    /// Takes from the rows of the past what this import has withdrawn, as soon as other servers have had time to hear of it.
    fn erase_withdrawn(&mut self) -> Result<(), RecordStoreError> {
        let (mut done, mut has_waited) = (0, false);
        loop {
            let rows = self.scratch.owed_after(done, OwedUntil::Committed, STORED_PER_STEP)?;
            let Some(last) = rows.last() else { break };
            done = last.number;
            if !has_waited {
                self.let_others_hear()?;
                has_waited = true;
            }
            for OwedRow { key, sort_key, owed, .. } in &rows {
                if let Owed::Erase(attributes) = owed {
                    let erased = self.writer.erase(key, sort_key, attributes, self.epoch());
                    erased.map_err(|error| self.write_failed(error))?;
                }
            }
        }
        self.writer.finish().map_err(|error| self.write_failed(error))
    }

    /// Makes the figures of the columns, of all that is seen once this import is committed. They become visible with it.
    fn count_columns(&mut self, cleared: Cleared) -> Result<(), RecordStoreError> {
        let next = self.next_manifest(cleared);
        let before = self.stored.as_ref().map(|stored| &*stored.data_set);
        if !self.order.needs_figures(before, &next.data_set) {
            return Ok(());
        }
        let tally = match self.tally.take() {
            Some(tally) => tally,
            None => self.counted_anew(&next)?,
        };
        self.figures = Some(Arc::new(tally.finish(next.data_set.version, self.shared.clock.now())));
        Ok(())
    }

    /// Reads the whole table for what of it will be seen: of records that stay nothing is known any more but that they are there.
    fn counted_anew(&mut self, next: &Manifest) -> Result<TableTally, RecordStoreError> {
        let mut tally = TableTally::new(&self.order.definition);
        self.read_table(|session, item| {
            if session.lease.is_lost() {
                return Err(session.overtaken());
            }
            let (from, to) = row::epochs(item).map_err(|error| session.failed(error))?;
            if next.epochs.sees(from, to) {
                tally.add_all(&next.layout.record(item).map_err(|error| session.failed(error))?);
            }
            Ok(())
        })?;
        Ok(tally)
    }

    /// The data set as it will be seen, and what says so: its state first.
    fn writes(&self, cleared: Cleared) -> Result<(Manifest, Vec<Item>), RecordStoreError> {
        let next = self.next_manifest(cleared);
        let damaged = |error: serde_json::Error| self.failed(item::damaged("definition", error));
        let item = next.item().map_err(damaged)?;
        let bytes = item::bytes(&item);
        if bytes > ITEM_BYTES_MAX {
            let reason = format!(
                "its definition takes {bytes} bytes, and DynamoDB keeps at most {ITEM_BYTES_MAX}: declare fewer columns, \
                 or shorten what describes them"
            );
            return Err(RecordStoreError::Unavailable { doing: format!("import into {}", self.name()), reason });
        }
        let mut writes = vec![item];
        writes.extend(self.past_items(&next).map_err(damaged)?);
        Ok((next, writes))
    }

    /// Goes through what was stored before: what ends, what is written anew for other columns, and what gets a place in other
    /// indexes.
    fn settle_stored(&mut self) -> Result<(), RecordStoreError> {
        let (mut key, mut id) = (String::new(), String::new());
        loop {
            let stored = self.scratch.after(&key, &id, STORED_PER_STEP)?;
            let Some(last) = stored.last() else { return Ok(()) };
            (key, id) = (last.key.clone(), last.id.clone());
            let mut kept: Vec<Stored> = Vec::new();
            for stored in stored {
                let (is_ended, is_same) = match stored.fate {
                    Fate::Removed | Fate::Foreign => {
                        self.end(&stored.key, &stored.id, stored.epoch)?;
                        (true, stored.fate == Fate::Removed)
                    }
                    Fate::Replaced => (true, true),
                    Fate::Unseen | Fate::Same => (false, true),
                };
                if stored.fate == Fate::Removed {
                    self.note_removal(&stored)?;
                }
                // What ends is held by the versions before, as long as the columns are the same.
                let is_held = is_same && (!is_ended || self.columns == Columns::Same);
                if is_held && ((stored.rewrite && !is_ended) || self.reindex) {
                    kept.push(stored);
                }
            }
            for some in kept.chunks(BATCH_READS_MAX) {
                self.adapt(some)?;
            }
        }
    }

    /// Brings stored records that stay into the shape of the definition.
    fn adapt(&mut self, some: &[Stored]) -> Result<(), RecordStoreError> {
        let target = self.writer.target();
        let keys = some.iter().map(|stored| target.key_of(&stored.key, &row::sort_key(&stored.id, stored.epoch)));
        let (dynamo, table, keys) = (self.dynamo.clone(), target.table.clone(), keys.collect());
        let id_attribute = target.id.clone();
        let items = self.run(async move { fetch::get_all(&dynamo, &table, keys).await })?;
        let by_place: HashMap<(&str, &str), &Stored> =
            some.iter().map(|stored| ((stored.key.as_str(), stored.id.as_str()), stored)).collect();
        let mut adapted = 0;
        for item in &items {
            let record = self.converted(item)?;
            let (key, sort_key) = (
                row::value(&record, self.order.definition.key).to_string(),
                item::get_text(item, &id_attribute).map_err(|error| self.failed(error))?,
            );
            let id = row::value(&record, self.order.definition.record_id).to_string();
            let Some(stored) = by_place.get(&(key.as_str(), id.as_str())) else { continue };
            adapted += 1;
            if stored.rewrite {
                let version = item::get_number(item, row::VERSION).map_err(|error| self.failed(error))?;
                self.put_version(0, &record, version)?;
                self.end(&key, &id, stored.epoch)?;
            } else {
                let attributes = self.layout.index_attributes(0, &record)?;
                self.wrote = true;
                let set = self.writer.set(&key, sort_key, &attributes);
                set.map_err(|error| self.write_failed(error))?;
            }
        }
        if adapted == some.len() { Ok(()) } else { Err(self.overtaken()) }
    }

    /// Waits as long as the settings say, and until the rows that were written last are in every index.
    fn wait_for_indexes(&mut self) -> Result<(), RecordStoreError> {
        let settle = Duration::from_millis(self.shared.settings.index_settle_ms);
        let (dynamo, table) = (self.dynamo.clone(), self.writer.target().table.clone());
        let (layout, probes) = (Arc::clone(&self.layout), std::mem::take(&mut self.probes));
        self.run(async move {
            if !settle.is_zero() {
                tokio::time::sleep(settle).await;
            }
            for probe in &probes {
                for (index, keys) in layout.indexes().iter().zip(&probe.attributes) {
                    wait_for(&dynamo, &table, index, layout.id_attribute(), keys, probe).await?;
                }
            }
            Ok(())
        })
    }

    /// Writes the new state and what belongs to it, if this import still has the lock, and gives that back.
    fn commit_as(&mut self, writes: Vec<Item>) -> Result<(), RecordStoreError> {
        if self.lease.is_lost() {
            return Err(self.overtaken());
        }
        self.lease.stop_renewing();
        let built = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unavailable(error.to_string());
        let put_into = |table: &str, item| Put::builder().table_name(self.dynamo.table(table)).set_item(Some(item));
        let mut writes = writes.into_iter();
        let put = put_into(schema::STATE, writes.next().unwrap_or_default());
        let put = match &self.stored {
            None => put.condition_expression("attribute_not_exists(#e)"),
            Some(stored) => {
                put.condition_expression("#e = :e").expression_attribute_values(":e", number(stored.epochs.visible()))
            }
        };
        let put = put.expression_attribute_names("#e", manifest::EPOCH);
        let puts = std::iter::once(put).chain(writes.map(|item| put_into(schema::CHANGES, item)));
        let puts = puts.map(|put| put.build()).collect::<Result<Vec<_>, _>>();
        let puts = puts.map_err(|error| self.failed(built(error)))?;
        let release = lock::release_within(&self.lease).map_err(|error| self.failed(built(error)))?;
        let (dynamo, name) = (self.dynamo.clone(), self.name().to_owned());
        let (import, epoch) = (self.order.import_id, self.epoch());
        let committed = self.run(async move {
            let outcome = commit(&dynamo, puts, release).await;
            if matches!(outcome, Ok(Committed::Yes)) {
                return Ok(true);
            }
            // An earlier try may have succeeded without its answer arriving.
            let stored = manifest_of(&dynamo, &name).await;
            let is_ours =
                |stored: &Manifest| stored.epochs.visible() == epoch && stored.data_set.last_import.id == import;
            match (outcome, stored) {
                (_, Ok(Some(stored))) if is_ours(&stored) => Ok(true),
                (Err(error), _) => Err(error),
                (Ok(_), Err(error)) => Err(error),
                (Ok(_), Ok(_)) => Ok(false),
            }
        })?;
        if !committed {
            return Err(self.overtaken());
        }
        self.lease.ended();
        Ok(())
    }
}

async fn commit(dynamo: &Dynamo, puts: Vec<Put>, release: Update) -> Result<Committed, StoreError> {
    let table = dynamo.table(schema::STATE);
    let put = |put: Put| TransactWriteItem::builder().put(put).build();
    let update = |update: Update| TransactWriteItem::builder().update(update).build();
    let mut pause = COMMIT_PAUSE;
    for _ in 0..COMMIT_TRIES_MAX {
        let written = dynamo
            .client()
            .transact_write_items()
            .set_transact_items(Some(puts.iter().cloned().map(put).chain([update(release.clone())]).collect()))
            .send()
            .await;
        let Err(error) = written else { return Ok(Committed::Yes) };
        match error.as_service_error().map(cancelled) {
            Some(Some(Committed::Conflict)) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Some(Some(outcome)) => return Ok(outcome),
            Some(None) | None => return Err(unavailable(&table, &error)),
        }
    }
    Err(StoreError::Unavailable(format!("table {table}: the data set's state is written to by others all the time")))
}

/// Why a transaction was cancelled, if it was.
fn cancelled(error: &TransactWriteItemsError) -> Option<Committed> {
    match error {
        TransactWriteItemsError::TransactionCanceledException(error) => {
            let reasons = error.cancellation_reasons();
            let is = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
            if is("ConditionalCheckFailed") {
                Some(Committed::Overtaken)
            } else if is("TransactionConflict") || is("ThrottlingError") || is("ProvisionedThroughputExceeded") {
                Some(Committed::Conflict)
            } else {
                None
            }
        }
        TransactWriteItemsError::TransactionInProgressException(_) => Some(Committed::Conflict),
        _ => None,
    }
}

/// Waits until an index shows a row.
async fn wait_for(
    dynamo: &Dynamo,
    table: &str,
    index: &IndexLayout,
    id_attribute: &str,
    (partition, place): &(String, String),
    probe: &Probe,
) -> Result<(), StoreError> {
    let mut pause = PROBE_PAUSE;
    for _ in 0..PROBE_TRIES_MAX {
        let request = dynamo
            .client()
            .query()
            .table_name(table)
            .index_name(&index.name)
            .select(Select::SpecificAttributes)
            .projection_expression("#id")
            .key_condition_expression("#p = :p AND #o = :o")
            .expression_attribute_names("#p", &index.partition_attribute)
            .expression_attribute_names("#o", &index.order_attribute)
            .expression_attribute_names("#id", id_attribute)
            .expression_attribute_values(":p", AttributeValue::S(partition.clone()))
            .expression_attribute_values(":o", text(place));
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable(table, &error))?;
            let shows =
                |item: &Item| matches!(item.get(id_attribute), Some(AttributeValue::S(key)) if *key == probe.sort_key);
            if page.items().iter().any(shows) {
                return Ok(());
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PROBE_PAUSE_MAX);
    }
    let name = &index.name;
    Err(StoreError::Unavailable(format!(
        "table {table}: its index {name} does not follow what is written: try again later"
    )))
}
