//! A data set's state: its definition, its version, the held part of its past, and its last import.

use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::ImportResult;
use crate::{
    dataset::{Definition, figures::TableFigures},
    domain::lineage::RecordsIdentity,
};

/// A data set's state at one version.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The definition by which its records were stored. A changed definition file takes effect with the next import.
    pub definition: Arc<Definition>,
    /// The import that created it: tells it from a removed data set of the same name.
    pub instance: Uuid,
    /// Rises by one with every import that changed a record or the published columns.
    pub version: u64,
    /// The earliest version whose records can still be read as they were.
    pub held_from: u64,
    /// The earliest version since which all changes are known.
    pub changes_from: u64,
    /// Rises when the published columns change: a query for another generation is refused.
    pub generation: u64,
    /// The number of records.
    pub records: u64,
    /// The last committed import.
    pub last_import: LastImport,
    /// The data set's standing by the log.
    pub standing: DataSetStanding,
    /// The stored figures of its columns. Read them by [`DataSet::present_figures`].
    pub figures: Option<Arc<TableFigures>>,
}

impl DataSet {
    /// The identity of its records, to be compared with the log.
    pub fn identity(&self) -> RecordsIdentity {
        let Self { instance, version, last_import, .. } = self;
        RecordsIdentity { instance: *instance, version: *version, last_import: last_import.id }
    }

    /// The figures of its columns at this version, as far as its definition shows them. None if the import that made the version
    /// made none, as with older permitds.
    pub fn present_figures(&self) -> Option<TableFigures> {
        let figures = self.figures.as_ref().filter(|figures| figures.version == self.version)?;
        Some(figures.shown_with(&self.definition))
    }
}

/// A data set's standing apart from its records. It follows from the log, and is stored with the records for those who serve them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataSetStanding {
    /// Whether the data set is withdrawn: kept, but served to nobody.
    pub withdrawn: bool,
    /// Its former names, which lead to it.
    pub former_names: Vec<String>,
}

/// What the last committed import of a data set did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastImport {
    /// The import's id, as given to [`RecordImports::begin_import`](super::RecordImports::begin_import): tells whether a commit whose answer was lost took place.
    pub id: Uuid,
    /// The day passed to that import.
    pub day: Date,
    /// The changes that it made.
    pub result: ImportResult,
}

/// How to begin a data set anew, when its records are gone or are not those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anew {
    /// The highest version that it is known to have had: the new version is above it.
    pub above: u64,
    /// The last import of the stored records, which are to be dropped; none if there are none.
    pub instead_of: Option<Uuid>,
}

/// How long the past of a data set is kept. The next import gives up what exceeds this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days for which a version is held after the next one.
    pub days: u32,
    /// The number of changes to keep; the latest import's are kept in any case.
    pub changes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 400, changes_max: 10_000_000 }
    }
}

/// Reads the stored figures of a data set's columns. Figures that cannot be understood are ignored: the next import makes them
/// anew, and the records are served all the same.
pub(in crate::store) fn read_figures(name: &str, document: &[u8]) -> Option<Arc<TableFigures>> {
    match serde_json::from_slice(document) {
        Ok(figures) => Some(Arc::new(figures)),
        Err(error) => {
            tracing::warn!(data_set = name, %error, "the figures of its columns cannot be read: import again to make them anew");
            None
        }
    }
}
