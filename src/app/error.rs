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
    secrets::{EntropyError, SecretsError},
    store::{StoreError, dynamodb, records::RecordStoreError},
};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or a file in it.
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
    /// The database is gone, and what belongs to it is there.
    #[error(
        "permitd.db is missing or empty in {data}, but {left} is there: restore permitd.db from your backup, with all that was beside it. To \
         begin anew, without any key, person and record of before, move {data} away",
        data = data.display(),
        left = left.display()
    )]
    LostDatabase {
        /// The directory.
        data: PathBuf,
        /// What is there.
        left: PathBuf,
    },
    /// What should become a data directory holds definitions.
    #[error(
        "{file} is there, and no data of permitd: a folder of definitions is named with --datasets, and a data directory of its \
         own, other than {data}, with --data",
        file = file.display(),
        data = data.display()
    )]
    NotData {
        /// The directory.
        data: PathBuf,
        /// What is there.
        file: PathBuf,
    },
    /// The provider of identities cannot be asked, as the settings have it.
    #[error("{0}; see [oidc] of the settings")]
    Provider(#[from] ProviderError),
    /// Passwords cannot be hashed as the settings want it.
    #[error(transparent)]
    Hashing(#[from] HashError),
    /// Another server has the data directory.
    #[error("another permitd serves {path} already: stop it, or use another --data", path = path.display())]
    Served {
        /// The directory.
        path: PathBuf,
    },
    /// An address cannot be listened on.
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
    /// A definition file does not define the data set that it is named after, or two define the same.
    #[error("{0}")]
    Definitions(String),
    /// The data directory, or something in it, is not the owner's alone.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The secret file.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The mail settings.
    #[error(transparent)]
    Mail(#[from] mail::SetupError),
    /// The templates of mails.
    #[error(transparent)]
    Templates(#[from] mail::templates::TemplatesError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// AWS cannot be used at all.
    #[error(transparent)]
    Aws(#[from] AccessError),
    /// The server secret that the nodes share.
    #[error(transparent)]
    SharedSecret(#[from] dynamodb::secrets::OpenSecretError),
    /// The records.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// The first events could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Interrupted imports could not be written down.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The records could not be compared with the log.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}
