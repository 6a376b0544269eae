//! Injected time: a wall clock for stored times and a monotonic clock for expiry.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;

/// The source of time of a running node.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock, UTC, in whole microseconds, so that an immediate answer and a later read show the same time.
    fn now(&self) -> Timestamp;
    /// Microseconds since some fixed moment of this process; never goes back.
    fn monotonic_us(&self) -> i64;
}

/// A clock as it is passed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn shared() -> SharedClock {
        Arc::new(Self { started: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or(Timestamp::MAX)
    }

    fn monotonic_us(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

/// A clock that began at a moment of the past and goes on from there, as fast as another clock does: for a copy of a deployment as it was.
#[derive(Debug)]
pub struct PastClock {
    began: Timestamp,
    began_us: i64,
    by: SharedClock,
}

impl PastClock {
    /// A clock that says `began` now.
    pub fn from(began: Timestamp, by: SharedClock) -> SharedClock {
        Arc::new(Self { began, began_us: by.monotonic_us(), by })
    }
}

impl Clock for PastClock {
    fn now(&self) -> Timestamp {
        let passed_us = self.by.monotonic_us().saturating_sub(self.began_us);
        Timestamp::from_microsecond(self.began.as_microsecond().saturating_add(passed_us)).unwrap_or(Timestamp::MAX)
    }

    fn monotonic_us(&self) -> i64 {
        self.by.monotonic_us()
    }
}

/// A clock that moves only when told to: for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall_us: AtomicI64,
    monotonic_us: AtomicI64,
    step_us: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `at`.
    pub fn at(at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            wall_us: AtomicI64::new(at.as_microsecond()),
            monotonic_us: AtomicI64::new(0),
            step_us: AtomicI64::new(0),
        })
    }

    /// From now on each reading advances the monotonic clock by this many microseconds; 0 lets it stand.
    pub fn hurry_us(&self, step_us: i64) {
        self.step_us.store(step_us, Ordering::SeqCst);
    }

    /// Sets the wall clock forward, or back when `us` is negative. No time passes: the monotonic clock stays.
    pub fn shift_wall_us(&self, us: i64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Moves both clocks forward.
    pub fn advance_us(&self, us: i64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.wall_us.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn monotonic_us(&self) -> i64 {
        self.monotonic_us.fetch_add(self.step_us.load(Ordering::SeqCst), Ordering::SeqCst)
    }
}
