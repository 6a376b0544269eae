//! What a data set's file becomes in DynamoDB: the epoch of each version, the layouts of generations, the versions.
//!
//! Epochs are `base + version`. A row is read by the layout of the generation that its values are written for, and has all of those:
//! so all columns of all layouts count from the beginning, and a null is an absent attribute as ever.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{
    super::{
        epochs::Epochs,
        lists::VersionItem,
        manifest::DataSetManifest,
        row::{self, Layout},
    },
    error::FillError,
    mark::FillMark,
};
use crate::{
    dataset::{Record, Value},
    store::{
        dynamodb::{ITEM_BYTES_MAX, item},
        records::{DataSet, ImportResult, LastImport, RecordStoreError, state::DataSetState},
        sqlite::records::moving::{KeptVersion, RecordsFile},
    },
};

/// What a file is made of, as it will be in DynamoDB.
pub(super) struct FillPlan {
    pub(super) data_set: DataSet,
    pub(super) versions: Vec<KeptVersion>,
    /// The layouts of the generations that kept states are written for, and of the present one.
    pub(super) layouts: BTreeMap<u64, Arc<Layout>>,
    /// The ended generations among them, each with the first version that it does not count for.
    ended: Vec<(u64, u64)>,
    /// How many records each version inserted, updated and removed.
    kinds: BTreeMap<u64, [u64; 3]>,
}

impl FillPlan {
    pub(super) fn of(file: &RecordsFile) -> Result<Self, RecordStoreError> {
        let data_set = file.data_set().clone();
        let versions = file.versions()?;
        let has = |version: u64| versions.iter().any(|known| known.version == version);
        if !has(data_set.changes_from) || !has(data_set.version) {
            return Err(file.damaged("the moment of its first or last version is missing"));
        }
        let (definitions, used) = (file.generations()?, file.versions_of_generations()?);
        let is_needed = |generation: &u64| *generation == data_set.generation || used.contains_key(generation);
        let layouts = definitions.into_iter().filter(|(generation, _)| is_needed(generation));
        let layouts = layouts.map(|(generation, definition)| (generation, Arc::new(Layout::new(definition)))).collect();
        let mut ended = Vec::new();
        for (generation, (_, last)) in used.iter().filter(|(generation, _)| **generation != data_set.generation) {
            if used.range(generation + 1..).any(|(_, (first, _))| first <= last) || *generation > data_set.generation {
                return Err(file.damaged(&format!("the changes of its generation {generation} are not in order")));
            }
            ended.push((*generation, last + 1));
        }
        Ok(Self { versions, layouts, ended, kinds: file.kinds_of_changes()?, data_set })
    }

    pub(super) fn present(&self) -> Result<&Arc<Layout>, RecordStoreError> {
        self.layout(self.data_set.generation)
    }

    pub(super) fn layout(&self, generation: u64) -> Result<&Arc<Layout>, RecordStoreError> {
        self.layouts.get(&generation).ok_or_else(|| RecordStoreError::Corrupt {
            name: self.data_set.definition.name.clone(),
            reason: format!("the definition of its generation {generation} is missing"),
        })
    }

    /// Checks that DynamoDB can keep every state of every record, and the data set's own.
    pub(super) fn check(&self, file: &RecordsFile) -> Result<(), FillError> {
        let name = &self.data_set.definition.name;
        let check = |layout: &Layout, record: &Record, version: Option<u64>| {
            let key = row::value(record, layout.definition().key).to_string();
            layout.check(0, &key, record).map_err(|error| FillError::of_record(name, &key, version, error))
        };
        file.each_record::<FillError>(&mut |_, record| check(self.present()?, &record, None))?;
        file.each_change::<FillError>(&mut |change| match &change.before {
            Some(before) => check(self.layout(before.generation)?, &before.record, Some(before.was)),
            None => Ok(()),
        })?;
        // As large as it may be: the epochs and moments have at most this many digits.
        let mark = FillMark { base: 9_000_000_000, identity: self.data_set.identity(), owes: true };
        let manifest = self.manifest(&mark, Timestamp::UNIX_EPOCH);
        let item = manifest.item().map_err(|error| damaged(name, &error))?;
        let bytes = item::bytes(&item);
        match bytes > ITEM_BYTES_MAX {
            true => Err(FillError::Definition { name: name.clone(), bytes, bytes_max: ITEM_BYTES_MAX }),
            false => Ok(()),
        }
    }

    /// The state that makes all of it visible.
    pub(super) fn manifest(&self, mark: &FillMark, now: Timestamp) -> DataSetManifest {
        let (visible, floor) = (mark.epoch(self.data_set.version), mark.epoch(self.data_set.changes_from));
        // Every generation that ended is that of the data set now where nothing says otherwise.
        let layout = self.layouts.get(&self.data_set.generation).map(Arc::clone);
        DataSetManifest {
            data_set: Arc::new(self.data_set.clone()),
            epochs: Epochs::begun(mark.base, visible, floor, now.as_microsecond()),
            born: mark.base,
            generations: self.ended.iter().map(|(generation, until)| (*generation, mark.epoch(*until))).collect(),
            cleared: floor,
            owed: mark.owes.then_some(visible),
            layout: layout.unwrap_or_else(|| Arc::new(Layout::new(Arc::clone(&self.data_set.definition)))),
        }
    }

    /// The versions. Of what an earlier one was it is known what follows from the changes since; who made it is not.
    pub(super) fn version_items(&self, mark: &FillMark) -> Vec<VersionItem> {
        let present = DataSetState::of(&self.data_set);
        let (mut records, mut items) = (self.data_set.records, Vec::with_capacity(self.versions.len()));
        for known in self.versions.iter().rev() {
            let version = known.version;
            let [inserted, updated, removed] = self.kinds.get(&version).copied().unwrap_or_default();
            let state = match version == self.data_set.version {
                true => present.clone(),
                false => {
                    let ended = self.ended.iter().find(|(_, until)| *until > version);
                    let day = known.at.to_zoned(TimeZone::UTC).date();
                    let result =
                        ImportResult { version, changed: true, inserted, updated, unchanged: 0, removed, rejected: 0 };
                    DataSetState {
                        version,
                        generation: ended.map_or(self.data_set.generation, |(generation, _)| *generation),
                        records,
                        last_import: LastImport { id: Uuid::nil(), day, result },
                        ..present.clone()
                    }
                }
            };
            items.push(VersionItem { epoch: mark.epoch(version), at: known.at, changes: known.changes, state });
            records = (records + removed).saturating_sub(inserted);
        }
        items.reverse();
        items
    }
}

pub(super) fn damaged(name: &str, error: &serde_json::Error) -> RecordStoreError {
    RecordStoreError::Corrupt { name: name.to_owned(), reason: format!("its definition: {error}") }
}

/// The written form of a record id.
pub(super) fn written(id: &Value) -> String {
    id.to_string()
}
