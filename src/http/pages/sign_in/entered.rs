//! Signs people in, and leads them on.

use actix_web::{HttpResponse, http::header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    actors::sign_in::{Credentials, PROOF_LIFE, SignInStep, Started},
    domain::{id::Who, provider::is_local_path},
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        pages::{
            flash::Flash,
            visit::{Anyone, KnownVisitor, Visit, Visitor},
        },
        routes::{refusal::sign_in_done, sessions},
        signed_in::own_envelope,
        state::Service,
    },
};

/// Seconds for which a browser keeps the proof of a password.
pub(super) const PROOF_AGE_S: i64 = PROOF_LIFE.as_secs();

/// A parameter of the page's address.
pub(super) fn query_of(visit: &Visit<Anyone>, name: &str) -> Option<String> {
    let query = visit.request.query_string();
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Where a person goes after signing in: back to a path of this server, otherwise to `/home`, or with a token to `/admin`.
pub(super) fn place_after(visit: &Visit<Anyone>, wanted: Option<&str>) -> String {
    let usual = if matches!(visit.known(), Some(KnownVisitor::Token(_))) { "/admin" } else { "/home" };
    wanted.filter(|path| is_local_path(path) && !path.starts_with("/sign-in")).unwrap_or(usual).to_owned()
}

/// The name of the identity provider, if there is one.
pub(in crate::http::pages) fn provider_label(service: &Service) -> Option<String> {
    service.provider.as_ref().map(|_| service.settings.oidc.label.clone())
}

/// Signs a person in and leads them on, or to the page that asks for the code of their second factor. The first flash is shown when they
/// are in, the second while they owe the code.
///
/// # Errors
/// Why they are not signed in.
pub(in crate::http::pages) async fn entered(
    visit: &Visit<Anyone>,
    given: Credentials,
    wanted: Option<&str>,
    [inside, halfway]: [Option<&Flash>; 2],
) -> Result<HttpResponse, Problem> {
    let envelope = own_envelope(&visit.request, Who::system("sign-in")).await?;
    let step = visit.service.sign_ins.start_by_steps(given, &envelope).await;
    match sign_in_done(step, &visit.request).await? {
        SignInStep::In(started) => led_in(visit, &started, &place_after(visit, wanted), inside),
        SignInStep::CodeWanted(proof) => {
            let mut led = visit.led_on(&with_return("/sign-in/code", wanted), halfway)?;
            let cookie = Cookie::PROOF.set(&proof, PROOF_AGE_S, &visit.service.public_url)?;
            led.headers_mut().append(header::SET_COOKIE, cookie);
            Ok(led)
        }
    }
}

/// A path of this server, with the path to return to as a parameter.
pub(super) fn with_return(path: &str, return_to: Option<&str>) -> String {
    match return_to.filter(|path| is_local_path(path)) {
        Some(return_to) => format!("{path}?return_to={}", utf8_percent_encode(return_to, NON_ALPHANUMERIC)),
        None => path.to_owned(),
    }
}

/// Leads on a person whose session began.
pub(super) fn led_in(
    visit: &Visit<Anyone>,
    started: &Started,
    path: &str,
    flash: Option<&Flash>,
) -> Result<HttpResponse, Problem> {
    let mut led = visit.led_on(path, flash)?;
    let cookie = sessions::session_cookie(&visit.service, started)?;
    led.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(led)
}

/// Why a person is not signed in, in the reader's language.
pub(in crate::http::pages) fn worded<W: Visitor>(visit: &Visit<W>, problem: Problem) -> Problem {
    let seconds = || problem.retry_after_s().unwrap_or(1);
    let said = match problem.code() {
        ProblemCode::InvalidCredentials => visit.say("sign-in-wrong", &[]),
        ProblemCode::TooManyAttempts | ProblemCode::TooManyFromAddress => {
            visit.say("sign-in-wait", &[("wait", visit.duration(seconds()))])
        }
        ProblemCode::NotAdmitted => visit.say("sign-in-not-admitted", &[]),
        ProblemCode::SignInAgain => visit.say("sign-in-again", &[]),
        ProblemCode::Unavailable => visit.say("sign-in-unavailable", &[]),
        _ => None,
    };
    match said {
        Some(said) => problem.detailed(said),
        None => problem,
    }
}
