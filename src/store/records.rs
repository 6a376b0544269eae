//! Where records live: imported as a whole, read by key or by query.

pub(in crate::store) mod cache;
pub(in crate::store) mod outcome;
pub(in crate::store) mod outlet;
pub(in crate::store) mod past;
pub(in crate::store) mod retention;
pub(in crate::store) mod rules;
#[cfg(test)]
pub(crate) mod samples;
pub(in crate::store) mod seen;
pub(in crate::store) mod state;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::civil::Date;
use uuid::Uuid;

pub use self::outcome::ImportOrder;
pub use crate::dataset::query::Since;
use crate::{
    dataset::{
        Definition, Document, Record, Value,
        figures::TableFigures,
        query::{Facets, PageStart, Position, Query, Stats},
        summary::{Facet, Figures},
    },
    domain::lineage::RecordsIdentity,
};

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

/// What the last committed import of a data set did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastImport {
    /// The import's id, as given to [`RecordImports::begin_import`]: tells whether a commit whose answer was lost took place.
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

/// How a data set stands, apart from its records: it follows from the log, and is kept with the records so that whoever serves them
/// knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataSetStanding {
    /// Whether it is kept and served to nobody.
    pub withdrawn: bool,
    /// The names that it had before, which lead to it.
    pub former_names: Vec<String>,
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

/// Records that were asked for by their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The version they were read at.
    pub version: u64,
    /// The whole answer, as [`Document::finish`] makes it.
    pub document: Bytes,
    /// How many there are.
    pub count: u32,
}

/// One page of an answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The version its records were read at.
    pub version: u64,
    /// The page's records, possibly none; the answer is to be finished.
    pub document: Document,
    /// The place to go on after, that of the last record, when more follow.
    pub next: Option<Position>,
    /// How many records match in all, if the query asked for that.
    pub count: Option<u64>,
    /// How it was found, if the query asked for that.
    pub explained: Option<Explained>,
}

/// What was found out about the records that a filter means.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary<T> {
    /// The version that they were read at.
    pub version: u64,
    /// How many records there are of them.
    pub records: u64,
    /// One for each column that was asked for, in that order.
    pub columns: Vec<T>,
}

/// A list of JSON objects about the past: changes, or the states of records.
#[derive(Debug, Clone)]
pub struct Past {
    /// The present version.
    pub version: u64,
    /// What was found; the answer is to be finished. A change is
    /// `{"version":…,"at":…,"change":"inserted"|"updated"|"removed","key":…,"record_id":…,"before":…,"after":…}`, where
    /// `before` and `after` are whole records or null; a state is
    /// `{"record_id":…,"valid_from":{"version":…,"at":…},"valid_until":{…}|null,"record":{…}}`. `at` is the moment of the
    /// import (RFC 3339, microseconds), or null where it is not kept any more.
    pub document: Document,
    /// The place to go on after, when more may follow: the version and, of a change, key and record id; of a state, the
    /// version it is valid from and the record id.
    pub next: Option<Position>,
}

/// An export under way.
#[derive(Debug)]
pub struct Export {
    /// The version that all of it is of.
    pub version: u64,
    /// Its parts, in order. After an error comes nothing more: what has been received is not the whole. Dropping it ends the
    /// export.
    pub parts: tokio::sync::mpsc::Receiver<Result<Bytes, RecordStoreError>>,
}

/// How a query was answered, for whoever asks.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Explained {
    /// What was done, in words: which index, which scan, what was sorted.
    pub plan: Vec<String>,
}

/// What became of an imported row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome {
    /// There was no record of this key and id.
    Inserted,
    /// A value other than the load date differs.
    Updated,
    /// The record is already stored like this. Nothing is written.
    Unchanged,
    /// The same import already held a row of this key and record id. Nothing is written: the row is to be rejected.
    Duplicate {
        /// The line of that row.
        first_line: u64,
    },
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportResult {
    /// The data set's version afterwards.
    pub version: u64,
    /// Whether the version rose.
    pub changed: bool,
    /// New records.
    pub inserted: u64,
    /// Records of which a value changed.
    pub updated: u64,
    /// Records that were stored like this before.
    pub unchanged: u64,
    /// Records that the file no longer holds; only where records are replaced.
    pub removed: u64,
    /// Rows that could not become records.
    pub rejected: u64,
}

/// What an import comes to when it is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The version before; 0 where there was none.
    pub version_before: u64,
    /// How many records there were before.
    pub records_before: u64,
    /// What is changed.
    pub result: ImportResult,
    /// The columns of stored records that the file does not have.
    pub absent: Vec<AbsentColumn>,
    /// The columns of which updated records lose values.
    pub nulled: Vec<NulledColumn>,
    /// The first values that updates change, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<ChangedValue>,
}

/// Differences that an import tells at most.
pub const DIFFERENCES_MAX: usize = 20;

/// A column of which stored records lose values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NulledColumn {
    /// Its place in the definition.
    pub column: usize,
    /// Stored records that have a value there.
    pub before: u64,
    /// Of these, the ones that have none afterwards, and are not removed.
    pub lost: u64,
}

/// A value that an import changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedValue {
    /// The record's key.
    pub key: String,
    /// Its id.
    pub record_id: Value,
    /// The column's place in the definition.
    pub column: usize,
    /// What is stored.
    pub old: Value,
    /// What the file says.
    pub new: Value,
}

/// A column of stored records that a file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentColumn {
    /// Its place in the definition.
    pub column: usize,
    /// In how many records of the file's rows a value stands there that the rows do not have.
    pub values: u64,
}

/// What can go wrong. The messages say what to do.
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
    /// The store gives no data set another name.
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
    /// Too many queries are waiting.
    #[error("too many queries are waiting for their turn: repeat this one a little later")]
    Busy,
    /// A query took too long.
    #[error("the query was given up after {limit_ms} ms: {narrow}")]
    TimedOut {
        /// The time it had.
        limit_ms: u64,
        /// What would make it faster.
        narrow: String,
    },
    /// Whoever takes an export's parts is too slow.
    #[error("the export was given up: its parts were not taken in time")]
    Stalled,
    /// An answer would be too large.
    #[error("the answer is larger than {bytes_max} bytes: {narrow}")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
        /// What would make it smaller.
        narrow: String,
    },
    /// The records are being copied to this node, which answers questions on them when it has all of them.
    #[error(
        "the records of {name:?} are being copied to this server, {percent} percent are there: records are read by their key \
         meanwhile; repeat this a little later"
    )]
    Copying {
        /// The data set.
        name: String,
        /// How much is done.
        percent: u8,
    },
    /// A file is not what the server takes its files for.
    #[error("the file {} is not used: {reason}", path.display())]
    WrongRole {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        reason: String,
    },
    /// A value is larger than the store can keep.
    #[error(
        "line {line}: {what} has {bytes} bytes; the store keeps at most {bytes_max}: shorten it, or leave its row out"
    )]
    TooLong {
        /// The row's line.
        line: u64,
        /// What is too long, such as `the value of description`.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The version that a question is about is not kept any more.
    #[error(
        "version {version} of {name:?} is no longer held, only those from {held_from} on: read its pages from the first, \
         or all of it by an export, and ask for changes since the version that it has then"
    )]
    VersionGone {
        /// The data set.
        name: String,
        /// The version asked for.
        version: u64,
        /// The earliest that there is.
        held_from: u64,
    },
    /// A version that has not come to be yet.
    #[error("{name:?} is at version {present}: there is no version {version} yet")]
    NoSuchVersion {
        /// The data set.
        name: String,
        /// The version asked for.
        version: u64,
        /// The present one.
        present: u64,
    },
    /// The data set's columns changed between the making of a query and its running.
    #[error("the columns of {name:?} have just changed: repeat the request")]
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
    /// A dry run was to become visible.
    #[error("a dry run of an import into {name:?} was to be committed: report this as a defect")]
    DryRun {
        /// The data set.
        name: String,
    },
    /// An imported row does not have the shape its definition gives it.
    #[error("line {line}: {reason}. The reader of the file and the definition disagree: report this as a defect")]
    BadRow {
        /// The row's line.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The store cannot be read or written.
    #[error("the record store cannot {doing}: {reason}")]
    Unavailable {
        /// What was attempted.
        doing: String,
        /// What the store said.
        reason: String,
    },
    /// What is stored cannot be understood.
    #[error("the records of {name:?} are damaged or of a newer permitd: {reason}")]
    Corrupt {
        /// The data set.
        name: String,
        /// What was found.
        reason: String,
    },
}

/// How far a node is with the copy of a data set that it answers questions from.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyProgress {
    /// The data set's name.
    pub name: String,
    /// Whether questions are answered.
    pub is_ready: bool,
    /// The part of the records that is there, from 0 to 1.
    pub share: f64,
    /// Versions that were committed and are not shown here yet.
    pub versions_behind: u64,
    /// How long ago the first of them was heard of, seconds; 0 where there is none.
    pub seconds_behind: f64,
    /// What the copy takes on the disk, bytes.
    pub bytes: u64,
    /// Why it does not go on, if it does not; what to do.
    pub trouble: Option<String>,
}

/// Which data sets there are: for whoever serves them.
#[async_trait]
pub trait RecordCatalog: Send + Sync {
    /// All data sets by name, as last noticed.
    fn data_sets(&self) -> Vec<Arc<DataSet>>;

    /// One data set, as last noticed. None where there is none.
    fn data_set(&self, name: &str) -> Option<Arc<DataSet>>;

    /// Notices what other processes have imported since. To be called regularly: it bounds how long an answer may be
    /// older than the last import. What this process imports is noticed at once.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where the store cannot be read; [`RecordStoreError::Corrupt`] and
    /// [`RecordStoreError::WrongRole`] of the first data set that cannot be served. All others were looked at.
    async fn refresh(&self) -> Result<(), RecordStoreError>;

    /// Whether the records can be read, past all caches.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`] where they cannot.
    async fn probe(&self) -> Result<(), RecordStoreError>;

    /// How far the copies are that questions are answered from. None where records are read where they are kept.
    fn copies(&self) -> Vec<CopyProgress> {
        Vec::new()
    }

    /// Ends in order: what stands in write-ahead logs is moved into the files, so that a copy of each is whole.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where somebody else reads a file, or it cannot be written.
    async fn close(&self) -> Result<(), RecordStoreError>;

    /// A reader for one thread. It is cheap to use and expensive to make: make one per HTTP worker and keep it.
    fn reader(&self) -> Box<dyn RecordReader>;
}

/// Questions about records, beyond those for a key. All answers are of one version.
///
/// Every question fails with [`RecordStoreError::Busy`] where too many wait, with [`RecordStoreError::TimedOut`] where it takes too
/// long, with [`RecordStoreError::DefinitionChanged`] where the columns of `data_set`, which it was checked against, have changed,
/// with [`RecordStoreError::Copying`] while a node does not have the records yet, with [`RecordStoreError::VersionGone`] where it
/// goes on at a version that is not held any more, and with [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`]
/// where the records cannot be read.
#[async_trait]
pub trait RecordQuestions: Send + Sync {
    /// The records that a query asks for.
    ///
    /// # Errors
    /// As all questions; [`RecordStoreError::TooLarge`] for a page of too many bytes.
    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError>;

    /// Begins to write everything that a query asks for, in the query's format: `limit_asked` records at most, in the query's
    /// order.
    ///
    /// # Errors
    /// As all questions, before the first part is there; what goes wrong afterwards is the last part.
    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError>;

    /// The values of columns and how often each occurs.
    ///
    /// # Errors
    /// As all questions.
    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets) -> Result<Summary<Facet>, RecordStoreError>;

    /// The figures of columns.
    ///
    /// # Errors
    /// As all questions.
    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<Summary<Figures>, RecordStoreError>;

    /// What imports have changed since then: in the order of versions and, of one version, of keys and record ids. At most
    /// `limit` changes.
    ///
    /// # Errors
    /// As all questions: [`RecordStoreError::VersionGone`] where not all of the changes are known any more;
    /// [`RecordStoreError::NoSuchVersion`] after the present version.
    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError>;

    /// The states, as far back as they are kept, of the records that bear a key, or of one of them: in the order of record
    /// ids, the oldest first. At most `limit` of them, after a place. None where no record is known to have had the key.
    ///
    /// # Errors
    /// As all questions.
    async fn history(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        after: Option<&PageStart>,
        limit: u32,
    ) -> Result<Option<Past>, RecordStoreError>;
}

/// Changing data sets as a whole. Everything here blocks: an import belongs on a thread of its own.
pub trait RecordImports: Send + Sync {
    /// Begins an import into the data set of that definition, which need not exist yet. It keeps other imports into it away.
    ///
    /// # Errors
    /// [`RecordStoreError::ImportRunning`] where another import runs, or something else is there than what it is begun instead
    /// of; [`RecordStoreError::IdentityChanged`] where the definition identifies records in another way and they are not to be
    /// replaced; [`RecordStoreError::BadName`]; [`RecordStoreError::Unavailable`] and [`RecordStoreError::Corrupt`].
    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError>;

    /// Whether an import into the data set is under way at the moment, in this process or another.
    ///
    /// # Errors
    /// [`RecordStoreError::BadName`], or [`RecordStoreError::Unavailable`] where that cannot be seen.
    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError>;

    /// Whether data sets can get other names.
    fn can_rename(&self) -> bool;

    /// Holds a data set, so that no import into it begins: to remove it, or to give it another name. `who` is nobody else's.
    ///
    /// # Errors
    /// [`RecordStoreError::ImportRunning`], [`RecordStoreError::BadName`], or [`RecordStoreError::Unavailable`].
    fn hold(&self, name: &str, who: Uuid) -> Result<Box<dyn Held>, RecordStoreError>;
}

/// The records of all data sets.
pub trait RecordStore: RecordCatalog + RecordQuestions + RecordImports {}

impl<S: RecordCatalog + RecordQuestions + RecordImports> RecordStore for S {}

/// A data set that nobody imports into as long as this is kept. It may be gone already.
pub trait Held: Send {
    /// Removes its records, and their past.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where not all could be removed: to be repeated.
    fn remove(self: Box<Self>) -> Result<(), RecordStoreError>;

    /// Serves it to nobody, or to all again.
    ///
    /// # Errors
    /// [`RecordStoreError::UnknownDataSet`] where it is gone; [`RecordStoreError::Unavailable`].
    fn withdraw(self: Box<Self>, withdrawn: bool) -> Result<(), RecordStoreError>;

    /// Gives it another name, which no data set has.
    ///
    /// # Errors
    /// [`RecordStoreError::NotRenamed`] where the store gives none; [`RecordStoreError::UnknownDataSet`] where it is gone;
    /// [`RecordStoreError::Unavailable`].
    fn rename(self: Box<Self>, renaming: Renaming) -> Result<(), RecordStoreError>;
}

/// Another name of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Renaming {
    /// Its definition under that name.
    pub definition: Definition,
    /// What stands for its last import from then on.
    pub import: Uuid,
}

/// Reads records, on the thread that asks.
#[async_trait(?Send)]
pub trait RecordReader: Send {
    /// All records that bear a key, as a list in the order of their ids; none if there is no such key. The key is in
    /// canonical form. With a record id only that record, by itself; an id that is not written as it is published finds
    /// nothing.
    ///
    /// # Errors
    /// [`RecordStoreError::UnknownDataSet`], [`RecordStoreError::TooLarge`], [`RecordStoreError::DefinitionChanged`],
    /// [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`].
    async fn get(&self, data_set: &str, key: &str, record_id: Option<&str>) -> Result<Option<Found>, RecordStoreError>;

    /// The same where it takes no waiting; `None` where it does. Fails as [`Self::get`].
    fn get_now(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Option<Result<Option<Found>, RecordStoreError>>;

    /// What [`RecordQuestions::find`] answers, where that takes no waiting and next to no work; `None` where it does. Fails as
    /// that.
    fn find_now(&self, data_set: &DataSet, query: &Query) -> Option<Result<Page, RecordStoreError>>;
}

/// An import in progress. Readers see nothing of it until it commits; dropping it, or the process's end, leaves the data
/// set as it was. After an error the session can only be dropped.
pub trait ImportSession: Send {
    /// Says which columns the file does not have. Where they are `kept`, a stored record keeps its values of them, and the
    /// record that a row hands over takes these on before it is compared; otherwise it takes what the row hands over. To be
    /// called before the first row.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where the stored values cannot be read.
    fn absent(&mut self, columns: &[usize], kept: bool) -> Result<(), RecordStoreError>;

    /// Says that the rows bring their record ids where they would be counted, as in an export. To be called before the first
    /// row.
    fn take_ids(&mut self);

    /// Takes in the next row. The session fills in an ordinal record id and the load date.
    ///
    /// # Errors
    /// [`RecordStoreError::BadRow`] for a row that is not of the definition; [`RecordStoreError::TooLong`] for a value that the
    /// store cannot keep; [`RecordStoreError::Unavailable`] where the store cannot be read or written.
    fn put(&mut self, line: u64, key: &str, record: Record) -> Result<RowOutcome, RecordStoreError>;

    /// Says that a row was rejected. Where its key is known it still counts among the rows that bear it, so that the
    /// record ids of those after it stay, and its stored record (without ordinals: all records of the key) is kept when
    /// records are replaced.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`].
    fn reject(&mut self, key: Option<&str>) -> Result<(), RecordStoreError>;

    /// What committing comes to. No row may follow.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`].
    fn settle(&mut self) -> Result<Outlook, RecordStoreError>;

    /// Makes the import visible, durably and as a whole.
    ///
    /// # Errors
    /// [`RecordStoreError::DryRun`] for a dry run; [`RecordStoreError::Unavailable`] where it could not be written, or another
    /// import has taken its place: nothing of it is visible then.
    fn commit(self: Box<Self>) -> Result<ImportResult, RecordStoreError>;
}
