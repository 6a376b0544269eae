//! The pages that explain problems to people: where a problem's `type` leads.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentType, HeaderName, HeaderValue},
    web,
};

use super::{Problem, ProblemCode};
use crate::http::{address, masking, pages::escaped, state::Service};

const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
const STYLE: &str = "body{max-width:42rem;margin:3rem auto;padding:0 1rem;font:1.05rem/1.6 system-ui,sans-serif;color-scheme:light dark}\
                     code{font-family:ui-monospace,monospace}h1{line-height:1.2}pre{overflow-x:auto}.status{opacity:.7}";

/// `GET /problems`: all kinds.
pub async fn list(request: HttpRequest) -> HttpResponse {
    let prefix = prefix(&request);
    let items: String = ProblemCode::ALL
        .iter()
        .map(|code| {
            let (path, title, status) = (code.path(), code.title(), code.status().as_u16());
            format!("<li><a href=\"{prefix}{path}\">{title}</a> <span class=\"status\">{status}</span></li>")
        })
        .collect();
    html("Problems", &format!("<h1>Problems</h1><p>How this server says no (RFC 9457).</p><ul>{items}</ul>"))
}

/// `GET /problems/{code}`: what one kind means and what to do.
pub async fn show(request: HttpRequest, slug: web::Path<String>) -> HttpResponse {
    let Some(code) = ProblemCode::from_slug(&slug) else {
        return Problem::new(ProblemCode::NotFound, "there is no problem of this name; /problems lists them all")
            .respond(&request);
    };
    let body = format!(
        "<p class=\"status\">{} <code>{}</code></p><h1>{}</h1><p>{}</p><p><a href=\"{}/problems\">All problems</a></p>",
        code.status(),
        code.slug(),
        code.title(),
        code.explanation(),
        prefix(&request)
    );
    html(code.title(), &body)
}

/// A problem as people read it: what a browser shows that opens the address of a resource.
pub(super) fn of(problem: &Problem, request: &HttpRequest) -> HttpResponse {
    let code = problem.code();
    let prefix = prefix(request);
    let mut body = format!(
        "<p class=\"status\">{}</p><h1>{}</h1><p>{}.</p><p>{}</p>",
        code.status(),
        code.title(),
        capital(&escaped(&problem.0.detail)),
        code.explanation(),
    );
    if code == ProblemCode::InvalidKey {
        let address = escaped(&format!("{}{}", address::base(request), request.uri().path()));
        body.push_str(&format!(
            "<p>Programs read this address, and send the key along:</p><pre>curl -H 'x-api-key: …' '{address}'</pre>"
        ));
    }
    body.push_str(&format!(
        "<p><a href=\"{prefix}/docs\">Documentation, and a place to try it with your key</a> · \
         <a href=\"{prefix}/\">What this server publishes</a></p>"
    ));
    let mut response = html(code.title(), &String::from_utf8_lossy(&masking::without_keys(body.into_bytes())));
    *response.status_mut() = code.status();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in &problem.0.headers {
        headers.append(name.clone(), value.clone());
    }
    response
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a proxy has taken off the paths of requests: a link is followed from outside.
fn prefix(request: &HttpRequest) -> String {
    let service = request.app_data::<web::Data<Service>>();
    service.map_or_else(String::new, |service| escaped(address::prefix(&service.public_url)))
}

fn html(title: &str, body: &str) -> HttpResponse {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>"
    );
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")))
        .body(page)
}
