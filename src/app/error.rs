//! Why a node does not start.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    actors::{commit::CommandError, import::ImportError, lineage::JudgeError},
    aws::AccessError,
    dataset::definition::DefinitionError,
    identity::ProviderError,
    mail,
    passwords::HashError,
    private::PrivacyError,
    queue::QueueError,
    sealing::{CoveredError, SealingError},
    secrets::{EntropyError, SecretsError},
    store::{DeploymentMark, StoreError, dynamodb, records::RecordStoreError},
    transfer::TransferError,
};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A problem with the data directory or a file in it.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The logo of the pages.
    #[error("{0}")]
    Look(String),
    /// The database is gone, but files that belong to it are there.
    #[error(
        "permitd.db is missing or empty in {data}, but {left} is there: restore permitd.db from your backup, with all that was beside it. To \
         begin anew, without any key, person and record of before, move {data} away",
        data = data.display(),
        left = left.display()
    )]
    LostDatabase {
        /// The directory.
        data: PathBuf,
        /// A file that is still there.
        left: PathBuf,
    },
    /// The path of the data directory is a folder of definitions.
    #[error(
        "{file} is there, and no data of permitd: a folder of definitions is named with --datasets, and a data directory of its \
         own, other than {data}, with --data",
        file = file.display(),
        data = data.display()
    )]
    NotData {
        /// The directory.
        data: PathBuf,
        /// A definition file in it.
        file: PathBuf,
    },
    /// The data directory is a copy, which is only read.
    #[error(
        "{path} is {what}: it is only read, by `permitd serve --read-only` and by commands that change nothing",
        path = path.display()
    )]
    IsCopy {
        /// The directory.
        path: PathBuf,
        /// What it is a copy of, in words.
        what: String,
    },
    /// The data directory is a copy that was not finished.
    #[error(
        "{path} is an unfinished copy: repeat the `permitd events replay --as-of … --into` that makes it, which goes on or begins anew",
        path = path.display()
    )]
    UnfinishedCopy {
        /// The directory.
        path: PathBuf,
    },
    /// A node of AWS would keep its replicas where a deployment has its records.
    #[error(
        "{data} has a deployment of its own, and a server with backend = \"aws\" keeps replicas where that has its records: name another \
         directory with --data",
        data = data.display()
    )]
    HasDeployment {
        /// The directory.
        data: PathBuf,
    },
    /// There is no data directory to read.
    #[error("{path} is no data directory of permitd, so there is nothing to show read-only; name one with --data", path = path.display())]
    NothingToRead {
        /// The directory.
        path: PathBuf,
    },
    /// Only files can be shown read-only.
    #[error(
        "read-only, only a data directory can be shown (backend = \"sqlite\"). `permitd events replay --as-of TIME --into DIR` makes one of \
         what is in AWS; show it with `permitd serve --read-only --backend sqlite --data DIR`"
    )]
    ReadOnlyNeedsFiles,
    /// The settings of the provider cannot be used.
    #[error("{0}; see [oidc] of the settings")]
    Provider(#[from] ProviderError),
    /// The settings for hashing passwords cannot be used.
    #[error(transparent)]
    Hashing(#[from] HashError),
    /// Another server serves the data directory.
    #[error("another permitd serves {path} already: stop it, or use another --data", path = path.display())]
    Served {
        /// The directory.
        path: PathBuf,
    },
    /// The server cannot listen on an address.
    #[error("{setting} = {address}: {source}; choose a free address")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A definition is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A definition file is not named after its data set, or two files define the same one.
    #[error("{0}")]
    Definitions(String),
    /// The data directory, or something in it, is not private to its owner.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The secret file cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The mail settings cannot be used.
    #[error(transparent)]
    Mail(#[from] mail::SetupError),
    /// The mail templates cannot be used.
    #[error(transparent)]
    Templates(#[from] mail::templates::TemplatesError),
    /// The deployment is not to be used: it is being filled, or was moved.
    #[error("{0}")]
    Marked(DeploymentMark),
    /// A log could not be moved.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// There is no checkpoint.
    #[error(transparent)]
    Seal(#[from] SealingError),
    /// The checkpoints cannot be read.
    #[error(transparent)]
    Covered(#[from] CoveredError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// AWS cannot be used.
    #[error(transparent)]
    Aws(#[from] AccessError),
    /// The server secret that the nodes share cannot be opened.
    #[error(transparent)]
    SharedSecret(#[from] dynamodb::secrets::OpenSecretError),
    /// The records cannot be opened.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// The first events could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The end of interrupted imports could not be recorded.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The records could not be compared with the log.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}
