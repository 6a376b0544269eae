//! A problem as a page, for a browser whose request failed.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use serde_json::{Value, json};

use crate::http::{
    Problem, ProblemCode, RequestId, address,
    cookie::Cookie,
    masking,
    pages::{
        language::Language,
        templates,
        visit::{self, Whole},
    },
    state::Service,
};

pub(super) const TEMPLATE: &str = "problem/page.html";

pub(super) fn kind(code: ProblemCode, language: Language) -> Value {
    let (title, explanation) = match language {
        Language::English => (code.title(), code.explanation()),
        Language::German => super::german::told(code),
    };
    json!({
        "slug": code.slug(), "path": code.path(), "title": title, "status": code.status().as_u16(),
        "explanation": explanation, "guide": place_in_guide(code),
    })
}

/// The section of the guide that explains a kind of problem best.
pub(super) fn place_in_guide(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::InvalidKey | ProblemCode::KeyNotAllowedHere | ProblemCode::Scope => "getting-in",
        ProblemCode::InvalidParameters => "filters",
        ProblemCode::QuotaExceeded | ProblemCode::OwnShare | ProblemCode::TooManyFromAddress => "limits",
        ProblemCode::VersionGone => "the-past",
        ProblemCode::SignInRequired
        | ProblemCode::InvalidCredentials
        | ProblemCode::CodeRequired
        | ProblemCode::SecondFactorRequired => "sessions",
        _ => "errors",
    }
}

/// A problem as a page, for a browser that opens the address of a resource.
pub(in crate::http) fn answer(problem: &Problem, request: &HttpRequest) -> HttpResponse {
    let Some(service) = request.app_data::<web::Data<Service>>() else {
        return HttpResponse::build(problem.code().status()).finish();
    };
    let language = Language::wanted(request.headers());
    // The visitor may be unknown, where finding them failed. A browser with a cookie is not asked to sign in.
    let perhaps = [(Cookie::SESSION, "person"), (Cookie::TOKEN, "token")]
        .into_iter()
        .find(|(cookie, _)| cookie.read(request.headers(), &service.public_url).is_some());
    let mut frame = json!({ "perhaps": perhaps.map(|(_, whose)| whose), "person": null, "path": request.path(), "may": [], "mails_to_files": false, "flash": null, "csrf": "", "once": "" });
    if let Some(fields) = frame.as_object_mut() {
        fields.extend(visit::basics(service, language));
    }
    let needs_key = problem.code() == ProblemCode::InvalidKey;
    let address = format!("{}{}", address::base(request), request.uri().path());
    // The operator finds the cause by this id.
    let id = RequestId::of(request).filter(|_| problem.code().status().is_server_error());
    let own = json!({
        "request_id": id.as_ref().map(RequestId::as_str), "kind": kind(problem.code(), language), "detail": Some(capital(problem.detail())).filter(|detail| detail != problem.code().title()), "happened": true,
        "needs_key": needs_key, "address": address, "target": target(request, service),
    });
    let rendered = templates::render(language, TEMPLATE, &Whole { frame, own: &own });
    let page = rendered.map(|page| String::from_utf8_lossy(&masking::without_keys(page.into_bytes())).into_owned());
    let (status, page) = match page {
        Ok(page) => (problem.code().status(), page),
        Err(fault) => {
            fault.log(&"a page of a problem");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut response = visit::respond(status, page);
    let headers = response.headers_mut();
    headers.insert(header::HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    for (name, value) in problem.headers() {
        headers.append(name.clone(), value.clone());
    }
    response
}

/// The page for a visitor who has signed in to see what they asked for: for a data set, the page with its rows.
pub(super) fn target(request: &HttpRequest, service: &Service) -> String {
    let (path, query) = (request.uri().path(), request.uri().query());
    let is_data_set = path.strip_prefix('/').is_some_and(|name| service.records.data_set(name).is_some());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}{}{query}", if is_data_set { "/explore" } else { "" })
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
