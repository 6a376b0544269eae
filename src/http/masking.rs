//! What a client sent and what might hold a key by mistake: neither is logged.

use percent_encoding::percent_decode_str;

use crate::domain::key::{AdminToken, PREFIX, SECRET_CHARS};

/// How often a text is decoded: a key may have been encoded by several programs, one after the other.
const DECODINGS_MAX: usize = 4;
/// A run of letters and digits of this length in a path is longer than any word, and may be most of a secret.
const RUN_CHARS_MAX: usize = 24;
/// Hexadecimal digits of an administrator's token behind its prefix: those of now, and those without id and checksum of before.
const ADMIN_DIGITS: [usize; 2] = [AdminToken::DIGITS, 48];

/// Whether a path may hold a key: one with its beginning, however it is encoded, or a long run of mixed letters and digits.
pub(super) fn path_may_hold_key(path: &str) -> bool {
    let is_long = |run: &str| run.len() >= RUN_CHARS_MAX && kinds(run) >= 2;
    any_decoding(path, |text| holds_prefix(text) || runs(text).any(is_long))
}

/// Whether a path may hold an e-mail address, however it is encoded.
pub(super) fn path_may_hold_address(path: &str) -> bool {
    any_decoding(path, |text| text.contains('@'))
}

/// Whether a request's id may hold a key. Ids are long runs by themselves, so that a run has to look like a secret: as long,
/// and of small and capital letters and digits, or as long as an administrator's.
pub(super) fn id_may_hold_key(id: &str) -> bool {
    any_decoding(id, |text| holds_prefix(text) || runs(text).any(is_like_secret))
}

fn any_decoding(text: &str, holds: impl Fn(&str) -> bool) -> bool {
    let mut text = text.to_owned();
    for _ in 0..DECODINGS_MAX {
        if holds(&text) {
            return true;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    // Whoever encodes so often hides something.
    true
}

fn holds_prefix(text: &str) -> bool {
    text.to_ascii_lowercase().contains(PREFIX)
}

fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}

/// Of how many kinds its characters are: small letters, capital letters, digits.
fn kinds(run: &str) -> usize {
    let kinds = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    kinds.iter().filter(|is| run.as_bytes().iter().any(is)).count()
}

fn is_like_secret(run: &str) -> bool {
    let is_hex = run.bytes().all(|byte| byte.is_ascii_hexdigit());
    (run.len() >= SECRET_CHARS && kinds(run) == 3) || (ADMIN_DIGITS.contains(&run.len()) && is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::{ApiKey, KeyId};

    #[test]
    fn an_address_is_found_however_it_is_encoded() {
        for path in ["/users/ana@example.org", "/users/ana%40example.org", "/x/ana%2540example.org"] {
            assert!(path_may_hold_address(path), "{path}");
        }
        assert!(!path_may_hold_address("/users/40/permits"));
    }

    #[test]
    fn a_key_is_found_however_it_came_into_a_path_or_an_id() {
        let key = ApiKey::new(KeyId::from_random([7; 12]), &[201; 24]);
        let key = key.reveal();
        let bare = key.strip_prefix(PREFIX).unwrap();
        let secret = bare.split('_').nth(1).unwrap();
        let token = AdminToken::new(KeyId::from_random([7; 12]), &[201; 24]);
        let earlier_token = format!("pmt_admin_{}", "0123456789abcdef".repeat(3));
        let forms = [
            key.to_owned(),
            key.replacen('p', "%70", 1),
            key.replace('_', "%5F"),
            key.replacen('p', "%2570", 1),
            key.to_uppercase(),
            bare.to_owned(),
            secret.to_owned(),
            token.reveal().to_owned(),
            token.reveal().strip_prefix(AdminToken::PREFIX).unwrap().to_owned(),
            earlier_token.clone(),
            earlier_token.strip_prefix(AdminToken::PREFIX).unwrap().to_owned(),
        ];
        for form in forms {
            assert!(path_may_hold_key(&format!("/permits/{form}")), "{form}");
            assert!(id_may_hold_key(&form) && id_may_hold_key(&format!("trace-{form}-1")), "{form}");
        }
    }

    #[test]
    fn ordinary_paths_and_ids_are_none() {
        for path in ["/", "/permits/201612013997", "/users/0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11", "/a%20b", "/pmt"] {
            assert!(!path_may_hold_key(path), "{path}");
        }
        let ids = [
            "abc-123",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "Root=1-67891233-abcdef012345678912345678",
        ];
        for id in ids {
            assert!(!id_may_hold_key(id), "{id}");
        }
        assert!(!id_may_hold_key(&"x".repeat(128)));
    }

    #[test]
    fn what_is_encoded_without_end_is_taken_for_a_key() {
        assert!(path_may_hold_key("/%25252525252570mt"));
    }
}
