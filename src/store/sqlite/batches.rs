//! Commits in their stored form, in the order of streams.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{StoreError, corrupt, log, quarantine, trouble::events};
use crate::{
    domain::{id::StreamId, persisted::Encoded, personal::PersonalKey, view::State},
    store::{
        CommitBatch,
        replay::{last_readable, unreadable},
    },
};

const COLUMNS: &str = "stream, version, recorded_at, events";

pub(super) fn read_stream(connection: &Connection, stream: &str, chunk: &mut CommitBatch) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM commits WHERE stream = ?1 ORDER BY version");
    read(connection, &sql, [stream], chunk)
}

/// All commits of a stream.
pub(super) fn whole_stream(connection: &Connection, stream: &StreamId) -> Result<CommitBatch, StoreError> {
    let mut chunk = CommitBatch::default();
    read_stream(connection, &stream.to_string(), &mut chunk)?;
    Ok(chunk)
}

/// The state that follows from all commits of a stream; of one in quarantine, from those up to the first that cannot be read.
pub(super) fn folded(connection: &Connection, stream: &StreamId) -> Result<State, StoreError> {
    let commits = whole_stream(connection, stream)?;
    let (state, _, problem) = last_readable(stream, commits.iter());
    match problem {
        Some(error) if !quarantine::holds(connection, stream)? => Err(unreadable(error)),
        _ => Ok(state),
    }
}

/// A stream with its stored name, and the personal key of its person.
pub(super) struct StreamSource {
    name: String,
    id: StreamId,
    key: Option<PersonalKey>,
}

impl StreamSource {
    pub(super) fn find(connection: &Connection, name: &str) -> Result<Self, StoreError> {
        let id = StreamId::parse(name).map_err(|error| corrupt("stream", error))?;
        let key = match id {
            StreamId::User(user) => log::personal_key(connection, user)?,
            StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => None,
        };
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// Whether this is the stream that is stored under a name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn id(&self) -> &StreamId {
        &self.id
    }

    pub(super) fn key(&self) -> Option<PersonalKey> {
        self.key.clone()
    }
}

fn read(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    chunk: &mut CommitBatch,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut current: Option<StreamSource> = None;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().map_err(|error| corrupt("stream", error))?;
        let source = match current.take().filter(|source| source.name == name) {
            Some(source) => source,
            None => StreamSource::find(connection, name)?,
        };
        let recorded_at = Timestamp::from_microsecond(row.get(2)?).map_err(|error| corrupt("moment", error))?;
        let events = &*events(row.get_ref(3)?);
        chunk.push(Encoded { stream: &source.id, version: row.get(1)?, recorded_at, events }, source.key.clone());
        current = Some(source);
    }
    Ok(())
}

/// The place where reading continues: after this version of this stream.
#[derive(Default, Clone)]
pub(super) struct LogPosition {
    pub(super) stream: String,
    pub(super) version: u64,
}
