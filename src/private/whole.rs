//! Writes files whole or not at all.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tempfile::NamedTempFile;

use super::{FILE_MODE, is_link, is_none, open_to_read};

/// How often a file is begun anew because somebody removed it as a crash's remainder.
const UNFINISHED_TRIES: u32 = 100;

/// Removes the files whose name begins with `prefix`: unfinished ones that a crash left. A living process locks its unfinished file (see
/// [`write_whole`]), which stays, as do other users' files. Returns how many were removed.
///
/// # Errors
/// When the directory cannot be read or a file cannot be removed.
pub fn remove_unfinished(directory: &Path, prefix: &str) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_none(&error) => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let is_one = entry.file_name().to_string_lossy().starts_with(prefix) && entry.file_type()?.is_file();
        match is_one.then(|| remove_unless_locked(&entry.path())) {
            Some(Ok(true)) => removed += 1,
            // Ignores files that somebody else removed first.
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Some(Ok(false) | Err(_)) | None => {}
        }
    }
    Ok(removed)
}

fn remove_unless_locked(path: &Path) -> io::Result<bool> {
    let is_not_ours = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied || is_link(error);
    let file = match open_to_read(path) {
        Err(error) if is_not_ours(&error) => return Ok(false),
        opened => opened?,
    };
    // Where files cannot be locked, the file may still be in use.
    if file.try_lock().is_err() {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Err(error) if is_not_ours(&error) => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// What to do with an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Replace it.
    Goes,
    /// Keep it.
    Stays,
}

/// Writes a file whole or not at all, and durably, in an existing directory. Until it is complete its name begins with `prefix`. Returns
/// whether it was written.
///
/// # Errors
/// The system's errors.
pub fn write_whole(path: &Path, prefix: &str, content: &[u8], earlier: Earlier) -> io::Result<bool> {
    // A bare name has an empty parent, which is the working directory.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = unfinished(directory, prefix)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    let named = match earlier {
        Earlier::Goes => file.persist(path),
        Earlier::Stays => file.persist_noclobber(path),
    };
    match named {
        Err(refused) if earlier == Earlier::Stays && refused.error.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(false);
        }
        named => named?,
    };
    File::open(directory)?.sync_all()?;
    Ok(true)
}

/// A new file, locked while it is open, so that nobody takes it for a crash's remainder. On file systems without locks, unfinished files
/// are never removed.
fn unfinished(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mode = Permissions::from_mode(FILE_MODE);
    for _ in 0..UNFINISHED_TRIES {
        let file = tempfile::Builder::new().prefix(prefix).permissions(mode.clone()).tempfile_in(directory)?;
        let is_taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        // A starting server may have taken it for a crash's remainder, and removed it already.
        if is_taken || file.as_file().metadata()?.nlink() == 0 {
            continue;
        }
        // The umask may have removed more bits than the mode does.
        file.as_file().set_permissions(mode)?;
        return Ok(file);
    }
    Err(io::Error::other("what was being written was removed again and again"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::private::file_or_new;

    #[test]
    fn what_was_not_finished_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".mail-1", ".mail-2", "a.eml"] {
            file_or_new(&folder.path().join(name)).unwrap();
        }
        symlink(folder.path().join("a.eml"), folder.path().join(".mail-link")).unwrap();
        let written = unfinished(folder.path(), ".mail-").unwrap();
        assert_eq!(remove_unfinished(folder.path(), ".mail-").unwrap(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        // The writer has died.
        let (closed, _) = written.keep().unwrap();
        drop(closed);
        assert_eq!(remove_unfinished(folder.path(), ".mail-").unwrap(), 1);
        assert_eq!(remove_unfinished(&folder.path().join("nowhere"), ".mail-").unwrap(), 0);
    }

    #[test]
    fn what_is_written_whole_is_written_although_others_remove_what_is_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.json");
        std::thread::scope(|scope| {
            let remover =
                scope.spawn(|| while remove_unfinished(folder.path(), ".secret-").is_ok() && !path.exists() {});
            for round in 0..200 {
                let other = folder.path().join(format!("{round}.eml"));
                assert!(write_whole(&other, ".secret-", b"whole", Earlier::Goes).unwrap());
                assert_eq!(fs::read(&other).unwrap(), b"whole");
            }
            assert!(write_whole(&path, ".secret-", b"first", Earlier::Stays).unwrap());
            remover.join().unwrap();
        });
        assert!(!write_whole(&path, ".secret-", b"second", Earlier::Stays).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert!(write_whole(&path, ".secret-", b"third", Earlier::Goes).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, FILE_MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 201, "nothing unfinished is left");
    }
}
