//! What records were, read by the columns of the present.
//!
//! A row is of the generation of columns that it was written in, or of a later one for which it did not have to be written
//! anew. When a record ends, its row is seen as the import sees it that ends it; from there its values are taken over into the
//! present columns.

use std::{collections::HashMap, sync::Arc};

use super::{
    failed,
    manifest::Manifest,
    past::{self, Whose},
    row::{self, Layout},
};
use crate::{
    dataset::{Definition, Record, Value},
    store::{
        StoreError,
        dynamodb::{
            Dynamo,
            item::{Item, find_number, get_number},
        },
        records::{RecordStoreError, rules},
    },
};

/// Reads rows of any time.
pub(super) struct States<'a> {
    manifest: &'a Manifest,
    /// The columns of generations that ended, by generation.
    layouts: HashMap<u64, Layout>,
}

/// A row that was seen at some time, and since and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The epoch that it was written in.
    pub(super) from: u64,
    /// The epoch that ended it.
    pub(super) to: Option<u64>,
    /// The version that the record has been like this since.
    pub(super) version: u64,
    /// The version that ended it.
    pub(super) until: Option<u64>,
}

impl<'a> States<'a> {
    /// Reads which columns there were.
    pub(super) async fn open(dynamo: &Dynamo, manifest: &'a Manifest) -> Result<Self, RecordStoreError> {
        let data_set = &manifest.data_set;
        let mut layouts = HashMap::new();
        if !manifest.kept.generations.is_empty() {
            let name = &data_set.definition.name;
            let read = past::all_generations(dynamo, &Whose::of(data_set)).await;
            for (generation, text) in read.map_err(|error| failed("read", name, error))? {
                let definition: Definition = serde_json::from_str(&text).map_err(|error| {
                    let reason = format!("the definition of its generation {generation}: {error}");
                    RecordStoreError::Corrupt { name: name.clone(), reason }
                })?;
                layouts.insert(generation, Layout::new(Arc::new(definition), 1));
            }
        }
        Ok(Self { manifest, layouts })
    }

    /// Since and until when a row was seen, if ever.
    pub(super) fn span(&self, item: &Item) -> Result<Option<Span>, StoreError> {
        let epochs = &self.manifest.epochs;
        let (from, to) = row::epochs(item)?;
        if !epochs.is_committed(from) {
            return Ok(None);
        }
        let to = to.filter(|to| epochs.is_committed(*to));
        let until = if to.is_some() { find_number(item, row::UNTIL)? } else { None };
        Ok(Some(Span { from, to, version: get_number(item, row::VERSION)?, until }))
    }

    /// Whether the import of that epoch brought other columns.
    pub(super) fn changed_columns(&self, epoch: u64) -> bool {
        self.manifest.kept.generations.iter().any(|(_, until)| *until == epoch)
    }

    /// The columns that were published when an epoch had become visible; none for the present ones.
    fn columns_at(&self, epoch: u64) -> Result<Option<&Layout>, StoreError> {
        let ended = self.manifest.kept.generations.iter().find(|(_, until)| *until > epoch);
        let Some((generation, _)) = ended else { return Ok(None) };
        let layout = self.layouts.get(generation);
        layout.map(Some).ok_or_else(|| {
            StoreError::Corrupt(format!("the definition of its generation {generation} is missing: nobody clears it"))
        })
    }

    /// The record of a row, with the present columns.
    pub(super) fn record(&self, item: &Item) -> Result<Record, StoreError> {
        let present = &*self.manifest.layout;
        let (_, to) = row::epochs(item)?;
        let Some(to) = to.filter(|to| self.manifest.epochs.is_committed(*to)) else { return present.record(item) };
        let (lived, ended) = (self.columns_at(to.saturating_sub(1))?, self.columns_at(to)?);
        let (lived, ended) = (lived.unwrap_or(present), ended.unwrap_or(present));
        let record = taken_over(lived.record(item)?, lived, ended);
        Ok(taken_over(record, ended, present))
    }
}

/// A record of some columns with those of others.
fn taken_over(record: Record, from: &Layout, to: &Layout) -> Record {
    if std::ptr::eq(from, to) {
        return record;
    }
    let kept = rules::kept_columns(from.definition(), to.definition());
    let values = kept.into_iter().map(|kept| kept.map_or(Value::Null, |column| row::value(&record, column).clone()));
    Record { values: values.collect() }
}
