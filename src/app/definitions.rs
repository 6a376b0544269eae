//! The definitions by which a node imports: the built-in ones, and those of a folder.

use std::{path::Path, sync::Arc};

use super::StartError;
use crate::dataset::Definition;

/// Definition files that are read from a folder at most.
const DEFINITION_FILES_MAX: usize = 1000;
/// Largest definition file, bytes.
const DEFINITION_BYTES_MAX: u64 = 1 << 20;

/// The built-in definitions and those of a folder; one of the folder replaces a built-in one of the same name.
///
/// # Errors
/// When a file cannot be read or is no definition.
pub fn definitions(folder: Option<&Path>) -> Result<Vec<Arc<Definition>>, StartError> {
    let mut definitions: Vec<Arc<Definition>> = Definition::builtin()?.into_iter().map(Arc::new).collect();
    let Some(folder) = folder else { return Ok(definitions) };
    let failed = |error: std::io::Error| {
        let folder = folder.display();
        StartError::Definitions(format!(
            "datasets = {folder}: {error}; the setting names a folder of definitions, or none"
        ))
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut files = Vec::new();
    for entry in entries.take(DEFINITION_FILES_MAX) {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let definition = read_definition(&path)?;
        definitions.retain(|known| known.name != definition.name);
        definitions.push(Arc::new(definition));
    }
    Ok(definitions)
}

/// Reads one definition file.
///
/// # Errors
/// When it cannot be read, is too large, or is no definition.
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
