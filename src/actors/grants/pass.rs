//! The gate's decision on a request, and the final cost of an admitted one.

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

/// The gate's decision on a request.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It may pass.
    Admitted(Pass),
    /// A limit is reached.
    Limited {
        /// Whether the rate is reached.
        rate: bool,
        /// Whether the quota is reached.
        quota: bool,
        /// Nanoseconds until a request could pass.
        retry_after_ns: i64,
        /// The person's standing.
        standing: KeyStanding,
    },
    /// The key works, but may not be used for this.
    OutOfReach(OutOfReach),
    /// The key was valid once and has ended. The reason is not told.
    Ended,
    /// The key does not belong to this deployment.
    Unknown,
}

/// An admitted request.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The person's standing after the request.
    pub standing: KeyStanding,
    /// The person.
    pub user: UserId,
    /// The key.
    pub key: KeyId,
    pub(super) day: i64,
    pub(super) cost: u64,
    pub(super) slot: Slot,
    pub(super) serial: u64,
    /// When the request was admitted, by the monotonic and the wall clock.
    pub(super) admitted_us: (i64, i64),
    pub(super) reach: Arc<KeyReach>,
    pub(super) datasets: PlanDatasets,
    pub(super) cell: Arc<PersonCell>,
}

impl Pass {
    /// Whether the key's scopes and the owner's plan include this data set.
    pub fn is_for(&self, dataset: &str) -> bool {
        self.reach.is_for(dataset) && names_dataset(self.datasets.as_deref(), dataset)
    }

    /// The cost of the request.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Adds the answered request to the person's usage, once its cost is final.
    pub fn tell(&self, dataset: &str, status: u16, from: Option<IpAddr>) {
        let (now_us, at_us) = self.admitted_us;
        self.cell.count(now_us, |tally| {
            tally.count(self.day, self.key, dataset, status, (1, i64::try_from(self.cost).unwrap_or(i64::MAX)));
            tally.note_use(KeyUse { key: self.key, at_us, from });
        });
    }

    /// Like [`Self::refund`], for a request that [`Self::tell`] has added already.
    pub fn refund_told(&mut self, dataset: &str, status: u16) {
        let cost = i64::try_from(self.cost).unwrap_or(i64::MAX);
        self.refund();
        self.cell.count(self.admitted_us.0, |tally| tally.count(self.day, self.key, dataset, status, (0, -cost)));
    }

    /// Refunds the request's quota because the server failed. The rate is not refunded.
    pub fn refund(&mut self) {
        let cost = std::mem::take(&mut self.cost);
        match &mut *lock(&self.cell.held) {
            CellState::Granted { grant, .. } => grant.refund(self.day, cost),
            _ => self.cell.refund_later(self.day, cost),
        }
        self.standing.quota_left = self.standing.quota_left.saturating_add(cost).min(self.standing.bucket.quota);
    }

    /// Lowers the request's cost to `kept`, for both quota and rate: 0 if it was refused before any work.
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
                // The grant of its admission has ended: its place in the bucket is in the past, or another request's.
                grant.refund(self.day, cost);
            }
            self.standing = grant.standing(now_ns);
        } else {
            self.cell.refund_later(self.day, cost);
            self.standing.quota_left = self.standing.quota_left.saturating_add(cost).min(self.standing.bucket.quota);
        }
    }
}
