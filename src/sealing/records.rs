//! The digests of data sets' versions: of all records of a version as `format=ndjson` exports them, so that whoever has that file can compute it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::{
    dataset::query::{Format, PointInTime, Query},
    domain::checkpoint::{CheckpointLeaf, Covered},
    store::records::{DataSet, RecordStore, RecordStoreError},
};

/// How often it is looked whether a node's copies are made.
const COPY_LOOK: Duration = Duration::from_millis(100);

/// Tells the digests of versions of data sets.
#[async_trait]
pub trait VersionDigests: Send + Sync {
    /// The leaves of the held versions that are not covered yet. A version whose records cannot be read now is left out: it comes with a later
    /// checkpoint.
    async fn of_new_versions(&self, covered: &Covered) -> Vec<CheckpointLeaf>;
}

/// Reads the records of the held versions.
pub struct HeldVersions(pub Arc<dyn RecordStore>);

impl HeldVersions {
    /// Waits until this machine's copies are made, where records are read from such.
    ///
    /// # Errors
    /// [`RecordStoreError`] where one cannot be made.
    pub async fn when_copied(records: Arc<dyn RecordStore>) -> Result<Self, RecordStoreError> {
        while records.copies().iter().any(|copy| !copy.is_ready) {
            tokio::time::sleep(COPY_LOOK).await;
            records.refresh().await?;
        }
        Ok(Self(records))
    }

    async fn digest(&self, data_set: &Arc<DataSet>, version: u64) -> Result<[u8; 32], RecordStoreError> {
        let query = Query {
            format: Some(Format::Ndjson),
            as_of: Some(PointInTime::Version(version)),
            ..Query::everything(u32::MAX)
        };
        let mut export = self.0.export(data_set, &query).await?;
        let mut digest = Sha256::new();
        while let Some(part) = export.parts.recv().await {
            digest.update(&part?);
        }
        Ok(digest.finalize().into())
    }
}

#[async_trait]
impl VersionDigests for HeldVersions {
    async fn of_new_versions(&self, covered: &Covered) -> Vec<CheckpointLeaf> {
        let mut leaves = Vec::new();
        for data_set in self.0.data_sets() {
            let name = &data_set.definition.name;
            let versions = data_set.held_from..=data_set.version;
            for version in versions.filter(|version| !covered.has_version(name, *version)) {
                match self.digest(&data_set, version).await {
                    Ok(digest) => leaves.push(CheckpointLeaf::DataSet(name.clone(), version, digest)),
                    Err(error) => {
                        tracing::warn!(data_set = %name, version, %error, "a version is left out of the checkpoint, and comes with a later one");
                    }
                }
            }
        }
        leaves
    }
}
