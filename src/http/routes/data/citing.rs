//! The addresses of other answers: the next page, and the one by which an answer can be cited.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};
use percent_encoding::percent_decode_str;

use crate::{
    dataset::query::{AS_OF, Format},
    http::Problem,
};

/// The longest address to be cited, bytes. With a longer one the head of the answer would exceed what some clients take.
const CITED_BYTES_MAX: usize = 4096;

/// The address of a request with other values of these parameters; an empty value leaves its parameter out.
pub(super) fn target(request: &HttpRequest, public_url: &str, changed: &[(&str, &str)]) -> String {
    let mut target = format!("{public_url}{}?", request.uri().path());
    let mut add = |text: &str| {
        if !target.ends_with('?') {
            target.push('&');
        }
        target.push_str(text);
    };
    let is_kept = |name: &str| changed.iter().all(|(changed, _)| *changed != name);
    parameters(request).filter(|(name, _)| is_kept(name)).for_each(|(_, given)| add(given));
    changed.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| add(&format!("{name}={value}")));
    target
}

/// The parameters of a request: their names, and each as it was given.
fn parameters(request: &HttpRequest) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let given = request.query_string().split('&').filter(|given| !given.is_empty());
    given.map(|given| (percent_decode_str(given.split('=').next().unwrap_or(given)).decode_utf8_lossy(), given))
}

/// Tells whether a request has a parameter.
pub(super) fn has(request: &HttpRequest, name: &str) -> bool {
    parameters(request).any(|(given, _)| given == name)
}

/// Adds the address by which the answer can be cited (RFC 8574): the same question as of the version that was answered, in the same
/// form.
pub(super) fn cite(
    request: &HttpRequest,
    public_url: &str,
    response: &mut HttpResponse,
    (version, format): (u64, Format),
) -> Result<(), Problem> {
    let version = version.to_string();
    // Without the header field Accept the address has to say the form.
    let form = if format == Format::Json || has(request, "format") { None } else { Some(("format", format.name())) };
    let changed: Vec<(&str, &str)> = form.into_iter().chain([(AS_OF, version.as_str())]).collect();
    let target = target(request, public_url, &changed);
    if target.len() <= CITED_BYTES_MAX {
        let link = HeaderValue::try_from(format!("<{target}>; rel=\"cite-as\"")).map_err(Problem::internal)?;
        response.headers_mut().append(header::LINK, link);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_changed() {
        let cases = [
            ("/permits", "https://x/permits?as_of=3"),
            ("/permits?status=issued&&limit=1", "https://x/permits?status=issued&limit=1&as_of=3"),
            ("/permits?as_of=2026-11-01&status=a%26b", "https://x/permits?status=a%26b&as_of=3"),
            ("/permits?as%5Fof=2026-11-01&as_of__eq=1&as_of_x", "https://x/permits?as_of__eq=1&as_of_x&as_of=3"),
        ];
        for (given, expected) in cases {
            let request = TestRequest::with_uri(given).to_http_request();
            assert_eq!(target(&request, "https://x", &[(AS_OF, "3")]), expected);
        }
        let request = TestRequest::with_uri("/permits?cursor=a&as_of=2").to_http_request();
        assert_eq!(target(&request, "", &[(AS_OF, ""), ("cursor", "b")]), "/permits?cursor=b");
    }

    #[test]
    fn a_citation_says_the_form_and_is_no_longer_than_clients_take() {
        let cited = |uri: &str, format: Format| {
            let request = TestRequest::with_uri(uri).to_http_request();
            let mut response = HttpResponse::Ok().finish();
            cite(&request, "https://x", &mut response, (3, format)).unwrap();
            response.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned())
        };
        let link = |target: &str| Some(format!("<https://x{target}>; rel=\"cite-as\""));
        assert_eq!(cited("/permits", Format::Json), link("/permits?as_of=3"));
        assert_eq!(cited("/permits", Format::Csv), link("/permits?format=csv&as_of=3"));
        assert_eq!(cited("/permits?format=parquet", Format::Parquet), link("/permits?format=parquet&as_of=3"));
        assert!(cited(&format!("/permits?status={}", "x".repeat(4000)), Format::Json).is_some());
        assert_eq!(cited(&format!("/permits?status={}", "x".repeat(5000)), Format::Json), None);
    }
}
