//! Why a store did not answer.

/// Why a store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is overloaded: try again.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing of what was to be written is.
    #[error("the disk is full: {0}. Make room; nothing was lost, and what was refused can be repeated")]
    Full(String),
    /// What it holds is not what it should be: a person must look.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The store was written by a newer permitd.
    #[error("{0}")]
    Incompatible(String),
    /// What is to be stored is more than the store takes. Trying again does not help.
    #[error("more than the store takes: {0}")]
    Limit(String),
}
