//! Orders to import.

use std::{
    io::{Read, Seek},
    sync::Arc,
};

use uuid::Uuid;

use super::progress::ImportProgress;
use crate::{actors::commit::Envelope, dataset::Definition, domain::event::Origin};

/// How to import an uploaded file.
#[derive(Debug, Clone)]
pub struct WantedImport {
    /// The data set.
    pub dataset: String,
    /// Whether the file is the whole data set.
    pub replace: bool,
    /// Whether it is a dry run.
    pub dry_run: bool,
    /// Whether stored records keep their values of columns that the file does not have.
    pub keep_absent: bool,
    /// The options for reading the file, by the names of parameters.
    pub options: Vec<(String, String)>,
    /// The definition for reading the file, as TOML, when it differs from the data set's.
    pub definition: Option<String>,
    /// The fingerprint of the data set's definition that this one replaces; `None` when the data set has none yet.
    pub redefines: Option<String>,
    /// Its name, without its folders.
    pub file_name: String,
}

/// A readable source with random access.
pub trait FileSource: Read + Seek + Send {}

impl<T: Read + Seek + Send> FileSource for T {}

/// A file to import.
pub struct Order {
    /// The file.
    pub file: Box<dyn FileSource>,
    /// Its name, without its folders.
    pub file_name: String,
    /// The data set, and how to read the file.
    pub definition: Arc<Definition>,
    /// The same with this file's own options, which the data set does not keep.
    pub reading: Arc<Definition>,
    /// Whether it is the whole data set, so that missing records are removed.
    pub replace: bool,
    /// Whether it may exceed the guard.
    pub confirmed: bool,
    /// Whether stored records keep their values of columns that the file does not have. `None`: they do unless the import is confirmed.
    pub keep_absent: Option<bool>,
    /// For a file that was sent to the server: its import.
    pub staged: Option<Staged>,
    /// Whether it is a dry run.
    pub dry_run: bool,
    /// Who ordered it.
    pub origin: Origin,
    /// The progress, for observers.
    pub progress: Arc<ImportProgress>,
}

/// An import with a stored file: it is held when it exceeds the guard.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The import.
    pub id: Uuid,
    /// The command that approved it, if it was held.
    pub approval: Option<Envelope>,
}
