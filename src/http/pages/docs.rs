//! The documentation: `/docs` is a guide for readers of data (`docs/DATA.md`), with examples of a data set that they may see; below it are
//! the pages of the reference, and the language of definitions.

pub(super) mod document;
mod example;
mod operators;
mod prose;
pub(super) mod reference;
mod subject;
mod text;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use self::subject::Subject;
use super::{
    about::{Readable, paragraphs},
    route::sent,
    visit::{Anyone, KnownVisitor, Shown, Visit},
};
use crate::{http::address, store::records::DataSet};

const TEMPLATE: &str = "docs/page.html";
const DEFINITIONS: &str = "docs/definitions/page.html";

/// `GET /docs`
pub(super) async fn guide(request: HttpRequest) -> HttpResponse {
    sent(&request, page(&request).await).await
}

async fn page(request: &HttpRequest) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let readable = Readable::to(&visit).await?;
    let data_sets = readable.served(&visit.service);
    let wanted = form_urlencoded::parse(request.query_string().as_bytes());
    let wanted = wanted.into_owned().find(|(name, _)| name == "dataset").map(|(_, name)| name);
    // A data set that the reader may not see is treated like a missing one.
    let chosen = data_sets.iter().find(|set| Some(&set.definition.name) == wanted.as_ref()).or(data_sets.first());
    let public_url = &visit.service.public_url;
    let subject = chosen.map_or_else(|| Subject::made_up(public_url), |set| Subject::of(public_url, set));
    let guide = text::guide(&subject, address::prefix(public_url));
    let listed = data_sets.iter().map(|set| json!({ "name": set.definition.name, "title": set.definition.title }));
    let explores =
        matches!(visit.known(), Some(KnownVisitor::Person(_))) && readable.has(&subject.name) && chosen.is_some();
    let context = json!({
        "datasets": listed.collect::<Vec<_>>(),
        "name": subject.name,
        "title": subject.title,
        "is_made_up": chosen.is_none(),
        "explores": explores,
        "access": chosen.map(|set| access(set)),
        "kinds": operators::kinds(&subject),
        "sections": guide,
    });
    visit.page(TEMPLATE, &context)
}

/// `GET /docs/definitions`
pub(super) async fn definitions(request: HttpRequest) -> HttpResponse {
    sent(&request, language(&request).await).await
}

async fn language(request: &HttpRequest) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let public_url = &visit.service.public_url;
    let sections = text::language(&Subject::made_up(public_url), address::prefix(public_url));
    visit.page(DEFINITIONS, &json!({ "sections": sections }))
}

/// How to get access to a data set, by its definition.
fn access(set: &DataSet) -> Value {
    let about = &set.definition.about;
    json!({
        "paragraphs": about.access.as_deref().map(paragraphs).unwrap_or_default(),
        "contact": about.contact,
        "contact_is_page": about.contact.as_deref().is_some_and(|contact| contact.contains("://")),
    })
}
