//! Links of mails: `/links/{token}`. Looking at one spends nothing, since scanners of mail follow links; posting does what it is for.
//!
//! The token stands in the path: the log has the route's pattern in its place, no page tells it to another site, and no answer is kept.

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, ContentType, HeaderName, HeaderValue},
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
    refusal::{sign_in_done, sign_in_problem},
};
use crate::{
    actors::sign_in::{Behind, Redeemed, SignInError},
    domain::{
        id::Who,
        link::{LinkPurpose, PresentedLink},
        sign_in::SignInRefusal,
    },
    http::{
        Problem, ProblemCode, address, body::bytes_of, method, pages::escaped, signed_in::own_envelope, state::Service,
        wants::wants_html,
    },
};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const STYLE: &str = "body{max-width:32rem;margin:4rem auto;padding:0 1rem;font:1.05rem/1.6 system-ui,sans-serif;color-scheme:light dark}\
                     input,button{font:inherit;padding:.5rem .7rem}input{width:100%;box-sizing:border-box}button{margin-top:1rem}\
                     pre{overflow-x:auto;padding:.8rem;border:1px solid #8888;border-radius:.4rem;white-space:pre-wrap;word-break:break-all}";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// The longest form, bytes: the longest password, with each of its bytes escaped.
const FORM_BYTES_MAX: usize = 8 * 1024;

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
    answer::for_browser(shown(&request, &token, &service).await, &request)
}

async fn shown(request: &HttpRequest, token: &str, service: &Service) -> Answer {
    Params::read(request.query_string(), &[])?;
    let link = presented(token, request).await?;
    let behind = sign_in_done(service.sign_ins.behind(&link).await, request).await?;
    if wants_html(request.headers()) {
        return Ok(form(service, &behind, token, None));
    }
    let does = does(behind.purpose);
    Ok(private(answer::document(
        StatusCode::OK,
        &json!({ "purpose": behind.purpose, "expires_at": behind.expires_at, "post": does }),
    )))
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
    answer::for_browser(redeemed(&request, payload, &token, &service).await, &request)
}

async fn redeemed(request: &HttpRequest, payload: web::Payload, token: &str, service: &Service) -> Answer {
    let link = presented(token, request).await?;
    let mut payload: Payload = payload.into_inner();
    let is_form = actix_web::HttpMessage::content_type(request).eq_ignore_ascii_case(FORM);
    let password = if is_form {
        let bytes = bytes_of(request, payload, FORM_BYTES_MAX).await?;
        let field = form_urlencoded::parse(&bytes).find(|(name, _)| name == "password");
        field.map(|(_, value)| Zeroizing::new(value.into_owned()))
    } else {
        said::<LinkBody>(request, &mut payload).await?.0.password
    };
    let envelope = own_envelope(request, Who::system("link")).await?;
    let redeemed = service.sign_ins.redeem(link, password.as_ref().map(|text| text.as_str()), &envelope).await;
    let is_page = is_form && wants_html(request.headers());
    match redeemed {
        Ok(Redeemed::PasswordSet) if is_page => {
            Ok(page("Done", "<h1>Your password is set</h1><p>You can sign in now.</p>"))
        }
        Ok(Redeemed::PasswordSet) => Ok(private(answer::document(StatusCode::OK, &json!({ "password": "set" })))),
        Ok(Redeemed::Key(key)) if is_page => {
            let body = format!(
                "<h1>Your API key</h1><pre>{}</pre><p>It is shown this once: keep it where only you can read it.</p>",
                escaped(key.reveal())
            );
            Ok(page("Your API key", &body))
        }
        Ok(Redeemed::Key(key)) => {
            Ok(private(answer::document(StatusCode::OK, &json!({ "id": key.id(), "key": key.reveal() }))))
        }
        // The link still works: the form again, with what was wrong.
        Err(SignInError::Password(error)) if is_page => {
            let behind = sign_in_done(service.sign_ins.behind(&link).await, request).await?;
            let mut response = form(service, &behind, token, Some(&error.to_string()));
            *response.status_mut() = ProblemCode::InvalidBody.status();
            Ok(response)
        }
        Err(error) => Err(sign_in_problem(error, request).await),
    }
}

fn form(service: &Service, behind: &Behind, token: &str, wrong: Option<&str>) -> HttpResponse {
    let prefix = escaped(address::prefix(&service.public_url));
    let action = format!("{prefix}/links/{}", escaped(token));
    let brand = escaped(&service.settings.mail.brand);
    let wrong =
        wrong.map(|wrong| format!("<p role=\"alert\"><strong>{}.</strong></p>", escaped(wrong))).unwrap_or_default();
    let (title, inner) = match behind.purpose {
        LinkPurpose::ClaimKey => {
            ("Your API key", "<p>Your key is shown once.</p><button>Show my key</button>".to_owned())
        }
        LinkPurpose::Invitation | LinkPurpose::PasswordReset => {
            let min = service.settings.accounts.password_chars_min;
            let inner = format!(
                "<p><label for=\"password\">New password, at least {min} characters</label>\
                 <input id=\"password\" name=\"password\" type=\"password\" minlength=\"{min}\" required \
                 autocomplete=\"new-password\"></p><button>Set password</button>{}",
                or_at_provider(service)
            );
            ("Set your password", inner)
        }
    };
    let body = format!(
        "<p><a href=\"{prefix}/\">{brand}</a></p><h1>{title}</h1>{wrong}<form method=\"post\" action=\"{action}\">{inner}</form>"
    );
    page(title, &body)
}

/// The way past a password, where there is a provider of identities.
fn or_at_provider(service: &Service) -> String {
    if service.provider.is_none() {
        return String::new();
    }
    let (prefix, label) = (escaped(address::prefix(&service.public_url)), escaped(&service.settings.oidc.label));
    format!("<p>Or <a href=\"{prefix}/sign-in/provider\">sign in with {label}</a>, without a password here.</p>")
}

pub(super) fn page(title: &str, body: &str) -> HttpResponse {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>"
    );
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::html()).insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    private(response.body(text))
}

/// An answer at an address that is a secret.
pub(super) fn private(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    response
}
