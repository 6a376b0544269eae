//! Removing a data set: its state first, so that nobody sees it any more, then its rows and its past. The tables stay, for
//! whatever is imported under the name again. Other names have other tables, which `aws setup` makes: nothing is renamed.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::{
    Shared, failed,
    fetch::Stream,
    import::{changes_target, no_bridge, read_manifest},
    lock::{Lease, Lock},
    manifest::{self, Manifest},
    past::{self, Whose},
    write::{Target, WriteError, Writer},
};
use crate::{
    aws::Bridge,
    store::{
        StoreError,
        dynamodb::{
            Dynamo,
            item::{Item, get_text, number, text},
            schema, unavailable,
        },
        records::{Held, RecordStoreError, Renaming, rules},
    },
};

/// A data set whose lock is held, as an import holds it.
pub(super) struct HeldDataSet {
    shared: Arc<Shared>,
    name: String,
    dynamo: Dynamo,
    stored: Option<Manifest>,
    lease: Lease,
    bridge: Arc<Bridge>,
}

impl HeldDataSet {
    pub(super) fn take(shared: Arc<Shared>, name: &str, who: Uuid) -> Result<Self, RecordStoreError> {
        rules::check_name(name)?;
        let bridge = Arc::new(Bridge::start("records-removal").map_err(|error| no_bridge(name, &error))?);
        let dynamo = shared.dynamo.with_own_connections();
        let lock = Lock::new(dynamo.clone(), Arc::clone(&shared.clock), name, who);
        let lease = Lease::take(lock, Arc::clone(&shared.watch), Arc::clone(&bridge));
        let lease = lease.map_err(|error| failed("remove", name, error))?;
        let lease = lease.ok_or_else(|| RecordStoreError::ImportRunning { name: name.to_owned() })?;
        let stored = read_manifest(&bridge, &dynamo, name)?;
        Ok(Self { shared, name: name.to_owned(), dynamo, stored, lease, bridge })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let done = self.bridge.run(work).map_err(|error| no_bridge(&self.name, &error))?;
        done.map_err(|error| failed("remove", &self.name, error))
    }

    /// Takes away what says that the data set is there, as it was seen.
    fn remove_state(&self, stored: &Manifest) -> Result<(), RecordStoreError> {
        let (dynamo, name, epoch) = (self.dynamo.clone(), self.name.clone(), stored.epochs.visible());
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let request = dynamo.client().delete_item().table_name(&table);
            let request = request.key("k", text(manifest::KIND)).key("r", text(name));
            let request = request.condition_expression("#e = :e").expression_attribute_names("#e", manifest::EPOCH);
            let sent = request.expression_attribute_values(":e", number(epoch)).send().await;
            sent.map(drop).map_err(|error| unavailable(&table, &error))
        })?;
        self.shared.served.write().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.shared.imports.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn still_held(&self) -> Result<(), RecordStoreError> {
        match self.lease.is_lost() {
            true => Err(RecordStoreError::ImportRunning { name: self.name.clone() }),
            false => Ok(()),
        }
    }

    fn writer(&self, target: Target) -> Writer {
        let parallel_requests = self.shared.settings.parallel_requests;
        Writer::new(Arc::clone(&self.bridge), self.dynamo.clone(), target, parallel_requests)
    }

    fn write_failed(&self, error: WriteError) -> RecordStoreError {
        RecordStoreError::Unavailable { doing: format!("remove {}", self.name), reason: error.to_string() }
    }

    fn remove_rows(&self, stored: &Manifest) -> Result<(), RecordStoreError> {
        let target = Target::new(self.dynamo.table(&schema::records_table(&self.name)), &stored.layout);
        let (key, id) = (target.key.clone(), target.id.clone());
        let mut writer = self.writer(target);
        let mut start: Option<Item> = None;
        loop {
            self.still_held()?;
            let (dynamo, table) = (self.dynamo.clone(), writer.target().table.clone());
            let (key_name, id_name, from) = (key.clone(), id.clone(), start.take());
            let (items, next) = self.run(async move {
                let request = dynamo.client().scan().table_name(&table).consistent_read(true);
                let request = request.projection_expression("#k, #i").set_exclusive_start_key(from);
                let request =
                    request.expression_attribute_names("#k", key_name).expression_attribute_names("#i", id_name);
                let page = request.send().await.map_err(|error| unavailable(&table, &error))?;
                Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
            })?;
            for item in &items {
                let place = |name: &str| get_text(item, name).map_err(|error| failed("remove", &self.name, error));
                writer.delete(place(&key)?, place(&id)?).map_err(|error| self.write_failed(error))?;
            }
            match next {
                Some(next) if !next.is_empty() => start = Some(next),
                _ => return writer.finish().map_err(|error| self.write_failed(error)),
            }
        }
    }

    fn remove_past(&self, stored: &Manifest) -> Result<(), RecordStoreError> {
        let whose = Whose::of(&stored.data_set);
        let mut writer = self.writer(changes_target(&self.dynamo));
        for epoch in stored.kept.cleared + 1..=stored.epochs.visible() {
            for shard in 0..stored.layout.shards() {
                let partition = whose.changes(epoch, shard);
                let mut stream = Stream::new(partition.clone(), None);
                while !stream.is_done() {
                    self.still_held()?;
                    let dynamo = self.dynamo.clone();
                    let (items, rest) = self.run(async move {
                        let fetched = stream.fetch(&dynamo, &past::source(&dynamo), None).await?;
                        Ok((fetched.items, stream))
                    })?;
                    stream = rest;
                    for item in &items {
                        let sort = get_text(item, past::SORT).map_err(|error| failed("remove", &self.name, error))?;
                        writer.delete(&partition, sort).map_err(|error| self.write_failed(error))?;
                    }
                }
            }
        }
        let (dynamo, own) = (self.dynamo.clone(), whose.clone());
        let (versions, generations) = self.run(async move {
            Ok((past::all_versions(&dynamo, &own).await?, past::all_generations(&dynamo, &own).await?))
        })?;
        let versions = versions.iter().map(|version| past::version_key(&whose, version.version));
        let generations = generations.iter().map(|(generation, _)| past::generation_key(&whose, *generation));
        for (partition, sort) in versions.chain(generations) {
            writer.delete(&partition, &sort).map_err(|error| self.write_failed(error))?;
        }
        writer.finish().map_err(|error| self.write_failed(error))
    }
}

impl Held for HeldDataSet {
    fn remove(self: Box<Self>) -> Result<(), RecordStoreError> {
        // Of an interrupted one the rows that are left are seen by nobody, and go with the next import under the name.
        let Some(stored) = &self.stored else { return Ok(()) };
        self.remove_state(stored)?;
        // Servers that have not heard of it read on for a moment.
        let heard = Duration::from_millis(self.shared.settings.index_settle_ms);
        self.run(async move {
            tokio::time::sleep(heard).await;
            Ok(())
        })?;
        self.remove_rows(stored)?;
        self.remove_past(stored)
    }

    fn withdraw(self: Box<Self>, withdrawn: bool) -> Result<(), RecordStoreError> {
        let Some(stored) = &self.stored else {
            return Err(RecordStoreError::UnknownDataSet { name: self.name.clone() });
        };
        self.still_held()?;
        let (dynamo, name, epoch) = (self.dynamo.clone(), self.name.clone(), stored.epochs.visible());
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let request = dynamo.client().update_item().table_name(&table);
            let request = request.key("k", text(manifest::KIND)).key("r", text(name));
            let request = request.condition_expression("#e = :e").expression_attribute_names("#e", manifest::EPOCH);
            let request = request.expression_attribute_names("#w", manifest::WITHDRAWN);
            let request = request.expression_attribute_values(":e", number(epoch));
            let request = match withdrawn {
                true => request
                    .update_expression("SET #w = :w")
                    .expression_attribute_values(":w", AttributeValue::Bool(true)),
                false => request.update_expression("REMOVE #w"),
            };
            request.send().await.map(drop).map_err(|error| unavailable(&table, &error))
        })
    }

    fn rename(self: Box<Self>, _: Renaming) -> Result<(), RecordStoreError> {
        Err(RecordStoreError::NotRenamed)
    }
}
