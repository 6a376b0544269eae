//! Where records live: imported as a whole, read by key or by query.

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
    answer::{Explained, Export, FoundRecords, Page, Past, RecordsSummary},
    data_set::{Anew, DataSet, DataSetStanding, LastImport, Retention},
    error::RecordStoreError,
    outcome::ImportOrder,
    outlook::{AbsentColumn, ChangedValue, DIFFERENCES_MAX, ImportResult, NulledColumn, Outlook, RowOutcome},
};
pub use crate::dataset::query::Since;
use crate::dataset::{
    Definition, Record,
    query::{Facets, PageStart, Query, Stats},
    summary::{Facet, Figures},
};

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
    async fn facets(&self, data_set: &Arc<DataSet>, facets: &Facets)
    -> Result<RecordsSummary<Facet>, RecordStoreError>;

    /// The figures of columns.
    ///
    /// # Errors
    /// As all questions.
    async fn stats(&self, data_set: &Arc<DataSet>, stats: &Stats) -> Result<RecordsSummary<Figures>, RecordStoreError>;

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
    async fn get(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<Option<FoundRecords>, RecordStoreError>;

    /// The same where it takes no waiting; `None` where it does. Fails as [`Self::get`].
    fn get_now(
        &self,
        data_set: &str,
        key: &str,
        record_id: Option<&str>,
    ) -> Option<Result<Option<FoundRecords>, RecordStoreError>>;

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
