//! `permitd dead-letters`: messages that failed too often.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Failure,
    number::whole,
    open::{Data, with_node},
    output::{Table, counted, moment},
};
use crate::{
    app::Node,
    queue::{DeadLetter, Message},
};

/// Dead letters that are sent again at once.
const REDRIVE_MAX: usize = 10_000;

/// List messages that failed too often, and send them again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters list
  permitd dead-letters redrive --all")]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    List(ListDeadLettersArgs),
    Redrive(Redrive),
}

/// List dead letters with their reasons, the last first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters list --json")]
struct ListDeadLettersArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=10_000_u32))]
    limit: u32,
}

/// Send dead letters again, when what made them fail has been put right
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters redrive 42
  permitd dead-letters redrive --all")]
struct Redrive {
    /// The ids, as `permitd dead-letters list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl DeadLetters {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| match self.command {
            DeadLettersCommand::List(ListDeadLettersArgs { limit }) => {
                list(&node, usize::try_from(limit).unwrap_or(usize::MAX)).await
            }
            DeadLettersCommand::Redrive(redrive) => redrive.answer(&node).await,
        })
    }
}

async fn list(node: &Node, limit: usize) -> Result<CommandAnswer, Failure> {
    let letters = node.service.committer.queue.dead_letters(limit).await?;
    let mut table = Table::new(&["ID", "DIED", "RECEIVED", "ABOUT", "REASON"]);
    for letter in &letters {
        table.row([
            letter.id.clone(),
            moment(Some(letter.died_at)),
            letter.receives.to_string(),
            about(letter),
            letter.reason.clone(),
        ]);
    }
    Ok(CommandAnswer::new(json!({ "dead_letters": letters }), table.render()))
}

/// The event that a letter is about, when it can be read.
fn about(letter: &DeadLetter) -> String {
    match serde_json::from_str(&letter.body) {
        Ok(Message::V1(message)) => format!("{} {}", message.type_name, message.stream),
        Err(_) => "unreadable".to_owned(),
    }
}

impl Redrive {
    async fn answer(self, node: &Node) -> Result<CommandAnswer, Failure> {
        let queue = &node.service.committer.queue;
        let ids = match self.all {
            true => queue.dead_letters(REDRIVE_MAX).await?.into_iter().map(|letter| letter.id).collect(),
            false => self.ids,
        };
        for id in &ids {
            queue.redrive(id).await?;
        }
        node.settle().await?;
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        Ok(CommandAnswer::new(json!({ "redriven": ids }), format!("{} sent again", counted(count, "dead letter"))))
    }
}
