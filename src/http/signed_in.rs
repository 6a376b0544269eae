//! Extractors for people: signed in by a session's token or cookie, or asking about themselves with a key.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

use super::{
    Problem, ProblemCode,
    conditions::Conditions,
    credentials::{self, InHeaders, NoCredential},
    routes::{data::limits::out_of_reach, refusal::command_problem},
    state::Service,
    store_problem::store_problem,
    wire,
};
use crate::{
    actors::{commit::Envelope, sign_in::SignedInAs},
    config::accounts::SecondFactorDemand,
    domain::{
        bounds::DataAction,
        credential::{Credential, CredentialKind},
        event::{Origin, Role},
        id::{CommandId, Who},
        reach::{KeyPurpose, KeyReach},
        user::{Key, Standing, User},
    },
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const WWW: HeaderName = header::WWW_AUTHENTICATE;
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"permitd\"");

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

fn service_of(request: &HttpRequest) -> Result<&web::Data<Service>, Problem> {
    request.app_data::<web::Data<Service>>().ok_or_else(|| Problem::internal("the service is not configured"))
}

/// The envelope of `who`'s command in this request, with a new command id, since nobody repeats the command.
///
/// # Errors
/// When no identifier can be made.
pub(in crate::http) async fn own_envelope(request: &HttpRequest, who: Who) -> Result<Envelope, Problem> {
    let service = service_of(request)?;
    let correlation_id = Conditions::extract(request).await?.correlation_id(service)?;
    let command = CommandId::unique(service.committer.new_id().map_err(Problem::internal)?);
    let origin = Origin { who, correlation_id, causation_id: None };
    Ok(Envelope::new(command, origin))
}

/// Somebody with a session, who may still have to set up a second factor before they can do anything else.
#[derive(Debug, Clone)]
pub struct SessionHolder(pub SignedInAs);

impl FromRequest for SessionHolder {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let service = service_of(&request)?;
            let headers = request.headers();
            let shown = match credentials::in_header(headers) {
                Err(NoCredential::Missing) => {
                    let shown = credentials::shown(headers, &service.public_url);
                    if shown != Err(NoCredential::Missing) && !request.method().is_safe() {
                        same_origin(&request, &service.public_url)?;
                    }
                    shown
                }
                shown => shown,
            };
            let (id, hash) = match shown {
                Ok(InHeaders::Credential(Credential { kind: CredentialKind::Session, id, hash })) => (id, hash),
                Err(NoCredential::Two) => return Err(credentials::refused_two(&request).await),
                Err(NoCredential::Missing | NoCredential::Unread) => {
                    wire::refused(&request).await;
                    return Err(sign_in_required());
                }
                Ok(_) | Err(NoCredential::Wrong(_)) => return Err(wire::guessed(&request, sign_in_required()).await),
            };
            let envelope = own_envelope(&request, Who::system("session")).await?;
            let found = service.sign_ins.signed_in(id, &hash, &envelope).await.map_err(command_problem)?;
            found.map(Self).ok_or_else(sign_in_required)
        })
    }
}

/// Somebody with a session.
#[derive(Debug, Clone)]
pub struct SignedIn(pub SignedInAs);

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let SessionHolder(holder) = SessionHolder::extract(&request).await?;
            if must_set_up_factor(service_of(&request)?, &holder) {
                let detail = "administrators need a second factor here: POST /me/second-factor begins one";
                return Err(Problem::new(ProblemCode::SecondFactorRequired, detail));
            }
            Ok(Self(holder))
        })
    }
}

/// Whether the holder of a session must set up a second factor before anything else.
pub(in crate::http) fn must_set_up_factor(service: &Service, holder: &SignedInAs) -> bool {
    let is_demanded = service.settings.accounts.second_factor == SecondFactorDemand::Administrators;
    is_demanded && holder.user.role == Role::Admin && !holder.user.sign_in.has_factor_in(holder.session)
}

impl SignedIn {
    /// The person as the log names them.
    pub fn who(&self) -> Who {
        Who::user(self.0.user.id)
    }
}

/// Somebody who asks about themselves, with a session or with a key.
#[derive(Debug, Clone)]
pub struct Oneself(pub User);

impl FromRequest for Oneself {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match credentials::in_header(request.headers()) {
                Ok(InHeaders::Credential(key)) if key.kind == CredentialKind::Key => by_key(&request, Some(key)).await,
                Ok(InHeaders::Token(_)) | Err(NoCredential::Wrong(CredentialKind::Key)) => by_key(&request, None).await,
                _ => SignedIn::extract(&request).await.map(|SignedIn(holder)| holder.user),
            }
            .map(Self)
        })
    }
}

/// The owner of a key that works.
async fn by_key(request: &HttpRequest, key: Option<Credential>) -> Result<User, Problem> {
    let owner = match key {
        Some(key) => owner_of(service_of(request)?, key).await?,
        None => None,
    };
    match owner {
        Some((user, reach)) => {
            let what = KeyPurpose { from: wire::client_of(request), dataset: None, action: DataAction::Read };
            reach.refusal(&what).map_or(Ok(user), |why| Err(out_of_reach(why)))
        }
        None => {
            let refused = Problem::new(ProblemCode::InvalidKey, "this key is unknown or does not work any more");
            Err(wire::guessed(request, refused.header(WWW, CHALLENGE)).await)
        }
    }
}

/// The owner of a key that works, and the key's reach.
async fn owner_of(
    service: &Service,
    Credential { id, hash, .. }: Credential,
) -> Result<Option<(User, KeyReach)>, Problem> {
    let secrets = &service.committer.secrets;
    // A node whose secret is not the deployment's cannot detect forged keys: it asks the store.
    if !secrets.recognises(id, &hash) && secrets.doubted().is_none() {
        return Ok(None);
    }
    let Some(row) = service.committer.stores.views.key(id).await.map_err(store_problem)? else { return Ok(None) };
    let user = service.committer.load_admissible(row.user).await.map_err(command_problem)?;
    let now = service.committer.clock.now();
    let Some(user) = user.filter(|user| user.standing == Standing::Enabled) else { return Ok(None) };
    let reach = user.keys.get(&id).filter(|key| key.hash == hash && key.works(now)).map(Key::reach);
    Ok(reach.map(|reach| (user, reach)))
}

fn sign_in_required() -> Problem {
    Problem::new(ProblemCode::SignInRequired, "sign in: POST /sessions with email and password").header(WWW, CHALLENGE)
}

/// Refuses a request with a cookie that is not from a page of this server. Browsers tell by one of two headers; scripts have no cookie.
fn same_origin(request: &HttpRequest, public_url: &str) -> Result<(), Problem> {
    if is_same_origin(request, public_url) {
        return Ok(());
    }
    let detail = "the cookie of a session counts only in requests from this server's own pages";
    Err(Problem::new(ProblemCode::CrossOrigin, detail))
}

/// Whether the request says that it comes from a page of this server.
pub(in crate::http) fn is_same_origin(request: &HttpRequest, public_url: &str) -> bool {
    let said = |name: &HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    match (said(&SEC_FETCH_SITE), said(&header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => !origin.is_empty() && origin == origin_of(public_url),
        (None, None) => false,
    }
}

/// Whether the request says that it comes from a page of another server.
pub(in crate::http) fn is_cross_origin(request: &HttpRequest, public_url: &str) -> bool {
    let is_said = request.headers().contains_key(SEC_FETCH_SITE) || request.headers().contains_key(header::ORIGIN);
    is_said && !is_same_origin(request, public_url)
}

/// Scheme, host and port of an address.
fn origin_of(public_url: &str) -> &str {
    let after_scheme = public_url.find("://").map_or(0, |at| at + 3);
    let path = public_url.get(after_scheme..).and_then(|rest| rest.find('/'));
    path.and_then(|at| public_url.get(..after_scheme + at)).unwrap_or(public_url)
}

/// Whether a browser hides where a form comes from, as pages at secret addresses tell it to: the form token proves it then.
pub(in crate::http) fn hides_source(request: &HttpRequest) -> bool {
    let headers = request.headers();
    !headers.contains_key("sec-fetch-site") && headers.get(header::ORIGIN).is_some_and(|origin| origin == "null")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_the_own_pages_are_of_the_same_origin() {
        let is = |fields: &[(&'static str, &'static str)]| {
            let request = fields.iter().fold(TestRequest::post(), |request, field| request.insert_header(*field));
            is_same_origin(&request.to_http_request(), "https://permits.example.org/api")
        };
        assert!(is(&[("sec-fetch-site", "same-origin")]));
        assert!(is(&[("origin", "https://permits.example.org")]));
        for other in ["cross-site", "same-site", "none", ""] {
            assert!(!is(&[("sec-fetch-site", other), ("origin", "https://permits.example.org")]), "{other}");
        }
        for other in ["https://permits.example.org.evil.org", "http://permits.example.org", "null", ""] {
            assert!(!is(&[("origin", other)]), "{other}");
        }
        assert!(!is(&[]), "whoever says nothing is not believed");
    }
}
