//! The encryption of a log's file, in the format of age: by its own library, so that `age` and `rage` read the files, too.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use age::{Decryptor, Encryptor, IdentityFile, scrypt, secrecy::SecretString as AgePassphrase, stream, tagpq, x25519};
use zeroize::Zeroizing;

use super::{TransferError, failed};

/// How each age file begins.
const MAGIC: &[u8] = b"age-encryption.org/v1";
/// The shortest passphrase, characters.
const PASSPHRASE_CHARS_MIN: usize = 12;
/// Bytes of a file of keys that are read.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Who may read a file.
pub enum FileLock {
    /// Everybody.
    Open,
    /// Whoever has an identity of one of these recipients.
    Recipients(Vec<Box<dyn age::Recipient + Send>>),
    /// Whoever knows the passphrase.
    Passphrase(AgePassphrase),
}

impl FileLock {
    /// A lock to recipients: `age1…`.
    ///
    /// # Errors
    /// [`TransferError::Key`] for a text that is no recipient.
    pub fn recipients(texts: &[String]) -> Result<Self, TransferError> {
        let recipient = |text: &String| -> Result<Box<dyn age::Recipient + Send>, TransferError> {
            let text = text.trim();
            if let Ok(recipient) = text.parse::<x25519::Recipient>() {
                return Ok(Box::new(recipient));
            }
            if let Ok(recipient) = text.parse::<tagpq::Recipient>() {
                return Ok(Box::new(recipient));
            }
            let shown: String = text.chars().take(80).collect();
            Err(TransferError::Key {
                what: format!("{shown:?} is no recipient of age (age1…): `age-keygen` makes one"),
            })
        };
        Ok(Self::Recipients(texts.iter().map(recipient).collect::<Result<_, _>>()?))
    }

    /// A lock to the passphrase in the first line of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or the passphrase is too short.
    pub fn passphrase_of(path: &Path) -> Result<Self, TransferError> {
        let passphrase = read_passphrase(path)?;
        if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
            let what = format!(
                "the passphrase in {} has fewer than {PASSPHRASE_CHARS_MIN} characters: choose a longer one",
                path.display()
            );
            return Err(TransferError::Key { what });
        }
        Ok(Self::Passphrase(AgePassphrase::from(passphrase.as_str().to_owned())))
    }

    /// Whether everybody may read the file.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// A writer through the lock.
    pub(super) fn through(self, file: File) -> io::Result<LockedWriter> {
        let file = BufWriter::new(file);
        let encryptor = match self {
            Self::Open => return Ok(LockedWriter::Open(file)),
            Self::Recipients(recipients) => {
                Encryptor::with_recipients(recipients.iter().map(|one| &**one as &dyn age::Recipient))
                    .map_err(io::Error::other)?
            }
            Self::Passphrase(passphrase) => Encryptor::with_user_passphrase(passphrase),
        };
        Ok(LockedWriter::Locked(Box::new(encryptor.wrap_output(file)?)))
    }
}

/// Writes a file, encrypted or not.
pub(super) enum LockedWriter {
    Open(BufWriter<File>),
    Locked(Box<stream::StreamWriter<BufWriter<File>>>),
}

impl Write for LockedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write(bytes),
            Self::Locked(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(file) => file.flush(),
            Self::Locked(file) => file.flush(),
        }
    }
}

impl LockedWriter {
    /// Ends the file, and gives it back.
    pub(super) fn finish(self) -> io::Result<File> {
        let file = match self {
            Self::Open(file) => file,
            Self::Locked(file) => file.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// What opens an encrypted file.
#[derive(Default)]
pub struct FileKeys {
    identities: Vec<Box<dyn age::Identity + Send + Sync>>,
}

impl FileKeys {
    /// The identities of a file as `age-keygen` makes it.
    ///
    /// # Errors
    /// When the file cannot be read, or has none.
    pub fn identities_of(path: &Path) -> Result<Self, TransferError> {
        let text = read_key_file(path)?;
        let none = |_| TransferError::Key {
            what: format!("{} has no identity of age (AGE-SECRET-KEY-1…): `age-keygen` makes one", path.display()),
        };
        let file =
            IdentityFile::from_buffer(BufReader::new(text.as_slice())).map_err(|error| none(error.to_string()))?;
        let identities = file.into_identities().map_err(|error| none(error.to_string()))?;
        if identities.is_empty() {
            return Err(none(String::new()));
        }
        Ok(Self { identities })
    }

    /// The passphrase in the first line of a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn passphrase_of(path: &Path) -> Result<Self, TransferError> {
        let passphrase = AgePassphrase::from(read_passphrase(path)?.as_str().to_owned());
        Ok(Self { identities: vec![Box::new(scrypt::Identity::new(passphrase))] })
    }

    /// Opens a file, decrypting it if it is encrypted.
    pub(super) fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, TransferError> {
        let file = File::open(path).map_err(failed("cannot read", path))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let is_encrypted = file.fill_buf().map_err(failed("cannot read", path))?.starts_with(MAGIC);
        if !is_encrypted {
            return Ok(Box::new(file));
        }
        if self.identities.is_empty() {
            return Err(TransferError::Encrypted { path: path.to_owned() });
        }
        let refused =
            |error: age::DecryptError| TransferError::Sealed { path: path.to_owned(), why: error.to_string() };
        let decryptor = Decryptor::new_buffered(file).map_err(refused)?;
        let identities = self.identities.iter().map(|one| &**one as &dyn age::Identity);
        Ok(Box::new(decryptor.decrypt(identities).map_err(refused)?))
    }
}

fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, TransferError> {
    let mut text = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(failed("cannot read", path))?;
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed("cannot read", path))?;
    Ok(text)
}

fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, TransferError> {
    let bytes = read_key_file(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        let what = format!("{} has no passphrase in its first line, or is no text", path.display());
        return Err(TransferError::Key { what });
    }
    Ok(Zeroizing::new(first.to_owned()))
}
