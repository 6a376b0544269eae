//! Data sets as a whole: `/datasets`, `/datasets/{name}` and the commands on them.

pub(super) mod described;

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::described::described;
pub(super) use self::described::shown;
use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing},
    params::{self, Params},
    refusal::{command_problem, import_problem},
};
use crate::{
    actors::import::ImportError,
    dataset::Definition,
    domain::{id::StreamId, past::PastDataSet},
    http::{
        Problem, ProblemCode, method,
        served::{no_data_set, sound},
        session::{Admin, OfData},
        state::Service,
    },
    store::records::{DataSet, RecordStoreError},
};

/// Adds the routes, all of them the administrator's. Sessions and keys get their list from the routes of data.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/datasets", list))
        .service(
            method::resource("/datasets/{name}", "GET, HEAD, DELETE")
                .route(method::read().to(show))
                .route(web::method(Method::DELETE).to(remove)),
        )
        .service(method::resource("/datasets/{name}/withdraw", "POST").route(web::method(Method::POST).to(withdraw)))
        .service(method::resource("/datasets/{name}/restore", "POST").route(web::method(Method::POST).to(restore)))
        .service(method::resource("/datasets/{name}/rename", "POST").route(web::method(Method::POST).to(rename)));
}

async fn list(_: Admin<OfData>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    list_all(&request, &service)
}

/// All data sets, also withdrawn ones, but those that are known to have lost their records.
pub(super) fn list_all(request: &HttpRequest, service: &Service) -> Answer {
    Params::read(request.query_string(), &[])?;
    let listed: Vec<Value> = service.lineages.not_lost().iter().map(|data_set| shown(data_set)).collect();
    Ok(answer::list(&listed))
}

pub(in crate::http) async fn show(
    _: Admin<OfData>,
    request: HttpRequest,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    show_one(&request, &name, &service).await
}

/// One data set in full, also if it is withdrawn.
pub(super) async fn show_one(request: &HttpRequest, name: &str, service: &Service) -> Answer {
    let params = Params::read(request.query_string(), &["as_of"])?;
    if let Some(text) = params.text("as_of") {
        return past(name, text, service).await;
    }
    let data_set = present(service, name, service.records.data_set(name)).await?;
    Ok(answer::document(StatusCode::OK, &described(service, &data_set).await?))
}

/// A data set as its stream tells of it.
async fn past(name: &str, text: &str, service: &Service) -> Answer {
    let as_of = PastDataSet::point(text).map_err(|error| params::refuse("as_of", error.to_string(), None))?;
    let past = service.committer.load_as_of(&StreamId::DataSet(name.to_owned()), as_of).await;
    let past = past.map_err(command_problem)?;
    let name: String = name.chars().take(80).collect();
    let no_data_set = || Problem::new(ProblemCode::NotFound, format!("there was no data set {name:?} as of {text}"));
    let past = PastDataSet::of(&past.state).ok_or_else(no_data_set)?;
    Ok(answer::versioned(StatusCode::OK, past.version, &past))
}

pub(in crate::http) async fn withdraw(
    command: CommandRequest<Nothing, OfData>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    serve(command, &name, &service, true).await
}

pub(in crate::http) async fn restore(
    command: CommandRequest<Nothing, OfData>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    serve(command, &name, &service, false).await
}

/// Checks that there is such a data set, and that its records are those that the log knows; `data_set` is what the store has under
/// the name.
pub(in crate::http) async fn present(
    service: &Service,
    name: &str,
    data_set: Option<Arc<DataSet>>,
) -> Result<Arc<DataSet>, Problem> {
    if data_set.is_none() && !service.lineages.may_be_lost(name) {
        return Err(no_data_set(name));
    }
    sound(service, name, data_set).await
}

async fn serve(command: CommandRequest<Nothing, OfData>, name: &str, service: &Service, withdrawn: bool) -> Answer {
    service.imports.withdraw(name, withdrawn, &command.envelope).await.map_err(import_problem)?;
    let data_set = service.records.data_set(name).ok_or_else(|| no_data_set(name))?;
    Ok(answer::document(StatusCode::OK, &described(service, &data_set).await?))
}

pub(in crate::http) async fn remove(
    command: CommandRequest<Nothing, OfData>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let version = service.imports.remove(&name, &command.envelope).await.map_err(import_problem)?;
    Ok(answer::document(StatusCode::OK, &json!({ "name": *name, "removed": true, "version": version })))
}

/// A data set's new name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewName")]
pub(in crate::http) struct RenameBody {
    /// Lower-case letters, digits and `_`, a letter first.
    to: String,
}

impl BodyFields for RenameBody {
    const NAMES: &'static [&'static str] = &["to"];
}

pub(in crate::http) async fn rename(
    command: CommandRequest<RenameBody, OfData>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let to = command.body.to;
    Definition::check_name(&to)
        .map_err(|reason| Problem::new(ProblemCode::InvalidBody, format!("to: {to:?} {reason}")))?;
    if *name == to {
        return Err(Problem::new(ProblemCode::Conflict, format!("{to} has that name already")));
    }
    match service.imports.rename(&name, &to, command.envelope.origin).await {
        Ok(_) => {}
        // An earlier request has renamed it already: the data set `to` had the name `name` before.
        Err(ImportError::Records(RecordStoreError::UnknownDataSet { .. })) if had_name(&service, &to, &name) => {}
        Err(error) => return Err(import_problem(error)),
    }
    let data_set = service.records.data_set(&to).ok_or_else(|| no_data_set(&to))?;
    Ok(answer::document(StatusCode::OK, &described(&service, &data_set).await?))
}

/// Whether the data set had this name before.
fn had_name(service: &Service, data_set: &str, name: &str) -> bool {
    let known = service.records.data_set(data_set);
    known.is_some_and(|known| known.standing.former_names.last().is_some_and(|former| former == name))
}
