//! `/admin/data/{name}`: a data set as a whole, and the acts on it.

use std::sync::Arc;

use actix_web::{http::StatusCode, web};
use serde_json::{Value, json};

use crate::{
    dataset::definition::FieldOrigin,
    domain::{bounds::names_dataset, view::PlanRow},
    http::{
        Problem, ProblemCode, method,
        pages::{
            flash::Flash,
            form::Form,
            route::{get, post},
            visit::{Shown, Staff, Visit},
        },
        routes::{
            command::Nothing,
            datasets::{self, RenameBody, present},
        },
        session::OfData,
        store_problem::store_problem,
    },
    store::records::DataSet,
};

/// Imports that are listed.
const LISTED_MAX: usize = 20;
const TEMPLATE: &str = "admin/data_set/page.html";
type DataSetVisit = Visit<Staff<OfData>>;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/data/{name}", "GET, HEAD").route(get(show)))
        .service(method::resource("/admin/data/{name}/withdraw", "POST").route(post(withdraw)))
        .service(method::resource("/admin/data/{name}/restore", "POST").route(post(restore)))
        .service(method::resource("/admin/data/{name}/rename", "POST").route(post(rename)))
        .service(method::resource("/admin/data/{name}/remove", "POST").route(post(remove)));
}

fn found(visit: &DataSetVisit) -> Result<Arc<DataSet>, Problem> {
    let name = visit.part("name");
    let missing = || Problem::new(ProblemCode::NotFound, "there is no such data set: it was renamed or removed");
    visit.service.records.data_set(name).ok_or_else(missing)
}

async fn show(visit: DataSetVisit) -> Shown {
    let name = visit.part("name").to_owned();
    // A former name leads to the present one, unless another data set has it by now.
    if visit.service.records.data_set(&name).is_none() {
        let all = visit.service.records.data_sets();
        let renamed = all.iter().find(|data_set| data_set.standing.former_names.contains(&name));
        if let Some(data_set) = renamed {
            return visit.led(&format!("/admin/data/{}", data_set.definition.name), None);
        }
    }
    let data_set = present(&visit.service, &name, visit.service.records.data_set(&name)).await?;
    page(&visit, &data_set, StatusCode::OK, &Value::Null).await
}

async fn page(visit: &DataSetVisit, data_set: &DataSet, status: StatusCode, form: &Value) -> Shown {
    let definition = &data_set.definition;
    let imports = visit.service.committer.stores.views.imports(Some(&definition.name), LISTED_MAX).await;
    let imports = imports.map_err(store_problem)?;
    let columns = definition.columns.iter().enumerate().map(|(place, column)| {
        let field = definition.source.fields.iter().find(|field| field.target == Some(place));
        let headers = match field.map(|field| &field.origin) {
            Some(FieldOrigin::Header { headers, .. }) => headers.clone(),
            Some(FieldOrigin::Join { .. } | FieldOrigin::Coordinates { .. }) => Vec::new(),
            Some(FieldOrigin::Import) | None => Vec::new(),
        };
        let made = match field.map(|field| &field.origin) {
            Some(FieldOrigin::Header { .. }) => "read",
            Some(FieldOrigin::Join { .. } | FieldOrigin::Coordinates { .. }) => "joined",
            Some(FieldOrigin::Import) | None => "made",
        };
        json!({
            "name": column.name, "kind": column.kind, "description": column.description, "headers": headers, "made": made,
            "is_key": place == definition.key, "is_record_id": place == definition.record_id,
        })
    });
    let columns: Vec<Value> = columns.collect();
    let plans = readers(visit, &definition.name).await?;
    let context = json!({
        "form": form, "imports": imports, "columns": columns,
        "set": {
            "name": definition.name, "title": definition.title, "records": data_set.records, "version": data_set.version,
            "held_from": data_set.held_from, "withdrawn": data_set.standing.withdrawn,
            "versions": data_set.version.saturating_sub(data_set.held_from).saturating_add(1),
            "former_names": data_set.standing.former_names, "indexes": definition.indexes, "guard": definition.guard,
            "fingerprint": definition.fingerprint(), "text": definition.to_toml(),
            "plans": plans, "is_public": definition.about.public,
        },
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The plans whose people may read a data set, with the number of these people.
async fn readers(visit: &DataSetVisit, name: &str) -> Result<Vec<Value>, Problem> {
    let views = &visit.service.committer.stores.views;
    let plans = views.plans().await.map_err(store_problem)?;
    let people = views.people_of_plans().await.map_err(store_problem)?;
    let reading = plans.iter().filter(|plan| names_dataset(plan.rules.datasets.as_deref(), name));
    let shown = |plan: &PlanRow| json!({ "name": plan.name, "people": people.get(&plan.name).copied().unwrap_or(0) });
    Ok(reading.map(shown).collect())
}

async fn withdraw(visit: DataSetVisit, form: Form) -> Shown {
    serve(visit, form, true).await
}

async fn restore(visit: DataSetVisit, form: Form) -> Shown {
    serve(visit, form, false).await
}

async fn serve(visit: DataSetVisit, form: Form, withdrawn: bool) -> Shown {
    let data_set = found(&visit)?;
    let name = data_set.definition.name.clone();
    let (place, id) = (format!("/admin/data/{name}"), web::Path::from(name.clone()));
    let done = if withdrawn { "data-set-withdrawn" } else { "data-set-restored" };
    let flash = Flash::done(done).with("name", name);
    // A data set that is in the wanted state already is only reported.
    if data_set.standing.withdrawn != withdrawn {
        let command = visit.command::<Nothing>(&form, &json!({}))?;
        match withdrawn {
            true => datasets::withdraw(command, id, visit.service.clone()).await?,
            false => datasets::restore(command, id, visit.service.clone()).await?,
        };
    }
    visit.led(&place, Some(&flash))
}

async fn rename(visit: DataSetVisit, form: Form) -> Shown {
    let data_set = found(&visit)?;
    let (name, to) = (data_set.definition.name.clone(), form.text("to").unwrap_or_default().to_owned());
    let renamed = async {
        let command = visit.command::<RenameBody>(&form, &json!({ "to": to }))?;
        datasets::rename(command, web::Path::from(name.clone()), visit.service.clone()).await
    };
    match renamed.await {
        Ok(_) => {
            let flash = Flash::done("data-set-renamed").with("name", name).with("to", to.clone());
            visit.led(&format!("/admin/data/{to}"), Some(&flash))
        }
        Err(problem) if problem.code().status().is_client_error() => {
            let detail = problem.detail().strip_prefix("to: ").unwrap_or(problem.detail()).to_owned();
            let status = problem.code().status();
            let problem = Problem::new(problem.code(), format!("at `to`: {detail}"));
            page(&visit, &data_set, status, &form.again(&problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn remove(visit: DataSetVisit, form: Form) -> Shown {
    let data_set = found(&visit)?;
    let name = data_set.definition.name.clone();
    if form.text("typed") != Some(name.as_str()) {
        let detail = format!("at `typed`: type {name} to remove it");
        let problem = Problem::new(ProblemCode::InvalidBody, detail);
        return page(&visit, &data_set, problem.code().status(), &form.again(&problem)).await;
    }
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    datasets::remove(command, web::Path::from(name.clone()), visit.service.clone()).await?;
    let flash = Flash::done("data-set-removed").with("name", name).with("count", data_set.records);
    visit.led("/admin/data", Some(&flash))
}
