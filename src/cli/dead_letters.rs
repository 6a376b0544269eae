//! `permitd dead-letters`: messages that failed too often.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    number::whole,
    open::{Data, who, with_node},
    output::{Table, confirmed, counted, moment},
};
use crate::{
    app::Node,
    queue::{
        DeadLetter, Message,
        letters::{BULK_MAX, FoundLetters, LetterAct, LetterFilter, LetterGroup, grouped},
    },
};

/// List messages that failed too often, send them again, or discard them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters list
  permitd dead-letters redrive --type UserInvited --dry-run
  permitd dead-letters redrive --all")]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    List(ListDeadLettersArgs),
    Redrive(Redrive),
    Discard(Discard),
}

/// Which letters.
#[derive(Debug, Args)]
struct Which {
    /// Only those whose reason has this part
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those about events of this type, such as UserInvited
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
}

impl Which {
    fn filter(&self, ids: Option<Vec<String>>) -> LetterFilter {
        LetterFilter { reason: self.reason.clone(), type_name: self.type_name.clone(), ids, died_until: None }
    }
}

/// List dead letters with their reasons, the last first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters list --json
  permitd dead-letters list --summary
  permitd dead-letters list --type UserInvited --reason outbox")]
struct ListDeadLettersArgs {
    #[command(flatten)]
    which: Which,
    /// Show how many there are by type and reason, of ten thousand at most
    #[arg(long, conflicts_with = "limit")]
    summary: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=10_000_u32))]
    limit: u32,
}

/// Send dead letters again, when what made them fail has been put right
///
/// By id, by reason and type, or all; at most ten thousand at once, and it says how many are left. By reason and type it shows first
/// which those are, and asks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters redrive 42
  permitd dead-letters redrive --type UserInvited --reason outbox --dry-run
  permitd dead-letters redrive --type UserInvited --yes      without asking, for scripts
  permitd dead-letters redrive --all")]
struct Redrive {
    /// The ids, as `permitd dead-letters list` shows them
    #[arg(value_name = "ID", required_unless_present_any = ["all", "reason", "type_name"], conflicts_with_all = ["all", "reason", "type_name"])]
    ids: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with_all = ["reason", "type_name"])]
    all: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sure: Sure,
}

/// Remove dead letters for good: nothing of what they ask for is done
///
/// By id, or by reason and type; at most ten thousand at once, and it says how many are left. It shows first which those are, and asks.
/// The answer tells each of them: it is the only record. Somebody whose invitation was discarded gets it by `permitd users resend`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd dead-letters discard 42 --yes
  permitd dead-letters discard --type UserInvited --reason refused --dry-run
  permitd dead-letters discard --type UserInvited --reason refused --yes --json")]
struct Discard {
    /// The ids, as `permitd dead-letters list` shows them
    #[arg(value_name = "ID", required_unless_present_any = ["reason", "type_name"], conflicts_with_all = ["reason", "type_name"])]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sure: Sure,
}

/// Whether to do it.
#[derive(Debug, Args)]
struct Sure {
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

impl DeadLetters {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        with_node(common.settings(&[])?, Data::MustExist, async |node| match self.command {
            DeadLettersCommand::List(list) => list.answer(&node).await,
            DeadLettersCommand::Redrive(Redrive { ids, all, which, sure }) => {
                // Whoever names letters one by one, or all of them, knows which they are.
                let is_sure = all || !ids.is_empty();
                let wanted = which.filter(Some(ids).filter(|ids| !ids.is_empty()));
                settle(&node, LetterAct::Redrive, wanted, Sure { yes: sure.yes || is_sure, ..sure }).await
            }
            DeadLettersCommand::Discard(Discard { ids, which, sure }) => {
                let wanted = which.filter(Some(ids).filter(|ids| !ids.is_empty()));
                settle(&node, LetterAct::Discard, wanted, sure).await
            }
        })
    }
}

impl ListDeadLettersArgs {
    async fn answer(self, node: &Node) -> Result<CommandAnswer, Failure> {
        let limit = if self.summary { BULK_MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) };
        let found = node.service.committer.queue.find_dead(&self.which.filter(None), limit).await?;
        if self.summary {
            let groups = grouped(&found.letters);
            let document = json!({ "matching": found.matching, "groups": groups });
            return Ok(CommandAnswer::new(document, table_of(&groups)));
        }
        let mut table = Table::new(&["ID", "DIED", "RECEIVED", "ABOUT", "REASON"]);
        for letter in &found.letters {
            table.row([
                letter.id.clone(),
                moment(Some(letter.died_at)),
                letter.receives.to_string(),
                about(letter),
                letter.reason.clone(),
            ]);
        }
        let listed = u64::try_from(found.letters.len()).unwrap_or(u64::MAX);
        if found.matching > listed {
            eprintln!("there are {} in all: --limit, or --summary", found.matching);
        }
        let document = json!({ "dead_letters": found.letters, "matching": found.matching });
        Ok(CommandAnswer::new(document, table.render()))
    }
}

fn table_of(groups: &[LetterGroup]) -> String {
    let mut table = Table::new(&["COUNT", "TYPE", "REASON"]);
    for LetterGroup { type_name, reason, count } in groups {
        table.row([count.to_string(), type_name.clone(), reason.clone()]);
    }
    table.render()
}

/// The event that a letter is about, when it can be read.
fn about(letter: &DeadLetter) -> String {
    match serde_json::from_str(&letter.body) {
        Ok(Message::V1(message)) => format!("{} {}", message.type_name, message.stream),
        Err(_) => "unreadable".to_owned(),
    }
}

/// Redrives or discards letters, after showing which.
async fn settle(node: &Node, act: LetterAct, wanted: LetterFilter, sure: Sure) -> Result<CommandAnswer, Failure> {
    let queue = &node.service.committer.queue;
    let found = queue.find_dead(&wanted, BULK_MAX).await?;
    let missing = |id: &&String| !found.letters.iter().any(|letter| letter.id == **id);
    if let Some(id) = wanted.ids.iter().flatten().find(missing) {
        return Err(Failure::not_found(format!(
            "there is no dead letter {id}; `permitd dead-letters list` shows them"
        )));
    }
    let groups = grouped(&found.letters);
    let (deed, done) = match act {
        LetterAct::Redrive => ("send again", "sent again"),
        LetterAct::Discard => ("discard", "discarded"),
    };
    let count = u64::try_from(found.letters.len()).unwrap_or(u64::MAX);
    if sure.dry_run {
        let text = format!("{}would {deed} {}{}", table_of(&groups), counted(count, "dead letter"), rest(&found));
        let document = json!({ "dry_run": true, "matching": found.matching, "groups": groups });
        return Ok(CommandAnswer::new(document, text));
    }
    if !sure.yes && count > 0 {
        eprint!("{}", super::printable::printable(&table_of(&groups)));
        let what = counted(count, "dead letter");
        let because = format!("it would {deed} {what}");
        if !confirmed(&format!("{} {what}?", capital(deed)), &because)? {
            return Err(Failure::new(Exit::Refused, format!("nothing was {done}")));
        }
    }
    let ids: Vec<String> = found.letters.iter().map(|letter| letter.id.clone()).collect();
    let settled = queue.settle_dead(act, &ids).await?;
    let number = u64::try_from(settled.len()).unwrap_or(u64::MAX);
    let left = found.matching.saturating_sub(number);
    let text = match left {
        0 => format!("{} {done}", counted(number, "dead letter")),
        _ => format!("{} {done}; {left} are left: repeat the command", counted(number, "dead letter")),
    };
    let document = match act {
        LetterAct::Redrive => {
            node.settle().await?;
            json!({ "redriven": settled, "left": left })
        }
        LetterAct::Discard => {
            tracing::warn!(discarded = number, who = %who(), "dead letters were discarded");
            let gone: Vec<&DeadLetter> = found.letters.iter().filter(|letter| settled.contains(&letter.id)).collect();
            json!({ "discarded": gone, "left": left })
        }
    };
    Ok(CommandAnswer::new(document, text))
}

/// What is said where not all could be looked through.
fn rest(found: &FoundLetters) -> String {
    match (found.matching.saturating_sub(u64::try_from(found.letters.len()).unwrap_or(0)), found.is_whole) {
        (0, true) => String::new(),
        (0, false) => ", and perhaps more: not all dead letters could be looked through".to_owned(),
        (further, _) => format!(", and leave {further} for the next time"),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
