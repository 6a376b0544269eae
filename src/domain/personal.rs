//! Personal data in events: encrypted with the person's own key, which is kept outside the log. Destroying the key erases the person; the
//! log stays whole.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::Aead};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// The text shown for personal data whose key was destroyed.
pub const ERASED: &str = "erased";

/// A person's own encryption key, 32 bytes, overwritten on drop.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct PersonalKey([u8; 32]);

impl PersonalKey {
    /// A key from random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for the key store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts `text`, the field `field` of event `event`, with XChaCha20-Poly1305. The nonce is derived from event and field, a pair that
    /// occurs once, so that no randomness is needed.
    pub fn seal(&self, event: Uuid, field: &str, text: &str) -> Option<String> {
        let nonce = self.nonce(event, field)?;
        let sealed = XChaCha20Poly1305::new(&self.0.into()).encrypt(&nonce, text.as_bytes()).ok()?;
        Some(BASE64.encode(sealed))
    }

    /// Decrypts the output of [`Self::seal`]; `None` if the text was not sealed by this key for this event and field.
    pub fn open(&self, event: Uuid, field: &str, sealed: &str) -> Option<String> {
        let nonce = self.nonce(event, field)?;
        let bytes = BASE64.decode(sealed).ok()?;
        let plain = XChaCha20Poly1305::new(&self.0.into()).decrypt(&nonce, bytes.as_slice()).ok()?;
        String::from_utf8(plain).ok()
    }

    fn nonce(&self, event: Uuid, field: &str) -> Option<XNonce> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"nonce");
        mac.update(event.as_bytes());
        mac.update(field.as_bytes());
        let digest = mac.finalize().into_bytes();
        let nonce: [u8; 24] = digest.get(..24)?.try_into().ok()?;
        Some(nonce.into())
    }
}

impl fmt::Debug for PersonalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalKey(…)")
    }
}

/// A piece of personal data as it is read from an event. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal {
    /// The text.
    Known(String),
    /// The person was erased.
    Erased,
}

impl Personal {
    /// The text, or `erased`.
    pub fn or_erased(&self) -> &str {
        match self {
            Self::Known(text) => text,
            Self::Erased => ERASED,
        }
    }

    /// The text, unless erased.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Erased => None,
        }
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(…)",
            Self::Erased => "Erased",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_in_its_place() {
        let key = PersonalKey::from_bytes([3; 32]);
        let (event, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = key.seal(event, "email", "ana@example.org").unwrap();
        assert!(!sealed.contains("ana"));
        assert_eq!(key.open(event, "email", &sealed).as_deref(), Some("ana@example.org"));
        assert_eq!(key.open(other, "email", &sealed), None);
        assert_eq!(key.open(event, "name", &sealed), None);
        assert_eq!(PersonalKey::from_bytes([4; 32]).open(event, "email", &sealed), None);
    }
}
