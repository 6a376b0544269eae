//! A commit as one line of JSON, for files that hold whole logs: every byte of the events as it is stored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{EXACT_MAX, stored::StoredText};
use crate::domain::{
    chain::ChainHash,
    id::{CommandId, StreamId},
    persisted::StoredCommit,
};

/// A commit's line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitLine<'a> {
    position: WrittenPosition,
    #[serde(borrow)]
    stream: StoredText<'a>,
    version: u64,
    recorded_at: Timestamp,
    #[serde(borrow)]
    command: StoredText<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request_hash: Option<StoredText<'a>>,
    /// Whether what follows from the commit may not be done.
    #[serde(default, skip_serializing_if = "is_false")]
    unpublished: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    hash: Option<StoredText<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    events: Option<&'a RawValue>,
    /// The stored text instead, where it is not one line of JSON: the commit is damaged.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    events_text: Option<StoredText<'a>>,
}

/// Why a line is no commit.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A field is not what it should be.
    #[error("{field} {given:?} cannot be read")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        given: String,
    },
    /// The line has no events.
    #[error("it has no events")]
    NoEvents,
    /// The moment has parts of a microsecond, which no store keeps.
    #[error("recorded_at {0} is finer than a microsecond")]
    Finer(Timestamp),
}

/// A position: as a text where it is too large to be exact in JavaScript and jq.
struct WrittenPosition(u64);

impl Serialize for WrittenPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 > EXACT_MAX { serializer.collect_str(&self.0) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for WrittenPosition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl serde::de::Visitor<'_> for Reader {
            type Value = WrittenPosition;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a position: a whole number, or its digits as a text")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<WrittenPosition, E> {
                Ok(WrittenPosition(number))
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<WrittenPosition, E> {
                digits.parse().map(WrittenPosition).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl<'a> CommitLine<'a> {
    /// The line of a commit.
    pub fn of(commit: &'a StoredCommit) -> Self {
        let events = serde_json::from_str::<&RawValue>(&commit.events).ok();
        let events = events.filter(|raw| raw.get() == commit.events && !commit.events.contains(['\n', '\r']));
        Self {
            position: WrittenPosition(commit.position),
            stream: StoredText(Cow::Owned(commit.stream.to_string())),
            version: commit.version,
            recorded_at: commit.recorded_at,
            command: commit.command.as_str().into(),
            request_hash: commit.request_hash.as_deref().map(Into::into),
            unpublished: commit.marked,
            hash: commit.hash.map(|hash| StoredText(Cow::Owned(hash.to_string()))),
            events,
            events_text: if events.is_none() { Some(commit.events.as_str().into()) } else { None },
        }
    }

    /// The commit of a line.
    ///
    /// # Errors
    /// [`LineError`] where a field is not what it should be.
    pub fn commit(&self) -> Result<StoredCommit, LineError> {
        let wrong = |field, given: &str| LineError::Field { field, given: given.chars().take(80).collect() };
        let stream = StreamId::parse(&self.stream.0).map_err(|_| wrong("stream", &self.stream.0))?;
        let hash = |text: &StoredText<'_>| ChainHash::parse(&text.0).ok_or_else(|| wrong("hash", &text.0));
        let events = match (self.events, &self.events_text) {
            (Some(events), None) => events.get().to_owned(),
            (None, Some(text)) => text.to_owned(),
            _ => return Err(LineError::NoEvents),
        };
        if self.recorded_at.as_nanosecond() % 1000 != 0 {
            return Err(LineError::Finer(self.recorded_at));
        }
        Ok(StoredCommit {
            stream,
            version: self.version,
            position: self.position.0,
            command: CommandId::stored(&self.command.0),
            request_hash: self.request_hash.as_ref().map(StoredText::to_owned),
            recorded_at: self.recorded_at,
            events,
            marked: self.unpublished,
            hash: self.hash.as_ref().map(hash).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_commit_is_one_line_and_reads_back_byte_for_byte(
            name in ".{1,20}",
            (version, position) in (1..u64::MAX, 0..u64::MAX),
            command in ".{0,20}",
            request_hash in proptest::option::of(".{1,10}"),
            us in -1_000_000_000_000_000i64..4_000_000_000_000_000,
            events in prop_oneof![
                Just(r#"[{"id":"1","data":{"a":1.0,"a":"\u00e9é\n"}}]"#.to_owned()),
                Just(" [] ".to_owned()),
                Just("[\n]".to_owned()),
                ".{0,40}",
            ],
            (marked, hash) in (any::<bool>(), proptest::option::of(any::<[u8; 32]>())),
        ) {
            let commit = StoredCommit {
                stream: StreamId::Plan(name),
                version,
                position,
                command: CommandId::stored(&command),
                request_hash,
                recorded_at: Timestamp::from_microsecond(us).unwrap(),
                events,
                marked,
                hash: hash.map(ChainHash::from_bytes),
            };
            let line = serde_json::to_string(&CommitLine::of(&commit)).unwrap();
            prop_assert!(!line.contains(['\n', '\r']));
            let read: CommitLine<'_> = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read.commit().unwrap(), commit);
        }
    }

    #[test]
    fn what_is_no_commit_is_refused_by_its_field() {
        let line = |stream: &str, hash: &str, more: &str| {
            format!(
                r#"{{"position":1,"stream":"{stream}","version":1,"recorded_at":"2026-01-01T00:00:00Z","command":"c","hash":"{hash}"{more}}}"#
            )
        };
        let hash = "00".repeat(32);
        let read = |text: &str| serde_json::from_str::<CommitLine<'_>>(text).unwrap().commit();
        assert!(read(&line("plan#a", &hash, r#","events":[]"#)).is_ok());
        for (text, said) in [
            (line("plans#a", &hash, r#","events":[]"#), "stream \"plans#a\""),
            (line("plan#a", "00", r#","events":[]"#), "hash \"00\""),
            (line("plan#a", &hash, ""), "no events"),
            (line("plan#a", &hash, r#","events":[],"events_text":"[]""#), "no events"),
            (line("plan#a", &hash, r#","events":[]"#).replace("00Z", "00.0000001Z"), "microsecond"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(serde_json::from_str::<CommitLine<'_>>(&line("plan#a", &hash, r#","more":1"#)).is_err());
    }
}
