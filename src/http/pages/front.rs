//! `GET /`: the published data sets, as far as the visitor may see them.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};

use super::{
    about::Readable,
    route,
    visit::{Anyone, Shown, Visit},
};
use crate::{
    http::{state::Service, wants::wants_html},
    store::records::DataSet,
};

/// A page for browsers, JSON for programs.
pub(super) async fn show(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if wants_html(request.headers()) {
        return route::sent(&request, page(&request).await).await;
    }
    let data_sets: Vec<Value> = Readable::None.served(&service).iter().map(|set| listed(set)).collect();
    HttpResponse::Ok().insert_header((header::VARY, "Accept")).json(json!({
        "name": service.settings.mail.brand,
        "version": env!("CARGO_PKG_VERSION"),
        "datasets": data_sets,
        "admin": "/admin",
        "problems": "/problems",
        "openapi": "/openapi.json",
        "openapi_admin": "/openapi-admin.json",
        "docs": "/docs",
        "reference": "/docs/reference",
        "reference_admin": "/docs/admin",
    }))
}

fn listed(set: &DataSet) -> Value {
    let (name, title) = (&set.definition.name, &set.definition.title);
    json!({ "name": name, "title": title, "path": format!("/{name}"), "records": set.records })
}

async fn page(request: &HttpRequest) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let readable = Readable::to(&visit).await?;
    let data_sets: Vec<Value> = readable.served(&visit.service).iter().map(|set| listed(set)).collect();
    visit.page("front/page.html", &json!({ "datasets": data_sets }))
}
