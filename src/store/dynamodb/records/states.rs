//! What records were, read by the columns of the present.
//!
//! A row is of the generation of columns that it was written in, or of a later one for which it did not have to be written
//! anew. When a record ends, its row is seen as the import sees it that ends it; from there its values are taken over into the
//! present columns, but for those of a column that was withdrawn at any time since.

use std::{collections::HashMap, sync::Arc};

use super::{
    failed,
    manifest::Manifest,
    past::{self, Whose},
    row::{self, Layout},
    withdrawn,
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
    ended: Ended,
}

/// The columns of generations that ended, by generation.
pub(super) type Ended = HashMap<u64, Arc<Layout>>;

/// Reads which columns there were. What nobody needs any more may be cleared away already.
pub(super) async fn ended(dynamo: &Dynamo, manifest: &Manifest) -> Result<Ended, StoreError> {
    let mut ended = Ended::new();
    if manifest.kept.generations.is_empty() {
        return Ok(ended);
    }
    for (generation, text) in past::all_generations(dynamo, &Whose::of(&manifest.data_set)).await? {
        let definition: Definition = serde_json::from_str(&text)
            .map_err(|error| StoreError::Corrupt(format!("the definition of its generation {generation}: {error}")))?;
        ended.insert(generation, Arc::new(Layout::new(Arc::new(definition), manifest.layout.shards())));
    }
    Ok(ended)
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
        let read = ended(dynamo, manifest).await;
        let ended = read.map_err(|error| failed("read", &manifest.data_set.definition.name, error))?;
        Ok(Self { manifest, ended })
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

    /// The columns that were published since an epoch had become visible, the earliest first.
    fn columns_since(&self, epoch: u64) -> impl Iterator<Item = Result<&Layout, StoreError>> {
        let ended = self.manifest.kept.generations.iter().filter(move |(_, until)| *until > epoch);
        let ended = ended.map(|(generation, _)| {
            self.ended.get(generation).map(|layout| &**layout).ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "the definition of its generation {generation} is missing: nobody clears it"
                ))
            })
        });
        ended.chain([Ok(&*self.manifest.layout)])
    }

    /// The record of a row, with the present columns.
    pub(super) fn record(&self, item: &Item) -> Result<Record, StoreError> {
        if withdrawn::is_news(item, self.manifest.epochs.visible())? {
            return Err(StoreError::Corrupt(
                "an import that this server has not heard of has withdrawn values".to_owned(),
            ));
        }
        let present = &*self.manifest.layout;
        let (_, to) = row::epochs(item)?;
        let Some(to) = to.filter(|to| self.manifest.epochs.is_committed(*to)) else { return present.record(item) };
        let lived = self.columns_since(to.saturating_sub(1)).next().unwrap_or(Ok(present))?;
        let since = self.columns_since(to).collect::<Result<Vec<_>, _>>()?;
        let ended = since.first().copied().unwrap_or(present);
        let mut record = taken_over(lived.record(item)?, lived, ended);
        record = taken_over(record, ended, present);
        // What was withdrawn meanwhile is gone, also where a column of the same name is published again.
        for (column, value) in present.definition().columns.iter().zip(&mut record.values) {
            if since.iter().any(|layout| layout.definition().column_index(&column.name).is_none()) {
                *value = Value::Null;
            }
        }
        Ok(record)
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
