//! Signing in and out: `/sign-in` and below. The password and the code of a second factor are asked for one after the other; between them
//! the browser keeps a sealed proof of the password, and no page holds the password.

pub(in crate::http) mod code;
pub(super) mod entered;
mod forgotten;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(super) use self::entered::{entered, provider_label, worded};
use self::entered::{place_after, query_of};
use super::{
    flash::Flash,
    form::Form,
    route::{answered, get, post},
    token_visit,
    visit::{Anyone, KnownVisitor, Shown, Visit},
};
use crate::{
    domain::{id::Who, provider::is_local_path, sign_in::SessionEnd},
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        method,
        routes::{refusal::command_problem, sessions},
        signed_in::own_envelope,
        wire,
    },
};

const TEMPLATE: &str = "sign_in/page.html";

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sign-in", "GET, HEAD, POST").route(get(show)).route(post(sign_in)))
        .service(method::resource("/sign-in/token", "POST").route(post(with_token)))
        .service(method::resource("/sign-in/out", "POST").route(post(sign_out)))
        .configure(code::configure)
        .configure(forgotten::configure);
}

async fn show(visit: Visit<Anyone>) -> Shown {
    let return_to = query_of(&visit, "return_to");
    let is_wanted = match visit.known() {
        // A token stands for no person: a person's own pages lead its holder here, and would again.
        Some(KnownVisitor::Token(_)) => return_to.as_deref().is_some_and(is_of_oneself),
        Some(KnownVisitor::Person(_)) => false,
        None => true,
    };
    if !is_wanted {
        return visit.led(&place_after(&visit, return_to.as_deref()), None);
    }
    visit.page(TEMPLATE, &context(&visit, return_to.as_deref(), &Value::Null))
}

/// Whether a page is a person's own.
fn is_of_oneself(path: &str) -> bool {
    path.strip_prefix("/home").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

fn context(visit: &Visit<Anyone>, return_to: Option<&str>, form: &Value) -> Value {
    let settings = &visit.service.settings;
    json!({
        "form": form, "return_to": return_to,
        "has_passwords": settings.accounts.sign_in, "provider": provider_label(&visit.service),
    })
}

async fn sign_in(visit: Visit<Anyone>, form: Form) -> Shown {
    sessions::offered(&visit.service)?;
    let (email, password) = (form.text("email").unwrap_or_default(), form.secret("password").unwrap_or_default());
    let password = Zeroizing::new(password.to_owned());
    let given = sessions::given(&visit.request, email, password, None);
    match entered(&visit, given, form.text("return_to"), [None, None]).await {
        Ok(response) => Ok(response),
        Err(problem) => again(&visit, &form, &worded(&visit, problem)),
    }
}

/// The form again, with the mistake.
fn again(visit: &Visit<Anyone>, form: &Form, problem: &Problem) -> Shown {
    let context = context(visit, form.text("return_to"), &form.again(problem));
    let mut page = visit.page_as(problem.code().status(), TEMPLATE, &context)?;
    problem.headers_into(page.headers_mut());
    Ok(page)
}

/// The sign-in page with the reason why a person whom a provider sent back is not let in.
pub(in crate::http) async fn not_let_in(request: &HttpRequest, problem: Problem) -> HttpResponse {
    let shown = async {
        let visit = Visit::<Anyone>::open(request).await?;
        let problem = worded(&visit, problem);
        let mut page =
            visit.page_as(problem.code().status(), TEMPLATE, &context(&visit, None, &super::form::wrong(&problem)))?;
        problem.headers_into(page.headers_mut());
        Ok(page)
    };
    answered(request, shown.await)
}

async fn with_token(visit: Visit<Anyone>, form: Form) -> Shown {
    let Some(cookie) =
        token_visit::begin(&visit.service, form.secret("token").map(str::trim).unwrap_or_default()).await?
    else {
        let problem =
            Problem::new(ProblemCode::InvalidToken, "at `token`: this token is unknown or does not work any more");
        let said = visit.say("sign-in-token-wrong", &[]).map(|said| format!("at `token`: {said}"));
        let problem = said.map_or(problem.clone(), |said| problem.detailed(said));
        let problem = wire::guessed(&visit.request, problem).await;
        return again(&visit, &form, &problem);
    };
    let wanted = form.text("return_to").filter(|path| is_local_path(path) && !is_of_oneself(path));
    let mut led = visit.led(wanted.unwrap_or("/admin"), None)?;
    led.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(led)
}

async fn sign_out(visit: Visit<Anyone>, _: Form) -> Shown {
    if let Some(KnownVisitor::Person(holder)) = visit.known() {
        let envelope = own_envelope(&visit.request, Who::user(holder.user.id)).await?;
        let ended = visit.service.sign_ins.end(holder.user.id, holder.session, SessionEnd::SignedOut, &envelope);
        ended.await.map_err(command_problem)?;
    }
    let mut led = visit.led("/sign-in", Some(&Flash::done("sign-in-signed-out")))?;
    // Secrets that were shown last, such as recovery codes, must not reach the browser's next user.
    for cookie in [Cookie::SESSION, Cookie::TOKEN, Cookie::HANDED, Cookie::PROOF] {
        led.headers_mut().append(header::SET_COOKIE, cookie.remove(&visit.service.public_url)?);
    }
    Ok(led)
}
