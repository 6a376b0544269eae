//! What a node holds of a person: a grant, or a debt to the ledger; and of each key: whether it works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool};

use crate::{
    domain::{
        admission::{self, Grant, Return, Tally},
        id::UserId,
        key::KeyHash,
        reach::KeyReach,
    },
    store::PlanDatasets,
};

/// A key's cell in the book.
#[derive(Debug, Default)]
pub(super) struct KeyCell {
    pub(super) held: Mutex<KeyState>,
    /// Locked by the one request that asks the ledger.
    pub(super) taking: tokio::sync::Mutex<()>,
}

/// The known state of a key.
#[derive(Debug, Default)]
pub(super) enum KeyState {
    /// Unknown, or no longer known.
    #[default]
    Unchecked,
    Works {
        person: Arc<PersonCell>,
        hash: KeyHash,
        reach: Arc<KeyReach>,
        until_us: i64,
    },
    Refused {
        until_us: i64,
    },
}

/// A person's cell in the book.
#[derive(Debug)]
pub(super) struct PersonCell {
    pub(super) user: UserId,
    pub(super) held: Mutex<CellState>,
    /// A refund that came while no grant could take it: its day and amount. That day's next grant takes it.
    pub(super) late: Mutex<Option<(i64, u64)>>,
    /// The day and the last share of the quota, percent, that the person was told of.
    pub(super) told: Mutex<(i64, u8)>,
    /// Whether the person's first request is recorded, or about to be.
    pub(super) used: AtomicBool,
    /// Locked after `held`, when both are locked.
    pub(super) counted: Mutex<PendingCounts>,
    /// Locked by the one request that asks the ledger.
    pub(super) taking: tokio::sync::Mutex<()>,
}

/// Counts of a person's requests.
#[derive(Debug, Default)]
pub(super) struct PendingCounts {
    /// The tally that the ledger was not told yet.
    pub(super) new: Tally,
    /// The tally that the ledger was told but has not confirmed.
    pub(super) told: Option<Arc<Tally>>,
    /// When the oldest pending count was made, on the monotonic clock.
    pub(super) since_us: Option<i64>,
}

impl PendingCounts {
    /// The tally to tell the ledger next: the same one until the ledger confirms it.
    pub(super) fn next(&mut self) -> Option<Arc<Tally>> {
        if self.told.is_none() && !self.new.is_empty() {
            self.told = Some(Arc::new(std::mem::take(&mut self.new)));
        }
        self.told.clone()
    }

    /// Takes out the tally for a single report that is never repeated, answered or not: nobody else reports it meanwhile.
    pub(super) fn give(&mut self, now_us: i64) -> Option<Arc<Tally>> {
        let given = self.next();
        self.was_told(now_us);
        given
    }

    /// The ledger confirmed the reported tally.
    pub(super) fn was_told(&mut self, now_us: i64) {
        self.told = None;
        self.since_us = (!self.new.is_empty()).then_some(now_us);
    }
}

impl PersonCell {
    pub(super) fn new(user: UserId) -> Self {
        Self {
            user,
            held: Mutex::new(CellState::nothing()),
            late: Mutex::default(),
            told: Mutex::default(),
            used: AtomicBool::new(false),
            counted: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
        }
    }

    /// Adds to the tally, which waits from `now_us` on.
    pub(super) fn count(&self, now_us: i64, note: impl FnOnce(&mut Tally)) {
        let mut counted = lock(&self.counted);
        note(&mut counted.new);
        counted.since_us.get_or_insert(now_us);
    }

    /// Keeps a refund for the next grant. Only the later of two days is kept: the other one is over.
    pub(super) fn refund_later(&self, day: i64, cost: u64) {
        let mut late = lock(&self.late);
        *late = match *late {
            Some((kept_day, kept)) if kept_day == day => Some((day, kept.saturating_add(cost))),
            Some((kept_day, kept)) if kept_day > day => Some((kept_day, kept)),
            _ => Some((day, cost)),
        };
    }

    /// Adds the kept refund to the grant. A refund for another day is lost.
    pub(super) fn with_late(&self, mut grant: Grant) -> Grant {
        if let Some((day, cost)) = lock(&self.late).take() {
            grant.refund(day, cost);
        }
        grant
    }
}

/// The content of a person's cell.
#[derive(Debug)]
pub(super) enum CellState {
    /// There is no grant, but perhaps one that ended and has to be returned, and perhaps unanswered requests to the ledger.
    Nothing {
        want: u64,
        owed: Option<Return>,
        unanswered_from: Option<u64>,
    },
    Granted {
        grant: Grant,
        datasets: PlanDatasets,
        want: u64,
        taken_wall_ns: i64,
        taken_us: i64,
        expires_us: i64,
    },
}

impl CellState {
    pub(super) fn nothing() -> Self {
        Self::Nothing { want: admission::WANT_MIN, owed: None, unanswered_from: None }
    }
}

/// Locks data that no panic can leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
