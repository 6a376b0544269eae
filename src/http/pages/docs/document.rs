//! The documents of the interface: `/openapi.json` for consumers, with the data sets that they may see, and `/openapi-admin.json`. The data
//! routes answer requests that bring a key.

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

use crate::http::{
    Problem, ProblemCode,
    credentials::{self, InHeaders},
    openapi::{self, audience::Audience},
    pages::{
        about::Readable,
        visit::{Anyone, PageRefusal, Visit},
    },
    session::{Admin, OfData},
    signed_in::SessionHolder,
    state::Service,
};

/// `GET /openapi.json`
pub(in crate::http::pages) async fn for_consumers(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let readable = readable(&request).await?;
    openapi::shown_to(&request, Audience::Consumers, |set| readable.shows(set)).await
}

/// `GET /openapi-admin.json`
pub(in crate::http::pages) async fn for_administrators(request: HttpRequest) -> Result<HttpResponse, Problem> {
    openapi::shown_to(&request, Audience::Administrators, |_| false).await
}

/// The data sets that the client may see: by an administrator's token, a session's token, or the browser's cookies.
async fn readable(request: &HttpRequest) -> Result<Readable, Problem> {
    let service = request.app_data::<web::Data<Service>>();
    match (credentials::in_header(request.headers()), service) {
        (Ok(InHeaders::Token(_)), _) => {
            return match Admin::<OfData>::extract(request).await {
                Ok(_) => Ok(Readable::All),
                Err(problem) if problem.code() == ProblemCode::MissingPermission => Ok(Readable::None),
                Err(problem) => Err(problem),
            };
        }
        (Ok(InHeaders::Credential(_)), Some(service)) => {
            let SessionHolder(holder) = SessionHolder::extract(request).await?;
            return Readable::to_person(service, &holder.user).await;
        }
        _ => {}
    }
    match Visit::<Anyone>::open(request).await {
        Ok(visit) => Readable::to(&visit).await,
        Err(PageRefusal::Problem(problem)) => Err(problem),
        Err(_) => Ok(Readable::None),
    }
}
