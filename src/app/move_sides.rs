//! The two sides of a move: the deployment that is closed, and the one that goes on. Opened for the move alone, with the locks that keep
//! servers away.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    Purpose, StartError, backend,
    data_dir::{self, Premises},
    move_error::MoveError,
};
use crate::{
    aws::Bridge,
    clock::SharedClock,
    config::{Backend, Settings},
    domain::{
        fulfilment,
        persisted::{self, StoredCommit},
    },
    queue::{EventMessage, Message, Queue, sqlite::SqliteQueue},
    store::{Stores, sqlite::Database},
};

/// How many times a queue's retention a message may be old that is not lost: one that is put off, or tried again after it had died, begins anew.
const RETENTIONS: i64 = 2;
/// Hours of a day.
const DAY_HOURS: i64 = 24;

/// A deployment that is opened for a move.
pub(super) struct MoveSide {
    pub(super) settings: Settings,
    pub(super) stores: Stores,
    /// Its queue, where it is in the same file.
    queue: Option<Arc<dyn Queue>>,
    /// Keep servers away as long as this lives.
    _locks: Option<Premises>,
}

impl MoveSide {
    /// Opens the side that is closed, which must be there.
    pub(super) fn source(bridge: &Bridge, settings: &Settings, clock: &SharedClock) -> Result<Self, MoveError> {
        if settings.backend == Backend::Aws {
            return Self::aws(bridge, settings);
        }
        if backend::purpose_on(settings, Purpose::Serve)? != Purpose::Serve {
            return Err(StartError::NothingToRead { path: settings.data.clone() }.into());
        }
        data_dir::open(&settings.data, Purpose::Command)?;
        data_dir::refuse_a_lost_database(&settings.data)?;
        Self::sqlite(bridge, settings, Some(clock))
    }

    /// Opens the side that goes on.
    pub(super) fn target(bridge: &Bridge, settings: &Settings) -> Result<Self, MoveError> {
        if settings.backend == Backend::Aws {
            let side = Self::aws(bridge, settings)?;
            let upkeep = Arc::clone(&side.stores.upkeep);
            // Whatever is missing there is told before anything is closed.
            bridge.run(async move { upkeep.probe().await })??;
            return Ok(side);
        }
        data_dir::open(&settings.data, Purpose::Serve)?;
        data_dir::refuse_a_lost_database(&settings.data).map_err(|error| match error {
            StartError::LostDatabase { data, left } => MoveError::DirectoryTaken { data, left },
            other => other.into(),
        })?;
        Self::sqlite(bridge, settings, None)
    }

    fn aws(bridge: &Bridge, settings: &Settings) -> Result<Self, MoveError> {
        let of_work = settings.clone();
        let stores = bridge.run(async move { backend::open_stores(&of_work, None).await })??;
        Ok(Self { settings: settings.clone(), stores, queue: None, _locks: None })
    }

    fn sqlite(bridge: &Bridge, settings: &Settings, clock: Option<&SharedClock>) -> Result<Self, MoveError> {
        let data = settings.data.clone();
        let (locks, _) = bridge.run(async move { data_dir::take_locks(&data, Purpose::Serve).await })??;
        let database = Database::open(&settings.data)?;
        let queue = clock.map(|clock| -> Arc<dyn Queue> {
            Arc::new(SqliteQueue::new(database.clone(), Arc::clone(clock), settings.queue.policy()))
        });
        Ok(Self { settings: settings.clone(), stores: database.stores(), queue, _locks: locks })
    }

    /// The deployment, for people.
    pub(super) fn name(&self) -> String {
        name_of(&self.settings)
    }

    /// Which commits' messages may be lost with this side's queue, when it was closed at `closed_at`.
    pub(super) fn held_messages(&self, bridge: &Bridge, closed_at: Timestamp) -> Result<HeldMessages, MoveError> {
        if let Some(queue) = self.queue.clone()
            && let Some(bodies) = bridge.run(async move { queue.held().await })??
        {
            let mut held = HashSet::new();
            for body in &bodies {
                match serde_json::from_str(body) {
                    Ok(Message::V1(EventMessage { stream, version, .. })) => drop(held.insert((stream, version))),
                    Err(error) => tracing::warn!(%error, "a message that cannot be read is not moved"),
                }
            }
            return Ok(HeldMessages::Of(held));
        }
        let kept = SignedDuration::from_hours(RETENTIONS * DAY_HOURS * i64::from(self.settings.queue.retention_days));
        Ok(HeldMessages::Since(closed_at.checked_sub(kept).unwrap_or(Timestamp::MIN)))
    }
}

/// The deployment that the settings name, for people.
pub(super) fn name_of(settings: &Settings) -> String {
    match settings.backend {
        Backend::Sqlite => {
            let data = std::fs::canonicalize(&settings.data).unwrap_or_else(|_| settings.data.clone());
            format!("the data directory {}", data.display())
        }
        Backend::Aws => format!("AWS (the tables {}-…)", settings.aws.prefix),
    }
}

/// The folder of the records' move.
pub(super) fn workspace(settings: &Settings) -> PathBuf {
    settings.data.join(".moving")
}

/// The commits whose messages may not have been handled. The other side publishes them again; a message that comes twice does no harm.
pub(super) enum HeldMessages {
    /// Those of these streams and versions.
    Of(HashSet<(String, u64)>),
    /// All since this moment: the queue cannot show what it holds, and keeps nothing longer.
    Since(Timestamp),
}

impl HeldMessages {
    /// Marks a commit as one whose messages are to be published, if they may have been lost. Returns whether it did.
    pub(super) fn mark(&self, commit: &mut StoredCommit) -> bool {
        let is_held = match self {
            Self::Of(held) => held.contains(&(commit.stream.to_string(), commit.version)),
            // Events that cannot be read have no mail either: their stream is in quarantine.
            Self::Since(since) => {
                commit.recorded_at >= *since
                    && persisted::decode(commit, None)
                        .is_ok_and(|events| events.iter().any(|event| fulfilment::duty(event).is_some()))
            }
        };
        let is_new = is_held && !commit.marked;
        commit.marked |= is_held;
        is_new
    }
}
