//! Records whose truth is in DynamoDB: one table per data set with an item for each state of a record, and one item in the table
//! `state` that says which of them are seen. Reads by key use this table. All other questions are answered from a replica, a SQLite
//! file that each node keeps and brings from version to version.
//!
//! Guarantees: an import is visible as a whole from the moment of one write on, or not at all. A read by key is one request; a
//! question is none. A node answers at one version, that of its replica, also for reads by key; while it has no replica, reads by
//! key are at the latest version that it has heard of. A replica may be removed at any time: it is copied anew.

mod clear;
mod commit;
mod copy;
mod epochs;
mod fill;
mod follow;
mod import;
mod lists;
mod lock;
mod manifest;
mod naming;
mod node;
mod read;
mod row;
mod shared;
mod standings;
mod sweep;
pub(super) mod write;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{
    fill::{
        FillError, FillOrder, FillState, RecordsSize, data_sets_of, fill, look, make_table, measure_file,
        measure_tables,
    },
    shared::RecordSettings,
};
use self::{
    lock::SilentLocks,
    node::RecordsNode,
    shared::{RecordsShared, failed},
    standings::NodeStandings,
};
use super::{
    Dynamo,
    item::{item, text},
};
use crate::{
    aws::Bridge,
    clock::SharedClock,
    dataset::{
        query::{Facets, Groups, PageStart, PointInTime, Query, Stats},
        summary::{Facet, Figures},
    },
    store::{
        records::{
            CopyProgress, DataSet, Export, FoundRecords, Held, ImportOrder, ImportSession, Page, Past, RecordCatalog,
            RecordImports, RecordQuestions, RecordReader, RecordStoreError, RecordsGroups, RecordsSummary as Summary,
            Since, cache,
        },
        sqlite::records::{FileRole, SqliteRecordSettings, SqliteRecordStore},
    },
};

/// The key that a probe looks up to see whether records can be read; the record need not exist.
const PROBE: &str = "probe";

/// The record store that any number of servers share.
pub struct DynamoRecordStore {
    node: Arc<RecordsNode>,
}

impl DynamoRecordStore {
    /// Reads the list of data sets, and begins to follow them. Missing replicas are copied in the background.
    ///
    /// # Errors
    /// When the table `state` cannot be read, a data set in it has another format, or the directory of the replicas holds other
    /// files. A replica that cannot be read is no error: it is copied anew.
    pub async fn open(dynamo: Dynamo, settings: RecordSettings, clock: SharedClock) -> Result<Self, RecordStoreError> {
        let watch = SilentLocks::new(Arc::clone(&clock));
        Self::open_with(dynamo, settings, clock, watch).await
    }

    /// As [`Self::open`], with another time for which an import's lock has to be silent to count as dead when clocks disagree: by
    /// default 30 s.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_patient_for(
        patience: Duration,
        dynamo: Dynamo,
        settings: RecordSettings,
        clock: SharedClock,
    ) -> Result<Self, RecordStoreError> {
        let watch = SilentLocks::new(Arc::clone(&clock)).patient_for(patience);
        Self::open_with(dynamo, settings, clock, watch).await
    }

    async fn open_with(
        dynamo: Dynamo,
        settings: RecordSettings,
        clock: SharedClock,
        watch: SilentLocks,
    ) -> Result<Self, RecordStoreError> {
        // Reads by key are answered from DynamoDB and cached here.
        let replica = SqliteRecordSettings { role: FileRole::Replica, cache_bytes: 0, ..settings.replica.clone() };
        let engine = SqliteRecordStore::open(replica, Arc::clone(&clock))?;
        if settings.is_server {
            engine.remove_unfinished_copies()?;
        }
        let shared = Arc::new(RecordsShared {
            watch: Arc::new(watch),
            cache: cache::Answers::new(settings.replica.cache_bytes),
            nodes: NodeStandings::default(),
            dynamo: dynamo.with_own_connections(),
            engine,
            settings,
            clock,
        });
        let follower = Bridge::start("records-follow").map_err(|error| RecordStoreError::Unavailable {
            doing: "start its thread".to_owned(),
            reason: error.to_string(),
        })?;
        let node = Arc::new(RecordsNode { shared, follower });
        node.refresh().await?;
        Ok(Self { node })
    }
}

#[async_trait]
impl RecordCatalog for DynamoRecordStore {
    fn data_sets(&self) -> Vec<Arc<DataSet>> {
        self.node.shared.nodes.data_sets()
    }

    fn data_set(&self, name: &str) -> Option<Arc<DataSet>> {
        self.node.shared.nodes.view(name).map(|view| Arc::clone(&view.data_set))
    }

    async fn refresh(&self) -> Result<(), RecordStoreError> {
        self.node.refresh().await
    }

    async fn probe(&self) -> Result<(), RecordStoreError> {
        let asked_us = self.node.shared.clock.monotonic_us();
        match self.refresh().await {
            // A replica that cannot follow shows its present version, and reports the trouble itself.
            Err(error) if self.node.shared.nodes.heard_us() < asked_us => return Err(error),
            _ => {}
        }
        let shared = Arc::clone(&self.node.shared);
        let probing = async move {
            let probed = shared.nodes.views().into_iter().map(|view| {
                let columns = [view.layout.key_attribute(), view.layout.id_attribute()];
                (view.table.clone(), item(columns.map(|column| (column, text(PROBE)))))
            });
            let probed = super::fetch::probe(&shared.dynamo, probed.collect()).await;
            probed.map_err(|error| failed("read", "the records", error))
        };
        self.node.follow_with(probing).await
    }

    fn copies(&self) -> Vec<CopyProgress> {
        let shared = &self.node.shared;
        shared.nodes.progress(shared.clock.monotonic_us(), |name| shared.engine.file_bytes(name))
    }

    async fn close(&self) -> Result<(), RecordStoreError> {
        self.node.shared.engine.close().await
    }

    fn reader(&self) -> Box<dyn RecordReader> {
        Box::new(read::DynamoReader::new(Arc::clone(&self.node)))
    }
}

#[async_trait]
impl RecordQuestions for DynamoRecordStore {
    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError> {
        self.node.begin(data_set, query.version()).await?;
        self.node.answered(data_set, self.node.shared.engine.find(data_set, query).await, |page| page.version).await
    }

    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError> {
        self.node.begin(data_set, query.version()).await?;
        let export = self.node.shared.engine.export(data_set, query).await;
        self.node.answered(data_set, export, |export| export.version).await
    }

    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets) -> Result<Summary<Facet>, RecordStoreError> {
        self.node.begin(data_set, facets.as_of.and_then(PointInTime::version)).await?;
        let answer = self.node.shared.engine.facets(data_set, facets).await;
        self.node.answered(data_set, answer, |answer| answer.version).await
    }

    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<Summary<Figures>, RecordStoreError> {
        self.node.begin(data_set, stats.as_of.and_then(PointInTime::version)).await?;
        let answer = self.node.shared.engine.stats(data_set, stats).await;
        self.node.answered(data_set, answer, |answer| answer.version).await
    }

    async fn groups(&self, data_set: &Arc<DataSet>, groups: &Groups) -> Result<RecordsGroups, RecordStoreError> {
        self.node.begin(data_set, groups.as_of.and_then(PointInTime::version)).await?;
        let answer = self.node.shared.engine.groups(data_set, groups).await;
        self.node.answered(data_set, answer, |answer| answer.version).await
    }

    async fn version_at(&self, data_set: &Arc<DataSet>, as_of: PointInTime) -> Result<u64, RecordStoreError> {
        self.node.begin(data_set, as_of.version()).await?;
        let answer = self.node.shared.engine.version_at(data_set, as_of).await;
        self.node.answered(data_set, answer, |version| *version).await
    }

    async fn get_at(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        as_of: PointInTime,
    ) -> Result<Option<FoundRecords>, RecordStoreError> {
        self.node.begin(data_set, as_of.version()).await?;
        let answer = self.node.shared.engine.get_at(data_set, key, record_id, as_of).await;
        self.node.answered(data_set, answer, |found| found.as_ref().map_or(0, |found| found.version)).await
    }

    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError> {
        self.node.begin(data_set, Some(since.version())).await?;
        let answer = self.node.shared.engine.changes(data_set, since, limit).await;
        self.node.answered(data_set, answer, |answer| answer.version).await
    }

    async fn history(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        after: Option<&PageStart>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError> {
        self.node.begin(data_set, None).await?;
        let history = self.node.shared.engine.history(data_set, key, record_id, after, limit).await;
        self.node.answered(data_set, history, |past| past.as_ref().map_or(0, |past| past.version)).await
    }
}

impl RecordImports for DynamoRecordStore {
    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError> {
        Ok(Box::new(import::DynamoImport::begin(Arc::clone(&self.node), order)?))
    }

    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError> {
        import::is_running(&self.node.shared, name)
    }

    fn hold(&self, name: &str, who: Uuid) -> Result<Box<dyn Held>, RecordStoreError> {
        Ok(Box::new(naming::HeldDataSet::take(Arc::clone(&self.node), name, who)?))
    }

    fn can_rename(&self) -> bool {
        false
    }
}
