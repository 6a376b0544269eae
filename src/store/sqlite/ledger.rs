//! The ledger: one row a key. A grant is a read and a write in the writer's transaction, which no other process can cut in
//! two.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, StoreError, corrupt};
use crate::{
    domain::{
        admission::{self, Asked, Bucket, LedgerRow, Return},
        id::UserId,
        key::{KeyHash, KeyId},
        plan::Limits,
    },
    store::{DayUsage, GrantRequest, Granted, KeyRefusal, Ledger},
};

#[async_trait]
impl Ledger for Database {
    async fn grant(&self, request: GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
        self.write(move |connection| grant(connection, &request)).await
    }

    async fn give_back(&self, returns: Vec<(KeyId, Return)>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for (key, returned) in &returns {
                let mut row = read_row(connection, *key)?;
                row.take_back(returned);
                write_row(connection, *key, &row)?;
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

fn grant(connection: &Connection, request: &GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
    let mut row = read_row(connection, request.key)?;
    let terms = key_terms(connection, request.key, request.now_ns)?;
    let KeyTerms { user, hash, valid_until, plan, limits } = match terms {
        Ok(terms) => terms,
        Err(refusal) => {
            if let Some(returned) = &request.returned {
                row.take_back(returned);
                write_row(connection, request.key, &row)?;
            }
            return Ok(Err(refusal));
        }
    };
    if let Some(returned) = &request.returned
        && admission::day_of(request.now_ns) > row.day
    {
        // What comes back of yesterday's grant belongs to yesterday's count, which taking a grant leaves behind.
        let mut yesterday = row;
        yesterday.take_back(returned);
        write_row(connection, request.key, &yesterday)?;
    }
    let GrantRequest { now_ns, life_ns, want, returned, .. } = *request;
    let (grant, _) = row.renew(&Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, returned });
    write_row(connection, request.key, &row)?;
    Ok(Ok(Granted { user, hash, valid_until, plan, grant }))
}

/// What the views say of the key; a refusal unless it works now.
fn key_terms(connection: &Connection, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
    let sql = "SELECT keys.user, keys.sha256, keys.valid_until, keys.revoked_at, users.status, plans.name,
                      plans.rate_per_s, plans.burst, plans.quota_per_day
               FROM keys JOIN users ON users.id = keys.user LEFT JOIN plans ON plans.name = users.plan WHERE keys.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(Err(KeyRefusal::Unknown)) };
    let valid_until = row
        .get::<_, Option<i64>>(2)?
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| corrupt("moment", error))?;
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
    let mut statement = connection.prepare_cached("SELECT tat_ns, day, used FROM ledger WHERE key = ?1")?;
    let row = statement
        .query_row([key.as_str()], |row| Ok(LedgerRow { tat_ns: row.get(0)?, day: row.get(1)?, used: row.get(2)? }))
        .optional()?;
    Ok(row.unwrap_or_default())
}

fn write_row(connection: &Connection, key: KeyId, row: &LedgerRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO ledger (key, tat_ns, day, used) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (key) DO UPDATE SET tat_ns = excluded.tat_ns, day = excluded.day, used = excluded.used";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), row.tat_ns, row.day, row.used])?;
    let sql = "INSERT INTO usage (key, day, used) VALUES (?1, ?2, ?3)
               ON CONFLICT (key, day) DO UPDATE SET used = excluded.used";
    connection.prepare_cached(sql)?.execute(params![key.as_str(), row.day, row.used])?;
    Ok(())
}
