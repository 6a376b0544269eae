//! What a node holds of a person: a grant, or what it owes the ledger; and of each of their keys: whether it works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{
    admission::{self, Grant, Return},
    id::UserId,
    key::KeyHash,
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
    /// Held by the one request that asks the ledger.
    pub(super) taking: tokio::sync::Mutex<()>,
}

impl PersonCell {
    pub(super) fn new(user: UserId) -> Self {
        Self {
            user,
            held: Mutex::new(CellState::nothing()),
            late: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
        }
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
