//! The session's cookie (RFC 6265bis): for pages. Scripts send the token itself.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::Problem;

/// Its name behind TLS: browsers take it only with `Secure`, without `Domain`, for the whole server.
const SECURE_NAME: &str = "__Host-permitd";
/// Its name without TLS, where browsers take no such name.
const PLAIN_NAME: &str = "permitd";

fn is_secure(public_url: &str) -> bool {
    public_url.starts_with("https://")
}

/// A cookie's names: behind TLS, and without.
type CookieNames = (&'static str, &'static str);
const SESSION: CookieNames = (SECURE_NAME, PLAIN_NAME);
/// Of a visit to a provider of identities.
const VISIT: CookieNames = ("__Host-permitd-visit", "permitd-visit");

fn name((secure, plain): CookieNames, public_url: &str) -> &'static str {
    if is_secure(public_url) { secure } else { plain }
}

/// The token in a request's cookie, at the server of this address.
pub(super) fn read<'h>(headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
    value_of(SESSION, headers, public_url)
}

/// The sealed visit in a request's cookie.
pub(super) fn read_visit<'h>(headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
    value_of(VISIT, headers, public_url)
}

fn value_of<'h>(names: CookieNames, headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
    let wanted = name(names, public_url);
    let pairs = headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == wanted);
    let (_, value) = values.next()?;
    // Of two nobody knows which is meant.
    values.next().is_none().then_some(value)
}

/// The header field that sets it, for so many seconds.
///
/// # Errors
/// When the token is no text of a header, which none is that this server made.
pub(super) fn set(token: &str, age_s: i64, public_url: &str) -> Result<HeaderValue, Problem> {
    field(SESSION, token, age_s, public_url)
}

/// The header field that sets the cookie of a visit. The provider leads back from another site, so that it is `Lax` as well.
///
/// # Errors
/// As [`set`].
pub(super) fn set_visit(visit: &str, age_s: i64, public_url: &str) -> Result<HeaderValue, Problem> {
    field(VISIT, visit, age_s, public_url)
}

/// The header field that removes the cookie of a visit.
///
/// # Errors
/// Never: see [`set`].
pub(super) fn remove_visit(public_url: &str) -> Result<HeaderValue, Problem> {
    set_visit("", 0, public_url)
}

fn field(names: CookieNames, value: &str, age_s: i64, public_url: &str) -> Result<HeaderValue, Problem> {
    let secure = if is_secure(public_url) { "; Secure" } else { "" };
    let name = name(names, public_url);
    let text = format!("{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).map_err(Problem::internal)
}

/// The header field that removes it.
///
/// # Errors
/// Never: see [`set`].
pub(super) fn remove(public_url: &str) -> Result<HeaderValue, Problem> {
    set("", 0, public_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_bound_to_the_server_and_hidden_from_scripts() {
        let set = |url: &str| set("pms_x", 60, url).unwrap().to_str().unwrap().to_owned();
        let secure = "__Host-permitd=pms_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set("https://permits.example.org"), secure);
        assert_eq!(set("http://127.0.0.1:8080"), "permitd=pms_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let visit = set_visit("1~x~y", 600, "https://permits.example.org").unwrap();
        assert_eq!(visit, "__Host-permitd-visit=1~x~y; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn the_right_cookie_is_found_among_others() {
        let url = "https://permits.example.org";
        assert_eq!(read(&headers(&["a=1; __Host-permitd=t; b=2"]), url), Some("t"));
        assert_eq!(read(&headers(&["a=1", "__Host-permitd=t"]), url), Some("t"));
        assert_eq!(read(&headers(&["permitd=t"]), url), None, "one that another site could have set");
        assert_eq!(read(&headers(&["__Host-permitd=t; __Host-permitd=u"]), url), None);
        assert_eq!(read(&headers(&["permitd=t"]), "http://localhost:1"), Some("t"));
        assert_eq!(read(&headers(&[]), url), None);
        let both = headers(&["__Host-permitd-visit=v; __Host-permitd=t"]);
        assert_eq!((read(&both, url), read_visit(&both, url)), (Some("t"), Some("v")));
    }
}
