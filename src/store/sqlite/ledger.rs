//! The ledger: one row a key. A grant is a read and a write in the writer's transaction, which no other process can cut in
//! two.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Database, StoreError, Worked, corrupt,
    endings::{self, Rotated},
};
use crate::{
    domain::{
        admission::{Asked, Bucket, Holder, LedgerRow, Reservation, Return, settled},
        id::UserId,
        key::{KeyHash, KeyId},
        plan::Limits,
    },
    store::{DayUsage, GrantRequest, Granted, KeyRefusal, Ledger},
};

#[async_trait]
impl Ledger for Database {
    async fn grant(&self, request: GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
        let worked = self.worked();
        self.write(move |connection| grant(connection, worked.as_deref(), &request)).await
    }

    async fn give_back(&self, returns: Vec<(KeyId, Return)>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for (key, returned) in &returns {
                let kept = read_reservation(connection, *key, returned.holder.node)?;
                if let Some(returned) = settled(returned.holder.node, kept, Some(*returned), None) {
                    take_back(connection, *key, &returned)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT usage.key, usage.day, usage.used FROM keys JOIN usage ON usage.key = keys.id
                       WHERE keys.user = ?1 AND usage.day >= ?2 ORDER BY usage.day, usage.key";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![user.to_string(), from_day])?;
            let mut days = Vec::new();
            while let Some(row) = rows.next()? {
                let key = KeyId::parse(&row.get::<_, String>(0)?).map_err(|error| corrupt("key id", error))?;
                days.push(DayUsage { key, day: row.get(1)?, used: row.get(2)? });
            }
            Ok(days)
        })
        .await
    }
}

struct KeyTerms {
    user: UserId,
    hash: KeyHash,
    valid_until: Option<Timestamp>,
    plan: String,
    limits: Limits,
}

fn grant(
    connection: &Connection,
    worked: Option<&Worked>,
    request: &GrantRequest,
) -> Result<Result<Granted, KeyRefusal>, StoreError> {
    let GrantRequest { key, now_ns, life_ns, want, need, holder, unanswered_from, returned } = *request;
    let kept = read_reservation(connection, key, holder.node)?;
    let returned = settled(holder.node, kept, returned, unanswered_from);
    let terms = key_terms(connection, worked, key, now_ns)?;
    let KeyTerms { user, hash, valid_until, plan, limits } = match terms {
        Ok(terms) => terms,
        Err(refusal) => {
            if let Some(returned) = &returned {
                take_back(connection, key, returned)?;
            }
            return Ok(Err(refusal));
        }
    };
    let mut row = read_row(connection, key)?;
    let day = row.day_at(now_ns);
    let mut kept = 0;
    if day != row.day {
        // What comes back of a grant of the day that ends belongs to that day's count, which is left behind.
        let mut ended = row;
        if let Some(returned) = &returned {
            ended.take_back(returned);
        }
        write_day(connection, key, &ended)?;
        forget_reservations(connection, key, ended.day.min(day))?;
        kept = read_day(connection, key, day)?;
    }
    let owed = (row.owed_ns, row.owed_burst);
    let (grant, _) = row.renew(&Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, need, returned, kept });
    write_row(connection, key, &row)?;
    if owed != (row.owed_ns, row.owed_burst) {
        write_owed(connection, key, &row)?;
    }
    write_reservation(connection, key, holder.node, &grant.reservation(holder.serial))?;
    let grant = grant.held_by(holder);
    Ok(Ok(Granted { user, hash, valid_until, plan, grant, limits_age_ns: 0 }))
}

/// Takes back what a node's last grant holds, and forgets that grant: what comes again changes nothing.
fn take_back(connection: &Connection, key: KeyId, returned: &Return) -> Result<(), StoreError> {
    let mut row = read_row(connection, key)?;
    row.take_back(returned);
    write_row(connection, key, &row)?;
    let Holder { node, .. } = returned.holder;
    let sql = "DELETE FROM reservations WHERE key = ?1 AND node = ?2";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), node])?;
    Ok(())
}

/// What the views say of the key; a refusal unless it works now.
fn key_terms(
    connection: &Connection,
    worked: Option<&Worked>,
    key: KeyId,
    now_ns: i64,
) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
    let sql = "SELECT keys.user, keys.sha256, keys.valid_until, keys.revoked_at, users.status, plans.name,
                      plans.rate_per_s, plans.burst, plans.quota_per_day,
                      (SELECT next.issued_at FROM keys AS next WHERE next.id = keys.replaced_by)
               FROM keys JOIN users ON users.id = keys.user LEFT JOIN plans ON plans.name = users.plan WHERE keys.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(Err(KeyRefusal::Unknown)) };
    let moment =
        |us: Option<i64>| us.map(Timestamp::from_microsecond).transpose().map_err(|error| corrupt("moment", error));
    let mut valid_until = moment(row.get(2)?)?;
    if let (Some(until), Some(worked)) = (valid_until, worked) {
        let rotated = Rotated { key, valid_until: until, since: moment(row.get(9)?)? };
        let now_us = now_ns / 1000;
        let left_us = endings::left_us(connection, worked, &rotated, now_us)?;
        // Beyond all that a moment can be it is what the event says.
        valid_until = Timestamp::from_microsecond(now_us.saturating_add(left_us)).ok().or(valid_until);
    }
    let expired = valid_until.is_some_and(|until| until.as_nanosecond() <= i128::from(now_ns));
    let status: String = row.get(4)?;
    if row.get::<_, Option<i64>>(3)?.is_some() || expired || status == "disabled" || status == "deleted" {
        return Ok(Err(KeyRefusal::Ended));
    }
    let plan: Option<String> = row.get(5)?;
    let plan = plan.ok_or_else(|| corrupt("plan", "the plan of a key's owner does not exist"))?;
    Ok(Ok(KeyTerms {
        user: UserId::parse(&row.get::<_, String>(0)?).map_err(|error| corrupt("user id", error))?,
        hash: KeyHash::parse(&row.get::<_, String>(1)?).map_err(|error| corrupt("key hash", error))?,
        valid_until,
        plan,
        limits: Limits { rate_per_s: row.get(6)?, burst: row.get(7)?, quota_per_day: row.get(8)? },
    }))
}

fn read_row(connection: &Connection, key: KeyId) -> Result<LedgerRow, StoreError> {
    let sql =
        "SELECT tat_ns, day, used, interval_ns, owed_ns, burst FROM ledger LEFT JOIN owed USING (key) WHERE key = ?1";
    let read = |row: &Row<'_>| {
        let [owed_ns, owed_burst] = [4, 5].map(|place| row.get::<_, Option<i64>>(place).map(Option::unwrap_or_default));
        Ok(LedgerRow {
            tat_ns: row.get(0)?,
            day: row.get(1)?,
            used: row.get(2)?,
            interval_ns: row.get(3)?,
            owed_ns: owed_ns?,
            owed_burst: owed_burst?,
        })
    };
    Ok(connection.prepare_cached(sql)?.query_row([key.as_str()], read).optional()?.unwrap_or_default())
}

fn write_row(connection: &Connection, key: KeyId, row: &LedgerRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO ledger (key, tat_ns, day, used, interval_ns) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (key) DO UPDATE SET tat_ns = excluded.tat_ns, day = excluded.day, used = excluded.used,
               interval_ns = excluded.interval_ns";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![key.as_str(), row.tat_ns, row.day, row.used, row.interval_ns])?;
    write_day(connection, key, row)
}

/// What is owed of a deeper bucket. Few keys ever owe anything.
fn write_owed(connection: &Connection, key: KeyId, row: &LedgerRow) -> Result<(), StoreError> {
    if row.owed_ns == 0 {
        connection.prepare_cached("DELETE FROM owed WHERE key = ?1")?.execute([key.as_str()])?;
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO owed (key, owed_ns, burst) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), row.owed_ns, row.owed_burst])?;
    Ok(())
}

/// What was counted of a day so far.
fn read_day(connection: &Connection, key: KeyId, day: i64) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT used FROM usage WHERE key = ?1 AND day = ?2")?;
    let used = statement.query_row(params![key.as_str(), day], |row| row.get(0)).optional()?;
    Ok(used.unwrap_or(0))
}

fn write_day(connection: &Connection, key: KeyId, row: &LedgerRow) -> Result<(), StoreError> {
    // A key that was never used has no day.
    if *row == LedgerRow::default() {
        return Ok(());
    }
    let sql = "INSERT INTO usage (key, day, used) VALUES (?1, ?2, ?3)
               ON CONFLICT (key, day) DO UPDATE SET used = excluded.used";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), row.day, row.used])?;
    Ok(())
}

fn read_reservation(connection: &Connection, key: KeyId, node: u64) -> Result<Option<Reservation>, StoreError> {
    let sql = "SELECT serial, count, day, tat_ns, limit_ns, interval_ns FROM reservations WHERE key = ?1 AND node = ?2";
    let read = |row: &Row<'_>| {
        Ok(Reservation {
            serial: row.get(0)?,
            count: row.get(1)?,
            day: row.get(2)?,
            tat_ns: row.get(3)?,
            limit_ns: row.get(4)?,
            interval_ns: row.get(5)?,
        })
    };
    Ok(connection.prepare_cached(sql)?.query_row(params![key.as_str(), node], read).optional()?)
}

fn write_reservation(connection: &Connection, key: KeyId, node: u64, kept: &Reservation) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reservations (key, node, serial, count, day, tat_ns, limit_ns, interval_ns)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Reservation { serial, count, day, tat_ns, limit_ns, interval_ns } = *kept;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![key.as_str(), node, serial, count, day, tat_ns, limit_ns, interval_ns])?;
    Ok(())
}

/// Forgets what nodes reserved before a day: those that are still there have asked since, or get nothing back.
fn forget_reservations(connection: &Connection, key: KeyId, before_day: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM reservations WHERE key = ?1 AND day < ?2";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), before_day])?;
    Ok(())
}
