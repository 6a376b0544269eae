//! API keys as clients present them.

use crate::domain::key::{
    ApiKey, CRC_CHARS, KEY_CHARS, KEY_ID_CHARS, KeyHash, KeyId, PREFIX, PresentedKey, SECRET_BYTES,
};

/// Takes the bytes for a key, and for what a key is made of.
pub fn check(bytes: &[u8]) {
    if let Some(presented) = PresentedKey::parse(bytes) {
        check_presented(bytes, &presented);
    }
    if let Some((random, rest)) = bytes.split_first_chunk::<12>()
        && let Some((secret, rest)) = rest.split_first_chunk::<SECRET_BYTES>()
    {
        let key = ApiKey::new(KeyId::from_random(*random), secret);
        let text = key.reveal().as_bytes();
        let presented = PresentedKey::parse(text).expect("what was made is read");
        assert!(presented.id() == key.id() && presented.hash() == key.hash());
        assert!(key.last_four().len() == 4 && key.reveal().contains(&key.last_four()));
        check_presented(text, &presented);
        if let [at, with, ..] = *rest {
            check_mutated(text, at, with);
        }
    }
}

fn check_presented(text: &[u8], presented: &PresentedKey<'_>) {
    let text = str::from_utf8(text).expect("a key is ASCII");
    assert_eq!(text.len(), KEY_CHARS);
    let (body, crc) = text.rsplit_once('_').expect("the checksum stands behind an underscore");
    assert_eq!(crc, checksum(body));
    let (id, secret) = body.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).expect("id and secret");
    assert!(id == presented.id().as_str() && id.len() == KEY_ID_CHARS, "{id}");
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(KeyId::parse(id).expect("an id by itself"), presented.id());
    assert_eq!(presented.hash(), KeyHash::of(text.as_bytes()));
    assert_eq!(KeyHash::parse(&presented.hash().to_hex()).expect("the stored form"), presented.hash());
    for (at, byte) in text.bytes().enumerate() {
        check_mutated(text.as_bytes(), u8::try_from(at).expect("a key is short"), byte ^ 1);
    }
}

fn check_mutated(text: &[u8], at: u8, with: u8) {
    let mut mutated = text.to_vec();
    let at = usize::from(at) % mutated.len();
    if mutated[at] != with {
        mutated[at] = with;
        assert!(PresentedKey::parse(&mutated).is_none(), "{}", mutated.escape_ascii());
    }
}

/// The CRC-32 in base 62, computed otherwise than the code under test does.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = String::new();
    for _ in 0..CRC_CHARS {
        let digit = u8::try_from(rest % 62).expect("below 62");
        digits.insert(
            0,
            char::from(match digit {
                0..=9 => b'0' + digit,
                10..=35 => b'A' + digit - 10,
                _ => b'a' + digit - 36,
            }),
        );
        rest /= 62;
    }
    digits
}
