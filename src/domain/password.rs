//! Passwords, and the rules for new ones (NIST SP 800-63B, section 3.1.1.2: long enough, no rules of composition).

use std::fmt;

use zeroize::Zeroizing;

use super::{
    email::{Email, nfc},
    personal::Personal,
};

/// Longest password, bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("a password has at least {0} characters")]
    TooShort(usize),
    /// It is too long.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The password is the person's address, or the part before the @.
    #[error("a password must not be the e-mail address")]
    IsAddress,
}

/// A password as it is hashed: in Unicode's composed form (NFC), so that every keyboard writes the same one. `Debug` does not show it. It
/// is overwritten on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordText(Zeroizing<String>);

impl PasswordText {
    /// A password given at sign-in; `None` if it is longer than any password can be.
    pub fn given(text: &str) -> Option<Self> {
        let text = Zeroizing::new(nfc(text).into_owned());
        (text.len() <= PASSWORD_BYTES_MAX).then_some(Self(text))
    }

    /// A stand-in to compare when the given text can be nobody's password.
    pub fn nobodys() -> Self {
        Self(Zeroizing::default())
    }

    /// A new password for the person with this address.
    ///
    /// # Errors
    /// When the text cannot be a password.
    pub fn new(text: &str, chars_min: usize, email: &Personal) -> Result<Self, PasswordError> {
        // A text that is far too long is not normalised at all.
        let password = Some(text).filter(|text| text.len() <= 4 * PASSWORD_BYTES_MAX).and_then(Self::given);
        let password = password.ok_or(PasswordError::TooLong)?;
        if password.0.chars().count() < chars_min {
            return Err(PasswordError::TooShort(chars_min));
        }
        if let Some(email) = email.known() {
            let lower = Zeroizing::new(password.0.to_lowercase());
            let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
            let is_same = Email::parse(&lower).is_ok_and(|given| Email::parse(email).is_ok_and(|email| given == email));
            if is_same || *lower == email.to_lowercase() || *lower == local.to_lowercase() {
                return Err(PasswordError::IsAddress);
            }
        }
        Ok(password)
    }

    /// The bytes that are hashed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PasswordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Result<PasswordText, PasswordError> {
        PasswordText::new(text, 12, &Personal::Known("ana.maria.nunez@example.org".to_owned()))
    }

    #[test]
    fn what_may_be_a_password() {
        for good in ["correct horse", "            ", "пароль-пароль", "ünïcödé-ünïc"] {
            assert!(new(good).is_ok(), "{good}");
        }
        assert_eq!(new("short"), Err(PasswordError::TooShort(12)));
        assert_eq!(new(&"x".repeat(1025)), Err(PasswordError::TooLong));
        assert!(new(&"x".repeat(1024)).is_ok());
        for address in ["ana.maria.nunez@example.org", "ANA.Maria.Nunez@Example.ORG", "Ana.Maria.Nunez"] {
            assert_eq!(new(address), Err(PasswordError::IsAddress), "{address}");
        }
    }

    #[test]
    fn one_password_however_it_is_typed() {
        let (composed, decomposed) = ("caf\u{e9} caf\u{e9} caf\u{e9}", "cafe\u{301} cafe\u{301} cafe\u{301}");
        assert_eq!(PasswordText::given(composed), PasswordText::given(decomposed));
        assert!(!format!("{:?}", PasswordText::given(composed)).contains("caf"));
    }
}
