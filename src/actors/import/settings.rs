//! Settings of imports, and the lookup of definitions.

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
    /// Whether a person maintains it in a file, which the next import reads again.
    pub is_in_file: bool,
}

/// Finds the definition for a data set's files; fails when definitions cannot be read.
pub type FindDefinition = Arc<dyn Fn(&str) -> Result<Option<FoundDefinition>, String> + Send + Sync>;

/// The names of all data sets with a definition.
pub type DefinedNames = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// Settings for importing and storing files.
#[derive(Clone)]
pub struct ImportSettings {
    /// The limits of files.
    pub limits: ReadLimits,
    /// The guard's limits, unless a definition has its own.
    pub guard: GuardLimits,
    /// The folder of rejected rows.
    pub rejects: PathBuf,
    /// The folder of uploaded files.
    pub spool: PathBuf,
    /// The name of this machine.
    pub node: String,
    /// How long a held import waits for a decision.
    pub held_for: SignedDuration,
    /// How long rejected rows and reports are kept.
    pub kept_for: SignedDuration,
    /// The largest accepted file, bytes.
    pub file_bytes_max: u64,
    /// Bytes on the disk that must stay free.
    pub free_bytes_min: u64,
    /// Most files that arrive at the same time.
    pub uploads_max: usize,
    /// The same for one caller.
    pub uploads_per_caller_max: usize,
    /// The definitions.
    pub definitions: FindDefinition,
    /// The names of all definitions, with or without records.
    pub defined: DefinedNames,
    /// Imports that may wait in the mailbox.
    pub mailbox_capacity: usize,
}
