//! Opens and uses the link of a mail.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
};

use crate::{
    actors::sign_in::{Behind, Redeemed, SignInError},
    domain::{
        id::{UserId, Who},
        link::PresentedLink,
        sign_in::SignInRefusal,
    },
    http::{Problem, routes::refusal::sign_in_done, signed_in::own_envelope, state::Service},
};

pub(super) const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

pub(super) const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

pub(in crate::http) const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn presented(token: &str, request: &HttpRequest) -> Result<PresentedLink, Problem> {
    let link = PresentedLink::parse(token).ok_or_else(|| SignInError::from(SignInRefusal::LinkOver));
    sign_in_done(link, request).await
}

/// A working link, and its purpose. Does not spend the link.
///
/// # Errors
/// 410 for a link that does not work.
pub(in crate::http) async fn opened(
    request: &HttpRequest,
    service: &Service,
    token: &str,
) -> Result<(PresentedLink, Behind), Problem> {
    let link = presented(token, request).await?;
    let behind = sign_in_done(service.sign_ins.behind(&link).await, request).await?;
    Ok((link, behind))
}

/// The owner of a link according to its text, without a look-up.
pub(in crate::http) fn owner(token: &str) -> Option<UserId> {
    PresentedLink::parse(token).map(|link| link.place.user)
}

/// Uses a link, once.
///
/// # Errors
/// 410 for a link that does not work; 400 for a text that cannot be a password.
pub(in crate::http) async fn used(
    request: &HttpRequest,
    service: &Service,
    link: PresentedLink,
    password: Option<&str>,
) -> Result<Redeemed, Problem> {
    let envelope = own_envelope(request, Who::system("link")).await?;
    sign_in_done(service.sign_ins.redeem(link, password, &envelope).await, request).await
}

/// Marks an answer whose address is a secret: no referrer, no index.
pub(in crate::http) fn private(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    response
}
