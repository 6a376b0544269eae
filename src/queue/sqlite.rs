//! The queue in the log's SQLite file.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{DeadLetter, Delivery, Depth, Message, Policy, Queue, QueueError, REASON_CHARS_MAX, body_put_off};
use crate::{
    clock::SharedClock,
    store::{StoreError, sqlite::Database},
};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// The queue's tables in the database.
pub struct SqliteQueue {
    database: Database,
    clock: SharedClock,
    policy: Policy,
}

impl SqliteQueue {
    /// The queue in this file.
    pub fn new(database: Database, clock: SharedClock, policy: Policy) -> Self {
        Self { database, clock, policy }
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.database.write(work).await
    }
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, messages: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let bodies: Vec<String> = messages
            .iter()
            .map(|message| serde_json::to_string(message).map_err(|error| QueueError::Unreadable(error.to_string())))
            .collect::<Result<_, _>>()?;
        let now_us = self.now_us();
        self.write(move |connection| {
            let sql = "INSERT INTO messages (id, body, sent_at, visible_at, receives) VALUES (?1, ?2, ?3, ?3, 0)";
            let mut statement = connection.prepare_cached(sql)?;
            for body in &bodies {
                statement.execute(params![Uuid::now_v7().to_string(), body, now_us])?;
            }
            Ok(bodies.iter().map(|_| Ok(())).collect())
        })
        .await
    }

    async fn receive(&self, max: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        let (now_us, policy) = (self.now_us(), self.policy);
        // Most polls find nothing: they must not write.
        let waiting = self.database.read(move |connection| any_visible(connection, now_us)).await?;
        if !waiting {
            return Ok(Vec::new());
        }
        self.write(move |connection| {
            bury_the_unanswered(connection, now_us, policy)?;
            let visible_at = now_us + i64::from(policy.visibility_s) * SECOND_US;
            let sql = "SELECT id, body, receives FROM messages WHERE visible_at <= ?1 ORDER BY visible_at, id LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![now_us, max])?;
            let mut deliveries = Vec::new();
            while let Some(row) = rows.next()? {
                let receipt = Uuid::new_v8(Uuid::now_v7().into_bytes()).to_string();
                let receives = row.get::<_, u32>(2)? + 1;
                deliveries.push(Delivery { id: row.get(0)?, receipt, body: row.get(1)?, receives });
            }
            let sql = "UPDATE messages SET visible_at = ?2, receives = ?3, receipt = ?4 WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            for delivery in &deliveries {
                statement.execute(params![delivery.id, visible_at, delivery.receives, delivery.receipt])?;
            }
            Ok(deliveries)
        })
        .await
    }

    fn can_wait(&self) -> bool {
        false
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        let visible_at = self.now_us() + i64::from(self.policy.visibility_s) * SECOND_US;
        let delivery = delivery.clone();
        self.write(move |connection| {
            let sql = "UPDATE messages SET visible_at = ?3 WHERE id = ?1 AND receipt = ?2";
            Ok(connection.prepare_cached(sql)?.execute(params![delivery.id, delivery.receipt, visible_at])? == 1)
        })
        .await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        let delivery = delivery.clone();
        self.write(move |connection| {
            let sql = "DELETE FROM messages WHERE id = ?1 AND receipt = ?2";
            Ok(connection.prepare_cached(sql)?.execute(params![delivery.id, delivery.receipt])? == 1)
        })
        .await
    }

    async fn fail(&self, delivery: &Delivery, reason: &str, delay_s: u32) -> Result<(), QueueError> {
        let now_us = self.now_us();
        let (delivery, policy) = (delivery.clone(), self.policy);
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        self.write(move |connection| {
            if delivery.receives >= policy.receives_max {
                return bury(connection, &delivery.id, Some(&delivery.receipt), &reason, now_us);
            }
            let sql =
                "UPDATE messages SET visible_at = ?3, last_error = ?4, receipt = NULL WHERE id = ?1 AND receipt = ?2";
            let visible_at = now_us + i64::from(delay_s) * SECOND_US;
            connection.prepare_cached(sql)?.execute(params![delivery.id, delivery.receipt, visible_at, reason])?;
            Ok(())
        })
        .await
    }

    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError> {
        let now_us = self.now_us();
        let visible_at = now_us + i64::from(delay_s) * SECOND_US;
        let body = body_put_off(&delivery.body, delivery.put_off().saturating_add(1));
        let delivery = delivery.clone();
        self.write(move |connection| {
            let sql = "UPDATE messages SET body = ?3, sent_at = ?4, visible_at = ?5, receives = 0, receipt = NULL,
                       last_error = NULL WHERE id = ?1 AND receipt = ?2";
            let values = params![delivery.id, delivery.receipt, body, now_us, visible_at];
            Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
        })
        .await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let (delivery, now_us) = (delivery.clone(), self.now_us());
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        self.write(move |connection| bury(connection, &delivery.id, Some(&delivery.receipt), &reason, now_us)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let sql =
            "SELECT id, body, receives, reason, sent_at, died_at FROM dead_letters ORDER BY died_at DESC, id LIMIT ?1";
        let letters = self.database.read(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([limit])?;
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
            Ok(letters)
        });
        Ok(letters.await?)
    }

    async fn redrive(&self, id: &str) -> Result<(), QueueError> {
        let (id, now_us) = (id.to_owned(), self.now_us());
        self.write(move |connection| {
            let mut find = connection.prepare_cached("SELECT body FROM dead_letters WHERE id = ?1")?;
            let body: Option<String> = find.query_row([&id], |row| row.get(0)).optional()?;
            let Some(body) = body else { return Err(QueueError::NoDeadLetter(id)) };
            let sql = "INSERT INTO messages (id, body, sent_at, visible_at, receives) VALUES (?1, ?2, ?3, ?3, 0)";
            connection.prepare_cached(sql)?.execute(params![id, body_put_off(&body, 0), now_us])?;
            connection.execute("DELETE FROM dead_letters WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }

    async fn expire(&self) -> Result<u64, QueueError> {
        let oldest_us = self.now_us() - i64::from(self.policy.retention_days) * DAY_US;
        self.write(move |connection| {
            let messages = connection.execute("DELETE FROM messages WHERE sent_at < ?1", [oldest_us])?;
            let letters = connection.execute("DELETE FROM dead_letters WHERE died_at < ?1", [oldest_us])?;
            Ok(u64::try_from(messages + letters).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now_us = self.now_us();
        let depth = self.database.read(move |connection| {
            let sql = "SELECT (SELECT count(*) FROM messages WHERE visible_at <= ?1),
                              (SELECT count(*) FROM messages WHERE visible_at > ?1), (SELECT count(*) FROM dead_letters)";
            let mut statement = connection.prepare_cached(sql)?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Depth { visible: row.get(0)?, in_flight: row.get(1)?, dead: row.get(2)? })
            };
            Ok(statement.query_row([now_us], read)?)
        });
        Ok(depth.await?)
    }
}

fn any_visible(connection: &Connection, now_us: i64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM messages WHERE visible_at <= ?1 LIMIT 1")?;
    Ok(statement.query_row([now_us], |_| Ok(())).optional()?.is_some())
}

/// A message whose consumer crashed every time never reaches [`Queue::fail`]: the queue itself gives it up.
fn bury_the_unanswered(connection: &Connection, now_us: i64, policy: Policy) -> Result<(), QueueError> {
    let sql = "SELECT id, last_error FROM messages WHERE visible_at <= ?1 AND receives >= ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let ended: Vec<(String, Option<String>)> = statement
        .query_map(params![now_us, policy.receives_max], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, last_error) in ended {
        let seen = last_error.map_or_else(String::new, |error| format!("; the last error seen was: {error}"));
        let reason = format!("received {} times and never answered{seen}", policy.receives_max);
        bury(connection, &id, None, &reason, now_us)?;
    }
    Ok(())
}

/// Makes a message a dead letter, if it is still ours.
fn bury(connection: &Connection, id: &str, receipt: Option<&str>, reason: &str, now_us: i64) -> Result<(), QueueError> {
    let sql = "INSERT INTO dead_letters (id, body, sent_at, died_at, receives, reason)
               SELECT id, body, sent_at, ?3, receives, ?4 FROM messages WHERE id = ?1 AND (?2 IS NULL OR receipt = ?2)";
    if connection.prepare_cached(sql)?.execute(params![id, receipt, now_us, reason])? == 1 {
        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}
