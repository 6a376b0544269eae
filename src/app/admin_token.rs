//! Makes administrators' tokens with all permissions: the first one, and those that an operator makes to get in again.

use zeroize::Zeroizing;

use super::StartError;
use crate::{
    actors::{
        commit::{CommandError, Envelope},
        tokens::TokenOrder,
    },
    domain::{
        admin_token::{FIRST_TOKEN, Others},
        event::Origin,
        id::{CommandId, Who},
        permission::Permissions,
    },
    http::state::Service,
    store::StoreError,
};

/// Makes an administrator's token that has all permissions and never expires; `replace` ends all other tokens. Only the token's SHA-256 is
/// stored.
///
/// # Errors
/// When the token cannot be stored.
pub async fn new_admin_token(service: &Service, who: Who, replace: bool) -> Result<Zeroizing<String>, StartError> {
    let others = if replace { Others::End } else { Others::Stay };
    // `make` returns `None` only for a token that must be the first.
    let refused = || StoreError::Corrupt("a token that was not to be the first was not taken".to_owned());
    Ok(make(service, None, others, who).await?.ok_or_else(refused)?)
}

/// Makes the first token; returns `None` when there was one before.
pub(super) async fn first_admin_token(service: &Service) -> Result<Option<Zeroizing<String>>, StartError> {
    make(service, Some(FIRST_TOKEN), Others::MustBeNone, Who::system("start")).await
}

async fn make(
    service: &Service,
    name: Option<&str>,
    others: Others,
    who: Who,
) -> Result<Option<Zeroizing<String>>, StartError> {
    let id = service.committer.new_id()?;
    let order = TokenOrder { name: name.map(ToOwned::to_owned), permissions: Permissions::ALL, expires_at: None };
    let envelope =
        Envelope::new(CommandId::unique(id), Origin { who, correlation_id: id.to_string(), causation_id: None });
    let made = service.tokens.issue(order, others, envelope).await?;
    let shown = made.map(|made| made.shown.map_err(|_| CommandError::Contended)).transpose()?;
    Ok(shown.map(|token| Zeroizing::new(token.reveal().to_owned())))
}
