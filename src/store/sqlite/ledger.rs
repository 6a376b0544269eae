//! The ledger: one row a person. A grant is a read and a write in the writer's transaction, which no other process can interrupt.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Database, StoreError, corrupt,
    endings::{self, Rotated},
    log, mark,
    views::{find_one, find_plan},
};
use crate::{
    domain::{
        admission::{
            Asked, Bucket, GrantHolder, KeyUse, LedgerRow, Reservation, Return, Tally, UsageCount, settled,
            was_carried_out,
        },
        id::UserId,
        key::KeyId,
        plan::Limits,
        reach::KeyReach,
        view::{KeyRow, PlanRow, SessionRow, UserRow, UserStatus},
    },
    store::{
        DayUsage, GivenBack, GrantRequest, Granted, KeyRefusal, KeyTerms, LastUse, Ledger, NETWORK, PlanDatasets,
        use_name,
    },
};

#[async_trait]
impl Ledger for Database {
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
        let found = self.read(move |connection| find_terms(connection, key)).await?;
        let FoundTerms { mut terms, rotated, expires_at } = match found {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let (Some(rotated), Some(worked)) = (rotated, self.worked()) {
            let now_us = now_ns / 1000;
            let left_us = self.write(move |connection| endings::left_us(connection, &worked, &rotated, now_us)).await?;
            // If the end lies beyond all representable moments, the event's applies.
            let until = Timestamp::from_microsecond(now_us.saturating_add(left_us)).ok();
            terms.valid_until = until.or(terms.valid_until);
        }
        terms.valid_until = terms.valid_until.into_iter().chain(expires_at).min();
        let has_ended = terms.valid_until.is_some_and(|until| until.as_nanosecond() <= i128::from(now_ns));
        Ok(if has_ended { Err(KeyRefusal::Ended) } else { Ok(terms) })
    }

    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError> {
        self.write(move |connection| {
            mark::refuse_marked(connection)?;
            grant(connection, &request)
        })
        .await
    }

    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for GivenBack { user, returned, tally } in &given {
                if let Some(returned) = returned {
                    let kept = read_reservation(connection, *user, returned.holder.node)?;
                    if let Some(returned) = settled(returned.holder.node, kept, Some(*returned), None) {
                        take_back(connection, *user, &returned)?;
                    }
                }
                if let Some(tally) = tally {
                    count(connection, *user, tally)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT day, used FROM usage WHERE user = ?1 AND day >= ?2 ORDER BY day";
            let mut statement = connection.prepare_cached(sql)?;
            let days = statement.query_map(params![user.to_string(), from_day], |row| {
                Ok(DayUsage { day: row.get(0)?, used: row.get(1)? })
            })?;
            Ok(days.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT day, key, dataset, status, requests, counted FROM usage_counts
                       WHERE user = ?1 AND day >= ?2 ORDER BY day, key, dataset, status";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![user.to_string(), from_day])?;
            let mut counts = Vec::new();
            while let Some(row) = rows.next()? {
                counts.push(UsageCount {
                    day: row.get(0)?,
                    key: KeyId::parse(&row.get::<_, String>(1)?).ok(),
                    dataset: row.get::<_, String>(2)?.into(),
                    status: row.get(3)?,
                    requests: row.get(4)?,
                    counted: row.get(5)?,
                });
            }
            Ok(counts)
        })
        .await
    }

    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError> {
        self.read(move |connection| {
            let own = log::personal_key(connection, user)?;
            let sql = "SELECT key, at, network, network_at FROM key_uses WHERE user = ?1 ORDER BY key";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([user.to_string()])?;
            let mut uses = Vec::new();
            while let Some(row) = rows.next()? {
                let key = KeyId::parse(&row.get::<_, String>(0)?).map_err(|error| corrupt("key id", error))?;
                let at = Timestamp::from_microsecond(row.get(1)?).map_err(|error| corrupt("moment", error))?;
                let sealed = row.get::<_, Option<String>>(2)?.zip(row.get::<_, Option<i64>>(3)?);
                let open = |(sealed, at_us): (String, i64)| own.as_ref()?.open(use_name(key, at_us), NETWORK, &sealed);
                uses.push(LastUse { key, at, network: sealed.and_then(open) });
            }
            Ok(uses)
        })
        .await
    }
}

/// Counts a node's tally.
fn count(connection: &Connection, user: UserId, tally: &Tally) -> Result<(), StoreError> {
    let user_text = user.to_string();
    let sql = "INSERT INTO usage_counts (user, day, key, dataset, status, requests, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (user, day, key, dataset, status)
               DO UPDATE SET requests = requests + excluded.requests, counted = counted + excluded.counted";
    for line in tally.lines() {
        let key = line.key.as_ref().map_or("", KeyId::as_str);
        let UsageCount { day, ref dataset, status, requests, counted, .. } = *line;
        connection.prepare_cached(sql)?.execute(params![user_text, day, key, dataset, status, requests, counted])?;
    }
    note_uses(connection, user, tally.uses())
}

/// Notes the last uses of keys, with their networks.
fn note_uses(connection: &Connection, user: UserId, uses: &[KeyUse]) -> Result<(), StoreError> {
    if uses.is_empty() {
        return Ok(());
    }
    let user_text = user.to_string();
    // An erased person's network is not kept, even sealed.
    let Some(own) = log::personal_key(connection, user)? else { return Ok(()) };
    let sql = "INSERT INTO key_uses (user, key, at, network, network_at) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (user, key) DO UPDATE SET at = max(at, excluded.at),
               network = coalesce(excluded.network, network), network_at = coalesce(excluded.network_at, network_at)";
    for used in uses {
        let name = use_name(used.key, used.at_us);
        let network = used.network().and_then(|network| own.seal(name, NETWORK, &network));
        let network_at = network.as_ref().map(|_| used.at_us);
        let values = params![user_text, used.key.as_str(), used.at_us, network, network_at];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// The views' data of a key that was not revoked and whose owner is active.
struct FoundTerms {
    terms: KeyTerms,
    rotated: Option<Rotated>,
    expires_at: Option<Timestamp>,
}

fn is_out(status: UserStatus) -> bool {
    matches!(status, UserStatus::Disabled | UserStatus::Deleted)
}

fn find_terms(connection: &Connection, key: KeyId) -> Result<Result<FoundTerms, KeyRefusal>, StoreError> {
    let Some(row) = find_one::<KeyRow>(connection, key)? else { return find_session_terms(connection, key) };
    let Some(owner) = find_one::<UserRow>(connection, row.user)? else { return Ok(Err(KeyRefusal::Unknown)) };
    if row.revoked_at.is_some() || is_out(owner.status) {
        return Ok(Err(KeyRefusal::Ended));
    }
    let rotated = match row.valid_until {
        None => None,
        Some(valid_until) => {
            let next = row.replaced_by.map(|next| find_one::<KeyRow>(connection, next)).transpose()?.flatten();
            Some(Rotated { key, valid_until, since: next.map(|next| next.issued_at) })
        }
    };
    let terms = KeyTerms {
        user: row.user,
        hash: row.hash,
        valid_until: row.valid_until,
        plan: owner.plan.into(),
        reach: Arc::new(KeyReach::new(
            row.allowed_ips.as_ref().map(|listed| listed.iter().map(String::as_str)),
            row.scopes,
        )),
        see_at: None,
        lacks_factor: false,
    };
    Ok(Ok(FoundTerms { terms, rotated, expires_at: row.expires_at }))
}

/// The same for a session.
fn find_session_terms(connection: &Connection, session: KeyId) -> Result<Result<FoundTerms, KeyRefusal>, StoreError> {
    let Some(row) = find_one::<SessionRow>(connection, session)? else { return Ok(Err(KeyRefusal::Unknown)) };
    let Some(owner) = find_one::<UserRow>(connection, row.user)? else { return Ok(Err(KeyRefusal::Unknown)) };
    if row.ended_at.is_some() || is_out(owner.status) {
        return Ok(Err(KeyRefusal::Ended));
    }
    let terms = KeyTerms {
        user: row.user,
        hash: row.hash,
        valid_until: None,
        reach: Arc::default(),
        plan: owner.plan.into(),
        see_at: row.see_at(),
        lacks_factor: row.lacks_factor(owner.role),
    };
    Ok(Ok(FoundTerms { terms, rotated: None, expires_at: Some(row.idle_at) }))
}

pub(super) fn limits_of(connection: &Connection, plan: &str) -> Result<(Limits, PlanDatasets), StoreError> {
    let found = find_plan(connection, plan)?;
    let PlanRow { limits, rules, .. } =
        found.ok_or_else(|| corrupt("plan", "the plan of a key's owner does not exist"))?;
    Ok((limits, rules.datasets.map(Into::into)))
}

fn grant(connection: &Connection, request: &GrantRequest) -> Result<Granted, StoreError> {
    let GrantRequest {
        user,
        ref plan,
        now_ns,
        life_ns,
        want,
        need,
        holder,
        unanswered_from,
        returned,
        ref tally,
        used,
    } = *request;
    let (limits, datasets) = limits_of(connection, plan)?;
    let kept = read_reservation(connection, user, holder.node)?;
    if let Some(tally) = tally.as_deref().filter(|_| !was_carried_out(kept, unanswered_from)) {
        count(connection, user, tally)?;
    }
    let returned = settled(holder.node, kept, returned, unanswered_from);
    let mut row = read_row(connection, user)?;
    let day = row.day_at(now_ns);
    let mut kept = 0;
    if day != row.day {
        // Requests that come back from the day that ends belong to that day's count, which stays behind.
        let mut ended = row;
        if let Some(returned) = &returned {
            ended.take_back(returned);
        }
        write_day(connection, user, &ended)?;
        forget_reservations(connection, user, ended.day.min(day))?;
        kept = read_day(connection, user, day)?;
    }
    let owed = (row.owed_ns, row.owed_burst);
    let (grant, _) = row.renew(&Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, need, returned, kept });
    if let Some(used) = used.filter(|_| grant.left() > 0) {
        note_uses(connection, user, &[used])?;
    }
    write_row(connection, user, &row)?;
    if owed != (row.owed_ns, row.owed_burst) {
        write_owed(connection, user, &row)?;
    }
    write_reservation(connection, user, holder.node, &grant.reservation(holder.serial))?;
    Ok(Granted { grant: grant.held_by(holder), limits_age_ns: 0, datasets, tallied: true })
}

/// Takes back the unspent part of a node's last grant, and forgets that grant: a repetition changes nothing.
fn take_back(connection: &Connection, user: UserId, returned: &Return) -> Result<(), StoreError> {
    let mut row = read_row(connection, user)?;
    row.take_back(returned);
    write_row(connection, user, &row)?;
    let GrantHolder { node, .. } = returned.holder;
    let sql = "DELETE FROM reservations WHERE user = ?1 AND node = ?2";
    connection.prepare_cached(sql)?.execute(params![user.to_string(), node])?;
    Ok(())
}

pub(super) fn read_row(connection: &Connection, user: UserId) -> Result<LedgerRow, StoreError> {
    let sql =
        "SELECT tat_ns, day, used, interval_ns, owed_ns, burst FROM ledger LEFT JOIN owed USING (user) WHERE user = ?1";
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
    Ok(connection.prepare_cached(sql)?.query_row([user.to_string()], read).optional()?.unwrap_or_default())
}

pub(super) fn write_row(connection: &Connection, user: UserId, row: &LedgerRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO ledger (user, tat_ns, day, used, interval_ns) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (user) DO UPDATE SET tat_ns = excluded.tat_ns, day = excluded.day, used = excluded.used,
               interval_ns = excluded.interval_ns";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![user.to_string(), row.tat_ns, row.day, row.used, row.interval_ns])?;
    write_day(connection, user, row)
}

/// Writes what is owed of a deeper bucket. Few people ever owe anything.
pub(super) fn write_owed(connection: &Connection, user: UserId, row: &LedgerRow) -> Result<(), StoreError> {
    if row.owed_ns == 0 {
        connection.prepare_cached("DELETE FROM owed WHERE user = ?1")?.execute([user.to_string()])?;
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO owed (user, owed_ns, burst) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![user.to_string(), row.owed_ns, row.owed_burst])?;
    Ok(())
}

/// The count of a day so far.
pub(super) fn read_day(connection: &Connection, user: UserId, day: i64) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT used FROM usage WHERE user = ?1 AND day = ?2")?;
    let used = statement.query_row(params![user.to_string(), day], |row| row.get(0)).optional()?;
    Ok(used.unwrap_or(0))
}

fn write_day(connection: &Connection, user: UserId, row: &LedgerRow) -> Result<(), StoreError> {
    // A person without any request has no day.
    if *row == LedgerRow::default() {
        return Ok(());
    }
    let sql = "INSERT INTO usage (user, day, used) VALUES (?1, ?2, ?3)
               ON CONFLICT (user, day) DO UPDATE SET used = excluded.used";
    connection.prepare_cached(sql)?.execute(params![user.to_string(), row.day, row.used])?;
    Ok(())
}

fn read_reservation(connection: &Connection, user: UserId, node: u64) -> Result<Option<Reservation>, StoreError> {
    let sql =
        "SELECT serial, count, day, tat_ns, limit_ns, interval_ns FROM reservations WHERE user = ?1 AND node = ?2";
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
    Ok(connection.prepare_cached(sql)?.query_row(params![user.to_string(), node], read).optional()?)
}

fn write_reservation(connection: &Connection, user: UserId, node: u64, kept: &Reservation) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reservations (user, node, serial, count, day, tat_ns, limit_ns, interval_ns)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Reservation { serial, count, day, tat_ns, limit_ns, interval_ns } = *kept;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![user.to_string(), node, serial, count, day, tat_ns, limit_ns, interval_ns])?;
    Ok(())
}

/// Forgets nodes' reservations from before a day: live nodes have asked since, or get nothing back.
fn forget_reservations(connection: &Connection, user: UserId, before_day: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM reservations WHERE user = ?1 AND day < ?2";
    connection.prepare_cached(sql)?.execute(params![user.to_string(), before_day])?;
    Ok(())
}
