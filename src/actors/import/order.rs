//! What is to be imported.

use std::{
    io::{Read, Seek},
    sync::Arc,
};

use uuid::Uuid;

use super::progress::ImportProgress;
use crate::{actors::commit::Envelope, dataset::Definition, domain::event::Origin};

/// What is to be done with a file that is sent.
#[derive(Debug, Clone)]
pub struct WantedImport {
    /// The data set.
    pub dataset: String,
    /// Whether the file is the whole data set.
    pub replace: bool,
    /// Whether it is only to be known what it would do.
    pub dry_run: bool,
    /// Whether stored records keep their values of columns that the file does not have.
    pub keep_absent: bool,
    /// What is said of the file, by the names of parameters.
    pub options: Vec<(String, String)>,
    /// The definition to read it by, as TOML, where it is not the one that the data set has.
    pub definition: Option<String>,
    /// The fingerprint of the data set's definition that this one takes the place of; none where the data set has none yet.
    pub redefines: Option<String>,
    /// Its name, without its folders.
    pub file_name: String,
}

/// Something that can be read from any place.
pub trait FileSource: Read + Seek + Send {}

impl<T: Read + Seek + Send> FileSource for T {}

/// A file to import.
pub struct Order {
    /// The file.
    pub file: Box<dyn FileSource>,
    /// Its name, without its folders.
    pub file_name: String,
    /// How to read it, and into which data set.
    pub definition: Arc<Definition>,
    /// The same with what is said of this file alone, which the data set does not keep.
    pub reading: Arc<Definition>,
    /// Whether it is the whole data set, so that what it lacks is removed.
    pub replace: bool,
    /// Whether it may do more than the guard lets it.
    pub confirmed: bool,
    /// Whether stored records keep their values of columns that the file does not have; where nothing is said, they do unless it is
    /// confirmed.
    pub keep_absent: Option<bool>,
    /// What it is besides, where its file was sent to the server.
    pub staged: Option<Staged>,
    /// Whether it is only to be known what it would do.
    pub dry_run: bool,
    /// Who wants it.
    pub origin: Origin,
    /// How far it is, for whoever wants to know.
    pub progress: Arc<ImportProgress>,
}

/// An import whose file is kept: what exceeds the guard is held.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The import.
    pub id: Uuid,
    /// The command that approves of it, where it was held.
    pub approval: Option<Envelope>,
}
