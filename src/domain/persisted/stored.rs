//! A commit and its events as they are stored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::id::{CommandId, StreamId};

/// A commit as it is stored: all events of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// The stream.
    pub stream: StreamId,
    /// The commit's version in the stream, from 1.
    pub version: u64,
    /// The commit's place in the whole log, ascending, without meaning otherwise. In DynamoDB it follows the writer's time, so
    /// that a late commit of a slow clock may come before others; it can be larger than a JavaScript number holds exactly.
    pub position: u64,
    /// The command.
    pub command: CommandId,
    /// The mark of what the client sent with its `Idempotency-Key`, so that another body under the same key is noticed: an HMAC,
    /// or the plain hash of an earlier version.
    pub request_hash: Option<String>,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The encoded events: a JSON array.
    pub events: String,
    /// Whether it is still marked: what follows from it may not have been done yet.
    pub marked: bool,
}

/// The encoded events of a commit and their place, wherever they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The commit's version in the stream, from 1.
    pub version: u64,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// A JSON array.
    pub events: &'a str,
}

impl StoredCommit {
    /// Its events.
    pub fn encoded(&self) -> Encoded<'_> {
        Encoded { stream: &self.stream, version: self.version, recorded_at: self.recorded_at, events: &self.events }
    }
}

/// Text that is borrowed from what is decoded, unless it is escaped there. (Within an `Option`, a bare `Cow` would not be.)
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct StoredText<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> From<&'a str> for StoredText<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl StoredText<'_> {
    pub(super) fn to_owned(&self) -> String {
        self.0.clone().into_owned()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredEvent<'a> {
    pub(super) id: Uuid,
    #[serde(rename = "type", borrow)]
    pub(super) type_name: StoredText<'a>,
    pub(super) schema_version: u32,
    #[serde(borrow)]
    pub(super) actor: StoredText<'a>,
    #[serde(borrow)]
    pub(super) correlation_id: StoredText<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) causation_id: Option<StoredText<'a>>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

pub(super) fn raw<T: Serialize>(data: &T) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(data)
}
