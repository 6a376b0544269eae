//! Point reads, on the thread that asks: from the cache of ready answers, else by one statement on a connection of the
//! thread's own.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, types::Value as Sql};

use super::{Served, Shared, cache::Question, connected, schema, unavailable};
use crate::{
    dataset::{ColumnType, Definition},
    store::records::{Found, RecordReader, RecordStoreError},
};

/// What all records of one key may weigh. The excess is reached page by page through a query.
pub(super) const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

// One statement each, hence one snapshot: the version is that of the records.
pub(super) const GET: &str = "SELECT (SELECT version FROM state), \"$json\" FROM records INDEXED BY by_key
    CROSS JOIN documents ON \"$number\" = \"$row\" WHERE \"$key\" = ?1 ORDER BY \"$id\"";
pub(super) const GET_ONE: &str = "SELECT (SELECT version FROM state), \"$json\" FROM records INDEXED BY by_key
    CROSS JOIN documents ON \"$number\" = \"$row\" WHERE \"$key\" = ?1 AND \"$id\" = ?2";

pub(super) struct Reader {
    shared: Arc<Shared>,
    connections: RefCell<HashMap<u64, Connection>>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, connections: RefCell::new(HashMap::new()) }
    }

    fn read(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<Option<Found>, RecordStoreError> {
        let served = self.shared.find(data_set)?;
        let version = served.version.load(Ordering::Acquire);
        let question = Question { data_set: served.id, version, key, record_id };
        if let Some(found) = self.shared.cache.get(&question) {
            return Ok(Some(found));
        }
        let Some(found) = self.look_up(&served, key, record_id)? else { return Ok(None) };
        // Another process may have imported since the last refresh: from here on its version is the one asked for.
        served.version.fetch_max(found.version, Ordering::Release);
        self.shared.cache.insert(&Question { version: found.version, ..question }, found.clone());
        Ok(Some(found))
    }

    fn look_up(&self, served: &Served, key: &str, record_id: Option<&str>) -> Result<Option<Found>, RecordStoreError> {
        let id = match record_id {
            None => None,
            Some(text) => match stored_id(&served.current().definition, text) {
                Some(id) => Some(id),
                None => return Ok(None),
            },
        };
        let failed = |error: rusqlite::Error| unavailable("read", &served.path, &error);
        let mut connections = self.connections.borrow_mut();
        let connection = connected(&mut connections, served).map_err(failed)?;
        fetch(connection, key, id.as_ref()).map_err(failed)?.transpose()
    }
}

/// The outer error is SQLite's; the inner one says that the answer is too large.
fn fetch(
    connection: &Connection,
    key: &str,
    id: Option<&Sql>,
) -> rusqlite::Result<Option<Result<Found, RecordStoreError>>> {
    let mut statement = connection.prepare_cached(if id.is_some() { GET_ONE } else { GET })?;
    let mut rows = match id {
        Some(id) => statement.query((key, id))?,
        None => statement.query((key,))?,
    };
    let mut found: Option<(u64, Vec<u8>, u32)> = None;
    while let Some(row) = rows.next()? {
        let json = row.get_ref(1)?.as_bytes()?;
        match &mut found {
            None => found = Some((schema::count(row, 0)?, json.to_vec(), 1)),
            Some((_, records, count)) => {
                records.push(b',');
                records.extend_from_slice(json);
                *count += 1;
            }
        }
        if found.as_ref().is_some_and(|(_, records, _)| records.len() > ANSWER_BYTES_MAX) {
            let narrow = "ask for its records page by page, by a filter on the key".to_owned();
            return Ok(Some(Err(RecordStoreError::TooLarge { bytes_max: ANSWER_BYTES_MAX, narrow })));
        }
    }
    Ok(found.map(|(version, records, count)| Ok(Found { version, records: Bytes::from(records), count })))
}

/// A record id as it is stored, if it is written as it is published: `1` is a record's id where `01` and `+1` are none.
fn stored_id(definition: &Definition, text: &str) -> Option<Sql> {
    match definition.columns.get(definition.record_id)?.kind {
        ColumnType::Integer => text.parse().ok().filter(|id: &i64| id.to_string() == text).map(Sql::Integer),
        _ => Some(Sql::Text(text.to_owned())),
    }
}

#[async_trait(?Send)]
impl RecordReader for Reader {
    async fn get(&self, data_set: &str, key: &str) -> Result<Option<Found>, RecordStoreError> {
        self.read(data_set, key, None)
    }

    async fn get_one(&self, data_set: &str, key: &str, record_id: &str) -> Result<Option<Found>, RecordStoreError> {
        self.read(data_set, key, Some(record_id))
    }
}
