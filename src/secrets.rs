//! The server's own secret, from which API keys, cursor seals and the lookup names of email addresses are derived.
//!
//! It lives in `secret.json` in the data directory, in a named file, or where a store of many machines keeps it, and has
//! versions, so that it can be rotated while keys that were derived from an older version can still be derived again. Whoever
//! has the file can make every key: it is readable by its owner only, and the server refuses to start when it is not.

use crate::{
    domain::{
        id::hex,
        key::{AdminToken, ApiKey, KeyHash, KeyId, SECRET_BYTES as KEY_SECRET_BYTES},
    },
    private,
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{DirBuilder, File, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The secret's file name in the data directory.
pub const FILE_NAME: &str = "secret.json";

const SECRET_BYTES: usize = 32;
const FILE_BYTES_MAX: u64 = 64 * 1024;
const OTHERS_MODE_BITS: u32 = 0o077;

/// A source of random bytes, handed in so that tests can repeat a run.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// When the source cannot deliver; nothing may then be derived from `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The system's random source failed.
#[derive(Debug, Error)]
#[error("the system's random source failed: {0}; nothing secret can be made without it")]
pub struct EntropyError(String);

/// The operating system's random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|e| EntropyError(e.to_string()))
    }
}

/// A repeatable source: for tests only, its bytes are no secret.
#[derive(Debug)]
pub struct SeededEntropy(std::sync::Mutex<rand_chacha::ChaCha8Rng>);

impl SeededEntropy {
    /// A source that gives the same bytes for the same seed.
    pub fn new(seed: u64) -> Self {
        use rand_chacha::rand_core::SeedableRng;
        Self(std::sync::Mutex::new(rand_chacha::ChaCha8Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        use rand_chacha::rand_core::Rng;
        let mut generator = self.0.lock().map_err(|e| EntropyError(e.to_string()))?;
        generator.fill_bytes(bytes);
        Ok(())
    }
}

/// Why the server's secret cannot be used.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// The file or its directory cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than its owner may read or write the file.
    #[error("{} has mode {mode:03o}: others than its owner can use it, and with it make every key; run `chmod 600 {}` and consider whether someone did", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file's content, or that of another place, is not a server secret.
    #[error(
        "{place} is not a server secret: {reason}; restore it from a backup, since new secrets would void every key"
    )]
    Malformed {
        /// The file, or where else it is.
        place: String,
        /// What is wrong; never the content.
        reason: String,
    },
    /// The file is a symbolic link, which could lead anywhere.
    #[error("{} is a symbolic link, which is not followed: put the file itself there, or name another with secret_file", .path.display())]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// A version of the secret that was used earlier is missing.
    #[error("version {0} of the server secret is missing; restore the secret from a backup")]
    UnknownVersion(u32),
    /// There is no secret, but there are keys that were derived from one.
    #[error(
        "{place} is missing, but keys were derived from it: restore it from your backup of the secret. A new secret would \
         end every key. When it is lost for good, `permitd secret replace` says what that means and does it"
    )]
    Lost {
        /// Where it should be.
        place: String,
    },
    /// The secret is not the one that this deployment's keys were derived from.
    #[error(
        "{place} is not the server secret of this deployment: {what}. Restore the right one from your backup of the secret, \
         or copy it from a server that works. When it is lost for good, `permitd secret replace` says what that means and \
         does it"
    )]
    NotOurs {
        /// Where the secret is.
        place: String,
        /// What differs.
        what: String,
    },
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// What a deployment remembers of a version of its server secret: enough to recognise it, and nothing to derive from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMark {
    /// The version.
    pub version: u32,
    /// An HMAC-SHA256 of a constant under this version, in hex.
    pub fingerprint: String,
}

/// The bytes of a version. They are overwritten when the last owner lets go of them.
type SecretBytes = Zeroizing<[u8; SECRET_BYTES]>;

/// The server secret and what is derived from it. Each use has an HMAC-SHA256 label of its own, so that none reveals another.
/// Clones share it.
#[derive(Clone)]
pub struct Secrets(Arc<Held>);

struct Held {
    place: String,
    current: u32,
    current_secret: SecretBytes,
    versions: BTreeMap<u32, SecretBytes>,
    /// Why it is no longer the deployment's, once that was noticed.
    doubt: OnceLock<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretFile {
    current: u32,
    versions: BTreeMap<u32, String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(version {} of {})", self.0.current, self.0.versions.len())
    }
}

impl Secrets {
    /// Reads the secret of the data directory `data`, creating both on first use: the directory with mode 0700, the file
    /// with mode 0600, whole or not at all. When two processes create it at once, both get the same.
    ///
    /// # Errors
    /// When the file cannot be read or written, is open to others than its owner, or is damaged.
    pub fn open(data: &Path, entropy: &dyn Entropy) -> Result<Self, SecretsError> {
        create_private_dir(data)?;
        let path = data.join(FILE_NAME);
        // In a directory of its own nothing has to be a link; a file that an operator names may be one.
        if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            return Err(SecretsError::Link { path });
        }
        if !Self::is_there(&path)? {
            create(&path, entropy)?;
        }
        match private::open_to_read(&path) {
            // It was put there after the look.
            Err(error) if private::is_link(&error) => Err(SecretsError::Link { path }),
            opened => read(&path, opened),
        }
    }

    /// Whether there is a secret for [`Self::open`], or for [`Self::open_file`] when a file is named.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn is_there(path: &Path) -> Result<bool, SecretsError> {
        path.try_exists().map_err(|source| SecretsError::Io { action: "look for", path: path.to_owned(), source })
    }

    /// Reads the secret of a named file, creating it with mode 0600, whole or not at all, when it is not there. Its directory
    /// must be there. When two processes create it at once, both get the same.
    ///
    /// # Errors
    /// When the file cannot be read or written, is open to others than its owner, or is damaged.
    pub fn open_file(path: &Path, entropy: &dyn Entropy) -> Result<Self, SecretsError> {
        if !Self::is_there(path)? {
            create(path, entropy)?;
        }
        read(path, File::open(path))
    }

    /// Reads the secret of a named file, which must be there: for a server that shares it with others.
    ///
    /// # Errors
    /// When the file is missing, cannot be read, is open to others than its owner, or is damaged.
    pub fn read_file(path: &Path) -> Result<Self, SecretsError> {
        read(path, File::open(path))
    }

    /// A new secret, in the form in which it is kept. Whoever has it can make every key.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Zeroizing<String>, SecretsError> {
        let mut secret = SecretBytes::default();
        entropy.fill(&mut *secret)?;
        let content = SecretFile { current: 1, versions: BTreeMap::from([(1, BASE64_STANDARD.encode(*secret))]) };
        let not_written = |error: serde_json::Error| SecretsError::Malformed {
            place: "a new secret".to_owned(),
            reason: error.to_string(),
        };
        serde_json::to_string_pretty(&content).map(Zeroizing::new).map_err(not_written)
    }

    /// Reads a secret in the form in which it is kept; `place` says where that was.
    ///
    /// # Errors
    /// When it is damaged. The error never holds the content.
    pub fn from_json(json: &[u8], place: &str) -> Result<Self, SecretsError> {
        let malformed = |reason: String| SecretsError::Malformed { place: place.to_owned(), reason };
        let mut content: SecretFile = serde_json::from_slice(json)
            .map_err(|e| malformed(format!("wrong JSON at line {} column {}", e.line(), e.column())))?;
        let decode = |(version, text): (u32, String)| {
            let bytes = BASE64_STANDARD.decode(Zeroizing::new(text).as_bytes()).map(Zeroizing::new);
            let bytes = bytes.ok().and_then(|bytes| <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).ok());
            let secret =
                bytes.ok_or_else(|| malformed(format!("version {version} is not {SECRET_BYTES} bytes in base64")))?;
            Ok((version, SecretBytes::new(secret)))
        };
        let versions = std::mem::take(&mut content.versions);
        let versions: BTreeMap<_, _> = versions.into_iter().map(decode).collect::<Result<_, SecretsError>>()?;
        let Some(current_secret) = versions.get(&content.current).cloned() else {
            return Err(malformed(format!("its current version {} is missing", content.current)));
        };
        let (place, current) = (place.to_owned(), content.current);
        Ok(Self(Arc::new(Held { place, current, current_secret, versions, doubt: OnceLock::new() })))
    }

    /// The version that new keys are derived from.
    pub fn current_version(&self) -> u32 {
        self.0.current
    }

    /// What a deployment remembers of each version.
    pub fn marks(&self) -> Vec<SecretMark> {
        let mark = |(version, secret): (&u32, &SecretBytes)| SecretMark {
            version: *version,
            fingerprint: hex(&derive(secret, "permitd/fingerprint/v1", b"")),
        };
        self.0.versions.iter().map(mark).collect()
    }

    /// Compares with what the deployment remembers: every version that it knows must be here, and be the same. Returns the
    /// marks that it does not know yet, such as that of a version that was just added.
    ///
    /// # Errors
    /// [`SecretsError::NotOurs`].
    pub fn check(&self, known: &[SecretMark]) -> Result<Vec<SecretMark>, SecretsError> {
        let ours = self.marks();
        for mark in known {
            let version = mark.version;
            let what = match ours.iter().find(|ours| ours.version == version) {
                Some(ours) if ours.fingerprint == mark.fingerprint => continue,
                Some(_) => format!("its version {version} is another than the one that keys were derived from"),
                None => format!("its version {version} is missing, from which keys were derived"),
            };
            return Err(SecretsError::NotOurs { place: self.0.place.clone(), what });
        }
        Ok(ours.into_iter().filter(|ours| known.iter().all(|mark| mark.version != ours.version)).collect())
    }

    /// Where it is kept, for messages.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// Says that this is no longer the deployment's secret, and why; all clones know it from now on.
    pub fn doubt(&self, why: String) {
        // Who comes first says why.
        self.0.doubt.set(why).ok();
    }

    /// Why this is no longer the deployment's secret, if that was noticed.
    pub fn doubted(&self) -> Option<&str> {
        self.0.doubt.get().map(String::as_str)
    }

    /// The secret part of the API key `key_id`, the same every time: a mail that is sent again carries the same key.
    ///
    /// # Errors
    /// When the version is no longer in the file.
    pub fn key_secret(&self, version: u32, key_id: &str) -> Result<[u8; 32], SecretsError> {
        let secret = self.0.versions.get(&version).ok_or(SecretsError::UnknownVersion(version))?;
        Ok(derive(secret, "permitd/api-key/v1", key_id.as_bytes()))
    }

    /// The API key with this id, derived from this version of the server secret.
    ///
    /// # Errors
    /// When the version is no longer in the file.
    pub fn api_key(&self, version: u32, id: KeyId) -> Result<ApiKey, SecretsError> {
        let derived = Zeroizing::new(self.key_secret(version, id.as_str())?);
        let mut secret = Zeroizing::new([0; KEY_SECRET_BYTES]);
        secret.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
        Ok(ApiKey::new(id, &secret))
    }

    /// Whether a key with this id and hash was derived here: tells a forged key without a look-up.
    pub fn recognises(&self, id: KeyId, hash: &KeyHash) -> bool {
        self.0.versions.keys().any(|version| self.api_key(*version, id).is_ok_and(|key| key.hash() == *hash))
    }

    /// A new administrator's token with this id.
    ///
    /// # Errors
    /// When the secret's current version is not in the file.
    pub fn admin_token(&self, id: KeyId) -> Result<AdminToken, SecretsError> {
        self.admin_token_of(self.0.current, id)
    }

    /// Whether a text is an administrator's token that was derived here: tells a wrong one without a look-up.
    pub fn recognises_admin_token(&self, text: &str) -> bool {
        let Some(id) = AdminToken::id_in(text) else { return false };
        let presented = KeyHash::of(text.as_bytes());
        self.0
            .versions
            .keys()
            .any(|version| self.admin_token_of(*version, id).is_ok_and(|token| token.hash() == presented))
    }

    fn admin_token_of(&self, version: u32, id: KeyId) -> Result<AdminToken, SecretsError> {
        let secret = self.0.versions.get(&version).ok_or(SecretsError::UnknownVersion(version))?;
        let derived = Zeroizing::new(derive(secret, "permitd/admin-token/v1", id.as_str().as_bytes()));
        let mut token_secret = Zeroizing::new([0; KEY_SECRET_BYTES]);
        token_secret.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
        Ok(AdminToken::new(id, &token_secret))
    }

    /// The key that seals cursors. Rotating the secret voids the cursors that are out.
    pub fn cursor_key(&self) -> [u8; 32] {
        derive(&self.0.current_secret, "permitd/cursor/v1", b"")
    }

    /// What is kept of a client's request beside its answer, to tell it from another one: an HMAC of its SHA-256, after the
    /// version that it was made with. Whoever reads the store and has not the secret cannot guess a short body from it.
    pub fn request_mark(&self, request_hash: &str) -> String {
        let mac = derive(&self.0.current_secret, REQUEST_LABEL, request_hash.as_bytes());
        format!("{}:{}", self.0.current, hex(&mac))
    }

    /// Whether what is kept of a request is of the one with this SHA-256. Versions of permitd before kept that itself. What was
    /// made with a version of the secret that is gone is of no request any more.
    pub fn is_mark_of(&self, kept: &str, request_hash: &str) -> bool {
        let Some((version, kept)) = kept.split_once(':') else { return kept == request_hash };
        let secret = version.parse().ok().and_then(|version: u32| self.0.versions.get(&version));
        secret.is_some_and(|secret| hex(&derive(secret, REQUEST_LABEL, request_hash.as_bytes())) == kept)
    }

    /// The names under which an email address is claimed and looked up, in hex, one for each version: the address itself need
    /// not be stored. Whoever takes all of them meets everybody who took one, whichever version was the first or has been
    /// given up since. Case does not matter.
    pub fn email_claims(&self, email: &str) -> Vec<String> {
        let address = email.trim().to_lowercase();
        let claim = |secret: &SecretBytes| hex(&derive(secret, "permitd/email-claim/v1", address.as_bytes()));
        self.0.versions.values().map(claim).collect()
    }
}

/// What marks of requests are derived by.
const REQUEST_LABEL: &str = "permitd/request/v1";

fn derive(secret: &[u8; SECRET_BYTES], label: &str, input: &[u8]) -> [u8; 32] {
    // HMAC pads a short key with zeros to its block; doing so here spares an error that cannot happen.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(secret).for_each(|(padded, byte)| *padded = *byte);
    let mut mac = Hmac::<Sha256>::new(&block);
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(input);
    block.zeroize();
    mac.finalize().into_bytes().into()
}

/// Makes a directory that only its owner can read, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(data: &Path) -> Result<(), SecretsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|source| SecretsError::Io {
        action: "create the directory",
        path: data.to_owned(),
        source,
    })
}

fn create(path: &Path, entropy: &dyn Entropy) -> Result<(), SecretsError> {
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

fn read(path: &Path, opened: io::Result<File>) -> Result<Secrets, SecretsError> {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_a_private_secret_and_the_next_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = Secrets::open(&data, &SystemEntropy).unwrap();
        assert_eq!((mode(&data), mode(&data.join(FILE_NAME))), (0o700, 0o600));
        let again = Secrets::open(&data, &SystemEntropy).unwrap();
        assert_eq!(first.key_secret(1, "k").unwrap(), again.key_secret(1, "k").unwrap());
        assert_eq!(first.current_version(), 1);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn every_use_and_every_key_has_a_secret_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
        let key = secrets.key_secret(1, "k1").unwrap();
        assert_ne!(key, secrets.key_secret(1, "k2").unwrap());
        assert_ne!(key, secrets.cursor_key());
        assert!(matches!(secrets.key_secret(2, "k1"), Err(SecretsError::UnknownVersion(2))));
        let claims = secrets.email_claims("Ada@Example.org");
        assert_eq!(claims, secrets.email_claims("ada@example.org"));
        assert_ne!(claims, secrets.email_claims("bob@example.org"));
        assert!(claims.len() == 1 && claims[0].len() == 64 && claims[0].bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_rotated_secret_still_derives_old_keys_and_claims() {
        let dir = tempfile::tempdir().unwrap();
        let before = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut content: SecretFile = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        content.current = 2;
        content.versions.insert(2, BASE64_STANDARD.encode([7; SECRET_BYTES]));
        fs::write(&path, serde_json::to_vec(&content).unwrap()).unwrap();
        let after = Secrets::open(dir.path(), &SeededEntropy::new(2)).unwrap();
        assert_eq!(after.current_version(), 2);
        assert_eq!(before.key_secret(1, "k").unwrap(), after.key_secret(1, "k").unwrap());
        let (old, new) = (before.email_claims("a@b.c"), after.email_claims("a@b.c"));
        assert!(new.len() == 2 && new.contains(&old[0]), "who was invited before is found under the old version");
        assert_ne!(before.cursor_key(), after.cursor_key());
    }

    #[test]
    fn a_secret_that_others_can_read_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        Secrets::open(dir.path(), &SystemEntropy).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(dir.path().join(FILE_NAME), Permissions::from_mode(mode)).unwrap();
            let refused = Secrets::open(dir.path(), &SystemEntropy).unwrap_err().to_string();
            assert!(refused.contains("chmod 600") && refused.contains(&format!("{mode:03o}")), "{refused}");
        }
    }

    #[test]
    fn a_damaged_secret_is_never_replaced_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        Secrets::open(dir.path(), &SystemEntropy).unwrap();
        let path = dir.path().join(FILE_NAME);
        for content in ["", "{", r#"{"current":1,"versions":{"1":"c2hvcnQ="}}"#, r#"{"current":2,"versions":{}}"#] {
            fs::write(&path, content).unwrap();
            let refused = Secrets::open(dir.path(), &SystemEntropy).unwrap_err();
            assert!(matches!(refused, SecretsError::Malformed { .. }), "{content}: {refused}");
            assert!(!refused.to_string().contains("c2hvcnQ"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn two_processes_that_start_at_once_share_one_secret() {
        let dir = tempfile::tempdir().unwrap();
        let open = |seed| Secrets::open(dir.path(), &SeededEntropy::new(seed)).unwrap().cursor_key();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || open(seed))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_named_file_is_made_where_its_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shared.json");
        assert!(matches!(Secrets::read_file(&path), Err(SecretsError::Io { .. })), "a shared one is never made");
        let made = Secrets::open_file(&path, &SystemEntropy).unwrap();
        assert_eq!(mode(&path), 0o600);
        for again in [Secrets::open_file(&path, &SystemEntropy), Secrets::read_file(&path)] {
            assert_eq!(made.cursor_key(), again.unwrap().cursor_key());
        }
        let nowhere = dir.path().join("missing").join("shared.json");
        let refused = Secrets::open_file(&nowhere, &SystemEntropy).unwrap_err().to_string();
        assert!(refused.contains("missing/shared.json"), "{refused}");
    }

    #[test]
    fn a_secret_is_the_same_wherever_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
        let kept = Secrets::generate(&SeededEntropy::new(1)).unwrap();
        let read = Secrets::from_json(kept.as_bytes(), "a table").unwrap();
        assert_eq!(file.cursor_key(), read.cursor_key());
        let refused = Secrets::from_json(b"{}", "table x").unwrap_err().to_string();
        assert!(refused.starts_with("table x is not a server secret"), "{refused}");
    }

    #[test]
    fn debug_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(version 1 of 1)");
    }

    #[test]
    fn a_request_is_recognised_by_its_mark_and_cannot_be_guessed_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path(), &SystemEntropy).unwrap();
        let mark = secrets.request_mark("hash");
        assert!(secrets.is_mark_of(&mark, "hash") && !secrets.is_mark_of(&mark, "other"));
        assert!(mark.starts_with("1:") && !mark.contains("hash"));
        let elsewhere = Secrets::open(&folder.path().join("other"), &SystemEntropy).unwrap();
        assert_ne!(elsewhere.request_mark("hash"), mark);
        assert!(!elsewhere.is_mark_of(&mark, "hash"));
        // An earlier version kept the hash itself.
        assert!(secrets.is_mark_of("hash", "hash") && !secrets.is_mark_of("hash", "other"));
        // After another version became the current one the marks of before are still known.
        let mut content: SecretFile =
            serde_json::from_slice(&fs::read(folder.path().join(FILE_NAME)).unwrap()).unwrap();
        content.versions.insert(2, BASE64_STANDARD.encode([7; SECRET_BYTES]));
        content.current = 2;
        let rotated = Secrets::from_json(&serde_json::to_vec(&content).unwrap(), "a test").unwrap();
        assert!(rotated.is_mark_of(&mark, "hash") && rotated.request_mark("hash").starts_with("2:"));
        for damaged in ["", ":", "1:", "3:00", "x:00", "1"] {
            assert!(!rotated.is_mark_of(damaged, "hash"), "{damaged}");
        }
    }
}
