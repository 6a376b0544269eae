//! Tells whether a client wants a page or a document for programs.

use actix_web::http::header::{self, HeaderMap};

/// Whether `Accept` names HTML before JSON: browsers do, `curl` and the like accept anything.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let place = |media_type: &str| accept.find(media_type);
    match (place("text/html"), place("application/json")) {
        (Some(html), Some(json)) => html < json,
        (html, _) => html.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn browsers_get_html_and_programs_json() {
        let wants = |accept| wants_html(&[(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect());
        assert!(wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wants("*/*"));
        assert!(!wants("application/json"));
        assert!(!wants("application/json, text/html;q=0.5"));
    }
}
