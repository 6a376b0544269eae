//! The stores of records: imported as a whole, read by key or by query.

mod answer;
pub(in crate::store) mod cache;
mod data_set;
mod error;
pub(in crate::store) mod outcome;
pub(in crate::store) mod outlet;
mod outlook;
pub(in crate::store) mod past;
pub(in crate::store) mod retention;
pub(in crate::store) mod rules;
#[cfg(test)]
pub(crate) mod samples;
pub(in crate::store) mod state;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

pub(in crate::store) use self::data_set::read_figures;
pub use self::{
    answer::{Explained, Export, FoundRecords, Page, Past, RecordsGroups, RecordsSummary},
    data_set::{Anew, DataSet, DataSetStanding, LastImport, Retention},
    error::RecordStoreError,
    outcome::ImportOrder,
    outlook::{AbsentColumn, ChangedValue, DIFFERENCES_MAX, ImportResult, NulledColumn, Outlook, RowOutcome},
};
pub use crate::dataset::query::Since;
use crate::dataset::{
    Definition, Record,
    query::{Facets, Groups, PageStart, PointInTime, Query, Stats},
    summary::{Facet, Figures},
};

/// How far a node's copy of a data set is.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyProgress {
    /// The data set's name.
    pub name: String,
    /// Whether questions are answered.
    pub is_ready: bool,
    /// The copied part of the records, from 0 to 1.
    pub share: f64,
    /// Committed versions that this node does not show yet.
    pub versions_behind: u64,
    /// Seconds since this node heard of the first of them; 0 where there is none.
    pub seconds_behind: f64,
    /// The size of the copy on the disk, bytes.
    pub bytes: u64,
    /// Why the copy is stuck, if it is, and what to do.
    pub trouble: Option<String>,
}

/// The catalog of data sets, for whoever serves them.
#[async_trait]
pub trait RecordCatalog: Send + Sync {
    /// All data sets by name, as last noticed.
    fn data_sets(&self) -> Vec<Arc<DataSet>>;

    /// One data set, as last noticed; none if there is no such data set.
    fn data_set(&self, name: &str) -> Option<Arc<DataSet>>;

    /// Notices imports by other processes. Call it regularly: the interval bounds how much older than the last import an answer may
    /// be. Imports by this process are noticed at once.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where the store cannot be read; [`RecordStoreError::Corrupt`] and
    /// [`RecordStoreError::WrongRole`] of the first data set that cannot be served, after all others were refreshed.
    async fn refresh(&self) -> Result<(), RecordStoreError>;

    /// Checks that the records can be read, past all caches.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`] where they cannot.
    async fn probe(&self) -> Result<(), RecordStoreError>;

    /// The progress of the copies that answer questions. None where records are read directly from their store.
    fn copies(&self) -> Vec<CopyProgress> {
        Vec::new()
    }

    /// Shuts down in order: moves write-ahead logs into their files, so that a copy of each file is whole.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where another process reads a file, or a file cannot be written.
    async fn close(&self) -> Result<(), RecordStoreError>;

    /// A reader for one thread. It is cheap to use and expensive to make: make one per HTTP worker and keep it.
    fn reader(&self) -> Box<dyn RecordReader>;
}

/// Questions about records, other than reads by key. Each answer is of one version.
///
/// Every question fails with [`RecordStoreError::Busy`] where too many wait, with [`RecordStoreError::TimedOut`] where it takes too
/// long, with [`RecordStoreError::DefinitionChanged`] where the columns have changed since it was checked against `data_set`, with
/// [`RecordStoreError::Copying`] while a node does not have the records yet, with [`RecordStoreError::VersionGone`] where it
/// continues at a version that is no longer held, as [`RecordQuestions::version_at`] where it is as of a version or moment, and with [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`] where
/// the records cannot be read.
#[async_trait]
pub trait RecordQuestions: Send + Sync {
    /// The records that a query asks for.
    ///
    /// # Errors
    /// As all questions; [`RecordStoreError::TooLarge`] for a page of too many bytes.
    async fn find(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Page, RecordStoreError>;

    /// Begins to write all records that match a query, in its format and order: at most `limit_asked` records.
    ///
    /// # Errors
    /// As all questions, before the first part is ready; a later error is sent as the last part.
    async fn export(&self, data_set: &Arc<DataSet>, query: &Query) -> Result<Export, RecordStoreError>;

    /// The values of columns and how often each occurs.
    ///
    /// # Errors
    /// As all questions.
    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets)
    -> Result<RecordsSummary<Facet>, RecordStoreError>;

    /// The figures of columns.
    ///
    /// # Errors
    /// As all questions.
    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<RecordsSummary<Figures>, RecordStoreError>;

    /// The groups of the records that match a filter.
    ///
    /// # Errors
    /// As all questions; [`RecordStoreError::TooManyGroups`] and [`RecordStoreError::TooManyValues`] where they need more memory than
    /// there is for a question.
    async fn groups(&self, data_set: &Arc<DataSet>, groups: &Groups) -> Result<RecordsGroups, RecordStoreError>;

    /// The held version that a question as of this is about.
    ///
    /// # Errors
    /// As all questions: [`RecordStoreError::VersionGone`] or [`RecordStoreError::MomentGone`] where it is not held;
    /// [`RecordStoreError::NoSuchVersion`] after the present version.
    async fn version_at(&self, data_set: &Arc<DataSet>, as_of: PointInTime) -> Result<u64, RecordStoreError>;

    /// All records that bore a key in an earlier version, or one of them, in the form of [`RecordReader::get`]; none if there was no
    /// such record.
    ///
    /// # Errors
    /// As [`Self::version_at`], and [`RecordStoreError::TooLarge`].
    async fn get_at(
        &self,
        data_set: &Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
        as_of: PointInTime,
    ) -> Result<Option<FoundRecords>, RecordStoreError>;

    /// The changes that imports have made since a place: ordered by version, key and record id. At most `limit` changes.
    ///
    /// # Errors
    /// As all questions: [`RecordStoreError::VersionGone`] where some of the changes are no longer known;
    /// [`RecordStoreError::NoSuchVersion`] after the present version.
    async fn changes(&self, data_set: &Arc<DataSet>, since: &Since, limit: u32) -> Result<Past, RecordStoreError>;

    /// The known states of the records that bear a key, or of one of them: ordered by record id, the oldest first. At most `limit`,
    /// after a place. None where no record is known to have had the key.
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
    /// Begins an import into the data set of the order's definition, which need not exist yet. Keeps other imports into it away.
    ///
    /// # Errors
    /// [`RecordStoreError::ImportRunning`] where another import runs, or the stored data set is not the one that the order
    /// replaces; [`RecordStoreError::IdentityChanged`] where the definition identifies records in another way and they are not to
    /// be replaced; [`RecordStoreError::BadName`]; [`RecordStoreError::Unavailable`] and [`RecordStoreError::Corrupt`].
    fn begin_import(&self, order: ImportOrder) -> Result<Box<dyn ImportSession>, RecordStoreError>;

    /// Tells whether an import into the data set is under way, in this process or another.
    ///
    /// # Errors
    /// [`RecordStoreError::BadName`], or [`RecordStoreError::Unavailable`] where the state cannot be read.
    fn is_importing(&self, name: &str) -> Result<bool, RecordStoreError>;

    /// Whether the store can rename data sets.
    fn can_rename(&self) -> bool;

    /// Holds a data set to remove or rename it: no import into it can begin. `who` is an id that nobody else uses.
    ///
    /// # Errors
    /// [`RecordStoreError::ImportRunning`], [`RecordStoreError::BadName`], or [`RecordStoreError::Unavailable`].
    fn hold(&self, name: &str, who: Uuid) -> Result<Box<dyn Held>, RecordStoreError>;
}

/// The records of all data sets.
pub trait RecordStore: RecordCatalog + RecordQuestions + RecordImports {}

impl<S: RecordCatalog + RecordQuestions + RecordImports> RecordStore for S {}

/// A held data set: nobody imports into it while this value lives. The data set may be gone already.
pub trait Held: Send {
    /// Removes the data set's records, and their past.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where not all could be removed: repeat the call.
    fn remove(self: Box<Self>) -> Result<(), RecordStoreError>;

    /// Stops serving the data set, or serves it again.
    ///
    /// # Errors
    /// [`RecordStoreError::UnknownDataSet`] where the data set is gone; [`RecordStoreError::Unavailable`].
    fn withdraw(self: Box<Self>, withdrawn: bool) -> Result<(), RecordStoreError>;

    /// Gives the data set another name that no data set has.
    ///
    /// # Errors
    /// [`RecordStoreError::NotRenamed`] where the store cannot rename; [`RecordStoreError::UnknownDataSet`] where the data set is
    /// gone; [`RecordStoreError::Unavailable`].
    fn rename(self: Box<Self>, renaming: Renaming) -> Result<(), RecordStoreError>;
}

/// Another name of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Renaming {
    /// The definition under the new name.
    pub definition: Definition,
    /// The id that becomes that of its last import.
    pub import: Uuid,
}

/// Reads records on the calling thread.
#[async_trait(?Send)]
pub trait RecordReader: Send {
    /// All records that bear a key (in canonical form), as a list in the order of their ids; none if there is no such key. With a
    /// record id: that record alone; an id that is not written as published finds nothing.
    ///
    /// # Errors
    /// [`RecordStoreError::UnknownDataSet`], [`RecordStoreError::TooLarge`], [`RecordStoreError::DefinitionChanged`],
    /// [`RecordStoreError::Unavailable`] or [`RecordStoreError::Corrupt`].
    async fn get(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<Option<FoundRecords>, RecordStoreError>;

    /// As [`Self::get`], if the answer is ready without waiting; otherwise `None`.
    fn get_now(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Option<Result<Option<FoundRecords>, RecordStoreError>>;

    /// The answer of [`RecordQuestions::find`], if it needs no waiting and next to no work; otherwise `None`. Fails as that does.
    fn find_now(&self, data_set: &DataSet, query: &Query) -> Option<Result<Page, RecordStoreError>>;
}

/// An import in progress. Readers see nothing of it before it commits; if it is dropped or the process ends, the data set stays
/// unchanged. After an error the session can only be dropped.
pub trait ImportSession: Send {
    /// Names the columns that the file lacks. If they are `kept`, a row's record takes over the stored values of these columns
    /// before it is compared; otherwise it takes the values of the row. Call it before the first row.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`] where the stored values cannot be read.
    fn absent(&mut self, columns: &[usize], kept: bool) -> Result<(), RecordStoreError>;

    /// Takes record ids from the rows instead of counting them, as for an export's file. Call it before the first row.
    fn take_ids(&mut self);

    /// Takes in the next row. The session fills in the load date, and the record id where it is an ordinal.
    ///
    /// # Errors
    /// [`RecordStoreError::BadRow`] for a row that does not fit the definition; [`RecordStoreError::TooLong`] for a value that the
    /// store cannot keep; [`RecordStoreError::Unavailable`] where the store cannot be read or written.
    fn put(&mut self, line: u64, key: &str, record: Record) -> Result<RowOutcome, RecordStoreError>;

    /// Notes a rejected row. If its key is known, the row still counts among the rows of the key, so that later rows keep their
    /// record ids, and its stored record (without ordinals: all records of the key) is kept when records are replaced.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`].
    fn reject(&mut self, key: Option<&str>) -> Result<(), RecordStoreError>;

    /// The outcome that committing would have. No row may follow.
    ///
    /// # Errors
    /// [`RecordStoreError::Unavailable`].
    fn settle(&mut self) -> Result<Outlook, RecordStoreError>;

    /// Makes the import visible, durably and as a whole.
    ///
    /// # Errors
    /// [`RecordStoreError::DryRun`] for a dry run; [`RecordStoreError::Unavailable`] where it could not be written, or another
    /// import has replaced it: then nothing of it is visible.
    fn commit(self: Box<Self>) -> Result<ImportResult, RecordStoreError>;
}
