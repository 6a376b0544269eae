//! E-mail addresses, and the rule when two of them are the same mailbox.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
};

use email_address::{EmailAddress, Options};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};

use super::text;

/// Longest address, RFC 5321 section 4.5.3.1.3 less the angle brackets. The limit applies to the address as it is sent, with an ASCII
/// domain.
pub const EMAIL_BYTES_MAX: usize = 254;

/// A text that is not an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address: {0}")]
pub struct EmailError(String);

/// An e-mail address in its readable form: trimmed, lower case, Unicode's composed form (NFC), its domain in letters instead of punycode.
///
/// Two addresses are equal when they are one mailbox: differences in case, in composition, or between the two forms of a domain (UTS 46) do
/// not count. `Debug` does not show the address: it is personal data.
#[derive(Clone)]
pub struct Email {
    address: String,
    /// The same text for all spellings of the mailbox: local part with its case folded, domain in ASCII.
    mailbox: String,
}

impl Email {
    /// Reads an address such as `ana@example.org`.
    ///
    /// # Errors
    /// When it is no address, has no domain or an impossible one (UTS 46), is longer than [`EMAIL_BYTES_MAX`] bytes, or holds a character
    /// that hides something.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > EMAIL_BYTES_MAX {
            return Err(too_long());
        }
        if let Some(found) = text.chars().find_map(text::hidden) {
            return Err(EmailError(format!("it holds {found}")));
        }
        let text = &nfc(text);
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| EmailError("it has no @".to_owned()))?;
        let ascii = ascii_domain(domain)?;
        let (unicode, decoded) = Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::URL, Hyphens::Allow);
        if decoded.is_err() {
            return Err(not_a_domain());
        }
        // Both forms are checked: the one that is sent, and the one that is kept.
        for domain in [&*ascii, &*unicode] {
            let options = Options::default().without_display_text().without_domain_literal();
            EmailAddress::parse_with_options(&format!("{local}@{domain}"), options)
                .map_err(|error| EmailError(error.to_string()))?;
        }
        let local = &*unquoted(local);
        if local.len() + 1 + ascii.len() > EMAIL_BYTES_MAX {
            return Err(too_long());
        }
        let lower = nfc(&local.to_lowercase()).into_owned();
        // The lower case of one letter may be two characters, one of them a mark that no address contains (İ).
        EmailAddress::parse_with_options(&format!("{lower}@{ascii}"), Options::default().without_display_text())
            .map_err(|error| EmailError(format!("in lower case: {error}")))?;
        Ok(Self { address: format!("{lower}@{unicode}"), mailbox: format!("{}@{ascii}", folded(local)) })
    }

    /// The address in its readable form.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// All spellings under which this and earlier versions may have stored the mailbox (earlier ones kept both forms of a domain as given):
    /// each once, the address itself first.
    pub fn forms(&self) -> Vec<String> {
        let address = &self.address;
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        let in_ascii = ascii_domain(domain).map(|ascii| format!("{local}@{ascii}"));
        let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(address).into_owned();
        let mut forms: Vec<String> = Vec::new();
        for form in [address.clone(), self.mailbox.clone(), decomposed].into_iter().chain(in_ascii) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.mailbox == other.mailbox
    }
}

impl Eq for Email {}

impl Hash for Email {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mailbox.hash(state);
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// A domain in the form that mail servers use: lower case, labels beyond ASCII in punycode (UTS 46, non-transitional).
///
/// # Errors
/// When the domain is impossible.
pub fn ascii_domain(domain: &str) -> Result<Cow<'_, str>, EmailError> {
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify);
    ascii.map_err(|_| not_a_domain())
}

fn not_a_domain() -> EmailError {
    EmailError("what stands behind its @ is no domain".to_owned())
}

fn too_long() -> EmailError {
    EmailError(format!("longer than {EMAIL_BYTES_MAX} bytes"))
}

pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The shortest form of a quoted local part: without needless quoting. All forms are the same mailbox (RFC 5321, section 4.1.2).
fn unquoted(local: &str) -> Cow<'_, str> {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(local);
    };
    let mut meant = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        meant.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    if !meant.starts_with('"') && EmailAddress::is_valid_local_part(&meant) {
        return Cow::Owned(meant);
    }
    Cow::Owned(format!("\"{}\"", meant.replace('\\', r"\\").replace('"', "\\\"")))
}

/// A text with its case removed letter by letter, so that neighbouring letters do not matter (Greek sigma). It goes through upper case,
/// which expands letters without a capital: ß becomes ss.
fn folded(text: &str) -> String {
    let folded: String = nfc(text).chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    nfc(&folded).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_mailbox_is_one_person_however_it_is_written() {
        for (one, other) in [
            (" Ana@Example.ORG ", "ana@example.org"),
            ("ana@exämple.org", "ana@xn--exmple-cua.org"),
            ("ana@EXÄMPLE.org", "Ana@XN--EXMPLE-CUA.ORG"),
            ("ana@exa\u{308}mple.org", "ana@exämple.org"),
            ("ana@例え.テスト", "ana@xn--r8jz45g.xn--zckzah"),
            ("ana@example。org", "ana@example.org"),
            ("JOSÉ@example.org", "jose\u{301}@example.org"),
            ("STRASSE@example.org", "straße@example.org"),
            ("ΟΔΟΣ@example.org", "οδος@example.org"),
            ("οδοσ@example.org", "οδος@example.org"),
            ("\"ana.b\"@example.org", "ana.b@example.org"),
            ("\"ana\\.b\"@example.org", "ana.b@example.org"),
            ("\"\\a\\n\\a\"@example.org", "ana@example.org"),
            ("\"ana \\b\"@example.org", "\"ana b\"@example.org"),
            ("\"a\\\"\\b\"@example.org", "\"a\\\"b\"@example.org"),
        ] {
            assert_eq!(email(one), email(other), "{one} {other}");
            assert!(email(one).forms().iter().any(|form| email(other).forms().contains(form)), "{one} {other}");
        }
        assert_ne!(email("ana@example.org"), email("anna@example.org"));
        assert_ne!(email("ana@faß.de"), email("ana@fass.de"), "two domains since IDNA 2008");
    }

    #[test]
    fn an_address_is_kept_as_people_read_it() {
        assert_eq!(email("Ana@xn--Exmple-cua.org").as_str(), "ana@exämple.org");
        assert_eq!(email("straße@example.org").as_str(), "straße@example.org", "what is sent is not folded");
        assert_eq!(email("ana@example.org").forms(), ["ana@example.org"]);
        assert_eq!(email("ana@localhost").as_str(), "ana@localhost");
        let old_forms = email("ana@exämple.org").forms();
        for old in ["ana@exämple.org", "ana@xn--exmple-cua.org"] {
            assert!(old_forms.iter().any(|form| form == old), "{old} is not in {old_forms:?}");
        }
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
            "ana@exam\u{200b}ple.org",
            "ana\u{202e}@example.org",
            "ana@xn--zzzzzz9999.org",
            "ana@-.org",
            "ana@example..org",
            "ana@[127.0.0.1]",
            "ana@exa mple.org",
            "İx@example.org",
            "\u{3164}@example.org",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
        let long = format!("ana@{}.org", "ä".repeat(70));
        assert!(Email::parse(&long).is_err(), "a label has at most 63 bytes in ASCII");
    }

    proptest! {
        #[test]
        fn what_was_kept_reads_back_the_same(text in "\\PC{1,12}@\\PC{1,8}\\.(org|例え|xn--r8jz45g)|[a-zß-ÿΣσς.\"]{1,9}@[a-zà-ÿ-]{1,9}\\.de") {
            if let Ok(read) = Email::parse(&text) {
                let again = Email::parse(read.as_str()).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(again.as_str(), read.as_str());
                prop_assert_eq!(&again, &read);
                prop_assert_eq!(again.forms(), read.forms());
            }
        }
    }
}
