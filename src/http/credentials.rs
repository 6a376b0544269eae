//! Reads the credential of a request. A key comes in the header `x-api-key`, as `Authorization: Bearer` (RFC 6750), or as user name or
//! password of `Authorization: Basic` (RFC 7617), for spreadsheets and other programs that send no header of their own. A session's token
//! comes as Bearer or in its cookie, an administrator's token as Bearer. Addresses never carry credentials. On all routes two different
//! credentials are refused, whichever of them the route takes. Nothing is allocated.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Problem, ProblemCode, cookie::Cookie, wire};
use crate::domain::{
    credential::{Credential, CredentialKind},
    key::{AdminToken, KEY_CHARS, PREFIX},
    permission::{Permission, Permissions},
    session_token::SESSION_PREFIX,
};

/// The header for keys alone.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Accepts Base64 with and without padding, since programs write both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Most bytes of a user name and a password: a key, with room for a fixed text beside it.
const BASIC_BYTES_MAX: usize = 4 * KEY_CHARS;
/// The length of so many bytes in Base64.
const BASIC_CHARS_MAX: usize = BASIC_BYTES_MAX.div_ceil(3) * 4;

/// The credential in a request, on any route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InHeaders<'h> {
    /// A key or a session's token, of the right form.
    Credential(Credential),
    /// Another Bearer token: an administrator's, or one that is not ours.
    Token(&'h str),
}

/// Why a request has no usable credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCredential {
    /// Neither header is present.
    Missing,
    /// A header is empty or has an unknown scheme. The cookie is not read then: the client does not mean it.
    Unread,
    /// The credential, of this kind, has a wrong form or checksum.
    Wrong(CredentialKind),
    /// The request shows two different credentials.
    Two,
}

/// The content of `Authorization`.
enum Authorization<'h, 'a> {
    /// Nothing, or an unknown scheme.
    Unread,
    /// No key or token of ours, such as a credential for a proxy. It is refused only if `x-api-key` is absent.
    Other,
    Key(&'a [u8]),
    TwoKeys,
    Session(&'h [u8]),
    /// Any other Bearer token.
    Token(&'h str),
}

/// Reads the credential of a request. The cookie counts only if neither header is present, since browsers send it by themselves.
pub(super) fn shown<'h>(headers: &'h HeaderMap, public_url: &str) -> Result<InHeaders<'h>, NoCredential> {
    match in_header(headers) {
        Err(NoCredential::Missing) => {
            let token = Cookie::SESSION.read(headers, public_url).ok_or(NoCredential::Missing)?;
            session(token.as_bytes()).map(InHeaders::Credential)
        }
        shown => shown,
    }
}

/// Reads the key or the session of a request for data.
pub(super) fn of_reader(headers: &HeaderMap, public_url: &str) -> Result<Credential, NoCredential> {
    match shown(headers, public_url)? {
        InHeaders::Credential(credential) => Ok(credential),
        InHeaders::Token(_) => Err(NoCredential::Wrong(CredentialKind::Key)),
    }
}

/// Reads the key or token in a request's headers, for all routes. The same key in several places counts as one.
pub(super) fn in_header(headers: &HeaderMap) -> Result<InHeaders<'_>, NoCredential> {
    let mut room = [0; BASIC_BYTES_MAX];
    let own = only(headers, &API_KEY)?;
    let Some(value) = only(headers, &header::AUTHORIZATION)? else {
        return own.map_or(Err(NoCredential::Missing), key);
    };
    match (own, authorization(value, &mut room)) {
        (_, Authorization::TwoKeys) => Err(NoCredential::Two),
        (Some(own), Authorization::Key(other)) if own != other => Err(NoCredential::Two),
        (Some(_), Authorization::Session(_)) => Err(NoCredential::Two),
        (Some(own), Authorization::Token(other))
            if other.starts_with(AdminToken::PREFIX) && own != other.as_bytes() =>
        {
            Err(NoCredential::Two)
        }
        (Some(own), Authorization::Unread) if value.is_empty() && !own.is_empty() => Err(NoCredential::Two),
        (Some(shown), _) | (None, Authorization::Key(shown)) => key(shown),
        (None, Authorization::Session(token)) => session(token).map(InHeaders::Credential),
        (None, Authorization::Token(token)) => Ok(InHeaders::Token(token)),
        (None, Authorization::Other) => Err(NoCredential::Wrong(CredentialKind::Key)),
        (None, Authorization::Unread) => Err(NoCredential::Unread),
    }
}

fn key(text: &[u8]) -> Result<InHeaders<'static>, NoCredential> {
    match Credential::key(text) {
        Some(key) => Ok(InHeaders::Credential(key)),
        None if text.is_empty() => Err(NoCredential::Unread),
        None => Err(NoCredential::Wrong(CredentialKind::Key)),
    }
}

fn session(token: &[u8]) -> Result<Credential, NoCredential> {
    Credential::session(token).ok_or(NoCredential::Wrong(CredentialKind::Session))
}

/// The value of a header field; repeated fields must agree.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, NoCredential> {
    let mut values = headers.get_all(name).map(|value| value.as_bytes().trim_ascii());
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(NoCredential::Two);
    }
    Ok(first)
}

fn authorization<'h, 'a>(value: &'h [u8], room: &'a mut [u8; BASIC_BYTES_MAX]) -> Authorization<'h, 'a>
where
    'h: 'a,
{
    let at = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(at);
    let token = rest.trim_ascii();
    let is_key = |text: &[u8]| text.starts_with(PREFIX.as_bytes());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return match str::from_utf8(token) {
            Ok(token) if token.starts_with(SESSION_PREFIX) => Authorization::Session(token.as_bytes()),
            Ok(token) if is_key(token.as_bytes()) && !token.starts_with(AdminToken::PREFIX) => {
                Authorization::Key(token.as_bytes())
            }
            Ok(token) if !token.is_empty() => Authorization::Token(token),
            _ => Authorization::Other,
        };
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Authorization::Unread;
    }
    if token.len() > BASIC_CHARS_MAX {
        return Authorization::Other;
    }
    let Ok(length) = BASE64.decode_slice(token, room.as_mut_slice()) else { return Authorization::Other };
    let pair = room.get(..length).unwrap_or_default();
    let colon = pair.iter().position(|byte| *byte == b':').unwrap_or(pair.len());
    let (user, password) = pair.split_at(colon);
    let password = password.strip_prefix(b":").unwrap_or_default();
    // Basic must not carry a session's token: alone it is a wrong key, beside a key it makes two.
    let is_ours = |text: &[u8]| is_key(text) || text.starts_with(SESSION_PREFIX.as_bytes());
    match (is_ours(user), is_ours(password)) {
        (true, true) if user != password => Authorization::TwoKeys,
        (true, _) => Authorization::Key(user),
        (false, true) => Authorization::Key(password),
        (false, false) => Authorization::Other,
    }
}

/// The problem of a request with two different credentials.
pub(super) fn two() -> Problem {
    let detail = "the request shows two different keys, or a key and a session or token, in x-api-key and Authorization or in one of them: \
                  send the one that is meant";
    Problem::new(ProblemCode::InvalidRequest, detail)
}

/// The same problem, put off to keep the pace of all refusals.
pub(super) async fn refused_two(request: &HttpRequest) -> Problem {
    wire::refused(request).await;
    two()
}

/// The challenges of a refusal (RFC 9110, section 11.6.1).
pub(super) fn challenges(headers: &HeaderMap, asks_for_page: bool) -> impl Iterator<Item = HeaderValue> {
    let always = [
        HeaderValue::from_static("ApiKey realm=\"permitd\", in=\"header\", name=\"x-api-key\""),
        HeaderValue::from_static("Bearer realm=\"permitd\""),
    ];
    // Many programs send user name and password only when challenged. A browser is not challenged: it would ask the person instead of
    // showing the page that explains what to do, and from then on send the key with every request, whichever page makes it.
    let is_browser = asks_for_page || headers.contains_key("sec-fetch-mode");
    let basic = (!is_browser).then(|| HeaderValue::from_static("Basic realm=\"permitd\", charset=\"UTF-8\""));
    always.into_iter().chain(basic)
}

/// The refusal for missing permissions, which names the needed ones as in RFC 6750, section 3.1.
pub(in crate::http) fn beyond(detail: String, needed: Permissions) -> Problem {
    let scopes: Vec<&str> = needed.list().map(Permission::as_str).collect();
    let challenge = format!("Bearer realm=\"permitd\", error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "));
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => {
            Problem::new(ProblemCode::MissingPermission, detail).header(header::WWW_AUTHENTICATE, challenge)
        }
        Err(error) => Problem::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        key::{ApiKey, KeyId, SECRET_BYTES},
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
        of_reader(&headers, URL).map(|credential| credential.id)
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
        // A credential for a proxy is ignored.
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
            vec![("authorization", basic(&one, "pms_x"))],
            vec![("x-api-key", one.clone()), ("authorization", basic("pms_x", ""))],
            vec![("authorization", bearer(&one)), ("authorization", bearer(&two))],
            vec![("authorization", bearer(&one)), ("authorization", basic(&one, ""))],
            vec![("x-api-key", "junk".to_owned()), ("authorization", bearer(&one))],
            vec![("x-api-key", String::new()), ("authorization", bearer(&one))],
            vec![("x-api-key", String::new()), ("authorization", bearer(&token))],
            vec![("x-api-key", String::new()), ("x-api-key", one.clone())],
            vec![("x-api-key", one.clone()), ("authorization", String::new())],
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
            of_reader(&headers.into_iter().collect(), URL).map(|shown| shown.kind)
        };
        assert_eq!(kind("cookie", &cookie), Ok(CredentialKind::Session));
        assert_eq!(kind("x-api-key", key.reveal()), Ok(CredentialKind::Key));
        // Beside a key the cookie does not count: browsers send it by themselves.
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
            assert!(matches!(read(&wrong), Err(NoCredential::Wrong(_))), "{wrong:?}");
        }
        // An unreadable header keeps the cookie from counting: the client does not mean it.
        for (name, value) in [("authorization", "Negotiate YII"), ("authorization", ""), ("x-api-key", "")] {
            let lines = [(name, value.to_owned()), ("cookie", cookie.clone())];
            assert_eq!(read(&lines), Err(NoCredential::Unread), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_no_key_is_wrong_and_nothing_is_missing() {
        let (long, wrong) = (basic(&"x".repeat(BASIC_BYTES_MAX), ""), Err(NoCredential::Wrong(CredentialKind::Key)));
        for value in
            [basic("", ""), basic("ana", "secret"), "Bearer".to_owned(), "Bearer x".to_owned(), "Basic".to_owned()]
        {
            assert_eq!(read(&[("authorization", value.clone())]), wrong, "{value}");
        }
        for value in [long, "Basic ~~~".to_owned(), "Basic pmt_x".to_owned(), "Bearer pmt_x".to_owned()] {
            assert_eq!(read(&[("authorization", value.clone())]), wrong, "{value}");
        }
        assert_eq!(read(&[("x-api-key", "junk".to_owned())]), wrong);
        assert_eq!(read(&[]), Err(NoCredential::Missing));
        for (name, value) in [("x-api-key", ""), ("authorization", ""), ("authorization", "Negotiate YII")] {
            assert_eq!(read(&[(name, value.to_owned())]), Err(NoCredential::Unread), "{name}: {value}");
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
