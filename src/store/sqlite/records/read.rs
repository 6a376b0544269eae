//! Point reads on the calling thread: from the cache of ready answers, else by one statement on the thread's own connection.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value as Sql;

use super::{
    file::unavailable,
    find::page_soon,
    lane::{Lane, Lanes},
    schema,
    served::Served,
    shared::SharedRecords,
};
use crate::{
    dataset::{Document, query::Query},
    store::records::{DataSet, FoundRecords, Page, RecordReader, RecordStoreError, cache::CacheQuestion, rules},
};

// One statement, hence one snapshot: version and generation are those of the records. SQLite does not know that `state` has one
// row, and would sort if `state` did not lead the order.
pub(super) const GET: &str = "SELECT state.version, state.generation, \"$values\" FROM state
    CROSS JOIN records INDEXED BY by_key WHERE \"$key\" = ?1 ORDER BY state.one, \"$id\"";
pub(super) const GET_ONE: &str = "SELECT state.version, state.generation, \"$values\" FROM state
    CROSS JOIN records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2";
/// Reads that are tried again because the columns have just changed.
const ATTEMPTS_MAX: usize = 3;

pub(super) struct SqliteRecordReader {
    shared: Arc<SharedRecords>,
    lanes: RefCell<Lanes>,
}

impl SqliteRecordReader {
    pub(super) fn new(shared: Arc<SharedRecords>) -> Self {
        Self { shared, lanes: RefCell::new(Lanes::of_answers()) }
    }

    fn read(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<Option<FoundRecords>, RecordStoreError> {
        let served = self.shared.find(data_set)?;
        let version = served.version.load(Ordering::Acquire);
        let question = CacheQuestion { data_set: served.id, version, key, record_id };
        if let Some(found) = self.shared.cache.get(&question) {
            return Ok(Some(found));
        }
        for _ in 0..ATTEMPTS_MAX {
            match self.look_up(&served, key, record_id)? {
                LookUp::Nothing => return Ok(None),
                LookUp::Found(found) => {
                    // Another process may have imported since the last refresh: later reads use its version.
                    served.version.fetch_max(found.version, Ordering::Release);
                    self.shared.cache.insert(&CacheQuestion { version: found.version, ..question }, found.clone());
                    return Ok(Some(found));
                }
                LookUp::OtherColumns => served.refresh(data_set)?,
            }
        }
        Err(RecordStoreError::DefinitionChanged { name: data_set.to_owned() })
    }

    fn look_up(&self, served: &Served, key: &str, record_id: Option<&str>) -> Result<LookUp, RecordStoreError> {
        let current = served.current();
        let id = match record_id {
            None => None,
            Some(text) => match rules::written_id(&current.definition, text) {
                Some(id) => Some(schema::owned(&id)),
                None => return Ok(LookUp::Nothing),
            },
        };
        let failed = |error: rusqlite::Error| unavailable("read", &served.path, &error);
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.lane(served, &current)?;
        fetch(lane, key, id.as_ref(), &current.definition.name).map_err(failed)?
    }
}

/// The result of a read.
enum LookUp {
    Nothing,
    Found(FoundRecords),
    /// The stored records have other columns than the known ones.
    OtherColumns,
}

/// The outer error is SQLite's; the inner one means that the answer is too large.
fn fetch(
    Lane { connection, shape }: &Lane,
    key: &str,
    id: Option<&Sql>,
    data_set: &str,
) -> rusqlite::Result<Result<LookUp, RecordStoreError>> {
    let mut statement = connection.prepare_cached(if id.is_some() { GET_ONE } else { GET })?;
    let mut rows = match id {
        Some(id) => statement.query((key, id))?,
        None => statement.query((key,))?,
    };
    let (mut version, mut document) = (0, if id.is_some() { Document::single() } else { Document::list() });
    while let Some(row) = rows.next()? {
        if schema::count(row, 1)? != shape.generation {
            return Ok(Ok(LookUp::OtherColumns));
        }
        version = schema::count(row, 0)?;
        shape.rendering.write(row.get_ref(2)?.as_bytes()?, document.next_record())?;
        if let Err(too_large) = rules::check_answer(document.bytes()) {
            return Ok(Err(too_large));
        }
    }
    let count = document.count();
    if count == 0 {
        return Ok(Ok(LookUp::Nothing));
    }
    // The cache weighs the answer alone, without the spare room from building it.
    let document = Bytes::from(document.finish(&[], data_set, version).into_boxed_slice());
    Ok(Ok(LookUp::Found(FoundRecords { version, document, count })))
}

#[async_trait(?Send)]
impl RecordReader for SqliteRecordReader {
    async fn get(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<Option<FoundRecords>, RecordStoreError> {
        self.read(data_set, key, record_id)
    }

    fn get_now(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Option<Result<Option<FoundRecords>, RecordStoreError>> {
        Some(self.read(data_set, key, record_id))
    }

    fn find_now(&self, data_set: &DataSet, query: &Query) -> Option<Result<Page, RecordStoreError>> {
        let served = match self.shared.same(data_set) {
            Ok(served) => served,
            Err(error) => return Some(Err(error)),
        };
        match self.lanes.borrow_mut().lane(&served, data_set) {
            Ok(lane) => page_soon(lane, (&served.path, &served.columns), &self.shared.clock, data_set, query),
            Err(error) => Some(Err(error)),
        }
    }
}
