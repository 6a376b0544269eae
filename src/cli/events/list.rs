//! `permitd events list`.

use clap::Args;
use serde_json::{Value, json};

use super::wanted::known_type;
use crate::{
    cli::{CommandAnswer, Failure, number::whole, output::Table, people},
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
    },
    store::Stores,
};

/// Commits that are read at once.
const PAGE_COMMITS: usize = 256;

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
pub(super) struct ListEventsArgs {
    /// Only of this stream: user#<id>, plan#<name> or dataset#<name>
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only of this user's stream: their address or id
    #[arg(long, value_name = "EMAIL", conflicts_with = "stream")]
    user: Option<String>,
    /// Only of this type, such as ApiKeyIssued
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only of this request: its id, as the answer's x-request-id has it
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
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

impl ListEventsArgs {
    pub(super) async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
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
        if self.correlation.as_ref().is_some_and(|id| !persisted::belongs_to(commit, id)) {
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
