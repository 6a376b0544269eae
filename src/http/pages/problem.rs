//! Problems as pages: those that a problem's `type` leads to, and the page for a browser whose request failed.

pub(in crate::http) mod answer;
mod german;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use self::answer::{TEMPLATE, kind};
use super::{
    language::Language,
    route,
    visit::{Anyone, Shown, Visit},
};
use crate::http::{Problem, ProblemCode};

/// `GET /problems`: all kinds.
pub(super) async fn list(request: HttpRequest) -> HttpResponse {
    let language = Language::wanted(request.headers());
    let kinds: Vec<Value> = ProblemCode::ALL.iter().map(|code| kind(*code, language)).collect();
    route::sent(&request, shown(&request, json!({ "kinds": kinds })).await).await
}

/// `GET /problems/{code}`: what one kind means and what to do.
pub(super) async fn show(request: HttpRequest, slug: web::Path<String>) -> HttpResponse {
    let Some(code) = ProblemCode::from_slug(&slug) else {
        return Problem::new(ProblemCode::NotFound, "there is no problem of this name; /problems lists them all")
            .respond(&request);
    };
    route::sent(&request, shown(&request, json!({ "kind": kind(code, Language::wanted(request.headers())) })).await)
        .await
}

async fn shown(request: &HttpRequest, context: Value) -> Shown {
    Visit::<Anyone>::open(request).await?.page(TEMPLATE, &context)
}
