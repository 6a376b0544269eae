//! The server's own secret, from which API keys, cursor seals and the lookup names of email addresses are derived.
//!
//! It is stored in `secret.json` in the data directory, in a named file, or in the shared store of many machines. Its versions allow a
//! rotation: keys from an older version can still be derived. Anybody with the file can make every key: only its owner may read it, and
//! otherwise the server refuses to start.

mod checkpoint;
mod entropy;
mod error;
mod file;
mod seal;
#[cfg(test)]
mod tests;
mod visit;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

pub use self::{
    checkpoint::{
        CHECKPOINT_KEY_FILE, find_checkpoint_key, keep_checkpoint_key, new_checkpoint_key, read_checkpoint_key,
    },
    entropy::{Entropy, EntropyError, SeededEntropy, SystemEntropy},
    error::SecretsError,
    file::UNFINISHED,
    visit::{OpenedVisit, VisitSecrets},
};
use crate::domain::{
    credential::{Credential, CredentialKind},
    id::hex,
    key::{AdminToken, ApiKey, KeyHash, KeyId, SECRET_BYTES as KEY_SECRET_BYTES},
    link::{LinkPlace, LinkToken, PresentedLink},
    session_token::SessionToken,
};

/// The secret's file name in the data directory.
pub const FILE_NAME: &str = "secret.json";

const SECRET_BYTES: usize = 32;

/// A deployment's mark of a version of its server secret: enough to recognise the version, but not to derive from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMark {
    /// The version.
    pub version: u32,
    /// An HMAC-SHA256 of a constant under this version, in hex.
    pub fingerprint: String,
}

impl SecretMark {
    fn of(version: u32, secret: &SecretBytes) -> Self {
        Self { version, fingerprint: hex(&derive(secret, "permitd/fingerprint/v1", b"")) }
    }

    /// The mark while a secret is being replaced: it matches no secret.
    pub fn none() -> Self {
        Self { version: 0, fingerprint: "being replaced".to_owned() }
    }
}

/// The bytes of a version, overwritten when the last owner drops them.
type SecretBytes = Zeroizing<[u8; SECRET_BYTES]>;

/// The server secret, from which everything else is derived. Each use has its own HMAC-SHA256 label, so that none reveals another. Clones
/// share the secret.
#[derive(Clone)]
pub struct Secrets(Arc<SecretVersions>);

struct SecretVersions {
    place: String,
    current: u32,
    current_secret: SecretBytes,
    versions: BTreeMap<u32, SecretBytes>,
    /// Why the secret is no longer the deployment's, once that was noticed.
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
    /// Reads the secret of the data directory `data`; the first use creates it with mode 0600, whole or not at all. Two processes that
    /// create it at once get the same secret.
    ///
    /// # Errors
    /// When the file cannot be read or written, is a link, is open to others than its owner, or is damaged.
    pub fn open(data: &Path, entropy: &dyn Entropy) -> Result<Self, SecretsError> {
        let path = data.join(FILE_NAME);
        if !Self::is_there(&path)? {
            file::create(&path, &Self::generate(entropy)?)?;
        }
        Self::of_file(&path, file::read_unless_link(&path)?)
    }

    fn of_file(path: &Path, json: Zeroizing<Vec<u8>>) -> Result<Self, SecretsError> {
        Self::from_json(&json, &path.display().to_string())
    }

    /// Whether a secret exists for [`Self::open`], or for [`Self::open_file`] when a file is named.
    ///
    /// # Errors
    /// When the path cannot be examined.
    pub fn is_there(path: &Path) -> Result<bool, SecretsError> {
        match path.symlink_metadata() {
            // A dangling link counts as existing, so that no secret is made in its place.
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(SecretsError::Io { action: "look for", path: path.to_owned(), source }),
        }
    }

    /// Reads the secret of a named file in an existing directory; creates a missing file with mode 0600, whole or not at all. Two processes
    /// that create it at once get the same secret.
    ///
    /// # Errors
    /// When the file cannot be read or written, is open to others than its owner, or is damaged.
    pub fn open_file(path: &Path, entropy: &dyn Entropy) -> Result<Self, SecretsError> {
        if !Self::is_there(path)? {
            file::create(path, &Self::generate(entropy)?)?;
        }
        Self::of_file(path, file::read(path)?)
    }

    /// Reads the secret of a named file, which must exist: for a server that shares it with others.
    ///
    /// # Errors
    /// When the file is missing, cannot be read, is open to others than its owner, or is damaged.
    pub fn read_file(path: &Path) -> Result<Self, SecretsError> {
        Self::of_file(path, file::read(path)?)
    }

    /// Checks that the file at `path` still has each version of this secret. It may have more: these are used after the next start.
    ///
    /// # Errors
    /// Says what became of the file.
    pub fn is_still_at(&self, path: &Path, may_be_link: bool) -> Result<(), SecretsError> {
        let now = if may_be_link { file::read(path)? } else { file::read_unless_link(path)? };
        Self::of_file(path, now)?.check(&self.marks()).map(drop)
    }

    /// Makes a new secret in its stored form. Anybody who has it can make every key.
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

    /// Reads a secret from its stored form; `place` says where that was.
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
        Ok(Self(Arc::new(SecretVersions { place, current, current_secret, versions, doubt: OnceLock::new() })))
    }

    /// The secret in its stored form. Anybody who has it can make every key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(&self) -> Result<Zeroizing<String>, SecretsError> {
        let text = |(version, secret): (&u32, &SecretBytes)| (*version, BASE64_STANDARD.encode(**secret));
        let mut content = SecretFile { current: self.0.current, versions: self.0.versions.iter().map(text).collect() };
        let json = serde_json::to_string_pretty(&content).map(Zeroizing::new);
        content.versions.values_mut().for_each(Zeroize::zeroize);
        json.map_err(|error| SecretsError::Malformed { place: self.0.place.clone(), reason: error.to_string() })
    }

    /// Keeps a secret in its stored form in a file, unless one is there. Returns the one that is there then.
    ///
    /// # Errors
    /// When the file cannot be read or written, is open to others than its owner, or is damaged.
    pub fn keep_file(path: &Path, json: &str) -> Result<Self, SecretsError> {
        if !Self::is_there(path)? {
            file::create(path, json)?;
        }
        Self::of_file(path, file::read(path)?)
    }

    /// A secret of this process alone, which is no deployment's: for a copy that is only read. It seals cookies and cursors, is stored
    /// nowhere, and is doubted from the beginning, so that keys are recognised by their stored hashes.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn of_no_deployment(entropy: &dyn Entropy) -> Result<Self, SecretsError> {
        let secrets = Self::from_json(Self::generate(entropy)?.as_bytes(), "the memory of this process")?;
        secrets.doubt("a copy of a deployment has no server secret".to_owned());
        Ok(secrets)
    }

    /// The version that new keys are derived from.
    pub fn current_version(&self) -> u32 {
        self.0.current
    }

    /// The mark of the version that new keys are derived from.
    pub fn current_mark(&self) -> SecretMark {
        SecretMark::of(self.0.current, &self.0.current_secret)
    }

    /// The marks of all versions.
    pub fn marks(&self) -> Vec<SecretMark> {
        self.0.versions.iter().map(|(version, secret)| SecretMark::of(*version, secret)).collect()
    }

    /// Compares with the deployment's marks: every known version must be here, unchanged. Returns the marks that the deployment does not
    /// know yet, such as that of a new version.
    ///
    /// # Errors
    /// [`SecretsError::NotOurs`].
    pub fn check(&self, known: &[SecretMark]) -> Result<Vec<SecretMark>, SecretsError> {
        let ours = self.marks();
        for mark in known {
            let version = mark.version;
            let what = match ours.iter().find(|ours| ours.version == version) {
                Some(ours) if ours.fingerprint == mark.fingerprint => continue,
                None if *mark == SecretMark::none() => {
                    "another one is about to replace it; where `permitd secret replace` was interrupted, repeat it"
                        .to_owned()
                }
                Some(_) => format!("its version {version} is another than the one that keys were derived from"),
                None => format!("its version {version} is missing, from which keys were derived"),
            };
            return Err(SecretsError::NotOurs { place: self.0.place.clone(), what });
        }
        Ok(ours.into_iter().filter(|ours| known.iter().all(|mark| mark.version != ours.version)).collect())
    }

    /// The place of the secret, for messages.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// Notes that this is no longer the deployment's secret, and why; all clones share the note.
    pub fn doubt(&self, why: String) {
        // The first reason stays.
        self.0.doubt.set(why).ok();
    }

    /// Why this is no longer the deployment's secret, if that was noticed.
    pub fn doubted(&self) -> Option<&str> {
        self.0.doubt.get().map(String::as_str)
    }

    /// The secret part of the API key `key_id`, the same every time: a resent mail carries the same key.
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

    /// Whether a key with this id and hash was derived here: detects a forged key without a look-up.
    pub fn recognises(&self, id: KeyId, hash: &KeyHash) -> bool {
        self.0.versions.keys().any(|version| self.api_key(*version, id).is_ok_and(|key| key.hash() == *hash))
    }

    /// Whether a session's token with this id and hash was derived here: detects a forged one without a look-up.
    pub fn recognises_session(&self, id: KeyId, hash: &KeyHash) -> bool {
        self.0.versions.values().any(|secret| session_of(secret, id).hash() == *hash)
    }

    /// Whether a key or a session's token was derived here.
    pub fn recognises_credential(&self, shown: &Credential) -> bool {
        match shown.kind {
            CredentialKind::Key => self.recognises(shown.id, &shown.hash),
            CredentialKind::Session => self.recognises_session(shown.id, &shown.hash),
        }
    }

    /// The token of the session with this id.
    pub fn session_token(&self, id: KeyId) -> SessionToken {
        session_of(&self.0.current_secret, id)
    }

    /// A new administrator's token with this id.
    ///
    /// # Errors
    /// When the secret's current version is not in the file.
    pub fn admin_token(&self, id: KeyId) -> Result<AdminToken, SecretsError> {
        self.admin_token_of(self.0.current, id)
    }

    /// Whether a text is an administrator's token derived here: detects a wrong one without a look-up.
    pub fn recognises_admin_token(&self, text: &str) -> bool {
        let Some(id) = AdminToken::id_in(text) else { return false };
        self.derived_admin_token(id, &KeyHash::of(text.as_bytes()))
    }

    /// Whether the administrator's token with this id and hash was derived here.
    pub fn derived_admin_token(&self, id: KeyId, hash: &KeyHash) -> bool {
        self.0.versions.keys().any(|version| self.admin_token_of(*version, id).is_ok_and(|token| token.hash() == *hash))
    }

    fn admin_token_of(&self, version: u32, id: KeyId) -> Result<AdminToken, SecretsError> {
        let secret = self.0.versions.get(&version).ok_or(SecretsError::UnknownVersion(version))?;
        let derived = Zeroizing::new(derive(secret, "permitd/admin-token/v1", id.as_str().as_bytes()));
        let mut token_secret = Zeroizing::new([0; KEY_SECRET_BYTES]);
        token_secret.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
        Ok(AdminToken::new(id, &token_secret))
    }

    /// The token of a person's link under this version of the server secret: a resent mail carries the same token.
    ///
    /// # Errors
    /// When the version is no longer in the file.
    pub fn link_token(&self, version: u32, place: LinkPlace) -> Result<LinkToken, SecretsError> {
        let secret = self.0.versions.get(&version).ok_or(SecretsError::UnknownVersion(version))?;
        let derived = Zeroizing::new(derive(secret, "permitd/link/v1", &place.to_bytes()));
        Ok(LinkToken::new(place, &derived))
    }

    /// Whether a link's token was derived here: detects a forged one without a look-up.
    pub fn recognises_link(&self, presented: &PresentedLink) -> bool {
        let mut versions = self.0.versions.keys();
        versions
            .any(|version| self.link_token(*version, presented.place).is_ok_and(|token| token.hash() == presented.hash))
    }

    /// The key that seals cursors. A rotation of the secret invalidates issued cursors.
    pub fn cursor_key(&self) -> [u8; 32] {
        derive(&self.0.current_secret, "permitd/cursor/v1", b"")
    }

    /// The mark of a client's request, stored beside its answer to tell requests apart: the secret's version, then an HMAC of the request's
    /// SHA-256. Without the secret, a reader of the store cannot guess a short body.
    pub fn request_mark(&self, request_hash: &str) -> String {
        let mac = derive(&self.0.current_secret, REQUEST_LABEL, request_hash.as_bytes());
        format!("{}:{}", self.0.current, hex(&mac))
    }

    /// Whether a stored mark belongs to the request with this SHA-256. Earlier permitds stored the SHA-256 itself. A mark under a version
    /// that is gone matches no request.
    pub fn is_mark_of(&self, kept: &str, request_hash: &str) -> bool {
        let Some((version, kept)) = kept.split_once(':') else { return kept == request_hash };
        let secret = version.parse().ok().and_then(|version: u32| self.0.versions.get(&version));
        secret.is_some_and(|secret| hex(&derive(secret, REQUEST_LABEL, request_hash.as_bytes())) == kept)
    }

    /// The names under which an email address is claimed and looked up, in hex, one for each version, so that the address itself need not
    /// be stored. A claim of all names conflicts with every claim of one, whichever version it was made with. Ignores case.
    pub fn email_claims(&self, email: &str) -> Vec<String> {
        let address = email.trim().to_lowercase();
        let claim = |secret: &SecretBytes| hex(&derive(secret, "permitd/email-claim/v1", address.as_bytes()));
        self.0.versions.values().map(claim).collect()
    }
}

fn session_of(secret: &SecretBytes, id: KeyId) -> SessionToken {
    let derived = Zeroizing::new(derive(secret, "permitd/session/v1", id.as_str().as_bytes()));
    let mut token_secret = Zeroizing::new([0; KEY_SECRET_BYTES]);
    token_secret.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
    SessionToken::new(id, &token_secret)
}

/// The label of request marks.
const REQUEST_LABEL: &str = "permitd/request/v1";

fn derive(secret: &[u8; SECRET_BYTES], label: &str, input: &[u8]) -> [u8; 32] {
    // HMAC zero-pads a short key to its block; doing so here avoids an error that cannot happen.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(secret).for_each(|(padded, byte)| *padded = *byte);
    let mut mac = Hmac::<Sha256>::new(&block);
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(input);
    block.zeroize();
    mac.finalize().into_bytes().into()
}
