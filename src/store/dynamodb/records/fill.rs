//! Fills the tables of a data set with the records of an embedded server's file, their past included: what is visible then is what
//! imports would have left.
//!
//! Guarantees: nothing is visible before the end, which is one transaction. A filling that died is continued by the next one, which
//! writes the same items: its epochs are kept in a mark, an item of the table `state`, before anything else is written. If the file
//! has changed since, it begins anew under later epochs, and the next import clears away what is left. Only one filling or import of
//! the data set is at work.

mod error;
mod mark;
mod plan;

use std::{path::Path, sync::Arc};

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use uuid::Uuid;

pub use self::error::FillError;
use self::{
    mark::FillMark,
    plan::{FillPlan, damaged, written},
};
use super::{
    commit::{CommitOutcome, LISTED_AT_A_TIME, LISTED_BYTES_MAX, commit},
    import::{no_bridge, read_manifest},
    lists::{self, ListedChange},
    lock::{self, Lease, Lock, SilentLocks},
    manifest::{self, DataSetManifest},
    row::EPOCH_MAX,
    shared::failed,
    write::{BatchWriter, WriteTarget},
};
use crate::{
    aws::{Bridge, ResourceState},
    clock::SharedClock,
    dataset::Definition,
    domain::lineage::RecordsIdentity,
    failpoint::crash_point,
    store::{
        StoreError,
        dynamodb::{Dynamo, fetch, schema, setup, unavailable},
        records::{DataSet, RecordStoreError, past::ChangeKind},
        sqlite::records::moving::{KeptChange, RecordsFile},
    },
};

/// Makes the holder of a data set's lock of the data set's instance: a filling that goes on need not wait for the lease of the one
/// that died.
const HOLDER: u128 = u128::from_be_bytes(*b"permitd-filling.");
/// Tries to get a lease whose epoch is above those of the mark: the second one has it.
const LEASES_MAX: u32 = 4;

/// How much a data set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsSize {
    /// The data set.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// Its kept changes.
    pub changes: u64,
    /// Its kept versions.
    pub versions: u64,
    /// The size of what holds them, bytes; of a table it is known for some hours ago.
    pub bytes: u64,
}

/// What a file holds, once it is known that DynamoDB can keep all of it. None where no import into it was ever committed.
///
/// # Errors
/// Where it cannot be read, or something does not fit.
pub fn measure_file(path: &Path) -> Result<Option<RecordsSize>, FillError> {
    let Some(file) = RecordsFile::open(path)? else { return Ok(None) };
    FillPlan::of(&file)?.check(&file)?;
    let (size, data_set) = (file.size()?, file.data_set());
    let (name, records) = (data_set.definition.name.clone(), data_set.records);
    Ok(Some(RecordsSize { name, records, changes: size.changes, versions: size.versions, bytes: size.bytes }))
}

/// What the tables hold, by data set.
///
/// # Errors
/// Where DynamoDB cannot be read, or a data set is of another format.
pub async fn measure_tables(dynamo: &Dynamo) -> Result<Vec<RecordsSize>, RecordStoreError> {
    let mut sizes = Vec::new();
    for (name, head) in manifest::all(dynamo).await.map_err(|error| failed("read", "the data sets", error))? {
        let measured = async {
            let head = head?;
            let versions = lists::versions(dynamo, &name).await?;
            let held = versions.iter().filter(|version| {
                (head.data_set.changes_from..=head.data_set.version).contains(&version.state.version)
            });
            let held: Vec<u64> = held.map(|version| version.changes).collect();
            let table = dynamo.table(&schema::records_table(&name));
            let described = dynamo.client().describe_table().table_name(&table).send().await;
            let described = described.map_err(|error| unavailable(&table, &error))?.table;
            let bytes = described.and_then(|table| table.table_size_bytes).unwrap_or(0);
            Ok(RecordsSize {
                records: head.data_set.records,
                // The first one's changes are not kept.
                changes: held.iter().skip(1).sum(),
                versions: u64::try_from(held.len()).unwrap_or(u64::MAX),
                bytes: u64::try_from(bytes).unwrap_or(0),
                name: name.clone(),
            })
        };
        sizes.push(measured.await.map_err(|error: StoreError| failed("read", &name, error))?);
    }
    Ok(sizes)
}

/// The data sets that the tables have, as a server of them would serve them.
///
/// # Errors
/// When they cannot be read.
pub async fn data_sets_of(dynamo: &Dynamo) -> Result<Vec<Arc<DataSet>>, RecordStoreError> {
    let all = manifest::all(dynamo).await.map_err(|error| failed("read", "the data sets", error))?;
    let read = |(name, head): (String, Result<manifest::DataSetManifest, StoreError>)| match head {
        Ok(head) => Ok(head.data_set),
        Err(error) => Err(failed("read", &name, error)),
    };
    all.into_iter().map(read).collect()
}

/// What to fill tables from, and how.
pub struct FillOrder<'a> {
    /// The tables of the deployment.
    pub dynamo: Dynamo,
    /// Requests that run at the same time.
    pub parallel_requests: usize,
    /// The time.
    pub clock: SharedClock,
    /// The data set's file.
    pub file: &'a Path,
}

/// What there is of a data set's file in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillState {
    /// No import into the file was ever committed: there is nothing to fill in.
    NoRecords,
    /// Nothing that would be visible.
    Missing,
    /// All of it.
    Whole,
}

/// Looks at what there is of a file in the tables, and whether DynamoDB can keep all of it. Blocks the calling thread.
///
/// # Errors
/// [`FillError::Taken`] where the name has other records; where something does not fit, or cannot be read.
pub fn look(order: &FillOrder<'_>) -> Result<FillState, FillError> {
    let Some((file, filling)) = TableFilling::of(order)? else { return Ok(FillState::NoRecords) };
    let found = filling.found()?;
    if found == FillState::Missing {
        filling.plan.check(&file)?;
    }
    Ok(found)
}

/// Makes the table of a data set's records, unless it is there.
///
/// # Errors
/// Where it cannot be made, or another one has its name.
pub async fn make_table(dynamo: &Dynamo, definition: &Definition) -> Result<(), RecordStoreError> {
    let failed = |error: StoreError| failed("make the table of", &definition.name, error);
    let made = setup::setup(dynamo, &[schema::records(definition)]).await.map_err(failed)?;
    let Some(wrong) = made.into_iter().find(|made| made.found.is_wrong()) else { return Ok(()) };
    let how = match wrong.found {
        ResourceState::Different(how) => how,
        _ => "it is missing".to_owned(),
    };
    Err(failed(StoreError::Unavailable(format!("{}: {how}", wrong.resource))))
}

/// Fills the tables of a data set with what [`look`] found missing; [`make_table`] comes before. `wrote` hears of each state and change
/// that is written. Blocks the calling thread.
///
/// # Errors
/// [`FillError::Taken`] where the name has other records by now; where something cannot be read or written: repeat it then.
pub fn fill(order: &FillOrder<'_>, wrote: &mut dyn FnMut(u64)) -> Result<(), FillError> {
    let Some((file, filling)) = TableFilling::of(order)? else { return Ok(()) };
    let (lease, mark) = filling.begin()?;
    // Another filling may have come to its end before the lock was this one's.
    if filling.found()? == FillState::Whole {
        return Ok(());
    }
    crash_point("move-records-begun");
    filling.write_changes(&file, &lease, &mark, wrote)?;
    crash_point("move-records-past");
    filling.write_records(&file, &lease, &mark, wrote)?;
    crash_point("move-records-present");
    filling.write_versions(&mark)?;
    crash_point("move-records-before-visible");
    filling.show(lease, &mark)?;
    crash_point("move-records-visible");
    Ok(())
}

struct TableFilling {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    clock: SharedClock,
    parallel_requests: usize,
    name: String,
    plan: FillPlan,
}

impl TableFilling {
    fn of(order: &FillOrder<'_>) -> Result<Option<(RecordsFile, Self)>, FillError> {
        let Some(file) = RecordsFile::open(order.file)? else { return Ok(None) };
        let plan = FillPlan::of(&file)?;
        let name = plan.data_set.definition.name.clone();
        let bridge = Arc::new(Bridge::start("records-fill").map_err(|error| no_bridge(&name, &error))?);
        let (dynamo, clock) = (order.dynamo.with_own_connections(), Arc::clone(&order.clock));
        Ok(Some((file, Self { bridge, dynamo, clock, parallel_requests: order.parallel_requests, name, plan })))
    }

    /// What is visible under the name.
    fn found(&self) -> Result<FillState, FillError> {
        let Some(found) = read_manifest(&self.bridge, &self.dynamo, &self.name)? else { return Ok(FillState::Missing) };
        let (ours, there) = (&self.plan.data_set, &found.data_set);
        match ours.identity() == there.identity() && ours.standing == there.standing {
            true => Ok(FillState::Whole),
            false => Err(FillError::Taken { name: self.name.clone() }),
        }
    }

    fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("move records into", &self.name, error)
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let done = self.bridge.run(work).map_err(|error| no_bridge(&self.name, &error))?;
        done.map_err(|error| self.failed(error))
    }

    fn table(&self) -> String {
        self.dynamo.table(&schema::records_table(&self.name))
    }

    fn writer(&self, target: WriteTarget) -> BatchWriter {
        BatchWriter::new(Arc::clone(&self.bridge), self.dynamo.clone(), target, self.parallel_requests)
    }

    /// Takes the data set's lock, with an epoch above those of the filling, and notes or finds these.
    fn begin(&self) -> Result<(Lease, FillMark), RecordStoreError> {
        let identity = self.plan.data_set.identity();
        let holder = Uuid::from_u128(identity.instance.as_u128() ^ HOLDER);
        let watch = Arc::new(SilentLocks::new(Arc::clone(&self.clock)));
        for _ in 0..LEASES_MAX {
            let lock = Lock::new(self.dynamo.clone(), Arc::clone(&self.clock), &self.name, holder);
            let lease = Lease::take(lock, Arc::clone(&watch), Arc::clone(&self.bridge));
            let lease = lease.map_err(|error| self.failed(error))?;
            let lease = lease.ok_or_else(|| RecordStoreError::ImportRunning { name: self.name.clone() })?;
            let mark = match self.mark()?.filter(|mark| mark.identity == identity) {
                Some(mark) if lease.epoch() > mark.top() => return Ok((lease, mark)),
                Some(mark) => mark,
                None => self.note(&lease, identity)?,
            };
            // What imports count from is set above the epochs of the filling, which are its own from then on.
            lease.give_back_at(mark.top()).map_err(|error| self.failed(error))?;
        }
        Err(RecordStoreError::ImportRunning { name: self.name.clone() })
    }

    fn mark(&self) -> Result<Option<FillMark>, RecordStoreError> {
        let (dynamo, name) = (self.dynamo.clone(), self.name.clone());
        self.run(async move {
            let found = fetch::get(&dynamo, &dynamo.table(schema::STATE), FillMark::key(&name)).await?;
            found.map(|item| FillMark::read(&item)).transpose()
        })
    }

    /// Notes a new filling. Its epochs are above those of all imports of before, here and in deployments that the data set may have
    /// come from: those are fewer than seconds have passed. So no replica of before is taken for one of these records.
    fn note(&self, lease: &Lease, identity: RecordsIdentity) -> Result<FillMark, RecordStoreError> {
        let now_s = u64::try_from(self.clock.now().as_second()).unwrap_or(0);
        let base = lease.epoch().saturating_add(1).max(now_s);
        // With the first lease of all nobody has written yet.
        let mark = FillMark { base, identity, owes: lease.epoch() > 1 };
        if mark.top() >= EPOCH_MAX {
            let reason = format!("imports would count from {}, and {EPOCH_MAX} is the last", mark.top());
            return Err(RecordStoreError::Corrupt { name: self.name.clone(), reason });
        }
        let (dynamo, item) = (self.dynamo.clone(), mark.item(&self.name));
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let put = dynamo.client().put_item().table_name(&table).set_item(Some(item)).send().await;
            put.map(drop).map_err(|error| unavailable(&table, &error))
        })?;
        Ok(mark)
    }

    fn still_held(&self, lease: &Lease) -> Result<(), RecordStoreError> {
        match lease.is_lost() {
            true => Err(RecordStoreError::ImportRunning { name: self.name.clone() }),
            false => Ok(()),
        }
    }

    /// Writes the replaced and removed states, what removed them, and the lists of each version's changes.
    fn write_changes(
        &self,
        file: &RecordsFile,
        lease: &Lease,
        mark: &FillMark,
        wrote: &mut dyn FnMut(u64),
    ) -> Result<(), FillError> {
        let target = WriteTarget::new(self.table(), self.plan.present()?);
        let (mut rows, mut lists) =
            (self.writer(target), ListWriter::new(self.writer(lists::target(&self.dynamo)), &self.name));
        file.each_change::<FillError>(&mut |change| {
            self.still_held(lease)?;
            let KeptChange { version, key, id, before, remains } = change;
            let epoch = mark.epoch(version);
            let kind = match (&before, remains) {
                (None, _) => ChangeKind::Inserted,
                (Some(_), true) => ChangeKind::Updated,
                (Some(_), false) => ChangeKind::Removed,
            };
            let was = before.as_ref().map(|before| mark.epoch(before.was));
            if let Some(before) = &before {
                let item =
                    self.plan.layout(before.generation)?.item(&before.record, mark.epoch(before.was), before.was);
                rows.put(item).map_err(|error| self.failed(error))?;
            }
            if kind == ChangeKind::Removed {
                let tombstone = self.plan.present()?.tombstone(&key, &id, epoch, version);
                rows.put(tombstone).map_err(|error| self.failed(error))?;
            }
            let listed = ListedChange { kind, key, id: written(&id), was };
            lists.add(epoch, listed).map_err(|error| self.failed(error))?;
            crash_point("move-records-writing-past");
            wrote(1);
            Ok(())
        })?;
        lists.finish().and_then(|()| rows.finish()).map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Writes the present states.
    fn write_records(
        &self,
        file: &RecordsFile,
        lease: &Lease,
        mark: &FillMark,
        wrote: &mut dyn FnMut(u64),
    ) -> Result<(), FillError> {
        let layout = self.plan.present()?;
        let mut rows = self.writer(WriteTarget::new(self.table(), layout));
        file.each_record::<FillError>(&mut |since, record| {
            self.still_held(lease)?;
            rows.put(layout.item(&record, mark.epoch(since), since)).map_err(|error| self.failed(error))?;
            crash_point("move-records-writing-present");
            wrote(1);
            Ok(())
        })?;
        rows.finish().map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Writes versions and generations, and removes those that something of before has left.
    fn write_versions(&self, mark: &FillMark) -> Result<(), RecordStoreError> {
        let mut writer = self.writer(lists::target(&self.dynamo));
        let mut own = Vec::new();
        let damaged = |error: serde_json::Error| damaged(&self.name, &error);
        for version in self.plan.version_items(mark) {
            own.push(lists::version_key(&self.name, version.state.version));
            writer.put(version.item(&self.name).map_err(damaged)?).map_err(|error| self.failed(error))?;
        }
        for (generation, layout) in &self.plan.layouts {
            own.push(lists::generation_key(&self.name, *generation));
            let item = lists::generation(&self.name, *generation, layout).map_err(damaged)?;
            writer.put(item).map_err(|error| self.failed(error))?;
        }
        let (dynamo, name) = (self.dynamo.clone(), self.name.clone());
        let (versions, generations) = self.run(async move {
            Ok((lists::versions(&dynamo, &name).await?, lists::generations(&dynamo, &name).await?))
        })?;
        let versions = versions.iter().map(|found| lists::version_key(&self.name, found.state.version));
        let generations = generations.iter().map(|(generation, _)| lists::generation_key(&self.name, *generation));
        for (partition, sort) in versions.chain(generations).filter(|key| !own.contains(key)) {
            let key = writer.target().key_of(&partition, &sort);
            writer.delete(key).map_err(|error| self.failed(error))?;
        }
        writer.finish().map_err(|error| self.failed(error))
    }

    /// Makes all of it visible, removes the mark, and gives the lock back: in one write.
    fn show(&self, mut lease: Lease, mark: &FillMark) -> Result<(), FillError> {
        if !lease.renew().map_err(|error| self.failed(error))? {
            return Err(RecordStoreError::ImportRunning { name: self.name.clone() }.into());
        }
        lease.stop_renewing();
        let built =
            |error: aws_sdk_dynamodb::error::BuildError| self.failed(StoreError::Unavailable(error.to_string()));
        let head = self.plan.manifest(mark, self.clock.now());
        let item = head.item().map_err(|error| damaged(&self.name, &error))?;
        let table = self.dynamo.table(schema::STATE);
        let put =
            Put::builder().table_name(&table).set_item(Some(item)).condition_expression("attribute_not_exists(#e)");
        let put = put.expression_attribute_names("#e", manifest::EPOCH).build().map_err(built)?;
        let delete = Delete::builder().table_name(&table).set_key(Some(FillMark::key(&self.name))).build();
        let delete = delete.map_err(built)?;
        let release = lock::release_within(&lease).map_err(built)?;
        let writes = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().delete(delete).build(),
            TransactWriteItem::builder().update(release).build(),
        ];
        let (dynamo, name, ours) = (self.dynamo.clone(), self.name.clone(), head);
        let is_shown = self.run(async move {
            let outcome = commit(&dynamo, writes).await;
            if matches!(outcome, Ok(CommitOutcome::Yes)) {
                return Ok(true);
            }
            // An earlier try may have succeeded although its answer was lost.
            let found = manifest::of(&dynamo, &name).await?;
            let is_ours = |found: &DataSetManifest| {
                found.epochs.visible() == ours.epochs.visible() && found.data_set.identity() == ours.data_set.identity()
            };
            if found.as_ref().is_some_and(is_ours) { Ok(true) } else { outcome.map(|_| false) }
        })?;
        if !is_shown {
            return Err(RecordStoreError::ImportRunning { name: self.name.clone() }.into());
        }
        lease.ended();
        Ok(())
    }
}

/// Writes the lists of changes, in parts: changes come version by version, in order.
struct ListWriter<'n> {
    writer: BatchWriter,
    name: &'n str,
    epoch: u64,
    part: u64,
    listed: Vec<ListedChange>,
    bytes: usize,
}

impl<'n> ListWriter<'n> {
    fn new(writer: BatchWriter, name: &'n str) -> Self {
        Self { writer, name, epoch: 0, part: 0, listed: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, epoch: u64, change: ListedChange) -> Result<(), StoreError> {
        let bytes = change.key.len() + change.id.len();
        if epoch != self.epoch {
            self.write()?;
            (self.epoch, self.part) = (epoch, 0);
        } else if self.listed.len() >= LISTED_AT_A_TIME || self.bytes + bytes > LISTED_BYTES_MAX {
            self.write()?;
        }
        self.bytes += bytes;
        self.listed.push(change);
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if self.listed.is_empty() {
            return Ok(());
        }
        let item = lists::part(self.name, self.epoch, self.part, &self.listed)?;
        self.listed.clear();
        (self.bytes, self.part) = (0, self.part + 1);
        self.writer.put(item)
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.write()?;
        self.writer.finish()
    }
}
