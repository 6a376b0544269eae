//! A deployment's log as a whole, to read all of it and to write one into a deployment that has none. A transfer has no access to a
//! queue or a mail system: what follows from the log's events is done when a server runs, not before.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    checkpoints::{KeptCheckpoint, LEAVES_PART_BYTES, LeavesName},
    earlier_token::EarlierToken,
    error::StoreError,
    quarantine::Quarantine,
};
use crate::{
    domain::{
        id::{CommandId, UserId},
        persisted::StoredCommit,
        personal::PersonalKey,
    },
    secrets::SecretMark,
};

/// Opens a log as a whole.
pub trait Transferable: Send + Sync {
    /// The log to read, with its commits in this order.
    ///
    /// # Errors
    /// When the store does not answer.
    fn log_source(&self, order: LogOrder) -> Result<Box<dyn LogSource>, StoreError>;

    /// Room for another log.
    ///
    /// # Errors
    /// When the store does not answer.
    fn log_target(&self) -> Result<Box<dyn LogTarget>, StoreError>;
}

/// The order in which commits are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOrder {
    /// By position.
    Positions,
    /// Stream by stream, each by version. The streams have any order, and several may be read side by side, each in a lane of its own.
    Streams,
}

/// Commits that were read together.
#[derive(Debug, Default)]
pub struct LogChunk {
    /// The lane: what is read by streams has each stream in one lane, without another in between.
    pub lane: usize,
    /// The commits.
    pub commits: Vec<StoredCommit>,
}

/// A log to read.
pub trait LogSource: Send {
    /// How many commits there are, as far as the store can tell without reading them; more may come.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    fn commits_total(&mut self) -> Result<u64, StoreError>;

    /// The next commits; none at the end. A SQLite file is read as of one moment. DynamoDB has no such moment: of each stream a beginning is
    /// read, at least what was there when reading began.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
    fn next(&mut self) -> Result<LogChunk, StoreError>;

    /// Hands over all that a copy of the log needs beside its commits, personal keys only where they are asked for.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read, and what `take` returns.
    fn beside(&mut self, with_personal_keys: bool, take: TakeBeside<'_>) -> Result<(), StoreError>;
}

/// Receives what a copy of a log has beside its commits, some at a time.
pub type TakeBeside<'a> = &'a mut dyn FnMut(Vec<BesideLog>) -> Result<(), StoreError>;

/// What a copy of a log has beside its commits.
#[derive(Debug, Clone, PartialEq)]
pub enum BesideLog {
    /// The answer to a client's command that committed nothing.
    Answer {
        /// The command.
        command: CommandId,
        /// The mark of the request.
        request_hash: String,
        /// The answer.
        answer: String,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// A name that somebody has, as it is derived from an address and the server secret.
    Claim {
        /// The name.
        name: String,
        /// Its owner.
        owner: String,
    },
    /// The set of administrators who can sign in.
    Administrators(Vec<UserId>),
    /// The mark of a version of the server secret.
    SecretMark(SecretMark),
    /// An administrator's token from before tokens were events.
    EarlierToken(EarlierToken),
    /// A stream in quarantine.
    Quarantine(Quarantine),
    /// A signed checkpoint, and what tells its leaves, whose parts follow it in order.
    Checkpoint(KeptCheckpoint, LeavesName),
    /// A part of a checkpoint's packed leaves: of at most [`super::checkpoints::LEAVES_PART_BYTES`].
    CheckpointLeaves {
        /// The checkpoint's number.
        number: u64,
        /// The SHA-256 of all its packed leaves, in hex.
        sha256: String,
        /// The part's number, from 0.
        part: usize,
        /// The part.
        bytes: Vec<u8>,
    },
    /// The key that a person's data is sealed with.
    PersonalKey(UserId, PersonalKey),
}

impl BesideLog {
    /// A checkpoint and the parts of its leaves, in order.
    pub fn of_checkpoint(kept: KeptCheckpoint, leaves: &[u8]) -> Vec<Self> {
        let (number, name) = (kept.number, LeavesName::of(leaves));
        let sha256 = name.sha256.clone();
        let mut all = vec![Self::Checkpoint(kept, name)];
        all.extend(leaves.chunks(LEAVES_PART_BYTES).enumerate().map(|(part, bytes)| Self::CheckpointLeaves {
            number,
            sha256: sha256.clone(),
            part,
            bytes: bytes.to_vec(),
        }));
        all
    }
}

/// Room for a log.
pub trait LogTarget: Send {
    /// Whether there is room.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn room(&mut self) -> Result<Room, StoreError>;

    /// Marks the deployment as one that is being filled from this source: no server starts on it until [`Self::finish`].
    ///
    /// # Errors
    /// [`StoreError`] where the mark may not have been written.
    fn begin(&mut self, source: Uuid) -> Result<(), StoreError>;

    /// Writes commits as they are, with their positions and hashes. A commit without a hash gets it at the end. Written again after a
    /// failure, they are there once.
    ///
    /// # Errors
    /// [`StoreError`] where they may not have been written.
    fn put(&mut self, commits: &[StoredCommit]) -> Result<(), StoreError>;

    /// Writes what is beside the log. Written again after a failure, it is there once.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written.
    fn put_beside(&mut self, items: &[BesideLog]) -> Result<(), StoreError>;

    /// Makes the log complete, so that it can be read; the deployment stays marked until [`Self::finish`].
    ///
    /// # Errors
    /// [`StoreError`] where the log does not come out as one, such as with a version of a stream twice.
    fn settle(&mut self) -> Result<(), StoreError>;

    /// Takes the mark away: a server may start.
    ///
    /// # Errors
    /// [`StoreError`] where the mark may still be there.
    fn finish(&mut self) -> Result<(), StoreError>;
}

/// Whether a deployment has room for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It has nothing.
    Empty,
    /// It is being filled.
    Filling {
        /// The source.
        source: Uuid,
        /// The commits of the source, from its beginning, that are surely written.
        commits: u64,
    },
    /// It has a log of its own.
    Taken,
}

/// What a deployment is marked as. One without a mark is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum DeploymentMark {
    /// A log is being written into it.
    Filling {
        /// The source.
        source: Uuid,
        /// The commits of the source, from its beginning, that are surely written.
        commits: u64,
    },
    /// It is being moved: it is closed, and another one is being filled from it.
    Moving(Moving),
    /// It was moved: another one has its log, and goes on.
    Moved {
        /// Where to, for people.
        to: String,
        /// When.
        at: Timestamp,
        /// The address of the other one, if it was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
}

/// A move that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moving {
    /// The move's own id: the other deployment is being filled from a source of this id.
    pub id: Uuid,
    /// Where to, for people.
    pub to: String,
    /// When the deployment was closed.
    pub at: Timestamp,
    /// The address of the other one, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The step that comes next.
    pub step: MoveStep,
}

/// A step of a move. A move that is repeated goes on with the step that it had come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveStep {
    /// What still writes into the closed deployment comes to its end.
    Quiet,
    /// The log, and what is beside it.
    Log,
    /// The server secret.
    Secret,
    /// People's accounts in the ledger.
    Ledger,
    /// The views.
    Views,
    /// The records.
    Records,
    /// Both are compared.
    Compare,
    /// The other one is opened.
    Finish,
}

impl fmt::Display for DeploymentMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filling { .. } => f.write_str(
                "a log is being written into this deployment, and is not complete: repeat the `permitd events import` with the same file, \
                 or the `permitd move`, that writes it",
            ),
            Self::Moving(Moving { to, at, .. }) => write!(
                f,
                "this deployment is being moved to {to}, and takes no more commands since {at}: repeat the `permitd move` until it is \
                 done, or give it up with `permitd move --abandon`"
            ),
            Self::Moved { to, at, address } => {
                write!(f, "this deployment was moved at {at}, and takes no more commands: go on with the one in {to}")?;
                address.as_ref().map_or(Ok(()), |address| write!(f, " ({address})"))
            }
        }
    }
}

impl DeploymentMark {
    /// What clients of a closed deployment are told: that it goes on elsewhere, and where if an address was told. No path and no name of
    /// tables. None where it was not moved.
    pub fn told_to_clients(&self) -> Option<String> {
        let (what, address) = match self {
            Self::Filling { .. } => return None,
            Self::Moving(Moving { address, .. }) => ("is being moved, and", address),
            Self::Moved { address, .. } => ("was moved, and", address),
        };
        Some(match address {
            Some(address) => format!("this server {what} goes on at {address}"),
            None => format!("this server {what} goes on elsewhere: whoever runs it knows the address"),
        })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] where this permitd does not know it.
    pub(super) fn read(json: &str) -> Result<Self, StoreError> {
        serde_json::from_str(json).map_err(|error| {
            StoreError::Incompatible(format!("the deployment bears a mark that this permitd does not know: {error}"))
        })
    }

    /// The stored form.
    pub(super) fn json(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}
