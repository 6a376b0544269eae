//! `permitd secret`: the server secret.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{must_exist, origin, quiet_log},
    output::{confirmed, counted},
};
use crate::{
    app::{self, Node, Purpose, ReplacedSecret, replace_secret},
    clock::SystemClock,
    secrets::SystemEntropy,
};

/// What is asked before it happens.
const QUESTION: &str = "Go on with the server secret that is there, or a new one? Every key that was derived from another ends \
                        for ever, and each person needs another mail.";

/// Look after the server secret, from which all keys are derived
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd secret replace")]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    Replace(Replace),
}

/// Go on with another server secret, when the one of before is lost for good
///
/// Restore the secret from your backup instead, if there is one: then nothing is lost. Without it no key can be recognised. This
/// takes the secret that is there now, or makes one; revokes every key that was derived from another; and claims everybody's
/// address anew. The log stays. Send each person another mail afterwards: `permitd users resend`. No server may run meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd secret replace --yes")]
struct Replace {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl SecretArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let SecretCommand::Replace(replace) = self.command;
        replace.run(common)
    }
}

impl Replace {
    fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        must_exist(&settings)?;
        quiet_log(&settings)?;
        if !self.yes && !confirmed(QUESTION, "keys that end cannot be brought back")? {
            return Err(Failure::new(Exit::Refused, "the server secret is as it was"));
        }
        app::block_on(async {
            let (address, entropy) = (settings.listen, Arc::new(SystemEntropy));
            let node =
                Node::open(settings, SystemClock::shared(), entropy, Purpose::ReplaceSecret, address, None).await?;
            let id = node.service.committer.new_id().map_err(|error| Failure::unavailable(error.to_string()))?;
            let replaced = replace_secret(&node, &origin(id)).await?;
            if let Err(error) = node.service.committer.stores.upkeep.close().await {
                tracing::debug!(%error, "the database was not closed in order; nothing is lost");
            }
            Ok(answer(&replaced))
        })
    }
}

fn answer(replaced: &ReplacedSecret) -> CommandAnswer {
    let ReplacedSecret { is_other, keys_ended, without_key, doubled } = replaced;
    let people = u64::try_from(without_key.len()).unwrap_or(u64::MAX);
    let what = match is_other {
        true => "The server secret is another one now.",
        false => {
            "The server secret is the one that was in use: nothing was replaced. For another one, move it away first."
        }
    };
    let mut text = format!(
        "{what}\n{} ended. {} without a key that works",
        counted(*keys_ended, "key"),
        counted(people, "person")
    );
    text.push_str(if people == 0 { ".\n" } else { ":\n" });
    for user in without_key {
        text.push_str(&format!("  permitd users resend {user}\n"));
    }
    for (one, other) in doubled {
        text.push_str(&format!("{one} and {other} have one address: delete one of them.\n"));
    }
    let doubled: Vec<_> = doubled.iter().map(|(one, other)| json!([one, other])).collect();
    CommandAnswer::new(
        json!({ "replaced": is_other, "keys_ended": keys_ended, "without_key": without_key, "doubled": doubled }),
        text,
    )
}
