//! The routes of pages: they find the visitor first, then check the form, and turn refusals into pages.

use actix_web::{
    HttpRequest, HttpResponse, Route,
    http::{Method, header},
    web,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    again,
    flash::Flash,
    form::Form,
    packed,
    problem::answer::answer,
    visit::{PageRefusal, Shown, Visit, Visitor, led_to},
};
use crate::http::{ProblemCode, cookie::Cookie, method, state::Service};

/// Longest address to lead a visitor back to after signing in, bytes.
const RETURN_BYTES_MAX: usize = 1024;
/// A route for looking at a page.
pub(super) fn get<W, F, Fut>(handler: F) -> Route
where
    W: Visitor,
    F: Fn(Visit<W>) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    method::read().to(move |request: HttpRequest| {
        let handler = handler.clone();
        async move {
            let shown = async { handler(Visit::open(&request).await?).await };
            sent(&request, shown.await).await
        }
    })
}

/// A route for sending a form.
pub(super) fn post<W, F, Fut>(handler: F) -> Route
where
    W: Visitor,
    F: Fn(Visit<W>, Form) -> Fut + Clone + 'static,
    Fut: Future<Output = Shown>,
{
    web::method(Method::POST).to(move |request: HttpRequest, payload: web::Payload| {
        let handler = handler.clone();
        async move {
            let shown = async {
                let payload = payload.into_inner();
                let visit = match (Visit::<W>::open(&request).await, request.app_data::<web::Data<Service>>()) {
                    (Err(PageRefusal::SignIn), Some(service)) => {
                        return again::signed_out::<W>(&request, payload, service).await;
                    }
                    (visit, _) => visit?,
                };
                let form = Form::received(&request, payload, W::FORM_BYTES_MAX).await?;
                match form.check_source(&request, &visit.service) {
                    Ok(()) => handler(visit, form).await,
                    Err(problem) if problem.code() == ProblemCode::FormOver => {
                        let shown = again::over(&request, &visit.service, &form).await?;
                        shown.ok_or(PageRefusal::Problem(problem))
                    }
                    Err(problem) => Err(problem.into()),
                }
            };
            answered(&request, shown.await)
        }
    })
}

/// The answer to a request for a page, compressed as the browser prefers.
pub(super) async fn sent(request: &HttpRequest, shown: Shown) -> HttpResponse {
    packed::page(request, answered(request, shown)).await.unwrap_or_else(|problem| problem.respond(request))
}

/// The page, or the answer to a refusal.
pub(super) fn answered(request: &HttpRequest, shown: Shown) -> HttpResponse {
    let refusal = match shown {
        Ok(response) => return response,
        Err(refusal) => refusal,
    };
    if let PageRefusal::Problem(found) = &refusal {
        found.log_of(request);
    }
    let led = |path: &str| match request.app_data::<web::Data<Service>>() {
        Some(service) => led_to(service, path).unwrap_or_else(|problem| answer(&problem, request)),
        None => HttpResponse::InternalServerError().finish(),
    };
    match refusal {
        PageRefusal::Problem(found) => answer(&found, request),
        PageRefusal::SignIn => session_over(request, led(&sign_in_path(request))),
        PageRefusal::SecondFactor => led("/home/security"),
    }
}

/// Tells a visitor whose session no longer works that the session is over.
fn session_over(request: &HttpRequest, mut led: HttpResponse) -> HttpResponse {
    let Some(service) = request.app_data::<web::Data<Service>>() else { return led };
    if Cookie::SESSION.read(request.headers(), &service.public_url).is_some() {
        let flash = Flash::not_done("sign-in-session-over").cookie(service);
        for cookie in [flash, Cookie::SESSION.remove(&service.public_url)].into_iter().flatten() {
            led.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    led
}

/// The path to sign in at, with this page to come back to.
fn sign_in_path(request: &HttpRequest) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    match request.method().is_safe() && target.len() <= RETURN_BYTES_MAX {
        true => format!("/sign-in?return_to={}", utf8_percent_encode(target, NON_ALPHANUMERIC)),
        false => "/sign-in".to_owned(),
    }
}
