//! `permitd events tail`: the log line by line.
//!
//! Guarantees: every event that is wanted is written, at least once. A line is written and flushed before the checkpoint moves: after a
//! crash the events since the last checkpoint are written again, and none is left out. Over DynamoDB a commit that appears late, because
//! its writer's clock is behind, is written when it appears, if it is younger than the window then.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    checkpoint::{Checkpoint, CheckpointName, LastRead},
    wanted::EventsWanted,
};
use crate::{
    app::refuse_a_copy,
    cli::{
        CommandAnswer, Failure,
        number::whole,
        printable::{printable, printable_json},
        serve::Signals,
    },
    config::{Backend, Settings},
    domain::{persisted::StoredCommit, reached::Reached},
    store::{ReadingPace, StoreError, Stores},
};

/// Commits that are read at once.
const PAGE_COMMITS: usize = 256;
/// Time between two looks for new commits.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The longest wait between two looks while the store does not answer.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// How often a checkpoint moves while there is more to read.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// Print the log line by line (NDJSON), the oldest first, and with --follow what comes
///
/// One event a line, with the position of its commit. Ends at the end of the log, or with --follow on SIGINT or SIGTERM. With --checkpoint
/// it goes on where it was when it is started again: nothing is left out, and what was written last may come again after a crash.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events tail --follow
  permitd events tail --type ApiKeyRevoked --type UserDeleted --user ana@example.org
  permitd events tail --correlation 019ace3e-6c7a-7000-8000-000000000000
  permitd events tail --follow --after end --checkpoint audit | logger -t permitd

Over DynamoDB, positions follow the clocks of the servers, so that a commit may appear behind others. It is printed when it appears,
if it is no older than --window then.")]
pub(super) struct TailArgs {
    /// Go on with what comes
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    wanted: EventsWanted,
    /// Only after this position in the log, or `end` for what is to come; not where the checkpoint has one
    #[arg(long, value_name = "POSITION", default_value = "0", value_parser = start)]
    after: Start,
    /// Go on after the last line of the run before under this name, and keep how far this one comes
    #[arg(long, value_name = "NAME", value_parser = CheckpointName::parse)]
    checkpoint: Option<CheckpointName>,
    /// Seconds by which a commit may appear late over DynamoDB: by how much clocks differ, and a write takes
    #[arg(long, value_name = "SECONDS", default_value_t = WINDOW_S, value_parser = whole(1..=86_400_u32))]
    window: u32,
}

/// The default window, seconds. AWS refuses what is signed by a clock that is off by more than five minutes, so that a writer is behind by
/// at most that, and so is this reader ahead. The rest is for the tries of a write.
const WINDOW_S: u32 = 1_200;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    After(u64),
    End,
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "end" => Ok(Start::End),
        text => whole(0..=u64::MAX)(text).map(Start::After).map_err(|error| format!("{error}, or end")),
    }
}

/// What came of a page.
enum Written {
    /// All lines of the page, and whether these are all for now.
    All(bool),
    /// The reader of standard output has closed it.
    Closed,
}

impl TailArgs {
    pub(super) async fn answer(self, stores: &Stores, settings: &Settings) -> Result<CommandAnswer, Failure> {
        let mut signals = Signals::listen()?;
        let wanted = self.wanted.find(stores).await?;
        let mut checkpoint = match &self.checkpoint {
            Some(name) => {
                refuse_a_copy(&settings.data)?;
                Some(Checkpoint::open(settings, name)?)
            }
            None => None,
        };
        let mut last = checkpoint.as_ref().and_then(Checkpoint::last);
        let mut reached = match checkpoint.as_ref().and_then(Checkpoint::reached) {
            Some(reached) => still_there(reached, last.as_ref(), stores, settings).await?,
            None => Reached::after(self.start(stores).await?),
        };
        let window = SignedDuration::from_secs(self.window.into());
        let mut moved_at = Instant::now();
        let mut patience = LOOK_INTERVAL;
        loop {
            let pace = ReadingPace { now: Timestamp::now(), window, max: PAGE_COMMITS };
            let read = tokio::select! {
                read = stores.log.read_on(&mut reached, pace) => read,
                () = signals.next() => break,
            };
            let (commits, is_all) = match read {
                Err(error @ StoreError::Unavailable(_)) if self.follow => {
                    eprintln!("{}; looking again in {} s", printable(&error.to_string()), patience.as_secs_f32());
                    if waited(&mut signals, patience).await.is_none() {
                        break;
                    }
                    patience = (patience * 2).min(PATIENCE_MAX);
                    continue;
                }
                read => read?,
            };
            patience = LOOK_INTERVAL;
            last = last_read(&commits).or(last);
            match write(&commits, is_all, |commit| wanted.documents(commit))? {
                Written::Closed => return Ok(nothing()),
                Written::All(is_all) => {
                    if let Some(checkpoint) = &mut checkpoint
                        && (is_all || moved_at.elapsed() >= CHECKPOINT_INTERVAL)
                    {
                        checkpoint.move_to(&reached, last.clone())?;
                        moved_at = Instant::now();
                    }
                    if is_all && (!self.follow || waited(&mut signals, LOOK_INTERVAL).await.is_none()) {
                        break;
                    }
                }
            }
        }
        if let Some(checkpoint) = &mut checkpoint {
            checkpoint.move_to(&reached, last.clone())?;
        }
        Ok(nothing())
    }

    async fn start(&self, stores: &Stores) -> Result<u64, Failure> {
        match self.after {
            Start::After(position) => Ok(position),
            Start::End => Ok(stores.log.read_back(None, 1).await?.first().map_or(0, |commit| commit.position)),
        }
    }
}

/// Of these commits the one with the last position.
fn last_read(commits: &[StoredCommit]) -> Option<LastRead> {
    let last = commits.iter().max_by_key(|commit| commit.position)?;
    Some(LastRead { position: last.position, hash: last.hash?.to_string() })
}

/// Refuses a checkpoint of another log, or of an earlier state of it: one that lies beyond the end, or at whose last commit another one stands.
async fn still_there(
    reached: Reached,
    last: Option<&LastRead>,
    stores: &Stores,
    settings: &Settings,
) -> Result<Reached, Failure> {
    // In DynamoDB an index may show its last commits a moment later.
    if settings.backend == Backend::Aws {
        return Ok(reached);
    }
    let refused = |what: String| {
        let advice = "an earlier state of it was restored. What follows may have been told differently; begin anew under another name, or \
                      remove the checkpoint with `permitd events checkpoints remove`";
        Failure::new(crate::cli::Exit::Refused, format!("{what}: {advice}"))
    };
    let end = stores.log.read_back(None, 1).await?.first().map_or(0, |commit| commit.position);
    if reached.position() > end {
        return Err(refused(format!(
            "the checkpoint is at position {}, and the log ends at {end}",
            reached.position()
        )));
    }
    if let Some(last) = last {
        let there = stores.log.read(last.position.saturating_sub(1), 1).await?;
        if last_read(&there).is_none_or(|there| there.position != last.position || there.hash != last.hash) {
            return Err(refused(format!(
                "at position {} the log has another commit than was read there",
                last.position
            )));
        }
    }
    Ok(reached)
}

/// Waits; none where a signal came meanwhile.
async fn waited(signals: &mut Signals, time: Duration) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Some(()),
        () = signals.next() => None,
    }
}

/// Writes the events of commits, and flushes them.
fn write(
    commits: &[StoredCommit],
    is_all: bool,
    documents: impl Fn(&StoredCommit) -> Result<Vec<Value>, Failure>,
) -> Result<Written, Failure> {
    let mut lines = String::new();
    for commit in commits {
        for document in documents(commit)? {
            lines.push_str(&printable_json(&document));
            lines.push('\n');
        }
    }
    if lines.is_empty() {
        return Ok(Written::All(is_all));
    }
    let mut out = io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Written::All(is_all)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Closed),
        Err(error) => Err(Failure::unavailable(format!("standard output cannot be written: {error}"))),
    }
}

/// The lines are all that is printed.
fn nothing() -> CommandAnswer {
    CommandAnswer::new(Value::Null, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_begins_after_a_position_or_at_the_end() {
        assert_eq!(
            (start("0"), start("12"), start("end")),
            (Ok(Start::After(0)), Ok(Start::After(12)), Ok(Start::End))
        );
        for text in ["", "-1", "ende", "1.5"] {
            assert!(start(text).is_err(), "{text}");
        }
    }
}
