//! Imports and data sets: `/imports`, `/imports/{id}`, `/datasets`.

use actix_web::{HttpRequest, http::StatusCode, web};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    answer::{self, Answer},
    params::Params,
    store_problem,
};
use crate::{
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfData},
        state::Service,
    },
    store::records::DataSet,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/imports", list))
        .service(method::readable("/imports/{id}", show))
        .service(method::readable("/datasets", data_sets));
}

async fn list(_: Admin<OfData>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["dataset", "limit"])?;
    let imports = service.committer.stores.views.imports(params.text("dataset"), params.limit()?).await;
    Ok(answer::list(&imports.map_err(store_problem)?))
}

async fn show(_: Admin<OfData>, request: HttpRequest, id: web::Path<String>, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    let missing = || Problem::new(ProblemCode::NotFound, "there is no such import");
    let id = Uuid::parse_str(&id).map_err(|_| missing())?;
    let import = service.committer.stores.views.import(id).await.map_err(store_problem)?.ok_or_else(missing)?;
    Ok(answer::document(StatusCode::OK, &import))
}

async fn data_sets(_: Admin<OfData>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    let shown: Vec<Value> = service.records.data_sets().iter().map(|data_set| shown(data_set)).collect();
    Ok(answer::list(&shown))
}

fn shown(data_set: &DataSet) -> Value {
    let definition = &data_set.definition;
    let columns: Vec<Value> = definition
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.kind, "description": column.description }))
        .collect();
    json!({
        "name": definition.name,
        "title": definition.title,
        "path": format!("/{}", definition.name),
        "version": data_set.version,
        "records": data_set.records,
        "columns": columns,
    })
}
