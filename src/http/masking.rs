//! Keeps keys and mail addresses that clients send by mistake out of logs. Lists what may be logged rather than what may not, since
//! there are endless ways to write a key.

use std::sync::LazyLock;

use memchr::memmem;

use crate::domain::{key::PREFIX, link::LINK_PREFIX, session_token::SESSION_PREFIX};

/// The prefixes of keys, tokens, sessions and links.
const PREFIXES: [&str; 3] = [PREFIX, SESSION_PREFIX, LINK_PREFIX];

/// Built once: building takes longer than searching a small document.
static PREFIX_FINDERS: LazyLock<[memmem::Finder<'static>; PREFIXES.len()]> =
    LazyLock::new(|| PREFIXES.map(memmem::Finder::new));

/// The longest word of an unmatched path that is logged. A key's secret is longer, and has capital letters and digits.
const WORD_CHARS_MAX: usize = 24;

/// Most digits of an id in hexadecimal digits and dashes: 160 bits. Secrets of keys, and tokens, have more such digits.
const HEX_ID_DIGITS_MAX: usize = 40;
/// The digits of each part of a trace (W3C Trace Context, section 3.2).
const TRACE_DIGITS: [usize; 4] = [2, 32, 16, 2];
/// Most characters of a hexadecimal id, with its name and dashes.
const HEX_ID_CHARS_MAX: usize = 72;
/// Most characters of a name before a hexadecimal id, such as `trace-` or `Root=`.
const ID_NAME_CHARS_MAX: usize = 16;
/// Most characters of any other id. A key's secret alone has [`SECRET_CHARS`](crate::domain::key::SECRET_CHARS), and twice as many with
/// separators between them.
const ID_CHARS_MAX: usize = 32;

/// Fewest characters of a key after its prefix. With fewer it is a plain word, such as one in an explanation.
const KEY_CHARS_MIN: usize = 16;

/// The loggable part of a path that matched no route: its first segment, if that is a plain word.
pub(super) fn loggable_path(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_word = first.len() <= WORD_CHARS_MAX
        && first.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.'));
    match (is_word, rest) {
        (true, "") => format!("/{first}"),
        (true, _) => format!("/{first}/…"),
        (false, _) => "(an unknown path)".to_owned(),
    }
}

/// Whether a request id cannot hold a key or a mail address.
pub(super) fn is_harmless_id(id: &str) -> bool {
    let is_named = |name: &str| name.len() <= ID_NAME_CHARS_MAX && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let digits =
        id.split_once(['-', '_', '=', ':']).filter(|(name, _)| is_named(name)).map_or(id, |(_, digits)| digits);
    let is_hex = |text: &str| {
        let digits = text.split('-').map(str::len);
        id.len() <= HEX_ID_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && (digits.clone().sum::<usize>() <= HEX_ID_DIGITS_MAX || digits.eq(TRACE_DIGITS))
    };
    let is_short = id.len() <= ID_CHARS_MAX
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'='));
    !id.is_empty()
        && !PREFIXES.iter().any(|prefix| id.to_ascii_lowercase().contains(prefix))
        && (is_short || is_hex(id) || is_hex(digits))
}

/// Removes keys, sessions and links from a document. JSON escapes none of their characters, so each is found whole.
pub(super) fn without_keys(mut document: Vec<u8>) -> Vec<u8> {
    for (prefix, finder) in PREFIXES.iter().zip(PREFIX_FINDERS.iter()) {
        if finder.find(&document).is_some() {
            document = without(prefix, &document);
        }
    }
    document
}

fn without(prefix: &str, document: &[u8]) -> Vec<u8> {
    let document = String::from_utf8_lossy(document);
    let mut pieces = document.split(prefix);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let behind = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let is_key = piece.len() - behind.len() >= KEY_CHARS_MIN;
        shown.extend(if is_key { [prefix, "…", behind] } else { [prefix, "", piece] });
    }
    shown.into_bytes()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;
    use crate::domain::key::{AdminToken, ApiKey, KeyId};

    /// Splits a text into pieces of `chars` characters, joined by `between`: forms in which people and programs break up a text.
    fn in_pieces(text: &str, chars: usize, between: &str) -> String {
        let chars: Vec<Vec<char>> = text.chars().collect::<Vec<_>>().chunks(chars).map(<[char]>::to_vec).collect();
        chars.iter().map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>().join(between)
    }

    /// A key and a token, whole and in parts, plain and in the encodings of programs.
    fn forms() -> Vec<String> {
        let key = ApiKey::new(KeyId::from_random([7; 12]), &[201; 24]);
        let bare = key.reveal().strip_prefix(PREFIX).unwrap().to_owned();
        let token = AdminToken::new(KeyId::from_random([7; 12]), &[201; 24]);
        let bare_token = token.reveal().strip_prefix(AdminToken::PREFIX).unwrap().to_owned();
        let secret = bare.split('_').nth(1).unwrap().to_owned();
        let earlier_token = "0123456789abcdef".repeat(3);
        let plain = [key.reveal().to_owned(), bare, secret, token.reveal().to_owned(), bare_token, earlier_token];
        let hex = |text: &String| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut forms = Vec::new();
        for text in &plain {
            let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            forms.extend([
                text.clone(),
                percent.clone(),
                percent.replace('%', "%25"),
                hex(text),
                hex(text).to_uppercase(),
            ]);
            forms.extend([
                STANDARD.encode(text),
                text.chars().rev().collect(),
                text.to_uppercase(),
                text.to_lowercase(),
            ]);
        }
        let whole = forms.clone();
        for (chars, between) in [(1, ";"), (1, "-"), (3, "."), (8, "-"), (4, "_"), (2, "%2f")] {
            forms.extend(whole.iter().map(|form| in_pieces(form, chars, between)));
        }
        forms
    }

    #[test]
    fn no_key_is_in_an_id_or_a_path_however_it_is_written() {
        for form in forms() {
            for id in [form.clone(), format!("trace-{form}"), format!("trace-{form}-1")] {
                assert!(!is_harmless_id(&id), "{id}");
            }
            for path in [format!("/{form}"), format!("/permits/{form}"), format!("/{form}/permits")] {
                let logged = loggable_path(&path);
                assert!(["(an unknown path)", "/permits/…"].contains(&logged.as_str()), "{path}: {logged}");
            }
        }
    }

    #[test]
    fn problems_repeat_no_key() {
        let key = ApiKey::new(KeyId::from_random([7; 12]), &[201; 24]);
        let token = AdminToken::new(KeyId::from_random([7; 12]), &[201; 24]);
        for secret in [key.reveal(), token.reveal()] {
            let text = format!("{{\"detail\":\"there is no record at {secret}, nor at {secret}\",\"pmt_\":\"pmt_…\"}}");
            let shown = String::from_utf8(without_keys(text.into_bytes())).unwrap();
            assert_eq!(shown, "{\"detail\":\"there is no record at pmt_…, nor at pmt_…\",\"pmt_\":\"pmt_…\"}");
        }
        assert_eq!(without_keys(b"nothing".to_vec()), b"nothing");
    }

    #[test]
    fn no_address_is_in_an_id_or_a_path() {
        for address in ["ana@example.org", "ana%40example.org", "ana%2540example.org", "ana%EF%BC%A0example.org"] {
            assert!(!is_harmless_id(address), "{address}");
            assert_eq!(loggable_path(&format!("/{address}")), "(an unknown path)");
            assert_eq!(loggable_path(&format!("/users/{address}")), "/users/…");
        }
    }

    #[test]
    fn the_first_word_of_a_path_is_logged() {
        for (path, logged) in [
            ("/", "/"),
            ("/wp-login.php", "/wp-login.php"),
            ("/permits/7/8/9", "/permits/…"),
            ("//permits", "//…"),
            ("/permits/", "/permits"),
            ("*", "(an unknown path)"),
        ] {
            assert_eq!(loggable_path(path), logged, "{path}");
        }
    }

    #[test]
    fn ordinary_ids_are_harmless() {
        for id in [
            "abc-123",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11",
            "import-0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "req_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "Root=1-67891233-abcdef012345678912345678",
            "V1StGXR8_Z5jdHi6B-myT",
        ] {
            assert!(is_harmless_id(id), "{id}");
        }
        for id in ["", "two words", "a,b", "ü", "pmt_x"] {
            assert!(!is_harmless_id(id), "{id}");
        }
    }
}
