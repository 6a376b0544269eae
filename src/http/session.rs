//! Who is asking: what a caller may do is part of a handler's arguments.

use std::{future::Future, marker::PhantomData, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderValue},
    web,
};
use jiff::Timestamp;

pub use super::conditions::Conditions;
use super::{
    Problem, ProblemCode,
    credentials::{self, InHeaders, NoCredential, beyond},
    signed_in::SignedIn,
    state::{OldToken, Service},
    wire,
};
use crate::{
    actors::commit::Envelope,
    domain::{
        credential::{Credential, CredentialKind},
        event::Role,
        id::Who,
        key::{AdminToken, KeyHash, KeyId},
        permission::{AccessKind, Permission, Permissions},
    },
};

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
    let row = committer.stores.views.admin_token(id).await.map_err(super::store_problem::store_problem)?;
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

impl Conditions {
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
}

fn unauthorized() -> Problem {
    Problem::new(ProblemCode::InvalidToken, "send the administrator's token as Authorization: Bearer pmt_admin_…")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"permitd\""))
}
