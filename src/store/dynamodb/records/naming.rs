//! Removes a data set: first its state, so that nobody sees it any more, then its rows and its past. The tables stay for later
//! imports under the name. Data sets are not renamed: another name has other tables, which `aws setup` makes.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    follow,
    import::{no_bridge, read_manifest},
    lists::{self, ChangeList},
    lock::{Lease, Lock},
    manifest::{self, DataSetManifest},
    node::RecordsNode,
    shared::{failed, table},
    write::{BatchWriter, WriteTarget},
};
use crate::{
    aws::Bridge,
    store::{
        StoreError,
        dynamodb::{
            Dynamo,
            item::{Item, number},
            schema, unavailable,
        },
        records::{Held, RecordStoreError, Renaming, rules},
    },
};

/// A data set whose lock is held, as by an import.
pub(super) struct HeldDataSet {
    node: Arc<RecordsNode>,
    name: String,
    dynamo: Dynamo,
    stored: Option<DataSetManifest>,
    lease: Lease,
    bridge: Arc<Bridge>,
}

impl HeldDataSet {
    pub(super) fn take(node: Arc<RecordsNode>, name: &str, who: Uuid) -> Result<Self, RecordStoreError> {
        rules::check_name(name)?;
        let bridge = Arc::new(Bridge::start("records-removal").map_err(|error| no_bridge(name, &error))?);
        let dynamo = node.shared.dynamo.with_own_connections();
        let lock = Lock::new(dynamo.clone(), Arc::clone(&node.shared.clock), name, who);
        let lease = Lease::take(lock, Arc::clone(&node.shared.watch), Arc::clone(&bridge));
        let lease = lease.map_err(|error| failed("remove", name, error))?;
        let lease = lease.ok_or_else(|| RecordStoreError::ImportRunning { name: name.to_owned() })?;
        let stored = read_manifest(&bridge, &dynamo, name)?;
        Ok(Self { node, name: name.to_owned(), dynamo, stored, lease, bridge })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let done = self.bridge.run(work).map_err(|error| no_bridge(&self.name, &error))?;
        done.map_err(|error| failed("remove", &self.name, error))
    }

    /// Removes the data set's state, if it is still as it was seen.
    fn remove_state(&self, stored: &DataSetManifest) -> Result<(), RecordStoreError> {
        let (dynamo, name, epoch) = (self.dynamo.clone(), self.name.clone(), stored.epochs.visible());
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let request = dynamo.client().delete_item().table_name(&table).set_key(Some(manifest::key(&name)));
            let request = request.condition_expression("#e = :e").expression_attribute_names("#e", manifest::EPOCH);
            let sent = request.expression_attribute_values(":e", number(epoch)).send().await;
            sent.map(drop).map_err(|error| unavailable(&table, &error))
        })?;
        let (shared, name) = (Arc::clone(&self.node.shared), self.name.clone());
        let forgotten = self.node.follower.run(async move { follow::forget(&shared, &name).await });
        forgotten.map_err(|error| no_bridge(&self.name, &error))?
    }

    fn still_held(&self) -> Result<(), RecordStoreError> {
        match self.lease.is_lost() {
            true => Err(RecordStoreError::ImportRunning { name: self.name.clone() }),
            false => Ok(()),
        }
    }

    fn writer(&self, target: WriteTarget) -> BatchWriter {
        let parallel_requests = self.node.shared.settings.parallel_requests;
        BatchWriter::new(Arc::clone(&self.bridge), self.dynamo.clone(), target, parallel_requests)
    }

    fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("remove", &self.name, error)
    }

    fn remove_rows(&self, stored: &DataSetManifest) -> Result<(), RecordStoreError> {
        let mut writer = self.writer(WriteTarget::new(table(&self.node.shared, &self.name), &stored.layout));
        let mut start: Option<Item> = None;
        loop {
            self.still_held()?;
            let (dynamo, target, from) = (self.dynamo.clone(), writer.target().clone(), start.take());
            let (items, next) = self.run(async move {
                let request = dynamo.client().scan().table_name(&target.table).consistent_read(true);
                let request = request.projection_expression("#k, #i").set_exclusive_start_key(from);
                let request =
                    request.expression_attribute_names("#k", target.key).expression_attribute_names("#i", target.id);
                let page = request.send().await.map_err(|error| unavailable(&target.table, &error))?;
                Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
            })?;
            for item in items {
                writer.delete(item).map_err(|error| self.failed(error))?;
            }
            match next {
                Some(next) if !next.is_empty() => start = Some(next),
                _ => return writer.finish().map_err(|error| self.failed(error)),
            }
        }
    }

    fn remove_past(&self, stored: &DataSetManifest) -> Result<(), RecordStoreError> {
        let mut writer = self.writer(lists::target(&self.dynamo));
        for epoch in stored.cleared + 1..=stored.epochs.visible() {
            self.still_held()?;
            let mut list = ChangeList::of(&self.name, epoch);
            loop {
                let dynamo = self.dynamo.clone();
                let (parts, rest) = self.run(async move { Ok((list.read(&dynamo).await?, list)) })?;
                list = rest;
                let Some(parts) = parts else { break };
                self.delete(&mut writer, parts.keys)?;
            }
        }
        let (dynamo, name) = (self.dynamo.clone(), self.name.clone());
        let (versions, generations) = self.run(async move {
            Ok((lists::versions(&dynamo, &name).await?, lists::generations(&dynamo, &name).await?))
        })?;
        let versions = versions.iter().map(|version| lists::version_key(&self.name, version.state.version));
        let generations = generations.iter().map(|(generation, _)| lists::generation_key(&self.name, *generation));
        self.delete(&mut writer, versions.chain(generations).collect())?;
        writer.finish().map_err(|error| self.failed(error))
    }

    fn delete(&self, writer: &mut BatchWriter, keys: Vec<(String, String)>) -> Result<(), RecordStoreError> {
        for (partition, sort) in keys {
            let key = writer.target().key_of(&partition, &sort);
            writer.delete(key).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

impl Held for HeldDataSet {
    fn remove(self: Box<Self>) -> Result<(), RecordStoreError> {
        // Rows that an interrupted removal left are visible to nobody, and go with the next import under the name.
        let Some(stored) = &self.stored else { return Ok(()) };
        self.remove_state(stored)?;
        // Servers that have not heard of the removal go on reading for a moment.
        let heard = Duration::from_millis(self.node.shared.settings.hearing_ms);
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
        let mut next = stored.clone();
        let mut data_set = (*stored.data_set).clone();
        data_set.standing.withdrawn = withdrawn;
        next.data_set = Arc::new(data_set);
        let item =
            next.item().map_err(|error| self.failed(crate::store::dynamodb::item::damaged("document", error)))?;
        let (dynamo, epoch) = (self.dynamo.clone(), stored.epochs.visible());
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let request = dynamo.client().put_item().table_name(&table).set_item(Some(item));
            let request = request.condition_expression("#e = :e").expression_attribute_names("#e", manifest::EPOCH);
            let request = request.expression_attribute_values(":e", number(epoch));
            request.send().await.map(drop).map_err(|error| unavailable(&table, &error))
        })
    }

    fn rename(self: Box<Self>, _: Renaming) -> Result<(), RecordStoreError> {
        Err(RecordStoreError::NotRenamed)
    }
}
