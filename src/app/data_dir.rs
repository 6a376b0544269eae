//! The data directory: private to its owner, locked by the one server that serves it, and watched while it does.
//!
//! Guarantees: only its owner can use its files, whatever the umask was, and no symbolic link in it is followed. A server holds two locks:
//! on the directory itself, which cannot be deleted while the path leads to it, and on `serve.lock`, which older servers look at. The
//! server notices when the directory, the lock file or the database is removed.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Purpose, StartError};
use crate::{
    config, mail,
    private::{self, FilePlace, FileState},
    secrets::{self, Secrets},
    store::sqlite,
};

/// Marks a data directory during a restore, or after an interrupted one.
pub(super) const RESTORING: &str = ".restoring";
/// The file that a server locks.
const LOCK_NAME: &str = "serve.lock";
/// How often a server tries to get a lock: a command holds it for a moment while it looks.
const LOCK_TRIES: u32 = 10;
/// Time between two such tries.
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// How many checks in a row must find the secret wrong: a secret that is being written is half there for a moment.
pub(super) const SECRET_LOOKS: u32 = 3;

/// The directory of the records' files in the data directory.
pub(super) fn records(data: &Path) -> PathBuf {
    data.join("records")
}

/// The directory of temporary files in the data directory.
pub(super) fn scratch(data: &Path) -> PathBuf {
    data.join("scratch")
}

/// The directory of rejected rows in the data directory.
pub(super) fn rejects(data: &Path) -> PathBuf {
    data.join("rejects")
}

/// The directory of uploaded import files in the data directory.
pub(super) fn spool(data: &Path) -> PathBuf {
    data.join("imports")
}

/// Makes the data directory, or checks an existing one and its content.
///
/// # Errors
/// When the directory or something in it is a link, belongs to somebody else, or is of another kind.
pub(super) fn open(data: &Path, purpose: Purpose) -> Result<(), StartError> {
    refuse_definitions(data)?;
    private::root(data)?;
    let name = sqlite::FILE_NAME;
    for file in [name, &format!("{name}-wal"), &format!("{name}-shm"), LOCK_NAME, config::FILE_NAME] {
        private::file(&data.join(file))?;
    }
    // The secret is not checked here: its reader must report whether others may have read it.
    for directory in [records(data), scratch(data), rejects(data), spool(data), data.join("outbox")] {
        // An unusable directory, such as a file in the place of the outbox, is reported by the part that needs it.
        let is_needed = directory == records(data);
        if directory.symlink_metadata().is_ok_and(|found| is_needed || found.is_dir() || found.is_symlink()) {
            private::directory(&directory)?;
        }
    }
    private::files_in(&records(data))?;
    for database in databases(data) {
        private::file(&database)?;
    }
    let outbox = data.join("outbox");
    if purpose == Purpose::Serve && outbox.is_dir() {
        private::files_in(&outbox)?;
    }
    if purpose == Purpose::Serve {
        private::files_in(&rejects(data))?;
        private::files_in(&spool(data))?;
    }
    Ok(())
}

/// Refuses to begin a data directory in a folder of definitions: the path was a mistake.
fn refuse_definitions(data: &Path) -> Result<(), StartError> {
    if data.join(sqlite::FILE_NAME).symlink_metadata().is_ok() {
        return Ok(());
    }
    let paths = fs::read_dir(data).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_definition = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "toml")
            && path.file_name().is_some_and(|name| name != config::FILE_NAME)
    };
    match paths.filter(is_definition).min() {
        Some(file) => Err(StartError::NotData { data: data.to_owned(), file }),
        None => Ok(()),
    }
}

/// Files in the place of record databases, and of SQLite's files beside them.
fn databases(data: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(records(data)).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| ["db", "db-wal", "db-shm"].contains(&extension))
    })
}

/// Refuses a data directory whose database is gone or empty while its secret, its records or a restore mark is there: a new log beside them
/// would void every key, and look like a working server.
///
/// # Errors
/// [`StartError::LostDatabase`].
pub fn refuse_a_lost_database(data: &Path) -> Result<(), StartError> {
    let secret = Some(data.join(secrets::FILE_NAME)).filter(|secret| secret.symlink_metadata().is_ok());
    let restoring = || Some(data.join(RESTORING)).filter(|mark| mark.symlink_metadata().is_ok());
    let left = secret.or_else(|| databases(data).next()).or_else(restoring);
    // The database is checked last: another process that begins the directory makes it first, with its tables.
    let is_lost = match data.join(sqlite::FILE_NAME).symlink_metadata() {
        Ok(found) => found.is_file() && found.len() == 0,
        Err(_) => true,
    };
    match left.filter(|_| is_lost) {
        Some(left) => Err(StartError::LostDatabase { data: data.to_owned(), left }),
        None => Ok(()),
    }
}

/// Removes half-written files that a crash left. Only a server does so. Files that a command or another node is writing are locked.
///
/// # Errors
/// When a directory cannot be read or a file not be removed.
pub(super) fn remove_unfinished(data: &Path, outbox: &Path) -> Result<(), StartError> {
    for (directory, prefix) in [(data, secrets::UNFINISHED), (outbox, mail::UNFINISHED)] {
        let removed = private::remove_unfinished(directory, prefix).map_err(|source| StartError::Io {
            doing: "cannot remove unfinished files in",
            path: directory.to_owned(),
            source,
        })?;
        if removed > 0 {
            tracing::info!(removed, directory = %directory.display(), "removed what a crash left half-written");
        }
    }
    Ok(())
}

/// A data directory that this process serves: its locks, and the files that must stay in place.
#[derive(Debug)]
pub struct Premises {
    /// Held as long as the process serves.
    _locks: Vec<File>,
    places: Vec<FilePlace>,
    secret: Option<WatchedSecret>,
    /// Files that must not change, with their states: those of a directory that is only read.
    unchanged: Vec<(PathBuf, FileState)>,
}

/// The file of the server secret. It may be replaced by one with more versions.
#[derive(Debug)]
struct WatchedSecret {
    path: PathBuf,
    is_named: bool,
    secrets: Secrets,
    /// The file's state when it was last read.
    read: FileState,
    /// How often in a row the secret was wrong.
    wrong: u32,
}

impl WatchedSecret {
    fn of(path: &Path, is_named: bool, secrets: Secrets) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), is_named, secrets, read: FileState::of(path)?, wrong: 0 })
    }

    fn trouble(&mut self) -> Option<String> {
        let now = FileState::of(&self.path);
        if now.as_ref().is_ok_and(|now| *now == self.read) {
            self.wrong = 0;
            return None;
        }
        // The secret is read after its state was taken: a change in between is seen at the next check.
        let wrong = match (self.secrets.is_still_at(&self.path, self.is_named), now) {
            (Ok(()), Ok(now)) => {
                (self.read, self.wrong) = (now, 0);
                return None;
            }
            (Err(error), _) => error.to_string(),
            (Ok(()), Err(error)) => error.to_string(),
        };
        self.wrong += 1;
        // The secret may be half-written.
        (self.wrong >= SECRET_LOOKS).then(|| format!("the server secret was changed while it was in use: {wrong}"))
    }
}

impl Premises {
    /// Also watches `places`.
    pub(super) fn and(mut self, places: &[FilePlace]) -> Self {
        self.places.extend_from_slice(places);
        self
    }

    /// Also watches the file of the server secret.
    pub(super) fn and_secret(self, path: &Path, is_named: bool, secrets: Secrets) -> io::Result<Self> {
        Ok(Self { secret: Some(WatchedSecret::of(path, is_named, secrets)?), ..self })
    }

    /// Tells what happened to the directory, its lock, the database or the secret; `None` while all are in place.
    pub fn trouble(&mut self) -> Option<String> {
        let place = self.places.iter().find_map(FilePlace::trouble);
        let changed = || self.unchanged.iter().find_map(|(path, state)| changed_since(path, state));
        place.or_else(changed).or_else(|| self.secret.as_mut().and_then(WatchedSecret::trouble))
    }
}

/// Says that a file is not as it was, if so.
fn changed_since(path: &Path, state: &FileState) -> Option<String> {
    match FileState::of(path) {
        Ok(now) if now == *state => None,
        Ok(_) => Some(format!("{} was changed while it was read", path.display())),
        Err(error) => Some(format!("{} cannot be looked at any more: {error}", path.display())),
    }
}

/// Takes a data directory to read it only: keeps servers away while this lives, and makes nothing in it. Whoever changes one of its
/// databases all the same is noticed.
///
/// # Errors
/// [`StartError::Served`] where a server or a command has it.
pub(super) fn take_to_read(data: &Path) -> Result<Premises, StartError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Io { doing: "cannot read", path, source }
    };
    let directory = fs::canonicalize(data).and_then(|data| File::open(&data)).map_err(failed(data))?;
    match directory.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::Served { path: data.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(failed(data)(source)),
    }
    let files = std::iter::once(data.join(sqlite::FILE_NAME))
        .chain(databases(data).filter(|path| path.extension().is_some_and(|extension| extension == "db")));
    let state = |path: PathBuf| FileState::of(&path).map_err(failed(&path)).map(|state| (path, state));
    let unchanged = files.map(state).collect::<Result<_, _>>()?;
    Ok(Premises { _locks: vec![directory], places: Vec::new(), secret: None, unchanged })
}

/// Takes the locks for a server; tells a command whether a server holds them.
pub(super) async fn take_locks(data: &Path, purpose: Purpose) -> Result<(Option<Premises>, bool), StartError> {
    let path = data.join(LOCK_NAME);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Io { doing: "cannot lock", path, source }
    };
    // The data directory itself may be reached through a link.
    let directory = fs::canonicalize(data).and_then(|data| private::open_directory(&data)).map_err(failed(data))?;
    private::file_or_new(&path)?;
    let lock = private::open_to_write(&path).map_err(failed(&path))?;
    if purpose == Purpose::Command {
        // A command locks shared, so that two commands do not take each other for a server.
        for (file, path) in [(&directory, data), (&lock, path.as_path())] {
            match file.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok((None, true)),
                Err(TryLockError::Error(source)) => return Err(failed(path)(source)),
            }
        }
        return Ok((None, false));
    }
    for (file, path) in [(&directory, data), (&lock, path.as_path())] {
        if !try_to_lock(file).await.map_err(failed(path))? {
            return Err(StartError::Served { path: data.to_owned() });
        }
    }
    let places =
        vec![FilePlace::through_links(data).map_err(failed(data))?, FilePlace::of(&path).map_err(failed(&path))?];
    let is_ours = places.iter().zip([&directory, &lock]).all(|(place, file)| place.is_of(file));
    if !is_ours {
        return Err(StartError::Served { path: data.to_owned() });
    }
    Ok((Some(Premises { _locks: vec![directory, lock], places, secret: None, unchanged: Vec::new() }), false))
}

async fn try_to_lock(file: &File) -> io::Result<bool> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
            Err(TryLockError::Error(source)) => return Err(source),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{private::Earlier, secrets::SystemEntropy};

    /// Whether enough checks found the secret wrong.
    fn is_wrong(watched: &mut WatchedSecret) -> bool {
        (0..SECRET_LOOKS).any(|_| watched.trouble().is_some())
    }

    #[test]
    fn a_secret_in_use_may_get_versions_and_lose_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(secrets::FILE_NAME);
        let secrets = Secrets::open(folder.path(), &SystemEntropy).unwrap();
        let first = fs::read(&path).unwrap();
        let more = String::from_utf8(first.clone()).unwrap().replacen(
            '}',
            ", \"2\": \"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\"}",
            1,
        );
        let other = Secrets::generate(&SystemEntropy).unwrap();
        let replace = |content: &[u8]| private::write_whole(&path, ".secret-", content, Earlier::Goes).unwrap();
        let mut watched = WatchedSecret::of(&path, false, secrets).unwrap();
        assert!(!is_wrong(&mut watched));
        replace(more.as_bytes());
        assert!(!is_wrong(&mut watched), "one more version");
        // The file is in place, and half-written for a moment.
        fs::write(&path, &more.as_bytes()[..more.len() / 2]).unwrap();
        assert!(watched.trouble().is_none());
        fs::write(&path, &more).unwrap();
        assert!(!is_wrong(&mut watched));
        for wrong in [other.as_bytes(), b"{}", b""] {
            fs::write(&path, wrong).unwrap();
            assert!(is_wrong(&mut watched));
            replace(&first);
            assert!(!is_wrong(&mut watched), "put back");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_wrong(&mut watched), "others may have read it");
        fs::remove_file(&path).unwrap();
        assert!(is_wrong(&mut watched));
    }
}
