//! Files and directories that are watched while they are used.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file or directory at its place: tells when it was removed or another was put there.
#[derive(Debug, Clone)]
pub struct FilePlace {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FilePlace {
    /// What is at the place now.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be seen.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    /// Whether this open file is the one at the place.
    pub fn is_of(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// What happened to it; none while it is still there.
    pub fn trouble(&self) -> Option<String> {
        let path = self.path.display();
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => None,
            Ok(_) => Some(format!("{path} was replaced while it was in use")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(format!("{path} was deleted or moved away while it was in use"))
            }
            Err(error) => Some(format!("{path} cannot be looked at any more: {error}")),
        }
    }
}

/// A file as it is at one moment: equal as long as nobody has changed or replaced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Of content and mode, seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileState {
    /// Of what is at the place now.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be seen.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let changed = (found.ctime(), found.ctime_nsec());
        Ok(Self { device: found.dev(), inode: found.ino(), bytes: found.len(), changed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::{file_or_new, new_file};

    #[test]
    fn what_was_removed_or_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let open = new_file(&path).unwrap();
        let place = FilePlace::of(&path).unwrap();
        assert!(place.trouble().is_none() && place.is_of(&open));
        fs::rename(&path, folder.path().join("g")).unwrap();
        assert!(place.trouble().unwrap().contains("deleted or moved away"));
        file_or_new(&path).unwrap();
        assert!(place.trouble().unwrap().contains("replaced"));
    }
}
