//! `permitd events checkpoints`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::checkpoint::{self, CheckpointName};
use crate::{
    cli::{CommandAnswer, Failure, open::must_exist, output::Table},
    config::Settings,
};

/// List and remove the checkpoints of `permitd events tail`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events checkpoints list
  permitd events checkpoints remove audit")]
pub(super) struct Checkpoints {
    #[command(subcommand)]
    command: CheckpointsCommand,
}

#[derive(Debug, Subcommand)]
enum CheckpointsCommand {
    List(ListCheckpoints),
    Remove(RemoveCheckpoint),
}

/// List the checkpoints of this data directory, with how far each has come
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events checkpoints list --json")]
struct ListCheckpoints {}

/// Remove a checkpoint that nobody uses: who reads under its name begins anew
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events checkpoints remove audit")]
struct RemoveCheckpoint {
    /// Its name
    #[arg(value_parser = CheckpointName::parse)]
    name: CheckpointName,
}

impl Checkpoints {
    pub(super) fn answer(self, settings: &Settings) -> Result<CommandAnswer, Failure> {
        must_exist(settings)?;
        match self.command {
            CheckpointsCommand::List(ListCheckpoints {}) => list(settings),
            CheckpointsCommand::Remove(RemoveCheckpoint { name }) => match checkpoint::remove(settings, &name)? {
                true => Ok(CommandAnswer::new(json!({ "removed": name.to_string() }), format!("{name} was removed"))),
                false => Err(Failure::not_found(format!(
                    "there is no checkpoint {name}; `permitd events checkpoints list` shows them"
                ))),
            },
        }
    }
}

fn list(settings: &Settings) -> Result<CommandAnswer, Failure> {
    let mut table = Table::new(&["NAME", "POSITION"]);
    let mut documents: Vec<Value> = Vec::new();
    for (name, reached) in checkpoint::all(settings)? {
        table.row([name.to_string(), reached.position().to_string()]);
        // As text: over DynamoDB it is larger than JavaScript's exact numbers.
        documents.push(json!({ "name": name.to_string(), "position": reached.position().to_string() }));
    }
    Ok(CommandAnswer::new(json!({ "checkpoints": documents }), table.render()))
}
