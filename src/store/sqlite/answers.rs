//! What clients' commands were answered: the commits that have a request hash, and the answers of those that have no commit.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, StoreError, corrupt};
use crate::{
    domain::id::{CommandId, StreamId},
    store::{AnswerPlace, KeptAnswer, KeptAnswers, NewAnswer},
};

/// Expired answers that are removed when one is kept: more than come, so that none pile up.
const SWEPT_WITH_ONE: usize = 16;

#[async_trait]
impl KeptAnswers for Database {
    async fn find(
        &self,
        command: &CommandId,
        request_hash: &str,
        now: Timestamp,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        let (command, request_hash) = (command.clone(), request_hash.to_owned());
        self.read(move |connection| {
            let commit = commit_of(connection, &command, &request_hash)?;
            if commit.is_some() { Ok(commit) } else { kept(connection, &command, now) }
        })
        .await
    }

    async fn keep(&self, answer: NewAnswer) -> Result<bool, StoreError> {
        self.write(move |connection| keep(connection, &answer)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM answers WHERE expires_at <= ?1";
            let removed = connection.prepare_cached(sql)?.execute([now.as_microsecond()])?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        })
        .await
    }
}

fn keep(connection: &Connection, answer: &NewAnswer) -> Result<bool, StoreError> {
    let NewAnswer { command, request_hash, answer, instead_of, now, expires_at } = answer;
    let earlier = kept(connection, command, *now)?;
    let gives_way = match (earlier, instead_of) {
        (None, _) => true,
        (Some(KeptAnswer { kept: AnswerPlace::Text(text), .. }), Some(instead_of)) => text == *instead_of,
        (Some(_), _) => false,
    };
    if !gives_way || commit_of(connection, command, request_hash)?.is_some() {
        return Ok(false);
    }
    let sql = "INSERT OR REPLACE INTO answers (command, request_hash, answer, expires_at) VALUES (?1, ?2, ?3, ?4)";
    let values = params![command.as_str(), request_hash, answer, expires_at.as_microsecond()];
    connection.prepare_cached(sql)?.execute(values)?;
    let sql = "DELETE FROM answers WHERE command IN (SELECT command FROM answers WHERE expires_at <= ?1 LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![now.as_microsecond(), SWEPT_WITH_ONE])?;
    Ok(true)
}

/// The answer that was kept of a command, unless it has expired.
pub(super) fn kept(
    connection: &Connection,
    command: &CommandId,
    now: Timestamp,
) -> Result<Option<KeptAnswer>, StoreError> {
    let sql = "SELECT request_hash, answer FROM answers WHERE command = ?1 AND expires_at > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![command.as_str(), now.as_microsecond()], |row| {
        Ok(KeptAnswer { request_hash: row.get(0)?, kept: AnswerPlace::Text(row.get(1)?) })
    });
    Ok(found.optional()?)
}

/// The commit of a client's command in any stream: that of this request before others, then the first.
pub(super) fn commit_of(
    connection: &Connection,
    command: &CommandId,
    request_hash: &str,
) -> Result<Option<KeptAnswer>, StoreError> {
    let sql = "SELECT stream, request_hash FROM commits WHERE command = ?1 AND request_hash IS NOT NULL
               ORDER BY request_hash != ?2, position LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([command.as_str(), request_hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let stream = row.get_ref(0)?.as_str().map_err(|error| corrupt("stream", error))?;
    let stream = StreamId::parse(stream).map_err(|error| corrupt("stream", error))?;
    Ok(Some(KeptAnswer { request_hash: row.get(1)?, kept: AnswerPlace::Commit(stream) }))
}
