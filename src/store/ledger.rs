//! The ledger: what people have consumed, and which keys work.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::StoreError;
use crate::domain::{
    admission::{Grant, GrantHolder, KeyUse, Return, Tally, UsageCount},
    id::UserId,
    key::{KeyHash, KeyId},
    reach::KeyReach,
};

/// A node's request to the ledger for a grant.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    /// The person. All their keys spend from their grants.
    pub user: UserId,
    /// Their plan, as [`Ledger::terms`] has just told for one of their keys.
    pub plan: Arc<str>,
    /// The node's wall clock, nanoseconds since the Unix epoch.
    pub now_ns: i64,
    /// How long the grant may live, nanoseconds.
    pub life_ns: i64,
    /// The largest number of requests, but at least `need`.
    pub want: u64,
    /// The cost of the request that waits for the grant.
    pub need: u64,
    /// The node, and the serial of the requested grant. A ledger that tries several times uses the following serials, up to
    /// [`SERIALS_PER_REQUEST`] in all, to tell its own tries apart.
    pub holder: GrantHolder,
    /// The serial of the node's first unanswered request for the person since the last answered one, if any.
    pub unanswered_from: Option<u64>,
    /// The unspent part of its last grant that the node gives back. The node keeps it until a request is answered.
    pub returned: Option<Return>,
    /// The node's tally of the person's requests. The node keeps it until a request that took it is answered.
    pub tally: Option<Arc<Tally>>,
    /// The use of the asking key or session: written together with the grant, unless no request can be granted. So the stored last
    /// use is never older than a grant's life, even if the node dies.
    pub used: Option<KeyUse>,
}

/// What a node gives back for one person.
#[derive(Debug, Clone)]
pub struct GivenBack {
    /// The person.
    pub user: UserId,
    /// The unspent part of its last grant.
    pub returned: Option<Return>,
    /// Its tally of the person's requests.
    pub tally: Option<Arc<Tally>>,
}

/// The distance between the serials of two requests.
pub const SERIALS_PER_REQUEST: u64 = 16;

/// Why a key or a session gets no grant. Clients get the same answer for both reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// There is no such key.
    Unknown,
    /// It was revoked, replaced or ended, its time is over, or its owner is disabled or deleted.
    Ended,
}

/// The terms of a key or session that works, as a node needs them.
#[derive(Debug, Clone)]
pub struct KeyTerms {
    /// Its owner.
    pub user: UserId,
    /// The hash of the key.
    pub hash: KeyHash,
    /// When the key stops working by rotation or expiry, whichever comes first, by the clock of the question. Setting that clock
    /// after the rotation does not change the end, as far as the store can tell; an expiring key ends at its date. For a session:
    /// when it ends unless it is used.
    pub valid_until: Option<Timestamp>,
    /// The networks that it may be used from, and what it may be used for.
    pub reach: Arc<KeyReach>,
    /// The name of its owner's plan.
    pub plan: Arc<str>,
    /// For a session: when its use is to be written down.
    pub see_at: Option<Timestamp>,
    /// Whether this is an administrator's session that began without a second factor.
    pub lacks_factor: bool,
}

/// The data sets that a plan's people may read; none for all.
pub type PlanDatasets = Option<Arc<[String]>>;

/// A grant.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The granted requests.
    pub grant: Grant,
    /// The age of the plan's limits that the grant was made by, nanoseconds: it shortens the grant's life.
    pub limits_age_ns: i64,
    /// The data sets of the plan; as old as the limits.
    pub datasets: PlanDatasets,
    /// Whether the tally was taken, with this request or an earlier one.
    pub tallied: bool,
}

/// A day's consumption of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DayUsage {
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
    /// Requests that were spent or are held in grants, over all of the person's keys.
    pub used: u64,
}

/// A key's last use, exact to a grant's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// The key.
    pub key: KeyId,
    /// When it was used.
    pub at: Timestamp,
    /// The network that the use came from, if known and the person was not erased.
    pub network: Option<String>,
}

/// The field name under which a last use's network is sealed.
pub(super) const NETWORK: &str = "network";

/// The name under which a last use's network is sealed with the person's key: each name is used once.
pub(super) fn use_name(key: KeyId, at_us: i64) -> uuid::Uuid {
    let mut bytes = [0; 16];
    for (byte, of_key) in bytes.iter_mut().zip(key.as_str().bytes()) {
        *byte = of_key;
    }
    for (byte, of_moment) in bytes.iter_mut().rev().zip(at_us.to_le_bytes()) {
        *byte ^= of_moment;
    }
    uuid::Uuid::from_bytes(bytes)
}

/// The durable account of people's consumption and of the keys that work: a grant is one conditional write.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The terms of a key or a session, while it works and its owner is active; `now_ns` is the node's wall clock. The read is as
    /// new as the last acknowledged commit.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read: nobody is admitted then.
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError>;

    /// Takes back the returned requests and grants new ones, in one write. If an earlier request of the node was carried out but
    /// its answer was lost, the requests that it reserved are taken back instead
    /// ([`admission::settled`](crate::domain::admission::settled)); so nothing comes back twice, and nothing is lost.
    ///
    /// # Errors
    /// [`StoreError`] where a grant may or may not have been taken: taken requests are lost to their owner, and never spent twice.
    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError>;

    /// Takes back requests that nodes will not spend, and their tallies. A return may be repeated: one that came back before
    /// changes nothing. A tally must not be repeated: an unanswered one may have been taken.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat it with the next one.
    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError>;

    /// A person's consumption by day, from a UTC day on.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError>;

    /// The counts of a person's requests from a UTC day on: by day, key, data set and status.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError>;

    /// When a person's keys were last used, and from where.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError>;
}
