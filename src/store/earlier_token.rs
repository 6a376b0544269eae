//! Administrators' tokens of earlier versions.

use crate::domain::key::KeyHash;

/// An administrator's token from before tokens were events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierToken {
    /// Its id then.
    pub id: String,
    /// The SHA-256 of the token.
    pub hash: KeyHash,
}
