//! Giving back: what was not spent goes to the ledger again, and what a node believes of people, keys and sessions ends.

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
    /// Gives back what these people owe, and tells what was counted of them. What the ledger says that it has is owed no more.
    pub(super) async fn give_back(&self, cells: &[Arc<PersonCell>]) -> Result<(), StoreError> {
        let mut given = Vec::new();
        let now_us = self.clock.monotonic_us();
        for cell in cells {
            let held = lock(&cell.held);
            let (returned, is_known) = match &*held {
                CellState::Nothing { owed, unanswered_from, .. } => (*owed, unanswered_from.is_none()),
                CellState::Granted { .. } => (None, true),
            };
            // Of a tally that was not answered only the next grant can tell whether it was taken.
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

    /// Tells the ledger what was counted of a person's requests, and gives back what is left of a grant that has ended, so that
    /// what the ledger says of them is true as far as this node goes.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn settle(&self, user: UserId) -> Result<(), StoreError> {
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned());
        let Some(cell) = cell else { return Ok(()) };
        self.end_if_over(&cell, 0).await;
        self.give_back(&[cell]).await
    }

    /// What the node holds of a person's quota and may still spend: of which UTC day, and how much.
    pub fn unspent(&self, user: UserId) -> Option<(i64, u64)> {
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned())?;
        match &*lock(&cell.held) {
            CellState::Granted { grant, .. } => Some((grant.day(), grant.left())),
            CellState::Nothing { .. } => None,
        }
    }

    /// The same as [`Self::settle`] for all whose grants have ended a while ago, or of whom something was counted a while ago.
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

    /// Ends a grant whose life was over so long ago. Whether there is something to be given back.
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

    /// Ends at once what the node holds of a person and of these keys and sessions of theirs: the next request asks the ledger. What was not
    /// spent is given back.
    ///
    /// # Errors
    /// When the ledger cannot be reached; the grant has ended all the same, and what was not spent is given back with the next
    /// request.
    pub async fn withdraw(&self, user: UserId, keys: impl IntoIterator<Item = KeyId>) -> Result<(), StoreError> {
        self.forget(keys).await;
        let cell = self.people_beside(user).and_then(|shard| lock(shard).get(&user).cloned());
        let Some(cell) = cell else { return Ok(()) };
        self.end_grant(&cell).await;
        self.give_back(&[cell]).await
    }

    /// Ends at once what the node believes of these keys and sessions: the next request with one asks the ledger.
    pub async fn forget(&self, keys: impl IntoIterator<Item = KeyId>) {
        for id in keys {
            let cell = self.keys_beside(id).and_then(|shard| lock(shard).get(&id).cloned());
            let Some(cell) = cell else { continue };
            // What is on its way from the ledger was read before the change: wait for it and end it too.
            let _nobody_asks = cell.taking.lock().await;
            *lock(&cell.held) = KeyState::Unchecked;
        }
    }

    async fn end_grant(&self, cell: &PersonCell) {
        // A grant that is on its way from the ledger was counted before the change: wait for it and end it too.
        let _nobody_takes = cell.taking.lock().await;
        self.end(&mut lock(&cell.held));
    }

    /// Ends all grants and gives back what was not spent: at a stop.
    ///
    /// # Errors
    /// When the ledger cannot be reached: the quota is then short of what was out.
    pub async fn withdraw_all(&self) -> Result<(), StoreError> {
        let everybody = self.people.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>());
        let cells: Vec<Arc<PersonCell>> = everybody.collect();
        for cell in &cells {
            self.end_grant(cell).await;
        }
        self.give_back(&cells).await
    }
}
