//! Moves logs: out of a deployment into a file, and from a file into a deployment that has none. Neither gets a queue or a mailer, so a transfer
//! cannot send anything.
//!
//! A file holds one JSON document a line, compressed by zstd: first what it is, then the commits in log order, then what a deployment keeps beside
//! its log, at last how many commits and bytes there were. Personal data is sealed in it. With the keys that open it, or with the server
//! secret, the whole file is encrypted in the format of age (age-encryption.org/v1), to recipients or to a passphrase.

mod broken;
mod chain;
mod direct;
mod export;
mod import;
mod line;
mod seal;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    broken::BrokenChain,
    chain::{ChainCount, verify_chains},
    direct::{LogDigest, copy_log, log_digest},
    export::{Exported, LogExportOrder, export},
    import::{GivenSecret, Imported, LogFile, LogImportOrder, complete, import},
    line::{FORM, FileHead},
    seal::{FileKeys, FileLock},
};
use crate::{replay::ReplayError, store::StoreError};

/// What a transfer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransferPhase {
    /// It sees to it that a file is whole.
    Check,
    /// It reads or writes the log.
    #[default]
    Log,
    /// It verifies the chains.
    Verify,
    /// It makes the views.
    Views,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transferred {
    /// What it does.
    pub phase: TransferPhase,
    /// Commits of this phase that are done.
    pub commits: u64,
}

/// Receives how far a transfer is.
pub type TransferReport<'a> = &'a mut dyn FnMut(Transferred);

/// Why a log was not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A file cannot be read or written.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there already.
    #[error("{path} is there already: name a file that does not exist yet", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is no log.
    #[error("{path} is no log: `permitd events export` makes one ({why})", path = path.display())]
    NoLog {
        /// The file.
        path: PathBuf,
        /// What it is not.
        why: String,
    },
    /// A newer permitd made the file.
    #[error("{path} was made by permitd {permitd}, in form {form}, which this one does not know: use that or a newer one", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The program that made it.
        permitd: String,
        /// Its form.
        form: u32,
    },
    /// The file is damaged or was cut off. Nothing was written.
    #[error("{path} is damaged in line {line}: {why}. Nothing was imported; export the log again, or take another copy of the file", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The file is encrypted, and no key was given.
    #[error("{path} is encrypted: give the identity that it was encrypted to (--identity FILE), or its passphrase (--passphrase-file FILE)", path = path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be decrypted with what was given.
    #[error(
        "{path} cannot be decrypted: give the identity or the passphrase that it was encrypted to, and the whole file ({why})",
        path = path.display()
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What age said.
        why: String,
    },
    /// What was given as keys are none.
    #[error("{what}")]
    Key {
        /// What is wrong with which.
        what: String,
    },
    /// The deployment has a log of its own.
    #[error(
        "the deployment has a log of its own: an import needs one that has nothing (another --data directory, or another aws.prefix). Nothing was changed"
    )]
    Taken,
    /// Another file was being imported.
    #[error(
        "an import of another file was interrupted here (its id is {began}, this one's is {given}): go on with that file, or begin with an empty deployment"
    )]
    OtherFile {
        /// The id of the file whose import began.
        began: uuid::Uuid,
        /// The id of the given file.
        given: uuid::Uuid,
    },
    /// A stream's commits do not follow on each other.
    #[error(
        "the log is not whole: {0}. No server starts on it; begin again with an empty deployment and a file that is whole"
    )]
    Chain(#[from] BrokenChain),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views could not be made.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The server secret of the file cannot be kept.
    #[error("the server secret of the file cannot be kept: {0}")]
    Secret(String),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TransferError {
    let path = path.to_owned();
    move |source| TransferError::Io { doing, path, source }
}
