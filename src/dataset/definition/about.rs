//! The data set's description of itself: the table `[about]` of a definition.

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};

use super::{DefinitionError, node::DefinitionTable};

/// The keys of `[about]`.
pub(super) const ABOUT: [&str; 11] = [
    "description",
    "licence",
    "licence_url",
    "publisher",
    "publisher_url",
    "contact",
    "frequency",
    "homepage",
    "keywords",
    "access",
    "public",
];
/// Longest text of several lines, characters.
const LINES_CHARS_MAX: usize = 4_000;
/// Longest text of one line, characters.
const LINE_CHARS_MAX: usize = 200;
/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 1_000;
/// The most keywords.
const KEYWORDS_MAX: usize = 30;
/// Longest keyword, characters.
const KEYWORD_CHARS_MAX: usize = 60;
/// Longest e-mail address, bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// A data set's description of itself, for people who do not know it yet. It does not affect the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfDescription {
    /// What the data set holds, in some sentences; may have several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The name of the licence for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The licence's http(s) URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_url: Option<String>,
    /// Who publishes the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The publisher's http(s) URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher_url: Option<String>,
    /// The contact: an e-mail address or an http(s) URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// How often new records arrive, such as "monthly".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<String>,
    /// The data set's home page: an http(s) URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Keywords for finding the data set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// How to ask for access; may have several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// Whether anybody may see this description and the figures of the columns. It never opens the records.
    #[serde(default)]
    pub public: bool,
}

impl SelfDescription {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads the table, if present.
pub(super) fn about(root: &DefinitionTable<'_>) -> Result<SelfDescription, DefinitionError> {
    let Some(node) = root.child("about")? else { return Ok(SelfDescription::default()) };
    node.only(&ABOUT)?;
    Ok(SelfDescription {
        description: lines(&node, "description")?,
        licence: line(&node, "licence")?,
        licence_url: url(&node, "licence_url")?,
        publisher: line(&node, "publisher")?,
        publisher_url: url(&node, "publisher_url")?,
        contact: contact(&node)?,
        frequency: line(&node, "frequency")?,
        homepage: url(&node, "homepage")?,
        keywords: keywords(&node)?,
        access: lines(&node, "access")?,
        public: node.flag("public", false)?,
    })
}

/// Checks a text for people: its length, that it shows something, and that it hides nothing.
fn checked(text: &str, chars_max: usize, has_lines: bool) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is blank: write a text, or leave the key out".to_owned());
    }
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(format!("has {chars} characters: at most {chars_max} are allowed"));
    }
    match text.chars().filter(|c| !has_lines || *c != '\n').find(|c| hides(*c)) {
        Some(found) => {
            Err(format!("holds a character that does not show (U+{:04X}): write it without", u32::from(found)))
        }
        None => Ok(text.to_owned()),
    }
}

/// Tells whether a character can make a text look like another one: a control character, a line break, a mark of writing direction.
pub(super) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn line(node: &DefinitionTable<'_>, key: &str) -> Result<Option<String>, DefinitionError> {
    let text = node.text(key)?.map(|text| checked(text, LINE_CHARS_MAX, false));
    text.transpose().map_err(|reason| node.error(key, reason))
}

fn lines(node: &DefinitionTable<'_>, key: &str) -> Result<Option<String>, DefinitionError> {
    let text = node.text(key)?.map(|text| checked(&text.replace("\r\n", "\n"), LINES_CHARS_MAX, true));
    text.transpose().map_err(|reason| node.error(key, reason))
}

fn keywords(node: &DefinitionTable<'_>) -> Result<Vec<String>, DefinitionError> {
    let words = node.texts("keywords")?;
    if words.len() > KEYWORDS_MAX {
        let count = words.len();
        return Err(node.error("keywords", format!("has {count} entries: at most {KEYWORDS_MAX} are allowed")));
    }
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    for (place, word) in words.iter().enumerate() {
        let wrong = |reason| node.error(&format!("keywords[{place}]"), reason);
        let word = checked(word, KEYWORD_CHARS_MAX, false).map_err(wrong)?;
        if kept.contains(&word) {
            return Err(wrong(format!("{word:?} is there twice")));
        }
        kept.push(word);
    }
    Ok(kept)
}

fn url(node: &DefinitionTable<'_>, key: &str) -> Result<Option<String>, DefinitionError> {
    let text = node.text(key)?.map(|text| check_url(text).map(|()| text.to_owned()));
    text.transpose().map_err(|reason| node.error(key, reason))
}

fn contact(node: &DefinitionTable<'_>) -> Result<Option<String>, DefinitionError> {
    let Some(text) = node.text("contact")? else { return Ok(None) };
    let checked = if text.contains("://") { check_url(text) } else { check_email(text) };
    checked.map(|()| Some(text.to_owned())).map_err(|reason| node.error("contact", reason))
}

fn check_email(text: &str) -> Result<(), String> {
    const EXPECTED: &str = "write an e-mail address such as \"data@example.org\", or an http(s) URL of a page";
    let options = Options::default().without_display_text().without_domain_literal();
    let is_plain = text.len() <= EMAIL_BYTES_MAX && !text.contains(|c: char| c.is_whitespace() || hides(c) || c == '"');
    match EmailAddress::parse_with_options(text, options) {
        Ok(_) if is_plain && !text.starts_with("mailto:") => Ok(()),
        Ok(_) => Err(format!("is no plain e-mail address: {EXPECTED}")),
        Err(error) => Err(format!("is no e-mail address ({error}): {EXPECTED}")),
    }
}

/// Checks that a text is an absolute http(s) URL (RFC 3986) that a page may link to, without a name or password.
fn check_url(text: &str) -> Result<(), String> {
    const EXPECTED: &str = "expected an address such as \"https://example.org/data\"";
    if text.len() > URL_BYTES_MAX {
        return Err(format!("has {} bytes: at most {URL_BYTES_MAX} are allowed", text.len()));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("is no URL: {EXPECTED}"))?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(format!("begins with {scheme:?}: only http and https are allowed; {EXPECTED}"));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if let Some(other) = rest.chars().find(|c| !is_allowed(*c)) {
        return Err(format!("holds {other:?}, which no URL holds: write it percent-encoded, and a domain in ASCII"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(format!("holds a name before its host: {EXPECTED}"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| address.parse::<core::net::Ipv6Addr>().is_ok())
        }
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    if !is_host || (!port.is_empty() && port.parse::<u16>().is_err()) {
        return Err(format!("names no host: {EXPECTED}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::Definition;

    const COLUMNS: &str = "[key]\ncolumn = \"number\"\n[[column]]\nname = \"number\"\nheaders = [\"NUMBER\"]\n\
        [[column]]\nname = \"record_id\"\ntype = \"integer\"\nimport = true\n";

    fn read(about: &str) -> Result<Definition, String> {
        let text = format!("name = \"small\"\n{COLUMNS}[about]\n{about}");
        Definition::from_toml(&text, "small.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn everything_that_is_said_is_kept() {
        let definition = read(
            "description = \"\"\"\nTrees in streets.\r\n\nPlanted by us.\n\"\"\"\nlicence = \"PDDL 1.0\"\n\
             licence_url = \"https://opendatacommons.org/licenses/pddl/1-0/\"\npublisher = \" Städtische Gärten \"\n\
             publisher_url = \"HTTP://[::1]:8080\"\ncontact = \"Trees@Example.org\"\nfrequency = \"monthly\"\n\
             homepage = \"https://example.org:443/a?b=c%20d#e\"\nkeywords = [\"trees\", \"streets\"]\n\
             access = \"Write to us.\"\npublic = true\n",
        );
        let about = definition.unwrap().about;
        let expected = SelfDescription {
            description: Some("Trees in streets.\n\nPlanted by us.".to_owned()),
            licence: Some("PDDL 1.0".to_owned()),
            licence_url: Some("https://opendatacommons.org/licenses/pddl/1-0/".to_owned()),
            publisher: Some("Städtische Gärten".to_owned()),
            publisher_url: Some("HTTP://[::1]:8080".to_owned()),
            contact: Some("Trees@Example.org".to_owned()),
            frequency: Some("monthly".to_owned()),
            homepage: Some("https://example.org:443/a?b=c%20d#e".to_owned()),
            keywords: vec!["trees".to_owned(), "streets".to_owned()],
            access: Some("Write to us.".to_owned()),
            public: true,
        };
        assert_eq!(about, expected);
        let page = read("contact = \"https://example.org/contact\"").unwrap().about;
        assert_eq!((page.contact.as_deref(), page.public), (Some("https://example.org/contact"), false));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let long = "x".repeat(LINE_CHARS_MAX + 1);
        let many = format!("keywords = {:?}", (0..=KEYWORDS_MAX).map(|nth| nth.to_string()).collect::<Vec<_>>());
        for (about, place, told) in [
            ("license = \"PDDL\"", "about.license", "did you mean `licence`?"),
            ("licence = \" \"", "about.licence", "is blank"),
            ("public = \"yes\"", "about.public", "expected true or false"),
            (&format!("publisher = {long:?}"), "about.publisher", "at most 200"),
            ("frequency = \"a\\nb\"", "about.frequency", "does not show"),
            ("description = \"a\\u202Eb\"", "about.description", "does not show"),
            ("access = \"a\\tb\"", "about.access", "does not show"),
            (&many, "about.keywords", "at most 30"),
            ("keywords = [\"a\", \"a \"]", "about.keywords[1]", "is there twice"),
            ("keywords = [\"a\", 1]", "about.keywords[1]", "expected a string"),
            ("keywords = \"a\"", "about.keywords", "expected a list"),
            ("homepage = \"example.org\"", "about.homepage", "is no URL"),
            ("homepage = \"javascript://x/%0aalert(1)\"", "about.homepage", "only http and https"),
            ("homepage = \"https://a b\"", "about.homepage", "holds ' '"),
            ("licence_url = \"https://example.org/\\\"><b\"", "about.licence_url", "holds '\"'"),
            ("publisher_url = \"https://ann:secret@example.org/\"", "about.publisher_url", "a name before its host"),
            ("publisher_url = \"https:///x\"", "about.publisher_url", "names no host"),
            ("publisher_url = \"https://example.org:http/\"", "about.publisher_url", "names no host"),
            ("publisher_url = \"https://[::x]/\"", "about.publisher_url", "names no host"),
            ("contact = \"somebody\"", "about.contact", "or an http(s) URL"),
            ("contact = \"ftp://example.org\"", "about.contact", "only http and https"),
            ("contact = \"mailto:a@example.org\"", "about.contact", "is no"),
            ("contact = \"Ann <a@example.org>\"", "about.contact", "is no"),
        ] {
            let error = read(about).expect_err(about);
            assert!(error.starts_with(&format!("small.toml: {place}: ")) && error.contains(told), "{about}: {error}");
        }
    }

    #[test]
    fn a_definition_that_says_nothing_keeps_its_fingerprint() {
        let without = Definition::from_toml(&format!("name = \"small\"\n{COLUMNS}"), "a.toml").unwrap();
        assert!(without.about.is_default());
        assert_eq!(without.fingerprint(), read("").unwrap().fingerprint());
        assert!(!serde_json::to_string(&without).unwrap().contains("about"));
        assert_ne!(without.fingerprint(), read("public = true").unwrap().fingerprint());
    }

    proptest! {
        #[test]
        fn what_passes_as_an_address_leads_nowhere_else(text in "(https?|javascript|data):?/{0,3}[a-z.@:\\[\\]<>\"' \u{e9}/?#-]{0,20}") {
            if check_url(&text).is_ok() {
                let is_http = text.starts_with("http://") || text.starts_with("https://");
                prop_assert!(is_http);
                prop_assert!(text.is_ascii() && !text.contains(['<', '>', '"', ' ']), "{}", text);
            }
        }
    }
}
