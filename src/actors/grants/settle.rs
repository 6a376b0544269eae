//! Settling: returns unspent tokens to the ledger, and ends what a node holds of people, keys and sessions.

use std::sync::Arc;

use super::{
    GrantBook, SETTLES_AFTER_US,
    cell::{CellState, KeyState, PersonCell, lock},
};
use crate::{
    domain::{id::UserId, key::KeyId},
    store::{GivenBack, StoreError},
};

impl GrantBook {
    /// Returns what these people owe, and reports their tallies. Confirmed returns are no longer owed.
    pub(super) async fn give_back(&self, cells: &[Arc<PersonCell>]) -> Result<(), StoreError> {
        let mut given = Vec::new();
        let now_us = self.clock.monotonic_us();
        for cell in cells {
            let held = lock(&cell.held);
            let (returned, is_known) = match &*held {
                CellState::Nothing { owed, unanswered_from, .. } => (*owed, unanswered_from.is_none()),
                CellState::Granted { .. } => (None, true),
            };
            // Only the next grant can tell whether an unanswered tally was taken.
            let tally = if is_known { lock(&cell.counted).give(now_us) } else { None };
            drop(held);
            if returned.is_some() || tally.is_some() {
                given.push((cell, GivenBack { user: cell.user, returned, tally }));
            }
        }
        if given.is_empty() {
            return Ok(());
        }
        let told = self.ledger.give_back(given.iter().map(|(_, given)| given.clone()).collect()).await;
        for (cell, given) in given {
            if told.is_ok()
                && let CellState::Nothing { owed, .. } = &mut *lock(&cell.held)
                && *owed == given.returned
            {
                *owed = None;
            }
        }
        told
    }

    /// Reports a person's tally to the ledger and returns the rest of an ended grant, so that the ledger's account is complete as far as
    /// this node goes.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn settle(&self, user: UserId) -> Result<(), StoreError> {
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned());
        let Some(cell) = cell else { return Ok(()) };
        self.end_if_over(&cell, 0).await;
        self.give_back(&[cell]).await
    }

    /// The part of a person's quota that the node may still spend: its UTC day and amount.
    pub fn unspent(&self, user: UserId) -> Option<(i64, u64)> {
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned())?;
        match &*lock(&cell.held) {
            CellState::Granted { grant, .. } => Some((grant.day(), grant.left())),
            CellState::Nothing { .. } => None,
        }
    }

    /// Settles all whose grants ended, or whose requests were counted, a while ago.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn settle_idle(&self) -> Result<(), StoreError> {
        let now_us = self.clock.monotonic_us();
        let mut idle = Vec::new();
        for shard in &self.people {
            let cells: Vec<Arc<PersonCell>> = lock(shard).values().cloned().collect();
            for cell in cells {
                let waits = lock(&cell.counted).since_us.is_some_and(|since| now_us - since >= SETTLES_AFTER_US);
                if self.end_if_over(&cell, SETTLES_AFTER_US).await || waits {
                    idle.push(cell);
                }
            }
        }
        self.give_back(&idle).await
    }

    /// Ends a grant that expired this long ago. Returns whether there is something to return.
    async fn end_if_over(&self, cell: &PersonCell, since_us: i64) -> bool {
        let is_over = |held: &CellState| match held {
            CellState::Granted { expires_us, .. } => self.clock.monotonic_us() - *expires_us >= since_us,
            CellState::Nothing { .. } => false,
        };
        if !is_over(&lock(&cell.held)) {
            return false;
        }
        let _nobody_takes = cell.taking.lock().await;
        let held = &mut *lock(&cell.held);
        is_over(held) && self.end(held).0.is_some()
    }

    /// Ends at once what the node holds of a person and of these keys and sessions: the next request asks the ledger. Returns unspent
    /// tokens.
    ///
    /// # Errors
    /// When the ledger cannot be reached; the grant has ended all the same, and its rest is returned with the next request.
    pub async fn withdraw(&self, user: UserId, keys: impl IntoIterator<Item = KeyId>) -> Result<(), StoreError> {
        self.forget(keys).await;
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned());
        let Some(cell) = cell else { return Ok(()) };
        self.end_grant(&cell).await;
        self.give_back(&[cell]).await
    }

    /// Ends at once what the node knows of these keys and sessions: their next request asks the ledger.
    pub async fn forget(&self, keys: impl IntoIterator<Item = KeyId>) {
        for id in keys {
            let cell = self.keys_beside(id).and_then(|shard| lock(shard).get(&id).cloned());
            let Some(cell) = cell else { continue };
            // An answer on its way from the ledger was read before the change: wait for it and drop it, too.
            let _nobody_asks = cell.taking.lock().await;
            *lock(&cell.held) = KeyState::Unchecked;
        }
    }

    async fn end_grant(&self, cell: &PersonCell) {
        // A grant on its way from the ledger was counted before the change: wait for it and end it, too.
        let _nobody_takes = cell.taking.lock().await;
        self.end(&mut lock(&cell.held));
    }

    /// Ends all grants and returns unspent tokens: at a stop.
    ///
    /// # Errors
    /// When the ledger cannot be reached: the unreturned tokens are then missing from the quota.
    pub async fn withdraw_all(&self) -> Result<(), StoreError> {
        let everybody = self.people.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>());
        let cells: Vec<Arc<PersonCell>> = everybody.collect();
        for cell in &cells {
            self.end_grant(cell).await;
        }
        self.give_back(&cells).await
    }
}
