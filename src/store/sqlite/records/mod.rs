//! Records in SQLite: one database file per data set, so that a long import blocks neither the event log nor another data set.
//! Files are in WAL mode: readers see the last commit while an import writes.

mod branch;
mod columns;
mod condition;
mod epochs;
mod erasure;
mod export;
mod figures;
pub(super) mod file;
mod find;
mod import;
mod import_lock;
mod lane;
mod moments;
pub(in crate::store) mod moving;
mod naming;
mod past;
mod pool;
mod read;
mod reading;
mod render;
pub(in crate::store) mod replica;
mod role;
mod rowset;
mod schema;
mod seen;
mod served;
mod shape;
mod shared;
mod statement;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod walk;
mod way;
mod wind_back;
pub(in crate::store) mod work;

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

#[cfg(test)]
use self::reading::Watch;
pub use self::{
    columns::ColumnSettings,
    moving::make_own,
    role::FileRole,
    shared::SqliteRecordSettings,
    wind_back::{WantedVersion, WindBackError, result_of, wind_back},
};
use self::{
    reading::{QuestionFailure, RecordReading},
    shared::SharedRecords,
};
use crate::{
    clock::SharedClock,
    dataset::{
        query::{Facets, Groups, PageStart, PointInTime, Query, Stats},
        summary::{Facet, Figures},
    },
    store::{
        StoreError,
        records::{
            DataSet, Export, FoundRecords, Held, ImportOrder, ImportSession, Page, Past, RecordCatalog, RecordImports,
            RecordQuestions, RecordReader, RecordStoreError, RecordsGroups, RecordsSummary, Since, rules,
        },
    },
};

/// The record store of a single machine.
pub struct SqliteRecordStore {
    shared: Arc<SharedRecords>,
    pool: pool::Pool,
    keeper: columns::ColumnKeeper,
}

impl SqliteRecordStore {
    /// Opens the data sets in the directory. A replica is served once the keeper of its truth has checked it.
    ///
    /// # Errors
    /// Where the directory cannot be made, or a file in it cannot be read or is not a record file.
    pub fn open(settings: SqliteRecordSettings, clock: SharedClock) -> Result<Self, RecordStoreError> {
        let shared = Arc::new(SharedRecords::open(settings, clock)?);
        let pool = pool::Pool::start(&shared)?;
        let keeper = columns::ColumnKeeper::start(&shared)?;
        Ok(Self { shared, pool, keeper })
    }
}

#[async_trait]
impl RecordCatalog for SqliteRecordStore {
    fn data_sets(&self) -> Vec<Arc<DataSet>> {
        let served = self.shared.served.read().unwrap_or_else(PoisonError::into_inner);
        served.values().map(|served| served.current()).collect()
    }

    fn data_set(&self, name: &str) -> Option<Arc<DataSet>> {
        self.shared.find(name).ok().map(|served| served.current())
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        self.shared.refresh()
    }

    async fn probe(&self) -> Result<(), RecordStoreError> {
        let all = self.shared.all_served();
        let probed = tokio::task::spawn_blocking(move || all.iter().try_for_each(|served| served.probe()));
        probed.await.unwrap_or_else(|error| {
            Err(RecordStoreError::Unavailable { doing: "read the records".to_owned(), reason: error.to_string() })
        })
    }

    async fn close(&self) -> Result<(), RecordStoreError> {
        // A thread that reads a file for long would be in the way.
        self.keeper.stop();
        let all = self.shared.all_served();
        let closed = tokio::task::spawn_blocking(move || all.iter().try_for_each(|served| served.close()));
        closed.await.unwrap_or_else(|error| {
            Err(RecordStoreError::Unavailable { doing: "close the records".to_owned(), reason: error.to_string() })
        })
    }

    fn reader(&self) -> Box<dyn RecordReader> {
        Box::new(read::SqliteRecordReader::new(Arc::clone(&self.shared)))
    }
}

#[async_trait]
impl RecordQuestions for SqliteRecordStore {
    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        let (query, narrow) = (query.clone(), rules::narrowing(&data_set.definition, query.count));
        self.pool
            .answer(served, Arc::clone(data_set), narrow, move |reading, columns| find::page(reading, columns, &query))
            .await
    }

    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        export::begin(&self.shared, served, Arc::clone(data_set), query.clone()).await
    }

    async fn facets(
        &self,
        data_set: &Arc<DataSet>,
        facets: &Facets,
    ) -> Result<RecordsSummary<Facet>, RecordStoreError> {
        let facets = facets.clone();
        self.ask(data_set, move |reading, columns| summary::facets(reading, columns, &facets)).await
    }

    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<RecordsSummary<Figures>, RecordStoreError> {
        let stats = stats.clone();
        self.ask(data_set, move |reading, columns| summary::stats(reading, columns, &stats)).await
    }

    async fn groups(&self, data_set: &Arc<DataSet>, groups: &Groups) -> Result<RecordsGroups, RecordStoreError> {
        let groups = groups.clone();
        self.ask(data_set, move |reading, columns| summary::groups(reading, columns, &groups)).await
    }

    async fn version_at(&self, data_set: &Arc<DataSet>, as_of: PointInTime) -> Result<u64, RecordStoreError> {
        self.ask(data_set, move |reading, _| reading.version_at(as_of)).await
    }

    async fn get_at(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        as_of: PointInTime,
    ) -> Result<Option<FoundRecords>, RecordStoreError> {
        let (key, record_id) = (key.to_owned(), record_id.map(str::to_owned));
        self.ask(data_set, move |reading, _| past::records_at(reading, &key, record_id.as_deref(), as_of)).await
    }

    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError> {
        let since = since.clone();
        self.ask(data_set, move |reading, _| past::changes(reading, &since, limit)).await
    }

    async fn history(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        after: Option<&PageStart>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError> {
        let (key, record_id, after) = (key.to_owned(), record_id.map(str::to_owned), after.cloned());
        self.ask(data_set, move |reading, _| past::history(reading, &key, record_id.as_deref(), after.as_ref(), limit))
            .await
    }
}

impl RecordImports for SqliteRecordStore {
    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        self.may_change()?;
        Ok(Box::new(import::FileImport::begin(Arc::clone(&self.shared), order, None)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        // Nobody imports into a copy.
        if self.may_change().is_err() { Ok(false) } else { import_lock::is_running(&self.shared, name) }
    }

    fn can_rename(&self) -> bool {
        true
    }

    fn hold(&self, name: &str, _who: Uuid) -> Result<Box<dyn Held>, RecordStoreError> {
        self.may_change()?;
        Ok(Box::new(naming::HeldFile::take(Arc::clone(&self.shared), name)?))
    }
}

impl SqliteRecordStore {
    /// # Errors
    /// When the files are only read.
    fn may_change(&self) -> Result<(), RecordStoreError> {
        match self.shared.settings.role {
            FileRole::Truth | FileRole::Replica => Ok(()),
            FileRole::ReadOnly => Err(RecordStoreError::Unavailable {
                doing: "change records".to_owned(),
                reason: StoreError::ReadOnly.to_string(),
            }),
        }
    }

    /// Makes or refreshes a data set's column projection on the calling thread. The error says why there is none.
    #[cfg(test)]
    fn tend_columns(&self, name: &str) -> Result<(), String> {
        columns::tend(&self.shared, name, &mut lane::Lanes::of_scans(), &Watch::new(&self.shared.clock, u64::MAX))
    }

    /// Tells whether a data set has a column projection of its present columns.
    #[cfg(test)]
    fn has_columns(&self, name: &str) -> bool {
        let served = self.shared.find(name).unwrap();
        served.columns.generation() == Some(served.current().generation)
    }

    /// Answers a question in the pool.
    async fn ask<T: Send + 'static>(
        &self,
        data_set: &Arc<DataSet>,
        question: impl FnOnce(&RecordReading<'_>, &columns::ColumnSlot) -> Result<T, QuestionFailure> + Send + 'static,
    ) -> Result<T, RecordStoreError> {
        let served = self.shared.same(data_set)?;
        let narrow = rules::narrowing(&data_set.definition, false);
        self.pool.answer(served, Arc::clone(data_set), narrow, question).await
    }
}
