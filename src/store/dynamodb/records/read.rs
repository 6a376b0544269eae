//! Reads by key: from the cache of ready answers, else by one request, over the reader's own connections.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use bytes::Bytes;

use super::{node::RecordsNode, row, shared::failed, standings::RecordView};
use crate::{
    dataset::{
        Document, Value, json,
        query::{Query, ascending},
    },
    store::{
        StoreError,
        dynamodb::{
            Dynamo, PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX,
            item::{Item, text},
            unavailable,
        },
        records::{
            DataSet, FoundRecords as Found, Page, RecordCatalog, RecordReader, RecordStoreError,
            cache::CacheQuestion as Question, rules,
        },
    },
};

/// The bounds of epochs in sort keys: all are above the first and at most the last.
const FIRST_EPOCH: u64 = 0;
const LAST_EPOCH: u64 = row::EPOCH_MAX;

pub(super) struct DynamoReader {
    node: Arc<RecordsNode>,
    /// Made on first use: a connection is driven by the runtime that made it.
    dynamo: OnceCell<Dynamo>,
    engine: Box<dyn RecordReader>,
}

/// The part of the answer that needs no request.
enum KnownAnswer {
    /// The cached answer, or none where no record can exist.
    Answer(Option<Found>),
    /// A request is needed; only for this id, if there is one.
    Asked(Arc<RecordView>, Option<Value>),
}

impl DynamoReader {
    pub(super) fn new(node: Arc<RecordsNode>) -> Self {
        let engine = node.shared.engine.reader();
        Self { node, dynamo: OnceCell::new(), engine }
    }

    fn known(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<KnownAnswer, RecordStoreError> {
        let shared = &self.node.shared;
        let view = shared.view(data_set)?;
        if let Some(found) = shared.cache.get(&question(&view, key, record_id)) {
            return Ok(KnownAnswer::Answer(Some(found)));
        }
        if key.is_empty() || key.len() > PARTITION_KEY_BYTES_MAX {
            return Ok(KnownAnswer::Answer(None));
        }
        let Some(written) = record_id else { return Ok(KnownAnswer::Asked(view, None)) };
        let is_kept = row::sort_key(written, LAST_EPOCH).len() <= SORT_KEY_BYTES_MAX;
        match rules::written_id(view.layout.definition(), written).filter(|_| is_kept) {
            Some(id) => Ok(KnownAnswer::Asked(view, Some(id))),
            None => Ok(KnownAnswer::Answer(None)),
        }
    }

    /// Makes sure that nothing that is shown can have been cleared away: clearing waits for longer than this node's knowledge may be old.
    async fn hear(&self) -> Result<bool, RecordStoreError> {
        let shared = &self.node.shared;
        let good_for_us = i64::try_from(shared.settings.hearing_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let is_good = || shared.clock.monotonic_us().saturating_sub(shared.nodes.heard_us()) < good_for_us;
        if good_for_us == 0 || is_good() {
            return Ok(false);
        }
        match self.node.refresh().await {
            // A replica that cannot follow shows its present version.
            Err(error) if !is_good() => Err(error),
            _ => Ok(true),
        }
    }

    async fn look_up(
        &self,
        view: &RecordView,
        key: &str,
        id: Option<&Value>,
    ) -> Result<Option<Found>, RecordStoreError> {
        let name = &view.data_set.definition.name;
        let failed = |error: StoreError| failed("read", name, error);
        let mut latest: HashMap<String, (u64, Item)> = HashMap::new();
        for item in self.rows(view, key, id).await.map_err(failed)? {
            let (id, epoch) = view.layout.place(&item).map_err(failed)?;
            if view.sees(epoch) && latest.get(id).is_none_or(|(known, _)| *known < epoch) {
                latest.insert(id.to_owned(), (epoch, item));
            }
        }
        let (mut records, mut bytes): (Vec<(Value, Vec<u8>)>, usize) = (Vec::new(), 0);
        for (epoch, item) in latest.values() {
            if row::row(item, *epoch).map_err(failed)?.is_gone {
                continue;
            }
            if row::is_news(item, view.epochs.visible()).map_err(failed)? {
                return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
            }
            let record = view.layout.record(item).map_err(failed)?;
            let record_id = row::value(&record, view.data_set.definition.record_id);
            if id.is_none_or(|id| ascending(id, record_id).is_eq()) {
                let mut text = Vec::new();
                json::write_record(&view.data_set.definition, &record, &mut text);
                bytes += text.len();
                rules::check_answer(bytes)?;
                records.push((record_id.clone(), text));
            }
        }
        answer(&view.data_set, records, id.is_some())
    }

    /// The rows of a key, or of one record id of it, perhaps with others that begin like it.
    async fn rows(&self, view: &RecordView, key: &str, id: Option<&Value>) -> Result<Vec<Item>, StoreError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let request = self.request(view, key, id).set_exclusive_start_key(after);
            let page = request.send().await.map_err(|error| unavailable(&view.table, &error))?;
            rows.extend(page.items.unwrap_or_default());
            after = page.last_evaluated_key.filter(|key| !key.is_empty());
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    fn request(&self, view: &RecordView, key: &str, id: Option<&Value>) -> QueryFluentBuilder {
        let dynamo = self.dynamo.get_or_init(|| self.node.shared.dynamo.with_own_connections());
        let request = dynamo.client().query().table_name(&view.table).consistent_read(true);
        let request = request
            .expression_attribute_names("#k", view.layout.key_attribute())
            .expression_attribute_values(":k", text(key));
        match id.map(ToString::to_string) {
            None => request.key_condition_expression("#k = :k"),
            Some(id) => request
                .key_condition_expression("#k = :k AND #i BETWEEN :first AND :last")
                .expression_attribute_names("#i", view.layout.id_attribute())
                .expression_attribute_values(":first", text(row::sort_key(&id, FIRST_EPOCH)))
                .expression_attribute_values(":last", text(row::sort_key(&id, LAST_EPOCH))),
        }
    }
}

/// The answer with these records, each an id and a text.
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

fn question<'a>(view: &RecordView, key: &'a str, record_id: Option<&'a str>) -> Question<'a> {
    Question { data_set: view.id, version: view.data_set.version, key, record_id }
}

#[async_trait(?Send)]
impl RecordReader for DynamoReader {
    async fn get(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<Option<Found>, RecordStoreError> {
        let mut has_heard = self.hear().await?;
        loop {
            let (view, id) = match self.known(data_set, key, record_id)? {
                KnownAnswer::Answer(found) => return Ok(found),
                KnownAnswer::Asked(view, id) => (view, id),
            };
            match self.look_up(&view, key, id.as_ref()).await {
                // An import that is not shown here yet has erased values of the row.
                Err(RecordStoreError::DefinitionChanged { .. }) if !has_heard => {
                    self.node.refresh().await?;
                    has_heard = true;
                }
                Ok(Some(found)) => {
                    self.node.shared.cache.insert(&question(&view, key, record_id), found.clone());
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
            Ok(KnownAnswer::Answer(found)) => Some(Ok(found)),
            Ok(KnownAnswer::Asked(..)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn find_now(&self, data_set: &DataSet, query: &Query) -> Option<Result<Page, RecordStoreError>> {
        let (shared, name) = (&self.node.shared, &data_set.definition.name);
        if let Err(error) = shared.check_ready(name) {
            return Some(Err(error));
        }
        // A version that is not shown here yet has to be waited for.
        if !query.version().is_none_or(|version| shared.shows(data_set, version)) {
            return None;
        }
        let answer = self.engine.find_now(data_set, query)?;
        match shared.answered(data_set, answer) {
            Ok(page) if !shared.shows(data_set, page.version) => None,
            answer => Some(answer),
        }
    }
}
