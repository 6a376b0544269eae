//! Reads templates from a directory: `<mail>/<part>` replaces that part of that mail.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    MAILS, PARTS, Templates,
    check::mistakes,
    error::{Mistake, TemplatesError},
    render::{TEMPLATE_BYTES_MAX, TemplateSource},
};
use crate::dataset::suggest;

/// The most entries of a directory that are read.
const ENTRIES_MAX: usize = 1000;

impl Templates {
    /// The built-in templates, replaced by those of a directory, if one is named. All are tried with examples.
    ///
    /// # Errors
    /// When the directory cannot be read, or one of its templates cannot be used.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplatesError> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let (templates, mut found) = Self::read(folder)?;
        found.extend(mistakes(&templates));
        if found.is_empty() {
            return Ok(templates);
        }
        Err(TemplatesError::Mistakes { folder: folder.to_owned(), mistakes: found })
    }

    /// The same, not yet tried with examples, with the mistakes in the files themselves.
    pub(super) fn read(folder: &Path) -> Result<(Self, Vec<Mistake>), TemplatesError> {
        let failed = |source| TemplatesError::Folder { folder: folder.to_owned(), source };
        let root = fs::canonicalize(folder).map_err(failed)?;
        let mut found = Vec::new();
        let mut mails: Vec<[TemplateSource; 3]> = Self::default().mails.to_vec();
        for (name, path) in entries(folder).map_err(failed)? {
            let Some(place) = MAILS.iter().position(|mail| mail.name == name) else {
                found.push(unknown(path, "mail", &name, &MAILS.iter().map(|mail| mail.name).collect::<Vec<_>>()));
                continue;
            };
            let parts = match entries(&path) {
                Ok(parts) => parts,
                Err(error) => {
                    found.push(Mistake::of_file(path, format!("a mail's folder cannot be read: {error}")));
                    continue;
                }
            };
            for (name, path) in parts {
                let known = PARTS.iter().position(|part| *part == name);
                let slot = known.and_then(|part| mails.get_mut(place)?.get_mut(part));
                let Some(slot) = slot else {
                    found.push(unknown(path, "part", &name, &PARTS));
                    continue;
                };
                match text(&path, &root) {
                    Ok(text) => {
                        *slot = TemplateSource { name: slot.name.clone(), file: Some(path), text: Cow::Owned(text) }
                    }
                    Err(reason) => found.push(Mistake::of_file(path, reason)),
                }
            }
        }
        Ok((Self { mails: Arc::new(mails) }, found))
    }
}

/// The entries of a folder by name, without hidden ones, which belong to the system or an editor.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entries.len() == ENTRIES_MAX {
            return Err(io::Error::other(format!("more than {ENTRIES_MAX} files: it is no folder of templates")));
        }
        entries.push((name, entry.path()));
    }
    entries.sort();
    Ok(entries)
}

fn unknown(path: PathBuf, kind: &str, name: &str, known: &[&'static str]) -> Mistake {
    let meant = suggest::nearest(name, known.iter().copied());
    let meant = meant.map(|meant| format!(", perhaps {meant} is meant")).unwrap_or_default();
    Mistake::of_file(path, format!("there is no {kind} of this name{meant}; there are {}", known.join(", ")))
}

/// A template's text. A link may only lead to another file in the directory.
fn text(path: &Path, root: &Path) -> Result<String, String> {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    if !real.starts_with(root) {
        return Err("it is a link that leads out of the directory".to_owned());
    }
    // Checked before opening: reading a pipe would never end.
    if !fs::metadata(&real).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(&real).and_then(|file| file.take(TEMPLATE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TEMPLATE_BYTES_MAX {
        return Err(format!("it has more than {TEMPLATE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())
}

/// Writes the built-in templates into a directory as a starting point; returns the files. Replaces no existing file.
///
/// # Errors
/// When one of the files exists already, or cannot be written.
pub fn write_built_in(folder: &Path) -> Result<Vec<PathBuf>, TemplatesError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TemplatesError::Write { path, source }
    };
    let files =
        || MAILS.iter().flat_map(|mail| PARTS.iter().zip(mail.parts).map(|(part, text)| (mail.name, *part, text)));
    // Looks for existing files first, so that either all files are written or none.
    for (mail, part, _) in files() {
        let path = folder.join(mail).join(part);
        if fs::symlink_metadata(&path).is_ok() {
            let there = io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is such a file: name another folder, or move it away",
            );
            return Err(failed(&path)(there));
        }
    }
    let mut written = Vec::new();
    for (mail, part, text) in files() {
        let of_mail = folder.join(mail);
        fs::create_dir_all(&of_mail).map_err(failed(&of_mail))?;
        let path = of_mail.join(part);
        let mut file = fs::File::create_new(&path).map_err(failed(&path))?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(failed(&path))?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
