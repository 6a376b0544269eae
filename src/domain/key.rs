//! API keys: `pmt_<key id>_<secret>_<crc>`.
//!
//! The key id is public. The secret is 33 base-62 digits of 24 bytes (192 bits), derived from a server secret and the key id, so that a
//! repeated mail carries the same key and no plaintext is stored. The checksum is the CRC-32 of the text before it, so that junk is refused
//! without a look-up. Only the SHA-256 of the whole key and its last four characters are stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::id::{CommandId, IdError, StreamId, hex, unhex};

/// The prefix of every key.
pub const PREFIX: &str = "pmt_";
/// Length of a key id: 16 base-62 digits, 95 bits.
pub const KEY_ID_CHARS: usize = 16;
/// Length of the secret: 33 base-62 digits hold 24 bytes.
pub const SECRET_CHARS: usize = 33;
/// Bytes behind the secret: 192 bits.
pub const SECRET_BYTES: usize = 24;
/// Length of the checksum: 6 base-62 digits hold 32 bits.
pub const CRC_CHARS: usize = 6;
/// Length of the part behind the prefix.
const BEHIND_PREFIX_CHARS: usize = KEY_ID_CHARS + 1 + SECRET_CHARS + 1 + CRC_CHARS;
/// Length of a whole key.
pub const KEY_CHARS: usize = PREFIX.len() + BEHIND_PREFIX_CHARS;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key's public identifier: 16 base-62 digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct KeyId(#[schemars(with = "String", regex(pattern = "^[0-9A-Za-z]{16}$"))] [u8; KEY_ID_CHARS]);

impl KeyId {
    /// An identifier from random bytes.
    pub fn from_random(random: [u8; 12]) -> Self {
        let mut chars = [b'0'; KEY_ID_CHARS];
        write_base62(&random, &mut chars);
        Self(chars)
    }

    /// Reads an identifier.
    ///
    /// # Errors
    /// When it is not 16 base-62 digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::new(text, "a key id (16 letters and digits)");
        let chars: [u8; KEY_ID_CHARS] = text.as_bytes().try_into().map_err(|_| refused())?;
        if chars.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(chars)) } else { Err(refused()) }
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        // The bytes are always ASCII letters and digits.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl CommandId {
    /// The id of the key that the command issues in a stream: the same for every attempt, another in every other stream.
    pub fn derived_key_id(&self, stream: &StreamId) -> KeyId {
        let mut bytes = [0; 12];
        bytes.iter_mut().zip(self.derived_bytes("key", Some(stream))).for_each(|(to, from)| *to = from);
        KeyId::from_random(bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.as_str())
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A whole API key. `Debug` does not show the key. Its text is overwritten on drop.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct ApiKey {
    text: String,
    #[zeroize(skip)]
    id: KeyId,
}

impl ApiKey {
    /// The key with this id and secret.
    pub fn new(id: KeyId, secret: &[u8; SECRET_BYTES]) -> Self {
        Self { text: compose(PREFIX, id, secret), id }
    }

    /// The public part.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The plaintext key. Call it only to hand the key to its owner.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The hash that is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.text.as_bytes())
    }

    /// The key's last four characters, by which people tell keys apart. They belong to the checksum.
    pub fn last_four(&self) -> String {
        self.text.get(KEY_CHARS - 4..).unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.id)
    }
}

/// A key as a client presents it: only its form and checksum are verified. Borrows; allocates nothing.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    text: &'a [u8],
    id: KeyId,
}

impl<'a> PresentedKey<'a> {
    /// Reads a client's text; `None` if its form or checksum is wrong.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let id = dissect(PREFIX, text)?;
        Some(Self { text, id })
    }

    /// The public part.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The SHA-256 of the client's text.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.text)
    }
}

/// `<prefix><id>_<secret>_<checksum>`
pub(super) fn compose(prefix: &str, id: KeyId, secret: &[u8; SECRET_BYTES]) -> String {
    let mut digits = Zeroizing::new([b'0'; SECRET_CHARS]);
    write_base62(secret, digits.as_mut_slice());
    let mut text = String::with_capacity(prefix.len() + BEHIND_PREFIX_CHARS);
    text.push_str(prefix);
    text.push_str(id.as_str());
    text.push('_');
    text.extend(digits.iter().map(|&digit| char::from(digit)));
    let mut crc = [b'0'; CRC_CHARS];
    write_base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), &mut crc);
    text.push('_');
    text.extend(crc.iter().map(|&digit| char::from(digit)));
    text
}

/// The id in a text of that form; `None` if the form or checksum is wrong.
pub(super) fn dissect(prefix: &str, text: &[u8]) -> Option<KeyId> {
    if text.len() != prefix.len() + BEHIND_PREFIX_CHARS {
        return None;
    }
    let (body, tail) = text.split_at_checked(text.len() - CRC_CHARS - 1)?;
    let (separator, crc) = tail.split_first()?;
    let rest = body.strip_prefix(prefix.as_bytes())?;
    let (id, rest) = rest.split_at_checked(KEY_ID_CHARS)?;
    let (second_separator, secret) = rest.split_first()?;
    if *separator != b'_' || *second_separator != b'_' || !secret.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let mut expected = [b'0'; CRC_CHARS];
    write_base62(&crc32fast::hash(body).to_be_bytes(), &mut expected);
    if crc != expected {
        return None;
    }
    let id: [u8; KEY_ID_CHARS] = id.try_into().ok()?;
    id.iter().all(u8::is_ascii_alphanumeric).then_some(KeyId(id))
}

/// An administrator's token: `pmt_admin_`, then in lower-case hexadecimal (the form tokens always had) an id, a secret and the CRC-32 of
/// both. The secret is derived from a server secret and a random id, as keys are, so that a wrong token is refused without a look-up.
/// `Debug` does not show the token. Its text is overwritten on drop.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct AdminToken(String);

impl AdminToken {
    /// The prefix of every token.
    pub const PREFIX: &str = "pmt_admin_";
    /// Hexadecimal digits behind the prefix: id, secret, and the CRC-32 of both.
    pub const DIGITS: usize = 2 * (KEY_ID_CHARS + SECRET_BYTES + 4);

    /// The token with this id and secret.
    pub fn new(id: KeyId, secret: &[u8; SECRET_BYTES]) -> Self {
        let body = Zeroizing::new([&id.0, secret.as_slice()].concat());
        let crc = crc32fast::hash(&body).to_be_bytes();
        // The text gets its full capacity at once: a growing text would leave copies of the secret behind.
        let mut token = String::with_capacity(Self::PREFIX.len() + Self::DIGITS);
        token.push_str(Self::PREFIX);
        token.push_str(&Zeroizing::new(hex(&body)));
        token.push_str(&hex(&crc));
        Self(token)
    }

    /// The id in a client's text; `None` if its form or checksum is wrong.
    pub fn id_in(text: &str) -> Option<KeyId> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let bytes = unhex(digits)?;
        let (body, crc) = bytes.split_at_checked(KEY_ID_CHARS + SECRET_BYTES)?;
        let (id, _) = body.split_at_checked(KEY_ID_CHARS)?;
        if crc != crc32fast::hash(body).to_be_bytes() {
            return None;
        }
        let id: [u8; KEY_ID_CHARS] = id.try_into().ok()?;
        id.iter().all(u8::is_ascii_alphanumeric).then_some(KeyId(id))
    }

    /// The plaintext token. Call it only to hand the token to the administrator.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash that is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }

    /// The stored hash of a client's text in any form: tokens of earlier versions had no checksum.
    pub fn stored_hash(text: &str) -> String {
        KeyHash::of(text.as_bytes()).to_hex()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// The SHA-256 of a key. Comparison takes constant time.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of these bytes.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads the stored hexadecimal form.
    ///
    /// # Errors
    /// When it is not 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| IdError::new("…", "a SHA-256 in hexadecimal"))
    }

    /// The stored form.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// Writes `bytes`, a big-endian number, as base-62 digits, most significant first, padded with zeros. The caller provides room for the
/// largest number.
pub(super) fn write_base62(bytes: &[u8], digits: &mut [u8]) {
    let mut number = [0u32; 8];
    let limbs = bytes.len().div_ceil(4);
    for (place, byte) in bytes.iter().rev().enumerate() {
        if let Some(limb) = number.get_mut(place / 4) {
            *limb |= u32::from(*byte) << (8 * (place % 4));
        }
    }
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u64;
        for limb in number.iter_mut().take(limbs).rev() {
            let dividend = (remainder << 32) | u64::from(*limb);
            *limb = u32::try_from(dividend / 62).unwrap_or(u32::MAX);
            remainder = dividend % 62;
        }
        *digit = usize::try_from(remainder).ok().and_then(|at| DIGITS.get(at).copied()).unwrap_or(b'0');
    }
}

/// Reads the output of [`write_base62`] into so many bytes; `None` for any other text or a larger number.
pub(super) fn read_base62<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0u8; BYTES];
    for digit in digits {
        let mut carry = u32::try_from(DIGITS.iter().position(|known| known == digit)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            let sum = u32::from(*byte) * 62 + carry;
            *byte = u8::try_from(sum & 0xff).ok()?;
            carry = sum >> 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_reads_back(id: [u8; 12], secret: [u8; SECRET_BYTES]) {
            let key = ApiKey::new(KeyId::from_random(id), &secret);
            prop_assert_eq!(key.reveal().len(), KEY_CHARS);
            let presented = PresentedKey::parse(key.reveal().as_bytes()).unwrap();
            prop_assert_eq!(presented.id(), key.id());
            prop_assert_eq!(presented.hash(), key.hash());
            prop_assert_eq!(KeyId::parse(key.id().as_str()).unwrap(), key.id());
            prop_assert_eq!(KeyHash::parse(&key.hash().to_hex()).unwrap(), key.hash());
        }

        #[test]
        fn one_changed_character_is_refused(id: [u8; 12], secret: [u8; SECRET_BYTES], at in 0..KEY_CHARS, with in b'0'..=b'z') {
            let key = ApiKey::new(KeyId::from_random(id), &secret);
            let mut text = key.reveal().as_bytes().to_vec();
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert!(PresentedKey::parse(&text).is_none());
        }

        #[test]
        fn other_secrets_make_other_keys(id: [u8; 12], a: [u8; SECRET_BYTES], b: [u8; SECRET_BYTES]) {
            prop_assume!(a != b);
            let id = KeyId::from_random(id);
            prop_assert!(ApiKey::new(id, &a) != ApiKey::new(id, &b));
        }

        #[test]
        fn every_token_reads_back_and_no_changed_one(id: [u8; 12], secret: [u8; SECRET_BYTES], at: prop::sample::Index, with in b'0'..=b'z') {
            let id = KeyId::from_random(id);
            let token = AdminToken::new(id, &secret);
            prop_assert_eq!(AdminToken::id_in(token.reveal()), Some(id));
            prop_assert!(PresentedKey::parse(token.reveal().as_bytes()).is_none());
            prop_assert_eq!(token.reveal().len(), AdminToken::PREFIX.len() + AdminToken::DIGITS);
            let mut text = token.reveal().as_bytes().to_vec();
            let at = at.index(text.len());
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert_eq!(AdminToken::id_in(&String::from_utf8(text).unwrap()), None);
        }

        #[test]
        fn junk_never_panics(text: Vec<u8>) {
            prop_assert!(PresentedKey::parse(&text).is_none());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = ApiKey::new(KeyId::from_random([7; 12]), &[9; SECRET_BYTES]);
        let shown = format!("{key:?} {:?}", key.hash());
        assert!(!shown.contains(&key.reveal()[21..]) && !shown.contains(&key.hash().to_hex()));
        assert_eq!(key.last_four().len(), 4);
        assert!(key.reveal().ends_with(&key.last_four()));
    }
}
