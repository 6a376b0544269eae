//! A data set as it stands: its definition, its version, what is held of its past, and what was done to it last.

use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::ImportResult;
use crate::{
    dataset::{Definition, figures::TableFigures},
    domain::lineage::RecordsIdentity,
};

/// A data set as it stands at one version.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The definition that its records were stored with. A changed definition file takes effect with the next import.
    pub definition: Arc<Definition>,
    /// The import that made it: tells it from one of the same name that is gone.
    pub instance: Uuid,
    /// Rises by one with every import that changed a record or the published columns.
    pub version: u64,
    /// The earliest version whose records can still be read as they were.
    pub held_from: u64,
    /// The earliest version since which all changes are known.
    pub changes_from: u64,
    /// Rises when the published columns change: a query that was made for another generation is refused.
    pub generation: u64,
    /// How many records there are.
    pub records: u64,
    /// The last committed import.
    pub last_import: LastImport,
    /// What follows from what was done to it as a whole.
    pub standing: DataSetStanding,
    /// The figures of its columns, as they were kept with it. Read them by [`DataSet::present_figures`].
    pub figures: Option<Arc<TableFigures>>,
}

impl DataSet {
    /// What its records say of themselves, to be compared with the log.
    pub fn identity(&self) -> RecordsIdentity {
        let Self { instance, version, last_import, .. } = self;
        RecordsIdentity { instance: *instance, version: *version, last_import: last_import.id }
    }

    /// The figures of its columns at this version, as its definition lets them be shown. None where the import that made the version
    /// made none, as those of older permitds did.
    pub fn present_figures(&self) -> Option<TableFigures> {
        let figures = self.figures.as_ref().filter(|figures| figures.version == self.version)?;
        Some(figures.shown_with(&self.definition))
    }
}

/// How a data set stands, apart from its records: it follows from the log, and is kept with the records so that whoever serves them
/// knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataSetStanding {
    /// Whether it is kept and served to nobody.
    pub withdrawn: bool,
    /// The names that it had before, which lead to it.
    pub former_names: Vec<String>,
}

/// What the last committed import of a data set did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastImport {
    /// The import's id, as given to [`RecordImports::begin_import`](super::RecordImports::begin_import): tells whether a commit whose answer was lost took place.
    pub id: Uuid,
    /// The day it was given.
    pub day: Date,
    /// What it changed.
    pub result: ImportResult,
}

/// How a data set is begun anew, whose records are gone or are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anew {
    /// The highest version that it is known to have had: the new one is above it.
    pub above: u64,
    /// The last import of what is there and is to be dropped, if anything is.
    pub instead_of: Option<Uuid>,
}

/// How long the past of a data set is kept. What is older, or more, is given up with the next import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A version is held for so many days after it was followed by another.
    pub days: u32,
    /// So many changes of records are kept; the latest import's are kept in any case.
    pub changes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 400, changes_max: 10_000_000 }
    }
}

/// Reads the figures of a data set's columns as a store keeps them. What is not understood is done without: the next import makes
/// them anew, and the records are served all the same.
pub(in crate::store) fn read_figures(name: &str, document: &[u8]) -> Option<Arc<TableFigures>> {
    match serde_json::from_slice(document) {
        Ok(figures) => Some(Arc::new(figures)),
        Err(error) => {
            tracing::warn!(data_set = name, %error, "the figures of its columns cannot be read: import again to make them anew");
            None
        }
    }
}
