//! Why the server's secret cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use super::EntropyError;
use crate::private::PrivacyError;

/// Why the server's secret cannot be used.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// The file or its directory cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Other users than its owner may read or write the file.
    #[error("{} has mode {mode:03o}: others than its owner can use it, and with it make every key; run `chmod 600 {}` and consider whether someone did", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content of the file or other place is no server secret.
    #[error(
        "{place} is not a server secret: {reason}; restore it from a backup, since new secrets would void every key. \
         When there is none, move it away: `permitd secret replace` says what that means and does it"
    )]
    Malformed {
        /// The file or other place.
        place: String,
        /// What is wrong, without the content.
        reason: String,
    },
    /// The content of the file or other place is no key of checkpoints.
    #[error(
        "{place} is not the key of checkpoints: {reason}. API keys have nothing to do with it. Put it back from a backup that was made with \
         --with-secret, or move it away: the next checkpoint makes another one, and `permitd events prove --key` takes the public keys of both"
    )]
    MalformedCheckpointKey {
        /// The file or other place.
        place: String,
        /// What is wrong, without the content.
        reason: String,
    },
    /// The file is a symbolic link, which could lead anywhere.
    #[error("{} is a symbolic link, which is not followed: put the file itself there, or name another with secret_file", .path.display())]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// An earlier version of the secret is missing.
    #[error("version {0} of the server secret is missing; restore the secret from a backup")]
    UnknownVersion(u32),
    /// There is no secret, but keys were derived from one.
    #[error(
        "{place} is missing, but keys were derived from it: restore it from your backup of the secret. A new secret would \
         end every key. When it is lost for good, `permitd secret replace` says what that means and does it"
    )]
    Lost {
        /// Where the secret should be.
        place: String,
    },
    /// The secret is not the one that this deployment's keys were derived from.
    #[error(
        "{place} is not the server secret of this deployment: {what}. Restore the right one from your backup of the secret, \
         or copy it from a server that works. When it is lost for good, `permitd secret replace` says what that means and \
         does it"
    )]
    NotOurs {
        /// Where the secret is.
        place: String,
        /// What differs.
        what: String,
    },
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
