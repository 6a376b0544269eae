//! Making administrators' tokens.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::StartError;
use crate::{
    actors::commit::Committer,
    domain::key::KeyId,
    store::{PutToken, StoreError},
};

/// Makes an administrator's token; with `replace` the others stop working. Only its SHA-256 is kept.
///
/// # Errors
/// When there are no random bytes or the token cannot be stored.
pub async fn new_admin_token(committer: &Committer, replace: bool) -> Result<Zeroizing<String>, StartError> {
    let how = if replace { PutToken::Instead } else { PutToken::Beside };
    // Only a token that is to be the first can come too late.
    let refused = || StoreError::Corrupt("a token that was not to be the first was not taken".to_owned());
    Ok(put_admin_token(committer, how).await?.ok_or_else(refused)?)
}

pub(super) async fn put_admin_token(
    committer: &Committer,
    how: PutToken,
) -> Result<Option<Zeroizing<String>>, StartError> {
    let mut random = [0; 12];
    committer.entropy.fill(&mut random)?;
    let token = committer.secrets.admin_token(KeyId::from_random(random))?;
    let id: Uuid = committer.new_id()?;
    let now = committer.clock.now();
    let put = committer.stores.admin_tokens.put(&id.to_string(), &token.hash().to_hex(), now, how).await?;
    Ok(put.then(|| Zeroizing::new(token.reveal().to_owned())))
}
