//! Imports: `/imports`, `/imports/{id}` and the paths below it.

mod found;
mod rejects;
pub(in crate::http) mod upload;
mod watch;

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode, header},
    web,
};

use self::found::{accepted, import_id, status};
use super::{
    answer::{self, Answer},
    command::{CommandRequest, Nothing},
    params::Params,
    refusal::import_problem,
};
use crate::http::{
    method,
    session::{Admin, OfData},
    state::Service,
    store_problem::store_problem,
};
pub(in crate::http) use rejects::show as rejected_rows;
pub(in crate::http) use upload::{MODES, ON_ABSENT};

/// Adds the routes. All of them are the administrator's.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/imports", "GET, HEAD, POST")
            .route(method::read().to(list))
            .route(web::method(Method::POST).to(upload::send)),
    )
    .service(method::readable("/imports/{id}", show))
    .service(method::readable("/imports/{id}/rejects", rejects::show))
    .service(method::resource("/imports/{id}/approve", "POST").route(web::method(Method::POST).to(approve)))
    .service(method::resource("/imports/{id}/discard", "POST").route(web::method(Method::POST).to(discard)))
    .service(method::resource("/imports/{id}/cancel", "POST").route(web::method(Method::POST).to(cancel)));
}

async fn list(_: Admin<OfData>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["dataset", "limit"])?;
    let imports = service.committer.stores.views.imports(params.text("dataset"), params.limit()?).await;
    Ok(answer::list(&imports.map_err(store_problem)?))
}

pub(in crate::http) async fn show(
    _: Admin<OfData>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    Params::read(request.query_string(), &[])?;
    let status = status(&service, import_id(&id)?).await?;
    match wants_events(&request) {
        true => watch::stream(service, status),
        false => Ok(answer::document(StatusCode::OK, &status)),
    }
}

fn wants_events(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|part| part.split(';').next().is_some_and(|media| media.trim() == watch::MEDIA_TYPE))
}

pub(in crate::http) async fn approve(
    command: CommandRequest<Nothing, OfData>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let import = import_id(&id)?;
    service.imports.approve(import, command.envelope).await.map_err(import_problem)?;
    Ok(accepted(&service, &status(&service, import).await?))
}

pub(in crate::http) async fn discard(
    command: CommandRequest<Nothing, OfData>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let import = import_id(&id)?;
    service.imports.discard(import, &command.envelope).await.map_err(import_problem)?;
    Ok(answer::document(StatusCode::OK, &status(&service, import).await?))
}

pub(in crate::http) async fn cancel(
    command: CommandRequest<Nothing, OfData>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let import = import_id(&id)?;
    service.imports.cancel(import, command.envelope.origin).await.map_err(import_problem)?;
    Ok(accepted(&service, &status(&service, import).await?))
}
