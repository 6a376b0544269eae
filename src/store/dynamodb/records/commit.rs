//! The end of an import: differences are listed and written, and one write makes them visible.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{Put, TransactWriteItem},
};
use jiff::Timestamp;

use super::{
    clear::Cleared,
    epochs::Epochs,
    follow,
    import::{DynamoImport, no_bridge},
    lists::{self, ListedChange, VersionItem},
    lock,
    manifest::{self, DataSetManifest},
    shared::table,
};
use crate::{
    failpoint::crash_point,
    store::{
        StoreError, Upkeep,
        dynamodb::{
            Dynamo, ITEM_BYTES_MAX,
            item::{self, Item, number},
            schema, unavailable, upkeep,
        },
        records::{DataSet, ImportResult, RecordStoreError, outcome::Columns, past::ChangeKind, state::DataSetState},
        sqlite::records::{replica::ReplicaImport, work::WorkDone},
    },
};

/// Records in a part of a list.
pub(super) const LISTED_AT_A_TIME: usize = 4_000;
/// Bytes of keys and ids in a part of a list, at most: packed, the part fits into an item in any case.
pub(super) const LISTED_BYTES_MAX: usize = 200 * 1024;
/// Tries of the last write when it conflicts with another one.
const COMMIT_TRIES_MAX: u32 = 8;
/// The pause before another try.
const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// The outcome of the last write.
pub(super) enum CommitOutcome {
    Yes,
    /// The lock or the state has changed.
    Overtaken,
    /// Another write holds the same items: try again.
    Conflict,
}

impl DynamoImport {
    pub(super) fn commit_with(&mut self, mut local: ReplicaImport) -> Result<ImportResult, RecordStoreError> {
        let data_set = local.prepare()?;
        let is_version = data_set.last_import.result.changed;
        if is_version {
            self.upload(&local, &data_set)?;
        }
        let cleared = if is_version { self.clear_past()? } else { self.cleared() };
        let next = self.next(&local, data_set, cleared)?;
        let writes = self.writes(&next, local.moment(), local.columns())?;
        // A process that took the lock over has cleared away the writes of this import.
        if !self.lease.renew().map_err(|error| self.failed(error))? {
            return Err(self.overtaken());
        }
        crash_point("import-uploaded");
        self.commit_as(writes)?;
        crash_point("import-committed");
        // The import is committed. A failing replica takes it in later, like the imports of other nodes.
        if let Err(error) = local.commit() {
            let error = error.to_string();
            tracing::warn!(
                data_set = self.name(),
                error,
                "this node's copy of the records follows its own import later"
            );
        }
        let owed = next.owed;
        let result = next.data_set.last_import.result.clone();
        self.show(next);
        crash_point("import-before-erasing");
        // The next import clears away what could not be cleared now.
        if let Some(epoch) = owed
            && let Err(error) = self.sweep(epoch)
        {
            tracing::warn!(
                data_set = self.name(),
                error = error.to_string(),
                "values of columns that were withdrawn, or records that were dropped, are still stored: import again to \
                 erase them"
            );
        }
        Ok(result)
    }

    /// Lists the differences, then writes them, part by part.
    fn upload(&self, local: &ReplicaImport, next: &DataSet) -> Result<(), RecordStoreError> {
        if !self.lease.begin_to_write().map_err(|error| self.failed(error))? {
            return Err(self.overtaken());
        }
        let (work, (epoch, version)) = (local.work(), (self.lease.epoch(), next.version));
        let unread = |error: rusqlite::Error| RecordStoreError::Unavailable {
            doing: format!("read what is to be written of {}", self.name()),
            reason: error.to_string(),
        };
        let (mut records, mut lists) = (self.records_writer(), self.lists_writer());
        let (mut last, mut part): (Option<WorkDone>, u64) = (None, 0);
        loop {
            let mut some = work.after(last.as_ref(), LISTED_AT_A_TIME).map_err(unread)?;
            let mut bytes = 0;
            let fits = |done: &WorkDone| {
                bytes += done.key.len() + done.id.to_string().len();
                bytes <= LISTED_BYTES_MAX
            };
            let room = some.iter().map(fits).take_while(|fits| *fits).count();
            some.truncate(room.max(1));
            let Some(end) = some.last().cloned() else { break };
            let listed = some.iter().map(|done| {
                let was = done.was.map(|version| work.epoch(version)).transpose()?;
                Ok(ListedChange { kind: done.kind, key: done.key.clone(), id: done.id.to_string(), was })
            });
            let listed: Vec<ListedChange> = listed.collect::<rusqlite::Result<_>>().map_err(unread)?;
            let item = lists::part(self.name(), epoch, part, &listed).map_err(|error| self.failed(error))?;
            lists.put(item).and_then(|()| lists.finish()).map_err(|error| self.failed(error))?;
            crash_point("import-listed");
            for done in &some {
                if self.lease.is_lost() {
                    return Err(self.overtaken());
                }
                let item = match done.kind {
                    ChangeKind::Removed => self.layout.tombstone(&done.key, &done.id, epoch, version),
                    ChangeKind::Inserted | ChangeKind::Updated => {
                        let record = work.record(&done.key, &done.id).map_err(unread)?;
                        self.layout.item(&record, epoch, version)
                    }
                };
                records.put(item).map_err(|error| self.failed(error))?;
                crash_point("import-uploading");
            }
            (last, part) = (Some(end), part + 1);
        }
        records.finish().map_err(|error| self.failed(error))
    }

    /// The data set as it will be visible.
    fn next(
        &self,
        local: &ReplicaImport,
        data_set: DataSet,
        cleared: Cleared,
    ) -> Result<DataSetManifest, RecordStoreError> {
        let (epoch, now) = (self.lease.epoch(), self.node.shared.clock.now());
        let before = self.stored.as_ref();
        let epochs = before.map_or_else(Epochs::default, |stored| stored.epochs.clone());
        // States from before the kept changes are given up.
        let floor = local.work().epoch(data_set.changes_from).map_err(|error| RecordStoreError::Corrupt {
            name: self.name().to_owned(),
            reason: format!("the epoch of its version {}: {error}", data_set.changes_from),
        })?;
        let columns = local.columns();
        let mut generations = match columns {
            Columns::New => Vec::new(),
            _ => before.map_or_else(Vec::new, |stored| stored.generations.clone()),
        };
        if let (Columns::Other, Some(stored)) = (columns, before) {
            generations.push((stored.data_set.generation, epoch));
        }
        generations.retain(|(_, until)| *until > cleared.floor);
        let born = match columns {
            Columns::New => epoch,
            _ => before.map_or(epoch, |stored| stored.born),
        };
        let withdraws = |stored: &DataSetManifest| {
            let (before, now) = (&stored.data_set.definition, &data_set.definition);
            columns == Columns::New || before.columns.iter().any(|column| now.column_index(&column.name).is_none())
        };
        let owed = before.filter(|stored| withdraws(stored)).map(|_| epoch);
        Ok(DataSetManifest {
            data_set: Arc::new(data_set),
            epochs: epochs.committed(epoch, floor, now.as_microsecond()),
            born,
            generations,
            cleared: cleared.lists,
            owed,
            layout: Arc::clone(&self.layout),
        })
    }

    /// The writes that make the import visible, beginning with the data set's state.
    fn writes(
        &self,
        next: &DataSetManifest,
        at: Option<Timestamp>,
        columns: Columns,
    ) -> Result<Vec<Item>, RecordStoreError> {
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
        let result = &next.data_set.last_import.result;
        if let Some(at) = at {
            let changes = match columns {
                Columns::New => 0,
                _ => result.inserted + result.updated + result.removed,
            };
            let version =
                VersionItem { epoch: self.lease.epoch(), at, changes, state: DataSetState::of(&next.data_set) };
            writes.push(version.item(self.name()).map_err(damaged)?);
        }
        if columns != Columns::Same {
            writes.push(lists::generation(self.name(), next.data_set.generation, &next.layout).map_err(damaged)?);
        }
        Ok(writes)
    }

    /// Shows the new version, as far as the replica has it.
    fn show(&self, next: DataSetManifest) {
        let (shared, name) = (Arc::clone(&self.node.shared), self.name().to_owned());
        let shown = self.node.follower.run(async move {
            shared.nodes.hear(table(&shared, &name), next, shared.clock.monotonic_us());
            follow::follow(&shared, &name).await
        });
        if let Err(error) = shown.map_err(|error| no_bridge(self.name(), &error)).and_then(|shown| shown) {
            tracing::warn!(data_set = self.name(), %error, "an import is not shown here yet");
        }
    }

    /// Writes the new state and its other items, if this import still has the lock, and gives the lock back.
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
        let puts = puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build());
        let writes: Vec<_> = puts.chain([TransactWriteItem::builder().update(release).build()]).collect();
        let (dynamo, name) = (self.dynamo.clone(), self.name().to_owned());
        let (import, epoch) = (self.order.import_id, self.lease.epoch());
        let committed = self.run(async move {
            let outcome = commit(&dynamo, writes).await;
            if matches!(outcome, Ok(CommitOutcome::Yes)) {
                return Ok(true);
            }
            // An earlier try may have succeeded although its answer was lost.
            let stored = manifest::of(&dynamo, &name).await;
            let is_ours =
                |stored: &DataSetManifest| stored.epochs.visible() == epoch && stored.data_set.last_import.id == import;
            match (outcome, stored) {
                (_, Ok(Some(stored))) if is_ours(&stored) => Ok(true),
                (Err(error), _) => Err(error),
                (Ok(_), Err(error)) => Err(error),
                (Ok(_), Ok(_)) => match dynamo.mark().await? {
                    Some(mark) if mark.told_to_clients().is_some() => Err(StoreError::Unavailable(mark.to_string())),
                    _ => Ok(false),
                },
            }
        })?;
        if !committed {
            return Err(self.overtaken());
        }
        self.lease.ended();
        Ok(())
    }
}

/// Writes a data set's state, and what goes with it, in one transaction; repeats it when others write the same items.
pub(super) async fn commit(dynamo: &Dynamo, writes: Vec<TransactWriteItem>) -> Result<CommitOutcome, StoreError> {
    let table = dynamo.table(schema::STATE);
    let writes: Vec<TransactWriteItem> = writes.into_iter().chain([upkeep::is_not_moved(dynamo)?]).collect();
    let mut pause = COMMIT_PAUSE;
    for _ in 0..COMMIT_TRIES_MAX {
        let written = dynamo.client().transact_write_items().set_transact_items(Some(writes.clone())).send().await;
        let Err(error) = written else { return Ok(CommitOutcome::Yes) };
        match error.as_service_error().map(cancelled) {
            Some(Some(CommitOutcome::Conflict)) => {
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
fn cancelled(error: &TransactWriteItemsError) -> Option<CommitOutcome> {
    match error {
        TransactWriteItemsError::TransactionCanceledException(error) => {
            let reasons = error.cancellation_reasons();
            let is = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
            if is("ConditionalCheckFailed") {
                Some(CommitOutcome::Overtaken)
            } else if is("TransactionConflict") || is("ThrottlingError") || is("ProvisionedThroughputExceeded") {
                Some(CommitOutcome::Conflict)
            } else {
                None
            }
        }
        TransactWriteItemsError::TransactionInProgressException(_) => Some(CommitOutcome::Conflict),
        _ => None,
    }
}
