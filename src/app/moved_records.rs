//! The records of a deployment that is moved. // merged later

use std::path::Path;

use super::StartError;
use crate::{clock::SharedClock, config::Settings};

/// What a data set has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataSetSize {
    /// Its name.
    pub name: String,
    /// Records of the present version.
    pub records: u64,
    /// Changes that are held.
    pub changes: u64,
    /// Versions that are held.
    pub versions: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A data set that was moved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovedDataSet {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its records.
    pub records: u64,
}

/// What the move of records is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsMoveStep {}

/// What the data sets of a deployment have.
///
/// # Errors
/// When they cannot be read.
pub async fn measure_records(_: &Settings, _: &SharedClock) -> Result<Vec<DataSetSize>, StartError> {
    Ok(Vec::new())
}

/// Moves the records.
///
/// # Errors
/// When they cannot be read or written: the call can be repeated.
pub async fn move_records(
    _: &Settings,
    _: &Settings,
    _: &SharedClock,
    _: &Path,
    _: &mut dyn FnMut(RecordsMoveStep),
) -> Result<Vec<MovedDataSet>, StartError> {
    Ok(Vec::new())
}
