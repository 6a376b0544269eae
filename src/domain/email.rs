//! E-mail addresses.

use std::{fmt, str::FromStr};

use email_address::{EmailAddress, Options};

/// Longest address, RFC 5321 section 4.5.3.1.3 less the angle brackets.
pub const EMAIL_BYTES_MAX: usize = 254;

/// A text that is not an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address: {0}")]
pub struct EmailError(String);

/// An e-mail address, trimmed and lower-cased, so that one person cannot be invited twice by a difference of case.
/// `Debug` does not show it: it is personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address such as `ana@example.org`.
    ///
    /// # Errors
    /// When it is none, has no domain, or is longer than [`EMAIL_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > EMAIL_BYTES_MAX {
            return Err(EmailError(format!("longer than {EMAIL_BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_control()) {
            return Err(EmailError("it holds a control character".to_owned()));
        }
        let options = Options::default().without_display_text().without_domain_literal();
        EmailAddress::parse_with_options(text, options).map_err(|error| EmailError(error.to_string()))?;
        EmailAddress::from_str(text).map_err(|error| EmailError(error.to_string()))?;
        Ok(Self(text.to_lowercase()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_space_do_not_make_another_person() {
        assert_eq!(Email::parse(" Ana@Example.ORG ").unwrap(), Email::parse("ana@example.org").unwrap());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ana",
            "ana@",
            "@example.org",
            "a b@example.org",
            "ana@example.org\nBcc: x@y.z",
            "Ana <ana@example.org>",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }
}
