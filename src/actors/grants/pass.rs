//! What the gate decided of a request, and what an admitted one counts as in the end.

use std::{net::IpAddr, sync::Arc};

use super::cell::{CellState, PersonCell, lock};
use crate::{
    clock::Clock,
    domain::{
        admission::{KeyStanding, KeyUse, Slot},
        bounds::names_dataset,
        id::UserId,
        key::KeyId,
        reach::{KeyReach, OutOfReach},
    },
    store::PlanDatasets,
};

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
        /// Where the person stands.
        standing: KeyStanding,
    },
    /// The key works, but may not be used for this.
    OutOfReach(OutOfReach),
    /// The key was right once, and works no more. Why is nobody's business.
    Ended,
    /// The key is none of this deployment.
    Unknown,
}

/// An admitted request.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Where the person stands after it.
    pub standing: KeyStanding,
    /// The person.
    pub user: UserId,
    /// The key.
    pub key: KeyId,
    pub(super) day: i64,
    pub(super) cost: u64,
    pub(super) slot: Slot,
    pub(super) serial: u64,
    /// When it was admitted, on the monotonic clock and on the wall's.
    pub(super) admitted_us: (i64, i64),
    pub(super) reach: Arc<KeyReach>,
    pub(super) datasets: PlanDatasets,
    pub(super) cell: Arc<PersonCell>,
}

impl Pass {
    /// Whether the key, and its owner's plan, are for this data set.
    pub fn is_for(&self, dataset: &str) -> bool {
        self.reach.is_for(dataset) && names_dataset(self.datasets.as_deref(), dataset)
    }

    /// What the request counts as.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Counts the request by what was answered, once it is known what it counts as: for whoever looks at who asks for what.
    pub fn tell(&self, dataset: &str, status: u16, from: Option<IpAddr>) {
        let (now_us, at_us) = self.admitted_us;
        self.cell.count(now_us, |tally| {
            tally.count(self.day, self.key, dataset, status, (1, i64::try_from(self.cost).unwrap_or(i64::MAX)));
            tally.note_use(KeyUse { key: self.key, at_us, from });
        });
    }

    /// The same as [`Self::refund`], of a request that was told to have counted.
    pub fn refund_told(&mut self, dataset: &str, status: u16) {
        let cost = i64::try_from(self.cost).unwrap_or(i64::MAX);
        self.refund();
        self.cell.count(self.admitted_us.0, |tally| tally.count(self.day, self.key, dataset, status, (0, -cost)));
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
