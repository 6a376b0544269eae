//! Imports: the file's rows are compared with what is stored, and only what differs is written, under an epoch that nobody
//! sees until it is committed by one write.
//!
//! An import first reads the whole table into a temporary file, [`Scratch`], and clears away what imports that died have left,
//! and what is not held any more. It writes new versions of records beside the old ones, says of the old ones that they end with
//! its epoch, and writes down what it changes. Then it waits for the indexes to follow, and commits: the data set's state is
//! replaced, and the lock given back, in one transaction that fails if another import has taken the lock over.

mod commit;
mod past;
mod stock;

pub(super) use self::past::target as changes_target;

use std::sync::Arc;

use super::{
    Shared, failed, lock,
    lock::{Lease, Lock},
    manifest::{self, Manifest},
    past::{Version, Whose},
    row::{self, Layout},
    scratch::{Fate, Scratch},
    write::{Target, WriteError, Writer},
};
use crate::{
    aws::{Bridge, BridgeError},
    dataset::{
        Record, RecordIdRule, Value,
        figures::{TableFigures, TableTally},
    },
    store::{
        StoreError,
        dynamodb::{Dynamo, item::text, schema, unavailable},
        records::{
            ImportOrder, ImportResult, ImportSession, Outlook, RecordStoreError, RowOutcome,
            outcome::{Absent, Columns, Counts, Effects},
            past::Kind,
            rules::{self, set},
        },
    },
};

/// Rows of which the indexes are asked at the end whether they have followed.
const PROBES: usize = 8;

/// A row that was written, as its indexes know it: partition key, sort key of each, and the table's sort key.
struct Probe {
    sort_key: String,
    attributes: Vec<(String, String)>,
}

pub(super) struct OpenImport {
    shared: Arc<Shared>,
    order: ImportOrder,
    dynamo: Dynamo,
    writer: Writer,
    /// Writes the table of changes.
    changes: Writer,
    whose: Whose,
    /// What is known of earlier versions.
    versions: Vec<Version>,
    stored: Option<Manifest>,
    layout: Arc<Layout>,
    columns: Columns,
    /// Whether there are indexes that stored records are not in.
    reindex: bool,
    /// Whether nothing is stored that the file could be compared with.
    empty: bool,
    scratch: Scratch,
    counts: Counts,
    absent: Absent,
    effects: Effects,
    filled: stock::Filled,
    /// The first updated records: their keys, the sort keys of what they were, and what they are.
    updated: Vec<(String, String, Record)>,
    /// Whether the rows bring their ids where they would be counted.
    brings_ids: bool,
    /// Whether what the file does not hold is marked for removal by now.
    is_settled: bool,
    /// Adds up what is written, where nothing else will be seen.
    tally: Option<TableTally>,
    /// The figures of the columns at the version that this import leaves, where they are not those that were kept.
    figures: Option<Arc<TableFigures>>,
    /// Whether anything was written that has to be seen.
    wrote: bool,
    probes: Vec<Probe>,
    next_probe: usize,
    lease: Lease,
    bridge: Arc<Bridge>,
}

/// Whether an import into the data set is under way anywhere.
pub(super) fn is_running(shared: &Shared, name: &str) -> Result<bool, RecordStoreError> {
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

impl OpenImport {
    pub(super) fn begin(shared: Arc<Shared>, order: ImportOrder) -> Result<Self, RecordStoreError> {
        let name = order.definition.name.clone();
        rules::check_name(&name)?;
        let bridge = Arc::new(Bridge::start("records-import").map_err(|error| no_bridge(&name, &error))?);
        let dynamo = shared.dynamo.with_own_connections();
        let lock = Lock::new(dynamo.clone(), Arc::clone(&shared.clock), &name, order.import_id);
        let (watch, own) = (Arc::clone(&shared.watch), Arc::clone(&bridge));
        let lease = Lease::take(lock, watch, own).map_err(|error| failed("import into", &name, error))?;
        let lease = lease.ok_or_else(|| RecordStoreError::ImportRunning { name: name.clone() })?;
        // From here on the lease is given back however this ends.
        let stored = read_manifest(&bridge, &dynamo, &name)?;
        order.check_stored(stored.as_ref().map(|stored| &*stored.data_set))?;
        let before = stored.as_ref().map_or(0, |stored| stored.epochs.visible());
        if lease.epoch() <= before {
            let reason = format!("imports count from {}, but {before} has been committed", lease.epoch());
            return Err(RecordStoreError::Corrupt { name, reason });
        }
        let shards = stored.as_ref().map_or(shared.settings.shards, |stored| stored.layout.shards());
        let layout = Arc::new(Layout::new(Arc::clone(&order.definition), shards));
        let target = Target::new(dynamo.table(&schema::records_table(&name)), &layout);
        let columns = columns(stored.as_ref(), &order)?;
        let reindex = stored.as_ref().is_some_and(|stored| {
            let before = stored.layout.indexes();
            layout.indexes().iter().any(|index| !before.contains(index))
        });
        let scratch = Scratch::new(&shared.settings.scratch)?;
        let parallel_requests = shared.settings.parallel_requests;
        let writer_of = |target| {
            let writer = Writer::new(Arc::clone(&bridge), dynamo.clone(), target, parallel_requests);
            if order.is_dry { writer.idle() } else { writer }
        };
        let (writer, changes) = (writer_of(target), writer_of(past::target(&dynamo)));
        let kept = stored.as_ref().filter(|_| order.anew.is_none());
        let instance = kept.map_or(order.import_id, |stored| stored.data_set.instance);
        let mut session = Self {
            shared,
            order,
            dynamo,
            writer,
            changes,
            whose: Whose::new(&name, instance),
            versions: Vec::new(),
            stored,
            layout,
            columns,
            reindex,
            empty: true,
            scratch,
            counts: Counts::default(),
            absent: Absent::default(),
            effects: Effects::default(),
            filled: stock::Filled::default(),
            updated: Vec::new(),
            brings_ids: false,
            is_settled: false,
            tally: None,
            figures: None,
            wrote: false,
            probes: Vec::new(),
            next_probe: 0,
            lease,
            bridge,
        };
        session.check_table()?;
        session.look_back()?;
        session.take_stock()?;
        session.tally = session.empty.then(|| TableTally::new(&session.order.definition));
        if session.columns == Columns::New && session.order.anew.is_none() {
            // Nothing stored can be recognised in the file: all of it goes.
            session.counts.removed = session.stored.as_ref().map_or(0, |stored| stored.data_set.records);
        }
        Ok(session)
    }

    fn name(&self) -> &str {
        &self.order.definition.name
    }

    fn epoch(&self) -> u64 {
        self.lease.epoch()
    }

    /// The version that comes to be if anything is written that has to be seen.
    fn version(&self) -> u64 {
        self.order.next_version(self.stored.as_ref().map(|stored| &*stored.data_set))
    }

    fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("import into", self.name(), error)
    }

    fn write_failed(&self, error: WriteError) -> RecordStoreError {
        match error {
            WriteError::Overtaken => self.overtaken(),
            WriteError::Store(error) => self.failed(error),
        }
    }

    fn overtaken(&self) -> RecordStoreError {
        RecordStoreError::Unavailable {
            doing: format!("import into {}", self.name()),
            reason: "the import was not heard of for so long that another one took its place: wait for its end and \
                     repeat this one"
                .to_owned(),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let done = self.bridge.run(work).map_err(|error| no_bridge(self.name(), &error))?;
        done.map_err(|error| self.failed(error))
    }

    /// Whether record ids are the places of rows among those of their key.
    fn counts_rows(&self) -> bool {
        self.order.definition.record_id_rule == RecordIdRule::Ordinal && !self.brings_ids
    }

    fn take_in(&mut self, line: u64, key: &str, mut record: Record) -> Result<RowOutcome, RecordStoreError> {
        let definition = Arc::clone(&self.order.definition);
        let place = definition.record_id;
        if self.counts_rows() {
            let ordinal = self.scratch.count(key)?;
            set(&mut record, Some(place), rules::ordinal_value(&definition, ordinal));
        } else if let Some(first_line) = self.scratch.note(key, row::value(&record, place), line)? {
            return Ok(RowOutcome::Duplicate { first_line });
        }
        let id = row::value(&record, place).to_string();
        let before = if self.empty { None } else { self.scratch.find(key, &id)? };
        if before.is_some() && !self.absent.is_empty() {
            let stored = self.scratch.values(key, &id)?;
            let kinds = self.absent.places().map(|place| definition.column_kind(place));
            let stored = kinds.zip(stored).map(|(kind, text)| match text {
                None => Ok(Value::Null),
                Some(text) => Value::parse(kind, &text),
            });
            let stored = stored.collect::<Result<_, _>>().map_err(|error| RecordStoreError::Corrupt {
                name: self.name().to_owned(),
                reason: format!("a stored value of {key:?}: {error}"),
            })?;
            self.absent.compare(&mut record, stored);
        }
        match before {
            Some((_, stored)) if stored.as_slice() == row::fingerprint(&definition, &record) => {
                self.scratch.mark(key, &id, Fate::Same)?;
                self.counts.unchanged += 1;
                Ok(RowOutcome::Unchanged)
            }
            Some((epoch, _)) => {
                self.note_effects(key, (&id, epoch), &record)?;
                self.write(line, &mut record)?;
                self.end(key, &id, epoch)?;
                self.note(Kind::Updated, key, row::value(&record, place), Some(epoch))?;
                self.scratch.mark(key, &id, Fate::Replaced)?;
                self.counts.updated += 1;
                Ok(RowOutcome::Updated)
            }
            None => {
                self.write(line, &mut record)?;
                self.note(Kind::Inserted, key, row::value(&record, place), None)?;
                self.counts.inserted += 1;
                Ok(RowOutcome::Inserted)
            }
        }
    }

    /// Writes a record as of today.
    fn write(&mut self, line: u64, record: &mut Record) -> Result<(), RecordStoreError> {
        set(record, self.order.definition.load_date, Value::Date(self.order.today));
        self.put_version(line, record, self.version())
    }

    /// Writes a version of a record in this import's epoch. It is like this since a version of the data set.
    fn put_version(&mut self, line: u64, record: &Record, version: u64) -> Result<(), RecordStoreError> {
        if self.lease.is_lost() {
            return Err(self.overtaken());
        }
        let item = self.layout.item(line, record, (self.epoch(), version))?;
        if let Some(tally) = &mut self.tally {
            tally.add_all(record);
        }
        self.remember(&item);
        self.wrote = true;
        self.writer.put(item).map_err(|error| self.write_failed(error))
    }

    /// Keeps the last rows that were written, to ask the indexes for.
    fn remember(&mut self, item: &super::super::item::Item) {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let keys = self.layout.indexes().iter();
        let attributes = keys.map(|index| (text(&index.partition_attribute), text(&index.order_attribute))).collect();
        let probe = Probe { sort_key: text(self.layout.id_attribute()), attributes };
        match self.probes.get_mut(self.next_probe) {
            Some(slot) => *slot = probe,
            None => self.probes.push(probe),
        }
        self.next_probe = (self.next_probe + 1) % PROBES;
    }

    /// Says of a stored version that it ends with this import.
    fn end(&mut self, key: &str, id: &str, epoch: u64) -> Result<(), RecordStoreError> {
        self.wrote = true;
        let ended = self.writer.end(key, &row::sort_key(id, epoch), (self.epoch(), self.version()));
        ended.map_err(|error| self.write_failed(error))
    }

    /// Marks what the file does not hold, once.
    fn mark_removed(&mut self) -> Result<(), RecordStoreError> {
        if self.order.replace && !self.empty && !self.is_settled {
            self.counts.removed += self.scratch.remove_unseen()?;
        }
        self.is_settled = true;
        Ok(())
    }

    fn keep(&mut self, key: &str) -> Result<(), RecordStoreError> {
        let definition = Arc::clone(&self.order.definition);
        if !self.counts_rows() {
            return if self.order.replace { self.scratch.keep_key(key) } else { Ok(()) };
        }
        let ordinal = self.scratch.count(key)?;
        if self.order.replace && !self.empty {
            let id = rules::ordinal_value(&definition, ordinal).to_string();
            if self.scratch.find(key, &id)?.is_some() {
                self.scratch.mark(key, &id, Fate::Same)?;
            }
        }
        Ok(())
    }
}

impl ImportSession for OpenImport {
    fn absent(&mut self, columns: &[usize], kept: bool) -> Result<(), RecordStoreError> {
        let stored = self.stored.as_ref().filter(|_| !self.empty).map(|stored| stored.layout.definition());
        self.absent = Absent::new(columns, kept, &self.order.definition, stored.map(|stored| &**stored));
        if self.absent.is_empty() { Ok(()) } else { self.note_absent() }
    }

    fn take_ids(&mut self) {
        self.brings_ids = true;
    }

    fn put(&mut self, line: u64, key: &str, record: Record) -> Result<RowOutcome, RecordStoreError> {
        rules::check_row(&self.order.definition, line, key, &record)?;
        self.take_in(line, key, record)
    }

    fn reject(&mut self, key: Option<&str>) -> Result<(), RecordStoreError> {
        self.counts.rejected += 1;
        match key {
            Some(key) => self.keep(key),
            None => Ok(()),
        }
    }

    fn settle(&mut self) -> Result<Outlook, RecordStoreError> {
        self.mark_removed()?;
        self.note_differences()?;
        let stored = self.stored.as_ref().map(|stored| &*stored.data_set);
        let effects = self.effects.told(&self.filled.of(&self.effects.losing()));
        Ok(self.order.outlook(self.counts, stored, self.columns, &self.absent, effects))
    }

    fn commit(mut self: Box<Self>) -> Result<ImportResult, RecordStoreError> {
        self.order.check_real()?;
        self.finish()
    }
}

/// What the definition of an import is to the stored one.
fn columns(stored: Option<&Manifest>, order: &ImportOrder) -> Result<Columns, RecordStoreError> {
    let Some(stored) = stored.filter(|_| order.anew.is_none()) else { return Ok(Columns::New) };
    let (before, now) = (stored.layout.definition(), &order.definition);
    if rules::same_columns(before, now) {
        return Ok(Columns::Same);
    }
    if rules::same_identity(before, now) {
        return Ok(Columns::Other);
    }
    if order.replace { Ok(Columns::New) } else { Err(RecordStoreError::IdentityChanged { name: now.name.clone() }) }
}

/// The state of a data set, if an import into it was ever committed.
pub(super) fn read_manifest(
    bridge: &Bridge,
    dynamo: &Dynamo,
    name: &str,
) -> Result<Option<Manifest>, RecordStoreError> {
    let (dynamo, asked) = (dynamo.clone(), name.to_owned());
    let read = bridge.run(async move { manifest_of(&dynamo, &asked).await });
    let read = read.map_err(|error| no_bridge(name, &error))?;
    read.map_err(|error| failed("read", name, error))
}

async fn manifest_of(dynamo: &Dynamo, name: &str) -> Result<Option<Manifest>, StoreError> {
    let table = dynamo.table(schema::STATE);
    let read = dynamo
        .client()
        .get_item()
        .table_name(&table)
        .consistent_read(true)
        .key("k", text(manifest::KIND))
        .key("r", text(name))
        .send()
        .await
        .map_err(|error| unavailable(&table, &error))?;
    read.item.map(|item| Manifest::read(&item, None)).transpose()
}
