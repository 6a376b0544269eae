//! For how long a log has been worked on: what messages grow old by.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, OptionalExtension, params};

use super::DAY_US;
use crate::{clock::Clock, store::StoreError};

/// No tick is known yet.
const UNKNOWN: i64 = -1;
/// How much time in which nobody worked on the log counts at a start at most: a clock may be wrong when a machine starts.
const IDLE_US_MAX: i64 = DAY_US;

/// How long the log has been worked on, as this process knows it.
pub(super) struct Ticks {
    /// What the file said when it was first asked, and the monotonic clock then.
    base_us: AtomicI64,
    started_us: i64,
}

impl Ticks {
    /// What no file was asked yet.
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { base_us: AtomicI64::new(UNKNOWN), started_us: clock.monotonic_us() }
    }

    /// The tick of now; within a write.
    pub(super) fn now(&self, connection: &Connection, now_us: i64, monotonic_us: i64) -> Result<i64, StoreError> {
        let mut base_us = self.base_us.load(Ordering::SeqCst);
        if base_us == UNKNOWN {
            let sql = "SELECT tick_us, wall_us FROM worked";
            let kept: Option<(i64, i64)> =
                connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            base_us = kept.map_or(0, |(tick_us, wall_us)| {
                tick_us.saturating_add(now_us.saturating_sub(wall_us).clamp(0, IDLE_US_MAX))
            });
            self.base_us.store(base_us, Ordering::SeqCst);
        }
        Ok(base_us.saturating_add(monotonic_us - self.started_us))
    }

    /// Has the file remember it.
    pub(super) fn keep(connection: &Connection, tick_us: i64, now_us: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO worked (one, tick_us, wall_us) VALUES (1, ?1, ?2)
                   ON CONFLICT (one) DO UPDATE SET tick_us = max(tick_us, excluded.tick_us), wall_us = excluded.wall_us";
        connection.prepare_cached(sql)?.execute(params![tick_us, now_us])?;
        Ok(())
    }
}
