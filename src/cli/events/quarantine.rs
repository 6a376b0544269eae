//! `permitd events quarantine` and `permitd events release`.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        CommandAnswer, Failure,
        open::who,
        output::{Table, counted, moment},
    },
    clock::SystemClock,
    domain::{id::StreamId, text},
    replay::{self, QuarantineError},
    store::Stores,
};

/// Quarantines that have ended and are listed.
const PAST_MAX: usize = 100;

/// Set aside a stream that cannot be read, so that everything else goes on
///
/// For a stream with an event that is damaged, or that only a newer permitd knows. Meanwhile its person's keys, sessions and commands are
/// refused; a plan or a data set stays as it is and takes no commands; its messages wait in the queue as long as that keeps them; replay
/// and verify go over it and name it. Who did so, when and why is recorded. A server that is running knows of it within a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events quarantine plan#small --reason damaged
  permitd events quarantine --list
  permitd events quarantine --list --json")]
pub(super) struct QuarantineArgs {
    /// The stream, as the error names it: user#<id>, plan#<name>, dataset#<name> or tokens#admin
    #[arg(value_name = "STREAM", required_unless_present = "list", requires = "reason")]
    stream: Option<String>,
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Show the streams in quarantine, and those that have been
    #[arg(long, conflicts_with_all = ["stream", "reason"])]
    list: bool,
}

/// Take a stream out of quarantine, once it can be read
///
/// Refused while it still cannot be read. Its rows are written from all of its commits; what waits in the queue goes on within minutes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events release plan#small")]
pub(super) struct Release {
    /// The stream, as `permitd events quarantine --list` shows it
    #[arg(value_name = "STREAM")]
    stream: String,
}

impl QuarantineArgs {
    pub(super) async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let (Some(stream), Some(reason)) = (&self.stream, &self.reason) else { return list(stores).await };
        let Some(reason) = text::one_line(reason).map_err(|error| Failure::usage(format!("--reason: {error}")))? else {
            return Err(Failure::usage("--reason: say why, for whoever meets it"));
        };
        let stream = parsed(stream)?;
        let now = SystemClock::shared().now();
        let set_aside = replay::quarantine(stores, &stream, (&who().0, now), reason).await?;
        let text = format!(
            "{stream} is in quarantine: {}\nIt is refused everywhere within a second. Once this permitd can read it: permitd events \
             release {stream}",
            set_aside.problem
        );
        Ok(CommandAnswer::new(json!({ "quarantined": set_aside.document() }), text))
    }
}

impl Release {
    pub(super) async fn answer(self, stores: &Stores) -> Result<CommandAnswer, Failure> {
        let stream = parsed(&self.stream)?;
        let released = replay::release(stores, &stream, (&who().0, SystemClock::shared().now())).await?;
        let text = format!("{stream} is out of quarantine");
        Ok(CommandAnswer::new(json!({ "released": released.document() }), text))
    }
}

fn parsed(stream: &str) -> Result<StreamId, Failure> {
    StreamId::parse(stream).map_err(|error| Failure::usage(format!("STREAM: {error}")))
}

async fn list(stores: &Stores) -> Result<CommandAnswer, Failure> {
    let (quarantined, past) = (stores.quarantines.fresh().await?, stores.quarantines.past(PAST_MAX).await?);
    let mut table = Table::new(&["STREAM", "SINCE", "WHO", "REASON", "RELEASED", "BY"]);
    let (mut present, mut ended): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for quarantine in quarantined.iter() {
        let (stream, since) = (quarantine.stream.to_string(), moment(Some(quarantine.since)));
        table.row([stream, since, quarantine.who.clone(), quarantine.reason.clone(), moment(None), String::new()]);
        present.push(json!(quarantine.document()));
    }
    for past in &past {
        let quarantine = &past.quarantine;
        let (stream, since) = (quarantine.stream.to_string(), moment(Some(quarantine.since)));
        let (who, reason) = (quarantine.who.clone(), quarantine.reason.clone());
        table.row([stream, since, who, reason, moment(Some(past.released_at)), past.released_by.clone()]);
        let mut document = json!(quarantine.document());
        if let Some(fields) = document.as_object_mut() {
            fields.insert("released_at".to_owned(), json!(past.released_at));
            fields.insert("released_by".to_owned(), json!(past.released_by));
        }
        ended.push(document);
    }
    let mut text = table.render();
    for quarantine in quarantined.iter() {
        text.push_str(&format!("{}: {}\n", quarantine.stream, quarantine.problem));
    }
    Ok(CommandAnswer::new(json!({ "quarantined": present, "released": ended }), text))
}

/// What replay and verify say of the streams that they went over.
pub(super) fn gone_over(streams: &std::collections::BTreeSet<StreamId>) -> String {
    if streams.is_empty() {
        return String::new();
    }
    let names: Vec<String> = streams.iter().map(ToString::to_string).collect();
    let count = u64::try_from(streams.len()).unwrap_or(u64::MAX);
    format!("in quarantine, as far as it can be read: {} ({})\n", counted(count, "stream"), names.join(", "))
}

/// The streams as texts.
pub(super) fn named(streams: &std::collections::BTreeSet<StreamId>) -> Value {
    streams.iter().map(ToString::to_string).collect()
}

impl From<QuarantineError> for Failure {
    fn from(error: QuarantineError) -> Self {
        use crate::cli::Exit;
        let exit = match &error {
            QuarantineError::NoStream(_) | QuarantineError::NotQuarantined(_) => Exit::NotFound,
            QuarantineError::Readable(_) | QuarantineError::Already(_) | QuarantineError::TooMany => Exit::Refused,
            QuarantineError::Unreadable { .. } => Exit::Damaged,
            QuarantineError::Store(_) => {
                let QuarantineError::Store(error) = error else { return Self::unavailable(error.to_string()) };
                return error.into();
            }
        };
        Self::new(exit, error.to_string())
    }
}
