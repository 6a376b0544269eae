//! Clears away data that nobody needs any more: writes of imports that died, and rows of versions that are given up.
//!
//! Guarantees: rows to clear away are found by lists, without a scan of the table of records. The earlier rows of a removed record
//! go before its tombstone: an interruption leaves nothing that would be seen again.

use super::{
    import::DynamoImport,
    lists::{self, ChangeList, ListParts, ListedChange},
    write::BatchWriter,
};
use crate::store::records::{RecordStoreError, past::ChangeKind};

/// The most epochs whose lists one import clears away.
const EPOCHS_CLEARED_MAX: usize = 32;
/// The most changes that one import clears away, about.
const CHANGES_CLEARED_MAX: usize = 200_000;

/// How far an import has cleared away the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cleared {
    /// The data that was given up by this epoch is no longer needed.
    pub(super) floor: u64,
    /// The lists of epochs up to this one are cleared away.
    pub(super) lists: u64,
}

impl DynamoImport {
    /// Clears away the writes of imports that died.
    pub(super) fn clear_dead(&mut self) -> Result<(), RecordStoreError> {
        let visible = self.stored.as_ref().map_or(0, |stored| stored.epochs.visible());
        let dead: Vec<u64> = self.lease.dead().iter().copied().filter(|epoch| *epoch != visible).collect();
        if self.lease.dead().is_empty() {
            return Ok(());
        }
        for epoch in dead {
            let mut list = ChangeList::of(self.name(), epoch);
            while let Some(ListParts { listed, keys }) = self.read(&mut list)? {
                self.delete_rows(listed.iter().map(|one| (one, epoch)))?;
                self.delete_lists(keys)?;
            }
        }
        match self.lease.dead_are_cleared().map_err(|error| self.failed(error))? {
            true => Ok(()),
            false => Err(self.overtaken()),
        }
    }

    /// How far the past was cleared away before.
    pub(super) fn cleared(&self) -> Cleared {
        let lists = self.stored.as_ref().map_or(0, |stored| stored.cleared);
        Cleared { floor: lists, lists }
    }

    /// Clears away what was given up long enough ago for all nodes to have heard of it.
    pub(super) fn clear_past(&self) -> Result<Cleared, RecordStoreError> {
        let mut cleared = self.cleared();
        let Some(stored) = &self.stored else { return Ok(cleared) };
        let floor = stored.epochs.floor_of_all(self.node.shared.clock.now().as_microsecond());
        if floor <= cleared.lists {
            return Ok(cleared);
        }
        cleared.floor = floor;
        let (dynamo, name) = (self.dynamo.clone(), self.name().to_owned());
        let versions = self.run(async move { lists::versions(&dynamo, &name).await })?;
        let gone = stored.generations.iter().filter(|(_, until)| *until <= floor);
        let mut keys: Vec<_> = gone.map(|(generation, _)| lists::generation_key(self.name(), *generation)).collect();
        let gone = versions.iter().filter(|version| version.epoch < floor);
        keys.extend(gone.map(|version| lists::version_key(self.name(), version.state.version)));
        let mut count = 0;
        let epochs = (cleared.lists + 1..=floor).filter(|epoch| stored.epochs.is_committed(*epoch));
        for epoch in epochs.take(EPOCHS_CLEARED_MAX) {
            if count > CHANGES_CLEARED_MAX {
                break;
            }
            count += self.clear_epoch(epoch)?;
            cleared.lists = epoch;
        }
        self.delete_lists(keys)?;
        Ok(cleared)
    }

    /// Clears away the rows that an epoch replaced and removed, and its list. Returns the number of changes.
    fn clear_epoch(&self, epoch: u64) -> Result<usize, RecordStoreError> {
        let (mut list, mut count) = (ChangeList::of(self.name(), epoch), 0);
        while let Some(ListParts { listed, keys }) = self.read(&mut list)? {
            let replaced = listed.iter().filter_map(|one| Some((one, one.was?)));
            self.delete_rows(replaced)?;
            let removed = listed.iter().filter(|one| one.kind == ChangeKind::Removed);
            self.delete_rows(removed.map(|one| (one, epoch)))?;
            self.delete_lists(keys)?;
            count += listed.len();
        }
        Ok(count)
    }

    fn read(&self, list: &mut ChangeList) -> Result<Option<ListParts>, RecordStoreError> {
        let (dynamo, mut reading) = (self.dynamo.clone(), std::mem::replace(list, ChangeList::of(self.name(), 0)));
        let (parts, rest) = self.run(async move { Ok((reading.read(&dynamo).await?, reading)) })?;
        *list = rest;
        Ok(parts)
    }

    fn delete_rows<'l>(&self, rows: impl Iterator<Item = (&'l ListedChange, u64)>) -> Result<(), RecordStoreError> {
        let mut records: BatchWriter = self.records_writer();
        for (one, epoch) in rows {
            let key = self.layout.key_of(&one.key, &one.id, epoch);
            records.delete(key).map_err(|error| self.failed(error))?;
        }
        records.finish().map_err(|error| self.failed(error))
    }

    fn delete_lists(&self, keys: Vec<(String, String)>) -> Result<(), RecordStoreError> {
        let mut lists = self.lists_writer();
        for (partition, sort) in keys {
            let key = lists.target().key_of(&partition, &sort);
            lists.delete(key).map_err(|error| self.failed(error))?;
        }
        lists.finish().map_err(|error| self.failed(error))
    }
}
