//! Watches files and directories that are in use.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file or directory at its path: detects that it was removed, or replaced by another one or a link.
#[derive(Debug, Clone)]
pub struct FilePlace {
    path: PathBuf,
    device: u64,
    inode: u64,
    may_be_link: bool,
    may_be_empty: bool,
}

fn look(path: &Path, may_be_link: bool) -> io::Result<Metadata> {
    if may_be_link { fs::metadata(path) } else { fs::symlink_metadata(path) }
}

impl FilePlace {
    /// The file or directory that is at `path` now.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::new(path, false)
    }

    /// The same, but `path` may be a link to it.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be examined.
    pub fn through_links(path: &Path) -> io::Result<Self> {
        Self::new(path, true)
    }

    fn new(path: &Path, may_be_link: bool) -> io::Result<Self> {
        let found = look(path, may_be_link)?;
        let (device, inode) = (found.dev(), found.ino());
        Ok(Self { path: path.to_owned(), device, inode, may_be_link, may_be_empty: true })
    }

    /// The same for a file that is never empty while in use.
    #[must_use]
    pub fn never_empty(self) -> Self {
        Self { may_be_empty: false, ..self }
    }

    /// Whether this open file is the one at the path.
    pub fn is_of(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// What happened to the file; `None` while it is in place.
    pub fn trouble(&self) -> Option<String> {
        let path = self.path.display();
        match look(&self.path, self.may_be_link) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => {
                (found.len() == 0 && !self.may_be_empty).then(|| format!("{path} was emptied while it was in use"))
            }
            Ok(_) => Some(format!("{path} was replaced while it was in use")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(format!("{path} was deleted or moved away while it was in use"))
            }
            Err(error) => Some(format!("{path} cannot be looked at any more: {error}")),
        }
    }
}

/// A file's state at one moment: equal as long as nobody changes or replaces the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Time of the last change of content or mode, seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileState {
    /// The state of the file at `path` now.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let changed = (found.ctime(), found.ctime_nsec());
        Ok(Self { device: found.dev(), inode: found.ino(), bytes: found.len(), changed })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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
        fs::remove_file(&path).unwrap();
        fs::rename(folder.path().join("g"), &path).unwrap();
        assert!(place.trouble().is_none(), "put back");
        // A link to the file does not count as the file, except where links are allowed.
        fs::rename(&path, folder.path().join("g")).unwrap();
        symlink(folder.path().join("g"), &path).unwrap();
        assert!(place.trouble().unwrap().contains("replaced"));
        assert!(FilePlace::through_links(&path).unwrap().trouble().is_none());
    }

    #[test]
    fn what_was_emptied_is_noticed_where_it_must_not_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "something").unwrap();
        let (any, never_empty) = (FilePlace::of(&path).unwrap(), FilePlace::of(&path).unwrap().never_empty());
        assert!(never_empty.trouble().is_none());
        fs::write(&path, "").unwrap();
        assert!(any.trouble().is_none() && never_empty.trouble().unwrap().contains("emptied"));
    }
}
