//! Going on with another server secret, when the one of before is lost for good.

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

/// What another server secret led to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplacedSecret {
    /// Whether the secret is another one than the log remembered.
    pub is_other: bool,
    /// Keys that were derived from the one of before, and are revoked now.
    pub keys_ended: u64,
    /// People without a key that works: they need another mail, or an administrator issues them one.
    pub without_key: Vec<String>,
    /// People whose address somebody else has, too: one of both is to be deleted.
    pub doubled: Vec<(String, String)>,
}

/// Makes the secret of `node` the deployment's: ends the keys that cannot be derived from it, claims everybody's address under
/// it, and has the log remember it in place of all others. `node` was opened for that ([`super::Purpose::ReplaceSecret`]).
/// When it is interrupted it is to be repeated: until it has ended no other node starts.
///
/// # Errors
/// When the store does not answer.
pub async fn replace_secret(node: &Node, origin: &Origin) -> Result<ReplacedSecret, StartError> {
    let committer = &node.service.committer;
    let is_other = committer.stores.upkeep.secret_marks().await? != committer.secrets.marks();
    if is_other {
        // From now on no server that is still at work can claim an address or issue a key, and none starts.
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
