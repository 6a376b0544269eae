//! `/admin/data`: the data sets.

use actix_web::web;
use serde_json::{Value, json};

use crate::{
    http::{
        Problem, method,
        pages::{
            route::get,
            visit::{Shown, Staff, Visit},
        },
        session::OfData,
        store_problem::store_problem,
    },
    store::records::DataSet,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/data", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<Staff<OfData>>) -> Shown {
    let mut listed: Vec<Value> = Vec::new();
    for data_set in visit.service.lineages.not_lost() {
        listed.push(summed_up(&visit, &data_set).await?);
    }
    visit.page("admin/data/page.html", &json!({ "data_sets": listed, "lost": visit.service.lineages.lost() }))
}

async fn summed_up(visit: &Visit<Staff<OfData>>, data_set: &DataSet) -> Result<Value, Problem> {
    let (definition, last) = (&data_set.definition, data_set.last_import.id);
    let last = visit.service.committer.stores.views.import(last).await.map_err(store_problem)?;
    Ok(json!({
        "name": definition.name, "title": definition.title, "records": data_set.records, "version": data_set.version,
        "withdrawn": data_set.standing.withdrawn, "last": last.map(|last| json!({ "id": last.id, "at": last.ended_at, "file_name": last.file_name })),
        "last_day": data_set.last_import.day,
    }))
}
