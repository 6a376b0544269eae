//! `permitd events`: the log and its views. None of these commands gets a queue or a mailer.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    CommandAnswer, Common, Exit, Failure,
    number::whole,
    open::stores,
    output::{Table, counted, facts, grouped},
    people, progress,
};
use crate::{
    app::{self, StartError},
    clock::SystemClock,
    domain::{
        id::StreamId,
        lineage::Loss,
        persisted::{self, StoredCommit},
        view::ImportRow,
    },
    replay::{self, Difference, Progress, Verified},
    store::{IssuedTwice, Stores, records::RecordStore},
};

/// Commits that are read at once.
const PAGE_COMMITS: usize = 256;
/// Differences that are printed; the others are counted.
const DIFFERENCES_MAX: usize = 1_000;

/// Read the event log; rebuild and verify what follows from it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events list --user ana@example.org
  permitd events verify
  permitd events replay")]
pub(super) struct Events {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    List(ListEventsArgs),
    Replay(Replay),
    Verify(Verify),
}

/// List events in the order in which they were recorded
///
/// Personal data in them stays sealed: `permitd users show` shows it as long as it is not erased.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events list
  permitd events list --user ana@example.org --json
  permitd events list --type ApiKeyRevoked --after 1200 --limit 50
  permitd events list --stream dataset#permits")]
struct ListEventsArgs {
    /// Only of this stream: user#<id>, plan#<name> or dataset#<name>
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only of this user's stream: their address or id
    #[arg(long, value_name = "EMAIL", conflicts_with = "stream")]
    user: Option<String>,
    /// Only of this type, such as ApiKeyIssued
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only what was recorded at this moment or later
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Only what was recorded before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// Only after this position in the log
    #[arg(long, value_name = "POSITION", default_value_t = 0, value_parser = whole(0..=u64::MAX))]
    after: u64,
    /// At most so many, but never half a commit
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=100_000_u32))]
    limit: u32,
}

/// Rebuild every view from the log beside the live ones, and switch over at once
///
/// Works while a server runs. Sends and publishes nothing. After an error the live views are as they were.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events replay
  permitd events replay --json")]
struct Replay {}

/// Rebuild every view from the log and compare: prints each difference
///
/// Records that are gone, older than the log or of another one are differences, too, with what to do about them. Changes
/// nothing. `permitd events replay` repairs what it finds in the views. Over AWS whoever was killed may have left rows that are not
/// written yet: they are counted apart, as no differences, since the next start, or a running server, writes them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events verify
  permitd events verify --json

Exit codes:
  0  there are no differences; rows may wait to be written
  1  there are some")]
struct Verify {}

impl Events {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let stores = stores(common)?;
        match self.command {
            EventsCommand::List(list) => app::block_on(list.answer(&stores)),
            EventsCommand::Replay(Replay {}) => replay(&stores),
            EventsCommand::Verify(Verify {}) => {
                // The records are opened before the log is read: the log has an import before its records exist.
                let records = app::block_on(app::open_records(&common.settings(&[])?, &SystemClock::shared(), None))?;
                verify(&stores, &*records)
            }
        }
    }
}

impl ListEventsArgs {
    async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        if let Some(name) = &self.type_name {
            known_type(name)?;
        }
        let stream = match (&self.stream, &self.user) {
            (Some(stream), _) => {
                Some(StreamId::parse(stream).map_err(|error| Failure::usage(format!("--stream: {error}")))?)
            }
            (None, Some(user)) => Some(StreamId::User(people::find(&*stores.views, user).await?.id)),
            (None, None) => None,
        };
        let events = self.events(stores, stream.as_ref()).await?;
        let next = events.last().filter(|_| events.len() >= self.limit()).map(|event| field(event, "position"));
        let mut table = Table::new(&["POSITION", "RECORDED", "STREAM", "VERSION", "TYPE", "WHO"]);
        for event in &events {
            let columns = ["position", "recorded_at", "stream", "version", "type", "actor"];
            table.row(columns.map(|name| shown(field(event, name))));
        }
        if let Some(next) = next.map(shown) {
            eprintln!("there may be more: --after {next}");
        }
        Ok(CommandAnswer::new(json!({ "events": events, "next": next }), table.render()))
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    async fn events(&self, stores: &Stores, stream: Option<&StreamId>) -> Result<Vec<Value>, Failure> {
        let (mut events, mut position, mut version) = (Vec::new(), self.after, 0);
        loop {
            let commits = match stream {
                Some(stream) => stores.log.load(stream, version, PAGE_COMMITS).await?,
                None => stores.log.read(position, PAGE_COMMITS).await?,
            };
            if let (Some(stream), true, 0) = (stream, commits.is_empty(), version) {
                return Err(Failure::not_found(format!(
                    "there is no stream {stream}; `permitd events list` shows them"
                )));
            }
            for commit in &commits {
                (position, version) = (commit.position, commit.version);
                if commit.position > self.after {
                    events.extend(self.wanted(commit)?);
                }
                if events.len() >= self.limit() {
                    return Ok(events);
                }
            }
            if commits.len() < PAGE_COMMITS {
                return Ok(events);
            }
        }
    }

    fn wanted(&self, commit: &StoredCommit) -> Result<Vec<Value>, Failure> {
        let at = commit.recorded_at;
        if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at >= until) {
            return Ok(Vec::new());
        }
        let mut documents = persisted::positioned(commit)?;
        documents.retain(|event| self.type_name.as_ref().is_none_or(|name| field(event, "type") == name.as_str()));
        Ok(documents)
    }
}

fn field<'a>(event: &'a Value, name: &str) -> &'a Value {
    event.get(name).unwrap_or(&Value::Null)
}

/// A field's value as a person reads it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn known_type(name: &str) -> Result<(), Failure> {
    if persisted::is_type(name) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--type: there is no event type {name:?}; there are: {}",
        persisted::types().join(", ")
    )))
}

/// Runs a replay under a bar.
fn under_bar<T>(
    total: u64,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, replay::ReplayError>,
) -> Result<(T, Duration), Failure> {
    let bar = progress::bar(total, "{bar:32} {human_pos}/{human_len} commits  {msg}");
    let began = Instant::now();
    let done = work(&mut |progress: Progress| {
        bar.set_position(progress.commits);
        bar.set_message(format!("{} events/s", grouped(rate(progress.events, began.elapsed()))));
    });
    let took = began.elapsed();
    progress::finish(&bar);
    Ok((done?, took))
}

/// Events per second.
fn rate(events: u64, took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    u64::try_from(u128::from(events) * 1_000_000 / u128::from(micros)).unwrap_or(u64::MAX)
}

fn told(progress: Progress, took: Duration) -> String {
    format!(
        "{} in {} of {}, {:.2} s, {} events/s",
        counted(progress.events, "event"),
        counted(progress.commits, "commit"),
        counted(progress.streams, "stream"),
        took.as_secs_f64(),
        grouped(rate(progress.events, took))
    )
}

fn with_rate(progress: Progress, took: Duration, further: Value) -> Value {
    let mut document = json!(progress);
    if let (Some(fields), Value::Object(further)) = (document.as_object_mut(), further) {
        fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        fields.insert("events_per_s".to_owned(), json!(rate(progress.events, took)));
        fields.extend(further);
    }
    document
}

fn replay(stores: &Stores) -> Result<CommandAnswer, Failure> {
    let mut space = stores.replay.replay_space()?;
    let total = space.commits_total()?;
    let (progress, took) = under_bar(total, |report| replay::rebuild(&mut *space, report))?;
    let twice = space.issued_twice();
    let mut text: String = twice.iter().filter(|twice| !twice.is_over).map(said_of).collect();
    text.push_str(&format!("every view rebuilt: {}", told(progress, took)));
    let twice: Vec<Value> = twice
        .iter()
        .map(|IssuedTwice { key, first, other, is_over }| {
            json!({ "key": key, "first": first, "other": other, "revoked": is_over })
        })
        .collect();
    Ok(CommandAnswer::new(with_rate(progress, took, json!({ "issued_twice": twice })), text))
}

fn said_of(IssuedTwice { key, first, other, .. }: &IssuedTwice) -> String {
    format!(
        "key {key} was issued to user {first} and to user {other}: it stays the first one's, but both may know it; revoke it for both \
         and issue new ones\n"
    )
}

/// What of the records does not fit the log.
fn losses(imports: &[ImportRow], records: &dyn RecordStore) -> Result<Vec<(Difference, Loss)>, Failure> {
    if replay::verify_records(imports, &records.data_sets()).is_empty() {
        return Ok(Vec::new());
    }
    // The log may have an import that has ended meanwhile.
    app::block_on(records.refresh()).map_err(StartError::from)?;
    Ok(replay::verify_records(imports, &records.data_sets()))
}

fn verify(stores: &Stores, records: &dyn RecordStore) -> Result<CommandAnswer, Failure> {
    let mut space = stores.replay.replay_space()?;
    let total = space.commits_total()?;
    let mut kept: Vec<Difference> = Vec::new();
    let mut keep = |difference| {
        if kept.len() < DIFFERENCES_MAX {
            kept.push(difference);
        }
    };
    let (Verified { differences, waiting, progress, imports }, took) =
        under_bar(total, |report| replay::verify(&mut *space, &mut keep, report))?;
    let losses = losses(&imports, records)?;
    let mut text: String = kept.iter().map(described).collect();
    for (difference, loss) in &losses {
        text.push_str(&format!("{}{loss}: {}\n", described(difference), loss.remedy()));
    }
    let lost = u64::try_from(losses.len()).unwrap_or(u64::MAX);
    let in_views = differences;
    let differences = differences.saturating_add(lost);
    kept.extend(losses.into_iter().map(|(difference, _)| difference));
    let kept_count = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    let unprinted = differences.saturating_sub(kept_count);
    if unprinted > 0 {
        text.push_str(&format!("… and {} more\n", grouped(unprinted)));
    }
    text.push_str(&match waiting {
        0 => String::new(),
        1 => "1 row is not written yet: the next start, or a running server, writes it\n".to_owned(),
        _ => {
            format!("{} rows are not written yet: the next start, or a running server, writes them\n", grouped(waiting))
        }
    });
    text.push_str(&match differences {
        0 => format!("no differences: {}\n", told(progress, took)),
        _ => {
            let advice = if in_views > 0 { "; `permitd events replay` rebuilds the views" } else { "" };
            format!("{}: {}{advice}\n", counted(differences, "difference"), told(progress, took))
        }
    });
    let document = with_rate(progress, took, json!({ "differences": differences, "waiting": waiting, "found": kept }));
    let exit = if differences == 0 { Exit::Done } else { Exit::Differences };
    Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
}

fn described(Difference { row, expected, found }: &Difference) -> String {
    let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "no row".to_owned());
    format!("{row}\n{}", facts(&[("the log says", shown(expected)), ("the view has", shown(found))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate(500, Duration::from_millis(250)), 2_000);
        assert_eq!(rate(500, Duration::ZERO), 500_000_000);
    }

    #[test]
    fn event_types() {
        assert!(known_type("UserInvited").is_ok());
        assert!(known_type("userinvited").unwrap_err().message.contains("ApiKeyRevoked"));
    }
}
