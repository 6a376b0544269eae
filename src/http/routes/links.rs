//! Links of mails: `/links/{token}`. Looking at one spends nothing, since scanners of mail follow links; posting does what it is for.
//!
//! The token stands in the path: the log has the route's pattern in its place, no page tells it to another site, and no answer is kept.

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{self, Answer},
    command::{Fields, said},
    params::Params,
    refusal::sign_in_done,
};
use crate::{
    actors::sign_in::{Behind, Redeemed, SignInError},
    domain::{
        id::{UserId, Who},
        link::{LinkPurpose, PresentedLink},
        sign_in::SignInRefusal,
    },
    http::{Problem, method, pages, signed_in::own_envelope, state::Service, wants::wants_html},
};

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

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

impl Fields for LinkBody {
    const NAMES: &'static [&'static str] = &["password"];
    const OPTIONAL: bool = true;
}

async fn presented(token: &str, request: &HttpRequest) -> Result<PresentedLink, Problem> {
    let link = PresentedLink::parse(token).ok_or_else(|| SignInError::from(SignInRefusal::LinkOver));
    sign_in_done(link, request).await
}

async fn show(request: HttpRequest, token: web::Path<String>, service: web::Data<Service>) -> Answer {
    if wants_html(request.headers()) {
        return Ok(private(pages::links::show(&request).await));
    }
    Params::read(request.query_string(), &[])?;
    let (_, behind) = opened(&request, &service, &token).await?;
    let does = does(behind.purpose);
    Ok(private(answer::document(
        StatusCode::OK,
        &json!({ "purpose": behind.purpose, "expires_at": behind.expires_at, "post": does }),
    )))
}

/// A link that works, and what is behind it. Spends nothing.
///
/// # Errors
/// 410 of one that does not.
pub(in crate::http) async fn opened(
    request: &HttpRequest,
    service: &Service,
    token: &str,
) -> Result<(PresentedLink, Behind), Problem> {
    let link = presented(token, request).await?;
    let behind = sign_in_done(service.sign_ins.behind(&link).await, request).await?;
    Ok((link, behind))
}

/// Whose a link is, as its text says it: nothing is looked up.
pub(in crate::http) fn owner(token: &str) -> Option<UserId> {
    PresentedLink::parse(token).map(|link| link.place.user)
}

/// Does what a link is for, once.
///
/// # Errors
/// 410 of one that does not work; 400 of a text that can be no password.
pub(in crate::http) async fn used(
    request: &HttpRequest,
    service: &Service,
    link: PresentedLink,
    password: Option<&str>,
) -> Result<Redeemed, Problem> {
    let envelope = own_envelope(request, Who::system("link")).await?;
    sign_in_done(service.sign_ins.redeem(link, password, &envelope).await, request).await
}

/// What posting to a link takes, for programs.
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
        return Ok(private(pages::links::send(&request, payload).await));
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

/// An answer at an address that is a secret.
pub(in crate::http) fn private(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    response
}
