//! The reference: `/docs/reference` lists the operations of consumers, `/docs/admin` those of the administration, and each operation has a
//! page below. They show the documents `/openapi.json` and `/openapi-admin.json`.

mod described;
mod line;
mod sample;
mod schemas;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::prose::Home;
use crate::http::{
    Problem, ProblemCode, address,
    openapi::{self, audience::Audience},
    pages::{
        about::Readable,
        route::sent,
        visit::{Anyone, Shown, Visit, put},
    },
};

const LIST: &str = "docs/reference/page.html";
const OPERATION: &str = "docs/reference/operation/page.html";

/// `GET /docs/reference`
pub(in crate::http::pages) async fn for_consumers(request: HttpRequest) -> HttpResponse {
    sent(&request, list(&request, Audience::Consumers).await).await
}

/// `GET /docs/admin`
pub(in crate::http::pages) async fn for_administrators(request: HttpRequest) -> HttpResponse {
    sent(&request, list(&request, Audience::Administrators).await).await
}

/// `GET /docs/reference/{operation}`
pub(in crate::http::pages) async fn of_consumers(request: HttpRequest) -> HttpResponse {
    sent(&request, operation(&request, Audience::Consumers).await).await
}

/// `GET /docs/admin/{operation}`
pub(in crate::http::pages) async fn of_administrators(request: HttpRequest) -> HttpResponse {
    sent(&request, operation(&request, Audience::Administrators).await).await
}

/// The context that the pages of a document share.
fn common(audience: Audience) -> Value {
    let path = match audience {
        Audience::Consumers => "/docs/reference",
        Audience::Administrators => "/docs/admin",
    };
    json!({ "is_admin": audience == Audience::Administrators, "document": audience.path(), "list": path })
}

fn home(visit: &Visit) -> Home<'_> {
    let public_url = &visit.service.public_url;
    Home { public_url, prefix: address::prefix(public_url) }
}

async fn list(request: &HttpRequest, audience: Audience) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let readable = Readable::to(&visit).await?;
    let home = home(&visit);
    let mut headings = json!(openapi::headings(request, audience, |set| readable.shows(set))?.as_ref());
    for heading in headings.as_array_mut().into_iter().flatten() {
        let description = heading.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = home.html(description);
        put(heading, "description", description);
    }
    let mut context = common(audience);
    put(&mut context, "description", home.html(audience.description()));
    put(&mut context, "headings", headings);
    visit.page(LIST, &context)
}

async fn operation(request: &HttpRequest, audience: Audience) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let readable = Readable::to(&visit).await?;
    let headings = openapi::headings(request, audience, |set| readable.shows(set))?;
    let id = visit.part("operation");
    let found =
        headings.iter().find_map(|heading| Some((heading, heading.operations.iter().find(|one| one.id == id)?)));
    let missing = || Problem::new(ProblemCode::NotFound, "the reference has no operation of this name");
    let (heading, listed) = found.ok_or_else(missing)?;
    let document = openapi::under_heading(request, audience, &heading.name)?;
    let mut context = common(audience);
    put(&mut context, "heading", json!(heading));
    put(&mut context, "operation", described::described(&document, listed, home(&visit)).ok_or_else(missing)?);
    visit.page(OPERATION, &context)
}
