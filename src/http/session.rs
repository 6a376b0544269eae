//! Callers of the administration: a handler's argument types say which permissions it needs.

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
    routes::refusal::command_problem,
    signed_in::SignedIn,
    state::{OldToken, Service},
    wire,
};
use crate::{
    actors::commit::{CommandError, Envelope},
    domain::{
        credential::{Credential, CredentialKind},
        event::Role,
        id::{StreamId, Who},
        key::{AdminToken, KeyHash, KeyId},
        permission::{AccessKind, Permission, Permissions},
    },
};

/// A known caller of the administration.
#[derive(Debug, Clone)]
pub struct KnownCaller {
    /// Who, for the log: `admin:<token id>` or `user:<id>`.
    pub who: Who,
    /// The caller's permissions.
    pub permissions: Permissions,
    /// When they end, if ever.
    pub until: Option<Timestamp>,
}

/// Finds the caller by the credential of a request.
///
/// # Errors
/// 401 without a credential that works.
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

/// The caller with this administrator's token.
async fn of_token(service: &Service, token: &str) -> Result<Option<KnownCaller>, Problem> {
    Ok(token_of(service, token).await?.map(|(_, caller)| caller))
}

/// The id of an administrator's token and the caller that it stands for. Only the store knows whether the token still works, so the store
/// is asked each time.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn token_of(service: &Service, token: &str) -> Result<Option<(KeyId, KnownCaller)>, Problem> {
    let hash = KeyHash::of(token.as_bytes());
    if let Some(of_run) = service.rehearsed.as_ref().map(|rehearsed| rehearsed.token).filter(|known| known.hash == hash)
    {
        return Ok(Some((of_run.id, caller_of_run(of_run.id))));
    }
    let Some(OldToken { id, who }) = known(service, token, hash) else { return Ok(None) };
    let committer = &service.committer;
    match committer.refuse_quarantined(&StreamId::AdminTokens).await {
        Err(CommandError::Quarantined(_)) => return Ok(None),
        known => known.map_err(command_problem)?,
    }
    let row = committer.stores.views.admin_token(id).await.map_err(super::store_problem::store_problem)?;
    let now = committer.clock.now();
    let Some(row) = row.filter(|row| row.hash == hash && row.works(now)) else { return Ok(None) };
    service.token_uses.note(&*committer.stores.admin_tokens, id, now).await;
    Ok(Some((id, KnownCaller { who, permissions: row.permissions(), until: row.expires_at })))
}

/// The caller with the token of a process that only shows a copy: they see everything.
pub(super) fn caller_of_run(id: KeyId) -> KnownCaller {
    KnownCaller { who: Who::token(id.as_str()), permissions: Permissions::ALL.only_reading(true), until: None }
}

/// The token to look up in the store: one derived from this deployment's secret, or one that existed when the node started, in either
/// form. Any other text costs no look-up.
fn known(service: &Service, token: &str, hash: KeyHash) -> Option<OldToken> {
    if let Some(old) = service.old_tokens.get(&hash.to_hex()) {
        return Some(old.clone());
    }
    let secrets = &service.committer.secrets;
    // A node whose secret is not the deployment's any more cannot recognise a wrong token.
    let may_be = secrets.recognises_admin_token(token) || secrets.doubted().is_some();
    let id = AdminToken::id_in(token).filter(|_| may_be)?;
    Some(OldToken { id, who: Who::token(id.as_str()) })
}

/// The permissions that a route needs, as a type for its handler's arguments.
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
    /// All permissions: nobody may make a token with permissions that they lack.
    OfAll = Permissions::ALL;
}

/// A caller with the permissions of `N`: to read, or, if the method changes something, to write.
///
/// # Errors
/// As an extractor: 401 without a known caller, 403 without the permissions.
#[derive(Debug, Clone)]
pub struct Admin<N> {
    /// The caller.
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
    /// Checks that a known caller may send the request.
    ///
    /// # Errors
    /// 403 with the permissions needed.
    pub(super) fn of(caller: KnownCaller, request: &HttpRequest) -> Result<Self, Problem> {
        let access = if request.method().is_safe() { AccessKind::Read } else { AccessKind::Write };
        if !caller.permissions.may(N::PERMISSIONS, access) {
            return Err(forbidden(caller.permissions, N::PERMISSIONS, access));
        }
        Ok(Self { caller, needs: PhantomData })
    }
}

impl KnownCaller {
    /// Checks that the caller may give a role: nobody gives permissions that they lack.
    ///
    /// # Errors
    /// 403 with the permissions needed.
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

/// The refusal that names the permissions needed.
fn forbidden(has: Permissions, needed: Permissions, access: AccessKind) -> Problem {
    let to = match access {
        AccessKind::Read => "read",
        AccessKind::Write => "change",
    };
    beyond(format!("to {to} this, the permission {needed} is needed; you have {has}"), needed)
}

impl Conditions {
    /// The envelope of an administrator's command, with their permissions: it must not change anyone who has more.
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
