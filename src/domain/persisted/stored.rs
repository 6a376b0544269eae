//! A commit and its events as they are stored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{
    chain::ChainHash,
    id::{CommandId, StreamId},
};

/// A commit as it is stored: all events of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// The stream.
    pub stream: StreamId,
    /// The commit's version in the stream, from 1.
    pub version: u64,
    /// The commit's place in the whole log: ascending, without any other meaning. In DynamoDB it follows the writer's time, so a late
    /// commit of a slow clock may come before others; it can exceed the whole numbers that JavaScript holds exactly.
    pub position: u64,
    /// The command.
    pub command: CommandId,
    /// The mark of the client's request with this `Idempotency-Key`, to notice another body under the same key: an HMAC, or the plain hash
    /// of an earlier version.
    pub request_hash: Option<String>,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The encoded events: a JSON array.
    pub events: String,
    /// Whether the commit is still marked: its consequences may not be done yet.
    pub marked: bool,
    /// The hash of the stream up to and with this commit; none for a commit from before there were chains.
    pub hash: Option<ChainHash>,
}

/// The encoded events of a commit and their place in the log, from any store.
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
    /// The commit's encoded events.
    pub fn encoded(&self) -> Encoded<'_> {
        Encoded { stream: &self.stream, version: self.version, recorded_at: self.recorded_at, events: &self.events }
    }
}

/// Text borrowed from the decoded input, unless escaped there. (A bare `Cow` within an `Option` would not borrow.)
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
