//! The definitions that a node imports by: the built-in ones, and those of a folder.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::StartError;
use crate::{
    actors::import::{DefinedNames, FindDefinition, FoundDefinition},
    dataset::Definition,
    store::{records::RecordStore, sqlite},
};

/// The most definition files that are read from a folder.
const DEFINITION_FILES_MAX: usize = 1000;
/// Largest definition file, bytes.
const DEFINITION_BYTES_MAX: u64 = 1 << 20;

/// Where a definition comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionPlace {
    /// It is part of the program.
    Builtin,
    /// A file.
    File(PathBuf),
    /// Stored with the records that were imported by it.
    Stored,
}

impl fmt::Display for DefinitionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("built in"),
            Self::File(path) => path.display().fmt(f),
            Self::Stored => f.write_str("stored with the records"),
        }
    }
}

/// A definition that files can be imported by.
#[derive(Debug, Clone)]
pub struct KnownDefinition {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Where it comes from.
    pub place: DefinitionPlace,
}

/// The built-in definitions. They are read once: pages look for definitions several times each.
fn builtin() -> Result<&'static [Arc<Definition>], StartError> {
    static READ: OnceLock<Vec<Arc<Definition>>> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let read = Definition::builtin()?.into_iter().map(Arc::new).collect();
    Ok(READ.get_or_init(|| read))
}

/// The built-in definitions and those of a folder; the folder's replace built-in ones of the same name.
///
/// # Errors
/// When a file cannot be read or is no definition.
pub fn known_definitions(folder: Option<&Path>) -> Result<Vec<KnownDefinition>, StartError> {
    let of_program = |definition: &Arc<Definition>| KnownDefinition {
        definition: Arc::clone(definition),
        place: DefinitionPlace::Builtin,
    };
    let mut known: Vec<KnownDefinition> = builtin()?.iter().map(of_program).collect();
    let Some(folder) = folder else { return Ok(known) };
    let mut files = Vec::new();
    let failed = |error: io::Error| mistaken(folder, &error);
    for entry in std::fs::read_dir(folder).map_err(failed)?.take(DEFINITION_FILES_MAX) {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name == sqlite::FILE_NAME) {
            return Err(StartError::Definitions(format!(
                "datasets = {}: this is a data directory, which --data names; name the folder of your definitions",
                folder.display()
            )));
        }
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let definition = Arc::new(read_definition(&path)?);
        let same_name = |other: &KnownDefinition| other.definition.name == definition.name;
        if let Some(KnownDefinition { place: DefinitionPlace::File(other), .. }) =
            known.iter().find(|other| same_name(other))
        {
            let (one, other, name) = (other.display(), path.display(), &definition.name);
            let what = format!("{one} and {other} define the same data set {name:?}: move one of them away");
            return Err(StartError::Definitions(what));
        }
        known.retain(|other| !same_name(other));
        known.push(KnownDefinition { definition, place: DefinitionPlace::File(path) });
    }
    Ok(known)
}

/// Chooses the definition to import by, and returns another one of its name, too. The folder's comes first, since people maintain it; then
/// the one stored with the records; then a built-in one.
pub fn chosen_definition(
    known: Vec<KnownDefinition>,
    stored: Option<&Arc<Definition>>,
    name: &str,
) -> Option<(KnownDefinition, Option<KnownDefinition>)> {
    let known = known.into_iter().find(|known| known.definition.name == name);
    let stored =
        stored.map(|stored| KnownDefinition { definition: Arc::clone(stored), place: DefinitionPlace::Stored });
    match (known, stored) {
        (Some(known), Some(stored)) if known.place == DefinitionPlace::Builtin => Some((stored, Some(known))),
        (Some(known), stored) => Some((known, stored)),
        (None, stored) => stored.map(|stored| (stored, None)),
    }
}

/// Finds the definition for files sent to a server, as it is at the time of the call.
pub(super) fn finder(folder: Option<&Path>, records: &Arc<dyn RecordStore>) -> FindDefinition {
    let (folder, records) = (folder.map(Path::to_owned), Arc::clone(records));
    Arc::new(move |name| {
        let known = known_definitions(folder.as_deref()).map_err(|error| error.to_string())?;
        let stored = records.data_set(name).map(|stored| Arc::clone(&stored.definition));
        let found = |KnownDefinition { definition, place }| FoundDefinition {
            definition,
            is_in_file: matches!(place, DefinitionPlace::File(_)),
        };
        Ok(chosen_definition(known, stored.as_ref(), name).map(|(chosen, _)| found(chosen)))
    })
}

/// The names of the folder's and the built-in definitions, as they are at the time of the call.
pub(super) fn names(folder: Option<&Path>) -> DefinedNames {
    let folder = folder.map(Path::to_owned);
    Arc::new(move || {
        let known = known_definitions(folder.as_deref()).map_err(|error| error.to_string())?;
        Ok(known.into_iter().map(|known| known.definition.name.clone()).collect())
    })
}

/// Explains why a folder of definitions cannot be read.
fn mistaken(folder: &Path, error: &io::Error) -> StartError {
    let shown = folder.display();
    StartError::Definitions(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("datasets = {shown}: there is no such folder; name the one that your definitions (*.toml) are in")
        }
        io::ErrorKind::NotADirectory => format!(
            "datasets = {shown}: this is a file; name the folder that it is in, or give it to `permitd import --definition`"
        ),
        _ => format!("datasets = {shown}: {error}; name a folder of definitions that can be read"),
    })
}

/// The same, without their places.
///
/// # Errors
/// As [`known_definitions`].
pub fn definitions(folder: Option<&Path>) -> Result<Vec<Arc<Definition>>, StartError> {
    Ok(known_definitions(folder)?.into_iter().map(|known| known.definition).collect())
}

/// Reads one definition file.
///
/// # Errors
/// When the file cannot be read, is too large, or is no definition.
pub fn read_definition(path: &Path) -> Result<Definition, StartError> {
    let failed = |source| StartError::Io { doing: "cannot read the definition", path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > DEFINITION_BYTES_MAX {
        let file = path.display();
        return Err(StartError::Definitions(format!("{file}: {bytes} bytes are more than {DEFINITION_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(Definition::from_toml(&text, &path.display().to_string())?)
}
