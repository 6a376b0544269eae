//! Why a store did not answer.

/// Why a store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is overloaded: try again.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing of this write was stored.
    #[error("the disk is full: {0}. Make room; nothing was lost, and what was refused can be repeated")]
    Full(String),
    /// The stored data is damaged: a person must look.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The store was written by a newer permitd.
    #[error("{0}")]
    Incompatible(String),
    /// The data is larger than the store takes. Trying again does not help.
    #[error("more than the store takes: {0}")]
    Limit(String),
    /// The store was opened without anything that writes.
    #[error("this is a copy of a deployment, opened read-only: nothing in it can be changed")]
    ReadOnly,
}
