//! The file that marks a data directory as a copy of a deployment: of what, as of when, and whether the copy is whole. A marked directory
//! is only read: no server serves it otherwise, and no command changes it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StartError;
use crate::private::{self, Earlier};

/// The mark's file name in the data directory.
pub(super) const FILE_NAME: &str = "copy.json";
/// What the name of a mark that is being written begins with.
const UNFINISHED: &str = ".copy-";
/// The form of the mark that this permitd writes.
const FORMAT: u32 = 1;

/// Marks a data directory as a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMark {
    /// The version of this form.
    pub format: u32,
    /// The version of permitd that made the copy.
    pub permitd: String,
    /// The deployment, for people: its address, data directory or prefix.
    pub of: String,
    /// The moment that the copy shows.
    pub as_of: Timestamp,
    /// The position of the last commit that it may hold, where the copy was asked for by a position.
    pub position: Option<u64>,
    /// When it was begun.
    pub made_at: Timestamp,
    /// Whether everything is there; an unfinished copy is shown to nobody.
    pub is_whole: bool,
    /// The data sets, each with the version that it had.
    pub datasets: Vec<CopiedDataSet>,
    /// The data sets whose records are not there, and why.
    pub left_out: Vec<UncopiedDataSet>,
}

/// A data set in a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedDataSet {
    /// Its name.
    pub name: String,
    /// Its version at the moment.
    pub version: u64,
    /// How many records it had.
    pub records: u64,
}

/// A data set whose records a copy lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncopiedDataSet {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl CopyMark {
    /// The mark of a copy that is about to be made.
    pub fn begun(of: String, as_of: Timestamp, position: Option<u64>, now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            permitd: env!("CARGO_PKG_VERSION").to_owned(),
            of,
            as_of,
            position,
            made_at: now,
            is_whole: false,
            datasets: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// The mark of a data directory; none where it is a deployment of its own.
    ///
    /// # Errors
    /// When the mark cannot be read: what it says is not guessed.
    pub fn read(data: &Path) -> Result<Option<Self>, StartError> {
        private::is_open(data)?;
        let path = data.join(FILE_NAME);
        let failed = |source| StartError::Io { doing: "cannot read", path: path.clone(), source };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let mark: Self = serde_json::from_slice(&text).map_err(|error| failed(io::Error::other(error)))?;
        match mark.format {
            FORMAT => Ok(Some(mark)),
            format => Err(failed(io::Error::other(format!("it is of the form {format}, which a newer permitd wrote")))),
        }
    }

    /// Writes the mark, as a whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, data: &Path) -> Result<(), StartError> {
        let path = data.join(FILE_NAME);
        let failed = |source| StartError::Io { doing: "cannot write", path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        private::write_whole(&path, UNFINISHED, &text, Earlier::Goes).map_err(failed)?;
        Ok(())
    }

    /// The copy in words: `a copy of … as of …`.
    pub fn told(&self) -> String {
        format!("a copy of {} as of {}", self.of, self.as_of)
    }
}

/// Refuses a data directory that is a copy which was not finished.
///
/// # Errors
/// [`StartError::UnfinishedCopy`].
pub fn refuse_an_unfinished_copy(data: &Path) -> Result<(), StartError> {
    match CopyMark::read(data)? {
        Some(mark) if !mark.is_whole => Err(StartError::UnfinishedCopy { path: PathBuf::from(data) }),
        _ => Ok(()),
    }
}

/// Refuses a data directory that is a copy: it is only read.
///
/// # Errors
/// [`StartError::IsCopy`].
pub fn refuse_a_copy(data: &Path) -> Result<(), StartError> {
    match CopyMark::read(data)? {
        Some(mark) => Err(StartError::IsCopy { path: PathBuf::from(data), what: mark.told() }),
        None => Ok(()),
    }
}
