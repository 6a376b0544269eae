//! People's accounts in the ledger as a whole, to move them into another store: what decides their quota and their rate, and what is
//! told of their use.

use async_trait::async_trait;

use super::{DayUsage, StoreError};
use crate::domain::{
    admission::{LedgerRow, UsageCount},
    id::UserId,
    key::KeyId,
};

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonAccount {
    /// The person.
    pub user: UserId,
    /// The bucket and the count of the last day. Requests that nodes still hold in grants count as spent.
    pub row: LedgerRow,
    /// The consumption by day, by day; the last day of `row` is among them.
    pub days: Vec<DayUsage>,
    /// The counts of requests, by day, key, data set and status.
    pub counts: Vec<UsageCount>,
    /// The last uses of keys and sessions, by key.
    pub uses: Vec<SealedLastUse>,
}

/// A key's last use, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLastUse {
    /// The key or session.
    pub key: KeyId,
    /// When it was used, microseconds since the Unix epoch.
    pub at_us: i64,
    /// The network, sealed with the person's key, and the moment under whose name it was sealed.
    pub network: Option<(i64, String)>,
}

impl PersonAccount {
    /// Whether nothing is known of the person.
    pub fn is_empty(&self) -> bool {
        self.row == LedgerRow::default() && self.days.is_empty() && self.counts.is_empty() && self.uses.is_empty()
    }
}

/// The most last uses of a person that are moved, the newest: each session has one.
pub const MOVED_USES_MAX: usize = 64;

/// Reads and writes whole accounts.
#[async_trait]
pub trait LedgerAccounts: Send + Sync {
    /// A person's account; an empty one where nothing is known. Of last uses the [`MOVED_USES_MAX`] newest.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    async fn account(&self, user: UserId) -> Result<PersonAccount, StoreError>;

    /// Replaces these people's accounts. Grants that nodes hold are forgotten, and never come back.
    ///
    /// # Errors
    /// [`StoreError`] where some may not have been written: repeat the call.
    async fn put_accounts(&self, accounts: Vec<PersonAccount>) -> Result<(), StoreError>;
}

/// Keeps the newest last uses, in the order of their keys.
pub(super) fn newest(mut uses: Vec<SealedLastUse>) -> Vec<SealedLastUse> {
    uses.sort_by_key(|used| std::cmp::Reverse((used.at_us, used.key)));
    uses.truncate(MOVED_USES_MAX);
    uses.sort_by_key(|used| used.key);
    uses
}
