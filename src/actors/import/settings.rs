//! How files are imported, and how their definitions are found.

use std::{path::PathBuf, sync::Arc};

use jiff::SignedDuration;

use crate::{
    dataset::{Definition, reader::ReadLimits},
    domain::guard::GuardLimits,
};

/// A definition that was found.
#[derive(Debug, Clone)]
pub struct FoundDefinition {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Whether it is kept by hand in a file, which the next import reads again.
    pub is_in_file: bool,
}

/// Finds the definition that a data set's files are read by; an error where definitions cannot be read.
pub type FindDefinition = Arc<dyn Fn(&str) -> Result<Option<FoundDefinition>, String> + Send + Sync>;

/// The names of the data sets that there are definitions of.
pub type DefinedNames = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// How files are imported, and kept until they are.
#[derive(Clone)]
pub struct ImportSettings {
    /// The limits of files.
    pub limits: ReadLimits,
    /// The guard, where a definition says nothing else.
    pub guard: GuardLimits,
    /// The folder of rejected rows.
    pub rejects: PathBuf,
    /// The folder of files that were sent.
    pub spool: PathBuf,
    /// The name of this machine.
    pub node: String,
    /// For how long an import is held that nobody decides upon.
    pub held_for: SignedDuration,
    /// For how long rejected rows and reports are kept.
    pub kept_for: SignedDuration,
    /// The largest file that is taken, bytes.
    pub file_bytes_max: u64,
    /// Bytes of the disk that are left free.
    pub free_bytes_min: u64,
    /// Files that arrive at the same time.
    pub uploads_max: usize,
    /// The same of one caller.
    pub uploads_per_caller_max: usize,
    /// The definitions.
    pub definitions: FindDefinition,
    /// The names of those that are written down, whether there are records or not.
    pub defined: DefinedNames,
    /// Imports that wait in the mailbox.
    pub mailbox_capacity: usize,
}
