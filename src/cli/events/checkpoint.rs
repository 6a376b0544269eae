//! How far a reader of the log has come, by name: files in `checkpoints` of the data directory, for their owner only.
//!
//! Guarantees: a checkpoint is written whole or not at all, and durably. Two readers under one name exclude each other.

use std::{
    fmt, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    app::StartError,
    cli::{Exit, Failure},
    config::{Backend, Settings},
    domain::reached::Reached,
    private::{self, Earlier},
};

/// The folder of the data directory.
const FOLDER: &str = "checkpoints";
/// What ends the name of a checkpoint's file.
const ENDING: &str = ".json";
/// What a checkpoint's lock ends with.
const LOCK_ENDING: &str = ".lock";
/// What an unfinished file begins with.
const UNFINISHED: &str = ".unfinished-";
/// The form of the file.
const FORMAT: u32 = 1;
/// Longest name, characters.
const NAME_CHARS_MAX: usize = 64;
/// Most checkpoints of a data directory.
const CHECKPOINTS_MAX: usize = 1_000;

/// The name of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckpointName(String);

impl CheckpointName {
    /// Reads a name: lower-case letters, digits, `-` and `_`, a letter or digit first.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_right = text.as_bytes().first().is_some_and(is_first)
            && text.bytes().all(|byte| is_first(&byte) || matches!(byte, b'-' | b'_'))
            && text.len() <= NAME_CHARS_MAX;
        let expected = || format!("lower-case letters, digits, - and _ are expected, at most {NAME_CHARS_MAX} of them");
        is_right.then(|| Self(text.to_owned())).ok_or_else(expected)
    }

    fn file(&self) -> String {
        format!("{}{ENDING}", self.0)
    }

    fn lock(&self) -> String {
        format!("{}{LOCK_ENDING}", self.0)
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    backend: String,
    reached: Reached,
    /// The last commit that was read: in another state of the log another one stands in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<LastRead>,
}

/// The last commit that was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LastRead {
    pub(super) position: u64,
    /// The hash of its stream up to it, in hex.
    pub(super) hash: String,
}

/// A checkpoint that this process moves.
pub(super) struct Checkpoint {
    path: PathBuf,
    backend: Backend,
    reached: Option<Reached>,
    last: Option<LastRead>,
    // Locked as long as the process has it.
    _lock: File,
}

impl Checkpoint {
    /// Opens the checkpoint of this name, or makes room for a new one.
    pub(super) fn open(settings: &Settings, name: &CheckpointName) -> Result<Self, Failure> {
        private::root(&settings.data).map_err(StartError::from)?;
        let folder = settings.data.join(FOLDER);
        private::directory(&folder).map_err(StartError::from)?;
        private::files_in(&folder).map_err(StartError::from)?;
        private::remove_unfinished(&folder, UNFINISHED).map_err(|error| failed("clear", &folder, &error))?;
        let (lock, path) = (locked(&folder, name)?, folder.join(name.file()));
        let kept = read(&path, settings.backend)?;
        if kept.is_none() && names(&folder)?.len() >= CHECKPOINTS_MAX {
            let what =
                format!("there are {CHECKPOINTS_MAX} checkpoints; `permitd events checkpoints remove` removes one");
            return Err(Failure::new(Exit::Refused, what));
        }
        let (reached, last) = kept.map_or((None, None), |kept| (Some(kept.reached), kept.last));
        Ok(Self { path, backend: settings.backend, reached, last, _lock: lock })
    }

    /// The last commit that earlier runs have read, as far as they noted it.
    pub(super) fn last(&self) -> Option<LastRead> {
        self.last.clone()
    }

    /// How far the last run came; none where there was none.
    pub(super) fn reached(&self) -> Option<Reached> {
        self.reached.clone()
    }

    /// Keeps how far this run has come, if it has come further, with the last commit that it has read, if any.
    pub(super) fn move_to(&mut self, reached: &Reached, last: Option<LastRead>) -> Result<(), Failure> {
        if self.reached.as_ref().is_some_and(|kept| kept.is_same(reached)) {
            return Ok(());
        }
        self.last = last.or(self.last.take());
        let (reached, last) = (reached.clone(), self.last.clone());
        let kept = Kept { format: FORMAT, backend: named(self.backend).to_owned(), reached, last };
        let text = serde_json::to_vec(&kept).map_err(|error| Failure::new(Exit::Damaged, error.to_string()))?;
        let written = private::write_whole(&self.path, UNFINISHED, &text, Earlier::Goes);
        written.map_err(|error| failed("write", &self.path, &error))?;
        self.reached = Some(kept.reached);
        Ok(())
    }
}

/// The checkpoints of a data directory, by name, with how far each has come.
pub(super) fn all(settings: &Settings) -> Result<Vec<(CheckpointName, Reached)>, Failure> {
    let folder = settings.data.join(FOLDER);
    let mut found = Vec::new();
    for name in names(&folder)? {
        // One that is being removed is none any more.
        if let Some(kept) = read(&folder.join(name.file()), settings.backend)? {
            found.push((name, kept.reached));
        }
    }
    Ok(found)
}

/// Removes a checkpoint that nobody uses. Returns whether there was one.
pub(super) fn remove(settings: &Settings, name: &CheckpointName) -> Result<bool, Failure> {
    let folder = settings.data.join(FOLDER);
    let path = folder.join(name.file());
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    private::directory(&folder).map_err(StartError::from)?;
    let _lock = locked(&folder, name)?;
    let removed = fs::remove_file(&path).and_then(|()| fs::remove_file(folder.join(name.lock())));
    let synced = removed.and_then(|()| private::open_directory(&folder)?.sync_all());
    synced.map(|()| true).map_err(|error| failed("remove", &path, &error))
}

/// Makes all checkpoints of the data directory ones of this backend: after a move the log has the same positions there.
pub(in crate::cli) fn relabel(settings: &Settings, backend: Backend) -> Result<(), Failure> {
    let folder = settings.data.join(FOLDER);
    for name in names(&folder)? {
        let path = folder.join(name.file());
        let _lock = locked(&folder, &name)?;
        for known in [Backend::Sqlite, Backend::Aws] {
            let Ok(Some(kept)) = read(&path, known) else { continue };
            let kept = Kept { backend: named(backend).to_owned(), ..kept };
            let text = serde_json::to_vec(&kept).map_err(|error| Failure::new(Exit::Damaged, error.to_string()))?;
            let written = private::write_whole(&path, UNFINISHED, &text, Earlier::Goes);
            written.map_err(|error| failed("write", &path, &error))?;
            break;
        }
    }
    Ok(())
}

/// The names of the checkpoints, in order.
fn names(folder: &Path) -> Result<Vec<CheckpointName>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed("list", folder, &error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| failed("list", folder, &error))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
        found.extend(name.and_then(|name| CheckpointName::parse(name).ok()));
    }
    found.sort();
    Ok(found)
}

fn locked(folder: &Path, name: &CheckpointName) -> Result<File, Failure> {
    let path = folder.join(name.lock());
    private::file_or_new(&path).map_err(StartError::from)?;
    let file = private::open_to_write(&path).map_err(|error| failed("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Failure::new(Exit::Refused, format!("another process reads the log under the checkpoint {name}")))
        }
        Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
    }
}

fn read(path: &Path, backend: Backend) -> Result<Option<Kept>, Failure> {
    private::file(path).map_err(StartError::from)?;
    let text = match private::open_to_read(path).and_then(io::read_to_string) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| failed("read", path, &error))?,
    };
    let advice = "begin anew under another name, or remove it with `permitd events checkpoints remove`";
    let damaged = |what: &str| Failure::new(Exit::Damaged, format!("{}: {what}; {advice}", path.display()));
    let kept: Kept =
        serde_json::from_str(&text).map_err(|_| damaged("this is no checkpoint that this permitd reads"))?;
    if kept.format != FORMAT {
        return Err(damaged("a newer permitd wrote this checkpoint"));
    }
    if kept.backend != named(backend) {
        return Err(damaged("this checkpoint is of a log of another backend, which has other positions"));
    }
    Ok(Some(kept))
}

/// The backend's name in the file.
fn named(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "sqlite",
        Backend::Aws => "aws",
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::unavailable(format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_nothing_else() {
        for name in ["audit", "a", "0", "a-b_c9", &"x".repeat(64)] {
            assert!(CheckpointName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "_a", "A", "a/b", "..", "a.b", ".a", "ä", "a b", &"x".repeat(65)] {
            assert!(CheckpointName::parse(name).is_err(), "{name}");
        }
    }
}
