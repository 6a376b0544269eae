//! The answers to clients' commands: commits with a request hash, and the kept answers of commands without a commit.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, StoreError, Worked, corrupt};
use crate::{
    domain::id::{CommandId, StreamId},
    store::{AnswerPlace, KeptAnswer, KeptAnswers, NewAnswer},
};

/// Expired answers that are removed whenever one is kept: more than one, so that none pile up.
const SWEPT_WITH_ONE: usize = 16;

#[async_trait]
impl KeptAnswers for Database {
    async fn find(
        &self,
        command: &CommandId,
        request_hash: &str,
        now: Timestamp,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        let (command, request_hash, worked) = (command.clone(), request_hash.to_owned(), self.worked());
        self.read(move |connection| {
            let commit = commit_of(connection, &command, &request_hash)?;
            if commit.is_some() { Ok(commit) } else { kept(connection, worked.as_deref(), &command, now) }
        })
        .await
    }

    async fn keep(&self, answer: NewAnswer) -> Result<bool, StoreError> {
        let worked = self.worked();
        self.write(move |connection| keep(connection, worked.as_deref(), &answer)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let worked = self.worked();
        self.write(move |connection| {
            let (now_us, tick_us) = (now.as_microsecond(), tick_us(connection, worked.as_deref())?);
            // Answers that an earlier version kept.
            let sql = "UPDATE answers SET ends_tick = ?1 + max(expires_at - ?2, 0) WHERE ends_tick IS NULL AND ?1 IS NOT NULL";
            connection.prepare_cached(sql)?.execute(params![tick_us, now_us])?;
            let (column, at) = tick_us.map_or(("expires_at", now_us), |tick_us| ("ends_tick", tick_us));
            let sql = format!("DELETE FROM answers WHERE {column} <= ?1");
            let removed = connection.prepare_cached(&sql)?.execute([at])?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        })
        .await
    }
}

/// The moment for the expiry of answers: in worked time, if that is kept. A repeated command must not be carried out again because
/// a clock was set forward.
fn tick_us(connection: &Connection, worked: Option<&Worked>) -> Result<Option<i64>, StoreError> {
    worked.map(|worked| Ok(worked.tick(connection)?.sure_us)).transpose()
}

fn keep(connection: &Connection, worked: Option<&Worked>, answer: &NewAnswer) -> Result<bool, StoreError> {
    let NewAnswer { command, request_hash, answer, instead_of, now, expires_at } = answer;
    let earlier = kept(connection, worked, command, *now)?;
    let gives_way = match (earlier, instead_of) {
        (None, _) => true,
        (Some(KeptAnswer { kept: AnswerPlace::Text(text), .. }), Some(instead_of)) => text == *instead_of,
        (Some(_), _) => false,
    };
    if !gives_way || commit_of(connection, command, request_hash)?.is_some() {
        return Ok(false);
    }
    let (now_us, expires_us) = (now.as_microsecond(), expires_at.as_microsecond());
    let tick_us = tick_us(connection, worked)?;
    let ends_tick = tick_us.map(|tick_us| tick_us.saturating_add(expires_us.saturating_sub(now_us)));
    let sql = "INSERT OR REPLACE INTO answers (command, request_hash, answer, expires_at, ends_tick) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![command.as_str(), request_hash, answer, expires_us, ends_tick];
    connection.prepare_cached(sql)?.execute(values)?;
    let (column, at) = tick_us.map_or(("expires_at", now_us), |tick_us| ("ends_tick", tick_us));
    let sql =
        format!("DELETE FROM answers WHERE command IN (SELECT command FROM answers WHERE {column} <= ?1 LIMIT ?2)");
    connection.prepare_cached(&sql)?.execute(params![at, SWEPT_WITH_ONE])?;
    Ok(true)
}

/// The kept answer of a command, unless it has expired.
pub(super) fn kept(
    connection: &Connection,
    worked: Option<&Worked>,
    command: &CommandId,
    now: Timestamp,
) -> Result<Option<KeptAnswer>, StoreError> {
    let sql =
        "SELECT request_hash, answer FROM answers WHERE command = ?1 AND coalesce(ends_tick > ?2, expires_at > ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    let tick_us = tick_us(connection, worked)?;
    let found = statement.query_row(params![command.as_str(), tick_us, now.as_microsecond()], |row| {
        Ok(KeptAnswer { request_hash: row.get(0)?, kept: AnswerPlace::Text(row.get(1)?) })
    });
    Ok(found.optional()?)
}

/// The commit of a client's command in any stream: preferably that of this request, else the first.
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
