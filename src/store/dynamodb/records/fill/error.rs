//! Why tables are not filled with a data set.

use crate::store::records::RecordStoreError;

/// Characters of a key that an error shows.
const KEY_SHOWN: usize = 80;

/// Why a data set is not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The file or the tables cannot be read or written, or somebody else is at work.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// There are other records under the name.
    #[error(
        "there are records of {name:?} already, and they are not those that are to be moved: remove that data set first, or move into \
         another deployment"
    )]
    Taken {
        /// The data set.
        name: String,
    },
    /// DynamoDB cannot keep a state of a record.
    #[error(
        "DynamoDB cannot keep a record of {name:?}, that of the key {key:?}{}: {what} has {bytes} bytes, and it keeps at most {bytes_max}. {}",
        since(*version),
        to_do(*version)
    )]
    DoesNotFit {
        /// The data set.
        name: String,
        /// The beginning of the record's key.
        key: String,
        /// The version since which the record was in that state, if it is a past one.
        version: Option<u64>,
        /// What is too long.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// DynamoDB cannot keep a record without a key.
    #[error(
        "DynamoDB cannot keep a record of {name:?} whose key is empty: leave its row out in an import with --replace"
    )]
    EmptyKey {
        /// The data set.
        name: String,
    },
    /// The data set's definition is too long.
    #[error(
        "the definition of {name:?} takes {bytes} bytes, and DynamoDB keeps at most {bytes_max}: import under one with fewer columns, or \
         with shorter descriptions"
    )]
    Definition {
        /// The data set.
        name: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

fn since(version: Option<u64>) -> String {
    version.map(|version| format!(", as it was since version {version}")).unwrap_or_default()
}

fn to_do(version: Option<u64>) -> &'static str {
    match version {
        Some(_) => {
            "Shorten records.history_days or records.history_changes_max and import, so that this state is given up"
        }
        None => "Shorten it, or leave its row out, in an import with --replace",
    }
}

impl FillError {
    /// The error of a record's check.
    pub(super) fn of_record(name: &str, key: &str, version: Option<u64>, error: RecordStoreError) -> Self {
        match error {
            RecordStoreError::TooLong { what, bytes, bytes_max, .. } => {
                let (name, key) = (name.to_owned(), key.chars().take(KEY_SHOWN).collect());
                Self::DoesNotFit { name, key, version, what, bytes, bytes_max }
            }
            RecordStoreError::BadRow { .. } => Self::EmptyKey { name: name.to_owned() },
            other => Self::Records(other),
        }
    }
}
