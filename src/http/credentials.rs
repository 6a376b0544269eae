//! The key or the session's token that a request for data shows. A key: in the header `x-api-key`, as `Authorization: Bearer` (RFC 6750), or as the user name or the
//! password of `Authorization: Basic` (RFC 7617), for spreadsheets and other programs that send no header of their own. A session's token:
//! as `Authorization: Bearer`, or in its cookie. Never in an address. Nothing is allocated.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::cookie;
use crate::domain::{
    credential::Credential,
    key::{KEY_CHARS, PREFIX},
    session_token::SESSION_PREFIX,
};

/// The header that keys have of their own.
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Programs of all kinds write it: with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// The most characters of a user name and a password, with room for something fixed beside a key.
const BASIC_BYTES_MAX: usize = 4 * KEY_CHARS;
/// The same in Base64.
const BASIC_CHARS_MAX: usize = BASIC_BYTES_MAX.div_ceil(3) * 4;

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCredential {
    /// Nothing is shown where keys are read.
    Missing,
    /// What is shown is no key: its form or its checksum is wrong.
    Wrong,
    /// Two are shown, and they are not the same.
    Two,
}

/// What `Authorization` holds.
enum Authorization<'a> {
    /// Nothing, or a scheme that is not read here.
    Nothing,
    /// Something that does not begin as keys do, such as what a proxy wants to see: no key, unless nothing else is.
    Other,
    Key(&'a [u8]),
    TwoKeys,
    Session(&'a [u8]),
}

/// Reads the credential of a request, of whose headers' keys and tokens the cookie is none: browsers send it by themselves, so that it
/// counts where nothing else is shown.
pub(super) fn shown(headers: &HeaderMap, public_url: &str) -> Result<Credential, NoCredential> {
    match in_header(headers) {
        Err(NoCredential::Missing) if !headers.contains_key(header::AUTHORIZATION) => {
            let token = cookie::read(headers, public_url).ok_or(NoCredential::Missing)?;
            Credential::session(token.as_bytes()).ok_or(NoCredential::Wrong)
        }
        shown => shown,
    }
}

/// Reads the key or token in a request's headers. The same key in several places is one.
pub(super) fn in_header(headers: &HeaderMap) -> Result<Credential, NoCredential> {
    let mut room = [0; BASIC_BYTES_MAX];
    let of_its_own = only(headers, &API_KEY)?;
    let key = match (of_its_own, authorization(only(headers, &header::AUTHORIZATION)?, &mut room)) {
        (_, Authorization::TwoKeys) | (Some(_), Authorization::Session(_)) => return Err(NoCredential::Two),
        (Some(own), Authorization::Key(other)) if own != other => return Err(NoCredential::Two),
        (Some(shown), _) | (None, Authorization::Key(shown)) => shown,
        (None, Authorization::Session(token)) => return Credential::session(token).ok_or(NoCredential::Wrong),
        (None, Authorization::Other) => return Err(NoCredential::Wrong),
        (None, Authorization::Nothing) => return Err(NoCredential::Missing),
    };
    Credential::key(key).ok_or(NoCredential::Wrong)
}

/// The one value of a field that is not empty.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, NoCredential> {
    let mut values = headers.get_all(name).map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(NoCredential::Two);
    }
    Ok(first)
}

fn authorization<'a>(value: Option<&'a [u8]>, room: &'a mut [u8; BASIC_BYTES_MAX]) -> Authorization<'a> {
    let Some(value) = value else { return Authorization::Nothing };
    let at = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(at);
    let token = rest.trim_ascii();
    let is_key = |text: &[u8]| text.starts_with(PREFIX.as_bytes());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return match token {
            key if is_key(key) => Authorization::Key(key),
            session if session.starts_with(SESSION_PREFIX.as_bytes()) => Authorization::Session(session),
            _ => Authorization::Other,
        };
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Authorization::Nothing;
    }
    if token.len() > BASIC_CHARS_MAX {
        return Authorization::Other;
    }
    let Ok(length) = BASE64.decode_slice(token, room.as_mut_slice()) else { return Authorization::Other };
    let pair = room.get(..length).unwrap_or_default();
    let colon = pair.iter().position(|byte| *byte == b':').unwrap_or(pair.len());
    let (user, password) = pair.split_at(colon);
    let password = password.strip_prefix(b":").unwrap_or_default();
    match (is_key(user), is_key(password)) {
        (true, true) if user != password => Authorization::TwoKeys,
        (true, _) => Authorization::Key(user),
        (false, true) => Authorization::Key(password),
        (false, false) => Authorization::Other,
    }
}

/// What a refusal asks for (RFC 9110, section 11.6.1).
pub(super) fn challenges(headers: &HeaderMap, asks_for_page: bool) -> impl Iterator<Item = HeaderValue> {
    let always = [
        HeaderValue::from_static("ApiKey realm=\"permitd\", in=\"header\", name=\"x-api-key\""),
        HeaderValue::from_static("Bearer realm=\"permitd\""),
    ];
    // Many programs send a user name and a password only when they are asked for them. A browser would ask the person, over a page
    // that explains what to do, and send the key with all that any page makes it ask for from then on.
    let is_browser = asks_for_page || headers.contains_key("sec-fetch-mode");
    let basic = (!is_browser).then(|| HeaderValue::from_static("Basic realm=\"permitd\", charset=\"UTF-8\""));
    always.into_iter().chain(basic)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        credential::CredentialKind,
        key::{AdminToken, ApiKey, KeyId, SECRET_BYTES},
        session_token::SessionToken,
    };

    const URL: &str = "http://127.0.0.1:8080";

    fn key(of: u8) -> ApiKey {
        ApiKey::new(KeyId::from_random([of; 12]), &[of; SECRET_BYTES])
    }

    fn read(lines: &[(&'static str, String)]) -> Result<KeyId, NoCredential> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        shown(&headers, URL).map(|credential| credential.id)
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    }

    #[test]
    fn a_key_is_read_in_each_of_its_places() {
        let (key, text) = (key(1), key(1).reveal().to_owned());
        let unpadded = format!("bAsIc  {}", BASE64_STANDARD_NO_PAD.encode(format!("{text}:")));
        for value in [
            format!("Bearer {text}"),
            format!("bearer  {text}"),
            basic(&text, ""),
            basic("", &text),
            basic("api", &text),
            basic(&text, "x:y"),
            basic(&text, &text),
            unpadded,
            format!("Basic {}", BASE64_STANDARD.encode(&text)),
        ] {
            assert_eq!(read(&[("authorization", value.clone())]), Ok(key.id()), "{value}");
            assert_eq!(read(&[("x-api-key", text.clone()), ("authorization", value)]), Ok(key.id()));
        }
        assert_eq!(read(&[("x-api-key", text.clone()), ("x-api-key", text.clone())]), Ok(key.id()));
        // What a proxy in between wants to see is none of ours.
        for other in [basic("ana", "secret"), "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned(), "Negotiate YII".to_owned()]
        {
            assert_eq!(read(&[("x-api-key", text.clone()), ("authorization", other)]), Ok(key.id()));
        }
    }

    #[test]
    fn two_keys_are_none() {
        let (one, two) = (key(1).reveal().to_owned(), key(2).reveal().to_owned());
        let bearer = |key: &str| format!("Bearer {key}");
        let token = AdminToken::new(KeyId::from_random([3; 12]), &[3; SECRET_BYTES]).reveal().to_owned();
        for lines in [
            vec![("x-api-key", one.clone()), ("x-api-key", two.clone())],
            vec![("x-api-key", one.clone()), ("authorization", bearer(&two))],
            vec![("x-api-key", one.clone()), ("authorization", basic("", &two))],
            vec![("x-api-key", one.clone()), ("authorization", bearer(&token))],
            vec![("authorization", basic(&one, &two))],
            vec![("authorization", bearer(&one)), ("authorization", bearer(&two))],
            vec![("authorization", bearer(&one)), ("authorization", basic(&one, ""))],
            vec![("x-api-key", "junk".to_owned()), ("authorization", bearer(&one))],
        ] {
            assert_eq!(read(&lines), Err(NoCredential::Two), "{lines:?}");
        }
    }

    #[test]
    fn a_session_is_read_as_bearer_and_from_its_cookie_alone() {
        let (key, session) = (key(1), SessionToken::new(KeyId::from_random([4; 12]), &[4; SECRET_BYTES]));
        let (token, bearer) = (session.reveal().to_owned(), format!("Bearer {}", session.reveal()));
        let cookie = format!("permitd={token}");
        for line in [("authorization", bearer.clone()), ("cookie", cookie.clone())] {
            assert_eq!(read(&[line]), Ok(session.id()));
        }
        let kind = |name: &'static str, value: &str| {
            let headers = [(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())];
            shown(&headers.into_iter().collect(), URL).map(|shown| shown.kind)
        };
        assert_eq!(kind("cookie", &cookie), Ok(CredentialKind::Session));
        assert_eq!(kind("x-api-key", key.reveal()), Ok(CredentialKind::Key));
        // Browsers send the cookie by themselves.
        for line in [("x-api-key", key.reveal().to_owned()), ("authorization", basic(key.reveal(), ""))] {
            assert_eq!(read(&[line, ("cookie", cookie.clone())]), Ok(key.id()));
        }
        for two in [("x-api-key", key.reveal().to_owned()), ("x-api-key", token.clone())] {
            assert_eq!(read(&[two, ("authorization", bearer.clone())]), Err(NoCredential::Two));
        }
        for wrong in [
            vec![("x-api-key", token.clone())],
            vec![("authorization", basic(&token, ""))],
            vec![("authorization", bearer[..bearer.len() - 1].to_owned())],
            vec![("cookie", cookie[..cookie.len() - 1].to_owned())],
            vec![("authorization", "Bearer x".to_owned()), ("cookie", cookie.clone())],
        ] {
            assert_eq!(read(&wrong), Err(NoCredential::Wrong), "{wrong:?}");
        }
        let other = vec![("authorization", "Negotiate YII".to_owned()), ("cookie", cookie)];
        assert_eq!(
            read(&other),
            Err(NoCredential::Missing),
            "whoever sends a field of their own does not mean the cookie"
        );
    }

    #[test]
    fn what_is_no_key_is_wrong_and_nothing_is_missing() {
        let long = basic(&"x".repeat(BASIC_BYTES_MAX), "");
        for value in
            [basic("", ""), basic("ana", "secret"), "Bearer".to_owned(), "Bearer x".to_owned(), "Basic".to_owned()]
        {
            assert_eq!(read(&[("authorization", value.clone())]), Err(NoCredential::Wrong), "{value}");
        }
        for value in [long, "Basic ~~~".to_owned(), "Basic pmt_x".to_owned(), "Bearer pmt_x".to_owned()] {
            assert_eq!(read(&[("authorization", value.clone())]), Err(NoCredential::Wrong), "{value}");
        }
        assert_eq!(read(&[("x-api-key", "junk".to_owned())]), Err(NoCredential::Wrong));
        for lines in [vec![], vec![("x-api-key", String::new())], vec![("authorization", "Negotiate YII".to_owned())]] {
            assert_eq!(read(&lines), Err(NoCredential::Missing), "{lines:?}");
        }
    }

    #[test]
    fn browsers_are_not_asked_for_a_password() {
        let schemes = |name: Option<&'static str>, asks_for_page| {
            let mut headers = HeaderMap::new();
            if let Some(name) = name {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static("cors"));
            }
            challenges(&headers, asks_for_page).filter(|value| value.as_bytes().starts_with(b"Basic ")).count()
        };
        assert_eq!([schemes(None, false), schemes(Some("sec-fetch-mode"), false), schemes(None, true)], [1, 0, 0]);
    }

    proptest! {
        #[test]
        fn junk_never_panics(own in "[ -~]{0,90}", scheme in "Bearer|Basic|basic|[A-Za-z]{0,7}", rest in "[ -~]{0,400}") {
            read(&[("x-api-key", own), ("authorization", format!("{scheme} {rest}"))]).ok();
        }

        #[test]
        fn a_pair_in_base64_never_panics(pair: Vec<u8>) {
            read(&[("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)))]).ok();
        }
    }
}
