//! Problems as people read them: the pages that a problem's `type` leads to, and what a browser shows whose request failed.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use serde_json::{Value, json};

use super::{
    route, templates,
    visit::{self, Anyone, Shown, Visit, Whole},
};
use crate::http::{Problem, ProblemCode, address, masking, state::Service};

const TEMPLATE: &str = "problem/page.html";

/// `GET /problems`: all kinds.
pub(super) async fn list(request: HttpRequest) -> HttpResponse {
    let kinds: Vec<Value> = ProblemCode::ALL.iter().map(|code| kind(*code)).collect();
    route::sent(&request, shown(&request, json!({ "kinds": kinds })).await).await
}

/// `GET /problems/{code}`: what one kind means and what to do.
pub(super) async fn show(request: HttpRequest, slug: web::Path<String>) -> HttpResponse {
    let Some(code) = ProblemCode::from_slug(&slug) else {
        return Problem::new(ProblemCode::NotFound, "there is no problem of this name; /problems lists them all")
            .respond(&request);
    };
    route::sent(&request, shown(&request, json!({ "kind": kind(code) })).await).await
}

async fn shown(request: &HttpRequest, context: Value) -> Shown {
    Visit::<Anyone>::open(request).await?.page(TEMPLATE, &context)
}

fn kind(code: ProblemCode) -> Value {
    json!({
        "slug": code.slug(), "path": code.path(), "title": code.title(), "status": code.status().as_u16(),
        "explanation": code.explanation(),
    })
}

/// A problem as a page: what a browser shows that opens the address of a resource.
pub(in crate::http) fn answer(problem: &Problem, request: &HttpRequest) -> HttpResponse {
    let Some(service) = request.app_data::<web::Data<Service>>() else {
        return HttpResponse::build(problem.code().status()).finish();
    };
    let language = route::language(request);
    let mut frame = json!({ "person": null, "path": request.path(), "may": [], "mails_to_files": false, "flash": null, "csrf": "", "once": "" });
    if let Some(fields) = frame.as_object_mut() {
        fields.extend(visit::basics(service, language));
    }
    let needs_key = problem.code() == ProblemCode::InvalidKey;
    let address = format!("{}{}", address::base(request), request.uri().path());
    let own = json!({
        "kind": kind(problem.code()), "detail": capital(problem.detail()), "happened": true,
        "needs_key": needs_key, "address": address, "target": request.uri().path_and_query().map_or("/", |target| target.as_str()),
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

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
