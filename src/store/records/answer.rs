//! What questions about records are answered with.

use bytes::Bytes;

use super::RecordStoreError;
use crate::dataset::{Document, query::Position};

/// Records that were asked for by their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecords {
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

/// How a query was answered, for whoever asks.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Explained {
    /// What was done, in words: which index, which scan, what was sorted.
    pub plan: Vec<String>,
}

/// What was found out about the records that a filter means.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsSummary<T> {
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
