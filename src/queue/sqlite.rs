//! The queue in the log's SQLite file.
//!
//! Clocks can be set, so no deadline here depends on the wall clock alone:
//! - A hidden message is received when its time has come, and also when the clock is before the moment at which it was hidden: a
//!   clock that was set back says nothing of the time left.
//! - A message's age is counted in ticks: microseconds in which a process worked on this log, by monotonic clocks. Setting a clock
//!   forward makes no message older. Time without a working process counts by the wall clock, a day at most for each start
//!   ([`Worked`]).

mod letters;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    DeadLetter, Delivery, Depth, Message, Policy, Queue, QueueError, REASON_CHARS_MAX, body_put_off,
    letters::{FoundLetters, LetterAct, LetterFilter},
};
use crate::{
    clock::SharedClock,
    store::{
        StoreError,
        sqlite::{Database, Worked},
    },
};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// How far a clock may be corrected backwards without making hidden messages visible.
const SLACK_US: i64 = SECOND_US;
/// Dead letters that are redriven or discarded in one transaction.
const LETTERS_TOGETHER: usize = 500;

/// The queue's tables in the database.
pub struct SqliteQueue {
    database: Database,
    clock: SharedClock,
    policy: Policy,
    worked: Arc<Worked>,
}

impl SqliteQueue {
    /// The queue in this database, which from now on keeps time by this clock.
    pub fn new(database: Database, clock: SharedClock, policy: Policy) -> Self {
        let worked = database.keep_time_by(Arc::clone(&clock));
        Self { database, clock, policy, worked }
    }

    /// Runs a write transaction with the present tick.
    async fn write_at_tick<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, i64) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let worked = Arc::clone(&self.worked);
        self.write(move |connection| work(connection, worked.tick(connection)?.sure_us)).await
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
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Store(error),
        }
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
        self.write_at_tick(move |connection, tick_us| {
            let sql = "INSERT INTO messages (id, body, sent_at, visible_at, hidden_since, sent_tick, receives)
                       VALUES (?1, ?2, ?3, ?3, ?3, ?4, 0)";
            let mut statement = connection.prepare_cached(sql)?;
            for body in &bodies {
                statement.execute(params![Uuid::now_v7().to_string(), body, now_us, tick_us])?;
            }
            Ok(bodies.iter().map(|_| Ok(())).collect())
        })
        .await
    }

    async fn receive(&self, max: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        let (now_us, policy) = (self.now_us(), self.policy);
        let worked = Arc::clone(&self.worked);
        // Most polls find nothing: they must not start a write.
        let waiting = self.database.read(move |connection| any_visible(connection, now_us)).await?;
        if !waiting {
            return Ok(Vec::new());
        }
        self.write(move |connection| {
            let tick_us = worked.tick(connection)?.sure_us;
            bury_the_unanswered(connection, now_us, tick_us, policy)?;
            let visible_at = now_us + i64::from(policy.visibility_s) * SECOND_US;
            let sql =
                format!("SELECT id, body, receives FROM messages WHERE {VISIBLE} ORDER BY visible_at, id LIMIT ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![now_us, now_us + SLACK_US, max])?;
            let mut deliveries = Vec::new();
            while let Some(row) = rows.next()? {
                let receipt = Uuid::new_v8(Uuid::now_v7().into_bytes()).to_string();
                let receives = row.get::<_, u32>(2)? + 1;
                deliveries.push(Delivery { id: row.get(0)?, receipt, body: row.get(1)?, receives });
            }
            let sql =
                "UPDATE messages SET visible_at = ?2, hidden_since = ?5, receives = ?3, receipt = ?4 WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            for delivery in &deliveries {
                statement.execute(params![delivery.id, visible_at, delivery.receives, delivery.receipt, now_us])?;
            }
            Ok(deliveries)
        })
        .await
    }

    fn can_wait(&self) -> bool {
        false
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        let now_us = self.now_us();
        let visible_at = now_us + i64::from(self.policy.visibility_s) * SECOND_US;
        let delivery = delivery.clone();
        self.write(move |connection| {
            let sql = "UPDATE messages SET visible_at = ?3, hidden_since = ?4 WHERE id = ?1 AND receipt = ?2";
            let values = params![delivery.id, delivery.receipt, visible_at, now_us];
            Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
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
        self.write_at_tick(move |connection, tick_us| {
            if delivery.receives >= policy.receives_max {
                let died = ClockMoment { now_us, tick_us };
                return bury(connection, &delivery.id, Some(&delivery.receipt), &reason, died);
            }
            let sql = "UPDATE messages SET visible_at = ?3, hidden_since = ?5, last_error = ?4, receipt = NULL
                       WHERE id = ?1 AND receipt = ?2";
            let visible_at = now_us + i64::from(delay_s) * SECOND_US;
            let values = params![delivery.id, delivery.receipt, visible_at, reason, now_us];
            connection.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    async fn release(&self, delivery: &Delivery, delay_s: u32) -> Result<(), QueueError> {
        let (now_us, delivery) = (self.now_us(), delivery.clone());
        self.write(move |connection| {
            let sql = "UPDATE messages SET visible_at = ?3, hidden_since = ?4, receipt = NULL,
                       receives = max(receives - 1, 0) WHERE id = ?1 AND receipt = ?2";
            let visible_at = now_us + i64::from(delay_s) * SECOND_US;
            let values = params![delivery.id, delivery.receipt, visible_at, now_us];
            connection.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError> {
        let now_us = self.now_us();
        let visible_at = now_us + i64::from(delay_s) * SECOND_US;
        let body = body_put_off(&delivery.body, delivery.put_off().saturating_add(1));
        let delivery = delivery.clone();
        self.write_at_tick(move |connection, tick_us| {
            let sql = "UPDATE messages SET body = ?3, sent_at = ?4, visible_at = ?5, hidden_since = ?4, sent_tick = ?6,
                       receives = 0, receipt = NULL, last_error = NULL WHERE id = ?1 AND receipt = ?2";
            let values = params![delivery.id, delivery.receipt, body, now_us, visible_at, tick_us];
            Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
        })
        .await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let (delivery, now_us) = (delivery.clone(), self.now_us());
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        self.write_at_tick(move |connection, tick_us| {
            bury(connection, &delivery.id, Some(&delivery.receipt), &reason, ClockMoment { now_us, tick_us })
        })
        .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(letters::find(&self.database, &LetterFilter::default(), limit).await?.letters)
    }

    async fn redrive(&self, id: &str) -> Result<(), QueueError> {
        let settled = self.settle_dead(LetterAct::Redrive, &[id.to_owned()]).await?;
        settled.first().map(drop).ok_or_else(|| QueueError::NoDeadLetter(id.to_owned()))
    }

    async fn discard(&self, id: &str) -> Result<(), QueueError> {
        let settled = self.settle_dead(LetterAct::Discard, &[id.to_owned()]).await?;
        settled.first().map(drop).ok_or_else(|| QueueError::NoDeadLetter(id.to_owned()))
    }

    async fn find_dead(&self, wanted: &LetterFilter, limit: usize) -> Result<FoundLetters, QueueError> {
        letters::find(&self.database, wanted, limit).await
    }

    async fn settle_dead(&self, act: LetterAct, ids: &[String]) -> Result<Vec<String>, QueueError> {
        let mut settled = Vec::new();
        for some in ids.chunks(LETTERS_TOGETHER) {
            let (some, now_us) = (some.to_vec(), self.now_us());
            let work = move |connection: &Connection, tick_us| letters::settle(connection, act, some, now_us, tick_us);
            settled.extend(self.write_at_tick(work).await?);
        }
        Ok(settled)
    }

    async fn expire(&self) -> Result<u64, QueueError> {
        let (worked, kept_us) = (Arc::clone(&self.worked), i64::from(self.policy.retention_days) * DAY_US);
        self.write_at_tick(move |connection, tick_us| {
            worked.remember(connection)?;
            // A message without a tick comes from an older permitd: its age counts from now.
            connection.execute("UPDATE messages SET sent_tick = ?1 WHERE sent_tick IS NULL", [tick_us])?;
            connection.execute("UPDATE dead_letters SET died_tick = ?1 WHERE died_tick IS NULL", [tick_us])?;
            let oldest = tick_us.saturating_sub(kept_us);
            let messages = connection.execute("DELETE FROM messages WHERE sent_tick < ?1", [oldest])?;
            let letters = connection.execute("DELETE FROM dead_letters WHERE died_tick < ?1", [oldest])?;
            Ok(u64::try_from(messages + letters).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now_us = self.now_us();
        let depth = self.database.read(move |connection| {
            let sql = format!(
                "SELECT count(*) FILTER (WHERE {VISIBLE}), count(*) FILTER (WHERE NOT coalesce({VISIBLE}, FALSE)),
                        (SELECT count(*) FROM dead_letters) FROM messages"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let read =
                |row: &rusqlite::Row<'_>| Ok(Depth { visible: row.get(0)?, in_flight: row.get(1)?, dead: row.get(2)? });
            Ok(statement.query_row([now_us, now_us + SLACK_US], read)?)
        });
        Ok(depth.await?)
    }

    async fn held(&self) -> Result<Option<Vec<String>>, QueueError> {
        let bodies = self.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT body FROM messages UNION ALL SELECT body FROM dead_letters")?;
            let bodies = statement.query_map([], |row| row.get(0))?;
            Ok::<Vec<String>, StoreError>(bodies.collect::<Result<_, _>>()?)
        });
        Ok(Some(bodies.await?))
    }
}

/// A message can be received when its time has come (`?1` is now), or when it was hidden after now (`?2` is now and the slack).
const VISIBLE: &str = "(visible_at <= ?1 OR hidden_since > ?2)";

/// A moment by the wall clock and in ticks.
#[derive(Clone, Copy)]
struct ClockMoment {
    now_us: i64,
    tick_us: i64,
}

fn any_visible(connection: &Connection, now_us: i64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT 1 FROM messages WHERE {VISIBLE} LIMIT 1"))?;
    Ok(statement.query_row([now_us, now_us + SLACK_US], |_| Ok(())).optional()?.is_some())
}

/// Buries messages that were received too often: a consumer that crashes every time never calls [`Queue::fail`].
fn bury_the_unanswered(connection: &Connection, now_us: i64, tick_us: i64, policy: Policy) -> Result<(), QueueError> {
    let sql = format!("SELECT id, last_error FROM messages WHERE {VISIBLE} AND receives >= ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let ended: Vec<(String, Option<String>)> = statement
        .query_map(params![now_us, now_us + SLACK_US, policy.receives_max], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, last_error) in ended {
        let seen = last_error.map_or_else(String::new, |error| format!("; the last error seen was: {error}"));
        let reason = format!("received {} times and never answered{seen}", policy.receives_max);
        bury(connection, &id, None, &reason, ClockMoment { now_us, tick_us })?;
    }
    Ok(())
}

/// Makes a message a dead letter, if the message is still ours.
fn bury(
    connection: &Connection,
    id: &str,
    receipt: Option<&str>,
    reason: &str,
    died: ClockMoment,
) -> Result<(), QueueError> {
    let sql = "INSERT INTO dead_letters (id, body, sent_at, died_at, died_tick, receives, reason)
               SELECT id, body, sent_at, ?3, ?5, receives, ?4 FROM messages WHERE id = ?1 AND (?2 IS NULL OR receipt = ?2)";
    if connection.prepare_cached(sql)?.execute(params![id, receipt, died.now_us, reason, died.tick_us])? == 1 {
        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::{Clock as _, ManualClock},
        queue::EventMessage,
    };

    const HOUR_US: i64 = 3_600 * SECOND_US;

    struct World {
        folder: tempfile::TempDir,
        database: Database,
        clock: Arc<ManualClock>,
        queue: SqliteQueue,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(folder.path()).unwrap();
            let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
            let queue = SqliteQueue::new(database.clone(), clock.clone(), Policy::default());
            Self { folder, database, clock, queue }
        }

        /// The same after a restart, with the wall clock shifted.
        fn restarted(self, shift_us: i64) -> Self {
            let at = Timestamp::from_microsecond(self.clock.now().as_microsecond() + shift_us).unwrap();
            let clock = ManualClock::at(at);
            let queue = SqliteQueue::new(self.database.clone(), clock.clone(), Policy::default());
            Self { clock, queue, ..self }
        }

        async fn send(&self) {
            let message = Message::V1(EventMessage {
                event: Uuid::from_u128(1),
                type_name: "UserInvited".to_owned(),
                stream: "user#0".to_owned(),
                version: 1,
                correlation_id: String::new(),
            });
            assert!(self.queue.send(&[message]).await.unwrap().iter().all(Result::is_ok));
        }

        async fn receive(&self) -> Option<Delivery> {
            self.queue.receive(1, Duration::ZERO).await.unwrap().pop()
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_hides_nothing() {
        let world = World::new();
        world.send().await;
        world.clock.shift_wall_us(-24 * HOUR_US);
        let first = world.receive().await.expect("what was sent before the clock was set back");
        assert!(world.receive().await.is_none(), "and is hidden by the clock of now");
        world.queue.fail(&first, "no", 300).await.unwrap();
        world.clock.shift_wall_us(-24 * HOUR_US);
        let second = world.receive().await.expect("what was let go of");
        world.clock.shift_wall_us(-24 * HOUR_US);
        assert!(world.queue.extend(&second).await.unwrap(), "a heartbeat hides it by the clock of now");
        assert!(world.receive().await.is_none());
        world.clock.advance_us(31 * SECOND_US);
        assert_eq!(world.receive().await.expect("its visibility has ended").receives, 3);
        assert_eq!(world.queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 1, dead: 0 });
        world.clock.shift_wall_us(-24 * HOUR_US);
        assert_eq!(world.queue.depth().await.unwrap(), Depth { visible: 1, in_flight: 0, dead: 0 });
    }

    #[tokio::test]
    async fn a_small_correction_gives_a_message_to_nobody_else() {
        let world = World::new();
        world.send().await;
        world.receive().await.unwrap();
        world.clock.shift_wall_us(-SLACK_US / 2);
        assert!(world.receive().await.is_none());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_forward_ends_nothing() {
        let world = World::new();
        world.send().await;
        for _ in 0..5 {
            let delivery = world.receive().await.unwrap();
            world.queue.fail(&delivery, "no", 0).await.unwrap();
        }
        world.send().await;
        world.clock.shift_wall_us(365 * 24 * HOUR_US);
        assert_eq!(world.queue.expire().await.unwrap(), 0, "nobody has waited for a year");
        let world = world.restarted(365 * 24 * HOUR_US);
        assert_eq!(world.queue.expire().await.unwrap(), 0, "nor for another one");
        world.clock.advance_us(12 * 24 * HOUR_US);
        assert_eq!(world.queue.expire().await.unwrap(), 0);
        // The time between the starts counted as one day.
        world.clock.advance_us(24 * HOUR_US + SECOND_US);
        assert_eq!(world.queue.expire().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn time_that_passed_is_remembered_by_the_next_start() {
        let mut world = World::new();
        world.send().await;
        for _ in 0..15 {
            assert_eq!(world.queue.depth().await.unwrap().visible, 1);
            world.clock.advance_us(24 * HOUR_US);
            world.queue.expire().await.unwrap();
            // The machine loses its clock at every start.
            world = world.restarted(-300 * 24 * HOUR_US);
        }
        assert_eq!(world.queue.depth().await.unwrap().visible, 0);
        assert!(world.folder.path().exists());
    }

    #[tokio::test]
    async fn what_is_given_back_is_no_nearer_to_the_dead_letters() {
        let world = World::new();
        world.send().await;
        for _ in 0..20 {
            let delivery = world.receive().await.expect("it never dies of that");
            assert_eq!(delivery.receives, 1);
            world.queue.release(&delivery, 1).await.unwrap();
            assert!(world.receive().await.is_none());
            world.clock.advance_us(SECOND_US);
        }
    }

    #[tokio::test]
    async fn what_an_older_permitd_left_hidden_is_received() {
        let world = World::new();
        world.send().await;
        world.receive().await.unwrap();
        let forget = "UPDATE messages SET hidden_since = NULL, sent_tick = NULL";
        world.queue.write(move |connection| Ok(connection.execute(forget, [])?)).await.unwrap();
        let again = Database::open(world.folder.path()).unwrap();
        let queue = SqliteQueue::new(again, world.clock.clone(), Policy::default());
        world.clock.shift_wall_us(-24 * HOUR_US);
        assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap().len(), 1);
    }
}
