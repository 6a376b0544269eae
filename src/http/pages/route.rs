//! The routes of pages: who looks is found out first, a form is believed only then, and what is refused becomes a page.

use actix_web::{
    HttpRequest, HttpResponse, Route,
    body::{BoxBody, MessageBody},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    flash::Flash,
    form::Form,
    language::Language,
    problem,
    visit::{Refusal, Shown, Visit, Visitor, led_to},
};
use crate::http::{
    Problem,
    coding::{self, Coding},
    cookie::Cookie,
    method,
    request_id::RequestId,
    state::Service,
};

/// Longest address that somebody is led back to after they have signed in, bytes.
const RETURN_BYTES_MAX: usize = 1024;
/// A page that is compressed as its reader likes.
const VARY: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, Accept-Language, Cookie");

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
            answered(&request, shown.await)
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
                let visit = Visit::open(&request).await?;
                let form = Form::read(&request, payload.into_inner(), &visit.service).await?;
                handler(visit, form).await
            };
            answered(&request, shown.await)
        }
    })
}

/// A page, or what is shown instead.
pub(super) fn answered(request: &HttpRequest, shown: Shown) -> HttpResponse {
    let refusal = match shown {
        Ok(response) => return response,
        Err(refusal) => refusal,
    };
    let led = |path: &str| match request.app_data::<web::Data<Service>>() {
        Some(service) => led_to(service, path).unwrap_or_else(|problem| problem::answer(&problem, request)),
        None => HttpResponse::InternalServerError().finish(),
    };
    match refusal {
        Refusal::Problem(found) => {
            found.log(&RequestId::of(request).map_or_else(|| "none".to_owned(), |id| id.to_string()));
            problem::answer(&found, request)
        }
        Refusal::SignIn => session_over(request, led(&sign_in_path(request))),
        Refusal::SecondFactor => led("/home/security"),
    }
}

/// Tells whoever brings a session that does not work any more that it is over.
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

/// Where to sign in, and to come back to this page from.
fn sign_in_path(request: &HttpRequest) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    match request.method().is_safe() && target.len() <= RETURN_BYTES_MAX {
        true => format!("/sign-in?return_to={}", utf8_percent_encode(target, NON_ALPHANUMERIC)),
        false => "/sign-in".to_owned(),
    }
}

/// The page as its reader's browser likes it best.
pub(super) async fn compressed(request: &HttpRequest, response: HttpResponse) -> HttpResponse {
    let is_page = response.extensions().get::<Problem>().is_none()
        && response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return response;
    }
    encoded(request, response).await.unwrap_or_else(|problem| problem.respond(request))
}

async fn encoded(request: &HttpRequest, response: HttpResponse) -> Result<HttpResponse, Problem> {
    let (head, body) = response.into_parts();
    let bytes = body.try_into_bytes().map_err(|_| Problem::internal("a page is no document"))?;
    let (bytes, coding) = coding::encoded(bytes, Coding::accepted(request)).await?;
    let mut response = head.set_body(BoxBody::new(bytes));
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    response.headers_mut().insert(header::VARY, VARY);
    Ok(response)
}

/// The reader's language, of a request whose visitor is not known.
pub(super) fn language(request: &HttpRequest) -> Language {
    Language::wanted(request.headers())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Seek},
        sync::Arc,
    };

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_cause_of_a_page_that_cannot_be_shown_is_logged() {
        let mut file: File = tempfile::tempfile().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(Arc::new(file.try_clone().unwrap())).finish();
        let answer = tracing::subscriber::with_default(subscriber, || {
            let fault = Refusal::Problem(Problem::internal("disk 7 is on fire"));
            answered(&TestRequest::default().to_http_request(), Err(fault))
        });
        assert_eq!(answer.status(), 500);
        let mut logged = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut logged).unwrap();
        assert!(logged.contains("disk 7 is on fire"), "{logged}");
    }
}
