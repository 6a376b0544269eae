//! A request for a page: the visitor, their language, and the answer. A handler's arguments say what the visitor may do: [`Anyone`],
//! [`SignedInPerson`] or [`Staff`].

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fluent_bundle::FluentArgs;
use serde::Serialize;
use serde_json::{Value, json};

use super::{flash::Flash, language::Language, messages, templates, token_visit};
use crate::{
    actors::sign_in::SignedInAs,
    domain::{
        id::Who,
        permission::{AccessKind, Permission, Permissions},
    },
    http::{
        Problem, ProblemCode, address,
        cookie::Cookie,
        routes::answer::Answer,
        session::{Admin, KnownCaller, Needs},
        signed_in::{SessionHolder, hides_source, must_set_up_factor},
        state::Service,
    },
    mail::settings::MailTransport,
};

/// Pages load only this server's own style and script, and no other page may frame them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
/// Random bytes that bind the forms of a visitor without a session.
const FORM_COOKIE_BYTES: usize = 16;

/// The answer instead of the page that was asked for.
pub(super) enum PageRefusal {
    /// A problem, explained on a page of its own.
    Problem(Problem),
    /// The visitor has to sign in first.
    SignIn,
    /// The visitor has to set up a second factor first.
    SecondFactor,
}

impl From<Problem> for PageRefusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The result of a page's handler.
pub(super) type Shown = Result<HttpResponse, PageRefusal>;

/// A visitor whom this server knows.
#[derive(Debug, Clone)]
pub(super) enum KnownVisitor {
    /// A person with a session.
    Person(Box<SignedInAs>),
    /// The holder of an administrator's token.
    Token(KnownCaller),
}

/// A kind of visitor who may see a page.
pub(super) trait Visitor: Sized + 'static {
    /// The longest form that they can send, bytes: it holds an administrator's list of some thousand people to invite.
    const FORM_BYTES_MAX: usize = 1 << 20;

    /// Takes the known visitor for one of this kind, or refuses them.
    fn of(known: Option<&KnownVisitor>, request: &HttpRequest, service: &Service) -> Result<Self, PageRefusal>;
}

/// Any visitor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anyone;

impl Visitor for Anyone {
    /// Strangers type only an address or a password.
    const FORM_BYTES_MAX: usize = 16 << 10;

    fn of(_: Option<&KnownVisitor>, _: &HttpRequest, _: &Service) -> Result<Self, PageRefusal> {
        Ok(Self)
    }
}

/// A person with a session, who may still have to set up a second factor.
#[derive(Debug, Clone)]
pub(super) struct WithSession(pub(super) SignedInAs);

impl Visitor for WithSession {
    fn of(known: Option<&KnownVisitor>, _: &HttpRequest, _: &Service) -> Result<Self, PageRefusal> {
        match known {
            Some(KnownVisitor::Person(person)) => Ok(Self(SignedInAs::clone(person))),
            _ => Err(PageRefusal::SignIn),
        }
    }
}

/// A person with a session, who has the second factor if one is demanded of them.
#[derive(Debug, Clone)]
pub(super) struct SignedInPerson(pub(super) SignedInAs);

impl Visitor for SignedInPerson {
    fn of(known: Option<&KnownVisitor>, request: &HttpRequest, service: &Service) -> Result<Self, PageRefusal> {
        let WithSession(holder) = WithSession::of(known, request, service)?;
        if must_set_up_factor(service, &holder) {
            return Err(PageRefusal::SecondFactor);
        }
        Ok(Self(holder))
    }
}

/// A visitor with the permission that `N` names, by their role or by an administrator's token.
#[derive(Debug, Clone)]
pub(super) struct Staff<N>(pub(super) Admin<N>);

impl<N: Needs + Clone> Visitor for Staff<N> {
    fn of(known: Option<&KnownVisitor>, request: &HttpRequest, service: &Service) -> Result<Self, PageRefusal> {
        let caller = match known {
            Some(KnownVisitor::Token(caller)) => caller.clone(),
            known => {
                let SignedInPerson(holder) = SignedInPerson::of(known, request, service)?;
                caller_of(&holder)
            }
        };
        Ok(Self(Admin::of(caller, request)?))
    }
}

fn caller_of(holder: &SignedInAs) -> KnownCaller {
    let permissions = Permissions::of_role(holder.user.role);
    KnownCaller { who: Who::user(holder.user.id), permissions, until: None }
}

/// One request for a page.
pub(super) struct Visit<W = Anyone> {
    pub(super) request: HttpRequest,
    /// The server's shared state.
    pub(super) service: web::Data<Service>,
    pub(super) language: Language,
    /// The visitor.
    pub(super) who: W,
    known: Option<KnownVisitor>,
}

impl<W: Visitor> Visit<W> {
    /// Finds the visitor of a request.
    ///
    /// # Errors
    /// When the visitor may not see the page; when the store does not answer.
    pub(super) async fn open(request: &HttpRequest) -> Result<Self, PageRefusal> {
        let service = request.app_data::<web::Data<Service>>().cloned();
        let service = service.ok_or_else(|| Problem::internal("the service is not configured"))?;
        let known = known(request, &service).await?;
        let who = W::of(known.as_ref(), request, &service)?;
        Ok(Self { request: request.clone(), language: Language::wanted(request.headers()), service, who, known })
    }

    /// A part of the path, by its name in the route.
    pub(super) fn part(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// The known visitor, if this one is known.
    pub(super) fn known(&self) -> Option<&KnownVisitor> {
        self.known.as_ref()
    }

    /// What the visitor may do in the administration.
    pub(super) fn permissions(&self) -> Permissions {
        match &self.known {
            Some(KnownVisitor::Person(holder)) => Permissions::of_role(holder.user.role),
            Some(KnownVisitor::Token(caller)) => caller.permissions,
            None => Permissions::NONE,
        }
    }

    /// A page, with 200.
    ///
    /// # Errors
    /// A fault of ours: see [`templates::render`].
    pub(super) fn page(&self, template: &str, context: &Value) -> Shown {
        self.page_as(StatusCode::OK, template, context)
    }

    /// A page with a status.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub(super) fn page_as(&self, status: StatusCode, template: &str, context: &Value) -> Shown {
        // Otherwise the mistake would show only once the page calls the function.
        if let Some(name) = templates::hidden_by(context) {
            return Err(
                Problem::internal(format!("the page {template} is given something that is named {name}")).into()
            );
        }
        let flash = Flash::read(&self.request, &self.service);
        let mask = random::<FORM_COOKIE_BYTES>(&self.service)?;
        let present = bound_to(&self.request, &self.service);
        let bound = match &present {
            Some(bound) => bound.clone(),
            None => URL_SAFE_NO_PAD.encode(random::<FORM_COOKIE_BYTES>(&self.service)?),
        };
        let token = self.service.committer.secrets.form_token(&bound, mask);
        let once = self.service.committer.new_id().map_err(Problem::internal)?.to_string();
        let frame = self.frame(json!({ "csrf": token, "once": once, "flash": flash }));
        let html = templates::render(self.language, template, &Whole { frame, own: context })?;
        let has_form = html.contains("name=\"csrf\"");
        let mut response = respond(status, html);
        let headers = response.headers_mut();
        if present.is_none() && has_form {
            headers.append(header::SET_COOKIE, Cookie::FORM.set(&bound, FORM_COOKIE_AGE_S, &self.service.public_url)?);
        }
        if flash.is_some() {
            headers.append(header::SET_COOKIE, Cookie::FLASH.remove(&self.service.public_url)?);
        }
        Ok(response)
    }

    fn frame(&self, mut frame: Value) -> Value {
        let service = &self.service;
        let person = match &self.known {
            Some(KnownVisitor::Person(holder)) => {
                let row = &holder.user;
                json!({ "email": row.email.known(), "name": row.name.as_ref().and_then(|name| name.known()) })
            }
            Some(KnownVisitor::Token(_)) => json!({ "token": true }),
            None => Value::Null,
        };
        let permissions = self.permissions();
        let may: Vec<&str> = Permission::ALL
            .into_iter()
            .filter(|permission| permissions.may(Permissions::of(&[*permission]), AccessKind::Read))
            .map(Permission::as_str)
            .collect();
        let mails_to_files =
            !may.is_empty() && service.rehearsed.is_none() && service.settings.mail_transport() == MailTransport::File;
        if let Some(fields) = frame.as_object_mut() {
            fields.extend(basics(service, self.language));
            let own = [
                ("person", person),
                ("perhaps", Value::Null),
                ("path", json!(self.request.path())),
                ("may", json!(may)),
                ("mails_to_files", json!(mails_to_files)),
            ];
            fields.extend(own.map(|(name, value)| (name.to_owned(), value)));
        }
        frame
    }

    /// A message in the visitor's language.
    pub(super) fn say(&self, id: &str, with: &[(&str, String)]) -> Option<String> {
        let mut given = FluentArgs::new();
        with.iter().for_each(|(name, value)| given.set(*name, value.clone()));
        messages::say(self.language, id, &given)
    }

    /// A duration in the reader's language, in the unit that keeps it short.
    pub(super) fn duration(&self, seconds: u64) -> String {
        let (unit, count) = match seconds {
            0..=119 => ("seconds", seconds),
            120..=7199 => ("minutes", seconds.div_ceil(60)),
            _ => ("hours", seconds.div_ceil(3600)),
        };
        let mut given = FluentArgs::new();
        given.set("count", f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        messages::say(self.language, &format!("sign-in-{unit}"), &given).unwrap_or_default()
    }

    /// Leads on after an action (303), and reports the action there. `path` is a path of this server.
    ///
    /// # Errors
    /// A fault of ours: when the path is no address.
    pub(super) fn led(&self, path: &str, flash: Option<&Flash>) -> Shown {
        Ok(self.led_on(path, flash)?)
    }

    /// As [`Self::led`], with a [`Problem`] as the error.
    ///
    /// # Errors
    /// As [`Self::led`].
    pub(super) fn led_on(&self, path: &str, flash: Option<&Flash>) -> Result<HttpResponse, Problem> {
        let mut response = led_to(&self.service, path)?;
        if let Some(flash) = flash {
            response.headers_mut().append(header::SET_COOKIE, flash.cookie(&self.service)?);
        }
        Ok(response)
    }

    /// The document that a handler of the API answers.
    ///
    /// # Errors
    /// The handler's problem.
    pub(super) async fn asked(&self, answer: impl Future<Output = Answer>) -> Result<Value, Problem> {
        document(answer.await?)
    }
}

/// Seconds for which the form cookie is kept.
const FORM_COOKIE_AGE_S: i64 = 86_400;

/// The document in an answer of the API.
pub(super) fn document(answer: HttpResponse) -> Result<Value, Problem> {
    use actix_web::body::MessageBody;
    let bytes = answer.into_body().try_into_bytes().map_err(|_| Problem::internal("an answer is no document"))?;
    serde_json::from_slice(&bytes).map_err(Problem::internal)
}

/// A part of a document, by its JSON pointer; null where the document has none.
pub(super) fn at<'d>(document: &'d Value, pointer: &str) -> &'d Value {
    static NOTHING: Value = Value::Null;
    document.pointer(pointer).unwrap_or(&NOTHING)
}

/// Sets a member of a page's document. A document that is no object stays as it is.
pub(super) fn put(document: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = document.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}

/// What every page knows of the server.
pub(super) fn basics(service: &Service, language: Language) -> [(String, Value); 9] {
    let prefix = address::prefix(&service.public_url);
    let look = &service.look;
    [
        ("lang", json!(language.tag())),
        ("prefix", json!(prefix)),
        ("public_url", json!(service.public_url)),
        ("brand", json!(service.settings.mail.brand)),
        ("contact", json!(service.settings.mail.contact)),
        ("has_logo", json!(look.has_logo)),
        ("style", json!(format!("{prefix}/-/{}/style.css", look.folder))),
        ("script", json!(format!("{prefix}/-/{}/script.js", look.folder))),
        (
            "copy",
            service.rehearsed.as_ref().map_or(Value::Null, |shown| json!({ "of": shown.of, "as_of": shown.as_of })),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The context of a template.
#[derive(Serialize)]
pub(super) struct Whole<'c> {
    pub(super) frame: Value,
    #[serde(flatten)]
    pub(super) own: &'c Value,
}

/// The response that sends a page.
pub(super) fn respond(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        // Other sites learn no address. Without any referrer, browsers would not say where a form comes from.
        .insert_header((REFERRER_POLICY, HeaderValue::from_static("same-origin")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::VARY, HeaderValue::from_static("Accept, Accept-Language, Cookie")))
        .body(html)
}

/// Leads a browser to a path of this server.
pub(super) fn led_to(service: &Service, path: &str) -> Result<HttpResponse, Problem> {
    let place = format!("{}{path}", address::prefix(&service.public_url));
    let place = HeaderValue::try_from(place).map_err(Problem::internal)?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, place))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .finish())
}

fn random<const N: usize>(service: &Service) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    service.committer.entropy.fill(&mut bytes).map_err(Problem::internal)?;
    Ok(bytes)
}

/// What binds the forms of this browser: its session, its token, or a cookie of their own.
pub(super) fn bound_to(request: &HttpRequest, service: &Service) -> Option<String> {
    let cookies = [Cookie::SESSION, Cookie::TOKEN, Cookie::FORM];
    cookies.into_iter().find_map(|cookie| cookie.read(request.headers(), &service.public_url)).map(ToOwned::to_owned)
}

/// The visitor whom the request's cookies name. A session that has ended names nobody.
async fn known(request: &HttpRequest, service: &Service) -> Result<Option<KnownVisitor>, Problem> {
    if Cookie::SESSION.read(request.headers(), &service.public_url).is_some() {
        match SessionHolder::extract(request).await {
            Ok(SessionHolder(holder)) => return Ok(Some(KnownVisitor::Person(Box::new(holder)))),
            Err(problem) if problem.code() == ProblemCode::SignInRequired => {}
            // A form that hides its source counts as one of a page for everybody.
            Err(problem) if problem.code() == ProblemCode::CrossOrigin && hides_source(request) => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(token_visit::caller(request, service).await?.map(KnownVisitor::Token))
}
