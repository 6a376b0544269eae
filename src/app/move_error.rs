//! Why a move did not happen, or is not complete.

use jiff::Timestamp;
use uuid::Uuid;

use super::{StartError, moved_records::RecordsMoveError};
use crate::{
    aws::BridgeError, private::PrivacyError, queue::QueueError, replay::ReplayError, secrets::EntropyError,
    store::StoreError, transfer::TransferError,
};

/// Why a move did not happen, or is not complete.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The source is of that backend already.
    #[error(
        "the settings name a deployment of the backend {0} already: name the old side with --backend, and the new one with --to"
    )]
    SameBackend(&'static str),
    /// The new side has something.
    #[error(
        "{to} has a deployment already, and a move needs room that has none. If it is an old one that you do not need any more, remove it \
         yourself: move the data directory away, or delete the tables and queues and run `permitd aws setup`; or name another place with \
         --data or aws.prefix. The old side is as it was"
    )]
    TargetTaken {
        /// The new side.
        to: String,
    },
    /// The directory of the new side holds something else.
    #[error("{left} is in {data}, which is to become the new side, and must be empty: name another directory with --data", data = data.display(), left = left.display())]
    DirectoryTaken {
        /// The directory.
        data: std::path::PathBuf,
        /// What is there.
        left: std::path::PathBuf,
    },
    /// Something else is being written into the new side.
    #[error(
        "an import or another move was interrupted in {to} (its id is {began}): go on with that one, or remove what it left and begin again. \
         The old side is as it was"
    )]
    OtherBegan {
        /// The new side.
        to: String,
        /// The id of what began there.
        began: Uuid,
    },
    /// The new side has a secret of its own.
    #[error(
        "{to} has another server secret already: with it no key would work. Remove it, or name another place; the old side is as it was"
    )]
    OtherSecret {
        /// The new side.
        to: String,
    },
    /// The old side is being moved elsewhere.
    #[error("the deployment is being moved to {to}: repeat that move, or give it up with `permitd move --abandon`")]
    OtherMove {
        /// Where to.
        to: String,
    },
    /// The old side was moved before.
    #[error("the deployment was moved at {at}: go on with the one in {to}")]
    MovedBefore {
        /// Where to.
        to: String,
        /// When.
        at: Timestamp,
    },
    /// The new side lost what was written into it.
    #[error(
        "{to} has not what this move wrote into it: give the move up with `permitd move --abandon`, and begin again with an empty one"
    )]
    TargetLost {
        /// The new side.
        to: String,
    },
    /// Another process changed the mark.
    #[error("the move was given up, or goes on in another process: this one has stopped")]
    Interfered,
    /// There is no move to give up.
    #[error("the deployment is not being moved: there is nothing to give up")]
    NotMoving,
    /// The new side may have been opened.
    #[error(
        "the new side, {to}, is open already, or may be: the move cannot be given up any more. Repeat `permitd move`: all that is missing is \
         the mark on the old side"
    )]
    TooLate {
        /// The new side.
        to: String,
    },
    /// Both sides differ.
    #[error(
        "the new side is not what the old one is, and was not opened: {0}. Give the move up with `permitd move --abandon`, and tell the makers"
    )]
    Differs(String),
    /// A checkpoint of a reader cannot be moved.
    #[error("{0}")]
    Checkpoints(String),
    /// A side cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be moved.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The records cannot be moved.
    #[error(transparent)]
    Records(#[from] RecordsMoveError),
    /// The views of the new side cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The old side's queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The workspace is not private.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The thread of the move has ended.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
}
