//! Dead letters in bulk.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    queue::{
        DeadLetter, QueueError, body_put_off,
        letters::{FoundLetters, LetterAct, LetterFilter, UNREADABLE_TYPE},
    },
    store::{StoreError, sqlite::Database},
};

/// The letters that a filter takes: `?1` a part of the reason, `?2` the type, `?3` the last moment, `?4` the ids as a JSON array.
const TAKEN: &str = "(?1 IS NULL OR instr(reason, ?1) > 0)
    AND (?2 IS NULL OR coalesce(CASE WHEN json_valid(body) THEN json_extract(body, '$.type') END, ?5) = ?2)
    AND (?3 IS NULL OR died_at <= ?3)
    AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4)))";

/// The newest letters that the filter takes, and how many there are.
pub(super) async fn find(database: &Database, wanted: &LetterFilter, limit: usize) -> Result<FoundLetters, QueueError> {
    let LetterFilter { reason, type_name, ids, died_until } = wanted.clone();
    let found = database.read(move |connection| {
        let until_us = died_until.map(Timestamp::as_microsecond);
        let ids = ids.map(|ids| serde_json::json!(ids).to_string());
        let sql = format!(
            "SELECT id, body, receives, reason, sent_at, died_at FROM dead_letters WHERE {TAKEN} ORDER BY died_at DESC, id LIMIT ?6"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![reason, type_name, until_us, ids, UNREADABLE_TYPE, limit])?;
        let moment = |us| Timestamp::from_microsecond(us).map_err(|error| StoreError::Corrupt(error.to_string()));
        let mut letters = Vec::new();
        while let Some(row) = rows.next()? {
            letters.push(DeadLetter {
                id: row.get(0)?,
                body: row.get(1)?,
                receives: row.get(2)?,
                reason: row.get(3)?,
                sent_at: moment(row.get(4)?)?,
                died_at: moment(row.get(5)?)?,
            });
        }
        let matching = if letters.len() < limit {
            u64::try_from(letters.len()).unwrap_or(u64::MAX)
        } else {
            let sql = format!("SELECT count(*) FROM dead_letters WHERE {TAKEN}");
            let values = params![reason, type_name, until_us, ids, UNREADABLE_TYPE];
            connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?
        };
        Ok(FoundLetters { letters, matching, is_whole: true })
    });
    Ok(found.await?)
}

/// Redrives or discards letters; returns those that were there.
pub(super) fn settle(
    connection: &Connection,
    act: LetterAct,
    ids: Vec<String>,
    now_us: i64,
    tick_us: i64,
) -> Result<Vec<String>, QueueError> {
    let mut settled = Vec::new();
    for id in ids {
        let mut remove = connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?1 RETURNING body")?;
        let body: Option<String> = remove.query_row([&id], |row| row.get(0)).optional()?;
        let Some(body) = body else { continue };
        if act == LetterAct::Redrive {
            let sql = "INSERT INTO messages (id, body, sent_at, visible_at, hidden_since, sent_tick, receives)
                       VALUES (?1, ?2, ?3, ?3, ?3, ?4, 0)";
            connection.prepare_cached(sql)?.execute(params![id, body_put_off(&body, 0), now_us, tick_us])?;
        }
        settled.push(id);
    }
    Ok(settled)
}
