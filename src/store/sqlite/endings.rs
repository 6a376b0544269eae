//! The ends of rotated keys in worked time (see [`super::worked`]): setting the wall clock does not change the length of a key's
//! grace.
//!
//! The commit that rotates a key notes its end. For keys that an earlier version rotated, the first request does.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, worked::Worked};
use crate::domain::{key::KeyId, view::KeyRow};

/// A rotated key.
pub(super) struct Rotated {
    pub(super) key: KeyId,
    /// The time at which it stops working, by the event.
    pub(super) valid_until: Timestamp,
    /// The time of the rotation, if known.
    pub(super) since: Option<Timestamp>,
}

/// Notes the ends of the keys that a commit rotates.
pub(super) fn note(
    connection: &Connection,
    worked: &Worked,
    keys: &[KeyRow],
    version: u64,
    recorded_at: Timestamp,
) -> Result<(), StoreError> {
    for row in keys.iter().filter(|row| row.version == version) {
        let Some(valid_until) = row.valid_until else { continue };
        let rotated = Rotated { key: row.id, valid_until, since: Some(recorded_at) };
        begin(connection, worked, &rotated, recorded_at.as_microsecond())?;
        // The next process must not start from an earlier moment.
        worked.remember(connection)?;
    }
    Ok(())
}

/// Microseconds for which a key still works; none or less once it does not.
pub(super) fn left_us(
    connection: &Connection,
    worked: &Worked,
    rotated: &Rotated,
    now_us: i64,
) -> Result<i64, StoreError> {
    let tick_us = worked.tick(connection)?.whole_us;
    let sql = "SELECT ends_tick FROM key_endings WHERE key = ?1";
    let kept = connection.prepare_cached(sql)?.query_row([rotated.key.as_str()], |row| row.get(0)).optional()?;
    let ends_tick: i64 = match kept {
        Some(ends_tick) => ends_tick,
        None => begin(connection, worked, rotated, now_us)?,
    };
    if ends_tick > tick_us {
        // The next process continues from this moment, whatever its clock says then.
        worked.remember(connection)?;
    }
    Ok(ends_tick.saturating_sub(tick_us))
}

/// Notes the end of a key, whose time is reckoned from the wall clock `now_us`, and is its grace at most.
fn begin(connection: &Connection, worked: &Worked, rotated: &Rotated, now_us: i64) -> Result<i64, StoreError> {
    let until_us = rotated.valid_until.as_microsecond();
    let grace_us = rotated.since.map_or(i64::MAX, |since| until_us.saturating_sub(since.as_microsecond()));
    let left_us = until_us.saturating_sub(now_us).min(grace_us).max(0);
    let ends_tick = worked.tick(connection)?.whole_us.saturating_add(left_us);
    let sql = "INSERT INTO key_endings (key, ends_tick) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute(params![rotated.key.as_str(), ends_tick])?;
    Ok(ends_tick)
}
