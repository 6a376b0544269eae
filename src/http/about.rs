//! Descriptions of data sets: from the definition, and from the figures of the columns that the last import made. The directory of data
//! sets and the pages use them; pages do so without HTTP.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::state::Service;
use crate::{
    dataset::{
        Column, ColumnType,
        definition::SelfDescription,
        figures::{TableFigures, ValueCount, WrittenValue},
    },
    store::{StoreError, records::DataSet},
};

/// The description of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::http) struct About {
    /// Its name.
    pub(in crate::http) name: String,
    /// Its title.
    pub(in crate::http) title: String,
    /// Its version.
    pub(in crate::http) version: u64,
    /// How many records it has.
    pub(in crate::http) records: u64,
    /// The description in its definition.
    pub(in crate::http) about: SelfDescription,
    /// Its columns, as they are published.
    pub(in crate::http) columns: Vec<AboutColumn>,
    /// When the figures of the columns were made; none if this version has no figures.
    pub(in crate::http) figures_made_at: Option<Timestamp>,
    /// What the last import changed.
    pub(in crate::http) last_change: LastChange,
}

/// A published column of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::http) struct AboutColumn {
    /// Its name.
    pub(in crate::http) name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub(in crate::http) kind: ColumnType,
    /// What it means.
    pub(in crate::http) description: String,
    /// Whether its values are about people or firms: figures never show such values.
    pub(in crate::http) personal: bool,
    /// Whether it is the key or the record id, which tell records apart: figures never show its values.
    pub(in crate::http) identifies: bool,
    /// Records without a value in this column; none if not counted.
    pub(in crate::http) empty: Option<u64>,
    /// The least value, of numbers, amounts, dates and moments.
    pub(in crate::http) least: Option<WrittenValue>,
    /// The greatest value, of the same types.
    pub(in crate::http) greatest: Option<WrittenValue>,
    /// The most frequent values of texts, most frequent first.
    pub(in crate::http) values: Vec<ValueCount>,
}

/// What the last import changed, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::http) struct LastChange {
    /// When the import ended; none if the log does not know that any more.
    pub(in crate::http) at: Option<Timestamp>,
    /// The UTC day of the import.
    pub(in crate::http) on: Date,
    /// New records.
    pub(in crate::http) inserted: u64,
    /// Records with a changed value.
    pub(in crate::http) updated: u64,
    /// Removed records.
    pub(in crate::http) removed: u64,
}

/// The description of the named data set; none if it does not exist, is withdrawn, or has lost its records.
///
/// # Errors
/// When the store does not answer.
pub(in crate::http) async fn about(service: &Service, name: &str) -> Result<Option<About>, StoreError> {
    let served = service.lineages.unless_lost(name).filter(|data_set| !data_set.standing.withdrawn);
    let Some(data_set) = served else { return Ok(None) };
    let last_change = last_change(service, &data_set).await?;
    Ok(Some(About::of(&data_set, data_set.present_figures().as_ref(), last_change)))
}

/// What the last import of a data set changed.
///
/// # Errors
/// When the store does not answer.
pub(in crate::http) async fn last_change(service: &Service, data_set: &DataSet) -> Result<LastChange, StoreError> {
    let import = service.committer.stores.views.import(data_set.last_import.id).await?;
    let result = &data_set.last_import.result;
    Ok(LastChange {
        at: import.and_then(|import| import.ended_at),
        on: data_set.last_import.day,
        inserted: result.inserted,
        updated: result.updated,
        removed: result.removed,
    })
}

/// The columns of a data set, with their figures if there are any.
pub(in crate::http) fn columns_of(data_set: &DataSet, figures: Option<&TableFigures>) -> Vec<AboutColumn> {
    let definition = &data_set.definition;
    let of = |(place, column): (usize, &Column)| {
        let counted = figures.and_then(|figures| figures.columns.iter().find(|found| found.name == column.name));
        AboutColumn {
            name: column.name.clone(),
            kind: column.kind,
            description: column.description.clone(),
            personal: column.personal,
            identifies: place == definition.key || place == definition.record_id,
            empty: counted.map(|counted| counted.empty),
            least: counted.and_then(|counted| counted.least.clone()),
            greatest: counted.and_then(|counted| counted.greatest.clone()),
            values: counted.map(|counted| counted.values.clone()).unwrap_or_default(),
        }
    };
    definition.columns.iter().enumerate().map(of).collect()
}

impl About {
    fn of(data_set: &DataSet, figures: Option<&TableFigures>, last_change: LastChange) -> Self {
        let definition = &data_set.definition;
        Self {
            name: definition.name.clone(),
            title: definition.title.clone(),
            version: data_set.version,
            records: data_set.records,
            about: definition.about.clone(),
            columns: columns_of(data_set, figures),
            figures_made_at: figures.map(|figures| figures.made_at),
            last_change,
        }
    }
}
