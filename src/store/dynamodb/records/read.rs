//! Point reads: from the cache of ready answers, else by one request, over connections of the reader's own.

use std::{cell::OnceCell, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Served, Shared, failed,
    fetch::{Source, Stream},
    row, withdrawn,
};
use crate::{
    dataset::{Document, Value, query::Query, query::ascending},
    store::{
        dynamodb::{Dynamo, PARTITION_KEY_BYTES_MAX},
        records::{DataSet, Found, Page, RecordReader, RecordStoreError, cache::Question, rules},
    },
};

pub(super) struct Reader {
    shared: Arc<Shared>,
    /// Made where it is used: a connection is driven by the runtime that made it.
    dynamo: OnceCell<Dynamo>,
}

/// What is asked for, as far as it can be known without a request.
enum Known {
    /// It is in the cache, or cannot be there.
    Answer(Option<Found>),
    /// It has to be looked up; with this id only, if there is one.
    Asked(Arc<Served>, Option<Value>),
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, dynamo: OnceCell::new() }
    }

    fn known(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<Known, RecordStoreError> {
        let served = self.shared.find(data_set)?;
        if let Some(found) = self.shared.cache.get(&question(&served, key, record_id)) {
            return Ok(Known::Answer(Some(found)));
        }
        if key.is_empty() || key.len() > PARTITION_KEY_BYTES_MAX {
            return Ok(Known::Answer(None));
        }
        let Some(text) = record_id else { return Ok(Known::Asked(served, None)) };
        match rules::written_id(served.manifest.layout.definition(), text) {
            Some(id) => Ok(Known::Asked(served, Some(id))),
            None => Ok(Known::Answer(None)),
        }
    }

    async fn look_up(&self, served: &Served, key: &str, id: Option<&Value>) -> Result<Option<Found>, RecordStoreError> {
        let dynamo = self.dynamo.get_or_init(|| self.shared.dynamo.with_own_connections());
        let (layout, data_set) = (&served.manifest.layout, &served.manifest.data_set);
        let name = &data_set.definition.name;
        let source = Source {
            table: served.table.clone(),
            index: None,
            partition: layout.key_attribute().to_owned(),
            sort: layout.id_attribute().to_owned(),
            descending: false,
            consistent: false,
            costs: false,
        };
        let mut stream = Stream::new(key.to_owned(), None);
        let (mut records, mut bytes): (Vec<(Value, Vec<u8>)>, usize) = (Vec::new(), 0);
        while !stream.is_done() {
            let fetched = stream.fetch(dynamo, &source, None).await.map_err(|error| failed("read", name, error))?;
            for item in fetched.items {
                let (from, to) = row::epochs(&item).map_err(|error| failed("read", name, error))?;
                if !served.manifest.epochs.sees(from, to) {
                    continue;
                }
                if withdrawn::is_news(&item, served.manifest.epochs.visible())
                    .map_err(|error| failed("read", name, error))?
                {
                    return Err(self.shared.outdated(name).await);
                }
                let record = layout.record(&item).map_err(|error| failed("read", name, error))?;
                let record_id = row::value(&record, data_set.definition.record_id);
                if id.is_none_or(|id| ascending(id, record_id).is_eq()) {
                    let mut text = Vec::new();
                    row::write_json(&data_set.definition, &record, None, &mut text);
                    bytes += text.len();
                    rules::check_answer(bytes)?;
                    records.push((record_id.clone(), text));
                }
            }
        }
        answer(data_set, records, id.is_some())
    }
}

/// The answer of these records, each an id and a text.
fn answer(
    data_set: &DataSet,
    mut records: Vec<(Value, Vec<u8>)>,
    single: bool,
) -> Result<Option<Found>, RecordStoreError> {
    records.sort_by(|(left, _), (right, _)| ascending(left, right));
    let mut document = if single { Document::single() } else { Document::list() };
    for (_, text) in &records {
        document.next_record().extend_from_slice(text);
    }
    rules::check_answer(document.bytes())?;
    let count = document.count();
    if count == 0 {
        return Ok(None);
    }
    let document = document.finish(&[], &data_set.definition.name, data_set.version);
    Ok(Some(Found { version: data_set.version, document: Bytes::from(document.into_boxed_slice()), count }))
}

fn question<'a>(served: &Served, key: &'a str, record_id: Option<&'a str>) -> Question<'a> {
    Question { data_set: served.id, version: served.manifest.data_set.version, key, record_id }
}

#[async_trait(?Send)]
impl RecordReader for Reader {
    async fn get(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<Option<Found>, RecordStoreError> {
        let mut has_heard = false;
        loop {
            let (served, id) = match self.known(data_set, key, record_id)? {
                Known::Answer(found) => return Ok(found),
                Known::Asked(served, id) => (served, id),
            };
            match self.look_up(&served, key, id.as_ref()).await {
                // What is served has been looked at again by then.
                Err(RecordStoreError::DefinitionChanged { .. }) if !has_heard => has_heard = true,
                Ok(Some(found)) => {
                    self.shared.cache.insert(&question(&served, key, record_id), found.clone());
                    return Ok(Some(found));
                }
                other => return other,
            }
        }
    }

    fn get_now(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Option<Result<Option<Found>, RecordStoreError>> {
        match self.known(data_set, key, record_id) {
            Ok(Known::Answer(found)) => Some(Ok(found)),
            Ok(Known::Asked(..)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn find_now(&self, _: &DataSet, _: &Query) -> Option<Result<Page, RecordStoreError>> {
        None
    }
}
