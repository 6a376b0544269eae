//! Cookies (RFC 6265bis), for pages only: scripts send the token of a session themselves.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::Problem;

/// The session cookie's name behind TLS: browsers accept it only with `Secure`, without `Domain`, for the whole server.
const SECURE_NAME: &str = "__Host-permitd";
/// The session cookie's name without TLS, where browsers refuse the other.
const PLAIN_NAME: &str = "permitd";

fn is_secure(public_url: &str) -> bool {
    public_url.starts_with("https://")
}

/// A cookie of this server, by its two names: behind TLS, and without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie(&'static str, &'static str);

impl Cookie {
    /// The token of a session.
    pub(super) const SESSION: Self = Self(SECURE_NAME, PLAIN_NAME);
    /// A sealed visit at a provider. It is `Lax`, as all cookies are, because the provider leads back from another site.
    pub(super) const VISIT: Self = Self("__Host-permitd-visit", "permitd-visit");
    /// The value to which the forms of a browser without a session are bound.
    pub(super) const FORM: Self = Self("__Host-permitd-form", "permitd-form");
    /// The message that the next page shows.
    pub(super) const FLASH: Self = Self("__Host-permitd-flash", "permitd-flash");
    /// The sealed proof that a password was right, while the code of a second factor is asked for.
    pub(super) const PROOF: Self = Self("__Host-permitd-proof", "permitd-proof");
    /// The sealed name of a handed secret, which pages show until its owner says that they have it.
    pub(super) const HANDED: Self = Self("__Host-permitd-handed", "permitd-handed");
    /// The sealed id of the administrator's token with which the browser was let in.
    pub(super) const TOKEN: Self = Self("__Host-permitd-token", "permitd-token");

    fn name(self, public_url: &str) -> &'static str {
        if is_secure(public_url) { self.0 } else { self.1 }
    }

    /// The cookie's value in a request's headers; none unless there is exactly one, in ASCII.
    pub(super) fn read<'h>(self, headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
        let wanted = self.name(public_url);
        // Cookies of other servers on this host may hold any bytes; they must not hide this one.
        let pairs = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(wanted.as_bytes())?.strip_prefix(b"="));
        let value = values.next()?;
        // Two cookies of the same name are ambiguous.
        let value = if values.next().is_none() { str::from_utf8(value).ok()? } else { return None };
        value.is_ascii().then_some(value)
    }

    /// The header field that sets the cookie for `age_s` seconds.
    ///
    /// # Errors
    /// When the value cannot stand in a header, which never happens with values that this server made.
    pub(super) fn set(self, value: &str, age_s: i64, public_url: &str) -> Result<HeaderValue, Problem> {
        let secure = if is_secure(public_url) { "; Secure" } else { "" };
        let name = self.name(public_url);
        let text = format!("{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).map_err(Problem::internal)
    }

    /// The header field that removes the cookie.
    ///
    /// # Errors
    /// Never: see [`Self::set`].
    pub(super) fn remove(self, public_url: &str) -> Result<HeaderValue, Problem> {
        self.set("", 0, public_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_bound_to_the_server_and_hidden_from_scripts() {
        let set = |url: &str| Cookie::SESSION.set("pms_x", 60, url).unwrap().to_str().unwrap().to_owned();
        let secure = "__Host-permitd=pms_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set("https://permits.example.org"), secure);
        assert_eq!(set("http://127.0.0.1:8080"), "permitd=pms_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let visit = Cookie::VISIT.set("1~x~y", 600, "https://permits.example.org").unwrap();
        assert_eq!(visit, "__Host-permitd-visit=1~x~y; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn the_right_cookie_is_found_among_others() {
        let url = "https://permits.example.org";
        let read = |headers: &HeaderMap, url| Cookie::SESSION.read(headers, url).map(ToOwned::to_owned);
        let read_visit = |headers: &HeaderMap, url| Cookie::VISIT.read(headers, url).map(ToOwned::to_owned);
        assert_eq!(read(&headers(&["a=1; __Host-permitd=t; b=2"]), url), Some("t".to_owned()));
        assert_eq!(read(&headers(&["a=1", "__Host-permitd=t"]), url), Some("t".to_owned()));
        assert_eq!(read(&headers(&["permitd=t"]), url), None, "one that another site could have set");
        assert_eq!(read(&headers(&["__Host-permitd=t; __Host-permitd=u"]), url), None);
        assert_eq!(read(&headers(&["permitd=t"]), "http://localhost:1"), Some("t".to_owned()));
        assert_eq!(read(&headers(&[]), url), None);
        assert_eq!(read(&headers(&["a=gr\u{fc}\u{df}; __Host-permitd=t"]), url), Some("t".to_owned()));
        assert_eq!(read(&headers(&["__Host-permitd=\u{fc}; __Host-permitd=t"]), url), None);
        assert_eq!(read(&headers(&["__Host-permitd=\u{fc}"]), url), None);
        assert_eq!(read(&headers(&["__Host-permitd-x=t; x__Host-permitd=t; __Host-permitd"]), url), None);
        let both = headers(&["__Host-permitd-visit=v; __Host-permitd=t"]);
        assert_eq!((read(&both, url), read_visit(&both, url)), (Some("t".to_owned()), Some("v".to_owned())));
    }
}
