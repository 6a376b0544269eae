//! What a node holds of a person: a grant, or what it owes the ledger; and of each of their keys: whether it works.

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

/// A key's place in the book.
#[derive(Debug, Default)]
pub(super) struct KeyCell {
    pub(super) held: Mutex<KeyState>,
    /// Held by the one request that asks the ledger.
    pub(super) taking: tokio::sync::Mutex<()>,
}

/// What is known of a key.
#[derive(Debug, Default)]
pub(super) enum KeyState {
    /// Nothing, or nothing any more.
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

/// A person's place in the book.
#[derive(Debug)]
pub(super) struct PersonCell {
    pub(super) user: UserId,
    pub(super) held: Mutex<CellState>,
    /// What was given back while there was no grant that could take it: its day, and how much. The next grant of that day does.
    pub(super) late: Mutex<Option<(i64, u64)>>,
    /// Of which day they are told how much of the quota is spent, percent.
    pub(super) told: Mutex<(i64, u8)>,
    /// Whether it is written down, or about to be, that they make requests.
    pub(super) used: AtomicBool,
    /// Locked after `held`, where both are.
    pub(super) counted: Mutex<PendingCounts>,
    /// Held by the one request that asks the ledger.
    pub(super) taking: tokio::sync::Mutex<()>,
}

/// What was counted of the person's requests.
#[derive(Debug, Default)]
pub(super) struct PendingCounts {
    /// What the ledger was not told yet.
    pub(super) new: Tally,
    /// What it was told, and has not said that it has it.
    pub(super) told: Option<Arc<Tally>>,
    /// Since when something waits, on the monotonic clock.
    pub(super) since_us: Option<i64>,
}

impl PendingCounts {
    /// What the ledger is to be told next: one tally until it has it.
    pub(super) fn next(&mut self) -> Option<Arc<Tally>> {
        if self.told.is_none() && !self.new.is_empty() {
            self.told = Some(Arc::new(std::mem::take(&mut self.new)));
        }
        self.told.clone()
    }

    /// Takes out what the ledger is told at once and never again, whether it answers or not: nobody else tells it meanwhile.
    pub(super) fn give(&mut self, now_us: i64) -> Option<Arc<Tally>> {
        let given = self.next();
        self.was_told(now_us);
        given
    }

    /// The ledger has what it was told.
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

    /// Counts, from `now_us` on.
    pub(super) fn count(&self, now_us: i64, note: impl FnOnce(&mut Tally)) {
        let mut counted = lock(&self.counted);
        note(&mut counted.new);
        counted.since_us.get_or_insert(now_us);
    }

    /// Keeps what is given back for the next grant. Of two days the later one: the other is over.
    pub(super) fn refund_later(&self, day: i64, cost: u64) {
        let mut late = lock(&self.late);
        *late = match *late {
            Some((kept_day, kept)) if kept_day == day => Some((day, kept.saturating_add(cost))),
            Some((kept_day, kept)) if kept_day > day => Some((kept_day, kept)),
            _ => Some((day, cost)),
        };
    }

    /// The grant, with what was given back before it came. What is of another day stays counted.
    pub(super) fn with_late(&self, mut grant: Grant) -> Grant {
        if let Some((day, cost)) = lock(&self.late).take() {
            grant.refund(day, cost);
        }
        grant
    }
}

/// What a person's cell holds.
#[derive(Debug)]
pub(super) enum CellState {
    /// No grant, but perhaps one that ended, and that the ledger is still to take back; and perhaps requests to the ledger that
    /// it has not answered.
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

/// Locks what no panic can leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
