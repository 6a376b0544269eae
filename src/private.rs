//! Files and directories that only their owner may use: made with mode 0600 and 0700 whatever the umask is, and checked before use.
//!
//! Guarantees: no symbolic link is followed, not even one that appears between check and use; another user's files are refused; files that
//! others could read are closed to them, with a log line.

mod place;
mod whole;

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

pub use self::{
    place::{FilePlace, FileState},
    whole::{Earlier, remove_unfinished, write_whole},
};

/// The permission bits of users other than the owner.
pub const OTHERS: u32 = 0o077;
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// The directory with the system's names for this process's handles.
const HANDLES: &str = "/proc/self/fd";

/// Why a file or directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// The system refused.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is a symbolic link.
    #[error("{path} is a symbolic link, which is not followed: put the {kind} itself there", path = path.display())]
    Link {
        /// The path.
        path: PathBuf,
        /// The expected kind.
        kind: &'static str,
    },
    /// The path is of another kind.
    #[error("{path} is no {kind}: move it away", path = path.display())]
    OtherKind {
        /// The path.
        path: PathBuf,
        /// The expected kind.
        kind: &'static str,
    },
    /// This process may not look into a directory.
    #[error(
        "permission denied: user {us} may not look into {path}, which belongs to user {owner}: run permitd as that user, or name \
         a data directory of your own with --data",
        path = path.display()
    )]
    Closed {
        /// The directory.
        path: PathBuf,
        /// Its owner; unknown when its parent is closed, too.
        owner: String,
        /// Our user.
        us: u32,
    },
    /// The path belongs to another user.
    #[error(
        "permission denied: {path} belongs to user {owner}, and this process runs as user {us}: run permitd as user {owner}, or give the \
         directory with all that is in it to user {us} (chown -R)",
        path = path.display()
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Our user.
        us: u32,
    },
}

/// Refuses a directory that this process may not look into: its files would seem to be missing.
///
/// # Errors
/// [`PrivacyError::Closed`].
pub fn is_open(directory: &Path) -> Result<(), PrivacyError> {
    match fs::metadata(directory.join(".")) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let owner = fs::metadata(directory).map_or_else(|_| "unknown".to_owned(), |found| found.uid().to_string());
            let us = rustix::process::geteuid().as_raw();
            Err(PrivacyError::Closed { path: directory.to_owned(), owner, us })
        }
        _ => Ok(()),
    }
}

/// Checks a directory, or makes it: only its owner may use it.
///
/// # Errors
/// When it is a link, belongs to another user, is no directory, or cannot be made.
pub fn directory(path: &Path) -> Result<(), PrivacyError> {
    let failed = |doing| move |source| PrivacyError::Io { doing, path: path.to_owned(), source };
    if !check(path, "directory", DIRECTORY_MODE)? {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed("make the directory"))?;
        // The umask may have removed more bits than the mode does.
        let made = PathHandle::at(path).and_then(|held| held.set_mode(DIRECTORY_MODE));
        made.map_err(failed("set the mode of"))?;
        check(path, "directory", DIRECTORY_MODE)?;
    }
    Ok(())
}

/// The same for the data directory, which may be reached through a link.
///
/// # Errors
/// When it belongs to another user, is no directory, or cannot be made.
pub fn root(path: &Path) -> Result<(), PrivacyError> {
    match fs::canonicalize(path) {
        Ok(path) => directory(&path),
        // The path is missing, or a dangling link, which `directory` refuses.
        Err(_) => directory(path),
    }
}

/// Checks a file, if it exists: only its owner may use it.
///
/// # Errors
/// When it is a link, belongs to another user, or is no file.
pub fn file(path: &Path) -> Result<(), PrivacyError> {
    check(path, "file", FILE_MODE).map(drop)
}

/// Opens a file for reading; the system refuses a link (`ELOOP`, see [`is_link`]).
///
/// # Errors
/// The system's errors, and when it is no file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open_file(OpenOptions::new().read(true), OFlags::NOFOLLOW, path)
}

/// The same, but follows links, since somebody named the path.
///
/// # Errors
/// The system's errors, and when it is no file.
pub fn open_named_to_read(path: &Path) -> io::Result<File> {
    open_file(OpenOptions::new().read(true), OFlags::empty(), path)
}

/// Opens a file for writing; the system refuses a link (`ELOOP`, see [`is_link`]).
///
/// # Errors
/// The system's errors, and when it is no file.
pub fn open_to_write(path: &Path) -> io::Result<File> {
    open_file(OpenOptions::new().write(true), OFlags::NOFOLLOW, path)
}

/// Opens without blocking: opening a pipe would wait for somebody at its other end.
fn open_file(options: &mut OpenOptions, more: OFlags, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(flags(OFlags::NONBLOCK | more)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file: move it away"));
    }
    Ok(file)
}

/// Refuses another user's files.
///
/// # Errors
/// [`PrivacyError::Foreign`].
pub fn is_ours(path: &Path, found: &Metadata) -> Result<(), PrivacyError> {
    let (owner, us) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner == us { Ok(()) } else { Err(PrivacyError::Foreign { path: path.to_owned(), owner, us }) }
}

/// Opens a directory; for a link the system says that it is no directory.
///
/// # Errors
/// The system's errors.
pub fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY | OFlags::NOFOLLOW)).open(path)
}

/// An open directory with a name that stays valid whatever happens to its path, where the system has such names.
#[derive(Debug)]
pub struct HeldDirectory {
    _handle: File,
    name: PathBuf,
}

impl HeldDirectory {
    /// Opens a directory; for a link the system says that it is no directory.
    ///
    /// # Errors
    /// The system's errors.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(open_directory(path)?, path))
    }

    /// The same, but follows a link, since somebody named the path.
    ///
    /// # Errors
    /// The system's errors.
    pub fn named(path: &Path) -> io::Result<Self> {
        let opened = OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY)).open(path)?;
        Ok(Self::of(opened, path))
    }

    fn of(handle: File, path: &Path) -> Self {
        let name = Path::new(HANDLES).join(handle.as_raw_fd().to_string());
        let name = if name.try_exists().unwrap_or(false) { name } else { path.to_owned() };
        Self { _handle: handle, name }
    }

    /// The path of a file in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.name.join(name)
    }
}

/// Whether opening a file failed because of a link.
pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// The path of a file with its directory's links resolved, for code that refuses links anywhere in a path: the data directory may be
/// reached through one.
pub fn by_real_directory(path: &Path) -> PathBuf {
    let real = path.parent().and_then(|directory| fs::canonicalize(directory).ok());
    real.zip(path.file_name()).map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}

/// The flags as the standard library takes them.
fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

/// A handle of what is at a path: checks and changes apply to it, and not to a later replacement.
///
/// The handle does not open the file (`O_PATH`), so that closing it releases no lock that SQLite holds on the file in this process.
struct PathHandle {
    handle: File,
    found: Metadata,
}

impl PathHandle {
    fn at(path: &Path) -> io::Result<Self> {
        let held = OpenOptions::new().read(true).custom_flags(flags(OFlags::PATH | OFlags::NOFOLLOW)).open(path)?;
        Ok(Self { found: held.metadata()?, handle: held })
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.set_mode_by(Path::new(HANDLES), mode)
    }

    /// Such a handle cannot change a mode itself; the system's name for the handle leads to its file. Without these names (a bare
    /// `chroot`), a directory is opened from its handle, but not a file: closing it would release SQLite's locks.
    fn set_mode_by(&self, names: &Path, mode: u32) -> io::Result<()> {
        let permissions = Permissions::from_mode(mode);
        match fs::set_permissions(names.join(self.handle.as_raw_fd().to_string()), permissions.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.found.is_dir() => {
                let opened = rustix::fs::openat(&self.handle, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                File::from(opened).set_permissions(permissions)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::other(format!(
                "/proc is not mounted: mount it, or set the mode yourself (chmod {mode:o})"
            ))),
            done => done,
        }
    }
}

/// Checks a file, or makes an empty one.
///
/// # Errors
/// When it is a link, belongs to another user, is no file, or cannot be made.
pub fn file_or_new(path: &Path) -> Result<(), PrivacyError> {
    // Does not open an existing file: closing it would release SQLite's locks on it in this process.
    if check(path, "file", FILE_MODE)? {
        return Ok(());
    }
    match new_file(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => file(path),
        made => made.map(drop).map_err(|source| PrivacyError::Io { doing: "make", path: path.to_owned(), source }),
    }
}

/// Makes a new file, open for writing.
///
/// # Errors
/// When the path exists, or the file cannot be made.
pub fn new_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Checks the files in a directory, if it exists: only their owner may use each.
///
/// # Errors
/// The first problem.
pub fn files_in(directory: &Path) -> Result<(), PrivacyError> {
    let failed = |source| PrivacyError::Io { doing: "list", path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if is_none(&error) => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Skips folders: permitd uses none here.
        if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            file(&path)?;
        }
    }
    Ok(())
}

/// Whether the directory does not exist; callers that need it report that.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the path exists. Refuses another user's, and closes it to others.
fn check(path: &Path, kind: &'static str, mode: u32) -> Result<bool, PrivacyError> {
    let failed = |doing| move |source| PrivacyError::Io { doing, path: path.to_owned(), source };
    let held = match PathHandle::at(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        held => held.map_err(failed("look at"))?,
    };
    let found = &held.found;
    if found.is_symlink() {
        return Err(PrivacyError::Link { path: path.to_owned(), kind });
    }
    let is_kind = if mode == DIRECTORY_MODE { found.is_dir() } else { found.is_file() };
    if !is_kind {
        return Err(PrivacyError::OtherKind { path: path.to_owned(), kind });
    }
    is_ours(path, found)?;
    if found.mode() & OTHERS != 0 {
        held.set_mode(mode).map_err(failed("set the mode of"))?;
        let (before, now) = (found.mode() & 0o777, mode);
        tracing::warn!(path = %path.display(), "others could use it: its mode was {before:03o} and is {now:03o} now");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_made_and_what_is_found_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (directory_path, file_path) = (folder.path().join("d"), folder.path().join("d/f"));
        directory(&directory_path).unwrap();
        file_or_new(&file_path).unwrap();
        assert_eq!((mode(&directory_path), mode(&file_path)), (0o700, 0o600));
        fs::set_permissions(&directory_path, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file_path, Permissions::from_mode(0o644)).unwrap();
        root(&directory_path).unwrap();
        files_in(&directory_path).unwrap();
        assert_eq!((mode(&directory_path), mode(&file_path)), (0o700, 0o600));
        assert!(new_file(&file_path).is_err(), "one that is there is never taken over");
    }

    #[test]
    fn links_and_other_kinds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        file_or_new(&real).unwrap();
        symlink(&real, &link).unwrap();
        for refused in [file(&link), file_or_new(&link), directory(&link), files_in(folder.path())] {
            assert!(matches!(refused, Err(PrivacyError::Link { .. })), "{refused:?}");
        }
        assert!(matches!(directory(&real), Err(PrivacyError::OtherKind { .. })));
        symlink(folder.path().join("nowhere"), folder.path().join("dangling")).unwrap();
        assert!(matches!(file_or_new(&folder.path().join("dangling")), Err(PrivacyError::Link { .. })));
        // The data directory may lie elsewhere, behind a link.
        let (data, alias) = (folder.path().join("data"), folder.path().join("alias"));
        directory(&data).unwrap();
        symlink(&data, &alias).unwrap();
        root(&alias).unwrap();
    }

    #[test]
    fn a_link_that_is_put_there_after_the_look_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, place) = (folder.path().join("victim"), folder.path().join("serve.lock"));
        fs::write(&victim, "untouched").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
        file_or_new(&place).unwrap();
        let held = PathHandle::at(&place).unwrap();
        fs::remove_file(&place).unwrap();
        symlink(&victim, &place).unwrap();
        held.set_mode(0o400).unwrap();
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o644, "what was looked at was changed");
        for opened in [open_to_read(&place), open_to_write(&place)] {
            assert!(is_link(&opened.unwrap_err()));
        }
        assert_eq!(new_file(&place).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(matches!(file_or_new(&place), Err(PrivacyError::Link { .. })));
        let (data, alias) = (folder.path().join("d"), folder.path().join("alias"));
        directory(&data).unwrap();
        symlink(&data, &alias).unwrap();
        assert!(open_directory(&data).is_ok() && open_directory(&alias).is_err());
        assert_eq!(by_real_directory(&alias.join("f")), fs::canonicalize(&data).unwrap().join("f"));
        // A dangling link is refused, too.
        fs::remove_file(&place).unwrap();
        symlink(folder.path().join("nowhere"), &place).unwrap();
        assert!(open_to_write(&place).is_err() && new_file(&place).is_err());
        assert!(!folder.path().join("nowhere").exists());
    }

    #[test]
    fn a_directory_is_closed_to_others_where_proc_is_not_mounted_and_a_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (nowhere, data, file) = (folder.path().join("proc"), folder.path().join("data"), folder.path().join("f"));
        fs::create_dir(&data).unwrap();
        for mode in [0o755, 0o700, 0o777] {
            fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
            PathHandle::at(&data).unwrap().set_mode_by(&nowhere, DIRECTORY_MODE).unwrap();
            assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, DIRECTORY_MODE);
        }
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let refused = PathHandle::at(&file).unwrap().set_mode_by(&nowhere, FILE_MODE).unwrap_err().to_string();
        assert!(refused.contains("/proc is not mounted") && refused.contains("chmod 600"), "{refused}");
        // A file that is closed to others already needs no such name.
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert!(check(&file, "file", FILE_MODE).unwrap());
    }

    #[test]
    fn what_is_written_into_a_directory_that_is_held_goes_there_whatever_its_path_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, moved, elsewhere) =
            (folder.path().join("outbox"), folder.path().join("moved"), folder.path().join("elsewhere"));
        directory(&outbox).unwrap();
        directory(&elsewhere).unwrap();
        let held = HeldDirectory::at(&outbox).unwrap();
        fs::rename(&outbox, &moved).unwrap();
        symlink(&elsewhere, &outbox).unwrap();
        assert!(write_whole(&held.join("mail"), ".mail-", b"a key", Earlier::Goes).unwrap());
        assert_eq!(fs::read(moved.join("mail")).unwrap(), b"a key");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert!(HeldDirectory::at(&outbox).is_err());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("secret.json");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        for opened in [open_to_read(&pipe), open_named_to_read(&pipe), open_to_write(&pipe)] {
            opened.unwrap_err();
        }
    }
}
