//! Clearing away what nobody needs any more: what imports that died wrote, and what versions held that are given up.
//!
//! Guarantees: what is cleared away is found by lists, without a look at the table of records. Of a record that was removed, what it
//! was goes before what says that it is gone: whoever is interrupted leaves nothing that would be seen again.

use super::{
    import::DynamoImport,
    lists::{self, ChangeList, ListParts, ListedChange},
    write::BatchWriter,
};
use crate::store::records::{RecordStoreError, past::ChangeKind};

/// Epochs whose lists an import clears away at most.
const EPOCHS_CLEARED_MAX: usize = 32;
/// Changes that an import clears away at most, about.
const CHANGES_CLEARED_MAX: usize = 200_000;

/// What an import has cleared away of the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cleared {
    /// Nobody needs what was given up by this epoch.
    pub(super) floor: u64,
    /// The lists of epochs up to this one are gone.
    pub(super) lists: u64,
}

impl DynamoImport {
    /// Takes away what imports wrote that died.
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

    /// What is cleared away already.
    pub(super) fn cleared(&self) -> Cleared {
        let lists = self.stored.as_ref().map_or(0, |stored| stored.cleared);
        Cleared { floor: lists, lists }
    }

    /// Clears away what states gave up that everybody has heard of.
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

    /// Clears away what an epoch replaced and removed, and its list. How many changes there were.
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
