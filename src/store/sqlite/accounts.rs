//! People's accounts in the ledger as a whole.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{Database, StoreError, corrupt, ledger};
use crate::{
    domain::{admission::LedgerRow, id::UserId, key::KeyId},
    store::{
        Ledger,
        accounts::{LedgerAccounts, PersonAccount, SealedLastUse, newest},
    },
};

#[async_trait]
impl LedgerAccounts for Database {
    async fn account(&self, user: UserId) -> Result<PersonAccount, StoreError> {
        let (days, counts) = (self.usage(user, i64::MIN).await?, self.counts(user, i64::MIN).await?);
        let (row, uses) = self
            .read(move |connection| Ok::<_, StoreError>((ledger::read_row(connection, user)?, uses(connection, user)?)))
            .await?;
        Ok(PersonAccount { user, row, days, counts, uses: newest(uses) })
    }

    async fn put_accounts(&self, accounts: Vec<PersonAccount>) -> Result<(), StoreError> {
        self.write(move |connection| accounts.iter().try_for_each(|account| put(connection, account))).await
    }
}

fn uses(connection: &Connection, user: UserId) -> Result<Vec<SealedLastUse>, StoreError> {
    let sql = "SELECT key, at, network, network_at FROM key_uses WHERE user = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([user.to_string()])?;
    let mut uses = Vec::new();
    while let Some(row) = rows.next()? {
        let key = KeyId::parse(&row.get::<_, String>(0)?).map_err(|error| corrupt("key id", error))?;
        let network = row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<String>>(2)?);
        uses.push(SealedLastUse { key, at_us: row.get(1)?, network });
    }
    Ok(uses)
}

fn put(connection: &Connection, account: &PersonAccount) -> Result<(), StoreError> {
    let user = account.user.to_string();
    for table in ["ledger", "owed", "usage", "usage_counts", "key_uses", "reservations"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE user = ?1"))?.execute([&user])?;
    }
    if account.row != LedgerRow::default() {
        ledger::write_row(connection, account.user, &account.row)?;
        ledger::write_owed(connection, account.user, &account.row)?;
    }
    let sql = "INSERT OR REPLACE INTO usage (user, day, used) VALUES (?1, ?2, ?3)";
    for told in &account.days {
        connection.prepare_cached(sql)?.execute(params![user, told.day, told.used])?;
    }
    let sql = "INSERT INTO usage_counts (user, day, key, dataset, status, requests, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    for line in &account.counts {
        let key = line.key.as_ref().map_or("", KeyId::as_str);
        let values = params![user, line.day, key, line.dataset, line.status, line.requests, line.counted];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    let sql = "INSERT INTO key_uses (user, key, at, network, network_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    for used in &account.uses {
        let (network_at, network) = used.network.as_ref().map(|(at_us, sealed)| (at_us, sealed)).unzip();
        let values = params![user, used.key.as_str(), used.at_us, network, network_at];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}
