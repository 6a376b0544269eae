//! Who is asking: what a caller may do is part of a handler's arguments.

use std::{future::Future, marker::PhantomData, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderValue},
    web,
};
use jiff::Timestamp;

use super::{
    Problem, ProblemCode, RequestId,
    credentials::{self, InHeaders, NoCredential},
    signed_in::SignedIn,
    state::{OldToken, Service},
    wire,
};
use crate::{
    actors::commit::Envelope,
    domain::{
        credential::{Credential, CredentialKind},
        event::{Origin, Role},
        id::{CommandId, Who, hex},
        key::{AdminToken, KeyHash, KeyId},
        permission::{AccessKind, Permission, Permissions},
    },
};

/// Longest `Idempotency-Key`, bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Whoever asks for something of the administration.
#[derive(Debug, Clone)]
pub struct KnownCaller {
    /// Who, for the log: `admin:<token id>` or `user:<id>`.
    pub who: Who,
    /// What they may.
    pub permissions: Permissions,
    /// Until when, if not for good.
    pub until: Option<Timestamp>,
}

/// Who sent a request, as its credentials show.
///
/// # Errors
/// 401 when there are none, or none that work.
async fn caller_of(request: &HttpRequest) -> Result<KnownCaller, Problem> {
    let service = request.app_data::<web::Data<Service>>();
    let service = service.ok_or_else(|| Problem::internal("the service is not configured"))?;
    let caller = match credentials::shown(request.headers(), &service.public_url) {
        Ok(InHeaders::Credential(Credential { kind: CredentialKind::Session, .. }))
        | Err(NoCredential::Wrong(CredentialKind::Session)) => {
            let SignedIn(holder) = SignedIn::extract(request).await?;
            let permissions = Permissions::of_role(holder.user.role);
            return Ok(KnownCaller { who: Who::user(holder.user.id), permissions, until: None });
        }
        Ok(InHeaders::Token(token)) => of_token(service, token).await?,
        Ok(InHeaders::Credential(_)) | Err(NoCredential::Wrong(CredentialKind::Key)) => None,
        Err(NoCredential::Two) => return Err(credentials::refused_two(request).await),
        Err(NoCredential::Missing | NoCredential::Unread) => {
            wire::refused(request).await;
            return Err(unauthorized());
        }
    };
    match caller {
        Some(caller) => Ok(caller),
        None => Err(wire::guessed(request, unauthorized()).await),
    }
}

/// The caller whose administrator's token this is.
async fn of_token(service: &Service, token: &str) -> Result<Option<KnownCaller>, Problem> {
    Ok(token_of(service, token).await?.map(|(_, caller)| caller))
}

/// The id of an administrator's token, and the caller that it makes somebody. Only the store knows whether it still works, so that it is
/// asked each time.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn token_of(service: &Service, token: &str) -> Result<Option<(KeyId, KnownCaller)>, Problem> {
    let hash = KeyHash::of(token.as_bytes());
    let Some(OldToken { id, who }) = known(service, token, hash) else { return Ok(None) };
    let committer = &service.committer;
    let row = committer.stores.views.admin_token(id).await.map_err(super::routes::store_problem)?;
    let now = committer.clock.now();
    let Some(row) = row.filter(|row| row.hash == hash && row.works(now)) else { return Ok(None) };
    service.token_uses.note(&*committer.stores.admin_tokens, id, now).await;
    Ok(Some((id, KnownCaller { who, permissions: row.permissions(), until: row.expires_at })))
}

/// What the store is to be asked for: a token that was derived here, or one that was there when the node started, whichever form it
/// has. Whatever else is sent costs no look-up.
fn known(service: &Service, token: &str, hash: KeyHash) -> Option<OldToken> {
    if let Some(old) = service.old_tokens.get(&hash.to_hex()) {
        return Some(old.clone());
    }
    let secrets = &service.committer.secrets;
    // Whose secret is not the deployment's any more cannot tell a wrong one.
    let may_be = secrets.recognises_admin_token(token) || secrets.doubted().is_some();
    let id = AdminToken::id_in(token).filter(|_| may_be)?;
    Some(OldToken { id, who: Who::token(id.as_str()) })
}

/// What a route needs: a type, so that it stands in the handler's arguments.
pub trait Needs: 'static {
    /// The permissions.
    const PERMISSIONS: Permissions;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident = $permissions:expr;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Needs for $name {
            const PERMISSIONS: Permissions = $permissions;
        })*
    };
}

needs! {
    /// [`Permission::People`]
    OfPeople = Permissions::of(&[Permission::People]);
    /// [`Permission::Data`]
    OfData = Permissions::of(&[Permission::Data]);
    /// [`Permission::Plans`]
    OfPlans = Permissions::of(&[Permission::Plans]);
    /// [`Permission::Events`]
    OfEvents = Permissions::of(&[Permission::Events]);
    /// [`Permission::Server`]
    OfServer = Permissions::of(&[Permission::Server]);
    /// All permissions: whoever makes others' tokens can give nothing that they have not got themselves.
    OfAll = Permissions::ALL;
}

/// Somebody who may what `N` says: to look at it, or, with a method that changes something, to change it.
///
/// # Errors
/// As an extractor: 401 when nobody is known by the request's credentials, 403 when they may not.
#[derive(Debug, Clone)]
pub struct Admin<N> {
    /// Who.
    pub caller: KnownCaller,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequest for Admin<N> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(caller_of(&request).await?, &request) })
    }
}

impl<N: Needs> Admin<N> {
    /// A known caller, if they may send the request.
    ///
    /// # Errors
    /// 403 with what is needed.
    pub(super) fn of(caller: KnownCaller, request: &HttpRequest) -> Result<Self, Problem> {
        let access = if request.method().is_safe() { AccessKind::Read } else { AccessKind::Write };
        if !caller.permissions.may(N::PERMISSIONS, access) {
            return Err(forbidden(caller.permissions, N::PERMISSIONS, access));
        }
        Ok(Self { caller, needs: PhantomData })
    }
}

impl KnownCaller {
    /// Whether they may make somebody what a role says: nobody gives what they have not got themselves.
    ///
    /// # Errors
    /// 403 with what is needed.
    pub fn may_give(&self, role: Role) -> Result<(), Problem> {
        let needed = Permissions::of_role(role);
        if self.permissions.may(needed, AccessKind::Write) {
            return Ok(());
        }
        let has = self.permissions;
        let detail = format!("to give the role {}, the permission {needed} is needed; you have {has}", role.as_str());
        Err(beyond(detail, needed))
    }
}

/// Says what is needed.
fn forbidden(has: Permissions, needed: Permissions, access: AccessKind) -> Problem {
    let to = match access {
        AccessKind::Read => "read",
        AccessKind::Write => "change",
    };
    beyond(format!("to {to} this, the permission {needed} is needed; you have {has}"), needed)
}

/// The refusal of what is more than somebody may, with what is needed in the form of RFC 6750, section 3.1.
pub(in crate::http) fn beyond(detail: String, needed: Permissions) -> Problem {
    let scopes: Vec<&str> = needed.list().map(Permission::as_str).collect();
    let challenge = format!("Bearer realm=\"permitd\", error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "));
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => {
            Problem::new(ProblemCode::MissingPermission, detail).header(header::WWW_AUTHENTICATE, challenge)
        }
        Err(error) => Problem::internal(error),
    }
}

fn unauthorized() -> Problem {
    Problem::new(ProblemCode::InvalidToken, "send the administrator's token as Authorization: Bearer pmt_admin_…")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"permitd\""))
}

/// What a writing request says beside its body: its idempotency key and the version that it expects.
#[derive(Debug, Clone)]
pub struct Conditions {
    idempotency_key: Option<String>,
    expected_version: Option<u64>,
    request_id: Option<RequestId>,
}

impl FromRequest for Conditions {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::read(request))
    }
}

impl Conditions {
    /// Those of a form: the id that it was made with, so that sending it twice does it once, and the version that it shows.
    pub(super) fn of_form(request: &HttpRequest, once: Option<String>, expected_version: Option<u64>) -> Self {
        Self { idempotency_key: once, expected_version, request_id: RequestId::of(request) }
    }

    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let idempotency_key = text(request.headers(), "idempotency-key")?
            // The draft has a quoted string; many clients send it bare.
            .map(|key| key.trim().trim_matches('"').to_owned());
        if idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            let detail = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters");
            return Err(Problem::new(ProblemCode::InvalidRequest, detail));
        }
        let expected_version = match text(request.headers(), "if-match")?.map(str::trim) {
            None | Some("*") => None,
            Some(etag) => Some(etag.trim_matches('"').parse().map_err(|_| {
                let detail = "If-Match must be the version of an earlier answer, such as \"3\", or *";
                Problem::new(ProblemCode::InvalidRequest, detail)
            })?),
        };
        Ok(Self { idempotency_key, expected_version, request_id: RequestId::of(request) })
    }

    /// The command that `who` gives with this request, where they may repeat it.
    pub fn command(&self, who: &Who) -> Option<CommandId> {
        self.idempotency_key.as_ref().map(|key| CommandId::from_idempotency_key(who, key))
    }

    /// Refuses a version that is expected of something that has none.
    ///
    /// # Errors
    /// 400 with the reason.
    pub fn without_version(&self, reason: &'static str) -> Result<(), Problem> {
        match self.expected_version {
            None => Ok(()),
            Some(_) => Err(Problem::new(ProblemCode::InvalidRequest, format!("leave If-Match out: {reason}"))),
        }
    }

    /// The envelope of the command that `who` gives with this request; `body` are the bytes that were sent.
    ///
    /// # Errors
    /// When no identifier can be made.
    pub fn envelope(
        &self,
        service: &Service,
        who: &Who,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Envelope, Problem> {
        use sha2::{Digest, Sha256};
        let (command, request_hash) = match self.command(who) {
            Some(command) => {
                let mut hash = Sha256::new()
                    .chain_update(request.method().as_str())
                    .chain_update([0])
                    .chain_update(request.path())
                    .chain_update([0])
                    .chain_update(body);
                // Under another condition it is another request: the answer of one does not hold for the other. No body has
                // a zero byte, so that none looks like a condition.
                if let Some(version) = self.expected_version {
                    hash.update([0]);
                    hash.update(version.to_string());
                }
                (command, Some(hex(&hash.finalize())))
            }
            None => (CommandId::unique(service.committer.new_id().map_err(Problem::internal)?), None),
        };
        let correlation_id = self.correlation_id(service)?;
        let origin = Origin { who: who.clone(), correlation_id, causation_id: None };
        Ok(Envelope { request_hash, expected_version: self.expected_version, ..Envelope::new(command, origin) })
    }

    /// The same of somebody who administers: it changes nobody who may more than they do.
    ///
    /// # Errors
    /// As [`Self::envelope`].
    pub fn administering(
        &self,
        service: &Service,
        caller: &KnownCaller,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Envelope, Problem> {
        let envelope = self.envelope(service, &caller.who, request, body)?;
        Ok(Envelope { may: caller.permissions, ..envelope })
    }

    /// What the events of this request are found by. A client may send anything as its request id, an address among others, and
    /// events are never changed: only a UUID is taken over. Another one is told in the log line that names both, which is not
    /// kept for ever.
    pub(super) fn correlation_id(&self, service: &Service) -> Result<String, Problem> {
        if let Some(id) = self.request_id.as_ref().and_then(RequestId::as_uuid) {
            return Ok(id.to_string());
        }
        let made = service.committer.new_id().map_err(Problem::internal)?.to_string();
        tracing::info!(correlation_id = made, "the events of this request bear an id of their own");
        Ok(made)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let detail = format!("the header {name} must be visible ASCII");
    value.to_str().map(Some).map_err(|_| Problem::new(ProblemCode::InvalidRequest, detail))
}
