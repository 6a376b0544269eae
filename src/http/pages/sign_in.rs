//! Signing in and out: `/sign-in`, `/sign-in/token`, `/sign-in/out`.

use actix_web::{
    http::{StatusCode, header},
    web,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    flash::Flash,
    form::Form,
    route::{get, post},
    token_visit,
    visit::{Anyone, Known, Shown, Visit},
};
use crate::{
    domain::{id::Who, provider::is_local_path, sign_in::SessionEnd},
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        method,
        routes::{command_problem, sessions},
        signed_in::own_envelope,
        wire,
    },
};

const TEMPLATE: &str = "sign_in/page.html";

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sign-in", "GET, HEAD, POST").route(get(show)).route(post(sign_in)))
        .service(method::resource("/sign-in/token", "POST").route(post(with_token)))
        .service(method::resource("/sign-in/out", "POST").route(post(sign_out)));
}

async fn show(visit: Visit<Anyone>) -> Shown {
    if visit.known().is_some() {
        let place = return_to(&visit, query_of(&visit, "return_to").as_deref());
        return visit.led(&place, None);
    }
    let return_to = query_of(&visit, "return_to");
    visit.page(TEMPLATE, &context(&visit, return_to.as_deref(), &Value::Null, false))
}

/// A parameter of the page's address.
fn query_of(visit: &Visit<Anyone>, name: &str) -> Option<String> {
    let query = visit.request.query_string();
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Where somebody goes who has signed in: a path of this server that they came from, or what they have most to do with.
fn return_to(visit: &Visit<Anyone>, wanted: Option<&str>) -> String {
    let is_staff = matches!(visit.known(), Some(Known::Token(_)));
    let usual = if is_staff { "/admin" } else { "/home" };
    wanted.filter(|path| is_local_path(path) && !path.starts_with("/sign-in")).unwrap_or(usual).to_owned()
}

fn context(visit: &Visit<Anyone>, return_to: Option<&str>, form: &Value, wants_code: bool) -> Value {
    let settings = &visit.service.settings;
    let provider = visit.service.provider.as_ref().map(|_| settings.oidc.label.clone());
    json!({
        "form": form, "return_to": return_to, "wants_code": wants_code,
        "has_passwords": settings.accounts.sign_in, "provider": provider,
    })
}

async fn sign_in(visit: Visit<Anyone>, form: Form) -> Shown {
    sessions::offered(&visit.service)?;
    let given = sessions::given(
        &visit.request,
        form.text("email").unwrap_or_default(),
        Zeroizing::new(form.secret("password").unwrap_or_default().to_owned()),
        form.text("code").map(ToOwned::to_owned),
    );
    match sessions::begun(&visit.request, &visit.service, given).await {
        Ok(response) => {
            let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).cloned().collect();
            let place = return_to(&visit, form.text("return_to"));
            let mut led = visit.led(&place, None)?;
            cookies.into_iter().for_each(|cookie| led.headers_mut().append(header::SET_COOKIE, cookie));
            Ok(led)
        }
        Err(problem) => again(&visit, &form, &problem),
    }
}

/// The form again, with what was wrong.
fn again(visit: &Visit<Anyone>, form: &Form, problem: &Problem) -> Shown {
    let wants_code = problem.code() == ProblemCode::CodeRequired;
    let status = if wants_code { StatusCode::OK } else { problem.code().status() };
    visit.page_as(status, TEMPLATE, &context(visit, form.text("return_to"), &form.again(problem), wants_code))
}

async fn with_token(visit: Visit<Anyone>, form: Form) -> Shown {
    let Some(cookie) =
        token_visit::begin(&visit.service, form.secret("token").map(str::trim).unwrap_or_default()).await?
    else {
        let problem =
            Problem::new(ProblemCode::InvalidToken, "at `token`: this token is unknown or does not work any more");
        let problem = wire::guessed(&visit.request, problem).await;
        return again(&visit, &form, &problem);
    };
    let place = form.text("return_to").filter(|path| is_local_path(path)).unwrap_or("/admin").to_owned();
    let mut led = visit.led(&place, None)?;
    led.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(led)
}

async fn sign_out(visit: Visit<Anyone>, _: Form) -> Shown {
    if let Some(Known::Person(holder)) = visit.known() {
        let envelope = own_envelope(&visit.request, Who::user(holder.user.id)).await?;
        let ended = visit.service.sign_ins.end(holder.user.id, holder.session, SessionEnd::SignedOut, &envelope);
        ended.await.map_err(command_problem)?;
    }
    let mut led = visit.led("/sign-in", Some(&Flash::done("sign-in-signed-out")))?;
    for cookie in [Cookie::SESSION, Cookie::TOKEN] {
        led.headers_mut().append(header::SET_COOKIE, cookie.remove(&visit.service.public_url)?);
    }
    Ok(led)
}
