//! The answers to questions about records.

use bytes::Bytes;

use super::RecordStoreError;
use crate::dataset::{Document, columns::FoundGroups, query::Position};

/// The records of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecords {
    /// The version they were read at.
    pub version: u64,
    /// The whole answer, as [`Document::finish`] makes it.
    pub document: Bytes,
    /// The number of records.
    pub count: u32,
}

/// One page of an answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The version its records were read at.
    pub version: u64,
    /// The page's records, possibly none; the document is not finished yet.
    pub document: Document,
    /// The place of the last record, to continue after, if more records follow.
    pub next: Option<Position>,
    /// How many records match in all, if the query asked for that.
    pub count: Option<u64>,
    /// How the page was found, if the query asked for that.
    pub explained: Option<Explained>,
}

/// An explanation of how a query was answered.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Explained {
    /// The steps in words: which index, which scan, what was sorted.
    pub plan: Vec<String>,
}

/// Facts about the records that match a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsSummary<T> {
    /// The version that they were read at.
    pub version: u64,
    /// The number of matching records.
    pub records: u64,
    /// One entry for each requested column, in the order of the request.
    pub columns: Vec<T>,
}

/// Groups of the records that match a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsGroups {
    /// The version that they were read at.
    pub version: u64,
    /// The groups.
    pub found: FoundGroups,
}

/// A list of JSON objects about the past: changes, or the states of records.
#[derive(Debug, Clone)]
pub struct Past {
    /// The present version.
    pub version: u64,
    /// The found entries; the document is not finished yet. A change is
    /// `{"version":…,"at":…,"change":"inserted"|"updated"|"removed","key":…,"record_id":…,"before":…,"after":…}`, where
    /// `before` and `after` are whole records or null; a state is
    /// `{"record_id":…,"valid_from":{"version":…,"at":…},"valid_until":{…}|null,"record":{…}}`. `at` is the moment of the
    /// import (RFC 3339, microseconds), or null where it is not kept any more.
    pub document: Document,
    /// The place to continue after, if more entries may follow: of a change the version, key and record id; of a state the version
    /// that it is valid from and the record id.
    pub next: Option<Position>,
}

/// An export under way.
#[derive(Debug)]
pub struct Export {
    /// The version of all its records.
    pub version: u64,
    /// Its parts, in order. Nothing follows an error: the received parts are then incomplete. Dropping the receiver ends the
    /// export.
    pub parts: tokio::sync::mpsc::Receiver<Result<Bytes, RecordStoreError>>,
}
