//! Forms: read within limits, accepted only from this server's own pages, and shown again with the typed values where something is wrong.

use actix_web::{HttpRequest, dev::Payload, http::header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::visit::{Anyone, SignedInPerson, Staff, Visit, Visitor, WithSession, bound_to};
use crate::{
    actors::commit::Envelope,
    domain::id::hex,
    http::{
        Problem, ProblemCode,
        body::bytes_of,
        conditions::Conditions,
        routes::{
            command::{BodyFields, CommandRequest},
            own::{ActingPerson, Own},
        },
        session::Needs,
        signed_in::{SessionHolder, SignedIn, hides_source, is_cross_origin},
        state::Service,
    },
};

/// The most fields of a form.
const FIELDS_MAX: usize = 2_000;
/// Fields that are never shown again.
const SECRETS: [&str; 8] = ["csrf", "once", "password", "current", "new", "repeated", "code", "token"];

/// The fields of a form that was sent.
pub(in crate::http) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// Reads a form of one of this server's pages.
    ///
    /// # Errors
    /// 403 when the form comes from elsewhere, or from a page of another session; those of a body.
    async fn read<W: Visitor>(request: &HttpRequest, payload: Payload, service: &Service) -> Result<Self, Problem> {
        let form = Self::received(request, payload, W::FORM_BYTES_MAX).await?;
        form.check_source(request, service)?;
        Ok(form)
    }

    /// Reads a form that may come from anywhere.
    ///
    /// # Errors
    /// Those of a body.
    pub(super) async fn received(request: &HttpRequest, payload: Payload, bytes_max: usize) -> Result<Self, Problem> {
        let bytes = bytes_of(request, payload, bytes_max).await?;
        let fields = form_urlencoded::parse(&bytes);
        if fields.clone().nth(FIELDS_MAX).is_some() {
            let detail = format!("the form may have at most {FIELDS_MAX} fields");
            return Err(Problem::new(ProblemCode::BodyTooLarge, detail));
        }
        Ok(Self(fields.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect()))
    }

    /// Checks the source of the form by the form token in it, as the function `check_source`.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_source(&self, request: &HttpRequest, service: &Service) -> Result<(), Problem> {
        check_source(request, service, self.raw("csrf").unwrap_or_default())
    }

    /// The typed and pressed fields, for a page that sends them again. None where one of them is a secret.
    pub(super) fn open_fields(&self) -> Option<Vec<(&str, &str)>> {
        const OF_THE_PAGE: [&str; 2] = ["csrf", "once"];
        let fields = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let typed: Vec<_> = fields.filter(|(name, _)| !OF_THE_PAGE.contains(name)).collect();
        typed.iter().all(|(name, _)| !SECRETS.contains(name)).then_some(typed)
    }

    /// Reads a form that anybody may send.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(in crate::http) async fn of_anyone(
        request: &HttpRequest,
        payload: Payload,
        service: &Service,
    ) -> Result<Self, Problem> {
        Self::read::<Anyone>(request, payload, service).await
    }

    /// A form of fields that were read otherwise.
    pub(super) fn of(fields: Vec<(String, Zeroizing<String>)>) -> Self {
        Self(fields)
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field's text, without blanks around it; an empty one counts as absent.
    pub(in crate::http) fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A secret, as it was typed; an empty one counts as absent.
    pub(super) fn secret(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|text| !text.is_empty())
    }

    /// All texts of a field that may be there several times, such as ticked boxes.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.trim()).filter(|text| !text.is_empty()).collect()
    }

    /// Whether a box is ticked, or a button with this name was pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The form to show again, with the typed values and the mistake, for the macros of `parts/form.html`.
    pub(super) fn again(&self, problem: &Problem) -> Value {
        let mut values = Map::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str())) {
            match values.get_mut(name) {
                Some(Value::Array(several)) => several.push(json!(value.as_str())),
                Some(first) => *first = json!([first.clone(), value.as_str()]),
                None => {
                    values.insert(name.clone(), json!(value.as_str()));
                }
            }
        }
        let mut again = wrong(problem);
        if let Some(fields) = again.as_object_mut() {
            fields.insert("values".to_owned(), Value::Object(values));
        }
        again
    }

    /// A form that is sent again acts once. Several forms of a page, and a form that is changed after a step back, are commands of their
    /// own.
    fn conditions(&self, request: &HttpRequest, says: &[u8]) -> Conditions {
        let version = self.text("version").and_then(|version| version.parse().ok());
        let once = self.text("once").map(|once| {
            let hash = Sha256::new().chain_update(once).chain_update([0]).chain_update(request.path());
            hex(&hash.chain_update([0]).chain_update(says).finalize())
        });
        Conditions::of_form(request, once, version)
    }
}

/// The mistake, at the field that the problem names, if it names one.
pub(super) fn wrong(problem: &Problem) -> Value {
    let detail = problem.detail();
    let of_field = detail.strip_prefix("at `").and_then(|rest| rest.split_once("`: "));
    let (field, reason) = of_field.map_or((None, detail), |(field, reason)| (Some(field), reason));
    let reason = sentence(reason);
    let fields: Map<String, Value> = field.map(|field| (field.to_owned(), json!(reason))).into_iter().collect();
    json!({ "code": problem.code().slug(), "reason": reason, "fields": fields, "values": {} })
}

/// A reason as a sentence of its own.
pub(super) fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    let mut sentence: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

/// Checks that a form comes from a page that this server has shown to the same browser.
///
/// # Errors
/// 403.
pub(super) fn check_source(request: &HttpRequest, service: &Service, token: &str) -> Result<(), Problem> {
    if !hides_source(request) && is_cross_origin(request, &service.public_url) {
        let detail = match is_at_another_name(request) {
            true => format!(
                "this server knows itself as {}, and was opened at another address: open it there, or have `public_url` set to the \
                 address that people open",
                service.public_url
            ),
            false => "the form was sent from another site".to_owned(),
        };
        return Err(Problem::new(ProblemCode::CrossOrigin, detail));
    }
    let is_ours =
        bound_to(request, service).is_some_and(|bound| service.committer.secrets.is_form_token(&bound, token));
    if is_ours {
        return Ok(());
    }
    let detail = "the form is from before you signed in or out, or the browser takes no cookies: load the page again";
    Err(Problem::new(ProblemCode::FormOver, detail))
}

/// Whether `Origin` and `Host` agree: the page was opened at another address than `public_url`.
fn is_at_another_name(request: &HttpRequest) -> bool {
    let said = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let origin = said(header::ORIGIN);
    origin.split_once("://").is_some_and(|(_, name)| name.eq_ignore_ascii_case(said(header::HOST)))
}

impl<N: Needs + Clone> Visit<Staff<N>> {
    /// A command of the administration, from a form.
    ///
    /// # Errors
    /// 400 for what the body of the command would be refused for.
    pub(super) fn command<T: BodyFields>(&self, form: &Form, body: &Value) -> Result<CommandRequest<T, N>, Problem> {
        let Staff(admin) = &self.who;
        let conditions = form.conditions(&self.request, body.to_string().as_bytes());
        CommandRequest::of_form(admin.clone(), body, &conditions, &self.request, &self.service)
    }

    /// A command with the same result however often it is given, such as disabling a person. It holds for any version, whatever the page
    /// showed.
    ///
    /// # Errors
    /// As of [`Self::command`].
    pub(super) fn settling<T: BodyFields>(&self, body: &Value) -> Result<CommandRequest<T, N>, Problem> {
        let Staff(admin) = &self.who;
        let conditions = Conditions::of_form(&self.request, None, None);
        CommandRequest::of_form(admin.clone(), body, &conditions, &self.request, &self.service)
    }

    /// The envelope of a command whose form has other fields than a body.
    ///
    /// # Errors
    /// When no identifier can be made.
    pub(super) fn envelope(&self, form: &Form, says: &[u8]) -> Result<Envelope, Problem> {
        let Staff(admin) = &self.who;
        form.conditions(&self.request, says).administering(&self.service, &admin.caller, &self.request, says)
    }
}

/// A visitor who gives commands about themselves.
pub(super) trait OnesOwn: Visitor {
    /// The kind of person that they act as.
    type As: ActingPerson;
    /// The person and their session.
    fn holder(&self) -> &crate::actors::sign_in::SignedInAs;
}

impl OnesOwn for SignedInPerson {
    type As = SignedIn;

    fn holder(&self) -> &crate::actors::sign_in::SignedInAs {
        &self.0
    }
}

impl OnesOwn for WithSession {
    type As = SessionHolder;

    fn holder(&self) -> &crate::actors::sign_in::SignedInAs {
        &self.0
    }
}

impl<P: OnesOwn> Visit<P> {
    /// A command of a person about themselves, from a form.
    ///
    /// # Errors
    /// 400 for what the body of the command would be refused for.
    pub(super) fn own<T: BodyFields>(&self, form: &Form, body: &Value) -> Result<Own<T, P::As>, Problem> {
        let holder = self.who.holder().clone();
        let conditions = form.conditions(&self.request, body.to_string().as_bytes());
        Own::of_form(holder, body, &conditions, &self.request, &self.service)
    }
}
