//! Errors of record stores.

use std::path::PathBuf;

use crate::dataset::{Definition, export::ExportError};

/// An error of a record store. Its message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecordStoreError {
    /// There is no such data set.
    #[error("there is no data set {name:?}: import a file into it first")]
    UnknownDataSet {
        /// The name asked for.
        name: String,
    },
    /// A name that cannot be stored.
    #[error("the data set's name {name:?} cannot be stored: use 1 to 64 lower-case letters, digits, _ and -")]
    BadName {
        /// The name.
        name: String,
    },
    /// Another data set has the name.
    #[error("there is a data set {name:?} already: choose another name, or remove that one first")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The store cannot rename data sets.
    #[error(
        "with backend = \"aws\" a data set keeps its name, which its tables have. Import its file under a definition of the other \
         name (`permitd aws setup` makes the tables first), then remove this one"
    )]
    NotRenamed,
    /// Another import of the data set is running, in this process or another.
    #[error("another import into {name:?} is running: wait for its end and repeat this one")]
    ImportRunning {
        /// The data set.
        name: String,
    },
    /// The file of the data set holds another one.
    #[error(
        "the file of {name:?} holds the data set {of:?}: put the file of {name:?} back, or move this one away and import the whole \
         file again"
    )]
    OtherDataSet {
        /// The data set.
        name: String,
        /// The data set that the file holds.
        of: String,
    },
    /// A version that another process has brought here cannot be shown yet.
    #[error("a version of {name:?} is being committed: repeat the request")]
    Committing {
        /// The data set.
        name: String,
    },
    /// Too many queries are waiting.
    #[error("too many queries are waiting for their turn: repeat this one a little later")]
    Busy,
    /// A query took too long.
    #[error("the query was given up after {limit_ms} ms: {narrow}")]
    TimedOut {
        /// The time it had.
        limit_ms: u64,
        /// Advice on how to make it faster.
        narrow: String,
    },
    /// There are too many groups.
    #[error(
        "there are more than {groups_max} groups, or their keys are too long: group by fewer columns, by larger parts such as month or bin, or narrow the filter"
    )]
    TooManyGroups {
        /// The limit.
        groups_max: usize,
    },
    /// Groups have too many different values to remember.
    #[error(
        "medians, numbers of different values, and least and greatest texts would have to remember too much: narrow the filter, or group by fewer columns"
    )]
    TooManyValues,
    /// The receiver of an export's parts is too slow.
    #[error("the export was given up: its parts were not taken in time")]
    Stalled,
    /// An answer would be too large.
    #[error("the answer is larger than {bytes_max} bytes: {narrow}")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
        /// Advice on how to make it smaller.
        narrow: String,
    },
    /// The format of an export does not hold the records that match.
    #[error("{reason}")]
    NotHeld {
        /// What is in the way, and what to do.
        reason: String,
    },
    /// The records are being copied to this node, which answers questions once it has all of them.
    #[error(
        "the records of {name:?} are being copied to this server, {percent} percent are there: records are read by their key \
         meanwhile; repeat this a little later"
    )]
    Copying {
        /// The data set.
        name: String,
        /// The finished part.
        percent: u8,
    },
    /// A file holds a truth where the server expects replicas, or the other way round.
    #[error("the file {} is not used: {reason}", path.display())]
    WrongRole {
        /// The file.
        path: PathBuf,
        /// What the file is, and what to do.
        reason: String,
    },
    /// A value is larger than the store can keep.
    #[error(
        "line {line}: {what} has {bytes} bytes; the store keeps at most {bytes_max}: shorten it, or leave its row out"
    )]
    TooLong {
        /// The row's line.
        line: u64,
        /// The text that is too long, such as `the value of description`.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The version of a question is no longer kept.
    #[error(
        "version {version} of {name:?} is no longer held, only those from {held_from}{} on: read its pages from the first, \
         or all of it by an export, and ask for changes since the version that it has then",
        of_moment(since.as_deref())
    )]
    VersionGone {
        /// The data set.
        name: String,
        /// The version asked for.
        version: u64,
        /// The earliest version that is held.
        held_from: u64,
        /// The moment of that version, if known.
        since: Option<String>,
    },
    /// The moment of a question is before all versions that are held.
    #[error(
        "what {name:?} was at {moment} is not held, only its versions from {held_from}{} on: ask as of that one or a later one",
        of_moment(since.as_deref())
    )]
    MomentGone {
        /// The data set.
        name: String,
        /// The moment asked for.
        moment: String,
        /// The earliest version that is held.
        held_from: u64,
        /// The moment of that version, if known.
        since: Option<String>,
    },
    /// The version does not exist yet.
    #[error("{name:?} is at version {present}: there is no version {version} yet")]
    NoSuchVersion {
        /// The data set.
        name: String,
        /// The version asked for.
        version: u64,
        /// The present version.
        present: u64,
    },
    /// The data set's columns changed after the query was made.
    #[error("the columns of {name:?} have just changed, or it was begun anew: repeat the request")]
    DefinitionChanged {
        /// The data set.
        name: String,
    },
    /// The definition names other columns as key or record id than the stored records have.
    #[error(
        "the definition of {name:?} identifies records in another way than the stored ones: their key or record id is \
         another column or of another rule or type. Import with --replace to drop the stored records"
    )]
    IdentityChanged {
        /// The data set.
        name: String,
    },
    /// A dry run cannot be committed.
    #[error("a dry run of an import into {name:?} was to be committed: report this as a defect")]
    DryRun {
        /// The data set.
        name: String,
    },
    /// An imported row does not fit its definition.
    #[error("line {line}: {reason}. The reader of the file and the definition disagree: report this as a defect")]
    BadRow {
        /// The row's line.
        line: u64,
        /// What is wrong with the row.
        reason: String,
    },
    /// The store cannot be read or written.
    #[error("the record store cannot {doing}: {reason}")]
    Unavailable {
        /// What was attempted.
        doing: String,
        /// The store's error.
        reason: String,
    },
    /// Stored data cannot be understood.
    #[error("the records of {name:?} are damaged or of a newer permitd: {reason}")]
    Corrupt {
        /// The data set.
        name: String,
        /// The damage that was found.
        reason: String,
    },
}

/// The moment of a version in a message.
fn of_moment(at: Option<&str>) -> String {
    at.map(|at| format!(" ({at})")).unwrap_or_default()
}

impl RecordStoreError {
    /// The error of an export that could not be written.
    pub(in crate::store) fn of_export(definition: &Definition, error: ExportError) -> Self {
        match error {
            ExportError::TooManyRecords { .. }
            | ExportError::TooLargeWorkbook { .. }
            | ExportError::TooLongForCell { .. }
            | ExportError::TooPrecise { .. }
            | ExportError::NoGeometry(_) => Self::NotHeld { reason: error.to_string() },
            ExportError::OfAnotherType { .. } => {
                Self::Corrupt { name: definition.name.clone(), reason: error.to_string() }
            }
            ExportError::Failed { doing, reason } => Self::Unavailable { doing: doing.to_owned(), reason },
        }
    }
}
