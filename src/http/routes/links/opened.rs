//! A link of a mail: what is behind it, and doing what it is for.

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

/// An answer at an address that is a secret.
pub(in crate::http) fn private(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    response
}
