//! The key that checkpoints are signed with, as it is stored: a key of its own, which no other use shares.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

use super::{Entropy, SecretsError, file};
use crate::domain::checkpoint::CheckpointKey;

/// The key's file name in the data directory.
pub const CHECKPOINT_KEY_FILE: &str = "checkpoint-key.json";

/// The stored form: the seed of 32 bytes, in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    ed25519: String,
}

/// Makes a new key in its stored form.
///
/// # Errors
/// When there are no random bytes.
pub fn new_checkpoint_key(entropy: &dyn Entropy) -> Result<Zeroizing<String>, SecretsError> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed)?;
    let mut content = KeyFile { ed25519: BASE64_STANDARD.encode(*seed) };
    let json = serde_json::to_string_pretty(&content).map(Zeroizing::new);
    content.ed25519.zeroize();
    let reason = |error: serde_json::Error| error.to_string();
    json.map_err(|error| SecretsError::Malformed { place: "a new key".to_owned(), reason: reason(error) })
}

/// Reads a key from its stored form; `place` says where that was.
///
/// # Errors
/// When it is damaged. The error never holds the content.
pub fn read_checkpoint_key(json: &[u8], place: &str) -> Result<CheckpointKey, SecretsError> {
    let malformed =
        |reason: &str| SecretsError::MalformedCheckpointKey { place: place.to_owned(), reason: reason.to_owned() };
    let content: KeyFile = serde_json::from_slice(json).map_err(|_| malformed("it is no key of checkpoints"))?;
    let text = Zeroizing::new(content.ed25519);
    let seed = BASE64_STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
    let seed = seed.ok().and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok()).map(Zeroizing::new);
    Ok(CheckpointKey::from_seed(&*seed.ok_or_else(|| malformed("its seed is not 32 bytes in base64"))?))
}

/// The stored form of the key in a file, which only its owner may read; none where there is no file.
///
/// # Errors
/// When the file cannot be read, is a link, or is open to others than its owner.
pub fn find_checkpoint_key(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretsError> {
    if !super::Secrets::is_there(path)? {
        return Ok(None);
    }
    file::read_unless_link(path).map(Some)
}

/// Keeps a key in its stored form in a file, with mode 0600, whole or not at all, unless one is there. Returns the stored form of the one that is
/// there then.
///
/// # Errors
/// As [`find_checkpoint_key`], or when it cannot be written.
pub fn keep_checkpoint_key(path: &Path, json: &str) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    if !super::Secrets::is_there(path)? {
        file::create(path, json)?;
    }
    file::read_unless_link(path)
}
