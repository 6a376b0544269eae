//! `permitd keys show`, and keys as they were.

use clap::Args;
use serde_json::{Value, json};

use super::shown::{document, find, key_facts, table_at};
use crate::{
    app::Node,
    cli::{
        CommandAnswer, Common, Failure,
        open::{Data, with_node},
        output::{facts, moment},
        people::{self, shown_email},
    },
    domain::{event::AsOf, id::StreamId, view::KeyRow},
    store::last_use::{UsedKey, UsedLast},
};

/// Show a key: never the key itself, of which only a hash is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd keys show 3fE9kQ0aZb7LmN2p
  permitd keys show 3fE9kQ0aZb7LmN2p --as-of 2026-03-01T12:00:00Z
  permitd keys show 3fE9kQ0aZb7LmN2p --as-of position:1200 --json")]
pub(super) struct ShowKeyArgs {
    /// The key's id, as `permitd keys list` shows it
    #[arg(value_name = "KEY_ID")]
    key: String,
    /// As it was at this moment, at this position of the log (position:1200), or right after this version of its owner's stream
    #[arg(long, value_name = "TIME|POSITION", value_parser = AsOf::parse)]
    as_of: Option<AsOf>,
}

impl ShowKeyArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| {
            let (key, user) = find(&node, &self.key).await?;
            let Some(as_of) = self.as_of else {
                let shown = node.service.committer.stores.with_uses(user.id, vec![key]).await?;
                let shown = shown.into_iter().next();
                let shown = shown.ok_or_else(|| Failure::not_found("the key is not there any more"))?;
                let mut lines = key_facts(&shown.row, node.service.committer.clock.now());
                lines.insert(1, ("user", shown_email(&user).to_owned()));
                lines.push(("last used", moment(shown.used.at)));
                lines.push(("used from", shown.used.from.clone().unwrap_or_default()));
                return Ok(CommandAnswer::new(document(&shown, &user), facts(&lines)));
            };
            let past = node.service.committer.load_as_of(&StreamId::User(user.id), as_of).await?;
            let (owner, keys) = past.person().unwrap_or((user, Vec::new()));
            let found = keys.into_iter().find(|row| row.id == key.id);
            let row = found.ok_or_else(|| Failure::not_found(format!("there was no key {} then", key.id)))?;
            let mut lines = key_facts(&row, past.at);
            lines.insert(1, ("user", shown_email(&owner).to_owned()));
            Ok(CommandAnswer::new(document(&unused(row), &owner), facts(&lines)))
        })
    }
}

/// A key as it was: the log does not tell of single uses.
fn unused(row: KeyRow) -> UsedKey {
    UsedKey { row, used: UsedLast::default() }
}

/// Somebody's keys as they were.
pub(super) async fn past_list(node: &Node, user: &str, as_of: AsOf) -> Result<CommandAnswer, Failure> {
    let committer = &node.service.committer;
    let id = people::find(&*committer.stores.views, user).await?.id;
    let past = committer.load_as_of(&StreamId::User(id), as_of).await?;
    let no_user = || Failure::not_found(format!("there was no user {id} then"));
    let (user, keys) = past.person().ok_or_else(no_user)?;
    let keys: Vec<UsedKey> = keys.into_iter().map(unused).collect();
    let documents: Vec<Value> = keys.iter().map(|key| document(key, &user)).collect();
    let text = table_at(keys.iter().map(|key| (shown_email(&user), &key.row, &key.used)), past.at);
    Ok(CommandAnswer::new(json!({ "keys": documents }), text))
}
