//! The secret in a file: made whole or not at all, and read only while it is private to its owner.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use zeroize::Zeroizing;

use super::error::SecretsError;
use crate::private::{self, Earlier, PrivacyError};

const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The prefix of a secret's file name while the file is being written.
pub const UNFINISHED: &str = ".secret-";

/// Makes a secret's file unless it exists; a file that another process makes first stays.
pub(super) fn create(path: &Path, json: &str) -> Result<(), SecretsError> {
    let made = private::write_whole(path, UNFINISHED, json.as_bytes(), Earlier::Stays);
    made.map(drop).map_err(|source| SecretsError::Io { action: "create", path: path.to_owned(), source })
}

/// Reads a file that may be reached through a link, since an operator named it.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    read_opened(path, private::open_named_to_read(path), |_| Ok(()))
}

/// Reads the file in a data directory; refuses a link, even one that appears after the check.
pub(super) fn read_unless_link(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    match private::open_to_read(path) {
        Err(error) if private::is_link(&error) => Err(SecretsError::Link { path: path.to_owned() }),
        opened => read_opened(path, opened, |found| private::is_ours(path, found)),
    }
}

fn read_opened(
    path: &Path,
    opened: io::Result<File>,
    may_be_used: impl FnOnce(&Metadata) -> Result<(), PrivacyError>,
) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let failed = |source| SecretsError::Io { action: "read", path: path.to_owned(), source };
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(PrivacyError::OtherKind { path: path.to_owned(), kind: "file" }.into());
        }
        opened => opened.map_err(failed)?,
    };
    let found = file.metadata().map_err(failed)?;
    may_be_used(&found)?;
    let mode = found.mode() & 0o777;
    if mode & private::OTHERS != 0 {
        return Err(SecretsError::Exposed { path: path.to_owned(), mode });
    }
    let mut json = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut json).map_err(failed)?;
    Ok(json)
}
