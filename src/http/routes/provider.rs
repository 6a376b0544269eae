//! Signing in at a provider of identities: `/sign-in/provider`, and the address to which the provider sends browsers back.
//!
//! The provider's answer is in the query: log lines have the route's pattern alone, and no page tells the address to another site.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer::{self, Answer},
    command::{BodyFields, said},
    links::opened::{FORM, private},
    params::Params,
    refusal::sign_in_problem,
    sessions::{network_from, started_body},
};
use crate::{
    actors::provider::{BroughtBack, Entered, ProviderSignInError, ProviderSignIns},
    domain::{
        id::Who,
        provider::{VISIT_LIFE, is_local_path},
        sign_in::SignInRefusal,
    },
    http::{
        InvalidParam, Problem, ProblemCode, address,
        cookie::Cookie,
        method,
        pages::{
            form::Form,
            sign_in::{code::provider_code, not_let_in},
        },
        signed_in::{is_cross_origin, own_envelope},
        state::Service,
        store_problem::RETRY_AFTER_S,
        wants::wants_html,
        wire,
    },
    identity::ProviderAnswer,
};

/// Most characters that are read of a code of the second factor.
const CODE_CHARS_MAX: usize = 64;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sign-in/provider", "GET").route(web::method(Method::GET).to(begin))).service(
        method::resource("/sign-in/provider/callback", "GET, POST")
            .route(web::method(Method::GET).to(finish))
            .route(web::method(Method::POST).to(give_code)),
    );
}

/// What is wanted beside the provider's word.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecondFactorBody")]
pub(in crate::http) struct SecondFactorBody {
    /// A code of the second factor, or a recovery code.
    code: String,
}

impl BodyFields for SecondFactorBody {
    const NAMES: &'static [&'static str] = &["code"];
}

fn offered(service: &Service) -> Result<&ProviderSignIns, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound, "nobody signs in at a provider here (oidc.issuer)");
    service.provider.as_deref().ok_or_else(missing)
}

async fn begin(request: HttpRequest, service: web::Data<Service>) -> Answer {
    for_person(begun(&request, &service).await, &request).await
}

async fn begun(request: &HttpRequest, service: &Service) -> Answer {
    let provider = offered(service)?;
    let params = Params::read(request.query_string(), &["return_to"])?;
    let return_to = params.text("return_to").unwrap_or("/home");
    if !is_local_path(return_to) {
        let reason = "expected a path of this server, such as /admin".to_owned();
        return Err(Problem::invalid_params(&[InvalidParam::new("return_to", reason, None)]));
    }
    let sent = provider.begin(return_to.to_owned()).await;
    let sent = done(sent, request).await?;
    let mut response = led_to(&sent.address)?;
    keep(&mut response, &sent.visit, service)?;
    Ok(response)
}

async fn finish(request: HttpRequest, service: web::Data<Service>) -> Answer {
    for_person(finished(&request, &service).await, &request).await
}

async fn finished(request: &HttpRequest, service: &Service) -> Answer {
    let provider = offered(service)?;
    let envelope = own_envelope(request, Who::system("sign-in")).await?;
    let entered = provider.finish(brought_back(request, service), network_from(request), &envelope).await;
    entered_as(entered, request, service).await
}

async fn give_code(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Answer {
    match code_given(&request, payload.into_inner(), &service).await {
        // The visit goes on: the form is shown again.
        Err(problem) if is_about_code(&problem) && wants_html(request.headers()) => {
            Ok(private(provider_code(&request, Some(problem)).await))
        }
        answer => for_person(answer, &request).await,
    }
}

/// Whether the person can give another code.
fn is_about_code(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        ProblemCode::InvalidCredentials | ProblemCode::TooManyAttempts | ProblemCode::TooManyFromAddress
    )
}

/// Turns the problem of a person who signs in into a page that says what to do next.
async fn for_person(answer: Answer, request: &HttpRequest) -> Answer {
    match answer {
        Err(problem) if wants_html(request.headers()) && is_of_person(&problem) => {
            Ok(private(not_let_in(request, problem).await))
        }
        answer => answer::for_browser(answer, request),
    }
}

fn is_of_person(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        ProblemCode::NotAdmitted
            | ProblemCode::SignInAgain
            | ProblemCode::Unavailable
            | ProblemCode::TooManyAttempts
            | ProblemCode::TooManyFromAddress
    )
}

async fn code_given(request: &HttpRequest, mut payload: Payload, service: &Service) -> Answer {
    let provider = offered(service)?;
    let code = if request.content_type().eq_ignore_ascii_case(FORM) {
        Form::of_anyone(request, payload, service).await?.text("code").unwrap_or_default().to_owned()
    } else {
        if is_cross_origin(request, &service.public_url) {
            let detail = "the code is given on this server's own page";
            return Err(Problem::new(ProblemCode::CrossOrigin, detail));
        }
        said::<SecondFactorBody>(request, &mut payload).await?.0.code
    };
    let code = code.chars().take(CODE_CHARS_MAX).collect();
    let envelope = own_envelope(request, Who::system("sign-in")).await?;
    let visit = Cookie::VISIT.read(request.headers(), &service.public_url);
    let entered = provider.give_code(visit, code, network_from(request), &envelope).await;
    entered_as(entered, request, service).await
}

/// The parameters that the browser brings back. Ignores a provider's own ones (RFC 6749, section 4.1.2), and any that is there twice,
/// since nobody knows which is meant.
fn brought_back(request: &HttpRequest, service: &Service) -> BroughtBack {
    let query: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).collect();
    let one = |wanted: &str| {
        let mut values = query.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.to_string());
        let value = values.next()?;
        values.next().is_none().then_some(value)
    };
    let code = one("code").filter(|code| !code.is_empty() && !query.iter().any(|(name, _)| name == "error"));
    BroughtBack {
        visit: Cookie::VISIT.read(request.headers(), &service.public_url).map(ToOwned::to_owned),
        state: one("state").unwrap_or_default(),
        answer: code.map(|code| ProviderAnswer { code, issuer: one("iss") }),
    }
}

/// The answer to a sign-in: where the browser goes next, or the session for a client that asks for JSON.
async fn entered_as(entered: Result<Entered, ProviderSignInError>, request: &HttpRequest, service: &Service) -> Answer {
    let is_page = wants_html(request.headers());
    match done(entered, request).await? {
        Entered::CodeWanted { visit } if is_page => {
            let mut response = private(provider_code(request, None).await);
            keep(&mut response, &visit, service)?;
            Ok(response)
        }
        Entered::CodeWanted { visit } => {
            let wanted = sign_in_problem(SignInRefusal::CodeWanted.into(), request).await;
            Err(wanted.header(header::SET_COOKIE, visit_cookie(&visit, service)?))
        }
        Entered::In { started, return_to } => {
            let (body, age_s) = started_body(service, &started)?;
            let mut response = match !is_page && accepts_json(request) {
                true => private(answer::document(StatusCode::CREATED, &body)),
                false => led_to(&format!("{}{return_to}", address::prefix(&service.public_url)))?,
            };
            let cookies = [
                Cookie::SESSION.set(started.token.reveal(), age_s, &service.public_url)?,
                Cookie::VISIT.remove(&service.public_url)?,
            ];
            cookies.into_iter().for_each(|cookie| response.headers_mut().append(header::SET_COOKIE, cookie));
            Ok(response)
        }
    }
}

fn accepts_json(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    accepted.flat_map(|line| line.split(',')).any(|one| one.trim().starts_with("application/json"))
}

/// Redirects a browser, whatever the method of its request.
fn led_to(place: &str) -> Answer {
    let place = HeaderValue::try_from(place).map_err(Problem::internal)?;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, place));
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(private(response.finish()))
}

fn keep(response: &mut HttpResponse, visit: &str, service: &Service) -> Result<(), Problem> {
    response.headers_mut().append(header::SET_COOKIE, visit_cookie(visit, service)?);
    Ok(())
}

fn visit_cookie(visit: &str, service: &Service) -> Result<HeaderValue, Problem> {
    Cookie::VISIT.set(visit, VISIT_LIFE.as_secs(), &service.public_url)
}

/// The result, or its problem. A wrong guess counts for the client's address.
async fn done<T>(done: Result<T, ProviderSignInError>, request: &HttpRequest) -> Result<T, Problem> {
    let error = match done {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    let (is_guess, text) = (error.is_wrong_guess(), error.to_string());
    let problem = match error {
        ProviderSignInError::SignIn(error) => return Err(sign_in_problem(error, request).await),
        ProviderSignInError::NotBegun | ProviderSignInError::Declined => Problem::new(ProblemCode::SignInAgain, text),
        ProviderSignInError::NotAdmitted => Problem::new(ProblemCode::NotAdmitted, text),
        ProviderSignInError::Provider(_) => {
            let detail = "the provider at which people sign in cannot be asked; passwords and keys work on";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S)
        }
    };
    Err(if is_guess { wire::guessed(request, problem).await } else { problem })
}
