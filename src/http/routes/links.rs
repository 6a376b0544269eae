//! Links of mails: `/links/{token}`. A GET does not spend the link, since mail scanners follow links; a POST uses it.
//!
//! The token is in the path: log lines have the route's pattern instead, no page tells it to another site, and no answer is kept.

pub(in crate::http) mod opened;

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use self::opened::presented;
pub(in crate::http) use self::opened::{FORM, opened, private, used};
use super::{
    answer::{self, Answer},
    command::{BodyFields, said},
    params::Params,
};
use crate::{
    actors::sign_in::Redeemed,
    domain::link::LinkPurpose,
    http::{method, pages::links as as_pages, state::Service, wants::wants_html},
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/links/{token}", "GET, HEAD, POST")
            .route(method::read().to(show))
            .route(web::method(Method::POST).to(redeem)),
    );
}

/// What a link is to do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkBody")]
pub(in crate::http) struct LinkBody {
    /// The new password, where the link sets one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    password: Option<Zeroizing<String>>,
}

impl BodyFields for LinkBody {
    const NAMES: &'static [&'static str] = &["password"];
    const OPTIONAL: bool = true;
}

async fn show(request: HttpRequest, token: web::Path<String>, service: web::Data<Service>) -> Answer {
    if wants_html(request.headers()) {
        return Ok(private(as_pages::show(&request).await));
    }
    Params::read(request.query_string(), &[])?;
    let (_, behind) = opened(&request, &service, &token).await?;
    let does = does(behind.purpose);
    Ok(private(answer::document(
        StatusCode::OK,
        &json!({ "purpose": behind.purpose, "expires_at": behind.expires_at, "post": does }),
    )))
}

/// What a POST to a link takes and does, for programs.
fn does(purpose: LinkPurpose) -> &'static str {
    match purpose {
        LinkPurpose::Invitation | LinkPurpose::PasswordReset => {
            "{\"password\": …} sets the password; the link works once"
        }
        LinkPurpose::ClaimKey => "{} shows the key; the link works once",
    }
}

async fn redeem(
    request: HttpRequest,
    payload: web::Payload,
    token: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let mut payload: Payload = payload.into_inner();
    let is_form = actix_web::HttpMessage::content_type(&request).eq_ignore_ascii_case(FORM);
    if is_form && wants_html(request.headers()) {
        return Ok(private(as_pages::send(&request, payload).await));
    }
    answer::for_browser(redeemed(&request, &mut payload, &token, &service).await, &request)
}

async fn redeemed(request: &HttpRequest, payload: &mut Payload, token: &str, service: &Service) -> Answer {
    let link = presented(token, request).await?;
    let (body, _) = said::<LinkBody>(request, payload).await?;
    match used(request, service, link, body.password.as_ref().map(|text| text.as_str())).await? {
        Redeemed::PasswordSet => Ok(private(answer::document(StatusCode::OK, &json!({ "password": "set" })))),
        Redeemed::Key(key) => {
            Ok(private(answer::document(StatusCode::OK, &json!({ "id": key.id(), "key": key.reveal() }))))
        }
    }
}
