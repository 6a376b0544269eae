//! The grants that this node holds, shared by its gates, so that a node has one grant a key however many workers it has.
//!
//! Guarantees: a request is admitted only by a grant that the ledger has counted in advance; a grant is not spent after its
//! life, reckoned on the monotonic clock from before the ledger was asked; what is given back is kept until the ledger has said
//! that it has it, and is given back once.

mod cell;
mod failing;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::{
    cell::{CellState, KeyCell, lock},
    failing::Failing,
};
use super::counting::counters;
use crate::{
    clock::{Clock, SharedClock},
    domain::{
        admission::{self, Holder, Return, Slot, Standing, Verdict},
        id::UserId,
        key::{KeyHash, KeyId},
    },
    secrets::Secrets,
    store::{GrantRequest, Granted, KeyRefusal, Ledger, SERIALS_PER_REQUEST, StoreError},
};

/// Locks over which the keys are spread.
const SHARDS: usize = 32;
/// Keys in a shard before those whose grant has ended are given back and forgotten.
const SHARD_KEYS_MAX: usize = 4096;
/// How often a request may find its grant spent and take another.
const RENEWALS_MAX: u32 = 8;

/// The greatest number of a node: what every store has an integer for.
const NODE_MAX: u64 = (1 << 62) - 1;

counters! {
    /// What the grants have counted.
    GrantCounters read as GrantCounts {
        /// Requests admitted.
        admitted,
        /// Requests refused by a limit.
        limited,
        /// Requests refused because their key does not work.
        unknown,
        /// Grants taken from the ledger.
        taken,
        /// Times that the ledger could not be reached.
        failed,
    }
}

/// What became of a request at the gate.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It may pass.
    Admitted(Pass),
    /// A limit is reached.
    Limited {
        /// The rate is.
        rate: bool,
        /// The quota is.
        quota: bool,
        /// Nanoseconds until a request could pass.
        retry_after_ns: i64,
        /// Where the key stands.
        standing: Standing,
    },
    /// The key is not one that works. Why is nobody's business.
    Unknown,
}

/// An admitted request.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Where the key stands after it.
    pub standing: Standing,
    /// The key's owner.
    pub user: UserId,
    /// The key.
    pub key: KeyId,
    day: i64,
    cost: u64,
    slot: Slot,
    serial: u64,
    cell: Arc<KeyCell>,
}

impl Pass {
    /// What the request counts as.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Says that the request does not count against the quota after all: the server failed. The rate it counts against.
    pub fn refund(&mut self) {
        let cost = std::mem::take(&mut self.cost);
        match &mut *lock(&self.cell.held) {
            CellState::Granted { grant, .. } => grant.refund(self.day, cost),
            _ => self.cell.refund_later(self.day, cost),
        }
        self.standing.quota_left = self.standing.quota_left.saturating_add(cost).min(self.standing.bucket.quota);
    }

    /// Says that the request counts as no more than `kept` after all, neither against the quota nor against the rate: nothing
    /// at all if it was refused before anything was done for it.
    pub fn keep(&mut self, kept: u64, clock: &dyn Clock) {
        let kept = kept.min(self.cost);
        let cost = self.cost - kept;
        self.cost = kept;
        if cost == 0 {
            return;
        }
        let held = &mut *lock(&self.cell.held);
        if let CellState::Granted { grant, taken_wall_ns, taken_us, .. } = held {
            let now_ns = taken_wall_ns.saturating_add((clock.monotonic_us() - *taken_us).saturating_mul(1000));
            if grant.holder().serial == self.serial {
                grant.undo(self.slot, kept, cost, now_ns);
            } else {
                // The grant that it was admitted by has ended: its place is behind the clock, or somebody else's.
                grant.refund(self.day, cost);
            }
            self.standing = grant.standing(now_ns);
        } else {
            self.cell.refund_later(self.day, cost);
            self.standing.quota_left = self.standing.quota_left.saturating_add(cost).min(self.standing.bucket.quota);
        }
    }
}

/// All grants of a node.
pub struct GrantBook {
    /// What the ledger knows this node by.
    node: u64,
    serials: AtomicU64,
    ledger: Arc<dyn Ledger>,
    clock: SharedClock,
    secrets: Secrets,
    life_us: i64,
    shards: [Mutex<HashMap<KeyId, Arc<KeyCell>>>; SHARDS],
    counters: GrantCounters,
    failing: Mutex<Failing>,
}

/// What a cell says without asking the ledger.
enum Answer {
    Now { verdict: Verdict, standing: Standing, user: UserId, day: i64, cost: u64, slot: Slot, serial: u64 },
    Unknown,
    Ask,
}

impl GrantBook {
    /// An empty book; its grants live for `life`.
    pub fn new(ledger: Arc<dyn Ledger>, clock: SharedClock, secrets: Secrets, life: Duration) -> Self {
        Self {
            // Not a secret, but no two nodes may have the same.
            node: RandomState::new().hash_one(clock.now().as_nanosecond()) & NODE_MAX,
            serials: AtomicU64::new(SERIALS_PER_REQUEST),
            ledger,
            clock,
            secrets,
            life_us: i64::try_from(life.as_micros()).unwrap_or(i64::MAX),
            shards: std::array::from_fn(|_| Mutex::default()),
            counters: GrantCounters::default(),
            failing: Mutex::default(),
        }
    }

    /// Why the ledger has refused the last grants, one after the other, and lately; none when it has answered since.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.failing).trouble(self.clock.monotonic_us())
    }

    /// What was counted.
    pub fn counts(&self) -> GrantCounts {
        self.counters.read()
    }

    /// Decides a request that counts as `cost` of them, but not as more than the key's bucket holds, from what the node holds;
    /// `None` when the ledger has to be asked ([`Self::admit`] does).
    pub fn admit_now(&self, id: KeyId, hash: &KeyHash, cost: u64) -> Option<Admission> {
        let cell = lock(self.shard(id)?).get(&id).cloned();
        let Some(cell) = cell else {
            // Whose secret is not the deployment's any more cannot tell a forged key: the ledger is asked.
            if self.secrets.recognises(id, hash) || self.secrets.doubted().is_some() {
                return None;
            }
            return Some(self.count(Admission::Unknown));
        };
        self.answer(id, hash, cost, &cell)
    }

    /// Decides a request that counts as `cost` of them, all or nothing, asking the ledger when the node's grant is spent or has
    /// ended.
    ///
    /// # Errors
    /// When the ledger cannot be reached: the request must not pass.
    pub async fn admit(&self, id: KeyId, hash: &KeyHash, cost: u64) -> Result<Admission, StoreError> {
        for _ in 0..RENEWALS_MAX {
            if let Some(admission) = self.admit_now(id, hash, cost) {
                return Ok(admission);
            }
            self.take(id, hash, cost).await?;
        }
        Err(StoreError::Unavailable("the key's grant is spent faster than it can be renewed".to_owned()))
    }

    fn answer(&self, id: KeyId, hash: &KeyHash, wanted: u64, cell: &Arc<KeyCell>) -> Option<Admission> {
        let answer = self.look(hash, wanted, &mut lock(&cell.held));
        Some(self.count(match answer {
            Answer::Ask => return None,
            Answer::Unknown => Admission::Unknown,
            Answer::Now { verdict, standing, user, day, cost, slot, serial } => match verdict {
                Verdict::Renew => return None,
                Verdict::Admit => {
                    let cell = Arc::clone(cell);
                    Admission::Admitted(Pass { standing, user, key: id, day, cost, slot, serial, cell })
                }
                Verdict::Refuse { rate, quota, retry_after_ns } => {
                    Admission::Limited { rate, quota, retry_after_ns, standing }
                }
            },
        }))
    }

    fn look(&self, presented: &KeyHash, cost: u64, held: &mut CellState) -> Answer {
        let now_us = self.clock.monotonic_us();
        match held {
            CellState::Nothing { .. } => Answer::Ask,
            CellState::Refused { until_us } if now_us < *until_us => Answer::Unknown,
            CellState::Refused { .. } => Answer::Ask,
            CellState::Granted { hash, .. } if *hash != *presented => Answer::Unknown,
            CellState::Granted { expires_us, .. } if now_us >= *expires_us => Answer::Ask,
            CellState::Granted { grant, user, taken_wall_ns, taken_us, .. } => {
                let now_ns = taken_wall_ns.saturating_add((now_us - *taken_us).saturating_mul(1000));
                let cost = grant.capped(cost);
                let verdict = grant.admit_as(now_ns, cost);
                Answer::Now {
                    verdict,
                    standing: grant.standing(now_ns),
                    user: *user,
                    day: grant.day(),
                    cost,
                    slot: grant.last_slot(cost),
                    serial: grant.holder().serial,
                }
            }
        }
    }

    fn count(&self, admission: Admission) -> Admission {
        let counter = match &admission {
            Admission::Admitted(_) => &self.counters.admitted,
            Admission::Limited { .. } => &self.counters.limited,
            Admission::Unknown => &self.counters.unknown,
        };
        counter.add(1);
        admission
    }

    /// Takes a grant from the ledger, giving back what is left of the last one. Of several requests that want the same one
    /// asks and the others wait for it.
    async fn take(&self, id: KeyId, hash: &KeyHash, need: u64) -> Result<(), StoreError> {
        let cell = self.cell(id).await?;
        let _only_one = cell.taking.lock().await;
        let serial = self.serials.fetch_add(SERIALS_PER_REQUEST, Ordering::Relaxed);
        let (returned, want, unanswered_from) = {
            let mut held = lock(&cell.held);
            if !self.peek(hash, need, &held) {
                // Another request has taken one while this one waited.
                return Ok(());
            }
            let ended = self.end(&mut held);
            // Whoever asks may stop waiting at any moment: until there is an answer, this request has none.
            let unanswered_from = Some(ended.2.unwrap_or(serial));
            *held = CellState::Nothing { want: ended.1, owed: ended.0, unanswered_from };
            ended
        };
        let taken_us = self.clock.monotonic_us();
        let taken_wall_ns = self.clock.now().as_microsecond().saturating_mul(1000);
        let life_ns = self.life_us.saturating_mul(1000);
        let holder = Holder { node: self.node, serial };
        let request =
            GrantRequest { key: id, now_ns: taken_wall_ns, life_ns, want, need, holder, unanswered_from, returned };
        let granted = self.ledger.grant(request).await.inspect_err(|error| {
            self.counters.failed.add(1);
            lock(&self.failing).note(error, self.clock.monotonic_us());
        })?;
        *lock(&self.failing) = Failing::default();
        self.counters.taken.add(1);
        let until_us = taken_us.saturating_add(self.life_us);
        let mut held = lock(&cell.held);
        *held = match granted {
            Ok(Granted { user, hash, valid_until, grant, limits_age_ns, .. }) => {
                let grant = cell.with_late(grant);
                let until_us = until_us.saturating_sub(limits_age_ns / 1000);
                let left_us = valid_until.map(|until| until.as_microsecond() - taken_wall_ns / 1000);
                let expires_us = left_us.map_or(until_us, |left_us| until_us.min(taken_us.saturating_add(left_us)));
                CellState::Granted { user, hash, grant, want, taken_wall_ns, taken_us, expires_us }
            }
            Err(KeyRefusal::Unknown | KeyRefusal::Ended) => CellState::Refused { until_us },
        };
        Ok(())
    }

    /// Whether the ledger has to be asked, without counting a request.
    fn peek(&self, presented: &KeyHash, cost: u64, held: &CellState) -> bool {
        let now_us = self.clock.monotonic_us();
        match held {
            CellState::Nothing { .. } => true,
            CellState::Refused { until_us } => now_us >= *until_us,
            CellState::Granted { hash, .. } if *hash != *presented => false,
            CellState::Granted { expires_us, .. } if now_us >= *expires_us => true,
            CellState::Granted { grant, taken_wall_ns, taken_us, .. } => {
                let now_ns = taken_wall_ns.saturating_add((now_us - *taken_us).saturating_mul(1000));
                let mut grant = *grant;
                grant.admit_as(now_ns, grant.capped(cost)) == Verdict::Renew
            }
        }
    }

    /// Takes the grant out of the cell, so that nobody spends it any more: what is to be given back of it, how much to ask for
    /// next, and since when the ledger has not answered.
    fn end(&self, held: &mut CellState) -> (Option<Return>, u64, Option<u64>) {
        let ended = match held {
            CellState::Granted { grant, want, expires_us, .. } => {
                let ran_out = self.clock.monotonic_us() < *expires_us;
                let returned = grant.into_return();
                let next = admission::next_want(*want, want.saturating_sub(returned.unspent), ran_out);
                (Some(returned), next, None)
            }
            CellState::Nothing { want, owed, unanswered_from } => (*owed, *want, *unanswered_from),
            CellState::Refused { .. } => (None, admission::WANT_MIN, None),
        };
        *held = CellState::Nothing { want: ended.1, owed: ended.0, unanswered_from: ended.2 };
        ended
    }

    fn shard(&self, id: KeyId) -> Option<&Mutex<HashMap<KeyId, Arc<KeyCell>>>> {
        let at = id.as_str().bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.shards.get(at % SHARDS)
    }

    async fn cell(&self, id: KeyId) -> Result<Arc<KeyCell>, StoreError> {
        let Some(shard) = self.shard(id) else { return Err(StoreError::Unavailable("no shard".to_owned())) };
        let (cell, ended) = {
            let mut cells = lock(shard);
            let ended = if cells.len() >= SHARD_KEYS_MAX { self.ended(&mut cells) } else { Vec::new() };
            let fresh = || {
                let held = Mutex::new(CellState::nothing());
                Arc::new(KeyCell { held, late: Mutex::default(), taking: tokio::sync::Mutex::default() })
            };
            (Arc::clone(cells.entry(id).or_insert_with(fresh)), ended)
        };
        if !ended.is_empty()
            && let Err(error) = self.give_back(&ended).await
        {
            // They are kept, and tried again with the next new key.
            tracing::warn!(%error, "grants that have ended could not be given back");
        }
        Ok(cell)
    }

    /// The keys of a shard whose grant has ended and that no request is looking at. Those that hold nothing more are forgotten.
    fn ended(&self, cells: &mut HashMap<KeyId, Arc<KeyCell>>) -> Vec<(KeyId, Arc<KeyCell>)> {
        let now_us = self.clock.monotonic_us();
        let today = admission::day_of(self.clock.now().as_microsecond().saturating_mul(1000));
        let mut ended = Vec::new();
        cells.retain(|id, cell| {
            let mut held = lock(&cell.held);
            let has_ended = match &*held {
                CellState::Nothing { .. } => true,
                CellState::Refused { until_us } => now_us >= *until_us,
                CellState::Granted { expires_us, .. } => now_us >= *expires_us,
            };
            if !has_ended || Arc::strong_count(cell) > 1 {
                return true;
            }
            // What came too late for a day that is over is taken by no grant any more.
            let is_late = lock(&cell.late).is_some_and(|(day, _)| day >= today);
            let is_settled = self.end(&mut held).0.is_none() && !is_late;
            if !is_settled {
                ended.push((*id, Arc::clone(cell)));
            }
            !is_settled
        });
        ended
    }

    /// Gives back what these keys owe. What the ledger says that it has is owed no more.
    async fn give_back(&self, cells: &[(KeyId, Arc<KeyCell>)]) -> Result<(), StoreError> {
        let owed = |(id, cell): &(KeyId, Arc<KeyCell>)| match &*lock(&cell.held) {
            CellState::Nothing { owed, .. } => owed.map(|owed| (Arc::clone(cell), (*id, owed))),
            CellState::Granted { .. } | CellState::Refused { .. } => None,
        };
        let (cells, returns): (Vec<Arc<KeyCell>>, Vec<(KeyId, Return)>) = cells.iter().filter_map(owed).unzip();
        if returns.is_empty() {
            return Ok(());
        }
        self.ledger.give_back(returns.clone()).await?;
        for (cell, (_, returned)) in cells.iter().zip(&returns) {
            if let CellState::Nothing { owed, .. } = &mut *lock(&cell.held)
                && owed.as_ref() == Some(returned)
            {
                *owed = None;
            }
        }
        Ok(())
    }

    /// Ends the grants of these keys at once: the next request asks the ledger. What was not spent is given back.
    ///
    /// # Errors
    /// When the ledger cannot be reached; the grants have ended all the same, and what was not spent is given back with the next
    /// request.
    pub async fn withdraw(&self, keys: impl IntoIterator<Item = KeyId>) -> Result<(), StoreError> {
        let mut ended = Vec::new();
        for id in keys {
            let cell = self.shard(id).and_then(|shard| lock(shard).get(&id).cloned());
            let Some(cell) = cell else { continue };
            {
                // A grant that is on its way from the ledger was counted before the change: wait for it and end it too.
                let _nobody_takes = cell.taking.lock().await;
                self.end(&mut lock(&cell.held));
            }
            ended.push((id, cell));
        }
        self.give_back(&ended).await
    }

    /// Ends all grants and gives back what was not spent: at a stop.
    ///
    /// # Errors
    /// When the ledger cannot be reached: the quota is then short of what was out.
    pub async fn withdraw_all(&self) -> Result<(), StoreError> {
        let keys: Vec<KeyId> =
            self.shards.iter().flat_map(|shard| lock(shard).keys().copied().collect::<Vec<_>>()).collect();
        self.withdraw(keys).await
    }
}
