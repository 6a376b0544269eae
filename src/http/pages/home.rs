//! `GET /`: what this server is, for whoever opens its address.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};

use super::file;
use crate::{
    http::{address, state::Service},
    store::records::DataSet,
};

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = ":root{color-scheme:light dark}body{max-width:42rem;margin:4rem auto;padding:0 1rem;\
                     font:1.05rem/1.6 system-ui,sans-serif}code{font-family:ui-monospace,monospace;font-size:.9em}\
                     h1{line-height:1.2;margin-bottom:.3rem}.muted{opacity:.7}pre{overflow-x:auto;padding:.8rem 1rem;\
                     border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.4rem}";

/// A page for browsers, JSON for programs.
pub(super) async fn show(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if wants_html(&request) {
        return file("text/html; charset=utf-8", POLICY, page(&service));
    }
    let data_sets: Vec<Value> = served(&service)
        .iter()
        .map(|set| {
            let (name, title) = (&set.definition.name, &set.definition.title);
            json!({ "name": name, "title": title, "path": format!("/{name}"), "records": set.records })
        })
        .collect();
    HttpResponse::Ok().insert_header((header::VARY, "Accept")).json(json!({
        "name": service.settings.mail.brand,
        "version": env!("CARGO_PKG_VERSION"),
        "datasets": data_sets,
        "admin": "/admin",
        "problems": "/problems",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }))
}

/// The data sets that are served.
fn served(service: &Service) -> Vec<Arc<DataSet>> {
    let mut data_sets = service.records.data_sets();
    data_sets.retain(|data_set| !data_set.standing.withdrawn);
    data_sets
}

/// Whether HTML is named before JSON: browsers do so, `curl` and the like take anything.
pub(in crate::http) fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let place = |media_type: &str| accept.find(media_type);
    match (place("text/html"), place("application/json")) {
        (Some(html), Some(json)) => html < json,
        (html, _) => html.is_some(),
    }
}

fn page(service: &Service) -> String {
    let brand = escaped(&service.settings.mail.brand);
    let data_sets = served(service);
    let items: String = data_sets
        .iter()
        .map(|set| {
            let (name, title) = (&set.definition.name, escaped(&set.definition.title));
            format!("<li>{title} <code>/{name}</code> <span class=\"muted\">{} records</span></li>", set.records)
        })
        .collect();
    let list =
        if items.is_empty() { "<p>Nothing has been imported yet.</p>".to_owned() } else { format!("<ul>{items}</ul>") };
    let url = escaped(&service.public_url);
    let prefix = escaped(address::prefix(&service.public_url));
    // Before the first import no request for data is answered: none is promised.
    let request = data_sets.first().map_or_else(String::new, |set| {
        format!(
            "<p>Send the key from your invitation in the header <code>x-api-key</code>:</p>\
             <pre>curl -H 'x-api-key: …' '{url}/{}?limit=3'</pre>",
            set.definition.name
        )
    });
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{brand}</title><style>{STYLE}</style></head><body>\
         <h1>{brand}</h1><p class=\"muted\">Records as an API, for those who were invited.</p>\
         <h2>Data sets</h2>{list}{request}<p><a href=\"{prefix}/docs\">All there is to ask, and a place to try it</a> \
         (<a href=\"{prefix}/openapi.json\">openapi.json</a>) · \
         <a href=\"{prefix}/problems\">What the answers mean when something goes wrong</a> · \
         <a href=\"{prefix}/admin\">Administration</a></p></body></html>"
    )
}

/// Text as HTML has it, also within quotes.
pub(in crate::http) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn browsers_get_html_and_programs_json() {
        let wants = |accept| wants_html(&TestRequest::default().insert_header(("accept", accept)).to_http_request());
        assert!(wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wants("*/*"));
        assert!(!wants("application/json"));
        assert!(!wants("application/json, text/html;q=0.5"));
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
    }
}
