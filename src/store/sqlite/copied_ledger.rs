//! The ledger of a copy that is only read: it begins with what the file's ledger says, and keeps what is spent since in memory.
//!
//! Guarantees: nothing is written. Requests are limited as they would have been at the copy's moment, from the consumption that the file
//! has of that day; what the copy itself answers counts as long as its process lives, and is forgotten with it. The reports of usage show
//! the file's figures alone.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;

use super::{
    Database, StoreError,
    ledger::{limits_of, read_day, read_row},
    lock,
};
use crate::{
    domain::{
        admission::{Asked, Bucket, LedgerRow, Reservation, UsageCount, settled},
        id::UserId,
        key::KeyId,
    },
    store::{DayUsage, GivenBack, GrantRequest, Granted, KeyRefusal, KeyTerms, LastUse, Ledger},
};

/// A person's account since the copy is shown.
#[derive(Debug, Clone, Copy)]
struct CopiedAccount {
    row: LedgerRow,
    /// The last grant. There is one node.
    last: Option<Reservation>,
}

/// The ledger of a copy. It has one entry for each person who has made a request of it.
pub(super) struct CopiedLedger {
    database: Database,
    people: Mutex<HashMap<UserId, CopiedAccount>>,
}

impl CopiedLedger {
    pub(super) fn new(database: Database) -> Self {
        Self { database, people: Mutex::default() }
    }
}

#[async_trait]
impl Ledger for CopiedLedger {
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
        self.database.terms(key, now_ns).await
    }

    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError> {
        let GrantRequest { user, plan, now_ns, life_ns, want, need, holder, unanswered_from, returned, .. } = request;
        let read = move |connection: &rusqlite::Connection| {
            let (limits, datasets) = limits_of(connection, &plan)?;
            let row = read_row(connection, user)?;
            // The file's count of the day on which the grant begins, where that is not the row's day.
            let kept = read_day(connection, user, row.day_at(now_ns))?;
            Ok((limits, datasets, row, kept))
        };
        let (limits, datasets, stored, kept) = self.database.read(read).await?;
        let mut people = lock(&self.people);
        let account = people.entry(user).or_insert(CopiedAccount { row: stored, last: None });
        let returned = settled(holder.node, account.last, returned, unanswered_from);
        let (grant, _) =
            account.row.renew(&Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, need, returned, kept });
        account.last = Some(grant.reservation(holder.serial));
        Ok(Granted { grant: grant.held_by(holder), limits_age_ns: 0, datasets, tallied: true })
    }

    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError> {
        let mut people = lock(&self.people);
        for GivenBack { user, returned, .. } in given {
            let Some(account) = people.get_mut(&user) else { continue };
            let back = returned.and_then(|back| settled(back.holder.node, account.last, Some(back), None));
            if let Some(back) = back {
                account.row.take_back(&back);
                account.last = None;
            }
        }
        Ok(())
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        self.database.usage(user, from_day).await
    }

    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        self.database.counts(user, from_day).await
    }

    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError> {
        self.database.last_uses(user).await
    }
}
