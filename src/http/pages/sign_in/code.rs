//! The code of a second factor, after the password (`/sign-in/code`) or after a provider has vouched.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde_json::{Value, json};

use super::entered::{led_in, place_after, query_of, with_return, worded};
use crate::{
    domain::id::Who,
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        method,
        pages::{
            flash::Flash,
            form::{Form, wrong},
            route::{answered, get, post},
            visit::{Anyone, Shown, Visit},
        },
        routes::{refusal::sign_in_done, sessions},
        signed_in::own_envelope,
    },
};

const TEMPLATE: &str = "sign_in/code/page.html";
/// Characters of a code that are read.
const CODE_CHARS_MAX: usize = 64;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sign-in/code", "GET, HEAD, POST").route(get(show)).route(post(give)));
}

fn proof(visit: &Visit<Anyone>) -> Option<&str> {
    Cookie::PROOF.read(visit.request.headers(), &visit.service.public_url)
}

async fn show(visit: Visit<Anyone>) -> Shown {
    let return_to = query_of(&visit, "return_to");
    if !proof(&visit).is_some_and(|proof| visit.service.sign_ins.is_proof(proof)) {
        return over(&visit, return_to.as_deref());
    }
    visit.page(TEMPLATE, &context("/sign-in/code", return_to.as_deref(), &Value::Null))
}

fn context(action: &str, return_to: Option<&str>, form: &Value) -> Value {
    json!({ "form": form, "action": action, "return_to": return_to, "code_chars_max": CODE_CHARS_MAX })
}

/// Leads back to the password: its proof is too old, or was used.
fn over(visit: &Visit<Anyone>, return_to: Option<&str>) -> Shown {
    let mut led = visit.led(&with_return("/sign-in", return_to), Some(&Flash::not_done("sign-in-code-over")))?;
    led.headers_mut().append(header::SET_COOKIE, Cookie::PROOF.remove(&visit.service.public_url)?);
    Ok(led)
}

async fn give(visit: Visit<Anyone>, form: Form) -> Shown {
    let wanted = form.text("return_to");
    let Some(proof) = proof(&visit) else { return over(&visit, wanted) };
    let code = form.text("code").unwrap_or_default().chars().take(CODE_CHARS_MAX).collect();
    let envelope = own_envelope(&visit.request, Who::system("sign-in")).await?;
    let network = sessions::network_from(&visit.request);
    let given = visit.service.sign_ins.give_code(proof, code, network, &envelope).await;
    match sign_in_done(given, &visit.request).await {
        Ok(Some(started)) => {
            let mut led = led_in(&visit, &started, &place_after(&visit, wanted), None)?;
            led.headers_mut().append(header::SET_COOKIE, Cookie::PROOF.remove(&visit.service.public_url)?);
            Ok(led)
        }
        Ok(None) => over(&visit, wanted),
        Err(problem) => {
            let problem = at_code(&visit, problem);
            let context = context("/sign-in/code", wanted, &form.again(&problem));
            let mut page = visit.page_as(problem.code().status(), TEMPLATE, &context)?;
            problem.headers_into(page.headers_mut());
            Ok(page)
        }
    }
}

/// A mistake in a code, at its field.
fn at_code(visit: &Visit<Anyone>, problem: Problem) -> Problem {
    match problem.code() {
        ProblemCode::InvalidCredentials => {
            let said = visit.say("sign-in-code-wrong", &[]).unwrap_or_default();
            problem.detailed(format!("at `code`: {said}"))
        }
        _ => worded(visit, problem),
    }
}

/// The page that asks for the code of a person for whom a provider has vouched; with the mistake in the last code.
pub(in crate::http) async fn provider_code(request: &HttpRequest, problem: Option<Problem>) -> HttpResponse {
    let shown = async {
        let visit = Visit::<Anyone>::open(request).await?;
        let problem = problem.map(|problem| at_code(&visit, problem));
        let (status, form) = match &problem {
            Some(problem) => (problem.code().status(), wrong(problem)),
            None => (StatusCode::OK, Value::Null),
        };
        let mut page = visit.page_as(status, TEMPLATE, &context("/sign-in/provider/callback", None, &form))?;
        if let Some(problem) = &problem {
            problem.headers_into(page.headers_mut());
        }
        Ok(page)
    };
    answered(request, shown.await)
}
