//! The secret in a file: made whole or not at all, and read only while it is its owner's alone.

use std::{
    fs::{DirBuilder, File, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use zeroize::Zeroizing;

use super::{Entropy, Secrets, SecretsError};
use crate::private;

const FILE_BYTES_MAX: u64 = 64 * 1024;
const OTHERS_MODE_BITS: u32 = 0o077;

/// Makes a directory that only its owner can read, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub(super) fn create_private_dir(data: &Path) -> Result<(), SecretsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|source| SecretsError::Io {
        action: "create the directory",
        path: data.to_owned(),
        source,
    })
}

pub(super) fn create(path: &Path, entropy: &dyn Entropy) -> Result<(), SecretsError> {
    let failed = |action| move |source| SecretsError::Io { action, path: path.to_owned(), source };
    // A bare name has an empty parent, which is the working directory.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let json = Secrets::generate(entropy)?;

    let mut file = tempfile::Builder::new()
        .prefix(".secret-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(failed("create a file beside"))?;
    // The umask may have taken more than the mode leaves.
    file.as_file().set_permissions(Permissions::from_mode(0o600)).map_err(failed("set the mode of"))?;
    file.write_all(json.as_bytes()).map_err(failed("write"))?;
    file.as_file().sync_all().map_err(failed("write"))?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was first: its secret is the one.
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(e) => return Err(failed("create")(e.error)),
    }
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(failed("write"))
}

/// Reads a file that may be reached through a link: an operator named it.
pub(super) fn read(path: &Path) -> Result<Secrets, SecretsError> {
    read_opened(path, File::open(path))
}

/// Reads the file of a data directory, in which nothing has to be a link, nor to become one after a look.
pub(super) fn read_unless_link(path: &Path) -> Result<Secrets, SecretsError> {
    match private::open_to_read(path) {
        Err(error) if private::is_link(&error) => Err(SecretsError::Link { path: path.to_owned() }),
        opened => read_opened(path, opened),
    }
}

fn read_opened(path: &Path, opened: io::Result<File>) -> Result<Secrets, SecretsError> {
    let failed = |source| SecretsError::Io { action: "read", path: path.to_owned(), source };
    let file = opened.map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & OTHERS_MODE_BITS != 0 {
        return Err(SecretsError::Exposed { path: path.to_owned(), mode });
    }
    let mut json = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut json).map_err(failed)?;
    Secrets::from_json(&json, &path.display().to_string())
}
