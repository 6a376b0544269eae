//! Replaces the server secret when the earlier one is lost for good.

use super::{Node, StartError};
use crate::{
    actors::{account::AccountCommand, commit::Envelope},
    domain::{
        event::Origin,
        id::CommandId,
        view::{UserRow, UserStatus},
    },
    failpoint::crash_point,
    secrets::SecretMark,
};

/// The effects of replacing the server secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplacedSecret {
    /// Whether the secret differs from the one that the log remembered.
    pub is_other: bool,
    /// Keys derived from the earlier secret, which are now revoked.
    pub keys_ended: u64,
    /// People without a working key: they need another mail, or an administrator issues them a key.
    pub without_key: Vec<String>,
    /// People with the same address as somebody else: one of the two is to be deleted.
    pub doubled: Vec<(String, String)>,
}

/// Makes the secret of `node` the deployment's: revokes the keys that cannot be derived from it, claims everybody's address under it, and
/// replaces all secret marks in the log. Open `node` with [`super::Purpose::ReplaceSecret`]. An interrupted call must be repeated: until
/// one finishes, no other node starts.
///
/// # Errors
/// When the store does not answer.
pub async fn replace_secret(node: &Node, origin: &Origin) -> Result<ReplacedSecret, StartError> {
    let committer = &node.service.committer;
    let is_other = committer.stores.upkeep.secret_marks().await? != committer.secrets.marks();
    if is_other {
        // From now on no running server can claim an address or issue a key, and none starts.
        committer.stores.upkeep.replace_secret_marks(vec![SecretMark::none()]).await?;
    }
    crash_point("secret-replace-under-way");
    let mut replaced = ReplacedSecret { is_other, ..ReplacedSecret::default() };
    let mut owners = Vec::new();
    let mut everybody = committer.stores.everybody();
    while let Some(people) = everybody.next_page().await? {
        for person in &people {
            if person.status == UserStatus::Deleted {
                continue;
            }
            if let Some(email) = &person.email {
                owners.push((person.id.to_string(), committer.claim_names(email)));
            }
            end_keys(node, person, origin, &mut replaced).await?;
        }
    }
    replaced.doubled = committer.stores.upkeep.reclaim(owners).await?;
    committer.stores.upkeep.replace_secret_marks(committer.secrets.marks()).await?;
    Ok(replaced)
}

async fn end_keys(
    node: &Node,
    person: &UserRow,
    origin: &Origin,
    replaced: &mut ReplacedSecret,
) -> Result<(), StartError> {
    let committer = &node.service.committer;
    let mut works = false;
    for key in committer.stores.views.keys(person.id).await? {
        if key.revoked_at.is_some() {
            continue;
        }
        if committer.secrets.recognises(key.id, &key.hash) {
            works = true;
            continue;
        }
        let command = CommandId::unique(committer.new_id()?);
        let envelope = Envelope::new(command, origin.clone());
        let revoke = AccountCommand::RevokeApiKey { key: key.id };
        node.service.accounts.perform(person.id, revoke, envelope).await?;
        replaced.keys_ended += 1;
    }
    if !works {
        replaced.without_key.push(person.id.to_string());
    }
    Ok(())
}
