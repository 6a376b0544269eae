//! The two backends, for tests that do not mind which: places in which a deployment keeps its things, and what nodes over them
//! have.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use permitd::{
    clock::{Clock, ManualClock, SharedClock},
    queue::{Policy, Queue, sqlite::SqliteQueue},
    secrets::{Secrets, SystemEntropy},
    store::{Stores, sqlite::Database},
};

/// The time at which every world begins.
pub(crate) const BEGINNING: &str = "2026-03-01T12:00:00Z";

/// Which backend. Every test binary has its own: `MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Sqlite,
}

/// What a node has of a place.
pub(crate) struct Kept {
    pub(crate) stores: Stores,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) secrets: Secrets,
}

/// Where one deployment keeps its things: empty at first, and with nobody else in it.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// One of this kind.
    pub(crate) async fn new(mode: Mode) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory");
        match mode {
            Mode::Sqlite => Arc::new(Self { folder }),
        }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What a node has of it that begins now; nothing that another node holds in memory.
    pub(crate) async fn open(&self, clock: SharedClock) -> Kept {
        // The first makes the folder.
        let secrets = Secrets::open(&self.data(), &SystemEntropy).expect("secrets");
        let database = Database::open(&self.data()).expect("a database");
        let queue = Arc::new(SqliteQueue::new(database.clone(), clock, Policy::default()));
        Kept { stores: database.stores(), queue, secrets }
    }
}

/// A clock that only moves when told to, and takes the time of its place's queue along.
#[derive(Debug, Clone)]
pub(crate) struct PlaceClock {
    clock: Arc<ManualClock>,
    place: Option<Arc<Place>>,
}

impl PlaceClock {
    /// The clock of a place's nodes, at the beginning.
    pub(crate) fn of(place: &Arc<Place>) -> Self {
        Self { clock: ManualClock::at(BEGINNING.parse().unwrap()), place: Some(Arc::clone(place)) }
    }

    /// The clock of a node that is `skew_s` seconds ahead, or behind. It moves alone.
    pub(crate) fn skewed(&self, skew_s: i64) -> Self {
        let clock = ManualClock::at(self.now());
        clock.advance_us(skew_s * 1_000_000);
        Self { clock, place: None }
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance_us(i64::try_from(duration.as_micros()).unwrap());
    }

    /// The same for whoever is handed a clock.
    pub(crate) fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for PlaceClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic_us(&self) -> i64 {
        self.clock.monotonic_us()
    }
}
