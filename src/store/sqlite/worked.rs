//! The worked time of the log: it does not depend on settings of a clock, for deadlines that outlive a process.
//!
//! Worked time is counted in microseconds by the monotonic clocks of the processes, one after the other; each process begins with
//! the stored time. Only the wall clock can tell the time in which no process ran.

use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{clock::SharedClock, store::StoreError};

/// The most idle time that a start counts where nothing may end too early: a clock may be wrong when a machine starts.
const IDLE_US_MAX: i64 = 86_400_000_000;

/// The worked time of the log, as one process knows it.
#[derive(Debug)]
pub struct Worked {
    clock: SharedClock,
    /// The process's start by its monotonic clock.
    started_us: i64,
    /// The worked time at that start, as stored in the file at the first request.
    base: OnceLock<Tick>,
}

/// A moment in worked time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Microseconds, counting at most a day between two starts: for deadlines that must not end too early.
    pub sure_us: i64,
    /// Microseconds, counting all time between starts by the wall clock: for deadlines that must not last too long.
    pub whole_us: i64,
}

impl Worked {
    /// Worked time to which this process adds by this clock.
    pub(super) fn by(clock: SharedClock) -> Self {
        Self { started_us: clock.monotonic_us(), clock, base: OnceLock::new() }
    }

    /// The present moment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tick(&self, connection: &Connection) -> Result<Tick, StoreError> {
        let since_us = self.clock.monotonic_us().saturating_sub(self.started_us).max(0);
        let Tick { sure_us, whole_us } = match self.base.get() {
            Some(base) => *base,
            None => {
                let remembered = self.remembered(connection, since_us)?;
                *self.base.get_or_init(|| remembered)
            }
        };
        Ok(Tick { sure_us: sure_us.saturating_add(since_us), whole_us: whole_us.saturating_add(since_us) })
    }

    /// The stored time plus the wall-clock time from its storing to the start of this process, `since_us` ago.
    fn remembered(&self, connection: &Connection, since_us: i64) -> Result<Tick, StoreError> {
        let sql = "SELECT tick_us, wall_us, coalesce(cut_us, 0) FROM worked";
        let kept: Option<(i64, i64, i64)> = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((tick_us, wall_us, cut_us)) = kept else { return Ok(Tick { sure_us: 0, whole_us: 0 }) };
        let began_us = self.clock.now().as_microsecond().saturating_sub(since_us);
        let idle_us = began_us.saturating_sub(wall_us).max(0);
        let sure_us = tick_us.saturating_add(idle_us.min(IDLE_US_MAX));
        Ok(Tick { sure_us, whole_us: tick_us.saturating_add(cut_us).saturating_add(idle_us) })
    }

    /// Stores the present moment; call it within a write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember(&self, connection: &Connection) -> Result<(), StoreError> {
        let Tick { sure_us, whole_us } = self.tick(connection)?;
        let sql = "INSERT INTO worked (one, tick_us, wall_us, cut_us) VALUES (1, ?1, ?2, ?3)
                   ON CONFLICT (one) DO UPDATE SET tick_us = max(tick_us, excluded.tick_us), wall_us = excluded.wall_us,
                   cut_us = max(coalesce(cut_us, 0), excluded.cut_us)";
        let now_us = self.clock.now().as_microsecond();
        connection.prepare_cached(sql)?.execute(params![sure_us, now_us, whole_us - sure_us])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::{SignedDuration, Timestamp};

    use crate::{
        clock::{Clock as _, ManualClock},
        domain::id::CommandId,
        store::{AnswerPlace, KeptAnswers as _, NewAnswer, sqlite::Database},
    };

    const DAY_US: i64 = 86_400_000_000;

    async fn keep(database: &Database, now: Timestamp) {
        let expires_at = now.checked_add(SignedDuration::from_hours(30 * 24)).unwrap();
        let (command, request_hash, answer) = (CommandId::stored("idem:1"), "hash".to_owned(), "first".to_owned());
        let answer = NewAnswer { command, request_hash, answer, instead_of: None, now, expires_at };
        assert!(database.keep(answer).await.unwrap());
    }

    async fn is_kept(database: &Database, now: Timestamp) -> bool {
        let found = database.find(&CommandId::stored("idem:1"), "hash", now).await.unwrap();
        assert!(found.iter().all(|found| found.kept == AnswerPlace::Text("first".to_owned())));
        found.is_some()
    }

    #[tokio::test]
    async fn answers_are_kept_for_as_long_as_was_said_whatever_the_clock_is_set_to() {
        let folder = tempfile::tempdir().unwrap();
        for shift_days in [-400, 400] {
            let database = Database::open(folder.path()).unwrap();
            let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
            database.keep_time_by(clock.clone());
            keep(&database, clock.now()).await;
            clock.shift_wall_us(shift_days * DAY_US);
            assert!(is_kept(&database, clock.now()).await, "{shift_days}");
            assert_eq!(database.sweep(clock.now()).await.unwrap(), 0, "{shift_days}");
            clock.advance_us(30 * DAY_US - 1);
            assert!(is_kept(&database, clock.now()).await, "{shift_days}");
            clock.advance_us(1);
            assert!(!is_kept(&database, clock.now()).await, "{shift_days}");
            assert_eq!(database.sweep(clock.now()).await.unwrap(), 1, "{shift_days}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_an_earlier_version_kept_ends_when_it_was_to() {
        let folder = tempfile::tempdir().unwrap();
        let (database, clock) = (Database::open(folder.path()).unwrap(), ManualClock::at(Timestamp::UNIX_EPOCH));
        // No process keeps time yet.
        keep(&database, clock.now()).await;
        database.keep_time_by(clock.clone());
        assert!(is_kept(&database, clock.now()).await);
        assert_eq!(database.sweep(clock.now()).await.unwrap(), 0);
        clock.shift_wall_us(400 * DAY_US);
        assert!(is_kept(&database, clock.now()).await, "since the first sweep it is kept by time that was worked");
        clock.advance_us(30 * DAY_US);
        assert_eq!(database.sweep(clock.now()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn time_is_remembered_from_one_process_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let tick = async |clock: &Arc<ManualClock>| {
            let database = Database::open(folder.path()).unwrap();
            let worked = database.keep_time_by(clock.clone());
            let work = move |connection: &rusqlite::Connection| {
                let tick = worked.tick(connection)?;
                worked.remember(connection)?;
                Ok::<_, crate::store::StoreError>(tick)
            };
            let tick = database.write(work).await.unwrap();
            (tick.sure_us / DAY_US, tick.whole_us / DAY_US)
        };
        let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
        assert_eq!(tick(&clock).await, (0, 0));
        clock.advance_us(DAY_US);
        assert_eq!(tick(&clock).await, (1, 1));
        clock.shift_wall_us(-100 * DAY_US);
        assert_eq!(tick(&clock).await, (1, 1), "time does not go back");
        clock.shift_wall_us(10 * DAY_US);
        assert_eq!(tick(&clock).await, (2, 11), "whether nobody worked for so long is not sure");
        clock.advance_us(DAY_US);
        assert_eq!(tick(&clock).await, (3, 12));
    }
}
