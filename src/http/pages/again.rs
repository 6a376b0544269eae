//! Shows a form again, with the typed values, when it is refused because its sender signed in or out meanwhile.

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{StatusCode, uri::PathAndQuery},
};
use serde_json::{Value, json};

use super::{
    form::Form,
    visit::{Anyone, PageRefusal, Shown, Visit, Visitor},
};
use crate::http::{ProblemCode, cookie::Cookie, signed_in::is_same_origin, state::Service};

/// The longest form kept for a signed-out visitor, bytes.
const SIGNED_OUT_BYTES_MAX: usize = 64 << 10;

/// Handles a form whose visitor has to sign in: shows it again if a session has ended and the form has no secret.
///
/// # Errors
/// Sign-in required, where the form is not shown again.
pub(super) async fn signed_out<W: Visitor>(request: &HttpRequest, payload: Payload, service: &Service) -> Shown {
    let had_session = Cookie::SESSION.read(request.headers(), &service.public_url).is_some();
    if !had_session || !is_same_origin(request, &service.public_url) {
        return Err(PageRefusal::SignIn);
    }
    let bytes_max = W::FORM_BYTES_MAX.min(SIGNED_OUT_BYTES_MAX);
    let Ok(form) = Form::received(request, payload, bytes_max).await else { return Err(PageRefusal::SignIn) };
    shown(request, &form, true).await?.ok_or(PageRefusal::SignIn)
}

/// Shows a form from the page of another session again for this session. None where another site may have sent the form, or where it has a
/// secret, which no page shows again.
///
/// # Errors
/// Those of a page.
pub(super) async fn over(
    request: &HttpRequest,
    service: &Service,
    form: &Form,
) -> Result<Option<HttpResponse>, PageRefusal> {
    if is_same_origin(request, &service.public_url) { shown(request, form, false).await } else { Ok(None) }
}

async fn shown(request: &HttpRequest, form: &Form, signed_out: bool) -> Result<Option<HttpResponse>, PageRefusal> {
    let Some(fields) = form.open_fields() else { return Ok(None) };
    let fields: Vec<Value> = fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let status = if signed_out { StatusCode::UNAUTHORIZED } else { ProblemCode::FormOver.status() };
    let context = json!({ "signed_out": signed_out, "fields": fields, "target": request.uri().path_and_query().map(PathAndQuery::as_str) });
    Visit::<Anyone>::open(request).await?.page_as(status, "again/page.html", &context).map(Some)
}
