//! What an import does to the past of a data set: it writes down what it changes, gives up what is kept for longer than it is to
//! be, and clears away what was given up before.

use super::{
    super::{
        epochs::Epochs,
        fetch::Stream,
        held::Held,
        manifest::{Kept, Manifest},
        past::{self, Change, Version},
        scratch::Stored,
        write::Target,
    },
    OpenImport,
};
use crate::{
    dataset::Value,
    store::{
        dynamodb::{
            Dynamo,
            item::{Item, get_text},
            schema,
        },
        records::{
            RecordStoreError,
            outcome::Columns,
            past::{Kind, moment_after},
            retention, rules,
        },
    },
};

/// Epochs whose changes an import clears away at most.
const EPOCHS_CLEARED_MAX: u64 = 32;
/// Changes that an import clears away at most, about.
const CHANGES_CLEARED_MAX: u64 = 200_000;

/// The table of changes.
pub(in crate::store::dynamodb::records) fn target(dynamo: &Dynamo) -> Target {
    Target { table: dynamo.table(schema::CHANGES), key: past::PARTITION.to_owned(), id: past::SORT.to_owned() }
}

/// What an import has cleared away of the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cleared {
    /// Nobody needs what was given up by this epoch.
    floor: u64,
    /// The changes of epochs up to this one are gone.
    changes: u64,
}

impl OpenImport {
    /// Reads what is known of earlier versions, and clears away what imports that died since the last one wrote down.
    pub(super) fn look_back(&mut self) -> Result<(), RecordStoreError> {
        let (dynamo, whose) = (self.dynamo.clone(), self.whose.clone());
        self.versions = self.run(async move { past::all_versions(&dynamo, &whose).await })?;
        let Some(stored) = &self.stored else { return Ok(()) };
        let dead = stored.epochs.visible() + 1..self.epoch();
        // What is left of more than these is cleared away when its time has come.
        for epoch in dead.rev().take(usize::try_from(EPOCHS_CLEARED_MAX).unwrap_or(usize::MAX)) {
            self.clear_changes(epoch)?;
        }
        self.changes.finish().map_err(|error| self.write_failed(error))
    }

    /// Whether what is written is kept as changes: all that a new data set begins with is no change of it.
    fn keeps_changes(&self) -> bool {
        self.columns != Columns::New
    }

    /// Writes down what becomes of a record. `was` is the epoch of what it was before.
    pub(super) fn note(&mut self, kind: Kind, key: &str, id: &Value, was: Option<u64>) -> Result<(), RecordStoreError> {
        if !self.keeps_changes() {
            return Ok(());
        }
        let change = Change { kind, key: key.to_owned(), id: id.to_string(), was };
        let shard = self.layout.shard(&change.key, &change.id);
        let item = change.item(self.whose.changes(self.epoch(), shard), id);
        self.changes.put(item).map_err(|error| self.write_failed(error))
    }

    /// Writes down that a stored record is removed.
    pub(super) fn note_removal(&mut self, stored: &Stored) -> Result<(), RecordStoreError> {
        let Some(id) = rules::written_id(&self.order.definition, &stored.id) else {
            let reason = format!("the record id {:?} of {:?} is not of its type", stored.id, stored.key);
            return Err(RecordStoreError::Corrupt { name: self.name().to_owned(), reason });
        };
        self.note(Kind::Removed, &stored.key, &id, Some(stored.epoch))
    }

    /// Clears away the changes of an epoch. How many there were.
    fn clear_changes(&mut self, epoch: u64) -> Result<u64, RecordStoreError> {
        let mut cleared = 0;
        for shard in 0..self.layout.shards() {
            let partition = self.whose.changes(epoch, shard);
            let mut stream = Stream::new(partition.clone(), None);
            while !stream.is_done() {
                let dynamo = self.dynamo.clone();
                let (items, rest) = self.run(async move {
                    let fetched = stream.fetch(&dynamo, &past::source(&dynamo), None).await?;
                    Ok((fetched.items, stream))
                })?;
                stream = rest;
                for item in items {
                    let sort = get_text(&item, past::SORT).map_err(|error| self.failed(error))?;
                    self.changes.delete(&partition, sort).map_err(|error| self.write_failed(error))?;
                    cleared += 1;
                }
            }
        }
        Ok(cleared)
    }

    /// Clears away what states gave up that everybody has heard of.
    pub(super) fn clear_past(&mut self) -> Result<Cleared, RecordStoreError> {
        let kept = self.stored.as_ref().filter(|_| self.order.anew.is_none());
        let Some(stored) = kept else { return Ok(Cleared { floor: 0, changes: self.epoch() }) };
        let floor = stored.epochs.floor_of_all(self.shared.clock.now().as_microsecond());
        let mut cleared = Cleared { floor, changes: stored.kept.cleared };
        if !self.is_change() || floor <= cleared.changes {
            return Ok(cleared);
        }
        let gone = stored.kept.generations.iter().filter(|(_, until)| *until <= floor);
        let mut keys: Vec<_> = gone.map(|(generation, _)| past::generation_key(&self.whose, *generation)).collect();
        let gone = self.versions.iter().filter(|version| version.epoch < floor);
        keys.extend(gone.map(|version| past::version_key(&self.whose, version.version)));
        for (partition, sort) in keys {
            self.changes.delete(&partition, &sort).map_err(|error| self.write_failed(error))?;
        }
        let mut count = 0;
        for epoch in (cleared.changes + 1..=floor).take(usize::try_from(EPOCHS_CLEARED_MAX).unwrap_or(usize::MAX)) {
            if count > CHANGES_CLEARED_MAX {
                break;
            }
            count += self.clear_changes(epoch)?;
            cleared.changes = epoch;
        }
        self.changes.finish().map_err(|error| self.write_failed(error))?;
        Ok(cleared)
    }

    /// Whether a version comes to be by what was done.
    fn is_change(&self) -> bool {
        self.columns != Columns::Same || self.counts.changes() > 0
    }

    /// The data set as it will be seen from now on.
    pub(super) fn next_manifest(&self, cleared: Cleared) -> Manifest {
        let now = self.shared.clock.now();
        let before = self.stored.as_ref().map(|stored| stored.data_set.as_ref());
        let mut data_set = self.order.outcome(self.counts, before, self.columns);
        data_set.figures = self.figures.clone().or(data_set.figures);
        let (epochs, mut kept) = match &self.stored {
            // Of what it is begun anew instead of, nothing but which rows were seen is to be known.
            Some(stored) if self.order.anew.is_some() => (stored.epochs.clone(), Kept::default()),
            Some(stored) => (stored.epochs.clone(), stored.kept.clone()),
            None => (Epochs::default(), Kept::default()),
        };
        let mut floor = epochs.floor();
        if data_set.last_import.result.changed {
            let mut versions: Vec<Version> = if self.keeps_changes() { self.versions.clone() } else { Vec::new() };
            versions.push(self.present(data_set.version));
            let known: Vec<_> = versions.iter().map(Version::known).collect();
            if let Some(given_up) = retention::floor(&known, self.shared.settings.retention, now) {
                data_set.held_from = data_set.held_from.max(given_up);
                data_set.changes_from = data_set.changes_from.max(given_up);
            }
            let held = match self.columns {
                Columns::Same => kept.held.followed_by(data_set.version, self.epoch()),
                Columns::New | Columns::Other => Held::only(data_set.version, self.epoch()),
            };
            kept.held = held.since(data_set.held_from);
            data_set.held_from = kept.held.earliest().unwrap_or(data_set.version).max(data_set.held_from);
            if let (Columns::Other, Some(before)) = (self.columns, before) {
                kept.generations.push((before.generation, self.epoch()));
            }
            let earliest = versions.iter().find(|version| version.version == data_set.changes_from);
            floor = earliest.map_or(floor, |version| version.epoch);
            kept.generations.retain(|(_, until)| *until > cleared.floor);
            kept.cleared = cleared.changes;
        }
        let epochs = epochs.committed(self.epoch(), floor, now.as_microsecond());
        Manifest::new(data_set, epochs, kept, self.layout.shards())
    }

    /// The version that this import makes.
    fn present(&self, version: u64) -> Version {
        let counts = self.counts;
        let changes = if self.keeps_changes() { counts.inserted + counts.updated + counts.removed } else { 0 };
        let before = self.versions.last().map(|version| version.at);
        let at = moment_after(self.shared.clock.now(), before);
        Version { version, epoch: self.epoch(), at, changes }
    }

    /// What is kept of the version that an import makes, beside the state that makes it visible.
    pub(super) fn past_items(&self, next: &Manifest) -> Result<Vec<Item>, serde_json::Error> {
        let mut items = Vec::new();
        if !next.data_set.last_import.result.changed {
            return Ok(items);
        }
        items.push(self.present(next.data_set.version).item(&self.whose));
        if let (Columns::Other, Some(stored)) = (self.columns, &self.stored) {
            let definition = serde_json::to_string(&**stored.layout.definition())?;
            items.push(past::generation(&self.whose, stored.data_set.generation, definition));
        }
        Ok(items)
    }
}
