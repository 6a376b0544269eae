//! Imports: the file's rows are compared with the replica of this machine, in a transaction that nobody else sees yet. The
//! differences are written to DynamoDB under a new epoch, which one write makes visible; then the replica commits, too.
//!
//! An import holds the data set's lock, and first brings the replica to the latest version: so it compares with the present
//! records. It does not read the table of records. Differences are listed before they are written: the list is used to clear away
//! an import that died. The last write is a transaction that fails if another import has taken the lock over: it replaces the data
//! set's state, adds the version, and gives the lock back.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{KeyType, TableDescription, TableStatus};

use super::{
    follow, lists,
    lock::{self, Lease, Lock},
    manifest::{self, DataSetManifest},
    node::RecordsNode,
    row::Layout,
    shared::{RecordsShared, failed, table},
    write::{BatchWriter, WriteTarget},
};
use crate::{
    aws::{Bridge, BridgeError},
    dataset::Record,
    store::{
        StoreError,
        dynamodb::{Dynamo, unavailable},
        records::{ImportOrder, ImportResult, ImportSession, Outlook, RecordStoreError, RowOutcome, rules},
        sqlite::records::replica::ReplicaImport,
    },
};

pub(super) struct DynamoImport {
    pub(super) node: Arc<RecordsNode>,
    pub(super) order: ImportOrder,
    pub(super) dynamo: Dynamo,
    pub(super) stored: Option<DataSetManifest>,
    /// The layout of the new records in the table.
    pub(super) layout: Arc<Layout>,
    local: Option<ReplicaImport>,
    pub(super) lease: Lease,
    pub(super) bridge: Arc<Bridge>,
}

/// Tells whether an import into the data set is under way anywhere.
pub(super) fn is_running(shared: &RecordsShared, name: &str) -> Result<bool, RecordStoreError> {
    rules::check_name(name)?;
    let (dynamo, now, asked) = (shared.dynamo.with_own_connections(), shared.clock.now(), name.to_owned());
    let watch = Arc::clone(&shared.watch);
    let asking = Bridge::start("records-import-look").map_err(|error| no_bridge(name, &error))?;
    let held = asking.run(async move { lock::is_held(&dynamo, &asked, now, &watch).await });
    let held = held.map_err(|error| no_bridge(name, &error))?;
    held.map_err(|error| failed("look for an import into", name, error))
}

pub(super) fn no_bridge(name: &str, error: &BridgeError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: format!("import into {name}"), reason: error.to_string() }
}

impl DynamoImport {
    pub(super) fn begin(node: Arc<RecordsNode>, order: ImportOrder) -> Result<Self, RecordStoreError> {
        let name = order.definition.name.clone();
        rules::check_name(&name)?;
        let shared = &node.shared;
        let bridge = Arc::new(Bridge::start("records-import").map_err(|error| no_bridge(&name, &error))?);
        let dynamo = shared.dynamo.with_own_connections();
        let lock = Lock::new(dynamo.clone(), Arc::clone(&shared.clock), &name, order.import_id);
        let lease = Lease::take(lock, Arc::clone(&shared.watch), Arc::clone(&bridge));
        let lease = lease.map_err(|error| failed("import into", &name, error))?;
        let lease = lease.ok_or_else(|| RecordStoreError::ImportRunning { name: name.clone() })?;
        // From here on the lease is given back in every case.
        let stored = read_manifest(&bridge, &dynamo, &name)?;
        order.check_stored(stored.as_ref().map(|stored| &*stored.data_set))?;
        let before = stored.as_ref().map_or(0, |stored| stored.epochs.visible());
        if lease.epoch() <= before {
            let reason = format!("imports count from {}, but {before} has been committed", lease.epoch());
            return Err(RecordStoreError::Corrupt { name, reason });
        }
        let layout = Arc::new(layout(stored.as_ref(), &order, lease.epoch()));
        let mut session = Self { node, order, dynamo, stored, layout, local: None, lease, bridge };
        session.check_table()?;
        if !session.order.is_dry {
            session.clear_dead()?;
            session.pay_debt()?;
        }
        session.catch_up()?;
        let (order, epoch) = (session.order.clone(), session.lease.epoch());
        let local = session.node.shared.engine.import_into_replica(order, epoch)?;
        if local.begun_after() != session.stored.as_ref().map(|stored| stored.data_set.last_import.id) {
            return Err(RecordStoreError::Unavailable {
                doing: format!("import into {}", session.name()),
                reason: "this node's copy of the records was replaced under it: repeat the import".to_owned(),
            });
        }
        session.local = Some(local);
        Ok(session)
    }

    pub(super) fn name(&self) -> &str {
        &self.order.definition.name
    }

    pub(super) fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("import into", self.name(), error)
    }

    pub(super) fn overtaken(&self) -> RecordStoreError {
        RecordStoreError::Unavailable {
            doing: format!("import into {}", self.name()),
            reason: "the import was not heard of for so long that another one took its place: wait for its end and \
                     repeat this one"
                .to_owned(),
        }
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let done = self.bridge.run(work).map_err(|error| no_bridge(self.name(), &error))?;
        done.map_err(|error| self.failed(error))
    }

    /// A writer of the table of records.
    pub(super) fn records_writer(&self) -> BatchWriter {
        self.writer_of(WriteTarget::new(table(&self.node.shared, self.name()), &self.layout))
    }

    /// A writer of the table of changes.
    pub(super) fn lists_writer(&self) -> BatchWriter {
        self.writer_of(lists::target(&self.dynamo))
    }

    fn writer_of(&self, target: WriteTarget) -> BatchWriter {
        let parallel_requests = self.node.shared.settings.parallel_requests;
        BatchWriter::new(Arc::clone(&self.bridge), self.dynamo.clone(), target, parallel_requests)
    }

    /// Brings the replica to the stored state; removes a replica whose data set does not exist.
    fn catch_up(&self) -> Result<(), RecordStoreError> {
        let (shared, name) = (Arc::clone(&self.node.shared), self.name().to_owned());
        let stored = self.stored.clone();
        let caught_up = self.node.follower.run(async move {
            match stored {
                Some(stored) => {
                    shared.nodes.hear(table(&shared, &name), stored, shared.clock.monotonic_us());
                    follow::caught_up(&shared, &name).await
                }
                None => follow::forget(&shared, &name).await,
            }
        });
        caught_up.map_err(|error| no_bridge(self.name(), &error))?
    }

    /// Checks that the table of records exists and has the right keys.
    fn check_table(&self) -> Result<(), RecordStoreError> {
        let (dynamo, table) = (self.dynamo.clone(), table(&self.node.shared, self.name()));
        let asked = table.clone();
        let described = self.run(async move {
            let described = dynamo.client().describe_table().table_name(&asked).send().await;
            described.map(|described| described.table).map_err(|error| unavailable(&asked, &error))
        })?;
        let wrong = |what: String| RecordStoreError::Unavailable {
            doing: format!("import into {}", self.name()),
            reason: format!("table {table}: {what}"),
        };
        let Some(description) = described else { return Err(wrong("DynamoDB does not describe it".to_owned())) };
        if !matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating)) {
            return Err(wrong("it is not ready yet: repeat the import a little later".to_owned()));
        }
        let (key, id) = (self.layout.key_attribute(), self.layout.id_attribute());
        if keys(&description) != [(KeyType::Hash, key), (KeyType::Range, id)] {
            return Err(wrong(format!(
                "its keys are not {key} and {id}, as the definition says: delete the table, run `permitd aws setup`, and \
                 import again"
            )));
        }
        Ok(())
    }

    fn local(&mut self) -> Result<&mut dyn ImportSession, RecordStoreError> {
        if self.lease.is_lost() {
            return Err(self.overtaken());
        }
        let reason = "it has come to its end".to_owned();
        let doing = format!("import into {}", self.order.definition.name);
        let local = self.local.as_mut().ok_or(RecordStoreError::Unavailable { doing, reason })?;
        Ok(local.session())
    }
}

impl ImportSession for DynamoImport {
    fn absent(&mut self, columns: &[usize], kept: bool) -> Result<(), RecordStoreError> {
        self.local()?.absent(columns, kept)
    }

    fn take_ids(&mut self) {
        if let Some(local) = &mut self.local {
            local.session().take_ids();
        }
    }

    fn put(&mut self, line: u64, key: &str, record: Record) -> Result<RowOutcome, RecordStoreError> {
        self.layout.check(line, key, &record)?;
        self.local()?.put(line, key, record)
    }

    fn reject(&mut self, key: Option<&str>) -> Result<(), RecordStoreError> {
        self.local()?.reject(key)
    }

    fn settle(&mut self) -> Result<Outlook, RecordStoreError> {
        self.local()?.settle()
    }

    fn commit(mut self: Box<Self>) -> Result<ImportResult, RecordStoreError> {
        self.order.check_real()?;
        // On failure nothing of the replica stays open.
        let Some(local) = self.local.take() else { return Err(self.overtaken()) };
        self.commit_with(local)
    }
}

/// The layout of the new records in the table.
fn layout(stored: Option<&DataSetManifest>, order: &ImportOrder, epoch: u64) -> Layout {
    let definition = &order.definition;
    match stored.filter(|_| order.anew.is_none()) {
        Some(stored) if rules::same_identity(stored.layout.definition(), definition) => {
            stored.layout.followed_by(definition, epoch)
        }
        _ => Layout::new(Arc::clone(definition)),
    }
}

fn keys(description: &TableDescription) -> Vec<(KeyType, &str)> {
    let mut keys: Vec<(KeyType, &str)> =
        description.key_schema().iter().map(|key| (key.key_type().clone(), key.attribute_name())).collect();
    keys.sort_by_key(|(kind, _)| *kind != KeyType::Hash);
    keys
}

/// The state of a data set, if an import into it was ever committed.
pub(super) fn read_manifest(
    bridge: &Bridge,
    dynamo: &Dynamo,
    name: &str,
) -> Result<Option<DataSetManifest>, RecordStoreError> {
    let (dynamo, asked) = (dynamo.clone(), name.to_owned());
    let read = bridge.run(async move { manifest::of(&dynamo, &asked).await });
    let read = read.map_err(|error| no_bridge(name, &error))?;
    read.map_err(|error| failed("read", name, error))
}
